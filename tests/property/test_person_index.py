"""Persons over many runs: ids that stay, merges that can be undone, decisions that hold."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.linkage.artefacts import load_model, shipped
from engine.linkage.assign import assign
from engine.linkage.blocks import capped, communal
from engine.linkage.cluster import Memory, cluster, same_local_id
from engine.linkage.decide import decide
from engine.linkage.edge_store import Scored, forget, keep_only, load, save, score
from engine.linkage.edges import Edges
from engine.linkage.encode import BLOCKS, COLUMNS, Encoder, Words
from engine.linkage.history import bearer_at, changes, known_of
from engine.linkage.index import (
    ReviewPair,
    current_facts,
    current_membership,
    discard_run,
    past_membership,
    person_ages,
    records_of,
    resolve,
    review_pairs,
    stage_run,
)
from engine.linkage.index_tables import ensure
from engine.linkage.linker import SplinkLinker, joined
from engine.linkage.lookup import Lookup
from engine.linkage.memory import (
    CANNOT,
    MUST,
    final_decisions,
    forget_decision,
    pairs_of,
    write_decision,
)
from engine.store.session import make_engine
from tests.builders.encoded import KEY, encoded, person
from tests.builders.partnership import seeded

MODEL = load_model(shipped())
RECORDS = [bytes([number]) * 32 for number in range(7)]


def _labels(parts: list[int]) -> Words:
    """Return clusters named by their lowest row."""
    first: dict[int, int] = {}
    return np.array([first.setdefault(part, row) for row, part in enumerate(parts)], np.int64)


def _run(engine: Any, name: str, parts: list[int], runs: list[str]) -> dict[bytes, bytes]:
    before, records = current_membership(engine, runs), RECORDS[: len(parts)]
    made = assign(
        records, _labels(parts), before, seeded(len(runs) + 1),
        past_membership(engine, runs), person_ages(engine, runs),
    )  # fmt: skip
    held = current_facts(engine, runs)
    stage_run(engine, name, records, made, dict.fromkeys(made.people, True), held, {}, {}, [], runs)
    runs.append(name)
    return current_membership(engine, runs)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=7, max_size=7), st.integers(0, 6), st.integers(0, 6))
def test_a_merge_that_is_undone_restores_every_id(parts: list[int], one: int, other: int) -> None:
    engine = _memory_engine()
    runs: list[str] = []
    first = _run(engine, "r1", parts, runs)
    merged = [parts[other] if part == parts[one] else part for part in parts]
    during = _run(engine, "r2", merged, runs)
    assert len(set(during.values())) == len(set(merged))
    then = known_of(engine, runs, first.values())
    after = _run(engine, "r3", parts, runs)
    assert after == first
    # What is known now is what was known at first, and the merge is told of its own run for ever.
    told = known_of(engine, runs, first.values())
    for run, was in enumerate((first, during, first)):
        assert {one.record: one.person for one in told if one.at(run, 0)} == was
        assert sum(one.at(run, 0) for one in told) == len(was)
    assert [one for one in then if one.at(1, 0)] == [
        replace(one, last=None) for one in told if one.at(1, 0)
    ]
    for person_id in first.values():
        story = changes(told, person_id, len(runs))
        merge, undone = ([one for one in story if one.run == run] for run in (1, 2))
        # Whoever came with the merge went with its undoing, and to where they came from.
        assert [(one.joined, one.left) for one in merge] == [
            (one.left, one.joined) for one in undone
        ]
        assert bool(merge) is (
            parts[one] != parts[other] and person_id in (first[RECORDS[one]], first[RECORDS[other]])
        )
    for record, person_id in first.items():
        assert resolve(engine, person_id, runs) == person_id
        assert record in records_of(engine, person_id, runs)
        # And as it was while it was merged, every id led to where its records were.
        assert resolve(engine, person_id, runs[:2]) == during[record]
        led = [bearer_at(engine, runs, person_id, run) for run in range(3)]
        assert led == [person_id, during[record], person_id]
    engine.dispose()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), min_size=7, max_size=7), min_size=1, max_size=4))
def test_every_id_ever_given_leads_to_a_person_and_a_discarded_run_to_nothing(
    history: list[list[int]],
) -> None:
    engine = _memory_engine()
    runs: list[str] = []
    given_ids: set[bytes] = set()
    for number, parts in enumerate(history):
        now = _run(engine, f"r{number}", parts, runs)
        given_ids |= set(now.values())
        # Nobody is two, and records are together exactly as they were clustered.
        assert [now[record] for record in RECORDS] == [
            now[RECORDS[row]] for row in _labels(parts).tolist()
        ]
        assert len(set(now.values())) == len(set(parts))
    # An id that only one record bore first leads to wherever that record is, for ever.
    past, here = past_membership(engine, runs), current_membership(engine, runs)
    borne = [past[record][0] for record in RECORDS]
    for record in RECORDS:
        if borne.count(past[record][0]) == 1:
            assert resolve(engine, past[record][0], runs) == here[record]
    for one in given_ids:
        assert resolve(engine, one, runs) in set(current_membership(engine, runs).values())
    before = current_membership(engine, runs)
    _run(engine, "bad", [0] * 7, list(runs))
    discard_run(engine, "bad")
    assert current_membership(engine, runs) == before
    assert {resolve(engine, one, runs) for one in given_ids} <= set(before.values())
    engine.dispose()


def _memory_engine() -> Any:
    from sqlalchemy import create_engine

    engine = create_engine("sqlite://")
    ensure(engine)
    return engine


def test_on_a_merge_the_older_id_stays_and_on_a_split_with_those_who_bore_it_first() -> None:
    engine = _memory_engine()
    runs: list[str] = []
    old = _run(engine, "r1", [0, 0], runs)[RECORDS[0]]
    young = _run(engine, "r2", [0, 0, 1, 1, 1], runs)[RECORDS[4]]
    assert young != old
    assert set(_run(engine, "r3", [0, 0, 0, 0, 0], runs).values()) == {old}
    assert resolve(engine, young, runs) == old
    split = _run(engine, "r4", [0, 0, 1, 1, 1], runs)
    assert (split[RECORDS[0]], split[RECORDS[4]]) == (old, young)
    engine.dispose()


def test_redirects_of_an_older_home_are_taken_over(tmp_path: Path) -> None:
    from sqlalchemy import text

    engine = make_engine(tmp_path / "l.db")
    with engine.begin() as connection:
        connection.execute(text(
            "CREATE TABLE person (person_id BLOB PRIMARY KEY, from_run VARCHAR(40) NOT NULL, identified "
            "BOOLEAN NOT NULL, redirect_to BLOB, redirect_run VARCHAR(40))"))  # fmt: skip
        connection.execute(
            text("INSERT INTO person VALUES (:a, 'r1', 1, :b, 'r2'), (:b, 'r1', 1, NULL, NULL)"),
            {"a": b"a" * 16, "b": b"b" * 16},
        )
    ensure(engine)
    ensure(engine)
    assert resolve(engine, b"a" * 16, ["r1", "r2"]) == b"b" * 16
    assert resolve(engine, b"a" * 16, ["r1"]) == b"a" * 16
    engine.dispose()


def test_the_newest_final_decision_about_a_pair_holds_and_others_count_for_nothing() -> None:
    engine = _memory_engine()
    one, two, three = RECORDS[:3]
    write_decision(engine, "d1", [(two, one)], MUST)
    write_decision(engine, "d2", [(one, two), (one, three)], CANNOT)
    assert final_decisions(engine, []) == []
    assert [(d.left, d.right, d.kind) for d in final_decisions(engine, ["d1"])] == [
        (one, two, MUST)
    ]
    both = {(d.left, d.right): d.kind for d in final_decisions(engine, ["d1", "d2"])}
    assert both == {(one, two): CANNOT, (one, three): CANNOT}
    assert final_decisions(engine, ["d2", "d1"])[-1].kind == MUST
    assert pairs_of(engine, "d1") == [(one, two)]
    forget_decision(engine, "d2")
    assert final_decisions(engine, ["d1", "d2"]) == final_decisions(engine, ["d1"])
    engine.dispose()


NAMES = st.sampled_from(["Ada", "Adah", "Bella", "J", "Jack", "James", None])
ROWS = st.lists(
    st.tuples(NAMES, st.sampled_from(["2010-03-04", "2010-01-01", "1980-03-04", None]),
              st.sampled_from(["1 Lantern Street", "9 Mill Lane", None]),
              st.sampled_from(["9990000018", "9990000026", None, None])),
    min_size=2, max_size=9,
)  # fmt: skip


def _encoded(rows: list[Any]) -> Words:
    return encoded(
        [{"given_name": name, "surname": "Fakename", "birth_date": born, "address": place,
          "postcode": "TL1 0AA" if place else None, "nhs_number": number}
         for name, born, place, number in rows]
    )  # fmt: skip


def _decided(words: Words, memory: Memory | None = None) -> list[set[int]]:
    found = decide(
        words, ["a"] * len(words), SplinkLinker(Encoder(KEY, 1), MODEL), MODEL, memory or Memory()
    )
    groups: dict[int, set[int]] = {}
    for row, part in enumerate(found.clusters.cluster.tolist()):
        groups.setdefault(part, set()).add(row)
    return sorted(groups.values(), key=min)


@settings(max_examples=15, deadline=None)
@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_records_changes_nobody(rows: list[Any], chance: Any) -> None:
    """splink 1903: pairs and clusters differed between two runs over the same records."""
    order = list(range(len(rows)))
    chance.shuffle(order)
    plain = _decided(_encoded(rows))
    turned = _decided(_encoded([rows[place] for place in order]))
    back = sorted(({order[row] for row in group} for group in turned), key=min)
    assert back == plain


ALIKE = st.lists(st.sampled_from([None, "9990000018", "9990000026", "9990000034", "9990000035"]),
                 min_size=3, max_size=6)  # fmt: skip


@pytest.mark.finding("LNK-14")
@settings(max_examples=20, deadline=None)
@given(ALIKE, st.randoms(use_true_random=False))
def test_rivals_of_one_weight_are_parted_alike_in_every_order(
    numbers: list[Any], chance: Any
) -> None:
    """splink 2562: a record without a number that fits several people alike is nobody's by its place."""
    rows = [("Ada", "2010-03-04", "1 Lantern Street", number) for number in numbers]
    order = list(range(len(rows)))
    chance.shuffle(order)
    plain = _decided(_encoded(rows))
    turned = _decided(_encoded([rows[place] for place in order]))
    assert sorted(({order[row] for row in group} for group in turned), key=min) == plain
    # Who has a number of their own is never joined with another, by no chain.
    owned = {number for number in numbers if number and number != "9990000035"}
    for group in plain:
        assert len({numbers[row] for row in group} & owned) <= 1


