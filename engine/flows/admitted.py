"""What a run may use today: kinds of sources that are open for its purpose, and which records are closed."""

from __future__ import annotations

from engine.flows.home import Home
from engine.flows.product_tables import PURPOSE, products_of
from engine.flows.states import closed_names, record_rows, uncertain_sources
from engine.intake.contract import Contract, contract_of
from engine.linkage.encodings import records_of_source
from policies import admit


def restricted_records(home: Home) -> list[str]:
    """Records that count nowhere: a closing flag holds, or is not known (DESIGN 4)."""
    domain, linkage = home.domain("record"), home.domain("linkage")
    names = closed_names(home)
    for source, flags in uncertain_sources(home).items():
        sealed = records_of_source(home.linkage, source, home.published())
        held = [domain.text(one) for one in domain.seal(linkage.open(sealed))]
        rows = record_rows(home, held)
        names |= {one for one in held if any(rows.get((one, flag)) != "n" for flag in flags)}
    ids = [domain.parse(name) for name in sorted(names)]
    return [sealed.hex() for sealed in domain.seal(ids)]


def admitted_kinds(home: Home, loaded: set[str], purpose: str) -> dict[str, list[int]]:
    """Kinds of each source that may be used today for a purpose; past review or end, all under it stops.

    A source that closes its records by default is left out; where it leaves a handling flag open,
    each record must state it (see `restricted_records`): missing is strictest. Of two fields that lead to one
    kind, a closed one closes it, as an event does not say which of them it came from. A purpose other than
    safeguarding gets no kind that none of its products takes as evidence.
    """
    numbers, kinds = home.source_numbers(), home.tables.kinds
    today = home.clock().date()
    mine = {name for one in products_of(home.pack, home.tables, purpose) for name in one.evidence}
    all_kinds = purpose == PURPOSE or not mine
    found: dict[str, list[int]] = {}
    for source_id in sorted(loaded):
        source = home.pack.sources.get(source_id)
        if source is None or "y" in source.record_defaults.values():
            continue
        contract = contract_of(source)
        answer = admit(
            home.pack,
            from_agency=source.agency,
            host=home.pack.vocabulary.host,
            source=source_id,
            fields=source.fields,
            as_of=today,
        )
        names: set[str] = set()
        closed: set[str] = set()
        for rule in contract.yields:
            shown = answer.fields[rule.show]
            open_to_it = (
                shown.admitted
                and purpose in shown.purposes
                and (purpose == PURPOSE or source.feeds_models)
            )
            (names if open_to_it else closed).update(kinds_of(contract, rule.id))
        found[str(numbers[source_id])] = sorted(
            kinds[name].id for name in names - closed
            if name in kinds and (all_kinds or name in mine)
        )  # fmt: skip
    return found


def kinds_of(contract: Contract, yield_id: str) -> set[str]:
    """Return the names of the kinds that a yield can lead to."""
    rule = next(item for item in contract.yields if item.id == yield_id)
    kind = rule.spec.get("kind")
    if kind is None:
        return set()
    return {kind} if isinstance(kind, str) else set(kind["map"].values())
