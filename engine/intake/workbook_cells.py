"""The cells of a workbook as they pass: rows in blocks, texts only, memory flat in the size of the file.

The libraries that read workbooks either hold a sheet whole or take ten times as long as the rest of a
delivery, so the few elements that make a table of cells (ECMA-376 part 1, chapter 18) are read here by
the XML parser itself. What the texts should be is held by a test against another reader.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO
from xml.parsers import expat

from engine.domain.errors import SubmissionError
from engine.intake.parts import MAX_CELL, local_name
from engine.intake.unzip import BROKEN, MemberStream, too_much
from engine.intake.workbook_numbers import (
    DATE,
    ELAPSED,
    NUMBER,
    kind_of_format,
    text_of_day,
    text_of_number,
    text_of_serial,
)
from engine.intake.workbook_texts import SharedTexts, unescaped

Row = tuple[int, dict[int, str]]
MAX_ROWS, MAX_PLACES = 1 << 20, 1 << 14
"""Rows and columns of a sheet: the format has no more."""
BLOCK_ROWS, _BLOCK_CELLS = 16_384, 1_000_000
_PIECE = 1 << 18
_DIGITS = "0123456789"
_MAIN = "/officeDocument"
_SHEET = "/worksheet"


def damaged() -> SubmissionError:
    """Return the error of a workbook that is not what a workbook is."""
    return SubmissionError(
        "FG-SUB-02", "the workbook cannot be read", "Save it again as .xlsx and send that."
    )


class Workbook:
    """The sheets of a workbook.

    Args:
        stream: The file; it is read again for every sheet.

    Raises:
        SubmissionError: ``FG-SUB-02`` unreadable.
    """

    def __init__(self, stream: BinaryIO) -> None:
        try:
            self._archive = zipfile.ZipFile(stream)
        except BROKEN:
            raise damaged() from None
        self._members = {info.filename: info for info in self._archive.infolist()}
        main = self._related("", _MAIN)
        self._path = next(iter(main.values()), "xl/workbook.xml")
        book = _Book()
        _parse(self._open(self._path), book.start)
        self._from_1904 = book.from_1904
        sheets, folder = self._related(self._path, _SHEET), "/sharedStrings"
        self.sheets = [(name, sheets[link]) for name, link in book.sheets if link in sheets]
        self._kinds = self._styles()
        self._texts: SharedTexts | None = None
        self._texts_at = next(iter(self._related(self._path, folder).values()), None)

    def rows(self, path: str, wanted: frozenset[int] | None = None) -> Iterator[list[Row]]:
        """Yield the rows of a sheet in blocks: number from 1, and text by column from 0.

        Args:
            path: Where the sheet stands, as `sheets` says.
            wanted: The columns to read; None reads all. A row without a text of them is told by its
                number alone, and so is one that the sheet leaves out, by the numbers around it.

        Raises:
            SubmissionError: ``FG-SUB-02`` damaged, ``FG-SUB-14`` a cell longer than cells are.
        """
        sheet = _Cells(self._kinds, wanted, from_1904=self._from_1904)
        stream = self._open(path)
        for _ in _fed(stream, sheet.attach):
            if len(sheet.rows) >= BLOCK_ROWS or sheet.held > _BLOCK_CELLS:
                yield self._with_texts(sheet)
        if sheet.rows:
            yield self._with_texts(sheet)

    def _with_texts(self, sheet: _Cells) -> list[Row]:
        rows = sheet.rows
        asked = {text for _, cells in rows for text in cells.values() if type(text) is int}
        if asked:
            if self._texts is None:
                self._texts = SharedTexts()
                if self._texts_at is not None:
                    _read_texts(self._open(self._texts_at), self._texts)
                self._texts.complete()
            try:
                known = self._texts.some(asked)
            except IndexError:
                raise damaged() from None
            rows = [
                (number, {at: known[one] if type(one) is int else one for at, one in cells.items()})
                for number, cells in rows
            ]
        sheet.rows, sheet.held = [], 0
        return rows

    def _open(self, path: str) -> MemberStream:
        if path not in self._members:
            raise damaged()
        return MemberStream(self._archive, self._members[path])

    def _related(self, path: str, kind: str) -> dict[str, str]:
        """Return the parts of one kind that a part refers to, by their link."""
        folder, name = posixpath.split(path)
        at = posixpath.join(folder, "_rels", f"{name}.rels")
        if at not in self._members:
            return {}
        found: dict[str, str] = {}

        def start(tag: str, attributes: dict[str, str]) -> None:
            if tag == "Relationship" and attributes.get("Type", "").endswith(kind):
                target = posixpath.join("/", folder, attributes.get("Target", ""))
                found[attributes.get("Id", "")] = posixpath.normpath(target).lstrip("/")

        _parse(self._open(at), start)
        return found

    def _styles(self) -> Sequence[int]:
        styles = _Styles()
        for path in self._related(self._path, "/styles").values():
            _parse(self._open(path), styles.start, styles.end)
        return [kind_of_format(number, styles.formats.get(number)) for number in styles.cells]


class _Book:
    def __init__(self) -> None:
        self.sheets: list[tuple[str, str]] = []
        self.from_1904 = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "sheet":
            link = next((one for name, one in attributes.items() if local_name(name) == "id"), "")
            self.sheets.append((attributes.get("name", ""), link))
        elif tag == "workbookPr":
            self.from_1904 = attributes.get("date1904", "0") in ("1", "true", "on")


class _Styles:
    def __init__(self) -> None:
        self.formats: dict[int, str] = {}
        self.cells: list[int] = []
        self._inside = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "numFmt":
            self.formats[_whole(attributes.get("numFmtId"))] = attributes.get("formatCode", "")
        elif tag == "cellXfs":
            self._inside = True
        elif tag == "xf" and self._inside:
            self.cells.append(_whole(attributes.get("numFmtId", "0")))

    def end(self, tag: str) -> None:
        if tag == "cellXfs":
            self._inside = False


def _whole(text: str | None) -> int:
    if text is None or not (text.isascii() and text.isdigit()):
        raise damaged()
    return int(text[:12])


class _Cells:
    """What is in a table of cells; a shared text is held by its number until its block is whole."""

    def __init__(
        self, kinds: Sequence[int], wanted: frozenset[int] | None, *, from_1904: bool
    ) -> None:
        self.rows: list[tuple[int, dict[int, Any]]] = []
        self.held = 0
        self._kinds, self._from_1904, self._wanted = kinds, from_1904, wanted
        self._row = self._place = 0
        self._cells: dict[int, Any] = {}
        self._letters: dict[str, int] = {}
        self._names: dict[str, str] = {}
        self._type = self._style = ""
        self._inside = self._phonetic = False
        self._parts: list[str] | None = None
        self._long = 0

    def attach(self, parser: Any) -> None:
        """Take a parser's words."""
        self._parser = parser
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = self._names.get(tag) or self._names.setdefault(tag, local_name(tag))
        if name == "c" and self._inside:
            self._cell(attributes)
        elif name in ("v", "t") and self._parts is not None and not self._phonetic:
            self._parser.CharacterDataHandler = self._text
        elif name == "row" and self._inside:
            self._next_row(attributes.get("r"))
        elif name == "sheetData":
            self._inside = True
        elif name == "rPh":
            self._phonetic = True

    def _next_row(self, stated: str | None) -> None:
        row = self._row + 1 if stated is None else _whole(stated)
        if not self._row < row <= MAX_ROWS:
            raise damaged()
        self._row, self._place, self._cells = row, -1, {}

    def _cell(self, attributes: dict[str, str]) -> None:
        reference = attributes.get("r")
        place = self._place + 1
        if reference is not None:
            letters = reference.rstrip(_DIGITS)
            found = self._letters.get(letters)
            if found is None:
                found = self._letters[letters] = place_of(letters)
            if found < place or reference[len(letters) :] != str(self._row):
                raise damaged()
            place = found
        if place >= MAX_PLACES:
            raise damaged()
        self._place = place
        self._type, self._style = attributes.get("t", "n"), attributes.get("s", "")
        self._parts = [] if self._wanted is None or place in self._wanted else None
        self._long = 0

    def _text(self, data: str) -> None:
        self._long += len(data)
        if self._long > MAX_CELL:
            too_much()
        if self._parts is not None:
            self._parts.append(data)

    def _end(self, tag: str) -> None:
        name = self._names.get(tag) or local_name(tag)
        if name in ("v", "t"):
            self._parser.CharacterDataHandler = None
        elif name == "c" and self._parts:
            text = self._meaning("".join(self._parts))
            self._parts = None
            if text != "":
                self._cells[self._place] = text
                self.held += 1
        elif name == "row" and self._inside:
            self.rows.append((self._row, self._cells))
        elif name == "sheetData":
            self._inside = False
        elif name == "rPh":
            self._phonetic = False

    def _meaning(self, text: str) -> str | int:
        kind = self._type
        if kind == "s":
            return _whole(text.strip())
        if kind == "n":
            style = self._kinds[_whole(self._style)] if self._style else NUMBER
            if style in (DATE, ELAPSED):
                return text_of_serial(text, from_1904=self._from_1904, elapsed=style == ELAPSED)
            return text_of_number(text)
        if kind == "b":
            return "1" if text.strip() == "1" else "0"
        if kind == "d":
            return text_of_day(text)
        return unescaped(text)


