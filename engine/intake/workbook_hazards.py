"""Look through a workbook before it is opened: formulas, and cells so far apart that memory would fill.

The reader of workbooks makes every cell between the first and the last, in memory that Python cannot
guard. What a workbook holds is therefore told from its own XML, read as a stream, whatever its parts
are called and however they are written.
"""

from __future__ import annotations

import re
import zipfile
from typing import Any, BinaryIO
from xml.parsers import expat

from engine.domain.errors import SubmissionError
from engine.intake.package import MAX_MEMBERS
from engine.intake.unzip import BROKEN, MemberStream, too_much, unreadable

MAX_WORKBOOK = 512 << 20
MAX_CELLS = 20_000_000
"""Cells between the first and the last of a sheet: more are no table that somebody keeps."""
_PIECE = 1 << 20
_TOKEN = 4 << 20
_REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")


def check_workbook(stream: BinaryIO) -> None:
    """Refuse a workbook that holds formulas or unpacks to too much; the stream stands at its start.

    A formula's cell shows what some program once computed and not what somebody entered; a value is
    sent as a value.

    Raises:
        SubmissionError: ``FG-SUB-02`` unreadable, ``FG-SUB-14`` too large, ``FG-SUB-16`` a formula.
    """
    stream.seek(0)
    try:
        with zipfile.ZipFile(stream) as archive:
            _check(archive)
    except BROKEN:
        unreadable()
    stream.seek(0)


def _check(archive: zipfile.ZipFile) -> None:
    infos = archive.infolist()
    total = sum(info.file_size for info in infos)
    if total > MAX_WORKBOOK or len(infos) > 10 * MAX_MEMBERS:
        too_much()
    for info in infos:
        if not info.is_dir():
            _Sheet().read(MemberStream(archive, info))


def _local(tag: str) -> str:
    return tag.rpartition(":")[2]


class _Sheet:
    """Any part of a workbook; only what stands in a table of cells is looked at."""

    def __init__(self) -> None:
        self._inside = self._seen = False
        self._row = self._column = self._last_row = self._last_column = 0

    def read(self, stream: Any) -> None:
        """Read a part to its end.

        Drawings and pictures are not well-formed XML and are only held to their size. A part that
        stops being XML and names a table of cells all the same is refused: another reader might go on.
        """
        parser: Any = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = _no_doctype
        tail, fed = b"", 0
        while data := stream.read(_PIECE):
            if parser is not None and not _fed(parser, data, last=False):
                parser = None
                if self._seen:
                    unreadable()
            fed += len(data)
            # A token that does not end is read again from its start with every piece.
            if parser is not None and fed - max(0, parser.CurrentByteIndex) > _TOKEN:
                too_much()
            if parser is None:
                text = tail + data.replace(b"\x00", b"")
                if b"sheetData" in text:
                    unreadable()
                tail = text[-8:]
        if parser is not None and self._seen and not _fed(parser, b"", last=True):
            unreadable()

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = _local(tag)
        if name == "sheetData":
            self._inside = self._seen = True
        elif not self._inside:
            return
        elif name == "row":
            stated = attributes.get("r", "")
            self._row = int(stated) if stated.isdigit() else self._row + 1
            self._column = 0
        elif name == "c":
            place = _REFERENCE.fullmatch(attributes.get("r", ""))
            self._column += 1
            if place:
                self._column, self._row = _column(place[1]), int(place[2])
        elif name in ("v", "is"):
            # A cell that only has a colour is not made.
            self._last_row = max(self._last_row, self._row)
            self._last_column = max(self._last_column, self._column)
            if self._last_row * self._last_column > MAX_CELLS:
                too_much()
        elif name == "f":
            raise SubmissionError(
                "FG-SUB-16",
                "a cell of the workbook is a formula",
                "Copy the sheet and paste it as values; send that.",
            )

    def _end(self, tag: str) -> None:
        # What stands behind the cells, such as a list that another sheet fills, is no cell.
        if _local(tag) == "sheetData":
            self._inside = False


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number


class _NoXml(Exception):
    """A part declares a document type: a picture, and no part that a reader of cells would read."""


def _no_doctype(*_: object) -> None:
    raise _NoXml


def _fed(parser: Any, data: bytes, *, last: bool) -> bool:
    """Feed a parser, and say whether what it was given is XML."""
    try:
        parser.Parse(data, last)
    except (expat.ExpatError, LookupError, ValueError, _NoXml):
        return False
    return True
