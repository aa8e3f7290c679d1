"""What stands against the policy engine: one casbin over every row, Cedar in slices, plain loops."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import casbin
import cedarpy
from casbin.model import Model

from policies.authorise import slice_of
from policies.matrix import ASSUMED
from policies.model import Pack, Request, State
from policies.rows import ANY, MODEL, Row, RowAdapter, match, rows_for, state_match, state_text
from policies.view import LevelTable
from tests.builders.policy_world import TODAY

Key = tuple[str, str, str, str]
"""Role, agency, purpose and source: what a slice is compiled for."""


@dataclass(frozen=True)
class Question:
    """May this field be seen at this level? The basis is given, so the peers try one, not all."""

    key: Key
    field: str
    category: str
    basis: tuple[str, str]
    level: int
    state: State


def keys_of(pack: Pack) -> list[Key]:
    """Return every slice that a grant speaks of."""
    return sorted({(g.role, g.agency, g.purpose, name) for g in pack.grants for name in g.sources})


def rows_of(pack: Pack) -> list[Row]:
    """Return the casbin rows of every slice, once each."""
    rows: dict[Row, None] = {}
    for role, agency, purpose, source in keys_of(pack):
        rows.update(dict.fromkeys(rows_for(pack, role, agency, purpose, pack.sources[source])))
    return list(rows)


def states_of(pack: Pack) -> list[State]:
    """Return every state of the flags, unknown ones too."""
    states: list[dict[str, str]] = [{}]
    for flag in pack.vocabulary.flags:
        states = [{**state, **more} for state in states for more in ({flag: "n"}, {flag: "y"}, {})]
    return list(states)


def questions(pack: Pack, count: int, seed: int = 5) -> list[Question]:
    """Draw guided questions: each about a slice of some grant, mostly about its own class."""
    rng, states, found = random.Random(seed), states_of(pack), []
    for _ in range(count):
        grant = rng.choice(pack.grants)
        source = pack.sources[rng.choice(sorted(grant.sources))]
        own = [one for one in source.fields.values() if one.data_class == grant.data_class]
        spec = rng.choice(own if rng.random() < 0.85 else list(source.fields.values()))
        agreement = pack.register.agreements[grant.agreements[0]]
        view = slice_of(pack, Request(grant.role, grant.agency, grant.purpose, ASSUMED),
                        source, TODAY, frozenset())  # fmt: skip
        basis = view.fields[spec.name].basis or (agreement.id, min(agreement.gateways))
        key = (grant.role, grant.agency, grant.purpose, source.id)
        found.append(
            Question(key, spec.name, spec.category, basis, rng.randrange(1, 5), rng.choice(states))
        )
    return found


class Held:
    """Ours: the compiled answer of each slice, and every question as (slice, field, state, level)."""

    def __init__(self, pack: Pack, asked: Sequence[Question]) -> None:
        self._tables: dict[Key, LevelTable] = {}
        for one in asked:
            if one.key not in self._tables:
                request = Request(*one.key[:3], ASSUMED)
                view = slice_of(pack, request, pack.sources[one.key[3]], TODAY, frozenset())
                self._tables[one.key] = view.table
        self._asked = [
            (one.key, one.field, self._tables[one.key].code(one.state), one.level) for one in asked
        ]

    def decide(self) -> list[bool]:
        """Decide every question, one at a time."""
        tables = self._tables
        return [tables[key].level(name, code) >= level for key, name, code, level in self._asked]


class PlainCasbin:
    """Every row in one enforcer, as casbin's own guide has it."""

    def __init__(self, rows: Iterable[Row], asked: Sequence[Question]) -> None:
        model = Model()
        model.load_model_from_text(MODEL)
        self._enforcer = casbin.Enforcer(model, RowAdapter(rows))
        self._enforcer.add_function("match", match)
        self._enforcer.add_function("state", state_match)
        self._asked = [
            (f"{role}@{agency}", purpose, "|".join(one.basis),
             f"{source}#{one.category}:{one.level}", state_text(one.state))
            for one in asked
            for role, agency, purpose, source in [one.key]
        ]  # fmt: skip

    def decide(self) -> list[bool]:
        """Decide every question, one at a time."""
        enforce = self._enforcer.enforce
        return [enforce(*one) is True for one in self._asked]


class SlicedCedar:
    """One policy set held per role and source, and the questions of each in one batch."""

    def __init__(self, rows: Iterable[Row], asked: Sequence[Question]) -> None:
        texts: dict[tuple[str, str], list[str]] = {}
        for row in rows:
            slot = (row[0].partition("@")[0], row[3].partition("#")[0])
            texts.setdefault(slot, []).append(_cedar(row))
        batches: dict[tuple[str, str], list[int]] = {}
        for place, one in enumerate(asked):
            batches.setdefault((one.key[0], one.key[3]), []).append(place)
        self._count = len(asked)
        self._nothing = cedarpy.Entities.from_json_str("[]")
        self._batches = [
            (
                places,
                [_asked_of_cedar(asked[place]) for place in places],
                cedarpy.PolicySet.from_str("\n".join(texts.get(slot, []))),
            )
            for slot, places in batches.items()
        ]

    def decide(self) -> list[bool]:
        """Decide every question, a batch per slice."""
        found = [False] * self._count
        for places, batch, policies in self._batches:
            answers = cedarpy.is_authorized_batch(batch, policies, self._nothing)
            for place, answer in zip(places, answers, strict=True):
                found[place] = answer.decision == cedarpy.Decision.Allow
        return found


def _cedar(row: Row) -> str:
    who, purpose, basis, what, state, effect = row
    action = "action" if purpose == ANY else f'action == Action::"{purpose}"'
    parts = [] if basis == ANY else [f'context.basis == "{basis}"']
    for part in () if state == ANY else state.split("|"):
        flag, _, value = part.partition(":")
        parts.append(f'(!(context has {flag}) || context.{flag} == "{value}")')
    when = f" when {{ {' && '.join(parts)} }}" if parts else ""
    verb = "permit" if effect == "allow" else "forbid"
    return f'{verb}(principal == User::"{who}", {action}, resource == Data::"{what}"){when};'


def _asked_of_cedar(one: Question) -> dict[str, Any]:
    role, agency, purpose, source = one.key
    return {
        "principal": f'User::"{role}@{agency}"',
        "action": f'Action::"{purpose}"',
        "resource": f'Data::"{source}#{one.category}:{one.level}"',
        "context": {"basis": "|".join(one.basis), **one.state},
    }
