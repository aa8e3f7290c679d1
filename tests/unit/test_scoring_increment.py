"""Who is computed again when one thing changed between two runs; the bytes are those of a whole run."""

from __future__ import annotations

from pathlib import Path

import pytest

import scoring.increment as increment
from tests.builders.scoring_columns import EVERY_KIND, TABLES, Event, State
from tests.builders.scoring_days import AS_OF, MONTH, Day, both_ways

CROWD = range(10, 60)  # So many are unrelated that a few who changed stay few.
DAY = Day(
    deliveries={
        "one": (
            Event(0, 1, "drug_supply", "suspect", AS_OF - 5),
            Event(1, 1, "drug_supply", "suspect", AS_OF - 5),
            Event(1, 2, "cse_flag", "victim", AS_OF - 30),
            Event(2, 3, "weapon", "suspect", AS_OF - 40),
            Event(1, 3, "weapon", "suspect", AS_OF - 40),
            Event(4, 9, "cce_flag", "victim", AS_OF - 1080),
            Event(5, 8, "asb", "suspect", AS_OF - 2000),
        ),
        "two": (Event(3, 4, "cse_flag", "victim", AS_OF - 10),),
    },
    states={"one": (State(0, "household", 4, AS_OF - 99), State(3, "household", 4, AS_OF - 88))},
    member={one: one for one in (*range(6), *CROWD)},
    months=dict.fromkeys((*range(6), 70, *CROWD), MONTH - 180),
)


@pytest.mark.finding("SCO-P12")
@pytest.mark.parametrize(
    ("other", "people"),
    [
        (DAY, 0),
        (DAY.but(deliveries={"two": DAY.deliveries["two"], "again": DAY.deliveries["one"]}), 0),
        (DAY.but(deliveries={"one": DAY.deliveries["one"]}), 1),
        (DAY.but(sure={2: 500}), 2),
        (DAY.but(sure={0: 500}), 3),
        (DAY.but(months={**DAY.months, 2: MONTH - 217}), 1),
        (DAY.but(member={**DAY.member, 70: 70}), 1),
        (DAY.but(member={**DAY.member, 5: 2}), 0),
        (DAY.but(member={**DAY.member, 3: 2}), 2),
        (DAY.but(states={"again": DAY.states["one"][:1]}), 2),
        (DAY.but(restricted=frozenset({2})), 2),
        (DAY.but(admitted={"1": EVERY_KIND - {TABLES.kinds["weapon"].id}}), 2),
    ],
    ids=[
        *("nothing", "another file", "a delivery gone", "less sure", "less sure at home", "of age"),
        *("a new person", "a merge of somebody unseen", "a merge", "moved out", "restricted"),
        "no longer admitted",
    ],
)
def test_who_shares_an_event_or_a_home_with_a_change_is_computed_and_nobody_else(
    tmp_path: Path, other: Day, people: int
) -> None:
    made, _ = both_ways(tmp_path, DAY, other, None)
    assert (made["made"]["how"], made["made"]["people"]) == ("increment", people)
    assert made["links"] >= 1


def test_on_another_day_everybody_whose_evidence_ages_is_computed(tmp_path: Path) -> None:
    made, _ = both_ways(tmp_path, DAY, DAY.but(as_of=AS_OF + 1), None)
    # Not the one whose row is past its retention, and none of the crowd.
    assert (made["made"]["how"], made["made"]["people"]) == ("increment", 5)


def test_when_most_people_changed_everybody_is_computed(tmp_path: Path) -> None:
    few = DAY.but(member={one: one for one in range(6)})
    made, _ = both_ways(tmp_path, few, few.but(as_of=AS_OF + 1), None)
    assert made["made"]["how"] == "full"
    assert made["made"]["why"] == f"more than one in {increment.SHARE} people changed"
