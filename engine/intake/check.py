"""Check and convert a column of strings. A finding names a row, a column and a code, never a value."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache

from engine.domain.records import FindingGroup, RowFinding
from engine.intake.contract import FieldContract

Value = str | None


@dataclass(frozen=True, slots=True)
class Cause:
    """A kind of finding: what it means and what the sender does next."""

    sentence: str
    next_step: str


CAUSES: dict[str, Cause] = {
    "FG-ROW-01": Cause("a required value is missing", "Fill the column in the source system."),
    "FG-ROW-02": Cause("a date cannot be read", "Use the date layout of the contract."),
    "FG-ROW-03": Cause("an NHS number is not ten digits", "Correct or empty the cell."),
    "FG-ROW-04": Cause(
        "an NHS number fails its check digit; it is kept but not used to link",
        "Trace the number again.",
    ),
    "FG-ROW-05": Cause(
        "a pupil number fails its check letter or is temporary; it is kept but not used to link",
        "Check the number with the school.",
    ),
    "FG-ROW-06": Cause("a code is not in the contract's list", "Map the code or correct it."),
    "FG-ROW-07": Cause(
        "true or false stands where the layout lists 1 or 0; it was read as such",
        "Tell the system's supplier.",
    ),
    "FG-ROW-08": Cause("a postcode has no postcode's shape", "Correct or empty the cell."),
    "FG-ROW-09": Cause("an e-mail address has no address's shape", "Correct or empty the cell."),
    "FG-ROW-10": Cause("a telephone number has no number's shape", "Correct or empty the cell."),
    "FG-ROW-11": Cause(
        "a placeholder stands in place of a value; it was read as not known",
        "Leave it empty.",
    ),
    "FG-ROW-12": Cause("a whole number cannot be read", "Use digits only."),
    "FG-ROW-13": Cause("the row has another number of cells than the header", "Quote the cells."),
    "FG-ROW-14": Cause("a name holds characters that names do not have", "Check the encoding."),
    "FG-ROW-15": Cause("a date lies in the future", "Correct the date."),
}

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PHONE = re.compile(r"\+?[0-9() -]{7,20}")
_POSTCODE = re.compile(r"[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][A-Z]{2}")
_UPN_LETTERS = "ABCDEFGHJKLMNPQRTUVWXYZ"
_DATE_PLACEHOLDERS = frozenset({date(1900, 1, 1), date(1901, 1, 1), date(1800, 1, 1)})
_BOOLEANS = {"0": "no", "1": "yes", "false": "no", "true": "yes"}

Checker = Callable[[str, FieldContract, date], tuple[Value, str | None]]


def check_column(
    values: Sequence[str], rows: Sequence[int], spec: FieldContract, today: date
) -> tuple[list[Value], list[RowFinding]]:
    """Convert a column and collect everything that is wrong with it.

    Args:
        values: Cells as read.
        rows: Row number of each cell.
        spec: The field's contract.
        today: Date of the delivery.

    Returns:
        The values (None is "not known") and the findings. Findings of severity ``error`` close
        their row; warnings never do.
    """
    checker = _CHECKERS[spec.type]
    column = spec.columns[0] if spec.columns else spec.name
    converted: list[Value] = []
    findings: list[RowFinding] = []
    for cell, row in zip(values, rows, strict=True):
        text = cell.strip()
        value, code = (None, None) if not text else checker(text, spec, today)
        if text and text.casefold() in spec.placeholders:
            value, code = None, "FG-ROW-11"
        if value is None and spec.required and code is None:
            code = "FG-ROW-01"
        if code is not None:
            findings.append(RowFinding(row, column, code, _severity(code, spec)))
        converted.append(value)
    return converted, findings


# A failed check digit weakens an identifier and never costs a child their row (peers.md 0, 5).
_ALWAYS_WARNING = frozenset({"FG-ROW-04", "FG-ROW-05", "FG-ROW-07", "FG-ROW-11", "FG-ROW-14"})


def _severity(code: str, spec: FieldContract) -> str:
    if code in _ALWAYS_WARNING and not (code == "FG-ROW-11" and spec.required):
        return "warning"
    if spec.required:
        return "error"
    return spec.severity


def _text(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    return text, None


def _name(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    odd = any(not (char.isalpha() or char in " '’`-.,/()") for char in text)
    return text, "FG-ROW-14" if odd and not text[-1:].isdigit() else None


@lru_cache(maxsize=100_000)
def _parse_date(text: str, formats: tuple[str, ...]) -> date | None:
    for layout in formats:
        try:
            return datetime.strptime(text, layout).date()  # noqa: DTZ007  # a day has no zone
        except ValueError:
            continue
    return None


def _date(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    value = _parse_date(text, spec.formats)
    if value is None:
        return None, "FG-ROW-02"
    if value in _DATE_PLACEHOLDERS:
        return None, "FG-ROW-11"
    if value > today and spec.part == "birth_date":
        return None, "FG-ROW-15"
    return value.isoformat(), None


def _code(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    value = spec.codes.get(text.casefold())
    return value, None if value is not None else "FG-ROW-06"


def _boolean(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    value = _BOOLEANS.get(text.casefold())
    if value is None:
        return None, "FG-ROW-06"
    return value, None if text in ("0", "1") else "FG-ROW-07"


def _integer(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    return (text, None) if text.isascii() and text.isdigit() else (None, "FG-ROW-12")


def _postcode(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    good = _POSTCODE.fullmatch(text.upper())
    return (text.upper(), None) if good else (None, "FG-ROW-08")


def _nhs_number(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    digits = text.replace(" ", "").replace("-", "")
    if not re.fullmatch(r"[0-9]{10}", digits):
        return None, "FG-ROW-03"
    total = sum(
        int(digit) * weight for digit, weight in zip(digits, range(10, 1, -1), strict=False)
    )
    good = (11 - total % 11) % 11 == int(digits[9]) and len(set(digits)) > 1
    return digits, None if good else "FG-ROW-04"


def _upn(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    value = text.upper()
    if not re.fullmatch(r"[A-Z][0-9]{12}", value):
        return value, "FG-ROW-05"
    total = sum(int(digit) * weight for weight, digit in enumerate(value[1:], start=2))
    return value, None if _UPN_LETTERS[total % 23] == value[0] else "FG-ROW-05"


def _email(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    return (text, None) if _EMAIL.fullmatch(text) else (None, "FG-ROW-09")


def _phone(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    return (text, None) if _PHONE.fullmatch(text) else (None, "FG-ROW-10")


_CHECKERS: dict[str, Checker] = {
    "text": _text,
    "name": _name,
    "address": _text,
    "date": _date,
    "code": _code,
    "boolean": _boolean,
    "integer": _integer,
    "postcode": _postcode,
    "nhs_number": _nhs_number,
    "upn": _upn,
    "email": _email,
    "phone": _phone,
    "derived": _text,
}

_ROWS_KEPT = 1000


class Findings:
    """All findings of a delivery, grouped by cause as they come."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str, str], tuple[int, list[int]]] = {}

    def add(self, findings: Sequence[RowFinding]) -> None:
        """Take in more findings."""
        for finding in findings:
            key = (finding.severity, finding.code, finding.column)
            count, rows = self._groups.setdefault(key, (0, []))
            if len(rows) < _ROWS_KEPT:
                rows.append(finding.row)
            self._groups[key] = (count + 1, rows)

    def groups(self) -> list[FindingGroup]:
        """Return the groups: errors first, then by count."""
        ordered = sorted(self._groups.items(), key=lambda item: (item[0][0], -item[1][0], item[0]))
        return [
            FindingGroup(
                code, column, severity, CAUSES[code].sentence, CAUSES[code].next_step, count,
                tuple(rows),
            )
            for (severity, code, column), (count, rows) in ordered
        ]  # fmt: skip
