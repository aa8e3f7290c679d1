"""From identities to keyed encodings: what a delivery, a new key or a new encoder turns into words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np

from engine.domain.errors import LinkageError
from engine.domain.ids import EPOCH
from engine.flows.home import Home
from engine.identity import normalise as normalise_
from engine.identity.normalise import normalise
from engine.intake.contract import Contract
from engine.linkage.artefacts import Model, load_model, shipped
from engine.linkage.encode import ENCODER_VERSION, Encoder, Words, mix

UNKNOWN_MONTH = -(10**6)


@dataclass(frozen=True)
class Encoded:
    """Encodings of some records, under one version of the key.

    Attributes:
        months: Birth month of each record, months since January 1970.
        bird: What the invented people come to under this key; see `canary`.
    """

    key_version: int
    norm_version: str
    months: list[int] = field(repr=False)
    words: Words = field(repr=False)
    bird: int = field(repr=False)


def encoder_of(home: Home, version: int | None = None) -> Encoder:
    """Return the encoder under a version of the linkage key, the one in use when None.

    Raises:
        ConfigError: ``FG-KEY-04`` the keyring has no such version.
    """
    ring = home.keyring("link")
    number = ring.current if version is None else version
    return Encoder(ring.derive("encode", 32, number), number)


def frozen_model(home: Home) -> Model:
    """Return the model that this home links with: the shipped one, or the one that its policy names.

    A model signs itself with a key of its own; that it is the one that two people agreed to, its hash in
    the policy says.

    Raises:
        LinkageError: ``FG-LNK-01`` it is not signed, or was altered; ``FG-LNK-17`` the policy names
            another one.
    """
    folder, wanted = home.settings.linkage_model, home.pack.governance.linkage_model
    model = load_model(folder or shipped())
    agreed = {model.hash} if folder else {model.hash, ""}
    if wanted not in agreed:
        raise LinkageError(
            "FG-LNK-17",
            "the linkage model at hand is not the one that the policy names",
            "Have its hash agreed in governance.yaml (encodings.model), or unset FIELDGATE_LINKAGE_MODEL.",
        )
    return model


def encode(
    home: Home,
    contract: Contract,
    identities: Mapping[str, Sequence[str | None]],
    count: int,
    *,
    version: int | None = None,
) -> Encoded:
    """Normalise and encode the identities of some records of a source.

    Args:
        home: The home; its ``link`` keyring is opened.
        contract: The contract of their source.
        identities: Identity part to one clear value per record.
        count: Number of records.
        version: Version of the linkage key; the one in use when None.

    Raises:
        LinkageError: ``FG-LNK-12`` this machine does not give the golden vectors.
    """
    self_test()
    today = home.clock().date()
    derived_key = contract.fields[contract.key].type == "derived"
    clean = normalise(
        dict(identities),
        count,
        today,
        accept_test_range=home.is_demo,
        local_scheme="" if derived_key else contract.scheme,
    )
    encoder = encoder_of(home, version)
    return Encoded(
        encoder.key_version,
        clean.version,
        [_month(value) for value in clean.birth_date],
        encoder.encode(clean, today),
        canary(encoder),
    )


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
