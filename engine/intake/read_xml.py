"""Read XML element by element: entities, document types and the network are off, memory is flat.

A layout names the element of a person (`parent`) and, for each table, the element that makes a row. A
row takes the values of its own element and of what surrounds it, up to the person; what belongs to
another table's element inside it is that table's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from lxml import etree

from engine.domain.errors import SubmissionError
from engine.intake.contract import Contract, Layout
from engine.intake.parts import MAX_CELL, MAX_COLUMNS, Batch, Part, plain_name, wrong_layout

BATCH_ROWS = 4096
MAX_INSIDE = 32 << 20
"""Bytes that may stand between the ends of two persons; more is no extract."""


def open_xml(stream: BinaryIO, name: str, contract: Contract) -> Part:
    """Open an XML file under its contract.

    Raises:
        SubmissionError: ``FG-SUB-02`` no XML, ``FG-SUB-05`` a document type, ``FG-SUB-18`` a person
            that never ends.
        ContractError: ``FG-SUB-03`` or ``FG-SUB-04``.
    """
    layouts = contract.layouts_of("xml")
    roots = {layout.root for layout in layouts}
    root, header = _head(stream, {layout.parent for layout in layouts})
    if root not in roots:
        raise wrong_layout(contract, f"its root element is not {' or '.join(sorted(roots))}")
    chosen = [one for one in layouts if one.root == root]
    reader = _Reader(contract, chosen)
    batches = reader.batches(_people(stream, reader.parents))
    # The first rows decide whether the file is of this layout at all.
    ahead = next(batches, None)
    if ahead is None:
        parents = " or ".join(sorted({one.parent for one in chosen}))
        raise wrong_layout(contract, f"no {parents} element stands in it")
    layout = reader.layout or chosen[-1]
    notes = _header_notes(layout, header)

    def chained() -> Iterator[Batch]:
        yield ahead
        yield from batches

    return Part(
        name=plain_name(name.rsplit("/", 1)[-1]),
        table="+".join(one.id for one in contract.tables),
        layout=f"{contract.source}/{layout.id}",
        encoding="xml",
        fields=layout.fields,
        headers={
            spec.name: reader.headers.get(spec.name, spec.columns[0])
            for spec in layout.fields.values()
            if spec.columns
        },
        present=tuple(spec.name for spec in layout.fields.values() if spec.columns),
        unknown=tuple(plain_name(one) for one in reader.unknown),
        batches=chained(),
        notes=notes,
    )


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
    for check in wrong:
        if check["severity"] == "error":
            raise SubmissionError(
                "FG-SUB-26",
                f"the header of the file is wrong: {check['says']}",
                check.get("do", "Correct it in the system that makes the file and send it again."),
            )
    return wrong


_SAFE: dict[str, Any] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "huge_tree": False,
    "recover": False,
}


@contextmanager
def _readable() -> Iterator[None]:
    """Turn what the parser says of a broken file into an error that repeats nothing of it."""
    try:
        yield
    except etree.XMLSyntaxError as error:
        raise SubmissionError(
            "FG-SUB-02",
            f"the file stops being XML at line {error.lineno}",
            "Export it again from the case system.",
        ) from None
    except (LookupError, ValueError):
        raise SubmissionError(
            "FG-SUB-02", "the file is not XML of a known encoding", "Send it as UTF-8."
        ) from None


def _head(stream: BinaryIO, parents: set[str]) -> tuple[str, dict[str, str]]:
    """Return the name of the root and the values before the first person.

    The stream stands at its start afterwards.

    Raises:
        SubmissionError: ``FG-SUB-02`` no XML, ``FG-SUB-05`` a document type.
    """
    with _readable():
        events = etree.iterparse(_Bounded(stream), events=("start", "end"), **_SAFE)
        _, root = next(events)
        if root.getroottree().docinfo.doctype:
            raise SubmissionError(
                "FG-SUB-05", "the file declares a document type", "Send it without a DTD."
            )
        name = _local(root.tag)
        header: dict[str, str] = {}
        for event, element in events:
            if event == "start" and _local(element.tag) in parents:
                break
            if event == "end" and not len(element) and len(header) < MAX_COLUMNS:
                header.setdefault(_local(element.tag), (element.text or "").strip()[:100])
    stream.seek(0)
    return name, header


def _people(stream: BinaryIO, parents: set[str]) -> Iterator[etree._Element]:
    """Yield each person's element when it ends; what is not a person is passed over in C."""
    bounded = _Bounded(stream)
    with _readable():
        found = etree.iterparse(
            bounded, events=("end",), tag=[f"{{*}}{name}" for name in parents], **_SAFE
        )
        for _, element in found:
            yield element
            bounded.since = 0
            element.clear()
            _drop_before(element)


