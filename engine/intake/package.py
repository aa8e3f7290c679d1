"""What arrives: one file, several that belong together, or a zip of several; hazards stop here.

Nothing is unpacked to a disk. Members of an archive are read as streams with a running count, so that
an archive that grows beyond its word is stopped while it grows.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import BinaryIO

from engine.domain.errors import SubmissionError
from engine.intake.unzip import BROKEN, MemberStream, too_much, unreadable

MAX_MEMBERS = 200
MAX_RATIO = 250
MAX_UNPACKED = 8 << 30
_LEFT_BEHIND = re.compile(
    r"(?i)__MACOSX/.*|(.*/)?(\._[^/]*|\.DS_Store|Thumbs\.db|desktop\.ini|\.directory)"
)
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
    except BROKEN:
        unreadable()
    finally:
        stream.seek(0)
    return "[Content_Types].xml" in names and "xl/workbook.xml" in names


def _unpacked(stream: BinaryIO) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(stream)
        infos = [info for info in archive.infolist() if not info.is_dir()]
    except BROKEN:
        unreadable()
    _check_archive(infos)
    for info in infos:
        # What an operating system leaves beside the files is no delivery; any other hidden file is.
        if _LEFT_BEHIND.fullmatch(info.filename):
            continue
        yield Member(info.filename, _member(archive, info))


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
        too_much()
    for info in infos:
        if info.filename.casefold().endswith((".zip", ".gz", ".7z", ".rar", ".tar")):
            raise SubmissionError(
                "FG-SUB-15", "an archive stands in the archive", "Put the files into one zip."
            )


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], BinaryIO]:
    def opened() -> BinaryIO:
        return io.BufferedReader(MemberStream(archive, info))

    return opened
