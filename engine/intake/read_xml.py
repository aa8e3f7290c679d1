"""Read XML as a stream of beginnings and ends: document types are refused, nothing is fetched.

A layout names the element of a person (`parent`) and, for each table, the element that makes a row. A
row takes the values of its own element and of what surrounds it, up to the person; what belongs to
another table's element inside it is that table's. The tree of a file is never built, so that memory
and time do not grow with what is not needed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO
from xml.parsers import expat

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.domain.errors import SubmissionError
from engine.intake.contract import Contract, Layout
from engine.intake.parts import (
    MAX_CELL,
    MAX_COLUMNS,
    Batch,
    Part,
    local_name,
    plain_name,
    wrong_layout,
)

BATCH_ROWS = 16_384
CHUNK = 256 << 10
MAX_DEPTH = 64
"""Rows that may stand inside each other."""
MAX_INSIDE = 32 << 20
"""Bytes that may stand between the ends of two persons; more is no extract."""
Row = tuple[str, int, tuple[dict[str, str], ...]]
_NOTHING = ""
"""What an element fills that no contract names."""
_Meaning = tuple[str, tuple[str, ...], str]
"""The table that an element makes a row of, the fields that it fills, and its plain name."""


def open_xml(stream: BinaryIO, name: str, contract: Contract) -> Part:
    """Open an XML file under its contract.

    Raises:
        SubmissionError: ``FG-SUB-02`` no XML, ``FG-SUB-05`` a document type, ``FG-SUB-18`` a person
            that never ends, ``FG-SUB-26`` a header that the contract calls wrong, ``FG-SUB-28`` rows
            inside rows without end.
        ContractError: ``FG-SUB-03`` or ``FG-SUB-04``.
    """
    layouts = contract.layouts_of("xml")
    head = _Head({one.root for one in layouts}, {one.parent for one in layouts})
    head.read(stream)
    if head.root not in head.roots:
        names = " or ".join(sorted(head.roots))
        raise wrong_layout(contract, f"its root element is not {names}")
    chosen = [one for one in layouts if one.root == head.root]
    if not head.inside:
        parents = " or ".join(sorted({one.parent for one in chosen}))
        raise wrong_layout(contract, f"no {parents} element stands in it")
    layout = _best(chosen, head.inside)
    notes = _header_notes(layout, head.values)
    people = _People(contract, layout)
    headers = {
        spec.name: next((one for one in spec.columns if one in head.inside), spec.columns[0])
        for spec in layout.fields.values()
        if spec.columns
    }
    batches = people.batches(stream)
    # The first rows are read now, so that what no contract names there is known at once.
    ahead = next(batches, None)

    def chained() -> Iterator[Batch]:
        if ahead is not None:
            yield ahead
        yield from batches

    return Part(
        name=plain_name(name.rsplit("/", 1)[-1]),
        table="+".join(one.id for one in contract.tables),
        layout=f"{contract.source}/{layout.id}",
        encoding="xml",
        fields=layout.fields,
        headers=headers,
        present=tuple(headers),
        unknown=tuple(plain_name(one) for one in people.unknown),
        batches=chained(),
        notes=notes,
        met=people.met,
    )


def _best(layouts: Sequence[Layout], names: set[str]) -> Layout:
    """Return the layout that knows most of the elements of the first person; the last of equals."""
    known = [
        len(names & {alias for spec in one.fields.values() for alias in spec.columns})
        for one in layouts
    ]
    return [one for one, n in zip(layouts, known, strict=True) if n == max(known)][-1]


def _header_notes(layout: Layout, header: Mapping[str, str]) -> list[Mapping[str, str]]:
    """Return the header checks that warn; one that is an error refuses the file.

    Raises:
        SubmissionError: ``FG-SUB-26``.
    """
    wrong = [
        check
        for check in layout.header
        if not re.search(check["matches"], header.get(check["element"], ""))
    ]
    errors = [check for check in wrong if check["severity"] == "error"]
    if errors:
        raise SubmissionError(
            "FG-SUB-26",
            f"the header of the file is wrong: {'; '.join(check['says'] for check in errors)}",
            errors[0].get("do", "Correct it in the system that makes the file and send it again."),
        )
    return wrong


def _no_doctype(*_: object) -> None:
    raise SubmissionError(
        "FG-SUB-05", "the file declares a document type", "Send it without a DTD."
    )


def _parser(start: Any, end: Any, data: Any) -> Any:
    """Return a parser without document types, and so without entities of the file's own."""
    made = expat.ParserCreate()
    made.buffer_text = True
    made.ordered_attributes = True
    made.StartDoctypeDeclHandler = _no_doctype
    made.StartElementHandler = start
    made.EndElementHandler = end
    made.CharacterDataHandler = data
    return made


