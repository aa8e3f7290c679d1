"""Memory: ageing, back-loads and other tables are never news; only new evidence is an increase."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.memory import (
    EASING,
    INCREASING,
    ORIGIN_HISTORY,
    STEADY,
    history_points,
    trend_table,
)
from scoring.rfg import own_evidence
from scoring.tables import Ints, Tables
from scoring.visible import Columns, visible_events
from tests.builders.scoring_columns import (
    ADMIT_ALL,
    TABLES,
    Event,
    event_columns,
    retention_of,
    rows_of,
)

NOW, THEN, PEOPLE = 5000, 4960, 5
SCORED = (("cse_flag", "victim"), ("missing_episode", "missing"), ("sexual_offence", "victim"),
          ("drug_supply", "suspect"))  # fmt: skip


def _seen(events: list[Event], as_of: int, gap: int = 0) -> Columns:
    retention = np.maximum(retention_of(TABLES) - gap, 0)
    return visible_events(event_columns(events, TABLES), as_of, ADMIT_ALL, retention).columns


def _trend(old: list[Event], new: list[Event], tables: Tables = TABLES) -> tuple[Columns, Ints]:
    """Return the trend of a run now over `new` against one then over `old`, and the points now."""
    now, before = _seen(new, NOW), _seen(old, THEN, NOW - THEN)
    evidence = own_evidence(now, PEOPLE, NOW, tables)
    then = own_evidence(before, PEOPLE, NOW, tables)
    late = history_points(now, evidence) - history_points(before, then)
    return trend_table(evidence, then.points, late, tables), evidence.points


EVENTS = st.lists(
    st.builds(
        lambda pid, eid, what, day, delay, origin: Event(
            pid, eid, *what, day, 1, day + delay, origin=origin
        ),
        st.integers(0, PEOPLE - 1),
        st.integers(1, 40),
        st.sampled_from(SCORED),
        st.integers(4700, NOW),
        st.integers(0, 30),
        st.sampled_from((0, 0, 0, ORIGIN_HISTORY)),
    ),
    min_size=1,
    max_size=14,
)


@pytest.mark.finding("SCO-P14")
@settings(deadline=None)
@given(EVENTS, EVENTS)
def test_the_parts_of_a_change_add_up_to_the_points(old: list[Event], more: list[Event]) -> None:
    table, points = _trend(old, [*old, *more])
    whole = np.zeros_like(points)
    np.add.at(
        whole,
        (table["pid"], table["theme"], table["track"]),
        table["before"] + table["history"] + table["new"],
    )
    assert (whole == points).all()
    assert set(table["state"].tolist()) <= {STEADY, INCREASING, EASING}
    assert ((table["state"] != INCREASING) | (table["new"] > 0)).all()


@pytest.mark.finding("SCO-P4")
@settings(deadline=None)
@given(EVENTS)
def test_time_alone_is_no_news(events: list[Event]) -> None:
    known = [row for row in events if row.recorded is not None and row.recorded <= THEN]
    table, _ = _trend(known, known)
    assert not table["new"].any()
    assert not table["history"].any()
    assert set(table["state"].tolist()) <= {STEADY}


@settings(deadline=None)
@given(EVENTS, EVENTS)
def test_a_back_load_is_no_news_whenever_it_was_recorded(
    old: list[Event], more: list[Event]
) -> None:
    known = [row._replace(recorded=min(row.recorded or 0, THEN)) for row in old]
    known = [row for row in known if row.day <= THEN]
    late = [row._replace(eid=row.eid + 100, origin=ORIGIN_HISTORY) for row in more]
    table, _ = _trend(known, [*known, *late])
    assert not table["new"].any()
    assert set(table["state"].tolist()) <= {STEADY}


@settings(deadline=None)
@given(EVENTS, EVENTS, st.integers(1, 3))
def test_other_points_for_the_same_events_turn_no_trend(
    old: list[Event], more: list[Event], times: int
) -> None:
    known = [row for row in old if row.recorded is not None and row.recorded <= THEN]
    more_points = replace(TABLES, gamma=TABLES.gamma * times)
    table, _ = _trend(known, known, more_points)
    assert not table["new"].any()


def test_new_evidence_rises_a_role_corrected_eases_and_what_was_taken_back_too() -> None:
    flag = Event(0, 1, "cse_flag", "victim", THEN - 5)
    news = Event(1, 2, "sexual_offence", "victim", NOW - 3)
    table, _ = _trend([flag], [flag, news])
    states = {row[0]: row[1] for row in rows_of(table, "pid", "state")}
    assert states == {0: STEADY, 1: INCREASING}
    suspect = Event(2, 3, "drug_supply", "suspect", THEN - 5)
    # The source says later: no further action. The row it sends then has another role.
    freed = suspect._replace(role="witness")
    table, _ = _trend([suspect], [freed])
    assert rows_of(table, "pid", "state") == [(2, EASING)]
    assert int(table["new"][0]) < 0
    table, _ = _trend([flag], [])
    assert rows_of(table, "pid", "state") == [(0, EASING)]


def test_a_small_new_thing_beside_much_is_no_increase() -> None:
    many = [Event(0, eid, "sexual_offence", "victim", THEN - 1) for eid in range(1, 30)]
    little = Event(0, 99, "missing_episode", "missing", NOW - 80, recorded=NOW - 1)
    table, _ = _trend(many, [*many, little])
    cse = [row for row in rows_of(table, "theme", "state", "new") if row[0] == 0]
    assert [row[1] for row in cse] == [STEADY]
    assert cse[0][2] > 0
