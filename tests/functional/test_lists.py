"""Who is listed again, who decides, and who stays without a name."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, col, select

from engine.domain.errors import PolicyRefused
from engine.flows.decision import Ask
from engine.flows.lists import decide, latest_run, review_lists
from engine.flows.reveal import reveal
from engine.flows.score import score
from engine.linkage.sure import write_sure
from engine.store.tables import LinkRun, ReviewItem, ScoreRun
from engine.web.app import create_app
from tests.builders.partnership import OPERATOR, REASON, TODAY, Partnership, make_partnership

DEMO: dict[str, Any] = {"auth": "demo"}
WORKER = "demo.social_worker"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Partnership:
    world = make_partnership(tmp_path_factory.mktemp("lists"))
    score(world.home, TODAY - timedelta(days=60), OPERATOR)
    score(world.home, TODAY, OPERATOR)
    return world


def _entries(made: Partnership) -> list[dict[str, Any]]:
    lists = review_lists(made.home, WORKER, **DEMO)["lists"]
    return [{**entry, "list": one["id"]} for one in lists for entry in one["entries"]]


def _ask(made: Partnership, person: str, purpose: str = "safeguard_child") -> bool:
    shown = reveal(made.home, Ask(WORKER, purpose, "C-1", REASON, person), **DEMO)
    return bool(shown["permitted"])


@pytest.mark.finding("T-GM5", "SCO-T17")
def test_who_was_drawn_from_below_the_line_has_no_name_until_an_own_view_says_so(
    made: Partnership,
) -> None:
    entries = _entries(made)
    named = {one["person"] for one in entries if not one["blind"]}
    drawn = [one for one in entries if one["blind"]]
    # A place without a name beside one with it would give itself away.
    assert not named & {one["person"] for one in drawn}
    person, item = drawn[0]["person"], drawn[0]["item"]
    with pytest.raises(PolicyRefused, match="FG-REV-11"):
        _ask(made, person)
    assert _ask(made, min(named))
    decide(made.home, WORKER, item, "watch", **DEMO)
    assert _ask(made, person)
    with Session(made.home.casework) as session:
        row = session.get(ReviewItem, item)
        assert row is not None
        row.outcome = "not_appropriate"
        session.add(row)
        session.commit()
    with pytest.raises(PolicyRefused, match="FG-REV-11"):
        _ask(made, person)


@pytest.mark.finding("T-GM5")
def test_a_new_run_that_drew_others_opens_nobody(made: Partnership) -> None:
    score(made.home, TODAY, OPERATOR)
    entries = _entries(made)
    drawn = [one for one in entries if one["blind"]]
    with Session(made.home.casework) as session:
        newest = session.exec(select(ScoreRun).order_by(col(ScoreRun.number).desc())).first()
        assert newest is not None
        for row in session.exec(
            select(ReviewItem).where(ReviewItem.run == newest.id, col(ReviewItem.blind))
        ).all():
            session.delete(row)
        session.commit()
    # The places of earlier runs still bind, as long as the cool-down lasts.
    for one in drawn[:1]:
        with pytest.raises(PolicyRefused, match="FG-REV-11"):
            _ask(made, one["person"])


def test_a_page_of_lists_stands_where_a_blind_person_is_on_another_list_too(
    made: Partnership,
) -> None:
    score(made.home, TODAY, OPERATOR)
    with Session(made.home.casework) as session:
        newest = session.exec(select(ScoreRun).order_by(col(ScoreRun.number).desc())).first()
        assert newest is not None
        rows = session.exec(select(ReviewItem).where(ReviewItem.run == newest.id)).all()
        blind = rows[0]
        other = next(one for one in rows if one.list != blind.list)
        blind.blind, other.blind = True, False
        session.add(blind)
        other.person = blind.person
        session.add(other)
        session.commit()
        person = blind.person
    mine = [one for one in _entries(made) if one["person"] == person]
    assert {one["blind"] for one in mine} == {True, False}
    assert {one["score"] for one in mine} == {one["trend"] for one in mine} == {None}
    with TestClient(create_app(made.home), base_url="http://127.0.0.1") as client:
        client.post("/sign-in", data={"user": WORKER})
        page = client.get("/lists")
        assert page.status_code == 200
        assert "not shown" in page.text


def test_one_decision_counts_on_every_list_and_the_person_rests_until_something_is_new(
    made: Partnership,
) -> None:
    several = [one for one in _entries(made) if one["also_on"] and one["outcome"] is None]
    assert several
    one = several[0]
    decide(made.home, WORKER, one["item"], "not_appropriate", **DEMO)
    same = [each for each in _entries(made) if each["person"] == one["person"]]
    assert len(same) > 1
    assert {each["outcome"] for each in same} == {"not_appropriate"}
    with pytest.raises(PolicyRefused, match="FG-REV-08"):
        decide(made.home, WORKER, same[-1]["item"], "accept", **DEMO)
    made.home.clock.advance(days=1)  # type: ignore[attr-defined]
    score(made.home, TODAY + timedelta(days=1), OPERATOR)
    assert one["person"] not in {each["person"] for each in _entries(made)}
    made.home.clock.advance(days=made.home.tables.cool_down_days)  # type: ignore[attr-defined]


def test_the_emerging_are_on_no_other_list_and_above_no_threshold(made: Partnership) -> None:
    entries = _entries(made)
    emerging = {one["person"] for one in entries if one["list"].endswith(".emerging")}
    others = {one["person"] for one in entries if one["list"].startswith("cse")
              and not one["list"].endswith(".emerging")}  # fmt: skip
    mine = {one["person"] for one in entries if one["list"] == "cse.emerging"}
    assert not mine & others
    assert all(one["score"] <= 40 for one in entries if one["person"] in emerging and one["score"]
               and one["list"].endswith(".emerging"))  # fmt: skip


@pytest.mark.finding("SCO-T10")
def test_how_sure_a_match_is_goes_from_the_link_run_to_the_score_and_the_list(
    tmp_path: Path,
) -> None:
    home = make_partnership(tmp_path).home
    run = latest_run(home)
    assert run is not None
    with Session(home.casework) as session:
        linked = session.get(LinkRun, run.link_run)
        assert linked is not None
        unsure = linked.summary["persons_not_quite_sure"]
    parts = home.warehouse.result(run.id, "person").column("link_p").to_pylist()
    assert sum(part < 1000 for part in parts) == unsure
    assert all(900 < part <= 1000 for part in parts)  # What is less is a question, and no link.
    casework = home.domain("casework")
    listed = {one["person"] for one in _entries(Partnership(home, None))}  # type: ignore[arg-type]
    someone = min(listed)
    write_sure(home.linkage, run.link_run, {casework.parse(someone): 700})
    score(home, TODAY, OPERATOR)
    again = latest_run(home)
    assert again is not None
    parts = home.warehouse.result(again.id, "person").column("link_p").to_pylist()
    assert sorted(parts)[0] == 700
    told = {one["person"]: one["match"] for one in _entries(Partnership(home, None))}  # type: ignore[arg-type]
    assert told.pop(someone, 0.7) == 0.7
    assert set(told.values()) == {1.0}
    home.close()
