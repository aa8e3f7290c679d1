"""What a review list was worth at its real capacity: counts, intervals by household, and an ablation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from scoring.evaluate import Confusion, at_capacity, average_precision, fault, recomputed

Ints = npt.NDArray[np.int64]


def share_interval(
    part: Ints, whole: Ints, households: Ints, seed: int, rounds: int = 1000
) -> tuple[float, float]:
    """Return the middle 95 % of ``sum(part) / sum(whole)`` over households drawn again and again.

    Args:
        part, whole: What each person adds above and below the line.
        households: Household of each person; a family is drawn as one, because its members are alike.
        seed: Seed of the draw; it stands in the report.
        rounds: How often.
    """
    chance = np.random.default_rng(seed)
    _, of = np.unique(households, return_inverse=True)
    count = int(of.max()) + 1 if len(of) else 1
    sums = np.stack([np.bincount(of, one, count) for one in (part, whole)], axis=1)
    drawn = chance.multinomial(count, np.full(count, 1 / count), rounds) @ sums
    shares = drawn[:, 0] / np.maximum(drawn[:, 1], 1)
    low, high = np.percentile(shares, [2.5, 97.5])
    return float(low), float(high)


def list_report(
    variants: Mapping[str, Ints],
    outcome: npt.NDArray[np.bool_],
    selected: npt.NDArray[np.bool_],
    ties: Ints,
    households: Ints,
    seed: int,
) -> dict[str, Any]:
    """Return what a list was worth at its real capacity, and what each part of its score added.

    Args:
        variants: Name to score: the index alone, with the network, with groups.
        outcome: Who is truly at risk.
        selected: Who the list named, the blind share left out.
        ties: Order of equals.
        households: Household of each person.
        seed: Seed of the intervals.

    Returns:
        Four counts and what follows from them, 95 % intervals by household, and per variant the counts
        at the same number of places and the area under precision and recall, recomputed a second way.

    Raises:
        ScoringFault: ``FG-EVA-02`` when the two ways do not agree.
    """
    counts = Confusion.of(selected, outcome)
    places = int(selected.sum())
    hit = (selected & outcome).astype(np.int64)
    ablation = {}
    for name, score in variants.items():
        found = average_precision(score, outcome)
        again = recomputed(score.tolist(), outcome.tolist())
        if abs(found - again) > 1e-9:
            raise fault(f"the area of {name} comes out otherwise a second way")
        ablation[name] = {
            **at_capacity(score, outcome, places, ties).as_dict(),
            "average_precision": round(found, 4),
        }
    return {
        "counts": counts.as_dict(),
        "figures": {name: _rounded(value) for name, value in counts.metrics().items()},
        "interval": {
            name: [_rounded(one) for one in share_interval(hit, of, households, seed)]
            for name, of in (
                ("precision", selected.astype(np.int64)),
                ("recall", outcome.astype(np.int64)),
            )
        },
        "seed": seed,
        "households": len(np.unique(households)),
        "ablation": ablation,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
