"""The person index: stable random ids over clusters that may change.

A person id is drawn once. When clusters change, the id stays with the cluster that holds most of its
records; on a merge the older id survives and the other becomes a redirect, on a split the smaller
part gets a new id (linkage.md 4).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from sqlalchemy import Connection, Engine, delete, select, update

from engine.domain.errors import LinkageError
from engine.domain.ids import EPOCH, Randomness
from engine.linkage.encode import ADULT, CHILD, COLUMNS, ENCODER_VERSION, Words
from engine.linkage.index_tables import encoding, membership, person, refused_join


@dataclass(frozen=True)
class EncodedRecords:
    """The newest published encoding of every record, in the order of its pseudonym."""

    records: list[bytes] = field(repr=False)
    agencies: list[str]
    sources: list[str]
    birth_months: list[int]
    words: Words = field(repr=False)


def write_encodings(
    engine: Engine,
    delivery: str,
    agency: str,
    source: str,
    key_version: int,
    norm_version: str,
    records: Sequence[bytes],
    birth_months: Sequence[int],
    words: Words,
) -> None:
    """Write the encodings of a delivery; they count only once the delivery is published."""
    rows = [
        {
            "record": record,
            "delivery": delivery,
            "agency": agency,
            "source": source,
            "key_version": key_version,
            "norm_version": norm_version,
            "encoder_version": ENCODER_VERSION,
            "birth_month": month,
            "words": row.astype("<i8").tobytes(),
        }
        for record, month, row in zip(records, birth_months, words, strict=True)
    ]
    if rows:
        with engine.begin() as connection:
            connection.execute(encoding.insert(), rows)


def forget_delivery(engine: Engine, delivery: str) -> None:
    """Take back the encodings of a delivery; harmless when there are none."""
    with engine.begin() as connection:
        connection.execute(delete(encoding).where(encoding.c.delivery == delivery))


def read_encodings(
    engine: Engine,
    order: Mapping[str, int],
    key_version: int,
    norm_version: str,
    today: date,
) -> EncodedRecords:
    """Read the newest published encoding of every record.

    Args:
        engine: The linkage store.
        order: Published delivery to its place in time.
        key_version: Version of the link key that this run holds.
        norm_version: Version of the normaliser that this run expects.
        today: Day of the run; the coarse age band is taken on it, and not on the day of a delivery,
            so that a birthday between two deliveries parts nobody.

    Raises:
        LinkageError: ``FG-LNK-02`` when a row was made with another key, normaliser or encoder:
            zero links would otherwise look like a clean result (linkage.md 4.1, cases 31 and 32).
    """
    newest: dict[bytes, tuple[int, str, str, int, bytes]] = {}
    with engine.connect() as connection:
        for row in connection.execute(select(encoding)):
            place = order.get(row.delivery)
            if place is None:
                continue
            versions = (row.key_version, row.norm_version, row.encoder_version)
            if versions != (key_version, norm_version, ENCODER_VERSION):
                raise LinkageError(
                    "FG-LNK-02",
                    f"a delivery of {row.source} was encoded with another key or version",
                    "Send that delivery again under the present key.",
                )
            record = bytes(row.record)
            if record not in newest or place > newest[record][0]:
                newest[record] = (
                    place, row.agency, row.source, row.birth_month, bytes(row.words)
                )  # fmt: skip
    records = sorted(newest)
    raw = b"".join(newest[record][4] for record in records)
    words = np.frombuffer(raw, "<i8").astype(np.int64).reshape(len(records), len(COLUMNS))
    months = [newest[record][3] for record in records]
    words[:, COLUMNS.index("band")] = _bands(months, today)
    return EncodedRecords(
        records,
        [newest[record][1] for record in records],
        [newest[record][2] for record in records],
        months,
        words,
    )


def _bands(months: Sequence[int], today: date) -> Words:
    """Age band from the birth month; the month of the eighteenth birthday is a child's to its end."""
    now = (today.year - EPOCH.year) * 12 + today.month - 1
    age = now - np.array(months, np.int64)
    band = np.where(age > 18 * 12, ADULT, CHILD)
    return np.where(age > 150 * 12, 0, band)


@dataclass
class Assignment:
    """Which person each record belongs to, and what changed."""

    people: list[bytes] = field(repr=False)
    created: int = 0
    merged: dict[bytes, bytes] = field(default_factory=dict, repr=False)
    split: int = 0


