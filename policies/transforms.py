"""The coarser forms of a value: pure, named in the pack, each a function of the full value alone.

A weaker form never says more than a stronger one (POL-P19): ``token`` and ``exists`` say nothing of
the value, and ``banded`` is worked out from it without anything else.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from policies.model import Field, Level

Transform = Callable[[str], str]


def quarter(day: date) -> str:
    """Return the quarter of a year that a date is banded to."""
    return f"{day.year}, quarter {(day.month - 1) // 3 + 1}"


def _area(value: str) -> str:
    return f"{value.replace(' ', '')[:-3]} area"


TRANSFORMS: dict[str, Transform] = {
    "held": lambda _: "held, not shown in full",
    "entry": lambda _: "an entry",
    "known": lambda _: "known to service",
    "initial": lambda value: f"{value[:1]}...",
    "area": _area,
    "quarter": lambda value: quarter(date.fromisoformat(value)),
    "year": lambda value: f"born in {value[:4]}",
    "kind": lambda value: value,
    "band": lambda _: "in a range",
}
"""Every transform that a pack may name."""


def form_of(spec: Field, value: str, level: Level) -> str | None:
    """Return a value at a level, or None when nothing of it is shown.

    Args:
        spec: The field; it names its transforms.
        value: The full value.
        level: The level awarded.
    """
    if level is Level.REFUSE:
        return None
    if level is Level.CLEAR:
        return value
    name = spec.transforms.get(level.name.lower())
    transform = TRANSFORMS.get(name) if name else None
    # A level without a form shows nothing; lint refuses such a pack (POL-L15).
    return transform(value) if transform else None
