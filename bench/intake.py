"""A delivery read, checked and minimised, against the pandas script somebody would write for it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd

import engine.intake.check
import gateways.load
import policies.load
from bench.measure import PEER, Claim
from bench.people import TODAY, People
from engine.domain.records import Prepared
from engine.intake.contract import Contract, FieldContract, contract_of
from engine.intake.prepare import prepare
from engine.intake.read import open_delivery
from engine.intake.terms import Intake, intake_for
from policies.model import Pack
from scoring.tables import load_tables, shipped

ROWS, SOURCE = 100_000, "council.persons"
FAULTY = 0.01
Checked = tuple[pd.Series, dict[str, pd.Series]]


@dataclass(frozen=True)
class Found:
    """What both ways must say of a delivery."""

    findings: dict[tuple[str, str], int]
    rows_kept: int
    records: int
    states: int


def claims() -> Iterator[Claim]:
    """Yield the claims of this group."""
    pack = policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())
    contract = contract_of(pack.sources[SOURCE])
    data = _delivery(contract)
    admitted = _intake(pack, contract, tuple(contract.fields)).admission.admitted
    yield Claim(
        f"open_delivery + prepare, {ROWS:,} rows of persons",
        "pandas read_csv(str), same checks",
        PEER,
        lambda: _with_pandas(data, contract, admitted),
        lambda: _prepare(data, pack, contract),
        lambda theirs, ours: theirs == _found(ours) and len(theirs.findings) > 8,
        _forget,
    )


def _forget() -> None:
    """Empty the caches of the checks: a delivery pays for its own dates."""
    for value in vars(engine.intake.check).values():
        clear = getattr(value, "cache_clear", None)
        if clear is not None:
            clear()


def _delivery(contract: Contract) -> bytes:
    """A file with a faulty cell in one of a hundred places where a fault is possible."""
    made = People(7)
    values: dict[str, tuple[Callable[[], str], tuple[str, ...]]] = {
        "nhs_number": (made.nhs_number, ("999000", "9990000000", "")),
        "given_name": (made.given, ("Unknown", "Fak?bo", "TBC")),
        "surname": (made.surname, ("N/A", "Mock*da")),
        "preferred_name": (made.given, ("-", "")),
        "birth_date": (made.birth_date, ("31/02/2015", "1900-01-01", "2031-05-01", "2015-02-30")),
        "sex": (lambda: made.chance.choice(("M", "F", "Male", "1")), ("Q", "")),
        "address": (made.address, ("Unknown",)),
        "postcode": (made.postcode, ("QX", "12345")),
        "household": (lambda: f"H{made.chance.randrange(ROWS // 3)}", ("",)),
        "household_from": (made.day, ("yesterday", "")),
        "household_to": (str, ("later",)),
        "home": (str, (" ",)),
        "home_from": (str, ("2026-13-01",)),
        "protected": (lambda: made.chance.choice("NNNY"), ("maybe",)),
        "recorded_on": (made.day, ("", "soon")),
    }
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow([contract.fields[name].columns[0] for name in ("person_id", *values)])
    for number in range(ROWS):
        cells = [
            made.chance.choice(bad) if made.chance.random() < FAULTY else good()
            for good, bad in values.values()
        ]
        writer.writerow([f"P{number % (ROWS * 9 // 10):07d}", *cells])
    return stream.getvalue().encode()


def _intake(pack: Pack, contract: Contract, fields: tuple[str, ...]) -> Intake:
    return intake_for(pack, contract, fields, load_tables(shipped()), TODAY)


def _prepare(data: bytes, pack: Pack, contract: Contract) -> Prepared:
    opened = open_delivery(io.BytesIO(data), contract)
    return prepare(opened, _intake(pack, contract, opened.present))


def _found(prepared: Prepared) -> Found:
    findings = {(group.code, group.column): group.count for group in prepared.findings}
    return Found(findings, prepared.rows_kept, len(prepared.local_keys), len(prepared.states))


def _with_pandas(data: bytes, contract: Contract, admitted: tuple[str, ...]) -> Found:
    frame = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)
    findings: Counter[tuple[str, str]] = Counter()
    bad = pd.Series(data=False, index=frame.index)
    columns: dict[str, pd.Series] = {}
    for spec in contract.fields.values():
        name = spec.columns[0]
        columns[spec.name], masks = _checked(frame[name].str.strip(), spec)
        for code, mask in masks.items():
            if mask.any():
                findings[code, name] += int(mask.sum())
            if spec.required and code not in ("FG-ROW-04", "FG-ROW-14"):
                bad |= mask
    kept = pd.DataFrame({name: columns[name] for name in admitted})[~bad]
    # The last known value about a person wins; a stay needs its place and its first day.
    people = kept.groupby(contract.key, sort=False).last()
    states = sum(
        len(kept.dropna(subset=[place, since]))
        for place, since in (("household", "household_from"), ("home", "home_from"))
    )
    return Found(dict(findings), len(kept), len(people), states)


def _checked(text: pd.Series, spec: FieldContract) -> Checked:
    """Check one column; empty cells are not known, and placeholders come before the type's check."""
    filled = text.ne("")
    value, masks = _BY_TYPE.get(spec.type, _text)(text.where(filled), spec)
    masks = {code: mask & filled for code, mask in masks.items()}
    if spec.placeholders:
        stand_in = text.str.casefold().isin(spec.placeholders) & filled
        value = value.mask(stand_in)
        masks = {code: mask & ~stand_in for code, mask in masks.items()}
        masks["FG-ROW-11"] = masks.get("FG-ROW-11", False) | stand_in
    if spec.required:
        masks["FG-ROW-01"] = ~filled
    return value, masks


