"""Groups: people who are suspected together, found the same way every time (scoring.md 1.8, 2.5).

Leiden with the constant Potts objective and a stated resolution, because modularity merges small groups
(measured: agreement with planted groups 0.07 against 0.70). One run of it depends on chance; so it is run
under twenty seeds on sorted input, and two people stay together only where most runs agree.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scoring.plt import Links
from scoring.tables import ONE, Ints, Tables
from scoring.visible import Columns

SEEDS = 20
AGREE = 16
"""Runs of twenty in which two people must be together."""
CARRY = 500
"""Overlap in thousandths (Jaccard) from which a group is the one of an earlier run."""


@dataclass(frozen=True)
class Groups:
    """Groups of a run.

    Attributes:
        members: int64 columns ``group, pid``, sorted by both.
        groups: int64 columns ``group, size, stability, carried``: stability is the share of runs that
            kept the links of a group together, carried the overlap with the group whose id it bears,
            0 for a new one; both in thousandths.
        too_large: Sizes of groups that are too large to be one; they are told and not used.
    """

    members: Columns
    groups: Columns
    too_large: tuple[int, ...]


def load_library() -> None:
    """Load the library now: it looks for a settings file of its own, which a fence would refuse."""
    import igraph  # noqa: F401


def strong_pairs(links: Links, tables: Tables) -> tuple[Ints, Ints, Ints]:
    """Return pairs of people suspected together, with the strength of that kind alone, sorted.

    A victim, a witness or a household puts nobody into a group (T3, T5).
    """
    rows = links.rows
    suspect = tables.roles["suspect"]
    a, b, weight = [], [], []
    for kind in tables.links:
        if kind.sort != "event" or kind.roles != (suspect, suspect):
            continue
        here = np.flatnonzero(rows["kind"] == kind.id)
        points = rows["points"][here]
        strength = (kind.omega * ONE // 1000) * points // (points + kind.l0 * ONE)
        used = strength > tables.link_weight_min * ONE // 1000
        a.append(rows["a"][here][used])
        b.append(rows["b"][here][used])
        weight.append(strength[used])
    if not a:
        empty = np.zeros(0, np.int64)
        return empty, empty, empty
    left, right, strengths = np.concatenate(a), np.concatenate(b), np.concatenate(weight)
    order = np.lexsort([right, left])
    return left[order], right[order], strengths[order]


def groups_of(
    links: Links,
    tables: Tables,
    pseudonyms: Sequence[bytes],
    run: str,
    before: Mapping[int, frozenset[bytes]],
) -> Groups:
    """Find the groups of a run and give each the id of the earlier group that it continues.

    Args:
        links: The link table.
        tables: The versioned tables: resolution, least and largest size.
        pseudonyms: Pseudonym of each person.
        run: Id of the run; a new group's id is made of it and of its members.
        before: Groups of an earlier run: id to the pseudonyms of its members.
    """
    a, b, weight = strong_pairs(links, tables)
    people = np.unique(np.concatenate([a, b]))
    place_a, place_b = np.searchsorted(people, a), np.searchsorted(people, b)
    together = _together(place_a, place_b, weight, len(people), tables)
    kept = np.flatnonzero(together >= AGREE)
    labels = _components(place_a[kept], place_b[kept], len(people))
    found: list[tuple[frozenset[bytes], Ints, int]] = []
    large: list[int] = []
    inside = np.flatnonzero((labels[place_a] == labels[place_b]) & (labels[place_a] >= 0))
    size = int(labels.max(initial=-1)) + 1
    pairs = np.bincount(labels[place_a[inside]], minlength=size)
    agreed = np.zeros(size, np.int64)
    np.add.at(agreed, labels[place_a[inside]], together[inside])
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(size + 1))
    for label in range(size):
        mine = order[starts[label] : starts[label + 1]]
        if len(mine) < tables.group_least:
            continue
        if len(mine) > tables.group_most:
            large.append(len(mine))
            continue
        stability = int(agreed[label]) * 1000 // (SEEDS * int(pairs[label]))
        pids = people[mine]
        found.append((frozenset(pseudonyms[pid] for pid in pids.tolist()), pids, stability))
    return _named(found, run, before, tuple(sorted(large)))


def named_again(
    members: Columns,
    groups: Columns,
    too_large: tuple[int, ...],
    pseudonyms: Sequence[bytes],
    run: str,
    before: Mapping[int, frozenset[bytes]],
) -> Groups:
    """Return groups that an earlier run found among the same pairs, named for this run.

    Args:
        members: ``group, pid`` of that run, with the numbers that people have in this one.
        groups: ``group`` and ``stability`` of that run.
        too_large: As of `Groups`.
        pseudonyms: Pseudonym of each person.
        run: As of `groups_of`.
        before: As of `groups_of`.
    """
    found = []
    for group, stability in zip(
        groups["group"].tolist(), groups["stability"].tolist(), strict=True
    ):
        pids = np.sort(members["pid"][members["group"] == group])
        found.append((frozenset(pseudonyms[pid] for pid in pids.tolist()), pids, stability))
    # A run finds them in the order of the lowest member.
    found.sort(key=lambda one: int(one[1][0]))
    return _named(found, run, before, too_large)


def _together(a: Ints, b: Ints, weight: Ints, people: int, tables: Tables) -> Ints:
    """Return in how many runs the two people of each pair are together."""
    import igraph

    counted = np.zeros(len(a), np.int64)
    if not len(a):
        return counted
    graph: Any = igraph.Graph(n=people, edges=list(zip(a.tolist(), b.tolist(), strict=True)))
    weights = (weight / ONE).tolist()
    try:
        for seed in range(SEEDS):
            igraph.set_random_number_generator(random.Random(seed))  # noqa: S311  # repeatable
            parts = graph.community_leiden(
                objective_function="CPM",
                weights=weights,
                resolution=tables.group_resolution / 1000,
                n_iterations=2,
            )
            membership = np.array(parts.membership, np.int64)
            counted += membership[a] == membership[b]
    finally:
        igraph.set_random_number_generator(random)
    return counted


def _components(a: Ints, b: Ints, people: int) -> Ints:
    """Return the component of each person, numbered by their lowest member; -1 where nobody is near."""
    parent = list(range(people))

    def root(one: int) -> int:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for left, right in zip(a.tolist(), b.tolist(), strict=True):
        low, high = sorted((root(left), root(right)))
        parent[high] = low
    roots = np.array([root(one) for one in range(people)], np.int64)
    values, sizes = np.unique(roots, return_counts=True)
    number = dict.fromkeys(values[sizes == 1].tolist(), -1)
    number |= {one: place for place, one in enumerate(values[sizes > 1].tolist())}
    return np.array([number[one] for one in roots.tolist()], np.int64)


def _named(
    found: list[tuple[frozenset[bytes], Ints, int]],
    run: str,
    before: Mapping[int, frozenset[bytes]],
    too_large: tuple[int, ...],
) -> Groups:
    """Carry ids over by the best overlap; each earlier id goes to one group at most."""
    overlaps = sorted(
        (-_jaccard(names, old), number, group)
        for number, (names, _, _) in enumerate(found)
        for group, old in before.items()
        if _jaccard(names, old) >= CARRY
    )
    carried: dict[int, tuple[int, int]] = {}
    taken: set[int] = set()
    for overlap, number, group in overlaps:
        if number not in carried and group not in taken:
            carried[number] = (group, -overlap)
            taken.add(group)
    ids = [carried.get(number, (_new(run, one[0]), 0)) for number, one in enumerate(found)]
    order = sorted(range(len(found)), key=lambda number: ids[number][0])
    return Groups(
        {
            "group": np.array(
                [ids[number][0] for number in order for _ in found[number][1]], np.int64
            ),
            "pid": np.concatenate(
                [np.zeros(0, np.int64), *(np.sort(found[number][1]) for number in order)]
            ),
        },
        {
            "group": np.array([ids[number][0] for number in order], np.int64),
            "size": np.array([len(found[number][1]) for number in order], np.int64),
            "stability": np.array([found[number][2] for number in order], np.int64),
            "carried": np.array([ids[number][1] for number in order], np.int64),
        },
        too_large,
    )


def _jaccard(one: frozenset[bytes], other: frozenset[bytes]) -> int:
    return 1000 * len(one & other) // len(one | other)


def _new(run: str, names: frozenset[bytes]) -> int:
    digest = hashlib.sha256(run.encode() + b"".join(sorted(names))).digest()
    return int.from_bytes(digest[:8], "big") >> 1
