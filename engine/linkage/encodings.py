"""Encoded records as deliveries brought them; the newest published one of a record counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

import numpy as np
from sqlalchemy import (
    Connection,
    Engine,
    Table,
    and_,
    delete,
    func,
    insert,
    not_,
    select,
    text,
    update,
)

from engine.domain.errors import LinkageError
from engine.domain.ids import EPOCH
from engine.linkage.encode import ADULT, CHILD, COLUMNS, Words
from engine.linkage.index_tables import canary, coming_canary, coming_encoding, encoding
from engine.linkage.sealed import STORED, Seal


@dataclass(frozen=True)
class Shelf:
    """Where encodings under one key stand: those in use, or those of the key that comes next."""

    encoding: Table = field(repr=False)
    canary: Table = field(repr=False)


PRESENT = Shelf(encoding, canary)
COMING = Shelf(coming_encoding, coming_canary)


@dataclass(frozen=True)
class EncodedRecords:
    """The newest published encoding of every record, in the order of its pseudonym."""

    records: list[bytes] = field(repr=False)
    agencies: list[str]
    sources: list[str]
    birth_months: list[int]
    words: Words = field(repr=False)
    deliveries: list[str]
    """Which delivery each encoding came with."""

    def some(self, rows: Sequence[int]) -> EncodedRecords:
        """Return some of the records."""
        return EncodedRecords(
            [self.records[row] for row in rows],
            [self.agencies[row] for row in rows],
            [self.sources[row] for row in rows],
            [self.birth_months[row] for row in rows],
            self.words[np.asarray(rows, np.int64)],
            [self.deliveries[row] for row in rows],
        )


def write_encodings(
    engine: Engine,
    delivery: str,
    agency: str,
    source: str,
    key_version: int,
    norm_version: str,
    records: Sequence[bytes],
    birth_months: Sequence[int],
    words: Sequence[bytes],
    bird: int = 0,
    *,
    shelf: Shelf = PRESENT,
) -> None:
    """Write the encodings of a delivery; they count only once the delivery is published.

    `words` are sealed (`engine.linkage.sealed`). `bird` is the number that invented people came to under
    the same key; see `foreign_deliveries`.
    What the coming key made of the same records already is replaced.
    """
    rows = [
        {
            "record": record,
            "delivery": delivery,
            "agency": agency,
            "source": source,
            "key_version": key_version,
            "norm_version": norm_version,
            "encoder_version": STORED,
            "birth_month": month,
            "words": row,
        }
        for record, month, row in zip(records, birth_months, words, strict=True)
    ]
    if rows:
        with engine.begin() as connection:
            if shelf is COMING:
                drop_encodings(connection, [(record, delivery) for record in records], (shelf,))
            connection.execute(shelf.encoding.insert(), rows)
            _set_canary(connection, delivery, bird, shelf)


def drop_encodings(
    connection: Connection,
    keys: Iterable[tuple[bytes, str]],
    shelves: Sequence[Shelf] = (PRESENT, COMING),
) -> None:
    """Delete encodings, by record and delivery, under every key; harmless when there are none."""
    keys = list(keys)
    for shelf in shelves:
        drop_rows(connection, shelf.encoding, keys)


def drop_rows(connection: Connection, table: Table, keys: Iterable[tuple[bytes, str]]) -> None:
    """Delete rows of a table that is keyed by record and delivery."""
    by_delivery: dict[str, list[bytes]] = {}
    for record, delivery in keys:
        by_delivery.setdefault(delivery, []).append(record)
    for name, records in by_delivery.items():
        for start in range(0, len(records), 500):
            some = table.c.record.in_(records[start : start + 500])
            connection.execute(delete(table).where(table.c.delivery == name, some))


def _set_canary(connection: Connection, delivery: str, bird: int, shelf: Shelf = PRESENT) -> None:
    table = shelf.canary
    connection.execute(delete(table).where(table.c.delivery == delivery))
    connection.execute(table.insert(), [{"delivery": delivery, "value": bird}])


def foreign_deliveries(engine: Engine, order: Mapping[str, int], bird: int) -> list[str]:
    """Return the published deliveries that were encoded under another key than this one.

    A key with the right version and the wrong bytes, or another salt, would link nobody and look like
    a clean result (linkage.md 5.3). The same invented people are encoded with each delivery; a run
    encodes them again, and a delivery that does not give the same number is foreign.
    """
    with engine.connect() as connection:
        held = {row.delivery: row.value for row in connection.execute(select(canary))}
        encoded = connection.execute(select(encoding.c.delivery).distinct()).scalars().all()
    return sorted(one for one in encoded if one in order and held.get(one) != bird)


def forget_delivery(engine: Engine, delivery: str) -> None:
    """Take back the encodings of a delivery; harmless when there are none."""
    with engine.begin() as connection:
        for table in (one for shelf in (PRESENT, COMING) for one in (shelf.encoding, shelf.canary)):
            connection.execute(delete(table).where(table.c.delivery == delivery))


def read_encodings(
    engine: Engine,
    order: Mapping[str, int],
    seal: Seal,
    norm_version: str,
    today: date,
) -> EncodedRecords:
    """Read the newest published encoding of every record.

    Args:
        engine: The linkage store.
        order: Published delivery to its place in time.
        seal: Opens the words, under the version of the linkage key that this run holds.
        norm_version: Version of the normaliser that this run expects.
        today: Day of the run; the coarse age band is taken on it, and not on the day of a delivery,
            so that a birthday between two deliveries parts nobody.

    Raises:
        LinkageError: ``FG-LNK-02`` when a row was made with another key, normaliser or encoder:
            zero links would otherwise look like a clean result (linkage.md 4.1, cases 31 and 32);
            ``FG-LNK-13`` one does not open.
    """
    newest = _newest(engine, order, seal.version, norm_version)
    records = sorted(newest)
    words = seal.open(records, [newest[record].words for record in records])
    months = [newest[record].birth_month for record in records]
    words[:, COLUMNS.index("band")] = _bands(months, today)
    return EncodedRecords(
        records,
        [newest[record].agency for record in records],
        [newest[record].source for record in records],
        months,
        words,
        [newest[record].delivery for record in records],
    )


def birth_months(
    engine: Engine, order: Mapping[str, int], key_version: int, norm_version: str
) -> dict[bytes, int]:
    """Return the birth month of every record as its newest published delivery says; no word is read.

    Raises:
        LinkageError: ``FG-LNK-02``, as for `read_encodings`.
    """
    newest = _newest(engine, order, key_version, norm_version)
    return {record: one.birth_month for record, one in newest.items()}


class _Row(NamedTuple):
    place: int
    agency: str
    source: str
    birth_month: int
    words: bytes
    delivery: str


def _newest(
    engine: Engine, order: Mapping[str, int], key_version: int, norm_version: str
) -> dict[bytes, _Row]:
    newest: dict[bytes, _Row] = {}
    with engine.connect() as connection:
        for row in connection.execute(select(encoding)):
            place = order.get(row.delivery)
            if place is None:
                continue
            versions = (row.key_version, row.norm_version, row.encoder_version)
            if versions != (key_version, norm_version, STORED):
                raise LinkageError(
                    "FG-LNK-02",
                    f"a delivery of {row.source} was encoded with another key or version",
                    "Make it again under the present key: fieldgate keys reencode.",
                )
            record = bytes(row.record)
            if record not in newest or place > newest[record].place:
                newest[record] = _Row(
                    place, row.agency, row.source, row.birth_month, bytes(row.words), row.delivery
                )
    return newest


def _bands(months: Sequence[int], today: date) -> Words:
    """Age band from the birth month; the month of the eighteenth birthday is a child's to its end."""
    now = (today.year - EPOCH.year) * 12 + today.month - 1
    age = now - np.array(months, np.int64)
    band = np.where(age > 18 * 12, ADULT, CHILD)
    return np.where(age > 150 * 12, 0, band)


