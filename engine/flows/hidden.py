"""Whose address is hidden: on one record of a person, and so on all of them (linkage.md 4.1, case 17)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from sqlmodel import Session, col, select

from engine.flows.home import Home
from engine.flows.stated import SOURCE
from engine.flows.states import joined_names, record_rows, subject_flags
from engine.linkage.index import current_membership, records_of
from engine.store.session import reading
from engine.store.tables import RecordFlag, SubjectState

ADDRESS = ("address", "postcode", "uprn")
"""Parts of an identity that say where somebody lives."""
BINDING = ("household", "family")
"""Kinds of states that bind people: who is at one address, and whom an agency declares to be one family."""
APART = ("adopted", "identity_changed")
"""Flags under which nothing links a record to others: the link is itself protected (LNK-15, LNK-16)."""
HIDING = ("protected", "victim_safety")
"""Flags under which an address speaks for nobody and binds nobody to a household."""


def hidden_records(home: Home, opened: Collection[tuple[str, str]] = ()) -> set[bytes]:
    """Return the records, in the record domain, of everybody whose address is hidden.

    What a flag says counts at once, before the next link has seen it.

    Args:
        home: The home.
        opened: Records and flags of which what a source said so far counts no more.
    """
    with Session(reading(home.casework)) as session:
        found = session.exec(
            select(RecordFlag).where(col(RecordFlag.flag).in_(HIDING), RecordFlag.value == "y")
        ).all()
    flagged = {
        one.record for one in found if one.set_by != SOURCE or (one.record, one.flag) not in opened
    }
    if not flagged:
        return set()
    joined = joined_names(home)
    record, linkage = home.domain("record"), home.domain("linkage")
    ids = [record.parse(one) for one in sorted(flagged | {joined.get(one, one) for one in flagged})]
    member = current_membership(home.linkage, home.link_runs())
    people = {member.get(one) for one in linkage.seal(ids)} - {None}
    theirs = sorted(one for one, person in member.items() if person in people)
    return set(record.seal(ids)) | set(record.seal(linkage.open(theirs)))


def hidden_rows(
    home: Home, records: Sequence[bytes], flags: Iterable[tuple[int, str, str, int, int]]
) -> set[int]:
    """Return which records of a delivery are of somebody whose address is hidden, as far as is known now.

    One row that says so is enough. A row that says the opposite takes the place of what a source said of
    the record before, unless the source names its rows: then the earlier row may still hold. It takes the
    place of nothing that staff set, and of no flag on another record of the person.

    Args:
        home: The home.
        records: The records, by row.
        flags: What the delivery says of them; see `engine.domain.records.Prepared.flags`.
    """
    domain = home.domain("record")
    sealed = domain.seal(records)
    words = [one for one in flags if one[1] in HIDING]
    closing = {(row, flag) for row, flag, word, *_ in words if word == "y"}
    opening = {(row, flag) for row, flag, _, key, _ in words if key < 0} - closing
    hidden = hidden_records(home, {(domain.text(sealed[row]), flag) for row, flag in opening})
    rows = {row for row, name in enumerate(sealed) if name in hidden} if hidden else set()
    return rows | {row for row, _ in closing}


def without_addresses(
    identities: Mapping[str, Sequence[str | None]], rows: Collection[int]
) -> dict[str, Sequence[str | None]]:
    """Return identities of which some rows have no address: it is never encoded (LNK-17).

    The vault keeps it for whoever may see it. A run leaves out what was encoded before the flag came.

    Args:
        identities: Identity part to one clear value per record.
        rows: Rows of hidden people.
    """
    return {
        part: [None if row in rows else cell for row, cell in enumerate(cells)]
        if rows and part in ADDRESS
        else cells
        for part, cells in identities.items()
    }


def hidden_people(home: Home, wanted: Iterable[bytes]) -> set[bytes]:
    """Return those of a few people whose address is hidden on any record of theirs.

    Args:
        home: The home.
        wanted: The people.
    """
    record, linkage, casework = (home.domain(name) for name in ("record", "linkage", "casework"))
    runs, found = home.link_runs(), set()
    people = sorted(set(wanted))
    with Session(reading(home.casework)) as session:
        for person, sealed in zip(people, casework.seal(people), strict=True):
            names = record.seal(linkage.open(records_of(home.linkage, person, runs)))
            rows = record_rows(home, map(record.text, names))
            state = session.get(SubjectState, casework.text(sealed))
            flags = subject_flags(home, state, rows, frozenset())
            if any(flags.get(flag) == "y" for flag in HIDING):
                found.add(person)
    return found


def without_their_homes(home: Home, states: pa.Table, hidden: set[bytes]) -> pa.Table:
    """Return states of which those that bind people of a household or family name no place of theirs.

    The state stays, as somebody's own evidence; a place of 0 binds nobody.
    """
    kinds = pa.array([home.tables.kinds[name].id for name in BINDING], states["kind"].type)
    theirs = pc.and_(
        pc.is_in(states["kind"], value_set=kinds),
        pc.is_in(states["record"], value_set=pa.array(sorted(hidden), states["record"].type)),
    )
    place = pc.if_else(theirs, pa.scalar(0, states["place"].type), states["place"])
    return states.set_column(states.schema.get_field_index("place"), "place", place)
