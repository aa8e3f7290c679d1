"""A challenger: what it may know, how it is judged, and that what is kept of it is nobody's."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from scoring.communities import communities
from scoring.errors import ScoringFault
from scoring.model import (
    Plan,
    Sample,
    aligned,
    challenger,
    chance,
    contributions,
    logits,
    ranks,
    sample,
    train,
)
from tests.builders.scoring_columns import TABLES, Event, event_columns

A, GAP, WINDOW, END = 1000, 30, 100, 2000
PLAN = Plan(("missing_episode", "violence", "cse_flag"), ("cse_flag",), ("victim",), GAP, WINDOW, 1)


def _sample(*events: Event, people: int = 4, as_of: int = A, end: int = END) -> Sample:
    return sample(event_columns(events), np.arange(people), as_of, end, PLAN, TABLES)


def _town(seed: int, as_of: int = A, people: int = 600, denser: float = 0.35) -> list[Event]:
    """Children of whom some go missing; those who do are found harmed later, more often than others."""
    chance_of = np.random.default_rng(seed)
    events = []
    for pid in range(people):
        gone = chance_of.random() < 0.2
        if gone:
            events += [Event(pid, 10 * pid + n, "missing_episode", "missing",
                             as_of - int(chance_of.integers(1, 300))) for n in range(2)]  # fmt: skip
        if chance_of.random() < 0.3:
            events.append(Event(pid, 10 * pid + 5, "violence", "victim", as_of - 40))
        if chance_of.random() < (denser if gone else 0.03):
            day = as_of + GAP + int(chance_of.integers(1, WINDOW))
            events.append(Event(pid, 10 * pid + 6, "cse_flag", "victim", day))
    return events


def _trained(seed: int = 1) -> tuple[dict[str, object], Sample, Sample]:
    rows = _sample(*_town(seed), people=600)
    later = _sample(*_town(seed + 1, A + 400), people=600, as_of=A + 400)
    days = np.array([A, A + 400])
    document = train(rows, later, PLAN, np.arange(600) // 3, frozenset(), days)
    return document, rows, later


@pytest.mark.finding("T-WM1", "LAW-33", "SCO-P5")
def test_features_know_nothing_that_happened_or_was_recorded_after_the_day() -> None:
    before = (
        Event(0, 1, "missing_episode", "missing", A - 5),
        Event(1, 2, "violence", "victim", A),
    )
    plain = _sample(*before)
    more = _sample(
        *before,
        Event(0, 3, "missing_episode", "missing", A + 1),
        Event(2, 4, "violence", "victim", A - 3, recorded=A + 1),
    )
    assert plain.names == more.names
    assert plain.values.tolist() == more.values.tolist()
    assert max(plain.known.values()) <= A


def test_the_outcome_lies_after_the_gap_in_the_window_and_in_the_role_of_the_harmed() -> None:
    days = {0: A + GAP, 1: A + GAP + 1, 2: A + GAP + WINDOW, 3: A + GAP + WINDOW + 1}
    found = _sample(*(Event(pid, pid, "cse_flag", "victim", day) for pid, day in days.items()))
    assert found.outcome.tolist() == [False, True, True, False]
    suspect = _sample(Event(0, 1, "cse_flag", "suspect", A + GAP + 5))
    assert not suspect.outcome.any()


def test_who_had_the_outcome_before_is_not_in_it_and_the_label_is_no_feature() -> None:
    found = _sample(Event(0, 1, "cse_flag", "victim", A - 5), Event(1, 2, "violence", "victim", A))
    assert found.people.tolist() == [1, 2, 3]
    assert not [name for name in found.names if "cse_flag" in name]


@pytest.mark.finding("T-WM1")
def test_a_window_that_had_not_ended_is_refused() -> None:
    with pytest.raises(ScoringFault, match="FG-EVA-04"):
        _sample(Event(0, 1, "violence", "victim", A), end=A + GAP + WINDOW - 1)


@pytest.mark.finding("SCO-P14")
def test_what_each_feature_adds_adds_up_to_the_log_odds() -> None:
    document, _, later = _trained()
    values = aligned(document["features"], later)  # type: ignore[arg-type]
    slope, shift = document["calibration"]  # type: ignore[misc]
    parts = contributions(document, values).sum(axis=1) + document["intercept"]  # type: ignore[operator]
    assert np.allclose(slope * parts + shift, logits(document, values))
    told = chance(document, values)
    assert 0.6 < told.mean() / later.outcome.mean() < 1.6
    assert np.argsort(ranks(document, values)).tolist() == np.argsort(
        np.round(logits(document, values) * 1e6), kind="quicksort").tolist()  # fmt: skip


@pytest.mark.finding("SCO-P1")
def test_more_evidence_never_lowers_the_chance() -> None:
    document, _, later = _trained(3)
    assert min(document["weight"]) >= 0  # type: ignore[type-var]
    values = aligned(document["features"], later)  # type: ignore[arg-type]
    assert (chance(document, values + 0.5) >= chance(document, values)).all()
    boosted = challenger(_trained(3)[1], values, document["features"], PLAN)  # type: ignore[arg-type]
    assert len(boosted) == len(values)


def test_the_model_is_a_small_document_of_numbers_and_the_same_each_time() -> None:
    document, rows, _ = _trained(5)
    again, _, _ = _trained(5)
    assert json.dumps(document, sort_keys=True) == json.dumps(again, sort_keys=True)
    numbers = [one for value in document.values() if isinstance(value, list) for one in value]
    assert len(numbers) < 40 < len(rows.people)


@pytest.mark.finding("LAW-27", "T-WM1")
def test_a_feature_that_knows_the_label_the_future_or_is_denied_stops_the_training() -> None:
    _, rows, later = _trained(7)
    days, homes = np.array([A, A + 400]), np.arange(600)
    told = replace(
        rows, names=(*rows.names, "tells"), known={**rows.known, "tells": A},
        values=np.column_stack([rows.values, rows.outcome.astype(float)]),
    )  # fmt: skip
    with pytest.raises(ScoringFault, match="tells the label alone"):
        train(told, later, PLAN, homes, frozenset(), days)
    late = replace(rows, known={**rows.known, rows.names[0]: A + 1})
    with pytest.raises(ScoringFault, match="after the day of the prediction"):
        train(late, later, PLAN, homes, frozenset(), days)
    with pytest.raises(ScoringFault, match="denied for this label"):
        train(rows, later, PLAN, homes, frozenset({rows.names[0]}), days)
    with pytest.raises(ScoringFault, match="FG-EVA-03"):
        train(rows, later, PLAN, homes, frozenset(), np.array([A, A + GAP + WINDOW - 1]))
    with pytest.raises(ScoringFault, match="too few"):
        train(replace(rows, outcome=np.zeros(600, bool)), later, PLAN, homes, frozenset(), days)


def test_folds_of_rows_that_learn_a_family_by_heart_are_a_finding() -> None:
    """A feature that is one number a household inflates folds of rows (scoring.md 0, finding 9)."""
    chance_of = np.random.default_rng(2)
    homes = np.repeat(np.arange(150), 4)
    struck = chance_of.random(150) < 0.15
    outcome = struck[homes] & (chance_of.random(600) < 0.8)
    mark = (chance_of.permutation(150)[homes][:, None] == np.arange(150)).astype(float)
    rows = Sample(tuple(f"h{n}" for n in range(150)), mark, outcome, np.arange(600),
                  {f"h{n}": A for n in range(150)})  # fmt: skip
    later = replace(rows, people=np.arange(600))
    folds = train(rows, later, PLAN, homes, frozenset(), np.array([A, A + 400]))["folds"]
    assert folds["rows"] > folds["households"] + 0.1
    assert folds["gap_is_a_finding"]


def test_folds_of_a_community_part_nobody_from_those_they_meet() -> None:
    """What two households share by meeting is known by heart too, though neither is parted."""
    chance_of = np.random.default_rng(3)
    homes = np.repeat(np.arange(150), 4)
    circle = homes // 3
    struck = chance_of.random(50) < 0.2
    outcome = struck[circle] & (chance_of.random(600) < 0.8)
    mark = (circle[:, None] == np.arange(50)).astype(float)
    rows = Sample(tuple(f"c{n}" for n in range(50)), mark, outcome, np.arange(600),
                  {f"c{n}": A for n in range(50)})  # fmt: skip
    later = replace(rows, people=np.arange(600))
    folds = train(
        rows, later, PLAN, homes, frozenset(), np.array([A, A + 400]), communities=circle
    )["folds"]
    assert folds["households"] > folds["communities"] + 0.1
    assert folds["gap_is_a_finding"]
    alone = train(rows, later, PLAN, homes, frozenset(), np.array([A, A + 400]))["folds"]
    assert alone["communities"] == pytest.approx(alone["households"], abs=0.1)


def test_communities_follow_events_up_to_a_day_and_never_part_a_household() -> None:
    homes = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    rows = [(0, 1), (2, 1), (4, 2), (6, 2), (1, 3), (3, 3), (0, 9), (7, 9)]
    events = {
        "pid": np.array([pid for pid, _ in rows]),
        "eid": np.array([eid for _, eid in rows]),
        "day": np.array([100 if eid == 9 else 10 for _, eid in rows]),
        "recorded": np.array([100 if eid == 9 else 10 for _, eid in rows]),
    }
    found = communities(events, homes, 50, 1)
    assert found[0] == found[1] == found[2] == found[3] != found[4]
    assert found[4] == found[5] == found[6] == found[7]
    assert communities(events, homes, 50, 1).tolist() == found.tolist()
    shuffled = {name: column[::-1] for name, column in events.items()}
    assert communities(shuffled, homes, 50, 1).tolist() == found.tolist()
    nobody = {name: column[:0] for name, column in events.items()}
    assert len(set(communities(nobody, homes, 50, 1).tolist())) == 4
    crowd = {name: np.zeros(60, np.int64) for name in ("eid", "day", "recorded")} | {
        "pid": np.arange(60)
    }
    assert len(set(communities(crowd, np.arange(60), 50, 1).tolist())) == 60
