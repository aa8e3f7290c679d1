"""Reports on scores: looked at and acted on, and who is flagged, in counts (law.md 2.2, 14 and 15).

Pure functions over acts of the trail and counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from audit.act import Act
from engine.flows.report_form import Told, skipped
from engine.linkage.quality import SMALL, suppressed

HIDDEN = "hidden"


def acted_on(acts: Iterable[Act]) -> Told:
    """14: scores that were looked at, beside decisions that were recorded."""
    lists: dict[tuple[str, str, str], int] = defaultdict(int)
    looked: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    decided: dict[tuple[str, str, str], int] = defaultdict(int)
    seen: set[str] = set()
    done: set[str] = set()
    for act in acts:
        if act.outcome != "permit":
            continue
        who = (act.actor, act.role, act.agency)
        if act.flow == "review_list":
            lists[who] += 1
        elif act.flow == "look":
            looked[who].update(act.subjects)
            seen.update(act.subjects)
        elif act.flow == "decide":
            decided[who] += 1
            done.update(act.subjects)
    rows = [(*who, lists[who], len(looked[who]), decided[who])
            for who in sorted({*lists, *looked, *decided})]  # fmt: skip
    return Told(
        len(seen - done),
        "people whose scores were looked at and about whom nothing was recorded",
        ("user", "role", "agency", "lists opened", "people looked at", "decisions"),
        rows,
        f"{len(seen)} people were looked at, {len(seen & done)} of them have a decision in the period.",
    )


def flagged(
    people: Mapping[str, Sequence[bool]], groups: Mapping[str, Sequence[str]], closed: str = ""
) -> Told:
    """15: who stands on a list, by group, in counts that name nobody.

    Args:
        people: List to whether each person of the run stands on it.
        groups: Kind of group to the label of each person of the run.
        closed: What of a group the policy does not open, as a sentence; empty when nothing is.
    """
    if not people or not any(any(some) for some in people.values()):
        return skipped("No run has been published, or nobody stands on a list.")
    rows: list[tuple[object, ...]] = []
    for name, members in sorted(people.items()):
        on = np.asarray(members, bool)
        if not on.any():
            continue
        for kind, labels in groups.items():
            known = sorted(set(labels))
            at = np.array([known.index(label) for label in labels])
            counts = np.zeros((len(known), 2), np.int64)
            np.add.at(counts, (at, (~on).astype(int)), 1)
            hidden, whole = suppressed(counts)
            for place, label in enumerate(known):
                told = not hidden[place, 0]
                total = not whole[place] and not hidden[place].any()
                rows.append((name, kind, label, int(counts[place, 0]) if told else HIDDEN,
                             int(counts[place].sum()) if total else HIDDEN))  # fmt: skip
    return Told(
        len(rows),
        "groups compared",
        ("list", "by", "group", "on the list", "people of the run"),
        rows,
        f"Cells of fewer than {SMALL}, and others from which they would follow, are hidden. Disability is "
        "told as special needs, deprivation as means-tested help; what no agency stated is not known."
        + (f" {closed}" if closed else ""),
    )
