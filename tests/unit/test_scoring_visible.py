"""What a run may look at: each reason to leave a row out, with its border, and counts that add up."""

from __future__ import annotations

import numpy as np
import pytest

from scoring.errors import ScoringFault
from scoring.visible import Visible, _reconcile, visible_events, visible_states
from tests.builders.scoring_columns import (
    ADMIT_ALL,
    EVERY_KIND,
    MISSING_UNIT,
    OPEN_END,
    POLICE,
    TABLES,
    Event,
    State,
    event_columns,
    retention_of,
    rows_of,
    state_columns,
)

AS_OF = 3000
GOOD = Event(0, 1, "missing_episode", "missing", AS_OF - 10)  # Kept in use for 730 days.
HOME = State(0, "household", 5, AS_OF - 10)
MISSING = TABLES.kinds["missing_episode"].id


def events(*rows: Event, admitted: dict[int, frozenset[int]] | None = None) -> Visible:
    return visible_events(event_columns(rows), AS_OF, admitted or ADMIT_ALL, retention_of())


def states(*rows: State, admitted: dict[int, frozenset[int]] | None = None) -> Visible:
    return visible_states(state_columns(rows), AS_OF, admitted or ADMIT_ALL)


def reasons(found: Visible) -> dict[str, int]:
    return {name: count for name, count in found.dropped.items() if count}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (GOOD._replace(pid=-2), "restricted"),
        (GOOD._replace(pid=-1), "no_person"),
        (GOOD._replace(origin=1), "from_engine"),
        (GOOD._replace(origin=3), "found_in_review"),
        (GOOD._replace(origin=3, day=AS_OF - 500, recorded=AS_OF - 364), "found_in_review"),
        (GOOD._replace(day=AS_OF + 1, recorded=AS_OF), "in_the_future"),
        (GOOD._replace(recorded=AS_OF + 1), "not_recorded_yet"),
        (GOOD._replace(source=9), "not_admitted"),
        (GOOD._replace(day=AS_OF - 731), "past_retention"),
    ],
)
def test_an_event_is_left_out_with_its_reason(row: Event, reason: str) -> None:
    found = events(GOOD, row)
    assert reasons(found) == {reason: 1}
    assert rows_of(found.columns, "pid", "eid", "day") == [(0, 1, AS_OF - 10)]


@pytest.mark.parametrize(
    "row",
    [
        GOOD._replace(pid=0),
        GOOD._replace(day=AS_OF),
        GOOD._replace(recorded=AS_OF),
        GOOD._replace(day=AS_OF - 730),
        GOOD._replace(source=MISSING_UNIT),
        GOOD._replace(origin=2),
        GOOD._replace(origin=3, day=AS_OF - 500, recorded=AS_OF - 365),
    ],
)
def test_an_event_at_the_border_is_kept(row: Event) -> None:
    found = events(row)
    assert not reasons(found)
    assert len(found.columns["pid"]) == 1


def test_only_the_admitted_kinds_of_a_source_are_kept() -> None:
    asb = Event(0, 2, "asb", "suspect", AS_OF)
    admitted = {POLICE: frozenset({MISSING}), MISSING_UNIT: EVERY_KIND}
    found = events(GOOD, asb, asb._replace(source=MISSING_UNIT), admitted=admitted)
    assert reasons(found) == {"not_admitted": 1}
    assert rows_of(found.columns, "source") == [(POLICE,), (MISSING_UNIT,)]


def test_nothing_is_kept_when_nothing_is_admitted() -> None:
    found = visible_events(event_columns([GOOD]), AS_OF, {}, retention_of())
    assert reasons(found) == {"not_admitted": 1}


def test_a_retention_of_zero_is_never_not_even_today() -> None:
    retention = retention_of()
    retention[MISSING] = 0
    found = visible_events(event_columns([GOOD._replace(day=AS_OF)]), AS_OF, ADMIT_ALL, retention)
    assert reasons(found) == {"past_retention": 1}


