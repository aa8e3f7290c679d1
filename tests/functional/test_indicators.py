"""Indicators say when, how fresh, who said so and by which rule, as far as a role may know that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.domain.indicators import INDICATORS
from engine.flows.home import Home
from engine.flows.indicators import FRESH, Seen, _freshness
from engine.flows.link import link
from engine.flows.lists import review_lists
from engine.flows.person import look
from engine.flows.rules import name_rules
from engine.flows.submit import submit
from tests.builders.partnership import (
    OPERATOR,
    Partnership,
    make_home,
    person_row,
    persons_file,
)

DEMO: dict[str, Any] = {"auth": "demo"}
WORKER = "demo.social_worker"


def _shown(home: Home) -> list[dict[str, Any]]:
    lists = review_lists(home, WORKER, **DEMO)["lists"]
    people = sorted({one["person"] for each in lists for one in each["entries"]})
    return [row for one in people for row in look(home, WORKER, one, **DEMO)["indicators"]]


def test_each_indicator_has_date_source_rule_and_freshness_or_says_no_data(
    partnership: Partnership,
) -> None:
    home = partnership.home
    rows = _shown(home)
    assert {row["code"] for row in rows} == set(INDICATORS)
    seen = [row for row in rows if row["last_seen"]]
    assert seen
    words = {"holds today", "older than two years", *(text for _, text in FRESH)}
    titles = {one.title for one in home.pack.sources.values()}
    rules = {rule["id"]: one.title for one in home.pack.sources.values() for rule in one.yields}
    for row in seen:
        assert row["freshness"] in words
        assert row["kind"]
        assert row["source"] in titles | {"a partner's record"}
        # A rule's name tells its source: it is told where the source is, and nowhere else.
        assert bool(row["rule"]) == (row["source"] in titles)
        assert not row["rule"] or rules[row["rule"]] == row["source"]
    assert any(row["rule"] for row in seen)
    for row in rows:
        if not row["last_seen"]:
            assert (row["freshness"], row["source"], row["rule"], row["kind"]) == ("", "", "", "")


@pytest.mark.parametrize(
    ("day", "end", "words"),
    [
        (1000, 2**31 - 1, "holds today"),
        (9000, 9900, "in the last six months"),
        (9990, 9990, "in the last six months"),
        (9700, 9700, "in the last year"),
        (9400, 9400, "in the last two years"),
        (1000, 2000, "older than two years"),
        (10_050, 10_050, "in the last six months"),
    ],
)
def test_freshness_is_no_finer_than_half_a_year(day: int, end: int, words: str) -> None:
    assert _freshness(Seen(day, end, "k", "s", "r", "x"), 10_000) == words


def test_a_rule_is_that_of_the_contract_of_its_day_though_the_policy_moved_it(
    tmp_path: Path,
) -> None:
    home = make_home(tmp_path / "home")
    submit(home, persons_file(tmp_path / "a.csv", person_row()), agency="council",
           source="council.persons", actor=OPERATOR)  # fmt: skip
    link(home, OPERATOR)
    (delivery,) = home.published()
    held = [{"delivery": delivery, "rule": 1}, {"delivery": delivery, "rule": 99},
            {"delivery": "nowhere", "rule": 1}]  # fmt: skip
    name_rules(home, held)
    assert [row["rule_id"] for row in held] == ["per.household", "", ""]
    source = home.pack.sources["council.persons"]
    moved = replace(source, yields=tuple(reversed(source.yields)))
    home._current = replace(home.pack, version="f" * 64,
                            sources={**home.pack.sources, source.id: moved})  # fmt: skip
    name_rules(home, held)
    assert held[0]["rule_id"] == "per.household"
    home.close()
