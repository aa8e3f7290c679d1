"""Volumes that are out of the ordinary: such a delivery waits until a named person has looked."""

from __future__ import annotations

import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlmodel import Session, col, select

from engine.domain.records import Prepared
from engine.flows.home import Home
from engine.intake.contract import Contract
from engine.store.session import reading
from engine.store.tables import Delivery


def pauses_of(
    home: Home, contract: Contract, prepared: Prepared, records: list[bytes], *, history: bool
) -> list[str]:
    """Return why a delivery has to wait, as sentences; nothing when its volume is ordinary.

    Args:
        home: The home.
        contract: The contract, whose ``delivery:`` says what is ordinary.
        prepared: The delivery.
        records: Its records.
        history: A back-load is compared with no delivery before it.
    """
    sending, kept = contract.sending, prepared.rows_kept
    found = []
    if sending.rows_min and kept < sending.rows_min:
        found.append(f"{kept} rows are fewer than the {sending.rows_min} that the contract expects")
    if sending.rows_max and kept > sending.rows_max:
        found.append(f"{kept} rows are more than the {sending.rows_max} that the contract expects")
    before = None if history else _rows_before(home, contract.source)
    if before and sending.rows_change and abs(kept - before) > sending.rows_change * before:
        found.append(f"{kept} rows after {before} in the delivery before")
    if sending.deletions_max and not history:
        gone, known = _vanishing(home, contract, prepared, records)
        if known and gone > sending.deletions_max * known:
            found.append(f"{gone} of {known} known rows or records would vanish")
    return found


def _rows_before(home: Home, source: str) -> int | None:
    with Session(reading(home.casework)) as session:
        receipt = session.exec(
            select(Delivery.receipt)
            .where(
                Delivery.source == source,
                Delivery.state == "accepted",
                col(Delivery.history).is_(False),
            )
            .order_by(col(Delivery.number).desc())
        ).first()
    return int(receipt["rows"]["kept"]) if receipt else None


def _vanishing(
    home: Home, contract: Contract, prepared: Prepared, records: list[bytes]
) -> tuple[int, int]:
    """Return how many known rows or records this delivery ends, and how many are known."""
    with Session(reading(home.casework)) as session:
        ids = session.exec(select(Delivery.id).where(Delivery.source == contract.source)).all()
    order, live = home.published(), home.live()
    mine = [one for one in ids if one in order and home.warehouse.spoken(one).exists()]
    known: set[bytes] = set()
    rows: set[int] = set()
    for delivery in mine:
        table = pq.read_table(home.warehouse.spoken(delivery))
        holds = table.filter(pc.equal(table.column("gone"), 0))
        known.update(holds.column("record").to_pylist())
        rows.update(holds.column("rk").to_pylist())
    known -= live.dead
    if contract.sending.mode == "full":
        sent = set(home.domain("record").seal(records))
        return len(known - sent), len(known)
    return len(prepared.gone), len(rows - {0}) or len(known)
