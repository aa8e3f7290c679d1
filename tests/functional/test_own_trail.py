"""Partners oversee their own: what was shown of their data, what their staff looked for, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from audit.act import acts
from audit.canonical import parse
from audit.log import read_events
from engine.cli.main import app
from engine.domain.errors import ConfigError, PolicyRefused
from engine.domain.ids import Actor
from engine.flows.decision import Ask
from engine.flows.disclosures import PERHAPS
from engine.flows.intent import Flow
from engine.flows.lists import review_lists
from engine.flows.own_trail import given_by, own_trail
from engine.flows.reveal import reveal
from engine.web.app import create_app
from tests.builders.partnership import REASON, Partnership

DEMO: dict[str, Any] = {"auth": "demo"}
WORKER, OFFICER = "demo.social_worker", "demo.police_staff"
OVERSEERS = {"police": "demo.police_data", "schools": "demo.schools_data",
             "council": "demo.council_data", "health": "demo.caldicott"}  # fmt: skip


def _shown(partnership: Partnership) -> int:
    """Show people until police data was shown to the council; return the entry of the outcome."""
    home = partnership.home
    lists = review_lists(home, WORKER, **DEMO)["lists"]
    for one in lists[0]["entries"]:
        if one["blind"]:
            continue
        ask = Ask(WORKER, "safeguard_child", "CASE-5", REASON, str(one["person"]))
        shown = reveal(home, ask, **DEMO)
        entry = int(shown["receipt"]["entry"])
        ((_, body),) = [each for each in read_events(home.path / "audit") if each[0] == entry]
        if any(field.startswith("police.") for field in parse(body)["fields"]):
            return entry
    raise AssertionError


def _all(partnership: Partnership, user: str) -> list[dict[str, Any]]:
    return list(own_trail(partnership.home, user, "lawfulness", size=10_000, **DEMO)["acts"])


def test_the_giver_sees_that_its_data_was_shown_and_to_whom(partnership: Partnership) -> None:
    entry = _shown(partnership)
    row = next(one for one in _all(partnership, "demo.police_data") if one["entry"] == entry - 1)
    assert (row["user"], row["agency"], row["role"]) == (WORKER, "council", "social_worker")
    assert row["purpose"] == "safeguard_child"
    assert row["why"] == ["our data"]
    assert row["fields"]
    assert all(field.startswith("police.") for field in row["fields"])
    mine = next(one for one in _all(partnership, "demo.council_data") if one["entry"] == entry - 1)
    assert "our staff" in mine["why"]
    assert not any(field.startswith("police.") for field in mine["fields"])


@pytest.mark.parametrize("agency", OVERSEERS)
def test_each_agency_sees_exactly_its_part_of_a_real_trail(
    partnership: Partnership, agency: str
) -> None:
    home = partnership.home
    _shown(partnership)
    with pytest.raises(PolicyRefused):
        reveal(home, Ask(OFFICER, "crime_prevention", "", REASON, "casework.1.nobody"), **DEMO)
    rows = {one["entry"]: one for one in _all(partnership, OVERSEERS[agency])}
    sources = given_by(home.pack, agency)
    trail = list(acts(reversed(read_events(home.path / "audit"))))
    last = max(one.seq for one in trail)
    for act in trail:
        if act.seq == last:
            continue  # The question itself.
        if act.outcome in PERHAPS:
            continue  # What may have been shown has tests of its own.
        given = act.outcome == "permit" and not sources.isdisjoint(act.sources)
        shown = given and act.kind in (
            "consultation",
            "reidentify",
            "break_glass",
            "disclosure",
            "export",
        )
        staff = act.agency == agency and act.kind in (
            "consultation",
            "reidentify",
            "break_glass",
            "disclosure",
            "export",
            "audit_read",
            "deny",
        )
        assert (act.seq in rows) is (shown or staff), (act.flow, act.kind, act.sources)
    others = {name for name in home.pack.sources if name not in sources}
    text = json.dumps(list(rows.values()))
    assert not [name for name in others if f'"{name}' in text]
    assert "audit.1" not in text
    assert "casework.1" not in text


def test_the_agency_is_that_of_the_account_and_only_overseers_read(
    partnership: Partnership,
) -> None:
    home = partnership.home
    for user in (WORKER, OFFICER, "demo.ig_lead", "demo.matcher"):
        with pytest.raises(PolicyRefused, match="FG-AUD-10"):
            own_trail(home, user, "lawfulness", **DEMO)
    with pytest.raises(PolicyRefused, match="FG-AUD-10"):
        own_trail(home, "demo.police_data", "curiosity", **DEMO)
    with pytest.raises(ConfigError, match="FG-AUD-41"):
        own_trail(home, "demo.police_data", "lawfulness", "soon", **DEMO)
    found = own_trail(home, "demo.police_data", "lawfulness", **DEMO)
    assert found["agency"] == "police"
    outcome = parse(read_events(home.path / "audit", newest=1)[0][1])
    assert (outcome["flow"], outcome["kind"], outcome["recipient"]) == (
        "own_trail", "audit_read", "police",
    )  # fmt: skip


def test_pages_stay_together_and_days_limit(partnership: Partnership) -> None:
    home = partnership.home
    _shown(partnership)
    first = own_trail(home, "demo.council_data", "lawfulness", size=2, **DEMO)
    second = own_trail(home, "demo.council_data", "lawfulness", page=2, below=first["below"], size=2,
                       **DEMO)  # fmt: skip
    entries = [one["entry"] for one in [*first["acts"], *second["acts"]]]
    assert entries == sorted(set(entries), reverse=True)
    later = own_trail(home, "demo.council_data", "lawfulness", "2026-11-26", **DEMO)
    assert (later["total"], later["acts"]) == (0, [])


def test_page_call_and_command_answer_the_same(partnership: Partnership) -> None:
    home = partnership.home
    entry = _shown(partnership)
    with TestClient(
        create_app(home), base_url="http://127.0.0.1", raise_server_exceptions=False
    ) as client:
        client.post("/sign-in", data={"user": "demo.police_data"})
        start = client.get("/own-trail")
        assert "What do you read it for?" in start.text
        assert "Your agency&#39;s trail" in start.text
        page = client.get("/own-trail?use=lawfulness").text
        assert f">{entry - 1}<" in page
        told = client.get("/api/own-trail?use=lawfulness").json()
        assert entry - 1 in {one["entry"] for one in told["acts"]}
        wrong = client.get("/own-trail?use=lawfulness&first=soon")
        assert (wrong.status_code, 'id="first-error"' in wrong.text) == (422, True)
        assert client.get("/own-trail?use=none").status_code == 422
        assert client.get("/api/own-trail?use=lawfulness&page=none").status_code == 422
        client.post("/sign-in", data={"user": WORKER})
        assert client.get("/own-trail?use=lawfulness").status_code == 403
    common = [
        "audit",
        "own",
        "--use",
        "lawfulness",
        "--as",
        "demo.police_data",
        "--home",
        str(home.path),
    ]
    words = CliRunner().invoke(app, common)
    assert words.exit_code == 0, words.output
    assert "our data: demo.social_worker" in words.stdout
    found = json.loads(CliRunner().invoke(app, [*common, "--json"]).stdout)
    assert found["agency"] == "police"


class _Killed(Exception):
    """Stands for a process that dies here."""


def _stopped(partnership: Partnership, person: str, at: str) -> None:
    """Ask for an identity and stop at an arrow: an error there ends the flow as a failure would."""
    home = partnership.home
    before = home.arrow

    def arrow(name: str) -> None:
        before(name)
        if name == at:
            raise _Killed

    home.arrow = arrow
    try:
        with pytest.raises(_Killed):
            reveal(home, Ask(WORKER, "safeguard_child", "CASE-6", REASON, person), **DEMO)
    finally:
        home.arrow = before


def _of_police(partnership: Partnership) -> str:
    """Return somebody of whom the police hold a record; their data is shown once on the way."""
    entry = _shown(partnership)
    events = [
        parse(body) for at, body in read_events(partnership.home.path / "audit") if at == entry
    ]
    home = partnership.home
    name = home.domain("audit").parse(events[0]["subject"])
    return str(home.domain("casework").text(home.domain("casework").seal([name])[0]))


def test_a_request_that_stopped_after_its_decision_is_told_as_one_that_may_have_shown(
    partnership: Partnership,
) -> None:
    home, person = partnership.home, _of_police(partnership)
    before = {one["entry"] for one in _all(partnership, "demo.police_data")}
    _stopped(partnership, person, "reveal.vault")
    (row,) = [one for one in _all(partnership, "demo.police_data")
              if one["entry"] not in before and one["what"] == "reveal"]  # fmt: skip
    assert (row["outcome"], row["certain"], row["why"]) == ("completed", False, ["our data"])
    assert row["user"] == WORKER
    assert row["fields"]
    assert all(field.startswith("police.") for field in row["fields"])
    assert "may have been shown" in row["outcome_label"]
    # Whoever holds nothing of the person is not told; the employer sees what its own staff asked for.
    told = {user: [one["entry"] for one in _all(partnership, user)] for user in OVERSEERS.values()}
    sources = {agency: given_by(home.pack, agency) for agency in OVERSEERS}
    held = {source for user in told for one in _all(partnership, user)
            if one["entry"] == row["entry"] for source in one["fields"]}  # fmt: skip
    for agency, user in OVERSEERS.items():
        expected = agency == "council" or not sources[agency].isdisjoint(held)
        assert (row["entry"] in told[user]) is expected, agency


def test_a_request_that_stopped_before_its_decision_showed_nothing(
    partnership: Partnership,
) -> None:
    person = _of_police(partnership)
    before = {one["entry"] for one in _all(partnership, "demo.police_data")}
    _stopped(partnership, person, "reveal.commit")
    rows = [one for one in _all(partnership, "demo.police_data") if one["entry"] not in before]
    assert [one for one in rows if one["what"] == "reveal"] == []


def test_a_request_without_an_outcome_may_have_shown_and_the_page_and_the_command_say_so(
    partnership: Partnership,
) -> None:
    home, person = partnership.home, _of_police(partnership)
    casework, audit = home.domain("casework"), home.domain("audit")
    details = {"purpose": "safeguard_child",
               "subject": audit.text(audit.seal([casework.parse(person)])[0])}  # fmt: skip
    actor = Actor(WORKER, "council", "social_worker", "demo")
    # It goes on elsewhere: its process holds the lock, so nobody settles it.
    with Flow(home, "reveal", "consultation", actor, details) as flow:
        (row,) = [
            one for one in _all(partnership, "demo.police_data") if one["outcome"] == "unknown"
        ]
        assert (row["what"], row["certain"]) == ("reveal", False)
        assert row["fields"]
        arguments = ["audit", "own", "--use", "lawfulness", "--as", "demo.police_data"]
        words = CliRunner().invoke(app, [*arguments, "--home", str(home.path)])
        assert "your data may have been shown" in words.stdout, words.output
        with TestClient(create_app(home), base_url="http://127.0.0.1") as client:
            client.post("/sign-in", data={"user": "demo.police_data"})
            assert "your data may have been shown" in client.get("/own-trail?use=lawfulness").text
        flow.finish({"decision": "refuse"})  # A view that shows names its gateway.
