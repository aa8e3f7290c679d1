"""What the register says on a day, row by row, and what of it runs out soon or nobody has settled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from gateways.catalogue import CONDITIONS
from gateways.model import PERMITTING, Register

NOTICES = (60, 30, 7)
"""Days before the last day on which notice is listed."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that runs out.

    Attributes:
        what: ``end``, ``review`` or ``dpia`` of an agreement.
        last_day: Last day on which it counts.
        days_left: Days from today to the last day; negative when it is past.
        notice: The tightest notice that has begun: 60, 30, 7, or 0 when it is past.
    """

    agreement: str
    title: str
    what: str
    last_day: date
    days_left: int
    notice: int
    sources: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """Return the notice for JSON."""
        return {
            "agreement": self.agreement,
            "title": self.title,
            "what": self.what,
            "last_day": self.last_day.isoformat(),
            "days_left": self.days_left,
            "notice": self.notice,
            "stops": list(self.sources),
        }


def expiring(register: Register, as_of: date) -> list[Notice]:
    """Return what runs out within 60 days of `as_of`, or has, soonest first."""
    found = []
    for agreement in register.agreements.values():
        for what, last in agreement.stops().items():
            left = (last - as_of).days
            if left > max(NOTICES):
                continue
            notice = 0 if left < 0 else min(days for days in NOTICES if left <= days)
            sources = tuple(sorted(agreement.sources))
            found.append(Notice(agreement.id, agreement.title, what, last, left, notice, sources))
    return sorted(found, key=lambda one: (one.days_left, one.agreement, one.what))


def gaps(register: Register, as_of: date) -> list[dict[str, str]]:
    """Return what of the register nobody has settled: unverified parts, old reviews, no user.

    Returns:
        One row per gap with the record, the gap and what it means today.
    """
    rows = []

    def gap(record: str, what: str, meaning: str) -> None:
        rows.append({"gateway": record, "gap": what, "meaning": meaning})

    relied = {one for agreement in register.agreements.values() for one in agreement.gateways}
    for name, record in sorted(register.gateways.items()):
        if not record.verified:
            gap(name, "not verified", "no text was checked for all of it; stricter reading")
        for part in record.unverified:
            gap(name, f"unverified {part}", "stated from knowledge only; a lawyer confirms it")
        if record.overrides_confidence == "unknown":
            gap(name, "confidence unknown", "never taken to override; each flow records a basis")
        if record.in_force_from is None:
            gap(name, "no first day", "never in force here")
        if (as_of - record.reviewed_on).days > 365:
            gap(name, "review overdue", "read again and set reviewed_on")
        for body in sorted(record.unverified_from | record.unverified_to):
            gap(name, f"party {body}", "counts only with a recorded lawyer's confirmation")
        if record.kind in PERMITTING and record.enabled and name not in relied:
            gap(name, "no agreement", "in the register, relied on by nobody")
    return rows


def gateway_rows(register: Register, as_of: date) -> list[dict[str, Any]]:
    """Return every record: what kind of law it is, whether it is in force, and what was verified."""
    return [
        {
            "id": one.id,
            "cite": one.cite,
            "kind": one.kind.value,
            "in_force": one.in_force(as_of),
            "enabled": one.enabled,
            "from": sorted(one.parties_from),
            "to": sorted(one.parties_to),
            "purposes": sorted(one.purposes),
            "allow": sorted(one.allow),
            "deny": sorted(one.deny),
            "conditions": [
                {
                    "id": name,
                    "when": CONDITIONS[name].when.value,
                    "basis": CONDITIONS[name].basis,
                    "if_not_met": CONDITIONS[name].sentence,
                }
                for name in one.conditions
            ],
            "overrides_confidence": one.overrides_confidence,
            "reviewed_on": one.reviewed_on.isoformat(),
            "verified": one.verified,
            "unverified": list(one.unverified),
            "text_vintage": one.text_vintage,
            "note": one.note,
        }
        for _, one in sorted(register.gateways.items())
    ]


def agreement_rows(register: Register, as_of: date) -> list[dict[str, Any]]:
    """Return the agreements and whether each carries data on a day."""
    return [
        {
            "id": one.id,
            "title": one.title,
            "carries_data": one.in_force(as_of) and one.id not in register.suspended,
            "suspended": one.id in register.suspended,
            "parties": sorted(one.parties),
            "sources": sorted(one.sources),
            "gateways": sorted(one.gateways),
            "purposes": sorted(one.purposes),
            "start": one.start.isoformat(),
            "end": one.end.isoformat(),
            "review": one.review.isoformat(),
            "dpia": one.dpia,
            "dpia_expires": one.dpia_expires.isoformat(),
            "text_sha256": one.text_sha256,
            "signatories": list(one.signatories),
        }
        for _, one in sorted(register.agreements.items())
    ]
