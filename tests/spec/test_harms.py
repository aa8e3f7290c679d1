"""The checks of known harm hold on the shipped points, and find the harm where it is put in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.cli.main import app
from scoring import harms
from scoring.errors import ScoringFault
from scoring.harms import CHECKS, CRASHED, FAILS, HOLDS, report
from scoring.tables import load_tables
from tests.builders.scoring_columns import TABLES, edited_tables

FOUND = {one["id"]: one for one in report(TABLES)}


@pytest.mark.parametrize(
    "check",
    [pytest.param(one.id, marks=pytest.mark.finding(f"SCO-{one.id}")) for one in CHECKS],
)
def test_no_known_harm_comes_of_the_shipped_points(check: str) -> None:
    assert FOUND[check]["state"] == HOLDS, FOUND[check]["measured"]


def test_every_harm_of_the_page_has_a_check() -> None:
    assert [one.id for one in CHECKS] == [f"T{number}" for number in range(1, 19)]


@pytest.mark.parametrize(
    ("check", "file", "old", "new"),
    [
        ("T2", "points.csv", "cce,harming,weapon,suspect,any,30,180",
         "cce,harming,weapon,suspect,any,30,180\ncce,harming,call_card,subject,any,9,180"),
        ("T5", "links.yaml", "omega: 300, l0: 40, tracks: [harmed]", "omega: 300, l0: 40, tracks: [harmed, harming]"),
        ("T7", "links.yaml", "omega: 0, l0: 40, tracks: []", "omega: 400, l0: 40, tracks: [harmed]"),
        ("T15", "parameters.yaml", "  cse: [police.occurrences, police.missing]\n", ""),
    ],
    ids=["T2", "T5", "T7", "T15"],
)  # fmt: skip
def test_a_harm_that_is_put_in_is_found(
    tmp_path: Path, check: str, file: str, old: str, new: str
) -> None:
    tables = load_tables(edited_tables(tmp_path, {file: (old, new)}))
    states = {one["id"]: one["state"] for one in report(tables)}
    assert states[check] == FAILS


@pytest.mark.finding("SCO-T14")
def test_points_under_which_one_unnamed_event_is_enough_do_not_load(tmp_path: Path) -> None:
    old = "cse,harmed,missing_episode,missing,under18,25,90"
    folder = edited_tables(tmp_path, {"points.csv": (old, old.replace(",25,", ",40,"))})
    with pytest.raises(ScoringFault, match="missing_episode is enough"):
        load_tables(folder)


def test_a_check_that_breaks_is_not_one_that_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harms, "_effort", None)
    broken = harms.Check("T2", "", "", lambda tables: 1 / 0)  # type: ignore[arg-type,return-value]
    monkeypatch.setattr(harms, "CHECKS", (broken,))
    (one,) = report(TABLES)
    assert (one["state"], one["measured"]) == (CRASHED, "ZeroDivisionError")


def test_the_report_is_printed_written_and_told_as_data(tmp_path: Path) -> None:
    out = tmp_path / "harms.md"
    done = CliRunner().invoke(app, ["harms", "report", "--out", str(out), "--json"])
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told["holds"]
    assert told["newest_run"] is None
    assert out.read_text().count("| holds |") == 18
    assert "Known harms" in CliRunner().invoke(app, ["harms", "report"]).stdout
