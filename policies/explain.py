"""Why a field is shown at its level, or not: row, file, line, statute and agreement.

The explanation is for governance and for tests; what a refused person is told is chosen by the cap's
``disclosure`` and stands in `engine.flows.decision`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from gateways.answers import Answers, six_answers
from gateways.model import Finding
from policies.authorise import authorise, flow_to, pair_findings, pairs_of
from policies.model import Cap, Field, Level, Pack, Request, Source, State
from policies.rows import loaded


@dataclass(frozen=True, slots=True)
class Explanation:
    """One decision with everything it rests on.

    Attributes:
        reasons: Every reason against, those of caps that bite among them; empty at full level.
        pairs: Each (agreement, gateway) the field names, open or with all that stands against it.
        answers: The six answers of the pair relied on, else of the closest one.
        grants: Grants that match, with file and line.
        caps: Caps that speak of the field, with file and line, and whether they bite here.
        rows: Number of casbin rows behind the answer.
    """

    field: str
    level: Level
    basis: tuple[str, str] | None
    reasons: tuple[Finding, ...]
    pairs: tuple[dict[str, Any], ...]
    answers: Answers | None
    grants: tuple[dict[str, Any], ...]
    caps: tuple[dict[str, Any], ...]
    obligations: tuple[str, ...]
    unmet: tuple[str, ...]
    rows: int
    policy_version: str
    as_of: date

    def as_dict(self) -> dict[str, Any]:
        """Return the explanation for JSON."""
        return {
            "field": self.field,
            "level": self.level.name.lower(),
            "basis": "|".join(self.basis) if self.basis else None,
            "reasons": [
                {"key": one.key, "code": one.code, "rule": one.rule, "sentence": one.sentence}
                for one in self.reasons
            ],
            "pairs": list(self.pairs),
            "answers": self.answers.as_dict() if self.answers else None,
            "grants": list(self.grants),
            "caps": list(self.caps),
            "obligations": {"owed": list(self.obligations), "unmet": list(self.unmet)},
            "rows": self.rows,
            "policy_version": self.policy_version,
            "as_of": self.as_of.isoformat(),
        }


def explain(
    pack: Pack,
    request: Request,
    source: str,
    name: str,
    as_of: date,
    met: frozenset[str],
    state: State,
    basis: tuple[str, str] | None = None,
) -> Explanation:
    """Explain one field for one request in one state.

    Args:
        pack: The pack.
        request: Role, agency, purpose and facts.
        source: Source id.
        name: Field name.
        as_of: Date of the decision.
        met: Obligations discharged.
        state: Flags of the subject and the record.
        basis: The (agreement, gateway) to rely on and no other; None tries every one (DESIGN 4).

    Returns:
        The explanation; unknown words are refused with ``E01`` like anywhere else.
    """
    if basis is not None:
        return _on_basis(pack, request, source, name, as_of, met, state, basis)
    view = authorise(pack, request, source, [name], as_of, met)
    answer = view.fields[name]
    level = view.level(name, state)
    contract = pack.sources.get(source)
    spec = contract.fields.get(name) if contract else None
    biting = view.biting(name, state)
    reasons = (
        *answer.reasons,
        *(
            Finding("E13", cap.id, f"{cap.id} keeps it at {cap.level.name.lower()}")
            for cap in biting
        ),
    )
    pairs: list[dict[str, Any]] = []
    answers, rows = None, 0
    if contract is not None and spec is not None and answer.category:
        pairs = _pairs(pack, request, contract, spec, as_of)
        answers = _answers(pack, request, contract, spec, as_of, answer.basis or _closest(pairs))
        rows = len(loaded(pack, request.role, request.agency, request.purpose, contract).rows)
    return Explanation(
        field=f"{source}.{name}",
        level=level,
        basis=answer.basis if level > Level.REFUSE else None,
        reasons=reasons,
        pairs=tuple(pairs),
        answers=answers,
        grants=_grants(pack, request, answer.grants),
        caps=_caps(answer.caps, biting),
        obligations=answer.obligations,
        unmet=tuple(one.rule for one in answer.reasons if one.code == "E14"),
        rows=rows,
        policy_version=pack.version,
        as_of=as_of,
    )


def _on_basis(
    pack: Pack,
    request: Request,
    source: str,
    name: str,
    as_of: date,
    met: frozenset[str],
    state: State,
    basis: tuple[str, str],
) -> Explanation:
    """Explain under one basis alone: a pack in which the field names this pair and no other."""
    contract = pack.sources.get(source)
    spec = contract.fields.get(name) if contract else None
    agreement, gateway = basis
    known = agreement in pack.register.agreements and gateway in pack.register.gateways
    if contract is None or spec is None or not known:
        one = explain(pack, request, source, name, as_of, met, state)
        words = Finding("E01", f"{agreement}|{gateway}", "the basis is not known")
        reasons = one.reasons if known else (*one.reasons, words)
        return replace(one, level=Level.REFUSE, basis=None, reasons=reasons)
    only = replace(spec, agreements=(agreement,), gateways=(gateway,))
    narrowed = replace(
        pack,
        sources={**pack.sources, source: replace(contract, fields={**contract.fields, name: only})},
    )
    one = explain(narrowed, request, source, name, as_of, met, state)
    if gateway in spec.gateways and agreement in spec.agreements:
        return one
    named = "gateway" if gateway not in spec.gateways else "agreement"
    words = Finding("E03", f"{gateway}.field", f"the field does not rest on that {named}")
    return replace(one, level=Level.REFUSE, basis=None, reasons=(words, *one.reasons))


def _pairs(
    pack: Pack, request: Request, contract: Source, spec: Field, as_of: date
) -> list[dict[str, Any]]:
    facts = tuple(sorted(request.facts.items()))
    key = ("pairs", contract.id, spec.name, request.agency, request.purpose, as_of, facts)
    known: list[dict[str, Any]] | None = pack.compiled.get(key)
    if known is not None:
        return known
    found = []
    named = pairs_of(pack, spec)
    # A pair whose agreement does not rely on the gateway is only told when there is no other.
    for pair in [one for one in named if one[1].id in one[0].gateways] or named:
        against = pair_findings(pack, request, contract, spec, pair, as_of)
        found.append(
            {
                "agreement": pair[0].id,
                "agreement_file": pair[0].file,
                "gateway": pair[1].id,
                "statute": pair[1].cite,
                "gateway_file": pair[1].file,
                "open": not against,
                "reasons": [one.key for one in against],
            }
        )
    pack.compiled[key] = found
    return found


def _answers(
    pack: Pack,
    request: Request,
    contract: Source,
    spec: Field,
    as_of: date,
    chosen: tuple[str, str] | None,
) -> Answers | None:
    if chosen is None:
        return None
    register = pack.register
    flow = flow_to(pack, contract, spec, request.agency, request.purpose, as_of)
    agreement, gateway = register.agreements[chosen[0]], register.gateways[chosen[1]]
    return six_answers(register, gateway, agreement, flow)[0]


def _caps(caps: tuple[Cap, ...], biting: tuple[Cap, ...]) -> tuple[dict[str, Any], ...]:
    return tuple(
        {
            "id": cap.id,
            "file": cap.file,
            "line": cap.line,
            "level": cap.level.name.lower(),
            "when": dict(cap.when),
            "disclosure": cap.disclosure,
            "why": cap.why,
            "bites": cap in biting,
        }
        for cap in caps
    )


def _closest(pairs: list[dict[str, Any]]) -> tuple[str, str] | None:
    if not pairs:
        return None
    best = min(pairs, key=lambda one: len(one["reasons"]))
    return best["agreement"], best["gateway"]


def _grants(pack: Pack, request: Request, names: tuple[str, ...]) -> tuple[dict[str, Any], ...]:
    return tuple(
        {
            "id": grant.id,
            "file": grant.file,
            "line": grant.line,
            "class": grant.data_class,
            "level": grant.level.name.lower(),
            "agreements": list(grant.agreements),
            "obligations": list(grant.obligations),
            "why": grant.why,
        }
        for grant in pack.grants_of(request.role, request.agency, request.purpose)
        if grant.id in names
    )


def sentences(one: Explanation, pack: Pack) -> list[str]:
    """Tell an explanation in plain English, a line each."""
    lines = [
        f"{one.field}: {one.level.name.lower()} (policy {one.policy_version[:12]}, as of {one.as_of})"
    ]
    if one.basis:
        agreement, gateway = one.basis
        lines.append(
            f"  rests on {pack.register.gateways[gateway].cite}, under {agreement} "
            f"({pack.register.agreements[agreement].title})"
        )
    lines += [
        f"  grant {grant['id']} ({grant['file']}:{grant['line']}) gives {grant['level']}"
        for grant in one.grants
    ]
    lines += [
        f"  cap {cap['id']} ({cap['file']}:{cap['line']}) keeps it at {cap['level']}"
        for cap in one.caps
        if cap["bites"]
    ]
    lines += [f"  against: {reason.key} {reason.sentence}" for reason in one.reasons]
    if one.answers:
        lines += [
            f"  {name}: {text or 'NO ANSWER'}" for name, text in one.answers.as_dict().items()
        ]
    if one.obligations:
        lines.append(f"  owed: {', '.join(one.obligations)}")
    return lines
