"""The seventeen reports over a real home: each ran or says why not, and running them is one reading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select
from typer.testing import CliRunner

from audit.canonical import parse
from audit.log import read_events
from engine.cli.main import app
from engine.domain.errors import ConfigError, PolicyRefused
from engine.flows import report_products as products
from engine.flows.decision import Ask
from engine.flows.deliveries import withdraw
from engine.flows.disclosures import disclosures
from engine.flows.equality import Help, helped
from engine.flows.evaluate import labels_of
from engine.flows.home import Home
from engine.flows.lists import latest_run, review_lists
from engine.flows.person import look
from engine.flows.report_form import FAILED, RAN, SKIPPED, Told
from engine.flows.reports import REPORTS, Desk, Kind, reports
from engine.flows.reveal import reveal
from engine.flows.search_trail import Search, search_trail
from engine.flows.setup import add_account, stop_agreement
from engine.flows.submit import submit
from engine.linkage.index import current_membership
from engine.store.tables import RecordFlag, SubjectState
from engine.web.app import create_app
from tests.builders.partnership import (
    OPERATOR,
    REASON,
    Clock,
    Partnership,
    link_elsewhere,
    person_row,
    persons_file,
)

DEMO: dict[str, Any] = {"auth": "demo"}
LEAD, DPO, WORKER = "demo.ig_lead", "demo.dpo", "demo.social_worker"


def _all(home: Home, **more: Any) -> dict[str, dict[str, Any]]:
    found = reports(home, LEAD, "lawfulness", **more, **DEMO)
    return {one["name"]: one for one in found["reports"]}


def _listed(partnership: Partnership, place: int) -> str:
    lists = review_lists(partnership.home, WORKER, **DEMO)["lists"]
    entries = [one for one in lists[0]["entries"] if not one["blind"]]
    return str(entries[place]["person"])


def test_every_report_runs_on_a_real_home_or_says_why_not(partnership: Partnership) -> None:
    found = _all(partnership.home)
    assert list(found) == list(REPORTS)
    assert {one["status"] for one in found.values()} <= {RAN, SKIPPED}, found
    skipped = {name for name, one in found.items() if one["status"] == SKIPPED}
    assert skipped == {"near_oneself"}
    assert all(one["note"] for one in found.values() if one["status"] == SKIPPED)
    assert all(len(row) == len(one["columns"]) for one in found.values() for row in one["rows"])
    json.dumps(found)


def test_what_somebody_did_stands_in_the_reports(partnership: Partnership) -> None:
    home = partnership.home
    before = _all(home)
    person = _listed(partnership, 2)
    look(home, WORKER, person, **DEMO)
    reveal(home, Ask("demo.front_door", "immediate_danger", "", REASON, person), **DEMO)
    with pytest.raises(PolicyRefused):
        reveal(home, Ask(WORKER, "safeguard_child", "", REASON, person), **DEMO)
    after = _all(home)
    danger = {row[1]: row[3] for row in after["immediate_danger"]["rows"]}
    assert danger["demo.front_door"] == "waits"
    assert any(row[0] == WORKER and row[5] >= 1 for row in after["no_case"]["rows"])
    assert any(row[0] == "demo.front_door" for row in after["no_case"]["rows"])
    assert after["acted_on"]["figure"] >= before["acted_on"]["figure"]
    assert after["gateways"]["rows"]
    assert after["volume"]["rows"]
    assert after["readers"]["figure"] == before["readers"]["figure"] + 1
    assert after["trail_holds"]["figure"] == 0
    assert ["status", "verified"] in after["trail_holds"]["rows"]
    flagged = after["flagged"]["rows"]
    assert {row[1] for row in flagged} == {
        "ethnic group", "special needs", "sex", "means-tested help",
    }  # fmt: skip
    for row in flagged:
        assert row[3] == "hidden" or row[3] == 0 or row[3] >= 10


def _help(home: Home) -> tuple[Help, list[bytes]]:
    sealed = sorted(current_membership(home.linkage, home.link_runs()))
    records = home.domain("linkage").open(sealed)
    return helped(home, records), records


def test_means_tested_help_passes_the_gates_of_the_policy_and_a_closed_record_counts_nowhere(
    partnership: Partnership,
) -> None:
    home = partnership.home
    before, records = _help(home)
    assert before.labels is not None
    assert (before.closed, before.sentence()) == ((), "")
    at = before.labels.index("yes")
    name = home.domain("record").text(home.domain("record").seal([records[at]])[0])
    flag = RecordFlag(record=name, flag="restricted", value="y", set_by="op", set_at=home.clock())
    run = latest_run(home)
    assert run is not None
    people = [
        bytes(one) for one in home.warehouse.result(run.id, "person").column("person").to_pylist()
    ]
    stopped = []
    try:
        with Session(home.casework) as session:
            session.add(flag)
            session.commit()
        after, _ = _help(home)
        assert after.labels is not None
        places = range(len(records))
        assert [one for one in places if after.labels[one] != before.labels[one]] == [at]
        for agreement in ("dsa_0001", "dsa_0004"):
            stop_agreement(home, agreement, "operator", stopped=True)
            stopped.append(agreement)
        home.refresh_policy()
        closed, _ = _help(home)
        assert (closed.labels, closed.closed) == (None, ("Rent arrears",))
        labels, said = labels_of(home, people)
    finally:
        # The home is every test's.
        for agreement in stopped:
            stop_agreement(home, agreement, "operator", stopped=False)
        with Session(home.casework) as session:
            for one in session.exec(select(RecordFlag).where(RecordFlag.record == name)).all():
                session.delete(one)
            session.commit()
        home.refresh_policy()
    assert set(labels) == {"ethnic group", "special needs", "sex"}
    assert said == "Means-tested help is not told: Rent arrears."
    assert said in products.flagged({"x": [True] * len(people)}, labels, said).note
    assert _help(home)[0] == before


def test_reports_and_disclosures_are_as_the_trail_stood_when_they_were_asked(
    partnership: Partnership,
) -> None:
    home = partnership.home
    person = _listed(partnership, 0)
    calm = home.arrow

    def busy(name: str) -> None:
        """Let somebody look at the person, and another reader bring the index up to it, meanwhile."""
        calm(name)
        if name in ("reports.intent", "disclosures.intent"):
            home.arrow = calm
            look(home, WORKER, person, **DEMO)
            search_trail(home, DPO, "lawfulness", Search(), **DEMO)

    def told() -> int:
        return len(disclosures(home, LEAD, "lawfulness", person, **DEMO)["disclosed"])

    def counted() -> int:
        return int(reports(home, LEAD, "lawfulness", "readers", **DEMO)["acts"])

    for ask, own in ((told, 0), (counted, 1)):
        before = ask()
        home.arrow = busy
        # The question before is part of what a report counts; what came after its own question is not.
        assert ask() == before + own


@pytest.mark.finding("LAW-14")
def test_training_and_reviews_run_out_with_the_day(home: Home, clock: Clock) -> None:
    add_account(home, "late", "L", "council", "social_worker", "safeguard_child", by="op",
                training="2026-11-30")  # fmt: skip
    assert "late" not in {row[0] for row in _all(home)["training"]["rows"]}
    clock.advance(days=6)
    assert ["late", "social_worker", "council", "2026-11-30", 0] in _all(home)["training"]["rows"]


def test_whoever_was_shown_what_was_taken_back_is_to_be_told(
    home: Home, clock: Clock, tmp_path: Path
) -> None:
    file = persons_file(tmp_path / "p.csv", person_row())
    receipt = submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    link_elsewhere(home)
    with Session(home.casework) as session:
        person = session.exec(select(SubjectState)).one().person
    clock.advance(hours=1)
    shown = reveal(home, Ask(WORKER, "safeguard_child", "CASE-1", REASON, person), **DEMO)
    assert _all(home)["to_be_told"]["figure"] == 0
    clock.advance(hours=1)
    withdraw(home, int(str(receipt["number"])), OPERATOR)
    told = _all(home)["to_be_told"]
    assert told["figure"] == 1
    assert told["rows"][0][0] == shown["receipt"]["entry"] - 1
    assert told["rows"][0][2] == WORKER
    clock.advance(days=365 * 30)
    assert _all(home)["retention"]["figure"] == 0


def test_running_them_is_one_reading_for_oversight_alone(partnership: Partnership) -> None:
    home = partnership.home
    before = len(read_events(home.path / "audit"))
    found = reports(home, DPO, "self_monitoring", "readers", **DEMO)
    events = read_events(home.path / "audit")
    assert len(events) == before + 2
    outcome = parse(events[0][1])
    assert (outcome["flow"], outcome["kind"]) == ("reports", "audit_read")
    assert outcome["rules"] == ["self_monitoring", "readers"]
    assert [one["name"] for one in found["reports"]] == ["readers"]
    for user, use in ((WORKER, "lawfulness"), (LEAD, "curiosity")):
        with pytest.raises(PolicyRefused, match="FG-AUD-10"):
            reports(home, user, use, **DEMO)
    with pytest.raises(ConfigError, match="FG-AUD-42") as wrong:
        reports(home, LEAD, "lawfulness", "quokka", **DEMO)
    assert "quokka" not in str(wrong.value)
    with pytest.raises(ConfigError, match="FG-AUD-41"):
        reports(home, LEAD, "lawfulness", first="soon", **DEMO)


def test_a_report_that_crashed_is_not_one_that_found_nothing(partnership: Partnership) -> None:
    def crash(desk: Desk) -> Told:
        raise ValueError("Quokkalina")

    def broken(desk: Desk) -> Told:
        raise ConfigError("FG-RUN-02", "Quokkalina", "x")

    known = {"crash": Kind(1, "Crash", crash), "broken": Kind(2, "Broken", broken),
             "readers": REPORTS["readers"]}  # fmt: skip
    found = reports(partnership.home, LEAD, "lawfulness", known=known, **DEMO)["reports"]
    assert [one["status"] for one in found] == [FAILED, FAILED, RAN]
    assert [one["figure"] for one in found[:2]] == [None, None]
    assert "ValueError" in found[0]["note"]
    assert "FG-RUN-02" in found[1]["note"]
    assert "Quokkalina" not in json.dumps(found)


def test_a_period_that_holds_too_much_is_refused(
    partnership: Partnership, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.flows.reports.MOST_ACTS", 3)
    with pytest.raises(ConfigError, match="FG-AUD-43"):
        reports(partnership.home, LEAD, "lawfulness", **DEMO)


def test_no_name_and_no_reference_of_a_person_stands_in_a_report(partnership: Partnership) -> None:
    home = partnership.home
    person = _listed(partnership, 2)
    look(home, WORKER, person, **DEMO)
    text = json.dumps(reports(home, LEAD, "lawfulness", **DEMO))
    assert "casework." not in text
    assert "audit.1." not in text
    names = search_trail(home, LEAD, "lawfulness", Search(person=person), **DEMO)
    assert names["total"] > 0


def test_the_commands_print_a_line_a_report_and_one_table(partnership: Partnership) -> None:
    home = partnership.home
    common = ["--use", "lawfulness", "--as", LEAD, "--home", str(home.path)]
    told = CliRunner().invoke(app, ["audit", "reports", *common])
    assert told.exit_code == 0, told.output
    assert all(name in told.stdout for name in REPORTS)
    one = CliRunner().invoke(app, ["audit", "report", "training", *common])
    assert "accounts without current training" in one.stdout
    found = json.loads(
        CliRunner().invoke(app, ["audit", "report", "readers", *common, "--json"]).stdout
    )
    assert found["reports"][0]["number"] == 17
    assert CliRunner().invoke(app, ["audit", "report", "nothing", *common]).exit_code == 15


def test_the_pages_show_a_figure_each_and_a_table_each(partnership: Partnership) -> None:
    with TestClient(
        create_app(partnership.home), base_url="http://127.0.0.1", raise_server_exceptions=False
    ) as client:
        client.post("/sign-in", data={"user": LEAD})
        assert "What do you read the trail for?" in client.get("/trail/reports").text
        page = client.get("/trail/reports?use=lawfulness").text
        assert all(one.title in page.replace("&#39;", "'") for one in REPORTS.values())
        assert "skipped" in page
        for name in REPORTS:
            answer = client.get(f"/trail/reports/{name}?use=lawfulness")
            assert answer.status_code == 200, name
        assert client.get("/trail/reports/nothing?use=lawfulness").status_code == 404
        wrong = client.get("/trail/reports?use=lawfulness&first=soon")
        assert (wrong.status_code, 'id="first-error"' in wrong.text) == (422, True)
        wrong = client.get("/trail/reports?use=lawfulness&last=Quokkalina")
        assert (wrong.status_code, 'id="last-error"' in wrong.text) == (422, True)
        assert "Quokkalina" not in wrong.text
        assert client.get("/trail/reports?use=none").status_code == 422
        assert len(client.get("/api/trail/reports?use=lawfulness").json()["reports"]) == 17
        assert client.get("/api/trail/reports/readers?use=lawfulness").json()["reports"]
