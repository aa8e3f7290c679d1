"""A model as a challenger of the index: point-in-time features, honest folds, additive reasons.

The index is the product; a model may stand beside it in the shadow and be held against it (scoring.md 4.2).
Rows are people as of a day, from what happened and was recorded by then. The label is what happened in a
window that lies after a gap and is complete. What is kept is one small document of numbers; no row, no name
and no pickled object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from scoring.errors import ScoringFault
from scoring.evaluate import apart, average_precision, incomplete, leaks
from scoring.tables import Ints, Tables
from scoring.visible import Columns

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
DAYS, HALF, FOLDS = 365, 180, 5
"""Days that a count looks back, days in which recency halves, and folds by household."""
GAP_OF_FOLDS = 0.02
"""Difference between row folds and household folds from which the difference itself is a finding."""


@dataclass(frozen=True)
class Plan:
    """What is foretold of whom.

    Attributes:
        evidence: Kinds that features are made of.
        label: Kinds of which an event in the window is the outcome; never a feature.
        roles: Roles in which it is: being harmed is never foretold from what somebody did.
        gap: Days between the day of the features and the window; the longest usual delay of recording.
        window: Days of the window.
        seed: Seed of folds and fits.
    """

    evidence: tuple[str, ...]
    label: tuple[str, ...]
    roles: tuple[str, ...]
    gap: int
    window: int
    seed: int


@dataclass(frozen=True)
class Sample:
    """People as of a day.

    Attributes:
        names: Name of each feature.
        values: float64 ``[person, feature]``; each is larger with more or newer evidence.
        outcome: Whether the label happened in the window.
        people: Person of each row.
        known: Feature to the latest day on which a value of it became known.
    """

    names: tuple[str, ...]
    values: Floats
    outcome: Mask
    people: Ints
    known: Mapping[str, int]


def sample(
    events: Columns, eligible: Ints, as_of: int, data_end: int, plan: Plan, tables: Tables
) -> Sample:
    """Return people as of a day with the outcome that followed.

    Args:
        events: Every event of the data, sorted or not, with ``day`` and ``recorded``.
        eligible: People of whom the sample is.
        as_of: Day of the features.
        data_end: Last day on which anything was recorded.
        plan: What is foretold.
        tables: The versioned tables.

    Raises:
        ScoringFault: ``FG-EVA-04`` the window had not ended when the data did.
    """
    if len(incomplete(np.array([as_of]), plan.gap, plan.window, data_end)):
        raise ScoringFault(
            "FG-EVA-04",
            "the window of the outcome had not ended when the data did",
            "Choose an earlier day: otherwise only those with the outcome are known.",
        )
    label = np.isin(events["kind"], [tables.kinds[name].id for name in plan.label])
    roles = np.isin(events["role"], [tables.roles[name] for name in plan.roles])
    before = (events["day"] <= as_of) & (events["recorded"] <= as_of)
    first, last = as_of + plan.gap, as_of + plan.gap + plan.window
    after = label & roles & (events["day"] > first) & (events["day"] <= last)
    had = label & roles & before
    # Who had the outcome already is known and needs no foretelling.
    people = np.setdiff1d(eligible, np.unique(events["pid"][had]))
    place = {pid: row for row, pid in enumerate(people.tolist())}
    names: list[str] = []
    columns: list[Floats] = []
    known: dict[str, int] = {}
    for kind in plan.evidence:
        if kind in plan.label:
            continue
        for role, number in tables.roles.items():
            mine = before & (events["kind"] == tables.kinds[kind].id) & (events["role"] == number)
            rows = np.flatnonzero(mine & np.isin(events["pid"], people))
            if not len(rows):
                continue
            at = np.array([place[pid] for pid in events["pid"][rows].tolist()])
            age = as_of - events["day"][rows]
            count, recent = np.zeros(len(people)), np.zeros(len(people))
            np.add.at(count, at, (age < DAYS).astype(float))
            np.maximum.at(recent, at, 2.0 ** (-age / HALF))
            for name, column in ((f"count.{kind}.{role}", np.log1p(count)),
                                 (f"recency.{kind}.{role}", recent)):  # fmt: skip
                names.append(name)
                columns.append(column)
                known[name] = int(events["recorded"][rows].max())
    values = np.stack(columns, axis=1) if columns else np.zeros((len(people), 0))
    outcome = np.isin(people, events["pid"][after])
    return Sample(tuple(names), values, outcome, people, known)


def aligned(names: Sequence[str], other: Sample) -> Floats:
    """Return a sample's values in the order of another's features; one that is absent is nought."""
    at = {name: number for number, name in enumerate(other.names)}
    zero = np.zeros(len(other.people))
    return np.stack([other.values[:, at[name]] if name in at else zero for name in names], axis=1)


def train(
    rows: Sample, later: Sample, plan: Plan, households: Ints, denied: frozenset[str], days: Ints,
    *, communities: Ints | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Fit, calibrate on a later period, and return the model as plain numbers with how it was made.

    Args:
        rows: The training sample.
        later: The sample of a later day, for calibration.
        plan: What is foretold.
        households: Household of each training row; folds never part a family.
        denied: Features that define the label, are set by its team, or follow from it.
        days: Day of the training sample and of the later one.
        communities: Community of each training row; folds by it part nobody from those they meet. The
            households when None.

    Raises:
        ScoringFault: ``FG-EVA-03`` the later period begins too early, ``FG-EVA-05`` a feature knows the
            label or the future, or nothing can be learnt.
    """
    apart(int(days[0]), plan.gap, plan.window, int(days[1]))
    told = {name: rows.values[:, number] for number, name in enumerate(rows.names)}
    # A denied kind denies every feature that is made of it.
    closed = frozenset(
        name for name in rows.names if name in denied or set(name.split(".")) & denied
    )
    found = leaks(told, rows.outcome, dict(rows.known), int(days[0]), closed)
    if found:
        raise _refused("; ".join(found))
    if rows.outcome.sum() < FOLDS or later.outcome.sum() < 2 or not rows.names:
        raise _refused("too few people had the outcome to learn from")
    names = list(rows.names)
    while (
        True
    ):  # Evidence never lowers a score: a feature that would is left out and the rest fit again.
        values = rows.values[:, [rows.names.index(name) for name in names]]
        mean, scale = values.mean(axis=0), np.maximum(values.std(axis=0), 1e-6)
        fitted = _logistic(plan).fit((values - mean) / scale, rows.outcome)
        bad = {name for name, weight in zip(names, fitted.coef_[0], strict=True) if weight < 0}
        if not bad:
            break
        names = [name for name in names if name not in bad]
        if not names:
            raise _refused("no evidence raises the chance of the outcome")
    document: dict[str, Any] = {
        "features": names,
        "mean": [round(float(one), 9) for one in mean],
        "scale": [round(float(one), 9) for one in scale],
        "weight": [round(float(one), 9) for one in fitted.coef_[0]],
        "intercept": round(float(fitted.intercept_[0]), 9),
        "calibration": [1.0, 0.0],
    }
    raw = logits(document, aligned(names, later))
    sigmoid = LogisticRegression(C=1e6).fit(raw.reshape(-1, 1), later.outcome)
    document["calibration"] = [
        round(float(sigmoid.coef_[0][0]), 9), round(float(sigmoid.intercept_[0]), 9)
    ]  # fmt: skip
    if document["calibration"][0] <= 0:
        raise _refused("on the later period it ranks the wrong way round")
    document["left_out"] = sorted(set(rows.names) - set(names))
    circles = households if communities is None else communities
    document["folds"] = _folds(rows, {"households": households, "communities": circles}, plan)
    return document


