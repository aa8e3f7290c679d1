"""Identity leaves by a decided, committed, time-boxed reveal, and by nothing else."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from sqlmodel import Session, select

from audit.canonical import parse
from audit.event import commitment
from audit.log import read_events
from audit.merkle import leaf_hash, verify_inclusion
from audit.note import Checkpoint, Verifier
from audit.stranger import arguments, check
from engine.domain.errors import FieldgateError, PolicyRefused
from engine.flows.decision import Ask
from engine.flows.home import Home
from engine.flows.link import link
from engine.flows.lists import review_lists
from engine.flows.person import look
from engine.flows.reveal import reveal, show_again
from engine.flows.score import score
from engine.flows.setup import set_flag
from engine.flows.submit import submit
from engine.store.tables import Account, Reason, Reveal, SubjectState
from tests.builders.partnership import (
    OPERATOR,
    REASON,
    TODAY,
    Clock,
    Partnership,
    person_row,
    persons_file,
)


@pytest.fixture
def one(home: Home, tmp_path: Path) -> tuple[Home, str]:
    """A home that holds one child, and the child's casework reference."""
    file = persons_file(tmp_path / "p.csv", person_row())
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    link(home, OPERATOR)
    with Session(home.casework) as session:
        person = session.exec(select(SubjectState)).one().person
    return home, person


def _ask(person: str, **changes: str) -> Ask:
    values = {
        "user": "demo.social_worker",
        "purpose": "safeguard_child",
        "case": "CASE-1",
        "reason": REASON,
        **changes,
    }
    return Ask(person=person, **values)


def _events(home: Home) -> list[dict[str, object]]:
    return [parse(body) for _, body in read_events(home.path / "audit")]


def test_a_permitted_reveal_shows_fields_at_their_level_and_closes(
    one: tuple[Home, str],
) -> None:
    home, person = one

    shown = reveal(home, _ask(person), auth="demo")

    values = {item["part"]: item["value"] for item in shown["identity"]}
    assert values["given_name"] == "Testina"
    assert values["birth_date"] == "4 March 2012"
    assert shown["known_to"] == ["People known to social care"]
    assert shown["expires_at"] == "2026-11-25T12:15:00+00:00"
    assert shown["bases"]


@pytest.mark.finding("B10")
def test_nothing_of_a_namesake_fills_what_a_person_lacks(home: Home, tmp_path: Path) -> None:
    """Two of one common name, of whom one has no address: it is not filled from the other."""
    rows = [person_row(PersonID="LA1", BirthDate="2012-03-04"),
            person_row(PersonID="LA2", BirthDate="2011-07-09", Address="", Postcode="", NHSNumber="")]  # fmt: skip
    file = persons_file(tmp_path / "p.csv", *rows)
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    link(home, OPERATOR)
    with Session(home.casework) as session:
        people = [one.person for one in session.exec(select(SubjectState)).all()]
    assert len(people) == 2
    shown = {}
    for person in people:
        parts = reveal(home, _ask(person), auth="demo")["identity"]
        told = {item["part"]: item["value"] for item in parts}
        shown[told["birth_date"]] = told
    assert "address" in shown["4 March 2012"]
    assert not {"address", "postcode", "nhs_number"} & set(shown["9 July 2011"])


def test_the_receipt_proves_the_event_without_fieldgate(
    one: tuple[Home, str], tmp_path: Path
) -> None:
    home, person = one
    shown = reveal(home, _ask(person), auth="demo")

    head, _, note = shown["receipt"]["proof"].partition("\n\n")
    lines = head.split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    index = int(lines[2].split(" ")[1])
    path = [base64.b64decode(line) for line in lines[3:]]
    vkey = (home.path / "audit" / "log.vkey").read_text()
    checkpoint = Checkpoint.parse(Verifier.from_vkey(vkey).open(note))
    body = dict(read_events(home.path / "audit"))[index]
    assert base64.b64decode(lines[1].removeprefix("extra ")) == leaf_hash(body)
    assert verify_inclusion(leaf_hash(body), index, checkpoint.size, path, checkpoint.root)

    again = show_again(home, shown["reveal"], _ask(person).user, auth="demo")
    for one in (shown, again):
        (tmp_path / "receipt").write_text(one["receipt"]["proof"], encoding="utf-8")
        words = [str(home.path / "audit"), "--vkey", vkey.strip()]
        told = check(arguments([*words, "--receipt", str(tmp_path / "receipt")])).as_dict()
        assert (told["status"], told["missing"]) == ("verified", [])


