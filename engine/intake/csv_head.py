"""The beginning of a CSV file, and its lines: decoded, bounded, and never without an end."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections.abc import Iterator
from typing import BinaryIO

from engine.domain.errors import SubmissionError
from engine.intake.lines import encoding_of, utf8_chunks
from engine.intake.parts import MAX_CELL, MAX_HEADER

_PIECE = 1 << 20
DELIMITERS = ",;|\t^~\x1f"
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


def decoded(stream: BinaryIO, encoding: str) -> Iterator[bytes]:
    """Yield a file as UTF-8.

    Raises:
        SubmissionError: ``FG-SUB-02`` bytes of no encoding, or zero bytes.
    """
    chunks = utf8_chunks(stream, encoding)
    while True:
        try:
            chunk = next(chunks, None)
        except UnicodeDecodeError:
            raise SubmissionError(
                "FG-SUB-02",
                "the file holds bytes of no known encoding",
                "Send the file as UTF-8.",
            ) from None
        if chunk is None:
            return
        if b"\x00" in chunk:
            raise SubmissionError(
                "FG-SUB-02",
                "the file is neither CSV nor a format of the contract: it holds zero bytes",
                "Save it as CSV (UTF-8) and send that.",
            )
        if chunk:
            yield chunk


def head_of(chunks: Iterator[bytes]) -> tuple[str, bytes, int]:
    """Return the header record, what was read beyond it, and the number of lines it took.

    Raises:
        SubmissionError: ``FG-SUB-17`` it never ends.
    """
    head = b""
    for chunk in chunks:
        head += chunk
        end = _record_end(head)
        if end is not None:
            break
        if len(head) > MAX_HEADER:
            raise SubmissionError(
                "FG-SUB-17", "the header of the file never ends", "Send a file with a header row."
            )
    else:
        end = len(head)
    record = head[:end]
    lines = max(1, record.count(b"\n") or record.count(b"\r"))
    return record.decode("utf-8", errors="replace"), head[end:], lines


SEPARATOR = re.compile(r"\ufeff?sep=(.)\s*")
"""What some spreadsheets write above a header to say what stands between its names."""


def records_above(chunks: Iterator[bytes], most: int) -> Iterator[tuple[str, Iterator[bytes], int]]:
    """Yield the first records of a file: each one's text, what follows it, and the line that comes then.

    Args:
        chunks: The file as UTF-8.
        most: Number of records after which no header is looked for.

    Raises:
        SubmissionError: ``FG-SUB-17`` one of them never ends.
    """
    line = 1
    for _ in range(most):
        text, rest, lines = head_of(chunks)
        chunks = itertools.chain([rest] if rest else [], chunks)
        line += lines
        yield text, chunks, line
        if not rest:
            ahead = next(chunks, b"")
            if not ahead:
                return
            chunks = itertools.chain([ahead], chunks)


def _record_end(head: bytes) -> int | None:
    """Return where the first record of a text ends, or None when it does not."""
    quoted = False
    for match in re.finditer(rb'["\n\r]', head):
        if match.group() == b'"':
            quoted = not quoted
        elif not quoted:
            end = match.end()
            return end + 1 if match.group() == b"\r" and head[end : end + 1] == b"\n" else end
    return None


def delimiter_of(header: str) -> str:
    """Return what stands between the names of a header; what stands inside quotes is part of a name."""
    return max(DELIMITERS, key=_QUOTED.sub("", header).count)


def sample_of(stream: BinaryIO, rows: int) -> list[list[str]]:
    """Return the header and the first rows of a file as texts; for drafting a contract."""
    encoding = encoding_of(stream)
    header_line, body, _ = head_of(chunks := decoded(stream, encoding))
    said = SEPARATOR.fullmatch(header_line)
    if said is not None:
        header_line, body, _ = head_of(chunks := itertools.chain([body], chunks))
    delimiter = said.group(1) if said is not None else delimiter_of(header_line)
    names = [name.strip() for name in next(csv.reader([header_line], delimiter=delimiter), [])]
    lines = text_lines(itertools.chain([body], chunks))
    try:
        found = list(itertools.islice(csv.reader(lines, delimiter=delimiter), rows))
    except csv.Error:
        raise unclosed(2) from None
    return [names, *found]


def unclosed(line: int) -> SubmissionError:
    """Return the error of a quote that never closes."""
    return SubmissionError(
        "FG-SUB-02",
        f"the file stops being CSV at row {line}: a quote is never closed, or a cell is endless",
        "Correct the row in the system that makes the file and send it again.",
    )


def text_lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Yield lines with their ends; a line end is a line feed, a carriage return, or both."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    rest = ""
    pieces = (
        chunk[start : start + _PIECE] for chunk in chunks for start in range(0, len(chunk), _PIECE)
    )
    for piece in pieces:
        held = ""
        for line in io.StringIO(rest + decoder.decode(piece), newline=""):
            if held:
                yield held
            held = line
        # The last may go on in the next chunk, and a carriage return may be followed by its line feed.
        rest = held
        if len(rest) > 4 * MAX_CELL:
            yield rest
            rest = ""
    yield from io.StringIO(rest + decoder.decode(b"", final=True), newline="")
