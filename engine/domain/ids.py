"""Names that must not be mixed up, and the two sources of chance and time, passed in everywhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NewType

RecordId = NewType("RecordId", bytes)
PersonId = NewType("PersonId", bytes)
DeliveryId = NewType("DeliveryId", str)
IntentId = NewType("IntentId", str)
Pseudonym = NewType("Pseudonym", str)

Clock = Callable[[], datetime]
Randomness = Callable[[int], bytes]

EPOCH = date(1970, 1, 1)


def system_clock() -> datetime:
    """Return the present moment in UTC; flows receive this as an argument."""
    return datetime.now(UTC)


def system_randomness(count: int) -> bytes:
    """Return bytes from the operating system; flows receive this as an argument."""
    return os.urandom(count)


def as_utc(moment: datetime) -> datetime:
    """Return a stored moment with its zone: SQLite gives it back without; all of ours are UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def day_number(day: date) -> int:
    """Return days since 1970-01-01."""
    return (day - EPOCH).days


def from_day_number(number: int) -> date:
    """Return the date of a day number."""
    return EPOCH + timedelta(days=number)


def whole_years(born: date, on: date) -> int:
    """Return the age in whole years on a day; 29 February counts as passed on 1 March."""
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


LEVELS = {"os": "host", "client": "secret"}
"""What stands behind a way of signing in: the account of the machine, or a secret. A demo identity is chosen
from a list, so that nothing does."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, in which capacity, and how that was established."""

    user: str
    agency: str
    role: str
    auth: str

    def as_event(self) -> dict[str, str]:
        """Return the form that an audit event carries."""
        return {
            "id": self.user,
            "org": self.agency,
            "role": self.role,
            "auth": self.auth,
            "level": LEVELS.get(self.auth, "none"),
        }
