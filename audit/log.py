"""The log's own database: leaves, the head row and signed checkpoints, in one SQLite file.

Threads of a process are written for together (`audit.write`). A batch takes ``BEGIN IMMEDIATE``,
re-reads the head row, appends, signs one checkpoint and commits; no process trusts its memory, so a
command line and a server can write at once. The file runs in WAL mode with ``synchronous=FULL``;
NORMAL is not durable on power loss (audit_crypto.md 0, finding 6) and is refused. After the commit the
checkpoint is appended to a file outside the database; only then is anybody answered.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

from audit.anchor import Anchor
from audit.canonical import canonical, parse
from audit.database import (
    DATABASE,
    SCHEMA,
    begin,
    connect,
    keep_leaves,
    keep_open,
    open_among,
    unwritable,
)
from audit.errors import AuditFault
from audit.event import schema_problem
from audit.levels import SCHEMA as LEVELS
from audit.levels import WIDTH, Stored, keep_roots
from audit.merkle import Frontier, leaf_hash
from audit.note import Checkpoint, Signer, Verifier, states
from audit.outside import (
    CHECKPOINTS,
    Incident,
    Lost,
    append_lost,
    append_note,
    common_base,
    found_at,
    hold_against,
    incident_of,
    settle_notes,
)
from audit.receipt import receipt_of
from audit.write import LOCK_SECONDS, GroupCommit, OpenIntents, Ticket

VKEY = "log.vkey"


@dataclass(frozen=True, slots=True)
class Entry:
    """An appended event: its place, its leaf hash and the size of the tree that holds it."""

    seq: int
    hash: bytes
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class _Call:
    """The events of one call, their canonical bytes and leaf hashes: all of them are written, or none."""

    events: Sequence[dict[str, Any]]
    bodies: Sequence[bytes]
    hashes: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class _Opened:
    """What belongs to one process: neither a connection nor a held lock survives a fork."""

    pid: int
    connection: sqlite3.Connection
    lock: threading.Lock
    reader: sqlite3.Connection
    reading: threading.Lock
    nodes: Stored
    group: GroupCommit[_Call, list[Entry]]


_LEFT_BY_FORK: list[_Opened] = []
"""What a parent had opened is never used or closed by its child, and so must not be collected either."""


class AuditLog:
    """A writer of the log. One instance may be shared by threads; processes may each have one.

    Threads that append at the same time are written in one transaction under one checkpoint. A process
    that was forked opens the database for itself.

    Args:
        folder: Holds the database, the checkpoint file and the verifier key.
        signer: The log key; its name is the log's origin.
        recovering: Open a log that is shorter than what it had signed, or another one; only what two
            people declare may be appended to it (`declare_lost`).
        anchor: Gets a copy of every checkpoint, and is compared with at the start.

    Raises:
        AuditFault: ``FG-AUD-02`` it cannot be used; ``FG-AUD-12`` it is not the log that it had signed.
    """

    def __init__(
        self,
        folder: Path,
        signer: Signer,
        *,
        recovering: bool = False,
        anchor: Anchor | None = None,
    ) -> None:
        self.folder, self._signer, self._anchor = folder, signer, anchor
        self._verifier = Verifier.from_vkey(signer.vkey())
        self._opened = self._open()
        self._seen, self._signed = 0, ""
        try:
            self._file = self._identity()
            self._connection.execute(LEVELS)  # A log from before it had them.
            if not recovering:
                hold_against(self._connection, folder, signer, self._anchored())
        except sqlite3.Error as error:
            self.close()
            raise unwritable(error) from error
        except AuditFault:
            self.close()
            raise

    def _open(self) -> _Opened:
        connection = connect(self.folder / DATABASE)
        try:
            # What is read waits for no commit.
            reader = connect(self.folder / DATABASE, read_only=True)
        except AuditFault:
            connection.close()
            raise
        group = GroupCommit(self._write, unwritable)
        return _Opened(
            os.getpid(),
            connection,
            threading.Lock(),
            reader,
            threading.Lock(),
            Stored(reader),
            group,
        )

    def _own(self) -> _Opened:
        if self._opened.pid != os.getpid():
            _LEFT_BY_FORK.append(self._opened)
            self._opened = self._open()
        return self._opened

    @property
    def _connection(self) -> sqlite3.Connection:
        return self._own().connection

    @property
    def _lock(self) -> threading.Lock:
        return self._own().lock

    @staticmethod
    def create(folder: Path, vkey: str) -> None:
        """Make an empty log in `folder` and write down its public key.

        Raises:
            AuditFault: ``FG-AUD-04`` when a log stands there already.
        """
        path = folder / DATABASE
        if path.exists():
            raise AuditFault("FG-AUD-04", "a log stands here already", "Choose another home.")
        folder.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(SCHEMA + LEVELS)
        finally:
            connection.close()
        (folder / VKEY).write_text(vkey + "\n", encoding="ascii")
        (folder / CHECKPOINTS).touch()

    @property
    def origin(self) -> str:
        """Name of the log."""
        return self._signer.name

    def close(self) -> None:
        """Wait for what is being written and close the database."""
        own = self._own()
        with own.lock, own.reading:
            own.connection.close()
            own.reader.close()
        settle_notes(self.folder / CHECKPOINTS)
        if self._anchor:
            self._anchor.settle()

    def _anchored(self) -> Checkpoint | None:
        return self._anchor.last(Verifier.from_vkey(self._signer.vkey())) if self._anchor else None

    def _identity(self) -> tuple[int, int]:
        """Return which file the path names now; SQLite goes on writing to one that was deleted."""
        try:
            found = (self.folder / DATABASE).stat()
        except OSError as error:
            raise unwritable(error) from error
        return found.st_dev, found.st_ino

    def intend(self, event: dict[str, Any]) -> Entry:
        """Make an intent durable, so that what it announces may begin; see `append`."""
        return self.append([event])[0]

    def append(self, events: Sequence[dict[str, Any]]) -> list[Entry]:
        """Append events durably and return where they stand. All of them, or none.

        Events of other threads may stand under the same checkpoint; what is wrong with one call is no
        concern of the others.

        Raises:
            AuditFault: ``FG-AUD-01`` an event is not allowed; ``FG-AUD-02`` the log cannot be
                written within its bounded wait; ``FG-AUD-07`` the head row does not fit the leaves;
                ``FG-AUD-09`` an outcome has no open intent; ``FG-AUD-70`` an intent is open already.
        """
        if not events:
            return []
        bodies = [canonical(event) for event in events]
        for event in events:
            problem = schema_problem(event)
            if problem:
                raise AuditFault("FG-AUD-01", problem, "Report this fault; nothing was disclosed.")
        return self._own().group.submit(
            _Call(events, bodies, [leaf_hash(body) for body in bodies]), len(events)
        )

    def _write(self, batch: Sequence[Ticket[_Call, list[Entry]]]) -> None:
        """Write the calls that fit under one checkpoint; what is raised refuses all of them."""
        with self._lock, self._transaction(batch[0].since + LOCK_SECONDS) as connection:
            start = self._head(connection)
            if start.size < self._seen:
                # Put back from a copy under a process that goes on.
                raise AuditFault(
                    "FG-AUD-12",
                    f"the log holds {start.size} events and had {self._seen}",
                    "Stop everything and compare: fieldgate audit verify.",
                )
            names = [one["intent"] for ticket in batch for one in ticket.item.events]
            intents = OpenIntents(open_among(connection, names))
            leaves: list[tuple[int, bytes, bytes]] = []
            for ticket in batch:
                first = start.size + len(leaves)
                ticket.fault = intents.take(ticket.item.events, first)
                if ticket.fault is None:
                    leaves += zip(count(first), ticket.item.bodies, ticket.item.hashes)
            if not leaves:
                return
            frontier = start.extend([leaf[2] for leaf in leaves])
            keep_leaves(connection, leaves)
            keep_open(connection, intents)
            if start.size // WIDTH != frontier.size // WIDTH:
                keep_roots(connection, frontier.size)
            root = frontier.root()
            note = self._signer.checkpoint(Checkpoint(self.origin, frontier.size, root).body())
            connection.execute(
                "UPDATE head SET size = ?, frontier = ? WHERE id = 1",
                (frontier.size, frontier.pack()),
            )
            connection.execute("INSERT INTO checkpoint VALUES (?, ?)", (frontier.size, note))
            if self._identity() != self._file:
                raise unwritable(FileNotFoundError())
        self._seen, self._signed = frontier.size, note
        self._publish(note, wait=False)
        taken = iter(leaves)
        for ticket in batch:
            if ticket.fault is None:
                ticket.answer = [
                    Entry(seq, hashed, frontier.size, root)
                    for seq, _, hashed in islice(taken, ticket.weight)
                ]

    def _head(self, connection: sqlite3.Connection) -> Frontier:
        row = connection.execute("SELECT size, frontier FROM head").fetchone() or (-1, b"")
        last = connection.execute("SELECT MAX(seq) FROM leaf").fetchone()[0]
        try:
            frontier = Frontier.unpack(row[0], bytes(memoryview(row[1])))
        except (TypeError, ValueError, AttributeError):
            frontier = Frontier(-1, ())
        signed = connection.execute(
            "SELECT note FROM checkpoint WHERE size = ?", (frontier.size,)
        ).fetchone()
        # Nothing is signed on top of a frontier that the last signed root does not confirm.
        stated = Checkpoint(self.origin, frontier.size, frontier.root()).body()
        note = signed[0] if signed else None
        confirmed = not frontier.size or states(note, self._verifier, stated, known=self._signed)
        if (last if last is not None else -1) + 1 != frontier.size or not confirmed:
            raise AuditFault(
                "FG-AUD-07",
                "the log's head does not fit its leaves",
                "Run fieldgate audit verify.",
            )
        return frontier

    @contextmanager
    def _transaction(self, until: float) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        begin(connection, until)
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _publish(self, note: str, *, wait: bool = True) -> None:
        """Append the checkpoint outside the database.

        A lost note is healed by the next one; one that a crash cut short is marked as cut.
        """
        try:
            append_note(self.folder / CHECKPOINTS, note, wait=wait)
            if self._anchor:
                self._anchor.nudge()
        except OSError as error:
            raise unwritable(error) from error

    def incident(self) -> tuple[Incident, int] | None:
        """Return how the log differs from what it had signed, and how many events are left of that."""
        verifier, anchored = Verifier.from_vkey(self._signer.vkey()), self._anchored()
        with self._lock:
            try:
                found = incident_of(self._connection, self.folder, verifier, anchored)
                if found is None:
                    return None
                return found, common_base(self._connection, self.folder, verifier)
            except (OSError, sqlite3.Error) as error:
                raise unwritable(error) from error

    def head_at(self, size: int) -> Checkpoint:
        """Return the tree head of the stored events at a size, or at their own when they are fewer."""
        with self._lock:
            try:
                return found_at(self._connection, self.origin, size)
            except sqlite3.Error as error:
                raise unwritable(error) from error

    def declare_lost(self, lost: Lost) -> None:
        """Sign, outside the database, that events are lost; from then on the log goes on without them.

        The events that say who declared it are appended before: whoever opens the log in between is
        refused still.
        """
        with self._lock:
            connection = self._connection
            frontier = self._head(connection)
        body = Checkpoint(self.origin, frontier.size, frontier.root()).body()
        try:
            append_lost(self.folder, self._signer.checkpoint(body + lost.line()))
            if self._anchor:
                self._anchor.nudge()
        except OSError as error:
            raise unwritable(error) from error

    def open_intents(self) -> list[dict[str, Any]]:
        """Return the intent events that have no outcome yet, oldest first."""
        try:
            own = self._own()
            with own.reading:
                rows = own.reader.execute(
                    "SELECT body FROM leaf JOIN open_intent USING (seq) ORDER BY seq"
                ).fetchall()
        except sqlite3.Error as error:
            raise unwritable(error) from error
        return [parse(bytes(row[0])) for row in rows]

    def proof(self, seq: int) -> str:
        """Return the receipt of an event under the newest checkpoint; see `audit.receipt.receipt_of`.

        Raises:
            AuditFault: ``FG-AUD-07`` no checkpoint covers the event, or the stored hashes do not come to
                the signed root.
        """
        try:
            own = self._own()
            with own.reading:
                row = own.reader.execute(
                    "SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1"
                ).fetchone()
                size, note = (int(row[0]), str(row[1])) if row else (0, "")
                for _ in range(2):
                    receipt = receipt_of(own.nodes, seq, size, note)
                    if receipt is not None:
                        return receipt
                    own.nodes.clear()
        except sqlite3.Error as error:
            raise unwritable(error) from error
        raise AuditFault("FG-AUD-07", "no checkpoint covers the event", "Verify the log.")


def read_events(folder: Path, *, newest: int | None = None) -> list[tuple[int, bytes]]:
    """Return (seq, canonical bytes) of the newest events, newest first, or of all of them."""
    connection = connect(folder / DATABASE, read_only=True)
    try:
        limit = -1 if newest is None else newest
        rows = connection.execute(
            "SELECT seq, body FROM leaf ORDER BY seq DESC LIMIT ?", (limit,)
        ).fetchall()
    except sqlite3.Error as error:
        raise unwritable(error) from error
    finally:
        connection.close()
    return [(int(seq), bytes(body)) for seq, body in rows]