def assign(
    records: Sequence[bytes],
    clusters: Words,
    before: Mapping[bytes, bytes],
    randomness: Randomness,
) -> Assignment:
    """Give every cluster a person id, keeping the ids that people already have.

    Args:
        records: Record pseudonyms, sorted.
        clusters: Cluster of each record.
        before: Record to its person before this run.
        randomness: Source of new ids.
    """
    members: dict[int, list[int]] = {}
    for row, cluster in enumerate(clusters.tolist()):
        members.setdefault(cluster, []).append(row)
    votes = {
        cluster: Counter(before[records[row]] for row in rows if records[row] in before)
        for cluster, rows in members.items()
    }
    # A person id goes to the cluster that holds most of its records; a tie to the lowest cluster.
    claims: dict[bytes, tuple[int, int]] = {}
    for cluster, counted in votes.items():
        for old, count in counted.items():
            best = claims.get(old)
            if best is None or (-count, cluster) < (-best[0], best[1]):
                claims[old] = (count, cluster)
    result = Assignment([b""] * len(records))
    for cluster, rows in members.items():
        mine = sorted(
            (old for old in votes[cluster] if claims[old][1] == cluster),
            key=lambda old: (-votes[cluster][old], old),
        )
        if mine:
            chosen = mine[0]
            result.merged.update(dict.fromkeys(mine[1:], chosen))
        else:
            chosen = randomness(16)
            result.created += 1
            result.split += bool(votes[cluster])
        for row in rows:
            result.people[row] = chosen
    return result


def current_membership(engine: Engine, published: Sequence[str]) -> dict[bytes, bytes]:
    """Return record to person as last published.

    Args:
        engine: The linkage store.
        published: Published link runs. What another run has staged does not count, neither its new
            memberships nor the ends it put to old ones.
    """
    runs = set(published)
    with engine.connect() as connection:
        rows = connection.execute(
            select(
                membership.c.record,
                membership.c.person_id,
                membership.c.from_run,
                membership.c.to_run,
            )
        )
        return {
            bytes(row.record): bytes(row.person_id)
            for row in rows
            if row.from_run in runs and row.to_run not in runs
        }


def stage_run(
    engine: Engine,
    run: str,
    records: Sequence[bytes],
    assignment: Assignment,
    identified: Mapping[bytes, bool],
    before: Mapping[bytes, bytes],
    refused: Sequence[tuple[bytes, bytes, str, float]],
) -> None:
    """Write a run's memberships beside the old ones; `discard_run` takes them back."""
    now = dict(zip(records, assignment.people, strict=True))
    moved = [record for record in records if before.get(record) != now[record]]
    gone = [record for record in before if before[record] != now.get(record)]
    with engine.begin() as connection:
        _end(connection, gone, run)
        if moved:
            connection.execute(
                membership.insert(),
                [
                    {
                        "record": record,
                        "from_run": run,
                        "person_id": now[record],
                        "to_run": None,
                    }
                    for record in moved
                ],
            )
        known = {bytes(row[0]) for row in connection.execute(select(person.c.person_id))}
        fresh = sorted(set(assignment.people) - known)
        if fresh:
            connection.execute(
                person.insert(),
                [
                    {"person_id": one, "from_run": run, "identified": identified[one],
                     "redirect_to": None, "redirect_run": None}
                    for one in fresh
                ],
            )  # fmt: skip
        for old, new in assignment.merged.items():
            connection.execute(
                update(person)
                .where(person.c.person_id == old)
                .values(redirect_to=new, redirect_run=run)
            )
        if refused:
            connection.execute(
                refused_join.insert(),
                [
                    {
                        "run": run,
                        "left": left,
                        "right": right,
                        "reason": reason,
                        "weight": weight,
                    }
                    for left, right, reason, weight in refused
                ],
            )


def _end(connection: Connection, records: Sequence[bytes], run: str) -> None:
    for start in range(0, len(records), 500):
        chunk = list(records[start : start + 500])
        connection.execute(
            update(membership)
            .where(membership.c.record.in_(chunk), membership.c.to_run.is_(None))
            .values(to_run=run)
        )


def discard_run(engine: Engine, run: str) -> None:
    """Take back everything a run staged; harmless when it staged nothing."""
    with engine.begin() as connection:
        connection.execute(delete(membership).where(membership.c.from_run == run))
        connection.execute(update(membership).where(membership.c.to_run == run).values(to_run=None))
        connection.execute(delete(person).where(person.c.from_run == run))
        connection.execute(
            update(person)
            .where(person.c.redirect_run == run)
            .values(redirect_to=None, redirect_run=None)
        )
        connection.execute(delete(refused_join).where(refused_join.c.run == run))


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
            if row.redirect_to is None or row.redirect_run not in runs:
                return person_id
            person_id = bytes(row.redirect_to)
    return None


def records_of(engine: Engine, person_id: bytes, published: Sequence[str]) -> list[bytes]:
    """Return the published records of a person; empty when nobody has the id."""
    found = resolve(engine, person_id, published)
    if found is None:
        return []
    runs = set(published)
    with engine.connect() as connection:
        rows = connection.execute(select(membership).where(membership.c.person_id == found))
        return sorted(
            bytes(row.record) for row in rows if row.from_run in runs and row.to_run not in runs
        )


def records_of_source(engine: Engine, source: str, deliveries: Iterable[str]) -> list[bytes]:
    """Return the record pseudonyms of a source in published deliveries, in order."""
    with engine.connect() as connection:
        rows = connection.execute(
            select(encoding.c.record, encoding.c.delivery).where(encoding.c.source == source)
        )
        known = set(deliveries)
        return sorted({bytes(row.record) for row in rows if row.delivery in known})
