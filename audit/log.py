"""The log's own database: leaves, the head row and signed checkpoints, in one SQLite file.

A batch takes ``BEGIN IMMEDIATE``, re-reads the head row, appends, signs and commits; no process
trusts its memory, so a command line and a server can write at once. The file runs in WAL mode with
``synchronous=FULL``; NORMAL is not durable on power loss (audit_crypto.md 0, finding 6) and is
refused. After the commit the checkpoint is appended to a file outside the database.
"""

from __future__ import annotations

import base64
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.canonical import canonical, parse
from audit.errors import AuditFault
from audit.event import schema_problem
from audit.levels import SCHEMA as LEVELS
from audit.levels import WIDTH, Stored, inclusion, keep_roots
from audit.merkle import Frontier, leaf_hash, verify_inclusion
from audit.note import Checkpoint, Signer, Verifier
from audit.outside import (
    CHECKPOINTS,
    Incident,
    Lost,
    append_note,
    common_base,
    found_at,
    hold_against,
    incident_of,
)

DATABASE = "log.db"
VKEY = "log.vkey"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS leaf (
    seq INTEGER PRIMARY KEY CHECK (seq >= 0), body BLOB NOT NULL, hash BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS head (
    id INTEGER PRIMARY KEY CHECK (id = 1), size INTEGER NOT NULL, frontier BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS checkpoint (size INTEGER PRIMARY KEY, note TEXT NOT NULL);
-- An index for recovery at start-up; it proves nothing and the verifier does not read it.
CREATE TABLE IF NOT EXISTS open_intent (intent TEXT PRIMARY KEY, seq INTEGER NOT NULL);
CREATE TRIGGER IF NOT EXISTS leaf_no_update BEFORE UPDATE ON leaf
    BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER IF NOT EXISTS leaf_no_delete BEFORE DELETE ON leaf
    BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER IF NOT EXISTS checkpoint_no_delete BEFORE DELETE ON checkpoint
    BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
INSERT OR IGNORE INTO head VALUES (1, 0, x'');
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """An appended event: its place, its leaf hash and the size of the tree that holds it."""

    seq: int
    hash: bytes
    size: int
    root: bytes


def connect(
    path: Path, *, read_only: bool = False, wait_seconds: float = 10.0
) -> sqlite3.Connection:
    """Open the log's database with the settings that make a commit durable."""
    mode = "ro" if read_only else "rw"
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=wait_seconds,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise unwritable(error) from error
    try:
        if not read_only:
            journal = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            connection.execute("PRAGMA synchronous=FULL")
            level = connection.execute("PRAGMA synchronous").fetchone()[0]
            if journal != "wal" or level < 2:
                raise AuditFault(
                    "FG-AUD-03",
                    "the log's database is not durable",
                    "Use a local file system.",
                )
    except sqlite3.Error as error:
        connection.close()
        raise unwritable(error) from error
    except AuditFault:
        connection.close()
        raise
    return connection


def unwritable(error: BaseException) -> AuditFault:
    """Wrap a storage error; its text holds no value because leaves are bound as parameters."""
    return AuditFault(
        "FG-AUD-02",
        f"the audit log cannot be used ({type(error).__name__})",
        "Nothing was shown. Check the disk and the rights of the audit folder, then try again.",
    )


class AuditLog:
    """A writer of the log. One instance may be shared by threads; processes may each have one.

    Args:
        folder: Holds the database, the checkpoint file and the verifier key.
        signer: The log key; its name is the log's origin.
        recovering: Open a log that is shorter than what it had signed, or another one; only what two
            people declare may be appended to it (`declare_lost`).

    Raises:
        AuditFault: ``FG-AUD-02`` it cannot be used; ``FG-AUD-12`` it is not the log that it had signed.
    """

    def __init__(self, folder: Path, signer: Signer, *, recovering: bool = False) -> None:
        self.folder = folder
        self._signer = signer
        self._lock = threading.Lock()
        self._connection = connect(folder / DATABASE)
        self._seen = 0
        try:
            self._file = self._identity()
            self._connection.execute(LEVELS)  # A log from before it had them.
            self._nodes = Stored(self._connection)
            if not recovering:
                hold_against(self._connection, folder, signer)
        except sqlite3.Error as error:
            self._connection.close()
            raise unwritable(error) from error
        except AuditFault:
            self._connection.close()
            raise

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
            connection.executescript(_SCHEMA + LEVELS)
        finally:
            connection.close()
        (folder / VKEY).write_text(vkey + "\n", encoding="ascii")
        (folder / CHECKPOINTS).touch()

    @property
    def origin(self) -> str:
        """Name of the log."""
        return self._signer.name

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _identity(self) -> tuple[int, int]:
        """Return which file the path names now; SQLite goes on writing to one that was deleted."""
        try:
            found = (self.folder / DATABASE).stat()
        except OSError as error:
            raise unwritable(error) from error
        return found.st_dev, found.st_ino

    def append(self, events: Sequence[dict[str, Any]]) -> list[Entry]:
        """Append events durably and return where they stand. All of them, or none.

        Raises:
            AuditFault: ``FG-AUD-01`` an event is not allowed; ``FG-AUD-02`` the log cannot be
                written within its bounded wait; ``FG-AUD-07`` the head row does not fit the leaves;
                ``FG-AUD-09`` an outcome has no open intent.
        """
        if not events:
            return []
        bodies = [canonical(event) for event in events]
        for event in events:
            problem = schema_problem(event)
            if problem:
                raise AuditFault("FG-AUD-01", problem, "Report this fault; nothing was disclosed.")
        with self._lock:
            try:
                entries, note = self._write(bodies, events)
            except sqlite3.Error as error:
                raise unwritable(error) from error
        self._publish(note)
        return entries

    def _write(
        self, bodies: Sequence[bytes], events: Sequence[dict[str, Any]]
    ) -> tuple[list[Entry], str]:
        with self._transaction() as connection:
            frontier = self._head(connection)
            start = frontier.size
            if start < self._seen:
                # Put back from a copy under a process that goes on.
                raise AuditFault(
                    "FG-AUD-12",
                    f"the log holds {start} events and had {self._seen}",
                    "Stop everything and compare: fieldgate audit verify.",
                )
            placed = []
            for body in bodies:
                hashed = leaf_hash(body)
                connection.execute(
                    "INSERT INTO leaf VALUES (?, ?, ?)", (frontier.size, body, hashed)
                )
                _index(connection, events[frontier.size - start], frontier.size)
                placed.append((frontier.size, hashed))
                frontier = frontier.append(hashed)
            if start // WIDTH != frontier.size // WIDTH:
                keep_roots(connection, frontier.size)
            root = frontier.root()
            note = self._signer.sign(Checkpoint(self.origin, frontier.size, root).body())
            connection.execute(
                "UPDATE head SET size = ?, frontier = ? WHERE id = 1",
                (frontier.size, frontier.pack()),
            )
            connection.execute("INSERT INTO checkpoint VALUES (?, ?)", (frontier.size, note))
            if self._identity() != self._file:
                raise unwritable(FileNotFoundError())
        self._seen = frontier.size
        return [Entry(seq, hashed, frontier.size, root) for seq, hashed in placed], note

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
        confirmed = frontier.size == 0 or (signed and str(signed[0]).startswith(stated + "\n"))
        if (last if last is not None else -1) + 1 != frontier.size or not confirmed:
            raise AuditFault(
                "FG-AUD-07",
                "the log's head does not fit its leaves",
                "Run fieldgate audit verify.",
            )
        return frontier

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _publish(self, note: str) -> None:
        """Append the checkpoint outside the database.

        A lost note is healed by the next one; one that a crash cut short is marked as cut.
        """
        try:
            append_note(self.folder / CHECKPOINTS, note)
        except OSError as error:
            raise unwritable(error) from error

    def incident(self) -> tuple[Incident, int] | None:
        """Return how the log differs from what it had signed, and how many events are left of that."""
        verifier = Verifier.from_vkey(self._signer.vkey())
        with self._lock:
            try:
                found = incident_of(self._connection, self.folder, verifier)
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
        self._publish(self._signer.sign(body + lost.line()))

    def open_intents(self) -> list[dict[str, Any]]:
        """Return the intent events that have no outcome yet, oldest first."""
        try:
            with self._lock:
                rows = self._connection.execute(
                    "SELECT body FROM leaf JOIN open_intent USING (seq) ORDER BY seq"
                ).fetchall()
        except sqlite3.Error as error:
            raise unwritable(error) from error
        return [parse(bytes(row[0])) for row in rows]

    def proof(self, seq: int) -> str:
        """Return a C2SP tlog-proof text: leaf hash, index, path and the newest checkpoint.

        The receipt can be checked years later with the log's public key and nothing else; that the
        event is the one it speaks of, with a copy of the log.

        Raises:
            AuditFault: ``FG-AUD-07`` no checkpoint covers the event, or the stored hashes do not come to
                the signed root; nothing is handed out that would not verify.
        """
        try:
            with self._lock:
                row = self._connection.execute(
                    "SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1"
                ).fetchone()
                size, note = (int(row[0]), str(row[1])) if row else (0, "")
                for _ in range(2):
                    path = self._path(seq, size, note)
                    if path is not None:
                        break
                    self._nodes.clear()
        except sqlite3.Error as error:
            raise unwritable(error) from error
        if path is None:
            raise AuditFault("FG-AUD-07", "no checkpoint covers the event", "Verify the log.")
        extra, *lines = (base64.b64encode(item).decode() for item in path)
        shown = "".join(f"{line}\n" for line in lines)
        return f"c2sp.org/tlog-proof@v1\nextra {extra}\nindex {seq}\n{shown}\n{note}"

    def _path(self, seq: int, size: int, note: str) -> list[bytes] | None:
        """Return the leaf's hash and its path, None when they do not come to the signed root."""
        if not 0 <= seq < size:
            return None
        try:
            leaf, path = self._nodes(0, seq), inclusion(self._nodes, seq, size)
        except LookupError:
            return None
        root = Checkpoint.parse(note.rpartition("\n\n")[0] + "\n").root
        return [leaf, *path] if verify_inclusion(leaf, seq, size, path, root) else None


def _index(connection: sqlite3.Connection, event: dict[str, Any], seq: int) -> None:
    if event["phase"] == "intent":
        connection.execute("INSERT INTO open_intent VALUES (?, ?)", (event["intent"], seq))
        return
    gone = connection.execute("DELETE FROM open_intent WHERE intent = ?", (event["intent"],))
    if gone.rowcount != 1:
        raise AuditFault(
            "FG-AUD-09",
            "that intent has its outcome already",
            "Nothing; another process settled it.",
        )


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
