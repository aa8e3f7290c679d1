"""What the monitor itself does to groups: how often each is queued, and what came of it.

A monitor that queues one agency three times as often is a finding about the monitor until somebody
knows better. Small groups have no rate, and by team only counts are given, small ones not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

from audit.unusual.table import Weights

NOT_ESTIMABLE = "not estimable"
Z95 = 1.959964
"""Two-sided 95 per cent of a normal distribution."""


@dataclass
class Counted:
    """Counts of one group over a period."""

    users: int = 0
    looks: int = 0
    queued: int = 0
    decided: int = 0
    misuse: int = 0


@dataclass(frozen=True, slots=True)
class Rate:
    """What is told of one group.

    Attributes:
        group: The group.
        counts: Its counts; None where a small one is not shown.
        queued_per_1000: Items per 1,000 accesses with a 95 per cent interval (Wilson), or None when it is
            not estimable.
        misuse_share: Share of decided items that were misuse, with its interval, or None.
    """

    group: str
    counts: Mapping[str, int | None]
    queued_per_1000: tuple[float, float, float] | None
    misuse_share: tuple[float, float, float] | None


def rates(
    weights: Weights, groups: Mapping[str, Counted], *, counts_only: bool = False
) -> list[Rate]:
    """Return what is told of some groups, in order of their names.

    Args:
        weights: The weights, for the sizes below which nothing is estimated or shown.
        groups: Counts by group.
        counts_only: Give no rate and hide small counts; groups of a few people, such as teams.
    """
    found = []
    for name, one in sorted(groups.items()):
        counts = {"users": one.users, "looks": one.looks, "queued": one.queued,
                  "decided": one.decided, "misuse": one.misuse}  # fmt: skip
        if counts_only:
            found.append(Rate(name, _shown(weights, counts), None, None))
            continue
        several = one.users >= weights.limits["group_least_users"]
        large = several and one.looks >= weights.limits["group_least_looks"]
        # What came of a group of one or two users is what came of them.
        told: dict[str, int | None] = {
            what: count if several or what in ("users", "looks") else None
            for what, count in counts.items()
        }
        queued = wilson(min(one.queued, one.looks), one.looks) if large else None
        misuse = (
            wilson(one.misuse, one.decided)
            if large and one.decided >= weights.limits["small_cell"]
            else None
        )
        per = None if queued is None else (queued[0] * 1000, queued[1] * 1000, queued[2] * 1000)
        found.append(Rate(name, told, per, misuse))
    return found


def _shown(weights: Weights, counts: Mapping[str, int]) -> dict[str, int | None]:
    """Hide small counts, and every count of a group of few users: its zero would tell as much."""
    least = weights.limits["small_cell"]
    if counts["users"] < least:
        return dict.fromkeys(counts, None)
    return {name: count if count >= least else None for name, count in counts.items()}


def wilson(hits: int, of: int) -> tuple[float, float, float]:
    """Return a share with its 95 per cent interval (Wilson 1927); 0 of 0 is (0, 0, 1)."""
    if of == 0:
        return 0.0, 0.0, 1.0
    share = hits / of
    centre = share + Z95**2 / (2 * of)
    spread = Z95 * sqrt(share * (1 - share) / of + Z95**2 / (4 * of**2))
    below = 1 + Z95**2 / of
    return share, max(0.0, (centre - spread) / below), min(1.0, (centre + spread) / below)
