"""For which days the agency of each record says that it holds it: the axis of the world in its history."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlmodel import Session, col, select

from engine.domain.ids import as_utc, day_number
from engine.flows.home import Home
from engine.linkage.index import Span
from engine.store.session import reading
from engine.store.tables import Delivery

_NOBODY = bytes(32)


@dataclass(frozen=True)
class _Sent:
    """An accepted delivery, and by its place where it stands in time."""

    id: str
    source: str
    day: int


def spans_of(home: Home, live: Collection[bytes], former: Collection[bytes]) -> dict[bytes, Span]:
    """Return first and last day of records, by linkage pseudonym.

    A record is held from the day on which a delivery first brought it until the day of the one that
    deleted it, merged it into another, or left it out of an extract that says everything. Only
    deliveries that were neither withdrawn nor replaced say anything.

    Args:
        home: The home.
        live: Records that hold; their last day is None.
        former: Records that once held. One that no delivery speaks of any more is absent.
    """
    sent = _accepted(home)
    first: dict[bytes, int] = {}
    last: dict[bytes, int] = {}
    for place, one in enumerate(sent):
        for name in _brought(home, one.id):
            first.setdefault(name, place)
            last[name] = place
    names = sorted({*live, *former})
    records = home.domain("record").seal(home.domain("linkage").open(names)) if names else []
    own = dict(zip(names, records, strict=True))
    ended = _ended(home, sent, {own[one]: last[own[one]] for one in former if own[one] in last})
    return {
        name: (sent[first[mine]].day, sent[ended[mine]].day if name in former else None)
        for name, mine in own.items()
        if mine in first
    }


def _accepted(home: Home) -> list[_Sent]:
    with Session(reading(home.casework)) as session:
        rows = session.exec(
            select(Delivery).where(Delivery.state == "accepted").order_by(col(Delivery.number))
        ).all()
        return [
            _Sent(one.id, one.source, day_number(as_utc(one.accepted_at).date())) for one in rows
        ]


def _brought(home: Home, delivery: str) -> list[bytes]:
    """Return the records of which a delivery brings a row, each once."""
    path = home.warehouse.spoken(delivery)
    if not path.exists():
        return []
    table = pq.read_table(path, columns=["record"], filters=[("gone", "=", 0)])
    found: list[bytes] = pc.unique(table.column("record")).to_pylist()
    return [one for one in found if one != _NOBODY]


def _ended(home: Home, sent: list[_Sent], last: Mapping[bytes, int]) -> dict[bytes, int]:
    """Return the place of the delivery that ended each record.

    It is the newest one that speaks of a row of the record or merges it; when none does, the next one of
    its source, which left it out or covered its days.

    Args:
        home: The home.
        sent: What was accepted.
        last: Record to the place of the last delivery that brought it.
    """
    if not last:
        return {}
    wanted = pa.array(sorted(last), pa.binary(32))
    rows: dict[int, set[bytes]] = {}
    for one in sent:
        path = home.warehouse.spoken(one.id)
        if path.exists():
            asked = ["record", "rk"]
            table = pq.read_table(path, columns=asked, filters=pc.field("record").isin(wanted))
            for record, name in zip(
                *(table.column(part).to_pylist() for part in asked), strict=True
            ):
                if name:
                    rows.setdefault(name, set()).add(record)
    named: dict[bytes, int] = {}
    names = pa.array(sorted(rows), pa.int64())
    for place, one in enumerate(sent):
        path, merges = home.warehouse.spoken(one.id), home.warehouse.merges(one.id)
        if path.exists():
            table = pq.read_table(path, columns=["rk"], filters=pc.field("rk").isin(names))
            for name in pc.unique(table.column("rk")).to_pylist():
                named.update(dict.fromkeys(rows[name], place))
        if merges.exists():
            said = pq.read_table(merges, filters=[("undone", "=", 0)])
            named.update({old: place for old in said.column("old").to_pylist() if old in last})
    return {record: _end(sent, place, named.get(record, -1)) for record, place in last.items()}


def _end(sent: list[_Sent], last: int, named: int) -> int:
    if named > last:
        return named
    later = (at for at in range(last + 1, len(sent)) if sent[at].source == sent[last].source)
    return next(later, last)
