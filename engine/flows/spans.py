"""For which days the agency of each record says that it holds it: the axis of the world in its history."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

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
    """An accepted delivery.

    Attributes:
        day: When it came (since 1970-01-01).
        full: Whether it says everything, so that what it leaves out is gone.
        window: The days whose rows it replaces.
        instead: What it took the place of, each with its day, and what those had replaced.
    """

    id: str
    source: str
    day: int
    full: bool
    window: tuple[int, int] | None
    instead: list[tuple[str, int]] = field(default_factory=list)

    def ends(self, day: int) -> bool:
        """Say whether it ends a row of a day that it does not name."""
        return self.full or (self.window is not None and self.window[0] <= day <= self.window[1])


def spans_of(home: Home, live: Collection[bytes], former: Collection[bytes]) -> dict[bytes, Span]:
    """Return first and last day of records, by linkage pseudonym.

    A record is held from the day on which a delivery first brought it, one that was corrected since
    counting for whom the correction brings too, until the day of the one that deleted its last row,
    merged it into another, or left it out where it says everything. What was withdrawn says nothing.

    Args:
        home: The home.
        live: Records that hold; their last day is None.
        former: Records that once held. One that no delivery speaks of any more is absent.
    """
    sent = _accepted(home)
    first: dict[bytes, int] = {}
    last: dict[bytes, int] = {}
    for place, one in enumerate(sent):
        brought = set(_brought(home, one.id))
        for name in brought:
            first[name] = min(first.get(name, one.day), one.day)
            last[name] = place
        for earlier, day in one.instead:
            for name in brought.intersection(_brought(home, earlier)):
                first[name] = min(first[name], day)
    names = sorted({*live, *former})
    records = home.domain("record").seal(home.domain("linkage").open(names)) if names else []
    own = dict(zip(names, records, strict=True))
    ended = _ended(home, sent, {own[one]: last[own[one]] for one in former if own[one] in last})
    return {
        name: (first[mine], sent[ended[mine]].day if name in former else None)
        for name, mine in own.items()
        if mine in first
    }


def _accepted(home: Home) -> list[_Sent]:
    with Session(reading(home.casework)) as session:
        kept = select(Delivery).where(col(Delivery.state).in_(("accepted", "replaced")))
        rows = session.exec(kept.order_by(col(Delivery.number))).all()
        by: dict[str, list[Delivery]] = {}
        for one in rows:
            if one.replaced_by is not None:
                by.setdefault(one.replaced_by, []).append(one)

        def instead(delivery: str) -> Iterator[tuple[str, int]]:
            for one in by.get(delivery, []):
                # One that only waited was never said to count.
                if one.stood == "accepted":
                    yield one.id, _day(one)
                yield from instead(one.id)

        return [
            _Sent(one.id, one.source, _day(one), one.mode == "full", _window(one),
                  list(instead(one.id)))
            for one in rows
            if one.state == "accepted"
        ]  # fmt: skip


def _day(one: Delivery) -> int:
    return day_number(as_utc(one.accepted_at).date())


def _window(one: Delivery) -> tuple[int, int] | None:
    if one.window_first is None or one.window_last is None:
        return None
    return one.window_first, one.window_last


def _brought(home: Home, delivery: str) -> list[bytes]:
    """Return the records of which a delivery brings a row, each once."""
    try:
        table = pq.read_table(
            home.warehouse.spoken(delivery), columns=["record"], filters=[("gone", "=", 0)]
        )
    except FileNotFoundError:
        return []  # Withdrawn since we looked; the next run tells it.
    found: list[bytes] = pc.unique(table.column("record")).to_pylist()
    return [one for one in found if one != _NOBODY]


def _ended(home: Home, sent: list[_Sent], last: Mapping[bytes, int]) -> dict[bytes, int]:
    """Return the place of the delivery that ended each record.

    Every row of a record is ended by the first later delivery of its source that names it again, covers its
    day or says everything; the record ends with the last of its rows, or when it is merged.

    Args:
        home: The home.
        sent: What was accepted.
        last: Record to the place of the last delivery that brought it.
    """
    if not last:
        return {}
    rows = list(_rows(home, sent, last))
    named = _named(home, sent, {name for _, _, name, _ in rows if name})
    merged = _merged(home, sent, last)
    ends: dict[bytes, int] = {}
    for record, place, name, day in rows:
        end = next(
            (
                at
                for at in range(place + 1, len(sent))
                if sent[at].source == sent[place].source
                and (at in named.get(name, ()) or sent[at].ends(day))
            ),
            len(sent),
        )
        ends[record] = max(ends.get(record, place), end)
    found = {}
    for record, place in last.items():
        end = min(ends.get(record, len(sent)), merged.get(record, len(sent)))
        # Nothing that counts says what ended it: it is known of to the last word about it.
        found[record] = end if end < len(sent) else place
    return found


def _rows(
    home: Home, sent: list[_Sent], last: Mapping[bytes, int]
) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield record, place of the delivery, keyed name and day of each row of some records."""
    wanted = pa.array(sorted(last), pa.binary(32))
    for place, one in enumerate(sent):
        path = home.warehouse.spoken(one.id)
        if path.exists():
            some = pc.field("record").isin(wanted) & (pc.field("gone") == 0)
            table = pq.read_table(path, columns=["record", "rk", "day"], filters=some)
            for record, name, day in zip(
                *(table.column(part).to_pylist() for part in table.column_names), strict=True
            ):
                yield record, place, name, day


def _named(home: Home, sent: list[_Sent], names: set[int]) -> dict[int, set[int]]:
    """Return, by keyed name of a row, the places of the deliveries that speak of it."""
    found: dict[int, set[int]] = {}
    wanted = pa.array(sorted(names), pa.int64())
    for place, one in enumerate(sent):
        path = home.warehouse.spoken(one.id)
        if path.exists() and names:
            table = pq.read_table(path, columns=["rk"], filters=pc.field("rk").isin(wanted))
            for name in pc.unique(table.column("rk")).to_pylist():
                found.setdefault(name, set()).add(place)
    return found


def _merged(home: Home, sent: list[_Sent], last: Mapping[bytes, int]) -> dict[bytes, int]:
    """Return the place of the delivery that merged a record into another, and none has undone."""
    found: dict[bytes, int] = {}
    for place, one in enumerate(sent):
        path = home.warehouse.merges(one.id)
        if path.exists():
            for row in pq.read_table(path).to_pylist():
                if row["undone"]:
                    found.pop(row["old"], None)
                elif row["old"] in last:
                    found.setdefault(row["old"], place)
    return found
