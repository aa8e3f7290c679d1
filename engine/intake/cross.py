"""Checks over several cells, rows or tables of a delivery, chosen by a contract and named by its ids.

A rule is fed batch by batch and keeps only hashes and days, so that memory stays small. A rule whose
columns are not in the file is skipped, one that crashes has failed: neither counts as passed (B46).
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.compute as pc

from engine.domain.ids import whole_years
from engine.intake.contract import CheckRule
from engine.intake.parts import same_day, text_of

Ints = npt.NDArray[np.int64]
Columns = Mapping[str, pa.Array]
FORM_DAY = "form_day"
"""A rule of which the first date is not used where it finds a row."""
_NOTHING: Ints = np.zeros(0, np.int64)


class Rule(Protocol):
    """One check while a delivery passes."""

    def feed(self, table: str, rows: Ints, columns: Columns) -> None:
        """Look at some rows of a table that the check concerns."""

    def finish(self) -> Ints:
        """Return the rows that the check finds wrong; they are rows of the check's own table."""


def _where(mask: pa.Array, rows: Ints) -> Ints:
    wrong = pc.fill_null(mask, pa.scalar(value=False))
    found: Ints = rows[np.asarray(wrong.to_numpy(zero_copy_only=False), dtype=bool)]
    return found


def hashes(columns: Columns, names: Iterable[str]) -> npt.NDArray[np.uint64]:
    """Return one 64-bit hash per row over some columns; equal cells give equal hashes."""
    total: npt.NDArray[np.uint64] | None = None
    for name in names:
        cells = pc.fill_null(columns[name], "\x00")
        one = pd.util.hash_array(cells.to_numpy(zero_copy_only=False), categorize=True)
        total = one if total is None else (total * np.uint64(1_000_003)) ^ one
    return total if total is not None else np.zeros(0, np.uint64)


@dataclass
class _RowByRow:
    """A rule that needs one row at a time."""

    check: CheckRule
    today: date
    wrong: Callable[[CheckRule, date, Columns], pa.Array]
    found: list[Ints] = field(default_factory=list)

    def feed(self, table: str, rows: Ints, columns: Columns) -> None:
        self.found.append(_where(self.wrong(self.check, self.today, columns), rows))

    def finish(self) -> Ints:
        return np.concatenate(self.found) if self.found else _NOTHING


def _not_after(check: CheckRule, today: date, columns: Columns) -> pa.Array:
    """The first date lies after the second; a month or a year ends with its last day."""
    first, second = check.fields[:2]
    end = pc.binary_join_element_wise(columns[second], pa.scalar("~"), "")
    return pc.greater(columns[first], end)


def _not_future(check: CheckRule, today: date, columns: Columns) -> pa.Array:
    """The date has not come yet."""
    return pc.greater(columns[check.fields[0]], pa.scalar(today.isoformat()))


def _required_with(check: CheckRule, today: date, columns: Columns) -> pa.Array:
    """The first is filled and the second is not."""
    first, second = check.fields[:2]
    return pc.and_(pc.is_valid(columns[first]), pc.is_null(columns[second]))


def _between(check: CheckRule, today: date, columns: Columns) -> pa.Array:
    """A number lies outside its bounds."""
    numbers = columns[check.fields[0]].cast(pa.float64())
    least, most = float(check.spec.get("least", "-inf")), float(check.spec.get("most", "inf"))
    return pc.or_(pc.less(numbers, least), pc.greater(numbers, most))


def _age_between(check: CheckRule, today: date, columns: Columns) -> pa.Array:
    """The age today, in whole years, lies outside its bounds (B07)."""
    least, most = int(check.spec.get("least", "0")), int(check.spec.get("most", "130"))
    encoded = columns[check.fields[0]].dictionary_encode()
    wrong = []
    for text in encoded.dictionary.to_pylist():
        age = whole_years(date.fromisoformat(text), today) if text and len(text) == 10 else None
        wrong.append(age is not None and not least <= age <= most)
    return pa.array(wrong, pa.bool_()).take(encoded.indices)


def _needs_one_of(check: CheckRule, today: date, columns: Columns) -> pa.Array:
    """None of the cells is filled."""
    empty = [pc.is_null(columns[name]) for name in check.fields]
    total = empty[0]
    for one in empty[1:]:
        total = pc.and_(total, one)
    return total


@dataclass
class _Repeated:
    """Rows that agree in all of some fields.

    ``unique`` finds every one of them (B04); ``same_row`` all but the first.
    """

    check: CheckRule
    today: date
    keep_first: bool
    keys: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    rows: list[Ints] = field(default_factory=list)

    def feed(self, table: str, rows: Ints, columns: Columns) -> None:
        names = self.check.fields or tuple(sorted(columns))
        filled = np.ones(len(rows), dtype=bool)
        if not self.keep_first:  # An empty key names nobody, so it repeats nobody.
            for name in names:
                filled &= columns[name].is_valid().to_numpy(zero_copy_only=False)
        self.keys.append(hashes(columns, names)[filled])
        self.rows.append(rows[filled])

    def finish(self) -> Ints:
        if not self.keys:
            return _NOTHING
        keys, rows = np.concatenate(self.keys), np.concatenate(self.rows)
        order = np.lexsort([rows, keys])
        keys, rows = keys[order], rows[order]
        same = np.zeros(len(keys), dtype=bool)
        same[1:] = keys[1:] == keys[:-1]
        if not self.keep_first:
            same[:-1] |= same[1:].copy()
        return np.sort(rows[same])


