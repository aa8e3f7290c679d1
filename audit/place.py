"""Where an exported trail is read from: a folder, or an address of static files (C2SP tlog-tiles).

What is read proves itself, so the way on which it comes need not be trusted. It is bounded all the same:
no file may be larger than it can honestly be, no redirect is followed, and nobody waits for ever.
"""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from email.message import Message
from pathlib import Path
from typing import IO, Protocol

from audit.errors import AuditFault

WAIT_SECONDS = 10.0
"""Seconds for one file."""
_MOST_PART = 65_536


class Place(Protocol):
    """Where the files of an export are."""

    def read(self, name: str, most: int) -> bytes | None:
        """Return the bytes of a file, None when it is not there.

        Args:
            name: Its place in the layout, for example ``tile/0/000``.
            most: Bytes that it may have.

        Raises:
            AuditFault: ``FG-AUD-28`` it is larger, or nobody knows whether it is there.
        """


class Folder:
    """An export in a folder.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, name: str, most: int) -> bytes | None:
        """Return the bytes of a file; see `Place.read`."""
        try:
            with (self._path / name).open("rb") as stream:
                data = stream.read(most + 1)
        except OSError:
            return None
        if len(data) > most:
            raise _unread(f"{name} is larger than it can be")
        return data


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nothing: an answer comes from the address that was given, or there is none."""

    def redirect_request(  # The signature is the library's.
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> None:
        """Return no further request."""


class Web:
    """An export behind an address.

    Args:
        address: ``http`` or ``https``, without a user, a query or a fragment.
        wait: Seconds for one file.

    Raises:
        AuditFault: ``FG-AUD-28`` it is no such address.
    """

    def __init__(self, address: str, wait: float = WAIT_SECONDS) -> None:
        try:
            parts = urllib.parse.urlsplit(address)
            plain = bool(parts.hostname) and not (parts.query or parts.fragment or parts.username)
        except ValueError:
            plain = False
        if not plain or parts.scheme not in ("http", "https"):
            raise _unread(
                "the address is not one of http or https without user, query and fragment"
            )
        self._base, self._wait = address.rstrip("/"), wait
        self._opener = urllib.request.build_opener(NoRedirect, urllib.request.ProxyHandler({}))

    def read(self, name: str, most: int) -> bytes | None:
        """Return the bytes of a file; see `Place.read`."""
        until = time.monotonic() + self._wait
        data = b""
        try:
            with self._opener.open(f"{self._base}/{name}", timeout=self._wait) as answer:
                stated = answer.length  # None where the body says itself where it ends.
                while part := answer.read1(_MOST_PART):
                    data += part
                    if len(data) > most:
                        raise _unread(f"{name} is larger than it can be")
                    if time.monotonic() > until:
                        raise TimeoutError
                if stated is not None and len(data) != stated:
                    raise _unread(f"{name} came {len(data)} bytes long and not {stated}")
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (404, 410):
                return None
            raise _unread(f"{name} was answered with status {error.code}") from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise _unread(f"{name} could not be read ({type(error).__name__})") from None
        return data


def place_of(text: str) -> Place:
    """Return where an export is: behind an address, or in a folder.

    Raises:
        AuditFault: ``FG-AUD-28`` the address is none.
    """
    return Web(text) if "://" in text else Folder(Path(text))


def _unread(why: str) -> AuditFault:
    return AuditFault(
        "FG-AUD-28", why, "Check the address, or fetch the files and give the folder."
    )
