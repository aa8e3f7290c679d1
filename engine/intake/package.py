"""What arrives: one file, several that belong together, or a zip of several; hazards stop here.

Nothing is unpacked to a disk. Members of an archive are read as streams with a running count, so that
an archive that grows beyond its word is stopped while it grows.
"""

from __future__ import annotations

import io
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO, NoReturn

from engine.domain.errors import SubmissionError

MAX_MEMBERS = 200
MAX_RATIO = 250
MAX_UNPACKED = 8 << 30
MAX_WORKBOOK = 512 << 20
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError),
    *(ValueError, NotImplementedError, RuntimeError, KeyError, IndexError, OverflowError),
)
"""What reading a damaged archive raises."""
_SAFE_NAME = re.compile(r"[^\x00-\x1f\\:]+")


@dataclass(frozen=True)
class Member:
    """A file of a delivery.

    Attributes:
        name: As the agency named it; it chooses the table and is repeated only when it is plain.
        open: Opens it from its start; seekable.
    """

    name: str
    open: Callable[[], BinaryIO] = field(repr=False)


def members_of(files: Sequence[tuple[str, BinaryIO]]) -> list[Member]:
    """Return the files of a delivery in order of their names, archives opened.

    Args:
        files: Name and seekable stream of each file that was handed over.

    Raises:
        SubmissionError: ``FG-SUB-01`` an empty file, ``FG-SUB-12`` a locked archive, ``FG-SUB-13``
            an archive that names a place outside itself, ``FG-SUB-14`` an archive that unpacks to too
            much, ``FG-SUB-15`` an archive in an archive.
    """
    found: list[Member] = []
    for name, stream in files:
        stream.seek(0)
        head = stream.read(4)
        stream.seek(0)
        if head == b"PK\x03\x04" and not is_workbook(stream):
            found += _unpacked(stream)
        else:
            found.append(Member(name, _whole(stream)))
    return sorted(found, key=lambda one: one.name)


def _whole(stream: BinaryIO) -> Callable[[], BinaryIO]:
    def opened() -> BinaryIO:
        stream.seek(0)
        return stream

    return opened


def is_workbook(stream: BinaryIO) -> bool:
    """Say whether a zip is a workbook; the stream stands at its start afterwards."""
    try:
        with zipfile.ZipFile(stream) as archive:
            names = set(archive.namelist())
    except _BROKEN:
        _unreadable()
    finally:
        stream.seek(0)
    return "[Content_Types].xml" in names and "xl/workbook.xml" in names


def _unpacked(stream: BinaryIO) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(stream)
        infos = [info for info in archive.infolist() if not info.is_dir()]
    except _BROKEN:
        _unreadable()
    _check_archive(infos)
    for info in infos:
        if info.filename.rsplit("/", 1)[-1].startswith("."):
            continue  # What an operating system leaves beside the files is no delivery.
        yield Member(info.filename, _member(archive, info))


def _unreadable() -> NoReturn:
    raise SubmissionError(
        "FG-SUB-02", "the archive cannot be read", "Make the zip again and send it."
    ) from None


def _check_archive(infos: Sequence[zipfile.ZipInfo]) -> None:
    if any(info.flag_bits & 1 for info in infos):
        raise SubmissionError(
            "FG-SUB-12", "the archive is locked with a password", "Send it without one."
        )
    for info in infos:
        path = PurePosixPath(info.filename)
        link = (info.external_attr >> 16) & 0o170000 == 0o120000
        if (
            path.is_absolute()
            or ".." in path.parts
            or link
            or not _SAFE_NAME.fullmatch(info.filename)
        ):
            raise SubmissionError(
                "FG-SUB-13",
                "the archive names a place outside itself",
                "Put the files into the zip without folders.",
            )
    total = sum(info.file_size for info in infos)
    packed = max(1, sum(info.compress_size for info in infos))
    if (
        len(infos) > MAX_MEMBERS
        or total > MAX_UNPACKED
        or (total > 50 << 20 and total > packed * MAX_RATIO)
    ):
        _too_much()
    for info in infos:
        if info.filename.casefold().endswith((".zip", ".gz", ".7z", ".rar", ".tar")):
            raise SubmissionError(
                "FG-SUB-15", "an archive stands in the archive", "Put the files into one zip."
            )


def _too_much() -> NoReturn:
    raise SubmissionError(
        "FG-SUB-14",
        "the archive unpacks to more than an extract can be",
        "Send the files apart, or less of them at once.",
    )


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], BinaryIO]:
    def opened() -> BinaryIO:
        try:
            counted: Any = _Counted(archive.open(info), info.file_size)
        except _BROKEN:
            _unreadable()
        return io.BufferedReader(counted)

    return opened


class _Counted(io.RawIOBase):
    """A member that may not grow beyond the size that the archive states for it."""

    def __init__(self, stream: Any, size: int) -> None:
        self._stream, self._size = stream, size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._stream.seek(offset, whence))

    def tell(self) -> int:
        return int(self._stream.tell())

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except _BROKEN:
            _unreadable()
        if self._stream.tell() > self._size:
            _too_much()
        buffer[: len(data)] = data
        return len(data)


def check_workbook(stream: BinaryIO) -> None:
    """Refuse a workbook that holds formulas or unpacks to too much.

    A formula's cell shows what some program once computed and not what somebody entered; a value is
    sent as a value.

    Raises:
        SubmissionError: ``FG-SUB-14`` too large, ``FG-SUB-16`` a formula cell.
    """
    stream.seek(0)
    try:
        with zipfile.ZipFile(stream) as archive:
            formula = _any_formula(archive)
    except _BROKEN:
        _unreadable()
    if formula:
        raise SubmissionError(
            "FG-SUB-16",
            "a cell of the workbook is a formula",
            "Copy the sheet and paste it as values; send that.",
        )
    stream.seek(0)


def _any_formula(archive: zipfile.ZipFile) -> bool:
    infos = archive.infolist()
    total = sum(info.file_size for info in infos)
    if total > MAX_WORKBOOK or len(infos) > 10 * MAX_MEMBERS:
        _too_much()
    for info in infos:
        if info.filename.startswith("xl/worksheets/") and info.filename.endswith(".xml"):
            with archive.open(info) as sheet:
                if _holds_formula(sheet, info.file_size):
                    return True
    return False


def _holds_formula(sheet: Any, size: int) -> bool:
    tail, seen = b"", 0
    while block := sheet.read(1 << 20):
        seen += len(block)
        if seen > size:
            _too_much()
        text = tail + block
        if b"<f>" in text or b"<f " in text or b"<f/>" in text:
            return True
        tail = text[-4:]
    return False
