"""What may be seen: ``level = min(max over grants, min over caps)``, every reason listed.

Structural checks (gateway, purpose, agreement, party, dates, conditions) are caps of ``refuse`` with
a code of their own; all of them run, so that a refusal names everything that stands in the way. The
answer for a role, agency, purpose, source and stretch of days is compiled once from the rows that
casbin holds, and looked up afterwards; the day an agreement ends is the first of another stretch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from gateways.check import condition_findings, flow_findings
from gateways.conditions import Flow, When
from gateways.model import Agreement, Finding, Gateway
from policies.model import Field, Level, Pack, Request, Source
from policies.rows import ANY, LoadedRows, loaded, who
from policies.view import FieldView, LevelTable, View

# Obligations that must be discharged before anything is shown; the others are owed afterwards.
BEFORE = frozenset({"justify", "case_ref", "second_approver", "own_view_first", "step_up"})
_MOST_SLICES = 65_536


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
        A `View`. Unknown role, agency, purpose, source or field is ``refuse`` with ``E01``; an error
        inside the engine is ``refuse`` with ``E15``; neither reaches the caller as an exception
        (POL-P05).
    """
    contract = pack.sources.get(source)
    unknown = unknown_words(pack, request, contract)
    if contract is None or unknown:
        views = {name: _refused(unknown) for name in fields}
        return View(source, request.role, request.purpose, views, pack.version)
    try:
        whole = slice_of(pack, request, contract, as_of, met)
    except Exception:  # noqa: BLE001  # an error inside a check is a refusal, never a pass
        broken = [Finding("E15", source, "the policy could not be evaluated")]
        views = {name: _refused(broken) for name in fields}
        return View(source, request.role, request.purpose, views, pack.version)
    missing = [Finding("E01", source, "the field is not known")]
    views = {name: whole.fields.get(name) or _refused(missing) for name in fields}
    return View(source, request.role, request.purpose, views, pack.version, whole.table)


def _refused(reasons: list[Finding]) -> FieldView:
    return FieldView("", Level.REFUSE, None, (), (), tuple(reasons), ())


def unknown_words(pack: Pack, request: Request, contract: Source | None) -> list[Finding]:
    """Return a finding for every word of the request that the policy does not know (E01)."""
    found = []
    role = pack.vocabulary.roles.get(request.role)
    if role is None:
        found.append(Finding("E01", "role", "the role is not known"))
    elif request.agency not in role.agencies:
        found.append(Finding("E01", "agency", "this agency does not hold the role"))
    if request.purpose not in pack.register.vocabulary.purposes:
        found.append(Finding("E01", "purpose", "the purpose is not known"))
    if contract is None:
        found.append(Finding("E01", "source", "the source is not known"))
    return found


def slice_of(
    pack: Pack, request: Request, contract: Source, as_of: date, met: frozenset[str]
) -> View:
    """Return the compiled answer for every field of a source; looked up when it is known."""
    facts = tuple(sorted(request.facts.items()))
    key = (
        "slice",
        request.role,
        request.agency,
        request.purpose,
        contract.id,
        pack.interval(as_of),
        met,
        facts,
    )
    found: View | None = pack.compiled.get(key)
    if found is None:
        rows = loaded(pack, request.role, request.agency, request.purpose, contract)
        found = compile_slice(pack, request, contract, as_of, met, rows.rows)
        if len(pack.compiled) >= _MOST_SLICES:
            pack.compiled.clear()
        pack.compiled[key] = found
    return found


def compile_slice(
    pack: Pack,
    request: Request,
    contract: Source,
    as_of: date,
    met: frozenset[str],
    rows: Iterable[Any],
) -> View:
    """Compile the answer for a source from casbin's rows, the law and the obligations met."""
    reached, limits = read_rows(rows)
    bases: dict[Any, tuple[list[tuple[str, str]], list[Finding]]] = {}
    views: dict[str, FieldView] = {}
    for name, spec in contract.fields.items():
        same = (spec.category, spec.gateways, spec.agreements, spec.purposes, spec.retention_years)
        if same not in bases:
            bases[same] = _known_bases(pack, request, contract, spec, as_of)
        views[name] = _field_view(pack, request, spec, bases[same], reached, met)
    names = tuple(views)
    table = LevelTable(
        pack.vocabulary.flags,
        names,
        bytes(views[name].ceiling for name in names),
        _limits(pack, contract, names, limits),
    )
    return View(contract.id, request.role, request.purpose, views, pack.version, table)


