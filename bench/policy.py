"""Policy decisions, views, masks, explanations and differences, against casbin, Cedar and loops."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import yaml

import gateways.load
import policies.load
from bench.measure import FLOOR, PEER, Claim
from bench.policy_peers import (
    Held,
    Key,
    PlainCasbin,
    SlicedCedar,
    keys_of,
    questions,
    rows_of,
    states_of,
)
from policies.authorise import authorise, compile_slice, open_bases
from policies.diff import cell_changes
from policies.explain import explain
from policies.lint import lint
from policies.matrix import ASSUMED
from policies.model import Level, Pack, Request, Source
from policies.rows import LoadedRows, rows_for
from policies.shadow import shadow_level
from policies.view import View, mask
from tests.builders.policy_world import TODAY, big_pack

TIMES = 10
VIEWS = 200
EXPLAINED = 20
NONE: frozenset[str] = frozenset()
SMALL, LARGE = 620, 10_000
"""Rows asked of `big_pack`, which counts those of grants; caps come on top."""
SLICES = 100
"""Of the slices of the large pack: together about 10,000 rows, those of caps counted."""
REMOVED, ADDED = 20, 30
"""Grants that differ between two versions."""
FACTS = {"reason_given": True, "decision_recorded": True}
MET = frozenset({"justify", "case_ref"})
# Every flag of the pack is known: one that is absent is read as its strictest value.
FLAGS = ("adopted", "child", "disputed", "embargoed", "expired", "police_sensitive", "protected",
         "restricted", "staff_kin", "ungraded", "victim_safety")  # fmt: skip
CHILD = {**dict.fromkeys(FLAGS, "n"), "child": "y"}
STATES: tuple[dict[str, str], ...] = (
    CHILD,
    {},
    {**CHILD, "child": "n"},
    {**CHILD, "protected": "y"},
    {**CHILD, "restricted": "y"},
    {**CHILD, "embargoed": "y"},
)
Levels = list[Level]


def claims() -> Iterator[Claim]:
    """Yield the claims of this group."""
    pack = policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())
    request = Request("social_worker", "council", "safeguard_child", FACTS)
    for name in ("council.persons", "police.occurrences"):
        source = pack.sources[name]
        # The peer is given the open bases, and its enforcers are built before the clock runs.
        bases = {
            field: open_bases(pack, request, source, spec, TODAY)[0]
            for field, spec in source.fields.items()
        }
        yield _claim(pack, request, source, bases)
    yield from _decisions()
    yield _view()
    yield from _masks()
    large = big_pack(LARGE)
    yield _explained(large)
    yield _compiled(large)
    yield _whole_pack(pack)
    yield _diff(large)


def _claim(
    pack: Pack, request: Request, source: Source, bases: dict[str, list[tuple[str, str]]]
) -> Claim:
    def casbin() -> Levels:
        return [
            shadow_level(pack, request, source, name, state, bases[name])
            for _ in range(TIMES)
            for state in STATES
            for name in source.fields
        ]

    def ours() -> Levels:
        found: Levels = []
        for _ in range(TIMES):
            view = authorise(pack, request, source.id, source.fields, TODAY, MET)
            found.extend(view.level(name, state) for state in STATES for name in source.fields)
        return found

    return Claim(
        f"authorise, {TIMES} x {source.id}: {len(source.fields)} fields, {len(STATES)} states",
        "casbin, one enforcer a field",
        PEER,
        casbin,
        ours,
        lambda theirs, mine: theirs == mine and max(mine) > Level.REFUSE,
    )


def _decisions() -> Iterator[Claim]:
    pack = big_pack(SMALL)
    rows = rows_of(pack)
    peers: tuple[tuple[int, str, Any], ...] = (
        (400, "pycasbin, all rows in one enforcer", PlainCasbin),
        (4000, "cedarpy, sliced batches, handles held", SlicedCedar),
    )
    for count, against, peer in peers:
        asked = questions(pack, count)
        held, other = Held(pack, asked), peer(rows, asked)
        share = sum(held.decide()) / count
        yield Claim(
            f"{count:,} scalar decisions, {len(rows):,} rows, {share:.0%} allowed",
            against,
            PEER,
            other.decide,
            held.decide,
            lambda theirs, mine: theirs == mine,
        )


def _view() -> Claim:
    pack = big_pack(SMALL)
    who = pack.grants[0]
    source = next(iter(who.sources))
    request = Request(who.role, who.agency, who.purpose, ASSUMED)
    first = authorise(pack, request, source, pack.sources[source].fields, TODAY, NONE)
    names = list(first.fields)
    codes = [first.table.code(state) for state in states_of(pack)[:64]]
    held = {code: {name: first.table.level(name, code) for name in names} for code in codes}

    def floor() -> list[list[int]]:
        for _ in range(VIEWS):
            found = [[held[code][name] for name in names] for code in codes]
        return found

    def ours() -> Any:
        for _ in range(VIEWS):
            view = authorise(pack, request, source, names, TODAY, NONE)
            found = view.table.levels(codes, names)
        return found

    return Claim(
        f"authorise and levels, {VIEWS} x {len(codes)} states x {len(names)} fields, warm",
        "floor: gather from a dict",
        FLOOR,
        floor,
        ours,
        lambda theirs, mine: bool(np.array_equal(theirs, mine)),
    )


def _masks() -> Iterator[Claim]:
    rng, rows = np.random.default_rng(7), 1_000_000
    columns = [rng.random(rows) for _ in range(30)]
    states = rng.integers(0, 64, rows)
    for whole, dropped in ((6, 21), (10, 10)):
        mixed = 30 - whole - dropped
        levels = rng.integers(0, 5, (64, 30)).astype(np.uint8)
        levels[:, :whole], levels[:, whole : whole + dropped] = 4, 3
        yield _mask(levels, states, columns, f"{whole} whole, {dropped} dropped, {mixed} mixed")


def _mask(levels: Any, states: Any, columns: list[Any], words: str) -> Claim:
    def naive() -> list[Any]:
        return [
            np.where(levels[states, place] >= Level.CLEAR, column, np.nan)
            for place, column in enumerate(columns)
        ]

    def agree(theirs: list[Any], mine: list[Any]) -> bool:
        return all(
            bool(np.isnan(one).all()) if two is None else np.array_equal(one, two, equal_nan=True)
            for one, two in zip(theirs, mine, strict=True)
        )

    return Claim(
        f"mask, 1,000,000 rows x 30: {words}",
        "np.where on every column",
        PEER,
        naive,
        lambda: mask(levels, states, columns),
        agree,
    )


def _explained(pack: Pack) -> Claim:
    rng = random.Random(11)
    asked = []
    for one in rng.sample(pack.grants, EXPLAINED):
        source = pack.sources[next(iter(one.sources))]
        name = next(f.name for f in source.fields.values() if f.data_class == one.data_class)
        asked.append((one, source, name))

    def scan() -> list[set[str]]:
        return [
            {
                g.id
                for g in pack.grants
                if (g.role, g.agency, g.purpose) == (one.role, one.agency, one.purpose)
                and g.data_class == one.data_class
                and source.id in g.sources
            }
            for one, source, _ in asked
        ]

    def ours() -> list[set[str]]:
        found = []
        for one, source, name in asked:
            request = Request(one.role, one.agency, one.purpose, ASSUMED)
            told = explain(pack, request, source.id, name, TODAY, NONE, {})
            found.append({grant["id"] for grant in told.grants})
        return found

    return Claim(
        f"explain, {EXPLAINED} fields, warm, {LARGE:,} rows",
        "floor: scan of the grants",
        FLOOR,
        scan,
        ours,
        lambda theirs, mine: theirs == mine and all(mine),
    )


def _compile(pack: Pack, key: Key) -> View:
    request, source = Request(*key[:3], ASSUMED), pack.sources[key[3]]
    held = LoadedRows.of(rows_for(pack, *key[:3], source))
    return compile_slice(pack, request, source, TODAY, NONE, held.rows)


def _compiled(pack: Pack) -> Claim:
    keys = keys_of(pack)
    some = random.Random(13).sample(keys, SLICES)

    def rows() -> list[dict[Any, Any]]:
        return [rows_for(pack, *key[:3], pack.sources[key[3]]) for key in some]

    return Claim(
        f"load into casbin and compile, {SLICES} of {len(keys):,} slices, {LARGE:,} rows",
        "floor: making the rows",
        FLOOR,
        rows,
        lambda: [_compile(pack, key) for key in some],
        lambda theirs, mine: len(theirs) == len(mine) and all(mine[0].fields),
    )


def _whole_pack(pack: Pack) -> Claim:
    """From the files on disk to answers: read, every lint rule, rows into casbin, every slice."""
    askers = sorted({(one.role, one.agency, one.purpose) for one in pack.grants})
    rows = sum(
        len(rows_for(pack, *asker, source)) for asker in askers for source in pack.sources.values()
    )
    folders = (gateways.load.shipped(), policies.load.shipped())

    def floor() -> int:
        paths = [path for folder in folders for path in folder.rglob("*.yaml")]
        return sum(1 for path in paths if yaml.load(path.read_text(), yaml.CSafeLoader))

    def ours() -> list[View]:
        gateways.load.forget_files()
        fresh = policies.load.load_pack(*folders)
        findings = lint(fresh, TODAY)
        if any(one.severity == "E" for one in findings):
            raise AssertionError("the shipped pack has an error")
        return [_compile(fresh, (*asker, name)) for asker in askers for name in fresh.sources]

    return Claim(
        f"read YAML, lint, load and compile the shipped pack, {rows:,} rows",
        "floor: parsing the YAML with libyaml",
        FLOOR,
        floor,
        ours,
        lambda theirs, mine: theirs > 0 and len(mine) == len(askers) * len(pack.sources),
    )


def _diff(old: Pack) -> Claim:
    rng = random.Random(17)
    gone = rng.sample(old.grants, REMOVED)
    more = [replace(one, id=f"new-{one.id}") for one in big_pack(LARGE, 9).grants[:ADDED]]
    kept = [one for one in old.grants if one not in gone]
    new = replace(old, grants=(*kept, *more))
    touched = sorted({(g.role, g.agency, g.purpose, s) for g in (*gone, *more) for s in g.sources})

    def decided(pack: Pack) -> dict[Key, View]:
        return {key: _answer(pack, key) for key in touched}

    def floor() -> set[tuple[Any, ...]]:
        before, after = decided(old), decided(new)
        return {
            (*key, name, tuple(sorted(state.items())), was, becomes)
            for key in touched
            for state in _known(old)
            for name in before[key].fields
            for was, becomes in [(before[key].level(name, state), after[key].level(name, state))]
            if was != becomes
        }

    def ours() -> list[Any]:
        return list(cell_changes(old, new, TODAY))

    def agree(theirs: set[tuple[Any, ...]], mine: list[Any]) -> bool:
        # Ours names only the flags that a cap tells apart; each cell stands for all states of it.
        spread = {
            (c.role, c.agency, c.purpose, c.source, c.field, tuple(sorted(state.items())), c.old, c.new)
            for c in mine
            for state in _known(old)
            if dict(c.state).items() <= state.items()
        }  # fmt: skip
        return bool(theirs) and theirs == spread

    return Claim(
        f"exact diff, {LARGE:,} rows, {REMOVED} grants removed, {ADDED} added",
        "floor: the touched slices, both versions",
        FLOOR,
        floor,
        ours,
        agree,
    )


def _answer(pack: Pack, key: Key) -> View:
    source = pack.sources[key[3]]
    rows = rows_for(pack, *key[:3], source)
    return compile_slice(pack, Request(*key[:3], ASSUMED), source, TODAY, NONE, rows)


def _known(pack: Pack) -> list[dict[str, str]]:
    every = len(pack.vocabulary.flags)
    return [dict(state) for state in states_of(pack) if len(state) == every]
