"""Flags that sources state of their records: which word counts, and what stays when one is taken back.

A word counts for as long as its row holds (see `engine.warehouse.live`): a row sent again, deleted or
replaced by a window takes its word with it. Of rows that hold, a marker wins. A source that names no
rows is taken at its newest word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from engine.domain.records import Prepared
from engine.flows.home import Home, sent_of, since_last_full
from engine.flows.intent import Flow
from engine.store.tables import Delivery, RecordFlag, StatedFlag
from engine.warehouse.live import Live, live_of

SOURCE = "source"
Pair = tuple[str, str]


def stated_flags(
    flow: Flow, prepared: Prepared, records: list[bytes], names: Sequence[int], days: Sequence[int]
) -> list[StatedFlag]:
    """Return what a delivery says of its records' flags.

    Args:
        flow: The flow that submits.
        prepared: The delivery.
        records: Record of each local key.
        names: Keyed name of the row of each flag, 0 for none.
        days: Day by which a window replaces that row.
    """
    domain = flow.home.domain("record")
    stated: dict[tuple[int, str, int], tuple[str, int]] = {}
    for (number, flag, value, *_), name, day in zip(prepared.flags, names, days, strict=True):
        # Two rows about one person that differ: the marker wins.
        known, at = stated.get((number, flag, name), ("n", day))
        stated[number, flag, name] = ("y" if "y" in (value, known) else "n", max(at, day))
    sealed = domain.seal([records[number] for number, *_ in stated])
    return [
        StatedFlag(
            delivery=flow.intent, record=domain.text(one), flag=flag, row=name, value=value, day=day
        )
        for one, ((_, flag, name), (value, day)) in zip(sealed, stated.items(), strict=True)
    ]


def settle_words(session: Session, flow: Flow, delivery: Delivery) -> None:
    """Let the words of a delivery count if it stands and not if it does not.

    Those of rows that it replaces or deletes count no more while it stands. What staff set stays,
    whatever a source says.
    """
    mine = session.exec(select(StatedFlag).where(StatedFlag.delivery == delivery.id)).all()
    _settle(session, flow, delivery, {(one.record, one.flag) for one in mine})


def take_back(session: Session, flow: Flow, delivery: Delivery) -> None:
    """Delete the words of a delivery; what it had replaced or deleted speaks again."""
    mine = session.exec(select(StatedFlag).where(StatedFlag.delivery == delivery.id)).all()
    pairs = {(one.record, one.flag) for one in mine}
    for one in mine:
        session.delete(one)
    _settle(session, flow, delivery, pairs)


def _settle(session: Session, flow: Flow, changed: Delivery, touched: set[Pair]) -> None:
    """Work out again what a source says of its records, as far as a delivery can have changed it."""
    session.flush()
    # A delivery that names no rows and takes no extract's place speaks of its own records alone.
    narrow = changed.plain and changed.mode != "full"
    words = _words(session, changed.source, sorted({one for one, _ in touched}) if narrow else None)
    if not narrow:
        touched |= {(one.record, one.flag) for one in words}
    if not touched:
        return
    live, order = _live(session, flow.home, changed.source)
    held: dict[Pair, list[_Stated]] = {}
    for one in words:
        if one.delivery in order and _holds(live, one):
            held.setdefault((one.record, one.flag), []).append(one)
    set_now = _record_flags(session, sorted({record for record, _ in touched}))
    now = flow.home.clock()
    for record, flag in sorted(touched):
        word, known = _word(held.get((record, flag), [])), set_now.get((record, flag))
        if known is None and word is not None:
            session.add(RecordFlag(record=record, flag=flag, value=word, set_by=SOURCE, set_at=now))
        elif known is None or known.set_by != SOURCE:
            continue
        elif word is None:
            session.delete(known)
        elif known.value != word:
            known.value, known.set_at = word, now


class _Stated(NamedTuple):
    delivery: str
    number: int
    record: str
    flag: str
    row: int
    value: str
    day: int


def _words(session: Session, source: str, records: Sequence[str] | None) -> list[_Stated]:
    """Return what the deliveries of a source said, of some records or of all."""
    query = sa_select(
        StatedFlag.delivery, Delivery.number, StatedFlag.record, StatedFlag.flag, StatedFlag.row,
        StatedFlag.value, StatedFlag.day,
    ).where(StatedFlag.delivery == Delivery.id, Delivery.source == source)  # type: ignore[call-overload]  # fmt: skip
    asked = [query] if records is None else [
        query.where(col(StatedFlag.record).in_(some)) for some in _parts(records)
    ]  # fmt: skip
    return [_Stated(*row) for one in asked for row in session.execute(one)]


def _record_flags(session: Session, records: Sequence[str]) -> dict[Pair, RecordFlag]:
    return {
        (one.record, one.flag): one
        for some in _parts(records)
        for one in session.exec(select(RecordFlag).where(col(RecordFlag.record).in_(some))).all()
    }


def _live(session: Session, home: Home, source: str) -> tuple[Live, frozenset[str]]:
    """Return which rows of a source hold, as this transaction sees its deliveries."""
    query = select(Delivery).where(Delivery.source == source, Delivery.state == "accepted")
    found = session.exec(query.order_by(col(Delivery.number))).all()
    sent = [sent_of(one) for one in since_last_full(found)]
    spoken = {one.delivery: home.warehouse.spoken(one.delivery) for one in sent}
    merges = {one.delivery: home.warehouse.merges(one.delivery) for one in sent}
    return live_of(sent, spoken, merges), frozenset(spoken)


def _holds(live: Live, one: _Stated) -> bool:
    if live.trivial:
        return True
    return bool(live.holding(one.delivery, np.array([one.row]), np.array([one.day]))[0])


def _word(held: Sequence[_Stated]) -> str | None:
    """Return what the rows that hold say together."""
    newest = max((one.number for one in held if not one.row), default=0)
    said = [one.value for one in held if one.row or one.number == newest]
    if not said:
        return None
    return "y" if "y" in said else "n"


def _parts(records: Sequence[str]) -> Iterable[Sequence[str]]:
    """Cut a list so that no question is longer than a database takes."""
    return (records[at : at + 500] for at in range(0, len(records), 500))
