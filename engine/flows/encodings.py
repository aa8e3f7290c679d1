"""From identities to keyed encodings: what a delivery, a new key or a new encoder turns into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from engine.domain.ids import EPOCH
from engine.flows.home import Home
from engine.identity.normalise import normalise
from engine.intake.contract import Contract
from engine.linkage.encode import Encoder, Words

UNKNOWN_MONTH = -(10**6)


@dataclass(frozen=True)
class Encoded:
    """Encodings of some records, under the present key.

    Attributes:
        months: Birth month of each record, months since January 1970.
    """

    key_version: int
    norm_version: str
    months: list[int] = field(repr=False)
    words: Words = field(repr=False)


def encode(
    home: Home, contract: Contract, identities: Mapping[str, Sequence[str | None]], count: int
) -> Encoded:
    """Normalise and encode the identities of some records of a source.

    Args:
        home: The home; its ``link`` keyring is opened.
        contract: The contract of their source.
        identities: Identity part to one clear value per record.
        count: Number of records.
    """
    today = home.clock().date()
    derived_key = contract.fields[contract.key].type == "derived"
    clean = normalise(
        dict(identities),
        count,
        today,
        accept_test_range=home.is_demo,
        local_scheme="" if derived_key else contract.scheme,
    )
    ring = home.keyring("link")
    encoder = Encoder(ring.derive("encode", 32), ring.current)
    return Encoded(
        ring.current,
        clean.version,
        [_month(value) for value in clean.birth_date],
        encoder.encode(clean, today),
    )


def _month(born: str | None) -> int:
    """Months since January 1970, all that the lists need to know of a birth date."""
    if not born:
        return UNKNOWN_MONTH
    day = date.fromisoformat(born)
    return (day.year - EPOCH.year) * 12 + day.month - 1
