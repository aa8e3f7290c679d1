"""Read a member of an archive to the end of its own bytes, and hold it to what the directory says.

The directory of an archive is a claim. A reader that stops where the directory says would take the
beginning of a member for the whole of it, and the rows behind would be lost without a word.
"""

from __future__ import annotations

import copy
import io
import lzma
import struct
import zipfile
import zlib
from typing import IO, Any, NoReturn

from engine.domain.errors import SubmissionError

BROKEN = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError),
    *(ValueError, NotImplementedError, RuntimeError, KeyError, IndexError, OverflowError),
)
"""What reading a damaged archive raises."""
_PIECE = 64 << 10


def unreadable() -> NoReturn:
    """Refuse an archive that is damaged.

    Raises:
        SubmissionError: ``FG-SUB-02``.
    """
    raise SubmissionError(
        "FG-SUB-02", "the archive cannot be read", "Make the zip again and send it."
    ) from None


def too_much() -> NoReturn:
    """Refuse an archive that is larger than an extract can be.

    Raises:
        SubmissionError: ``FG-SUB-14``.
    """
    raise SubmissionError(
        "FG-SUB-14",
        "the archive unpacks to more than an extract can be",
        "Send the files apart, or less of them at once.",
    )


class MemberStream(io.RawIOBase):
    """The bytes of a member, seekable; going back reads it again from its start.

    Args:
        archive: The archive.
        info: The member, as the directory describes it.

    Raises:
        SubmissionError: ``FG-SUB-02`` it is packed in another way than by deflate, or damaged: its
            bytes end early, go on behind their end, or have another sum or size than stated;
            ``FG-SUB-14`` it grows beyond the size that the directory states.
    """

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise SubmissionError(
                "FG-SUB-02",
                "the archive is packed in an unusual way",
                "Make an ordinary zip (deflate) and send that.",
            )
        self._archive, self._info = archive, info
        self._packed = info.compress_type == zipfile.ZIP_DEFLATED
        self._open()

    def _open(self) -> None:
        # The packed bytes themselves: as if they were stored, and with no sum to hold them to.
        plain = copy.copy(self._info)
        plain.compress_type, plain.file_size = zipfile.ZIP_STORED, plain.compress_size
        del plain.CRC
        try:
            self._raw: IO[bytes] = self._archive.open(plain)
        except BROKEN:
            unreadable()
        self._inflate = zlib.decompressobj(-15)
        self._at = self._sum = 0
        self._ended = False

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def seekable(self) -> bool:
        """It is read from anywhere."""
        return True

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a place."""
        base = {0: 0, 1: self._at, 2: self._info.file_size}[whence]
        wanted = max(0, base + offset)
        if wanted < self._at:
            self._open()
        while self._at < wanted and self._read(min(_PIECE, wanted - self._at)):
            pass
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read on from the place."""
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _read(self, count: int) -> bytes:
        data = b""
        try:
            while not data and not self._ended:
                data = self._next(count)
        except BROKEN:
            unreadable()
        self._at += len(data)
        self._sum = zlib.crc32(data, self._sum)
        if self._at > self._info.file_size:
            too_much()
        if self._ended and not data:
            self._check()
        return data

    def _next(self, count: int) -> bytes:
        if not self._packed:
            data = self._raw.read(count)
            self._ended = not data
            return data
        fed = self._inflate.unconsumed_tail or self._raw.read(_PIECE)
        data = self._inflate.decompress(fed, count)
        self._ended = self._inflate.eof or (not fed and not data)
        return data

    def _check(self) -> None:
        whole = not self._packed or (
            self._inflate.eof and not self._inflate.unused_data and not self._raw.read(1)
        )
        if not whole or self._at != self._info.file_size or self._sum != self._info.CRC:
            unreadable()
