"""A search index over the log, made from its leaves and from nothing else. It proves nothing.

One row an act, kept by column in a SQLite file beside the log, so that a million events can be filtered and
counted in a fraction of a second. Before each question it is brought up to the leaves. It is sealed under a
key of the log's owner and holds the hash of the last leaf that it read: a file that is missing, cut, edited,
older than a restored log or of another log is thrown away and made again. So it can make an answer slow, and
it cannot make it differ from the leaves.

It holds words of the policy, user names and numbers. Of a person or a case it holds a number made of the
pseudonym or token that stands in the leaf, from which neither can be read.
"""

from __future__ import annotations

import hmac
import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from audit.act import Act, join
from audit.database import reader_of, unwritable
from audit.errors import AuditFault
from audit.facets import COLUMNS, NONE, PEOPLE, Index, Numbers, empty_index, put, word_of
from audit.source import Opening, Reader

INDEX = "search.db"
PART = 16_384
"""Acts in one stored part: what is written again when an act is added."""
BATCH = 100_000
"""Leaves that are read before they are written into the columns."""
WAIT_SECONDS = 30.0
_FORM = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS head (id INTEGER PRIMARY KEY CHECK (id = 1), next INTEGER NOT NULL,
    hash BLOB NOT NULL, seal BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS word (id INTEGER PRIMARY KEY, facet TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS part (number INTEGER PRIMARY KEY, body BLOB NOT NULL, people BLOB NOT NULL,
    seal BLOB NOT NULL);
"""


class _Wrong(Exception):
    """The file is not an index of these leaves under this key."""


def open_index(
    folder: Path, key: bytes, *, below: int | None = None, opening: Opening | None = None
) -> Index:
    """Bring the index up to the leaves and return it.

    Args:
        folder: Folder of the log.
        key: Secret key under which the index is sealed.
        below: Only the events before this place; None for all that stand there.
        opening: See `audit.database.reader_of`.

    Raises:
        AuditFault: ``FG-AUD-02`` the log cannot be read; ``FG-AUD-40`` another process is making the
            index and did not end within its bounded wait.
    """
    path = folder / INDEX
    for _ in range(2):
        try:
            return _through(str(path), reader_of(folder, opening), key, below)
        except (_Wrong, sqlite3.DatabaseError) as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in (
                sqlite3.SQLITE_BUSY,
                sqlite3.SQLITE_LOCKED,
            ):
                raise AuditFault(
                    "FG-AUD-40",
                    "the search index is being made by another process",
                    "Try again in a minute.",
                ) from None
            try:
                for name in (INDEX, f"{INDEX}-journal", f"{INDEX}-wal", f"{INDEX}-shm"):
                    (folder / name).unlink(missing_ok=True)
            except OSError:
                break
    # The folder takes no file: the answer is made from the leaves alone, and takes as long as that.
    return _through(":memory:", reader_of(folder, opening), key, below)


def read_acts(
    folder: Path, places: Iterable[tuple[int, int | None]], opening: Opening | None = None
) -> list[Act]:
    """Return the acts at some places of the log, read from the leaves, in the order given.

    Raises:
        AuditFault: ``FG-AUD-02`` the log cannot be read; ``FG-AUD-07`` a leaf is not there.
    """
    pairs = list(places)
    wanted = sorted({one for pair in pairs for one in pair if one is not None})
    bodies: dict[int, dict[str, Any]] = {}
    with closing(reader_of(folder, opening)) as log:
        try:
            for start in range(0, len(wanted), 500):
                some = wanted[start : start + 500]
                marks = ",".join("?" * len(some))
                asked = f"SELECT seq, body FROM leaf WHERE seq IN ({marks})"  # noqa: S608  # marks only
                bodies |= {int(seq): json.loads(body) for seq, body in log.execute(asked, some)}
        except sqlite3.Error as error:
            raise unwritable(error) from error
    if len(bodies) != len(wanted):
        raise AuditFault("FG-AUD-07", "a leaf of the log is not there", "Verify the log.")
    return [
        join(seq, bodies[seq], ended, None if ended is None else bodies[ended])
        for seq, ended in pairs
    ]


def _through(path: str, reader: Reader, key: bytes, below: int | None) -> Index:
    with (
        closing(reader) as log,
        closing(sqlite3.connect(path, isolation_level=None, timeout=WAIT_SECONDS)) as store,
    ):
        # It is made again when it is lost, so no commit waits for the disk.
        store.execute("PRAGMA synchronous=OFF")
        store.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA.split(";")[:-1]:
            store.execute(statement)
        index, following, last = _load(store, key)
        index, following, last, dirty = _read_on(log, index, following, last, below)
        if dirty:
            _save(store, key, index, (following, last), dirty)
        store.execute("COMMIT")
    return index


def _load(store: sqlite3.Connection, key: bytes) -> tuple[Index, int, bytes]:
    """Read the file; refuse it when one bit of it is not what was sealed."""
    head = store.execute("SELECT next, hash, seal FROM head").fetchone()
    words = store.execute("SELECT id, facet, text FROM word ORDER BY id").fetchall()
    parts = store.execute("SELECT number, body, people, seal FROM part ORDER BY number").fetchall()
    if head is None:
        if words or parts:
            raise _Wrong
        return empty_index(), 0, b""
    seals = []
    for place, (number, body, people, seal) in enumerate(parts):
        made = _seal(key, b"part %d %d" % (number, len(body)), body, people)
        if number != place or not hmac.compare_digest(made, bytes(seal)):
            raise _Wrong
        seals.append(made)
    if not hmac.compare_digest(_head_seal(key, head[0], head[1], words, seals), bytes(head[2])):
        raise _Wrong
    width = sum(np.dtype(kind).itemsize for kind in COLUMNS.values())
    pieces: dict[str, list[Numbers]] = {name: [] for name in COLUMNS}
    for _, body, _, _ in parts:
        rows, start = len(body) // width, 0
        for name, kind in COLUMNS.items():
            pieces[name].append(np.frombuffer(body, kind, rows, start))
            start += rows * np.dtype(kind).itemsize
    index = empty_index()
    if parts:
        index.columns = {name: np.concatenate(some) for name, some in pieces.items()}
        index.people = np.concatenate([np.frombuffer(one[2], PEOPLE) for one in parts])
    for _, facet, text in words:
        word_of(index, facet, text)
    return index, int(head[0]), bytes(head[1])


def _read_on(
    log: Reader, index: Index, following: int, last: bytes, below: int | None
) -> tuple[Index, int, bytes, set[int]]:
    """Add the leaves from `following` on; return the index, where it stands and the parts it changed."""
    dirty: set[int] = set()
    try:
        if following:
            held = log.execute("SELECT hash FROM leaf WHERE seq = ?", (following - 1,)).fetchone()
            if held is None or bytes(held[0]) != last:
                raise _Wrong
        waiting = _still_open(log, index)
        asked = "SELECT seq, body, hash FROM leaf WHERE seq >= ? AND seq < ? ORDER BY seq"
        read = log.execute(asked, (following, below if below is not None else 2**62))
        while leaves := read.fetchmany(BATCH):
            rows: dict[int, Act] = {}
            size = len(index)
            for seq, body, hashed in leaves:
                event = json.loads(body)
                following, last = int(seq) + 1, bytes(hashed)
                if event["phase"] == "intent":
                    waiting[event["intent"]] = (size, int(seq), event)
                    rows[size] = join(int(seq), event, None, None)
                    size += 1
                elif event["intent"] in waiting:
                    row, at, intent = waiting.pop(event["intent"])
                    rows[row] = join(at, intent, int(seq), event)
            put(index, rows, size)
            dirty |= {row // PART for row in rows}
    except sqlite3.Error as error:
        raise unwritable(error) from error
    except (ValueError, KeyError, TypeError, AttributeError):
        # Never the error itself: its text might hold the leaf.
        raise AuditFault(
            "FG-AUD-07", "a leaf of the log is not an event", "Run fieldgate audit verify."
        ) from None
    return index, following, last, dirty


def _still_open(log: Reader, index: Index) -> dict[str, tuple[int, int, Any]]:
    found = {}
    for row in np.flatnonzero(index.columns["ended"] == NONE).tolist():
        at = int(index.columns["seq"][row])
        body = log.execute("SELECT body FROM leaf WHERE seq = ?", (at,)).fetchone()
        if body is None:
            raise _Wrong
        event = json.loads(body[0])
        found[event["intent"]] = (row, at, event)
    return found


def _save(
    store: sqlite3.Connection,
    key: bytes,
    index: Index,
    stands: tuple[int, bytes],
    dirty: set[int],
) -> None:
    rows_of_people = index.people["row"]
    for number in sorted(dirty):
        first, end = number * PART, min((number + 1) * PART, len(index))
        body = b"".join(
            np.ascontiguousarray(index.columns[name][first:end]).tobytes() for name in COLUMNS
        )
        start, stop = np.searchsorted(rows_of_people, [first, end])
        people = index.people[start:stop].tobytes()
        seal = _seal(key, b"part %d %d" % (number, len(body)), body, people)
        store.execute(
            "INSERT OR REPLACE INTO part VALUES (?, ?, ?, ?)", (number, body, people, seal)
        )
    known = store.execute("SELECT count(*) FROM word").fetchone()[0]
    facet_of = {word: facet for facet, some in index.words.items() for word in some.values()}
    words = [(word, facet_of[word], text) for word, text in enumerate(index.names)]
    store.executemany("INSERT INTO word VALUES (?, ?, ?)", words[known:])
    seals = [
        bytes(row[0]) for row in store.execute("SELECT seal FROM part ORDER BY number").fetchall()
    ]
    seal = _head_seal(key, *stands, words, seals)
    store.execute("INSERT OR REPLACE INTO head VALUES (1, ?, ?, ?)", (*stands, seal))


def _head_seal(
    key: bytes, following: int, last: bytes, words: Sequence[Any], seals: Sequence[bytes]
) -> bytes:
    stated = json.dumps([_FORM, following, bytes(last).hex(), [list(one) for one in words]])
    return _seal(key, b"head", stated.encode(), b"".join(seals))


def _seal(key: bytes, what: bytes, *pieces: bytes) -> bytes:
    made = hmac.new(key, what + b"\n", "sha256")
    for piece in pieces:
        made.update(piece)
    return made.digest()