def read_rows(
    rows: Iterable[Any],
) -> tuple[dict[tuple[str, str], dict[str, int]], dict[str, dict[str, int]]]:
    """Read casbin's rows back: levels by category and basis, and limits by state and category."""
    reached: dict[tuple[str, str], dict[str, int]] = {}
    limits: dict[str, dict[str, int]] = {}
    for _, _, basis, what, state, effect in rows:
        category, _, level = what.partition("#")[2].partition(":")
        number = int(level)
        if effect == "allow":
            agreement, _, gateway = basis.partition("|")
            levels = reached.setdefault((agreement, gateway), {})
            levels[category] = max(levels.get(category, 0), number)
        else:
            denied = limits.setdefault(state, {})
            denied[category] = min(denied.get(category, number), number)
    return reached, limits


def _limits(
    pack: Pack, contract: Source, names: tuple[str, ...], limits: Mapping[str, Mapping[str, int]]
) -> tuple[tuple[int, int, bytes], ...]:
    bits = {flag: 1 << place for place, flag in enumerate(pack.vocabulary.flags)}
    found = []
    for state, denied in sorted(limits.items()):
        yes = no = 0
        for part in () if state == ANY else state.split("|"):
            flag, _, value = part.partition(":")
            if value == "y":
                yes |= bits[flag]
            else:
                no |= bits[flag]
        limit = bytes(
            denied.get(contract.fields[name].category, Level.CLEAR + 1) - 1 for name in names
        )
        found.append((yes, no, limit))
    return tuple(found)


def flow_to(
    pack: Pack, contract: Source, spec: Field, to_agency: str, purpose: str, as_of: date
) -> Flow:
    """Return the flow of a field from whoever gives its source to an agency."""
    giver = pack.giver(contract)
    parties = pack.register.parties
    return Flow(
        from_body=parties[giver].body,
        to_body=parties[to_agency].body,
        category=spec.category,
        has_retention=spec.retention_years is not None,
        as_of=as_of,
        purpose=purpose,
        regime=contract.regime,
        origins=contract.origins,
        inputs=contract.inputs | {spec.category},
    )


def pairs_of(pack: Pack, spec: Field) -> list[tuple[Agreement, Gateway]]:
    """Return the (agreement, gateway) pairs that a field names, in order of their ids."""
    register = pack.register
    return [
        (register.agreements[agreement], register.gateways[gateway])
        for agreement in sorted(spec.agreements)
        for gateway in sorted(spec.gateways)
    ]


def pair_findings(
    pack: Pack,
    request: Request,
    contract: Source,
    spec: Field,
    pair: tuple[Agreement, Gateway],
    as_of: date,
) -> list[Finding]:
    """Return every reason why one pair does not carry a field to the requester."""
    agreement, gateway = pair
    register = pack.register
    flow = flow_to(pack, contract, spec, request.agency, request.purpose, as_of)
    reasons = [
        *flow_findings(register, gateway, agreement, flow),
        *condition_findings(register, gateway, agreement, flow, When.REQUEST, request.facts),
    ]
    if request.purpose not in spec.purposes:
        words = f"{spec.label} was not agreed for {request.purpose}"
        reasons.append(Finding("E08", f"{spec.source}.{spec.name}", words))
    for agency in sorted({request.agency, pack.giver(contract)} - agreement.parties):
        words = f"{agency} is not a party to {agreement.id}"
        reasons.append(Finding("E06", f"{agreement.id}.party", words))
    if spec.source not in agreement.sources:
        words = f"{agreement.id} does not cover {spec.source}"
        reasons.append(Finding("E07", agreement.id, words))
    return reasons


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
    where = f"{spec.source}.{spec.name}"
    if not spec.gateways:
        return [], [Finding("E02", where, f"{spec.label} has no legal gateway")]
    found: list[tuple[str, str]] = []
    closest: list[Finding] | None = None
    # Only the pairs with the fewest plain obstacles can be open, or be the closest to it.
    ranked = [
        (_obstacles(pack, request, contract, spec, pair), pair) for pair in pairs_of(pack, spec)
    ]
    fewest = min((count for count, _ in ranked), default=0)
    for count, pair in ranked:
        if count > fewest:
            continue
        reasons = pair_findings(pack, request, contract, spec, pair, as_of)
        if not reasons:
            found.append((pair[0].id, pair[1].id))
        elif closest is None or len(reasons) < len(closest):
            closest = reasons
    none = [Finding("E09", where, f"{spec.label} rests on no agreement")]
    return found, [] if found else (closest or none)