def place_of(letters: str) -> int:
    """Return the column from 0 of its letters.

    Raises:
        SubmissionError: ``FG-SUB-02`` they name none.
    """
    if not re.fullmatch("[A-Z]{1,3}", letters):
        raise damaged()
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _read_texts(stream: Any, texts: SharedTexts) -> None:
    """Read the shared texts; what only says how a text is spoken is left out."""
    state = {"spoken": 0, "long": 0}
    parts: list[str] = []

    def attach(parser: Any) -> None:
        def text(data: str) -> None:
            state["long"] += len(data)
            if state["long"] > MAX_CELL:
                too_much()
            parts.append(data)

        def start(tag: str, _: object) -> None:
            name = local_name(tag)
            if name == "rPh":
                state["spoken"] += 1
            elif name == "t" and not state["spoken"]:
                parser.CharacterDataHandler = text

        def end(tag: str) -> None:
            name = local_name(tag)
            if name == "t":
                parser.CharacterDataHandler = None
            elif name == "rPh":
                state["spoken"] -= 1
            elif name == "si":
                texts.add(unescaped("".join(parts)))
                parts.clear()
                state["long"] = 0

        parser.StartElementHandler, parser.EndElementHandler = start, end

    for _ in _fed(stream, attach):
        pass


def _parse(
    stream: Any,
    on_start: Callable[[str, dict[str, str]], None],
    on_end: Callable[[str], None] | None = None,
) -> None:
    def attach(parser: Any) -> None:
        parser.StartElementHandler = lambda tag, more: on_start(local_name(tag), more)
        if on_end is not None:
            parser.EndElementHandler = lambda tag: on_end(local_name(tag))

    for _ in _fed(stream, attach):
        pass


def _fed(stream: Any, attach: Callable[[Any], None]) -> Iterator[None]:
    """Feed a part to a parser piece by piece."""
    parser: Any = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _no_doctype
    attach(parser)
    try:
        while data := stream.read(_PIECE):
            parser.Parse(data, False)  # noqa: FBT003  # the parser's own signature
            yield
        parser.Parse(b"", True)  # noqa: FBT003
    except (expat.ExpatError, LookupError, ValueError):
        raise damaged() from None
    yield


def _no_doctype(*_: object) -> None:
    raise damaged()
