"""What the trail carries of a request: keyed hashes of it, of its address and of its session; who agreed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from audit.canonical import canonical
from audit.errors import AuditFault
from audit.event import VERSION, make_event, schema_problem
from audit.log import AuditLog, read_events
from audit.note import Signer
from audit.stranger import Refused, arguments, check, event_of
from audit.verify import verify
from engine.domain.ids import Actor
from engine.flows.asked import ASKED, Asked, asked_of
from engine.flows.deliveries import deliveries
from engine.flows.home import Home
from engine.web.app import create_app
from tests.builders.partnership import OPERATOR

HASH = re.compile(r"[0-9a-f]{64}")
ADDRESS = "198.51.100.77"


def events(home: Home, flow: str) -> list[dict]:
    found = [json.loads(body) for _, body in read_events(home.path / "audit")]
    return [one for one in found if one["flow"] == flow]


@pytest.fixture
def page(home: Home) -> Iterator[TestClient]:
    with TestClient(create_app(home), client=(ADDRESS, 1), follow_redirects=False) as made:
        yield made


def enter(page: TestClient, user: str = "demo.dpo") -> None:
    page.post("/sign-in", data={"user": user})


@pytest.mark.finding("B34")
def test_a_web_request_leaves_keyed_hashes_and_its_address_nowhere(
    home: Home, page: TestClient
) -> None:
    enter(page)
    for use in ("lawfulness", "lawfulness", "integrity"):
        assert page.get(f"/trail?use={use}").status_code == 200
    seen = events(home, "read_trail") or events(home, "search_trail")
    assert len(seen) >= 6
    for one in seen:
        assert one["v"] == VERSION
        assert HASH.fullmatch(one["request_hash"])
        assert HASH.fullmatch(one["net"])
        assert one["actor"]["level"] == "none"  # A demo identity is chosen from a list.
        assert len(one["actor"]["session"]) == 32
    # The same request is seen to be the same, and another one another.
    assert len({one["request_hash"] for one in seen}) == 2
    assert len({one["net"] for one in events(home, "sign_in") + seen}) == 1
    home.close()
    everything = b"".join(one.read_bytes() for one in home.path.rglob("*") if one.is_file())
    assert ADDRESS.encode() not in everything
    assert "sign_in" in everything.decode("latin-1")
    assert verify(home.path / "audit").status == "verified"


def test_another_session_and_another_address_are_told_apart(home: Home) -> None:
    app = create_app(home)
    for address in (ADDRESS, "198.51.100.78"):
        with TestClient(app, client=(address, 1), follow_redirects=False) as page:
            enter(page)
            page.get("/trail?use=lawfulness")
    seen = events(home, "search_trail") + events(home, "read_trail")
    assert len({one["net"] for one in seen}) == 2
    assert len({one["actor"]["session"] for one in seen}) == 2
    assert len({one["request_hash"] for one in seen}) == 1


@pytest.mark.parametrize("odd", ['prefs={"a":1}', "a[b]=1", "a b=1"])
def test_an_odd_cookie_before_the_session_hides_it_from_no_trail(
    home: Home, page: TestClient, odd: str
) -> None:
    enter(page)
    session = page.cookies["fieldgate_session"]
    page.cookies.clear()
    sent = [("Cookie", f"{odd}; fieldgate_session={session}"), ("Cookie", "theme=dark")]
    assert page.get("/trail?use=lawfulness", headers=sent).status_code == 200
    seen = events(home, "read_trail") + events(home, "search_trail")
    assert seen
    assert all(len(one["actor"].get("session", "")) == 32 for one in seen)


def test_a_command_answers_no_request_and_says_what_stands_behind_the_user(home: Home) -> None:
    deliveries(home, OPERATOR)
    (outcome, intent) = events(home, "deliveries")
    for one in (outcome, intent):
        assert not {"request_hash", "net"} & set(one)
        assert "session" not in one["actor"]
    assert Actor("a", "council", "x", "os").as_event()["level"] == "host"
    assert Actor("a", "council", "x", "client").as_event()["level"] == "secret"


def form(*pairs: tuple[str, str], kind: str = "application/x-www-form-urlencoded") -> Asked:
    asked = Asked("POST", "/a", kind=kind)
    asked.take("&".join(f"{key}={value}" for key, value in pairs).encode(), last=True)
    return asked


def test_the_same_form_is_the_same_request_whatever_its_token_and_its_order() -> None:
    one = form(("name", "x"), ("csrf", "1"), ("b", "2")).normal()
    assert one == form(("b", "2"), ("csrf", "9"), ("name", "x")).normal()
    assert one != form(("b", "2"), ("csrf", "9"), ("name", "y")).normal()
    assert form(("b", "2")).normal() != Asked("POST", "/a").normal()
    first, second = (Asked("POST", "/a", kind="application/json") for _ in range(2))
    first.take(b'{"a": 1, "b": 2}', last=True)
    second.take(b'{"b":2,', last=False)
    unread = second.normal()
    second.take(b'"a":1}', last=True)
    assert first.normal() == second.normal() != unread


def test_what_is_asked_with_odd_bytes_is_hashed_and_never_an_exception(home: Home) -> None:
    for body in (b"\xff\x00=%ff", b"{" * 70_000, b"[" * 5_000, b"x" * 200_000):
        for kind in ("application/x-www-form-urlencoded", "application/json", "text/csv", ""):
            asked = Asked("POST", "/%00%0A", "q=%00&q=\u2028", "::1", "s\n", kind)
            asked.take(body, last=True)
            before = ASKED.set(asked)
            try:
                found, session = asked_of(home)
            finally:
                ASKED.reset(before)
            assert HASH.fullmatch(found["request_hash"])
            assert set(session) == {"session"}


def test_without_the_key_nobody_can_try_an_address(home: Home) -> None:
    before = ASKED.set(Asked("GET", "/", address=ADDRESS))
    try:
        found, _ = asked_of(home)
    finally:
        ASKED.reset(before)
    assert found["net"] != hashlib.sha256(ADDRESS.encode()).hexdigest()
    assert ADDRESS not in repr(Asked("GET", "/", address=ADDRESS))


# Versions of an event


def event(number: int, **details: object) -> dict:
    return make_event(
        log="log.example/versions",
        kind="consultation",
        phase="outcome" if number % 2 else "intent",
        flow="view",
        intent=f"i{number // 2}",
        actor={"id": "a1", "org": "council"},
        now=datetime(2026, 3, 2, 9, 30, number, tzinfo=UTC),
        random=number.to_bytes(10, "big"),
        details=details,
    )


@pytest.mark.finding("AUD-11")
def test_a_log_of_both_versions_verifies_and_each_is_held_to_its_own(tmp_path: Path) -> None:
    signer = Signer.from_bytes("log.example/versions", bytes(range(32)))
    AuditLog.create(tmp_path, signer.vkey())
    log = AuditLog(tmp_path, signer)
    log.append([{**event(number), "v": 1} for number in range(4)])
    new = {"net": "0" * 64, "request_hash": "f" * 64, "approvers": ["b2"]}
    log.append([event(number, **new) for number in range(4, 6)])
    for bad in (
        {**event(6, **new), "v": 1},
        {**event(6), "v": 3},
        {**event(6), "v": True},
        {**event(6), "v": "2"},
        {**event(6), "net": ADDRESS},
        {**event(6), "request_hash": "GET /people/1"},
        {**event(6), "approvers": "b2"},
        {**event(6), "approvers": [1]},
    ):
        assert schema_problem(bad)
        with pytest.raises(AuditFault, match="FG-AUD-01"):
            log.append([bad])
        with pytest.raises(Refused):
            event_of(canonical(bad))
    log.close()
    assert verify(tmp_path).status == "verified"
    told = check(arguments([str(tmp_path), "--vkey", signer.vkey()])).as_dict()
    assert (told["status"], told["size"]) == ("verified", 6)
