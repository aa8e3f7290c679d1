"""What trusted tables say of a person and of each record; nothing here comes from a caller.

Three things speak: what sources and staff put on records, the defaults a source states for all of
its records, and registers the host declared complete. What none of them says is unknown, and the
policy takes it in its strictest reading (DESIGN 4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlmodel import Session, col, select

from engine.flows.home import Home
from engine.store.session import reading
from engine.store.tables import FlagRegister, RecordFlag, SubjectState

Flags = dict[str, str]


def declared(home: Home) -> frozenset[str]:
    """Return the subject flags whose register is complete."""
    with Session(reading(home.casework)) as session:
        return frozenset(session.exec(select(FlagRegister.flag)).all())


def record_rows(home: Home, names: Iterable[str]) -> dict[tuple[str, str], str]:
    """Return what was put on records: (record, flag) to ``y`` or ``n``."""
    with Session(reading(home.casework)) as session:
        return stated_of(session, names, joined_names(home))


def joined_names(home: Home) -> dict[str, str]:
    """Return the records that their agency merged into others, each with the one it counts as."""
    domain = home.domain("record")
    joined = home.live().joined
    return {domain.text(old): domain.text(new) for old, new in joined.items()}


def stated_of(
    session: Session, names: Iterable[str], joined: Mapping[str, str]
) -> dict[tuple[str, str], str]:
    """Return what was put on records and on those merged into them; a marker wins.

    Args:
        session: Where to read.
        names: The records.
        joined: From `joined_names`.
    """
    wanted = set(names)
    asked = [*wanted, *(old for old, new in joined.items() if new in wanted)]
    rows = [
        row
        for at in range(0, len(asked), 5000)
        for row in session.exec(
            select(RecordFlag).where(col(RecordFlag.record).in_(asked[at : at + 5000]))
        ).all()
    ]
    found: dict[tuple[str, str], str] = {}
    for row in rows:
        # What was put on a record before its agency merged it protects the one it became.
        name = row.record if row.record in wanted else joined[row.record]
        found[name, row.flag] = "y" if "y" in (row.value, found.get((name, row.flag))) else "n"
    return found


def subject_flags(
    home: Home,
    subject: SubjectState | None,
    rows: Mapping[tuple[str, str], str],
    complete: frozenset[str] | None = None,
) -> Flags:
    """Return the flags of a person.

    Args:
        home: The home.
        subject: What the last link worked out, or None.
        rows: From `record_rows`, of all their records.
        complete: From `declared`; read when None.
    """
    words = home.pack.vocabulary.subject_flags
    flags = {
        flag: value for flag, value in (subject.flags if subject else {}).items() if flag in words
    }
    for (_, flag), value in rows.items():
        # A marker that came with a delivery counts at once, before the next link has seen it.
        if flag in words and value == "y":
            flags[flag] = "y"
    for flag in declared(home) if complete is None else complete:
        if flag in words:
            flags.setdefault(flag, "n")
    return flags


def record_state(
    home: Home,
    source: str,
    name: str,
    person: Mapping[str, str],
    rows: Mapping[tuple[str, str], str],
) -> Flags:
    """Return the state of one record: flags of its person, and its own."""
    defaults = home.pack.sources[source].record_defaults
    flags = dict(person)
    for flag in home.pack.vocabulary.record_flags:
        stated = rows.get((name, flag)) or defaults.get(flag)
        if stated:
            flags[flag] = stated
    return flags


def closed_names(home: Home) -> set[str]:
    """Return the records of which a closing flag is known to hold: they count nowhere."""
    with Session(reading(home.casework)) as session:
        rows = session.exec(
            select(RecordFlag.record).where(
                col(RecordFlag.flag).in_(sorted(home.pack.vocabulary.closing_flags)),
                RecordFlag.value == "y",
            )
        ).all()
    joined = joined_names(home)
    return {joined.get(name, name) for name in rows} | set(rows)


def uncertain_sources(home: Home) -> dict[str, frozenset[str]]:
    """Return the sources that leave a closing flag open, with the flags each record must state."""
    closing = home.pack.vocabulary.closing_flags
    return {
        name: missing
        for name, source in home.pack.sources.items()
        if (missing := closing - set(source.record_defaults)) and source.agency != "engine"
    }


def counts(home: Home, source: str, name: str, rows: Mapping[tuple[str, str], str]) -> bool:
    """Say whether a record may count in what is derived: every closing flag is known not to hold."""
    state = record_state(home, source, name, {}, rows)
    return all(state.get(flag) == "n" for flag in home.pack.vocabulary.closing_flags)
