"""Groups for counts of fairness: linkage quality and evaluation read them, and nothing else does."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.parquet as pq

from engine.flows.home import Home
from engine.warehouse import equality

NOT_KNOWN = "not known"
HELP = ("out_of_work_benefit", "benefit_cap", "free_school_meals", "rent_arrears")
"""Kinds of states that say that somebody has little money."""


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


def helped(home: Home, records: Sequence[bytes]) -> list[str]:
    """Return whether a record says of any day that somebody got help because of little money.

    It stands for deprivation: no area is looked up, and nothing scores it (T9).

    Args:
        home: The home.
        records: Record ids.
    """
    kinds = {home.tables.kinds[name].id for name in HELP}
    live, found = home.live(), set()
    for delivery in home.published():
        path = home.warehouse.states(delivery)
        if path.exists():
            rows = live.rows(delivery, pq.read_table(path, filters=[("kind", "in", kinds)]))
            found |= set(rows.column("record").to_pylist())
    named = home.domain("record").seal(list(records))
    return ["yes" if one in found else NOT_KNOWN for one in named]
