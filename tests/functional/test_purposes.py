"""A run serves one purpose: serious violence is scored apart from safeguarding, by its own law (ADR 0016)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, col, select
from typer.testing import CliRunner

from engine.cli.main import app
from engine.domain.errors import PolicyRefused, RunError
from engine.flows import product_tables
from engine.flows.admitted import admitted_kinds
from engine.flows.challenge import challenge
from engine.flows.decision import Ask
from engine.flows.home import Home
from engine.flows.lists import decide, latest_run, review_list, review_lists
from engine.flows.person import look
from engine.flows.registry import answer, ask, why_not_served
from engine.flows.replay import replay, runs
from engine.flows.reveal import reveal
from engine.flows.score import JOB, score
from engine.flows.who_saw import who_saw
from engine.intake.contract import contract_of
from engine.store.tables import Delivery, ReviewItem
from engine.web.app import create_app
from policies.products import ALGO_CARE, RELEASE_REFS
from tests.builders.partnership import OPERATOR, REASON, TODAY, Partnership, make_partnership

DEMO: dict[str, Any] = {"auth": "demo"}
WORKER, UNIT, LEAD, DPO = "demo.social_worker", "demo.violence", "demo.ig_lead", "demo.dpo"
SAFEGUARD, VIOLENCE = "safeguard_child", "serious_violence_prevention"
WHY = "Agreed by the board of the invented partnership."
RELEASE = {
    **dict.fromkeys(("owner", "uplift", "cost_ratio", "practitioners"), "invented"),
    **{name: {"ref": "X-1", "until": "2027-06-30"} for name in RELEASE_REFS},
    "stop": "2027-06-30",
    "evaluation": {
        "made_on": "2026-11-25", "synthetic": "yes", "population": "invented", "later_period": "no",
        "counts": {"hit": "1", "false": "1", "missed": "1", "left": "9"},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Partnership]:
    world = make_partnership(tmp_path_factory.mktemp("purposes"))
    score(world.home, TODAY, OPERATOR, VIOLENCE)
    yield world
    world.home.close()


def _job(home: Home, purpose: str) -> dict[str, Any]:
    run = latest_run(home, purpose)
    assert run is not None
    found: dict[str, Any] = json.loads((home.warehouse.run(run.id) / JOB).read_text("utf-8"))
    return found


def _live(home: Home) -> None:
    """Release serious violence by two people; figures and references are invented."""
    whole = replace(
        home.pack.products["serious_violence"],
        release=RELEASE,
        algo_care=dict.fromkeys(ALGO_CARE, "x"),
    )
    home.pack.products["serious_violence"] = whole  # type: ignore[index]
    for to in ("shadow", "live"):
        step = ask(home, LEAD, "serious_violence", to, WHY, **DEMO)
        answer(home, DPO, step["number"], agree=True, **DEMO)


@pytest.fixture(scope="module")
def live(made: Partnership) -> Home:
    _live(made.home)
    return made.home


@pytest.mark.finding("LAW-11")
def test_a_run_for_serious_violence_is_handed_no_file_and_nobody_of_health_or_social_care(
    made: Partnership,
) -> None:
    home, job = made.home, _job(made.home, VIOLENCE)
    with Session(home.casework) as session:
        source_of = dict(session.execute(select(Delivery.id, Delivery.source)).all())
    handed = {source_of[Path(path).stem.rpartition(".")[2]] for path in job["events"]}
    assert handed == {"police.occurrences", "police.missing", "schools.exclusions"} & set(
        source_of.values()
    )
    kinds = home.tables.kind_by_id()
    admitted = {kinds[one].name for found in job["admitted"].values() for one in found}
    assert admitted <= set(home.pack.products["serious_violence"].evidence)
    everybody = pq.read_table(_job(home, SAFEGUARD)["persons"]).num_rows
    known = pq.read_table(job["persons"]).num_rows
    assert 0 < known < everybody
    run = latest_run(home, VIOLENCE)
    assert run is not None
    assert run.manifest["themes_scored"] == ["serious_violence"]
    assert run.manifest["states"]["kept"] == 0
    assert set(run.manifest["lists"]) == {
        f"serious_violence.{name}" for name in ("harmed", "harming", "increasing")
    }
    contribution = home.warehouse.result(run.id, "contribution")
    theme = home.tables.themes.index("serious_violence")
    assert set(contribution.column("theme").to_pylist()) == {theme}
    # What safeguarding is shown has nothing of serious violence in it either.
    other = latest_run(home)
    assert other is not None
    assert theme not in home.warehouse.result(other.id, "score").column("theme").to_pylist()


def test_the_newest_run_of_another_purpose_hides_no_list(made: Partnership) -> None:
    home = made.home
    assert [one["purpose"] for one in runs(home)] == [VIOLENCE, SAFEGUARD]
    lists = review_lists(home, WORKER, **DEMO)
    assert {one["theme"] for one in lists["lists"]} == {"cse", "cce"}
    assert any(one["entries"] for one in lists["lists"])
    assert lists["not_served"] == {}


def test_it_is_scored_and_not_shown_until_two_people_release_it(made: Partnership) -> None:
    home = made.home
    lists = review_lists(home, UNIT, **DEMO)
    assert {one["theme"] for one in lists["lists"]} == {"serious_violence"}
    assert lists["not_served"] == {"serious_violence": "not released"}
    assert not any(one["entries"] for one in lists["lists"])
    step = ask(home, LEAD, "serious_violence", "shadow", WHY, **DEMO)
    answer(home, DPO, step["number"], agree=True, **DEMO)
    with pytest.raises(RunError, match="FG-REG-04"):
        ask(home, LEAD, "serious_violence", "live", WHY, **DEMO)
    step = ask(home, LEAD, "serious_violence", "suspended", WHY, **DEMO)
    assert step["state"] == "final"


def test_what_is_live_is_shown_to_its_own_readers_and_to_nobody_else(live: Home) -> None:
    lists = review_lists(live, UNIT, **DEMO)
    entries = [one for each in lists["lists"] for one in each["entries"]]
    assert entries
    (person, *_) = [one["person"] for one in entries if not one["blind"]]
    shown = look(live, UNIT, person, **DEMO)
    assert {one["theme"] for one in shown["scores"]} == {"serious_violence"}
    counted = [part for one in shown["scores"] for part in one["contributions"]]
    assert all(part["last_seen"] for part in counted if part["points"])
    assert shown["indicators"] is None
    assert shown["household"] is None
    assert shown["associates"] is not None
    assert shown["group"] is not None
    with TestClient(create_app(live), base_url="http://127.0.0.1") as client:
        client.post("/sign-in", data={"user": UNIT})
        assert "serious violence" in client.get("/lists").text
        page = client.get(f"/people/{person}")
        assert page.status_code == 200
        assert "Serious violence" in page.text
        assert "Indicators" not in page.text
    # Neither side learns from the other: not by list, not by place, not by name.
    with pytest.raises(PolicyRefused, match="FG-REV-08"):
        review_list(live, UNIT, "cse.harmed", **DEMO)
    with pytest.raises(PolicyRefused, match="FG-REV-08"):
        review_list(live, WORKER, "serious_violence.harmed", **DEMO)
    mine = look(live, WORKER, person, **DEMO)
    assert "serious_violence" not in {one["theme"] for one in mine["scores"] or []}
    assert not any(one["list"].startswith("serious") for one in mine["entries"])
    with pytest.raises(PolicyRefused):
        reveal(live, Ask(UNIT, VIOLENCE, "CASE-1", REASON, person), **DEMO)


@pytest.mark.finding("T-TF4")
def test_who_saw_a_product_are_the_readers_of_its_purpose(live: Home) -> None:
    review_lists(live, WORKER, **DEMO)
    review_lists(live, UNIT, **DEMO)
    assert who_saw(live, LEAD, "serious_violence", **DEMO)["people"] == [UNIT]
    assert UNIT not in who_saw(live, LEAD, "cse", **DEMO)["people"]
    assert WORKER in who_saw(live, LEAD, "cse", **DEMO)["people"]


def test_an_outcome_of_one_purpose_rests_nobody_under_another(live: Home) -> None:
    both = {
        purpose: {
            one["person"]: one["item"]
            for each in review_lists(live, user, **DEMO)["lists"]
            for one in each["entries"]
        }
        for purpose, user in ((SAFEGUARD, WORKER), (VIOLENCE, UNIT))
    }
    person = min(both[VIOLENCE])
    item = both[VIOLENCE][person]
    with pytest.raises(PolicyRefused, match="FG-REV-08"):
        decide(live, WORKER, item, "watch", **DEMO)
    decide(live, UNIT, item, "not_appropriate", **DEMO)
    with Session(live.casework) as session:
        asked = select(ReviewItem).where(col(ReviewItem.person) == person)
        outcomes = {one.list: one.outcome for one in session.exec(asked).all()}
    assert all(
        (outcome is not None) == name.startswith("serious_violence")
        for name, outcome in outcomes.items()
    )
    score(live, TODAY, OPERATOR)
    score(live, TODAY, OPERATOR, VIOLENCE)
    assert _job(live, SAFEGUARD)["decided"] == {}
    assert len(_job(live, VIOLENCE)["decided"]) == 1
    resting = [one["person"] for each in review_lists(live, UNIT, **DEMO)["lists"]
               for one in each["entries"]]  # fmt: skip
    assert person not in resting


def test_memory_compares_runs_of_one_purpose_and_each_replays_to_the_byte(live: Home) -> None:
    live.clock.advance(days=30)  # type: ignore[attr-defined]
    later = TODAY + timedelta(days=30)
    for purpose in (SAFEGUARD, VIOLENCE):
        score(live, later, OPERATOR, purpose)
        run = latest_run(live, purpose)
        assert run is not None
        before = run.manifest["compared_with"]["run"]
        assert {one["run"]: one["purpose"] for one in runs(live)}[before] == purpose
        assert replay(live, run.id, OPERATOR)["same"]
    live.clock.advance(days=-30)  # type: ignore[attr-defined]


def test_a_suspension_of_one_product_leaves_the_other_purpose_alone(live: Home) -> None:
    ask(live, LEAD, "serious_violence", "suspended", WHY, **DEMO)
    told = review_lists(live, UNIT, **DEMO)
    assert "suspended" in told["not_served"]["serious_violence"]
    assert not any(one["entries"] for one in told["lists"])
    assert review_lists(live, WORKER, **DEMO)["not_served"] == {}
    run = latest_run(live, VIOLENCE)
    assert run is not None
    # From a run of one purpose nothing of another is ever served, whatever its files hold.
    assert set(why_not_served(live, run)) == set(live.tables.themes)


def test_no_run_and_no_model_is_made_for_a_purpose_that_no_power_opens(made: Partnership) -> None:
    with pytest.raises(RunError, match="FG-SCO-20"):
        score(made.home, TODAY, OPERATOR, "crime_prevention")
    with pytest.raises(RunError, match="FG-SCO-21"):
        challenge(made.home, "serious_violence", "violence", TODAY, OPERATOR)
    where = ["--home", str(made.home.path), "--as-of", TODAY.isoformat()]
    refused = CliRunner().invoke(app, ["score", *where, "--purpose", "somebody@example.test"])
    assert refused.exit_code == 15
    assert "somebody" not in refused.output


@pytest.mark.finding("LAW-11")
def test_of_two_fields_that_lead_to_one_kind_a_closed_one_closes_it(
    made: Partnership, monkeypatch: pytest.MonkeyPatch
) -> None:

    home = made.home
    source = home.pack.sources["police.occurrences"]
    knife = replace(source.fields["knife"], purposes=frozenset({SAFEGUARD}))
    other = replace(source, fields={**source.fields, "knife": knife})
    number = str(home.source_numbers()[source.id])
    weapon = home.tables.kinds["weapon"].id
    assert weapon in admitted_kinds(home, {source.id}, VIOLENCE)[number]
    monkeypatch.setitem(home.pack.sources, source.id, other)  # type: ignore[arg-type]
    assert contract_of(other).yields
    assert weapon not in admitted_kinds(home, {source.id}, VIOLENCE)[number]
    assert weapon in admitted_kinds(home, {source.id}, SAFEGUARD)[number]


def test_a_purpose_that_no_product_serves_is_shown_what_safeguarding_makes(
    made: Partnership,
) -> None:
    pack, tables = made.home.pack, made.home.tables
    assert product_tables.run_purpose(pack, tables, "school_safeguarding") == SAFEGUARD
    assert product_tables.told_themes(pack, tables, SAFEGUARD) == ["cse", "cce"]
    assert product_tables.told_themes(pack, tables, VIOLENCE) == ["serious_violence"]
