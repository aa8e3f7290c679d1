"""Another language and another evaluator: Cedar decides the same questions and never disagrees.

Cedar text is generated from grants and caps (not from casbin's rows); which agreement and gateway are
open is given to it, and the level is the highest it allows. A diagnostics error is a failure, because
Cedar skips a policy that errs (policy.md 3).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import date

import pytest

import gateways.load
import policies.load
from policies import authorise
from policies.authorise import open_bases
from policies.matrix import ASSUMED, everything_met, requests_of
from policies.model import Level, Pack, Request
from tests.builders.policy_world import big_pack

cedarpy = pytest.importorskip("cedarpy")

TODAY = date(2026, 11, 25)
WANTED = 100_000


def _listed(words: object) -> str:
    return "[" + ", ".join(f'"{word}"' for word in sorted(words)) + "]"  # type: ignore[call-overload]


def _policies(pack: Pack, who: tuple[str, str, str]) -> str:
    lines = []
    for grant in pack.grants_of(*who):
        sources = f" && {_listed(grant.sources)}.contains(context.source)" if grant.sources else ""
        lines.append(
            f'@id("{grant.id}") permit(principal, action, resource) when {{ context.data_class == "{grant.data_class}" '
            f"&& context.level <= {int(grant.level)} && {_listed(grant.agreements)}.contains(context.agreement){sources} }};"
        )
    for cap in pack.caps:
        parts = [f"context.level > {int(cap.level)}"]
        if cap.roles:
            parts.append(f"{_listed(cap.roles)}.contains(context.role)")
        if cap.except_roles:
            parts.append(f"!({_listed(cap.except_roles)}.contains(context.role))")
        if cap.categories:
            parts.append(f"{_listed(cap.categories)}.contains(context.category)")
        if cap.sources:
            parts.append(f"{_listed(cap.sources)}.contains(context.source)")
        parts += [
            f'(!(context has {flag}) || context.{flag} == "{value}")'
            for flag, value in sorted(cap.when.items())
        ]
        lines.append(
            f'@id("{cap.id}") forbid(principal, action, resource) when {{ {" && ".join(parts)} }};'
        )
    return "\n".join(lines)


def _context(pack: Pack, request: Request, source: str, name: str, agreement: str, level: int,
             state: Mapping[str, str]) -> dict[str, object]:  # fmt: skip
    spec = pack.sources[source].fields[name]
    return {"role": request.role, "source": source, "category": spec.category, "data_class": spec.data_class,
            "agreement": agreement, "level": level, **state}  # fmt: skip


def _compare(pack: Pack, wanted: int, seed: int) -> tuple[int, int, int]:
    """Return decisions of Cedar, how many were allowed, and disagreements."""
    rng, flags = random.Random(seed), pack.vocabulary.flags
    met, entities = everything_met(pack), cedarpy.Entities.from_json_str("[]")
    decisions = allowed = wrong = 0
    asked = requests_of(pack)
    while decisions < wanted:
        who = rng.choice(asked)
        request = Request(*who, ASSUMED)
        policies_ = cedarpy.PolicySet.from_str(_policies(pack, who))
        # Guided: most questions are about a source and class that some grant opens.
        questions, wants = [], []
        for _ in range(60):
            grant = rng.choice(pack.grants_of(*who))
            fields = [(s.id, n) for s in pack.sources.values() for n, f in s.fields.items()
                      if (f.data_class == grant.data_class and (not grant.sources or s.id in grant.sources))
                      or rng.random() < 0.01]  # fmt: skip
            source, name = rng.choice(fields)
            state = {flag: value for flag in flags if (value := rng.choice("n" * 60 + "y?")) != "?"}
            state = {**state, **({"child": "y"} if rng.random() < 0.6 else {})}
            contract = pack.sources[source]
            pairs, _ = open_bases(pack, request, contract, contract.fields[name], TODAY)
            view = authorise(pack, request, source, [name], TODAY, met)
            if any(reason.code not in ("E12", "E13") for reason in view.fields[name].reasons):
                assert view.level(name, state) == Level.REFUSE
                continue
            first = len(questions)
            questions += [
                {"principal": 'User::"a"', "action": 'Action::"see"', "resource": 'Data::"d"',
                 "context": _context(pack, request, source, name, agreement, level, state)}
                for agreement in sorted({one for one, _ in pairs})
                for level in range(1, 5)
            ]  # fmt: skip
            wants.append((first, len(questions), view.level(name, state)))
        answers = cedarpy.is_authorized_batch(questions, policies_, entities)
        for answer in answers:
            assert not answer.diagnostics.errors
        for first, last, level in wants:
            open_levels = [
                questions[at]["context"]["level"]
                for at in range(first, last)
                if answers[at].decision == cedarpy.Decision.Allow
            ]
            allowed += len(open_levels)
            wrong += max(open_levels, default=0) != level
        decisions += len(answers)
    return decisions, allowed, wrong


@pytest.mark.deep
@pytest.mark.finding("POL-P12")
def test_cedar_agrees_on_a_hundred_thousand_guided_decisions() -> None:
    shipped = policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())
    one = _compare(shipped, WANTED * 7 // 10, 1)
    two = _compare(big_pack(1000, 3), WANTED * 3 // 10, 2)
    decisions, allowed, wrong = (a + b for a, b in zip(one, two, strict=True))
    assert decisions >= WANTED
    assert allowed > decisions * 0.2
    assert wrong == 0


@pytest.mark.finding("POL-P12")
def test_cedar_agrees_on_a_first_thousand() -> None:
    shipped = policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())
    decisions, allowed, wrong = _compare(shipped, 3000, 5)
    assert decisions >= 3000
    assert allowed > decisions * 0.2
    assert wrong == 0
