"""What is done with the linkage key: encode identities and seal what comes of it.

Nothing here knows a home: key and day are passed in, so that it can be done in a process that holds the
linkage key and no other (`engine.flows.linkage_process`), and little is imported, so that it starts quickly.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.domain.errors import LinkageError
from engine.domain.ids import EPOCH, Randomness
from engine.identity import normalise as normalise_
from engine.identity.keys import Keyring
from engine.identity.normalise import normalise
from engine.linkage.encode import ENCODER_VERSION, Encoder, mix
from engine.linkage.sealed import Seal

UNKNOWN_MONTH = -(10**6)
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Encoded:
    """Encodings of some records, under one version of the key.

    Attributes:
        months: Birth month of each record, months since January 1970.
        sealed: Words of each record, which only this key opens; see `engine.linkage.sealed`.
        bird: What the invented people come to under this key; see `canary`.
    """

    key_version: int
    norm_version: str
    months: list[int] = field(repr=False)
    sealed: list[bytes] = field(repr=False)
    bird: int = field(repr=False)


class Meant(NamedTuple):
    """How identities are to be read; see `engine.identity.normalise.normalise`."""

    today: date
    accept_test_range: bool
    local_scheme: str


def encoder_under(ring: Keyring, version: int | None = None) -> Encoder:
    """Return the encoder under a version of the linkage key, the one in use when None.

    Raises:
        ConfigError: ``FG-KEY-04`` the keyring has no such version.
    """
    number = ring.current if version is None else version
    return Encoder(ring.derive("encode", 32, number), number)


def seal_under(ring: Keyring, version: int | None = None) -> Seal:
    """Return what seals and opens words under a version of the linkage key, the one in use when None."""
    number = ring.current if version is None else version
    return Seal(ring.derive("words", 32, number), number)


def encode_identities(
    ring: Keyring,
    identities: Mapping[str, Sequence[str | None]],
    records: Sequence[bytes],
    meant: Meant,
    randomness: Randomness,
    version: int | None = None,
) -> list[Encoded]:
    """Normalise and encode the identities of some records, and seal what comes of it.

    Args:
        ring: The ``link`` keyring.
        identities: Identity part to one clear value per record.
        records: Their pseudonyms in the linkage domain, to which the words are bound.
        meant: How they are to be read.
        randomness: Source of nonces.
        version: The only version to encode under; None takes the one in use and the coming one, so
            that neither lacks anything while both are carried.

    Raises:
        LinkageError: ``FG-LNK-12`` this machine does not give the golden vectors.
    """
    self_test()
    clean = normalise(
        dict(identities),
        len(records),
        meant.today,
        accept_test_range=meant.accept_test_range,
        local_scheme=meant.local_scheme,
    )
    months = [_month(value) for value in clean.birth_date]
    both = [ring.current, *([ring.coming] if ring.coming else [])]
    made: list[Encoded] = []
    for number in both if version is None else [version]:
        encoder = encoder_under(ring, number)
        words = encoder.encode(clean, meant.today)
        sealed = seal_under(ring, number).seal(records, words, randomness)
        made.append(Encoded(number, clean.version, months, sealed, canary(encoder)))
    return made


_BIRDS: dict[str, Sequence[str | None]] = {
    "given_name": ["Canarina", "Zo\u00eb", "Testimus"],
    "surname": ["Fakename-Feather", "O'Mock", "Fakename"],
    "birth_date": ["2010-03-04", "1980-01-01", None],
    "postcode": ["TL1 0AA", None, "TL9 9ZZ"],
    "address": ["1 Lantern Street", "Flat 2, 3 Mill Lane", None],
    "nhs_number": ["9990000018", None, "9990000026"],
    "upn": [None, "Z980000004145", None],
}


def canary(encoder: Encoder) -> int:
    """Return the number that three invented people come to under a key, on one fixed day.

    It goes with every delivery, so that a wrong key is an error and never a silent "no links".
    """
    day = date(2026, 1, 1)
    clean = normalise(_BIRDS, 3, day, accept_test_range=True, local_scheme="")
    raw = encoder.encode(clean, day).astype("<i8").tobytes()
    return int.from_bytes(hashlib.sha256(raw).digest()[:8], "big") >> 1


def _hash_of(names: frozenset[str]) -> str:
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


@lru_cache(maxsize=1)
def self_test() -> int:
    """Hold normaliser and encoder against the published vectors, once a process; return how many.

    Another library or another version of Unicode could give other words, and nobody would be linked
    without anybody noticing (linkage.md 4.1, cases 31 to 33).

    Raises:
        LinkageError: ``FG-LNK-12`` a vector differs.
    """
    golden: dict[str, Any] = json.loads(
        files("engine.flows").joinpath("golden.json").read_text(encoding="utf-8")
    )
    day = date.fromisoformat(golden["as_of"])
    ways: dict[str, Callable[[str], Any]] = {
        "name": lambda text: list(normalise_.name_parts(text)),
        "given": lambda text: list(normalise_.given_parts(text)),
        "skeleton": normalise_.skeleton,
        "birth_year": lambda text: normalise_.birth_year(text, day),
        "uprn": normalise_.uprn,
        "birth_date": lambda text: normalise_.birth_date(text, day),
        "postcode": normalise_.postcode,
        "address": lambda text: list(normalise_.address(text)),
        "nhs_number": lambda text: normalise_.nhs_number(text, accept_test_range=False),
        "upn": normalise_.upn,
    }
    encoder = Encoder(bytes.fromhex(golden["key"]), golden["key_version"])
    same = [
        (golden["normaliser"], golden["encoder"]) == (normalise_.VERSION, ENCODER_VERSION),
        _hash_of(normalise_.given_names()) == golden["given_names"],
        *(ways[way](text) == given for way, text, given in golden["normalised"]),
        *(int(encoder.tokens(name, [text])[0]) == given for name, text, given in golden["tokens"]),
        *(
            (words[0].tolist(), int(counts[0])) == (given, count)
            for name, text, given, count in golden["bloom"]
            for words, counts in [encoder.bloom(name, [text])]
        ),
        *(int(mix(np.array([a]), np.array([b]))[0]) == given for a, b, given in golden["mixed"]),
    ]
    if not all(same):
        raise LinkageError(
            "FG-LNK-12",
            f"{same.count(False)} of {len(same)} golden vectors of linkage differ on this machine",
            "Do not link here; install the release again and run fieldgate doctor.",
        )
    return len(same)


def _month(born: str | None) -> int:
    """Months since January 1970, all that the lists need to know of a birth date."""
    if not born:
        return UNKNOWN_MONTH
    day = date.fromisoformat(born)
    return (day.year - EPOCH.year) * 12 + day.month - 1
