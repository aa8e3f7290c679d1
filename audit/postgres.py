"""The log on PostgreSQL: events are inserted side by side, and a sequencer puts them into the tree.

One head that every writer locks would undo the group commit of the server (audit_crypto.md 0, finding 4).
So a writer inserts its event and a note that it waits; both are durable in one commit, beside those of
others. Whoever holds the advisory lock (`audit.sequence`) gives the waiting events their place, hashes,
signs and commits that by itself. `PostgresLog.append` answers when its events are signed.

The role of the application may insert and read. Nothing here is updated or deleted by it, and triggers
refuse that to everybody; they are a tripwire, the tree is the proof.
"""

from __future__ import annotations

import os
import queue
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from audit.anchor import Anchor
from audit.canonical import canonical, parse
from audit.database import unwritable
from audit.errors import AuditFault
from audit.event import schema_problem
from audit.levels import Computed
from audit.log import Entry
from audit.note import Checkpoint, Signer, Verifier, states
from audit.outside import (
    CHECKPOINTS,
    Incident,
    Lost,
    append_lost,
    common_base,
    found_at,
    incident_of,
    settle_notes,
)
from audit.postgres_insert import inserted
from audit.postgres_tables import open_connection
from audit.receipt import receipt_of
from audit.sequence import Sequencer, compare
from audit.write import WAIT_SECONDS, GroupCommit, Ticket

POOL = 32
"""Connections of one process: as many events may be inserted at the same moment."""
TICK = 0.002
LOOK_SECONDS = 0.25
"""How long a process that saw the sequencer at work takes that for granted."""

_PLACES = (
    "SELECT s.event, s.seq, s.hash, c.size, c.note FROM sequenced s, LATERAL (SELECT size, note "
    "FROM checkpoint WHERE size > s.seq ORDER BY size LIMIT 1) c WHERE s.event = ANY(%s)"
)
_OPEN = (
    "SELECT i.body FROM event i WHERE i.phase = 'intent' AND (i.intent IN (SELECT intent FROM "
    "open_intent) OR i.id IN (SELECT id FROM pending)) AND NOT EXISTS (SELECT 1 FROM event o "
    "WHERE o.intent = i.intent AND o.phase = 'outcome') ORDER BY i.id"
)


class Reading:
    """A connection that reads like SQLite's: parameters as ``?``, the leaves one after another.

    Raises:
        AuditFault: ``FG-AUD-02`` from any use, when the server does not answer.
    """

    def __init__(self, url: str) -> None:
        self._connection = open_connection(url)
        self._connection.execute("SET statement_timeout = 0")

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> Any:
        """Run one statement; ``BEGIN`` begins one view of the whole log."""
        if statement == "BEGIN":
            statement = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        try:
            if "FROM leaf ORDER BY seq" in statement:
                return self._stream(statement.replace("?", "%s"), parameters)
            return self._connection.execute(statement.replace("?", "%s"), parameters)
        except psycopg.Error as error:
            raise unwritable(error) from error

    def _stream(self, statement: str, parameters: Sequence[Any]) -> Iterator[Any]:
        try:
            with self._connection.transaction(), self._connection.cursor("leaves") as cursor:
                cursor.itersize = 5_000
                cursor.execute(statement, parameters)
                yield from cursor
        except psycopg.Error as error:
            raise unwritable(error) from error

    def set_aside(self) -> list[int]:
        """Return the numbers of the events that the sequencer set aside; the tree holds none of them."""
        return [int(row[0]) for row in self.execute("SELECT id FROM refused ORDER BY id")]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def read_events(url: str, *, newest: int | None = None) -> list[tuple[int, bytes]]:
    """Return (seq, canonical bytes) of the newest sequenced events, newest first, or of all of them."""
    reading = Reading(url)
    try:
        rows = reading.execute("SELECT seq, body FROM leaf ORDER BY seq DESC LIMIT ?", (newest,))
        return [(int(seq), bytes(body)) for seq, body in rows]
    finally:
        reading.close()


