"""A run takes over from an earlier one what still holds, and says so; a replay computes everybody again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlmodel import Session, select
from typer.testing import CliRunner

from engine.cli.main import app
from engine.flows.clerical import decide_pair, queue
from engine.flows.deliveries import withdraw
from engine.flows.home import Home
from engine.flows.incoming import Options
from engine.flows.link import link
from engine.flows.replay import replay
from engine.flows.score import score
from engine.flows.score_base import delivery_of, score_base
from engine.flows.setup import stop_agreement
from engine.flows.submit import submit
from engine.store.tables import ScoreRun
from tests.builders.partnership import OPERATOR, TODAY, Partnership, make_partnership

MATCHER = "demo.matcher"
WHY = "Both records carry the same school and the same mother."


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Partnership]:
    world = make_partnership(tmp_path_factory.mktemp("increment"))
    yield world
    world.home.close()


def _increment(home: Home) -> dict[str, Any]:
    """Score, and hold the run against one that computes everybody."""
    told = score(home, TODAY, OPERATOR)
    assert told["made"]["how"] == "increment", told["made"]
    again = replay(home, told["run"], OPERATOR)
    assert again["same"]
    assert again["digest"] == told["digest"]
    return told


def _correct(made: Partnership, folder: Path, wrong: str) -> None:
    """Send the missing unit's file again without one episode."""
    lines = made.city.file("police.missing").read_text(encoding="utf-8").splitlines(keepends=True)
    file = folder / "police_missing.csv"
    file.write_text("".join(line for line in lines if not line.startswith(wrong)), encoding="utf-8")
    number = int(str(made.receipts["police.missing"]["number"]))
    submit(made.home, file, agency="police", source="police.missing", actor=OPERATOR,
           options=Options(replaces=number))  # fmt: skip


def test_corrections_and_merges_are_computed_and_the_rest_is_taken_over(
    made: Partnership, tmp_path: Path
) -> None:
    home = made.home
    first = score(home, TODAY, OPERATOR, full=True)
    assert first["made"] == {"how": "full", "run": "", "people": 0, "why": "asked for"}
    nothing = _increment(home)
    assert nothing["made"] == {"how": "increment", "run": first["run"], "people": 0, "why": ""}
    _correct(made, tmp_path, "MIS0000001")
    link(home, OPERATOR)
    corrected = _increment(home)
    assert corrected["made"]["run"] == nothing["run"]
    assert 3 <= corrected["made"]["people"] < corrected["persons"] // 4
    assert corrected["events"]["kept"] < nothing["events"]["kept"]
    pairs = queue(home, MATCHER, auth="demo")["pairs"]
    states = [
        decide_pair(home, MATCHER, one["pair"], "one", WHY, auth="demo")["state"]
        for one in pairs[:4]
    ]
    assert "final" in states
    assert link(home, OPERATOR)["ids_merged"] >= 1
    merged = _increment(home)
    assert merged["persons"] < corrected["persons"]
    assert merged["made"]["people"] >= 1


@pytest.mark.deep
def test_a_later_day_and_another_purpose_are_scored_from_what_may_be_used(
    made: Partnership,
) -> None:
    home = made.home
    earlier = score(home, TODAY - timedelta(days=1), OPERATOR)
    assert earlier["made"]["how"] == "full" or earlier["made"]["run"]
    assert replay(home, earlier["run"], OPERATOR)["same"]
    other = score(home, TODAY, OPERATOR, "serious_violence_prevention")
    assert other["made"]["why"] == "there is no earlier run"
    assert (
        score(home, TODAY, OPERATOR, "serious_violence_prevention")["made"]["run"] == other["run"]
    )


@pytest.mark.deep
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"code": "0" * 64}, "other code"),
        ({"tables": "0" * 64}, "other tables"),
        ({"engine": "numpy 1.0"}, "another engine"),
        ({"job": "0" * 64}, "description of the earlier run"),
        ({"inputs": "0" * 64}, "an input of the earlier run"),
        ({"digest": "0" * 64}, "a result of the earlier run"),
    ],
)
def test_any_doubt_about_the_earlier_run_computes_everybody(
    made: Partnership, changes: dict[str, str], why: str
) -> None:
    home = made.home
    last = score(home, TODAY, OPERATOR)
    with Session(home.casework) as session:
        run = session.exec(select(ScoreRun).where(ScoreRun.id == last["run"])).one()
        run.manifest = {**run.manifest, **changes}
        session.add(run)
        session.commit()
    told = score(home, TODAY, OPERATOR)["made"]
    assert told["how"] == "full"
    assert why in told["why"]


