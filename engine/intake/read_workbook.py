"""Read workbooks and Parquet: values only, a sheet a table, dates as dates and ids as they look."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.domain.errors import ContractError, SubmissionError
from engine.intake.contract import Contract, FieldContract
from engine.intake.parts import (
    MAX_COLUMNS,
    Batch,
    Columns,
    Part,
    match_header,
    plain_name,
    wrong_layout,
)
from engine.intake.workbook_cells import BLOCK_ROWS, Row, Workbook
from engine.intake.workbook_hazards import check_workbook
from engine.intake.workbook_numbers import plain_number, shown

HEADER_WITHIN = 12
"""Rows at the top of a sheet among which the header is looked for; titles and notes stand above it."""


def open_workbook(stream: BinaryIO, contract: Contract) -> list[Part]:
    """Open a workbook: every sheet that is a table of the contract.

    Raises:
        SubmissionError: ``FG-SUB-02`` unreadable, ``FG-SUB-14`` too large, ``FG-SUB-16`` a formula.
        ContractError: ``FG-SUB-03`` or ``FG-SUB-04``.
    """
    layouts = contract.layouts_of("xlsx")
    check_workbook(stream)
    book = Workbook(stream)
    parts: list[Part] = []
    wrong: dict[str, ContractError] = {}
    left_out: list[Mapping[str, str]] = []
    for sheet, path in book.sheets:
        named = next((one.id for one in contract.tables if one.named(sheet)), None)
        if named is None and any(one.sheets for one in contract.tables):
            left_out.append(_left_out(sheet, "is no table of the contract"))
            continue
        if not any(_filled(cells) for block in book.rows(path) for _, cells in block):
            left_out.append(_left_out(sheet, "is empty"))
            continue
        found = _header(top_of(book, path), contract, layouts, named)
        if not isinstance(found, ContractError):
            parts.append(_sheet_part(sheet, (book, path), *found, contract))
        elif named is None:
            wrong.setdefault(sheet, found)
            left_out.append(_left_out(sheet, "has no header of the contract"))
        else:
            wrong[sheet] = found
    # A sheet that bears the name of a table is meant to be read; another may be a cover or notes.
    if not parts or any(one.named(sheet) for sheet in wrong for one in contract.tables):
        raise _no_header(contract, wrong)
    parts[0].notes += left_out
    return parts


def _left_out(sheet: str, why: str) -> Mapping[str, str]:
    return {
        "id": "sheet",
        "element": plain_name(sheet),
        "says": f"the sheet {why} and was not read",
        "do": "Nothing, if it holds no rows for this source.",
    }


def _no_header(contract: Contract, wrong: Mapping[str, ContractError]) -> ContractError:
    """Return the error of a workbook, with what is wrong with each of its sheets."""
    if not wrong:
        return wrong_layout(contract, "no sheet has a name that the contract knows")
    sheets = [f"{plain_name(sheet)}: {error.message}" for sheet, error in wrong.items()]
    if len(sheets) == 1:
        return next(iter(wrong.values()))
    made = wrong_layout(contract, f"{len(sheets)} sheets have no header of it")
    made.reasons = tuple(sheets)
    return made


def _filled(cells: Mapping[int, str]) -> bool:
    return any(text.strip() for text in cells.values())


def top_of(book: Workbook, path: str, rows: int = HEADER_WITHIN) -> list[list[str]]:
    """Return the first rows of a sheet, rows and cells between them empty."""
    found: list[list[str]] = []
    for block in book.rows(path):
        for number, cells in block:
            if number > rows:
                return found
            found += [[] for _ in range(len(found) + 1, number)]
            found.append([cells.get(at, "").strip() for at in range(max(cells, default=-1) + 1)])
    return found


def _header(
    rows: Sequence[Sequence[str]], contract: Contract, layouts: Any, table: str | None
) -> tuple[int, Columns] | ContractError:
    """Return the row of the header and what it fits best, or why nothing fits."""
    best: tuple[int, Columns] | None = None
    first_error: ContractError | None = None
    for number, names in enumerate(rows, 1):
        if not any(names):
            continue
        if sum(map(bool, names)) > MAX_COLUMNS:
            raise SubmissionError(
                "FG-SUB-17",
                f"the header names more than {MAX_COLUMNS} columns",
                "Send the columns of the contract only.",
            )
        try:
            columns = match_header(names, contract, layouts, table)
        except ContractError as error:
            first_error = first_error or error
            continue
        if best is None or columns.known > best[1].known:
            best = (number, columns)
    return best or first_error or wrong_layout(contract, "a sheet is empty")


def _sheet_part(
    sheet: str, at: tuple[Workbook, str], header: int, columns: Columns, contract: Contract
) -> Part:
    return Part(
        name=plain_name(sheet),
        table=columns.table,
        layout=f"{contract.source}/{columns.layout.id}",
        encoding="xlsx",
        fields=with_iso(columns.layout.of_table(columns.table)),
        headers=columns.headers,
        present=tuple(columns.at),
        unknown=columns.unknown,
        batches=_sheet_batches(*at, header, columns),
    )


def with_iso(fields: dict[str, FieldContract]) -> dict[str, FieldContract]:
    """Return fields whose dates may also be ISO: typed cells are dates and have no layout."""
    return {
        name: replace(spec, formats=tuple(dict.fromkeys([*spec.formats, "%Y-%m-%d"])))
        if spec.type == "date"
        else spec
        for name, spec in fields.items()
    }


def _sheet_batches(book: Workbook, path: str, header: int, columns: Columns) -> Iterator[Batch]:
    wanted = frozenset(place for places in columns.at.values() for place in places)
    last = header
    for block in book.rows(path, wanted):
        filled = [(number, cells) for number, cells in block if number > header and _filled(cells)]
        if not filled:
            continue
        numbers = [number for number, _ in filled]
        # Rows that hold nothing are counted only between rows that do: a sheet has no other end.
        blank, last = numbers[-1] - last - len(filled), numbers[-1]
        yield Batch(
            columns.table,
            np.array(numbers, np.int64),
            {name: _column(filled, places) for name, places in columns.at.items()},
            blank=blank,
        )


def _column(rows: Sequence[Row], places: Sequence[int]) -> pa.Array:
    if len(places) == 1:
        at = places[0]
        return pa.array([cells.get(at, "").strip() for _, cells in rows], pa.string())
    return pa.array([_joined(cells, places) for _, cells in rows], pa.string())


def _joined(cells: Mapping[int, str], places: Sequence[int]) -> str:
    parts = (cells.get(place, "").strip() for place in places)
    return "\n".join(part for part in parts if part)


def cell_text(cell: Any) -> str:
    """Return a typed cell as text: 12.0 is "12", a date is ISO, an empty cell is empty."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "1" if cell else "0"
    if isinstance(cell, float):
        if math.isnan(cell):
            return ""
        return plain_number(cell)
    if isinstance(cell, datetime):
        return shown(cell)
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, timedelta | time):
        return str(cell)
    return str(cell)