def test_intent_is_in_the_trail_before_and_outcome_after_with_what_was_shown(
    one: tuple[Home, str],
) -> None:
    home, person = one
    reveal(home, _ask(person), auth="demo")

    outcome, intent = _events(home)[:2]
    assert (intent["phase"], outcome["phase"]) == ("intent", "outcome")
    assert intent["intent"] == outcome["intent"]
    assert outcome["decision"] == "permit"
    assert outcome["gateway"] in ("ca2004.s10", "ca2004.s11", "ca2004.s16la")
    assert "council.persons.given_name" in outcome["fields"]  # type: ignore[operator]
    assert str(outcome["subject"]).startswith("audit.1.")
    assert outcome["subject"] != person


@pytest.mark.finding("AUD-7")
def test_case_and_reason_stand_outside_the_trail_behind_token_and_commitment(
    one: tuple[Home, str],
) -> None:
    home, person = one
    reveal(home, _ask(person, case="CASE-Zebrafish", reason=REASON + " Quokka."), auth="demo")

    text = json.dumps(_events(home))
    assert "Zebrafish" not in text
    assert "Quokka" not in text
    with Session(home.casework) as session:
        kept = session.exec(select(Reason)).one()
    assert b"Quokka" not in kept.sealed
    assert kept.commitment in text
    assert kept.commitment != commitment(b"", REASON)


@pytest.mark.parametrize(
    ("changes", "code", "reason"),
    [
        ({"reason": "short"}, "FG-REV-04", "E14 the obligation justify"),
        ({"case": ""}, "FG-REV-04", "E14 the obligation case_ref"),
        ({"purpose": "enforcement"}, "FG-REV-03", "is never served"),
        ({"purpose": "no_such_purpose"}, "FG-REV-03", "E01"),
        ({"user": "demo.ig_lead"}, "FG-REV-03", "E12"),
        ({"user": "demo.benefits", "purpose": "safeguard_child"}, "FG-REV-03", "E12"),
        ({"user": "nobody"}, "FG-REV-01", ""),
    ],
)
def test_a_refusal_says_why_and_what_next_and_opens_nothing(
    one: tuple[Home, str], changes: dict[str, str], code: str, reason: str
) -> None:
    home, person = one

    with pytest.raises(PolicyRefused, match=code) as caught:
        reveal(home, _ask(person, **changes), auth="demo")

    assert caught.value.exit_code == 12
    assert caught.value.next_step
    assert reason in "\n".join(caught.value.reasons)
    with Session(home.casework) as session:
        assert session.exec(select(Reveal)).all() == []


def test_a_refusal_is_in_the_trail_with_its_codes(one: tuple[Home, str]) -> None:
    home, person = one
    with pytest.raises(PolicyRefused):
        reveal(home, _ask(person, reason="short"), auth="demo")
    outcome = _events(home)[0]
    assert outcome["decision"] == "refuse"
    assert outcome["rules"] == ["FG-REV-04", "E14"]


@pytest.mark.parametrize("changes", [{"reason": "far too short"[:6]}, {"user": "demo.ig_lead"}])
def test_the_reason_of_a_refused_request_is_kept_sealed_as_well(
    one: tuple[Home, str], changes: dict[str, str]
) -> None:
    home, person = one
    with pytest.raises(PolicyRefused):
        reveal(home, _ask(person, **changes), auth="demo")
    with Session(home.casework) as session:
        kept = session.exec(select(Reason)).one()
    outcome, intent = _events(home)[:2]
    assert (kept.intent, kept.commitment) == (outcome["intent"], intent["reason"])


