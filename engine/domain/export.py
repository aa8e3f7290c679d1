"""CSV for people to open: a cell never begins like a formula, whatever program opens it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What spreadsheet programs take for the beginning of a formula, full-width forms among it."""


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV (RFC 4180), every cell safe to open in a spreadsheet.

    A cell that begins like a formula gets an apostrophe before it, which the programs show as text.

    Args:
        rows: Rows of cells, the header first.
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    for row in rows:
        writer.writerow([safe_cell(cell) for cell in row])
    return stream.getvalue()


def safe_cell(cell: object) -> str:
    """Return a cell that no program takes for a formula; a plain negative number stays one."""
    text = "" if cell is None else str(cell)
    if text.startswith(_FORMULA) and not _is_number(text):
        return "'" + text
    return text


def _is_number(text: str) -> bool:
    digits = text[1:].replace(".", "", 1)
    return text[0] == "-" and digits.isascii() and digits.isdigit()
