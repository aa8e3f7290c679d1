"""Exposure: whose risk passes along which link, in which band; and the emerging cohort."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scoring.modulate import STATE_EMERGING, STATE_SCORED
from scoring.tables import ONE, TRACKS, Tables
from tests.builders.scoring_columns import (
    TABLES,
    Event,
    State,
    World,
    rows_of,
    score_of,
    world,
)

AS_OF = 5000
CSE, CCE = TABLES.themes.index("cse"), TABLES.themes.index("cce")
HARMED, HARMING = TRACKS.index("harmed"), TRACKS.index("harming")
MISSING = [Event(pid, 1, "missing_episode", "missing", AS_OF) for pid in (0, 1)]
FLAG = Event(1, 2, "cse_flag", "victim", AS_OF)


def run(*rows: Event | State, bands: tuple[int, ...] = (1, 1, 1), tables: Tables = TABLES) -> World:
    return world(
        [row for row in rows if isinstance(row, Event)],
        [row for row in rows if isinstance(row, State)],
        persons=len(bands),
        as_of=AS_OF,
        bands=bands,
        tables=tables,
    )


def test_a_neighbour_with_risk_of_their_own_exposes_and_not_the_other_way() -> None:
    found = run(*MISSING, FLAG)
    assert rows_of(found.around.parts, "pid", "theme", "track", "neighbour", "index") == [
        (0, CSE, HARMED, 1, 50_000)
    ]
    assert found.around.neighbours[0, CSE, HARMED] == 1
    assert not found.around.total[1:].any()


@pytest.mark.finding("SCO-P6")
def test_what_two_people_did_together_exposes_neither() -> None:
    found = run(*MISSING)
    assert len(found.links.a) == 1
    assert not found.around.total.any()
    assert not len(found.around.parts["pid"])


CHAIN = [Event(pid, 5, "asb", "suspect", AS_OF) for pid in (0, 2)]


def test_exposure_is_two_hops_and_the_second_is_worth_less() -> None:
    found = run(*MISSING, FLAG, *CHAIN)
    # 2 is linked with 0, who has points of the common missing episode only, and by 0 with 1.
    assert rows_of(found.around.parts, "pid", "neighbour", "hop", "track", "theme") == [
        (0, 1, 1, HARMED, CSE),
        (2, 0, 1, HARMED, CSE),
        (2, 1, 2, HARMED, CSE),
        (2, 0, 1, HARMED, CCE),
        (2, 1, 2, HARMED, CCE),
    ]
    part = {row[:2]: row[2:] for row in
            rows_of(found.around.parts, "pid", "neighbour", "theme", "weight", "index", "exposure")
            if row[2] == CSE}  # fmt: skip
    first, second = found.links.weight[:, HARMED].tolist()
    theme, weight, risk, worth = part[2, 1]
    assert weight == first * second // ONE
    assert worth == weight * risk // ONE * TABLES.hop_factor // 1000 > 0
    none = run(*MISSING, FLAG, *CHAIN, tables=replace(TABLES, hop_factor=0))
    assert none.around.total[2, CSE, HARMED] == part[2, 0][3]


def test_a_third_hop_counts_nothing_and_the_best_of_two_paths_is_taken() -> None:
    line = [Event(pid, 10 + at, "asb", "suspect", AS_OF) for at in range(3) for pid in (at, at + 1)]
    far = Event(3, 20, "cse_flag", "victim", AS_OF)
    found = run(*line, far, bands=(1, 1, 1, 1))
    assert [row for row in rows_of(found.around.parts, "pid", "hop", "track") if row[2] == HARMED] == [
        (1, 2, HARMED), (2, 1, HARMED),
    ]  # fmt: skip
    # 1 reaches 3 by 2 and, more weakly, by 0 as well: the weaker path adds nothing.
    by_two = found.around.total[1, CSE, HARMED]
    old = [Event(pid, 30, "asb", "suspect", AS_OF - 200) for pid in (0, 3)]
    both = run(*line, far, *old, bands=(1, 1, 1, 1))
    assert both.around.total[1, CSE, HARMED] == by_two


@pytest.mark.finding("SCO-P6")
def test_what_two_people_did_together_without_a_link_counts_once_at_two_hops_too() -> None:
    """A victim and a suspect of one offence are no link; what it gave one of them is not the other's."""
    offence = [Event(1, 40, "sexual_offence", "victim", AS_OF),
               Event(2, 40, "sexual_offence", "witness", AS_OF)]  # fmt: skip
    line = [*MISSING, *CHAIN, offence[0]]
    apart, together = run(*line), run(*line, offence[1])
    worth = [
        [row for row in rows_of(one.around.parts, "pid", "neighbour", "theme", "index")
         if row[:3] == (2, 1, CSE)]
        for one in (apart, together)
    ]  # fmt: skip
    assert worth[0][0][3] > worth[1][0][3]


