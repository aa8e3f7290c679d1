"""Changing the policy as a flow: proposed, shown, answered by others, activated, rolled back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlmodel import Session, select
from typer.testing import CliRunner

from audit.canonical import parse
from audit.log import read_events
from engine.cli.main import app
from engine.domain.errors import ConfigError, GatewayError, PolicyRefused
from engine.flows.home import Home
from engine.flows.policy_change import activate, answer, changes, governor, propose, rollback
from engine.flows.setup import add_account, stop_agreement
from engine.flows.submit import submit
from engine.settings import Settings
from engine.store.tables import SubjectState
from gateways.errors import GatewayFault
from tests.builders.partnership import OPERATOR, REASON, person_row, persons_file


def _edit(home: Home, file: str, old: str, new: str) -> None:
    path = home.draft[1] / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def _declare(home: Home) -> None:
    """Write expected_changes.yaml as the command prints it."""
    done = CliRunner().invoke(app, ["policy", "diff", "--declare", "--home", str(home.path)])
    assert done.exit_code == 0, done.output
    (home.draft[1] / "expected_changes.yaml").write_text(done.stdout, encoding="utf-8")


def _narrow(home: Home) -> None:
    """A change that touches housing alone: only the governance lead is asked."""
    _edit(
        home,
        "grants/social_worker.yaml",
        "class: housing, level: banded",
        "class: housing, level: exists",
    )


def _health(home: Home) -> None:
    """A change that shows more of health to First Response: the Caldicott Guardian is asked too."""
    _edit(
        home,
        "grants/front_door.yaml",
        "class: special_health, level: exists",
        "class: special_health, level: token",
    )


def _events(home: Home) -> list[dict[str, object]]:
    return [parse(body) for _, body in reversed(read_events(home.path / "audit"))]


def test_a_change_runs_from_draft_to_active_and_one_step_back(home: Home) -> None:
    before = home.pack.version
    _narrow(home)
    proposed = propose(home, "demo.ig_lead", auth="demo")
    assert [one["kind"] for one in proposed["needs"]] == ["governance"]
    assert {one["field"] for one in proposed["changes"]} >= {"arrears_since"}
    assert not any(one["widens"] for one in proposed["changes"])
    assert home.pack.version == before

    with pytest.raises(PolicyRefused, match="FG-POL-22"):
        activate(home, 1, governor(home, "demo.ig_lead", "demo"))
    answer(home, "demo.ig_officer", 1, "governance", "approve", auth="demo")
    worker = Home(home.path, Settings(), home.clock)
    assert worker.pack.version == before
    activate(home, 1, governor(home, "demo.ig_lead", "demo"))

    assert home.pack.version == proposed["version"] != before
    assert _events(home)[-1]["approvers"] == ["demo.ig_officer"]
    worker.refresh_policy()
    assert worker.pack.version == proposed["version"]
    assert changes(home, OPERATOR)[0]["state"] == "active"

    assert rollback(home, governor(home, "demo.ig_lead", "demo")) == {"version": before}
    assert home.pack.version == before
    with pytest.raises(PolicyRefused, match="FG-POL-24"):
        rollback(home, governor(home, "demo.ig_lead", "demo"))
    kinds = [
        (event["flow"], event.get("decision", ""))
        for event in _events(home)
        if event["phase"] == "outcome"
    ]
    for step in ("propose_policy", "answer_policy", "activate_policy", "rollback_policy"):
        assert (step, "permit") in kinds
    worker.close()


@pytest.mark.finding("LAW-12")
def test_an_old_decision_is_replayed_with_the_policy_it_was_made_under(home: Home) -> None:
    from policies.explain import explain
    from policies.matrix import ASSUMED, everything_met, plain_state
    from policies.model import Level, Request

    before, today = home.pack.version, home.clock().date()
    _narrow(home)
    propose(home, "demo.ig_lead", auth="demo")
    answer(home, "demo.ig_officer", 1, "governance", "approve", auth="demo")
    activate(home, 1, OPERATOR)
    request = Request("social_worker", "council", "safeguard_child", ASSUMED)

    def level(version: str) -> Level:
        pack = home.stored_pack(version)
        met, state = everything_met(pack), plain_state(pack)
        return explain(pack, request, "housing.arrears", "arrears_since", today, met, state).level

    assert level(before) == Level.BANDED
    assert level(home.pack.version) == Level.EXISTS
    with pytest.raises(ConfigError, match="FG-POL-05"):
        home.stored_pack("0" * 64)


@pytest.mark.finding("POL-P17")
def test_nobody_approves_their_own_change_nor_for_another_kind_nor_twice(home: Home) -> None:
    _health(home)
    _declare(home)
    proposed = propose(home, "demo.ig_lead", auth="demo")
    assert [one["kind"] for one in proposed["needs"]] == ["governance", "health"]
    for user, kind, word, code in (
        ("demo.ig_lead", "governance", "approve", "FG-POL-21"),
        ("demo.ig_officer", "health", "approve", "FG-POL-21"),
        ("demo.caldicott", "governance", "approve", "FG-POL-21"),
        ("demo.dpo", "governance", "approve", "FG-POL-21"),
        ("demo.dpo", "governance", "advise", "FG-POL-21"),
        ("demo.caldicott", "advice", "advise", "FG-POL-21"),
        ("demo.social_worker", "governance", "approve", "FG-POL-21"),
        ("demo.caldicott", "police", "approve", "FG-POL-20"),
        ("demo.caldicott", "health", "perhaps", "FG-POL-20"),
    ):
        with pytest.raises(PolicyRefused, match=code):
            answer(home, user, 1, kind, word, auth="demo")
    answer(home, "demo.dpo", 1, "advice", "advise", auth="demo")
    answer(home, "demo.ig_officer", 1, "governance", "approve", auth="demo")
    with pytest.raises(PolicyRefused, match="FG-POL-21"):
        answer(home, "demo.ig_officer", 1, "governance", "approve", auth="demo")
    with pytest.raises(PolicyRefused, match="still needs: health"):
        activate(home, 1, OPERATOR)
    told = answer(home, "demo.caldicott", 1, "health", "approve", auth="demo")
    assert told["missing"] == []
    activate(home, 1, OPERATOR)


@pytest.mark.deep
def test_a_rejected_change_is_closed_and_a_stale_one_has_to_be_proposed_again(home: Home) -> None:
    _narrow(home)
    propose(home, "demo.ig_lead", auth="demo")
    with pytest.raises(ConfigError, match="FG-POL-17"):
        propose(home, "demo.ig_officer", auth="demo")
    answer(home, "demo.ig_officer", 1, "governance", "reject", auth="demo")
    with pytest.raises(PolicyRefused, match="FG-POL-20"):
        activate(home, 1, OPERATOR)
    propose(home, "demo.ig_lead", auth="demo")
    _edit(
        home,
        "grants/early_help.yaml",
        "class: housing, level: exists",
        "class: housing, level: refuse",
    )
    propose(home, "demo.ig_lead", auth="demo")
    answer(home, "demo.ig_officer", 3, "governance", "approve", auth="demo")
    activate(home, 3, OPERATOR)
    assert [one["state"] for one in changes(home, OPERATOR)] == ["active", "replaced", "rejected"]


def test_what_was_approved_is_what_is_activated_whatever_the_draft_says_by_then(home: Home) -> None:
    _narrow(home)
    version = propose(home, "demo.ig_lead", auth="demo")["version"]
    answer(home, "demo.ig_officer", 1, "governance", "approve", auth="demo")
    _edit(
        home,
        "grants/social_worker.yaml",
        "class: offence, level: banded",
        "class: offence, level: clear",
    )
    activate(home, 1, OPERATOR)
    assert home.pack.version == version
    kept = home.version_folders(version)[1] / "grants" / "social_worker.yaml"
    assert "class: offence, level: banded" in kept.read_text(encoding="utf-8")


def test_a_widening_in_health_or_police_that_is_not_declared_is_not_proposed(home: Home) -> None:
    _health(home)
    with pytest.raises(ConfigError, match="FG-POL-15") as caught:
        propose(home, "demo.ig_lead", auth="demo")
    assert any(
        "front_door@council" in reason and "WIDENS" in reason for reason in caught.value.reasons
    )
    done = CliRunner().invoke(app, ["policy", "diff", "--home", str(home.path), "--json"])
    assert done.exit_code == 12
    assert json.loads(done.stdout)["undeclared"]


def test_nobody_widens_their_own_role(home: Home) -> None:
    _edit(
        home,
        "routes.yaml",
        "recovery: [ig_lead, dpo]",
        "recovery: [ig_lead, dpo]\n  lists_for_dpo: [dpo]",
    )
    with pytest.raises(PolicyRefused, match="FG-POL-18"):
        propose(home, "demo.dpo", auth="demo")
    propose(home, "demo.ig_lead", auth="demo")
    _edit(home, "routes.yaml", "lists_for_dpo: [dpo]", "lists_for_ig: [ig_lead]")
    with pytest.raises(PolicyRefused, match="FG-POL-18"):
        propose(home, "demo.ig_lead", auth="demo")


def test_the_rules_of_approval_that_count_are_the_active_ones(home: Home) -> None:
    """A draft that drops the Caldicott Guardian's approval still needs it."""
    _edit(
        home,
        "governance.yaml",
        "  - {id: health, label: Caldicott Guardian, roles: [caldicott_guardian], classes: [special_health]}\n",
        "",
    )
    proposed = propose(home, "demo.ig_lead", auth="demo")
    assert {one["kind"] for one in proposed["needs"]} == {"governance", "health", "police"}


