"""Own evidence: points, decay, the index, and the parts that explain it."""

from __future__ import annotations

import numpy as np
import pytest

from scoring.errors import ScoringFault
from scoring.rfg import contributions, index, own_evidence
from scoring.tables import ONE, TRACKS
from tests.builders.scoring_columns import TABLES, Event, event_columns, rows_of, world

AS_OF = 5000
HARMED, HARMING = TRACKS.index("harmed"), TRACKS.index("harming")
CSE, CCE = TABLES.themes.index("cse"), TABLES.themes.index("cce")


def points(*rows: Event, as_of: int = AS_OF) -> np.ndarray:
    return world(rows, persons=3, as_of=as_of).evidence.points


def test_a_flag_on_a_victim_gives_its_points_to_the_harmed_track_of_its_theme_alone() -> None:
    found = points(Event(1, 1, "cse_flag", "victim", AS_OF))
    assert found[1, CSE, HARMED] == 60 * ONE
    assert found.sum() == 60 * ONE


def test_somebody_both_victim_and_suspect_stands_on_both_tracks_unnetted() -> None:
    found = points(
        Event(0, 1, "cse_flag", "victim", AS_OF), Event(0, 2, "cse_flag", "suspect", AS_OF)
    )
    assert found[0, CSE].tolist() == [60 * ONE, 60 * ONE]


@pytest.mark.finding("SCO-T12")
@pytest.mark.parametrize(
    ("age", "harmed", "harming"), [(0, 0, 0), (1, 60 * ONE, 0), (2, 0, 60 * ONE)]
)
def test_the_age_at_the_event_decides_the_track_of_a_flag(
    age: int, harmed: int, harming: int
) -> None:
    found = points(Event(0, 1, "cse_flag", "subject", AS_OF, age))
    assert found[0, CSE].tolist() == [harmed, harming]


@pytest.mark.finding("SCO-T4")
@pytest.mark.parametrize(
    ("age", "expected"), [(0, 60 * ONE), (180, 30 * ONE), (360, 15 * ONE), (1080, 60 * 16384)]
)
def test_points_halve_with_each_half_life(age: int, expected: int) -> None:
    assert points(Event(0, 1, "cse_flag", "victim", AS_OF - age))[0, CSE, HARMED] == expected


@pytest.mark.finding("SCO-T4")
def test_past_the_horizon_an_event_counts_nothing_although_it_is_still_kept() -> None:
    found = world([Event(0, 1, "cse_flag", "victim", AS_OF - 1081)], persons=1, as_of=AS_OF)
    assert len(found.events["pid"]) == 1
    assert not found.evidence.points.any()
    assert not len(found.scores["pid"])


def test_each_kind_has_its_own_half_life() -> None:
    missing = points(Event(0, 1, "missing_episode", "missing", AS_OF - 90))
    assert missing[0, CSE, HARMED] == 25 * ONE // 2
    assert missing[0, CCE, HARMED] == 20 * ONE // 2


def test_nobody_without_events_has_points() -> None:
    assert not points().any()
    none = own_evidence(event_columns([]), 4, AS_OF, TABLES)
    assert none.points.shape == (4, len(TABLES.themes), 2)
    assert not none.points.any()


def test_people_between_others_without_events_keep_their_own_points() -> None:
    rows = [Event(2, 1, "cse_flag", "victim", AS_OF), Event(0, 2, "cce_flag", "victim", AS_OF)]
    found = points(*rows)
    assert found[2, CSE, HARMED] == found[0, CCE, HARMED] == 60 * ONE
    assert not found[1].any()


@pytest.mark.finding("SCO-P2")
def test_the_index_is_bounded_rises_and_is_zero_only_without_evidence() -> None:
    x = np.array([0, 16384, ONE, 60 * ONE, 600 * ONE, 80_000 * ONE], np.int64)
    found = index(x, 60).tolist()
    assert found[0] == 0
    assert found[3] == 50_000
    assert found == sorted(set(found))
    assert found[-1] < 100_000


@pytest.mark.parametrize("wrong", [-1, 2**63 // 100_000])
def test_a_sum_outside_the_exact_range_stops_the_run(wrong: int) -> None:
    with pytest.raises(ScoringFault) as refused:
        index(np.array([5, wrong], np.int64), 60)
    assert refused.value.code == "FG-RUN-03"


def test_the_largest_sum_that_is_exact_is_taken() -> None:
    largest = 2**63 // 100_000 - 1
    exact = 100_000 * largest // (largest + 60 * ONE)
    assert index(np.array([largest], np.int64), 60).tolist() == [exact]
    assert index(np.zeros(0, np.int64), 60).tolist() == []


@pytest.mark.finding("SCO-P14")
def test_parts_name_kind_count_last_day_and_points() -> None:
    found = world(
        [
            Event(0, 1, "cse_flag", "victim", AS_OF),
            Event(0, 2, "cse_flag", "victim", AS_OF - 180),
            Event(0, 3, "sexual_offence", "victim", AS_OF - 360),
            Event(0, 4, "asb", "suspect", AS_OF),
        ],
        persons=1,
        as_of=AS_OF,
    )
    flag, offence = TABLES.kinds["cse_flag"].id, TABLES.kinds["sexual_offence"].id
    parts = contributions(found.events, found.evidence, TABLES)
    assert rows_of(parts, "pid", "theme", "track", "kind", "count", "last", "points") == [
        (0, CSE, HARMED, flag, 2, AS_OF, 90 * ONE),
        (0, CSE, HARMED, offence, 1, AS_OF - 360, 70 * ONE // 4),
    ]


def test_without_points_there_are_no_parts() -> None:
    found = world([Event(0, 4, "asb", "suspect", AS_OF)], persons=1, as_of=AS_OF)
    assert all(
        len(column) == 0 for column in contributions(found.events, found.evidence, TABLES).values()
    )
