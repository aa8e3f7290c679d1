"""Take in an upload as it arrives: into an encrypted spool, and never into a file in clear.

The framework's own form reader writes larger files into a temporary folder as they are; a delivery
must not stand there even for a moment, so the parts are read from the stream here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from engine.domain.errors import SubmissionError
from engine.flows.home import Home
from engine.flows.sign_in import SignedIn, check_form
from engine.intake.spool import Spool

MAX_UPLOAD = 4 << 30
MAX_FIELD = 10_000
MAX_FILES = 50


@dataclass
class Upload:
    """What came in a form.

    Attributes:
        fields: Plain fields.
        files: Name and spool of each file, complete.
    """

    fields: dict[str, str] = field(default_factory=dict, repr=False)
    files: list[tuple[str, Any]] = field(default_factory=list, repr=False)


def _spool(home: Home) -> Spool:
    path = home.path / "staging" / f"{home.randomness(16).hex()}.spool"
    return Spool(path, home.randomness(32))


def clear_spools(home: Home) -> None:
    """Take away spools that another process left; their keys are gone, so nobody can read them."""
    for path in (home.path / "staging").glob("*.spool"):
        path.unlink(missing_ok=True)


@asynccontextmanager
async def body_spool(home: Home, request: Request) -> AsyncIterator[list[tuple[str, BinaryIO]]]:
    """Spool the body of a request as one file.

    Raises:
        SubmissionError: ``FG-SUB-24`` larger than a delivery may be.
    """
    spool = _spool(home)
    try:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > MAX_UPLOAD:
                raise _too_large()
            spool.write(chunk)
        spool.complete()
        taken: Any = spool
        yield [("upload", taken)]
    finally:
        spool.destroy()


@asynccontextmanager
async def form_spools(home: Home, request: Request, user: SignedIn) -> AsyncIterator[Upload]:
    """Spool the files of a form; its token must stand before the first file.

    Raises:
        PolicyRefused: ``FG-AUT-03`` the form does not belong to the session.
        SubmissionError: ``FG-SUB-24`` too large, ``FG-SUB-25`` not a form.
    """
    reader = _Reader(home, user)
    try:
        _, options = parse_options_header(request.headers.get("content-type", ""))
        boundary = options.get(b"boundary")
        if not boundary:
            raise _no_form()
        parser = MultipartParser(boundary, reader.callbacks(), max_size=MAX_UPLOAD)
        size = 0
        try:
            async for chunk in request.stream():
                size += len(chunk)
                if size > MAX_UPLOAD:
                    raise _too_large()
                parser.write(chunk)
            parser.finalize()
        except MultipartParseError:
            raise _no_form() from None
        reader.finish()
        yield reader.upload
    finally:
        reader.destroy()


def _too_large() -> SubmissionError:
    return SubmissionError(
        "FG-SUB-24", "the upload is larger than a delivery may be", "Send the files apart."
    )


def _no_form() -> SubmissionError:
    return SubmissionError(
        "FG-SUB-25", "the upload is not a form with files", "Choose a file and send the form."
    )


class _Reader:
    """Collects the parts of a form as they arrive."""

    def __init__(self, home: Home, user: SignedIn) -> None:
        self._home, self._user = home, user
        self.upload = Upload()
        self._spools: list[Spool] = []
        self._checked = False
        self._header = self._value = b""
        self._name = ""
        self._file: Spool | None = None
        self._text = b""
        self._disposition: dict[bytes, bytes] = {}

    def callbacks(self) -> Any:
        """Return the parser's callbacks."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers,
            "on_part_data": self._data,
            "on_part_end": self._end,
        }

    def _begin(self) -> None:
        self._name, self._file, self._text, self._disposition = "", None, b"", {}

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, self._disposition = parse_options_header(self._value)
        self._header = self._value = b""

    def _headers(self) -> None:
        self._name = self._disposition.get(b"name", b"").decode("utf-8", errors="replace")
        filename = self._disposition.get(b"filename")
        if filename is None:
            return
        if not self._checked:
            # Nothing is taken in for a form that does not belong to the session.
            check_form(self._user, self.upload.fields.get("csrf", ""))
            self._checked = True
        if len(self._spools) >= MAX_FILES:
            raise _too_large()
        self._file = _spool(self._home)
        self._spools.append(self._file)
        name = Path(filename.decode("utf-8", errors="replace").replace("\\", "/")).name
        self.upload.files.append((name, self._file))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > MAX_FIELD:
            raise _too_large()

    def _end(self) -> None:
        if self._file is not None:
            self._file.complete()
        elif self._name:
            self.upload.fields[self._name] = self._text.decode("utf-8", errors="replace")

    def finish(self) -> None:
        """Check a form without files too, and leave out a file field that was not filled."""
        if not self._checked:
            check_form(self._user, self.upload.fields.get("csrf", ""))
        self.upload.files = [
            (name, spool) for name, spool in self.upload.files if name and spool.seek(0, 2)
        ]

    def destroy(self) -> None:
        """Take the spools away."""
        for spool in self._spools:
            spool.destroy()