@pytest.mark.finding("SCO-T5")
def test_a_household_passes_on_harm_suffered_and_no_harming() -> None:
    homes = [State(0, "household", 3), State(1, "household", 3)]
    harmed = run(*homes, FLAG)
    harming = run(*homes, Event(1, 2, "cse_flag", "suspect", AS_OF))
    assert harmed.around.total[0, CSE, HARMED] == 157_286 * 50_000 // ONE
    assert not harming.around.total.any()


@pytest.mark.finding("SCO-T6")
def test_the_brother_of_somebody_at_high_risk_is_not_even_emerging() -> None:
    many = [Event(1, eid, "cse_flag", "victim", AS_OF) for eid in range(2, 60)]
    found = run(State(0, "household", 3), State(1, "household", 3), *many)
    mine = score_of(found.scores, 0, "cse", "harmed")
    assert score_of(found.scores, 1, "cse", "harmed")["index"] > 98_000
    assert mine["state"] == STATE_SCORED
    assert mine["index"] == 0
    assert 0 < mine["score"] < TABLES.high_score


def test_a_link_at_the_floor_is_not_used_and_one_above_it_is() -> None:
    weight = int(run(*MISSING, FLAG).links.weight[0, HARMED])
    assert weight == ONE // 3
    assert weight > 333 * ONE // 1000
    assert run(*MISSING, FLAG, tables=replace(TABLES, link_weight_min=333)).around.total.any()
    above = replace(TABLES, link_weight_min=334)
    assert not run(*MISSING, FLAG, tables=above).around.total.any()


@pytest.mark.finding("SCO-T5")
def test_a_link_without_weight_on_a_track_is_no_neighbour_even_at_a_floor_of_zero() -> None:
    homes = [State(0, "household", 3), State(1, "household", 3)]
    tables = replace(TABLES, link_weight_min=0)
    found = run(*homes, Event(1, 2, "cse_flag", "suspect", AS_OF), tables=tables)
    assert len(found.links.a) == 1
    assert not found.around.neighbours.any()


def test_bands_keep_children_and_adults_apart() -> None:
    rows = [Event(pid, 1, "missing_episode", "missing", AS_OF) for pid in range(4)]
    flags = [Event(pid, 10 + pid, "cse_flag", "victim", AS_OF) for pid in (1, 2, 3)]
    found = run(*rows, *flags, bands=(1, 1, 2, 2))
    weight = int(found.links.weight[0, HARMED])
    share = weight * 50_000 // ONE
    # Four went missing together: each pair has a third of 40 points.
    mine = [
        row
        for row in rows_of(
            found.around.rows, "pid", "theme", "band", "n", "sum_index", "exposure", "nearest"
        )
        if row[0] == 0
    ]
    assert mine == [
        (0, CSE, 1, 1, 50_000, share, weight),
        (0, CSE, 2, 2, 100_000, 2 * share, weight),
    ]
    points = rows_of(found.around.rows, "pid", "theme", "band", "link_points")
    assert (0, CSE, 2, 2 * (40 * ONE // 3)) in points
    assert found.around.total[0, CSE, HARMED] == 3 * share


def test_nobody_linked_gives_empty_tables_with_every_column() -> None:
    found = run(FLAG).around
    assert set(found.rows) == {
        *("pid", "theme", "track", "hop", "band", "n"),
        *("sum_index", "link_points", "exposure", "nearest"),
    }
    assert all(len(column) == 0 for column in (*found.rows.values(), *found.parts.values()))


def star(friends: int, *extra: Event) -> World:
    """Person 0 was suspected with each friend five times; each friend was flagged once."""
    rows = [
        Event(pid, 100 * friend + time, "asb", "suspect", AS_OF)
        for friend in range(1, friends + 1)
        for time in range(5)
        for pid in (0, friend)
    ]
    flags = [Event(pid, 9000 + pid, "cse_flag", "victim", AS_OF) for pid in range(1, friends + 1)]
    return run(*rows, *flags, *extra, bands=(1,) * (friends + 1))


def test_somebody_without_evidence_among_people_at_risk_is_emerging_and_below_alpha() -> None:
    # L = 200, w = 200 / 280, s = 50: 35.71 each, and 50 are asked for.
    one = score_of(star(1).scores, 0, "cse", "harmed")
    two = score_of(star(2).scores, 0, "cse", "harmed")
    assert (one["state"], one["neighbours"]) == (STATE_SCORED, 1)
    assert (two["state"], two["neighbours"]) == (STATE_EMERGING, 2)
    assert one["exposure"] < TABLES.emerging_exposure <= two["exposure"]
    assert two["index"] == 0
    assert two["score"] <= 100 * TABLES.alpha


def test_somebody_with_evidence_is_scored_and_never_emerging() -> None:
    found = star(2, Event(0, 1, "cse_flag", "victim", AS_OF))
    mine = score_of(found.scores, 0, "cse", "harmed")
    assert mine["state"] == STATE_SCORED
    assert mine["exposure"] >= TABLES.emerging_exposure
    assert mine["score"] > mine["index"] == 50_000
    assert score_of(found.scores, 0, "cse", "harming")["exposure"] == 0
