"""What the pages say of change: by which run, in words, and never before a blind entry is decided."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from engine.flows.deliveries import withdraw
from engine.flows.lists import review_lists
from engine.flows.person import look
from engine.flows.replay import replay
from engine.flows.score import score
from tests.builders.partnership import OPERATOR, TODAY, Partnership, make_partnership

USER = "demo.social_worker"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Partnership:
    world = make_partnership(tmp_path_factory.mktemp("trend"))
    score(world.home, TODAY - timedelta(days=60), OPERATOR)
    score(world.home, TODAY, OPERATOR)
    return world


@pytest.mark.deep
def test_the_first_run_has_nothing_to_compare_with_and_later_ones_say_with_what(
    made: Partnership,
) -> None:
    home = made.home
    first = score(home, TODAY - timedelta(days=70), OPERATOR)
    assert first["compared_with"] is None
    last = score(home, TODAY, OPERATOR)
    assert last["compared_with"]["as_of"] <= last["as_of"] - home.tables.increase_days
    assert not last["compared_with"]["rebased"]
    assert replay(home, last["run"], OPERATOR)["same"]


def test_lists_and_the_page_of_a_person_tell_the_trend(made: Partnership) -> None:
    home = made.home
    lists = review_lists(home, USER, auth="demo")["lists"]
    entries = [entry for one in lists for entry in one["entries"]]
    assert {entry["trend"] for entry in entries if entry["blind"]} <= {None}
    shown = {entry["trend"] for entry in entries if not entry["blind"]}
    assert "increasing" in shown
    rising = next(entry for entry in entries if entry["trend"] == "increasing")
    page = look(home, USER, rising["person"], auth="demo")
    trends = [one["trend"] for one in page["scores"] if one["trend"]]
    told = [one for one in trends if one["state"] == "increasing"]
    assert told
    assert "new evidence since" in told[0]["says"]
    assert told[0]["rise"] >= home.tables.increase_index / 1000
    runs = [one["run"] for one in page["history"]]
    assert runs == sorted(runs, reverse=True)
    assert len(runs) >= 3
    blind = next(entry for entry in entries if entry["blind"])
    hidden = look(home, USER, blind["person"], auth="demo")
    assert hidden["scores"] is None
    assert hidden["history"] == []


@pytest.mark.deep
def test_a_run_that_has_lost_a_delivery_is_no_ground_to_compare_with(tmp_path: Path) -> None:
    world = make_partnership(tmp_path)
    home = world.home
    score(home, TODAY - timedelta(days=60), OPERATOR)
    assert score(home, TODAY, OPERATOR)["compared_with"] is not None
    withdraw(home, int(str(world.receipts["police.missing"]["number"])), OPERATOR)
    assert score(home, TODAY, OPERATOR)["compared_with"] is None
    home.close()
