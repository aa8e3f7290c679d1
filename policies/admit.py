"""What may enter today: flow conditions field by field, row conditions person by person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from gateways.check import asks, condition_findings, flow_findings
from gateways.conditions import When
from gateways.model import Agreement, Finding, Gateway
from policies.authorise import flow_to
from policies.model import Field, Pack, Source


@dataclass(frozen=True, slots=True)
class FieldAdmission:
    """Whether one field may enter today, for which purposes, and the reasons if not.

    Attributes:
        bases: Open (agreement, gateway, purpose) triples; purposes are kept with the delivery.
        row_bases: Pairs whose gateway, or a restriction on the category, asks something of each
            row's person; empty when some open pair asks nothing.
    """

    name: str
    admitted: bool
    purposes: tuple[str, ...]
    bases: tuple[tuple[str, str, str], ...]
    row_bases: tuple[tuple[str, str], ...]
    reasons: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer of `admit`: one `FieldAdmission` per field asked about."""

    source: str
    fields: Mapping[str, FieldAdmission]
    policy_version: str

    @property
    def admitted(self) -> tuple[str, ...]:
        """Names of the fields that may enter."""
        return tuple(name for name, answer in self.fields.items() if answer.admitted)

    @property
    def refused(self) -> tuple[str, ...]:
        """Names of the fields that may not."""
        return tuple(name for name, answer in self.fields.items() if not answer.admitted)


def admit(
    pack: Pack,
    *,
    from_agency: str,
    host: str,
    source: str,
    fields: Iterable[str],
    as_of: date,
) -> Admission:
    """Decide which fields of a delivery may enter on `as_of`.

    Args:
        pack: The active pack.
        from_agency: Agency that sends; must be a party to the agreement and own the source.
        host: Agency that runs fieldgate and receives.
        source: Source id.
        fields: Names of the fields that the file carries.
        as_of: The date of the decision; law and agreements are read as at this date.

    Returns:
        One answer per field. A field enters when at least one (agreement, gateway, purpose) has no
        finding; the purposes it was admitted for are kept. Unknown agency, source or field is
        refused with ``E01``.
    """
    answers = {name: _field_answer(pack, from_agency, host, source, name, as_of) for name in fields}
    return Admission(source, answers, pack.version)


def row_findings(
    pack: Pack,
    admission: Admission,
    field: str,
    row_facts: Mapping[str, object],
    *,
    host: str,
    as_of: date,
) -> tuple[Finding, ...]:
    """Return why this row's person closes `field`, or nothing when some basis stays open.

    Args:
        row_facts: What is known of the person: ``age_years`` in whole years or None.
    """
    answer = admission.fields[field]
    if not answer.row_bases:
        return ()
    contract = pack.sources[admission.source]
    spec = contract.fields[field]
    closest: tuple[Finding, ...] = ()
    for agreement_id, gateway_id in answer.row_bases:
        purpose = next(p for a, g, p in answer.bases if (a, g) == (agreement_id, gateway_id))
        reasons = condition_findings(
            pack.register,
            pack.register.gateways[gateway_id],
            pack.register.agreements[agreement_id],
            flow_to(pack, contract, spec, host, purpose, as_of),
            When.ROW,
            row_facts,
        )
        if not reasons:
            return ()
        if not closest or len(reasons) < len(closest):
            closest = reasons
    return closest


def _field_answer(
    pack: Pack, from_agency: str, host: str, source: str, name: str, as_of: date
) -> FieldAdmission:
    contract = pack.sources.get(source)
    spec = contract.fields.get(name) if contract else None
    unknown = _unknown(pack, from_agency, host, source, name, spec)
    if contract is None or spec is None or unknown:
        return _closed(name, tuple(unknown))
    if not spec.gateways:
        reason = Finding("E02", f"{source}.{name}", f"{spec.label} has no legal gateway")
        return _closed(name, (reason,))
    open_bases: list[tuple[str, str, str]] = []
    closest: tuple[Finding, ...] | None = None
    for agreement, gateway, purpose in _combinations(pack, spec):
        reasons = (
            *_party_findings(agreement, from_agency, host, source),
            *flow_findings(
                pack.register,
                gateway,
                agreement,
                flow_to(pack, contract, spec, host, purpose, as_of),
            ),
        )
        if not reasons:
            open_bases.append((agreement.id, gateway.id, purpose))
        elif closest is None or len(reasons) < len(closest):
            closest = reasons
    if not open_bases:
        nothing = Finding("E09", f"{source}.{name}", f"{spec.label} rests on no agreement")
        return _closed(name, closest or (nothing,))
    return _opened(pack, contract, spec, host, as_of, open_bases)


def _closed(name: str, reasons: tuple[Finding, ...]) -> FieldAdmission:
    return FieldAdmission(
        name=name, admitted=False, purposes=(), bases=(), row_bases=(), reasons=reasons
    )


def _opened(
    pack: Pack,
    contract: Source,
    spec: Field,
    host: str,
    as_of: date,
    open_bases: list[tuple[str, str, str]],
) -> FieldAdmission:
    """Keep every open basis, and those that ask of the row unless another asks nothing of it."""
    asking = [
        (agreement, gateway)
        for agreement, gateway, purpose in open_bases
        if asks(
            pack.register,
            pack.register.gateways[gateway],
            flow_to(pack, contract, spec, host, purpose, as_of),
            When.ROW,
        )
    ]
    pairs = {(agreement, gateway) for agreement, gateway, _ in open_bases}
    return FieldAdmission(
        name=spec.name,
        admitted=True,
        purposes=tuple(sorted({purpose for _, _, purpose in open_bases})),
        bases=tuple(sorted(open_bases)),
        row_bases=tuple(sorted(set(asking))) if pairs == set(asking) else (),
        reasons=(),
    )


def _unknown(
    pack: Pack, from_agency: str, host: str, source: str, name: str, spec: Field | None
) -> list[Finding]:
    parties = pack.register.parties
    found = [
        Finding("E01", "agency", f"the agency {agency} is not known")
        for agency in (from_agency, host)
        if agency not in parties
    ]
    contract = pack.sources.get(source)
    if contract is None:
        found.append(Finding("E01", "source", f"the source {source} is not known"))
    elif spec is None:
        found.append(Finding("E01", f"{source}.{name}", "the contract does not name this field"))
    elif contract.agency != from_agency:
        found.append(Finding("E06", source, f"{source} is not a source of {from_agency}"))
    return found


def _combinations(pack: Pack, spec: Field) -> list[tuple[Agreement, Gateway, str]]:
    register = pack.register
    return [
        (register.agreements[agreement], register.gateways[gateway], purpose)
        for agreement in sorted(spec.agreements)
        for gateway in sorted(spec.gateways)
        for purpose in sorted(spec.purposes)
    ]


def _party_findings(
    agreement: Agreement, from_agency: str, host: str, source: str
) -> tuple[Finding, ...]:
    found = [
        Finding("E06", f"{agreement.id}.party", f"{agency} is not a party to {agreement.id}")
        for agency in sorted({from_agency, host} - agreement.parties)
    ]
    if source not in agreement.sources:
        found.append(Finding("E07", agreement.id, f"{agreement.id} does not cover {source}"))
    return tuple(found)