@pytest.mark.parametrize("number", [-1, 99, 60_000])
def test_a_kind_that_the_tables_do_not_know_is_left_out(number: int) -> None:
    columns = event_columns([GOOD._replace(day=AS_OF)])
    columns["kind"][0] = number
    admitted = {POLICE: frozenset({number})}
    found = visible_events(columns, AS_OF, admitted, retention_of())
    assert reasons(found) == {"past_retention": 1}


def test_a_row_with_several_faults_is_counted_once_under_the_first() -> None:
    found = events(GOOD._replace(pid=-2, day=AS_OF + 9, source=9, origin=1))
    assert reasons(found) == {"restricted": 1}


def test_every_row_is_kept_or_counted() -> None:
    rows = [GOOD, GOOD, GOOD._replace(pid=-1), GOOD._replace(pid=-2), GOOD._replace(source=9)]
    found = events(*rows)
    assert len(rows) == len(found.columns["pid"]) + sum(found.dropped.values())
    assert reasons(found) == {"duplicate": 1, "no_person": 1, "restricted": 1, "not_admitted": 1}


def test_counts_that_do_not_add_up_stop_the_run() -> None:
    _reconcile(3, 2, {"duplicate": 1})
    with pytest.raises(ScoringFault) as refused:
        _reconcile(3, 1, {"duplicate": 1})
    assert refused.value.code == "FG-RUN-03"


def test_the_same_person_event_day_and_role_counts_once() -> None:
    found = events(GOOD, GOOD._replace(recorded=AS_OF - 1), GOOD._replace(source=MISSING_UNIT))
    assert reasons(found) == {"duplicate": 2}
    assert len(found.columns["pid"]) == 1


@pytest.mark.parametrize(
    "other",
    [
        GOOD._replace(eid=2),
        GOOD._replace(pid=1),
        GOOD._replace(day=AS_OF - 11),
        GOOD._replace(role="witness"),
        GOOD._replace(kind="asb"),
    ],
)
def test_another_event_person_day_role_or_kind_is_no_duplicate(other: Event) -> None:
    found = events(GOOD, other)
    assert not reasons(found)
    assert len(found.columns["pid"]) == 2


@pytest.mark.finding("SCO-P3")
@pytest.mark.parametrize(("ages", "kept"), [((0, 1), 1), ((2, 1), 1), ((0, 2), 2), ((0, 2, 1), 1)])
def test_which_duplicate_stays_hangs_on_the_age_known_and_not_on_the_order(
    ages: tuple[int, ...], kept: int
) -> None:
    rows = [GOOD._replace(age=age) for age in ages]
    assert events(*rows).columns["age"].tolist() == [kept]
    assert events(*reversed(rows)).columns["age"].tolist() == [kept]


def test_events_come_sorted_by_person_and_day() -> None:
    found = events(
        GOOD._replace(pid=2),
        GOOD._replace(pid=0, day=AS_OF),
        GOOD._replace(pid=0, day=AS_OF - 3, eid=9),
        GOOD._replace(pid=1),
    )
    order = rows_of(found.columns, "pid", "day")
    assert order == sorted(order)
    assert len(order) == 4


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (HOME._replace(pid=-2), "restricted"),
        (HOME._replace(pid=-1), "no_person"),
        (HOME._replace(recorded=AS_OF + 1), "not_recorded_yet"),
        (HOME._replace(source=9), "not_admitted"),
        (HOME._replace(start=AS_OF + 1, recorded=AS_OF), "not_now"),
        (HOME._replace(end=AS_OF - 1), "not_now"),
    ],
)
def test_a_state_is_left_out_with_its_reason(row: State, reason: str) -> None:
    found = states(HOME, row)
    assert reasons(found) == {reason: 1}
    assert rows_of(found.columns, "pid", "place", "end") == [(0, 5, OPEN_END)]


@pytest.mark.parametrize(
    "row", [HOME._replace(start=AS_OF), HOME._replace(end=AS_OF), HOME._replace(recorded=AS_OF)]
)
def test_a_state_that_holds_on_the_day_is_kept(row: State) -> None:
    found = states(row)
    assert not reasons(found)
    assert len(found.columns["pid"]) == 1


def test_no_rows_give_no_rows() -> None:
    assert len(events().columns["pid"]) == 0
    assert len(states().columns["pid"]) == 0
    assert events().columns["day"].dtype == np.int64
