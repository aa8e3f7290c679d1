"""Addresses that are nobody's home, and blocks so large that they would swamp a run.

Both are told from keyed words alone: how many people share one (linkage.md 4.1, cases 23 and 24).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from engine.linkage.encode import BLOCKS, COLUMNS, Words, distinct, mix

Mask = npt.NDArray[np.bool_]

CAP = 1000
"""Records of one blocking key above which it is refined: they would be half a million pairs."""
COMMUNAL = 15
"""Different people at one address from which it is a hostel, a surgery or an office, and no home."""
_PLACE = {name: number for number, name in enumerate(COLUMNS)}
_HOME_BLOCKS = ("b_dob_postcode", "b_dob_house", "b_given_postcode", "b_name_street")
_HOME = (
    "house",
    "street",
    "postcode",
    "uprn",
    "pc_postcode",
    *(f"bf_postcode_{n}" for n in range(4)),
)


@dataclass(frozen=True, slots=True)
class Capped:
    """A blocking key that too many records share.

    Attributes:
        column: The blocking column.
        blocks: How many of its keys were too large.
        records: Records in them.
        pairs: Pairs of them that the refined key does not compare; other keys may.
    """

    column: str
    blocks: int
    records: int
    pairs: int

    def as_dict(self) -> dict[str, int | str]:
        """Return plain data."""
        return {
            "column": self.column,
            "blocks": self.blocks,
            "records": self.records,
            "pairs": self.pairs,
        }


def _pairs(counts: npt.NDArray[np.int64]) -> int:
    return int((counts * (counts - 1) // 2).sum())


def capped(words: Words, cap: int = CAP) -> tuple[Words, list[Capped]]:
    """Refine blocking keys that too many records share, and say what is compared no more.

    A key that is too large is mixed with the given name and the surname; where that is too large too
    the records are left to their other keys. Nothing is dropped without a word (LNK-24).

    Args:
        words: Encoded records.
        cap: Records of one key from which it is refined.
    """
    found: list[Capped] = []
    result = words
    for column in BLOCKS:
        at = _PLACE[column]
        keys = words[:, at]
        large = _larger(keys, cap)
        if not large.any():
            continue
        finer = mix(keys, words[:, _PLACE["given"]], words[:, _PLACE["surname"]])
        finer = np.where(large, finer, 0)
        finer = np.where(_larger(finer, cap), 0, finer)
        _, before = np.unique(keys[large], return_counts=True)
        _, after = np.unique(finer[finer != 0], return_counts=True)
        if result is words:
            result = words.copy(order="K")
        result[:, at] = np.where(large, finer, keys)
        found.append(Capped(column, len(before), int(large.sum()), _pairs(before) - _pairs(after)))
    return result, found


def _larger(keys: Words, cap: int) -> Mask:
    values, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    large: Mask = (counts > cap)[inverse] & (values[inverse] != 0)
    return large


def communal(words: Words, people: int = COMMUNAL) -> Mask:
    """Return which records name an address that more people share than live in a home (LNK-23)."""
    home = mix(words[:, _PLACE["house"]], words[:, _PLACE["postcode"]])
    known = np.flatnonzero(home != 0)
    found = np.zeros(len(words), dtype=bool)
    if not len(known):
        return found
    who = distinct(home[known], words[known, _PLACE["given"]], words[known, _PLACE["dob"]])
    homes, counts = np.unique(who[:, 0], return_counts=True)
    found[known] = np.isin(home[known], homes[counts > people])
    return found


@dataclass(frozen=True)
class Places:
    """Addresses that are known to be nobody's home, as keyed tokens; 0 is "not said".

    Attributes:
        uprn, house, street, postcode: One token each per address. One with a postcode and nothing more is
            the whole postcode; one with a property reference and no house or street is that property.
    """

    uprn: Words = field(repr=False)
    house: Words = field(repr=False)
    street: Words = field(repr=False)
    postcode: Words = field(repr=False)


def listed(words: Words, places: Places) -> Mask:
    """Return which records name one of some addresses (LNK-23)."""
    column = {name: words[:, _PLACE[name]] for name in ("uprn", "house", "street", "postcode")}
    found = np.isin(column["uprn"], places.uprn[places.uprn != 0])
    whole = (places.house == 0) & (places.street == 0) & (places.uprn == 0)
    found |= np.isin(column["postcode"], places.postcode[whole & (places.postcode != 0)])
    housed = places.house != 0
    for name, some in (("house", housed), ("street", ~housed & (places.street != 0))):
        keys = mix(getattr(places, name)[some], places.postcode[some])
        found |= np.isin(mix(column[name], column["postcode"]), keys[keys != 0])
    return np.asarray(found, dtype=bool)


def without_shared_numbers(words: Words, people: int = COMMUNAL) -> tuple[Words, list[Capped]]:
    """Return the records without numbers that many people have, and say which those were.

    A number of one's own that stands on the records of a crowd is a placeholder that passes its check,
    or a system's default: it identifies nobody, and compared as a key it would make half a million
    pairs of a thousand records.
    """
    result, found = words, []
    for column in ("nhs", "upn"):
        numbers = words[:, _PLACE[column]]
        known = np.flatnonzero(numbers)
        if not len(known):
            continue
        who = distinct(numbers[known], words[known, _PLACE["given"]], words[known, _PLACE["dob"]])
        values, counts = np.unique(who[:, 0], return_counts=True)
        crowd = np.isin(numbers, values[counts > people]) & (numbers != 0)
        if not crowd.any():
            continue
        if result is words:
            result = words.copy(order="K")
        result[crowd, _PLACE[column]] = 0
        _, sizes = np.unique(numbers[crowd], return_counts=True)
        found.append(Capped(column, len(sizes), int(crowd.sum()), _pairs(sizes)))
    return result, found


def without_home(words: Words, rows: Mask) -> Words:
    """Return the records, of which some have no address that could speak for or against anybody."""
    if not rows.any():
        return words
    result = words.copy(order="K")
    for name in (*_HOME, *_HOME_BLOCKS):
        result[rows, _PLACE[name]] = 0
    return result
