"""Encoded records from readable rows, for linkage tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from engine.domain.records import Normalised
from engine.identity.normalise import normalise
from engine.linkage.encode import Encoder, Words

TODAY = date(2026, 11, 25)
KEY = bytes(range(32))

Row = dict[str, str | None]


def encoded(rows: Sequence[Row], *, key: bytes = KEY, scheme: str = "") -> Words:
    """Return the words of some identities; parts are those of the vault."""
    return Encoder(key, 1).encode(normalised(rows, scheme=scheme), TODAY)


def normalised(rows: Sequence[Row], *, scheme: str = "") -> Normalised:
    """Return some identities as they are encoded."""
    parts = {part for row in rows for part in row}
    columns = {part: [row.get(part) for row in rows] for part in parts}
    return normalise(dict(columns), len(rows), TODAY, accept_test_range=True, local_scheme=scheme)


def person(given: str | None, surname: str | None, born: str | None, **more: str | None) -> Row:
    """Return an identity at one address unless told otherwise."""
    return {
        "given_name": given,
        "surname": surname,
        "birth_date": born,
        "address": "1 Lantern Street",
        "postcode": "TL1 0AA",
        **more,
    }
