"""Search of the trail: by facets, about a person under every name they bore, and audited each time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select
from typer.testing import CliRunner

from audit.canonical import parse
from audit.log import read_events
from audit.search import INDEX
from engine.cli.main import app
from engine.domain.errors import ConfigError, PolicyRefused
from engine.flows.audit_names import names_of
from engine.flows.decision import Ask
from engine.flows.home import Home
from engine.flows.lists import review_lists
from engine.flows.near import join, near
from engine.flows.pair_view import open_records
from engine.flows.part import part
from engine.flows.reveal import case_token, reveal
from engine.flows.search_trail import Search, handle_of, search_trail
from engine.flows.submit import submit
from engine.store.tables import SubjectState
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
LEAD, DPO, WORKER, MATCHER = "demo.ig_lead", "demo.dpo", "demo.social_worker", "demo.matcher"
WHY = "The mother says there is one child only."


def _ask(home: Home, **limits: Any) -> dict[str, Any]:
    user = limits.pop("user", LEAD)
    size = limits.pop("size", 50)
    return search_trail(home, user, "lawfulness", Search(**limits), auth="demo", size=size)


def _newest(home: Home, count: int) -> list[dict[str, Any]]:
    return [parse(body) for _, body in read_events(home.path / "audit", newest=count)]


def _person(partnership: Partnership) -> str:
    lists = review_lists(partnership.home, WORKER, auth="demo")["lists"]
    return next(str(one["person"]) for one in lists[0]["entries"] if not one["blind"])


def _revealed(partnership: Partnership, case: str = "CASE-77") -> str:
    person = _person(partnership)
    reveal(partnership.home, Ask(WORKER, "safeguard_child", case, REASON, person), auth="demo")
    return person


def test_an_act_is_told_as_one_line_with_its_outcome(partnership: Partnership) -> None:
    _revealed(partnership)
    found = _ask(partnership.home, chosen={"action": ["reveal"], "outcome": ["permit"]})
    newest = found["acts"][0]
    assert newest["outcome_entry"] == newest["entry"] + 1
    assert newest["sentence"].startswith(
        "demo.social_worker (Social worker) asked to see an identity"
    )
    assert newest["sentence"].endswith("Permitted.")
    assert "police.occurrences" in newest["sources"]
    assert newest["entry"] == max(one["entry"] for one in found["acts"])


def test_a_refusal_says_its_codes(partnership: Partnership) -> None:
    with pytest.raises(PolicyRefused):
        _ask(partnership.home, user=WORKER)
    found = _ask(partnership.home, chosen={"action": ["search_trail"], "outcome": ["refuse"]})
    assert "Refused (FG-AUD-10)." in found["acts"][0]["sentence"]


@pytest.mark.parametrize("user", [WORKER, "demo.caldicott", "demo.council_data"])
def test_roles_that_the_pack_does_not_name_are_refused(partnership: Partnership, user: str) -> None:
    with pytest.raises(PolicyRefused, match="FG-AUD-10"):
        _ask(partnership.home, user=user)


def test_the_officer_for_data_protection_reads_too_and_nobody_for_a_fifth_use(
    partnership: Partnership,
) -> None:
    assert _ask(partnership.home, user=DPO)["total"] > 0
    with pytest.raises(PolicyRefused, match="FG-AUD-10"):
        search_trail(partnership.home, LEAD, "performance", Search(), auth="demo")


@pytest.mark.finding("AUD-8")
def test_each_page_asked_for_is_one_reading_in_the_trail(partnership: Partnership) -> None:
    home = partnership.home
    first = _ask(home, size=2)
    second = _ask(home, size=2, page=2, below=first["below"])
    assert len(first["acts"]) == len(second["acts"]) == 2
    assert {one["entry"] for one in first["acts"]}.isdisjoint(
        one["entry"] for one in second["acts"]
    )
    events = _newest(home, 4)
    assert [(one["flow"], one["phase"]) for one in events] == [
        ("search_trail", "outcome"), ("search_trail", "intent"),
    ] * 2  # fmt: skip
    assert [one["counts"]["page"] for one in events if one["phase"] == "outcome"] == [2, 1]
    assert all(one["kind"] == "audit_read" for one in events)
    # A question is not part of its own answer; the one before it is.
    assert second["total"] == first["total"]
    assert _ask(home, size=1)["acts"][0]["action"] == "search_trail"


def test_the_reading_names_the_limits_and_the_person_and_no_user_that_was_looked_for(
    partnership: Partnership,
) -> None:
    home, person = partnership.home, _revealed(partnership)
    _ask(home, chosen={"actor": [WORKER]}, person=person, first="2026-11-01", case="CASE-77")
    outcome = _newest(home, 1)[0]
    assert outcome["rules"] == ["lawfulness", "actor", "case", "first"]
    assert outcome["subject"] in {one.name for one in names_of(home, person)}
    assert outcome["case"] == case_token(home, "CASE-77")
    assert WORKER not in json.dumps(outcome)


def test_facets_count_and_combine(partnership: Partnership) -> None:
    home = partnership.home
    _revealed(partnership)
    everything = _ask(home)
    roles = {one["value"]: one["count"] for one in everything["facets"]["role"]}
    assert roles["operator"] >= 10
    mine = _ask(home, chosen={"role": ["social_worker"], "kind": ["consultation", "reidentify"]})
    assert mine["total"] > 0
    assert {one["role"] for one in mine["acts"]} == {"social_worker"}
    chosen = [one for one in mine["facets"]["role"] if one["chosen"]]
    assert [(one["value"], one["count"]) for one in chosen] == [("social_worker", mine["total"])]
    nothing = _ask(home, chosen={"role": ["nobody"]})
    assert (nothing["total"], nothing["pages"], nothing["acts"]) == (0, 1, [])
    assert {"value": "nobody", "handle": "nobody", "text": "nobody", "count": 0,
            "chosen": True} in nothing["facets"]["role"]  # fmt: skip


def test_a_case_is_found_by_its_reference_and_by_its_token(partnership: Partnership) -> None:
    home = partnership.home
    _revealed(partnership, case="CASE-4242")
    reveals: dict[str, Any] = {"chosen": {"action": ["reveal"]}}
    by_reference = _ask(home, case=" case-4242 ", **reveals)
    assert by_reference["total"] == 1
    token = by_reference["acts"][0]["case"]
    assert _ask(home, case=token, **reveals)["acts"] == by_reference["acts"]
    # That somebody searched for the case is about the case too.
    assert {one["action"] for one in _ask(home, case=token)["acts"]} == {"reveal", "search_trail"}
    assert _ask(home, case="CASE-OF-NOBODY")["total"] == 0


def test_a_handle_stands_for_a_user_in_an_address(partnership: Partnership) -> None:
    home = partnership.home
    _person(partnership)
    handle = handle_of(home, WORKER)
    assert "social" not in handle
    found = _ask(home, chosen={"actor": [handle]})
    assert found["total"] == _ask(home, chosen={"actor": [WORKER]})["total"] > 0
    assert [one["value"] for one in found["facets"]["actor"] if one["chosen"]] == [WORKER]
    assert _ask(home, chosen={"actor": ["u-" + "0" * 16]})["total"] == 0


@pytest.mark.parametrize(
    "limits",
    [
        {"chosen": {"surname": ["x"]}},
        {"first": "soon"},
        {"first": "2026-11-02", "last": "2026-11-01"},
        {"page": 0},
    ],
)
def test_a_limit_that_is_none_is_told(partnership: Partnership, limits: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="FG-AUD-41"):
        _ask(partnership.home, **limits)


def test_a_reference_of_nobody_is_refused_and_not_repeated(partnership: Partnership) -> None:
    for wrong in ("Quokkalina", "casework.1.aaaa"):
        with pytest.raises(PolicyRefused, match="FG-REV-02") as refused:
            _ask(partnership.home, person=wrong)
        assert wrong not in str(refused.value)
        assert wrong not in json.dumps(_newest(partnership.home, 2))


def test_the_index_holds_no_pseudonym_of_anybody(partnership: Partnership) -> None:
    home = partnership.home
    person = _revealed(partnership)
    assert _ask(home, person=person)["total"] > 0
    text = (home.path / "audit" / INDEX).read_bytes()
    for one in (person, *(named.name for named in names_of(home, person))):
        assert one.encode() not in text
        assert one.rsplit(".", 1)[1].encode() not in text


def _two_records(home: Home, tmp_path: Path) -> Callable[[], list[str]]:
    file = persons_file(
        tmp_path / "persons.csv", person_row(), person_row(PersonID="LA2", BirthDate="2012-03-05")
    )
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    link_elsewhere(home)

    def people() -> list[str]:
        with Session(home.casework) as session:
            return sorted(one.person for one in session.exec(select(SubjectState)).all())

    return people


def _seen(home: Home, person: str) -> set[int]:
    return {
        one["entry"]
        for one in _ask(home, person=person, chosen={"action": ["person_records"]})["acts"]
    }


@pytest.mark.finding("LNK-15")
def test_a_person_is_found_under_former_names_and_no_longer_under_one_that_was_another(
    home: Home, clock: Clock, tmp_path: Path
) -> None:
    """Two people, merged, then parted: what was seen of both at once is about both, and later is not."""
    people = _two_records(home, tmp_path)
    first, second = people()
    for person in (first, second):
        open_records(home, MATCHER, person, **DEMO)
    apart = _seen(home, first), _seen(home, second)
    assert [len(one) for one in apart] == [1, 1]
    assert apart[0].isdisjoint(apart[1])

    clock.advance(hours=1)
    shown = near(home, MATCHER, first, 1, **DEMO)
    join(home, MATCHER, first, 1, shown["near"][0]["pair"], WHY, **DEMO)
    link_elsewhere(home)
    clock.advance(hours=1)
    (merged,) = [
        one
        for one in (first, second)
        if len(open_records(home, MATCHER, one, **DEMO)["sides"]) == 2
    ][:1]
    together = _seen(home, merged)
    assert together > apart[0] | apart[1]
    # Under either reference it is the same person.
    assert _seen(home, first) == _seen(home, second)

    part(home, MATCHER, merged, 2, WHY, **DEMO)
    clock.advance(hours=1)
    link_elsewhere(home)
    clock.advance(hours=1)
    now = people()
    assert len(now) >= 2
    before = {one: _seen(home, one) for one in now}
    open_records(home, MATCHER, merged, **DEMO)
    later = {one: _seen(home, one) - before[one] for one in now}
    # Of what is seen after they were parted, only one of them is told.
    assert sorted(len(one) for one in later.values()) == [0] * (len(now) - 1) + [1]
    # What was seen while they were one is told to both.
    common = set.intersection(*before.values())
    assert common


def test_the_command_prints_sentences_counts_and_json(partnership: Partnership) -> None:
    home = partnership.home
    _revealed(partnership)
    arguments = ["audit", "search", "--use", "lawfulness", "--action", "reveal", "--as", LEAD,
                 "--home", str(home.path)]  # fmt: skip
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0, told.output
    assert "asked to see an identity" in told.stdout
    assert "outcome: permit" in told.stdout
    found = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert found["acts"][0]["action"] == "reveal"
    refused = CliRunner().invoke(app, [*arguments[:-4], "--as", WORKER, *arguments[-2:]])
    assert refused.exit_code == 12


@pytest.mark.finding("AUD-8")
def test_a_wrong_limit_on_the_page_is_one_reading_and_the_other_limits_stay(
    partnership: Partnership,
) -> None:
    home = partnership.home
    with TestClient(create_app(home), base_url="http://127.0.0.1") as client:
        client.post("/sign-in", data={"user": LEAD})
        for wrong, field in (
            ("first=soon&case=" + "0" * 32, "first"),
            ("last=Quokkalina", "last"),
            ("first=soon&person=Quokkalina", "first"),
            ("first=2026-11-02&last=2026-11-01", "first"),
            ("person=Quokkalina", "person"),
            ("page=none", "first"),
        ):
            before = len(read_events(home.path / "audit"))
            page = client.get(f"/trail?use=lawfulness&outcome=permit&{wrong}")
            assert (page.status_code, f'href="#{field}"' in page.text) == (422, True)
            events = _newest(home, len(read_events(home.path / "audit")) - before)
            assert [(one["flow"], one["phase"]) for one in events] == [
                ("search_trail", "outcome"), ("search_trail", "intent"),
            ]  # fmt: skip
            assert events[0]["decision"] in ("failed", "refuse")
            assert "Quokkalina" not in page.text
            assert ("0" * 32 in page.text) is ("0" * 32 in wrong)
            # Nothing is shown beside the error, and what was chosen goes into the next search.
            assert "Newest events first" not in page.text
            assert '<input type="hidden" name="outcome" value="permit">' in page.text
        # What would stand in a history in clear is refused before anything is read, and not handed on.
        before = len(read_events(home.path / "audit"))
        page = client.get("/trail?use=lawfulness&actor=demo.social_worker&kind=export")
        assert page.status_code == 422
        assert len(read_events(home.path / "audit")) == before
        assert 'value="demo.social_worker"' not in page.text
        assert 'name="kind" value="export"' in page.text
        page = client.get("/trail?use=lawfulness&case=Quokkalina&person=Quokkalina&last=Quokkalina")
        assert (page.status_code, 'href="#case"' in page.text) == (422, True)
        assert 'id="case-error"' in page.text
        assert "Quokkalina" not in page.text


@pytest.mark.parametrize("path", ["/trail", "/trail/reports", "/trail/disclosures"])
def test_no_use_is_chosen_for_anybody_and_a_form_without_one_says_so(
    partnership: Partnership, path: str
) -> None:
    with TestClient(create_app(partnership.home), base_url="http://127.0.0.1") as client:
        client.post("/sign-in", data={"user": "demo.ig_lead"})
        form = client.get(path)
        assert form.status_code == 200
        assert " checked" not in form.text
        for query in ("asked=1", "asked=1&use=", "use=curiosity"):
            sent = client.get(f"{path}?{query}")
            assert sent.status_code == 422, query
            assert "Choose what you read the trail for" in sent.text
            assert 'name="use"' in sent.text
