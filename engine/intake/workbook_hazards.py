"""Look through a workbook before it is opened: formulas, and more than an extract can be.

What a workbook holds is told from its own XML, read as a stream, whatever its parts are called and
however they are written.
"""

from __future__ import annotations

import zipfile
from typing import Any, BinaryIO
from xml.parsers import expat

from engine.domain.errors import SubmissionError
from engine.intake.package import MAX_MEMBERS, MAX_RATIO
from engine.intake.parts import local_name
from engine.intake.unzip import BROKEN, MemberStream, too_much, unreadable

MAX_WORKBOOK = 4 << 30
"""What a workbook may unpack to: a sheet of a million rows and thirty columns is about half of it."""
_PIECE = 1 << 20
_TOKEN = 4 << 20


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
    packed = max(1, sum(info.compress_size for info in infos))
    swollen = total > 50 << 20 and total > packed * MAX_RATIO
    if total > MAX_WORKBOOK or swollen or len(infos) > 10 * MAX_MEMBERS:
        too_much()
    for info in infos:
        if not info.is_dir():
            _Sheet().read(MemberStream(archive, info))


class _Sheet:
    """Any part of a workbook; only what stands in a table of cells is looked at."""

    def __init__(self) -> None:
        self._inside = self._seen = False

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

    def _start(self, tag: str, _: object) -> None:
        name = local_name(tag)
        if name == "sheetData":
            self._inside = self._seen = True
        elif name == "f" and self._inside:
            raise SubmissionError(
                "FG-SUB-16",
                "a cell of the workbook is a formula",
                "Copy the sheet and paste it as values; send that.",
            )

    def _end(self, tag: str) -> None:
        # What stands behind the cells, such as a list that another sheet fills, is no cell.
        if local_name(tag) == "sheetData":
            self._inside = False


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
