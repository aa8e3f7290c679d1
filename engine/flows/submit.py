"""Accept a delivery: read, check, admit, minimise, split into lanes, publish, answer with a receipt."""

from __future__ import annotations

import hashlib
import hmac
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import func
from sqlmodel import Session, select

from audit.merkle import leaf_hash, root_of
from engine.domain.errors import FieldgateError, GatewayError, SubmissionError
from engine.domain.ids import EPOCH, Actor, day_number
from engine.domain.records import Prepared
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.identity import vault_write
from engine.identity.normalise import normalise
from engine.intake.contract import Contract, contract_of
from engine.intake.prepare import Intake, prepare, used_fields
from engine.intake.read import Opened, open_delivery
from engine.linkage.encode import Encoder
from engine.linkage.index import forget_delivery, write_encodings
from engine.store.session import reading
from engine.store.tables import Delivery, RecordFlag
from engine.telemetry import span
from engine.warehouse.files import event_table, state_table
from policies import admit
from policies.model import Source

UNKNOWN_MONTH = -(10**6)


def submit(home: Home, file: Path, *, agency: str, source: str, actor: Actor) -> dict[str, Any]:
    """Accept one file.

    Args:
        home: The home.
        file: The delivery as the agency made it; it is read twice and never copied.
        agency: The agency that sends.
        source: The source it belongs to.
        actor: Who submits.

    Returns:
        The receipt: counts that reconcile, fields kept and dropped with reasons, findings by cause,
        and the inclusion proof of its audit event. The same bytes again give the first receipt.

    Raises:
        SubmissionError, ContractError, RowsRefused, GatewayError: Nothing was stored.

    Audited as ``collection``.
    """
    named = {
        "source": source if source in home.pack.sources else "unknown",
        "recipient": agency if agency in home.pack.register.parties else "unknown",
    }
    try:
        return _submit(home, file, agency, source, actor, named)
    except _AlreadyAccepted as first:
        # Another process accepted the same bytes between our look and our commit.
        return {**first.receipt, "duplicate": True}


class _AlreadyAccepted(FieldgateError):
    """The same bytes were accepted while this delivery was prepared; carries the first receipt."""

    def __init__(self, receipt: dict[str, Any]) -> None:
        super().__init__("FG-SUB-08", "the same file was accepted just now", "Nothing.")
        self.receipt = receipt


def _submit(
    home: Home, file: Path, agency: str, source: str, actor: Actor, named: dict[str, str]
) -> dict[str, Any]:
    with Flow(home, "submit", "collection", actor, named) as flow:
        contract = _contract(home, agency, source)
        try:
            stream = file.open("rb")
        except OSError:
            raise SubmissionError(
                "FG-SUB-06",
                "the file cannot be opened",
                "Check its name and its rights.",
            ) from None
        with stream:
            content_hash = _hash(stream)
            known = _known(home, agency, source, content_hash)
            if known is not None:
                flow.finish(
                    {
                        "source": source,
                        "result_hash": content_hash,
                        "rules": ["duplicate"],
                    }
                )
                return {**known, "duplicate": True}
            prepared = _prepare(flow, stream, contract, agency)
            if _hash(stream) != content_hash:
                raise SubmissionError(
                    "FG-SUB-07",
                    "the file changed while it was read",
                    "Send it when it is complete.",
                )
        with span("submit.stage", source=source, records=len(prepared.local_keys)):
            records = _stage(flow, prepared, contract)
        receipt = _receipt(flow, prepared, contract, content_hash)
        flags = _flags(flow, prepared, records)
        flow.commit(lambda session: _publish(session, flow, receipt, flags))
        entry = flow.finish(_outcome(flow, receipt, prepared, records))
        receipt["audit"] = {"entry": entry.seq, "proof": home.audit.proof(entry.seq)}
        return receipt


def _contract(home: Home, agency: str, source: str) -> Contract:
    found: Source | None = home.pack.sources.get(source)
    if found is None or found.agency == "engine":
        raise GatewayError(
            "FG-GATE-12", "no contract stands for that source", "See the sources of the pack."
        )
    if agency not in home.pack.register.parties or found.agency != agency:
        raise GatewayError(
            "FG-GATE-13",
            f"{source} is not a source of that agency",
            f"Send it as {found.agency}, or ask the information governance lead.",
            ["E06 the agency is not the owner of the source or not a party"],
        )
    return contract_of(found)


