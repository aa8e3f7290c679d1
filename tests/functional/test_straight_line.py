"""The main job end to end, as a newcomer runs it, and what it promises to print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit.verify import verify
from engine.cli.main import app
from engine.flows.home import Home
from engine.flows.link import link
from engine.flows.score import score
from engine.flows.submit import submit
from engine.linkage.index import current_facts, current_membership, review_pairs
from tests.builders.partnership import OPERATOR, TODAY, Partnership, make_partnership


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    home = tmp_path_factory.mktemp("demo") / "home"
    result = CliRunner().invoke(
        app,
        ["demo", "--size", "tiny", "--home", str(home), "--no-serve", "--json",
         "--as-of", TODAY.isoformat()],
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_demo_prints_one_document_with_everything_it_promises(report: dict[str, object]) -> None:
    assert {
        *("deliveries", "persons", "precision", "recall", "per_agency", "review_list", "reveals"),
        *("audit", "stages", "synthetic", "seconds", "peak_mib"),
    } <= set(report)
    assert report["synthetic"] is True
    assert len(report["deliveries"]) == 8  # type: ignore[arg-type]


def test_demo_rows_reconcile_for_every_delivery(report: dict[str, object]) -> None:
    for delivery in report["deliveries"]:  # type: ignore[attr-defined]
        rows = delivery["rows"]
        assert rows["in"] == rows["kept"] + sum(rows["dropped"].values()) > 0


def test_demo_links_without_merging_people_on_known_truth(report: dict[str, object]) -> None:
    assert report["precision"] >= 0.99  # type: ignore[operator]
    assert report["recall"] >= 0.9  # type: ignore[operator]
    assert set(report["per_agency"]) == {"council", "health", "housing", "police", "schools"}  # type: ignore[call-overload]


def test_demo_permits_and_refuses_with_reasons(report: dict[str, object]) -> None:
    reveals = report["reveals"]
    permitted = [one for one in reveals if one["permitted"]]  # type: ignore[attr-defined]
    refused = [one for one in reveals if not one["permitted"]]  # type: ignore[attr-defined]
    assert permitted
    assert refused
    assert all(one["reasons"] and one["next_step"] for one in refused)


def test_demo_trail_verifies_and_stages_are_measured(report: dict[str, object]) -> None:
    assert report["audit"]["verified"] is True  # type: ignore[index]
    assert report["audit"]["size"] > 40  # type: ignore[index]
    assert all(one["seconds"] >= 0 and one["peak_mib"] > 0 for one in report["stages"])  # type: ignore[attr-defined]


@pytest.mark.deep
def test_commands_run_the_line_one_by_one(tmp_path: Path, partnership: Partnership) -> None:
    home, runner = str(tmp_path / "home"), CliRunner()

    def run(*arguments: str, code: int = 0) -> dict[str, object]:
        result = runner.invoke(app, [*arguments, "--home", home, "--json"])
        assert result.exit_code == code, result.stderr
        found: dict[str, object] = json.loads(result.stdout)
        return found

    run("init", "--profile", "demo")
    for source, agency in (("police.missing", "police"), ("schools.roll", "schools")):
        run("submit", str(partnership.city.file(source)), "--agency", agency, "--source", source)
    assert run("link")["persons"] > 0  # type: ignore[operator]
    manifest = run("score", "--as-of", TODAY.isoformat())
    assert manifest["themes_not_scored"] == {
        "cse": "not scored: no data from police.occurrences",
        "cce": "not scored: no data from police.occurrences",
    }
    run("submit", str(partnership.city.file("police.occurrences")), "--agency", "police",
        "--source", "police.occurrences")  # fmt: skip
    run("link")
    run("score", "--as-of", TODAY.isoformat())
    lists = run("review", "list")["lists"]
    person = lists[0]["entries"][0]["person"]  # type: ignore[index]
    asked = ("--purpose", "safeguard_child", "--case", "CASE-1", "--person", person)
    reason = ("--reason", "Strategy discussion today about this child")
    shown = run("reveal", "--as", "demo.social_worker", *asked, *reason)
    assert shown["identity"]
    assert "c2sp.org/tlog-proof@v1" in shown["receipt"]["proof"]  # type: ignore[index]
    refused = run("reveal", "--as", "demo.ig_lead", *asked, *reason, code=12)
    assert refused["error"]["code"] == "FG-REV-03"  # type: ignore[index]
    assert run("audit", "verify")["status"] == "verified"
    assert run("doctor")["ok"] is True


@pytest.mark.finding("LNK-27")
def test_same_file_twice_is_the_same_delivery(tmp_path: Path) -> None:
    partnership = make_partnership(tmp_path)
    home, city = partnership.home, partnership.city
    before = current_facts(home.linkage, home.link_runs())
    asked = review_pairs(home.linkage, home.link_runs()[-1])
    again = submit(
        home, city.file("health.flags"), agency="health", source="health.flags", actor=OPERATOR
    )
    first = partnership.receipts["health.flags"]
    assert again["duplicate"] is True
    assert again["delivery"] == first["delivery"]
    assert len(home.published()) == 8
    second = link(home, OPERATOR)
    assert second["records_compared"] == 0
    assert (second["ids_created"], second["ids_merged"], second["ids_split"]) == (0, 0, 0)
    assert current_facts(home.linkage, home.link_runs()) == before
    assert review_pairs(home.linkage, home.link_runs()[-1]) == asked != []
    home.close()


def test_linking_again_keeps_every_person_id(tmp_path: Path) -> None:
    made = make_partnership(tmp_path)
    before = current_membership(made.home.linkage, made.home.link_runs())
    second = link(made.home, OPERATOR)
    assert current_membership(made.home.linkage, made.home.link_runs()) == before
    assert (second["ids_created"], second["ids_merged"], second["ids_split"]) == (0, 0, 0)
    made.home.close()


@pytest.mark.deep
def test_two_homes_from_one_seed_give_the_same_digest_and_another_seed_the_same_scores(
    tmp_path: Path,
) -> None:
    digests, scores = [], []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        made = make_partnership(tmp_path / name, seed=seed)
        manifest = score(made.home, TODAY, OPERATOR)
        digests.append(
            (manifest["tables"], manifest["events"], manifest["states"], manifest["links"])
        )
        table = made.home.warehouse.result(manifest["run"], "score")
        scores.append(sorted(table.column("score").to_pylist()))
        assert verify(made.home.path / "audit").status == "verified"
        made.home.close()
    assert digests[0] == digests[1]
    assert scores[0] == scores[1]
    # Another key epoch renames everybody and changes no score (SCO-P9).
    assert scores[0] == scores[2]


def test_a_run_sees_nothing_that_was_recorded_after_its_date(partnership: Partnership) -> None:
    home: Home = partnership.home
    earlier = TODAY.replace(year=2025)
    manifest = score(home, earlier, OPERATOR)
    dropped = manifest["events"]["dropped"]
    assert dropped["in_the_future"] + dropped["not_recorded_yet"] > 0
    table = home.warehouse.result(manifest["run"], "contribution")
    last = max(table.column("last").to_pylist(), default=0)
    assert last <= (earlier - TODAY.replace(year=1970, month=1, day=1)).days
    score(home, TODAY, OPERATOR)
