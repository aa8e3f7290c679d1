"""Volumes that are out of the ordinary: such a delivery waits until a named person has looked."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlmodel import Session, col, select

from engine.domain.records import Prepared
from engine.flows.home import Home
from engine.flows.stage import aside_tokens, key_tokens, row_names
from engine.identity import vault_write
from engine.intake.contract import Contract
from engine.store.session import reading
from engine.store.tables import Delivery
from engine.warehouse.live import Live

MASS, FEW = 0.5, 10
"""Share of what is known from which a loss is a mass one, where the contract says none, and of how many."""


def pauses_of(
    home: Home,
    contract: Contract,
    prepared: Prepared,
    records: list[bytes],
    *,
    partial: bool,
    window: tuple[int, int] | None = None,
) -> list[str]:
    """Return why a delivery has to wait, as sentences; nothing when its volume is ordinary.

    Args:
        home: The home.
        contract: The contract, whose ``delivery:`` says what is ordinary.
        prepared: The delivery.
        records: Its records.
        partial: A back-load or mended rows: compared with no delivery before it, and ends only what it
            says is deleted.
        window: First and last day (since 1970-01-01) that it replaces, for a source sent by windows.
    """
    sending, kept = contract.sending, prepared.rows_kept
    found = []
    if not partial:
        if sending.rows_min and kept < sending.rows_min:
            found.append(
                f"{kept} rows are fewer than the {sending.rows_min} that the contract expects"
            )
        if sending.rows_max and kept > sending.rows_max:
            found.append(
                f"{kept} rows are more than the {sending.rows_max} that the contract expects"
            )
        before = _rows_before(home, contract.source)
        if before and sending.rows_change and abs(kept - before) > sending.rows_change * before:
            found.append(f"{kept} rows after {before} in the delivery before")
    mode = "delta" if partial else sending.mode
    if mode == "delta" and not prepared.gone and not prepared.merges:
        return found  # It ends nothing, so that nothing has to be read of what stands.
    standing = _standing(home, contract, window)
    came = _Known(
        frozenset(home.domain("record").seal(records)),
        frozenset(row_names(home, contract, prepared)[prepared.spoken[:, 1]].tolist()),
    )
    for gone, known, what in _vanishing(prepared, mode, window, standing, came):
        limit = sending.deletions_max or (MASS if known >= FEW else 1.0)
        if known and gone > limit * known:
            found.append(f"{gone} of {known} known {what} would vanish")
    ended = _ended_by_error(home, contract, prepared, mode, standing, came)
    if ended:
        found.append(
            f"{ended} known rows or records would end only because their rows were set aside"
        )
    return found


def _rows_before(home: Home, source: str) -> int | None:
    with Session(reading(home.casework)) as session:
        receipts = session.exec(
            select(Delivery.receipt)
            .where(
                Delivery.source == source,
                Delivery.state == "accepted",
                col(Delivery.history).is_(False),
            )
            .order_by(col(Delivery.number).desc())
        )
        # A few mended rows are no extract to compare one with.
        whole = next((one for one in receipts if one.get("mends") is None), None)
    return int(whole["rows"]["kept"]) if whole else None


@dataclass(frozen=True)
class _Known:
    """Records of a source and the names of its rows: what holds before a delivery, or what came."""

    records: frozenset[bytes] = field(repr=False)
    rows: frozenset[int] = field(repr=False)


def _standing(home: Home, contract: Contract, window: tuple[int, int] | None) -> _Known:
    """Return what holds of a source, in a window only what lies in it.

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
    return _Known(frozenset(known - live.dead), frozenset(rows - {0}))


def _vanishing(
    prepared: Prepared,
    mode: str,
    window: tuple[int, int] | None,
    standing: _Known,
    came: _Known,
) -> list[tuple[int, int, str]]:
    """Return how many known rows or records this delivery ends, of how many, and of what."""
    known, rows = standing.records, standing.rows
    found = []
    if prepared.merges:
        joined = sum(not undone for _, _, undone in prepared.merges)
        found.append((joined, len(known), "records"))
    if mode == "delta":
        return [*found, (len(prepared.gone), len(rows) or len(known), "rows or records")]
    if mode == "full" or (window is not None and not rows):
        found.append((len(known - came.records), len(known), "rows or records"))
    if rows:
        found.append((len(rows - came.rows), len(rows), "rows or records"))
    return found


def _ended_by_error(
    home: Home,
    contract: Contract,
    prepared: Prepared,
    mode: str,
    standing: _Known,
    came: _Known,
) -> int:
    """Return how much of what is known ends because the row that says it again has an error.

    In an extract that says everything, a row that was set aside would read as a row that is gone.
    """
    if mode == "delta":
        return 0
    missing_records, missing_rows = standing.records - came.records, standing.rows - came.rows
    # A row that could not be read, or that says not whose it is, may be any of those that are missing.
    nameless = sum(prepared.dropped.get(code, 0) for code in ("FG-ROW-13", "FG-ROW-17"))
    nameless += sum(not one.key and not one.row_key for one in prepared.quarantined)
    lost = min(nameless, len(missing_records) if mode == "full" else len(missing_rows))
    if not prepared.quarantined:
        return lost
    tokens = aside_tokens(home, contract, prepared)
    named = {
        int.from_bytes(token[4:], "big")
        for token, row in zip(tokens, prepared.quarantined, strict=True)
        if row.row_key
    }
    people = key_tokens(home, contract, [row.key for row in prepared.quarantined])
    held = list(vault_write.known_records(home.vault, people).values())
    ended = missing_records & set(home.domain("record").seal(held))
    return max(lost, len(missing_rows & named), len(ended))


def _inside(delivery: str, spoken: pa.Table, live: Live, window: tuple[int, int]) -> pa.Table:
    """Return the rows of a delivery that lie in a window and that no later delivery replaces."""
    days = spoken.column("day").to_numpy()
    holds = live.holding(delivery, spoken.column("rk").to_numpy(), days)
    return spoken.filter(pa.array(holds & (days >= window[0]) & (days <= window[1])))
