"""One normaliser with a version: the same person gives the same words, whoever sent the row.

Placeholders ("Unknown", "Baby", 1900-01-01) become "not known" before anything is encoded, because
afterwards nobody can see them (linkage.md 5.3). Identifiers that fail their check are kept as sent in
the vault and are not usable for linkage; nobody is dropped for them.
"""

from __future__ import annotations

import csv
import itertools
import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import date
from functools import lru_cache
from importlib.resources import files

import numpy as np

from engine.domain.records import Normalised

VERSION = "n3"

_PLACEHOLDER_NAMES = frozenset(
    {
        *(
            "UNKNOWN",
            "NOT KNOWN",
            "NK",
            "N A",
            "NA",
            "TBC",
            "TBA",
            "NONE",
            "NULL",
            "X",
            "XX",
            "XXX",
        ),
        *("TEST", "NOT GIVEN", "NOT STATED", "NOT PROVIDED", "NOT RECORDED", "NOT DISCLOSED"),
        *("REDACTED", "ANON", "ANONYMOUS", "WITHHELD", "UNNAMED", "NO NAME", "REFUSED"),
        *("UNBORN", "NEWBORN", "NEW BORN", "INFANT", "BABY", "MALE", "FEMALE", "TWIN", "TRIPLET"),
    }
)
_NOBODYS_WORDS = frozenset(
    {
        *("BABY", "INFANT", "NEWBORN", "UNBORN", "TWIN", "TRIPLET", "CHILD", "BOY", "GIRL"),
        *("DAUGHTER", "MALE", "FEMALE", "UNKNOWN", "UNNAMED", "SIBLING"),
    }
)
"""Words that stand where a given name would: a name made of them alone names nobody (LNK-3)."""
_COUNTING = frozenset(
    {"ONE", "TWO", "THREE", "FOUR", "A", "B", "C", "I", "II", "III", "OF", "NO", "NEW"}
)
_PLACEHOLDER_DATES = frozenset({"1970-01-01"})
_OLDEST = 120
"""Years that somebody may be old: 1900-01-01, 1899-12-30 and their like are no birth dates (LNK-7)."""
_SEPARATORS = re.compile(r"[\s\-–—/.,]+")
_OTHER = re.compile(r"[^A-Z0-9 ]+")
_POSTCODE = re.compile(r"([A-Z]{1,2}[0-9][A-Z0-9]?)([0-9][A-Z]{2})")
_LOOSE_POSTCODE = re.compile(r"\b([A-Z]{1,2}[0-9][A-Z0-9]?)\s*([0-9][A-Z]{2})\b")
_HOUSE = re.compile(r"^([0-9]+[A-Z]?)\b")
_UNIT = re.compile(
    r"^(?:FLAT|STUDIO|APARTMENT|APT|UNIT|ROOM|BEDSIT)(?: ?([0-9]+[A-Z]?)| ([A-Z]))\b"
)
_FLOOR = re.compile(
    r"^(GROUND|[0-9]+(?:ST|ND|RD|TH)|FIRST|SECOND|THIRD|TOP|BASEMENT) FLOOR\b(?: FLAT)?"
)
_UPN_LETTERS = "ABCDEFGHJKLMNPQRTUVWXYZ"
_UPN = re.compile(r"[A-Z][0-9]{12}")
_NHS_WEIGHTS = np.arange(10, 1, -1)
_SPACE = re.compile(r"\s")
_APOSTROPHES = re.compile(r"['’‘`´]")
_VOWELS = re.compile(r"[AEIOUY]")
_DOUBLED = re.compile(r"(.)\1+")


# Letters that Unicode does not take apart, as people write them without a Polish or Danish keyboard.
_WHOLE = str.maketrans(
    {"Æ": "AE", "æ": "ae", "Œ": "OE", "œ": "oe", "Ø": "O", "ø": "o", "Ł": "L", "ł": "l", "Đ": "D",
     "đ": "d", "Ð": "D", "ð": "d", "Þ": "TH", "þ": "th", "ı": "i", "Ħ": "H", "ħ": "h", "Ŧ": "T", "ŧ": "t"}
)  # fmt: skip


def fold(text: str) -> str:
    """Return upper-case ASCII-like letters and digits: accents gone, apostrophes closed up."""
    if text.isascii():
        # Most names and addresses: no letter of theirs has an accent or another case than two.
        kept = _SEPARATORS.sub(" ", text.upper().replace("'", "").replace("`", ""))
        return _OTHER.sub("", kept).strip()
    plain = unicodedata.normalize("NFKD", text.translate(_WHOLE))
    kept = "".join(char for char in plain if not unicodedata.combining(char))
    kept = _APOSTROPHES.sub("", kept.casefold().upper())
    kept = _SEPARATORS.sub(" ", kept)
    return "".join(char for char in kept if char.isalnum() or char == " ").strip()