class PostgresLog:
    """A writer of the log on PostgreSQL. One instance may be shared by threads; it keeps no thread.

    Args:
        folder: Holds the outside checkpoints and the verifier key.
        url: Database, with the role that inserts.
        signer: The log key; its name is the log's origin.
        sequencer_url: Database with the role that sequences. Given, whoever waits for its events puts them
            into the tree when nobody else does; without it ``fieldgate audit sequence`` runs somewhere.
        recovering: As for `audit.log.AuditLog`.
        wait_seconds: Bounded wait for the sequencer.
        anchor: As for `audit.log.AuditLog`.

    Raises:
        AuditFault: ``FG-AUD-02`` it cannot be used; ``FG-AUD-03`` the server is not durable;
            ``FG-AUD-12`` it is not the log that it had signed.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        signer: Signer,
        *,
        sequencer_url: str | None = None,
        recovering: bool = False,
        wait_seconds: float = WAIT_SECONDS,
        anchor: Anchor | None = None,
    ) -> None:
        self.folder, self._anchor = folder, anchor
        self._url, self._signer, self._wait_seconds = url, signer, wait_seconds
        self._sequencer_url = sequencer_url
        if not recovering:
            compare(lambda: Reading(url), folder, signer, anchor)
        self._begin()

    def _begin(self) -> None:
        """Make what belongs to one process; neither a connection nor a held lock survives a fork."""
        self._pid = os.getpid()
        self._looked = -LOOK_SECONDS
        # The connection that was used last is taken first: it has the statements prepared.
        self._idle: deque[psycopg.Connection[Any]] = deque()
        self._places: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(POOL):
            self._places.put(None)
        self._sequencer = (
            Sequencer(
                self.folder,
                lambda: open_connection(self._sequencer_url or ""),
                self._signer,
                self._anchor,
            )
            if self._sequencer_url
            else None
        )
        self._group: GroupCommit[list[int], list[Entry]] = GroupCommit(
            self._await_places, unwritable, wait_seconds=self._wait_seconds + 1
        )

    def _own(self) -> None:
        """Leave what a parent had opened to it, and open for this process."""
        if self._pid != os.getpid():
            _LEFT_BY_FORK.append((self._idle, self._sequencer))
            self._begin()

    @property
    def origin(self) -> str:
        """Name of the log."""
        return self._signer.name

    def close(self) -> None:
        """Give the connections of this process back and wait for the outside file."""
        self._own()
        while self._idle:
            self._idle.pop().close()
        if self._sequencer is not None:
            self._sequencer.close()
        settle_notes(self.folder / CHECKPOINTS)

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        self._own()
        try:
            self._places.get(timeout=self._wait_seconds)
        except queue.Empty:
            raise unwritable(TimeoutError()) from None
        idle, places = self._idle, self._places
        try:
            try:
                connection = idle.pop()
            except IndexError:
                connection = open_connection(self._url)
            try:
                yield connection
            except psycopg.Error as error:
                if connection.broken:
                    connection.close()
                raise unwritable(error) from error
            finally:
                if not connection.closed:
                    idle.append(connection)
        finally:
            places.put(None)

    @contextmanager
    def _reading(self) -> Iterator[Reading]:
        reading = Reading(self._url)
        try:
            yield reading
        finally:
            reading.close()

    def intend(self, event: dict[str, Any]) -> Entry | None:
        """Make an intent durable. It is in the tree before any later event of its flow is.

        Beside a sequencer process the receipt comes later, with the outcome: the row cannot be changed, it is
        sequenced within milliseconds, and an answer waits for the outcome that stands behind it.

        Raises:
            AuditFault: As for `append`; ``FG-AUD-71`` when events have been waiting for a sequencer.
        """
        if self._sequencer_url:
            return self.append([event])[0]
        self._insert([event])
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return None
        with self._connection() as connection:
            late = connection.execute(
                "SELECT 1 FROM pending WHERE since < clock_timestamp() - make_interval(secs => %s) "
                "LIMIT 1",
                (self._wait_seconds,),
            ).fetchone()
        if late is not None:
            raise no_sequencer()
        self._looked = time.monotonic()
        return None

    def append(self, events: Sequence[dict[str, Any]]) -> list[Entry]:
        """Append events durably and return where they stand in the signed tree. All of them, or none.

        Raises:
            AuditFault: ``FG-AUD-01`` an event is not allowed; ``FG-AUD-02`` the database cannot be used;
                ``FG-AUD-07`` the head row does not fit; ``FG-AUD-09`` an outcome has no open intent;
                ``FG-AUD-70`` an intent is there already; ``FG-AUD-71`` nobody sequenced them in time: they
                are durable, and stand in the trail once somebody does.
        """
        if not events:
            return []
        ids = self._insert(events)
        return self._group.submit(ids, len(ids))

    def _insert(self, events: Sequence[dict[str, Any]]) -> list[int]:
        """Make events durable and return their numbers."""
        bodies = [canonical(event) for event in events]
        for event in events:
            problem = schema_problem(event)
            if problem:
                raise AuditFault("FG-AUD-01", problem, "Report this fault; nothing was disclosed.")
        with self._connection() as connection:
            if len(events) == 1:
                return [inserted(connection, events[0], bodies[0])]
            with connection.transaction():
                return [
                    inserted(connection, event, body)
                    for event, body in zip(events, bodies, strict=True)
                ]

    def _await_places(self, batch: Sequence[Ticket[list[int], list[Entry]]]) -> None:
        """Wait for the sequencer on behalf of all who wait, or sequence when nobody does."""
        waiting = {ticket: ticket.item for ticket in batch}
        until = time.monotonic() + self._wait_seconds
        with self._connection() as connection:
            while waiting:
                worked = self._sequencer.step() if self._sequencer is not None else 0
                ids = [one for item in waiting.values() for one in item]
                rows = connection.execute(_PLACES, (ids,)).fetchall()
                placed = {int(row[0]): _entry(row) for row in rows}
                for ticket in [one for one, item in waiting.items() if placed.keys() >= set(item)]:
                    ticket.answer = [placed[one] for one in waiting.pop(ticket)]
                if waiting and time.monotonic() > until:
                    self._refuse(connection, waiting)
                    return
                if waiting and not worked:
                    time.sleep(TICK)

    @staticmethod
    def _refuse(
        connection: psycopg.Connection[Any],
        waiting: dict[Ticket[list[int], list[Entry]], list[int]],
    ) -> None:
        for ticket, ids in waiting.items():
            found = connection.execute("SELECT 1 FROM refused WHERE id = ANY(%s)", (ids,))
            ticket.fault = refused_event() if found.fetchone() else no_sequencer()

    def head_at(self, size: int) -> Checkpoint:
        """Return the tree head of the stored events at a size, or at their own when they are fewer."""
        with self._reading() as reading:
            return found_at(reading, self.origin, size)

    def incident(self) -> tuple[Incident, int] | None:
        """Return how the log differs from what it had signed, and how many events are left of that."""
        verifier = Verifier.from_vkey(self._signer.vkey())
        anchored = self._anchor.last(verifier) if self._anchor else None
        try:
            with self._reading() as reading:
                found = incident_of(reading, self.folder, verifier, anchored)
                if found is None:
                    return None
                return found, common_base(reading, self.folder, verifier)
        except OSError as error:
            raise unwritable(error) from error

    def declare_lost(self, lost: Lost) -> None:
        """Sign, outside the database, that events are lost; see `audit.log.AuditLog.declare_lost`.

        Raises:
            AuditFault: ``FG-AUD-07`` the newest checkpoint is not signed, or is not that of the events.
        """
        with self._reading() as reading:
            row = reading.execute(
                "SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1"
            ).fetchone()
            head = found_at(reading, self.origin, int(row[0]) if row else 0)
        body = head.body()
        if row is None or not states(row[1], Verifier.from_vkey(self._signer.vkey()), body):
            raise AuditFault("FG-AUD-07", "no checkpoint covers the event", "Verify the log.")
        try:
            append_lost(self.folder, self._signer.checkpoint(body + lost.line()))
            if self._anchor:
                self._anchor.nudge()
        except OSError as error:
            raise unwritable(error) from error

    def open_intents(self) -> list[dict[str, Any]]:
        """Return the intent events that have no outcome yet, oldest first; also those not sequenced yet."""
        with self._connection() as connection:
            rows = connection.execute(_OPEN).fetchall()
        return [parse(bytes(row[0])) for row in rows]

    def proof(self, seq: int) -> str:
        """Return the receipt of an event under the newest checkpoint; see `audit.receipt.receipt_of`.

        Every leaf hash is read for it.

        Raises:
            AuditFault: ``FG-AUD-07`` no checkpoint covers the event, or the hashes do not come to the root.
        """
        with self._connection() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            rows = connection.execute("SELECT hash FROM sequenced ORDER BY seq").fetchall()
            row = connection.execute(
                "SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1"
            ).fetchone()
        size, note = (int(row[0]), str(row[1])) if row else (0, "")
        receipt = receipt_of(Computed([bytes(one[0]) for one in rows]), seq, size, note)
        if receipt is None:
            raise AuditFault("FG-AUD-07", "no checkpoint covers the event", "Verify the log.")
        return receipt


_LEFT_BY_FORK: list[Any] = []
"""What a parent had opened is never used or closed by its child, and so must not be collected either."""


def _entry(row: Sequence[Any]) -> Entry:
    stated = Checkpoint.parse(str(row[4]).rpartition("\n\n")[0] + "\n")
    return Entry(int(row[1]), bytes(row[2]), stated.size, stated.root)


def no_sequencer() -> AuditFault:
    """Return the refusal of events that nobody put into the tree in time."""
    return AuditFault(
        "FG-AUD-71",
        "no sequencer puts events into the trail",
        "Nothing was shown. Start fieldgate audit sequence, then try again.",
    )


def refused_event() -> AuditFault:
    """Return the refusal of an event that the sequencer found not to be one."""
    return AuditFault(
        "FG-AUD-72",
        "the sequencer set aside an event that is not fit to be signed",
        "Somebody writes to the trail past fieldgate. Look who has the role of the application.",
    )
