"""Pseudonyms of a column: one row of AES-SIV at a time, or two block passes over all of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from bench.measure import FLOOR, PEER, Claim
from engine.identity.keys import Keyring
from engine.identity.pseudonyms import Bytes, domain, siv_encrypt_column

IDS = 200_000
NAME, PURPOSE = "analysis", "safeguarding"


def claims() -> Iterator[Claim]:
    """Yield the claims of this group."""
    chance = random.Random(1)
    ring = Keyring("psn", {1: chance.randbytes(32)})
    made = domain(ring, NAME, PURPOSE)
    key = ring.derive(f"siv|{NAME}", 64)
    associated = f"fieldgate|{NAME}|{PURPOSE}|{ring.current}".encode()
    joined = chance.randbytes(16 * IDS)
    ids = [joined[start : start + 16] for start in range(0, len(joined), 16)]
    library = AESSIV(key)
    yield Claim(
        f"Domain.seal, {IDS:,} ids, list to list",
        "loop over cryptography's AESSIV",
        PEER,
        lambda: [library.encrypt(one, [associated]) for one in ids],
        lambda: made.seal(ids),
        lambda theirs, ours: theirs == ours,
    )
    plain = np.frombuffer(joined, np.uint8).reshape(IDS, 16)
    sealed = siv_encrypt_column(key, associated, plain)
    yield _floor(key, plain, sealed, lambda: siv_encrypt_column(key, associated, plain))


def _floor(
    key: bytes,
    plain: Bytes,
    sealed: Bytes,
    ours: Callable[[], Bytes],
) -> Claim:
    """The floor: AES over the two buffers that SIV has to encrypt, made beforehand and contiguous."""
    raw = Cipher(algorithms.AES256(key[:32]), modes.ECB()).decryptor()
    masked = raw.update(sealed[:, :16].tobytes())
    counters = sealed[:, :16].copy()
    counters[:, [8, 12]] &= 0x7F
    buffers = ((key[:32], masked), (key[32:], counters.tobytes()))

    def two_passes() -> list[bytes]:
        return [
            Cipher(algorithms.AES256(half), modes.ECB()).encryptor().update(data)
            for half, data in buffers
        ]

    def agree(blocks: list[bytes], found: Bytes) -> bool:
        tags, stream = (np.frombuffer(data, np.uint8).reshape(-1, 16) for data in blocks)
        return np.array_equal(np.concatenate([tags, plain ^ stream], axis=1), found)

    what = f"siv_encrypt_column, {IDS:,} ids, array to array"
    return Claim(what, "two raw AES passes", FLOOR, two_passes, ours, agree)
