"""Whose address is hidden: on one record of a person, and so on all of them (linkage.md 4.1, case 17)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

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


def hidden_records(home: Home) -> set[bytes]:
    """Return the records, in the record domain, of everybody whose address is hidden.

    What a flag says counts at once, before the next link has seen it.
    """
    with Session(reading(home.casework)) as session:
        flagged = set(
            session.exec(
                select(RecordFlag.record).where(
                    col(RecordFlag.flag).in_(HIDING), RecordFlag.value == "y"
                )
            ).all()
        )
    if not flagged:
        return set()
    joined = joined_names(home)
    record, linkage = home.domain("record"), home.domain("linkage")
    ids = [record.parse(one) for one in sorted(flagged | {joined.get(one, one) for one in flagged})]
    member = current_membership(home.linkage, home.link_runs())
    people = {member.get(one) for one in linkage.seal(ids)} - {None}
    theirs = sorted(one for one, person in member.items() if person in people)
    return set(record.seal(ids)) | set(record.seal(linkage.open(theirs)))


def without_addresses(
    home: Home,
    identities: Mapping[str, Sequence[str | None]],
    records: Sequence[bytes],
    stated: Iterable[tuple[int, str, str]] = (),
) -> dict[str, Sequence[str | None]]:
    """Return identities of which those of hidden people have no address: it is never encoded (LNK-17).

    The vault keeps it for whoever may see it. A run leaves out what was encoded before the flag came.

    Args:
        home: The home.
        identities: Identity part to one clear value per record.
        records: The records.
        stated: Row of a record, flag and word (``y`` or ``n``), as the delivery itself says; its word
            takes the place of what a source said earlier, and never of what staff set.
    """
    words = {(row, flag): word for row, flag, word in stated if flag in HIDING}
    hidden = {row for (row, _), word in words.items() if word == "y"}
    with Session(reading(home.casework)) as session:
        found = session.exec(
            select(RecordFlag).where(col(RecordFlag.flag).in_(HIDING), RecordFlag.value == "y")
        ).all()
    if found:
        domain = home.domain("record")
        place = {str(domain.text(one)): row for row, one in enumerate(domain.seal(records))}
        hidden |= {
            place[one.record]
            for one in found
            if one.record in place
            and (one.set_by != SOURCE or (place[one.record], one.flag) not in words)
        }
    if not hidden:
        return dict(identities)
    return {
        part: [None if row in hidden else cell for row, cell in enumerate(cells)]
        if part in ADDRESS
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
