"""The web face over the same flows: the gate, the forms, the headers, and no value where it must not be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select
from starlette.routing import Route

from audit.canonical import parse
from audit.log import read_events
from engine.flows.intent import record_denial
from engine.flows.lists import review_lists
from engine.flows.submit import submit
from engine.linkage.index import current_membership
from engine.store.tables import AccessReview, Reveal, SubjectState
from engine.web.app import create_app
from tests.builders.partnership import (
    OPERATOR,
    REASON,
    Partnership,
    link_elsewhere,
    make_home,
    person_row,
    persons_file,
)

USERS = {
    "social_worker": "demo.social_worker",
    "front_door": "demo.front_door",
    "early_help": "demo.early_help",
    "school_lead": "demo.school_lead",
    "police_staff": "demo.police_staff",
    "ig_lead": "demo.ig_lead",
    "caldicott_guardian": "demo.caldicott",
    "benefits_officer": "demo.benefits",
    "data_submitter": "demo.council_data",
    "records_matcher": "demo.matcher",
}
OPEN = {"/", "/sign-in", "/sign-out", "/healthz", "/openapi.json", "/api/token"}
# Calls of an agency's system: a token of client credentials opens them and no cookie does.
CLIENT = {
    ("POST", "/api/deliveries"),
    ("GET", "/api/deliveries"),
    ("GET", "/api/deliveries/{number}"),
    ("GET", "/api/deliveries/{number}/aside"),
}
GATE = {
    ("GET", "/lists"): "lists",
    ("GET", "/people/{person}"): "person",
    ("POST", "/people/{person}/decide"): "decide",
    ("GET", "/reveal"): "reveal",
    ("POST", "/reveal"): "reveal",
    ("GET", "/views/{reveal_id}"): "view",
    ("GET", "/trail"): "trail",
    ("GET", "/trail/badge"): "trail",
    ("GET", "/monitor"): "monitor",
    ("GET", "/monitor/rates"): "monitor",
    ("GET", "/monitor/{name}"): "monitor",
    ("POST", "/monitor/{name}"): "monitor",
    ("GET", "/api/lists"): "lists",
    ("GET", "/api/people/{person}"): "person",
    ("POST", "/api/outcomes"): "decide",
    ("POST", "/api/reveals"): "reveal",
    ("GET", "/api/trail"): "trail",
    ("GET", "/api/trail/search"): "trail",
    ("GET", "/trail/disclosures"): "trail",
    ("GET", "/trail/disclosures.csv"): "trail",
    ("GET", "/api/trail/disclosures"): "trail",
    ("GET", "/own-trail"): "own_trail",
    ("GET", "/api/own-trail"): "own_trail",
    ("GET", "/trail/reports"): "trail",
    ("GET", "/trail/reports/{name}"): "trail",
    ("GET", "/api/trail/reports"): "trail",
    ("GET", "/api/trail/reports/{name}"): "trail",
    ("GET", "/policy"): "policy",
    ("POST", "/policy/answer"): "policy_change",
    ("GET", "/api/policy/matrix"): "policy",
    ("GET", "/api/policy/who-can"): "policy",
    ("GET", "/api/policy/what-can"): "policy",
    ("GET", "/api/policy/explain"): "policy",
    ("GET", "/api/policy/as-of"): "policy",
    ("GET", "/api/policy/law"): "policy",
    ("GET", "/pairs"): "pairs",
    ("GET", "/pairs/{pair}"): "pairs",
    ("POST", "/pairs/{pair}"): "pairs",
    ("POST", "/pairs-second"): "pairs",
    ("GET", "/records"): "pairs",
    ("GET", "/records/{person}"): "pairs",
    ("GET", "/records/{person}/history"): "pairs",
    ("GET", "/api/records/{person}/history"): "pairs",
    ("POST", "/records/{person}/part"): "pairs",
    ("GET", "/records/{person}/{record}"): "pairs",
    ("POST", "/records/{person}/{record}"): "pairs",
    ("GET", "/api/records/{person}"): "pairs",
    ("GET", "/api/records/{person}/{record}/near"): "pairs",
    ("POST", "/api/records/{person}/{record}/part"): "pairs",
    ("POST", "/api/records/{person}/{record}/join"): "pairs",
    ("GET", "/profiles"): "profiles",
    ("GET", "/products"): "registry",
    ("POST", "/products"): "registry",
    ("POST", "/products/answer"): "registry",
    ("GET", "/products/{product}/seen"): "registry",
    ("GET", "/api/products"): "registry",
    ("GET", "/api/products/{product}/seen"): "registry",
    ("POST", "/api/products/steps"): "registry",
    ("POST", "/api/products/answers"): "registry",
    ("GET", "/api/lists/{name}"): "lists",
    ("GET", "/groups"): "groups",
    ("GET", "/api/groups"): "groups",
    ("GET", "/link-quality"): "link_quality",
    ("GET", "/api/pairs/quality"): "link_quality",
    ("GET", "/api/pairs"): "pairs",
    ("GET", "/api/pairs/decisions"): "pairs",
    ("GET", "/api/pairs/{pair}"): "pairs",
    ("POST", "/api/pairs/decisions"): "pairs",
    ("POST", "/api/pairs/seconds"): "pairs",
    ("GET", "/api/policy/gateways"): "policy",
    ("GET", "/api/policy/agreements"): "policy",
    ("GET", "/api/policy/check"): "policy",
    ("GET", "/api/policy/draft"): "policy",
    ("GET", "/api/policy/changes"): "policy",
    ("POST", "/api/policy/changes"): "policy_change",
    ("POST", "/api/policy/answers"): "policy_change",
    ("GET", "/api/policy/tests"): "policy",
    ("POST", "/api/policy/activations"): "policy_change",
    ("POST", "/api/policy/rollbacks"): "policy_change",
    ("GET", "/deliveries"): "deliveries",
    ("GET", "/deliveries/new"): "submit",
    ("POST", "/deliveries/new"): "submit",
    ("GET", "/deliveries/{number}"): "deliveries",
    ("GET", "/deliveries/{number}/findings.csv"): "deliveries",
    ("GET", "/deliveries/{number}/aside.csv"): "submit",
    ("POST", "/deliveries/{number}/release"): "release",
}


@pytest.fixture(scope="module")
def client(partnership: Partnership) -> Iterator[TestClient]:
    with TestClient(
        create_app(partnership.home), base_url="http://127.0.0.1", raise_server_exceptions=False
    ) as made:
        yield made


def _sign_in(client: TestClient, role: str) -> str:
    """Sign in and return the form token."""
    client.cookies.clear()
    answer = client.post("/sign-in", data={"user": USERS[role]}, follow_redirects=True)
    assert answer.status_code == 200
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', answer.text)
    assert found
    return found.group(1)


def _person(partnership: Partnership, place: int = 0) -> str:
    lists = review_lists(partnership.home, "demo.social_worker", auth="demo")["lists"]
    entries = [entry for entry in lists[0]["entries"] if not entry["blind"]]
    return str(entries[place]["person"])


def _routes(client: TestClient) -> set[tuple[str, str]]:
    def walk(routes: list[object]) -> Iterator[tuple[str, str]]:
        for route in routes:
            if isinstance(route, Route):
                for method in route.methods or ():
                    if method not in ("HEAD", "OPTIONS"):
                        yield method, route.path
            inner = getattr(route, "original_router", None) or getattr(route, "router", None)
            if inner is not None:
                yield from walk(inner.routes)

    return set(walk(client.app.routes))  # type: ignore[attr-defined]


def test_every_route_is_either_open_on_purpose_or_behind_the_gate(client: TestClient) -> None:
    found = {route for route in _routes(client) if route[1] not in OPEN}
    assert found == set(GATE) | CLIENT


def test_nobody_signed_in_gets_the_sign_in_page_or_401(client: TestClient) -> None:
    client.cookies.clear()
    for method, path in GATE:
        answer = client.request(method, path, follow_redirects=False)
        if path.startswith("/api/"):
            assert answer.status_code == 401, path
        else:
            assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in"), path


@pytest.mark.parametrize("role", USERS)
@pytest.mark.deep
def test_every_route_by_every_role_is_as_the_pack_says(
    client: TestClient, partnership: Partnership, role: str
) -> None:
    _sign_in(client, role)
    allowed = partnership.home.pack.routes
    for (method, path), route in GATE.items():
        if method == "POST":
            body = {"json": {"person": "x", "case": "x", "reason": "x"}} if "api" in path else {}
            answer = client.request(
                method,
                path.format(
                    person="x", reveal_id="x", number=999, pair="x", record=1, product="x", name="x"
                ),
                **body,
            )  # type: ignore[arg-type]
        else:
            answer = client.get(
                path.format(
                    person="x", reveal_id="x", number=999, pair="x", record=1, product="x", name="x"
                )
                + "?use=lawfulness"
            )
        closed = answer.status_code == 403 and "FG-POL-04" in answer.text
        assert closed is (role not in allowed[route]), (role, path, answer.status_code)


def test_pages_carry_strict_headers_and_no_inline_code(
    client: TestClient, partnership: Partnership
) -> None:
    _sign_in(client, "social_worker")
    for path in ("/lists", f"/people/{_person(partnership)}", "/reveal", "/sign-in"):
        answer = client.get(path)
        assert answer.status_code == 200, path
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert " style=" not in answer.text
        scripts = re.findall(r"<script(?![^>]*\bsrc=)([^>]*)>", answer.text)
        assert all("nonce=" in attributes for attributes in scripts)
        assert "http://" not in answer.text.replace("http://www.w3.org", "")
        assert "https://" not in answer.text


def test_session_cookie_is_closed_to_scripts_and_to_other_sites(client: TestClient) -> None:
    client.cookies.clear()
    answer = client.post("/sign-in", data={"user": USERS["ig_lead"]}, follow_redirects=False)
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_forms_without_the_sessions_token_are_refused(
    client: TestClient, partnership: Partnership
) -> None:
    _sign_in(client, "social_worker")
    person = _person(partnership)
    form = {"person": person, "case": "CASE-1", "reason": REASON}
    for data in (form, {**form, "csrf": "0" * 64}):
        assert client.post("/reveal", data=data).status_code == 403
    answer = client.post("/api/reveals", json=form)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FG-AUT-03")


def test_a_reveal_by_form_leads_to_a_view_that_closes_itself(
    client: TestClient, partnership: Partnership
) -> None:
    csrf = _sign_in(client, "social_worker")
    person = _person(partnership)
    assert person in client.get(f"/people/{person}").text

    answer = client.post(
        "/reveal",
        data={"person": person, "case": "CASE-1", "reason": REASON, "act": "share", "csrf": csrf},
        follow_redirects=False,
    )
    assert answer.status_code == 303
    assert person not in answer.headers["location"]
    page = client.get(answer.headers["location"])
    assert "Who this is" in page.text
    assert 0 < int(page.headers["refresh"]) <= 901
    _sign_in(client, "front_door")
    other = client.get(answer.headers["location"])
    assert other.status_code == 404
    assert "closed" in other.text


def test_an_incomplete_form_is_422_with_a_summary_that_links_to_the_fields(
    client: TestClient,
) -> None:
    csrf = _sign_in(client, "front_door")
    answer = client.post("/reveal", data={"person": "", "case": "", "reason": "no", "csrf": csrf})
    assert answer.status_code == 422
    assert 'href="#act"' in answer.text
    for name in ("person", "case", "reason"):
        assert f'href="#{name}"' in answer.text
        assert f'id="{name}-error"' in answer.text


def _acts(client: TestClient, csrf: str, person: str, act: str, case: str = "CASE-1") -> Any:
    data = {"person": person, "case": case, "reason": REASON, "act": act, "csrf": csrf}
    return client.post("/reveal", data=data, follow_redirects=False)


@pytest.mark.finding("LAW-10")
def test_withholding_by_form_opens_nothing_and_says_so(
    client: TestClient, partnership: Partnership
) -> None:
    csrf = _sign_in(client, "social_worker")
    person = _person(partnership)
    with Session(partnership.home.casework) as session:
        before = len(session.exec(select(Reveal)).all())
    answer = _acts(client, csrf, person, "withhold")
    assert answer.status_code == 200
    assert "Your decision to withhold is recorded" in answer.text
    with Session(partnership.home.casework) as session:
        assert len(session.exec(select(Reveal)).all()) == before
    assert _acts(client, csrf, person, "maybe").status_code == 422


@pytest.mark.finding("LAW-23")
def test_immediate_danger_is_offered_to_roles_that_have_it_and_needs_no_case(
    client: TestClient, partnership: Partnership
) -> None:
    person = _person(partnership)
    csrf = _sign_in(client, "benefits_officer")
    assert "immediate danger" not in client.get("/reveal").text
    assert _acts(client, csrf, person, "danger", case="").status_code == 403
    csrf = _sign_in(client, "front_door")
    assert "Somebody is in immediate danger" in client.get("/reveal").text
    answer = _acts(client, csrf, person, "danger", case="")
    assert answer.status_code == 303
    reveal_id = answer.headers["location"].rsplit("/", 1)[1]
    with Session(partnership.home.casework) as session:
        assert session.get(AccessReview, reveal_id) is not None
    assert _acts(client, csrf, person, "share", case="").status_code == 422


def test_a_refusal_page_says_why_and_what_next(
    client: TestClient, partnership: Partnership
) -> None:
    csrf = _sign_in(client, "police_staff")
    # A person whose only records the police may not see.
    with Session(partnership.home.casework) as session:
        people = [state.person for state in session.exec(select(SubjectState)).all()]
    for person in people:
        answer = client.post(
            "/reveal",
            data={
                "person": person,
                "case": "CASE-1",
                "reason": REASON,
                "act": "share",
                "csrf": csrf,
            },
            follow_redirects=False,
        )
        if answer.status_code == 403:
            break
    assert answer.status_code == 403
    assert "What next:" in answer.text
    assert "FG-REV-03" in answer.text


def test_an_outcome_is_recorded_once_and_by_name(
    client: TestClient, partnership: Partnership
) -> None:
    csrf = _sign_in(client, "social_worker")
    person = _person(partnership, 3)
    page = client.get(f"/people/{person}").text
    item = re.search(r'name="item" value="([0-9]+)"', page)
    assert item
    data = {"item": item.group(1), "csrf": csrf}

    missing = client.post(f"/people/{person}/decide", data=data)
    assert missing.status_code == 422
    assert 'href="#outcome"' in missing.text
    first = client.post(f"/people/{person}/decide", data={**data, "outcome": "watch"})
    assert "recorded by demo.social_worker" in first.text
    again = client.post(f"/people/{person}/decide", data={**data, "outcome": "accept"})
    assert again.status_code == 403


def test_the_trail_is_read_for_one_of_four_uses_and_shows_its_badge(client: TestClient) -> None:
    _sign_in(client, "ig_lead")
    first = client.get("/trail")
    assert "The whole trail verifies" in first.text
    assert "Newest events first" not in first.text
    read = client.get("/trail?use=integrity")
    assert "Newest events first" in read.text
    assert "Newest events first" not in client.get("/trail?use=curiosity").text
    assert "verifies" in client.get("/trail/badge").text


def test_the_trail_is_searched_by_facets_and_no_name_of_a_user_stands_in_an_address(
    client: TestClient, partnership: Partnership
) -> None:
    person = _person(partnership)
    for _ in range(60):
        record_denial(partnership.home, OPERATOR, "FG-POL-04")
    _sign_in(client, "ig_lead")
    page = client.get("/trail?use=lawfulness").text
    handle = re.search(r'name="actor"[^>]*value="(u-[0-9a-f]{16})"', page)
    assert handle
    assert 'value="demo.' not in page
    assert 'href="/trail?use=lawfulness&amp;page=2' in page
    # A name in an address is refused: it would stand in histories and logs.
    for named in ("actor=demo.social_worker", "case=CASE-1"):
        answer = client.get(f"/trail?use=lawfulness&{named}")
        assert answer.status_code == 422
        assert "demo.social_worker&" not in answer.text
        assert client.get(f"/api/trail/search?use=lawfulness&{named}").status_code >= 400
    found = client.get(f"/trail?use=lawfulness&actor={handle.group(1)}&outcome=permit")
    assert "(1 chosen)" in found.text
    assert "Newest events first" in found.text
    assert client.get(f"/trail?use=lawfulness&person={person}").status_code == 200
    wrong = client.get("/trail?use=lawfulness&first=soon")
    assert wrong.status_code == 422
    assert 'href="#first"' in wrong.text
    nobody = client.get("/trail?use=lawfulness&person=Quokkalina")
    assert nobody.status_code == 422
    assert 'id="person-error"' in nobody.text
    assert client.get("/trail?use=lawfulness&page=none").status_code == 422
    told = client.get("/api/trail/search?use=lawfulness&action=sign_in&role=ig_lead").json()
    assert {one["action"] for one in told["acts"]} == {"sign_in"}
    assert client.get("/api/trail/search?use=lawfulness&first=soon").status_code == 422
    assert client.get("/api/trail/search?use=curiosity").status_code == 403


def test_calls_answer_the_same_flows_and_never_echo_the_input(
    client: TestClient, partnership: Partnership
) -> None:
    csrf = _sign_in(client, "social_worker")
    headers = {"X-CSRF-Token": csrf}
    person = _person(partnership)
    assert client.get("/api/lists").json()["lists"]
    assert client.get(f"/api/people/{person}").json()["scores"]
    shown = client.post(
        "/api/reveals", json={"person": person, "case": "CASE-1", "reason": REASON}, headers=headers
    )
    assert shown.json()["permitted"] is True
    bad = client.post("/api/reveals", json={"person": ["Quokkalina"], "extra": 1}, headers=headers)
    assert bad.status_code == 422
    assert "Quokkalina" not in bad.text
    unknown = client.get("/api/people/Quokkalina")
    assert unknown.status_code == 404
    assert "Quokkalina" not in unknown.text


def test_blind_entries_show_no_score_before_an_outcome(
    client: TestClient, partnership: Partnership
) -> None:
    _sign_in(client, "social_worker")
    lists = client.get("/api/lists").json()["lists"]
    blind = [entry for one in lists for entry in one["entries"] if entry["blind"]]
    assert blind
    assert all(entry["score"] is None for entry in blind)
    found = client.get(f"/api/people/{blind[0]['person']}").json()
    assert found["scores"] is None
    assert "Record your own view first" in client.get(f"/people/{blind[0]['person']}").text


def test_openapi_describes_the_calls_and_no_page_loads_from_elsewhere(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {
        *(
            "/api/groups",
            "/api/lists",
            "/api/lists/{name}",
            "/api/people/{person}",
            "/api/outcomes",
            "/api/reveals",
            "/api/trail",
        ),
        *(
            path
            for _, path in GATE
            if path.startswith(
                (
                    "/api/policy/",
                    "/api/pairs",
                    "/api/records",
                    "/api/products",
                    "/api/trail/",
                    "/api/own-trail",
                )
            )
        ),
        *("/api/token", "/api/deliveries", "/api/deliveries/{number}"),
        "/api/deliveries/{number}/aside",
    }
    assert client.get("/docs").status_code == 404


@pytest.mark.finding("AUD-8")
@pytest.mark.finding("B35")
def test_every_request_that_shows_or_refuses_leaves_one_intent_and_one_outcome(
    client: TestClient, partnership: Partnership
) -> None:
    folder = partnership.home.path / "audit"
    csrf = _sign_in(client, "social_worker")
    person = _person(partnership)
    requests = [
        lambda: client.get("/api/lists"),
        lambda: client.get(f"/api/people/{person}"),
        lambda: client.post("/api/reveals", json={"person": person, "case": "C-1", "reason": "x"},
                            headers={"X-CSRF-Token": csrf}),
    ]  # fmt: skip
    for ask in requests:
        before = len(read_events(folder))
        ask()
        new = [parse(body) for _, body in read_events(folder)[: len(read_events(folder)) - before]]
        assert [event["phase"] for event in new] == ["outcome", "intent"]
        assert new[0]["actor"]["id"] == "demo.social_worker"


def test_a_pair_is_decided_on_the_page_and_a_second_reviewer_answers(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    file = persons_file(
        tmp_path / "persons.csv", person_row(),
        person_row(PersonID="LA2", BirthDate="2012-03-05", ProtectedAddress="Y"),
    )  # fmt: skip
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    link_elsewhere(home)
    with TestClient(
        create_app(home), base_url="http://127.0.0.1", raise_server_exceptions=False
    ) as one:
        one.post("/sign-in", data={"user": "demo.matcher"})
        page = one.get("/pairs").text
        assert "1 pairs of records wait" in page or "1 pair" in page
        assert "Testina" not in page
        pair = re.search(r'href="/pairs/([0-9a-f]{32})"', page).group(1)  # type: ignore[union-attr]
        shown = one.get(f"/pairs/{pair}")
        assert "Testina" in shown.text
        assert "Joining them needs a second reviewer" in shown.text
        assert "protected" not in shown.text
        token = re.search(r'name="csrf" value="([0-9a-f]+)"', shown.text).group(1)  # type: ignore[union-attr]
        wrong = one.post(f"/pairs/{pair}", data={"csrf": token, "reason": "short"})
        assert wrong.status_code == 422
        assert "Choose what the two records are" in wrong.text
        why = "The school confirmed it by telephone."
        made = one.post(f"/pairs/{pair}", data={"csrf": token, "answer": "one", "reason": why})
        assert "For a second reviewer" in made.text
        assert 'value="agree"' not in made.text  # Not by the same person.
        one.cookies.clear()
        one.post("/sign-in", data={"user": "demo.matcher_two"})
        page = one.get("/pairs").text
        token = re.search(r'name="csrf" value="([0-9a-f]+)"', page).group(1)  # type: ignore[union-attr]
        assert 'value="agree"' in page
        done = one.post("/pairs-second", data={"csrf": token, "number": 1, "word": "agree"})
        assert "No pair waits" in done.text
        told = one.get("/api/pairs/decisions").json()
        assert [(each["state"], each["second_by"]) for each in told] == [
            ("final", "demo.matcher_two")
        ]
        assert one.get("/api/pairs").json()["pairs"] == []
    assert link_elsewhere(home)["persons"] == 1
    home.close()


def test_a_missed_match_is_joined_and_a_wrong_one_parted_on_the_page(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    file = persons_file(
        tmp_path / "persons.csv", person_row(), person_row(PersonID="LA2", BirthDate="2012-03-05")
    )
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    link_elsewhere(home)
    member = current_membership(home.linkage, home.link_runs())
    casework = home.domain("casework")
    reference = casework.text(casework.seal(sorted(member.values()))[0])
    why = "The mother says there is one child only."
    with TestClient(
        create_app(home), base_url="http://127.0.0.1", raise_server_exceptions=False
    ) as one:
        one.post("/sign-in", data={"user": "demo.matcher"})
        assert "Enter the reference of a person" in one.get("/records?person=").text
        page = one.get("/records", params={"person": reference}).text
        assert "One record belongs to this person" in page
        assert "Records near" in page
        near = one.get(f"/records/{reference}/1")
        assert "Join this record" in near.text
        token = re.search(r'name="csrf" value="([0-9a-f]+)"', near.text).group(1)  # type: ignore[union-attr]
        wrong = one.post(f"/records/{reference}/1", data={"csrf": token})
        assert wrong.status_code == 422
        assert "Choose the record that is the same" in wrong.text
        pair = one.get(f"/api/records/{reference}/1/near").json()["near"][0]["pair"]
        done = one.post(
            f"/records/{reference}/1", data={"csrf": token, "pair": pair, "reason": why}
        )
        assert "The record was joined" in done.text
        assert link_elsewhere(home)["persons"] == 1
        page = one.get(f"/records/{reference}").text
        wrong = one.post(f"/records/{reference}/part", data={"csrf": token, "reason": "no"})
        assert wrong.status_code == 422
        assert "Choose the record that is somebody else" in wrong.text
        done = one.post(
            f"/records/{reference}/part", data={"csrf": token, "record": "2", "reason": why}
        )
        assert "The record was parted" in done.text
    assert link_elsewhere(home)["persons"] == 2
    home.close()


def test_the_policy_can_be_asked_and_a_change_answered_over_the_web(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    with TestClient(
        create_app(home), base_url="http://127.0.0.1", raise_server_exceptions=False
    ) as one:
        token = _sign_in(one, "ig_lead")
        rows = one.get("/api/policy/who-can?field=council.persons.surname").json()
        assert {row["role"] for row in rows} >= {"social_worker", "front_door"}
        told = one.get("/api/policy/explain?field=health.flags.flag&role=school_lead&agency=schools"
                       "&purpose=safeguard_child").json()  # fmt: skip
        assert told["level"] == "refuse"
        assert any(reason["code"] == "E12" for reason in told["reasons"])
        wrong = one.get("/api/policy/as-of?day=soon")
        assert wrong.status_code >= 400
        assert "FG-CLI-02" in wrong.text
        assert one.get("/api/policy/as-of?day=2026-09-15").json()["steps"]
        assert one.get("/api/policy/what-can?role=school_lead").json()
        assert one.get("/api/policy/law").json()["gaps"]
        powers = one.get("/api/policy/gateways?as_of=2026-09-15").json()
        assert {each["id"]: each["in_force"] for each in powers}["ca1989.s17"]
        assert any(each["carries_data"] for each in one.get("/api/policy/agreements").json())
        same = one.get("/api/policy/check")
        assert same.status_code >= 400
        assert "FG-POL-17" in same.text
        path = home.draft[1] / "grants" / "social_worker.yaml"
        path.write_text(
            path.read_text().replace(
                "class: housing, level: banded", "class: housing, level: exists"
            )
        )
        shown = one.get("/api/policy/draft").json()
        assert shown["changes"]
        assert not any(row["widens"] for row in shown["changes"])
        made = one.post("/api/policy/changes", headers={"X-CSRF-Token": token})
        assert made.status_code == 200, made.text
        page = one.get("/policy")
        assert "Change 1: open" in page.text
        assert "Approve as" not in page.text
        assert (
            one.post(
                "/policy/answer",
                data={"csrf": token, "change": 1, "kind": "governance", "word": "approve"},
            ).status_code
            == 403
        )
        one.cookies.clear()
        one.post("/sign-in", data={"user": "demo.ig_officer"})
        page = one.get("/policy").text
        token = re.search(r'name="csrf" value="([0-9a-f]+)"', page).group(1)  # type: ignore[union-attr]
        assert "Approve as Information governance lead" in page
        answer = one.post(
            "/policy/answer",
            data={"csrf": token, "change": 1, "kind": "governance", "word": "approve"},
        )
        assert "Still needed: nothing" in answer.text
    home.close()
