"""By which rule of which contract a row came about, as the contract was when its delivery was accepted."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, col, select

from engine.domain.errors import ConfigError
from engine.flows.home import Home
from engine.store.session import reading
from engine.store.tables import Delivery


def name_rules(home: Home, rows: list[dict[str, Any]]) -> None:
    """Give each row of events or states the id of its rule as ``rule_id``; "" where it is not known.

    A row holds the place of its rule in the contract. A policy that came since may have moved it, so
    that the contract of the day is asked and not today's.

    Args:
        home: The home.
        rows: From `engine.warehouse.files.Warehouse.rows_of`.
    """
    wanted = {row["delivery"] for row in rows}
    with Session(reading(home.casework)) as session:
        found = {
            one.id: (one.source, one.policy_version)
            for one in session.exec(select(Delivery).where(col(Delivery.id).in_(wanted)))
        }
    ids: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        of = found.get(row["delivery"])
        if of is not None and of not in ids:
            ids[of] = _ids(home, *of)
        place, names = int(row.get("rule") or 0), ids.get(of, []) if of is not None else []
        row["rule_id"] = names[place - 1] if 0 < place <= len(names) else ""


def _ids(home: Home, source: str, version: str) -> list[str]:
    try:
        pack = home.pack if version == home.pack.version else home.stored_pack(version)
    except ConfigError:
        return []  # A version that is not kept here: which rule it was is not known any more.
    known = pack.sources.get(source)
    return [str(one["id"]) for one in known.yields] if known is not None else []
