"""A row is named by its delivery and never by its line: nothing a check closes takes another row along."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.errors import GatewayError, SubmissionError
from engine.flows.deliveries import finding_rows, receipt_of
from engine.flows.home import Home
from engine.flows.incoming import Options
from engine.flows.submit import submit
from engine.intake.places import Places
from tests.builders import deliveries
from tests.builders.deliveries import COLUMNS, content, send, visit, visits_home
from tests.builders.partnership import OPERATOR, make_home, write_csv

ONCE = """checks:
  - {id: vis.once, rule: unique, table: visits, fields: [recorded_on, person_id, seen_on], severity: error, says: a visit stands twice}"""


def _files(home: Home, folder: Path, *parts: Sequence[Sequence[str]], **options: Any) -> Any:
    """Submit one delivery of several files that are all of one table."""
    paths = [
        write_csv(folder / f"visits-{number}.csv", COLUMNS, rows)
        for number, rows in enumerate(parts, 1)
    ]
    return submit(home, paths, agency="council", source="council.visits", actor=OPERATOR, **options)


def test_what_a_check_closes_in_one_file_takes_no_row_of_another(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home", checks=ONCE)
    first = [visit(f"P{n}", f"V{n}") for n in range(20)]
    second = [visit(f"Q{n}", f"W{n}") for n in range(20)] + [visit("Q3", "W99")]
    made = _files(home, tmp_path, first, second)
    assert made["rows"] == {"in": 41, "kept": 39, "dropped": {"vis.once": 2}}
    # Rows 5 and 22 of the second file are closed, and the first has a row 5 too.
    assert (made["records"], made["events"]) == (39, 39)
    (found,) = made["findings"]
    assert (found["file"], found["rows"]) == ("visits-2.csv", [5, 22])
    own = receipt_of(home, OPERATOR, made["number"], "council", with_keys=True)
    assert [row[4:5] + row[6:8] for row in finding_rows(own)[1:]] == [
        ["visits-2.csv", "5", "Q3"],
        ["visits-2.csv", "22", "Q3"],
    ]
    home.close()


def test_rows_of_two_files_are_set_aside_under_the_same_line(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home")
    made = _files(
        home,
        tmp_path,
        [visit("P1", "V1", "WRONG"), visit("P2", "V2")],
        [visit("Q1", "W1", "WRONG"), visit("Q2", "W2")],
    )
    assert made["rows_set_aside"] == 2
    shown = receipt_of(home, OPERATOR, made["number"], "council", with_keys=True)
    assert [(one["file"], one["line"]) for one in shown["set_aside"]] == [
        ("visits-1.csv", 2),
        ("visits-2.csv", 2),
    ]
    assert sorted(row[7] for row in finding_rows(shown)[1:]) == ["P1", "Q1"]
    home.close()


def test_of_rows_under_one_key_the_last_holds_be_it_a_row_or_its_end(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home")
    rows = [
        visit("P1", "V1", "SUSPECT"),
        visit("P2", "V2"),
        visit("P1", "V1", "ASB"),
        visit("P3", "V3"),
        visit("P3", "V3", state="D"),
        visit("P4", "V4", state="D"),
        visit("P4", "V4", "ASB"),
    ]
    made = send(home, tmp_path, "visits-1", rows)
    assert made["rows"] == {"in": 7, "kept": 4, "dropped": {"FG-ROW-23": 3}}
    (found,) = made["findings"]
    assert (found["severity"], found["rows"]) == ("warning", [2, 5, 7])
    ended = content(home)
    home.close()
    other = visits_home(tmp_path / "other")
    send(other, tmp_path, "visits-2",
         [visit("P2", "V2"), visit("P1", "V1", "ASB"), visit("P4", "V4", "ASB")])  # fmt: skip
    assert content(other) == ended
    other.close()


def _recorded(row: list[str], day: str) -> list[str]:
    return [*row[:7], day, row[8]]


def test_a_window_goes_by_the_day_of_the_row_and_not_of_what_it_led_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_recorded = deliveries.VISITS.replace(
        'columns: [RecordedOn], formats: ["%Y-%m-%d"], on_bad: warning',
        'columns: [RecordedOn], formats: ["%Y-%m-%d"], required: yes, on_bad: error',
    )
    assert by_recorded != deliveries.VISITS
    monkeypatch.setattr(deliveries, "VISITS", by_recorded)
    monkeypatch.setattr(
        deliveries, "NAMED", deliveries.NAMED.replace("window: seen_on", "window: recorded_on")
    )
    home = visits_home(tmp_path / "home", mode="window")
    old = _recorded(visit("P1", "V1", day="2026-08-01"), "2026-10-02")
    late = _recorded(visit("P2", "V2", day="2026-10-02"), "2026-10-20")
    send(home, tmp_path, "visits-1", [old, late])
    week = Options(window=(date(2026, 10, 1), date(2026, 10, 7)))
    new = _recorded(visit("P3", "V3", day="2026-09-30"), "2026-10-03")
    send(home, tmp_path, "visits-2", [new], options=week)
    days = sorted(row[2] for rows in content(home).values() for row in rows)
    # V1 was recorded in that week and is gone; V2 happened in it, was recorded later, and stays.
    assert days == [(date(2026, 9, 30) - date(1970, 1, 1)).days,
                    (date(2026, 10, 2) - date(1970, 1, 1)).days]  # fmt: skip
    home.close()


def test_a_window_that_loses_most_of_its_rows_waits(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home", mode="window", extra=', deletions_max: "0.300"')
    rows = [visit(f"P{n}", f"V{n}", day="2026-10-01") for n in range(8)]
    rows += [visit(f"Q{n}", f"W{n}", day="2026-09-01") for n in range(90)]
    assert send(home, tmp_path, "visits-1", rows)["state"] == "accepted"
    week = Options(window=(date(2026, 10, 1), date(2026, 10, 7)))
    made = send(home, tmp_path, "visits-2", rows[:6], options=week)
    assert made["state"] == "accepted"
    made = send(home, tmp_path, "visits-3", rows[:2], options=week)
    assert made["state"] == "paused"
    assert made["paused_because"] == ["4 of 6 known rows or records would vanish"]
    home.close()


def test_a_source_whose_windows_cannot_be_told_apart_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = deliveries.VISITS.replace(
        "seen_on: {label: Day, category: social_work, lane: content,",
        "seen_on: {label: Day, category: social_work, lane: content, gateways: [],",
    )
    assert closed != deliveries.VISITS
    monkeypatch.setattr(deliveries, "VISITS", closed)
    home = visits_home(tmp_path / "home", mode="window")
    with pytest.raises(GatewayError, match="FG-GATE-14"):
        send(home, tmp_path, "visits-1", [visit("P1", "V1")])
    assert content(home) == {}
    home.close()


@given(st.lists(st.tuples(st.sampled_from(["", "a", "b"]),
                          st.lists(st.integers(1, 9), max_size=6)), max_size=6))  # fmt: skip
def test_every_row_has_a_number_of_its_own_that_tells_file_and_line(batches: list[Any]) -> None:
    places = Places()
    told: list[tuple[str, int]] = []
    for file, lines in batches:
        rows = places.take(file, np.array(lines, np.int64))
        assert rows.tolist() == list(range(len(told), len(told) + len(lines)))
        told += [(file, line) for line in lines]
    every = np.arange(len(told), dtype=np.int64)
    assert places.lines(every).tolist() == [line for _, line in told]
    found = {int(row): file for file, rows in places.by_file(every) for row in rows}
    assert found == {row: file for row, (file, _) in enumerate(told)}


def test_a_merge_whose_row_a_check_closes_joins_nobody(tmp_path: Path) -> None:
    checks = """checks:
  - {id: mer.once, rule: unique, table: merges, fields: [person_id], severity: error, says: a person became two}"""
    home = visits_home(tmp_path / "home", checks=checks)
    send(home, tmp_path, "visits-1", [visit(f"P{n}", f"V{n}") for n in range(1, 8)])
    made = send(home, tmp_path, "merges-1",
                [["P1", "P2", "N"], ["P1", "P3", "N"], ["P4", "P5", "N"], ["P6", "P7", "N"]])  # fmt: skip
    assert made["rows"] == {"in": 4, "kept": 2, "dropped": {"mer.once": 2}}
    assert made["records_merged"] == 2
    assert len(content(home)) == 5
    home.close()


def test_rows_beyond_a_stated_window_are_refused_and_not_counted_twice(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home", mode="window")
    week = Options(window=(date(2026, 10, 1), date(2026, 10, 10)))
    rows = [visit("P1", "V1"), visit("P2", "V2", day="2026-10-20")]
    with pytest.raises(SubmissionError, match="FG-SUB-29"):
        send(home, tmp_path, "visits-1", rows, options=week)
    assert content(home) == {}
    assert send(home, tmp_path, "visits-2", rows)["state"] == "accepted"
    home.close()


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home")
    for folder in ("jan", "feb"):
        (tmp_path / folder).mkdir()
    paths = [
        write_csv(
            tmp_path / folder / "visits.csv",
            COLUMNS,
            [visit("P1", f"V{n}", "WRONG"), visit("P2", f"W{n}")],
        )
        for n, folder in enumerate(("jan", "feb"))
    ]
    made = submit(home, paths, agency="council", source="council.visits", actor=OPERATOR)
    assert sorted(one["file"] for one in made["findings"]) == ["visits.csv", "visits.csv (2)"]
    home.close()


def test_two_offences_of_one_person_in_one_occurrence_are_two(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    header = ("OccurrenceRef", "NominalRef", "Role", "Surname", "Forename", "DOB", "OffenceType", "Flag",
              "OccurredOn", "RecordedOn")  # fmt: skip
    row = ["O1", "N1", "SUSPECT", "Fakename", "Testina", "06/03/1990", "WEAPON", "CSE", "01/11/2026",
           "02/11/2026"]  # fmt: skip
    rows = [row, [*row[:7], "COUNTY LINES", *row[8:]], [*row[:6], "THEFT", *row[7:]], row]
    file = write_csv(tmp_path / "o.csv", header, rows)
    made = submit(home, file, agency="police", source="police.occurrences", actor=OPERATOR)
    # Only the row that says nothing else is dropped.
    assert made["rows"] == {"in": 4, "kept": 3, "dropped": {"FG-ROW-23": 1}}
    home.close()
