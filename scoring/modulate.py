"""The score: own index, modulated by exposure that saturates; the emerging cohort apart."""

from __future__ import annotations

import numpy as np

from scoring.graph import Exposure
from scoring.rfg import FULL, OwnEvidence, index
from scoring.tables import TRACKS, Ints, Tables
from scoring.visible import Columns

STATE_SCORED, STATE_EMERGING = 1, 2


def modulated(own: Ints, total: Ints, tables: Tables) -> Ints:
    """Return ``M = I + (100 - I) alpha E / (E + e0)`` in thousandths.

    0 <= I <= M < 100, and I = 0 leaves M below 100 alpha: the network alone never reaches the top
    half (P2).
    """
    headroom = (FULL - own) * tables.alpha // 1000
    return own + headroom * total // (total + tables.exposure_half)


def score_table(evidence: OwnEvidence, around: Exposure, tables: Tables) -> Columns:
    """Return one row per (person, theme, track) with any own evidence or exposure.

    Returns:
        int64 columns ``pid, theme, track, index, exposure, score, points, neighbours, state``;
        index, exposure and score in thousandths. State 2 is the emerging cohort, a list of its own.
    """
    columns: list[Columns] = []
    for theme, name in enumerate(tables.themes):
        for track in range(len(TRACKS)):
            points = evidence.points[:, theme, track]
            total = around.total[:, theme, track]
            near = around.neighbours[:, theme, track]
            pid = np.flatnonzero((points > 0) | (total > 0)).astype(np.int64)
            own = index(points[pid], tables.half_index_points[name])
            emerging = (own == 0) & (near[pid] >= 1) & (total[pid] >= tables.emerging_exposure)
            columns.append(
                {
                    "pid": pid,
                    "theme": np.full(len(pid), theme, np.int64),
                    "track": np.full(len(pid), track, np.int64),
                    "index": own,
                    "exposure": total[pid],
                    "score": modulated(own, total[pid], tables),
                    "points": points[pid],
                    "neighbours": near[pid],
                    "state": np.where(emerging, STATE_EMERGING, STATE_SCORED).astype(np.int64),
                }
            )
    table = {name: np.concatenate([part[name] for part in columns]) for name in columns[0]}
    order = np.lexsort([table["track"], table["theme"], table["pid"]])
    return {name: column[order] for name, column in table.items()}
