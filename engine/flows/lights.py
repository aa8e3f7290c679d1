"""Whether each source comes when it was promised: green, amber or never; amber stops what needs it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlmodel import Session, col, select

from engine.flows.home import Home
from engine.intake.contract import contract_of
from engine.store.session import reading
from engine.store.tables import Delivery


def source_lights(home: Home) -> list[dict[str, Any]]:
    """Return each partner source with its last delivery, what was promised, and its light.

    ``green`` is in time or nobody promised a rhythm, ``amber`` is late or its last delivery had a
    check that failed, ``never`` has sent nothing yet.
    """
    today = home.clock().date()
    last = _last_accepted(home)
    found = []
    for source in sorted(home.pack.sources.values(), key=lambda one: one.id):
        if source.agency == "engine":
            continue
        sending = contract_of(source).sending
        when, failed = last.get(source.id, (None, 0))
        found.append(
            {
                "source": source.id,
                "title": source.title,
                "agency": source.agency,
                "every_days": sending.every_days,
                "last": when.isoformat() if when else None,
                "days_late": _days_late(when, today, sending.every_days, sending.grace_days),
                "failed_checks": failed,
            }
        )
    for one in found:
        one["light"] = _light(one)
    return found


def late_sources(home: Home) -> frozenset[str]:
    """Return the sources that promised a rhythm, sent before, and are past it."""
    return frozenset(one["source"] for one in source_lights(home) if one["days_late"] > 0)


def _light(one: dict[str, Any]) -> str:
    if one["last"] is None:
        return "never"
    return "amber" if one["days_late"] > 0 or one["failed_checks"] else "green"


def _days_late(when: date | None, today: date, every: int, grace: int) -> int:
    if when is None or not every:
        return 0
    return max(0, (today - when).days - every - grace)


def _last_accepted(home: Home) -> dict[str, tuple[date, int]]:
    with Session(reading(home.casework)) as session:
        rows = session.exec(
            select(Delivery.source, Delivery.accepted_at, Delivery.receipt)
            .where(Delivery.state == "accepted", col(Delivery.history).is_(False))
            .order_by(col(Delivery.number))
        ).all()
    found: dict[str, tuple[date, int]] = {}
    for source, accepted, receipt in rows:
        if receipt.get("mends") is not None:
            continue  # A few mended rows are not the extract that was due.
        moment: datetime = accepted
        failed = sum(1 for check in receipt.get("checks", []) if check["status"] == "failed")
        found[source] = (moment.date(), failed)
    return found
