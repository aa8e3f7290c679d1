"""The Person Link Table: relationships of two people from events and states (scoring.md 1.5)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from scoring.rfg import OwnEvidence
from scoring.tables import ONE, TRACKS, Ints, LinkKind, Tables
from scoring.visible import Columns

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Links:
    """The link table.

    Attributes:
        rows: int64 columns ``a, b, kind, n, last, points`` with a < b, sorted.
        a: First person of each linked pair.
        b: Second person of each linked pair.
        weight: int64 ``[pair, track]`` at scale 2^20.
        points: int64 ``[pair]``: sum of link points over kinds.
        shared: int64 ``[2, pair, theme, track]``: points of b from events with a (0), of a from
            events with b (1).
        skipped: int64 columns ``eid, kind, members``: events too large to link anybody.
    """

    rows: Columns
    a: Ints
    b: Ints
    weight: Ints
    points: Ints
    shared: Ints
    skipped: Columns


def link_table(
    events: Columns,
    states: Columns,
    evidence: OwnEvidence,
    persons: int,
    as_of: int,
    tables: Tables,
    sure: Ints | None = None,
) -> Links:
    """Build the link table from visible events and states.

    Args:
        events: Visible events.
        states: Visible states.
        evidence: What each event contributes.
        persons: Number of persons.
        as_of: Day of the run.
        tables: The versioned tables.
        sure: Match probability of each person in thousandths; what passes along an edge is scaled by the
            lower of its two (T10). Everybody is sure when None.
    """
    rows: list[Columns] = []
    skipped: list[Columns] = []
    for kind in tables.links:
        if kind.omega == 0:
            continue  # A registered home links nobody (T7).
        if kind.sort == "event":
            found, too_large = _from_events(events, kind, persons, as_of, tables)
        else:
            found, too_large = _from_states(states, kind, persons)
        rows.append(found)
        skipped.append(too_large)
    table = _stack(rows, ("a", "b", "kind", "n", "last", "points"))
    order = np.lexsort([table["kind"], table["b"], table["a"]])
    table = {name: column[order] for name, column in table.items()}
    made = _combine(table, _stack(skipped, ("eid", "kind", "members")), events, evidence, tables)
    if sure is None or not len(made.a):
        return made
    part = np.minimum(sure[made.a], sure[made.b])[:, np.newaxis]
    return replace(made, weight=made.weight * part // 1000)


def _stack(parts: list[Columns], names: tuple[str, ...]) -> Columns:
    empty = np.zeros(0, np.int64)
    return {name: np.concatenate([empty, *(part[name] for part in parts)]) for name in names}


def _from_events(
    events: Columns, kind: LinkKind, persons: int, as_of: int, tables: Tables
) -> tuple[Columns, Columns]:
    """Pairs from events: each pair gets floor(g D / (m - 1)), m counting every member."""
    use = np.isin(events["kind"], kind.kinds)
    # One event links a pair once, whichever of its kinds name it (P8).
    group = _groups(events["eid"][use], np.zeros(int(use.sum()), np.int64))
    pid, role, day = events["pid"][use], events["role"][use], events["day"][use]
    members = _member_counts(group, pid)
    wanted = role == kind.roles[0]
    group, pid, day = group[wanted], pid[wanted], day[wanted]
    order = np.lexsort([pid, group])
    group, pid, day = group[order], pid[order], day[order]
    first = np.ones(len(pid), dtype=bool)
    first[1:] = (group[1:] != group[:-1]) | (pid[1:] != pid[:-1])
    group, pid, day = group[first], pid[first], day[first]
    large = members > kind.cap
    skipped = _skipped(events, use, members, large, kind)
    keep = ~large[group] if len(group) else np.zeros(0, bool)
    group, pid, day = group[keep], pid[keep], day[keep]
    left, right = _pairs(group)
    # Rows of one event may differ in their day; the earlier counts, whoever has the lower number.
    day_of_pair = np.minimum(day[left], day[right])
    age = as_of - day_of_pair
    table = tables.decay[kind.half_life]
    factor = np.where(age < len(table), table[np.minimum(age, len(table) - 1)], 0)
    points = kind.points * kind.share // 1000 * factor // (members[group[left]] - 1)
    return _reduce(pid[left], pid[right], day_of_pair, points, kind.id, persons), skipped


def _groups(eid: Ints, kind: Ints) -> Ints:
    """Number the (event, kind) groups from 0."""
    if not len(eid):
        return np.zeros(0, np.int64)
    order = np.lexsort([kind, eid])
    new = np.r_[
        False,
        (eid[order][1:] != eid[order][:-1]) | (kind[order][1:] != kind[order][:-1]),
    ]
    numbers = np.zeros(len(eid), np.int64)
    numbers[order] = np.cumsum(new)
    return numbers


def _member_counts(group: Ints, pid: Ints) -> Ints:
    """Return the number of distinct people in each group."""
    if not len(group):
        return np.zeros(0, np.int64)
    order = np.lexsort([pid, group])
    sorted_group, sorted_pid = group[order], pid[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (sorted_group[1:] != sorted_group[:-1]) | (sorted_pid[1:] != sorted_pid[:-1])
    return np.bincount(sorted_group[first], minlength=int(group.max()) + 1).astype(np.int64)


def _skipped(
    events: Columns,
    use: Mask,
    members: Ints,
    large: Mask,
    kind: LinkKind,
) -> Columns:
    numbers = np.flatnonzero(large)
    group = _groups(events["eid"][use], np.zeros(int(use.sum()), np.int64))
    at = np.searchsorted(np.sort(group, kind="stable"), numbers)
    eid = events["eid"][use][np.argsort(group, kind="stable")][at] if len(numbers) else numbers
    return {
        "eid": eid.astype(np.int64),
        "kind": np.full(len(numbers), kind.id, np.int64),
        "members": members[numbers],
    }


def _pairs(group: Ints) -> tuple[Ints, Ints]:
    """Return index pairs (left, right) of all unordered pairs within runs of equal `group`."""
    lefts, rights, step = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 1
    while step < len(group):
        left = np.flatnonzero(group[step:] == group[:-step])
        if not len(left):
            break
        lefts.append(left)
        rights.append(left + step)
        step += 1
    return np.concatenate(lefts), np.concatenate(rights)


def _reduce(left: Ints, right: Ints, day: Ints, points: Ints, kind: int, persons: int) -> Columns:
    low, high = np.minimum(left, right), np.maximum(left, right)
    key = low * persons + high
    order = np.lexsort([day, key])
    key, day, points = key[order], day[order], points[order]
    starts = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else key
    if not len(starts):
        empty = np.zeros(0, np.int64)
        return dict.fromkeys(("a", "b", "kind", "n", "last", "points"), empty)
    return {
        "a": key[starts] // persons,
        "b": key[starts] % persons,
        "kind": np.full(len(starts), kind, np.int64),
        "n": np.diff(np.r_[starts, len(key)]).astype(np.int64),
        "last": np.maximum.reduceat(day, starts),
        "points": np.add.reduceat(points, starts),
    }


def _from_states(states: Columns, kind: LinkKind, persons: int) -> tuple[Columns, Columns]:
    """Pairs of people who are in the same place now; a fact of today, so nothing decays."""
    use = np.isin(states["kind"], kind.kinds) & (states["place"] != 0)
    place, pid, start = states["place"][use], states["pid"][use], states["start"][use]
    order = np.lexsort([start, pid, place])
    place, pid, start = place[order], pid[order], start[order]
    first = np.ones(len(pid), dtype=bool)
    first[1:] = (place[1:] != place[:-1]) | (pid[1:] != pid[:-1])
    place, pid, start = place[first], pid[first], start[first]
    group = _groups(place, np.zeros(len(place), np.int64))
    members = _member_counts(group, pid)
    numbers = np.flatnonzero(members > kind.cap)
    firsts = np.searchsorted(group, numbers)
    skipped = {
        "eid": place[firsts] if len(numbers) else numbers,
        "kind": np.full(len(numbers), kind.id, np.int64),
        "members": members[numbers],
    }
    keep = members[group] <= kind.cap if len(group) else np.zeros(0, bool)
    group, pid, start = group[keep], pid[keep], start[keep]
    left, right = _pairs(group)
    points = kind.points * kind.share // 1000 * ONE // (members[group[left]] - 1)
    since = np.maximum(start[left], start[right])
    return _reduce(pid[left], pid[right], since, points, kind.id, persons), skipped


def _combine(
    table: Columns,
    skipped: Columns,
    events: Columns,
    evidence: OwnEvidence,
    tables: Tables,
) -> Links:
    a, b = table["a"], table["b"]
    new = np.r_[True, (a[1:] != a[:-1]) | (b[1:] != b[:-1])] if len(a) else np.zeros(0, bool)
    starts = np.flatnonzero(new)
    pair = np.cumsum(new) - 1
    remaining = np.full((len(starts), len(TRACKS)), ONE, np.int64)
    total = np.zeros(len(starts), np.int64)
    for kind in tables.links:
        here = np.flatnonzero(table["kind"] == kind.id)
        points = table["points"][here]
        strength = (kind.omega * ONE // 1000) * points // (points + kind.l0 * ONE)
        total[pair[here]] += points
        for number, track in enumerate(TRACKS):
            if track in kind.tracks:
                left = remaining[pair[here], number]
                remaining[pair[here], number] = left * (ONE - strength) // ONE
    first, second = a[starts], b[starts]
    shared = shared_points(first, second, events, evidence)
    return Links(table, first, second, ONE - remaining, total, shared, skipped)


def shared_points(a: Ints, b: Ints, events: Columns, evidence: OwnEvidence) -> Ints:
    """Return the points of one person from events in which the other takes part too.

    Args:
        a: First person of each pair.
        b: Second person, a larger number; pairs are sorted by both and stand there once.
        events: Visible events.
        evidence: What each of them contributes.

    Returns:
        int64 ``[2, pair, theme, track]``: points of b from events with a, then of a from events with b.
    """
    shape = evidence.row_points.shape[1:]
    shared = np.zeros((2, len(a), *shape), np.int64)
    if not len(a) or not len(events["pid"]):
        return shared
    order = np.lexsort([events["pid"], events["eid"]])
    eid, pid = events["eid"][order], events["pid"][order]
    starts = np.flatnonzero(np.r_[True, (eid[1:] != eid[:-1]) | (pid[1:] != pid[:-1])])
    eid, pid = eid[starts], pid[starts]
    points = np.add.reduceat(evidence.row_points[order], starts, axis=0)
    scored = np.isin(eid, eid[points.reshape(len(points), -1).any(axis=1)])
    eid, pid, points = eid[scored], pid[scored], points[scored]
    persons = int(max(a.max(), b.max(), pid.max(initial=0))) + 1
    keys = a * persons + b
    step = 1
    # One pass per distance inside an event: nothing is larger than the events themselves, and an
    # event past the cap is still left out of the exposure of those who are linked by another one.
    while step < len(eid):
        left = np.flatnonzero(eid[step:] == eid[:-step])
        if not len(left):
            break
        right = left + step
        key = pid[left] * persons + pid[right]
        at = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
        hit = keys[at] == key
        np.add.at(shared[0], at[hit], points[right[hit]])
        np.add.at(shared[1], at[hit], points[left[hit]])
        step += 1
    return shared
