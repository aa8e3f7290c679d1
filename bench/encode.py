"""Keyed words of identities, against one HMAC per value and nothing else."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence

import numpy as np

from bench.measure import PEER, Claim
from bench.people import TODAY, People
from engine.domain.records import Normalised
from engine.identity.normalise import normalise
from engine.linkage.encode import COLUMNS, ENCODER_VERSION, TOKENS, Encoder, Words

IDENTITIES = 50_000
MASTER, VERSION = bytes(range(32)), 1
Values = Sequence[str | None]


def claims() -> Iterator[Claim]:
    """Yield the claims of this group."""
    people = _people()
    columns = _values(people)
    encoder = Encoder(MASTER, VERSION)
    at = [COLUMNS.index(name) for name in columns]
    yield Claim(
        f"Encoder.tokens, {IDENTITIES:,} people, {len(columns)} columns",
        "hmac.digest per value, tokens only",
        PEER,
        lambda: _loop(columns),
        lambda: np.stack([encoder.tokens(key, values) for key, values in columns.values()], axis=1),
        np.array_equal,
    )
    yield Claim(
        f"Encoder.encode, {IDENTITIES:,} people, {len(COLUMNS)} columns",
        "hmac.digest per value, tokens only",
        PEER,
        lambda: _loop(columns),
        lambda: encoder.encode(people, TODAY),
        lambda theirs, ours: np.array_equal(theirs, ours[:, at]),
    )


def _people() -> Normalised:
    made = People(6)
    makers = {
        "given_name": made.given,
        "surname": made.surname,
        "preferred_name": made.given,
        "birth_date": made.birth_date,
        "sex": lambda: made.chance.choice("mf"),
        "address": made.address,
        "postcode": made.postcode,
        "nhs_number": made.nhs_number,
        "upn": made.upn,
    }
    parts: dict[str, Values] = {
        part: [make() if made.chance.random() < 0.9 else None for _ in range(IDENTITIES)]
        for part, make in makers.items()
    }
    parts["local_id"] = [f"B{number:07d}" for number in range(IDENTITIES)]
    return normalise(parts, IDENTITIES, TODAY, accept_test_range=True, local_scheme="bench")


def _values(people: Normalised) -> dict[str, tuple[str, Values]]:
    """Token column to the name of its key and its values, written out once more for the peer."""
    given = [parts[0] if parts else None for parts in people.given]
    surname = [" ".join(parts) or None for parts in people.surname]
    born = people.birth_date
    pairs = zip(given, surname, strict=True)
    found: dict[str, tuple[str, Values]] = {
        "given": ("given", given),
        "nick": ("nick", people.nickname),
        "skel": ("skel", [one if one and len(one) > 2 else None for one in people.skeleton]),
        "pref": ("nick", people.preferred),
        "initial": ("initial", [value and value[0] for value in given]),
        "surname": ("given", surname),
        "surname_last": ("surname", [parts[-1] if parts else None for parts in people.surname]),
        "surname_skel": ("surname_skel", people.surname_skeleton),
        "dob": ("dob", born),
        "dob_swap": ("dob_swap", [value and _swapped(value) for value in born]),
        "dob_year": ("dob_year", people.birth_year),
        "sex": ("sex", people.sex),
        "postcode": ("postcode", people.postcode),
        "sector": ("sector", [value and value[:-2] for value in people.postcode]),
        "house": ("house", people.house),
        "street": ("street", people.street),
        "uprn": ("uprn", people.uprn),
        "given_rest": ("rest", [parts[1] if len(parts) > 1 else None for parts in people.given]),
        "given_end": ("end", [_ending(value) for value in given]),
        "surname_former": ("given", people.former_surname),
        "nhs": ("nhs", people.nhs_number),
        "nhs_former": ("nhs", people.former_nhs_number),
        "upn_former": ("upn", people.former_upn),
        "upn": ("upn", people.upn),
        "local": ("local", people.local_id),
        "name_pair": ("name_pair", [a and b and "|".join(sorted((a, b))) for a, b in pairs]),
    }
    if set(found) != set(TOKENS):
        raise AssertionError("the encoder has other tokens than the peer")
    return found


def _ending(value: str | None) -> str | None:
    if not value or len(value) < 2:
        return None
    return value[-1] if value[-1] in "AEIOUY" else "-"


def _swapped(value: str) -> str:
    return "-".join([value[:4], *sorted((value[5:7], value[8:]))])


def _loop(columns: dict[str, tuple[str, Values]]) -> Words:
    found = []
    for name, values in columns.values():
        key = hmac.digest(MASTER, f"{VERSION}|{ENCODER_VERSION}|{name}".encode(), "sha256")
        tokens = [
            (int.from_bytes(hmac.digest(key, value.encode(), "sha256")[:8], "big") >> 1) or 1
            if value
            else 0
            for value in values
        ]
        found.append(np.array(tokens, np.int64))
    return np.stack(found, axis=1)
