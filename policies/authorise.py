"""What may be seen: ``level = min(max over grants, min over caps)``, every reason listed.

Structural checks (gateway, purpose, agreement, party, dates, conditions) are caps of ``refuse`` with
a code of their own; all of them run, so that a refusal names everything that stands in the way.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from gateways.check import condition_findings, flow_findings
from gateways.conditions import Flow, When
from gateways.model import Finding
from policies.model import Field, FieldView, Grant, Level, Pack, Request, Source, View

# Obligations that must be discharged before anything is shown; the others are owed afterwards.
BEFORE = frozenset({"justify", "case_ref", "second_approver", "own_view_first"})


def authorise(
    pack: Pack,
    request: Request,
    source: str,
    fields: Iterable[str],
    as_of: date,
    met: frozenset[str],
) -> View:
    """Decide at which level `request` may see each of `fields`.

    Args:
        pack: The active pack.
        request: Role, agency, purpose and the facts of the request.
        source: Source id; derived data are the sources ``engine.*``.
        fields: Field names.
        as_of: Date of the decision.
        met: Obligations discharged so far, for example ``{"justify", "case_ref"}``.

    Returns:
        A `View`. Unknown role, agency, purpose, source or field is ``refuse`` with ``E01``; no
        exception reaches the caller for them (POL-P05).
    """
    contract = pack.sources.get(source)
    unknown = _unknown(pack, request, contract, source)
    views: dict[str, FieldView] = {}
    for name in fields:
        spec = contract.fields.get(name) if contract else None
        if spec is None or contract is None or unknown:
            reasons = unknown or [Finding("E01", f"{source}.{name}", "the field is not known")]
            views[name] = FieldView("", Level.REFUSE, None, (), (), tuple(reasons), ())
        else:
            views[name] = _field_view(pack, request, contract, spec, as_of, met)
    return View(source, request.role, request.purpose, views, pack.version)


def _unknown(pack: Pack, request: Request, contract: Source | None, source: str) -> list[Finding]:
    found = []
    role = pack.vocabulary.roles.get(request.role)
    if role is None:
        found.append(Finding("E01", "role", "the role is not known"))
    elif request.agency not in role.agencies:
        found.append(Finding("E01", "agency", "this agency does not hold the role"))
    if request.purpose not in pack.register.vocabulary.purposes:
        found.append(Finding("E01", "purpose", "the purpose is not known"))
    if contract is None:
        found.append(Finding("E01", source, "the source is not known"))
    return found


def open_bases(
    pack: Pack, request: Request, contract: Source, spec: Field, as_of: date
) -> tuple[list[tuple[str, str]], list[Finding]]:
    """Return the (agreement, gateway) pairs that carry this field to the requester.

    The path from a partner to a requester has the host in the middle; the source agency must be
    able to give, and the requester's body to receive, under the same pair. Derived data is given by
    the host.

    Returns:
        Open pairs in order of their ids, and the reasons of the closest pair when none is open.
    """
    if not spec.gateways:
        return [], [Finding("E02", f"{spec.source}.{spec.name}", f"{spec.label} has no gateway")]
    found: list[tuple[str, str]] = []
    closest: list[Finding] | None = None
    register = pack.register
    giver = pack.vocabulary.host if contract.agency == "engine" else contract.agency
    for agreement_id in sorted(spec.agreements):
        agreement = register.agreements[agreement_id]
        for gateway_id in sorted(spec.gateways):
            gateway = register.gateways[gateway_id]
            flow = Flow(
                register.parties[giver].body,
                register.parties[request.agency].body,
                spec.category,
                spec.retention_years is not None,
                as_of,
            )
            reasons = [
                *flow_findings(register, gateway, agreement, request.purpose, flow),
                *condition_findings(gateway, agreement, flow, When.REQUEST, request.facts),
            ]
            if request.agency not in agreement.parties or giver not in agreement.parties:
                reasons.append(Finding("E06", agreement_id, f"not a party to {agreement_id}"))
            if spec.source not in agreement.sources:
                reasons.append(Finding("E07", agreement_id, "the agreement lacks this source"))
            if not reasons:
                found.append((agreement_id, gateway_id))
            elif closest is None or len(reasons) < len(closest):
                closest = reasons
    none = [Finding("E09", spec.source, "the field rests on no agreement")]
    return found, [] if found else (closest or none)


def matching_grants(pack: Pack, request: Request, spec: Field) -> list[Grant]:
    """Return the grants for this role, agency, purpose and class, in order of their ids."""
    return [
        grant
        for grant in pack.grants
        if grant.role == request.role
        and grant.agency == request.agency
        and grant.purpose == request.purpose
        and grant.data_class == spec.data_class
        and (not grant.sources or spec.source in grant.sources)
    ]


def _field_view(
    pack: Pack,
    request: Request,
    contract: Source,
    spec: Field,
    as_of: date,
    met: frozenset[str],
) -> FieldView:
    bases, reasons = open_bases(pack, request, contract, spec, as_of)
    agreements = {agreement for agreement, _ in bases}
    grants = [
        grant
        for grant in matching_grants(pack, request, spec)
        if not bases or agreements & set(grant.agreements)
    ]
    if not grants:
        reasons.append(Finding("E12", spec.data_class, f"no grant for {spec.data_class}"))
    owed = sorted({obligation for grant in grants for obligation in grant.obligations})
    unmet = [name for name in owed if name.split(":")[0] in BEFORE and name not in met]
    reasons += [Finding("E14", name, f"the obligation {name} is not met") for name in unmet]
    ceiling = max((grant.level for grant in grants), default=Level.REFUSE)
    if reasons:
        ceiling = Level.REFUSE
    caps = tuple(cap for cap in pack.caps if not cap.categories or spec.category in cap.categories)
    # Best level first, then the order of ids (DESIGN 4).
    reached = {
        pair: max((grant.level for grant in grants if pair[0] in grant.agreements), default=None)
        for pair in bases
    }
    ranked = sorted(
        (pair for pair, level in reached.items() if level is not None),
        key=lambda pair: (-(reached[pair] or 0), pair),
    )
    basis = ranked[0] if ranked else None
    return FieldView(
        category=spec.category,
        ceiling=ceiling,
        basis=basis,
        obligations=tuple(owed),
        caps=caps,
        reasons=tuple(reasons),
        grants=tuple(grant.id for grant in grants),
    )
