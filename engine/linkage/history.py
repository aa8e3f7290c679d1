"""What was known of persons, and when: memberships on two axes of time.

The axis of the runs says what was believed then; the axis of days says for when. Nothing of either is ever
deleted, so that a score or a reveal of any day can be told from the persons it was about.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine, select

from engine.linkage.index_tables import membership, redirect


@dataclass(frozen=True, slots=True)
class Known:
    """That a record belonged to a person, as some runs knew it.

    Attributes:
        first: Place of the run that learned it.
        last: Place of the run that ended it; None while it stands.
        since: First day (since 1970-01-01) for which the agency held the record; None when not known.
        until: Day on which it held it no more; None while it does.
    """

    record: bytes = field(repr=False)
    person: bytes = field(repr=False)
    first: int
    last: int | None
    since: int | None
    until: int | None

    def at(self, run: int, day: int) -> bool:
        """Say whether a run knew this, and for a day."""
        seen = self.first <= run and (self.last is None or self.last > run)
        return (
            seen
            and (self.since is None or self.since <= day)
            and (self.until is None or self.until > day)
        )


def known_of(engine: Engine, published: Sequence[str], persons: Collection[bytes]) -> list[Known]:
    """Return everything that was ever known of the records that ever were some persons'.

    Args:
        engine: The linkage store.
        published: Published link runs, oldest first.
        persons: Person ids.

    Returns:
        By record and then by run; of records that left, also what they became.
    """
    order = {run: place for place, run in enumerate(published)}
    with engine.connect() as connection:
        asked = select(membership.c.record).where(membership.c.person_id.in_(sorted(persons)))
        records = sorted({bytes(row.record) for row in connection.execute(asked)})
        found: list[Known] = []
        for start in range(0, len(records), 500):
            some = membership.c.record.in_(records[start : start + 500])
            found += [
                Known(bytes(row.record), bytes(row.person_id), order[row.from_run],
                      order.get(row.to_run), row.valid_from, row.valid_to)
                for row in connection.execute(select(membership).where(some))
                if row.from_run in order
            ]  # fmt: skip
    return sorted(found, key=lambda one: (one.record, one.first))


def bearer_at(engine: Engine, published: Sequence[str], person: bytes, run: int) -> bytes:
    """Return whom a person's id led to as a run knew it; itself while it was somebody's own.

    Args:
        engine: The linkage store.
        published: Published link runs, oldest first.
        person: Person id.
        run: Place of the run.
    """
    order = {name: place for place, name in enumerate(published)}
    seen: set[bytes] = set()
    with engine.connect() as connection:
        while person not in seen:
            seen.add(person)
            for row in connection.execute(select(redirect).where(redirect.c.old == person)):
                ended = order.get(row.to_run)
                if order.get(row.from_run, run + 1) <= run and (ended is None or ended > run):
                    person = bytes(row.new)
                    break
    return person


@dataclass(frozen=True)
class Change:
    """What a run changed about a person.

    Attributes:
        run: Place of the run.
        joined: Records that came, and from which other person, None for a new record.
        left: Records that went, and to which other person, None when none holds them.
    """

    run: int
    joined: Mapping[bytes, bytes | None] = field(repr=False)
    left: Mapping[bytes, bytes | None] = field(repr=False)


def changes(known: Sequence[Known], person: bytes, runs: int) -> list[Change]:
    """Return what each run changed about who a person is, the oldest first.

    A record whose days alone are known better changed nothing.

    Args:
        known: See `known_of`.
        person: The person.
        runs: How many runs there were.
    """
    found: list[Change] = []
    before: dict[bytes, bytes] = {}
    for run in range(runs):
        now = {one.record: one.person for one in known
               if one.first <= run and (one.last is None or one.last > run)
               and one.until is None}  # fmt: skip
        was = {record for record, whose in before.items() if whose == person}
        mine = {record for record, whose in now.items() if whose == person}
        if was != mine:
            found.append(
                Change(
                    run,
                    {record: before.get(record) for record in sorted(mine - was)},
                    {record: now.get(record) for record in sorted(was - mine)},
                )
            )
        before = now
    return found
