"""The group of a person is told in words, at the level of the grant, and names nobody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session
from typer.testing import CliRunner

from engine.cli.main import app
from engine.domain.errors import PolicyRefused
from engine.flows import group
from engine.flows.group import group_list, group_of
from engine.flows.lists import latest_run, list_state
from engine.flows.person import look
from engine.flows.registry import ask
from engine.linkage.index import records_of
from engine.store.tables import Account, RecordFlag
from engine.web.app import create_app
from policies.model import Level
from tests.builders.partnership import Partnership, make_partnership

WORKER = "demo.social_worker"
DEMO: dict[str, Any] = {"auth": "demo"}


def _of(
    partnership: Partnership, level: Level, monkeypatch: pytest.MonkeyPatch
) -> list[dict[str, Any]]:
    home = partnership.home
    run = latest_run(home)
    assert run is not None
    monkeypatch.setattr(group, "shown_level", lambda *_: level)
    account = Account(user="x", agency="council", role="social_worker", purpose="safeguard_child")
    count = home.warehouse.result(run.id, "person").num_rows
    return [group_of(home, account, run, pid, list_state(home)) for pid in (*range(count), None)]


@pytest.mark.finding("SCO-T3")
def test_a_group_is_told_in_words_and_in_numbers_only_in_full(
    partnership: Partnership, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = partnership.home
    run = latest_run(home)
    assert run is not None
    members = home.warehouse.result(run.id, "group_member").num_rows
    words = [one["group"] for one in _of(partnership, Level.TOKEN, monkeypatch)]
    assert words[-1] is None  # Nobody of the run.
    assert sum(bool(one) for one in words) == members > 0
    for one in words:
        assert not one or set(one) == {"size", "firmness", "known_before"}
        assert not any(
            isinstance(value, int) and value not in (True, False) for value in (one or {}).values()
        )
    full = [one["group"] for one in _of(partnership, Level.CLEAR, monkeypatch) if one["group"]]
    for one in full:
        assert 3 <= one["people"] <= home.tables.group_most
        assert 0 <= one["stability"] <= 1
        assert (one["people"] <= 5) == (one["size"] == "three to five people")
    assert all(one["group"] is None for one in _of(partnership, Level.EXISTS, monkeypatch))


def test_a_social_worker_is_told_of_a_group_on_the_page_of_a_person(
    partnership: Partnership,
) -> None:
    home = partnership.home
    run = latest_run(home)
    assert run is not None
    persons = home.warehouse.result(run.id, "person").column("person").to_pylist()
    members = set(home.warehouse.result(run.id, "group_member").column("pid").to_pylist())
    casework = home.domain("casework")
    names = [casework.text(one) for one in casework.seal(home.domain("analysis").open(persons))]
    pid = min(members)
    found = look(home, WORKER, names[pid], auth="demo")
    assert found["group"]["firmness"] in {"firm", "fairly firm", "loose"}
    others = [names[other] for other in members if other != pid]
    assert not any(other in json.dumps(found) for other in others)
    outside = next(at for at in range(len(names)) if at not in members)
    assert look(home, WORKER, names[outside], auth="demo")["group"] == {}


def test_all_groups_are_listed_in_words_and_nobody_is_in_the_list(partnership: Partnership) -> None:
    home = partnership.home
    run = latest_run(home)
    assert run is not None
    found = group_list(home, WORKER, **DEMO)
    assert len(found["groups"]) == home.warehouse.result(run.id, "group").num_rows > 0
    for one in found["groups"]:
        assert set(one) == {"size", "firmness", "known_before", "themes"}
        assert set(one["themes"]) <= {"cse", "cce"}
        # What a small group has and a known member lacks would be another member's.
        assert one["size"].startswith(("six", "more")) or not one["themes"]
    text = json.dumps(found)
    assert "casework." not in text
    for value in home.warehouse.result(run.id, "group").column("group").to_pylist():
        assert str(value) not in text  # Not even a group has a name that could be followed.


def test_who_may_not_see_groups_is_refused_and_a_closed_record_leaves_its_group_out(
    tmp_path: Path,
) -> None:
    home = make_partnership(tmp_path).home
    for user in ("demo.school_lead", "demo.police_staff", "demo.ig_lead"):
        with pytest.raises(PolicyRefused, match="FG-REV-03"):
            group_list(home, user, **DEMO)
    run = latest_run(home)
    assert run is not None
    before = group_list(home, WORKER, **DEMO)
    members = home.warehouse.result(run.id, "group_member").to_pylist()
    persons = home.warehouse.result(run.id, "person").column("person").to_pylist()
    (person,) = home.domain("analysis").open([persons[members[0]["pid"]]])
    (record, *_) = home.domain("record").seal(
        home.domain("linkage").open(records_of(home.linkage, person, home.link_runs()))
    )
    home.clock.advance(minutes=5)  # type: ignore[attr-defined]
    with Session(home.casework) as session:
        session.add(
            RecordFlag(
                record=home.domain("record").text(record),
                flag="restricted",
                value="y",
                set_by="x",
                set_at=home.clock(),
            )
        )
        session.commit()
    after = group_list(home, WORKER, **DEMO)
    assert len(after["groups"]) == len(before["groups"]) - 1
    assert after["left_out"] == 1
    for product in ("cse", "cce"):
        ask(home, "demo.ig_lead", product, "suspended", "The points are under review.", **DEMO)
    closed = group_list(home, WORKER, **DEMO)
    assert closed["groups"] == []
    assert set(closed["not_served"]) == {"cse", "cce"}
    home.close()


def test_groups_are_on_their_page_and_in_their_command(partnership: Partnership) -> None:
    home = partnership.home
    with TestClient(create_app(home), base_url="http://127.0.0.1") as client:
        client.post("/sign-in", data={"user": WORKER})
        page = client.get("/groups").text
        assert "People who were suspected together" in page
        assert "/people/" not in page
        assert client.get("/api/groups").json()["groups"]
    told = CliRunner().invoke(app, ["review", "groups", "--home", str(home.path), "--as", WORKER])
    assert told.exit_code == 0
    assert "Together" in told.output
