"""The work queue as a rule: a repeat by the same pair is one item, and what was explained stays quiet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

from audit.unusual.signs import Found
from audit.unusual.table import Weights

KEPT_ENTRIES = 200
"""Places in the trail that an item names; the count goes on."""


@dataclass(frozen=True, slots=True)
class Item:
    """An open item: a user and a person, or a user's unusual days.

    Attributes:
        actor, agency, role, subject: See `Found`; the role is that of the newest access.
        signs: Every sign that has held, with its most points, in the declared order.
        entries: Places in the trail, ascending; the first `KEPT_ENTRIES`.
        looks: How many accesses.
        days: On which days.
        people: Most different people on one of the days.
        through: Newest place in the trail that is counted.
    """

    actor: str
    agency: str
    role: str
    subject: str
    signs: Mapping[str, int]
    entries: tuple[int, ...]
    looks: int
    days: tuple[date, ...]
    people: int
    through: int

    @property
    def points(self) -> int:
        """Sum of the points."""
        return sum(self.signs.values())


def gather(weights: Weights, item: Item | None, found: Found) -> Item:
    """Put what was found into the open item of its pair, or begin one; the same twice changes nothing."""
    if item is None:
        return Item(
            found.actor, found.agency, found.role, found.subject, dict(found.signs),
            found.entries[:KEPT_ENTRIES], len(found.entries), (found.day,), found.people,
            max(found.entries, default=-1),
        )  # fmt: skip
    # Days are judged in order of the trail, so what is not past the newest place was counted before.
    new = [one for one in found.entries if one > item.through]
    together = {
        one: max(item.signs.get(one, 0), found.signs.get(one, 0))
        for one in {*item.signs, *found.signs}
    }
    return replace(
        item,
        role=found.role,
        signs=dict(sorted(together.items(), key=lambda one: weights.signs[one[0]].place)),
        entries=(*item.entries, *new)[:KEPT_ENTRIES],
        through=max([item.through, *new]),
        looks=item.looks + len(new),
        days=tuple(sorted({*item.days, found.day})),
        people=max(item.people, found.people),
    )


def quiet(
    weights: Weights, signs: Iterable[str], explained: Iterable[str], decided: date, day: date
) -> bool:
    """Say whether a pair whose looks were explained stays out of the queue.

    Args:
        weights: The weights.
        signs: Signs that hold now.
        explained: Signs that held when it was explained.
        decided: The day it was explained.
        day: The day that is judged.
    """
    since = timedelta(days=weights.limits["quiet_days"])
    return set(signs) <= set(explained) and day - decided <= since
