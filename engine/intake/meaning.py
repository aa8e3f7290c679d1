"""What cells mean: days, kinds, roles and age bands, worked out once for every distinct cell."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from engine.domain.ids import EPOCH, day_number, whole_years
from engine.domain.records import Ints
from engine.intake.contract import Yield
from engine.intake.parts import text_of

NO_DAY = -(2**31)
"""A day that is not known."""


def texts(column: pa.Array | None, count: int) -> pa.Array:
    """Return a column, or one of nothing known when the file has none."""
    return text_of(column) if column is not None else pa.nulls(count, pa.string())


def by_distinct(column: pa.Array, of: Any, missing: int) -> Ints:
    """Return a number for each cell, worked out once for every distinct cell."""
    encoded = column.dictionary_encode()
    found = np.array([of(text) for text in encoded.dictionary.to_pylist()] or [missing], np.int64)
    places = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    return np.where(valid, found[places], missing)


def days_of(column: pa.Array | None, count: int) -> Ints:
    """Return days since 1970-01-01; a date that names no day is no day of an event."""
    if column is None:
        return np.full(count, NO_DAY, np.int64)
    return by_distinct(
        column,
        lambda text: day_number(date.fromisoformat(text)) if text and len(text) == 10 else NO_DAY,
        NO_DAY,
    )


def words_of(
    spec: str | Mapping[str, Any],
    columns: Mapping[str, pa.Array],
    count: int,
    numbers: Mapping[str, int],
) -> Ints:
    """Return the number of each row's word; -1 where the contract maps the cell to none.

    Args:
        spec: A word that holds for every row, or ``field`` and ``map``.
        columns: The columns of the rows.
        count: Number of rows.
        numbers: Word to its number.
    """
    if isinstance(spec, str):
        return np.full(count, numbers[spec], np.int64)
    column = columns.get(spec["field"])
    if column is None:
        return np.full(count, -1, np.int64)
    mapping = spec["map"]
    return by_distinct(column, lambda text: numbers.get(mapping.get(text, ""), -1), -1)


def found_in_review(rule: Yield, columns: Mapping[str, pa.Array], count: int) -> Ints:
    """Return 1 where the source says that a row was found while somebody was looked at because of a list.

    Such evidence is the list's own echo (T1); a source that says nothing of it is taken at its word.
    """
    review = rule.spec.get("review")
    column = columns.get(review["field"]) if review else None
    if review is None or column is None:
        return np.zeros(count, np.int64)
    mask = pc.is_in(text_of(column), value_set=pa.array(list(review["in"]), pa.string()))
    return np.asarray(mask.to_numpy(zero_copy_only=False), dtype=np.int64)


def holding(rule: Yield, columns: Mapping[str, pa.Array], count: int) -> npt.NDArray[np.bool_]:
    """Return the rows for which the condition of a yield holds; what is not known does not."""
    when = rule.when
    if "in" in when:
        column = columns.get(when["field"])
        if column is None:
            return np.zeros(count, dtype=bool)
        mask = pc.is_in(text_of(column), value_set=pa.array(list(when["in"]), pa.string()))
        return np.asarray(mask.to_numpy(zero_copy_only=False), dtype=bool)
    if "ratio" in when:
        part, whole = (columns.get(name) for name in when["ratio"])
        if part is None or whole is None:
            return np.zeros(count, dtype=bool)
        limit = int(when["below_thousandths"])
        return np.array(
            [
                bool(top and bottom) and int(bottom) > 0 and int(top) * 1000 < int(bottom) * limit
                for top, bottom in zip(part.to_pylist(), whole.to_pylist(), strict=True)
            ],
            dtype=bool,
        )
    return np.ones(count, dtype=bool)


def age_bands(born: pa.Array | None, day: Ints) -> Ints:
    """Age band at the event's own date, so that a birthday changes nobody's role (T12).

    Returns:
        0 unknown, 1 under 18, 2 18 and over.
    """
    if born is None:
        return np.zeros(len(day), np.int64)
    adult_from = by_distinct(born, _adult_day, NO_DAY)
    bands = np.where(day < adult_from, 1, 2)
    return np.where(adult_from == NO_DAY, 0, bands)


def _adult_day(text: str) -> int:
    """Return the first day on which somebody born then is 18."""
    if len(text) != 10:
        return NO_DAY
    born = date.fromisoformat(text)
    day = (
        date(born.year + 18, 3, 1)
        if (born.month, born.day) == (2, 29)
        else born.replace(year=born.year + 18)
    )
    while whole_years(born, day) < 18:
        day = date.fromordinal(day.toordinal() + 1)
    while whole_years(born, date.fromordinal(day.toordinal() - 1)) >= 18:
        day = date.fromordinal(day.toordinal() - 1)
    return (day - EPOCH).days
