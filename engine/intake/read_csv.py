"""Read CSV: any delimiter, any of four encodings, quotes with line breaks inside, ragged rows.

A block whose quotes are plain goes through Arrow's reader, which reads only the columns that are
needed; everything else goes through Python's, record by record. Both give the same rows, which a
property test holds.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from engine.domain.errors import ContractError, SubmissionError
from engine.intake.contract import Contract, Layout
from engine.intake.csv_head import (
    SEPARATOR,
    decoded,
    delimiter_of,
    records_above,
    text_lines,
    unclosed,
)
from engine.intake.lines import Block, blocks, encoding_of
from engine.intake.parts import (
    MAX_CELL,
    MAX_COLUMNS,
    Batch,
    Columns,
    Part,
    match_header,
    plain_name,
    text_of,
    wrong_layout,
)

BATCH_ROWS = 16_384
ABOVE = 10
"""Records that may stand above the header, such as a title and the day of the report."""
csv.field_size_limit(MAX_CELL)


def open_csv(stream: BinaryIO, name: str, contract: Contract, table: str | None) -> Part:
    """Open a CSV file under its contract.

    Raises:
        SubmissionError: ``FG-SUB-02`` bytes of no encoding or a quote that never closes,
            ``FG-SUB-17`` a header without end.
        ContractError: ``FG-SUB-03`` or ``FG-SUB-04``.
    """
    layouts = contract.layouts_of("csv")
    encoding = encoding_of(stream)
    chunks = decoded(stream, encoding)
    head = _find_header(chunks, contract, layouts, table)
    columns = head.columns
    return Part(
        name=plain_name(name.rsplit("/", 1)[-1]),
        table=columns.table,
        layout=f"{contract.source}/{columns.layout.id}",
        encoding=encoding,
        fields=columns.layout.of_table(columns.table),
        headers=columns.headers,
        present=tuple(columns.at),
        unknown=columns.unknown,
        batches=_batches(head.rest, _Shape(head.delimiter, head.width, columns), head.first),
        above=head.above,
    )


@dataclass
class _Header:
    """The header of a file: what it names, what stands above it, and where the rows begin."""

    columns: Columns
    delimiter: str
    width: int
    above: list[int]
    rest: Iterator[bytes]
    first: int


def _find_header(
    chunks: Iterator[bytes], contract: Contract, layouts: Sequence[Layout], table: str | None
) -> _Header:
    """Return the first record that names the columns of a layout; titles may stand above it.

    Raises:
        SubmissionError, ContractError: Of the record that is most like a header, when none is one.
    """
    stated: str | None = None
    above: list[int] = []
    line, widest, refused = 1, -1, None
    for text, rest, after in records_above(chunks, ABOVE):
        said = SEPARATOR.fullmatch(text)
        if said:
            stated = said.group(1)
            above.append(line)
            line = after
            continue
        delimiter = stated or delimiter_of(text)
        names: list[str] = []
        try:
            names = _header(text, delimiter, contract)
            columns = match_header(names, contract, layouts, table)
        except ContractError as error:
            if len(names) > widest:
                widest, refused = len(names), error
            above.append(line)
            line = after
            continue
        return _Header(columns, delimiter, len(names), above, rest, after)
    raise refused or wrong_layout(contract, "the header row is missing")


class _Shape:
    """Delimiter, width and places of a file."""

    def __init__(self, delimiter: str, width: int, columns: Columns) -> None:
        self.delimiter, self.width, self.at = delimiter, width, columns.at
        self.table, self.layout = columns.table, columns.layout
        self.varied: set[int] = set()
        self.needed = sorted({place for places in columns.at.values() for place in places})
        cell = rf'"(?:[^"]|"")*"|(?:[^"{re.escape(delimiter)}][^{re.escape(delimiter)}\r\n]*)?'
        self.well_quoted = re.compile(rf"(?:{cell})(?:{re.escape(delimiter)}(?:{cell}))*\r?\n?")

    def learn(self, cells: Mapping[int, pa.Array]) -> None:
        """Read columns of which most cells differ as plain texts from now on."""
        for place, column in cells.items():
            if pa.types.is_dictionary(column.type) and 2 * len(column.dictionary) > len(column):
                self.varied.add(place)


def _header(line: str, delimiter: str, contract: Contract) -> list[str]:
    try:
        names = next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        raise wrong_layout(contract, "the header row cannot be read") from None
    names = [name.strip().lstrip("\ufeff") for name in names]
    if not any(names):
        raise wrong_layout(contract, "the header row is missing")
    if len(names) > MAX_COLUMNS:
        raise SubmissionError(
            "FG-SUB-17",
            f"the header names more than {MAX_COLUMNS} columns",
            "Send the columns of the contract only.",
        )
    return names


def _batches(chunks: Iterator[bytes], shape: _Shape, first: int) -> Iterator[Batch]:
    stream = blocks(chunks, shape.delimiter, first)
    begun = False
    for block in stream:
        if block.plain:
            batch = _fast(block, shape)
            yield _without_instructions(batch, shape.layout, begun=begun)
            begun = True
        else:
            rest = itertools.chain([block.data], (one.data for one in stream))
            for batch in _careful(rest, shape, block.first):
                yield _without_instructions(batch, shape.layout, begun=begun)
                begun = True


def _without_instructions(batch: Batch, layout: Layout, *, begun: bool) -> Batch:
    """Take out the line under the header that only explains the columns; it counts as a blank row."""
    if begun or not layout.instructions or not len(batch.lines):
        return batch
    first = [column[0].as_py() for column in batch.columns.values()]
    cells = [cell for cell in first if cell.strip()]
    if not cells or not all(cell.startswith(layout.instructions) for cell in cells[:1]):
        return batch
    return Batch(
        batch.table,
        batch.lines[1:],
        {name: column.slice(1) for name, column in batch.columns.items()},
        batch.ragged,
        batch.quoted,
        batch.blank + 1,
    )


def _fast(block: Block, shape: _Shape) -> Batch:
    odd: list[tuple[int, str]] = []

    def keep(row: pyarrow.csv.InvalidRow) -> str:
        odd.append((int(row.number) - 1, row.text))
        return "skip"

    names = [str(place) for place in range(shape.width)]
    wanted = [str(place) for place in shape.needed]
    # Without a needed column, one is read so that rows are counted.
    include = wanted or names[:1]
    joined = {str(place) for places in shape.at.values() if len(places) > 1 for place in places}
    table = pyarrow.csv.read_csv(
        io.BytesIO(block.data),
        read_options=pyarrow.csv.ReadOptions(
            column_names=names, use_threads=False, block_size=len(block.data) + 64
        ),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=shape.delimiter,
            newlines_in_values=True,
            ignore_empty_lines=False,
            invalid_row_handler=keep,
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            # By distinct values: what stands there a thousand times is looked at once.
            column_types={
                name: pa.string() if name in joined or int(name) in shape.varied else _BY_VALUE
                for name in include
            },
            strings_can_be_null=False,
            include_columns=include,
        ),
    )
    lines = np.delete(block.lines, [number for number, _ in odd]) if odd else block.lines
    if len(lines) != table.num_rows:
        raise AssertionError("the two counts of a block's records differ")
    cells = {int(name): _one_array(table.column(name)) for name in include}
    shape.learn(cells)
    read = _columns_of(cells, shape, table.num_rows)
    return _sorted_out(lines, read, [(int(block.lines[n]), text) for n, text in odd], shape)


_BY_VALUE = pa.dictionary(pa.int32(), pa.string())


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    if not column.num_chunks:
        return pa.array([], pa.string())
    return pa.concat_arrays([text_of(chunk) for chunk in column.chunks])


def _columns_of(cells: dict[int, pa.Array], shape: _Shape, count: int) -> dict[str, pa.Array]:
    found = {}
    for name, places in shape.at.items():
        if len(places) == 1:
            found[name] = cells[places[0]]
        else:
            found[name] = _joined([cells[place] for place in places])
    return found or {"": pa.array([""] * count, pa.string())}


def _joined(parts: Sequence[pa.Array]) -> pa.Array:
    """Join the columns of an address into lines; empty ones leave no line."""
    trimmed = [pc.utf8_trim_whitespace(part) for part in parts]
    # Arrow's own way of skipping empty parts leaves out rows of which every part is empty.
    joined = pc.binary_join_element_wise(*trimmed, "\x1f")
    once = pc.utf8_trim(pc.replace_substring_regex(joined, "\x1f+", "\x1f"), "\x1f")
    return pc.replace_substring(once, "\x1f", "\n")


def _sorted_out(
    lines: np.ndarray, read: dict[str, pa.Array], odd: Sequence[tuple[int, str]], shape: _Shape
) -> Batch:
    """Tell blank, ragged and full rows apart; a row that is only longer by empty cells is full."""
    ragged: list[int] = []
    blank = 0
    late: list[tuple[int, list[str]]] = []
    for line, text in odd:
        cells = next(csv.reader(io.StringIO(text, newline=""), delimiter=shape.delimiter), [])
        if not any(cell.strip() for cell in cells):
            blank += 1
        elif len(cells) > shape.width and not any(cell.strip() for cell in cells[shape.width :]):
            late.append((line, cells))
        else:
            ragged.append(line)
    if late:
        lines, read = _with_late(lines, read, late, shape)
    filled = _filled(read, len(lines))
    if filled is not None:
        blank += int(len(lines) - filled.sum())
        mask = pa.array(filled)
        lines, read = lines[filled], {name: one.filter(mask) for name, one in read.items()}
    read.pop("", None)
    return Batch(shape.table, lines, read, ragged, [], blank)


def _with_late(
    lines: np.ndarray,
    read: dict[str, pa.Array],
    late: Sequence[tuple[int, list[str]]],
    shape: _Shape,
) -> tuple[np.ndarray, dict[str, pa.Array]]:
    more = _columns_of(
        {
            place: pa.array([cells[place] for _, cells in late], pa.string())
            for place in shape.needed
        },
        shape,
        len(late),
    )
    lines = np.concatenate([lines, np.array([line for line, _ in late], np.int64)])
    order = np.argsort(lines, kind="stable")
    taken = pa.array(order)
    joined = {
        name: pa.concat_arrays([text_of(one), more[name]]).take(taken) for name, one in read.items()
    }
    return lines[order], joined


def _filled(read: dict[str, pa.Array], count: int) -> np.ndarray | None:
    """Return which rows hold anything in a column that is read, or None when all do."""
    left: np.ndarray = np.ones(count, dtype=bool)
    for column in read.values():
        left &= _empty(column)
        if not left.any():
            return None
    return ~left


def _empty(column: pa.Array) -> np.ndarray:
    if not pa.types.is_dictionary(column.type):
        blank = pc.equal(pc.utf8_trim_whitespace(column), "")
        return np.asarray(blank.to_numpy(zero_copy_only=False), dtype=bool)
    blank = pc.equal(pc.utf8_trim_whitespace(column.dictionary), "")
    by_value = np.asarray(blank.to_numpy(zero_copy_only=False), dtype=bool)
    if not by_value.any():
        return np.zeros(len(column), dtype=bool)
    found: np.ndarray = by_value[column.indices.to_numpy(zero_copy_only=False)]
    return found


def _careful(chunks: Iterator[bytes], shape: _Shape, first: int) -> Iterator[Batch]:
    """Read record by record, for files whose quotes or line ends are out of the ordinary."""
    records = _records(chunks, shape, first)
    while rows := list(itertools.islice(records, BATCH_ROWS)):
        good: list[tuple[int, list[str]]] = []
        ragged: list[int] = []
        quoted: list[int] = []
        blank = 0
        for line, cells, well in rows:
            extra = any(cell.strip() for cell in cells[shape.width :])
            if not any(cell.strip() for cell in cells):
                blank += 1
            elif not well:
                quoted.append(line)
            elif len(cells) < shape.width or extra:
                ragged.append(line)
            else:
                good.append((line, cells))
        cells_at = {
            place: pa.array([cells[place] for _, cells in good], pa.string())
            for place in shape.needed
        }
        read = _columns_of(cells_at, shape, len(good))
        lines = np.array([line for line, _ in good], np.int64)
        batch = _sorted_out(lines, read, [], shape)
        batch.ragged, batch.quoted, batch.blank = ragged, quoted, batch.blank + blank
        yield batch


def _records(
    chunks: Iterator[bytes], shape: _Shape, first: int
) -> Iterator[tuple[int, list[str], bool]]:
    """Yield the line, the cells, and whether the quotes of each record close where a cell ends.

    Raises:
        SubmissionError: ``FG-SUB-02`` with the line on which a quote was opened that never closes.
    """
    fed: list[str] = []
    ended = False

    def feed() -> Iterator[str]:
        nonlocal ended
        for line in text_lines(chunks):
            fed.append(line)
            yield line
        ended = True

    reader = csv.reader(feed(), delimiter=shape.delimiter)
    line = first
    while True:
        try:
            cells = next(reader, None)
        except csv.Error:
            raise unclosed(line) from None
        if cells is None:
            return
        well = shape.well_quoted.fullmatch("".join(fed)) is not None
        # A record that wants more lines than there are was opened by a quote that never closes.
        if not well and (len(fed) > 1 or ended):
            raise unclosed(line)
        yield line, cells, well
        line += len(fed)
        fed.clear()
