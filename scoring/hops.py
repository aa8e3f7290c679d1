"""Two hops: people who are linked with somebody who is linked with the person, and not with the person.

Only those who have evidence of their own are walked from, which is what makes two hops cheap
(scoring.md 2.2). A path is worth its best middle; more middles do not add up, so that a crowd is no
stronger than its strongest link (1.6).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from scoring.plt import Links
from scoring.rfg import OwnEvidence, index
from scoring.tables import ONE, TRACKS, Ints, Tables
from scoring.visible import Columns

_ROWS_AT_ONCE = 8_000_000
_SCALE = ONE.bit_length() - 1
PATH_COLUMNS = ("pid", "theme", "track", "neighbour", "weight", "index", "exposure")


def second_hop(
    links: Links,
    evidence: OwnEvidence,
    events: Columns,
    tables: Tables,
    touched: npt.NDArray[np.bool_] | None = None,
) -> Columns:
    """Return one row per person and person at distance exactly two who counts.

    Args:
        links: The link table.
        evidence: Own points of every person.
        events: Visible events: what two people who are not linked did together counts once (P6).
        tables: The versioned tables.
        touched: Only rows of which one of the two people is among these; all when None. Then `events`
            need hold no more than every event in which one of these takes part.

    Returns:
        int64 columns `PATH_COLUMNS`; ``weight`` is that of the best path, ``exposure`` has the hop
        factor in it.
    """
    persons = len(evidence.points)
    meetings = _meetings(events, evidence)
    found: list[Columns] = []
    for track in range(len(TRACKS)):
        source, target, weight = _both_ways(links, track, tables)
        if not len(source):
            continue
        start = np.searchsorted(source, np.arange(persons + 1))
        linked = source * persons + target
        near = None
        if touched is not None:
            near = _either_way(*_paths(source, target, weight, start, linked, touched), touched)
        for theme, name in enumerate(tables.themes):
            own = evidence.points[:, theme, track]
            key, path = near or _paths(source, target, weight, start, linked, own > 0)
            far = key % persons
            common = _common(key, persons, meetings, theme, track)
            risk = index(own[far] - common, tables.half_index_points[name])
            kept = np.flatnonzero(risk)
            worth = path[kept] * risk[kept] // ONE * tables.hop_factor // 1000
            found.append(
                {
                    "pid": key[kept] // persons,
                    "theme": np.full(len(kept), theme, np.int64),
                    "track": np.full(len(kept), track, np.int64),
                    "neighbour": far[kept],
                    "weight": path[kept],
                    "index": risk[kept],
                    "exposure": worth,
                }
            )
    empty = np.zeros(0, np.int64)
    return {name: np.concatenate([empty, *(part[name] for part in found)]) for name in PATH_COLUMNS}


def _either_way(key: Ints, path: Ints, touched: npt.NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Return paths that end with somebody touched and the same paths walked back, sorted, each once."""
    persons = len(touched)
    first, last = key // persons, key % persons
    back = np.flatnonzero(~touched[first])
    keys = np.concatenate([key, last[back] * persons + first[back]])
    order = np.argsort(keys, kind="stable")
    return keys[order], np.concatenate([path, path[back]])[order]