def _hash(stream: BinaryIO) -> str:
    stream.seek(0)
    total = hashlib.sha256()
    for block in iter(lambda: stream.read(1 << 20), b""):
        total.update(block)
    stream.seek(0)
    return total.hexdigest()


def _known(home: Home, agency: str, source: str, content_hash: str) -> dict[str, Any] | None:
    with Session(reading(home.casework)) as session:
        found = session.exec(
            select(Delivery).where(
                Delivery.agency == agency,
                Delivery.source == source,
                Delivery.content_hash == content_hash,
            )
        ).first()
        return dict(found.receipt) if found else None


def _prepare(flow: Flow, stream: BinaryIO, contract: Contract, agency: str) -> Prepared:
    home = flow.home
    today = home.clock().date()
    flow.arrow("read")
    with span("submit.read", source=contract.source):
        opened: Opened = open_delivery(stream, contract)
    flow.arrow("admit")
    answer = admit(
        home.pack,
        from_agency=agency,
        host=home.pack.vocabulary.host,
        source=contract.source,
        fields=used_fields(contract, opened.present),
        as_of=today,
    )
    with span("submit.prepare", source=contract.source):
        return prepare(
            opened,
            Intake(
                pack=home.pack,
                contract=contract,
                admission=answer,
                from_agency=agency,
                host=home.pack.vocabulary.host,
                today=today,
                kinds={kind.name: kind.id for kind in home.tables.kinds.values()},
                roles=home.tables.roles,
                arrow=flow.arrow,
            ),
        )


def _stage(flow: Flow, prepared: Prepared, contract: Contract) -> list[bytes]:
    """Write the three lanes under the intent's id; none of it counts before the commit."""
    home, delivery = flow.home, flow.intent
    flow.arrow("vault")
    ring = home.keyring("vault")
    tokens = [
        vault_write.key_token(ring, contract.agency, contract.source, key)
        for key in prepared.local_keys
    ]
    records = vault_write.write(
        home.vault, ring, delivery, tokens, dict(prepared.identities), home.randomness
    )
    flow.arrow("encode")
    _stage_linkage(flow, prepared, contract, records)
    flow.arrow("warehouse")
    _stage_warehouse(flow, prepared, contract, records)
    return records


def _stage_linkage(
    flow: Flow, prepared: Prepared, contract: Contract, records: list[bytes]
) -> None:
    home, today = flow.home, flow.home.clock().date()
    derived_key = contract.fields[contract.key].type == "derived"
    clean = normalise(
        dict(prepared.identities),
        len(records),
        today,
        accept_test_range=home.is_demo,
        local_scheme="" if derived_key else contract.scheme,
    )
    ring = home.keyring("link")
    encoder = Encoder(ring.derive("encode", 32), ring.current)
    write_encodings(
        home.linkage,
        flow.intent,
        contract.agency,
        contract.source,
        ring.current,
        clean.version,
        home.domain("linkage").seal(records),
        [_month(value) for value in clean.birth_date],
        encoder.encode(clean, today),
    )


def _month(born: str | None) -> int:
    """Months since January 1970, all that the lists need to know of a birth date."""
    if not born:
        return UNKNOWN_MONTH
    day = date.fromisoformat(born)
    return (day.year - EPOCH.year) * 12 + day.month - 1


def _stage_warehouse(
    flow: Flow, prepared: Prepared, contract: Contract, records: list[bytes]
) -> None:
    home = flow.home
    names = home.domain("record").seal(records)
    key = home.keyring("psn").derive("event-group", 32)
    number = home.source_numbers()[contract.source]

    def token(*parts: object) -> int:
        """A keyed 63-bit name of a group or place: an incident number never reaches the warehouse."""
        message = "\x1f".join(map(str, parts)).encode()
        return int.from_bytes(hmac.digest(key, message, "sha256")[:8], "big") >> 1

    events = []
    for record, kind, role, day, recorded, group, band, row in prepared.events:
        eid = (
            token("group", contract.agency, contract.scheme, group)
            if group
            else token("single", names[record].hex(), kind, role, day)
        )
        events.append((record, kind, role, day, recorded, eid, band, row))
    states = [
        (
            record, kind, start, end, recorded,
            token("place", contract.agency, kind, place) if place else 0,
            row,
        )
        for record, kind, start, end, recorded, place, row in prepared.states
    ]  # fmt: skip
    home.warehouse.write_delivery(
        flow.intent,
        event_table(names, events, number),
        state_table(names, states, number),
    )


