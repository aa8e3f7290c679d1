"""Under which names of the audit domain a person stands in the trail, and since when."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select as sa_select
from sqlmodel import Session, select

from audit.facets import Named
from engine.domain.errors import PolicyRefused, VaultError
from engine.domain.ids import as_utc
from engine.flows.home import Home
from engine.linkage.index import ids_of, resolve
from engine.linkage.index_tables import membership
from engine.store.session import reading
from engine.store.tables import LinkRun


def names_of(home: Home, reference: str) -> list[Named]:
    """Return the names under which events about a person stand in the trail.

    A person who was merged stands under former ids as well. A record that was parted from another person
    stood under that one's id until then: of those events only the ones of that time are about this person.

    Args:
        home: The home.
        reference: Casework reference, also a former one.

    Raises:
        PolicyRefused: ``FG-REV-02`` nobody has the reference.
    """
    runs = home.link_runs()
    person = _person(home, reference, runs)
    leading = {one for one in ids_of(home.linkage, person, runs)
               if resolve(home.linkage, one, runs) == person}  # fmt: skip
    records, before = _borne(home, person, leading)
    audit = home.domain("audit")
    always = [*sorted(leading), *home.domain("linkage").open(sorted(records))]
    former = zip(before, audit.seal([one[0] for one in before]), strict=True)
    return [
        *(Named(audit.text(sealed)) for sealed in audit.seal(always)),
        *(Named(audit.text(sealed), since, until) for (_, since, until), sealed in former),
    ]


def _person(home: Home, reference: str, runs: list[str]) -> bytes:
    try:
        found = resolve(home.linkage, home.domain("casework").parse(reference), runs)
    except VaultError:
        found = None
    if found is None:
        raise PolicyRefused(
            "FG-REV-02", "that is no reference of a person here", "Copy it again from the list."
        )
    return found


def _borne(
    home: Home, person: bytes, leading: set[bytes]
) -> tuple[set[bytes], list[tuple[bytes, datetime, datetime | None]]]:
    """Return the records of a person, and the ids that they bore before with the time of each."""
    with Session(reading(home.casework)) as session:
        published = {one.id: as_utc(one.published_at) for one in session.exec(select(LinkRun))}
    with home.linkage.connect() as connection:
        mine = {
            bytes(row.record)
            for row in connection.execute(
                sa_select(membership).where(membership.c.person_id == person)
            )
            if row.from_run in published and row.to_run not in published
        }
        rows = [
            row
            for record in sorted(mine)
            for row in connection.execute(
                sa_select(membership).where(membership.c.record == record)
            )
            if row.from_run in published and bytes(row.person_id) not in leading
        ]
    before = {
        (bytes(row.person_id), published[row.from_run], published.get(row.to_run)) for row in rows
    }
    return mine, sorted(before, key=lambda one: (one[1], one[0]))
