"""Check a whole column at once: every distinct cell once, or by vector where most cells differ.

Both ways give, cell by cell, what `engine.intake.check.check_cell` gives; a property test holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from engine.intake.check import (
    NAME_MARKS,
    PLAIN_DATES,
    UPN_LETTERS,
    check_cell,
    is_repair,
    odd_name,
    repairs,
)
from engine.intake.contract import FieldContract
from engine.intake.parts import text_of

Codes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
MEMO = 200_000
"""Distinct cells that are remembered between batches; memory stays flat in the size of a file."""
_MANY = 0.5
"""Share of distinct cells in a batch from which the vector way is the faster one."""

CODES: list[str] = ["", *(f"FG-ROW-{number:02}" for number in range(1, 23))]
"""Code of a cell by its small number; 0 is nothing wrong."""
_NUMBER = {code: number for number, code in enumerate(CODES)}

_FORMULA = r"(?i)^(?:[=@]|[+\-][A-Za-z(=@]|#(?:REF!|N/A|VALUE!|DIV/0!|NAME\?|NUM!|NULL!)$)"
# Letters that every library knows to be letters; of others each cell is looked at (Unicode grows).
_NAME = (
    r"^[A-Za-z\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{17f}"
    + NAME_MARKS.replace("-", r"\-")
    + r"]*$|[0-9]$"
)
_POSTCODE = r"^[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][A-Z]{2}$"


@dataclass
class ColumnCheck:
    """The check of one field over the batches of a part."""

    spec: FieldContract
    today: date
    _memo: dict[str, tuple[str | None, int, bool]] = field(default_factory=dict, repr=False)

    _many: bool = False

    def __call__(self, cells: pa.Array) -> tuple[pa.Array, Codes, Mask | None]:
        """Convert a column.

        Args:
            cells: One text per row.

        Returns:
            The values, plain or by distinct values, null for "not known"; and the number of each
            cell's code in `CODES`; and which cells were read as something other than what stands
            there, or None when none can be.
        """
        vector = _VECTORS.get(self.spec.type)
        if vector is not None and self._many:
            return self._whole(cells, vector)
        encoded = cells.dictionary_encode()
        if vector is not None and len(cells) > 64:
            # Once most cells differ they go on to differ, and are not counted again.
            self._many = len(encoded.dictionary) > _MANY * len(cells)
            if self._many:
                return self._whole(cells, vector)
        distinct = pc.utf8_trim_whitespace(encoded.dictionary)
        if self.spec.type == "date" and len(distinct) > 256:
            values, codes = self._dates(distinct)
            changed = None
        else:
            values, codes, changed = self._distinct(distinct.to_pylist())
        places = encoded.indices.to_numpy(zero_copy_only=False)
        return (
            _by_value(values, places),
            codes[places],
            changed[places] if changed is not None else None,
        )

    def _whole(self, cells: pa.Array, vector: Vector) -> tuple[pa.Array, Codes, Mask | None]:
        trimmed = pc.utf8_trim_whitespace(text_of(cells))
        values, codes = self._by_vector(trimmed, vector)
        return values, codes, self._changed(trimmed, values)

    def _changed(self, trimmed: pa.Array, values: pa.Array) -> Mask | None:
        if not repairs(self.spec):
            return None
        return _numpy(pc.fill_null(pc.not_equal(trimmed, values), pa.scalar(value=False)))

    def _distinct(self, texts: list[str]) -> tuple[pa.Array, Codes, Mask | None]:
        memo, spec = self._memo, self.spec
        if len(memo) > MEMO:
            memo.clear()
        values: list[str | None] = []
        codes = np.zeros(len(texts), np.uint8)
        changed = np.zeros(len(texts), dtype=bool) if repairs(spec) else None
        for place, text in enumerate(texts):
            found = memo.get(text)
            if found is None:
                value, code = check_cell(text, spec, self.today)
                number = _NUMBER[code or ""]
                found = memo[text] = (value, number, is_repair(text, value, code, spec))
            value, number, repaired = found
            values.append(value)
            if number:
                codes[place] = number
            if repaired and changed is not None:
                changed[place] = True
        return pa.array(values, pa.string()), codes, changed

    def _dates(self, distinct: pa.Array) -> tuple[pa.Array, Codes]:
        """Read dates of the plain layouts at once; what is anything else is read cell by cell."""
        good = np.zeros(len(distinct), dtype=bool)
        values = distinct
        for layout in self.spec.formats:
            if layout not in PLAIN_DATES:
                break  # Layouts are tried in order: a later one may not go before this one.
            found, iso = _plain_dates(
                distinct, layout, self.today, birth=self.spec.part == "birth_date"
            )
            fresh = found & ~good
            if fresh.any():
                values = pc.if_else(pa.array(fresh), iso, values)
            good |= found
        good &= ~_numpy(self._stand_in(distinct))
        left = np.flatnonzero(~good)
        codes = np.zeros(len(distinct), np.uint8)
        if len(left):
            texts, codes[left], _ = self._distinct(distinct.take(pa.array(left)).to_pylist())
            values = pc.replace_with_mask(values, pa.array(~good), texts)
        return values, codes

    def _stand_in(self, trimmed: pa.Array) -> pa.Array:
        """Return which cells hold a placeholder of the contract."""
        if not self.spec.placeholders:
            return pa.array(np.zeros(len(trimmed), dtype=bool))
        known = pa.array(sorted(self.spec.placeholders), pa.string())
        return pc.is_in(pc.ascii_lower(trimmed), value_set=known)

    def _by_vector(self, trimmed: pa.Array, vector: Vector) -> tuple[pa.Array, Codes]:
        empty = pc.equal(trimmed, "")
        stand_in = self._stand_in(trimmed)
        values, codes = vector(trimmed)
        absent = pc.or_(empty, stand_in)
        values = pc.if_else(absent, pa.scalar(None, pa.string()), values)
        codes[_numpy(stand_in)] = _NUMBER["FG-ROW-11"]
        codes[_numpy(empty)] = _NUMBER["FG-ROW-01"] if self.spec.required else 0
        return values, codes


def _by_value(values: pa.Array, places: npt.NDArray[np.int32]) -> pa.Array:
    """Return a column by its distinct values; one that is not known is a null of the column itself."""
    if not values.null_count:
        return pa.DictionaryArray.from_arrays(pa.array(places), values)
    unknown = np.asarray(values.is_null().to_numpy(zero_copy_only=False), dtype=bool)
    indices = pa.array(places, mask=unknown[places])
    return pa.DictionaryArray.from_arrays(indices, pc.fill_null(values, ""))


Vector = Callable[[pa.Array], tuple[pa.Array, Codes]]
_NONE = pa.scalar(None, pa.string())


def _numpy(mask: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(mask.to_numpy(zero_copy_only=False), dtype=bool)


def _flagged(bad: pa.Array, code: str, codes: Codes | None = None) -> Codes:
    made = np.zeros(len(bad), np.uint8) if codes is None else codes
    made[_numpy(bad)] = _NUMBER[code]
    return made


def _plain_dates(
    texts: pa.Array, layout: str, today: date, *, birth: bool
) -> tuple[npt.NDArray[np.bool_], pa.Array]:
    """Return which texts are ordinary days of a plain layout, and all texts rearranged as ISO dates.

    A placeholder, a day to come and a day that no calendar has are left to the careful reader.
    """
    year, month, day, mark, first, second = PLAIN_DATES[layout]
    pattern = ["[0-9]"] * 10
    pattern[first] = pattern[second] = mark
    shaped = _numpy(pc.match_substring_regex(texts, "^" + "".join(pattern) + "$"))
    safe = pc.if_else(pa.array(shaped), texts, pa.scalar(f"2000{mark}01{mark}01"))
    if layout != "%Y-%m-%d":
        safe = pc.if_else(pa.array(shaped), texts, pa.scalar("01/01/2000"))
    parts = [pc.utf8_slice_codeunits(safe, one.start, one.stop) for one in (year, month, day)]
    y, m, d = (part.cast(pa.int32()).to_numpy(zero_copy_only=False) for part in parts)
    leap = (y % 4 == 0) & ((y % 100 != 0) | (y % 400 == 0))
    lengths = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    month_good = (m >= 1) & (m <= 12)
    length = lengths[np.where(month_good, m, 0)] + ((m == 2) & leap)
    good = shaped & month_good & (y >= 1902) & (d >= 1) & (d <= length)
    if birth:
        good &= y * 10_000 + m * 100 + d <= today.year * 10_000 + today.month * 100 + today.day
    return good, pc.binary_join_element_wise(*parts, pa.scalar("-"))


def _formulas(trimmed: pa.Array) -> pa.Array:
    """Return which cells begin like a formula; few do, so the first character is looked at first."""
    marked = pc.starts_with(trimmed, "=")
    for mark in "@+-#":
        marked = pc.or_(marked, pc.starts_with(trimmed, mark))
    if not pc.any(marked).as_py():
        return marked
    return pc.and_(marked, pc.match_substring_regex(trimmed, _FORMULA))


def _texts(trimmed: pa.Array) -> tuple[pa.Array, Codes]:
    formula = _formulas(trimmed)
    return pc.if_else(formula, _NONE, trimmed), _flagged(formula, "FG-ROW-16")


def _names(trimmed: pa.Array) -> tuple[pa.Array, Codes]:
    odd = pc.invert(pc.match_substring_regex(trimmed, _NAME))
    if pc.any(odd).as_py():
        unsure = trimmed.filter(odd).dictionary_encode()
        wrong = pa.array([odd_name(text) for text in unsure.dictionary.to_pylist()], pa.bool_())
        odd = pc.replace_with_mask(odd, odd, wrong.take(unsure.indices))
    formula = _formulas(trimmed)
    codes = _flagged(formula, "FG-ROW-16", _flagged(odd, "FG-ROW-14"))
    return pc.if_else(formula, _NONE, trimmed), codes


def _integers(trimmed: pa.Array) -> tuple[pa.Array, Codes]:
    good = pc.match_substring_regex(trimmed, "^[0-9]+$")
    return pc.if_else(good, trimmed, _NONE), _flagged(pc.invert(good), "FG-ROW-12")


def _postcodes(trimmed: pa.Array) -> tuple[pa.Array, Codes]:
    upper = pc.ascii_upper(trimmed)
    good = pc.match_substring_regex(upper, _POSTCODE)
    return pc.if_else(good, upper, _NONE), _flagged(pc.invert(good), "FG-ROW-08")


def _nhs_numbers(trimmed: pa.Array) -> tuple[pa.Array, Codes]:
    digits = trimmed
    for mark in " -":
        if pc.any(pc.match_substring(digits, mark)).as_py():
            digits = pc.replace_substring(digits, mark, "")
    shaped = pc.match_substring_regex(digits, "^[0-9]{10}$")
    numbers = (
        pc.if_else(shaped, digits, pa.scalar("0")).cast(pa.int64()).to_numpy(zero_copy_only=False)
    )
    total = np.zeros(len(numbers), np.int64)
    rest = numbers // 10
    for weight in range(2, 11):  # The ninth digit weighs 2, the first 10.
        total += (rest % 10) * weight
        rest //= 10
    good = ((11 - total % 11) % 11 == numbers % 10) & (numbers % 1_111_111_111 != 0)
    codes = np.where(good, 0, _NUMBER["FG-ROW-04"]).astype(np.uint8)
    return pc.if_else(shaped, digits, _NONE), _flagged(pc.invert(shaped), "FG-ROW-03", codes)


def _upns(trimmed: pa.Array) -> tuple[pa.Array, Codes]:
    upper = pc.ascii_upper(trimmed)
    shaped = pc.match_substring_regex(upper, "^[A-Z][0-9]{12}$")
    safe = pc.if_else(shaped, upper, pa.scalar("A000000000000"))
    rest = pc.utf8_slice_codeunits(safe, 1).cast(pa.int64()).to_numpy(zero_copy_only=False)
    total = np.zeros(len(rest), np.int64)
    for weight in range(13, 1, -1):  # The last digit weighs 13, the first 2.
        total += (rest % 10) * weight
        rest = rest // 10
    letters = pc.utf8_slice_codeunits(safe, 0, 1)
    place = pc.index_in(letters, value_set=pa.array(list(UPN_LETTERS))).fill_null(-1)
    good = _numpy(shaped) & (place.to_numpy(zero_copy_only=False) == total % 23)
    return upper, np.where(good, 0, _NUMBER["FG-ROW-05"]).astype(np.uint8)


_VECTORS: dict[str, Vector] = {
    "text": _texts,
    "address": _texts,
    "derived": _texts,
    "name": _names,
    "integer": _integers,
    "postcode": _postcodes,
    "nhs_number": _nhs_numbers,
    "upn": _upns,
}