def records_of_source(engine: Engine, source: str, deliveries: Iterable[str]) -> list[bytes]:
    """Return the record pseudonyms of a source in published deliveries, in order."""
    with engine.connect() as connection:
        rows = connection.execute(
            select(encoding.c.record, encoding.c.delivery).where(encoding.c.source == source)
        )
        known = set(deliveries)
        return sorted({bytes(row.record) for row in rows if row.delivery in known})


def published_records(engine: Engine, deliveries: Iterable[str]) -> list[bytes]:
    """Return the record pseudonyms of published deliveries, in order, without their encodings."""
    known = set(deliveries)
    with engine.connect() as connection:
        rows = connection.execute(select(encoding.c.record, encoding.c.delivery))
        return sorted({bytes(row.record) for row in rows if row.delivery in known})


def outdated(
    engine: Engine,
    key_version: int,
    norm_version: str,
    encoder_version: str,
    foreign: Sequence[str] = (),
) -> dict[tuple[str, str], list[bytes]]:
    """Return the records that another key, normaliser or encoder encoded, by delivery and source.

    All records of a delivery in `foreign` are among them, whatever version they carry.
    """
    present = and_(
        encoding.c.key_version == key_version,
        encoding.c.norm_version == norm_version,
        encoding.c.encoder_version == encoder_version,
    )
    asked = select(encoding.c.delivery, encoding.c.source, encoding.c.record).where(
        not_(present) | encoding.c.delivery.in_(list(foreign))
    )
    found: dict[tuple[str, str], list[bytes]] = {}
    with engine.connect() as connection:
        for row in connection.execute(asked.order_by(encoding.c.delivery, encoding.c.record)):
            found.setdefault((row.delivery, row.source), []).append(bytes(row.record))
    return found