def open_parquet(stream: BinaryIO, name: str, contract: Contract, table: str | None) -> Part:
    """Open a Parquet file; columns that the contract does not name are not read.

    Raises:
        SubmissionError: ``FG-SUB-02`` unreadable.
        ContractError: ``FG-SUB-03`` or ``FG-SUB-04``.
    """
    layouts = contract.layouts_of("parquet")
    try:
        file = pq.ParquetFile(stream)
        names = list(file.schema_arrow.names)
    except (pa.ArrowException, OSError, ValueError):
        raise SubmissionError(
            "FG-SUB-02", "the Parquet file cannot be read", "Write it again and send it."
        ) from None
    columns = match_header(names[: MAX_COLUMNS + 1], contract, layouts, table)
    return Part(
        name=plain_name(name.rsplit("/", 1)[-1]),
        table=columns.table,
        layout=f"{contract.source}/{columns.layout.id}",
        encoding="parquet",
        fields=with_iso(columns.layout.of_table(columns.table)),
        headers=columns.headers,
        present=tuple(columns.at),
        unknown=columns.unknown,
        batches=_parquet_batches(file, names, columns),
    )


def _parquet_cells(column: pa.Array) -> pa.Array:
    try:
        values = column.to_pylist()
    except (OverflowError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise
        # A day that no calendar of ours has is a text like any other, and its row is told of it.
        values = column.cast(pa.string()).to_pylist()
    return pa.array([cell_text(value) for value in values], pa.string())


def _at(names: Sequence[str], name: str) -> list[int]:
    return [place for place, one in enumerate(names) if one == name]


def _parquet_batches(
    file: pq.ParquetFile, names: Sequence[str], columns: Columns
) -> Iterator[Batch]:
    wanted = {names[place] for places in columns.at.values() for place in places}
    line = 1
    try:
        for chunk in file.iter_batches(BLOCK_ROWS, columns=sorted(wanted)):
            read_names = chunk.schema.names
            cells = {
                place: _parquet_cells(chunk.column(number))
                for name in wanted
                # A name that stands twice is read twice, in the order of the file.
                for place, number in zip(_at(names, name), _at(read_names, name), strict=True)
            }
            rows = chunk.num_rows
            read = {
                name: cells[places[0]]
                if len(places) == 1
                else pa.array(
                    [
                        "\n".join(filter(None, (cells[place][row].as_py() for place in places)))
                        for row in range(rows)
                    ],
                    pa.string(),
                )
                for name, places in columns.at.items()
            }
            filled = np.array(
                [any(one[row].as_py().strip() for one in read.values()) for row in range(rows)],
                dtype=bool,
            )
            lines = np.arange(line, line + rows, dtype=np.int64)
            line += rows
            mask = pa.array(filled)
            yield Batch(
                columns.table,
                lines[filled],
                {name: one.filter(mask) for name, one in read.items()},
                blank=int(rows - filled.sum()),
            )
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        raise SubmissionError(
            "FG-SUB-02", "the Parquet file is damaged", "Write it again and send it."
        ) from None
