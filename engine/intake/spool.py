"""A spool for what arrives over the network: encrypted under a key that lives in memory only.

No byte of a delivery stands on a disk in clear, not even for a moment; when the process ends the key
is gone, and what is left of a spool can be read by nobody.
"""

from __future__ import annotations

import io
import os
import struct
import tempfile
import weakref
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CHUNK = 1 << 20
_OVERHEAD = 16


class Spool(io.RawIOBase):
    """Written once from front to back, then read with seeks.

    Args:
        path: Where it stands; made with rights for the owner only.
        key: 32 random bytes of this delivery.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(descriptor, "r+b", buffering=0)
        self._path = path
        self._cipher = AESGCM(key)
        self._pending = bytearray()
        self._chunks = 0
        self._size = 0
        self._place = 0
        self._sealed = False
        self._held: tuple[int, bytes] | None = None

    @classmethod
    def nameless(cls) -> Spool:
        """Return a spool under a key of its own, whose file is gone from its folder before it is used.

        It ends with this object: nothing is left to be found, not even after a crash.
        """
        folder = Path(tempfile.mkdtemp(prefix="fieldgate-"))
        made = cls(folder / "spool", os.urandom(32))
        made._path.unlink()
        folder.rmdir()
        weakref.finalize(made, made._file.close)
        return made

    def write(self, data: Any) -> int:
        """Take in more bytes."""
        if self._sealed:
            raise io.UnsupportedOperation("the spool is complete")
        self._pending += data
        self._size += len(data)
        while len(self._pending) >= CHUNK:
            self._put(bytes(self._pending[:CHUNK]))
            del self._pending[:CHUNK]
        return len(data)

    def complete(self) -> None:
        """End writing; from now on it is read."""
        if self._pending:
            self._put(bytes(self._pending))
            self._pending.clear()
        self._sealed = True
        self._place = 0

    def _put(self, plain: bytes) -> None:
        # Each chunk is sealed under its number: chunks can be neither swapped nor cut off unseen.
        self._file.write(self._cipher.encrypt(_nonce(self._chunks), plain, None))
        self._chunks += 1

    def _chunk(self, number: int) -> bytes:
        if self._held is None or self._held[0] != number:
            self._file.seek(number * (CHUNK + _OVERHEAD))
            sealed = self._file.read(CHUNK + _OVERHEAD)
            self._held = (number, self._cipher.decrypt(_nonce(number), sealed, None))
        return self._held[1]

    def readable(self) -> bool:
        """It is read once it is complete."""
        return self._sealed

    def seekable(self) -> bool:
        """It is read from anywhere."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a place."""
        base = {0: 0, 1: self._place, 2: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def tell(self) -> int:
        """Return the place."""
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Read on from the place."""
        if self._place >= self._size:
            return 0
        number, start = divmod(self._place, CHUNK)
        data = self._chunk(number)[start : start + len(buffer)]
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def destroy(self) -> None:
        """Take the file away; its key goes with this object."""
        self._held = None
        self._file.close()
        self._path.unlink(missing_ok=True)


def _nonce(number: int) -> bytes:
    return struct.pack(">4xQ", number)
