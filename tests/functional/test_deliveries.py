"""Extracts as systems make them: in full, by window, as changes; corrected, paused, withdrawn."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, select

from audit.canonical import parse
from audit.log import read_events
from engine.domain.errors import ConfigError, ContractError, PolicyRefused
from engine.domain.ids import Actor
from engine.flows.aside import as_table, rows_aside
from engine.flows.decision import Ask
from engine.flows.deliveries import (
    deliveries,
    finding_rows,
    receipt_of,
    release,
    trend,
    withdraw,
)
from engine.flows.home import Home
from engine.flows.incoming import Options
from engine.flows.lights import late_sources, source_lights
from engine.flows.link import link
from engine.flows.reveal import reveal
from engine.flows.score import score
from engine.flows.submit import submit
from engine.flows.watch import Watcher
from engine.linkage.index import review_pairs
from engine.store.tables import DeliveryDetail, LinkRun, RecordFlag, SubjectState
from tests.builders.deliveries import COLUMNS, content, send, visit, visits_home
from tests.builders.partnership import (
    OPERATOR,
    REASON,
    TODAY,
    Clock,
    make_partnership,
    person_row,
    persons_file,
    write_csv,
)

FIRST = [
    visit("P1", "V1"),
    visit("P1", "V2", day="2026-10-02"),
    visit("P2", "V3", "ASB"),
    visit("P3", "V4"),
    visit("P4", "V5"),
    visit("P4", "V6", "ASB", "2026-10-05"),
]


def test_deletions_a_merge_and_a_changed_outcome_give_what_a_fresh_load_gives(
    tmp_path: Path,
) -> None:
    """Three deletions, one merge, and one suspect whom no further action concerns."""
    corrected = [visit("P1", "V2", "NFA", "2026-10-02"), visit("P1", "V6", "ASB", "2026-10-05")]
    ended: dict[str, Any] = {}
    for name in ("changed", "fresh"):
        folder = tmp_path / name
        folder.mkdir()
        home = visits_home(folder / "home")
        if name == "changed":
            send(home, folder, "visits-1", FIRST)
            gone = [visit("P1", "V1", state="D"), visit("P2", "V3", state="D"),
                    visit("P4", "V5", state="D")]  # fmt: skip
            send(home, folder, "visits-2", [*gone, visit("P3", "V4", state="D"),
                                            visit("P1", "V2", "NFA", "2026-10-02")])  # fmt: skip
            send(home, folder, "merges-1", [["P4", "P1", "N"]])
        else:
            send(home, folder, "visits-1", corrected)
        ended[name] = content(home)
        if name == "changed":
            # P2 and P3 have no row left, and P4 is P1: one person stays.
            assert link(home, OPERATOR)["records"] == 1
        home.close()
    assert ended["changed"] == ended["fresh"]
    assert len(ended["fresh"]) == 1


def test_a_merge_that_is_undone_leaves_no_trace(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home")
    send(home, tmp_path, "visits-1", FIRST)
    before = content(home)
    send(home, tmp_path, "merges-1", [["P4", "P1", "N"]])
    assert len(content(home)) == len(before) - 1
    send(home, tmp_path, "merges-2", [["P4", "P1", "Y"]])
    assert content(home) == before
    home.close()


def test_a_full_extract_replaces_and_a_back_load_adds(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home", mode="full")
    send(home, tmp_path, "visits-1", FIRST)
    send(home, tmp_path, "visits-2", [visit("P1", "V2", day="2026-10-02")])
    only = content(home)
    assert [len(rows) for rows in only.values()] == [1]
    old = [visit("P1", "V0", day="2024-03-01")]
    old[0][7] = ""  # Nobody knows when it was recorded.
    send(home, tmp_path, "visits-3", old, options=Options(history=True))
    ((first, second),) = content(home).values()
    day = (date(2024, 3, 1) - date(1970, 1, 1)).days
    # Recorded as on its own day, so that it does not look like news.
    assert first[2:4] == (day, day)
    assert len(only) == 1
    assert second in next(iter(only.values()))
    home.close()


def test_a_window_replaces_what_lies_in_it_and_nothing_else(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home", mode="window")
    send(home, tmp_path, "visits-1", FIRST)
    before = content(home)
    window = Options(window=(date(2026, 10, 1), date(2026, 10, 3)))
    send(home, tmp_path, "visits-2", [visit("P1", "V9", "ASB", "2026-10-02")], options=window)
    after = content(home)
    days = sorted(row[2] for rows in after.values() for row in rows)
    start = (date(2026, 10, 1) - date(1970, 1, 1)).days
    assert days == [start + 1, start + 4]
    assert set(after) < set(before)
    home.close()


def test_withdrawing_and_correcting_undo_a_delivery_exactly(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home")
    send(home, tmp_path, "visits-1", FIRST)
    before = content(home)
    second = [visit("P5", "V7"), visit("P1", "V1", "NFA"), visit("P2", "V3", state="D")]
    made = send(home, tmp_path, "visits-2", second)
    changed = content(home)
    assert changed != before
    told = withdraw(home, made["number"], OPERATOR, dry_run=True)
    assert (told["withdrawn"], content(home)) == (False, changed)
    withdraw(home, made["number"], OPERATOR)
    assert content(home) == before
    assert not home.warehouse.events(made["delivery"]).exists()
    with pytest.raises(PolicyRefused, match="FG-SUB-22"):
        withdraw(home, made["number"], OPERATOR)
    # The same bytes may come again, and a correction takes their place in one moment.
    again = send(home, tmp_path, "visits-2", second)
    assert (again["duplicate"], content(home)) == (False, changed)
    better = [visit("P5", "V7", "ASB")]
    send(home, tmp_path, "visits-3", better, options=Options(replaces=again["number"]))
    states = {one["number"]: one["state"] for one in deliveries(home, OPERATOR)}
    assert states == {1: "accepted", 2: "withdrawn", 3: "replaced", 4: "accepted"}
    for number in (2, 3):
        with pytest.raises(ConfigError, match="FG-SUB-21"):
            send(home, tmp_path, "visits-4", FIRST[:2], options=Options(replaces=number))
    home.close()


def _states(home: Home) -> list[str]:
    return [one["state"] for one in deliveries(home, OPERATOR)][::-1]


@pytest.mark.parametrize("mode", ["delta", "full", "window"])
def test_a_withdrawn_correction_leaves_what_it_corrected(tmp_path: Path, mode: str) -> None:
    home = visits_home(tmp_path / "home", mode=mode)
    send(home, tmp_path, "visits-1", FIRST)
    before = content(home)
    send(home, tmp_path, "visits-2", [visit("P5", "V7", "ASB")], options=Options(replaces=1))
    second = content(home)
    send(home, tmp_path, "visits-3", [visit("P6", "V8", "ASB")], options=Options(replaces=2))
    third = content(home)
    assert len(before) == 4
    assert len({str(one) for one in (before, second, third)}) == 3
    assert receipt_of(home, OPERATOR, 2, "council", with_keys=False)["replaced_by"] == 3
    # One by one, as if the last had never been sent.
    assert withdraw(home, 3, OPERATOR, dry_run=True)["restored"] == [2]
    assert content(home) == third
    assert withdraw(home, 3, OPERATOR)["restored"] == [2]
    assert (content(home), _states(home)) == (second, ["replaced", "accepted", "withdrawn"])
    assert withdraw(home, 2, OPERATOR)["restored"] == [1]
    assert (content(home), _states(home)) == (before, ["accepted", "withdrawn", "withdrawn"])
    # And again from there: nothing of it was used up.
    send(home, tmp_path, "visits-2", [visit("P5", "V7", "ASB")], options=Options(replaces=1))
    assert content(home) == second
    home.close()


def test_of_a_chain_the_middle_is_withdrawn_and_the_first_comes_back_with_the_last(
    tmp_path: Path,
) -> None:
    home = visits_home(tmp_path / "home")
    send(home, tmp_path, "visits-1", FIRST)
    before = content(home)
    middle = send(home, tmp_path, "visits-2", [visit("P5", "V7")], options=Options(replaces=1))
    send(home, tmp_path, "visits-3", [visit("P6", "V8")], options=Options(replaces=2))
    last = content(home)
    assert withdraw(home, 2, OPERATOR)["restored"] == []
    assert (content(home), _states(home)) == (last, ["replaced", "withdrawn", "accepted"])
    assert not home.warehouse.events(middle["delivery"]).exists()
    assert withdraw(home, 3, OPERATOR)["restored"] == [1]
    assert content(home) == before
    home.close()


def test_what_was_replaced_can_be_destroyed_and_comes_back_no_more(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home")
    first = send(home, tmp_path, "visits-1", FIRST)
    send(home, tmp_path, "visits-2", [visit("P5", "V7")], options=Options(replaces=1))
    last = content(home)
    assert home.warehouse.events(first["delivery"]).exists()
    withdraw(home, 1, OPERATOR)
    assert not home.warehouse.events(first["delivery"]).exists()
    assert content(home) == last
    assert withdraw(home, 2, OPERATOR)["restored"] == []
    assert content(home) == {}
    home.close()


def test_what_was_sent_anew_meanwhile_does_not_count_twice(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home")
    send(home, tmp_path, "visits-1", FIRST)
    before = content(home)
    send(home, tmp_path, "visits-2", [visit("P5", "V7")], options=Options(replaces=1))
    assert send(home, tmp_path, "visits-1", FIRST)["duplicate"] is False
    assert withdraw(home, 2, OPERATOR, dry_run=True)["restored"] == []
    assert withdraw(home, 2, OPERATOR)["restored"] == []
    assert (content(home), _states(home)) == (before, ["withdrawn", "withdrawn", "accepted"])
    home.close()


def test_a_waiting_correction_of_what_a_correction_replaced_is_not_let_in(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home", extra=', rows_max: "5"')
    send(home, tmp_path, "visits-1", _five())
    more = [visit(f"P{n}", f"W{n}") for n in range(8)]
    assert send(home, tmp_path, "visits-2", more, options=Options(replaces=1))["state"] == "paused"
    send(home, tmp_path, "visits-3", [visit("P1", "V1")], options=Options(replaces=1))
    send(home, tmp_path, "visits-4", [visit("P2", "V1")], options=Options(replaces=3))
    with pytest.raises(PolicyRefused, match="FG-SUB-22"):
        release(home, 2, OPERATOR, accept=True)
    for number in (4, 3):
        withdraw(home, number, OPERATOR)
    release(home, 2, OPERATOR, accept=True)
    assert _states(home) == ["replaced", "accepted", "withdrawn", "withdrawn"]
    home.close()


def test_rows_set_aside_of_what_was_replaced_wait_again(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home")
    send(home, tmp_path, "visits-1", _five("P2"))
    send(home, tmp_path, "visits-2", _five(), options=Options(replaces=1))
    assert receipt_of(home, OPERATOR, 1, "council", with_keys=False)["set_aside"] == []
    withdraw(home, 2, OPERATOR)
    shown = receipt_of(home, OPERATOR, 1, "council", with_keys=True)
    assert len(shown["set_aside"]) == 1
    assert shown["findings"][0]["row_keys"]
    home.close()


def test_a_marker_that_a_correction_took_away_is_back_when_it_is_withdrawn(
    home: Home, tmp_path: Path
) -> None:
    def flag() -> list[str]:
        with Session(home.casework) as session:
            return [one.value for one in session.exec(select(RecordFlag)).all()]

    for name, marker, options in (("a", "Y", Options()), ("b", "N", Options(replaces=1))):
        file = persons_file(tmp_path / f"{name}.csv", person_row(ProtectedAddress=marker))
        submit(home, file, agency="council", source="council.persons", actor=OPERATOR,
               options=options)  # fmt: skip
    assert flag() == ["n"]
    withdraw(home, 2, OPERATOR)
    assert flag() == ["y"]


def test_a_withdrawn_marker_leaves_the_word_before_it(home: Home, tmp_path: Path) -> None:
    def flag() -> list[tuple[str, str]]:
        with Session(home.casework) as session:
            return [(one.flag, one.value) for one in session.exec(select(RecordFlag)).all()]

    numbers = []
    for name, marker in (("a", "N"), ("b", "Y")):
        file = persons_file(tmp_path / f"{name}.csv", person_row(ProtectedAddress=marker))
        receipt = submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
        numbers.append(receipt["number"])
    assert flag() == [("protected", "y")]
    withdraw(home, numbers[1], OPERATOR)
    assert flag() == [("protected", "n")]
    withdraw(home, numbers[0], OPERATOR)
    assert flag() == []


def test_a_year_of_birth_alone_is_shown_as_one_and_never_links(home: Home, tmp_path: Path) -> None:
    header = ("LogRef", "ReceivedAt", "SubjectSurname", "SubjectForename", "SubjectDOB",
              "SmartCallQ", "SmartCallAnswer")  # fmt: skip
    rows = [["A1", "05/01/2026 22:14:09", "Fake", "Ada", "1990", "Q07 fear of CSE", "Y"]]
    file = write_csv(tmp_path / "storm.csv", header, rows)
    receipt = submit(home, file, agency="police", source="police.storm_calls", actor=OPERATOR)
    assert receipt["identifiers"]["birth_date"]["weak"] == 1
    assert link(home, OPERATOR)["not_enough_to_identify"] == 1
    with Session(home.casework) as session:
        person = session.exec(select(SubjectState)).one().person
    shown = reveal(
        home, Ask("demo.social_worker", "safeguard_child", "CASE-1", REASON, person), auth="demo"
    )
    values = {one["part"]: one["value"] for one in shown["identity"]}
    assert values["birth_date"] == "1990 (no day was given)"
    assert [fact["rule"] for fact in shown["facts"]] == ["sto.cse"]


@pytest.mark.finding("LNK-18")
def test_nhs_numbers_that_cannot_be_are_counted_in_each_source_and_identify_nobody(
    home: Home, tmp_path: Path
) -> None:
    wrong = "9990000019"  # Its check digit is not 9.
    people = [
        person_row(PersonID=f"LA{n}", Forename=name, Surname=f"{name}fake", BirthDate=f"201{n}-0{n}-1{n}",
                   Address=f"{n} Mill Lane", Postcode=f"TL{n} 1AA", NHSNumber=number)
        for n, (name, number) in enumerate(
            (("Ada", wrong), ("Bella", "1111111111"), ("Cleo", "12345"), ("Dora", ""),
             ("Edna", "9990000018"), ("Faye", wrong)), 1)
    ]  # fmt: skip
    header = ("PatientRef", "NHSNumber", "GivenName", "FamilyName", "BirthDate", "Sex", "Postcode", "Flag",
              "FlagFrom", "RecordedOn")  # fmt: skip
    more = ("F", "TL9 9ZZ", "MH", "2026-10-01", "2026-11-01")
    patients = [
        ["R1", wrong, "Zelda", "Other", "1990-07-08", *more],
        ["R2", "9990000018", "Edna", "Ednafake", "2015-05-15", *more],
    ]
    council = submit(home, persons_file(tmp_path / "a.csv", *people), agency="council",
                     source="council.persons", actor=OPERATOR)  # fmt: skip
    health = submit(home, write_csv(tmp_path / "b.csv", header, patients), agency="health",
                    source="health.flags", actor=OPERATOR)  # fmt: skip
    for receipt, rows, counts, told in (
        (council, 6, (1, 4, 1), {"FG-ROW-04": [2, 3, 7], "FG-ROW-03": [4]}),
        (health, 2, (1, 1, 0), {"FG-ROW-04": [2]}),
    ):
        # The number is no identifier, and the row stays.
        assert receipt["rows"] == {"in": rows, "kept": rows, "dropped": {}}
        assert receipt["identifiers"]["nhs_number"] == {
            **dict(zip(("good", "unusable", "missing"), counts, strict=True)), "weak": 0,
        }  # fmt: skip
        assert {one["code"]: one["rows"] for one in receipt["findings"]} == told
    # Three records with one wrong number are three people, and nobody is asked about them.
    assert link(home, OPERATOR)["persons"] == 7
    assert review_pairs(home.linkage, home.link_runs()[-1]) == []


@pytest.mark.finding("LNK-30")
@pytest.mark.deep
def test_scores_after_a_withdrawal_are_those_of_a_home_that_never_had_it(tmp_path: Path) -> None:
    made = make_partnership(tmp_path)
    home = made.home
    clean = score(home, TODAY, OPERATOR)
    extra = persons_file(tmp_path / "more.csv", person_row(PersonID="LAX", Forename="Zelda"))
    number = submit(home, extra, agency="council", source="council.persons", actor=OPERATOR)[
        "number"
    ]
    link(home, OPERATOR)
    assert score(home, TODAY, OPERATOR)["persons"] == clean["persons"] + 1
    withdraw(home, number, OPERATOR)
    link(home, OPERATOR)
    after = score(home, TODAY, OPERATOR)
    assert after["persons"] == clean["persons"]
    # Places on a list are drawn anew in each run (ties and the blind share); all it rests on is the same.
    for name in ("person", "score", "contribution", "link", "exposure", "exposure_part"):
        one, other = (home.warehouse.result(run["run"], name) for run in (clean, after))
        assert one.equals(other), name
    home.close()


@pytest.mark.finding("LNK-30")
@pytest.mark.deep
def test_scores_after_a_withdrawn_correction_are_those_of_a_home_that_never_had_it(
    tmp_path: Path,
) -> None:
    made = make_partnership(tmp_path)
    home = made.home
    clean = score(home, TODAY, OPERATOR)
    replaced = next(one for one in deliveries(home, OPERATOR) if one["source"] == "council.persons")
    one = persons_file(tmp_path / "one.csv", person_row(PersonID="LAX", Forename="Zelda"))
    number = submit(home, one, agency="council", source="council.persons", actor=OPERATOR,
                    options=Options(replaces=replaced["number"]))["number"]  # fmt: skip
    link(home, OPERATOR)
    other = score(home, TODAY, OPERATOR)
    assert other["persons"] != clean["persons"]
    assert withdraw(home, number, OPERATOR)["restored"] == [replaced["number"]]
    link(home, OPERATOR)
    after = score(home, TODAY, OPERATOR)
    for name in ("person", "score", "contribution", "link", "exposure", "exposure_part"):
        mine, theirs = (home.warehouse.result(run["run"], name) for run in (clean, after))
        assert mine.equals(theirs), name
    home.close()


@pytest.mark.parametrize(
    ("mode", "extra", "rows", "why"),
    [
        ("full", ', deletions_max: "0.50"', [visit("P1", "V1")], "would vanish"),
        ("delta", ', deletions_max: "0.50"',
         [visit(p, v, state="D") for p, v in (("P1", "V1"), ("P1", "V2"), ("P2", "V3"), ("P3", "V4"))]
         + [visit("P5", "V8")], "would vanish"),
        ("delta", ', rows_change: "0.50"', [visit("P5", "V8")], "rows after"),
        ("delta", ', rows_min: "2"', [visit("P5", "V8")], "fewer"),
        ("delta", ', rows_max: "6"', [visit("P5", f"W{n}") for n in range(7)], "more"),
    ],
)  # fmt: skip
def test_a_volume_out_of_the_ordinary_waits_for_a_person(
    tmp_path: Path, mode: str, extra: str, rows: list[list[str]], why: str
) -> None:
    home = visits_home(tmp_path / "home", mode=mode, extra=extra)
    send(home, tmp_path, "visits-1", FIRST)
    before = content(home)
    made = send(home, tmp_path, "visits-2", rows)
    assert (made["state"], made["light"]) == ("paused", "amber")
    assert why in made["paused_because"][0]
    assert content(home) == before
    release(home, made["number"], OPERATOR, accept=True)
    assert content(home) != before
    with pytest.raises(PolicyRefused, match="FG-SUB-22"):
        release(home, made["number"], OPERATOR, accept=True)
    home.close()


def test_a_refused_delivery_is_destroyed_and_may_come_again(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home", extra=', rows_min: "2"')
    made = send(home, tmp_path, "visits-1", [visit("P1", "V1")])
    release(home, made["number"], OPERATOR, accept=False)
    assert content(home) == {}
    assert not home.warehouse.spoken(made["delivery"]).exists()
    with Session(home.casework) as session:
        assert session.get(DeliveryDetail, made["delivery"]) is None
    assert send(home, tmp_path, "visits-1", [visit("P1", "V1")])["state"] == "paused"
    home.close()


def test_a_dry_run_says_everything_and_keeps_nothing(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home")
    told = send(home, tmp_path, "visits-1", FIRST, options=Options(dry_run=True))
    assert (told["state"], told["rows"]["kept"], told["events"]) == ("dry run", 6, 6)
    assert deliveries(home, OPERATOR) == []
    assert content(home) == {}
    home.close()


CHECKS = """checks:
  - {id: vis.once, rule: unique, table: visits, fields: [visit_id], severity: error, says: a visit stands twice}
  - {id: vis.order, rule: not_after, table: visits, fields: [seen_on, recorded_on], severity: warning, says: a visit was recorded before it was made}
  - {id: vis.future, rule: not_future, table: visits, fields: [seen_on], severity: warning, says: a visit has not come yet}
  - {id: mer.known, rule: required_with, table: merges, fields: [person_id, into], severity: warning, says: nobody is named}"""


def test_rows_set_aside_come_back_corrected_and_checks_are_told_apart(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home", checks=CHECKS)
    bad = visit("P2", "V3", "WRONG")
    rows = [visit("P1", "V1"), bad, visit("P3", "V4"), visit("P4", "V4"),
            visit("P5", "V9", day="2027-01-01"), visit("P1", "V10")]  # fmt: skip
    made = send(home, tmp_path, "visits-1", rows)
    assert made["rows"] == {"in": 6, "kept": 3, "dropped": {"FG-ROW-06": 1, "vis.once": 2}}
    statuses = {one["id"]: one["status"] for one in made["checks"]}
    assert statuses == {"vis.once": "run", "vis.order": "run", "vis.future": "run",
                        "mer.known": "skipped"}  # fmt: skip
    assert made["light"] == "green"
    lines = {(one["check"] or one["code"]): one["rows"] for one in made["findings"]}
    assert lines == {"FG-ROW-06": [3], "vis.once": [4, 5], "vis.future": [6]}
    # The two rows that a check closed leave neither a record nor an event.
    assert (made["records"], made["events"]) == (2, 3)
    # And they too wait for whoever mends them, though the check came after they had passed.
    assert made["rows_set_aside"] == 3
    shown = receipt_of(home, OPERATOR, made["number"], "council", with_keys=True)
    assert [(one["code"], one["line"]) for one in shown["set_aside"]] == [
        ("FG-ROW-06", 3), ("vis.once", 4), ("vis.once", 5),
    ]  # fmt: skip
    again = send(home, tmp_path, "visits-2",
                 [visit("P2", "V3", "ASB"), visit("P3", "V4"), visit("P4", "V5")])  # fmt: skip
    assert again["rows"]["kept"] == 3
    assert receipt_of(home, OPERATOR, made["number"], "council", with_keys=True)["set_aside"] == []
    home.close()


def test_the_agency_sees_its_own_keys_and_nobody_else_does(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home")
    made = send(
        home, tmp_path, "visits-1", [visit("QUOKKA-77", "V1"), visit("QUOKKA-77", "V2", "WRONG")]
    )
    assert "QUOKKA-77" not in json.dumps(made)
    own = receipt_of(home, OPERATOR, made["number"], "council", with_keys=True)
    assert [one["row_keys"] for one in own["findings"]] == [[{"row": 3, "key": "QUOKKA-77"}]]
    assert finding_rows(own)[1][6:8] == ["3", "QUOKKA-77"]
    other = receipt_of(home, OPERATOR, made["number"], "", with_keys=True)
    assert "QUOKKA-77" not in json.dumps(other)
    with pytest.raises(PolicyRefused, match="FG-SUB-23"):
        receipt_of(home, OPERATOR, made["number"], "police", with_keys=True)
    raw = b"".join(path.read_bytes() for path in home.path.rglob("*") if path.is_file())
    assert b"QUOKKA-77" not in raw
    events = json.dumps([parse(body).get("flow") for _, body in read_events(home.path / "audit")])
    assert events.count("receipt") >= 6
    home.close()


def test_an_agency_reads_back_its_own_rows_that_were_set_aside_and_nobody_else_does(
    tmp_path: Path,
) -> None:
    home = visits_home(tmp_path / "home")
    made = send(
        home, tmp_path, "visits-1", [visit("WOMBAT-41", "V1"), visit("WOMBAT-42", "V2", "BAD")]
    )
    raw = b"".join(path.read_bytes() for path in home.path.rglob("*") if path.is_file())
    assert b"WOMBAT-42" not in raw
    own = Actor("data.team", "council", "data_submitter", "client")
    found = rows_aside(home, own, made["number"])
    (row,) = found["rows"]
    assert (row["row"], row["why"]) == (3, "FG-ROW-06")
    assert row["cells"]["PersonID"] == "WOMBAT-42"
    assert row["cells"]["Outcome"] == "BAD"
    head, line = as_table(found)
    assert dict(zip(head, line, strict=True))["Outcome"] == "BAD"
    for nobody in (
        Actor("data.team", "police", "data_submitter", "client"),
        Actor("lead", "council", "ig_lead", "demo"),
        OPERATOR,
    ):
        with pytest.raises(PolicyRefused, match="FG-SUB-23"):
            rows_aside(home, nobody, made["number"])
    events = [parse(body) for _, body in read_events(home.path / "audit")]
    mine = [one for one in events if one["flow"] == "rows_aside" and one["phase"] == "outcome"]
    assert [(one["kind"], one.get("decision")) for one in mine] == [
        *[("disclosure", "refuse")] * 3, ("disclosure", "permit"),
    ]  # fmt: skip
    assert (mine[-1]["recipient"], mine[-1]["rows"]) == ("council", 1)
    assert "WOMBAT" not in json.dumps(events)
    # Once the row has come again there is nothing left to mend.
    send(home, tmp_path, "visits-2", [visit("WOMBAT-42", "V2", "ASB")])
    assert rows_aside(home, own, made["number"])["rows"] == []
    home.close()


def test_a_field_whose_gateway_has_closed_since_is_not_read_back(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home")
    made = send(home, tmp_path, "visits-1", [visit("P1", "V1"), visit("P2", "V2", "BAD")])
    own = Actor("data.team", "council", "data_submitter", "client")
    assert rows_aside(home, own, made["number"])["columns"]
    home.clock.advance(days=4000)  # type: ignore[attr-defined]
    found = rows_aside(home, own, made["number"])
    assert found["columns"] == []
    assert [one["cells"] for one in found["rows"]] == [{}]
    home.close()


def _five(bad: str = "", mended: str = "ASB") -> list[list[str]]:
    return [visit(f"P{n}", f"V{n}", "WRONG" if f"P{n}" == bad else mended, day=f"2026-10-0{n}")
            for n in range(1, 6)]  # fmt: skip


@pytest.mark.parametrize("mode", ["full", "window"])
def test_a_row_with_an_error_ends_nobody_whom_the_extract_said_again(
    tmp_path: Path, mode: str
) -> None:
    """In an extract that says everything, a row that was set aside would read as a row that is gone."""
    home = visits_home(tmp_path / "home", mode=mode)
    send(home, tmp_path, "visits-1", _five())
    whole = content(home)
    again = send(home, tmp_path, "visits-2", [*_five("P2"), visit("P1", "V9", day="2026-10-03")])
    assert again["state"] == "paused"
    assert "only because their rows were set aside" in again["paused_because"][0]
    assert content(home) == whole
    # Somebody who was never known before is set aside without ado.
    release(home, 2, OPERATOR, accept=False)
    more = [*_five(), visit("P9", "V8", "WRONG", day="2026-10-03")]
    assert send(home, tmp_path, "visits-3", more)["state"] == "accepted"
    home.close()


@pytest.mark.parametrize("mode", ["full", "window", "delta"])
def test_mended_rows_are_added_and_end_nothing_else(tmp_path: Path, mode: str) -> None:
    fresh = visits_home(tmp_path / "fresh", mode=mode)
    send(fresh, tmp_path, "visits-0", _five())
    home = visits_home(tmp_path / "home", mode=mode)
    made = send(home, tmp_path, "visits-1", _five("P2"))
    assert (made["rows_set_aside"], len(content(home))) == (1, 4)
    mended = send(home, tmp_path, "visits-2", [_five()[1]], options=Options(mends=1))
    assert mended["state"] == "accepted"
    assert content(home) == content(fresh)
    assert receipt_of(home, OPERATOR, 1, "council", with_keys=False)["set_aside"] == []
    with pytest.raises(ConfigError, match="FG-SUB-21"):
        send(home, tmp_path, "visits-3", [visit("P8", "V8")], options=Options(mends=99))
    home.close()
    fresh.close()


def test_another_row_of_a_person_does_not_settle_the_one_that_was_set_aside(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home")
    send(home, tmp_path, "visits-1", [visit("P1", "V1", "WRONG"), visit("P1", "V8", "WRONG"),
                                      visit("P2", "V2"), visit("P3", "V3")])  # fmt: skip
    send(home, tmp_path, "visits-2", [visit("P1", "V9")])
    waits = receipt_of(home, OPERATOR, 1, "council", with_keys=False)["set_aside"]
    assert [one["line"] for one in waits] == [2, 3]
    send(home, tmp_path, "visits-3", [visit("P1", "V8", "ASB")])
    waits = receipt_of(home, OPERATOR, 1, "council", with_keys=False)["set_aside"]
    assert [one["line"] for one in waits] == [2]
    home.close()


def test_a_row_that_cannot_be_read_may_be_anybodys_and_ends_nobody(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home", mode="full")
    send(home, tmp_path, "visits-1", _five())
    rows = _five()
    rows[1] = rows[1][:-1]  # A cell short, so that nobody knows whose it is.
    assert send(home, tmp_path, "visits-2", rows)["state"] == "paused"
    assert len(content(home)) == 5
    # Where every known person comes again, a broken row is nobody's who was known.
    again = send(home, tmp_path, "visits-3", [*_five(), rows[1]])
    assert again["state"] == "accepted"
    home.close()


def test_mended_rows_change_nothing_of_what_is_expected_and_stand_in_the_record(
    tmp_path: Path,
) -> None:
    home = visits_home(tmp_path / "home", mode="full", extra=', rows_change: "0.50"')
    send(home, tmp_path, "visits-1", _five("P2"))
    mended = send(home, tmp_path, "visits-2", [_five()[1]], options=Options(mends=1))
    assert (mended["mends"], mended["mode"], mended["state"]) == (1, "delta", "accepted")
    events = [parse(body) for _, body in read_events(home.path / "audit")]
    counts = [one["counts"] for one in events if one["flow"] == "submit" and "counts" in one]
    assert [one.get("mends_delivery") for one in counts].count(1) == 1
    # The next whole extract is compared with the last whole one.
    assert send(home, tmp_path, "visits-3", _five(mended="SUSPECT"))["state"] == "accepted"
    # And what a later extract took the place of is mended no more: it would bring people back.
    with pytest.raises(ConfigError, match="FG-SUB-21"):
        send(home, tmp_path, "visits-4", [visit("P8", "V8")], options=Options(mends=1))
    home.close()


@pytest.mark.parametrize("dry", [True, False])
def test_a_delivery_mends_or_corrects_and_never_both(tmp_path: Path, dry: bool) -> None:
    home = visits_home(tmp_path / "home", mode="full")
    send(home, tmp_path, "visits-1", _five("P2"))
    for options in (Options(mends=1, replaces=1, dry_run=dry), Options(replaces=88, dry_run=dry)):
        with pytest.raises(ConfigError, match="FG-SUB-21"):
            send(home, tmp_path, "visits-2", [_five()[1]], options=options)
    assert len(content(home)) == 4
    home.close()


def test_a_correction_of_a_correction_that_waits_takes_back_both(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home", extra=', rows_max: "5"')
    send(home, tmp_path, "visits-1", _five())
    more = [visit(f"P{n}", f"W{n}") for n in range(8)]
    assert send(home, tmp_path, "visits-2", more, options=Options(replaces=1))["state"] == "paused"
    send(home, tmp_path, "visits-3", [visit("P1", "V1")], options=Options(replaces=2))
    assert [one["state"] for one in deliveries(home, OPERATOR)][::-1] == [
        "replaced", "replaced", "accepted",
    ]  # fmt: skip
    assert len(content(home)) == 1
    assert withdraw(home, 3, OPERATOR, dry_run=True)["restored"] == [1, 2]
    assert withdraw(home, 3, OPERATOR)["restored"] == [1, 2]
    assert _states(home) == ["accepted", "paused", "withdrawn"]
    assert len(content(home)) == 5
    home.close()


MANY = [visit(f"P{n}", f"V{n}") for n in range(40)]


@pytest.mark.parametrize("way", ["deleted", "back-load", "joined", "left out"])
def test_a_mass_deletion_pauses_in_every_way_it_can_come(tmp_path: Path, way: str) -> None:
    """Also where the contract says nothing of deletions."""
    mode = "full" if way == "left out" else "delta"
    home = visits_home(tmp_path / "home", mode=mode)
    send(home, tmp_path, "visits-1", MANY)
    gone = [visit(f"P{n}", f"V{n}", state="D") for n in range(39)]
    if way == "joined":
        files = [write_csv(tmp_path / "merges-2.csv", ("PersonID", "Into"),
                           [[f"P{n}", "P39"] for n in range(39)])]  # fmt: skip
        made = submit(home, files, agency="council", source="council.visits", actor=OPERATOR)
    else:
        rows = MANY[:1] if way == "left out" else gone
        made = send(home, tmp_path, "visits-2", rows, options=Options(history=way == "back-load"))
    assert made["state"] == "paused", made["paused_because"]
    assert "of 40 known" in made["paused_because"][0]
    assert len(content(home)) == 40
    home.close()


def test_a_dry_run_says_what_would_pause(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home", mode="full")
    send(home, tmp_path, "visits-1", MANY)
    told = send(home, tmp_path, "visits-2", MANY[:1], options=Options(dry_run=True))
    assert (told["state"], told["light"]) == ("dry run", "amber")
    assert told["paused_because"]
    home.close()


def test_one_delivery_is_corrected_once_and_never_by_bytes_that_count_already(
    tmp_path: Path,
) -> None:
    home = visits_home(tmp_path / "home", extra=', rows_max: "3"')
    send(home, tmp_path, "visits-1", MANY[:3])
    for number in (2, 3):
        made = send(
            home, tmp_path, f"visits-{number}", MANY[: 2 + number], options=Options(replaces=1)
        )
        assert made["state"] == "paused"
    release(home, 2, OPERATOR, accept=True)
    with pytest.raises(PolicyRefused, match="FG-SUB-22"):
        release(home, 3, OPERATOR, accept=True)
    assert len(content(home)) == 4
    send(home, tmp_path, "visits-4", [visit("P7", "V70")])
    with pytest.raises(ConfigError, match="FG-SUB-21"):
        send(home, tmp_path, "visits-4b", [visit("P7", "V70")], options=Options(replaces=2))
    home.close()


def test_the_trend_shows_each_cause_delivery_by_delivery(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home")
    for number, wrong in enumerate((2, 1, 0), 1):
        rows = [visit("P1", f"V{number}{n}", "WRONG") for n in range(wrong)]
        send(
            home,
            tmp_path,
            f"visits-{number}",
            [*rows, *(visit("P2", f"W{number}{n}") for n in range(3))],
        )
    counts = [
        one["findings"].get("FG-ROW-06 Outcome", 0) for one in trend(home, OPERATOR, "council")
    ]
    assert counts == [2, 1, 0]
    assert trend(home, OPERATOR, "police") == []
    home.close()


def test_a_missed_week_is_amber_and_stops_the_lists_that_need_the_source(tmp_path: Path) -> None:
    made = make_partnership(tmp_path)
    home = made.home
    promised = [one for one in source_lights(home) if one["every_days"] and one["last"]]
    if not promised:
        pytest.fail("no source of the city promises a rhythm, so nothing can be late")
    assert late_sources(home) == frozenset()
    fresh = score(home, TODAY, OPERATOR)
    assert isinstance(home.clock, Clock)
    one = promised[0]
    home.clock.now += timedelta(days=one["every_days"] + 40)
    assert one["source"] in late_sources(home)
    lights = {row["source"]: row["light"] for row in source_lights(home)}
    assert lights[one["source"]] == "amber"
    late = score(home, TODAY, OPERATOR)
    assert set(late["themes_scored"]) < set(fresh["themes_scored"])
    assert any(one["source"] in why for why in late["themes_not_scored"].values())
    home.close()


def test_a_watched_folder_takes_a_file_once_it_is_still(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "drop"
    place = folder / "council.persons"
    place.mkdir(parents=True)
    watcher = Watcher(home, folder, "council", OPERATOR)
    file = persons_file(place / "Quokka.csv", person_row())
    assert watcher.look() == []
    (answer,) = watcher.look()
    assert answer["state"] == "accepted"
    assert watcher.look() == []
    assert file.exists()
    (receipt,) = (folder / "receipts").iterdir()
    assert "Quokka" not in receipt.name
    (place / "empty.csv").write_bytes(b"")
    watcher.look()
    (refused,) = watcher.look()
    assert refused["code"] == "FG-SUB-01"
    # Another process finds the same bytes again and nothing changes.
    other = Watcher(home, folder, "council", OPERATOR)
    other.look()
    assert [one.get("duplicate") for one in other.look() if "duplicate" in one] == [True]


@pytest.mark.parametrize("mode", ["delta", "full", "window"])
def test_a_trial_says_of_new_and_missing_rows_what_the_delivery_then_says(
    tmp_path: Path, mode: str
) -> None:
    home = visits_home(tmp_path / "home", mode=mode)
    send(home, tmp_path, "visits-1", [visit(f"P{n}", f"V{n}") for n in range(30)])
    rows = [visit("P99", "V99"), *(visit(f"P{n}", f"V{n}", state="D") for n in range(20))]
    tried = send(home, tmp_path, "visits-2", rows, options=Options(dry_run=True))
    assert len(deliveries(home, OPERATOR)) == 1
    sent = send(home, tmp_path, "visits-2", rows)
    assert tried["paused_because"] == sent["paused_because"] != []
    assert (tried["state"], sent["state"]) == ("dry run", "paused")
    home.close()


def test_the_folder_of_a_watched_file_says_how_it_is_meant(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home", mode="window")
    folder = tmp_path / "drop"
    watcher = Watcher(home, folder, "council", OPERATOR)

    def put(meant: str, *rows: Any) -> dict[str, Any]:
        place = folder / "council.visits" / meant
        place.mkdir(parents=True)
        write_csv(place / "visits.csv", COLUMNS, rows)
        watcher.look()
        (answer,) = watcher.look()
        return answer

    first = put("history", visit("P1", "V1"))
    assert (first["state"], first["history"], first["mode"]) == ("accepted", True, "delta")
    month = put("window-2026-10-01-2026-10-31", visit("P2", "V2"), visit("P3", "V3"))
    assert (month["mode"], month["mends"]) == ("window", None)
    outside = put("window-2026-11-01-2026-11-30", visit("P2", "V4"))
    assert outside["code"] == "FG-SUB-29"
    assert put("window-2026-10-31-2026-10-01", visit("P2", "V5"))["code"] == "FG-SUB-30"
    better = put("replaces-2", visit("P2", "V2", "ASB"), visit("P3", "V3"))
    assert better["replaces"] == month["delivery"]
    mended = put("mends-3", visit("P4", "V6"))
    assert (mended["mends"], mended["mode"]) == (3, "delta")
    unknown = put("Quokka", visit("P4", "V7"))
    assert unknown["code"] == "FG-SUB-31"
    assert "Quokka" not in json.dumps(unknown)
    home.close()


def test_a_set_of_files_is_one_delivery_in_any_order_and_packing(tmp_path: Path) -> None:
    import zipfile

    visits = write_csv(tmp_path / "visits.csv", COLUMNS, FIRST)
    merges = write_csv(tmp_path / "merges.csv", ("PersonID", "Into", "Undone"), [["P4", "P1", "N"]])
    packed = tmp_path / "all.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(merges, "2026/merges.csv")
        archive.write(visits, "2026/visits.csv")
    contents = []
    for number, files in enumerate(([visits, merges], [merges, visits], packed)):
        home = visits_home(tmp_path / f"home{number}")
        receipt = submit(home, files, agency="council", source="council.visits", actor=OPERATOR)
        assert receipt["tables"] == {
            "merges": {"in": 1, "kept": 1, "dropped": 0},
            "visits": {"in": 6, "kept": 6, "dropped": 0},
        }
        contents.append(content(home))
        with Session(home.casework) as session:
            assert session.exec(select(LinkRun)).all() == []
        home.close()
    assert contents[0] == contents[1] == contents[2]


def test_a_file_that_is_no_table_of_the_source_is_named(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home")
    one = write_csv(tmp_path / "visits.csv", COLUMNS, FIRST)
    other = write_csv(tmp_path / "holiday.csv", ("A",), [["1"]])
    with pytest.raises(ContractError, match="FG-SUB-20"):
        submit(home, [one, other], agency="council", source="council.visits", actor=OPERATOR)
    home.close()