def test_a_draft_with_errors_is_refused_with_all_of_them_audited_and_the_active_one_stays(
    home: Home,
) -> None:
    before = home.pack.version
    _edit(home, "grants/front_door.yaml", "class: identity", "class: nonsense")
    _edit(home, "caps/markers.yaml", 'when: {protected: "y"}', 'when: {rubbish: "y"}')
    with pytest.raises(Exception, match="nonsense") as caught:
        propose(home, "demo.ig_lead", auth="demo")
    assert "rubbish" in str(caught.value)
    findings = caught.value.findings
    assert {(one.file, one.rule) for one in findings} >= {
        ("grants/front_door.yaml", "POL-L02"),
        ("caps/markers.yaml", "POL-L02"),
    }
    assert all(one.line > 1 for one in findings if one.file.startswith("caps"))
    assert Home(home.path, Settings(), home.clock).pack.version == before
    outcome = [event for event in _events(home) if event["flow"] == "propose_policy"][-1]
    assert outcome["decision"] == "failed"
    assert outcome["rules"] == ["FG-POL-01"]
    (home.draft[1] / "grants" / "front_door.yaml").write_text("a: [1", encoding="utf-8")
    with pytest.raises(GatewayFault, match="it is not YAML at line 2"):
        propose(home, "demo.ig_lead", auth="demo")


