"""Groups for counts of fairness: linkage quality and evaluation read them, and nothing else does."""

from __future__ import annotations

from collections.abc import Sequence

from engine.flows.home import Home
from engine.warehouse import equality

NOT_KNOWN = "not known"


def groups_of(home: Home, records: Sequence[bytes], part: str = "ethnic_group") -> list[str]:
    """Return the stated group of each record, ``not known`` where no agency stated one.

    Args:
        home: The home.
        records: Record ids.
        part: What was stated.
    """
    found = equality.read(home.path / "equality", home.published(), part)
    names = home.domain("equality").seal(records)
    return [found.get(name, NOT_KNOWN).replace("_", " ") for name in names]