class _Bounded:
    """A stream that stops a parser which has read far without any person coming to an end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.since = stream, 0

    def read(self, size: int = -1) -> bytes:
        """Read on; raises ``FG-SUB-18`` beyond the bound."""
        data = self._stream.read(size)
        self.since += len(data)
        if self.since > MAX_INSIDE:
            raise SubmissionError(
                "FG-SUB-18", "one person's element never ends", "Send the extract again."
            )
        return data


class _Reader:
    """Turns persons into rows of the contract's tables."""

    def __init__(self, contract: Contract, layouts: list[Layout]) -> None:
        self._contract = contract
        self._layouts = layouts
        self.parents = {one.parent for one in layouts}
        self.layout: Layout | None = None
        self.unknown: dict[str, None] = {}
        self.headers: dict[str, str] = {}
        self._rows: dict[str, str] = {}
        self._elements: dict[str, list[str]] = {}
        self._fields: dict[str, tuple[str, ...]] = {}
        self._known: dict[object, tuple[str | None, tuple[str, ...]]] = {}

    def batches(self, people: Iterator[etree._Element]) -> Iterator[Batch]:
        """Yield the rows of the persons, a table at a time."""
        held: dict[str, list[tuple[int, dict[str, str]]]] = {}
        count = 0
        for element in people:
            if self.layout is None:
                self._choose(element)
            for table, line, row in self._person(element):
                held.setdefault(table, []).append((line, row))
                count += 1
            if count >= BATCH_ROWS:
                yield from self._made(held)
                held, count = {}, 0
        yield from self._made(held)

    def _choose(self, person: etree._Element) -> None:
        """Take the layout that knows most of the elements of the first person; the last of equals."""
        names = {_local(one.tag) for one in person.iter(etree.Element)}
        known = [
            len(names & {alias for spec in one.fields.values() for alias in spec.columns})
            for one in self._layouts
        ]
        best = max(known)
        self.layout = [one for one, n in zip(self._layouts, known, strict=True) if n == best][-1]
        for table in self._contract.tables:
            self._fields[table.id] = tuple(
                name for name, spec in self.layout.of_table(table.id).items() if spec.columns
            )
            if row := self.layout.rows.get(table.id):
                self._rows[row] = table.id
        for name, spec in self.layout.fields.items():
            for alias in spec.columns:
                self._elements.setdefault(alias, []).append(name)

    def _person(self, person: etree._Element) -> list[tuple[str, int, dict[str, str]]]:
        """Return the rows of a person, in the order of the file."""
        found: list[tuple[str, int, dict[str, str]]] = []
        own = self._walk(person, self._meaning(person.tag)[0], {}, found)
        if not found and len(self._contract.tables) == 1:
            # A person without any row of the only table is a row all the same: nobody is lost.
            found.append((self._contract.tables[0].id, _line(person), own))
        return found

    def _walk(
        self,
        element: etree._Element,
        table: str | None,
        around: dict[str, str],
        found: list[tuple[str, int, dict[str, str]]],
    ) -> dict[str, str]:
        own: dict[str, str] = {}
        nested: list[tuple[etree._Element, str]] = []
        if table is not None and not len(element):
            self._take(element, self._elements.get(_local(element.tag), ()), own)
        self._gather(element, own, nested)
        here = {**around, **own} if around else own
        if table is not None:
            found.append(
                (table, _line(element),
                 {name: here[name] for name in self._fields[table] if name in here})
            )  # fmt: skip
        for one, its in nested:
            self._walk(one, its, here, found)
        return here

    def _gather(
        self,
        element: etree._Element,
        own: dict[str, str],
        nested: list[tuple[etree._Element, str]],
    ) -> None:
        """Take the values under an element; what makes a row of its own is put aside."""
        known = self._known
        for child in element:
            tag = child.tag
            table, fields = known.get(tag) or self._meaning(tag)
            if table is not None:
                nested.append((child, table))
            elif len(child):
                self._gather(child, own, nested)
            elif fields:
                self._take(child, fields, own)
            elif len(self.unknown) < MAX_COLUMNS and not callable(tag):
                self.unknown.setdefault(_local(tag))

    def _meaning(self, tag: object) -> tuple[str | None, tuple[str, ...]]:
        """Return the table that an element makes a row of, and the fields that it fills."""
        name = _local(tag) if isinstance(tag, str) else ""  # Comments are no elements.
        fields = tuple(self._elements.get(name, ()))
        for one in fields:
            self.headers.setdefault(one, name)
        self._known[tag] = found = (self._rows.get(name) if name else None, fields)
        return found

    def _take(self, leaf: etree._Element, fields: Sequence[str], own: dict[str, str]) -> None:
        text = (leaf.text or "").strip()
        if len(text) > MAX_CELL:
            raise SubmissionError(
                "FG-SUB-02", f"the value at line {_line(leaf)} is endless", "Send it again."
            )
        for name in fields:
            # Of several values the first counts; a table of its own keeps them all.
            own.setdefault(name, text)

    def _made(self, held: Mapping[str, list[tuple[int, dict[str, str]]]]) -> Iterator[Batch]:
        for table, rows in held.items():
            names = self._fields[table]
            filled = [(line, row) for line, row in rows if any(row.values())]
            columns = {
                name: pa.array([row.get(name, "") for _, row in filled], pa.string())
                for name in names
            }
            yield Batch(
                table,
                np.array([line for line, _ in filled], np.int64),
                columns,
                blank=len(rows) - len(filled),
            )


def _drop_before(element: Any) -> None:
    """Let go of what stands before an element, so that memory does not grow with the file."""
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def _line(element: Any) -> int:
    return int(element.sourceline or 0)


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]
