"""What the linkage process does with the store: read what is encoded, look near one record, group by sex.

Nothing here knows a home: key, store and day are passed in, as in `engine.flows.linkage_work`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sqlalchemy import Engine

from engine.domain.errors import LinkageError
from engine.flows.linkage_work import canary, encoder_under, seal_under
from engine.identity.keys import Keyring
from engine.identity.normalise import VERSION, normalise
from engine.linkage.artefacts import Model, load_model, shipped
from engine.linkage.blocks import Places, listed
from engine.linkage.encode import Encoder, Words
from engine.linkage.encodings import EncodedRecords, foreign_deliveries, read_encodings
from engine.linkage.forget import needed_again

Mask = npt.NDArray[np.bool_]


class Place(NamedTuple):
    """An address that the policy lists as nobody's home."""

    id: str
    uprn: str
    address: str
    postcode: str


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
    from engine.linkage.quality import sexes

    found = read_encodings(store, dict(order), seal_under(ring), VERSION, today)
    return dict(zip(found.records, sexes(found.words).tolist(), strict=True))


def _among(found: EncodedRecords, some: Collection[bytes]) -> Mask:
    known = set(some)
    return np.array([one in known for one in found.records], dtype=bool)
