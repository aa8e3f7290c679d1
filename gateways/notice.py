"""Which agreements, reviews and assessments run out soon, with 60, 30 and 7 days' notice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

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
