"""A run is replayed to the byte, or it is said why it cannot be (promise 7)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlmodel import Session, select
from typer.testing import CliRunner

import engine.flows.replay as replaying
from audit.canonical import parse
from audit.log import read_events
from engine.cli.main import app
from engine.domain.errors import NotReplayable, RunError
from engine.flows.deliveries import withdraw
from engine.flows.home import Home
from engine.flows.link import link
from engine.flows.replay import replay, runs
from engine.flows.score import JOB, score
from engine.store.tables import ScoreRun
from tests.builders.partnership import OPERATOR, TODAY, make_partnership


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_partnership(tmp_path_factory.mktemp("replay")).home


def _alter(home: Home, **changes: str) -> dict[str, Any]:
    """Change the manifest of the first run and return the old one."""
    with Session(home.casework) as session:
        run = session.exec(select(ScoreRun).where(ScoreRun.number == 1)).one()
        before = dict(run.manifest)
        run.manifest = {**before, **changes}
        session.add(run)
        session.commit()
    return before


def test_a_run_gives_the_same_bytes_again_and_leaves_nothing_behind(home: Home) -> None:
    folders = sorted((home.warehouse.folder / "runs").iterdir())
    told = replay(home, "1", OPERATOR)
    assert told["same"]
    assert told["files"] >= 8
    assert told["digest"] == runs(home)[-1]["digest"]
    assert sorted((home.warehouse.folder / "runs").iterdir()) == folders
    events = [parse(body) for _, body in read_events(home.path / "audit")]
    mine = [event for event in events if event["flow"] == "replay"]
    assert [event["phase"] for event in mine] == ["outcome", "intent"]
    assert mine[0]["result_hash"] == told["digest"]
    job = (home.warehouse.run(told["run"]) / JOB).read_text(encoding="utf-8")
    assert "tie_key" not in job


def test_a_run_is_replayed_as_it_was_when_more_came_since(home: Home) -> None:
    link(home, OPERATOR, whole=True)
    later = score(home, TODAY, OPERATOR)
    assert replay(home, "1", OPERATOR)["same"]
    assert replay(home, later["run"], OPERATOR)["same"]
    with pytest.raises(RunError, match="FG-RUN-09"):
        replay(home, "99", OPERATOR)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"tables": "0" * 64}, "tables of points"),
        ({"code": "0" * 64}, "code of the scoring package"),
        ({"inputs": "0" * 64}, "an input file holds other bytes"),
        ({"engine": "numpy 1.0"}, "it was made by numpy 1.0"),
        ({"digest": "0" * 64}, "another digest"),
    ],
)
def test_other_ground_is_named_and_never_passed_over(
    home: Home, changes: dict[str, str], why: str
) -> None:
    before = _alter(home, **changes)
    try:
        with pytest.raises(NotReplayable, match=why):
            replay(home, "1", OPERATOR)
    finally:
        _alter(home, **before)


def test_result_files_with_other_bytes_are_found(home: Home) -> None:
    path = home.warehouse.run(runs(home)[-1]["run"]) / "score.parquet"
    before = path.read_bytes()
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(NotReplayable, match="1 of .* result files"):
        replay(home, "1", OPERATOR)
    path.write_bytes(before)
    assert replay(home, "1", OPERATOR)["same"]


def test_a_crash_inside_a_replay_leaves_no_folder(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = sorted((home.warehouse.folder / "runs").iterdir())

    def broken(*_: object) -> dict[str, Any]:
        raise OSError("the disk is gone")

    monkeypatch.setattr(replaying, "run_process", broken)
    with pytest.raises(OSError, match="the disk is gone"):
        replay(home, "1", OPERATOR)
    assert sorted((home.warehouse.folder / "runs").iterdir()) == folders


@pytest.mark.finding("SCO-P10")
@pytest.mark.deep
def test_what_was_withdrawn_is_named_by_its_delivery(tmp_path: Path) -> None:
    made = make_partnership(tmp_path)
    home, number = made.home, int(str(made.receipts["police.missing"]["number"]))
    delivery = home.path.joinpath("warehouse", "events")
    kept = {path.stem for path in delivery.iterdir()}
    withdraw(home, number, OPERATOR)
    gone = kept - {path.stem for path in delivery.iterdir()}
    assert len(gone) == 1
    # Nothing of it stays behind in the folder of a run either.
    assert not list(home.path.joinpath("warehouse").rglob(f"*{gone.pop()}*"))
    with pytest.raises(NotReplayable, match=rf"deliveries: {number} \(withdrawn\)"):
        replay(home, "1", OPERATOR)
    where = ["--home", str(home.path)]
    home.close()
    refused = CliRunner().invoke(app, ["score", "replay", "1", *where])
    assert refused.exit_code == 16
    listed = CliRunner().invoke(app, ["score", "list", *where, "--json"])
    assert [one["number"] for one in json.loads(listed.stdout)["runs"]] == [1]
    again = CliRunner().invoke(app, ["score", "--as-of", TODAY.isoformat(), *where, "--json"])
    assert again.exit_code == 0
    whole = CliRunner().invoke(app, ["score", "replay", "2", *where, "--json"])
    assert json.loads(whole.stdout)["same"]
    assert CliRunner().invoke(app, ["score", *where]).exit_code == 2