def logits(document: Mapping[str, Any], values: Floats) -> Floats:
    """Return the log-odds of each row: the intercept and what each feature adds, then calibrated."""
    raw = contributions(document, values).sum(axis=1) + document["intercept"]
    slope, shift = document["calibration"]
    found: Floats = slope * raw + shift
    return found


def contributions(document: Mapping[str, Any], values: Floats) -> Floats:
    """Return what each feature adds to the log-odds of each row; with the intercept they add up to it."""
    mean, scale, weight = (np.array(document[name]) for name in ("mean", "scale", "weight"))
    found: Floats = (values - mean) / scale * weight
    return found


def chance(document: Mapping[str, Any], values: Floats) -> Floats:
    """Return the calibrated probability of each row."""
    found: Floats = 1 / (1 + np.exp(-logits(document, values)))
    return found


def ranks(document: Mapping[str, Any], values: Floats) -> Ints:
    """Return the log-odds as integers, so that a list is cut alike everywhere."""
    found: Ints = np.round(logits(document, values) * 1_000_000).astype(np.int64)
    return found


def challenger(rows: Sample, later: Floats, names: Sequence[str], plan: Plan) -> Ints:
    """Return how monotone gradient boosting would rank a later sample; it is never kept.

    Args:
        rows: The training sample.
        later: Values of the later sample, in the order of `names`.
        names: Features of the model.
        plan: What is foretold.
    """
    values = rows.values[:, [rows.names.index(name) for name in names]]
    fitted = HistGradientBoostingClassifier(
        max_iter=100, learning_rate=0.05, max_leaf_nodes=8, random_state=plan.seed,
        monotonic_cst=[1] * len(names),
    ).fit(values, rows.outcome)  # fmt: skip
    found: Ints = np.round(fitted.predict_proba(later)[:, 1] * 1_000_000).astype(np.int64)
    return found


def _logistic(plan: Plan) -> LogisticRegression:
    # No weights and no resampling: a chance that is shown must be one (scoring.md 4.1).
    return LogisticRegression(C=1.0, max_iter=1000, random_state=plan.seed)


def _folds(rows: Sample, together: Mapping[str, Ints], plan: Plan) -> dict[str, Any]:
    """Return the area with folds of rows, and with folds that part no household and no community.

    A gap between them is itself a finding: what looks learnt is known by heart of relatives or friends.
    """
    draw = np.random.default_rng(plan.seed)
    area = {"rows": _area(rows, draw.permutation(len(rows.people)) % FOLDS, plan)}
    for name, labels in together.items():
        _, of = np.unique(labels, return_inverse=True)
        area[name] = _area(rows, draw.permutation(int(of.max()) + 1)[of] % FOLDS, plan)
    gap = max(abs(area["rows"] - area[name]) for name in together)
    return {**area, "gap_is_a_finding": bool(gap > GAP_OF_FOLDS)}


def _area(rows: Sample, fold: Ints, plan: Plan) -> float:
    score = np.zeros(len(rows.people), np.int64)
    for number in range(FOLDS):
        inside, outside = fold != number, fold == number
        if rows.outcome[inside].any() and outside.any():
            fitted = _logistic(plan).fit(rows.values[inside], rows.outcome[inside])
            told = fitted.predict_proba(rows.values[outside])[:, 1]
            score[outside] = np.round(told * 1_000_000).astype(np.int64)
    return round(average_precision(score, rows.outcome), 4)


def _refused(why: str) -> ScoringFault:
    return ScoringFault(
        "FG-EVA-05",
        f"the model cannot be made: {why}",
        "Take the feature out, or wait for more data.",
    )