def _feed(parser: Any, data: bytes, *, last: bool) -> None:
    """Feed a parser; what it says of a broken file repeats nothing of it."""
    try:
        parser.Parse(data, last)
    except expat.ExpatError as error:
        raise SubmissionError(
            "FG-SUB-02",
            f"the file stops being XML at line {error.lineno}",
            "Export it again from the case system.",
        ) from None
    except (LookupError, ValueError):
        raise SubmissionError(
            "FG-SUB-02", "the file is not XML of a known encoding", "Send it as UTF-8."
        ) from None


def _never_ends() -> SubmissionError:
    return SubmissionError(
        "FG-SUB-18", "one person's element never ends", "Send the extract again."
    )


class _Found(Exception):
    """The head has been read; the rest of the file is for the rows."""


class _Head:
    """The name of the root, the values before the first person, and the names inside the first."""

    def __init__(self, roots: set[str], parents: set[str]) -> None:
        self.roots, self._parents = roots, parents
        self.root = ""
        self.values: dict[str, str] = {}
        self.inside: set[str] = set()
        self._person = self._leaf = ""
        self._text: list[str] = []

    def read(self, stream: BinaryIO) -> None:
        """Read as far as the end of the first person; the stream stands at its start afterwards."""
        parser = _parser(self._start, self._end, self._text.append)
        seen = 0
        try:
            while data := stream.read(CHUNK):
                seen += len(data)
                if seen > MAX_INSIDE:
                    raise _never_ends()
                _feed(parser, data, last=False)
            _feed(parser, b"", last=True)
        except _Found:
            pass
        stream.seek(0)

    def _start(self, tag: str, _: object) -> None:
        name = local_name(tag)
        self._text.clear()
        self._leaf = name
        if not self.root:
            self.root = name
            if name not in self.roots:
                raise _Found
        if self._person:
            self.inside.add(name)
        elif name in self._parents:
            self._person = name
            self.inside.add(name)

    def _end(self, tag: str) -> None:
        name = local_name(tag)
        if self._person:
            if name == self._person:
                raise _Found
        elif name == self._leaf and len(self.values) < MAX_COLUMNS:
            self.values.setdefault(name, "".join(self._text).strip()[:100])
        self._leaf = ""


_Rows = tuple[list[int], list[dict[str, str]]]


def _two_lists() -> _Rows:
    return [], []


