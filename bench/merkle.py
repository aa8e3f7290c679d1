"""The audit log: what the tree and its full verification cost above hashing the leaves once."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit.event import make_event
from audit.log import CHECKPOINTS, AuditLog, read_events
from audit.merkle import EMPTY, Frontier, leaf_hash
from audit.note import Signer
from audit.report import Report
from audit.verify import verify
from bench.measure import FLOOR, Claim

LEAVES, LEAF_BYTES = 100_000, 370
FLOOR_NAME = "sha256(0x00 || leaf) loop"
LOG = "bench.example/log"


def claims() -> Iterator[Claim]:
    """Yield the claims of this group."""
    chance = random.Random(2)
    leaves = [chance.randbytes(LEAF_BYTES) for _ in range(LEAVES)]
    yield Claim(
        f"Frontier.append, {LEAVES:,} leaves of {LEAF_BYTES} bytes",
        FLOOR_NAME,
        FLOOR,
        _hash_loop(leaves),
        lambda: _grow(leaves),
        lambda hashes, frontier: _root(hashes) == frontier.root(),
    )
    yield from _stored(events=20_000, batch=100)
    yield from _stored(events=2_000, batch=1)


def _hash_loop(leaves: Sequence[bytes]) -> Callable[[], list[bytes]]:
    sha256 = hashlib.sha256
    return lambda: [sha256(b"\x00" + leaf).digest() for leaf in leaves]


def _grow(leaves: Sequence[bytes]) -> Frontier:
    frontier = EMPTY
    for leaf in leaves:
        frontier = frontier.append(leaf_hash(leaf))
    return frontier


def _root(hashes: Sequence[bytes]) -> bytes:
    """The root by levels; a last node without a partner moves up (RFC 6962, another way round)."""
    level = list(hashes)
    while len(level) > 1:
        odd = [level[-1]] if len(level) % 2 else []
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [hashlib.sha256(b"\x01" + left + right).digest() for left, right in pairs] + odd
    return level[0]


def _stored(*, events: int, batch: int) -> Iterator[Claim]:
    """A log in a temporary folder; its writing is not timed."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        signer = Signer.from_bytes(LOG, bytes(range(32)))
        AuditLog.create(folder, signer.vkey())
        log = AuditLog(folder, signer)
        made = _events(events)
        for start in range(0, events, batch):
            log.append(made[start : start + batch])
        log.close()
        hash_loop = _hash_loop([body for _, body in reversed(read_events(folder))])
        signed = _signatures((folder / CHECKPOINTS).read_text(encoding="utf-8"))
        public = Ed25519PublicKey.from_public_bytes(signer.public())

        def floor() -> list[bytes]:
            if batch == 1:  # Signatures then weigh more than hashes; no reader gets round them.
                for signature, text in signed:
                    public.verify(signature, text)
            return hash_loop()

        def agree(hashes: list[bytes], report: Report) -> bool:
            whole = report.status == "verified" and report.size == events
            whole = whole and report.checkpoints == len(signed)
            return whole and report.root == _root(hashes).hex()

        yield Claim(
            f"audit.verify, {events:,} events, {batch} a checkpoint",
            "sha256 loop, 1 Ed25519 verify each" if batch == 1 else FLOOR_NAME,
            FLOOR,
            floor,
            lambda: verify(folder, vkey=signer.vkey()),
            agree,
        )


def _signatures(notes: str) -> list[tuple[bytes, bytes]]:
    """Return (signature, signed text) of each published note, so that only verifying is left."""
    found = []
    for note in notes.rstrip("\n").split("\n\n" + LOG + "\n"):
        text, _, line = note.removeprefix(LOG + "\n").rpartition("\n\n")
        raw = base64.b64decode(line.rsplit(" ", 1)[1])
        found.append((raw[4:], f"{LOG}\n{text}\n".encode()))
    return found


def _events(count: int) -> list[dict[str, Any]]:
    """Intents, each followed by its outcome."""
    chance = random.Random(3)
    start = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
    actor = {"id": "bench", "org": "host", "role": "operator", "auth": "demo"}
    return [
        make_event(
            log=LOG,
            kind="consultation",
            phase="outcome" if number % 2 else "intent",
            flow="reveal",
            intent=f"intent-{number // 2}",
            actor=actor,
            now=start + timedelta(milliseconds=number),
            random=chance.randbytes(10),
            details={"source": "council.persons", "purpose": "safeguard_child"},
        )
        for number in range(count)
    ]
