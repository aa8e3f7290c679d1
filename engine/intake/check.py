"""Check and convert one cell by the type of its field: the reference that whole columns are held to.

A finding names a line, a column and a code, never a value.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache

from engine.intake.contract import FieldContract, small

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
    "FG-ROW-16": Cause(
        "a cell begins like a formula; it was not taken", "Send the value, not a formula."
    ),
    "FG-ROW-17": Cause(
        "quotes in the row do not close where a cell ends", "Double every quote inside a cell."
    ),
    "FG-ROW-18": Cause(
        "a date names no day; it is kept as the month or year it names", "Send the whole date."
    ),
    "FG-ROW-19": Cause(
        "a national insurance number was never issued or has another shape; it is not used to link",
        "Correct or empty the cell.",
    ),
    "FG-ROW-20": Cause(
        "a property reference is not 1 to 12 digits; it is not used", "Correct or empty the cell."
    ),
    "FG-ROW-21": Cause("a number cannot be read", "Use digits and one point."),
    "FG-ROW-24": Cause(
        "the element stands again with another value; the first was read", "Send it once."
    ),
    "FG-ROW-25": Cause(
        "lines stand above the header; they were not read", "Leave them out of the extract."
    ),
    "FG-ROW-26": Cause(
        "the file has a layout that is no longer sent", "Send the layout of this year or term."
    ),
    "FG-ROW-23": Cause(
        "the row stands again further on under the same key; the later row counts",
        "Send each row once.",
    ),
    "FG-ROW-22": Cause("a time of day cannot be read", "Use hours from 00 to 23, then minutes."),
}

FORMULA = re.compile(
    r"[=@]|[+\-](?=[A-Za-z(=@])|#(?:REF!|N/A|VALUE!|DIV/0!|NAME\?|NUM!|NULL!)$", re.IGNORECASE
)
"""What begins like a formula, or is the mark that one leaves when it fails."""
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
PHONE = re.compile(r"\+?[0-9() -]{7,20}")
POSTCODE = re.compile(r"[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][A-Z]{2}")
# Prefixes that HM Revenue and Customs never issued (B28).
NINO = re.compile(r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][0-9]{6}[A-D]")
NAME_MARKS = " '’`-.,/()"
UPN_LETTERS = "ABCDEFGHJKLMNPQRTUVWXYZ"
_DATE_PLACEHOLDERS = frozenset({date(1900, 1, 1), date(1901, 1, 1), date(1800, 1, 1)})
_BOOLEANS = {"0": "no", "1": "yes", "false": "no", "true": "yes"}
_LETTER = re.compile(r"[a-z]{1,2}\)\s*")
_PRECISIONS = {"day": 10, "month": 7, "year": 4}

Checker = Callable[[str, FieldContract, date], tuple[Value, str | None]]

# A failed check digit weakens an identifier and never costs a child their row (peers.md 0, 5).
_ALWAYS_WARNING = frozenset(
    {"FG-ROW-04", "FG-ROW-05", "FG-ROW-07", "FG-ROW-11", "FG-ROW-14", "FG-ROW-18", "FG-ROW-19",
     "FG-ROW-20"}
)  # fmt: skip


def check_cell(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    """Convert one cell.

    Args:
        text: The cell without the white space around it.
        spec: The field's contract.
        today: Date of the delivery.

    Returns:
        The value (None is "not known") and the code of what is wrong, or None.
    """
    if not text:
        return None, "FG-ROW-01" if spec.required else None
    if small(text) in spec.placeholders:
        return None, "FG-ROW-11"
    value, code = CHECKERS[spec.type](text, spec, today)
    if value is None and spec.required and code is None:
        code = "FG-ROW-01"
    return value, code


REPAIRED = frozenset({"nhs_number", "upn", "postcode", "nino", "uprn", "boolean"})
"""Types whose cells may be read as something other than what stands there."""


def repairs(spec: FieldContract) -> bool:
    """Say whether a field's cells may be read as something else, which is then recorded."""
    return spec.type in REPAIRED or spec.lettered


def is_repair(text: str, value: Value, code: str | None, spec: FieldContract) -> bool:
    """Say whether a cell was read as something other than what stands there."""
    if value is None:
        return False
    if spec.type == "boolean":
        return code == "FG-ROW-07"
    if spec.type == "code":
        return spec.lettered and _LETTER.match(text.casefold()) is not None
    return spec.type in REPAIRED and value != text


_CAPITALS = str.maketrans({chr(n): chr(n - 32) for n in range(97, 123)})


def capitals(text: str) -> str:
    """Return a text with the letters a to z as capitals; no other letter stands in an identifier."""
    return text.translate(_CAPITALS)


def severity_of(code: str, spec: FieldContract) -> str:
    """Return ``error``, which closes the row, or ``warning``, which never does."""
    if code in _ALWAYS_WARNING and not (code == "FG-ROW-11" and spec.required):
        return "warning"
    if spec.required:
        return "error"
    return spec.severity