def test_one_agencys_id_with_two_numbers_is_settled_alike_in_every_order() -> None:
    rows = [
        {"local_id": "A1", "nhs_number": number} for number in ("9990000018", None, "9990000026")
    ]
    found = set()
    for order in itertools.permutations(range(3)):
        words = encoded([rows[place] for place in order], scheme="council.child")
        groups = cluster(words, same_local_id(words), no_edges()).cluster.tolist()
        found.add(
            frozenset(
                frozenset(order[at] for at in range(3) if groups[at] == one) for one in groups
            )
        )
    assert len(found) == 1


def no_edges() -> Edges:
    """Return no pairs at all."""
    nothing = np.zeros(0, np.int64)
    return Edges(nothing, nothing, np.zeros(0), {})


def test_a_chain_of_one_weight_joins_no_two_numbers_whichever_pair_comes_first() -> None:
    words = _encoded([("Ada", "2010-03-04", "1 Lantern Street", number)
                      for number in ("9990000018", None, None, "9990000026")])  # fmt: skip
    pairs = [(0, 1), (1, 2), (2, 3)]
    for order in itertools.permutations(pairs):
        edges = Edges(np.array([a for a, _ in order]), np.array([b for _, b in order]),
                      np.array([9.0] * 3), {})  # fmt: skip
        found = cluster(words, [], edges)
        assert found.cluster.tolist() == [0, 1, 2, 3]
        assert {one[:2] for one in found.refused} == set(pairs)