@dataclass
class _InTable:
    """Values of a field that do not stand in the same field of another table."""

    check: CheckRule
    today: date
    known: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    asked: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    rows: list[Ints] = field(default_factory=list)

    def feed(self, table: str, rows: Ints, columns: Columns) -> None:
        keys = hashes(columns, self.check.fields[:1])
        if table == self.check.spec["in"]:
            self.known.append(np.unique(keys))
        if table == self.check.table:
            filled = columns[self.check.fields[0]].is_valid().to_numpy(zero_copy_only=False)
            self.asked.append(keys[filled])
            self.rows.append(rows[filled])

    def finish(self) -> Ints:
        if not self.asked:
            return _NOTHING
        known = np.unique(np.concatenate(self.known)) if self.known else np.zeros(0, np.uint64)
        asked, rows = np.concatenate(self.asked), np.concatenate(self.rows)
        return rows[~np.isin(asked, known)]


@dataclass
class _Conflict:
    """One value of the first field that stands beside different values of the others."""

    check: CheckRule
    today: date
    keys: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    beside: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    rows: list[Ints] = field(default_factory=list)

    def feed(self, table: str, rows: Ints, columns: Columns) -> None:
        filled = columns[self.check.fields[0]].is_valid().to_numpy(zero_copy_only=False)
        self.keys.append(hashes(columns, self.check.fields[:1])[filled])
        self.beside.append(hashes(columns, self.check.fields[1:])[filled])
        self.rows.append(rows[filled])

    def finish(self) -> Ints:
        if not self.keys:
            return _NOTHING
        keys, beside = np.concatenate(self.keys), np.concatenate(self.beside)
        rows = np.concatenate(self.rows)
        frame = pd.DataFrame({"key": keys, "beside": beside})
        several = frame.groupby("key")["beside"].transform("nunique") > 1
        return np.sort(rows[several.to_numpy()])


@dataclass
class _OneOpen:
    """More than one row of a key whose end is empty: the first field names the key, `to` the end."""

    check: CheckRule
    today: date
    keys: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    rows: list[Ints] = field(default_factory=list)

    def feed(self, table: str, rows: Ints, columns: Columns) -> None:
        open_rows = columns[str(self.check.spec["to"])].is_null().to_numpy(zero_copy_only=False)
        open_rows &= columns[self.check.fields[0]].is_valid().to_numpy(zero_copy_only=False)
        self.keys.append(hashes(columns, self.check.fields[:1])[open_rows])
        self.rows.append(rows[open_rows])

    def finish(self) -> Ints:
        if not self.keys:
            return _NOTHING
        keys, rows = np.concatenate(self.keys), np.concatenate(self.rows)
        _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
        return np.sort(rows[counts[inverse] > 1])


@dataclass
class _Overlap:
    """Rows of one key whose days overlap: `from` and `to` name the days, an empty end is open."""

    check: CheckRule
    today: date
    keys: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    days: list[npt.NDArray[np.int64]] = field(default_factory=list)
    rows: list[Ints] = field(default_factory=list)

    def feed(self, table: str, rows: Ints, columns: Columns) -> None:
        # Of a month or a year only what is certain counts: it begins at its end and ends at its start.
        first = _ordinals(columns[str(self.check.spec["from"])], 0, late=True)
        last = _ordinals(columns[str(self.check.spec["to"])], 2**31, late=False)
        # An empty key names nobody, so its days stand beside nobody's.
        good = (first > 0) & columns[self.check.fields[0]].is_valid().to_numpy(zero_copy_only=False)
        self.keys.append(hashes(columns, self.check.fields[:1])[good])
        self.days.append(np.stack([first, last], axis=1)[good])
        self.rows.append(rows[good])

    def finish(self) -> Ints:
        if not self.keys:
            return _NOTHING
        keys, days = np.concatenate(self.keys), np.concatenate(self.days)
        rows = np.concatenate(self.rows)
        order = np.lexsort([days[:, 0], keys])
        keys, days, rows = keys[order], days[order], rows[order]
        wrong = np.zeros(len(keys), dtype=bool)
        # A stay may begin on the day on which the one before it ends.
        reach = -1
        for place in range(len(keys)):
            if place and keys[place] == keys[place - 1]:
                wrong[place] = days[place, 0] < reach
                reach = max(reach, days[place, 1])
            else:
                reach = days[place, 1]
        return np.sort(rows[wrong])


def _ordinals(column: pa.Array, missing: int, *, late: bool) -> npt.NDArray[np.int64]:
    encoded = column.dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    days = np.array([_ordinal(text, late=late) for text in texts] or [missing], np.int64)
    places = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    return np.where(valid, days[places], missing)


