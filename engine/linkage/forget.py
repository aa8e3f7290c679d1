"""Deletion of encodings that nothing needs any more, after the days that the policy gives.

An encoding is needed while its delivery counts, its record holds, and no newer delivery encodes the same
record. One that is not needed is marked on the day a run first sees it so, unmarked when it is needed
again, and deleted when the days are over; what was deleted is remembered without its words, so that a
run which needs it again refuses instead of linking without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Engine, select

from engine.domain.ids import EPOCH
from engine.linkage.encodings import drop_encodings, drop_rows
from engine.linkage.index_tables import encoding, forgetting

Key = tuple[bytes, str]


@dataclass(frozen=True)
class Forgotten:
    """What became of encodings that nothing needs.

    Attributes:
        waiting: Marked, and not yet deleted.
        deleted: Deleted now.
    """

    waiting: int
    deleted: int


def forget_unneeded(
    engine: Engine, order: Mapping[str, int], dead: Set[bytes], today: date, days: int
) -> Forgotten:
    """Mark what is not needed, unmark what is, and delete what was marked long enough ago.

    Args:
        engine: The linkage store.
        order: Deliveries that count, and their place in time.
        dead: Records of which no row holds, under their linkage pseudonyms.
        today: Day of the run.
        days: Days for which an encoding is kept that nothing needs.
    """
    now = (today - EPOCH).days
    with engine.begin() as connection:
        rows = [
            (bytes(row.record), row.delivery)
            for row in connection.execute(select(encoding.c.record, encoding.c.delivery))
        ]
        unneeded = _unneeded(rows, order, dead)
        marked = {
            (bytes(row.record), row.delivery): row.since
            for row in connection.execute(select(forgetting).where(forgetting.c.done == 0))
        }
        due = {key for key in unneeded if now - marked.get(key, now) >= days}
        drop_rows(
            connection, forgetting, [key for key in marked if key not in unneeded or key in due]
        )
        drop_encodings(connection, due)
        fresh = [key for key in unneeded if key not in marked and key not in due]
        for keys, since, done in ((fresh, now, 0), (due, now, 1)):
            if keys:
                connection.execute(
                    forgetting.insert(),
                    [{"record": record, "delivery": delivery, "since": since, "done": done}
                     for record, delivery in keys],
                )  # fmt: skip
    return Forgotten(len(unneeded) - len(due), len(due))


def needed_again(engine: Engine, order: Mapping[str, int], dead: Set[bytes]) -> set[Key]:
    """Return what was deleted and is needed now: its delivery counts again, or its record holds."""
    with engine.connect() as connection:
        gone = {
            (bytes(row.record), row.delivery)
            for row in connection.execute(select(forgetting).where(forgetting.c.done == 1))
        }
        if not gone:
            return set()
        held = [
            (bytes(row.record), row.delivery)
            for row in connection.execute(select(encoding.c.record, encoding.c.delivery))
        ]
    everything = [*held, *gone]
    return gone - _unneeded(everything, order, dead)


def came_back(engine: Engine, keys: Set[Key]) -> None:
    """Forget that some encodings were deleted: they were made again."""
    with engine.begin() as connection:
        drop_rows(connection, forgetting, list(keys))


def _unneeded(rows: list[Key], order: Mapping[str, int], dead: Set[bytes]) -> set[Key]:
    newest: dict[bytes, int] = {}
    for record, delivery in rows:
        if delivery in order:
            newest[record] = max(newest.get(record, -1), order[delivery])
    return {
        (record, delivery)
        for record, delivery in rows
        if delivery not in order or record in dead or order[delivery] < newest[record]
    }
