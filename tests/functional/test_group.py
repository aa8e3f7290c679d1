"""The group of a person is told in words, at the level of the grant, and names nobody."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.flows import group
from engine.flows.group import group_of
from engine.flows.lists import latest_run, list_state
from engine.flows.person import look
from engine.store.tables import Account
from policies.model import Level
from tests.builders.partnership import Partnership

WORKER = "demo.social_worker"


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
