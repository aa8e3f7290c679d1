"""Streaming readers: a file becomes batches of rows, by column, under the contract's own names.

CSV may use any delimiter, a byte order mark, UTF-8 or Windows-1252, quotes with line breaks inside,
and trailing rows of commas. XML is read element by element with entities, DTDs
and the network off. Memory does not grow with the file.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from lxml import etree

from engine.domain.errors import ContractError, SubmissionError
from engine.intake.contract import Contract, Layout

BATCH_ROWS = 4096
_MAX_CELL = 131_072
_MAX_COLUMNS = 2_000


@dataclass
class Batch:
    """Some rows of a file.

    Attributes:
        rows: Row number of each row; the header is row 1.
        columns: Field name to one string per row.
        ragged: Row numbers whose number of cells does not fit the header.
        blank: Number of rows that hold nothing.
    """

    rows: list[int] = field(default_factory=list)
    columns: dict[str, list[str]] = field(default_factory=dict, repr=False)
    ragged: list[int] = field(default_factory=list)
    blank: int = 0


@dataclass
class Opened:
    """A file that fits the contract: its layout, encoding, fields, and batches still to be read."""

    layout: str
    encoding: str
    present: tuple[str, ...]
    unknown: tuple[str, ...]
    batches: Iterator[Batch]


def open_delivery(stream: BinaryIO, contract: Contract) -> Opened:
    """Open a file under its contract.

    Args:
        stream: The file, at its start.
        contract: The contract of the source.

    Raises:
        SubmissionError: ``FG-SUB-01`` empty, ``FG-SUB-02`` unreadable.
        ContractError: ``FG-SUB-03`` format never sent, ``FG-SUB-04`` wrong layout.
    """
    head = stream.read(4096)
    if not head.strip():
        raise SubmissionError("FG-SUB-01", "the file is empty", "Send the extract again.")
    stream.seek(0)
    start = head.lstrip(b"\xef\xbb\xbf \r\n\t")
    if start.startswith(b"<"):
        return _open_xml(stream, contract, contract.layout("xml"))
    if head.startswith(b"PK\x03\x04") or b"\x00" in head:
        raise SubmissionError(
            "FG-SUB-02",
            "the file is neither CSV nor XML",
            "Save it as CSV (UTF-8) and send that.",
        )
    return _open_csv(stream, contract, contract.layout("csv"))


def _open_csv(stream: BinaryIO, contract: Contract, layout: Layout) -> Opened:
    encoding = _encoding(stream)
    text = io.TextIOWrapper(
        io.BufferedReader(_Unowned(stream)),
        encoding=encoding,
        newline="",
        errors="strict",
    )
    try:
        first = text.readline(1 << 20)
    except UnicodeDecodeError:
        raise _no_encoding(1) from None
    delimiter = max(",;|\t", key=first.count)
    text.seek(0)
    csv.field_size_limit(_MAX_CELL)
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    header = _next_row(reader, 1)
    if header is None or len(header) > _MAX_COLUMNS:
        raise _wrong_layout(contract, "the header row is missing or endless")
    names = [cell.strip().lstrip("\ufeff") for cell in header]
    places, unknown = _places(names, contract)
    present = tuple(name for name, found in places.items() if found)
    return Opened(
        layout=f"{contract.source}/{layout.id}",
        encoding=encoding,
        present=present,
        unknown=unknown,
        batches=_csv_batches(reader, len(names), places),
    )


class _Unowned(io.RawIOBase):
    """A view of a stream that does not close it: whoever opened the file closes it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _encoding(stream: BinaryIO) -> str:
    """Return the encoding: UTF-8 when every byte fits, else Windows-1252; recorded in the receipt."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for block in iter(lambda: stream.read(1 << 16), b""):
            decoder.decode(block)
        decoder.decode(b"", final=True)
        found = "utf-8-sig"
    except UnicodeDecodeError:
        found = "cp1252"
    stream.seek(0)
    return found


def _next_row(reader: Iterator[list[str]], row: int) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error:
        raise SubmissionError(
            "FG-SUB-02",
            f"the file stops being CSV at row {row}: a quote is never closed, or a cell is endless",
            "Correct the row in the system that makes the file and send it again.",
        ) from None
    except UnicodeDecodeError:
        raise SubmissionError(
            "FG-SUB-02",
            f"row {row} holds bytes of no known encoding",
            "Send the file as UTF-8.",
        ) from None


def _no_encoding(row: int) -> SubmissionError:
    return SubmissionError(
        "FG-SUB-02", f"row {row} holds bytes of no known encoding", "Send the file as UTF-8."
    )


def _places(
    names: Sequence[str], contract: Contract
) -> tuple[dict[str, list[int]], tuple[str, ...]]:
    """Find each field's columns; an address takes all of its columns, any other field the first."""
    at = {name.casefold(): number for number, name in reversed(list(enumerate(names)))}
    places: dict[str, list[int]] = {}
    used: set[int] = set()
    for spec in contract.fields.values():
        found = [at[alias.casefold()] for alias in spec.columns if alias.casefold() in at]
        places[spec.name] = found if spec.type == "address" else found[:1]
        used.update(found)
    missing = [
        spec.columns[0]
        for spec in contract.fields.values()
        if spec.required and spec.columns and not places[spec.name]
    ]
    if missing:
        raise _wrong_layout(contract, f"required columns are missing: {', '.join(missing)}")
    unknown = tuple(name for number, name in enumerate(names) if number not in used and name)
    # Column names come from a file and might hold anything; only plain words are repeated.
    return places, tuple(name if _plain(name) else "(unreadable name)" for name in unknown)