def not_yet_coming(
    engine: Engine, key_version: int, norm_version: str, bird: int
) -> dict[tuple[str, str], list[bytes]]:
    """Return the records that the coming key has not encoded yet, by delivery and source.

    Args:
        engine: The linkage store.
        key_version: Version of the coming key.
        norm_version: Version of the normaliser.
        bird: What the invented people come to under the coming key; a delivery that does not give it
            was encoded under another one.
    """
    table, birds = COMING.encoding, COMING.canary
    same = and_(
        table.c.record == encoding.c.record,
        table.c.delivery == encoding.c.delivery,
        table.c.key_version == key_version,
        table.c.norm_version == norm_version,
        table.c.encoder_version == STORED,
    )
    known = and_(birds.c.delivery == encoding.c.delivery, birds.c.value == bird)
    asked = (
        select(encoding.c.delivery, encoding.c.source, encoding.c.record)
        .outerjoin(table, same)
        .outerjoin(birds, known)
        .where(table.c.record.is_(None) | birds.c.delivery.is_(None))
        .order_by(encoding.c.delivery, encoding.c.record)
    )
    found: dict[tuple[str, str], list[bytes]] = {}
    with engine.connect() as connection:
        for row in connection.execute(asked):
            found.setdefault((row.delivery, row.source), []).append(bytes(row.record))
    return found


def promote_coming(engine: Engine) -> tuple[int, int]:
    """Put what the coming key encoded in the place of what is in use, all or none.

    Returns:
        How many are in use now, and how many the coming key has not encoded: with any of those
        nothing is changed. A delivery may have come since the caller last looked.
    """
    table, birds = COMING.encoding, COMING.canary
    same = and_(encoding.c.record == table.c.record, encoding.c.delivery == table.c.delivery)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("LOCK TABLE encoding, coming_encoding IN EXCLUSIVE MODE"))
        # What was deleted under the key in use meanwhile is not brought back by the other one. The
        # first statement writes, so that nobody else does until the end.
        connection.execute(
            delete(table).where(not_(select(encoding.c.record).where(same).exists()))
        )
        behind = not_(select(table.c.record).where(same).exists())
        left = connection.execute(
            select(func.count()).select_from(encoding).where(behind)
        ).scalar_one()
        count = connection.execute(select(func.count()).select_from(table)).scalar_one()
        if left:
            return 0, int(left)
        for old, new in ((encoding, table), (canary, birds)):
            connection.execute(delete(old))
            connection.execute(insert(old).from_select(list(old.c.keys()), select(new)))
            connection.execute(delete(new))
    return int(count), 0


def counts_by_key(engine: Engine) -> dict[int, int]:
    """Return how many encodings stand under each version of the key."""
    found: dict[int, int] = {}
    with engine.connect() as connection:
        for table in (PRESENT.encoding, COMING.encoding):
            asked = select(table.c.key_version, func.count()).group_by(table.c.key_version)
            for version, count in connection.execute(asked):
                found[version] = found.get(version, 0) + count
    return dict(sorted(found.items()))


def replace_encodings(
    engine: Engine,
    delivery: str,
    key_version: int,
    norm_version: str,
    records: Sequence[bytes],
    birth_months: Sequence[int],
    words: Sequence[bytes],
    bird: int = 0,
) -> None:
    """Put new encodings of some records of a delivery in the place of the old ones, all or none."""
    with engine.begin() as connection:
        _set_canary(connection, delivery, bird)
        for record, month, row in zip(records, birth_months, words, strict=True):
            connection.execute(
                update(encoding)
                .where(encoding.c.record == record, encoding.c.delivery == delivery)
                .values(
                    key_version=key_version,
                    norm_version=norm_version,
                    encoder_version=STORED,
                    birth_month=month,
                    words=row,
                )
            )
