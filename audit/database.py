"""The log's SQLite file: a connection whose commits are durable, and what a batch asks and tells it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from audit.errors import AuditFault
from audit.source import Opening, Reader
from audit.write import LOCK_SECONDS, OpenIntents

DATABASE = "log.db"
SCHEMA = """
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
_ROWS = 1_000
"""Rows of one statement: SQLite takes 32,766 parameters."""


def connect(
    path: Path, *, read_only: bool = False, wait_seconds: float = LOCK_SECONDS
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


def reader_of(folder: Path, opening: Opening | None = None) -> Reader:
    """Open the store of a log to read it.

    Args:
        folder: The audit folder.
        opening: Opens it where it stands in no file of the folder.
    """
    return opening() if opening else connect(folder / DATABASE, read_only=True)


def unwritable(error: BaseException) -> AuditFault:
    """Wrap a storage error; its text holds no value because leaves are bound as parameters.

    A fault of ours is given again, for each of those who are refused its own.
    """
    if isinstance(error, AuditFault):
        return AuditFault(error.code, error.message, error.next_step)
    return AuditFault(
        "FG-AUD-02",
        f"the audit log cannot be used ({type(error).__name__})",
        "Nothing was shown. Check the disk and the rights of the audit folder, then try again.",
    )


def begin(connection: sqlite3.Connection, until: float) -> None:
    """Begin to write, asking again every few milliseconds.

    SQLite's own waiting looks ever more seldom, and starves beside a process that writes without a pause.
    """
    patience = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    connection.execute("PRAGMA busy_timeout=0")
    try:
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() >= until:
                    raise
                time.sleep(0.002)
            else:
                return
    finally:
        connection.execute(f"PRAGMA busy_timeout={patience}")


def open_among(connection: sqlite3.Connection, names: Sequence[str]) -> list[str]:
    """Return which of the named intents are open in the store."""
    rows = connection.execute(
        "SELECT intent FROM open_intent WHERE intent IN (SELECT value FROM json_each(?))",
        (json.dumps(names),),
    )
    return [str(row[0]) for row in rows]


def keep_open(connection: sqlite3.Connection, intents: OpenIntents) -> None:
    """Write down which intents a batch opened and closed."""
    connection.execute(
        "DELETE FROM open_intent WHERE intent IN (SELECT value FROM json_each(?))",
        (json.dumps(list(intents.closed)),),
    )
    connection.execute(
        "INSERT INTO open_intent SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') "
        "FROM json_each(?)",
        (json.dumps(list(intents.opened.items())),),
    )


def keep_leaves(connection: sqlite3.Connection, leaves: Sequence[tuple[int, bytes, bytes]]) -> None:
    """Write leaves down, many with one statement.

    A thread lets go of the interpreter at every step of a statement. With one for each leaf, whoever writes
    for hundreds would stand in line behind them hundreds of times.
    """
    for start in range(0, len(leaves), _ROWS):
        rows = leaves[start : start + _ROWS]
        connection.execute(
            "INSERT INTO leaf VALUES " + ",".join(["(?,?,?)"] * len(rows)),  # noqa: S608  # no value
            list(chain.from_iterable(rows)),
        )
