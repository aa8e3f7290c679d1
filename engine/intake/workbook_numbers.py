"""Numbers of a workbook as text: 12.0 is "12", and a number that is shown as a date is its day.

A date is a count of days and how it is shown (ECMA-376 part 1, 18.8.30 and 18.17.4). The count of 1900
holds a 29 February that never was: the days before it count from one day later.
"""

from __future__ import annotations

import math
import re
from datetime import datetime, time, timedelta
from typing import Final

NUMBER: Final = 0
DATE: Final = 1
ELAPSED: Final = 2
_DAYS = frozenset([*range(14, 23), *range(27, 37), 45, 47, *range(50, 59)])
_HOURS = frozenset([46])
_QUOTED = re.compile(r'"[^"]*"|\\.|_.|\*.')
_BRACKET = re.compile(r"\[([^\]]*)\]")
_ELAPSED = re.compile(r"h+|m+|s+", re.IGNORECASE)
_PARTS = re.compile("[dmyhs]", re.IGNORECASE)
_FIRST_1900 = datetime.fromisoformat("1899-12-30")
_FIRST_1904 = datetime.fromisoformat("1904-01-01")
_FALSE_LEAP_DAY = 60
_LARGEST = 2_958_466
"""The day after 31 December 9999."""


def kind_of_format(number: int, code: str | None) -> int:
    """Return `NUMBER`, `DATE` or `ELAPSED` of a format.

    Args:
        number: Its number; those below 164 are the format's own.
        code: How it shows a number, where the file says.
    """
    if code is None:
        return DATE if number in _DAYS else ELAPSED if number in _HOURS else NUMBER
    shown = _QUOTED.sub("", code).split(";", 1)[0]
    if any(_ELAPSED.fullmatch(one) for one in _BRACKET.findall(shown)):
        return ELAPSED
    shown = _BRACKET.sub("", shown)
    return NUMBER if shown.casefold() == "general" or not _PARTS.search(shown) else DATE


def text_of_number(text: str) -> str:
    """Return a number as people write it; what is no number stays as it is."""
    if len(text) < 16 and text.isascii() and text.isdigit():
        return text.lstrip("0") or "0"
    try:
        value = float(text)
    except ValueError:
        return text
    return plain_number(value) if math.isfinite(value) else text


def plain_number(value: float) -> str:
    """Return a number as people write it: 12.0 is "12"."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def text_of_serial(text: str, *, from_1904: bool, elapsed: bool) -> str:
    """Return a count of days as an ISO date, a date and time, a time of day, or a length of time.

    Args:
        text: The count.
        from_1904: Whether the workbook counts from 1904.
        elapsed: Whether it is shown as a length of time.
    """
    try:
        value = float(text)
    except ValueError:
        return text
    if not 0 <= value < _LARGEST:
        return text_of_number(text)
    length = timedelta(milliseconds=round(value * 86_400_000))
    if elapsed:
        return str(length)
    if value < 1:
        return (_FIRST_1904 + length).time().isoformat()
    first = _FIRST_1904 if from_1904 else _FIRST_1900
    if not from_1904 and value < _FALSE_LEAP_DAY:
        first += timedelta(days=1)
    try:
        return shown(first + length)
    except OverflowError:
        return text_of_number(text)


def text_of_day(text: str) -> str:
    """Return a date that stands as ISO in the file, without a time when it has none."""
    try:
        return shown(datetime.fromisoformat(text.strip().removesuffix("Z")))
    except ValueError:
        return text


def shown(day: datetime) -> str:
    """Return a moment as ISO, without a time when it has none."""
    return day.date().isoformat() if day.time() == time() else day.isoformat(" ")
