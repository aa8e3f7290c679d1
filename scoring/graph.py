"""Exposure: what the people around a person add, one hop and two hops away (scoring.md 1.6).

A neighbour counts with their index without the events shared with the person, so that a common
event is not counted twice (P6). Bands keep under-18s and adults apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scoring.hops import second_hop
from scoring.plt import Links
from scoring.rfg import OwnEvidence, index
from scoring.tables import ONE, TRACKS, Ints, Tables
from scoring.visible import Columns

PART_COLUMNS = (
    "pid",
    "theme",
    "track",
    "hop",
    "neighbour",
    "band",
    "weight",
    "index",
    "exposure",
    "link_points",
)


@dataclass(frozen=True, slots=True)
class Exposure:
    """Exposure of each person.

    Attributes:
        total: int64 ``[person, theme, track]``, thousandths of index points, over both hops.
        neighbours: int64 of the same shape: linked people with own risk, one hop away.
        parts: int64 columns `PART_COLUMNS`, one row per person that counts; at hop 2 the weight is that
            of the best path, and there are no link points.
        rows: int64 columns per (pid, theme, track, hop, band): ``n, sum_index, link_points, exposure,
            nearest``.
    """

    total: Ints
    neighbours: Ints
    parts: Columns
    rows: Columns


def exposure(
    links: Links, evidence: OwnEvidence, bands: Ints, events: Columns, tables: Tables
) -> Exposure:
    """Compute exposure over two hops, pushing from the people who have any risk.

    Args:
        links: The link table.
        evidence: Own points of every person.
        bands: int64 per person: 0 unknown, 1 under 18, 2 eighteen or over, on the as-of date.
        events: Visible events, sorted by person.
        tables: The versioned tables.
    """
    total, neighbours, parts = first_hop(links, evidence, bands, tables)
    far = two_hops(links, evidence, bands, events, tables)
    np.add.at(total, (far["pid"], far["theme"], far["track"]), far["exposure"])
    parts.append(far)
    table = {name: np.concatenate([part[name] for part in parts]) for name in PART_COLUMNS}
    order = np.lexsort([table[name] for name in ("neighbour", "hop", "track", "theme", "pid")])
    table = {name: column[order] for name, column in table.items()}
    return Exposure(total, neighbours, table, by_band(table))


def first_hop(
    links: Links, evidence: OwnEvidence, bands: Ints, tables: Tables
) -> tuple[Ints, Ints, list[Columns]]:
    """Return what linked people add: in all, how many of them, and one row each (see `Exposure`)."""
    shape = evidence.points.shape
    total, neighbours = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    parts: list[Columns] = []
    floor = tables.link_weight_min * ONE // 1000
    to = np.concatenate([links.a, links.b])
    source = np.concatenate([links.b, links.a])
    shared = np.concatenate([links.shared[0], links.shared[1]])
    weight = np.concatenate([links.weight, links.weight])
    link_points = np.concatenate([links.points, links.points])
    for theme, name in enumerate(tables.themes):
        half = tables.half_index_points[name]
        for track in range(len(TRACKS)):
            used = np.flatnonzero(
                (weight[:, track] > floor) & (evidence.points[source, theme, track] > 0)
            )
            others = evidence.points[source[used], theme, track] - shared[used, theme, track]
            risk = index(others, half)
            used, risk = used[risk > 0], risk[risk > 0]
            value = weight[used, track] * risk // ONE
            np.add.at(total[:, theme, track], to[used], value)
            np.add.at(neighbours[:, theme, track], to[used], 1)
            parts.append(
                {
                    "pid": to[used],
                    "theme": np.full(len(used), theme, np.int64),
                    "track": np.full(len(used), track, np.int64),
                    "hop": np.ones(len(used), np.int64),
                    "neighbour": source[used],
                    "band": bands[source[used]],
                    "weight": weight[used, track],
                    "index": risk,
                    "exposure": value,
                    "link_points": link_points[used],
                }
            )
    return total, neighbours, parts


def two_hops(
    links: Links,
    evidence: OwnEvidence,
    bands: Ints,
    events: Columns,
    tables: Tables,
    touched: npt.NDArray[np.bool_] | None = None,
) -> Columns:
    """Return one row per person two hops away who counts (see `Exposure.parts` and `second_hop`)."""
    far = second_hop(links, evidence, events, tables, touched)
    size = len(far["pid"])
    return {
        **far,
        "hop": np.full(size, 2, np.int64),
        "band": bands[far["neighbour"]],
        "link_points": np.zeros(size, np.int64),
    }


def by_band(parts: Columns) -> Columns:
    """Return the rows of `Exposure.rows` from its parts."""
    names = ("pid", "theme", "track", "hop", "band")
    order = np.lexsort([parts[name] for name in reversed(names)])
    sorted_parts = {name: column[order] for name, column in parts.items()}
    empty = np.zeros(0, np.int64)
    if not len(order):
        return dict.fromkeys(
            (*names, "n", "sum_index", "link_points", "exposure", "nearest"), empty
        )
    new = np.zeros(len(order), dtype=bool)
    new[0] = True
    for name in names:
        new[1:] |= sorted_parts[name][1:] != sorted_parts[name][:-1]
    starts = np.flatnonzero(new)
    return {
        **{name: sorted_parts[name][starts] for name in names},
        "n": np.diff(np.r_[starts, len(order)]).astype(np.int64),
        "sum_index": np.add.reduceat(sorted_parts["index"], starts),
        "link_points": np.add.reduceat(sorted_parts["link_points"], starts),
        "exposure": np.add.reduceat(sorted_parts["exposure"], starts),
        "nearest": np.maximum.reduceat(sorted_parts["weight"], starts),
    }
