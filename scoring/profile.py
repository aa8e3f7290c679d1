"""A problem profile: counts by time, area and kind, of which nobody can be read off (hate crime; T-HA1).

A cell in which few incidents or few people stand is not told, and no sum is given from which it would
follow: totals are of the cells that are told and say that they are at least that much.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LEAST = 5
"""Incidents, and people harmed, from which a cell is told."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One person in one incident: its quarter, its wide area, its kind, and handles of both."""

    quarter: str
    area: str
    kind: str
    incident: object
    person: object


def cells(
    found: Iterable[Incident], quarters: Sequence[str], areas: Sequence[str], kinds: Sequence[str]
) -> list[dict[str, object]]:
    """Count incidents by quarter, area and kind; one row per quarter and area, none left out.

    Args:
        found: One entry per person in an incident; an incident in which several were harmed counts once.
        quarters, areas, kinds: What the profile is laid out by, in order; another is not counted.

    Returns:
        Rows with ``quarter``, ``area`` and ``counts``: kind to the number of incidents, 0 where there are
        none, None where a number would speak of few.
    """
    incidents: dict[tuple[str, str, str], set[object]] = {}
    people: dict[tuple[str, str, str], set[object]] = {}
    for one in found:
        place = (one.quarter, one.area, one.kind)
        incidents.setdefault(place, set()).add(one.incident)
        people.setdefault(place, set()).add(one.person)

    def told(place: tuple[str, str, str]) -> int | None:
        number, harmed = len(incidents.get(place, ())), len(people.get(place, ()))
        return number if number == 0 or min(number, harmed) >= LEAST else None

    return [
        {
            "quarter": quarter,
            "area": area,
            "counts": {kind: told((quarter, area, kind)) for kind in kinds},
        }
        for quarter in quarters
        for area in areas
    ]


def at_least(rows: Iterable[dict[str, object]], kinds: Sequence[str]) -> dict[str, int]:
    """Return, by kind, the sum of the cells that are told: no cell that is not can be taken from it."""
    total = dict.fromkeys(kinds, 0)
    for row in rows:
        counts = row["counts"]
        if isinstance(counts, dict):
            for kind in kinds:
                total[kind] += counts[kind] or 0
    return total
