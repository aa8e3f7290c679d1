"""For which days a record is held: until it is deleted, merged or left out; never sent, never there."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from engine.domain.ids import day_number
from engine.flows.deliveries import withdraw
from engine.flows.home import Home
from engine.flows.incoming import Options
from engine.flows.link import link
from engine.linkage.index import current_facts, current_membership
from tests.builders.deliveries import send, visit, visits_home
from tests.builders.partnership import OPERATOR, TODAY, Clock

FIRST = day_number(TODAY)


def _later(home: Home) -> None:
    cast("Clock", home.clock).advance(days=1)


def _spans(home: Home) -> list[tuple[int, int | None]]:
    link(home, OPERATOR)
    facts = current_facts(home.linkage, home.link_runs())
    found = [
        (one.since - FIRST, one.until - FIRST if one.until is not None else None)
        for one in facts.values()
        if one.since is not None
    ]
    return sorted(found, key=str)


@pytest.mark.parametrize("way", ["deleted", "merged", "left out", "covered"])
def test_a_record_is_held_until_what_ended_it(tmp_path: Path, way: str) -> None:
    mode = {"left out": "full", "covered": "window"}.get(way, "delta")
    home = visits_home(tmp_path / "home", mode=mode)
    rows = [visit("P1", "V1"), visit("P2", "V2", day="2026-10-02")]
    send(home, tmp_path, "visits-1", rows)
    assert _spans(home) == [(0, None), (0, None)]
    _later(home)
    if way == "merged":
        made = send(home, tmp_path, "merges-1", [["P2", "P1", "N"]])
    elif way == "deleted":
        made = send(home, tmp_path, "visits-2", [visit("P2", "V2", state="D"), visit("P1", "V3")])
    else:
        made = send(
            home, tmp_path, "visits-2", [visit("P1", "V1"), visit("P1", "V9", day="2026-10-02")]
        )
    assert made["state"] == "accepted"
    _later(home)
    if way != "merged":
        # Whatever comes after the end does not move it.
        send(
            home,
            tmp_path,
            "visits-3",
            [visit("P1", "V1", "ASB"), visit("P1", "V4", "ASB", "2026-10-03")],
        )
    assert _spans(home) == [(0, 1), (0, None)]
    assert len(current_membership(home.linkage, home.link_runs())) == 1
    # Again there, and as if it had never ended: the days follow from what counts alone.
    _later(home)
    for number in (3, 2) if way != "merged" else (2,):
        withdraw(home, number, OPERATOR)
    assert _spans(home) == [(0, None), (0, None)]
    home.close()


def test_a_record_that_comes_again_is_held_again_and_a_withdrawn_one_never_was(
    tmp_path: Path,
) -> None:
    home = visits_home(tmp_path / "home")
    send(home, tmp_path, "visits-1", [visit("P1", "V1"), visit("P2", "V2")])
    before = _spans(home), current_membership(home.linkage, home.link_runs())
    _later(home)
    send(home, tmp_path, "visits-2", [visit("P2", "V2", state="D"), visit("P1", "V3")])
    assert _spans(home) == [(0, 1), (0, None)]
    _later(home)
    again = send(home, tmp_path, "visits-3", [visit("P2", "V5"), visit("P3", "V6")])
    assert _spans(home) == [(0, None), (0, None), (2, None)]
    held = current_membership(home.linkage, home.link_runs())
    assert before[1].items() <= held.items()
    withdraw(home, again["number"], OPERATOR)
    assert _spans(home) == [(0, 1), (0, None)]
    home.close()


def test_a_home_from_before_the_days_learns_them_with_the_next_run(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home")
    send(home, tmp_path, "visits-1", [visit("P1", "V1")])
    link(home, OPERATOR)
    people = current_membership(home.linkage, home.link_runs())
    with home.linkage.begin() as connection:
        for name in ("valid_from", "valid_to"):
            connection.exec_driver_sql(f"alter table membership drop column {name}")
    home.close()
    again = Home(home.path, home.settings, home.clock, home.randomness, apart=False)
    assert current_membership(again.linkage, again.link_runs()) == people
    (fact,) = current_facts(again.linkage, again.link_runs()).values()
    assert (fact.since, fact.until) == (None, None)
    cast("Clock", again.clock).advance(days=5)
    assert _spans(again) == [(0, None)]
    assert current_membership(again.linkage, again.link_runs()) == people
    again.close()


def test_the_end_does_not_move_when_its_row_is_named_again(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home")
    send(home, tmp_path, "visits-1", [visit("P1", "V1"), visit("P2", "V2")])
    link(home, OPERATOR)
    _later(home)
    # The row passes to somebody else, and is sent again later.
    send(home, tmp_path, "visits-2", [visit("P1", "V2")])
    assert _spans(home) == [(0, 1), (0, None)]
    _later(home)
    send(home, tmp_path, "visits-3", [visit("P1", "V2", "ASB")])
    assert _spans(home) == [(0, 1), (0, None)]
    home.close()


def test_a_window_of_other_days_and_a_back_load_end_nobody(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    home = visits_home(tmp_path / "a" / "home", mode="window")
    send(
        home,
        tmp_path,
        "visits-1",
        [visit("P1", "V1", day="2026-09-01"), visit("P2", "V2", day="2026-09-02")],
    )
    link(home, OPERATOR)
    _later(home)
    send(home, tmp_path, "visits-2", [visit("P1", "V3"), visit("P3", "V4", day="2026-10-02")])
    _later(home)
    send(
        home,
        tmp_path,
        "visits-3",
        [visit("P1", "V1", day="2026-09-01"), visit("P1", "V5", day="2026-09-02")],
    )
    assert _spans(home) == [(0, 2), (0, None), (1, None)]
    home.close()
    home = visits_home(tmp_path / "b" / "home", mode="full")
    send(home, tmp_path, "visits-4", [visit("P1", "V1"), visit("P2", "V2")])
    link(home, OPERATOR)
    _later(home)
    send(home, tmp_path, "visits-5", [visit("P1", "V9")], options=Options(history=True))
    _later(home)
    send(home, tmp_path, "visits-6", [visit("P1", "V1")])
    assert _spans(home) == [(0, 2), (0, None)]
    home.close()


def test_a_correction_does_not_make_people_younger_here(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home")
    send(home, tmp_path, "visits-1", [visit("P1", "V1"), visit("P2", "V2")])
    _later(home)
    better = [visit("P1", "V1"), visit("P2", "V2", "ASB"), visit("P3", "V3")]
    send(home, tmp_path, "visits-2", better, options=Options(replaces=1))
    # Who was in what it corrected is held since then; who was not, since now.
    assert _spans(home) == [(0, None), (0, None), (1, None)]
    home.close()