def _both_ways(links: Links, track: int, tables: Tables) -> tuple[Ints, Ints, Ints]:
    """Return links that are strong enough in both directions, sorted."""
    used = np.flatnonzero(links.weight[:, track] > tables.link_weight_min * ONE // 1000)
    source = np.concatenate([links.a[used], links.b[used]])
    target = np.concatenate([links.b[used], links.a[used]])
    weight = np.concatenate([links.weight[used, track]] * 2)
    order = np.lexsort([target, source])
    return source[order], target[order], weight[order]


def _paths(
    source: Ints,
    target: Ints,
    weight: Ints,
    start: Ints,
    linked: Ints,
    at_risk: npt.NDArray[np.bool_],
) -> tuple[Ints, Ints]:
    """Return the best path to everybody at risk two hops away: person and far person as one key, weight.

    Keys are ``person * persons + far person``, sorted.
    """
    persons = len(start) - 1
    keys, values = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    last = np.flatnonzero(at_risk[target])
    last = last[np.argsort(target[last], kind="stable")]
    degree = np.diff(start)
    for part in _chunks(last, target, degree[source[last]]):
        middle = source[part]
        count = degree[middle]
        at = np.repeat(np.arange(len(part)), count)
        first = np.repeat(start[middle] - np.cumsum(count) + count, count) + np.arange(len(at))
        near, far = target[first], target[part][at]
        path = (weight[first] * weight[part][at]) >> _SCALE
        key, path = _best(near * persons + far, path, persons)
        # Sorted keys are looked up in sorted links many times faster than keys in any order.
        place = np.minimum(np.searchsorted(linked, key), len(linked) - 1)
        keep = np.flatnonzero(
            (linked[place] != key) & (path > 0) & (key // persons != key % persons)
        )
        keys.append(key[keep])
        values.append(path[keep])
    key, path = np.concatenate(keys), np.concatenate(values)
    order = np.argsort(key, kind="stable")
    return key[order], path[order]


def _best(key: Ints, path: Ints, persons: int) -> tuple[Ints, Ints]:
    """Return each key once with the largest of its values, sorted."""
    if (
        persons < 2**20
    ):  # A key and a value below 2^21 fit into one number, which sorts much faster.
        both = np.sort((key << 21) | path)
        key, path = both >> 21, both & (2**21 - 1)
    else:
        order = np.lexsort([path, key])
        key, path = key[order], path[order]
    final = np.flatnonzero(key[1:] != key[:-1])
    final = np.append(final, len(key) - 1) if len(key) else final
    return key[final], path[final]


def _chunks(rows: Ints, target: Ints, cost: Ints) -> Iterator[Ints]:
    """Split rows so that each part is walked in bounded memory; one person at risk is never split."""
    if not len(rows):
        return
    total = np.cumsum(cost)
    begin = 0
    ends = np.flatnonzero(np.r_[target[rows][1:] != target[rows][:-1], True]) + 1
    while begin < len(rows):
        limit = (total[begin - 1] if begin else 0) + _ROWS_AT_ONCE
        fitting = ends[(ends > begin) & (total[ends - 1] <= limit)]
        end = int(fitting[-1]) if len(fitting) else int(ends[ends > begin][0])
        yield rows[begin:end]
        begin = end


def _meetings(events: Columns, evidence: OwnEvidence) -> tuple[Ints, Ints, Ints]:
    """Return event, person and points of everybody in an event that gave anybody points, sorted."""
    order = np.lexsort([events["pid"], events["eid"]])
    eid, pid = events["eid"][order], events["pid"][order]
    if not len(eid):
        return eid, pid, np.zeros((0, *evidence.row_points.shape[1:]), np.int64)
    starts = np.flatnonzero(np.r_[True, (eid[1:] != eid[:-1]) | (pid[1:] != pid[:-1])])
    points = np.add.reduceat(evidence.row_points[order], starts, axis=0)
    return eid[starts], pid[starts], points


def _common(
    key: Ints, persons: int, meetings: tuple[Ints, Ints, Ints], theme: int, track: int
) -> Ints:
    """Return the points of the far person from events in which the person takes part too (P6)."""
    found = np.zeros(len(key), np.int64)
    eid, pid, points = meetings[0], meetings[1], meetings[2][:, theme, track]
    scored = np.isin(eid, eid[points > 0])
    eid, pid, points = eid[scored], pid[scored], points[scored]
    step = 1
    while len(key) and step < len(eid):
        left = np.flatnonzero(eid[step:] == eid[:-step])
        if not len(left):
            break
        for near, far in ((left, left + step), (left + step, left)):
            wanted = pid[near] * persons + pid[far]
            at = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
            hit = key[at] == wanted
            np.add.at(found, at[hit], points[far[hit]])
        step += 1
    return found