def _flags(flow: Flow, prepared: Prepared, records: list[bytes]) -> list[RecordFlag]:
    """Flags that the source itself states of its records, for the trusted casework tables."""
    domain, now = flow.home.domain("record"), flow.home.clock()
    stated: dict[tuple[int, str], str] = {}
    for number, name, value in prepared.flags:
        # Two rows about one person that differ: the marker wins.
        stated[number, name] = "y" if "y" in (value, stated.get((number, name))) else "n"
    names = domain.seal([records[number] for number, _ in stated])
    return [
        RecordFlag(
            record=domain.text(sealed),
            flag=name,
            value=value,
            set_by="source",
            set_at=now,
        )
        for sealed, ((_, name), value) in zip(names, stated.items(), strict=True)
    ]


def _receipt(
    flow: Flow, prepared: Prepared, contract: Contract, content_hash: str
) -> dict[str, Any]:
    home = flow.home
    return {
        "delivery": flow.intent,
        "agency": contract.agency,
        "source": contract.source,
        "content_sha256": content_hash,
        "accepted_at": home.clock().isoformat(timespec="seconds"),
        "layout": prepared.layout,
        "encoding": prepared.encoding,
        "policy_version": home.pack.version,
        "rows": {
            "in": prepared.rows_in,
            "kept": prepared.rows_kept,
            "dropped": dict(sorted(prepared.dropped.items())),
        },
        "records": len(prepared.local_keys),
        "events": len(prepared.events),
        "states": len(prepared.states),
        "rows_without_yield": dict(sorted(prepared.not_yielded.items())),
        "fields_kept": list(prepared.fields_kept),
        "fields_dropped": prepared.fields_dropped,
        "purposes": prepared.purposes,
        "cells_closed": prepared.cells_closed,
        "columns_unknown": list(prepared.columns_unknown),
        "findings": [group.as_dict() for group in prepared.findings],
        "duplicate": False,
    }


def _publish(
    session: Session, flow: Flow, receipt: dict[str, Any], flags: list[RecordFlag]
) -> None:
    now = flow.home.clock()
    same = session.exec(
        select(Delivery).where(
            Delivery.agency == receipt["agency"],
            Delivery.source == receipt["source"],
            Delivery.content_hash == receipt["content_sha256"],
        )
    ).first()
    if same is not None:
        raise _AlreadyAccepted(dict(same.receipt))
    last = session.exec(select(func.max(Delivery.number))).one() or 0
    session.add(
        Delivery(
            id=flow.intent,
            number=last + 1,
            agency=receipt["agency"],
            source=receipt["source"],
            content_hash=receipt["content_sha256"],
            policy_version=receipt["policy_version"],
            accepted_at=now,
            receipt=receipt,
        )
    )
    for flag in flags:
        known = session.get(RecordFlag, (flag.record, flag.flag))
        # What staff set stays: a source that says otherwise does not undo it.
        if known is None or known.set_by == "source":
            session.merge(flag)


def _outcome(
    flow: Flow, receipt: dict[str, Any], prepared: Prepared, records: list[bytes]
) -> dict[str, Any]:
    """Counts and a Merkle root over the subjects: the trail says who was in it to whoever can ask."""
    subjects = sorted(flow.home.domain("audit").seal(records))
    return {
        "source": receipt["source"],
        "fields": sorted(prepared.fields_kept),
        "rows": prepared.rows_kept,
        "counts": {
            "rows_in": prepared.rows_in,
            "records": len(records),
            "events": len(prepared.events),
            "states": len(prepared.states),
            "day": day_number(flow.home.clock().date()),
        },
        "subjects": {
            "count": len(subjects),
            "root": root_of([leaf_hash(subject) for subject in subjects]).hex(),
        },
        "result_hash": receipt["content_sha256"],
        "policy_hash": receipt["policy_version"],
    }


def discard(home: Home, intent: str) -> None:
    """Take back what an unfinished submission staged in every lane."""
    vault_write.forget(home.vault, intent)
    forget_delivery(home.linkage, intent)
    home.warehouse.discard_delivery(intent)
