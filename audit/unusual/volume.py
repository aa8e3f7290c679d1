"""Volume: how many different people a user opened on a day, against the role on such a weekday.

Median and median absolute deviation, because one busy user must not set what is ordinary. A small group
has no ordinary day of its own: the next wider group stands in, and without one nothing is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import sqrt
from statistics import median

from audit.unusual.rows import Act, Look
from audit.unusual.table import Weights

MAD_TO_SPREAD = 1.4826
"""Of normally distributed numbers, the standard deviation over the median absolute deviation."""
COUNTED = (Act.VIEW, Act.EVIDENCE)


@dataclass(frozen=True, slots=True)
class Ordinary:
    """An ordinary day of a group.

    Attributes:
        middle: Median of different people opened on a day by a user who opened any.
        spread: 1.4826 times the median absolute deviation, at least the square root of the median and 1.
        days: On how many days of users it rests.
        group: ``role and weekday``, ``role`` or ``everybody``.
    """

    middle: float
    spread: float
    days: int
    group: str

    def spreads(self, people: int) -> float:
        """Return how many spreads above the middle a number lies."""
        return (people - self.middle) / self.spread


def people_a_day(looks: Sequence[Look]) -> dict[tuple[str, str, date], int]:
    """Return different people by (user, role, day)."""
    found: dict[tuple[str, str, date], set[str]] = defaultdict(set)
    for one in looks:
        if one.subject and one.act in COUNTED:
            found[one.actor, one.role, one.at.date()].add(one.subject)
    return {key: len(people) for key, people in found.items()}


def ordinary(numbers: Sequence[int], group: str) -> Ordinary:
    """Return the ordinary day that some days of users make."""
    middle = float(median(numbers))
    deviation = float(median(abs(one - middle) for one in numbers))
    spread = max(MAD_TO_SPREAD * deviation, sqrt(middle), 1.0)
    return Ordinary(middle, spread, len(numbers), group)


class Past:
    """Days of users before the one that is judged, by group.

    Args:
        counts: Different people by (user, role, day), from `people_a_day`.
        weights: The weights.
    """

    def __init__(self, counts: Mapping[tuple[str, str, date], int], weights: Weights) -> None:
        self._least = weights.limits["volume_least_days"]
        self._groups: dict[tuple[str, int], list[tuple[str, int]]] = defaultdict(list)
        for (who, role, when), count in counts.items():
            for group in ((role, when.weekday()), (role, -1), ("", -1)):
                self._groups[group].append((who, count))
        self._known: dict[tuple[str, str, int], Ordinary | None] = {}

    def ordinary(self, actor: str, role: str, day: date) -> Ordinary | None:
        """Return the ordinary day to hold a user's day against, or None: not estimable.

        The user's own days are left out, so that somebody who always takes too much is not their own
        measure.
        """
        key = actor, role, day.weekday()
        if key not in self._known:
            self._known[key] = self._work_out(actor, role, day.weekday())
        return self._known[key]

    def _work_out(self, actor: str, role: str, weekday: int) -> Ordinary | None:
        groups = (
            ((role, weekday), "role and weekday"),
            ((role, -1), "role"),
            (("", -1), "everybody"),
        )
        for group, says in groups:
            numbers = [count for who, count in self._groups.get(group, ()) if who != actor]
            if len(numbers) >= self._least:
                return ordinary(numbers, says)
        return None
