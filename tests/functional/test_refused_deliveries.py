"""A delivery refused for its rows keeps nothing of anybody and tells its agency every row found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit.canonical import parse
from audit.log import read_events
from engine.domain.errors import RowsRefused
from engine.domain.ids import Actor
from engine.flows.deliveries import EVERYBODYS, deliveries, finding_rows, receipt_of, trend
from engine.flows.home import Home
from engine.flows.incoming import Options
from engine.flows.lights import source_lights
from engine.flows.submit import submit
from tests.builders.deliveries import content
from tests.builders.partnership import OPERATOR, person_row, persons_file

GOOD = [person_row(PersonID=f"LA{n}") for n in range(3)]
BAD = [person_row(PersonID=f"LB{n}", RecordedOn="Zanzibarius") for n in range(30)]
SENDER = Actor("demo.council_data", "council", "data_submitter", "demo")


def _refused(home: Home, file: Path, **more: object) -> int:
    with pytest.raises(RowsRefused, match="FG-SUB-11") as caught:
        submit(home, file, agency="council", source="council.persons", actor=OPERATOR, **more)  # type: ignore[arg-type]
    assert caught.value.number is not None
    assert str(caught.value.number) in caught.value.next_step
    return caught.value.number


def test_every_row_found_is_told_to_the_agency_and_the_keys_to_nobody_else(
    home: Home, tmp_path: Path
) -> None:
    before = content(home)
    file = persons_file(tmp_path / "a.csv", *GOOD, *BAD)
    number = _refused(home, file)

    receipt = receipt_of(home, SENDER, number, "council", with_keys=True)
    assert receipt["state"] == "refused"
    assert receipt["rows"]["in"] == 33 == sum(receipt["rows"]["dropped"].values())
    assert (receipt["rows"]["kept"], receipt["records"], receipt["set_aside"]) == (0, 0, [])
    assert receipt["rows"]["dropped"]["FG-SUB-11 the whole delivery was refused"] == 3
    assert all(
        one["kept"] == 0 and one["dropped"] == one["in"] for one in receipt["tables"].values()
    )
    rows = finding_rows(receipt)[1:]
    errors = [row for row in rows if row[0] == "error"]
    assert [row[6] for row in errors] == [
        str(n) for n in range(5, 35)
    ]  # beyond the twenty of the error
    assert [row[7] for row in errors] == [f"LB{n}" for n in range(30)]
    others = receipt_of(home, OPERATOR, number, EVERYBODYS, with_keys=True)
    assert {row[7] for row in finding_rows(others)[1:]} == {""}

    assert content(home) == before
    assert home.published() == {}
    assert {one["light"] for one in source_lights(home)} == {"never"}
    assert "Zanzibarius" not in json.dumps(receipt)
    home.close()


def test_the_trend_counts_it_and_the_same_bytes_may_come_again(home: Home, tmp_path: Path) -> None:
    file = persons_file(tmp_path / "a.csv", *GOOD, *BAD)
    first, second = _refused(home, file), _refused(home, file)
    assert second == first + 1
    submit(home, persons_file(tmp_path / "b.csv", *GOOD), agency="council",
           source="council.persons", actor=OPERATOR)  # fmt: skip
    counts = [
        sum(count for cause, count in one["findings"].items() if cause.startswith("FG-ROW-02"))
        for one in trend(home, SENDER, "council")
    ]
    assert counts == [30, 30, 0]
    states = [one["state"] for one in deliveries(home, SENDER, "council")]
    assert states == ["accepted", "refused", "refused"]
    outcomes = [
        event
        for event in (parse(line) for _, line in read_events(home.path / "audit"))
        if event["flow"] == "submit" and event["phase"] == "outcome"
    ]
    assert [one["decision"] for one in outcomes] == ["permit", "refuse", "refuse"]
    assert outcomes[-1]["rules"] == ["FG-SUB-11"]
    home.close()


def test_a_cause_with_more_rows_than_are_kept_says_how_many_more(
    home: Home, tmp_path: Path
) -> None:
    rows = [person_row(PersonID=f"LB{n}", RecordedOn="") for n in range(1030)]
    number = _refused(home, persons_file(tmp_path / "a.csv", *rows))
    table = finding_rows(receipt_of(home, SENDER, number, "council", with_keys=True))[1:]
    assert len(table) == 1001
    assert (table[-1][6], table[-1][7]) == ("", "")
    assert table[-1][8] == "and 30 more rows of this cause"
    assert (table[-2][6], table[-2][7]) == ("1001", "LB999")


def test_a_trial_of_it_keeps_not_even_its_findings(home: Home, tmp_path: Path) -> None:
    file = persons_file(tmp_path / "a.csv", *GOOD, *BAD)
    with pytest.raises(RowsRefused) as caught:
        submit(home, file, agency="council", source="council.persons", actor=OPERATOR,
               options=Options(dry_run=True))  # fmt: skip
    assert caught.value.number is None
    assert deliveries(home, OPERATOR) == []
    home.close()
