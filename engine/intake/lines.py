"""Cut a CSV file into blocks of whole records, and say on which physical line each record begins.

Row numbers in a finding are lines of the file as the agency sees it in an editor: a byte order mark,
an instruction line, blank lines and line breaks inside quotes all count (B37). Counting is done on
bytes with numpy; a block whose quotes are not written as RFC 4180 asks is left to the careful reader.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

BLOCK = 16 << 20
MAX_RECORD = 48 << 20
_QUOTE, _NEWLINE, _RETURN = 0x22, 0x0A, 0x0D


@dataclass(frozen=True)
class Block:
    """Whole records as UTF-8.

    Attributes:
        data: The bytes.
        lines: Physical line on which each record begins; empty when `plain` is False.
        first: Physical line on which the block begins.
        plain: Whether the quotes are written so that the fast reader reads them right.
    """

    data: bytes = field(repr=False)
    lines: npt.NDArray[np.int64] = field(repr=False)
    first: int
    plain: bool


def encoding_of(stream: BinaryIO) -> str:
    """Return the encoding of a file: UTF-16 by its mark, UTF-8 when every byte fits, else Windows-1252.

    A file that holds bytes which Windows-1252 leaves open is read as Latin-1. What was found stands in
    the receipt. The stream stands at its start afterwards.
    """
    head = stream.read(4)
    stream.seek(0)
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if _fits(stream, "utf-8"):
        return "utf-8-sig" if head.startswith(b"\xef\xbb\xbf") else "utf-8"
    return "cp1252" if _fits(stream, "cp1252") else "latin-1"


def _fits(stream: BinaryIO, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    waiting = False
    try:
        for block in iter(lambda: stream.read(1 << 20), b""):
            # Letters that every encoding shares need no decoding, unless one is cut in two before them.
            if waiting or not block.isascii():
                decoder.decode(block)
                waiting = bool(decoder.getstate()[0])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    finally:
        stream.seek(0)
    return True


def utf8_chunks(stream: BinaryIO, encoding: str) -> Iterator[bytes]:
    """Yield a file as UTF-8 without a byte order mark, a chunk at a time.

    Raises:
        UnicodeDecodeError: The bytes are not of the encoding.
    """
    if encoding == "utf-8":
        yield from iter(lambda: stream.read(BLOCK), b"")
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    for chunk in iter(lambda: stream.read(BLOCK), b""):
        yield decoder.decode(chunk).encode()
    yield decoder.decode(b"", final=True).encode()


def blocks(chunks: Iterator[bytes], delimiter: str, first: int = 1) -> Iterator[Block]:
    """Yield blocks of whole records.

    Args:
        chunks: The file as UTF-8.
        delimiter: One byte.
        first: Physical line of the first byte.

    Once a block's quotes are not plain, everything after it belongs to one block stream that is not
    plain either: a quote that was left open may reach anywhere.
    """
    rest, line, plain = b"", first, True
    for chunk in chunks:
        if not plain:
            yield Block(chunk, _NO_LINES, line, plain=False)
            continue
        data = rest + chunk
        marks = _Marks(data)
        if not len(marks.ends):
            if len(data) > MAX_RECORD:
                plain, rest = False, b""
                yield Block(data, _NO_LINES, line, plain=False)
            else:
                rest = data
            continue
        cut = int(marks.ends[-1]) + 1
        whole = data[:cut]
        if not marks.well_quoted(whole, delimiter):
            plain, rest = False, b""
            yield Block(data, _NO_LINES, line, plain=False)
            continue
        rest = data[cut:]
        yield marks.block(whole, line)
        line += marks.newlines_before(cut)
    if rest:
        marks = _Marks(rest)
        if plain and marks.well_quoted(rest, delimiter) and len(marks.quotes) % 2 == 0:
            yield marks.block(rest, line)
        else:
            yield Block(rest, _NO_LINES, line, plain=False)


_NO_LINES: npt.NDArray[np.int64] = np.zeros(0, np.int64)


class _Marks:
    """Where line feeds and quotes stand in a text, looked for once."""

    def __init__(self, data: bytes) -> None:
        found = np.frombuffer(data, np.uint8)
        self._found = found
        self.newlines: npt.NDArray[np.int64] = np.flatnonzero(found == _NEWLINE)
        self.quotes: npt.NDArray[np.int64] = (
            np.flatnonzero(found == _QUOTE) if b'"' in data else _NO_LINES
        )
        self.ends = self.newlines
        if len(self.quotes):
            # How many quotes stand before each line feed, modulo 256: only whether they are even counts.
            before = np.zeros(len(self.newlines) + 1, np.uint8)
            np.add.at(before, np.searchsorted(self.newlines, self.quotes), np.uint8(1))
            outside = np.cumsum(before[:-1], dtype=np.uint8) % 2 == 0
            self.ends = self.newlines[outside]  # Those outside quotes end a record.

    def newlines_before(self, cut: int) -> int:
        """Return the number of line feeds in the first bytes."""
        return int(np.searchsorted(self.newlines, cut))

    def well_quoted(self, whole: bytes, delimiter: str) -> bool:
        """Say whether quotes open only at the start of a cell and close only at its end.

        A carriage return that ends a line by itself is left to the careful reader too.
        """
        cut = len(whole)
        if b"\r" in whole and self._lone_returns(cut):
            return False
        quotes = self.quotes[: int(np.searchsorted(self.quotes, cut))]
        if not len(quotes):
            return True
        data, mark = self._found[:cut], ord(delimiter)
        opening, closing = quotes[0::2], quotes[1::2]
        before = np.where(opening > 0, data[np.maximum(opening - 1, 0)], _NEWLINE)
        good = (before == mark) | (before == _NEWLINE) | (before == _QUOTE)
        if not good.all():
            return False
        after = np.where(closing + 1 < cut, data[np.minimum(closing + 1, cut - 1)], _NEWLINE)
        good = (after == mark) | (after == _NEWLINE) | (after == _RETURN) | (after == _QUOTE)
        # A pair of quotes is one quote in a cell; only then may a quote open after a quote.
        doubled = closing + 1 == np.append(opening[1:], -1)[: len(closing)]
        reopened = (after == _QUOTE) & ~doubled
        return bool(good.all() and not reopened.any())

    def _lone_returns(self, cut: int) -> bool:
        """Say whether a carriage return stands in the first bytes without its line feed."""
        data = self._found[:cut]
        ends = self.newlines[: int(np.searchsorted(self.newlines, cut))]
        paired = np.count_nonzero(data[ends[ends > 0] - 1] == _RETURN)
        return bool(np.count_nonzero(data == _RETURN) != paired)

    def block(self, whole: bytes, line: int) -> Block:
        """Return a block of whole records with the line on which each begins."""
        ends = self.ends[: int(np.searchsorted(self.ends, len(whole)))]
        starts = np.concatenate([[0], ends + 1])
        if starts[-1] >= len(whole):
            starts = starts[:-1]
        if not len(self.quotes):
            return Block(whole, line + np.arange(len(starts)), line, plain=True)
        return Block(whole, line + np.searchsorted(self.newlines, starts), line, plain=True)
