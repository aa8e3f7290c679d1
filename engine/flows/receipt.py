"""What a delivery is answered with: counts that reconcile, what is wrong and where, and the proof."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, func, select

from engine.domain.ids import day_number
from engine.domain.records import Prepared
from engine.flows.home import Home
from engine.flows.incoming import Options
from engine.flows.intent import Flow
from engine.flows.subjects import bulk_subjects
from engine.intake.contract import Contract
from engine.store.tables import Delivery


def next_number(session: Session) -> int:
    """Return the number that the next delivery of the home gets."""
    return (session.exec(select(func.max(Delivery.number))).one() or 0) + 1


def make_receipt(
    flow: Flow,
    prepared: Prepared,
    contract: Contract,
    content_hash: str,
    *,
    options: Options,
    pauses: list[str],
    replaces: str | None = None,
) -> dict[str, Any]:
    """Return the receipt of a delivery; it holds no value of anybody and none of the agency's keys."""
    home = flow.home
    failed = [one["id"] for one in prepared.checks if one["status"] == "failed"]
    return {
        "delivery": flow.intent,
        "agency": contract.agency,
        "source": contract.source,
        "content_sha256": content_hash,
        "accepted_at": home.clock().isoformat(timespec="seconds"),
        "state": "paused" if pauses else "accepted",
        "paused_because": pauses,
        # A check that crashed did not pass: the delivery stands, and its light does not.
        "light": "amber" if failed or pauses else "green",
        "replaces": replaces,
        "mends": options.mends,
        "mode": "delta" if options.partial else contract.sending.mode,
        "history": options.history,
        "layout": prepared.layout,
        "encoding": prepared.encoding,
        "policy_version": home.pack.version,
        "rows": {
            "in": prepared.rows_in,
            "kept": prepared.rows_kept,
            "dropped": dict(sorted(prepared.dropped.items())),
        },
        "tables": dict(sorted(prepared.tables.items())),
        "records": len(prepared.local_keys),
        "events": len(prepared.event_rows),
        "states": len(prepared.state_rows),
        "rows_deleted": len(prepared.gone),
        "records_merged": len(prepared.merges),
        "rows_set_aside": len(prepared.quarantined),
        "rows_without_yield": dict(sorted(prepared.not_yielded.items())),
        "fields_kept": list(prepared.fields_kept),
        "fields_dropped": prepared.fields_dropped,
        "purposes": prepared.purposes,
        "cells_closed": prepared.cells_closed,
        "columns_unknown": list(prepared.columns_unknown),
        "checks": prepared.checks,
        "identifiers": prepared.quality,
        "repairs": dict(sorted(prepared.repairs.items())),
        "findings": [group.as_dict() for group in prepared.findings],
        "duplicate": False,
    }


def outcome_of(
    home: Home,
    receipt: dict[str, Any],
    prepared: Prepared,
    records: list[bytes],
    options: Options,
) -> dict[str, Any]:
    """Counts and a Merkle root over the subjects: the trail says who was in it to whoever can ask."""
    return {
        "source": receipt["source"],
        "fields": sorted(prepared.fields_kept),
        "rows": prepared.rows_kept,
        "rules": [receipt["state"]],
        "counts": {
            "rows_in": prepared.rows_in,
            "records": len(records),
            "events": len(prepared.event_rows),
            "states": len(prepared.state_rows),
            "rows_deleted": len(prepared.gone),
            "records_merged": len(prepared.merges),
            "day": day_number(home.clock().date()),
            **{
                f"{word}_delivery": number
                for word, number in (("replaces", options.replaces), ("mends", options.mends))
                if number is not None
            },
        },
        "subjects": bulk_subjects(home, records),
        "result_hash": receipt["content_sha256"],
        "policy_hash": receipt["policy_version"],
    }
