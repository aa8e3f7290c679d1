"""What is known of a person on two axes of time, over any story of runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.linkage.assign import Assignment
from engine.linkage.history import bearer_at, changes, known_of
from engine.linkage.index import (
    Fact,
    Span,
    current_facts,
    current_membership,
    discard_run,
    facts_now,
    past_membership,
    stage_run,
)
from engine.linkage.index_tables import metadata
from engine.store.session import make_engine

RECORDS = [bytes([n]) * 32 for n in range(4)]
PEOPLE = [bytes([n]) * 16 for n in range(3)]

spans = st.tuples(st.integers(0, 20), st.none() | st.integers(21, 40))
worlds = st.dictionaries(
    st.sampled_from(RECORDS), st.tuples(st.sampled_from(PEOPLE), spans), max_size=4
)


def _split(world: dict[bytes, tuple[bytes, Span]]) -> tuple[dict[bytes, bytes], dict[bytes, Span]]:
    people = {record: person for record, (person, span) in world.items() if span[1] is None}
    return people, {record: span for record, (_, span) in world.items()}


@given(st.lists(worlds, min_size=1, max_size=6))
def test_every_run_is_told_as_it_was_known_whatever_came_later(
    tmp_path_factory: pytest.TempPathFactory, stories: list[dict[bytes, tuple[bytes, Span]]]
) -> None:
    engine = make_engine(Path(tmp_path_factory.mktemp("history")) / "linkage.db")
    metadata.create_all(engine)
    published: list[str] = []
    held: dict[bytes, Fact] = {}
    was: list[dict[bytes, Fact]] = []
    for number, world in enumerate(stories):
        people, days = _split(world)
        run = f"run{number}"
        records = sorted(people)
        made = Assignment([people[one] for one in records])
        past = past_membership(engine, published)
        stage_run(
            engine, run, records, made, dict.fromkeys(PEOPLE, True), held, days, past, [], published
        )
        # Nothing of it counts before it is published.
        assert current_facts(engine, published) == held
        published.append(run)
        expected = facts_now(people, held, days, past, {})
        held = current_facts(engine, published)
        assert held == expected
        assert current_membership(engine, published) == people
        was.append(held)
    told = known_of(engine, published, PEOPLE)
    for place, facts in enumerate(was):
        for day in (0, 10, 20, 21, 30, 41):
            now = {one.record: one.person for one in told if one.at(place, day)}
            assert now == {
                record: fact.person
                for record, fact in facts.items()
                if (fact.since or 0) <= day and (fact.until is None or day < fact.until)
            }
    for person in PEOPLE:
        mine: set[bytes] = set()
        for change in changes(told, person, len(published)):
            assert not mine & set(change.joined)
            assert mine >= set(change.left)
            mine = (mine | set(change.joined)) - set(change.left)
        assert mine == {
            record for record, one in held.items() if one.person == person and one.until is None
        }
    discard_run(engine, published.pop())
    assert current_facts(engine, published) == (was[-2] if len(was) > 1 else {})
    engine.dispose()


def test_what_ended_goes_with_its_person_when_that_one_is_merged_and_back_when_it_is_parted(
    tmp_path: Path,
) -> None:
    engine = make_engine(tmp_path / "linkage.db")
    metadata.create_all(engine)
    runs: list[str] = []
    one, ended, other = RECORDS[:3]
    mine, theirs = PEOPLE[:2]

    def run(people: dict[bytes, bytes], days: dict[bytes, Span], leads: dict[bytes, bytes]) -> None:
        made = Assignment([people[record] for record in sorted(people)], leads=leads)
        stage_run(
            engine, f"r{len(runs)}", sorted(people), made, dict.fromkeys(PEOPLE, True),
            current_facts(engine, runs), days, past_membership(engine, runs), [], runs,
        )  # fmt: skip
        runs.append(f"r{len(runs)}")

    whole: dict[bytes, Span] = {one: (0, None), other: (0, None), ended: (0, None)}
    run({one: mine, ended: mine, other: theirs}, whole, {})
    over = {**whole, ended: (0, 5)}
    run({one: mine, other: theirs}, over, {})
    run({one: theirs, other: theirs}, over, {mine: theirs})
    assert current_facts(engine, runs)[ended].person == theirs
    for asked in (mine, theirs):
        bearer = bearer_at(engine, runs, asked, 2)
        told = known_of(engine, runs, {bearer})
        assert {each.record for each in told if each.person == bearer and each.at(2, 2)} == {
            one,
            ended,
            other,
        }
    run({one: mine, other: theirs}, over, {})
    assert current_facts(engine, runs)[ended].person == mine
    engine.dispose()