@lru_cache(maxsize=200_000)
def name_parts(text: str | None) -> tuple[str, ...]:
    """Return the parts of a name, or nothing for a missing name or a placeholder."""
    folded = fold(text or "")
    parts = tuple(part for part in folded.split(" ") if part and not part.isdigit())
    # "Unknown 1" is as little a name as "Unknown".
    return () if " ".join(parts) in _PLACEHOLDER_NAMES else parts


@lru_cache(maxsize=200_000)
def given_parts(text: str | None) -> tuple[str, ...]:
    """Return the parts of a given name; "Baby boy", "Twin two" and "Infant 1" are none (LNK-3).

    As a surname Child and Boy are names.
    """
    parts = name_parts(text)
    counted = all(part in _NOBODYS_WORDS or part in _COUNTING for part in parts)
    return () if counted and any(part in _NOBODYS_WORDS for part in parts) else parts


@lru_cache(maxsize=1)
def nicknames() -> dict[str, str]:
    """Return the shipped table: short form to the form it stands for."""
    text = files("engine.identity").joinpath("nicknames.csv").read_text(encoding="utf-8")
    rows = csv.reader(line for line in text.splitlines() if not line.startswith("#"))
    return {row[0]: row[1] for row in rows}


@lru_cache(maxsize=1)
def given_names() -> frozenset[str]:
    """Return the shipped list of given names; what is not in it may be a misspelling of one that is."""
    text = files("engine.identity").joinpath("given_names.csv").read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if not line.startswith("#"))


@lru_cache(maxsize=200_000)
def skeleton(part: str | None) -> str | None:
    """Return a consonant skeleton: spelling variants of one sound fall together."""
    if not part:
        return None
    text = _DOUBLED.sub(r"\1", part)
    for old, new in (
        *(
            ("PH", "F"),
            ("GH", "G"),
            ("CK", "K"),
            ("SCH", "S"),
            ("SH", "S"),
            ("TH", "T"),
        ),
        *(("WR", "R"), ("KN", "N"), ("QU", "K"), ("X", "KS"), ("Q", "K"), ("C", "K")),
        *(
            ("Z", "S"),
            ("V", "F"),
            ("W", "F"),
            ("J", "Y"),
            ("D", "T"),
            ("B", "P"),
            ("H", ""),
        ),
    ):
        text = text.replace(old, new)
    text = text[:1] + _VOWELS.sub("", text[1:])
    return text or None


def _nhs_numbers(
    cells: Sequence[str | None], *, accept_test_range: bool
) -> tuple[list[str | None], list[bool]]:
    """Return the numbers that hold, and where ten digits are no NHS number at all.

    Ten equal digits are a placeholder and no mistake.
    """
    digits = [
        # Most are ten digits as they stand; the sum is taken over all of them at once.
        cell if len(cell) == 10 and cell.isdigit() else _closed(cell)
        for cell in (cell or "" for cell in cells)
    ]
    shaped = np.fromiter(map(_ten_digits, digits), bool, len(digits))
    holds = np.zeros(len(digits), dtype=bool)
    joined = "".join(itertools.compress(digits, shaped)).encode()
    figures = np.frombuffer(joined, np.uint8).reshape(-1, 10).astype(np.int64) - ord("0")
    # The weights end after nine digits, and the tenth is what they have to come to.
    holds[shaped] = (11 - figures[:, :9] @ _NHS_WEIGHTS % 11) % 11 == figures[:, 9]
    numbers = [
        one if good and (accept_test_range or not one.startswith("999")) else None
        for one, good in zip(digits, holds.tolist(), strict=True)
    ]
    return numbers, (shaped & ~holds).tolist()


def nhs_number(text: str | None, *, accept_test_range: bool) -> str | None:
    """Return ten digits when the check digit holds (mod 11), else None.

    Args:
        accept_test_range: Numbers that start 999 are never issued; only a demo home takes them.
    """
    return _nhs_numbers([text], accept_test_range=accept_test_range)[0][0]


def _closed(text: str) -> str:
    return "".join(text.split()).replace("-", "")


def _ten_digits(digits: str) -> bool:
    shaped = len(digits) == 10 and digits.isascii() and digits.isdigit()
    return shaped and digits != digits[0] * 10


def upn(text: str | None) -> str | None:
    """Return a permanent unique pupil number whose check letter holds, else None."""
    value = (text or "").strip().upper()
    if not _UPN.fullmatch(value):
        return None
    total = sum(int(digit) * weight for weight, digit in enumerate(value[1:], start=2))
    return value if _UPN_LETTERS[total % 23] == value[0] else None


def postcode(text: str | None) -> str | None:
    """Return a postcode without its space, or None when the shape is wrong or it is a ZZ code."""
    value = _SPACE.sub("", (text or "").upper())
    if value.startswith("ZZ") or not _POSTCODE.fullmatch(value):
        return None
    return value


def birth_date(text: str | None, today: date) -> str | None:
    """Return the date when it can be somebody's: no placeholder, in the past, and 120 years ago at most.

    The day of the delivery is a form's default and no birth date (LNK-7).
    """
    if not text or text in _PLACEHOLDER_DATES:
        return None
    try:
        value = date.fromisoformat(text)
    except ValueError:
        return None
    return text if today.year - _OLDEST <= value.year and value < today else None


