"""A merge or a split that touches somebody on a review list waits for a person (linkage.md 4).

Whoever looks at an alert must not find another person's facts in it, or miss what was there, from one day
to the next. Two persons that a run would join stay two while one of them has an open place on a list, one
that it would part stays one, and the pair is a question; what a person has decided holds as always.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from engine.linkage.encode import Words

Mask = npt.NDArray[np.bool_]

ALERT, SPLIT = "open_alert", "open_alert_split"


@dataclass(frozen=True)
class Known:
    """Who the records were before a run.

    Attributes:
        person: Per row the number of its person, from 1; 0 for a record that is new.
        alerted: Numbers of the persons with an open place on a list.
    """

    person: npt.NDArray[np.int64] = field(repr=False)
    alerted: frozenset[int]


def held_pairs(
    clusters: Words, known: Known, must: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Return the pairs of rows that a run must not join without a person's word.

    Args:
        clusters: What the run would join.
        known: Who the records were.
        must: Pairs that a person decided are one person; their persons are not held.
    """
    if not known.alerted:
        return []
    decided = {
        frozenset((int(known.person[left]), int(known.person[right]))) for left, right in must
    }
    rows_of: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    alerted = np.isin(known.person, list(known.alerted))
    for row in np.flatnonzero(np.isin(clusters, clusters[alerted]) & (known.person != 0)).tolist():
        rows_of[int(clusters[row])][int(known.person[row])].append(row)
    found = []
    for persons in rows_of.values():
        for one in sorted(persons.keys() & known.alerted):
            for other in sorted(persons.keys() - {one}):
                if frozenset((one, other)) not in decided:
                    found += [(min(a, b), max(a, b)) for a in persons[one] for b in persons[other]]
    return sorted(set(found))


def rejoined(
    clusters: Words, known: Known, cannot: Sequence[tuple[int, int]], apart: Mask
) -> tuple[Words, list[tuple[int, int]]]:
    """Return the clusters with alerted persons kept whole, and a pair of rows for each part kept.

    Args:
        clusters: What the run would make; no row of an alerted person is with another known person's.
        known: Who the records were.
        cannot: Pairs that a person decided are two; they part an alerted person too.
        apart: Records that nothing links to others (LNK-15); they are not kept with anybody.
    """
    if not known.alerted:
        return clusters, []
    decided = {frozenset(pair) for pair in cannot}
    made, kept = clusters.copy(), []
    for person in sorted(known.alerted):
        rows = np.flatnonzero((known.person == person) & ~apart)
        # As few persons as the decisions allow: each part joins the first that nobody parted it from.
        whole: list[list[int]] = []
        for part in np.unique(made[rows]).tolist():
            some = np.flatnonzero(made == part).tolist()
            fits = next(
                (one for one in whole
                 if not any(frozenset((a, b)) in decided for a in one for b in some)),
                None,
            )  # fmt: skip
            if fits is None:
                whole.append(some)
                continue
            kept.append((min(fits[0], some[0]), max(fits[0], some[0])))
            made[some] = made[fits[0]]
            fits += some
    return made, kept