class _People:
    """Turns persons into rows of the contract's tables as their elements end."""

    def __init__(self, contract: Contract, layout: Layout) -> None:
        self._only = contract.tables[0].id if len(contract.tables) == 1 else ""
        self._parent = layout.parent
        self._fields = {
            table.id: tuple(
                name for name, spec in layout.of_table(table.id).items() if spec.columns
            )
            for table in contract.tables
        }
        self._row_of = {row: table for table, row in layout.rows.items() if row}
        self._elements: dict[str, list[str]] = {}
        for name, spec in layout.fields.items():
            for alias in spec.columns:
                self._elements.setdefault(alias, []).append(name)
        self._known: dict[str, _Meaning] = {}
        self._short: dict[str, str] = {}
        self.unknown: dict[str, None] = {}
        self.met: set[str] = set()
        self._twice: dict[str, list[int]] = {}
        self._held: defaultdict[str, _Rows] = defaultdict(_two_lists)
        self._count = 0
        self._ended = False
        # The open person: values by open row element, and the rows begun.
        self._scopes: list[dict[str, str]] = []
        self._tags: list[str] = []
        self._begun: list[Row] = []
        self._parser: Any = None

    def batches(self, stream: BinaryIO) -> Iterator[Batch]:
        """Yield the rows of the persons, a table at a time."""
        self._parser = _parser(*self._handlers())
        since = 0
        while data := stream.read(CHUNK):
            _feed(self._parser, data, last=False)
            since = 0 if self._ended else since + len(data)
            self._ended = False
            if since > MAX_INSIDE:
                raise _never_ends()
            if self._count >= BATCH_ROWS:
                yield from self._made()
        _feed(self._parser, b"", last=True)
        yield from self._made()

    def _meaning(self, tag: str) -> _Meaning:
        """Return what an element is; one that fills one field, and no more, takes the short way."""
        name = local_name(tag)
        fields = tuple(self._elements.get(name, ()))
        row = self._row_of.get(name, "")
        self.met.update(fields)
        found = (row, fields, name)
        if len(fields) == 1 and not row and name != self._parent:
            self._short[tag] = fields[0]
        else:
            self._known[tag] = found
        return found

    def _handlers(self) -> tuple[Any, Any, Any]:  # noqa: C901  # one call less for every element
        """Return what is called as an element begins, as it ends, and for text.

        They run for every element of a file, so that what they need is at hand as local names, text is
        collected without a call of ours, and most elements take the short way.
        """
        scopes, tags, text = self._scopes, self._tags, [""]
        known, short, clear, whole = self._known.get, self._short, text.clear, "".join
        filled = short.get
        field: str | None = None
        leaf: _Meaning | None = None

        def start(tag: str, _: object) -> None:
            nonlocal field, leaf
            clear()
            field = filled(tag)
            if field is None:
                leaf = known(tag) or self._meaning(tag)
                row, _fields, name = leaf
                if row if scopes else name == self._parent:
                    self._row_begins(tag, row)

        def end(tag: str) -> None:
            nonlocal field, leaf
            if field is not None:
                if field and scopes:
                    value = whole(text).strip()
                    first = scopes[-1].setdefault(field, value)
                    if first is not value or len(value) > MAX_CELL:
                        self._take(scopes[-1], field, value)
                field = leaf = None
                return
            if not scopes:
                return
            if leaf is not None:
                row, fields, name = leaf
                for one in fields:
                    self._take(scopes[-1], one, whole(text).strip())
                if not fields and not row:
                    if len(self.unknown) < MAX_COLUMNS:
                        self.unknown.setdefault(name)
                    # Noted once; from now on it is passed by.
                    if tag != tags[-1] and name != self._parent:
                        short[tag] = _NOTHING
                leaf = None
            if tag == tags[-1]:
                tags.pop()
                scopes.pop()
                if not scopes:
                    self._person_ended()

        return start, end, text.append

    def _take(self, own: dict[str, str], name: str, value: str) -> None:
        """Take a value; of several the first counts, and a table of its own keeps them all."""
        if len(value) > MAX_CELL:
            raise SubmissionError(
                "FG-SUB-02",
                f"the value at line {self._parser.CurrentLineNumber} is endless",
                "Send it again.",
            )
        first = own.get(name)
        if not first:
            own[name] = value
        elif value and value != first:
            self._twice.setdefault(name, []).append(self._parser.CurrentLineNumber)

    def _row_begins(self, tag: str, table: str) -> None:
        scopes = self._scopes
        if len(scopes) > MAX_DEPTH:
            raise SubmissionError(
                "FG-SUB-28",
                f"at line {self._parser.CurrentLineNumber} rows stand inside rows without end",
                "Export it again from the case system.",
            )
        scopes.append({})
        self._tags.append(tag)
        if table or self._only:
            self._begun.append((table, self._parser.CurrentLineNumber, tuple(scopes)))

    def _person_ended(self) -> None:
        """Make the rows of a person, now that every value that surrounds them is known."""
        self._ended = True
        held, begun = self._held, self._begun
        if self._only and not any(table for table, _, _ in begun):
            # A person without any row of the only table is a row all the same: nobody is lost.
            begun = [(self._only, *begun[0][1:])]
        for table, line, chain in begun:
            if not table:
                continue
            row = chain[0] if len(chain) == 1 else {**chain[0], **chain[1]}
            for scope in chain[2:]:
                row.update(scope)
            lines, rows = held[table]
            lines.append(line)
            rows.append(row)
            self._count += 1
        self._begun.clear()

    def _made(self) -> Iterator[Batch]:
        held, self._held, self._count = self._held, defaultdict(_two_lists), 0
        for table, (at, rows) in held.items():
            names = [name for name in self._fields[table] if name in self.met]
            lines = np.array(at, np.int64)
            # One pass over the rows in Arrow, however many columns they have.
            cells = pa.array(rows, pa.struct([(one, pa.string()) for one in names]))
            absent = pa.array([""] * len(rows), pa.string())
            made = {
                name: pc.fill_null(cells.field(name), "") if name in self.met else absent
                for name in self._fields[table]
            }
            lines, made = _filled(lines, made)
            twice, self._twice = self._twice, {}
            yield Batch(table, lines, made, blank=len(rows) - len(lines), twice=twice)


def _filled(lines: np.ndarray, made: dict[str, pa.Array]) -> tuple[np.ndarray, dict[str, pa.Array]]:
    """Return the rows in which any cell is filled."""
    filled: np.ndarray = np.zeros(len(lines), dtype=bool)
    for column in made.values():
        # The key comes first and is hardly ever empty; only then is every column looked at.
        filled |= pc.not_equal(column, "").to_numpy(zero_copy_only=False)
        if filled.all():
            return lines, made
    mask = pa.array(filled)
    return lines[filled], {name: one.filter(mask) for name, one in made.items()}