@pytest.mark.deep
def test_another_policy_computes_everybody(made: Partnership) -> None:
    home = made.home
    last = score(home, TODAY, OPERATOR)
    with Session(home.casework) as session:
        run = session.exec(select(ScoreRun).where(ScoreRun.id == last["run"])).one()
        run.policy_version = "0" * 64
        session.add(run)
        session.commit()
    assert "another policy" in score(home, TODAY, OPERATOR)["made"]["why"]


@pytest.mark.deep
def test_a_result_that_was_tampered_with_is_not_taken_over(made: Partnership) -> None:
    home = made.home
    last = score(home, TODAY, OPERATOR)
    path = home.warehouse.run(last["run"]) / "score.parquet"
    before = path.read_bytes()
    pq.write_table(pq.read_table(path).slice(1), path)
    told = score(home, TODAY, OPERATOR)["made"]
    path.write_bytes(before)
    assert "a result of the earlier run" in told["why"]


@pytest.mark.deep
def test_the_command_says_how_a_run_was_made(made: Partnership) -> None:
    home = made.home
    where = ["--as-of", TODAY.isoformat(), "--home", str(home.path)]
    whole = CliRunner().invoke(app, ["score", *where, "--full"])
    assert whole.exit_code == 0
    assert "Computed whole: asked for" in whole.stdout
    told = CliRunner().invoke(app, ["score", *where])
    assert "0 people computed, the others taken over from run" in told.stdout
    as_json = CliRunner().invoke(app, ["score", *where, "--json"])
    assert json.loads(as_json.stdout)["made"]["how"] == "increment"


@pytest.mark.finding("SCO-P10")
def test_a_run_over_what_was_withdrawn_is_never_taken_over(made: Partnership) -> None:
    home = made.home
    score(home, TODAY, OPERATOR)
    withdraw(home, int(str(made.receipts["health.flags"]["number"])), OPERATOR)
    told = score(home, TODAY, OPERATOR)
    assert told["made"] == {
        "how": "full",
        "run": "",
        "people": 0,
        "why": "a delivery of the earlier run was withdrawn",
    }
    assert score(home, TODAY, OPERATOR)["made"]["run"] == told["run"]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Partnership]:
    world = make_partnership(tmp_path)
    yield world
    world.home.close()


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_damaged_earlier_run_stops_no_later_one(small: Partnership) -> None:
    home = small.home
    first = score(home, TODAY, OPERATOR)
    _half(home.warehouse.run(first["run"]) / "link.parquet")
    second = score(home, TODAY, OPERATOR)
    assert second["made"]["how"] == "full"
    assert "a file of the earlier run cannot be read" in second["made"]["why"]
    for name in ("job.json", "group_member.parquet"):
        _half(home.warehouse.run(second["run"]) / name)
    third = score(home, TODAY, OPERATOR)
    assert third["made"]["how"] == "full"
    assert third["made"]["why"] == "the description of the earlier run cannot be read"
    assert score(home, TODAY, OPERATOR)["made"]["run"] == third["run"]


def test_a_stopped_agreement_closes_the_files_of_earlier_runs_as_well(small: Partnership) -> None:
    home, purpose = small.home, "serious_violence_prevention"
    long_ago = TODAY - timedelta(days=home.tables.increase_days)
    score(home, long_ago, OPERATOR, purpose)
    before = score(home, TODAY, OPERATOR, purpose)
    assert _job(home, before["run"])["before"]["events"]
    stop_agreement(home, "dsa_0008", "demo.lead", stopped=True)
    told = score(home, TODAY, OPERATOR, purpose)
    assert told["made"]["how"] == "full"
    assert "may not be read for the purpose any more" in told["made"]["why"]
    job = _job(home, told["run"])
    open_now = {*job["events"], *job["states"]}
    assert open_now < {
        path for part in ("events", "states") for path in _job(home, before["run"])[part]
    }
    assert set(job["before"]["events"]) <= open_now
    assert score(home, TODAY, OPERATOR, purpose)["made"]["run"] == told["run"]


def test_one_source_less_than_the_earlier_run_read_is_enough_to_open_nothing_of_it(
    small: Partnership,
) -> None:
    home = small.home
    run = score(home, TODAY, OPERATOR, "serious_violence_prevention")["run"]
    with Session(home.casework) as session:
        runs = [session.exec(select(ScoreRun).where(ScoreRun.id == run)).one()]
        job = _job(home, run)
        assert score_base(home, runs, job, full=False)["run"] == run
        gone = delivery_of(job["events"][0])
        less = {part: [one for one in job[part] if delivery_of(one) != gone]
                for part in ("events", "states")}  # fmt: skip
        told = score_base(home, runs, {**job, **less}, full=False)
    assert told == {
        "run": "",
        "why": "the earlier run read a source that may not be read for the purpose any more",
    }


def _job(home: Home, run: str) -> dict[str, Any]:
    job: dict[str, Any] = json.loads((home.warehouse.run(run) / "job.json").read_text("utf-8"))
    return job
