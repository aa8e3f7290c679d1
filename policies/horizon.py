"""What is open on a day, and what opens or lapses in the days after it, and because of what."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from policies.matrix import Cell, cells
from policies.model import Level, Pack

DAYS = 60


def horizon(pack: Pack, as_of: date, days: int = DAYS) -> dict[str, Any]:
    """Return the answer of the whole policy on a day and at each change of law after it.

    Args:
        pack: The pack.
        as_of: The day.
        days: How far ahead to look.

    Returns:
        Agreements that carry data, number of open cells, and a step for each later day on which a
        record or an agreement begins or ends, with the cells that open and lapse on it.
    """
    register = pack.register
    before = _levels(pack, as_of)
    steps = []
    for when in sorted(register.changes()):
        if not as_of < when <= as_of + timedelta(days=days):
            continue
        after = _levels(pack, when)
        steps.append(
            {
                "day": when.isoformat(),
                "opened": sum(level > before.get(key, 0) for key, level in after.items()),
                "lapsed": sum(level > after.get(key, 0) for key, level in before.items()),
                "because": _because(pack, when),
            }
        )
        before = after
    return {
        "as_of": as_of.isoformat(),
        "policy_version": pack.version,
        "agreements": sorted(
            one.id
            for one in register.agreements.values()
            if one.in_force(as_of) and one.id not in register.suspended
        ),
        "gateways_in_force": sorted(
            one.id for one in register.gateways.values() if one.enabled and one.in_force(as_of)
        ),
        "open_cells": len(list(cells(pack, as_of))),
        "steps": steps,
    }


def _levels(pack: Pack, as_of: date) -> dict[tuple[str, ...], int]:
    return {_key(one): int(Level[one.level.upper()]) for one in cells(pack, as_of)}


def _key(one: Cell) -> tuple[str, ...]:
    return (one.role, one.agency, one.purpose, one.source, one.field)


def _because(pack: Pack, when: date) -> list[str]:
    found = [
        f"{record.cite} begins" if record.in_force_from == when else f"{record.cite} ends"
        for _, record in sorted(pack.register.gateways.items())
        if when in set(record.changes())
    ]
    for _, agreement in sorted(pack.register.agreements.items()):
        if agreement.start == when:
            found.append(f"{agreement.id} starts")
        found += [
            f"{agreement.id}: {what} was {last.isoformat()}"
            for what, last in agreement.stops().items()
            if last + timedelta(days=1) == when
        ]
    return found
