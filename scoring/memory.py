"""Memory: what changed since an earlier run, split into ageing, back-loads and new evidence.

The earlier run's evidence is counted again as of today and with today's tables, so that neither the
passing of time nor another table can look like news (scoring.md 1.8). Evidence that an agency sends late
about long ago, marked as history, is no news either (7.5).
"""

from __future__ import annotations

import numpy as np

from scoring.rfg import OwnEvidence, index
from scoring.tables import TRACKS, Ints, Tables
from scoring.visible import Columns

ORIGIN_HISTORY = 2
STEADY, INCREASING, EASING = 1, 2, 3


def history_points(events: Columns, evidence: OwnEvidence) -> Ints:
    """Return the points that come of back-loads.

    Args:
        events: Visible events, sorted by person.
        evidence: Own points.

    Returns:
        int64 ``[person, theme, track]`` at scale 2^20.
    """
    found = np.zeros_like(evidence.points)
    late = np.flatnonzero(events["origin"] == ORIGIN_HISTORY)
    np.add.at(found, events["pid"][late], evidence.row_points[late])
    return found


def trend_table(evidence: OwnEvidence, before: Ints, history: Ints, tables: Tables) -> Columns:
    """Return one row per (person, theme, track) with evidence now or before.

    Args:
        evidence: Own points now.
        before: Points of the earlier run's evidence as of today, ``[person, theme, track]``.
        history: Points that back-loads brought since.
        tables: The versioned tables.

    Returns:
        int64 columns ``pid, theme, track, before, history, new, rise, state``. Points add up:
        ``points = before + history + new`` (scale 2^20); ``new`` is below zero where evidence was taken
        back or a role was corrected. ``rise`` is what new evidence did to the index, in thousandths.
        A trend is `INCREASING` only by new evidence, `EASING` only when evidence was taken back;
        what ageing does is neither.
    """
    columns: list[Columns] = []
    for theme, name in enumerate(tables.themes):
        half = tables.half_index_points[name]
        for track in range(len(TRACKS)):
            now = evidence.points[:, theme, track]
            old, late = before[:, theme, track], history[:, theme, track]
            pid = np.flatnonzero((now > 0) | (old > 0)).astype(np.int64)
            new = now[pid] - old[pid] - late[pid]
            without = np.maximum(now[pid] - new, 0)
            rise = index(now[pid], half) - index(without, half)
            columns.append(
                {
                    "pid": pid,
                    "theme": np.full(len(pid), theme, np.int64),
                    "track": np.full(len(pid), track, np.int64),
                    "before": old[pid],
                    "history": late[pid],
                    "new": new,
                    "rise": rise,
                    "state": np.select(
                        [(new > 0) & (rise >= tables.increase_index), new < 0],
                        [INCREASING, EASING],
                        STEADY,
                    ).astype(np.int64),
                }
            )
    table = {name: np.concatenate([part[name] for part in columns]) for name in columns[0]}
    order = np.lexsort([table["track"], table["theme"], table["pid"]])
    return {name: column[order] for name, column in table.items()}


def rising_of(table: Columns, tables: Tables) -> dict[tuple[str, str], dict[int, int]]:
    """Return, by theme and track, what new evidence did to the index of those whom it moved enough."""
    found: dict[tuple[str, str], dict[int, int]] = {}
    names = ("pid", "theme", "track", "rise", "state")
    for pid, theme, track, rise, state in zip(
        *(table[name].tolist() for name in names), strict=True
    ):
        if state == INCREASING:
            found.setdefault((tables.themes[theme], TRACKS[track]), {})[pid] = rise
    return found
