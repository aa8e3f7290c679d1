"""Flags that sources state of their records: which word counts, and what stays when one is taken back."""

from __future__ import annotations

from collections.abc import Iterable

from sqlmodel import Session, col, select

from engine.domain.records import Prepared
from engine.flows.intent import Flow
from engine.store.tables import Delivery, RecordFlag, StatedFlag

SOURCE = "source"


def stated_flags(flow: Flow, prepared: Prepared, records: list[bytes]) -> list[StatedFlag]:
    """Return what a delivery says of its records' flags."""
    domain = flow.home.domain("record")
    stated: dict[tuple[int, str], str] = {}
    for number, name, value in prepared.flags:
        # Two rows about one person that differ: the marker wins.
        stated[number, name] = "y" if "y" in (value, stated.get((number, name))) else "n"
    names = domain.seal([records[number] for number, _ in stated])
    return [
        StatedFlag(delivery=flow.intent, record=domain.text(sealed), flag=name, value=value)
        for sealed, ((_, name), value) in zip(names, stated.items(), strict=True)
    ]


def apply_flags(session: Session, flow: Flow, flags: Iterable[StatedFlag]) -> None:
    """Let the words of a delivery count; what staff set stays, whatever a source says."""
    now = flow.home.clock()
    for one in flags:
        known = session.get(RecordFlag, (one.record, one.flag))
        if known is None or known.set_by == SOURCE:
            session.merge(
                RecordFlag(
                    record=one.record, flag=one.flag, value=one.value, set_by=SOURCE, set_at=now
                )
            )


def apply_delivery(session: Session, flow: Flow, delivery: str) -> None:
    """Let the words of a delivery count that waited until now."""
    found = session.exec(select(StatedFlag).where(StatedFlag.delivery == delivery)).all()
    apply_flags(session, flow, found)


def take_back(session: Session, flow: Flow, delivery: str) -> None:
    """Take back the words of a delivery: the newest other delivery that counts speaks in its place."""
    now = flow.home.clock()
    mine = session.exec(select(StatedFlag).where(StatedFlag.delivery == delivery)).all()
    for one in mine:
        known = session.get(RecordFlag, (one.record, one.flag))
        before = session.exec(
            select(StatedFlag.value)
            .where(StatedFlag.record == one.record, StatedFlag.flag == one.flag)
            .where(StatedFlag.delivery == Delivery.id)
            .where(Delivery.state == "accepted", Delivery.id != delivery)
            .order_by(col(Delivery.number).desc())
        ).first()
        session.delete(one)
        if known is None or known.set_by != SOURCE:
            continue
        if before is None:
            session.delete(known)
        else:
            known.value, known.set_at = before, now
