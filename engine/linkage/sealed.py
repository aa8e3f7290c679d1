"""Encoded words as they stand in the store: sealed, so that only the linkage process can read them.

Whoever reads the store without the linkage key has pseudonyms, dates and versions, and no word that could be
compared with another (frequency and graph attacks, linkage.md 3.6). Each row is sealed with AES-256-GCM
under a key of its own purpose and bound to its record and key version: none can be moved to another record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.domain.errors import LinkageError
from engine.domain.ids import Randomness
from engine.linkage.encode import COLUMNS, ENCODER_VERSION, Words

STORED = f"{ENCODER_VERSION}s"
"""Version of an encoding as it stands in the store; what was not sealed has the encoder's alone."""
_NONCE = 12


@dataclass(frozen=True)
class Seal:
    """Seals and opens words under one version of the linkage key.

    Attributes:
        key: 32 secret bytes, derived for this and nothing else.
        version: Version of the linkage key.
    """

    key: bytes = field(repr=False)
    version: int

    def seal(self, records: Sequence[bytes], words: Words, randomness: Randomness) -> list[bytes]:
        """Return the sealed words of each record."""
        cipher, nonces = AESGCM(self.key), randomness(_NONCE * len(records))
        plain = np.ascontiguousarray(words, "<i8")
        sealed = []
        for row, record in enumerate(records):
            nonce = nonces[row * _NONCE : (row + 1) * _NONCE]
            sealed.append(nonce + cipher.encrypt(nonce, plain[row].tobytes(), self._bound(record)))
        return sealed

    def open(self, records: Sequence[bytes], sealed: Sequence[bytes]) -> Words:
        """Return the words of some records as ``int64[record, COLUMNS]``.

        Raises:
            LinkageError: ``FG-LNK-13`` another key sealed one of them, or it was altered or moved.
        """
        cipher = AESGCM(self.key)
        try:
            raw = b"".join(
                cipher.decrypt(one[:_NONCE], one[_NONCE:], self._bound(record))
                for record, one in zip(records, sealed, strict=True)
            )
            found = np.frombuffer(raw, "<i8").astype(np.int64)
            return found.reshape(len(records), len(COLUMNS))
        except (InvalidTag, ValueError):
            raise LinkageError(
                "FG-LNK-13",
                "encodings do not open under this linkage key, or were altered",
                "Bring back the right linkage key, or make them again: fieldgate keys reencode.",
            ) from None

    def _bound(self, record: bytes) -> bytes:
        return f"fieldgate words|{self.version}|".encode() + record
