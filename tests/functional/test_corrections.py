"""Corrections of corrections: never two that count, nothing left behind, and all of it in the trail."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import Session, select

from audit.canonical import parse
from audit.log import read_events
from engine.domain.errors import ConfigError, PolicyRefused
from engine.domain.ids import Actor, day_number
from engine.flows.aside import rows_aside
from engine.flows.clients import ROLE
from engine.flows.deliveries import deliveries, receipt_of, release, withdraw
from engine.flows.home import Home
from engine.flows.incoming import Options
from engine.flows.link import link
from engine.flows.product_tables import PURPOSE
from engine.flows.score import _before, score
from engine.store.tables import Delivery
from tests.builders.deliveries import content, send, visit, visits_home
from tests.builders.partnership import OPERATOR, TODAY, Clock, make_partnership

FIVE = [visit(f"P{n}", f"V{n}") for n in range(1, 6)]
MANY = [visit(f"P{n}", f"W{n}") for n in range(8)]
WAITS = ', rows_max: "5"'
SENDER = Actor("demo.council_data", "council", ROLE, "demo")


def _states(home: Home) -> list[str]:
    return [one["state"] for one in deliveries(home, OPERATOR)][::-1]


def test_of_two_corrections_one_counts_also_when_the_middle_of_a_chain_is_withdrawn(
    tmp_path: Path,
) -> None:
    home = visits_home(tmp_path / "home", extra=WAITS)
    send(home, tmp_path, "visits-1", FIVE)
    assert send(home, tmp_path, "visits-2", MANY, options=Options(replaces=1))["state"] == "paused"
    send(home, tmp_path, "visits-3", [visit("P1", "V1")], options=Options(replaces=1))
    send(home, tmp_path, "visits-4", [visit("P2", "V1")], options=Options(replaces=3))
    withdraw(home, 3, OPERATOR)
    with pytest.raises(PolicyRefused, match="FG-SUB-22"):
        release(home, 2, OPERATOR, accept=True)
    assert _states(home) == ["replaced", "paused", "withdrawn", "accepted"]
    home.close()


def test_what_waits_cannot_be_corrected_once_another_has_corrected_what_it_was_to(
    tmp_path: Path,
) -> None:
    home = visits_home(tmp_path / "home", extra=WAITS)
    send(home, tmp_path, "visits-1", FIVE)
    send(home, tmp_path, "visits-2", MANY, options=Options(replaces=1))
    send(home, tmp_path, "visits-3", [visit("P1", "V1")], options=Options(replaces=1))
    before = content(home)
    with pytest.raises(PolicyRefused, match="FG-SUB-22"):
        send(home, tmp_path, "visits-4", [visit("P2", "V1")], options=Options(replaces=2))
    assert content(home) == before
    home.close()


def test_what_was_sent_anew_holds_what_its_twin_had_replaced(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home")
    send(home, tmp_path, "visits-1", FIVE)
    first = content(home)
    send(home, tmp_path, "visits-2", FIVE[:3], options=Options(replaces=1))
    send(home, tmp_path, "visits-3", [visit("P1", "V1")], options=Options(replaces=2))
    assert send(home, tmp_path, "visits-2", FIVE[:3])["number"] == 4
    told = withdraw(home, 3, OPERATOR)
    assert (told["restored"], told["destroyed"]) == ([], [2])
    assert receipt_of(home, OPERATOR, 1, "council", with_keys=False)["replaced_by"] == 4
    events = [parse(body) for _, body in read_events(home.path / "audit", newest=4)]
    gone = next(
        one for one in events if one["flow"] == "withdraw_delivery" and one["phase"] == "outcome"
    )
    assert gone["rules"] == ["withdraw", "destroys 2"]
    assert withdraw(home, 4, OPERATOR)["restored"] == [1]
    assert content(home) == first
    home.close()


def test_the_same_bytes_twice_among_what_a_correction_replaced_come_back_once(
    tmp_path: Path,
) -> None:
    home = visits_home(tmp_path / "home", extra=', rows_change: "0.5"')
    send(home, tmp_path, "visits-1", FIVE)
    first = content(home)
    send(home, tmp_path, "visits-2", [visit("P1", "V1")], options=Options(replaces=1))
    release(home, 2, OPERATOR, accept=True)
    assert send(home, tmp_path, "visits-1", FIVE, options=Options(replaces=2))["state"] == "paused"
    send(home, tmp_path, "visits-4", [visit("P2", "V1")], options=Options(replaces=3))
    withdraw(home, 2, OPERATOR)
    assert withdraw(home, 4, OPERATOR, dry_run=True)["restored"] == [1]
    told = withdraw(home, 4, OPERATOR)
    assert (told["restored"], told["destroyed"]) == ([1], [3])
    assert content(home) == first
    home.close()


def test_nobody_is_merged_into_a_record_that_only_a_replaced_delivery_brought(
    tmp_path: Path,
) -> None:
    home = visits_home(tmp_path / "home")
    send(home, tmp_path, "visits-1", [visit("P1", "V1")])
    send(home, tmp_path, "visits-2", [visit("P3", "V3")], options=Options(replaces=1))
    send(home, tmp_path, "visits-3", [visit("P2", "V2")])
    assert link(home, OPERATOR)["records"] == 2
    send(home, tmp_path, "merges-1", [["P2", "P1", "N"]])
    assert link(home, OPERATOR)["records"] == 2
    home.close()


def test_rows_of_what_is_replaced_are_handed_out_to_nobody(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home")
    send(home, tmp_path, "visits-1", [*FIVE[:2], visit("P3", "V3", "WRONG")])
    assert len(rows_aside(home, SENDER, 1)["rows"]) == 1
    send(home, tmp_path, "visits-2", [visit("P1", "V1")], options=Options(replaces=1))
    assert rows_aside(home, SENDER, 1)["rows"] == []
    home.close()


def test_the_trend_is_not_held_against_a_run_over_what_was_corrected_since(tmp_path: Path) -> None:
    made = make_partnership(tmp_path)
    home, clock = made.home, made.home.clock
    first = score(home, TODAY, OPERATOR)
    assert isinstance(clock, Clock)
    clock.advance(days=home.tables.increase_days + 1)
    later = day_number(TODAY + timedelta(days=home.tables.increase_days + 1))
    found = _before(home, later, PURPOSE, None)
    assert found is not None
    assert found["run"] == first["run"]
    with Session(home.casework) as session:
        query = select(Delivery).where(Delivery.source == "police.occurrences")
        used = session.exec(query).first()
        assert used is not None
        for state, compared in (("replaced", None), ("accepted", first["run"])):
            used.state = state
            session.add(used)
            session.commit()
            told = _before(home, later, PURPOSE, None)
            assert (told["run"] if told else None) == compared
    home.close()


def test_a_home_from_before_is_brought_to_the_newest_schema_and_a_newer_one_is_refused(
    tmp_path: Path,
) -> None:
    home = visits_home(tmp_path / "home")
    send(home, tmp_path, "visits-1", FIVE)
    before = content(home)
    with home.casework.begin() as connection:
        connection.exec_driver_sql("drop index ix_delivery_replaced_by")
        for name in ("stood", "replaced_by"):
            connection.exec_driver_sql(f"alter table delivery drop column {name}")
        for name in ("decision", "item", "day", "mark", "subject", "member"):
            connection.exec_driver_sql(f"drop table monitor{name}")
        connection.exec_driver_sql("drop index ix_scorerun_purpose")
        connection.exec_driver_sql("alter table scorerun drop column purpose")
        connection.exec_driver_sql("update alembic_version set version_num = '0008'")
    home.close()
    again = Home(home.path, home.settings, home.clock, home.randomness, apart=False)
    assert content(again) == before
    send(again, tmp_path, "visits-2", [visit("P1", "V1")], options=Options(replaces=1))
    assert withdraw(again, 2, OPERATOR)["restored"] == [1]
    with again.casework.begin() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '9999'")
    again.close()
    newer = Home(home.path, home.settings, home.clock, home.randomness, apart=False)
    with pytest.raises(ConfigError, match="FG-HOME-08"):
        deliveries(newer, OPERATOR)
    newer.close()