def _known_bases(
    pack: Pack, request: Request, contract: Source, spec: Field, as_of: date
) -> tuple[list[tuple[str, str]], list[Finding]]:
    """Return `open_bases`, worked out once for all roles of an agency and purpose."""
    facts = tuple(sorted(request.facts.items()))
    key = (
        "law",
        contract.id,
        spec.name,
        request.agency,
        request.purpose,
        pack.interval(as_of),
        facts,
    )
    found: tuple[list[tuple[str, str]], list[Finding]] | None = pack.compiled.get(key)
    if found is None:
        found = open_bases(pack, request, contract, spec, as_of)
        pack.compiled[key] = found
    return found


def _obstacles(
    pack: Pack, request: Request, contract: Source, spec: Field, pair: tuple[Agreement, Gateway]
) -> int:
    """Count what plainly stands against a pair; each is a finding too, so an open pair has none."""
    agreement, gateway = pair
    return (
        (gateway.id not in agreement.gateways)
        + (request.purpose not in agreement.purposes)
        + (request.purpose not in gateway.purposes)
        + (spec.category not in gateway.allow)
        + (spec.source not in agreement.sources)
        + (not {request.agency, pack.giver(contract)} <= agreement.parties)
    )


def _field_view(
    pack: Pack,
    request: Request,
    spec: Field,
    bases: tuple[list[tuple[str, str]], list[Finding]],
    reached: Mapping[tuple[str, str], Mapping[str, int]],
    met: frozenset[str],
) -> FieldView:
    open_pairs, against = bases
    reasons = list(against)
    agreements = {agreement for agreement, _ in open_pairs}
    grants = [
        grant
        for grant in pack.grants_of(request.role, request.agency, request.purpose)
        if grant.data_class == spec.data_class
        and (not grant.sources or spec.source in grant.sources)
        and (not open_pairs or agreements & set(grant.agreements))
    ]
    # What casbin holds decides the level; the grants beside it say why and what is owed.
    levels = {pair: reached.get(pair, {}).get(spec.category, 0) for pair in open_pairs}
    if not grants or (open_pairs and not any(levels.values())):
        reasons.append(Finding("E12", spec.data_class, f"no grant for {spec.data_class}"))
    owed = sorted({obligation for grant in grants for obligation in grant.obligations})
    unmet = [name for name in owed if name.split(":")[0] in BEFORE and name not in met]
    reasons += [Finding("E14", name, f"the obligation {name} is not met") for name in unmet]
    ceiling = Level.REFUSE if reasons else Level(max(levels.values(), default=0))
    # Best level first, then the order of ids (DESIGN 4).
    ranked = sorted((pair for pair in levels if levels[pair]), key=lambda one: (-levels[one], one))
    return FieldView(
        category=spec.category,
        ceiling=ceiling,
        basis=ranked[0] if ranked else None,
        obligations=tuple(owed),
        caps=tuple(c for c in pack.caps if c.concerns(request.role, spec.source, spec.category)),
        reasons=tuple(reasons),
        grants=tuple(grant.id for grant in grants),
    )


def rows_of(pack: Pack, request: Request, contract: Source) -> LoadedRows:
    """Return the casbin rows behind an answer, for its explanation and its second opinion."""
    return loaded(pack, request.role, request.agency, request.purpose, contract)


def asker(request: Request) -> str:
    """Return who asks, as casbin's first column."""
    return who(request.role, request.agency)