def _text(text: pd.Series, _: FieldContract) -> Checked:
    return text, {}


def _name(text: pd.Series, _: FieldContract) -> Checked:
    good = text.str.fullmatch(r"[A-Za-zÀ-ÖØ-öø-ÿ '’`.,/()-]*|.*[0-9]")
    return text, {"FG-ROW-14": ~good.astype(bool)}


def _date(text: pd.Series, spec: FieldContract) -> Checked:
    day = pd.to_datetime(text, format=spec.formats[0], errors="coerce")
    unread = text.notna() & day.isna()
    stand_in = day.isin(pd.to_datetime(["1900-01-01", "1901-01-01", "1800-01-01"]))
    masks = {"FG-ROW-02": unread, "FG-ROW-11": stand_in}
    if spec.part == "birth_date":
        masks["FG-ROW-15"] = day > pd.Timestamp(TODAY)
        stand_in = stand_in | masks["FG-ROW-15"]
    return day.mask(stand_in), masks


def _code(text: pd.Series, spec: FieldContract) -> Checked:
    value = text.str.casefold().map(spec.codes)
    return value, {"FG-ROW-06": text.notna() & value.isna()}


def _postcode(text: pd.Series, _: FieldContract) -> Checked:
    upper = text.str.upper()
    good = upper.str.fullmatch(r"[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][A-Z]{2}").eq(other=True)
    return upper.where(good), {"FG-ROW-08": text.notna() & ~good}


def _nhs_number(text: pd.Series, _: FieldContract) -> Checked:
    digits = text.str.replace("[ -]", "", regex=True)
    shaped = digits.str.fullmatch("[0-9]{10}").eq(other=True)
    number = digits[shaped].astype("int64")
    cells = [number // 10 ** (9 - place) % 10 for place in range(10)]
    total = sum(cell * (10 - place) for place, cell in enumerate(cells[:9]))
    one_digit = number % 1_111_111_111 == 0
    good = ((11 - total % 11) % 11 == cells[9]) & ~one_digit
    failed = (~good).reindex(text.index, fill_value=False)
    return digits.where(shaped), {"FG-ROW-03": text.notna() & ~shaped, "FG-ROW-04": failed}


_BY_TYPE: dict[str, Callable[[pd.Series, FieldContract], Checked]] = {
    "name": _name,
    "date": _date,
    "code": _code,
    "postcode": _postcode,
    "nhs_number": _nhs_number,
}
