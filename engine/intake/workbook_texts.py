"""The texts that the cells of a workbook share, kept out of memory: sealed on a disk without a name.

Many programs write every text once and let the cells point at it, so that the list of texts grows with
the file. It stands in two spools whose key lives in memory only and whose files have no name.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable

from engine.intake.spool import Spool

_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
_AT = struct.Struct("<q")


def unescaped(text: str) -> str:
    """Return a text whose control characters stood as ``_x000D_``."""
    if "_x" not in text:
        return text
    plain = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    # Two halves of a character are one; a half alone is no text.
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class SharedTexts:
    """Texts by their number, written once and then read."""

    def __init__(self) -> None:
        self._texts, self._ends = Spool.nameless(), Spool.nameless()
        self._count = self._size = 0

    def add(self, text: str) -> None:
        """Take in the next text."""
        held = text.encode("utf-8", "surrogatepass")
        self._size += len(held)
        self._count += 1
        self._texts.write(held)
        self._ends.write(_AT.pack(self._size))

    def complete(self) -> None:
        """End writing."""
        self._texts.complete()
        self._ends.complete()

    def some(self, numbers: Iterable[int]) -> dict[int, str]:
        """Return some of the texts; they are read in the order in which they stand.

        Raises:
            IndexError: There is no such text.
        """
        found: dict[int, str] = {}
        for number in sorted(numbers):
            if not 0 <= number < self._count:
                raise IndexError("there is no such text")
            start = self._end(number - 1) if number else 0
            held = _read(self._texts, start, self._end(number) - start)
            found[number] = held.decode("utf-8", "surrogatepass")
        return found

    def _end(self, number: int) -> int:
        end: int = _AT.unpack(_read(self._ends, number * _AT.size, _AT.size))[0]
        return end


def _read(spool: Spool, start: int, count: int) -> bytes:
    spool.seek(start)
    held = b""
    while len(held) < count and (more := spool.read(count - len(held))):
        held += more
    return held
