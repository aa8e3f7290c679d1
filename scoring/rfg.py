"""Recency, frequency, gravity: own evidence per person, theme and track (scoring.md 1.4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scoring.errors import ScoringFault
from scoring.tables import ONE, TRACKS, Ints, Tables
from scoring.visible import Columns

FULL = 100_000
"""An index of 100, in thousandths."""


@dataclass(frozen=True, slots=True)
class OwnEvidence:
    """Points of each person.

    Attributes:
        points: int64 ``[person, theme, track]`` at scale 2^20.
        row_points: int64 ``[visible row, theme, track]``: what each row contributes.
    """

    points: Ints
    row_points: Ints


def own_evidence(events: Columns, persons: int, as_of: int, tables: Tables) -> OwnEvidence:
    """Sum the decayed points of every visible event.

    Args:
        events: Visible events sorted by ``pid``.
        persons: Number of persons; pids are 0 to `persons` - 1.
        as_of: Day of the run.
        tables: The versioned tables.
    """
    rows = len(events["pid"])
    shape = (len(tables.themes), len(TRACKS))
    row_points = np.zeros((rows, *shape), np.int64)
    age_days = as_of - events["day"]
    roles, ages = tables.gamma.shape[3:]
    # One code per row, looked up once per theme and track; only rows with points are decayed.
    code = (events["kind"] * roles + events["role"]) * ages + events["age"]
    for theme in range(shape[0]):
        for track in range(shape[1]):
            gamma = tables.gamma[theme, track].ravel()
            if not gamma.any():
                continue  # A theme of another purpose, which a run does not look at.
            scored = np.flatnonzero((gamma > 0)[code])
            if len(scored):
                mine = code[scored]
                factor = _factor(
                    age_days[scored], tables.half_life[theme, track].ravel()[mine], tables
                )
                row_points[scored, theme, track] = gamma[mine] * factor
    points = np.zeros((persons, *shape), np.int64)
    if rows:
        starts = np.flatnonzero(np.r_[True, events["pid"][1:] != events["pid"][:-1]])
        points[events["pid"][starts]] = np.add.reduceat(row_points, starts, axis=0)
    return OwnEvidence(points, row_points)


def _factor(age_days: Ints, half_life: Ints, tables: Tables) -> Ints:
    factors = np.zeros(len(age_days), np.int64)
    for length, table in tables.decay.items():
        here = (half_life == length) & (age_days < len(table))
        factors[here] = table[age_days[here]]
    return factors


def index(points: Ints, half_points: int) -> Ints:
    """Return the index in thousandths: ``100 X / (X + K)``, in [0, 100).

    Args:
        points: X, at scale 2^20, any shape.
        half_points: K, in points.

    Raises:
        ScoringFault: ``FG-RUN-03`` when a sum leaves the range in which int64 is exact.
    """
    if points.size and (int(points.min()) < 0 or int(points.max()) > 2**63 // FULL - 1):
        raise ScoringFault("FG-RUN-03", "a sum of points is out of range", "Report this fault.")
    return FULL * points // (points + half_points * ONE)


def contributions(events: Columns, evidence: OwnEvidence, tables: Tables) -> Columns:
    """Return the parts of X by (pid, theme, track, kind): they add up to X exactly (P14).

    Returns:
        int64 columns ``pid, theme, track, kind, count, last, points``.
    """
    names = ("pid", "theme", "track", "kind", "count", "last", "points")
    parts: dict[str, list[Ints]] = {name: [] for name in names}
    for theme in range(len(tables.themes)):
        for track in range(len(TRACKS)):
            points = evidence.row_points[:, theme, track]
            used = np.flatnonzero(points)
            if not len(used):
                continue
            used = used[np.lexsort([events["kind"][used], events["pid"][used]])]
            pid, kind = events["pid"][used], events["kind"][used]
            starts = np.flatnonzero(np.r_[True, (pid[1:] != pid[:-1]) | (kind[1:] != kind[:-1])])
            size = len(starts)
            found = {
                "pid": pid[starts],
                "theme": np.full(size, theme, np.int64),
                "track": np.full(size, track, np.int64),
                "kind": kind[starts],
                "count": np.diff(np.r_[starts, len(used)]).astype(np.int64),
                "last": np.maximum.reduceat(events["day"][used], starts),
                "points": np.add.reduceat(points[used], starts),
            }
            for name in names:
                parts[name].append(found[name])
    empty = np.zeros(0, np.int64)
    return {name: np.concatenate(found) if found else empty for name, found in parts.items()}
