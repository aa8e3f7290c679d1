"""The score: own index, modulated by exposure that saturates; the emerging cohort apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

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


def network_alarms(results: dict[str, Columns], rows: int) -> dict[str, Any]:
    """Return what a reader of a run must know of its network (T8, T18).

    Args:
        results: Result tables by name.
        rows: Participations that were looked at.
    """
    scores, links = results["score"], results["link_weight"]
    rho = exposure_and_degree(scores, links["a"], links["b"])
    skipped = int(results["link_skipped"]["members"].sum()) if rows else 0
    most = int((scores["score"] - scores["index"]).max()) if len(scores["pid"]) else 0
    return {
        "exposure_with_degree_thousandths": round(1000 * rho),
        "most_added_thousandths": most,
        "alarms": [
            *(["exposure is little more than a count of acquaintances"] if rho > 0.8 else []),
            *(["more than 1 % of participations link nobody"] if 100 * skipped > rows else []),
        ],
    }


def exposure_and_degree(scores: Columns, a: Ints, b: Ints) -> float:
    """Return Spearman's rho of summed exposure and number of people linked, over those with a link (T18).

    Args:
        scores: The score table.
        a, b: Linked pairs.
    """
    if not len(a):
        return 0.0
    last = int(scores["pid"].max()) if len(scores["pid"]) else 0
    people = max(int(a.max()), int(b.max()), last) + 1
    degree = np.bincount(a, minlength=people) + np.bincount(b, minlength=people)
    total = np.zeros(people, np.int64)
    np.add.at(total, scores["pid"], scores["exposure"])
    linked = np.flatnonzero(degree)
    ranks = [_ranks(values[linked]) for values in (total, degree)]
    if min(one.std() for one in ranks) == 0:
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: Ints) -> npt.NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    found: npt.NDArray[np.float64] = ((2 * ends - counts + 1) / 2)[place]
    return found
