"""What is done with the linkage key: encode identities, read what is encoded, look near one record.

Nothing here knows a home: key, store and day are passed in, so that it can be done in a process that holds
the linkage key and no other (`engine.flows.linkage_process`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sqlalchemy import Engine

from engine.domain.errors import LinkageError
from engine.domain.ids import EPOCH, Randomness
from engine.identity import normalise as normalise_
from engine.identity.keys import Keyring
from engine.identity.normalise import VERSION, normalise
from engine.linkage.artefacts import Model, load_model, shipped
from engine.linkage.blocks import Places, listed
from engine.linkage.encode import ENCODER_VERSION, Encoder, Words, mix
from engine.linkage.encodings import EncodedRecords, foreign_deliveries, read_encodings
from engine.linkage.forget import needed_again
from engine.linkage.quality import sexes
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


class Place(NamedTuple):
    """An address that the policy lists as nobody's home."""

    id: str
    uprn: str
    address: str
    postcode: str


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


def model_of(folder: Path | None, wanted: str) -> Model:
    """Return the model to link with: the shipped one, or the one whose hash the policy names.

    Args:
        folder: Folder of a model that takes the place of the shipped one.
        wanted: Hash that the policy names, or "".

    Raises:
        LinkageError: ``FG-LNK-01`` it is not signed, was altered, or belongs to other versions;
            ``FG-LNK-17`` the policy names another one.
    """
    model = load_model(folder or shipped())
    if model.normaliser != VERSION:
        raise LinkageError(
            "FG-LNK-01",
            "the linkage model belongs to another version of the normaliser",
            "Install the release again, or train it anew: fieldgate linkage train.",
        )
    agreed = {model.hash} if folder else {model.hash, ""}
    if wanted not in agreed:
        raise LinkageError(
            "FG-LNK-17",
            "the linkage model at hand is not the one that the policy names",
            "Have its hash agreed in governance.yaml (encodings.model), or unset FIELDGATE_LINKAGE_MODEL.",
        )
    return model


def all_records(
    store: Engine, ring: Keyring, order: Mapping[str, int], dead: Collection[bytes], today: date
) -> EncodedRecords:
    """Return every record that counts, encoded under the present key.

    Args:
        store: The linkage store.
        ring: The ``link`` keyring.
        order: Published delivery to its place in time.
        dead: Records of which no row holds any more, and those their agency merged into others.
        today: Day of the run.

    Raises:
        LinkageError: ``FG-LNK-02`` mixed versions, ``FG-LNK-13`` another key (LNK-31), ``FG-LNK-14``
            words deleted: a run would link nobody without a word.
    """
    found = read_encodings(store, dict(order), seal_under(ring), VERSION, today)
    lost = needed_again(store, dict(order), set(dead))
    if lost:
        raise LinkageError(
            "FG-LNK-14",
            f"{len(lost)} encodings were deleted by policy and are needed again",
            "Make them again from the vault: fieldgate keys reencode.",
        )
    strange = foreign_deliveries(store, dict(order), canary(encoder_under(ring)))
    if strange:
        raise LinkageError(
            "FG-LNK-13",
            f"{len(strange)} of {len(order)} deliveries were encoded with a key that is not this one",
            "Bring back the right linkage key, or make them again: fieldgate keys reencode.",
        )
    if not dead:
        return found
    return found.some([row for row, name in enumerate(found.records) if name not in dead])


def on_the_list(encoder: Encoder, places: Sequence[Place], today: date, words: Words) -> Mask:
    """Return which encoded records name an address of the policy's list (LNK-23).

    The list stands in the policy in clear, as it names institutions and nobody; it is encoded for the
    run, so that a change of it needs no encoding made again.

    Raises:
        LinkageError: ``FG-LNK-16`` an entry says nothing that can be compared.
    """
    parts: dict[str, list[str | None]] = {
        "uprn": [one.uprn or None for one in places],
        "address": [one.address or None for one in places],
        "postcode": [one.postcode or None for one in places],
    }
    clean = normalise(dict(parts), len(places), today, accept_test_range=False, local_scheme="")
    wrong = [
        one.id
        for one, uprn, code, house, street in zip(
            places, clean.uprn, clean.postcode, clean.house, clean.street, strict=True
        )
        if (one.uprn and not uprn)
        or (one.postcode and not code)
        # An address that says nothing would make of one building a whole postcode.
        or (one.address and not (house or street))
    ]
    if wrong:
        raise LinkageError(
            "FG-LNK-16",
            f"communal addresses of the policy cannot be read: {', '.join(wrong)}",
            "Correct their postcode or property reference in governance.yaml; nothing was linked.",
        )
    return listed(
        words,
        Places(
            encoder.tokens("uprn", clean.uprn),
            encoder.tokens("house", clean.house),
            encoder.tokens("street", clean.street),
            encoder.tokens("postcode", clean.postcode),
        ),
    )


@dataclass(frozen=True)
class Sought:
    """One record, and against what it is held.

    Attributes:
        own: The record.
        order: Published delivery to its place in time.
        dead: Records that count no more.
        hidden: Records whose address must not speak.
        apart: Records that nothing links to others.
        places: The policy's communal addresses.
        today: Day of the question.
    """

    own: bytes = field(repr=False)
    order: Mapping[str, int]
    dead: Collection[bytes] = field(repr=False)
    hidden: Collection[bytes] = field(repr=False)
    apart: Collection[bytes] = field(repr=False)
    places: Sequence[Place]
    today: date


Near = tuple[bytes, float, dict[str, int]]
"""A record, the weight of its pair with the one that was asked about, and the levels of evidence."""


def look_near(store: Engine, ring: Keyring, model: Model, sought: Sought) -> list[Near]:
    """Return the records that share a key with one, the heaviest first.

    Raises:
        LinkageError: See `all_records` and `on_the_list`.
    """
    from engine.linkage.decide import comparable
    from engine.linkage.lookup import Lookup

    encoder = encoder_under(ring)
    found = all_records(store, ring, sought.order, sought.dead, sought.today)
    hidden = _among(found, sought.hidden) | on_the_list(
        encoder, sought.places, sought.today, found.words
    )
    ready = comparable(found.words, hidden, _among(found, sought.apart))
    rows = np.flatnonzero(ready.usable)
    records = [found.records[row] for row in rows.tolist()]
    if sought.own not in records:
        return []
    mine = records.index(sought.own)
    lookup = Lookup(encoder, model, ready.blocked[rows])
    try:
        edges = lookup.edges(mine)
    finally:
        lookup.close()
    result: list[Near] = []
    for place in range(len(edges.left)):
        left, right = int(edges.left[place]), int(edges.right[place])
        levels = {name: int(column[place]) for name, column in edges.gammas.items()}
        result.append(
            (records[right if left == mine else left], float(edges.weight[place]), levels)
        )
    return result


def sex_groups(
    store: Engine, ring: Keyring, order: Mapping[str, int], today: date
) -> dict[bytes, str]:
    """Return the sex of every record as a numbered group: which token is which is not known."""
    found = read_encodings(store, dict(order), seal_under(ring), VERSION, today)
    return dict(zip(found.records, sexes(found.words).tolist(), strict=True))


def _among(found: EncodedRecords, some: Collection[bytes]) -> Mask:
    known = set(some)
    return np.array([one in known for one in found.records], dtype=bool)


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
