"""Keyed words of an identity: 63-bit tokens, Bloom words and composite blocking keys.

Each field has a sub-key of its own. A token is equal where the normalised value is equal; a Bloom
word (256 bits, four positions per q-gram from one HMAC) tells how alike two values are without
telling either. Composites are mixed from tokens, so they show nothing that the tokens do not.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt

from engine.domain.ids import whole_years
from engine.domain.records import Normalised

ENCODER_VERSION = "e3"

TOKENS = (
    *(
        "given",
        "nick",
        "skel",
        "pref",
        "initial",
        "surname",
        "surname_last",
        "surname_skel",
    ),
    *("dob", "dob_swap", "dob_year", "sex", "postcode", "sector", "house", "street"),
    *("nhs", "upn", "local", "name_pair", "given_rest", "given_end"),
)
BLOOMS = ("given", "surname", "dob", "postcode")
FLAGS = ("given_is_initial", "dob_weak", "band", "nhs_failed")
BLOCKS = (
    *("b_dob_nick", "b_dob_surname", "b_dob_postcode", "b_name_sector", "b_swap_names"),
    *(
        "b_skeletons_year",
        "b_dob_house",
        "b_pair_dob",
        "b_given_postcode",
        "b_name_street",
    ),
)
COLUMNS = (
    *TOKENS,
    *(f"bf_{name}_{word}" for name in BLOOMS for word in range(4)),
    *(f"pc_{name}" for name in BLOOMS),
    *FLAGS,
    *BLOCKS,
)

Words = npt.NDArray[np.int64]

CHILD, ADULT = 1, 2


@dataclass(frozen=True)
class Encoder:
    """Encodes identities under one version of the linkage key.

    Attributes:
        master: 32 secret bytes of the ``link`` keyring.
        key_version: Version that stands in every row.
    """

    master: bytes = field(repr=False)
    key_version: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "_positions", {})

    def _sub_key(self, name: str) -> bytes:
        label = f"{self.key_version}|{ENCODER_VERSION}|{name}".encode()
        return hmac.digest(self.master, label, "sha256")

    def tokens(self, name: str, values: Sequence[str | None]) -> Words:
        """Return one 63-bit token per value under the sub-key of `name`; 0 is "not known"."""
        key = self._sub_key(name)
        known: dict[str | None, int] = {None: 0, "": 0}
        for value in set(values):
            if value:
                digest = hmac.digest(key, value.encode(), "sha256")
                known[value] = (int.from_bytes(digest[:8], "big") >> 1) or 1
        return np.fromiter((known[value] for value in values), np.int64, len(values))

    def bloom(self, name: str, values: Sequence[str | None]) -> tuple[Words, Words]:
        """Return (four words per value, number of bits set); all zero is "not known"."""
        key = self._sub_key(f"bloom|{name}")
        cache: dict[str, tuple[int, ...]] = {}
        known: dict[str | None, int] = {None: 0, "": 0}
        for value in set(values):
            if value:
                bits = 0
                for gram in _grams(value, positional=name in ("dob", "postcode")):
                    if gram not in cache:
                        cache[gram] = tuple(hmac.digest(key, gram.encode(), "sha256")[:4])
                    for position in cache[gram]:
                        bits |= 1 << position
                known[value] = bits
        numbers = [known[value] for value in values]
        raw = b"".join(number.to_bytes(32, "little") for number in numbers)
        words = np.frombuffer(raw, np.int64).reshape(len(values), 4)
        counts = np.fromiter((number.bit_count() for number in numbers), np.int64, len(numbers))
        return words, counts

    def encode(self, people: Normalised, today: date) -> Words:
        """Return ``int64[record, COLUMNS]``.

        Args:
            people: Normalised identities.
            today: Date on which the coarse age band is taken.
        """
        given = [parts[0] if parts else None for parts in people.given]
        surname = [" ".join(parts) or None for parts in people.surname]
        columns: dict[str, Words] = {
            "given": self.tokens("given", given),
            # Nickname and preferred name share a key with each other, so that they can be compared.
            "nick": self.tokens("nick", people.nickname),
            "pref": self.tokens("nick", people.preferred),
            # Of one or two consonants nothing is said of a person: Tom and Tim are twins (LNK-1). As a
            # blocking key they still bring two records together.
            "skel": self.tokens(
                "skel", [one if one and len(one) > 2 else None for one in people.skeleton]
            ),
            "skel_block": self.tokens("skel", people.skeleton),
            "given_rest": self.tokens(
                "rest", [parts[1] if len(parts) > 1 else None for parts in people.given]
            ),
            "given_end": self.tokens("end", [_ending(value) for value in given]),
            "initial": self.tokens("initial", [value[0] if value else None for value in given]),
            "surname": self.tokens("given", surname),
            "surname_last": self.tokens(
                "surname", [parts[-1] if parts else None for parts in people.surname]
            ),
            "surname_skel": self.tokens("surname_skel", people.surname_skeleton),
            "dob": self.tokens("dob", people.birth_date),
            "dob_swap": self.tokens("dob_swap", [_swap(value) for value in people.birth_date]),
            "dob_year": self.tokens(
                "dob_year",
                [value[:4] if value else None for value in people.birth_date],
            ),
            "sex": self.tokens("sex", people.sex),
            "postcode": self.tokens("postcode", people.postcode),
            "sector": self.tokens(
                "sector", [value[:-2] if value else None for value in people.postcode]
            ),
            "house": self.tokens("house", people.house),
            "street": self.tokens("street", people.street),
            "nhs": self.tokens("nhs", people.nhs_number),
            "upn": self.tokens("upn", people.upn),
            "local": self.tokens("local", people.local_id),
            "name_pair": self.tokens("name_pair", _pairs(given, surname)),
            "given_is_initial": np.array([v is not None and len(v) == 1 for v in given], np.int64),
            "dob_weak": np.array(
                [v is not None and v.endswith("-01-01") for v in people.birth_date], np.int64
            ),
            "nhs_failed": np.array(people.nhs_failed, np.int64),
            "band": np.array([_band(value, today) for value in people.birth_date], np.int64),
        }
        blooms = {"given": given, "surname": surname,
                  "dob": people.birth_date, "postcode": people.postcode}  # fmt: skip
        for name, values in blooms.items():
            words, counts = self.bloom(name, values)
            columns |= {f"bf_{name}_{number}": words[:, number] for number in range(4)}
            columns[f"pc_{name}"] = counts
        columns |= _blocks(columns)
        return np.stack([columns[name] for name in COLUMNS], axis=1)


def _grams(value: str, *, positional: bool) -> Iterable[str]:
    if positional:
        return [f"{place}{char}" for place, char in enumerate(value) if char.isalnum()]
    padded = f"^{value}$"
    seen: dict[str, int] = {}
    grams = []
    for start in range(len(padded) - 1):
        gram = padded[start : start + 2]
        seen[gram] = seen.get(gram, 0) + 1
        grams.append(f"{gram}{seen[gram]}")
    return grams


def _ending(value: str | None) -> str | None:
    """Return the vowel that a name ends with, or that it ends with none: Amelia and Amelie are two."""
    if not value or len(value) < 2:
        return None
    return value[-1] if value[-1] in "AEIOUY" else "-"


def _swap(value: str | None) -> str | None:
    """Return the date with day and month in sorted order: equal for a pair that was swapped."""
    if not value:
        return None
    year, month, day = value.split("-")
    return "-".join([year, *sorted((month, day))])


def _pairs(given: Sequence[str | None], surname: Sequence[str | None]) -> list[str | None]:
    return [
        "|".join(sorted((first, last))) if first and last else None
        for first, last in zip(given, surname, strict=True)
    ]


def _band(value: str | None, today: date) -> int:
    if not value:
        return 0
    return CHILD if whole_years(date.fromisoformat(value), today) < 18 else ADULT


def mix(*parts: Words) -> Words:
    """Mix tokens into one 63-bit key; 0 when any of them is not known (splitmix64 finaliser)."""
    total = np.zeros(len(parts[0]), np.uint64)
    for number, part in enumerate(parts, start=1):
        step = np.uint64(0x9E3779B97F4A7C15 * number % 2**64)
        value = part.astype(np.uint64) + step
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        total = (total ^ (value ^ (value >> np.uint64(31)))) * np.uint64(0x9E3779B97F4A7C15)
    known = np.logical_and.reduce([part != 0 for part in parts])
    mixed = (total >> np.uint64(1)).astype(np.int64)
    return np.where(known, np.where(mixed == 0, 1, mixed), 0)


def _blocks(columns: dict[str, Words]) -> dict[str, Words]:
    def key(*names: str) -> Words:
        return mix(*(columns[name] for name in names))

    return {
        "b_dob_nick": key("dob", "nick"),
        "b_dob_surname": key("dob", "surname_skel"),
        "b_dob_postcode": key("dob", "postcode"),
        "b_name_sector": key("nick", "surname_last", "sector"),
        "b_swap_names": key("dob_swap", "nick", "surname_last"),
        "b_skeletons_year": key("skel_block", "surname_skel", "dob_year"),
        "b_dob_house": key("dob", "house", "sector"),
        "b_pair_dob": key("name_pair", "dob"),
        "b_given_postcode": key("given", "postcode", "house"),
        "b_name_street": key("nick", "surname_skel", "street"),
    }
