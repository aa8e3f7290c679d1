"""Groups for counts of fairness: linkage quality and evaluation read them, and nothing else does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow.parquet as pq
from sqlmodel import Session, select

from engine.flows.admitted import admitted_kinds, kinds_of, restricted_records
from engine.flows.home import Home
from engine.flows.product_tables import PURPOSE
from engine.intake.contract import contract_of
from engine.store.session import reading
from engine.store.tables import Delivery
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


@dataclass(frozen=True)
class Help:
    """Who got help because of little money, as far as the policy opens it today.

    Attributes:
        labels: ``yes`` or ``not known`` for each record; None when the policy opens none of the kinds that
            were delivered, so that the group is not told at all.
        closed: Labels of the kinds that were delivered and that the policy does not open, sorted.
    """

    labels: list[str] | None
    closed: tuple[str, ...]

    def sentence(self) -> str:
        """Say what was left out of the group, empty when nothing was."""
        if not self.closed:
            return ""
        what = "is not told" if self.labels is None else "leaves out what the policy does not open"
        return f"Means-tested help {what}: {', '.join(self.closed)}."


def helped(home: Home, records: Sequence[bytes]) -> Help:
    """Return whether a record says of any day that somebody got help because of little money.

    It stands for deprivation: no area is looked up, and nothing scores it (T9). It is counted under the
    gates that hold for what is scored (DESIGN 4): of each source the kinds that the policy opens today for
    safeguarding, whose fairness is counted, and no record that is closed or not known to be open.

    Args:
        home: The home.
        records: Record ids.
    """
    wanted = {home.tables.kinds[name].id: home.tables.kinds[name].label for name in HELP}
    source_of = _sources(home)
    loaded = set(source_of.values())
    admitted = admitted_kinds(home, loaded, PURPOSE)
    numbers = home.source_numbers()
    opened = {name: wanted.keys() & set(admitted.get(str(numbers[name]), ())) for name in loaded}
    closed = {
        wanted[kind]
        for name in loaded
        for kind in (wanted.keys() & _kinds_of(home, name)) - opened[name]
    }
    told = tuple(sorted(closed))
    if not any(opened.values()):
        return Help(None, told) if told else Help([NOT_KNOWN] * len(records), ())
    live, found = home.live(), set()
    for delivery in home.published():
        path, kinds = (
            home.warehouse.states(delivery),
            opened.get(source_of.get(delivery, ""), set()),
        )
        if kinds and path.exists():
            rows = live.rows(delivery, pq.read_table(path, filters=[("kind", "in", kinds)]))
            found |= set(rows.column("record").to_pylist())
    found -= {bytes.fromhex(one) for one in restricted_records(home)}
    named = home.domain("record").seal(list(records))
    return Help(["yes" if one in found else NOT_KNOWN for one in named], told)


def _sources(home: Home) -> dict[str, str]:
    """Return the source of each delivery that counts and that the policy still knows."""
    with Session(reading(home.casework)) as session:
        rows = session.execute(select(Delivery.id, Delivery.source)).all()
    known, order = home.pack.sources, home.published()
    return {name: source for name, source in rows if name in order and source in known}


def _kinds_of(home: Home, source: str) -> set[int]:
    """Return the numbers of the kinds that a source can lead to."""
    contract, kinds = contract_of(home.pack.sources[source]), home.tables.kinds
    names = set().union(*(kinds_of(contract, rule.id) for rule in contract.yields))
    return {kinds[name].id for name in names if name in kinds}
