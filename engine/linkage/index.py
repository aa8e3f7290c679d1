"""The person index: stable random ids over clusters that may change.

A person id is drawn once. When clusters change, the id stays with the cluster that holds most of its
records; on a merge the older id survives and the other becomes a redirect, on a split the smaller
part gets a new id (linkage.md 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, Connection, Engine, delete, select, update

from engine.linkage.aliases import KINDS, Aliases
from engine.linkage.assign import Assignment
from engine.linkage.index_tables import membership, number_alias, person, redirect, review_pair

Span = tuple[int, int | None]
"""First and last day (since 1970-01-01) for which an agency holds a record; None while it does."""


@dataclass(frozen=True)
class ReviewPair:
    """Two records that a run did not decide.

    Attributes:
        reason: Why: ``merge_guard``, ``no_clear_leader``, ``review_band``, or what contradicts.
        weight: Match weight in bits.
        levels: Comparison to the number of its level.
    """

    left: bytes = field(repr=False)
    right: bytes = field(repr=False)
    reason: str
    weight: float
    levels: Mapping[str, int]

    def as_row(self) -> dict[str, Any]:
        """Return a row of the table."""
        return {
            "left": self.left,
            "right": self.right,
            "reason": self.reason,
            "weight": self.weight,
            "levels": ",".join(f"{name}={level}" for name, level in self.levels.items()),
        }


def review_pairs(engine: Engine, run: str) -> list[ReviewPair]:
    """Return the pairs that a run left to people, the heaviest first."""
    with engine.connect() as connection:
        rows = connection.execute(select(review_pair).where(review_pair.c.run == run)).all()
    found = [
        ReviewPair(
            bytes(row.left),
            bytes(row.right),
            row.reason,
            row.weight,
            {name: int(level) for name, _, level in
             (one.partition("=") for one in row.levels.split(",") if one)},
        )
        for row in rows
    ]  # fmt: skip
    return sorted(found, key=lambda one: (-one.weight, one.left, one.right))


@dataclass(frozen=True, slots=True)
class Fact:
    """That a record belongs to a person, and the days for which its agency says that it holds it.

    Two axes of time: a run learned it and a later run may end it (``from_run``, ``to_run`` of its row);
    `since` and `until` are days in the world (since 1970-01-01), `until` None while it holds.
    """

    person: bytes = field(repr=False)
    since: int | None
    until: int | None


def current_facts(engine: Engine, published: Sequence[str]) -> dict[bytes, Fact]:
    """Return what is known of every record as last published, also of those that ended.

    Args:
        engine: The linkage store.
        published: Published link runs. What another run has staged does not count, neither its new
            memberships nor the ends it put to old ones.
    """
    runs, table = set(published), membership.c
    asked = select(table.record, table.person_id, table.from_run, table.to_run, table.valid_from,
                   table.valid_to)  # fmt: skip
    with engine.connect() as connection:
        return {
            bytes(row.record): Fact(bytes(row.person_id), row.valid_from, row.valid_to)
            for row in connection.execute(asked)
            if row.from_run in runs and row.to_run not in runs
        }


def current_membership(engine: Engine, published: Sequence[str]) -> dict[bytes, bytes]:
    """Return record to person as last published, of the records that hold."""
    facts = current_facts(engine, published)
    return {record: one.person for record, one in facts.items() if one.until is None}


def members_of(
    engine: Engine, published: Sequence[str], records: Sequence[bytes]
) -> dict[bytes, bytes]:
    """Return the person of some records as last published; a record of nobody is absent."""
    runs = set(published)
    found: dict[bytes, bytes] = {}
    with engine.connect() as connection:
        for start in range(0, len(records), 500):
            some = membership.c.record.in_(list(records[start : start + 500]))
            for row in connection.execute(select(membership).where(some)):
                if row.from_run in runs and row.to_run not in runs and row.valid_to is None:
                    found[bytes(row.record)] = bytes(row.person_id)
    return found


def past_membership(engine: Engine, published: Sequence[str]) -> dict[bytes, list[bytes]]:
    """Return every person that each record has belonged to while it held, in the order of the runs."""
    order = {run: number for number, run in enumerate(published)}
    with engine.connect() as connection:
        rows = connection.execute(
            select(membership.c.record, membership.c.person_id, membership.c.from_run).where(
                membership.c.valid_to.is_(None)
            )
        ).all()
    found: dict[bytes, list[bytes]] = {}
    counted = (row for row in rows if row.from_run in order)
    for row in sorted(counted, key=lambda row: order[row.from_run]):
        borne = found.setdefault(bytes(row.record), [])
        # Another row of the same person says only other days.
        if borne[-1:] != [bytes(row.person_id)]:
            borne.append(bytes(row.person_id))
    return found


def first_runs(
    engine: Engine, published: Sequence[str], records: Sequence[bytes]
) -> dict[bytes, str]:
    """Return the published run in which each of some records was first linked."""
    found: dict[bytes, str] = {}
    with engine.connect() as connection:
        for start in range(0, len(records), 500):
            some = membership.c.record.in_(list(records[start : start + 500]))
            rows = connection.execute(select(membership).where(some))
            known = [row for row in rows if row.from_run in published]
            known.sort(key=lambda row: published.index(row.from_run), reverse=True)
            found.update((bytes(row.record), row.from_run) for row in known)
    return found


def person_ages(engine: Engine, published: Sequence[str]) -> dict[bytes, int]:
    """Return the place in time of the run that made each person."""
    order = {run: number for number, run in enumerate(published)}
    with engine.connect() as connection:
        rows = connection.execute(select(person.c.person_id, person.c.from_run))
        return {bytes(row.person_id): order[row.from_run] for row in rows if row.from_run in order}


def stage_run(
    engine: Engine,
    run: str,
    records: Sequence[bytes],
    assignment: Assignment,
    identified: Mapping[bytes, bool],
    held: Mapping[bytes, Fact],
    spans: Mapping[bytes, Span],
    past: Mapping[bytes, Sequence[bytes]],
    for_review: Sequence[ReviewPair],
    published: Sequence[str] = (),
    numbers: Aliases | None = None,
) -> None:
    """Write a run's memberships beside the old ones; `discard_run` takes them back.

    Args:
        engine: The linkage store.
        run: The run.
        records: Record pseudonyms.
        assignment: What the run found.
        identified: Person to whether its records say enough.
        held: What was known of every record before; see `current_facts`.
        spans: Days for which the agency of a record holds it; without one it was never sent.
        past: Record to every person it has belonged to while it held; see `past_membership`.
        for_review: Pairs that the run left to people.
        published: Runs that count.
        numbers: Former numbers that the run followed.
    """
    people = dict(zip(records, assignment.people, strict=True))
    now = facts_now(people, held, spans, past, assignment.leads)
    changed = [one for one in sorted(now) if held.get(one) != now[one]]
    gone = [one for one in held if now.get(one) != held[one]]
    with engine.begin() as connection:
        _end(connection, membership.c.record, membership.c.to_run, gone, run)
        _redirects(connection, run, assignment, published)
        _aliases(connection, run, numbers, published)
        known = {bytes(row[0]) for row in connection.execute(select(person.c.person_id))}
        for table, rows in (
            (
                membership,
                [{"record": one, "from_run": run, "person_id": now[one].person, "to_run": None,
                  "valid_from": now[one].since, "valid_to": now[one].until}
                 for one in changed],
            ),
            (
                person,
                [{"person_id": one, "from_run": run, "identified": identified[one]}
                 for one in sorted(set(assignment.people) - known)],
            ),
            (review_pair, [{"run": run, **one.as_row()} for one in for_review]),
        ):  # fmt: skip
            if rows:
                connection.execute(table.insert(), rows)


def facts_now(
    people: Mapping[bytes, bytes],
    held: Mapping[bytes, Fact],
    spans: Mapping[bytes, Span],
    past: Mapping[bytes, Sequence[bytes]],
    leads: Mapping[bytes, bytes],
) -> dict[bytes, Fact]:
    """Return what holds after a run: of the records that are there, and of those that ended.

    It follows from what counts now alone, so that what was withdrawn leaves no trace on the axis of the
    world; the axis of the runs keeps what was once believed.

    Args:
        people: Record to its person, of the records that are there.
        held: What was known before.
        spans: First day and last day (None while it is there) of each record that was sent.
        past: Record to every person it has belonged to while it held, the earliest first.
        leads: Former person to the one that holds the records which bore it first: what ended goes with
            its person when that one is merged, and back when the merge is undone.
    """
    found: dict[bytes, Fact] = {}
    for record, mine in people.items():
        since = spans[record][0] if record in spans else None
        known = held.get(record)
        if since is None and known is not None:
            since = known.since
        found[record] = Fact(mine, since, None)
    for record, before in held.items():
        if record not in people and record in spans and spans[record][1] is not None:
            bearer = (past.get(record) or [before.person])[-1]
            found[record] = Fact(leads.get(bearer, bearer), *spans[record])
    return found


def _redirects(
    connection: Connection, run: str, assignment: Assignment, published: Sequence[str]
) -> None:
    """End redirects that no longer hold, and begin those that do now."""
    runs, current = set(published), set(assignment.people)
    held = {
        bytes(row.old): bytes(row.new)
        for row in connection.execute(select(redirect))
        if row.from_run in runs and row.to_run not in runs
    }
    leads = assignment.leads
    ended = [old for old, new in held.items() if old in current or leads.get(old, new) != new]
    _end(connection, redirect.c.old, redirect.c.to_run, ended, run)
    begun = {old: new for old, new in leads.items() if held.get(old) != new}
    if begun:
        connection.execute(
            redirect.insert(),
            [
                {"old": old, "from_run": run, "new": new, "to_run": None}
                for old, new in begun.items()
            ],
        )


def _aliases(
    connection: Connection, run: str, numbers: Aliases | None, published: Sequence[str]
) -> None:
    """End what is no longer said of former numbers, and begin what is said now."""
    runs, table = set(published), number_alias.c
    now = {(kind, old, new) for kind in KINDS for old, new in
           (numbers.followed[kind].items() if numbers else ())}  # fmt: skip
    held = {
        (row.kind, row.old, row.new)
        for row in connection.execute(select(number_alias))
        if row.from_run in runs and row.to_run not in runs
    }
    for kind, old, _ in sorted(held - now):
        connection.execute(
            update(number_alias)
            .where(table.kind == kind, table.old == old, table.to_run.is_(None))
            .values(to_run=run)
        )
    if now - held:
        connection.execute(
            number_alias.insert(),
            [{"kind": kind, "old": old, "new": new, "from_run": run, "to_run": None}
             for kind, old, new in sorted(now - held)],
        )  # fmt: skip


def _end(
    connection: Connection,
    name: Column[Any],
    until: Column[Any],
    values: Sequence[bytes],
    run: str,
) -> None:
    for start in range(0, len(values), 500):
        chunk = list(values[start : start + 500])
        connection.execute(
            update(name.table).where(name.in_(chunk), until.is_(None)).values({until: run})
        )


def discard_run(engine: Engine, run: str) -> None:
    """Take back everything a run staged; harmless when it staged nothing."""
    with engine.begin() as connection:
        for table in (membership, redirect, number_alias):
            connection.execute(delete(table).where(table.c.from_run == run))
            connection.execute(update(table).where(table.c.to_run == run).values(to_run=None))
        connection.execute(delete(person).where(person.c.from_run == run))
        connection.execute(delete(review_pair).where(review_pair.c.run == run))


def resolve(engine: Engine, person_id: bytes, published: Sequence[str]) -> bytes | None:
    """Return the person an id leads to, redirects followed, or None when nobody has it."""
    runs = set(published)
    with engine.connect() as connection:
        seen: set[bytes] = set()
        while person_id not in seen:
            seen.add(person_id)
            row = connection.execute(select(person).where(person.c.person_id == person_id)).first()
            if row is None or row.from_run not in runs:
                return None
            led = [
                bytes(one.new)
                for one in connection.execute(select(redirect).where(redirect.c.old == person_id))
                if one.from_run in runs and one.to_run not in runs
            ]
            if not led:
                return person_id
            person_id = led[0]
    return None


def ids_of(engine: Engine, person_id: bytes, published: Sequence[str]) -> list[bytes]:
    """Return every id that leads to a person or ever led there.

    What was written under any of them is about people who were this one.
    """
    runs = set(published)
    with engine.connect() as connection:
        led: dict[bytes, list[bytes]] = {}
        for row in connection.execute(select(redirect)):
            if row.from_run in runs:
                led.setdefault(bytes(row.new), []).append(bytes(row.old))
    found, waiting = {person_id}, [person_id]
    while waiting:
        more = [one for one in led.get(waiting.pop(), []) if one not in found]
        found.update(more)
        waiting += more
    return sorted(found)


def records_of(engine: Engine, person_id: bytes, published: Sequence[str]) -> list[bytes]:
    """Return the published records of a person; empty when nobody has the id."""
    found = resolve(engine, person_id, published)
    if found is None:
        return []
    runs = set(published)
    with engine.connect() as connection:
        rows = connection.execute(select(membership).where(membership.c.person_id == found))
        return sorted(
            bytes(row.record)
            for row in rows
            if row.from_run in runs and row.to_run not in runs and row.valid_to is None
        )


def ever_records_of(engine: Engine, person_id: bytes, published: Sequence[str]) -> list[bytes]:
    """Return every record that a published run gave to a person under any id that leads or led there."""
    runs, ids = set(published), ids_of(engine, person_id, published)
    present = resolve(engine, person_id, published)
    if present is not None:
        ids = sorted({*ids, *ids_of(engine, present, published)})
    with engine.connect() as connection:
        rows = connection.execute(select(membership).where(membership.c.person_id.in_(ids)))
        return sorted({bytes(row.record) for row in rows if row.from_run in runs})