def test_the_reason_is_kept_once_when_the_decision_changes_inside_its_transaction(
    one: tuple[Home, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, person = one

    def changed(*_: object) -> None:
        raise PolicyRefused("FG-REV-03", "it changed", "Ask again.")

    monkeypatch.setattr("engine.flows.reveal.recheck", changed)
    with pytest.raises(PolicyRefused):
        reveal(home, _ask(person), auth="demo")
    with Session(home.casework) as session:
        assert len(session.exec(select(Reason)).all()) == 1
        assert session.exec(select(Reveal)).all() == []
    assert _events(home)[0]["decision"] == "refuse"


def test_a_forged_or_unknown_reference_reads_as_nobody(one: tuple[Home, str]) -> None:
    home, person = one
    changed = person[:-1] + ("a" if person[-1] != "a" else "b")
    stranger = home.domain("casework")
    unknown = stranger.text(stranger.seal([b"x" * 16])[0])
    record = home.domain("record")
    other_domain = record.text(record.seal([b"x" * 16])[0])
    for reference in (
        changed,
        unknown,
        other_domain,
        "",
        "casework.1.",
        "casework.2." + person[11:],
    ):
        with pytest.raises(PolicyRefused, match="FG-REV-02"):
            reveal(home, _ask(reference), auth="demo")


def test_a_refusal_never_depends_on_which_service_knows_the_person(
    one: tuple[Home, str], partnership: Partnership
) -> None:
    home, person = one
    with pytest.raises(PolicyRefused) as small:
        reveal(home, _ask(person, user="demo.ig_lead"), auth="demo")
    for entry in review_lists(partnership.home, "demo.social_worker", auth="demo")["lists"][0][
        "entries"
    ][:3]:
        with pytest.raises(PolicyRefused) as large:
            reveal(partnership.home, _ask(entry["person"], user="demo.ig_lead"), auth="demo")
        assert large.value.reasons == small.value.reasons


def test_a_view_closes_after_its_time_and_is_nobody_elses(one: tuple[Home, str]) -> None:
    home, person = one
    clock = home.clock
    assert isinstance(clock, Clock)
    shown = reveal(home, _ask(person), auth="demo")

    assert show_again(home, shown["reveal"], "demo.social_worker", auth="demo")["identity"]
    with pytest.raises(PolicyRefused, match="FG-REV-06"):
        show_again(home, shown["reveal"], "demo.front_door", auth="demo")
    clock.advance(minutes=15)
    with pytest.raises(PolicyRefused, match="FG-REV-06"):
        show_again(home, shown["reveal"], "demo.social_worker", auth="demo")


@pytest.mark.finding("B15")
def test_a_closed_account_ends_a_view_at_once(one: tuple[Home, str]) -> None:
    home, person = one
    shown = reveal(home, _ask(person), auth="demo")
    with Session(home.casework) as session:
        account = session.get(Account, "demo.social_worker")
        assert account is not None
        account.active = False
        session.add(account)
        session.commit()
    with pytest.raises(PolicyRefused, match="FG-REV-01"):
        show_again(home, shown["reveal"], "demo.social_worker", auth="demo")


@pytest.mark.finding("T-GM4")
def test_a_restricted_record_is_neither_shown_nor_scored(tmp_path: Path) -> None:
    from tests.builders.partnership import make_partnership

    made = make_partnership(tmp_path)
    home = made.home
    person = review_lists(home, "demo.social_worker", auth="demo")["lists"][0]["entries"][0][
        "person"
    ]
    assert look(home, "demo.social_worker", person, auth="demo")["scores"]

    set_flag(home, person, "restricted", "y", "operator")

    with pytest.raises(PolicyRefused):
        reveal(home, _ask(person), auth="demo")
    with pytest.raises(PolicyRefused, match="FG-REV-02"):
        look(home, "demo.social_worker", person, auth="demo")
    for _ in range(2):  # At once, and still after the next run.
        listed = review_lists(home, "demo.social_worker", auth="demo")["lists"]
        assert person not in [entry["person"] for one in listed for entry in one["entries"]]
        assert isinstance(home.clock, Clock)
        home.clock.advance(minutes=1)
        score(home, TODAY, OPERATOR)
    found = look(home, "demo.social_worker", person, auth="demo")
    assert found["scores"] == []
    assert [one for one in found["indicators"] if one["last_seen"]] == []
    home.close()


def test_an_unknown_protection_is_read_as_protected(home: Home, tmp_path: Path) -> None:
    """A role other than social worker sees no address while nobody said that it may be seen."""
    for name, forename, marker in (
        ("LA1", "Ada", "N"),
        ("LA2", "Bertha", "Y"),
        ("LA3", "Cleo", ""),
    ):
        file = persons_file(
            tmp_path / f"{name}.csv",
            person_row(PersonID=name, ProtectedAddress=marker, Forename=forename),
        )
        submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    link(home, OPERATOR)
    with Session(home.casework) as session:
        states = session.exec(select(SubjectState)).all()
    seen = {}
    for state in states:
        shown = reveal(home, _ask(state.person, user="demo.front_door"), auth="demo")
        parts = {item["part"] for item in shown["identity"]}
        seen[state.flags.get("protected", "unknown")] = "address" in parts
    assert seen == {"n": True, "y": False, "unknown": False}


def test_every_contribution_adds_up_to_the_score_shown(partnership: Partnership) -> None:
    home = partnership.home
    entries = review_lists(home, "demo.social_worker", auth="demo")["lists"][0]["entries"]
    checked = 0
    for entry in entries[:5]:
        for found in look(home, "demo.social_worker", entry["person"], auth="demo")["scores"]:
            parts = sum(round(part["part"] * 1000) for part in found["contributions"])
            assert parts == round(found["score"] * 1000)
            checked += 1
    assert checked >= 5


@pytest.mark.finding("SCO-T18")
@pytest.mark.deep
def test_the_picture_around_a_person_is_by_number_and_bounded(partnership: Partnership) -> None:
    home, user = partnership.home, "demo.social_worker"
    lists = review_lists(home, user, auth="demo")["lists"]
    people = [one["person"] for each in lists for one in each["entries"]]
    found = [look(home, user, person, auth="demo") for person in people]
    pictures = [one["network"] for one in found if one["network"]]
    assert pictures
    for one, net in ((each, each["network"]) for each in found if each["network"]):
        assert net["one_step"] == len(one["associates"])
        inner = [node for node in net["nodes"] if node["ring"] == 1]
        assert [node["shares_risk"] for node in inner] == [
            each["shares_risk"] for each in one["associates"][: len(inner)]
        ]
        assert len(net["nodes"]) <= 1 + 24 + 40
        assert all(0 <= node["x"] <= net["width"] and 0 <= node["y"] <= net["height"]
                   for node in net["nodes"])  # fmt: skip
        assert "casework." not in json.dumps(net)
    # Whoever may not see links sees no picture either.
    assert any(net["two_steps"] for net in pictures)


def test_associates_are_never_named(partnership: Partnership) -> None:
    home = partnership.home
    entry = review_lists(home, "demo.social_worker", auth="demo")["lists"][0]["entries"][0]
    found = look(home, "demo.social_worker", entry["person"], auth="demo")
    assert found["associates"]
    assert set(found["associates"][0]) == {"handle", "links", "shares_risk"}


def test_no_other_role_sees_lists_or_scores(partnership: Partnership) -> None:
    home = partnership.home
    person = review_lists(home, "demo.social_worker", auth="demo")["lists"][0]["entries"][0][
        "person"
    ]
    for user in ("demo.front_door", "demo.early_help", "demo.school_lead", "demo.police_staff",
                 "demo.ig_lead"):  # fmt: skip
        with pytest.raises(FieldgateError, match="FG-REV-03"):
            review_lists(home, user, auth="demo")
        with pytest.raises(FieldgateError, match="FG-REV-03"):
            look(home, user, person, auth="demo")


def test_a_protected_marker_counts_before_the_next_link_and_within_one_file(
    one: tuple[Home, str], tmp_path: Path
) -> None:
    home, person = one
    seen = reveal(
        home, _ask(person, user="demo.early_help", purpose="promote_welfare"), auth="demo"
    )
    assert "address" in {item["part"] for item in seen["identity"]}
    # Two rows of one file differ, and the later one says no: the marker wins.
    rows = [
        person_row(ProtectedAddress="Y", Address="9 Refuge House", Postcode="TL9 9ZZ"),
        person_row(ProtectedAddress="N", Address="9 Refuge House", Postcode="TL9 9ZZ"),
    ]
    submit(home, persons_file(tmp_path / "q.csv", *rows), agency="council",
           source="council.persons", actor=OPERATOR)  # fmt: skip

    seen = reveal(
        home, _ask(person, user="demo.early_help", purpose="promote_welfare"), auth="demo"
    )

    assert "address" not in {item["part"] for item in seen["identity"]}
    assert "Refuge" not in json.dumps(seen)


def test_a_flag_that_staff_set_stays_through_a_merge_and_against_a_source(
    home: Home, tmp_path: Path
) -> None:
    def deliver(name: str, **changes: str) -> None:
        file = persons_file(tmp_path / f"{name}.csv", person_row(**changes))
        submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
        link(home, OPERATOR)

    deliver("a", PersonID="LA1", Forename="Ada", BirthDate="2012-03-04")
    deliver("b", PersonID="LA2", Forename="Wilhelmina", BirthDate="2011-01-05")
    with Session(home.casework) as session:
        people = [state.person for state in session.exec(select(SubjectState)).all()]
    for person in people:
        set_flag(home, person, "protected", "y", "operator")
    deliver("c", PersonID="LA2", Forename="Ada", BirthDate="2012-03-04")

    with Session(home.casework) as session:
        (state,) = session.exec(select(SubjectState)).all()
    assert state.flags["protected"] == "y"


def test_a_flag_set_between_decision_and_commit_stops_the_reveal(one: tuple[Home, str]) -> None:
    home, person = one
    other = Home(home.path, home.settings, clock=home.clock)

    def meanwhile(name: str) -> None:
        if name == "reveal.commit":
            home.arrow = lambda name: None
            set_flag(other, person, "protected", "y", "operator")

    home.arrow = meanwhile
    with pytest.raises(FieldgateError, match="FG-REV-07"):
        reveal(home, _ask(person, user="demo.early_help", purpose="promote_welfare"), auth="demo")
    other.close()


@pytest.mark.finding("T-GM1")
def test_a_victim_is_never_shown_as_somebody_who_offended(home: Home, tmp_path: Path) -> None:
    from tests.builders.partnership import write_csv

    header = ("OccurrenceRef", "NominalRef", "Role", "OffenceType", "Flag", "OccurredOn", "RecordedOn",
              "Forename", "Surname", "DOB", "Postcode")  # fmt: skip
    rows = [
        [
            "O1",
            "N1",
            "VICTIM",
            "VIOLENCE",
            "DV",
            "01/10/2026",
            "02/10/2026",
            "Ada",
            "Fake",
            "01/06/2010",
            "TL1 0AA",
        ],
        [
            "O1",
            "N2",
            "SUSPECT",
            "VIOLENCE",
            "DV",
            "01/10/2026",
            "02/10/2026",
            "Bob",
            "Other",
            "01/06/1980",
            "TL2 0AA",
        ],
    ]
    file = write_csv(tmp_path / "o.csv", header, rows)
    submit(home, file, agency="police", source="police.occurrences", actor=OPERATOR)
    submit(home, write_csv(tmp_path / "m.csv", ("EpisodeRef", "NominalRef", "MissingFrom", "ReportedOn"),
           [["M1", "N1", "01/10/2026", "01/10/2026"]]), agency="police", source="police.missing",
           actor=OPERATOR)  # fmt: skip
    link(home, OPERATOR)
    score(home, TODAY, OPERATOR)
    with Session(home.casework) as session:
        people = [state.person for state in session.exec(select(SubjectState)).all()]
    seen = {}
    for person in people:
        found = look(home, "demo.social_worker", person, auth="demo")
        codes = {item["code"] for item in found["indicators"] if item["last_seen"]}
        shown = reveal(home, _ask(person), auth="demo")
        name = next(item["value"] for item in shown["identity"] if item["part"] == "given_name")
        seen[name] = (
            codes,
            {fact["role"] for fact in shown["facts"] if fact["label"] == "Violence"},
        )
    assert seen["Ada"] == ({"3F", "5A"}, {"as the person harmed"})
    assert seen["Bob"] == ({"1A", "5B"}, {"as a suspect, not proven"})


def test_the_newest_delivery_about_a_state_counts_and_a_repeated_fact_is_one(
    home: Home, tmp_path: Path
) -> None:
    from tests.builders.partnership import write_csv

    header = ("PupilID", "LegalForename", "LegalSurname", "DateOfBirth", "SchoolURN", "OnRollFrom", "OnRollTo",
              "RecordedOn")  # fmt: skip
    for name, ended in (("a", ""), ("b", "2026-10-31")):
        row = ["P1", "Ada", "Fake", "2012-01-02", "10001", "2022-09-01", ended, "2026-11-01"]
        submit(home, write_csv(tmp_path / f"{name}.csv", header, [row]), agency="schools",
               source="schools.roll", actor=OPERATOR)  # fmt: skip
    terms = (
        "PupilID",
        "TermEnd",
        "PossibleSessions",
        "AttendedSessions",
        "Suspended",
        "PermanentlyExcluded",
    )
    for name in ("x", "y"):
        row = ["P1", "2026-07-20", "120", "60", "N", "N"]
        extra = ["P1", "2026-03-20", "120", "119", "N", "N"]
        rows = [row] if name == "x" else [row, extra]
        submit(home, write_csv(tmp_path / f"{name}.csv", terms, rows), agency="schools",
               source="schools.attendance", actor=OPERATOR)  # fmt: skip
    link(home, OPERATOR)
    with Session(home.casework) as session:
        person = session.exec(select(SubjectState)).one().person
    shown = reveal(home, _ask(person), auth="demo")
    told = [(fact["label"], fact["when"]) for fact in shown["facts"]]
    assert told == [
        ("Attendance below 90 per cent in a term", "20 July 2026"),
        ("School roll", "1 September 2022 to 31 October 2026"),
    ]
    manifest = score(home, TODAY, OPERATOR)
    # The roll is sent whole, so the earlier extract of it is not read at all any more.
    assert manifest["states"]["dropped"]["superseded"] == 0
    assert manifest["states"]["kept"] == 0


def test_every_refusal_is_in_the_trail_also_those_before_a_flow(one: tuple[Home, str]) -> None:
    home, person = one
    before = len(_events(home))
    for ask in (
        lambda: reveal(home, _ask(person, user="nobody"), auth="demo"),
        lambda: look(home, "demo.social_worker", "casework.1.\u00e9", auth="demo"),
        lambda: show_again(home, "no-such-view", "demo.social_worker", auth="demo"),
        lambda: review_lists(home, "demo.ig_lead", auth="demo"),
    ):
        with pytest.raises(PolicyRefused):
            ask()
        now = _events(home)
        assert len(now) == before + 2
        assert now[0]["decision"] == "refuse"
        assert "nobody" not in json.dumps(now[:2])
        before = len(now)
