"""Who is linked with whom: which roles, how many, how strongly, and what they share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scoring.plt import Links
from scoring.tables import ONE, TRACKS
from tests.builders.scoring_columns import TABLES, Event, State, rows_of, world

AS_OF = 5000
IDS = {kind.name: kind.id for kind in TABLES.links}
TOGETHER = IDS["suspects_together"]
HARMED, HARMING = TRACKS.index("harmed"), TRACKS.index("harming")


def links(*rows: Event | State, persons: int = 60) -> Links:
    return world(
        [row for row in rows if isinstance(row, Event)],
        [row for row in rows if isinstance(row, State)],
        persons=persons,
        as_of=AS_OF,
    ).links


def table(found: Links) -> list[tuple[int, ...]]:
    return rows_of(found.rows, "a", "b", "kind", "n", "last", "points")


def suspects(count: int, eid: int = 1, kind: str = "asb", day: int = AS_OF) -> list[Event]:
    return [Event(pid, eid, kind, "suspect", day) for pid in range(count)]


def test_two_suspects_of_one_event_are_one_row_with_the_lower_number_first() -> None:
    found = links(Event(7, 1, "asb", "suspect", AS_OF), Event(3, 1, "asb", "suspect", AS_OF))
    assert table(found) == [(3, 7, TOGETHER, 1, AS_OF, 40 * ONE)]


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("sexual_offence", "victim", "suspect"),
        ("sexual_offence", "victim", "victim"),
        ("violence", "witness", "suspect"),
        ("violence", "witness", "witness"),
        ("drug_supply", "professional", "suspect"),
        ("cse_flag", "subject", "suspect"),
        ("asb", "offender", "suspect"),
        ("dv_incident", "suspect", "suspect"),
    ],
)
def test_pairs_of_roles_or_kinds_that_are_not_listed_are_no_link(
    kind: str, first: str, second: str
) -> None:
    found = links(Event(0, 1, kind, first, AS_OF), Event(1, 1, kind, second, AS_OF))
    assert table(found) == []
    assert len(found.a) == 0


def test_suspects_of_two_events_on_one_day_are_not_linked() -> None:
    assert table(links(*suspects(1), Event(1, 2, "asb", "suspect", AS_OF))) == []


def test_several_events_of_a_pair_add_up_and_keep_the_last_day() -> None:
    found = links(*suspects(2, 1, day=AS_OF - 180), *suspects(2, 2, day=AS_OF - 360))
    assert table(found) == [(0, 1, TOGETHER, 2, AS_OF - 180, 30 * ONE)]


def test_a_person_in_two_roles_of_one_event_is_one_member() -> None:
    found = links(*suspects(2), Event(0, 1, "asb", "witness", AS_OF))
    assert table(found) == [(0, 1, TOGETHER, 1, AS_OF, 40 * ONE)]


def test_a_member_who_is_left_out_of_the_run_is_not_counted() -> None:
    whole = links(*suspects(2), Event(-2, 1, "asb", "suspect", AS_OF))
    assert table(whole) == table(links(*suspects(2)))


@pytest.mark.finding("SCO-P1")
def test_a_third_person_added_to_an_event_dilutes_the_pair() -> None:
    """The first known exception of P1."""
    two, three = links(*suspects(2)), links(*suspects(2), Event(9, 1, "asb", "witness", AS_OF))
    assert table(two)[0][-1] == 40 * ONE
    assert table(three) == [(0, 1, TOGETHER, 1, AS_OF, 20 * ONE)]


@pytest.mark.finding("SCO-P1")
@pytest.mark.finding("SCO-T8")
def test_crossing_the_cap_removes_the_links_of_an_event_and_is_told() -> None:
    """The second known exception of P1."""
    full, over = links(*suspects(25)), links(*suspects(26))
    assert len(full.a) == 25 * 24 // 2
    assert not len(full.skipped["eid"])
    assert table(over) == []
    assert rows_of(over.skipped, "eid", "kind", "members") == [(1, TOGETHER, 26)]


def test_witnesses_count_towards_the_size_of_an_event() -> None:
    crowd = [Event(pid, 1, "asb", "witness", AS_OF) for pid in range(10, 40)]
    assert rows_of(links(*suspects(2), *crowd).skipped, "eid", "members") == [(1, 32)]


def test_only_the_event_past_the_cap_is_skipped() -> None:
    found = links(*suspects(26, 5), *suspects(2, 3), *suspects(2, 9))
    assert table(found) == [(0, 1, TOGETHER, 2, AS_OF, 80 * ONE)]
    assert rows_of(found.skipped, "eid", "kind", "members") == [(5, TOGETHER, 26)]


@pytest.mark.finding("SCO-P9")
def test_when_rows_of_one_event_differ_in_their_day_the_earlier_counts_for_the_pair() -> None:
    early, late = AS_OF - 180, AS_OF
    one = links(Event(0, 1, "asb", "suspect", early), Event(1, 1, "asb", "suspect", late))
    other = links(Event(0, 1, "asb", "suspect", late), Event(1, 1, "asb", "suspect", early))
    assert table(one) == table(other) == [(0, 1, TOGETHER, 1, early, 20 * ONE)]


def test_past_six_half_lives_a_link_has_no_weight() -> None:
    rows = suspects(2, kind="weapon", day=AS_OF - 1081)
    found = links(*rows)
    assert table(found) == [(0, 1, TOGETHER, 1, AS_OF - 1081, 0)]
    assert found.weight.tolist() == [[0, 0]]


def test_a_household_links_its_residents_on_the_harmed_track_alone() -> None:
    found = links(State(0, "household", 8, 10), State(1, "household", 8, 20))
    assert table(found) == [(0, 1, IDS["household"], 1, 20, 40 * ONE)]
    assert found.weight.tolist() == [[314_572 // 2, 0]]


def test_a_place_that_is_not_known_links_nobody() -> None:
    assert table(links(State(0, "household", 0), State(1, "household", 0))) == []


@pytest.mark.parametrize("kind", ["registered_home", "school_roll"])
@pytest.mark.finding("SCO-T7")
def test_a_registered_home_or_a_school_links_nobody(kind: str) -> None:
    found = links(*(State(pid, kind, 8) for pid in range(12)))
    assert table(found) == []
    assert not len(found.skipped["eid"])


def test_somebody_who_moved_out_is_no_longer_linked() -> None:
    assert table(links(State(0, "household", 8), State(1, "household", 8, end=AS_OF - 1))) == []


def test_one_household_told_twice_counts_once() -> None:
    rows = (State(0, "household", 8, 10), State(1, "household", 8, 20))
    again = (State(0, "household", 8, 15), State(1, "household", 8, 30))
    assert table(links(*rows, *again)) == table(links(*rows))


def test_a_household_of_more_than_twelve_links_nobody_and_is_told() -> None:
    full = links(*(State(pid, "household", 8) for pid in range(12)))
    over = links(*(State(pid, "household", 8) for pid in range(13)))
    assert len(full.a) == 12 * 11 // 2
    assert table(over) == []
    assert rows_of(over.skipped, "eid", "kind", "members") == [(8, IDS["household"], 13)]


def test_kinds_of_relationship_combine_as_one_minus_the_product_of_what_is_left() -> None:
    both = links(*suspects(2), State(0, "household", 8), State(1, "household", 8))
    assert [row[2] for row in table(both)] == [TOGETHER, IDS["household"]]
    event, home = ONE // 3, 157_286
    left = ONE * (ONE - event) // ONE * (ONE - home) // ONE
    assert both.weight.tolist() == [[ONE - left, event]]
    assert both.points.tolist() == [80 * ONE]


def test_however_many_events_a_weight_stays_below_one() -> None:
    rows = [row for eid in range(1, 400) for row in suspects(2, eid)]
    weight = int(links(*rows).weight[0, 0])
    assert ONE * 99 // 100 < weight < ONE


@pytest.mark.finding("SCO-P6")
def test_shared_points_are_those_of_the_other_from_common_events() -> None:
    found = links(
        *suspects(2, 1, "drug_supply"),
        Event(0, 2, "weapon", "suspect", AS_OF),
        Event(0, 3, "cse_flag", "victim", AS_OF),
        Event(1, 3, "cse_flag", "suspect", AS_OF),
    )
    cse, cce = TABLES.themes.index("cse"), TABLES.themes.index("cce")
    of_1, of_0 = found.shared[0, 0], found.shared[1, 0]
    assert of_1[cce].tolist() == of_0[cce].tolist() == [0, 45 * ONE]
    assert of_1[cse].tolist() == [0, 60 * ONE]
    assert of_0[cse].tolist() == [60 * ONE, 0]


@pytest.mark.finding("SCO-P6")
def test_an_event_past_the_cap_is_shared_by_those_whom_another_event_links() -> None:
    found = links(*suspects(2, 1, "asb"), *suspects(26, 2, "weapon"))
    cce = TABLES.themes.index("cce")
    assert rows_of(found.rows, "a", "b") == [(0, 1)]
    assert found.shared[:, 0, cce, HARMING].tolist() == [30 * ONE, 30 * ONE]
    assert not found.shared[:, 0, cce, HARMED].any()


def test_nothing_links_nobody() -> None:
    found = links()
    assert found.weight.shape == (0, 2)
    assert found.shared.shape == (2, 0, len(TABLES.themes), 2)
    assert found.points.dtype == np.int64


def test_without_any_kind_of_link_there_is_none() -> None:
    tables = replace(TABLES, links=())
    found = world(suspects(2), persons=2, as_of=AS_OF, tables=tables).links
    assert table(found) == []