def _text(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    return (None, "FG-ROW-16") if FORMULA.match(text) else (text, None)


def _name(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    if FORMULA.match(text):
        return None, "FG-ROW-16"
    return text, "FG-ROW-14" if odd_name(text) else None


def odd_name(text: str) -> bool:
    """Say whether a name holds characters that names do not have; a number at its end is none."""
    odd = any(
        not (char.isalpha() or char in NAME_MARKS or unicodedata.category(char)[0] == "M")
        for char in text
    )
    return odd and text[-1] not in "0123456789"


# Where year, month and day stand in the two layouts that most files use; others are parsed slowly.
PLAIN_DATES = {
    "%Y-%m-%d": (slice(0, 4), slice(5, 7), slice(8, 10), "-", 4, 7),
    "%d/%m/%Y": (slice(6, 10), slice(3, 5), slice(0, 2), "/", 2, 5),
}


def _plain_date(
    text: str, year: slice, month: slice, day: slice, mark: str, first: int, second: int
) -> date | None:
    parts = text[year], text[month], text[day]
    if text[first] != mark or text[second] != mark or not all(map(str.isdigit, parts)):
        return None
    try:
        return date(*map(int, parts))
    except ValueError:
        return None


@lru_cache(maxsize=100_000)
def _parse_date(text: str, formats: tuple[str, ...]) -> tuple[date, str] | None:
    """Return a day and how much of it was said: ``day``, ``month`` or ``year``."""
    for layout in formats:
        plain = PLAIN_DATES.get(layout)
        if plain is not None and len(text) == 10 and text.isascii():
            day = _plain_date(text, *plain)
            if day is not None:
                return day, "day"
        try:
            day = datetime.strptime(text, layout).date()  # noqa: DTZ007  # a day has no zone
        except ValueError:
            continue
        if "%d" in layout or "%j" in layout:
            return day, "day"
        return day, "month" if "%m" in layout or "%b" in layout or "%B" in layout else "year"
    return None


def _date(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    found = _parse_date(text, spec.formats)
    if found is None:
        return None, "FG-ROW-02"
    value, said = found
    if value in _DATE_PLACEHOLDERS:
        return None, "FG-ROW-11"
    if value > today and spec.part == "birth_date":
        return None, "FG-ROW-15"
    if _PRECISIONS[said] < _PRECISIONS[spec.precision]:
        return None, "FG-ROW-02"
    iso = value.isoformat()[: _PRECISIONS[said]]
    return iso, None if said == "day" else "FG-ROW-18"


def _code(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    value = spec.codes.get(text.casefold())
    if value is None and spec.lettered:
        value = spec.codes.get(_LETTER.sub("", text.casefold(), count=1))
    return value, None if value is not None else "FG-ROW-06"


def _boolean(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    value = _BOOLEANS.get(text.casefold())
    if value is None:
        return None, "FG-ROW-06"
    return value, None if text in ("0", "1") else "FG-ROW-07"


def _integer(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    return (text, None) if text.isascii() and text.isdigit() else (None, "FG-ROW-12")


def _decimal(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    good = re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,9})?", text)
    return (text, None) if good else (None, "FG-ROW-21")


def _time(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    good = re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?", text)
    return (text, None) if good else (None, "FG-ROW-22")


def _postcode(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    good = POSTCODE.fullmatch(capitals(text))
    return (capitals(text), None) if good else (None, "FG-ROW-08")


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
    value = capitals(text)
    if not re.fullmatch(r"[A-Z][0-9]{12}", value):
        return value, "FG-ROW-05"
    total = sum(int(digit) * weight for weight, digit in enumerate(value[1:], start=2))
    return value, None if UPN_LETTERS[total % 23] == value[0] else "FG-ROW-05"


def _nino(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    value = capitals(text).replace(" ", "")
    return value, None if NINO.fullmatch(value) else "FG-ROW-19"


def _uprn(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    good = re.fullmatch(r"[0-9]{1,12}", text)
    return (text.lstrip("0") or None, None) if good else (None, "FG-ROW-20")


def _email(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    return (text, None) if EMAIL.fullmatch(text) else (None, "FG-ROW-09")


def _phone(text: str, spec: FieldContract, today: date) -> tuple[Value, str | None]:
    return (text, None) if PHONE.fullmatch(text) else (None, "FG-ROW-10")


CHECKERS: dict[str, Checker] = {
    "text": _text,
    "name": _name,
    "address": _text,
    "date": _date,
    "code": _code,
    "boolean": _boolean,
    "integer": _integer,
    "decimal": _decimal,
    "time": _time,
    "postcode": _postcode,
    "nhs_number": _nhs_number,
    "upn": _upn,
    "nino": _nino,
    "uprn": _uprn,
    "email": _email,
    "phone": _phone,
    "derived": _text,
}