def _ordinal(text: str, *, late: bool) -> int:
    """Return the first or the last day of a date of any precision."""
    year, month, day = (*map(int, text.split("-")), 0, 0)[:3]
    if day:
        return date(year, month, day).toordinal()
    if not late:
        return date(year, month or 1, 1).toordinal()
    return date(year, month or 12, monthrange(year, month or 12)[1]).toordinal()


def _form_day(check: CheckRule, today: date, columns: Columns) -> pa.Array:
    """The first date is the second: a form filled it in, and nobody knows it (LNK-7)."""
    first, second = check.fields[:2]
    return same_day(columns[first], columns[second])


_ROW_RULES: dict[str, Callable[[CheckRule, date, Columns], pa.Array]] = {
    "not_after": _not_after,
    "not_future": _not_future,
    "required_with": _required_with,
    "between": _between,
    "age_between": _age_between,
    "needs_one_of": _needs_one_of,
    FORM_DAY: _form_day,
}
_SPAN_RULES: dict[str, Callable[[CheckRule, date], Rule]] = {
    "unique": lambda check, today: _Repeated(check, today, keep_first=False),
    "same_row": lambda check, today: _Repeated(check, today, keep_first=True),
    "in_table": _InTable,
    "conflict": _Conflict,
    "one_open": _OneOpen,
    "no_overlap": _Overlap,
}
RULES = frozenset(_ROW_RULES) | frozenset(_SPAN_RULES)
"""Names that a contract may use."""


def make_rule(check: CheckRule, today: date) -> Rule:
    """Return a check that is ready to be fed.

    Raises:
        KeyError: The contract names a rule that there is not; `contract test` says so beforehand.
    """
    if check.rule in _ROW_RULES:
        return _RowByRow(check, today, _ROW_RULES[check.rule])
    return _SPAN_RULES[check.rule](check, today)


@dataclass
class CheckRun:
    """What became of one check: ``run``, ``skipped`` with a reason, or ``failed`` with a type."""

    check: CheckRule
    status: str = "run"
    why: str = ""
    rows: Ints = field(default_factory=lambda: _NOTHING)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for a receipt."""
        return {
            "id": self.check.id,
            "rule": self.check.rule,
            "severity": self.check.severity,
            "status": self.status,
            "why": self.why,
            "found": len(self.rows),
        }


def _carrying(check: CheckRule) -> Sequence[str]:
    """Return the fields of a check without which no row can be wrong."""
    if check.rule == "needs_one_of":
        return ()
    if check.rule == "required_with":
        return check.fields[:1]
    return [name for name in (*check.fields, check.spec.get("from")) if name]


class Checks:
    """All checks of a delivery."""

    def __init__(self, checks: Iterable[CheckRule], today: date) -> None:
        self._runs: list[tuple[CheckRun, Rule | None]] = []
        self._fed: set[tuple[int, str]] = set()
        for check in checks:
            run = CheckRun(check)
            rule: Rule | None = None
            try:
                rule = make_rule(check, today)
            except Exception as error:  # noqa: BLE001  # any crash is a check that failed
                run.status, run.why = "failed", type(error).__name__
            self._runs.append((run, rule))

    def feed(self, table: str, rows: Ints, columns: Columns) -> None:
        """Hand rows to every check that concerns their table and has its columns there."""
        for place, (run, rule) in enumerate(self._runs):
            check = run.check
            if rule is None or run.status == "failed":
                continue
            if table not in (check.table, check.spec.get("in")):
                continue
            needed = [*check.fields, *(check.spec.get(name) for name in ("from", "to"))]
            if table == check.spec.get("in"):
                needed = list(check.fields[:1])
            missing = [name for name in needed if name and name not in columns]
            if missing:
                run.status, run.why = "skipped", f"{', '.join(missing)} is not in the file"
                continue
            self._fed.add((place, table))
            used = [name for name in needed if name] or list(columns)
            try:
                rule.feed(table, rows, {name: text_of(columns[name]) for name in used})
            except Exception as error:  # noqa: BLE001  # any crash is a check that failed
                run.status, run.why = "failed", type(error).__name__

    def finish(self, absent: Collection[str] = ()) -> list[CheckRun]:
        """Return every check with its status and what it found.

        Args:
            absent: Fields of which a format without a header, XML, held no element at all. A check that
                could find nothing without them was not run; one that asks for them was.
        """
        for place, (run, rule) in enumerate(self._runs):
            if run.status != "run" or rule is None:
                continue
            never = [name for name in _carrying(run.check) if name in absent]
            if never:
                run.status, run.why = "skipped", f"{', '.join(never)} is not in the file"
                continue
            wanted = [run.check.table, run.check.spec.get("in", "")]
            absent = [name for name in wanted if name and (place, name) not in self._fed]
            if absent:
                run.status, run.why = "skipped", f"no row of {', '.join(absent)} came"
                continue
            try:
                run.rows = rule.finish()
            except Exception as error:  # noqa: BLE001  # any crash is a check that failed
                run.status, run.why = "failed", type(error).__name__
        return [run for run, _ in self._runs]
