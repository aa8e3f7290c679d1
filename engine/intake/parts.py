"""What a reader hands on: parts of a delivery, and their rows in batches by column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from engine.domain.errors import ContractError
from engine.intake.contract import Contract, FieldContract, Layout

MAX_COLUMNS = 2_000
MAX_HEADER = 1 << 20
MAX_CELL = 131_072
Lines = npt.NDArray[np.int64]


@dataclass
class Batch:
    """Some rows of a table.

    Attributes:
        table: The table they belong to.
        lines: Physical line (CSV, XML) or row (workbook, Parquet) of each row.
        columns: Field name to one text per row, plain or by distinct values; empty text is an empty
            cell.
        ragged: Lines whose number of cells does not fit the header.
        quoted: Lines whose quotes do not close where a cell ends.
        blank: Number of rows that hold nothing.
        twice: Field to the lines at which its element stood again with another value (XML).
    """

    table: str
    lines: Lines
    columns: dict[str, pa.Array] = field(repr=False)
    ragged: list[int] = field(default_factory=list)
    quoted: list[int] = field(default_factory=list)
    blank: int = 0
    twice: dict[str, list[int]] = field(default_factory=dict)


@dataclass
class Part:
    """One table in one file or sheet: what it is, and its rows still to be read.

    Attributes:
        table: The table; for a format that holds several in one file, all of them joined.
        fields: The fields of its layout.
        headers: Field to the column's name as the agency wrote it.
        present: Fields of which a column stands in it.
        unknown: Columns that the contract does not name.
        notes: What is wrong with the file as a whole, as checks of its header.
        above: Lines above the header that are no rows: a title, what separates the names.
        met: Fields whose element was met so far, for a format without a header; None where columns say it.
    """

    name: str
    table: str
    layout: str
    encoding: str
    fields: Mapping[str, FieldContract]
    headers: Mapping[str, str]
    present: tuple[str, ...]
    unknown: tuple[str, ...]
    batches: Iterator[Batch] = field(repr=False)
    notes: list[Mapping[str, str]] = field(default_factory=list)
    above: list[int] = field(default_factory=list)
    met: Set[str] | None = None


def same_day(first: pa.Array, second: pa.Array) -> pa.Array:
    """Return where two columns of dates name the same whole day."""
    whole = pc.equal(pc.utf8_length(text_of(first)), 10)
    return pc.fill_null(pc.and_(whole, pc.equal(text_of(first), text_of(second))), False)  # noqa: FBT003


def text_of(column: pa.Array) -> pa.Array:
    """Return a column as texts; columns travel by their distinct values until somebody needs more."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def shared_texts(column: pa.Array, known: dict[str, str]) -> list[str | None]:
    """Return a column as texts of which each value stands in memory once, however many have it."""
    encoded = column.dictionary_encode()
    values = [text and known.setdefault(text, text) for text in encoded.dictionary.to_pylist()]
    return [None if place is None else values[place] for place in encoded.indices.to_pylist()]


def local_name(tag: str) -> str:
    """Return an XML tag without its prefix."""
    return tag.rpartition(":")[2]


def plain_name(name: str) -> str:
    """Return a column's or file's name when it is one, else a stand-in: a file may hold anything."""
    plain = len(name) <= 64 and all(char.isalnum() or char in " _-./()&?'" for char in name)
    return name if plain and name else "(unreadable name)"


def wrong_layout(contract: Contract, why: str) -> ContractError:
    """Return the error of a file that is none of the source's layouts."""
    return ContractError(
        "FG-SUB-04",
        f"the file does not have the layout of {contract.source}: {why}",
        f"Compare the header with fieldgate contract show {contract.source}.",
    )


@dataclass(frozen=True)
class Columns:
    """Where each field's cells stand under a header.

    Attributes:
        at: Field name to places; an address takes all of its columns, any other field the first.
        headers: Field name to the name of its first column.
    """

    layout: Layout
    table: str
    at: Mapping[str, Sequence[int]]
    headers: Mapping[str, str]
    unknown: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def known(self) -> int:
        """Number of columns that the layout names."""
        return sum(len(places) for places in self.at.values())


def match_header(
    names: Sequence[str], contract: Contract, layouts: Sequence[Layout], table: str | None
) -> Columns:
    """Return the layout and table that a header fits best.

    Args:
        names: Column names as they stand in the file.
        contract: The contract.
        layouts: The layouts of the file's format, in the contract's order; of equals the last wins,
            so that the newest is read.
        table: The table that the file's name says; None tries each.

    Raises:
        ContractError: ``FG-SUB-04`` no layout has all its required columns there.
    """
    tables = [table] if table else [one.id for one in contract.tables]
    tried = [
        _columns(names, layout, one) for layout in layouts for one in tables if layout.of_table(one)
    ]
    fitting = [one for one in tried if not one.missing and one.known]
    if fitting:
        best = max(one.known for one in fitting)
        return [one for one in fitting if one.known == best][-1]
    nearest = max(tried, key=lambda one: (one.known, -len(one.missing)))
    raise wrong_layout(
        contract, f"required columns are missing: {', '.join(nearest.missing) or 'all of them'}"
    )


def _columns(names: Sequence[str], layout: Layout, table: str) -> Columns:
    at = {name.casefold(): number for number, name in reversed(list(enumerate(names)))}
    places: dict[str, Sequence[int]] = {}
    used: set[int] = set()
    fields = layout.of_table(table)
    for spec in fields.values():
        found = [at[alias.casefold()] for alias in spec.columns if alias.casefold() in at]
        if found:
            places[spec.name] = found if spec.type == "address" else found[:1]
            used.update(found)
    missing = tuple(
        spec.columns[0]
        for spec in fields.values()
        if spec.required and spec.columns and spec.name not in places
    )
    headers = {name: plain_name(names[found[0]]) for name, found in places.items()}
    unknown = [name for number, name in enumerate(names) if number not in used and name]
    return Columns(
        layout, table, places, headers, tuple(plain_name(name) for name in unknown), missing
    )