@settings(max_examples=10, deadline=None)
@given(ROWS, st.floats(0, 12))
def test_a_higher_threshold_never_joins_more_in_a_whole_run(rows: list[Any], more: float) -> None:
    """anonlink 82, with guard, leader margin and memory."""
    words = _encoded(rows)

    def joined_at(auto: float) -> set[frozenset[int]]:
        model = replace(MODEL, auto_weight=auto, review_weight=MODEL.review_weight, bands={})
        found = decide(
            words, ["a"] * len(rows), SplinkLinker(Encoder(KEY, 1), MODEL), model, Memory()
        )
        of = found.clusters.cluster.tolist()
        return {frozenset((a, b)) for a in range(len(of)) for b in range(a) if of[a] == of[b]}

    assert joined_at(MODEL.auto_weight + more) <= joined_at(MODEL.auto_weight)


def test_decisions_that_contradict_each_other_are_a_question_again() -> None:
    words = _encoded([("Ada", "2010-03-04", "1 Lantern Street", None)] * 3)
    memory = Memory(must=[(0, 1), (1, 2)], cannot=[(0, 2)])
    found = decide(words, ["a"] * 3, SplinkLinker(Encoder(KEY, 1), MODEL), MODEL, memory)
    assert [(one.left, one.right, one.reason) for one in found.questions] == [
        (1, 2, "decided_apart")
    ]


