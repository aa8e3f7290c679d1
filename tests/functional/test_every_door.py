"""Every route and every command, permitted, denied and broken: one complete event each, or none on purpose.

The routes come from the application and the commands from the command line itself, so that a new one cannot
be left out: it fails here until it stands in a table with what it needs, or with why it asks for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import typer.main
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from audit.act import UNKNOWN, Act, acts
from audit.log import read_events
from engine.cli.main import app as cli
from engine.flows.clients import add_client
from engine.flows.home import Home
from engine.flows.lists import review_lists
from engine.web.app import create_app
from tests.builders.partnership import (
    OPERATOR,
    REASON,
    Partnership,
    make_partnership,
    person_row,
    persons_file,
)
from tests.functional.test_web import CLIENT, GATE, OPEN, USERS, _routes

Door = tuple[str, str]
ROLES = {**USERS, "dpo": "demo.dpo", "police_ig": "demo.police_ig"}
FAIR = "?use=lawfulness"

BLANK: dict[Door, str] = {
    ("GET", "/reveal"): "an empty form",
    ("GET", "/deliveries/new"): "an empty form",
    ("GET", "/trail/badge"): "a proof over bytes; it opens no key and shows no event",
    ("GET", "/api/policy/matrix"): "the policy, which is about nobody",
    ("GET", "/api/policy/who-can"): "the policy, which is about nobody",
    ("GET", "/api/policy/what-can"): "the policy, which is about nobody",
    ("GET", "/api/policy/explain"): "the policy, which is about nobody",
    ("GET", "/api/policy/as-of"): "the policy, which is about nobody",
    ("GET", "/api/policy/law"): "the law, which is about nobody",
    ("GET", "/api/policy/gateways"): "the law, which is about nobody",
    ("GET", "/api/policy/agreements"): "the agreements, which are about nobody",
    ("GET", "/api/policy/tests"): "tests of the policy, which are about nobody",
}
"""Routes that ask for nothing of anybody, so that nothing stands in the trail; a refusal at them does."""
TWO: dict[Door, str] = {("GET", "/deliveries"): "the deliveries, and their trend"}
"""Pages that ask two things: each of them is one complete event."""
AGAIN: dict[Door, str] = {
    ("GET", "/records"): "without a reference it asks for one, above the queue"
}
"""Pages that say what is missing and show something all the same."""
QUERY = {
    ("GET", "/api/policy/who-can"): "?field=council.persons.surname",
    ("GET", "/api/policy/what-can"): "?role=school_lead",
    ("GET", "/api/policy/as-of"): "?day=2026-09-15",
    (
        "GET",
        "/api/policy/explain",
    ): "?field=health.flags.flag&role=school_lead&agency=schools&purpose=safeguard_child",
    ("GET", "/trail/disclosures"): FAIR + "&person={person}",
    ("GET", "/trail/disclosures.csv"): FAIR + "&person={person}",
    ("GET", "/api/trail/disclosures"): FAIR + "&person={person}",
}
NAMES = {
    ("GET", "/trail/reports/{name}"): "readers",
    ("GET", "/api/trail/reports/{name}"): "readers",
    ("GET", "/api/lists/{name}"): "cse.harmed",
}
_WHY = {"reason": REASON}
BODY: dict[Door, dict[str, Any]] = {
    ("POST", "/people/{person}/decide"): {"item": "1", "outcome": "watch"},
    ("POST", "/reveal"): {"person": "{person}", "case": "CASE-1", "act": "share", **_WHY},
    ("POST", "/pairs/{pair}"): {"answer": "two", **_WHY},
    ("POST", "/pairs-second"): {"number": "1", "word": "agree"},
    ("POST", "/records/{person}/part"): {"record": "99", **_WHY},
    ("POST", "/records/{person}/{record}"): {"pair": "0" * 32, **_WHY},
    ("POST", "/products"): {"product": "hate", "to": "shadow", **_WHY},
    ("POST", "/products/answer"): {"number": "1", "word": "agree"},
    ("POST", "/policy/answer"): {"change": "1", "kind": "governance", "word": "approve"},
    ("POST", "/deliveries/new"): {"source": "council.persons"},
    ("POST", "/deliveries/{number}/release"): {"word": "accept"},
    ("POST", "/api/outcomes"): {"item": 1, "outcome": "watch"},
    ("POST", "/api/reveals"): {"person": "{person}", "case": "CASE-1", **_WHY},
    ("POST", "/api/pairs/decisions"): {"pair": "{pair}", "answer": "two", **_WHY},
    ("POST", "/api/pairs/seconds"): {"number": 1, "agree": True},
    ("POST", "/api/records/{person}/{record}/part"): _WHY,
    ("POST", "/api/records/{person}/{record}/join"): {"pair": "0" * 32, **_WHY},
    ("POST", "/api/products/steps"): {"product": "hate", "to": "shadow", **_WHY},
    ("POST", "/api/products/answers"): {"number": 1, "agree": True},
    ("POST", "/api/policy/changes"): {},
    ("POST", "/api/policy/answers"): {"change": 1, "kind": "governance", "answer": "approve"},
    ("POST", "/api/policy/activations"): {"change": 1},
    ("POST", "/api/policy/rollbacks"): {},
    ("POST", "/monitor/{name}"): {"outcome": "explained"},
}


class House:
    """A partnership with everything that a door may ask for, and what its trail has got since."""

    def __init__(self, made: Partnership, folder: Path) -> None:
        self.home, self.folder = made.home, folder
        self.client = TestClient(
            create_app(made.home), base_url="http://127.0.0.1", raise_server_exceptions=False
        )
        listed = review_lists(made.home, "demo.social_worker", auth="demo")["lists"][0]["entries"]
        self.person = str(next(one["person"] for one in listed if not one["blind"]))
        self.sign_in("records_matcher")
        self.pair = str(self.client.get("/api/pairs").json()["pairs"][0]["pair"])
        made_client = add_client(made.home, "council", "Case system", date(2026, 12, 20), OPERATOR)
        answer = self.client.post("/api/token", json={key: made_client[key] for key in
                                                      ("client_id", "client_secret")})  # fmt: skip
        self.token = str(answer.json()["access_token"])
        self.file = persons_file(folder / "door.csv", person_row(PersonID="DOOR1"))
        self.declared = folder / "declared.json"
        self.declared.write_text("surname: Fakename\naddress: 1 Lantern Street\n", encoding="utf-8")

    def sign_in(self, role: str) -> str:
        """Sign in and return the form token."""
        self.client.cookies.clear()
        page = self.client.post("/sign-in", data={"user": ROLES[role]}, follow_redirects=True).text
        found = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
        assert found
        return found.group(1)

    def ask(self, door: Door, csrf: str, headers: dict[str, str] | None = None) -> Any:
        """Send what a door needs, with real references."""
        method, path = door
        known = {"person": self.person, "pair": self.pair}
        url = path.format(
            person=self.person, reveal_id="x", number=1, pair=self.pair, record=1, product="cse",
            name=NAMES.get(door, "x"),
        ) + QUERY.get(door, FAIR if method == "GET" else "").format(**known)  # fmt: skip
        if method == "GET":
            return self.client.get(url, headers=headers, follow_redirects=False)
        body = {name: value.format(**known) if isinstance(value, str) else value
                for name, value in BODY[door].items()}  # fmt: skip
        if "/api/" in path:
            return self.client.post(url, json=body, headers={"X-CSRF-Token": csrf})
        files = (
            {"file": ("door.csv", self.file.read_bytes())} if path == "/deliveries/new" else None
        )
        data = {**body, "csrf": csrf}
        return self.client.post(url, data=data, files=files, follow_redirects=False)

    def size(self) -> int:
        """Return how many events there are."""
        return len(read_events(self.home.path / "audit"))

    def since(self, size: int) -> list[Act]:
        """Return the acts since then; every event must belong to one of them."""
        new = self.size() - size
        found = (
            list(acts(reversed(read_events(self.home.path / "audit", newest=new)))) if new else []
        )
        assert sum(1 + (one.ended is not None) for one in found) == new
        return found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = make_partnership(tmp_path_factory.mktemp("doors"))
    folder = tmp_path_factory.mktemp("files")
    house = House(made, folder)
    yield house
    house.client.close()
    made.home.close()


def _complete(found: list[Act], count: int) -> None:
    """Hold that there are so many acts, each with its outcome, and that each says who and as what."""
    assert len(found) == count, [(one.flow, one.outcome) for one in found]
    for one in found:
        assert one.outcome != UNKNOWN
        assert one.actor
        assert one.role or one.actor == "unknown"
        assert one.auth


def _of(home: Home, door: Door, *, allowed: bool) -> str:
    roles = home.pack.routes[GATE[door]]
    return next(role for role in ROLES if (role in roles) is allowed)


def test_every_door_stands_in_a_table(house: House) -> None:
    found = {one for one in _routes(house.client) if one[1] not in OPEN}
    assert found == set(GATE) | CLIENT
    assert {one for one in found if one[0] == "POST"} - CLIENT == set(BODY)
    assert set(BLANK) | set(TWO) | set(AGAIN) | set(QUERY) | set(NAMES) <= found


@pytest.mark.finding("AUD-8")
@pytest.mark.parametrize("door", sorted(GATE), ids=" ".join)
@pytest.mark.deep
def test_a_role_that_may_not_enter_leaves_one_refusal(house: House, door: Door) -> None:
    csrf = house.sign_in(_of(house.home, door, allowed=False))
    size = house.size()
    assert house.ask(door, csrf).status_code == 403
    found = house.since(size)
    _complete(found, 1)
    assert (found[0].kind, found[0].outcome) == ("deny", "refuse")


def _break(name: str) -> None:
    if name.endswith(".intent"):
        raise RuntimeError("broken on purpose")


@pytest.mark.deep
@pytest.mark.finding("AUD-8")
@pytest.mark.parametrize("door", sorted(GATE), ids=" ".join)
def test_what_breaks_behind_a_door_leaves_one_failure(
    house: House, monkeypatch: pytest.MonkeyPatch, door: Door
) -> None:
    csrf = house.sign_in(_of(house.home, door, allowed=True))
    size = house.size()
    monkeypatch.setattr(house.home, "arrow", _break)
    answer = house.ask(door, csrf)
    monkeypatch.undo()
    found = house.since(size)
    if door in BLANK:
        assert (answer.status_code, found) == (200, [])
        return
    assert answer.status_code == 500, answer.text
    _complete(found, 1)
    assert found[0].outcome == "failed"


@pytest.mark.deep
@pytest.mark.finding("AUD-8")
@pytest.mark.parametrize("door", sorted(GATE), ids=" ".join)
def test_who_may_enter_leaves_one_complete_event(house: House, door: Door) -> None:
    csrf = house.sign_in(_of(house.home, door, allowed=True))
    size = house.size()
    answer = house.ask(door, csrf)
    found = house.since(size)
    if door in BLANK:
        assert (answer.status_code, found) == (200, [])
        return
    _complete(found, 2 if door in TWO else 1)
    if door in AGAIN:
        assert answer.status_code == 422
        return
    # What the page says and what the trail says are the same.
    bad = {"refuse", "failed", "discarded"}
    assert (answer.status_code >= 400) is bool(bad & {one.outcome for one in found}), answer.text


@pytest.mark.finding("AUD-8")
@pytest.mark.parametrize("door", sorted(one for one in CLIENT if one[0] == "GET"), ids=" ".join)
def test_a_system_of_an_agency_leaves_one_complete_event(
    house: House, monkeypatch: pytest.MonkeyPatch, door: Door
) -> None:
    house.client.cookies.clear()
    right = {"Authorization": f"Bearer {house.token}"}
    size = house.size()
    house.ask(door, "", right)
    _complete(house.since(size), 1)
    size = house.size()
    assert house.ask(door, "", {"Authorization": "Bearer wrong"}).status_code in (401, 403)
    found = house.since(size)
    _complete(found, 1)
    assert found[0].outcome == "refuse"
    size = house.size()
    monkeypatch.setattr(house.home, "arrow", _break)
    assert house.ask(door, "", right).status_code == 500
    monkeypatch.undo()
    found = house.since(size)
    _complete(found, 1)
    assert found[0].outcome == "failed"


FREE: dict[str, str] = {
    **dict.fromkeys(("init", "demo"), "makes a home; its trail begins with it"),
    "serve": "its routes are above",
    "watch": "sends what it finds: as submit does",
    "doctor": "looks at the machine and proves the trail; it opens nothing of anybody",
    "harms report": "invented people only",
    "linkage train": "no home",
    "audit stranger": "a script; no home",
    "audit sequence": "a trail in a file needs none; what it signs is in the trail already",
    **dict.fromkeys(("witness init", "witness trust", "witness countersign", "witness serve", "witness show"),
                    "another partner's machine; no home"),
    "audit verify": "a proof over bytes; it opens no key and shows no event",
    **dict.fromkeys(("contract draft", "contract show", "contract test"), "a contract and a file; no home's data"),
    **dict.fromkeys(("gateway list", "gateway gaps", "agreement list", "agreement expiring"), "the law"),
    **dict.fromkeys(
        ("policy lint", "policy test", "policy explain", "policy who-can", "policy what-can", "policy matrix",
         "policy as-of", "policy diff"),
        "the policy, which is about nobody",
    ),
}  # fmt: skip
"""Commands that ask for nothing of anybody."""


def _leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, one in getattr(command, "commands", {}).items():
        if hasattr(one, "commands"):
            yield from _leaves(one, (*path, name))
        else:
            yield " ".join((*path, name)), one


COMMANDS = dict(_leaves(typer.main.get_command(cli)))


ENTERS: dict[str, str] = {
    "submit": "{file} --agency council --source council.persons",
    "link": "",
    "reveal": "--person {person} --purpose safeguard_child --case CASE-1 --reason {why}",
    "review list": "",
    "review groups": "",
    "review decide": "1 --outcome watch",
    "pairs list": "",
    "pairs show": "{pair}",
    "pairs decide": "{pair} unsure --reason {why}",
    "pairs second": "1 --agree",
    "pairs history": "",
    "pairs quality": "",
    "pairs records": "--person {person}",
    "pairs past": "--person {person}",
    "pairs part": "--person {person} --record 99 --reason {why}",
    "pairs near": "--person {person} --record 1",
    "pairs join": "--person {person} --record 1 --pair 00000000000000000000000000000000 --reason {why}",
    "score replay": "nothing",
    "score challenge": "cse",
    "score evaluations": "",
    "products list": "",
    "products ask": "hate shadow --reason {why}",
    "products answer": "1 --agree",
    "products saw": "cse",
    "products profile": "hate",
    "keys rotate": "--overlap",
    "keys reencode": "",
    "keys promote": "",
    "keys retire": "",
    "audit recover": "--because disk",
    "audit list": "--use lawfulness",
    "audit search": "--use lawfulness",
    "audit disclosures": "--use lawfulness --person {person}",
    "audit reports": "--use lawfulness",
    "audit report": "readers --use lawfulness",
    "audit own": "--use lawfulness",
    "audit export-tiles": "--out {file}.tiles",
    "audit checkpoint": "--out {file}.checkpoint",
    "audit witnessed": "{file}",
    "audit submit-checkpoint": "",
    "audit anchor": "--off",
    "audit second-signature": "--off",
    "monitor run": "",
    "monitor list": "",
    "monitor show": "0000-0000",
    "monitor decide": "0000-0000 explained",
    "monitor second": "0000-0000 --agree",
    "monitor rates": "",
    "monitor enrol": "demo.social_worker --from {declared}",
    "monitor leave": "demo.social_worker",
    "monitor mark": "--person {person} --as-mark none",
    "policy check": "",
    "policy simulate": "",
    "policy propose": "",
    "policy changes": "",
    "policy answer": "1 governance approve",
    "policy activate": "1",
    "policy rollback": "",
    "deliveries list": "",
    "deliveries show": "1",
    "deliveries findings": "1",
    "deliveries aside": "1",
    "deliveries trend": "",
    "deliveries release": "1",
    "deliveries refuse": "1",
    "deliveries withdraw": "99",
    "client add": "--agency council --label Door --expires {soon}",
    "client close": "nothing",
    "agreement suspend": "dsa_0005",
    "agreement resume": "dsa_0005",
    "access reviews": "",
    "access review": "nothing justified",
    "access notices": "police",
    "account add": "door --agency council --role social_worker --purpose safeguard_child",
    "flag set": "--person {person} --name restricted --value n",
    "flag declare": "adopted",
}
"""Commands that ask for something, in an order that leaves each what it needs."""
QUIET = {
    "score list": "runs and their days, about nobody; the operator's own",
    "keys show": "versions of keys; it opens none",
    "monitor members": "users who enrolled; the operator's own",
    "client list": "systems of agencies, about nobody",
    "deliveries lights": "days of deliveries, about nobody",
}
ANYBODY = {"deliveries findings"}
"""Commands that refuse no account; what they show is the same for all but the sender."""
AS = {
    **dict.fromkeys(
        ("reveal", "review list", "review groups", "review decide"), "demo.social_worker"
    ),
    **dict.fromkeys(("deliveries findings", "deliveries aside"), "demo.police_data"),
    "audit own": "demo.police_data",
}


def _arguments(house: House, name: str, user: str) -> list[str]:
    soon = date.fromordinal(date.today().toordinal() + 60).isoformat()  # noqa: DTZ011  # the command's own clock
    words = [
        word.format(
            file=house.file,
            declared=house.declared,
            person=house.person,
            pair=house.pair,
            why=REASON,
            soon=soon,
        )
        for word in ENTERS[name].split()
    ]
    as_user = ["--as", user] if user else []
    return [*name.split(), *words, *as_user, "--home", str(house.home.path)]


def _takes_user(name: str) -> bool:
    return any(one.name == "as_user" for one in COMMANDS[name].params)


def _user(name: str) -> str:
    matcher = "demo.matcher" if name.startswith("pairs") else "demo.ig_lead"
    return AS.get(name, matcher) if _takes_user(name) else ""


def test_every_command_stands_in_a_table() -> None:
    assert set(COMMANDS) == set(ENTERS) | set(QUIET) | set(FREE)
    assert not set(ENTERS) & (set(QUIET) | set(FREE))


@pytest.mark.deep
@pytest.mark.finding("AUD-8")
@pytest.mark.parametrize("name", [one for one in ENTERS if one not in ANYBODY and _takes_user(one)])
def test_a_command_of_another_role_leaves_one_refusal(house: House, name: str) -> None:
    size = house.size()
    done = CliRunner().invoke(cli, _arguments(house, name, "demo.benefits"))
    assert done.exit_code == 12, done.output
    found = house.since(size)
    _complete(found, 1)
    assert found[0].outcome == "refuse"


@pytest.mark.deep
@pytest.mark.finding("AUD-8")
@pytest.mark.parametrize("name", [one for one in ENTERS if one != "audit recover"])
def test_a_command_that_breaks_leaves_one_failure(
    house: House, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    made = Home.__post_init__

    def broken(home: Home) -> None:
        made(home)
        home.arrow = _break

    size = house.size()
    monkeypatch.setattr(Home, "__post_init__", broken)
    done = CliRunner().invoke(cli, _arguments(house, name, _user(name)))
    monkeypatch.undo()
    assert done.exit_code == 1, done.output
    found = house.since(size)
    _complete(found, 1)
    assert found[0].outcome == "failed"


@pytest.mark.deep
@pytest.mark.finding("AUD-8")
@pytest.mark.parametrize("name", ENTERS)
def test_a_command_leaves_one_complete_event(house: House, name: str) -> None:
    size = house.size()
    done = CliRunner().invoke(cli, _arguments(house, name, _user(name)))
    found = house.since(size)
    if name == "audit recover":
        # A whole trail has nothing to declare: it says so before anything is asked of it.
        assert (done.exit_code, found) == (15, [])
        return
    assert done.exit_code != 2, done.output
    _complete(found, 1)
    bad = found[0].outcome in ("refuse", "failed", "discarded")
    assert (done.exit_code != 0) is bad, done.output


@pytest.mark.parametrize("name", QUIET)
def test_a_quiet_command_tells_of_nobody_and_leaves_nothing(house: House, name: str) -> None:
    size = house.size()
    done = CliRunner().invoke(cli, [*name.split(), "--home", str(house.home.path)])
    assert done.exit_code == 0, done.output
    assert house.since(size) == []
    assert house.person not in done.output
