"""Domain pseudonyms: a record's or person's name in one use alone (audit_crypto.md 2).

AES-256-SIV (RFC 5297) over a 16-byte id, with the domain, purpose and key version as associated data.
It is deterministic, reversible by the key holder and authenticated: a forged or relabelled pseudonym
is refused. A whole column is done in two block-cipher passes; the result is byte-equal to the
library's `AESSIV`, and start-up checks that it is.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.cmac import CMAC

from engine.domain.errors import VaultError
from engine.domain.ids import Pseudonym
from engine.identity.keys import Keyring

DOMAINS = ("record", "linkage", "analysis", "casework", "audit", "equality")
ID_BYTES = 16
PSEUDONYM_BYTES = 32

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Domain:
    """The pseudonyms of one domain and key version."""

    name: str
    version: int
    _key: bytes
    _associated: bytes

    def __repr__(self) -> str:
        return f"Domain({self.name}.{self.version})"

    def seal(self, ids: Sequence[bytes]) -> list[bytes]:
        """Return the 32-byte pseudonym of each 16-byte id."""
        if not ids:
            return []
        return _rows(siv_encrypt_column(self._key, self._associated, _matrix(ids, ID_BYTES)))

    def open(self, pseudonyms: Sequence[bytes]) -> list[bytes]:
        """Return the id behind each pseudonym.

        Raises:
            VaultError: ``FG-PSN-01`` when any of them was not made here; none is then returned.
        """
        if not pseudonyms:
            return []
        opened, good = siv_decrypt_column(
            self._key, self._associated, _matrix(pseudonyms, PSEUDONYM_BYTES)
        )
        if not good.all():
            raise _forged(self.name)
        return _rows(opened)

    def text(self, sealed: bytes) -> Pseudonym:
        """Return ``<domain>.<key version>.<base32>`` in lower case."""
        encoded = base64.b32encode(sealed).decode().rstrip("=").lower()
        return Pseudonym(f"{self.name}.{self.version}.{encoded}")

    def parse(self, text: str) -> bytes:
        """Return the 16-byte id behind a pseudonym's text.

        Raises:
            VaultError: ``FG-PSN-01`` for another domain or version, a bad form, or a forged value.
        """
        prefix = f"{self.name}.{self.version}."
        encoded = text[len(prefix) :].upper()
        try:
            sealed = base64.b32decode(encoded + "=" * (-len(encoded) % 8))
        except ValueError:  # Not base32, or not ASCII.
            raise _forged(self.name) from None
        if not text.startswith(prefix) or len(sealed) != PSEUDONYM_BYTES:
            raise _forged(self.name)
        if self.text(sealed) != text:
            raise _forged(self.name)
        return self.open([sealed])[0]


def domain(ring: Keyring, name: str, purpose: str = "safeguarding") -> Domain:
    """Return a domain under the current key of the ``psn`` keyring.

    Args:
        ring: The ``psn`` keyring.
        name: One of `DOMAINS`, or ``export.<agreement>``.
        purpose: Purpose bound into the pseudonym.
    """
    if ring.purpose != "psn" or (name not in DOMAINS and not name.startswith("export.")):
        raise _forged(name)
    version = ring.current
    associated = f"fieldgate|{name}|{purpose}|{version}".encode()
    return Domain(name, version, ring.derive(f"siv|{name}", 64), associated)


def _forged(name: str) -> VaultError:
    return VaultError(
        "FG-PSN-01",
        f"that is not a reference of the domain {name}",
        "Copy it again from the list.",
    )


def _matrix(values: Sequence[bytes], width: int) -> Bytes:
    joined = b"".join(values)
    if len(joined) != width * len(values) or any(len(value) != width for value in values):
        raise VaultError("FG-PSN-01", "a reference has the wrong length", "Copy it again.")
    return np.frombuffer(joined, np.uint8).reshape(len(values), width)


def _rows(matrix: Bytes) -> list[bytes]:
    data, width = matrix.tobytes(), matrix.shape[1]
    return [data[start : start + width] for start in range(0, len(data), width)]


def _aes_block_permutation(key: bytes, blocks: Bytes, *, inverse: bool = False) -> Bytes:
    """Apply AES to each 16-byte block on its own: the building block of SIV below, not a mode.

    The mode implemented in this module is SIV (RFC 5297); nothing else may call this function.
    """
    cipher = Cipher(algorithms.AES256(key), modes.ECB())  # noqa: S305
    context = cipher.decryptor() if inverse else cipher.encryptor()
    data = context.update(np.ascontiguousarray(blocks).tobytes()) + context.finalize()
    return np.frombuffer(data, np.uint8).reshape(blocks.shape)


def _double(block: bytes) -> bytes:
    value = int.from_bytes(block, "big") << 1
    if value >> 128:
        value = (value ^ 0x87) & ((1 << 128) - 1)
    return value.to_bytes(16, "big")


def _cmac(key: bytes, data: bytes) -> bytes:
    mac = CMAC(algorithms.AES256(key))
    mac.update(data)
    return mac.finalize()


def _xor(first: bytes, second: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(first, second, strict=True))


def _mask(key: bytes, associated: bytes) -> Bytes:
    """The constant of S2V and CMAC for a final block of 16 bytes: D xor the first CMAC sub-key."""
    start = _xor(_double(_cmac(key, bytes(16))), _cmac(key, associated))
    zero = Cipher(algorithms.AES256(key), modes.ECB()).encryptor().update(bytes(16))  # noqa: S305
    return np.frombuffer(_xor(start, _double(zero)), np.uint8)


def _keystream(key: bytes, tags: Bytes) -> Bytes:
    counters = tags.copy()
    counters[:, 8] &= 0x7F
    counters[:, 12] &= 0x7F
    return _aes_block_permutation(key, counters)


def siv_encrypt_column(key: bytes, associated: bytes, plain: Bytes) -> Bytes:
    """Return AES-256-SIV of every 16-byte row: tag and ciphertext, 32 bytes a row."""
    tags = _aes_block_permutation(key[:32], plain ^ _mask(key[:32], associated))
    return np.concatenate([tags, plain ^ _keystream(key[32:], tags)], axis=1)


def siv_decrypt_column(
    key: bytes, associated: bytes, sealed: Bytes
) -> tuple[Bytes, npt.NDArray[np.bool_]]:
    """Return the plain rows and, per row, whether its tag verifies."""
    tags, body = sealed[:, :16], sealed[:, 16:]
    plain = body ^ _keystream(key[32:], tags)
    expected = _aes_block_permutation(key[:32], plain ^ _mask(key[:32], associated))
    difference = np.bitwise_or.reduce(expected ^ tags, axis=1)
    return plain, difference == 0


def self_test() -> None:
    """Refuse to run when the column form and the library's AES-SIV disagree.

    Raises:
        VaultError: ``FG-PSN-02``.
    """
    key, associated = bytes(range(64)), b"fieldgate|self-test"
    plain = np.arange(48, dtype=np.uint8).reshape(3, 16)
    sealed = siv_encrypt_column(key, associated, plain)
    library = AESSIV(key)
    try:
        same = all(
            library.decrypt(sealed[row].tobytes(), [associated]) == plain[row].tobytes()
            for row in range(3)
        )
    except InvalidTag:
        same = False
    if not same:
        raise VaultError("FG-PSN-02", "the AES-SIV self-test failed", "Do not use this build.")
