"""Keyed words of an identity: 63-bit tokens, Bloom words and composite blocking keys.

Each field has a sub-key of its own. A token is equal where the normalised value is equal; a Bloom
word (256 bits, four positions per q-gram from one HMAC) tells how alike two values are without
telling either. Composites are mixed from tokens, so they show nothing that the tokens do not.
"""

from __future__ import annotations

import hmac
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import reduce
from operator import or_
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from engine.domain.ids import whole_years
from engine.domain.records import Normalised

ENCODER_VERSION = "e5"

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
    *("nhs_former", "upn_former", "surname_former", "uprn"),
)
BLOOMS = ("given", "surname", "dob", "postcode")
FLAGS = ("given_is_initial", "given_is_known", "given_is_short", "dob_weak", "band", "nhs_failed")
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
Values: TypeAlias = "Sequence[str | None] | Column"

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

    def _sub_key(self, name: str) -> bytes:
        label = f"{self.key_version}|{ENCODER_VERSION}|{name}".encode()
        return hmac.digest(self.master, label, "sha256")

    def tokens(self, name: str, values: Values) -> Words:
        """Return one 63-bit token per value under the sub-key of `name`; 0 is "not known"."""
        column = Column.of(values)
        # What was derived from several values may be one: the first letter of many names.
        distinct = list(dict.fromkeys(column.distinct))
        digests = b"".join(_digests(self._sub_key(name), (value or "" for value in distinct)))
        found = np.frombuffer(digests, ">u8")[:: SHA256.digest_size // 8] >> np.uint64(1)
        tokens = np.where(found == 0, 1, found).astype(np.int64)
        tokens[[place for place, value in enumerate(distinct) if not value]] = 0
        if len(distinct) < len(column.distinct):
            place = dict(zip(distinct, range(len(distinct)), strict=True))
            tokens = tokens[[place[value] for value in column.distinct]]
        return np.asarray(tokens[column.codes], np.int64)

    def bloom(self, name: str, values: Values) -> tuple[Words, Words]:
        """Return (four words per value, number of bits set); all zero is "not known"."""
        key, column = self._sub_key(f"bloom|{name}"), Column.of(values)
        positional = name in ("dob", "postcode")
        grams = [_grams(value, positional=positional) if value else () for value in column.distinct]
        known = list({gram for some in grams for gram in some})
        bits = {
            gram: reduce(or_, (1 << position for position in digest[:4]))
            for gram, digest in zip(known, _digests(key, known), strict=True)
        }
        numbers = [reduce(or_, map(bits.__getitem__, some), 0) for some in grams]
        raw = b"".join(number.to_bytes(32, "little") for number in numbers)
        words = np.frombuffer(raw, np.int64).reshape(len(numbers), 4)
        counts = np.fromiter((number.bit_count() for number in numbers), np.int64, len(numbers))
        return words[column.codes], counts[column.codes]

    def encode(self, people: Normalised, today: date) -> Words:
        """Return ``int64[record, COLUMNS]``.

        Args:
            people: Normalised identities.
            today: Date on which the coarse age band is taken.
        """
        given = Column.of([parts[0] if parts else None for parts in people.given])
        surname = Column.of([" ".join(parts) or None for parts in people.surname])
        born, postcode = Column.of(people.birth_date), Column.of(people.postcode)
        skeleton = Column.of(people.skeleton)
        columns: dict[str, Words] = {
            "given": self.tokens("given", given),
            # Nickname and preferred name share a key with each other, so that they can be compared.
            "nick": self.tokens("nick", people.nickname),
            "pref": self.tokens("nick", people.preferred),
            # Of one or two consonants nothing is said of a person: Tom and Tim are twins (LNK-1). As a
            # blocking key they still bring two records together.
            "skel": self.tokens("skel", skeleton.map(lambda one: one if len(one) > 2 else None)),
            "skel_block": self.tokens("skel", skeleton),
            "given_rest": self.tokens(
                "rest", [parts[1] if len(parts) > 1 else None for parts in people.given]
            ),
            "given_end": self.tokens("end", given.map(_ending)),
            "initial": self.tokens("initial", given.map(lambda value: value[0])),
            "surname": self.tokens("given", surname),
            "surname_former": self.tokens("given", people.former_surname),
            "surname_last": self.tokens(
                "surname", [parts[-1] if parts else None for parts in people.surname]
            ),
            "surname_skel": self.tokens("surname_skel", people.surname_skeleton),
            "dob": self.tokens("dob", born),
            "dob_swap": self.tokens("dob_swap", born.map(_swap)),
            "dob_year": self.tokens("dob_year", people.birth_year),
            "sex": self.tokens("sex", people.sex),
            "postcode": self.tokens("postcode", postcode),
            "sector": self.tokens("sector", postcode.map(lambda value: value[:-2])),
            "house": self.tokens("house", people.house),
            "street": self.tokens("street", people.street),
            "uprn": self.tokens("uprn", people.uprn),
            "nhs": self.tokens("nhs", people.nhs_number),
            "upn": self.tokens("upn", people.upn),
            # A former number shares a key with the present one, so that it can be followed (LNK-20).
            "nhs_former": self.tokens("nhs", people.former_nhs_number),
            "upn_former": self.tokens("upn", people.former_upn),
            "local": self.tokens("local", people.local_id),
            "name_pair": self.tokens("name_pair", _pairs(given, surname)),
            "given_is_initial": given.numbers(lambda v: int(v is not None and len(v) == 1)),
            "given_is_known": np.array(people.given_is_known, np.int64),
            "given_is_short": np.array(people.given_is_short, np.int64),
            "dob_weak": born.numbers(lambda v: int(v is not None and v.endswith("-01-01"))),
            "nhs_failed": np.array(people.nhs_failed, np.int64),
            "band": born.numbers(lambda value: _band(value, today)),
        }
        for name, values in (("given", given), ("surname", surname), ("dob", born),
                             ("postcode", postcode)):  # fmt: skip
            words, counts = self.bloom(name, values)
            columns |= {f"bf_{name}_{number}": words[:, number] for number in range(4)}
            columns[f"pc_{name}"] = counts
        columns |= _blocks(columns)
        # Column beside column, as everything that reads them does.
        return np.stack([columns[name] for name in COLUMNS]).T


@dataclass(frozen=True)
class Column:
    """A column of values as its distinct ones and a place among them per row.

    What is derived from a value is worked out once per distinct value and not once per row.

    Attributes:
        distinct: The distinct values; None is "not known".
        codes: int64 per row: place of its value in `distinct`.
    """

    distinct: list[str | None] = field(repr=False)
    codes: Words = field(repr=False)

    @classmethod
    def of(cls, values: Values) -> Column:
        """Return the column of some values, or the column itself."""
        if isinstance(values, Column):
            return values
        coded = pa.array(values, pa.string()).dictionary_encode()
        distinct = coded.dictionary.to_pylist()
        codes = coded.indices.fill_null(len(distinct)).to_numpy().astype(np.int64)
        return cls([*distinct, None], codes)

    def map(self, derive: Callable[[str], str | None]) -> Column:
        """Return the column of what is derived from each value; nothing comes of "not known"."""
        return Column([derive(one) if one else None for one in self.distinct], self.codes)

    def numbers(self, number: Callable[[str | None], int]) -> Words:
        """Return one number per row."""
        known = {one: number(one) for one in set(self.distinct)}
        found = np.fromiter(map(known.__getitem__, self.distinct), np.int64, len(self.distinct))
        return found[self.codes]


def columnar(words: Words) -> Words:
    """Return the same words, column beside column: a column is read many times, a record seldom."""
    return np.asfortranarray(words)


def take(words: Words, rows: npt.NDArray[np.int64]) -> Words:
    """Return some of the records, column beside column."""
    return np.take(words.T, rows, axis=1).T


def distinct(*columns: Words) -> npt.NDArray[np.int64]:
    """Return a row for each different combination of values, sorted: faster than ``np.unique(axis=0)``."""
    order = np.lexsort(columns[::-1])
    ordered = [column[order] for column in columns]
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in ordered])
    return np.stack([column[fresh] for column in ordered], axis=1)


