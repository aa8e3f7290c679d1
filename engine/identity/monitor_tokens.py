"""Keyed tokens by which the monitor of unusual access compares a user with a person, and sees no name.

The key is derived from the vault's keyring under a label of its own, so that only whoever holds the vault
can make a token, and none of them equals anything in the linkage, casework or audit lanes. A token of one
sort never equals one of another sort: the sort is bound into it.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import date

from engine.identity.keys import Keyring
from engine.identity.normalise import address, birth_date, fold, given_parts, name_parts, postcode

LABEL = "monitor"
SORTS = ("oneself", "surname", "address", "street", "area")
_SHORTEST_PART = 4
"""Parts of a double surname count alone from this length; VAN, DE and BIN are no surnames."""
Tokens = dict[str, list[str]]


def monitor_key(ring: Keyring, version: int | None = None) -> bytes:
    """Return the key of the monitor's tokens, derived from the vault's."""
    return ring.derive(LABEL, 32, version)


def tokens_of(
    key: bytes, identities: Sequence[Mapping[str, str]], today: date, *, places: bool
) -> Tokens:
    """Return the tokens of one person from everything that is held or was declared of them.

    Args:
        key: See `monitor_key`.
        identities: Identity parts, one mapping a record or a declaration.
        today: A later birth date is not believed.
        places: Whether tokens of where they live are made; not for somebody whose address is protected.
    """
    found: dict[str, set[str]] = {sort: set() for sort in SORTS}

    def add(sort: str, value: str) -> None:
        found[sort].add(hmac.digest(key, f"{sort}|{value}".encode(), "sha256").hex()[:32])

    for one in identities:
        surname = name_parts(one.get("surname"))
        given = given_parts(one.get("given_name"))
        born = birth_date(one.get("birth_date"), today)
        if surname:
            for name in {" ".join(surname), *(p for p in surname if len(p) >= _SHORTEST_PART)}:
                add("surname", name)
        if surname and given and born:
            add("oneself", f"{given[0]}|{' '.join(surname)}|{born}")
        if places:
            _add_places(add, one)
    return {sort: sorted(tokens) for sort, tokens in found.items()}


def _add_places(add: Callable[[str, str], None], one: Mapping[str, str]) -> None:
    house, street, inside = address(one.get("address"))
    code = postcode(one.get("postcode")) or inside
    if code:
        add("area", code[:-3])
    if code and street:
        add("street", f"{street}|{code[:-3]}")
        if house:
            add("address", f"{house}|{street}|{code}")


def area_tokens(key: bytes, areas: Sequence[str]) -> list[str]:
    """Return the tokens of postcode districts that a team works in."""
    return sorted(
        hmac.digest(key, f"area|{fold(one)}".encode(), "sha256").hex()[:32] for one in areas
    )