def test_a_pack_whose_own_tests_fail_is_not_proposed(home: Home) -> None:
    _edit(
        home,
        "grants/social_worker.yaml",
        "class: special_health, level: banded",
        "class: special_health, level: exists",
    )
    with pytest.raises(ConfigError, match="FG-POL-14") as caught:
        propose(home, "demo.ig_lead", auth="demo")
    assert any("A2" in reason for reason in caught.value.reasons)


@pytest.mark.finding("LAW-14")
def test_a_suspended_agreement_stops_intake_at_once_and_resuming_opens_it(
    home: Home, tmp_path: Path
) -> None:
    for name in ("dsa_0001", "dsa_0004"):
        stop_agreement(home, name, "operator", stopped=True)
    other = Home(home.path, Settings(), home.clock)
    with pytest.raises(GatewayError, match="FG-GATE-11") as caught:
        submit(
            other,
            persons_file(tmp_path / "p.csv", person_row()),
            agency="council",
            source="council.persons",
            actor=OPERATOR,
        )
    assert any("is suspended" in reason for reason in caught.value.reasons)
    with pytest.raises(ConfigError, match="FG-AGR-02"):
        stop_agreement(home, "dsa_0001", "operator", stopped=True)
    with pytest.raises(ConfigError, match="FG-AGR-01"):
        stop_agreement(home, "dsa_9999", "operator", stopped=True)
    for name in ("dsa_0001", "dsa_0004"):
        stop_agreement(home, name, "operator", stopped=False)
    receipt = submit(
        other,
        persons_file(tmp_path / "p.csv", person_row()),
        agency="council",
        source="council.persons",
        actor=OPERATOR,
    )
    assert receipt["records"] == 1
    other.close()


def test_the_effect_on_real_requests_is_counted_from_the_trail(home: Home, tmp_path: Path) -> None:
    from engine.flows.decision import Ask
    from engine.flows.link import link
    from engine.flows.reveal import reveal

    submit(
        home,
        persons_file(tmp_path / "p.csv", person_row()),
        agency="council",
        source="council.persons",
        actor=OPERATOR,
    )
    link(home, OPERATOR)
    with Session(home.casework) as session:
        person = session.exec(select(SubjectState)).one().person
    for _ in range(2):
        reveal(
            home,
            Ask("demo.social_worker", "safeguard_child", "CASE-1", REASON, person),
            auth="demo",
        )
    with pytest.raises(PolicyRefused):
        reveal(
            home, Ask("demo.benefits", "financial_support", "CASE-1", REASON, person), auth="demo"
        )
    _edit(
        home,
        "grants/social_worker.yaml",
        "id: social_worker.contact, class: contact, level: clear",
        "id: social_worker.contact, class: contact, level: banded",
    )
    found = propose(home, "demo.ig_lead", auth="demo")["simulation"]
    assert found["requests"] == 3
    assert found["effects"] == [
        {"role": "social_worker", "agency": "council", "purpose": "safeguard_child", "source": "council.persons",
         "fields_raised": 0, "fields_lowered": 4}
    ]  # fmt: skip
    assert (found["would_be_shown_nothing"], found["would_be_shown_something_new"]) == (0, 0)


def test_only_governance_roles_propose(home: Home) -> None:
    _narrow(home)
    for user in ("demo.social_worker", "demo.front_door"):
        with pytest.raises(PolicyRefused, match="FG-POL-21"):
            propose(home, user, auth="demo")
    with pytest.raises(ConfigError, match="FG-ACC-02"):
        add_account(
            home, "x", "X", "council", "dpo", "safeguard_child", by="operator", training="soon"
        )