def _digests(key: bytes, values: Iterable[str]) -> Iterator[bytes]:
    """Return HMAC-SHA-256 of each value (RFC 2104); the key is set up once for all of them."""
    ready = HMAC(key, SHA256())
    for value in values:
        one = ready.copy()
        one.update(value.encode())
        yield one.finalize()


def _grams(value: str, *, positional: bool) -> Sequence[str]:
    if positional:
        return [f"{place}{char}" for place, char in enumerate(value) if char.isalnum()]
    padded = f"^{value}$"
    grams = [one + other for one, other in itertools.pairwise(padded)]
    if len(set(grams)) == len(grams):
        return [f"{gram}1" for gram in grams]
    return [f"{gram}{grams[: place + 1].count(gram)}" for place, gram in enumerate(grams)]


def _ending(value: str) -> str | None:
    """Return the vowel that a name ends with, or that it ends with none: Amelia and Amelie are two."""
    if len(value) < 2:
        return None
    return value[-1] if value[-1] in "AEIOUY" else "-"


def _swap(value: str) -> str:
    """Return the date with day and month in sorted order: equal for a pair that was swapped."""
    year, month, day = value.split("-")
    return "-".join([year, *sorted((month, day))])


def _pairs(given: Column, surname: Column) -> Column:
    """Return the two names of each record in sorted order, whichever came first."""
    both, codes = np.unique(
        given.codes * (len(surname.distinct) + 1) + surname.codes, return_inverse=True
    )
    pairs = []
    for pair in both.tolist():
        first = given.distinct[pair // (len(surname.distinct) + 1)]
        last = surname.distinct[pair % (len(surname.distinct) + 1)]
        pairs.append("|".join(sorted((first, last))) if first and last else None)
    return Column(pairs, codes.astype(np.int64))


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