def birth_year(text: str | None, today: date) -> str | None:
    """Return the year of a birth date that names a day, a month or only the year."""
    year = (text or "")[:4]
    if text in _PLACEHOLDER_DATES or not (len(year) == 4 and year.isascii() and year.isdigit()):
        return None
    if len(text or "") == 10:
        whole = birth_date(text, today)
        return whole[:4] if whole else None
    return year if today.year - _OLDEST <= int(year) <= today.year else None


def uprn(text: str | None) -> str | None:
    """Return a property reference: up to twelve digits, without leading zeros."""
    digits = (text or "").strip().lstrip("0")
    return digits if digits.isascii() and digits.isdigit() and len(digits) <= 12 else None


@lru_cache(maxsize=200_000)
def address(text: str | None) -> tuple[str | None, str | None, str | None]:
    """Return (house, street, postcode) from free address text; each None when not found."""
    if not text:
        return None, None, None
    upper = text.upper().replace("\r", "\n")
    found = _LOOSE_POSTCODE.search(upper.replace("\n", " "))
    lines = [fold(line) for line in re.split(r"[\n,]", upper) if line.strip()]
    if not lines or lines[0] in _PLACEHOLDER_NAMES:
        return None, None, None
    code = found.group(1) + found.group(2) if found else None
    unit, number, street = "", "", None
    for line in lines:
        inside = _UNIT.match(line) or _FLOOR.match(line)
        if inside and not unit:
            unit = next(filter(None, inside.groups()))
            line = line[inside.end() :].strip()  # noqa: PLW2901  # what is left of it
        house = _HOUSE.match(line) if not number else None
        if house:
            number, street = house.group(1), line[house.end() :].strip() or None
        elif street is None and line:
            street = line
    # Flat 2 of number 3 and flat 2 of number 5 are two homes, and so are flat and house.
    whole = f"{number}/{unit}" if unit else number or None
    return whole, street, code


def normalise(
    identities: dict[str, Sequence[str | None]],
    count: int,
    today: date,
    *,
    accept_test_range: bool,
    local_scheme: str,
) -> Normalised:
    """Normalise a column of identities.

    Args:
        identities: Identity part to one clear value per record.
        count: Number of records.
        today: Date of the delivery; later birth dates are not believed.
        accept_test_range: See `nhs_number`.
        local_scheme: Name of the scheme that the local ids belong to, or "" when the source has no
            ids of its own; agency and local id together are an identifier.
    """
    nothing: list[str | None] = [None] * count

    def column(part: str) -> Sequence[str | None]:
        return identities.get(part) or nothing

    def each(part: str, derive: Callable[[str], str | None]) -> list[str | None]:
        cells = identities.get(part)
        if not cells:
            return nothing
        # A value that many share, as a date or a postcode, is worked out once.
        known = {cell: derive(cell) if cell else None for cell in set(cells)}
        return [known[cell] for cell in cells]

    given = [given_parts(value) for value in column("given_name")]
    surname = [name_parts(value) for value in column("surname")]
    preferred = each("preferred_name", lambda value: (given_parts(value) or (None,))[0])
    short, known = nicknames(), given_names()
    places = [address(value) for value in column("address")]
    codes = each("postcode", postcode)
    numbers, failed = _nhs_numbers(column("nhs_number"), accept_test_range=accept_test_range)
    return Normalised(
        version=VERSION,
        given=given,
        surname=surname,
        preferred=preferred,
        nickname=[short.get(parts[0], parts[0]) if parts else None for parts in given],
        given_is_known=[bool(parts) and parts[0] in known for parts in given],
        given_is_short=[bool(parts) and parts[0] in short for parts in given],
        skeleton=[skeleton(parts[0]) if parts else None for parts in given],
        surname_skeleton=[skeleton(parts[-1]) if parts else None for parts in surname],
        birth_date=each("birth_date", lambda value: birth_date(value, today)),
        birth_year=each("birth_date", lambda value: birth_year(value, today)),
        uprn=each("uprn", uprn),
        sex=[value if value in ("m", "f") else None for value in column("sex")],
        postcode=[code or place[2] for code, place in zip(codes, places, strict=True)],
        house=[place[0] for place in places],
        street=[place[1] for place in places],
        nhs_number=numbers,
        nhs_failed=failed,
        upn=each("upn", upn),
        former_surname=each("former_surname", lambda value: " ".join(name_parts(value)) or None),
        former_nhs_number=each(
            "former_nhs_number",
            lambda value: nhs_number(value, accept_test_range=accept_test_range),
        ),
        former_upn=each("former_upn", upn),
        local_id=[
            # As sent: folding would make one id of two, and an equal id is certain evidence.
            f"{local_scheme}|{value.strip()}" if value and local_scheme else None
            for value in column("local_id")
        ],
    )
