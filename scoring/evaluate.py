"""Evaluation: every figure is derived from counts, recomputed a second way, and told with its interval.

Published figures of such systems did not fit together: no confusion table gives a Matthews coefficient
above the root of precision times recall (scoring.md 0, finding 2; B48). So counts are what is kept; a
figure that somebody typed in is held against them and refused when it differs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from scoring.errors import ScoringFault

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FEWEST = 10
"""People with (or without) the outcome below which a rate of a group is not estimable."""
LEAK_AUC = 0.95
"""How well a single feature may tell the label before it is taken for the label itself."""
NOT_ESTIMABLE = "not estimable"


@dataclass(frozen=True, slots=True)
class Confusion:
    """Who was selected and who had the outcome, as counts.

    Attributes:
        hit: Selected, and had the outcome.
        false: Selected, and had not.
        missed: Not selected, and had it.
        left: Not selected, and had not.
    """

    hit: int
    false: int
    missed: int
    left: int

    def __post_init__(self) -> None:
        if min(self.hit, self.false, self.missed, self.left) < 0:
            raise fault("a count is below zero")

    @classmethod
    def of(cls, selected: npt.NDArray[np.bool_], outcome: npt.NDArray[np.bool_]) -> Confusion:
        """Count a selection against the outcome."""
        hit = int((selected & outcome).sum())
        false, missed = int(selected.sum()) - hit, int(outcome.sum()) - hit
        return cls(hit, false, missed, len(outcome) - hit - false - missed)

    def metrics(self) -> dict[str, float | None]:
        """Return the derived figures; None where a denominator is nought."""
        size = self.hit + self.false + self.missed + self.left
        positive, selected = self.hit + self.missed, self.hit + self.false
        negative = size - positive
        precision, base = _share(self.hit, selected), _share(positive, size)
        return {
            "base_rate": base,
            "precision": precision,
            "recall": _share(self.hit, positive),
            "lift": precision / base if precision is not None and base else None,
            "false_positive_rate": _share(self.false, negative),
            "false_negative_rate": _share(self.missed, positive),
            "selection_rate": _share(selected, size),
            "needed_to_review": _share(selected, self.hit),
            "mcc": self._mcc(),
        }

    def _mcc(self) -> float | None:
        rows = (self.hit + self.false, self.missed + self.left)
        columns = (self.hit + self.missed, self.false + self.left)
        below = math.prod((*rows, *columns))
        return (
            (self.hit * self.left - self.false * self.missed) / math.sqrt(below) if below else None
        )

    def as_dict(self) -> dict[str, int]:
        """Return the counts as plain data."""
        return {"hit": self.hit, "false": self.false, "missed": self.missed, "left": self.left}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def hold(stated: Mapping[str, float], counts: Confusion, tolerance: float = 0.0005) -> None:
    """Refuse figures that the counts do not give.

    Raises:
        ScoringFault: ``FG-EVA-02``, naming every figure that differs or that nobody can derive.
    """
    derived = counts.metrics()
    wrong = [
        name
        for name, value in stated.items()
        if derived.get(name) is None or abs(float(derived[name] or 0.0) - value) > tolerance
    ]
    if wrong:
        raise fault(f"stated and not derived from the counts: {', '.join(sorted(wrong))}")


def possible(precision: float, recall: float, mcc: float) -> bool:
    """Say whether three figures can come of one table: ``MCC <= sqrt(precision recall)`` (B48)."""
    return mcc <= math.sqrt(precision * recall) + 1e-9


def at_capacity(score: Ints, outcome: npt.NDArray[np.bool_], places: int, ties: Ints) -> Confusion:
    """Count the top of a list of so many places.

    Args:
        score: Score of each person.
        outcome: Whether each had the outcome.
        places: Places of the list.
        ties: The order of equals, drawn by a key; the order of rows must not decide.
    """
    order = np.lexsort([ties, -score])
    selected = np.zeros(len(score), dtype=bool)
    selected[order[:places]] = True
    return Confusion.of(selected, outcome)


def average_precision(score: Ints, outcome: npt.NDArray[np.bool_]) -> float:
    """Return the area under precision and recall; people of one score stand and fall together.

    A score that is the same for all gives the base rate (scikit-learn #6377).
    """
    positives = int(outcome.sum())
    if not positives:
        return 0.0
    order = np.argsort(-score, kind="stable")
    value, hit = score[order], np.cumsum(outcome[order])
    last = np.flatnonzero(np.r_[value[1:] != value[:-1], True])
    gained = np.diff(np.r_[0, hit[last]])
    return float((gained * hit[last] / (last + 1)).sum() / positives)


def recomputed(score: Sequence[int], outcome: Sequence[bool]) -> float:
    """Return the same area by another way: plain Python fractions, threshold by threshold."""
    total, positives = Fraction(0), sum(outcome)
    rows = list(zip(score, outcome, strict=True))
    before = 0
    for threshold in sorted(set(score), reverse=True):
        taken = [label for value, label in rows if value >= threshold]
        total += Fraction((sum(taken) - before) * sum(taken), len(taken))
        before = sum(taken)
    return float(total / positives) if positives else 0.0


def calibration(
    probability: Floats, outcome: npt.NDArray[np.bool_], bins: int = 10
) -> dict[str, Any]:
    """Return how far stated probabilities are from what happened: mean, Brier, and error by bin."""
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.digitize(probability, edges) - 1, 0, bins - 1)
    rows = []
    for number in range(bins):
        mine = place == number
        if mine.any():
            rows.append(
                {
                    "n": int(mine.sum()),
                    "stated": float(probability[mine].mean()),
                    "happened": float(outcome[mine].mean()),
                }
            )
    error = sum(row["n"] * abs(row["stated"] - row["happened"]) for row in rows)
    return {
        "mean_stated": float(probability.mean()),
        "base_rate": float(outcome.mean()),
        "brier": float(((probability - outcome) ** 2).mean()),
        "expected_error": error / len(probability),
        "bins": rows,
    }


def by_group(
    group: Sequence[str],
    declared: Sequence[str],
    selected: npt.NDArray[np.bool_],
    outcome: npt.NDArray[np.bool_],
) -> list[dict[str, Any]]:
    """Return the rates of every declared group; one with too few people says so and does not pass.

    Args:
        group: Group of each person; one that is not declared is told as ``other``.
        declared: Groups that must appear, also when nobody is in them (fairlearn #972).
        selected, outcome: Whether each person was selected, and had the outcome.
    """
    names = [*declared, *(["other"] if set(group) - set(declared) else [])]
    of = np.array([one if one in set(declared) else "other" for one in group], dtype=object)
    found = []
    for name in names:
        mine = of == name
        counts = Confusion.of(selected[mine], outcome[mine])
        figures = counts.metrics()
        positive, negative = counts.hit + counts.missed, counts.false + counts.left
        row: dict[str, Any] = {"group": name, "n": int(mine.sum())}
        for figure, below in (
            ("false_negative_rate", positive),
            ("recall", positive),
            ("false_positive_rate", negative),
            ("selection_rate", int(mine.sum())),
        ):
            row[figure] = figures[figure] if below >= FEWEST else NOT_ESTIMABLE
        found.append(row)
    return found


def drift(before: Floats, now: Floats, bins: int = 10) -> float:
    """Return the population stability index of a feature between two periods, over equal shares."""
    edges = np.unique(np.quantile(before, np.linspace(0, 1, bins + 1)[1:-1]))
    shares = [
        np.maximum(
            np.bincount(np.searchsorted(edges, part, "right"), minlength=len(edges) + 1), 0.5
        )
        / len(part)
        for part in (before, now)
    ]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def area(feature: Floats, outcome: npt.NDArray[np.bool_]) -> float:
    """Return how well one feature orders the outcome (area under the curve, ties by half)."""
    order = np.argsort(feature, kind="stable")
    value = feature[order]
    rank = np.empty(len(value))
    starts = np.flatnonzero(np.r_[True, value[1:] != value[:-1]])
    ends = np.r_[starts[1:], len(value)]
    rank[order] = np.repeat((starts + ends + 1) / 2, ends - starts)
    positives = int(outcome.sum())
    negatives = len(outcome) - positives
    if not positives or not negatives:
        return 0.5
    above = float(rank[outcome].sum()) - positives * (positives + 1) / 2
    return above / (positives * negatives)


def leaks(
    features: Mapping[str, Floats],
    outcome: npt.NDArray[np.bool_],
    available: Mapping[str, int],
    as_of: int,
    denied: frozenset[str],
) -> list[str]:
    """Return why features must not be used: they know the label, the future, or are denied.

    Args:
        features: Name to values.
        outcome: The label.
        available: Name to the latest day on which a value of it became known; one without a day leaks.
        as_of: The day of the prediction.
        denied: Names that define the label, are written by the team that sets it, or follow from it.
    """
    found = []
    for name, values in features.items():
        if name in denied:
            found.append(f"{name}: denied for this label")
        if name not in available or available[name] > as_of:
            found.append(f"{name}: known only after the day of the prediction")
        told = area(values, outcome)
        if max(told, 1 - told) > LEAK_AUC:
            found.append(f"{name}: tells the label alone")
    return found


def incomplete(as_of: Ints, gap: int, window: int, data_end: int) -> Ints:
    """Return the rows whose window of outcome had not ended when the data did.

    After a cut-off only those who had the outcome are in a file: the trap of the COMPAS set.
    """
    return np.flatnonzero(as_of + gap + window > data_end)


def truncated(
    period: Sequence[str], outcome: npt.NDArray[np.bool_], jump: float = 0.3
) -> list[str]:
    """Return the periods whose base rate jumps away from that of all before: an unfinished window.

    The second line of the same defence, for a file that does not say when its data ended.
    """
    found: list[str] = []
    of = np.array(period, dtype=object)
    before = np.zeros(len(of), dtype=bool)
    for name in sorted(set(period)):
        mine = of == name
        if before.any() and abs(float(outcome[mine].mean()) - float(outcome[before].mean())) > jump:
            found.append(name)
        else:
            before |= mine
    return found


def apart(train_end: int, gap: int, window: int, test_start: int) -> None:
    """Refuse a test period that begins before the outcomes of training have ended.

    Raises:
        ScoringFault: ``FG-EVA-03``.
    """
    if train_end + gap + window > test_start:
        raise ScoringFault(
            "FG-EVA-03",
            "the test period begins before the outcomes of the training period have ended",
            "Move the test period, or train on an earlier one.",
        )


def fault(why: str) -> ScoringFault:
    """Return the refusal of figures that cannot stand."""
    return ScoringFault(
        "FG-EVA-02",
        f"the evaluation cannot stand: {why}",
        "Give the counts; figures follow from them.",
    )
