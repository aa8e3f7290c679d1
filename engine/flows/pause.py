"""Volumes that are out of the ordinary: such a delivery waits until a named person has looked."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlmodel import Session, col, select

from engine.domain.records import Prepared
from engine.flows.home import Home
from engine.flows.stage import row_names
from engine.intake.contract import Contract
from engine.store.session import reading
from engine.store.tables import Delivery
from engine.warehouse.live import Live


def pauses_of(
    home: Home,
    contract: Contract,
    prepared: Prepared,
    records: list[bytes],
    *,
    history: bool,
    window: tuple[int, int] | None = None,
) -> list[str]:
    """Return why a delivery has to wait, as sentences; nothing when its volume is ordinary.

    Args:
        home: The home.
        contract: The contract, whose ``delivery:`` says what is ordinary.
        prepared: The delivery.
        records: Its records.
        history: A back-load is compared with no delivery before it.
        window: First and last day (since 1970-01-01) that it replaces, for a source sent by windows.
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
        gone, known = _vanishing(home, contract, prepared, records, window)
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
    home: Home,
    contract: Contract,
    prepared: Prepared,
    records: list[bytes],
    window: tuple[int, int] | None,
) -> tuple[int, int]:
    """Return how many known rows or records this delivery ends, and how many are known.

    A window is held against the rows that lie in it: of all rows of a source a week is next to nothing,
    and the loss of that week is a loss all the same.
    """
    with Session(reading(home.casework)) as session:
        ids = session.exec(select(Delivery.id).where(Delivery.source == contract.source)).all()
    order, live = home.published(), home.live()
    mine = [one for one in ids if one in order and home.warehouse.spoken(one).exists()]
    known: set[bytes] = set()
    rows: set[int] = set()
    for delivery in mine:
        table = pq.read_table(home.warehouse.spoken(delivery))
        holds = table.filter(pc.equal(table.column("gone"), 0))
        if window is not None:
            holds = _inside(delivery, holds, live, window)
        known.update(holds.column("record").to_pylist())
        rows.update(holds.column("rk").to_pylist())
    known -= live.dead
    if contract.sending.mode == "full" or (window is not None and not rows - {0}):
        sent = set(home.domain("record").seal(records))
        return len(known - sent), len(known)
    if window is not None:
        sent_rows = set(row_names(home, contract, prepared)[prepared.spoken[:, 1]].tolist())
        return len(rows - {0} - sent_rows), len(rows - {0})
    return len(prepared.gone), len(rows - {0}) or len(known)


def _inside(delivery: str, spoken: pa.Table, live: Live, window: tuple[int, int]) -> pa.Table:
    """Return the rows of a delivery that lie in a window and that no later delivery replaces."""
    days = spoken.column("day").to_numpy()
    holds = live.holding(delivery, spoken.column("rk").to_numpy(), days)
    return spoken.filter(pa.array(holds & (days >= window[0]) & (days <= window[1])))
