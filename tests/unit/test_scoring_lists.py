"""Who is on a review list: bounded, in a declared order, ties by key, a blind share below the line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scoring.lists import NOTHING_AROUND, Around, Decided, review_list, still_resting
from scoring.modulate import STATE_EMERGING, STATE_SCORED
from scoring.tables import ListRule, Tables
from scoring.visible import Columns
from tests.builders.scoring_columns import TABLES, name32, rows_of

RULE = ListRule("cse.harmed", "cse", "harmed", "under18", "Label", 20)
KEY = b"k" * 32


def scores(values: list[int], **changed: int) -> Columns:
    """Person N has the Nth score, and an index as high."""
    size = len(values)
    columns = {
        "pid": np.arange(size, dtype=np.int64),
        "theme": np.zeros(size, np.int64),
        "track": np.zeros(size, np.int64),
        "index": np.array(values, np.int64),
        "score": np.array(values, np.int64),
        "exposure": np.array(values, np.int64),
        "state": np.full(size, STATE_SCORED, np.int64),
    }
    return {
        **columns,
        **{name: np.full(size, value, np.int64) for name, value in changed.items()},
    }


def chosen(
    columns: Columns,
    *,
    bands: list[int] | None = None,
    rule: ListRule = RULE,
    run: str = "run-1",
    key: bytes = KEY,
    tables: Tables = TABLES,
    around: Around = NOTHING_AROUND,
) -> list[tuple[int, ...]]:
    size = int(columns["pid"].max(initial=0)) + 1
    ages = np.array([1] * size if bands is None else bands, np.int64)
    names = [name32("p", number) for number in range(size)]
    found = review_list(columns, ages, names, rule, run, key, tables, around)
    return rows_of(found, "pid", "rank", "score", "blind")


def test_the_highest_scores_come_first_and_a_tenth_of_the_places_is_blind() -> None:
    values = [40_000 + 100 * pid for pid in range(100)]
    found = chosen(scores(values))
    seen = [row for row in found if not row[3]]
    assert [row[0] for row in seen] == list(range(99, 81, -1))
    assert [row[1] for row in found] == list(range(1, 21))
    assert len(found) == 20
    assert all(row[2] == values[row[0]] for row in found)


@pytest.mark.finding("SCO-T17")
@pytest.mark.parametrize(("share", "blind"), [(50, 1), (100, 2), (200, 4)])
def test_the_blind_share_is_drawn_from_the_rest_with_own_evidence(share: int, blind: int) -> None:
    tables = replace(TABLES, blind_share=share)
    found = chosen(scores([90_000] * 30 + [1_000] * 30), tables=tables)
    assert sum(row[3] for row in found) == blind
    assert len(found) == 20
    above = {row[0] for row in found if not row[3]}
    assert above <= set(range(30))
    assert not above & {row[0] for row in found if row[3]}


@pytest.mark.finding("SCO-T17")
def test_below_the_line_nobody_is_listed_but_by_the_blind_draw() -> None:
    found = chosen(scores([TABLES.high_score - 1] * 50))
    assert [row[3] for row in found] == [1, 1]
    at_the_line = chosen(scores([TABLES.high_score] * 5))
    assert [row[3] for row in at_the_line] == [0] * 5


@pytest.mark.finding("T-GM5")
def test_nobody_who_has_a_name_on_another_list_is_drawn_and_nobody_loses_a_place_for_it() -> None:
    columns = scores([90_000 - pid for pid in range(40)])
    ages, names = np.ones(40, np.int64), [name32("p", number) for number in range(40)]
    below = set(range(18, 40))
    for number in range(19):
        named = frozenset({0, *sorted(below)[:number]})
        found = review_list(columns, ages, names, RULE, "run-1", KEY, TABLES, named=named)
        drawn = set(found["pid"][found["blind"] == 1].tolist())
        assert len(drawn) == 2
        assert drawn <= below - named
        assert found["pid"][found["blind"] == 0].tolist() == list(range(18))


@pytest.mark.parametrize("capacity", [1, 2, 19, 20, 60])
def test_a_list_is_never_longer_than_its_capacity(capacity: int) -> None:
    found = chosen(scores([50_000] * 100), rule=replace(RULE, capacity=capacity))
    assert len(found) == capacity
    assert len({row[0] for row in found}) == capacity


@pytest.mark.parametrize("band", [0, 2])
def test_an_adult_or_somebody_of_unknown_age_is_not_on_a_list_of_children(band: int) -> None:
    found = chosen(scores([90_000, 80_000]), bands=[band, 1])
    assert [row[0] for row in found] == [1]


def test_a_list_of_adults_holds_adults() -> None:
    found = chosen(scores([90_000, 80_000]), bands=[1, 2], rule=replace(RULE, age="over18"))
    assert [row[0] for row in found] == [1]


@pytest.mark.parametrize(
    "changed",
    [{"state": STATE_EMERGING}, {"index": 0}, {"theme": 1}, {"track": 1}],
)
def test_emerging_people_and_other_themes_and_tracks_are_not_listed(
    changed: dict[str, int],
) -> None:
    assert chosen(scores([90_000] * 5, **changed)) == []
    assert len(chosen(scores([90_000] * 5))) == 5


def test_nobody_scored_gives_an_empty_list() -> None:
    assert chosen(scores([])) == []


@pytest.mark.finding("SCO-T16")
def test_ties_hang_on_key_run_and_list_and_on_nothing_else() -> None:
    equal = scores([50_000] * 60)
    first = chosen(equal)
    assert chosen(equal) == first
    assert chosen({name: column[::-1] for name, column in equal.items()}) == first
    assert chosen(equal, run="run-2") != first
    assert chosen(equal, key=b"x" * 32) != first
    assert chosen(equal, rule=replace(RULE, id="another")) != first
    assert [row[0] for row in first] != sorted(row[0] for row in first)


@pytest.mark.finding("SCO-T16")
def test_among_equal_scores_the_list_is_a_uniform_draw() -> None:
    runs, people, places = 400, 20, 5
    equal, rule = scores([50_000] * people), replace(RULE, capacity=places)
    counts = np.zeros(people, np.int64)
    for number in range(runs):
        for row in chosen(equal, rule=rule, run=f"run-{number}"):
            counts[row[0]] += 1
    assert counts.sum() == runs * places
    # Each is drawn with probability 1/4: 100 expected, standard deviation 8.7.
    assert counts.min() > 100 - 5 * 8.7
    assert counts.max() < 100 + 5 * 8.7


def test_the_emerging_have_a_list_of_their_own_and_a_household_alone_brings_nobody_there() -> None:
    rule = replace(RULE, id="cse.emerging", pick="emerging", capacity=2)
    columns = scores([30_000, 20_000, 10_000, 39_000], index=0, state=STATE_EMERGING)
    around = Around({}, {}, {("cse", "harmed"): frozenset({0, 1, 2})})
    found = chosen(columns, rule=rule, around=around)
    assert [row[0] for row in found] == [0, 1]
    assert [row[3] for row in found] == [0, 0]
    assert chosen(columns, rule=rule) == []
    assert chosen(columns, around=around) == []  # And they are on no other list.


def test_the_increasing_are_those_whom_new_evidence_moved_the_most_first() -> None:
    rule = replace(RULE, id="cse.increasing", pick="increasing", capacity=2)
    around = Around({}, {("cse", "harmed"): {0: 6_000, 2: 9_000, 3: 7_000}}, {})
    found = chosen(scores([80_000, 90_000, 5_000, 0]), rule=rule, around=around)
    # The last has no evidence of their own left; the second is high and nothing is new of them.
    assert [row[0] for row in found] == [2, 0]


def test_who_had_an_outcome_rests_until_something_is_known_that_was_not_known_then() -> None:
    columns = scores([80_000, 70_000, 60_000, 50_000])
    events = {
        "pid": np.array([0, 1, 1, 2, 3, 3], np.int64),
        # The second was recorded after the run; the last came late and speaks of an earlier day.
        "recorded": np.array([90, 90, 96, 90, 90, 80], np.int64),
    }
    points = np.ones((6, len(TABLES.themes), 2), np.int64)
    held = {"cse": 1, "cce": 1}
    decided = {
        0: Decided(100, 95, held),
        1: Decided(100, 95, {"cse": 2, "cce": 2}),
        2: Decided(101 - TABLES.cool_down_days, 1, held),
        3: Decided(100, 95, held),
    }
    rests = still_resting(decided, events, points, 101, TABLES)
    assert rests["cse"] == rests["cce"] == frozenset({0})
    found = chosen(columns, around=Around(rests, {}, {}))
    assert [row[0] for row in found if not row[3]] == [1, 2, 3]
    # What says nothing of the theme brings nobody back.
    silent = still_resting(decided, events, np.zeros_like(points), 101, TABLES)
    assert silent["cse"] == {0, 1, 3}
    assert still_resting({}, events, points, 101, TABLES) == {}