def _plain(name: str) -> bool:
    return len(name) <= 64 and all(char.isalnum() or char in " _-./()" for char in name)


def _wrong_layout(contract: Contract, why: str) -> ContractError:
    return ContractError(
        "FG-SUB-04",
        f"the file does not have the layout of {contract.source}: {why}",
        f"Compare the header with the contract of {contract.source}.",
    )


def _csv_batches(
    reader: Iterator[list[str]],
    width: int,
    places: dict[str, list[int]],
) -> Iterator[Batch]:
    row = 1
    names = [name for name, found in places.items() if found]
    while True:
        batch = Batch(columns={name: [] for name in names})
        for _ in range(BATCH_ROWS):
            cells = _next_row(reader, row + 1)
            if cells is None:
                break
            row += 1
            if not any(cell.strip() for cell in cells):
                batch.blank += 1
            elif (len(cells) != width and any(cell.strip() for cell in cells[width:])) or (
                len(cells) < width
            ):
                batch.ragged.append(row)
            else:
                batch.rows.append(row)
                for name in names:
                    found = places[name]
                    if len(found) == 1:
                        batch.columns[name].append(cells[found[0]])
                    else:
                        parts = (cells[place].strip() for place in found)
                        batch.columns[name].append("\n".join(part for part in parts if part))
        if not (batch.rows or batch.ragged or batch.blank):
            return
        yield batch


def _open_xml(stream: BinaryIO, contract: Contract, layout: Layout) -> Opened:
    elements = {alias: spec.name for spec in contract.fields.values() for alias in spec.columns}
    seen: dict[str, None] = {}
    rows = _xml_rows(stream, contract, layout, elements, seen)
    # The first rows decide whether the file is of this layout at all.
    first = list(itertools.islice(rows, BATCH_ROWS))
    if not first:
        raise _wrong_layout(contract, f"no {layout.parent} element stands in it")
    present = tuple(spec.name for spec in contract.fields.values() if spec.columns)
    unknown = tuple(name if _plain(name) else "(unreadable name)" for name in seen)
    return Opened(
        layout=f"{contract.source}/{layout.id}",
        encoding="xml",
        present=present,
        unknown=unknown,
        batches=_xml_batches(itertools.chain(first, rows), present),
    )


def _xml_batches(rows: Iterator[dict[str, str]], present: tuple[str, ...]) -> Iterator[Batch]:
    number = 1
    while chunk := list(itertools.islice(rows, BATCH_ROWS)):
        batch = Batch(columns={name: [row.get(name, "") for row in chunk] for name in present})
        batch.rows = list(range(number + 1, number + 1 + len(chunk)))
        number += len(chunk)
        yield batch


def _xml_rows(
    stream: BinaryIO,
    contract: Contract,
    layout: Layout,
    elements: dict[str, str],
    unknown: dict[str, None],
) -> Iterator[dict[str, str]]:
    """Yield one row per row element, with the parent's own values; a parent without one is a row."""
    try:
        context = etree.iterparse(
            stream,
            events=("start", "end"),
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
            recover=False,
        )
        _, root = next(context)
        if _local(root.tag) != layout.root:
            raise _wrong_layout(contract, f"its root element is not {layout.root}")
        for event, element in context:
            if element.getroottree().docinfo.doctype:
                raise SubmissionError(
                    "FG-SUB-05",
                    "the file declares a document type",
                    "Send it without a DTD.",
                )
            if event == "end" and _local(element.tag) == layout.parent:
                yield from _parent_rows(element, layout, elements, unknown)
                element.clear(keep_tail=False)
                while element.getprevious() is not None:
                    del element.getparent()[0]
    except etree.XMLSyntaxError as error:
        raise SubmissionError(
            "FG-SUB-02",
            f"the file stops being XML at line {error.lineno}",
            "Export it again from the case system.",
        ) from None


def _parent_rows(
    parent: etree._Element,
    layout: Layout,
    elements: dict[str, str],
    unknown: dict[str, None],
) -> Iterator[dict[str, str]]:
    own: dict[str, str] = {}
    rows: list[dict[str, str]] = []
    for child in parent.iterchildren(etree.Element):
        if _local(child.tag) == layout.row:
            rows.append(_leaves(child, elements, unknown))
        else:
            own |= _leaves(child, elements, unknown)
    for row in rows or [{}]:
        yield own | row


def _leaves(
    element: etree._Element, elements: dict[str, str], unknown: dict[str, None]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for leaf in element.iter(etree.Element):  # Comments and instructions are no elements.
        if len(leaf):
            continue
        name = _local(leaf.tag)
        field_name = elements.get(name)
        if field_name is None:
            unknown.setdefault(name)
        elif field_name not in found:
            found[field_name] = (leaf.text or "").strip()
    return found


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]
