"""Names in the monitor: of people as they lead today, and of items so that nobody can count them."""

from __future__ import annotations

from engine.domain.errors import VaultError
from engine.flows.home import Home
from engine.linkage.index import resolve

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no letter that is taken for a digit."""
_MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})
_LENGTH = 8
KEPT = 10
"""Hex digits of an item's random id that its name is made of: 40 bits."""


class Names:
    """Audit pseudonyms as the people they lead to now; a merge makes two into one, its undoing two again.

    Nothing that was written under a former name is written anew: it is followed each time it is read.
    """

    def __init__(self, home: Home) -> None:
        self._home, self._audit, self._runs = home, home.domain("audit"), home.link_runs()
        self._known: dict[str, tuple[str, bytes]] = {}

    def follow(self, subject: str) -> tuple[str, bytes]:
        """Return the present pseudonym and id of somebody; themselves where nothing is known."""
        if subject not in self._known:
            try:
                before = self._audit.parse(subject)
            except VaultError:
                return subject, b""
            now = resolve(self._home.linkage, before, self._runs) or before
            self._known[subject] = self._audit.text(self._audit.seal([now])[0]), now
        return self._known[subject]

    def present(self, subject: str) -> str:
        """Return the present pseudonym of somebody; empty for nobody."""
        return self.follow(subject)[0] if subject else ""


def item_name(item_id: str) -> str:
    """Return what an item is called: of its random id, so that a missing one leaves no gap.

    With numbers in a row an officer would see which one they are not shown: the item about themselves.
    """
    number = int(item_id[:KEPT], 16)
    text = "".join(_DIGITS[number >> 5 * at & 31] for at in reversed(range(_LENGTH)))
    return f"{text[:4]}-{text[4:]}"


def item_beginning(name: str) -> str | None:
    """Return the hex digits with which the id of an item of that name begins, None for no such name."""
    text = name.strip().upper().translate(_MISREAD)
    if len(text) != _LENGTH or not set(text) <= set(_DIGITS):
        return None
    number = 0
    for one in text:
        number = number << 5 | _DIGITS.index(one)
    return f"{number:0{KEPT}x}"