@pytest.mark.finding("LNK-19")
def test_one_number_on_two_people_is_raised_and_a_number_of_a_crowd_is_nobodys() -> None:
    two = encoded([person("Ada", "Fakename", "2010-03-04", nhs_number="9990000018"),
                   person("Bob", "Other", "1960-07-08", nhs_number="9990000018", postcode="TL9 9ZZ")])  # fmt: skip
    linker = SplinkLinker(Encoder(KEY, 1), MODEL)
    found = decide(two, ["a", "b"], linker, MODEL, Memory())
    assert [(one.left, one.right, one.reason) for one in found.questions] == [
        (0, 1, "one_nhs_number")
    ]
    crowd = encoded([person(f"Mock{chr(65 + n)}a", f"Fake{chr(65 + n)}e", f"19{60 + n}-02-03",
                            nhs_number="9990000018", postcode=f"TL{n} 1AA") for n in range(20)])  # fmt: skip
    found = decide(crowd, ["a"] * 20, linker, MODEL, Memory())
    assert found.questions == []
    assert [(one.column, one.blocks, one.records) for one in found.capped] == [("nhs", 1, 20)]


@settings(max_examples=15, deadline=None)
@given(ROWS, st.data())
def test_two_records_that_were_decided_apart_are_never_one_person(
    rows: list[Any], data: Any
) -> None:
    one = data.draw(st.integers(0, len(rows) - 2))
    other = data.draw(st.integers(one + 1, len(rows) - 1))
    groups = _decided(_encoded(rows), Memory(cannot=[(one, other)]))
    assert not any({one, other} <= group for group in groups)
    joined = _decided(_encoded(rows), Memory(must=[(one, other)]))
    assert any({one, other} <= group for group in joined)


def test_a_refused_join_parts_nobody_who_has_nothing_to_do_with_it() -> None:
    """splink PR 3031: a conflict is settled where it is."""
    words = _encoded([("Ada", "2010-03-04", "1 Lantern Street", None)] * 3
                     + [("Jack", "1980-03-04", "9 Mill Lane", None)] * 3)  # fmt: skip
    assert _decided(words) == [{0, 1, 2}, {3, 4, 5}]
    assert {3, 4, 5} in _decided(words, Memory(cannot=[(0, 2)]))


