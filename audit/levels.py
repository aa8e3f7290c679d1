"""Proofs from complete subtrees, so that a proof costs the height of the tree and not its size.

The roots of complete subtrees of 256 leaves, of 256 of those, and so on stand beside the leaves. They
are an index and prove nothing: whoever makes a proof holds it against the signed root, and what is
missing here is computed from the leaves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from audit.merkle import EMPTY_ROOT, node_hash
from audit.source import Reader

WIDTH = 256
_BITS = 8
_KEPT = 65_536
_AT_ONCE = 256

SCHEMA = """
-- Roots of complete subtrees, for proofs; they prove nothing and the verifier does not read them.
CREATE TABLE IF NOT EXISTS tile (
    level INTEGER NOT NULL, place INTEGER NOT NULL, root BLOB NOT NULL,
    PRIMARY KEY (level, place)) WITHOUT ROWID;
"""

Node = Callable[[int, int], bytes]
"""Root of the complete subtree of 2^height leaves at a place."""


def span_root(node: Node, start: int, end: int) -> bytes:
    """Return the root over leaves `start` to `end`; the start is where a subtree of that length begins."""
    height = (end - start).bit_length() - 1
    cut = start + (1 << height)
    left = node(height, start >> height)
    return left if cut == end else node_hash(left, span_root(node, cut, end))


def root_at(node: Node, size: int) -> bytes:
    """Return the root of the tree at a size."""
    return span_root(node, 0, size) if size else EMPTY_ROOT


def inclusion(node: Node, index: int, size: int) -> list[bytes]:
    """Return the audit path of a leaf, lowest first (RFC 6962 2.1.1)."""
    path = []
    start, end = 0, size
    while end - start > 1:
        cut = start + (1 << (end - start - 1).bit_length() - 1)
        if index < cut:
            path.append(span_root(node, cut, end))
            end = cut
        else:
            path.append(span_root(node, start, cut))
            start = cut
    return path[::-1]


def consistency(node: Node, old: int, new: int) -> list[bytes]:
    """Return the proof that the tree of `old` leaves is a prefix of that of `new` (RFC 6962 2.1.2)."""
    if not 0 < old < new:
        return []
    path = []
    start, end, whole = 0, new, True
    while end != old:
        cut = start + (1 << (end - start - 1).bit_length() - 1)
        if old <= cut:
            path.append(span_root(node, cut, end))
            end = cut
        else:
            path.append(span_root(node, start, cut))
            start, whole = cut, False
    return ([] if whole else [span_root(node, start, end)]) + path[::-1]


class Stored:
    """Complete subtrees of a stored log; what was read is kept, since it never changes.

    Args:
        connection: The log's database.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._kept: dict[tuple[int, int], bytes] = {}

    def clear(self) -> None:
        """Forget what was read; the database was put back under us."""
        self._kept.clear()

    def __call__(self, height: int, place: int) -> bytes:
        """Return the root of the complete subtree of 2^height leaves at a place."""
        found = self._kept.get((height, place))
        if found is None:
            found = self._read(height, place)
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[height, place] = found
        return found

    def _read(self, height: int, place: int) -> bytes:
        level, above = divmod(height, _BITS)
        if not above and level:
            row = self._connection.execute(
                "SELECT root FROM tile WHERE level = ? AND place = ?", (level, place)
            ).fetchone()
            if row is not None:
                return bytes(row[0])
            level, above = level - 1, _BITS
        return _fold(self._row(level, place << above, 1 << above))

    def _row(self, level: int, first: int, count: int) -> list[bytes]:
        """Return neighbouring hashes of a level whose subtrees are 256 times as wide as those below."""
        asked = (
            "SELECT hash FROM leaf WHERE seq >= ?2 AND seq < ?3 ORDER BY seq"
            if level == 0
            else "SELECT root FROM tile WHERE level = ?1 AND place >= ?2 AND place < ?3 ORDER BY place"
        )
        rows = self._connection.execute(asked, (level, first, first + count)).fetchall()
        if len(rows) == count:
            return [bytes(row[0]) for row in rows]
        if level == 0:
            raise LookupError("a leaf of a complete subtree is missing")
        return [self(level * _BITS, first + at) for at in range(count)]


class Computed:
    """Complete subtrees of hashes at hand, for a store that keeps no roots of its own.

    Args:
        hashes: The leaf hashes of the whole log.
    """

    def __init__(self, hashes: Sequence[bytes]) -> None:
        self._levels = [list(hashes)]

    def __call__(self, height: int, place: int) -> bytes:
        """Return the root of the complete subtree of 2^height leaves at a place."""
        while len(self._levels) <= height:
            row = self._levels[-1]
            self._levels.append(
                [node_hash(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)]
            )
        try:
            return self._levels[height][place]
        except IndexError:
            raise LookupError("a leaf of a complete subtree is missing") from None


def node_of(log: Reader) -> Node:
    """Return the complete subtrees of a store, read as they are needed or computed from its leaves."""
    if isinstance(log, sqlite3.Connection):
        return Stored(log)
    return Computed([bytes(row[0]) for row in log.execute("SELECT hash FROM leaf ORDER BY seq")])


def _fold(row: list[bytes]) -> bytes:
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def keep_roots(connection: sqlite3.Connection, size: int) -> None:
    """Write down the roots of subtrees that are complete at a size; an older log catches up by and by.

    Call it in the transaction that appended the leaves.
    """
    node = Stored(connection)
    level = 1
    while size >> (_BITS * level):
        last = connection.execute("SELECT MAX(place) FROM tile WHERE level = ?", (level,))
        held = last.fetchone()[0]
        first = 0 if held is None else int(held) + 1
        end = min(size >> (_BITS * level), first + _AT_ONCE)
        connection.executemany(
            "INSERT OR IGNORE INTO tile VALUES (?, ?, ?)",
            [(level, place, node(_BITS * level, place)) for place in range(first, end)],
        )
        level += 1
