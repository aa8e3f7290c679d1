"""Read XML element by element: entities, document types and the network are off, memory is flat.

A layout names the element of a person (`parent`) and, for each table, the element that makes a row. A
row takes the values of its own element and of what surrounds it, up to the person; what belongs to
another table's element inside it is that table's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from lxml import etree

from engine.domain.errors import SubmissionError
from engine.intake.contract import Contract, Layout
from engine.intake.parts import MAX_CELL, MAX_COLUMNS, Batch, Part, plain_name, wrong_layout

BATCH_ROWS = 4096
MAX_INSIDE = 50_000
"""Elements that one person may hold; more is no extract."""


def open_xml(stream: BinaryIO, name: str, contract: Contract) -> Part:
    """Open an XML file under its contract.

    Raises:
        SubmissionError: ``FG-SUB-02`` no XML, ``FG-SUB-05`` a document type, ``FG-SUB-18`` a person
            that never ends.
        ContractError: ``FG-SUB-03`` or ``FG-SUB-04``.
    """
    layouts = contract.layouts_of("xml")
    roots = {layout.root for layout in layouts}
    events = _events(stream)
    first = next(events, None)
    if first is None or _local(first.tag) not in roots:
        raise wrong_layout(contract, f"its root element is not {' or '.join(sorted(roots))}")
    chosen = [one for one in layouts if one.root == _local(first.tag)]
    reader = _Reader(contract, chosen)
    batches = reader.batches(events)
    # The first rows decide whether the file is of this layout at all.
    ahead = next(batches, None)
    if ahead is None:
        parents = " or ".join(sorted({one.parent for one in chosen}))
        raise wrong_layout(contract, f"no {parents} element stands in it")
    layout = reader.layout or chosen[-1]

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
    )


def _events(stream: BinaryIO) -> Iterator[etree._Element]:
    """Yield the root when it begins and then every element that ends."""
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
        if root.getroottree().docinfo.doctype:
            raise SubmissionError(
                "FG-SUB-05", "the file declares a document type", "Send it without a DTD."
            )
        yield root
        for event, element in context:
            if event == "end":
                yield element
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


class _Reader:
    """Turns persons into rows of the contract's tables."""

    def __init__(self, contract: Contract, layouts: list[Layout]) -> None:
        self._contract = contract
        self._layouts = layouts
        self._parents = {one.parent for one in layouts}
        self.layout: Layout | None = None
        self.unknown: dict[str, None] = {}
        self.headers: dict[str, str] = {}
        self._rows: dict[str, str] = {}
        self._elements: dict[str, list[tuple[str, str]]] = {}
        self._fields: dict[str, tuple[str, ...]] = {}

    def batches(self, elements: Iterator[etree._Element]) -> Iterator[Batch]:
        held: dict[str, list[tuple[int, dict[str, str]]]] = {}
        count = inside = 0
        for element in elements:
            inside += 1
            if inside > MAX_INSIDE:
                raise SubmissionError(
                    "FG-SUB-18", "one person's element never ends", "Send the extract again."
                )
            if _local(element.tag) not in self._parents:
                continue
            inside = 0
            if self.layout is None:
                self._choose(element)
            for table, line, row in self._person(element):
                held.setdefault(table, []).append((line, row))
                count += 1
            element.clear()
            _drop_before(element)
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
                self._elements.setdefault(alias, []).append((spec.table, name))

    def _person(self, person: etree._Element) -> Iterator[tuple[str, int, dict[str, str]]]:
        """Yield the rows of a person, in the order of the file."""
        found: list[tuple[str, int, dict[str, str]]] = []
        self._walk(person, {}, found)
        if len(self._contract.tables) == 1 and not found:
            # A person without any row of the only table is a row all the same: nobody is lost.
            own: dict[str, str] = {}
            self._leaves(person, own)
            found.append((self._contract.tables[0].id, _line(person), own))
        return iter(found)

    def _walk(
        self,
        element: etree._Element,
        around: Mapping[str, str],
        found: list[tuple[str, int, dict[str, str]]],
    ) -> None:
        table = self._rows.get(_local(element.tag))
        own: dict[str, str] = {}
        nested: list[etree._Element] = []
        if table is not None and not len(element):
            self._take(element, own)
        self._gather(element, own, nested)
        here = {**around, **own}
        if table is not None:
            wanted = self._fields[table]
            row = {name: here[name] for name in wanted if name in here}
            found.append((table, _line(element), row))
        for one in nested:
            self._walk(one, here, found)

    def _gather(
        self, element: etree._Element, own: dict[str, str], nested: list[etree._Element]
    ) -> None:
        for child in element.iterchildren(etree.Element):  # Comments are no elements.
            if _local(child.tag) in self._rows:
                nested.append(child)
            elif len(child):
                self._gather(child, own, nested)
            else:
                self._take(child, own)

    def _leaves(self, element: etree._Element, own: dict[str, str]) -> None:
        for leaf in element.iter(etree.Element):
            if not len(leaf):
                self._take(leaf, own)

    def _take(self, leaf: etree._Element, own: dict[str, str]) -> None:
        name = _local(leaf.tag)
        targets = self._elements.get(name)
        if targets is None:
            if len(self.unknown) < MAX_COLUMNS:
                self.unknown.setdefault(name)
            return
        text = (leaf.text or "").strip()
        if len(text) > MAX_CELL:
            raise SubmissionError(
                "FG-SUB-02", f"the value at line {_line(leaf)} is endless", "Send it again."
            )
        for _, field_name in targets:
            # Of several values the first counts; a table of its own keeps them all.
            own.setdefault(field_name, text)
            self.headers.setdefault(field_name, name)

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