@pytest.mark.finding("LNK-24")
def test_a_block_that_would_swamp_a_run_is_refined_and_what_it_skips_is_counted() -> None:
    """splink 2732: one value that many rows share made a block of more pairs than could be compared."""
    rows = [person(f"Mock{n:03}a", "Fakename", "2010-01-01", postcode="TL1 0AA") for n in range(40)]
    words = encoded([*rows, person("Ada", "Other", "1980-03-04", postcode="TL2 2BB")])
    plain, none = capped(words, 1000)
    assert none == []
    assert plain is words
    made, found = capped(words, 20)
    told = {one.column: one for one in found}
    assert told["b_dob_postcode"].records == 40
    assert told["b_dob_postcode"].pairs == 40 * 39 // 2
    place = COLUMNS.index("b_dob_postcode")
    assert made[40, place] == words[40, place]
    assert len(set(made[:40, place].tolist())) == 40
    # The same two names are still compared: the finer key is theirs alone.
    twice, _ = capped(encoded([*rows, rows[0]]), 20)
    assert twice[0, place] == twice[40, place] != 0
    assert all(one.as_dict()["column"] in BLOCKS for one in found)


def test_no_address_of_an_ordinary_home_is_communal() -> None:
    words = encoded([person("Ada", "Fakename", "2010-03-04")] * 50)
    assert not communal(words).any()  # One person, sent fifty times.


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.floats(4, 20)), max_size=12),
       st.floats(4, 20))  # fmt: skip
def test_a_higher_threshold_never_joins_more(pairs: list[Any], limit: float) -> None:
    """anonlink 82: with a higher threshold there were more matches."""
    words = _encoded([("Ada", "2010-03-04", "1 Lantern Street", None)] * 6)
    kept = sorted({(min(a, b), max(a, b), w) for a, b, w in pairs if a != b}, key=lambda p: -p[2])

    def groups(least: float) -> set[frozenset[int]]:
        some = [one for one in kept if one[2] >= least]
        edges = Edges(
            np.array([a for a, _, _ in some], np.int64), np.array([b for _, b, _ in some], np.int64),
            np.array([w for _, _, w in some]), {},
        )  # fmt: skip
        found = cluster(words, [], edges).cluster.tolist()
        return {frozenset((a, b)) for a in range(6) for b in range(a) if found[a] == found[b]}

    assert groups(limit) <= groups(4)


@settings(max_examples=12, deadline=None)
@given(ROWS, st.data())
def test_what_is_scored_for_new_records_is_what_a_full_run_scores(
    rows: list[Any], data: Any
) -> None:
    """splink 1112: the pairs of the old records, of the new ones, and of both, weight for weight."""
    words = _encoded(rows)
    fresh = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    linker = SplinkLinker(Encoder(KEY, 1), MODEL)
    whole = linker.edges(words)
    old = np.flatnonzero(~fresh)
    before = linker.edges(words[old])
    back = Edges(old[before.left], old[before.right], before.weight, before.gammas)
    made = joined([back, linker.edges(words, fresh)])
    for one, other in ((made.left, whole.left), (made.right, whole.right),
                       (made.weight, whole.weight)):  # fmt: skip
        assert one.tobytes() == other.tobytes()
    assert {name: made.gammas[name].tolist() for name in made.gammas} == {
        name: whole.gammas[name].tolist() for name in whole.gammas
    }


@settings(max_examples=12, deadline=None)
@given(ROWS)
def test_one_record_is_scored_as_a_full_run_scores_it(rows: list[Any]) -> None:
    words = _encoded(rows)
    whole = SplinkLinker(Encoder(KEY, 1), MODEL).edges(words)
    lookup = Lookup(Encoder(KEY, 1), MODEL, words)
    for row in range(len(words)):
        mine = whole.take(np.flatnonzero((whole.left == row) | (whole.right == row)))
        found = lookup.edges(row)
        assert (found.left.tolist(), found.right.tolist()) == (
            mine.left.tolist(),
            mine.right.tolist(),
        )
        assert found.weight.tobytes() == mine.weight.tobytes()
        assert {name: found.gammas[name].tolist() for name in found.gammas} == {
            name: mine.gammas[name].tolist() for name in mine.gammas
        }
    lookup.close()


