"""Immediate danger, training, what is owed afterwards, and records in a state: at every exit."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from sqlmodel import Session, select

from audit.canonical import parse
from audit.log import read_events
from engine.domain.errors import ConfigError, PolicyRefused
from engine.flows.access import (
    open_reviews,
    owed_notices,
    review_access,
    tell_notices,
    working_day_after,
)
from engine.flows.decision import Ask
from engine.flows.home import Home
from engine.flows.link import link
from engine.flows.lists import review_lists
from engine.flows.person import look
from engine.flows.reveal import reveal
from engine.flows.score import score
from engine.flows.setup import add_account, declare_register, set_flag
from engine.flows.submit import submit
from engine.linkage.index import records_of
from engine.store.tables import (
    AccessReview,
    FlagRegister,
    Reason,
    RecordFlag,
    Reveal,
    SharingDecision,
    SubjectState,
)
from tests.builders.partnership import (
    OPERATOR,
    REASON,
    TODAY,
    Clock,
    make_partnership,
    person_row,
    persons_file,
)


@pytest.fixture
def one(home: Home, tmp_path: Path) -> tuple[Home, str]:
    """A home that holds one child, and the child's casework reference."""
    submit(
        home,
        persons_file(tmp_path / "p.csv", person_row()),
        agency="council",
        source="council.persons",
        actor=OPERATOR,
    )
    link(home, OPERATOR)
    with Session(home.casework) as session:
        return home, session.exec(select(SubjectState)).one().person


def _danger(person: str, user: str = "demo.social_worker", case: str = "") -> Ask:
    return Ask(user, "immediate_danger", case, REASON, person)


@pytest.mark.finding("LAW-23")
def test_breaking_glass_opens_at_once_and_owes_a_review_by_somebody_else(
    one: tuple[Home, str],
) -> None:
    home, person = one
    shown = reveal(home, _danger(person), auth="demo")
    assert shown["purpose"] == "immediate_danger"
    assert {"notify", "review_after:1", "time_box:60"} <= set(shown["obligations"])
    kinds = {
        event["kind"] for event in (parse(body) for _, body in read_events(home.path / "audit"))
    }
    assert "break_glass" in kinds
    waiting = open_reviews(home, "demo.dpo", auth="demo")
    assert [(row["user"], row["due"], row["overdue"]) for row in waiting] == [
        ("demo.social_worker", "2026-11-26", False)
    ]
    for user, code in (("demo.social_worker", "FG-ACC-05"), ("demo.caldicott", "FG-ACC-05")):
        with pytest.raises(PolicyRefused, match=code):
            review_access(home, user, shown["reveal"], "justified", auth="demo")
    for use, finding in ((shown["reveal"], "fine"), ("nothing", "justified")):
        with pytest.raises(PolicyRefused, match="FG-ACC-06"):
            review_access(home, "demo.dpo", use, finding, auth="demo")
    review_access(home, "demo.dpo", shown["reveal"], "justified", auth="demo")
    assert open_reviews(home, "demo.dpo", auth="demo") == []
    with pytest.raises(PolicyRefused, match="FG-ACC-06"):
        review_access(home, "demo.ig_lead", shown["reveal"], "misuse", auth="demo")


@pytest.mark.finding("LAW-23")
def test_a_review_that_is_overdue_restricts_the_account_until_it_is_made(
    one: tuple[Home, str],
) -> None:
    home, person = one
    assert isinstance(home.clock, Clock)
    shown = reveal(home, _danger(person), auth="demo")
    home.clock.advance(days=1)
    reveal(home, _danger(person), auth="demo")
    home.clock.advance(days=1)
    for purpose in ("immediate_danger", "safeguard_child"):
        with pytest.raises(PolicyRefused, match="FG-ACC-04"):
            reveal(home, Ask("demo.social_worker", purpose, "CASE-1", REASON, person), auth="demo")
    review_access(home, "demo.dpo", shown["reveal"], "training", auth="demo")
    reveal(
        home, Ask("demo.social_worker", "safeguard_child", "CASE-1", REASON, person), auth="demo"
    )


