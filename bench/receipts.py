"""Receipts: what a proof costs at a million events, and what a stranger's check of a log costs."""

from __future__ import annotations

import hashlib
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from audit.levels import SCHEMA, Stored, inclusion, keep_roots, root_at
from audit.log import AuditLog, read_events
from audit.merkle import verify_inclusion
from audit.note import Signer
from audit.stranger import Report, arguments, check
from bench.measure import FLOOR, Claim
from bench.merkle import LOG, _events, _hash_loop, _root

LEAVES, PROOFS, HEIGHT = 1_000_000, 1_000, 20
FLOOR_NAME = f"{HEIGHT} sha256 calls each"


def claims() -> Iterator[Claim]:
    """Yield the claims of this group."""
    connection = _filled()
    node = Stored(connection)
    root = root_at(node, LEAVES)
    newest = range(LEAVES - PROOFS, LEAVES)
    anywhere = random.Random(5).sample(range(LEAVES), PROOFS // 10)
    for index in newest:
        inclusion(node, index, LEAVES)
    yield _proofs("newest, as a running process has them", newest, lambda: node, root)
    yield _proofs("anywhere, with nothing in memory", anywhere, lambda: Stored(connection), root)
    yield _checks(node, newest, root)
    connection.close()
    yield from _stranger(events=20_000)


def _filled() -> sqlite3.Connection:
    """A log's leaf hashes in memory; filling it is not timed."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE leaf (seq INTEGER PRIMARY KEY, hash BLOB NOT NULL)")
    connection.execute(SCHEMA)
    for start in range(0, LEAVES, 50_000):
        rows = ((seq, _leaf(seq)) for seq in range(start, start + 50_000))
        connection.executemany("INSERT INTO leaf VALUES (?, ?)", rows)
        keep_roots(connection, start + 50_000)
    return connection


def _leaf(seq: int) -> bytes:
    return hashlib.sha256(b"%d" % seq).digest()


def _hashes(count: int) -> Callable[[], int]:
    def run() -> int:
        data, sha256 = bytes(65), hashlib.sha256
        for _ in range(count * HEIGHT):
            sha256(data).digest()
        return count

    return run


def _proofs(where: str, indexes: Sequence[int], node: Callable[[], Stored], root: bytes) -> Claim:
    def good(_: int, found: list[list[bytes]]) -> bool:
        pairs = zip(indexes, found, strict=True)
        return all(verify_inclusion(_leaf(at), at, LEAVES, path, root) for at, path in pairs)

    return Claim(
        f"{len(indexes):,} proofs at {LEAVES:,} events, {where}",
        FLOOR_NAME,
        FLOOR,
        _hashes(len(indexes)),
        lambda: [inclusion(node(), at, LEAVES) for at in indexes],
        good,
    )


def _checks(node: Stored, indexes: Sequence[int], root: bytes) -> Claim:
    proofs = [(at, _leaf(at), inclusion(node, at, LEAVES)) for at in indexes]
    return Claim(
        f"verify_inclusion, {len(indexes):,} proofs at {LEAVES:,} events",
        FLOOR_NAME,
        FLOOR,
        _hashes(len(indexes)),
        lambda: [verify_inclusion(leaf, at, LEAVES, path, root) for at, leaf, path in proofs],
        lambda count, found: sum(found) == count,
    )


def _stranger(*, events: int) -> Iterator[Claim]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        signer = Signer.from_bytes(LOG, bytes(range(32)))
        AuditLog.create(folder, signer.vkey())
        log = AuditLog(folder, signer)
        made = _events(events)
        for start in range(0, events, 100):
            log.append(made[start : start + 100])
        log.close()
        words = arguments([str(folder), "--vkey", signer.vkey()])

        def agree(hashes: list[bytes], report: Report) -> bool:
            told = report.as_dict()
            whole = told["status"] == "verified" and told["size"] == events
            return bool(whole and told["root"] == _root(hashes).hex())

        yield Claim(
            f"stranger.check, {events:,} events, 100 a checkpoint",
            "sha256(0x00 || leaf) loop",
            FLOOR,
            _hash_loop([body for _, body in reversed(read_events(folder))]),
            lambda: check(words),
            agree,
        )