def test_a_run_compares_what_is_new_and_what_changed_and_nothing_else(tmp_path: Path) -> None:
    rows = [("Ada", "2010-03-04", "1 Lantern Street", None), ("Adah", "2010-03-04", None, None),
            ("Jack", "1980-03-04", "9 Mill Lane", None), ("James", "1980-03-04", "9 Mill Lane", None)]  # fmt: skip
    words = _encoded(rows)
    linker = SplinkLinker(Encoder(KEY, 1), MODEL)
    usable = np.ones(4, dtype=bool)
    edges, digests, compared = score(linker, words, usable, RECORDS[:4], None)
    assert compared == 4
    save(tmp_path, "r1", Scored("m1", RECORDS[:4], digests, edges))
    assert load(tmp_path, "r1", "m2") is None
    assert load(tmp_path, "r0", "m1") is None
    kept = load(tmp_path, "r1", "m1")
    assert kept is not None
    assert score(linker, words, usable, RECORDS[:4], kept)[2] == 0
    # One record changed, one is gone, one is new; and they stand in another order.
    order = [3, 1, 0, 4]
    changed = [*rows, ("Bella", "2010-03-04", "1 Lantern Street", None)]
    changed[1] = ("Ada", "2010-03-04", "1 Lantern Street", None)
    now = _encoded([changed[place] for place in order])
    names = [RECORDS[place] for place in order]
    made, _, compared = score(linker, now, usable, names, kept)
    assert compared == 2
    whole, _, _ = score(linker, now, usable, names, None)
    assert made.weight.tobytes() == whole.weight.tobytes()
    assert (made.left.tolist(), made.right.tolist()) == (whole.left.tolist(), whole.right.tolist())
    save(tmp_path, "r2", Scored("m1", names, digests, made))
    keep_only(tmp_path, "r2")
    assert load(tmp_path, "r1", "m1") is None
    forget(tmp_path, "r2")
    assert list(tmp_path.iterdir()) == []


def test_pairs_for_review_come_back_as_they_were_written() -> None:
    engine = _memory_engine()
    made = assign(RECORDS[:2], np.array([0, 1]), {}, seeded(3))
    pair = ReviewPair(RECORDS[0], RECORDS[1], "merge_guard", 7.5, {"given": 6, "dob": -1})
    stage_run(engine, "r1", RECORDS[:2], made, dict.fromkeys(made.people, True), {}, {}, {}, [pair])
    assert review_pairs(engine, "r1") == [pair]
    engine.dispose()


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(7)))
def test_beside_whom_a_question_stands_does_not_hang_on_the_order_of_rows(order: list[int]) -> None:
    """Of five at one home three are asked about, and always the same three."""
    named = [person(name, "Fakename", "2010-03-04")
             for name in ("Ada", "Bella", "Cleo", "Dora", "Edna")]  # fmt: skip
    rows = [*named, person("Baby", "Fakename", "2010-03-04"),
            person("Ada", "Fakename", "2010-03-04", postcode="TL2 2BB")]  # fmt: skip

    def asked(some: list[dict[str, str]]) -> set[frozenset[tuple[str, ...]]]:
        found = decide(
            encoded(some), ["a"] * len(some), SplinkLinker(Encoder(KEY, 1), MODEL), MODEL, Memory()
        )
        said = [tuple(map(str, one.values())) for one in some]
        return {
            frozenset((said[one.left], said[one.right]))
            for one in found.questions
            if one.reason == "no_given_name"
        }

    first = asked(rows)
    assert len(first) == 3
    assert asked([rows[place] for place in order]) == first