def test_breaking_glass_without_a_reason_or_without_the_grant_is_refused_and_owes_nothing(
    one: tuple[Home, str],
) -> None:
    home, person = one
    with pytest.raises(PolicyRefused, match="FG-REV-04"):
        reveal(
            home, Ask("demo.social_worker", "immediate_danger", "", "short", person), auth="demo"
        )
    with pytest.raises(PolicyRefused, match="FG-REV-03"):
        reveal(home, _danger(person, "demo.school_lead"), auth="demo")
    with Session(home.casework) as session:
        assert session.exec(select(AccessReview)).all() == []


@pytest.mark.parametrize(
    ("start", "days", "due"),
    [(date(2026, 11, 25), 1, date(2026, 11, 26)), (date(2026, 11, 27), 1, date(2026, 11, 30)),
     (date(2026, 11, 28), 1, date(2026, 11, 30)), (date(2026, 11, 26), 3, date(2026, 12, 1))],
)  # fmt: skip
def test_working_days_leave_out_the_weekend(start: date, days: int, due: date) -> None:
    assert working_day_after(start, days) == due


@pytest.mark.finding("LAW-14")
def test_training_that_has_run_out_suspends_the_role(one: tuple[Home, str]) -> None:
    home, person = one
    ask = Ask("demo.social_worker", "safeguard_child", "CASE-1", REASON, person)
    for training, allowed in (("2026-11-25", True), ("2026-11-24", False), (None, False)):
        add_account(
            home,
            "demo.social_worker",
            "S",
            "council",
            "social_worker",
            "safeguard_child",
            by="operator",
            training=training,
        )
        if allowed:
            reveal(home, ask, auth="demo")
        else:
            with pytest.raises(PolicyRefused, match="FG-ACC-03"):
                reveal(home, ask, auth="demo")


def test_a_flag_that_no_register_decides_is_unknown_and_closes(one: tuple[Home, str]) -> None:
    home, person = one
    ask = Ask("demo.front_door", "safeguard_child", "CASE-1", REASON, person)
    reveal(home, ask, auth="demo")
    with Session(home.casework) as session:
        found = session.get(FlagRegister, "adopted")
        session.delete(found)
        session.commit()
    with pytest.raises(PolicyRefused, match="FG-REV-03"):
        reveal(home, ask, auth="demo")
    declare_register(home, "adopted", "operator")
    assert "surname" in [item["part"] for item in reveal(home, ask, auth="demo")["identity"]]
    with pytest.raises(ConfigError, match="FG-FLAG-01"):
        declare_register(home, "child", "operator")
    set_flag(home, person, "staff_kin", "y", "operator")
    with pytest.raises(PolicyRefused):
        look(home, "demo.front_door", person, auth="demo")
    assert reveal(home, ask, auth="demo")["identity"] == []


@pytest.mark.deep
def test_two_records_of_one_person_differ_at_every_exit_when_one_is_in_a_state(
    tmp_path: Path,
) -> None:
    made = make_partnership(tmp_path)
    home = made.home
    person, record = _with_two_police_records(home)
    ask = Ask("demo.social_worker", "safeguard_child", "CASE-1", REASON, person)
    before = reveal(home, ask, auth="demo")
    seen = look(home, "demo.social_worker", person, auth="demo")
    scores = {(s["theme"], s["track"]): s["index"] for s in seen["scores"]}
    codes = {one["code"] for one in seen["indicators"] if one["last_seen"]}
    police = [
        fact for fact in before["facts"] if fact["source"] == "Occurrences and the people in them"
    ]
    assert police
    for flag in sorted(home.pack.vocabulary.closing_flags):
        _put(home, record, flag, "y")
        after = reveal(home, ask, auth="demo")
        left = [
            fact
            for fact in after["facts"]
            if fact["source"] == "Occurrences and the people in them"
        ]
        assert len(left) < len(police), flag
        assert len(after["facts"]) == len(before["facts"]) - (len(police) - len(left))
        assert person not in [
            e["person"]
            for one in review_lists(home, "demo.social_worker", auth="demo")["lists"]
            for e in one["entries"]
        ]
        _put(home, record, flag, "n")
        assert reveal(home, ask, auth="demo")["facts"] == before["facts"]
    _put(home, record, "embargoed", "y")
    assert isinstance(home.clock, Clock)
    home.clock.advance(minutes=1)
    score(home, TODAY, OPERATOR)
    found = look(home, "demo.social_worker", person, auth="demo")
    again = {(s["theme"], s["track"]): s["index"] for s in found["scores"]}
    assert again != scores
    assert all(value <= scores.get(key, 0) for key, value in again.items())
    assert {one["code"] for one in found["indicators"] if one["last_seen"]} <= codes
    assert {row["role"] for row in owed_notices(home, "police", OPERATOR)["notices"]} <= {
        "social_worker"
    }
    assert owed_notices(home, "police", OPERATOR)["notices"]
    home.close()


