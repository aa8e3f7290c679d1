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
    try:
        for block in iter(lambda: stream.read(1 << 20), b""):
            decoder.decode(block)
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
        data = rest + chunk
        if not plain:
            yield Block(chunk, _NO_LINES, line, plain=False)
            continue
        found = np.frombuffer(data, np.uint8)
        ends = _record_ends(found)
        if not len(ends):
            if len(data) > MAX_RECORD:
                plain, rest = False, b""
                yield Block(data, _NO_LINES, line, plain=False)
            else:
                rest = data
            continue
        cut = int(ends[-1]) + 1
        whole, rest = data[:cut], data[cut:]
        if not _well_quoted(found[:cut], ord(delimiter)):
            plain = False
            yield Block(data, _NO_LINES, line, plain=False)
            rest = b""
            continue
        made = _block(whole, found[:cut], ends, line)
        yield made
        line += int(np.count_nonzero(found[:cut] == _NEWLINE))
    if rest:
        found = np.frombuffer(rest, np.uint8)
        if plain and _well_quoted(found, ord(delimiter)) and _even(found):
            yield _block(rest, found, _record_ends(found), line)
        else:
            yield Block(rest, _NO_LINES, line, plain=False)


_NO_LINES: npt.NDArray[np.int64] = np.zeros(0, np.int64)


def _even(data: npt.NDArray[np.uint8]) -> bool:
    return int(np.count_nonzero(data == _QUOTE)) % 2 == 0


def _record_ends(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return the places of line feeds that stand outside quotes."""
    newlines = np.flatnonzero(data == _NEWLINE)
    quotes = np.flatnonzero(data == _QUOTE)
    if not len(quotes):
        return newlines
    before = np.searchsorted(quotes, newlines)
    outside: npt.NDArray[np.int64] = newlines[before % 2 == 0]
    return outside


def _well_quoted(data: npt.NDArray[np.uint8], delimiter: int) -> bool:
    """Say whether quotes open only at the start of a cell and close only at its end.

    A carriage return that ends a line by itself is left to the careful reader too.
    """
    returns = np.flatnonzero(data == _RETURN)
    if len(returns):
        after = np.minimum(returns + 1, len(data) - 1)
        if not (data[after] == _NEWLINE).all():
            return False
    quotes = np.flatnonzero(data == _QUOTE)
    if not len(quotes):
        return True
    opening, closing = quotes[0::2], quotes[1::2]
    before = np.where(opening > 0, data[np.maximum(opening - 1, 0)], _NEWLINE)
    good = (before == delimiter) | (before == _NEWLINE) | (before == _QUOTE)
    if not good.all():
        return False
    after = np.where(
        closing + 1 < len(data), data[np.minimum(closing + 1, len(data) - 1)], _NEWLINE
    )
    good = (after == delimiter) | (after == _NEWLINE) | (after == _RETURN) | (after == _QUOTE)
    # A pair of quotes is one quote in a cell; only then may a quote open after a quote.
    doubled = closing + 1 == np.append(opening[1:], -1)[: len(closing)]
    reopened = (after == _QUOTE) & ~doubled
    return bool(good.all() and not reopened.any())


def _block(
    data: bytes,
    found: npt.NDArray[np.uint8],
    ends: npt.NDArray[np.int64],
    line: int,
) -> Block:
    newlines = np.flatnonzero(found == _NEWLINE)
    starts = np.concatenate([[0], ends + 1])
    if starts[-1] >= len(data):
        starts = starts[:-1]
    return Block(data, line + np.searchsorted(newlines, starts), line, plain=True)
