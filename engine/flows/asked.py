"""Where a request came from and what it was, as the trail carries it: keyed hashes, and nothing in clear.

An address and the words of a form can be guessed, and whoever reads the trail could try guesses against a
plain hash (audit_crypto.md 7.7, 5). So both stand under a key of the audit domain: the same request and the
same address are seen to be the same, and nobody without the key learns which.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import urllib.parse
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from audit.canonical import canonical

if TYPE_CHECKING:
    from engine.flows.home import Home

MOST_KEPT = 65_536
"""Bytes of a body that are kept to be read as a form; more are hashed as they come."""
UNHASHED = frozenset({"csrf"})
"""Fields of a form that are new each time and say nothing of what was asked."""


@dataclass
class Asked:
    """A request that is being answered.

    Attributes:
        method: Its method.
        path: Its path, escaped.
        query: Its query, as it came.
        address: Where it came from.
        session: What tells its session from others; empty without one.
        kind: Media type of its body.
        whole: Whether its body was read to the end.
    """

    method: str
    path: str
    query: str = field(default="", repr=False)
    address: str = field(default="", repr=False)
    session: str = field(default="", repr=False)
    kind: str = ""
    whole: bool = False
    _kept: bytes | None = field(default=b"", repr=False)
    _hash: Any = field(default_factory=hashlib.sha256, repr=False)

    def take(self, part: bytes, *, last: bool) -> None:
        """Take a part of the body as it is read."""
        self._hash.update(part)
        if self._kept is not None:
            self._kept = self._kept + part if len(self._kept) + len(part) <= MOST_KEPT else None
        self.whole = self.whole or last

    def normal(self) -> bytes:
        """Return the canonical bytes of what was asked: the same for the same request.

        Fields stand in order and without the token of the form. A body that is still being read is none.
        """
        return canonical(
            {
                "method": self.method,
                "path": hashlib.sha256(self.path.encode()).hexdigest(),
                "query": _pairs(self.query),
                "body": self._body() if self.whole else "",
            }
        )

    def _body(self) -> str:
        if self._kept is not None and self.kind == "application/x-www-form-urlencoded":
            return _pairs(self._kept.decode("utf-8", "replace"))
        if self._kept and self.kind == "application/json":
            try:
                text = json.dumps(json.loads(self._kept), sort_keys=True)
            except (ValueError, RecursionError):
                pass
            else:
                return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
        return str(self._hash.hexdigest())


def _pairs(text: str) -> str:
    found = sorted(urllib.parse.parse_qsl(text, keep_blank_values=True))
    kept = urllib.parse.urlencode([one for one in found if one[0] not in UNHASHED])
    return hashlib.sha256(kept.encode()).hexdigest()


ASKED: ContextVar[Asked | None] = ContextVar("asked", default=None)
"""The request that this thread or task answers; a command answers none."""


def asked_of(home: Home) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what the trail carries of the request that is answered: of it, and of its session.

    Raises:
        ConfigError: The keyring of pseudonyms cannot be opened: without its key nothing is written in clear.
    """
    asked = ASKED.get()
    if asked is None:
        return {}, {}
    key = home.keyring("psn").derive("hmac|audit|request", 32)

    def hashed(label: str, data: bytes) -> str:
        return hmac.digest(key, label.encode() + b"\0" + data, "sha256").hex()

    event = {"request_hash": hashed("request", asked.normal())}
    if asked.address:
        event["net"] = hashed("net", asked.address.encode())
    # Shorter: it tells sessions of one account apart.
    session = hashed("session", asked.session.encode())[:32] if asked.session else ""
    return event, {"session": session} if session else {}