def _with_two_police_records(home: Home) -> tuple[str, str]:
    """Return a listed person with police evidence and another record, and one police record's name."""
    from engine.flows.decision import sources_of

    linkage, record, casework = (
        home.domain("linkage"),
        home.domain("record"),
        home.domain("casework"),
    )
    for one in review_lists(home, "demo.social_worker", auth="demo")["lists"]:
        for entry in one["entries"]:
            if entry["blind"]:
                continue
            ids = linkage.open(
                records_of(home.linkage, casework.parse(entry["person"]), home.link_runs())
            )
            sources = sources_of(home, ids)
            police = [one_id for one_id in ids if sources[one_id] == "police.occurrences"]
            if police and len(set(sources.values())) > 1:
                return entry["person"], record.text(record.seal(police[:1])[0])
    raise AssertionError("the tiny city lists nobody with two records")


def _put(home: Home, record: str, flag: str, value: str) -> None:
    with Session(home.casework) as session:
        session.merge(
            RecordFlag(
                record=record, flag=flag, value=value, set_by="operator", set_at=home.clock()
            )
        )
        session.commit()


@pytest.mark.finding("LAW-10")
def test_to_withhold_is_a_decision_logged_like_one_to_share(one: tuple[Home, str]) -> None:
    home, person = one
    asks = {word: Ask("demo.social_worker", "safeguard_child", "CASE-1", REASON, person, word)
            for word in ("share", "withhold")}  # fmt: skip
    shared, withheld = (reveal(home, asks[word], auth="demo") for word in ("share", "withhold"))
    assert (shared["withheld"], withheld["withheld"]) == (False, True)
    assert "identity" not in withheld
    with Session(home.casework) as session:
        rows = {row.outcome: row for row in session.exec(select(SharingDecision)).all()}
        assert len(session.exec(select(Reveal)).all()) == 1
        assert {one.intent for one in session.exec(select(Reason)).all()} == {
            row.intent for row in rows.values()
        }
    assert set(rows) == {"share", "withhold"}
    assert rows["share"].gateway == rows["withhold"].gateway != ""
    events = [parse(body) for _, body in read_events(home.path / "audit")]
    pairs = {
        word: [one for one in events if one["intent"] == rows[word].intent]
        for word in ("share", "withhold")
    }
    for phase in (0, 1):  # The same keys, but for the grant that only a share makes.
        assert set(pairs["withhold"][phase]) == set(pairs["share"][phase]) - {"grant", "expires"}
    assert {one["decision"] for one in pairs["withhold"] if one["phase"] == "outcome"} == {
        "withhold"
    }
    with pytest.raises(PolicyRefused, match="FG-REV-08"):
        reveal(home, replace(asks["share"], sharing="perhaps"), auth="demo")
    # What policy would refuse is refused: nobody can withhold what could not be shared.
    with pytest.raises(PolicyRefused, match="FG-REV-03"):
        reveal(home, replace(asks["withhold"], user="demo.ig_lead"), auth="demo")


def test_an_agency_is_told_once_and_the_telling_is_in_the_trail(tmp_path: Path) -> None:
    home = make_partnership(tmp_path).home
    person = review_lists(home, "demo.social_worker", auth="demo")["lists"][0]["entries"][0]
    reveal(home, _danger(person["person"]), auth="demo")
    assert owed_notices(home, "police", OPERATOR)["notices"]
    told = tell_notices(home, "police", OPERATOR)["notices"]
    assert told
    assert owed_notices(home, "police", OPERATOR)["notices"] == []
    with pytest.raises(ConfigError, match="FG-ACC-07"):
        tell_notices(home, "nobody", OPERATOR)
    events = [parse(body) for _, body in read_events(home.path / "audit")]
    assert [one["rows"] for one in events
            if one["flow"] == "tell_notices" and one["phase"] == "outcome"] == [len(told)]  # fmt: skip
    home.close()
