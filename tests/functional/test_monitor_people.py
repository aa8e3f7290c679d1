"""Unusual access and who people are: merges and their undoing, an officer's own record, names of items, old keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import Session, select
from typer.testing import CliRunner

from audit.canonical import parse
from audit.log import read_events
from engine.cli.main import app
from engine.domain.errors import PolicyRefused
from engine.flows.decision import Ask
from engine.flows.home import Home
from engine.flows.monitor import run_monitor
from engine.flows.monitor_enrol import enrol, enrolled, mark
from engine.flows.monitor_names import item_beginning, item_name
from engine.flows.monitor_queue import decide_item, open_items, second_look, show_item
from engine.flows.monitor_rates import monitor_rates
from engine.flows.near import join, near
from engine.flows.pair_view import open_records
from engine.flows.part import part
from engine.flows.report_access import LEFT_OUT, NOT_LEFT_OUT
from engine.flows.reports import reports
from engine.flows.reveal import reveal
from engine.flows.setup import set_flag
from engine.flows.submit import submit
from engine.store.monitor_tables import MonitorItem, MonitorMark, MonitorMember, MonitorSubject
from engine.store.tables import SubjectState
from engine.web.app import create_app
from tests.builders.partnership import (
    OPERATOR,
    REASON,
    Clock,
    link_elsewhere,
    person_row,
    persons_file,
)

LEAD, SECOND, OFFICER = "demo.ig_lead", "demo.dpo", "demo.ig_officer"
WORKER, OTHER, MATCHER = "demo.social_worker", "demo.front_door", "demo.matcher"
WHY = "The mother says there is one child only."
ABOUT_TESTINA = "given_name: Testina\nsurname: Fakename\nbirth_date: {born}\naddress: {address}\npostcode: TL9 9ZZ\n"


@dataclass
class Two:
    """A home with two people of one name, born a day apart, who may be made one and two again."""

    home: Home
    clock: Clock

    def people(self) -> list[str]:
        with Session(self.home.casework) as session:
            return sorted(one.person for one in session.exec(select(SubjectState)).all())

    def view(self, person: str, user: str = WORKER, case: str = "CASE-1") -> None:
        reveal(self.home, Ask(user, "safeguard_child", case, REASON, person), auth="demo")

    def run(self) -> dict[str, object]:
        return run_monitor(self.home, OPERATOR)

    def items(self, user: str = LEAD) -> list[dict[str, object]]:
        """What waits for an officer, without what the matcher made an item of by matching."""
        found = open_items(self.home, user, auth="demo")["open"]
        return [one for one in found if one["user"] != MATCHER]

    def signs(self, user: str = WORKER) -> list[set[str]]:
        found = [one for one in self.items() if one["user"] == user]
        return [{sign["sign"] for sign in one["signs"]} for one in found]  # type: ignore[attr-defined]

    def merge(self) -> tuple[str, str]:
        """Make them one; return who stays and who leads there now."""
        self.clock.advance(hours=1)
        first, second = self.people()
        shown = near(self.home, MATCHER, first, 1, auth="demo")
        join(self.home, MATCHER, first, 1, shown["near"][0]["pair"], WHY, auth="demo")
        link_elsewhere(self.home)
        seal = self.home.domain("casework")
        stays = open_records(self.home, MATCHER, first, auth="demo")["person"]
        assert seal.parse(stays)
        return (first, second) if stays == first else (second, first)

    def undo(self, merged: str, number: int) -> None:
        self.clock.advance(hours=1)
        part(self.home, MATCHER, merged, number, WHY, auth="demo")
        self.clock.advance(hours=1)
        link_elsewhere(self.home)


@pytest.fixture
def two(home: Home, clock: Clock, tmp_path: Path) -> Two:
    file = persons_file(
        tmp_path / "persons.csv",
        person_row(Forename="Testina"), person_row(PersonID="LA2", BirthDate="2012-03-05"),
    )  # fmt: skip
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    link_elsewhere(home)
    return Two(home, clock)


def _subject(home: Home, person: str) -> str:
    audit = home.domain("audit")
    return audit.text(audit.seal([home.domain("casework").parse(person)])[0])


def _absorbed_record(two: Two, merged: str, leading: str) -> int:
    """Return which record of the merged person was the one of whom leads there now."""
    from engine.linkage.index import past_membership, records_of

    casework, runs = two.home.domain("casework"), two.home.link_runs()
    past = past_membership(two.home.linkage, runs)
    held = records_of(two.home.linkage, casework.parse(merged), runs)
    return next(at for at, one in enumerate(held, 1) if past[one][0] == casework.parse(leading))


def test_a_mark_holds_on_the_merged_person_and_goes_back_when_the_merge_is_undone(two: Two) -> None:
    mark(two.home, LEAD, two.people()[0], "marked", auth="demo")
    mark(two.home, LEAD, two.people()[1], "decoy", auth="demo")
    stays, leads = two.merge()
    two.view(stays)
    two.run()
    (signs,) = two.signs()
    assert {"marked", "decoy"} <= signs
    one = {"marked" if leads == two.people()[0] else "decoy"}
    two.undo(stays, _absorbed_record(two, stays, leads))
    two.view(leads, user=OTHER, case="CASE-2")
    two.run()
    (back,) = two.signs(OTHER)
    assert back & {"marked", "decoy"} == one


def test_a_former_reference_marks_the_person_and_no_mark_takes_every_one_away(two: Two) -> None:
    mark(two.home, LEAD, two.people()[0], "marked", auth="demo")
    stays, leads = two.merge()
    mark(two.home, LEAD, leads, "decoy", auth="demo")
    two.view(stays)
    two.run()
    assert "decoy" in two.signs()[0]
    mark(two.home, LEAD, leads, "none", auth="demo")
    with Session(two.home.casework) as session:
        assert session.exec(select(MonitorMark)).all() == []


def test_a_repeat_after_a_merge_grows_the_open_item_and_the_undone_merge_gives_it_back(
    two: Two,
) -> None:
    for number, person in enumerate(two.people()):
        mark(two.home, LEAD, person, "marked", auth="demo")
        two.view(person, user=(WORKER, OTHER)[number], case=f"CASE-{number}")
    assert two.run()["queued"] == 2
    by_user = {str(one["user"]): one for one in two.items()}
    people = dict(zip((WORKER, OTHER), two.people(), strict=True))
    stays, leads = two.merge()
    absorbed = next(user for user, person in people.items() if person == leads)
    # The item is still there, and is about the person whom they are one with now.
    assert {str(one["item"]) for one in two.items()} == {
        str(one["item"]) for one in by_user.values()
    }
    assert {one["subject"] for one in two.items()} == {_subject(two.home, stays)}
    two.view(stays, user=absorbed, case="CASE-9")
    two.run()
    assert len(two.items()) == 2
    grown = next(one for one in two.items() if one["user"] == absorbed)
    assert (grown["item"], grown["looks"]) == (by_user[absorbed]["item"], 2)
    two.undo(stays, _absorbed_record(two, stays, leads))
    back = {str(one["user"]): one["subject"] for one in two.items()}
    assert back == {user: _subject(two.home, person) for user, person in people.items()}


def test_what_was_explained_stays_quiet_after_a_merge(two: Two) -> None:
    people = two.people()
    for person in people:
        mark(two.home, LEAD, person, "marked", auth="demo")
        two.view(person, case="CASE-1")
    two.run()
    for one in two.items():
        name = str(one["item"])
        if decide_item(two.home, LEAD, name, "explained", auth="demo")["state"] == "waiting":
            second_look(two.home, SECOND, name, agree=True, auth="demo")
    stays, _ = two.merge()
    two.view(stays)
    two.run()
    assert two.items() == []


def _own(
    two: Two, user: str, *, address: str = "5 Elsewhere Road", born: str = "2012-03-04"
) -> None:
    """Enrol somebody who is one of the two, or lives with them."""
    text = ABOUT_TESTINA.format(born=born, address=address)
    if address.startswith("1 Lantern"):
        text = text.replace("TL9 9ZZ", "TL1 0AA").replace("Fakename", "Otherborough")
    enrol(two.home, user, text, OPERATOR)


@pytest.mark.parametrize("how", ["own record", "same address"])
def test_nobody_sees_or_decides_an_item_about_a_look_at_their_own_record(
    two: Two, how: str
) -> None:
    one, other = two.people()
    for person in (one, other):
        mark(two.home, LEAD, person, "marked", auth="demo")
        two.view(person, case=f"CASE-{person[-3:]}")
    _own(two, LEAD, address="1 Lantern Street" if how == "same address" else "5 Elsewhere Road")
    two.run()
    everything = {str(one["item"]) for one in two.items(OFFICER)}
    mine = {str(one["item"]) for one in two.items(LEAD)}
    assert len(everything) == 2
    # Whoever lives at the address of both is told of none; who is one of the two, of the other one.
    assert len(mine) == (0 if how == "same address" else 1)
    hidden = sorted(everything - mine)
    decide_item(two.home, OFFICER, hidden[0], "misuse", auth="demo")
    for call in (
        lambda: show_item(two.home, LEAD, hidden[0], auth="demo"),
        lambda: decide_item(two.home, LEAD, hidden[0], "explained", auth="demo"),
        lambda: second_look(two.home, LEAD, hidden[0], agree=True, auth="demo"),
    ):
        with pytest.raises(PolicyRefused) as refused:
            call()
        assert refused.value.code == "FG-MON-05"
    assert hidden[0] not in {
        one["item"] for one in open_items(two.home, LEAD, auth="demo")["waiting"]
    }
    assert monitor_rates(two.home, LEAD, auth="demo")["queued"] == len(mine)
    assert monitor_rates(two.home, OFFICER, auth="demo")["queued"] == 2
    assert second_look(two.home, SECOND, hidden[0], agree=True, auth="demo")["state"] == "closed"


def test_an_officer_whom_the_monitor_does_not_know_is_told_so(two: Two) -> None:
    assert open_items(two.home, LEAD, auth="demo")["recognised"] is False
    said = CliRunner().invoke(app, ["monitor", "list", "--as", LEAD, "--home", str(two.home.path)])
    assert "cannot be kept from you" in said.output
    _own(two, LEAD)
    assert open_items(two.home, LEAD, auth="demo")["recognised"] is True
    with TestClient(create_app(two.home), base_url="http://127.0.0.1") as client:
        client.post("/sign-in", data={"user": LEAD})
        assert "does not know who you are" not in client.get("/monitor").text
        _age(two)
        assert "does not know who you are" in client.get("/monitor").text


def test_the_trail_says_of_a_run_not_how_much_it_queued(two: Two) -> None:
    mark(two.home, LEAD, two.people()[0], "marked", auth="demo")
    two.view(two.people()[0])
    assert two.run()["queued"] == 1
    outcome = parse(read_events(two.home.path / "audit", newest=1)[0][1])
    assert (outcome["flow"], set(outcome["counts"])) == ("monitor_run", {"days", "looks"})


def test_an_officers_own_record_is_known_after_a_merge_and_while_an_item_waits(two: Two) -> None:
    mark(two.home, LEAD, two.people()[0], "marked", auth="demo")
    two.view(two.people()[0])
    two.run()
    stays, _ = two.merge()
    for born in ("2012-03-04", "2012-03-05"):
        _own(two, LEAD, born=born)
        two.clock.advance(days=300)
        two.run()
        assert two.items(LEAD) == []
        assert len(two.items(OFFICER)) == 1
    with Session(two.home.casework) as session:
        assert _subject(two.home, stays) in {
            one.subject for one in session.exec(select(MonitorSubject))
        }


def test_nobody_agrees_to_a_decision_about_themselves(two: Two) -> None:
    mark(two.home, LEAD, two.people()[0], "marked", auth="demo")
    two.view(two.people()[0])
    two.run()
    with Session(two.home.casework) as session:
        item = session.exec(select(MonitorItem)).one()
        item.actor = SECOND
        session.add(item)
        session.commit()
        name = item_name(item.id)
    decide_item(two.home, LEAD, name, "misuse", auth="demo")
    for agree in (True, False):
        with pytest.raises(PolicyRefused, match="FG-MON-05"):
            second_look(two.home, SECOND, name, agree=agree, auth="demo")


def test_names_of_items_leave_no_gap_where_an_officer_is_not_shown_one(two: Two) -> None:
    for number, person in enumerate(two.people()):
        mark(two.home, LEAD, person, "marked", auth="demo")
        two.view(person, user=(WORKER, OTHER)[number], case=f"CASE-{number}")
    two.run()
    shown = [item_beginning(str(one["item"])) for one in two.items()]
    with Session(two.home.casework) as session:
        assert sorted(filter(None, shown)) == sorted(
            one.id[:10] for one in session.exec(select(MonitorItem))
        )
    assert "number" not in two.items()[0]
    for wrong in ("1", "", "K7QF-2M9", "K7QF-2M9XX", "%", "U7QF-2M9X"):
        with pytest.raises(PolicyRefused, match="FG-MON-05"):
            show_item(two.home, LEAD, wrong, auth="demo")


@given(st.binary(min_size=16, max_size=16))
def test_a_name_of_an_item_reads_back_however_it_is_typed(made: bytes) -> None:
    name = item_name(made.hex())
    for typed in (
        name,
        name.lower(),
        name.replace("-", " "),
        name.replace("0", "o").replace("1", "l"),
    ):
        assert item_beginning(typed) == made.hex()[:10]


def _age(two: Two) -> None:
    with Session(two.home.casework) as session:
        for one in session.exec(select(MonitorMember)).all():
            one.version -= 1
            session.add(one)
        session.commit()


def test_an_enrolment_under_a_former_key_reads_stale_and_a_new_one_mends_it(two: Two) -> None:
    declaration = "surname: Otherborough\naddress: 2 Lantern Street\npostcode: TL1 0AA\n"
    enrol(two.home, WORKER, declaration, OPERATOR)
    _age(two)
    row = next(one for one in enrolled(two.home) if one["user"] == WORKER)
    assert (row["enrolled"], row["state"]) == (False, "stale")
    assert "fieldgate monitor enrol" in row["next"]
    two.view(two.people()[0])
    assert two.run()["stale"] == 1
    assert two.items() == []
    assert open_items(two.home, LEAD, auth="demo")["stale"] == [WORKER]
    assert open_items(two.home, "demo.police_ig", auth="demo")["stale"] == []
    run, at = CliRunner(), ["--home", str(two.home.path)]
    told = run.invoke(app, ["monitor", "members", *at])
    assert "0 of" in told.output
    assert "stale" in told.output
    assert "ask for the declaration again" in told.output
    again = run.invoke(app, ["monitor", "run", "--until", "2026-11-25", *at])
    assert "made under a former key" in again.output, again.output
    done = run.invoke(app, ["monitor", "enrol", WORKER, *at], input=declaration)
    assert done.exit_code == 0, done.output
    assert "stale" not in run.invoke(app, ["monitor", "members", *at]).output
    two.view(two.people()[0], case="CASE-3")
    assert two.run()["stale"] == 0
    assert "same_street" in two.signs()[0]


def _near(two: Two, user: str = LEAD) -> dict[str, Any]:
    return dict(
        reports(two.home, user, "self_monitoring", "near_oneself", auth="demo")["reports"][0]
    )


def test_the_report_on_people_near_oneself_uses_what_the_monitor_knows(two: Two) -> None:
    first, second = two.people()
    skipped = _near(two)
    assert (skipped["status"], "monitor enrol" in skipped["note"]) == ("skipped", True)
    enrol(
        two.home,
        WORKER,
        "surname: Otherborough\naddress: 2 Lantern Street\npostcode: TL1 0AA\n",
        OPERATOR,
    )
    for person, user in ((first, WORKER), (second, OTHER)):
        two.view(person, user=user, case=f"CASE-{user}")
    # Before the monitor ran it has no tokens of whom it should compare, and says so.
    assert (_near(two)["figure"], "long ago: 1." in _near(two)["note"]) == (0, True)
    two.run()
    found = _near(two)
    assert (found["status"], found["figure"]) == ("ran", 1)
    assert [(row[2], row[-1]) for row in found["rows"]] == [(WORKER, "same street")]
    assert "Users enrolled: 1." in found["note"]
    assert "under a former key: 1." in found["note"]  # The colleague.
    # It follows a merge: what was looked at under either name is about the one person.
    stays, _ = two.merge()
    two.run()
    assert {row[2] for row in _near(two)["rows"]} == {WORKER}
    # Whose own record it is, is told of no look at it; somebody else is.
    for born in ("2012-03-04", "2012-03-05"):
        _own(two, LEAD, born=born)
    two.view(stays, case="CASE-8")
    two.run()
    assert _near(two)["figure"] == 0
    assert _near(two, SECOND)["figure"] >= 2
    _age(two)
    assert "enrol again" in _near(two)["note"]


def test_the_report_on_staff_and_their_kin_follows_a_merge(two: Two) -> None:
    for person in two.people():
        two.view(person)
    stays, _ = two.merge()
    set_flag(two.home, stays, "staff_kin", "y", "operator")
    (found,) = reports(two.home, LEAD, "self_monitoring", "staff_kin", auth="demo")["reports"]
    assert sum(row[2] == WORKER for row in found["rows"]) == 2
    assert NOT_LEFT_OUT in found["note"]
    # Whose own record it is, reads nothing of it; somebody else does.
    for born in ("2012-03-04", "2012-03-05"):
        _own(two, LEAD, born=born)
    two.run()
    (own,) = reports(two.home, LEAD, "self_monitoring", "staff_kin", auth="demo")["reports"]
    assert (own["figure"], LEFT_OUT in own["note"]) == (0, True)
    (other,) = reports(two.home, SECOND, "self_monitoring", "staff_kin", auth="demo")["reports"]
    assert other["figure"] >= 2
    # An enrolment without a birth date tells nobody's own record, and it is said.
    enrol(two.home, LEAD, "surname: Otherborough\n", OPERATOR)
    assert NOT_LEFT_OUT in _near(two)["note"]
