"""Reading: two ways that must agree, files of any bytes, and no row that is lost."""

from __future__ import annotations

import csv
import io
import itertools
import random
import re
import string
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import example, given, settings
from hypothesis import strategies as st

import gateways.load
import policies.load
from engine.domain.errors import ContractError, FieldgateError
from engine.domain.ids import whole_years
from engine.intake import spool
from engine.intake.check import CHECKERS, check_cell, is_repair, repairs
from engine.intake.columns import CODES, ColumnCheck
from engine.intake.contract import CheckRule, Contract, Derive, FieldContract, contract_of
from engine.intake.cross import Checks
from engine.intake.derive import derived, example_problems
from engine.intake.lines import Block, blocks
from engine.intake.package import Member, members_of
from engine.intake.parts import Columns, text_of
from engine.intake.prepare import minimised, prepare
from engine.intake.read import open_delivery
from engine.intake.read_csv import _batches, _careful, _Shape
from engine.intake.spool import Spool
from engine.intake.tally import Tally
from engine.intake.terms import Intake, intake_for
from engine.warehouse.live import NO_DAY, Live, Sent, live_of
from policies.model import Pack
from scoring.tables import load_tables, shipped

TODAY = date(2026, 11, 25)
PACK: Pack = policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())
TABLES = load_tables(shipped())
PERSONS = contract_of(PACK.sources["council.persons"])

CELLS = st.one_of(
    st.text(
        st.sampled_from(string.ascii_letters + string.digits + " ,;|\t\"'\n\r-é’=日\x1c\x85\u2028"),
        max_size=12,
    ),
    st.sampled_from(
        ["", "", " ", "a", '"', '""', "a\r\nb", "a\nb", "\r\n", "\n", ",", ' "a"', '5" pipe']
    ),
)
LINES = st.lists(
    st.one_of(
        st.lists(CELLS, min_size=1, max_size=6),
        # A full row that only goes on with empty cells, and lines on which nothing stands.
        st.lists(CELLS, min_size=4, max_size=4).map(lambda row: [*row, "", " ", ""]),
        st.sampled_from([[], [""], [" ", ""], [""] * 4, [""] * 9]),
    ),
    max_size=12,
)
WIDTH = 4
Found = tuple[dict[int, tuple[str, ...]], list[int], list[int], int]


def _spec(**changes: Any) -> FieldContract:
    values: dict[str, Any] = {
        "name": "x", "label": "X", "lane": "identity", "part": None, "type": "text", "columns": ("X",),
        "required": False, "formats": ("%Y-%m-%d", "%d/%m/%Y"), "codes": {"a": "alpha", "1": "one"},
        "severity": "warning", "placeholders": frozenset({"unknown", "n/a"}), **changes,
    }  # fmt: skip
    return FieldContract(**values)


def _shape(delimiter: str) -> _Shape:
    layout = PERSONS.layouts[0]
    at = {f"f{place}": [place] for place in range(WIDTH)}
    return _Shape(delimiter, WIDTH, Columns(layout, "rows", at, {}, (), ()))


def _read(batches: Any) -> Found:
    """Return rows by line, ragged and badly quoted lines, and the number of blank rows."""
    rows: dict[int, tuple[str, ...]] = {}
    ragged: list[int] = []
    quoted: list[int] = []
    blank = 0
    for batch in batches:
        columns = [text_of(batch.columns[f"f{place}"]).to_pylist() for place in range(WIDTH)]
        fresh = dict(zip(batch.lines.tolist(), zip(*columns, strict=True), strict=True))
        assert batch.lines.tolist() == sorted(fresh), "rows out of order, or two on one line"
        assert not rows.keys() & fresh.keys()
        rows |= fresh
        ragged += batch.ragged
        quoted += batch.quoted
        blank += batch.blank
    return dict(sorted(rows.items())), sorted(ragged), sorted(quoted), blank


def _oracle(text: str, delimiter: str) -> Found:
    rows: dict[int, tuple[str, ...]] = {}
    ragged: list[int] = []
    blank, line = 0, 1
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            blank += 1
        elif len(cells) < WIDTH or any(cell.strip() for cell in cells[WIDTH:]):
            ragged.append(line)
        else:
            rows[line] = tuple(cells[:WIDTH])
        line = reader.line_num + 1
    # The row that a reader of four columns sees is blank when those four are.
    seen = {line: cells for line, cells in rows.items() if any(cell.strip() for cell in cells)}
    return seen, ragged, [], blank + len(rows) - len(seen)


def _written(rows: Sequence[Sequence[str]], delimiter: str, end: str, quoting: int) -> str:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=end, quoting=quoting)
    for row in rows:
        if row:
            writer.writerow(row)
        else:
            stream.write(end)  # A line on which nothing stands, not even quotes.
    return stream.getvalue()


def _chunks(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@settings(max_examples=150)
@example(
    [["a", "b", "c", "d"], [], ["", "x", "", "", "", ""]], ",", "\n", csv.QUOTE_MINIMAL, 7, True
)
@example([["a\r\nb", "b", "c", "d"], [""]], ";", "\r\n", csv.QUOTE_MINIMAL, 1, False)
@given(
    LINES,
    st.sampled_from(",;|\t"),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.integers(1, 40),
    st.booleans(),
)
def test_the_fast_way_and_the_careful_way_read_what_the_standard_library_reads(
    rows: list[list[str]], delimiter: str, end: str, quoting: int, size: int, last: bool
) -> None:
    text = _written(rows, delimiter, end, quoting)
    if not last:
        text = text.removesuffix(end)
    data = text.encode()
    wanted = _oracle(text, delimiter)
    for chunks in (_chunks(data, size), _chunks(data, 1 + size % 7), [data] if data else []):
        assert _read(_batches(iter(chunks), _shape(delimiter), 1)) == wanted
    assert _read(_careful(iter(_chunks(data, size)), _shape(delimiter), 1)) == wanted


@settings(max_examples=150)
@example('b"\na",b,c,d\n', [], 7, 1)
@example('"a"b\n",b,c,d\n', [["a", "b", "c", "d"]], 3, 2)
@given(
    st.text(st.sampled_from('ab é,,,,""\n\n\r'), max_size=60),
    st.lists(st.lists(CELLS, min_size=4, max_size=4), max_size=3),
    st.integers(1, 7),
    st.integers(1, 5),
)
def test_text_whose_quotes_go_wrong_is_read_alike_by_both_ways(
    text: str, before: list[list[str]], size: int, first: int
) -> None:
    data = (_written(before, ",", "\n", csv.QUOTE_MINIMAL) + text).encode()
    found: list[Any] = []
    for way in (_batches, _careful):
        for chunks in (_chunks(data, size), [data] if data else []):
            try:
                found.append(_read(way(iter(chunks), _shape(","), first)))
            except FieldgateError as error:
                found.append((error.code, str(error)))
    assert found == [found[0]] * 4


@given(st.binary(max_size=200), st.sampled_from(",;|\t"))
def test_a_block_is_called_plain_only_when_the_fast_way_reads_it_right(
    data: bytes, delimiter: str
) -> None:
    found: list[Block] = list(blocks(iter([data] if data else []), delimiter))
    assert b"".join(block.data for block in found) == data
    for block in found:
        if block.plain:
            assert len(block.lines) == len(set(block.lines.tolist()))
            assert block.lines[0] == block.first


TYPED = st.one_of(
    st.sampled_from(
        ["", " ", "Unknown", "N/A", "2012-01-02", "02/01/2012", "31/02/2012", "1900-01-01", "2031-01-01",
         "2024-02-29", "2023-02-29", "1", "0", "true", "False", "maybe", "12", "-1", "1.5", "=1+1", "+x",
         "@a", "-", "TL1 0AA", "tl10aa", "nowhere", "9990000018", "999 000 0018", "9990000019",
         "0000000000", "99900000180", "A801200001001", "H801200001001", "a801200001001", "J£mmy",
         "O'Dell-Marsh", "Zoë", "Ade\u0301", "Twin 1", "a@b.org", "07412345678", "25:61", "23:59:00",
         "BG123456A", "AB123456C", "0012345", "a) a"]
    ),
    st.text(max_size=14),
)  # fmt: skip


@pytest.mark.parametrize("kind", sorted(CHECKERS))
@given(st.lists(TYPED, min_size=1, max_size=30), st.booleans(), st.booleans(), st.booleans())
def test_a_column_at_once_is_its_cells_one_by_one(
    kind: str, cells: list[str], many: bool, required: bool, birth: bool
) -> None:
    spec = _spec(
        type=kind, required=required, lettered=kind == "code",
        part="birth_date" if birth and kind == "date" else None,
    )  # fmt: skip
    if many:  # Mostly distinct cells, so that the vector way is taken.
        day = iter(range(10**6))
        cells = [*cells, *(f"{cells[0]}{next(day)}" for _ in range(80)),
                 *(f"20{n % 30:02}-{n % 14:02}-{n % 33:02}" for n in range(300))]  # fmt: skip
    values, codes, _ = ColumnCheck(spec, TODAY)(pa.array(cells, pa.string()))
    told = [CODES[code] or None for code in codes]
    wanted = [check_cell(cell.strip(), spec, TODAY) for cell in cells]
    assert list(zip(text_of(values).to_pylist(), told, strict=True)) == wanted


def _digits(weights: Sequence[int], body: str) -> int:
    return sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True))


def _nhs(body: str) -> str:
    """Return a number with its own check digit, or with a wrong one where none can be right."""
    return body + str((11 - _digits(range(10, 1, -1), body) % 11) % 11 % 10)


def _upn(body: str) -> str:
    return "ABCDEFGHJKLMNPQRTUVWXYZ"[_digits(range(2, 14), body) % 23] + body


NINE = st.text(string.digits, min_size=9, max_size=9)
TWELVE = st.text(string.digits, min_size=12, max_size=12)
DATES = st.dates(date(1890, 1, 1), date(2040, 12, 31))
LIKELY: dict[str, Any] = {
    "nhs_number": st.one_of(
        NINE.map(_nhs),
        NINE.map(_nhs).map(lambda one: f"{one[:3]} {one[3:6]} {one[6:]}"),
        NINE.map(_nhs).map(lambda one: f"{one[:3]}-{one[3:6]}-{one[6:]}"),
        NINE.map(lambda one: _nhs(one)[:9] + str((int(_nhs(one)[9]) + 1) % 10)),
        st.sampled_from(string.digits).map(lambda one: one * 10),
        st.text("0123456789 -١²", max_size=12),
    ),
    "upn": st.one_of(TWELVE.map(_upn), TWELVE.map(_upn).map(str.lower), TWELVE.map("A".__add__),
                     st.text("ABIabiſ0123456789", max_size=14)),
    "postcode": st.one_of(
        st.from_regex(r"[A-Za-z]{1,2}[0-9][A-Za-z0-9]? ?[0-9][A-Za-z]{2}", fullmatch=True),
        st.text("TLtl10aA ſİK", max_size=8),
        st.sampled_from(["ſW1A 1AA", "TL1 0Aſ"]),
    ),
    "integer": st.one_of(st.integers(-5, 10**25).map(str), st.text("0123456789+-.e٣², ", max_size=6)),
    "name": st.text(st.one_of(st.characters(codec="utf-8", max_codepoint=0x24FF),
                              st.sampled_from(" '’`-.,/()=@+0123456789")), max_size=8),
    "text": st.text(st.sampled_from("=@+-(aZé1 \n\t"), max_size=6),
    "date": st.one_of(DATES.map(date.isoformat), DATES.map(lambda day: day.strftime("%d/%m/%Y")),
                      st.text("0123456789/-", min_size=8, max_size=10)),
}  # fmt: skip
LIKELY["address"] = LIKELY["derived"] = LIKELY["text"]


@pytest.mark.parametrize("kind", sorted(LIKELY))
@settings(max_examples=25)
@given(st.data())
def test_batches_of_likely_cells_are_read_as_their_cells_one_by_one(kind: str, data: Any) -> None:
    """One check over several batches, plain and by distinct values, few and many cells that differ."""
    spec = _spec(
        type=kind, required=data.draw(st.booleans()),
        part="birth_date" if kind == "date" and data.draw(st.booleans()) else None,
    )  # fmt: skip
    check = ColumnCheck(spec, TODAY)
    pool = data.draw(st.lists(LIKELY[kind], min_size=20, max_size=20))
    odd = data.draw(st.lists(TYPED, min_size=5, max_size=5))
    for _ in range(data.draw(st.integers(1, 3))):
        size = data.draw(st.sampled_from([1, 64, 65, 400]))
        chance = random.Random(data.draw(st.integers(0, 999)))
        cells = [chance.choice(pool) for _ in range(size)] + odd
        if data.draw(st.booleans()):  # Make them differ, each with white space that does not count.
            cells += [f" {one} \u2003"[: 40 + n] for n, one in enumerate(pool)]
            cells += [f"{9 * 10**9 + 7919 * n}" for n in range(size)]
            cells += [f"{1 + n % 31:02}/{1 + n % 13:02}/{1895 + n // 7}" for n in range(size)]
        column = pa.array(cells, pa.string())
        values, codes, changed = check(
            column.dictionary_encode() if data.draw(st.booleans()) else column
        )
        trimmed = [cell.strip() for cell in cells]
        wanted = [check_cell(cell, spec, TODAY) for cell in trimmed]
        told = [CODES[code] or None for code in codes]
        assert list(zip(text_of(values).to_pylist(), told, strict=True)) == wanted
        if repairs(spec):
            assert changed is not None
            assert changed.tolist() == [
                is_repair(cell, *answer, spec) for cell, answer in zip(trimmed, wanted, strict=True)
            ]


def _one_of_many(cell: str, fill: Sequence[str], **changes: Any) -> tuple[str | None, str | None]:
    """Return what a column makes of its first cell when many others make it take the vector way."""
    values, codes, _ = ColumnCheck(_spec(**changes), TODAY)(pa.array([cell, *fill], pa.string()))
    return text_of(values)[0].as_py(), CODES[codes[0]] or None


MANY_TEXTS = [f"x{n}" for n in range(100)]
MANY_DATES = [f"{1 + n % 28:02}/{1 + n % 12:02}/{1950 + n // 12}" for n in range(600)]


def test_a_placeholder_that_looks_like_a_day_is_one_in_a_long_column_too() -> None:
    changes: dict[str, Any] = {"type": "date", "placeholders": frozenset({"31/12/2099"})}
    wanted = check_cell("31/12/2099", _spec(**changes), TODAY)
    assert _one_of_many("31/12/2099", MANY_DATES, **changes) == wanted


def test_a_placeholder_is_lowered_alike_by_both_ways() -> None:
    changes: dict[str, Any] = {"type": "text", "placeholders": frozenset({"nil"})}
    wanted = check_cell("N\u0130L", _spec(**changes), TODAY)
    assert _one_of_many("N\u0130L", MANY_TEXTS, **changes) == wanted


@pytest.mark.parametrize("letter", ["\u0cf3", "\U00011f02", "\U00031350"])
def test_a_letter_that_is_new_is_one_in_both_ways(letter: str) -> None:
    wanted = check_cell(f"A{letter}", _spec(type="name"), TODAY)
    assert _one_of_many(f"A{letter}", [f"{name}a" for name in MANY_TEXTS], type="name") == wanted


def _intake(contract: Contract, present: tuple[str, ...]) -> Intake:
    return intake_for(PACK, contract, present, TABLES, TODAY)


SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    '<row r="1"><c r="A1" t="inlineStr"><is><t>Unique ID</t></is></c></row>'
    '<row r="2"><c r="A2" t="inlineStr"><is><t>X1</t></is></c></row></sheetData></worksheet>'
)


RICH_SHEET = SHEET.replace(
    "</sheetData>",
    '<row r="3"><c r="A3" t="s"><v>0</v></c><c r="B3" t="b"><v>1</v></c><c r="C3" s="1"><v>44927.5</v></c>'
    '<c r="D3" t="e"><v>#N/A</v></c><c r="E3" t="d"><v>2026-01-02T03:04:05</v></c></row></sheetData>',
)


def workbook(sheet: str = SHEET, name: str = "List 1", **more: str) -> bytes:
    """Return the smallest workbook there is, with some more sheets by name."""
    sheets = {name: sheet, **more}
    listed = "".join(
        f'<sheet name="{one}" sheetId="{n}" r:id="rId{n}"/>' for n, one in enumerate(sheets, 1)
    )
    related = "".join(
        f'<Relationship Id="rId{n}" Type="http://schemas.openxmlformats.org/officeDocument/2006/'
        f'relationships/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in range(1, len(sheets) + 1)
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(
            "[Content_Types].xml",
            '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        )
        archive.writestr(
            "_rels/.rels",
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            '<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/'
            'relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/workbook.xml",
            '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http:'
            '//schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>'
            f"{listed}</sheets></workbook>",
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            f"{related}</Relationships>",
        )
        for n, content in enumerate(sheets.values(), 1):
            archive.writestr(f"xl/worksheets/sheet{n}.xml", content)
    return out.getvalue()


def test_a_sheet_that_does_not_fit_is_told_and_never_passed_over() -> None:
    other = SHEET.replace("Unique ID", "Something else")
    blank = SHEET[: SHEET.index("<row")] + "</sheetData></worksheet>"
    contract = contract_for("council.annex_a")
    # One that bears a table's name is meant to be read, so the whole workbook is sent again.
    book = workbook(**{"List 2": other, "List 3": other})
    with pytest.raises(ContractError, match="FG-SUB-04") as error:
        open_delivery(io.BytesIO(book), contract)
    assert [one.split(":")[0] for one in error.value.reasons] == ["List 2", "List 3"]
    with pytest.raises(ContractError, match="required columns are missing"):
        open_delivery(io.BytesIO(workbook(**{"List 2": other})), contract)
    opened = open_delivery(io.BytesIO(workbook(**{"Notes": other, "List 2": blank})), contract)
    found = prepare(opened, _intake(contract, opened.present))
    assert (found.rows_in, found.rows_kept) == (1, 1)
    told = {one.column: one.sentence for one in found.findings if one.check == "sheet"}
    assert told == {
        "Notes": "the sheet is no table of the contract and was not read",
        "List 2": "the sheet is empty and was not read",
    }


def parquet(**columns: Any) -> bytes:
    """Return a Parquet file of some columns, by default two persons."""
    out = io.BytesIO()
    columns = columns or {
        "PersonID": ["A", "", "B"],
        "RecordedOn": ["2026-01-01", None, "2026-01-02"],
    }
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def _zip(data: bytes, name: str = "a.csv") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return out.getvalue()


CSV = b'PersonID,Forename,BirthDate,RecordedOn\nA,"Ada ""x""",2012-01-02,2026-11-01\nB,Bea,,2026-11-01\n'
XML = (
    b"<Message><Header><ReferenceDate>2026-03-31</ReferenceDate></Header><Children><Child><LAchildID>1"
    b"</LAchildID><CINdetails><CINreferralDate>2026-01-02</CINreferralDate></CINdetails></Child>"
    b"</Children></Message>"
)
GOOD = {
    "csv": ("council.persons", CSV + b",,,\n\n"),
    "xml": ("council.cin_census", XML.replace(b"</Children>", b"<Child></Child></Children>")),
    "xlsx": ("council.annex_a", workbook()),
    "parquet": ("parquet", parquet()),
    "zip": ("council.persons", _zip(CSV)),
}


def contract_for(source: str) -> Contract:
    """Return a contract of the pack; ``parquet`` is that of persons, sent as Parquet."""
    if source != "parquet":
        return contract_of(PACK.sources[source])
    return replace(
        PERSONS, layouts=tuple(replace(one, format="parquet") for one in PERSONS.layouts)
    )


def _run(source: str, data: bytes) -> Tally | None:
    contract = contract_for(source)
    tally = Tally()
    try:
        opened = open_delivery(members_of([("upload", io.BytesIO(data))]), contract)
        kept = sum(
            len(one.lines) for one in minimised(opened, _intake(contract, opened.present), tally)
        )
    except FieldgateError as error:
        assert error.next_step
        return None
    counts = tally.tables.values()
    assert kept == sum(one["kept"] for one in counts)
    assert sum(one["in"] for one in counts) == kept + sum(tally.dropped.values())
    return tally


def test_the_good_file_of_each_format_is_read() -> None:
    for name, (source, data) in GOOD.items():
        tally = _run(source, data)
        assert tally is not None, name
        assert sum(one["kept"] for one in tally.tables.values()) == (1 if name == "xlsx" else 2), (
            name
        )
        blank = {"csv": 2, "xml": 1, "parquet": 1}.get(name, 0)
        assert tally.dropped == ({"blank": blank} if blank else {}), name


HEADS = {
    "csv": b"PersonID,Forename,BirthDate,RecordedOn\n",
    "xml": b"<Message><Children><Child>",
    "xlsx": b"PK\x03\x04",
    "parquet": b"PAR1",
    "zip": b"PK\x03\x04",
}


@pytest.mark.parametrize("name", sorted(GOOD))
@settings(max_examples=40)
@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_crash_reading_or_lose_a_row(name: str, data: bytes, begun: bool) -> None:
    _run(GOOD[name][0], HEADS[name] + data if begun else data)


EDITS = st.lists(
    st.tuples(
        st.integers(0, 4000),
        st.sampled_from(["flip", "cut", "add"]),
        st.binary(min_size=1, max_size=4),
    ),
    max_size=6,
)


def _damaged(data: bytes, edits: list[Any]) -> bytes:
    changed = bytearray(data)
    for place, what, more in edits:
        at = place % max(1, len(changed))
        if what == "flip" and changed:
            changed[at] ^= more[0] or 1
        elif what == "cut":
            del changed[at : at + len(more)]
        else:
            changed[at:at] = more
    return bytes(changed)


@pytest.mark.parametrize("name", sorted(set(GOOD) - {"parquet"}))
@given(EDITS)
def test_no_damage_crashes_reading_or_loses_a_row(name: str, edits: list[Any]) -> None:
    source, data = GOOD[name]
    _run(source, _damaged(data, edits))


@pytest.mark.parametrize("name", ["csv", "xml", "zip"])
@given(EDITS)
def test_damage_inside_an_archive_crashes_nothing(name: str, edits: list[Any]) -> None:
    """The archive itself is whole, so that the damage reaches the reader of the file in it."""
    source, data = GOOD[name]
    _run(source, _zip(_damaged(data, edits)))


@settings(max_examples=80)
@given(
    st.lists(
        st.tuples(st.integers(0, 999), st.integers(0, 4), st.text('<>/"= abcrtsv&;-é', max_size=4)),
        max_size=4,
    )
)
def test_damage_inside_a_sheet_crashes_nothing(edits: list[tuple[int, int, str]]) -> None:
    sheet = RICH_SHEET
    for place, cut, more in edits:
        at = place % len(sheet)
        sheet = sheet[:at] + more + sheet[at + cut :]
    _run("council.annex_a", workbook(sheet))


def _damage_to_parquet(data: bytes) -> None:
    for place in range(len(data)):
        for flip in (0xFF, 0x80, 1):
            _run("parquet", data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :])


@pytest.mark.deep
def test_no_damage_to_parquet_crashes_reading_or_loses_a_row() -> None:
    _damage_to_parquet(parquet())


@pytest.mark.parametrize(
    "days",
    [
        pa.array([2**30], pa.int32()).cast(pa.date32()),
        pa.array([2**62], pa.int64()).cast(pa.timestamp("us")),
    ],
    ids=["date", "timestamp"],
)
def test_a_day_beyond_every_calendar_in_parquet_crashes_nothing(days: pa.Array) -> None:
    _run("parquet", parquet(PersonID=["A"], RecordedOn=days))


def _cells(source: str, data: bytes) -> list[dict[str, list[str]]]:
    opened = open_delivery(members_of([("upload", io.BytesIO(data))]), contract_for(source))
    return [
        {name: text_of(one).to_pylist() for name, one in batch.columns.items()}
        for batch in opened.batches
    ]


def test_a_column_that_stands_twice_in_parquet_moves_no_other() -> None:
    out = io.BytesIO()
    columns = [pa.array(["A"]), pa.array(["again"]), pa.array(["2026-01-01"])]
    pq.write_table(pa.Table.from_arrays(columns, ["PersonID", "PersonID", "RecordedOn"]), out)
    try:
        found = _cells("parquet", out.getvalue())
    except FieldgateError:
        return
    assert found == [{"person_id": ["A"], "recorded_on": ["2026-01-01"]}]


def test_a_number_that_is_none_is_an_empty_cell() -> None:
    data = parquet(PersonID=["A"], RecordedOn=["2026-01-01"], Forename=[float("nan")])
    assert _cells("parquet", data)[0]["given_name"] == [""]


WORDS = st.sampled_from(
    ["knife", "KNIFE", "Knife", "machete", "zombie", "blade", "no", "crime", "team", "knives", "penknife",
     "knife-point", "officer's", "officer’s", "don’t", "1knife", "knife_", "a"]
)  # fmt: skip
GAPS = st.sampled_from([" ", " ", "  ", "\n", "\t", ", ", ". ", "/", "-"])
RULE = Derive(
    "x", ("knife", "machete", "zombie blade", "officer's"),
    ("no knife", "knife crime team", "don't officer's"), (), (),
)  # fmt: skip


def _tokens(text: str) -> list[str]:
    """Words, and between them what is no white space; a word is letters, digits and underscores."""
    return re.findall(r"[0-9A-Za-z_]+|[^0-9A-Za-z_\s]", text.replace("’", "'").lower())


def _holds(text: str, rule: Derive) -> bool:
    words = _tokens(text)

    def starts(place: int, phrases: Sequence[str]) -> int:
        """Return how many words the first phrase takes that stands there."""
        lengths = (
            len(want) for want in map(_tokens, phrases) if words[place : place + len(want)] == want
        )
        return next(lengths, 0)

    place = 0
    while place < len(words):
        taken = starts(place, rule.none)
        del words[place : place + taken]
        place += not taken
    return any(starts(place, rule.any) for place in range(len(words)))


@settings(max_examples=150)
@given(st.lists(st.lists(st.tuples(WORDS, GAPS), max_size=7), min_size=1, max_size=8))
def test_a_flag_from_text_is_what_reading_word_by_word_gives(rows: list[list[Any]]) -> None:
    texts = ["".join(itertools.chain(*row)) for row in rows]
    found = derived(pa.array(texts, pa.string()), RULE).to_pylist()
    # Yes or not known, and never no.
    assert found == ["yes" if _holds(text, RULE) else None for text in texts]


@given(st.lists(st.text(max_size=20), max_size=6))
def test_a_flag_is_found_in_no_text_without_its_words(texts: list[str]) -> None:
    assert derived(pa.array(texts, pa.string()), RULE).null_count == len(texts)


def test_the_examples_of_every_contract_hold_and_false_ones_are_told() -> None:
    assert [one for name in PACK.sources for one in example_problems(contract_for(name))] == []
    contract = contract_for("police.occurrences")
    knife = contract.fields["knife"]

    def problems(**changes: Any) -> list[str]:
        rule = replace(knife.derive, **changes)  # type: ignore[type-var]
        return example_problems(replace(contract, fields={"knife": replace(knife, derive=rule)}))

    assert problems() == []
    assert problems(none=()) == ["knife: example 1 of no gives yes"]
    assert problems(yes=("nothing",)) == ["knife: example 1 of yes gives nothing"]
    assert problems(no=()) == ["knife: the rule has no examples of both kinds"]


@pytest.mark.parametrize(
    ("phrase", "text"), [("café", "seen at a café"), ("d’angle", "near d’angle")]
)
def test_a_phrase_with_any_letter_or_quote_is_found(phrase: str, text: str) -> None:
    rule = replace(RULE, any=(phrase,), none=())
    assert derived(pa.array([text]), rule).to_pylist() == ["yes"]


OCCURRENCES = (
    *("OccurrenceRef", "NominalRef", "Role", "OccurredOn", "RecordedOn", "Forename", "MOText"),
)


def test_the_text_that_a_flag_is_read_from_is_never_kept() -> None:
    canary = "Quokka"
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(OCCURRENCES)
    for number in range(9):
        # One row is closed for its date, and is set aside for whoever mends it.
        day = "99/99/2026" if number == 8 else "01/11/2026"
        text = f"{canary} showed a knife" if number % 2 else f"{canary} met the knife crime team"
        writer.writerow([f"O{number}", f"N{number}", "SUBJECT", day, "02/11/2026", "Ada", text])
    contract = contract_for("police.occurrences")
    opened = open_delivery(io.BytesIO(stream.getvalue().encode()), contract)
    found = prepare(opened, _intake(contract, opened.present))
    assert (found.rows_in, found.rows_kept, found.dropped) == (9, 8, {"FG-ROW-02": 1})
    assert len(found.events) == 4
    assert len(found.quarantined) == 1
    assert canary not in repr(vars(found)) + repr(found.events) + repr(found.states)


KEYS = st.sampled_from(["k1", "k2", "k3", None])
DAYS = st.sampled_from(["2026-01-01", "2026-02-01", "2026-03-01", "2027-01-01", None])
Rows = list[tuple[Any, ...]]
TRIPLE = ("key", "first", "last")


def _check(rule: str, names: tuple[str, ...], **spec: str) -> CheckRule:
    return CheckRule(
        "c", rule, "warning", "s", "d", "t", names, {"in": spec.pop("into", ""), **spec}
    )


def _checked(
    rule: str, rows: Rows, names: tuple[str, ...], other: Rows | None = None, **spec: str
) -> list[int]:
    """Return the lines that a rule finds; the rows, and those of another table, come in batches."""
    checks = Checks([_check(rule, names, **spec)], TODAY)
    for table, some in (("t", rows), ("u", other or [])):
        for start in range(0, len(some), 3):
            part = some[start : start + 3]
            columns = {
                name: pa.array([row[place] for row in part], pa.string())
                for place, name in enumerate(TRIPLE)
            }
            if start % 2:  # Columns travel by their distinct values too.
                columns = {name: one.dictionary_encode() for name, one in columns.items()}
            checks.feed(table, np.arange(start + 2, start + 2 + len(part), dtype=np.int64), columns)
    (run,) = checks.finish()
    assert run.status == "run", run.why
    assert run.as_dict()["found"] == len(run.rows)
    return sorted(run.rows.tolist())


@given(st.lists(st.tuples(KEYS, DAYS, DAYS), min_size=1, max_size=14))
def test_each_rule_finds_what_a_plain_loop_finds(rows: Rows) -> None:
    numbered = list(enumerate(rows, 2))
    assert _checked("not_after", rows, ("first", "last")) == [
        line for line, (_, a, b) in numbered if a and b and a > b
    ]
    assert _checked("not_future", rows, ("first",)) == [
        line for line, (_, a, _) in numbered if a and a > TODAY.isoformat()
    ]
    assert _checked("required_with", rows, ("first", "last")) == [
        line for line, (_, a, b) in numbered if a and not b
    ]
    assert _checked("needs_one_of", rows, TRIPLE) == [
        line for line, row in numbered if not any(row)
    ]
    keys = [key for key, _, _ in rows]
    assert _checked("unique", rows, ("key",)) == [
        line for line, (key, _, _) in numbered if key and keys.count(key) > 1
    ]
    pairs = [(key, a) for key, a, _ in rows]
    assert _checked("unique", rows, ("key", "first")) == [
        line for line, (key, a, _) in numbered if key and a and pairs.count((key, a)) > 1
    ]
    seen: set[Any] = set()
    again = []
    for line, row in numbered:
        if row in seen:
            again.append(line)
        seen.add(row)
    assert _checked("same_row", rows, ()) == again
    beside = {key: {(a, b) for other, a, b in rows if other == key} for key in keys}
    assert _checked("conflict", rows, TRIPLE) == [
        line for line, (key, _, _) in numbered if key and len(beside[key]) > 1
    ]
    opened = [key for key, _, end in rows if end is None]
    assert _checked("one_open", rows, ("key",), to="last") == [
        line for line, (key, _, end) in numbered if key and end is None and opened.count(key) > 1
    ]


def _overlapping(rows: Rows) -> list[int]:
    """Return the lines of stays that begin while an earlier one of the key has not ended."""
    stays = sorted(
        (a, line, key, b or "9999") for line, (key, a, b) in enumerate(rows, 2) if a is not None
    )
    return sorted(
        line
        for place, (a, line, key, _) in enumerate(stays)
        if any(other == key and end > a for _, _, other, end in stays[:place])
    )


@given(st.lists(st.tuples(KEYS.filter(bool), DAYS, DAYS), min_size=1, max_size=14))
def test_stays_that_overlap_are_what_a_plain_loop_finds(rows: Rows) -> None:
    assert _checked(
        "no_overlap", rows, ("key",), **{"from": "first", "to": "last"}
    ) == _overlapping(rows)


def test_stays_of_nobody_do_not_overlap() -> None:
    rows = [(None, "2026-01-01", "2026-03-01"), (None, "2026-02-01", None)]
    assert _checked("no_overlap", rows, ("key",), **{"from": "first", "to": "last"}) == []


def test_a_day_within_the_month_that_another_date_names_is_not_after_it() -> None:
    rows = [("k1", "2026-02-15", "2026-02"), ("k2", "2026-03-01", "2026-02"), ("k3", "2026-02", "2026"),
            ("k4", "2026-02-15", "2026-02-15"), ("k5", "2026-02", "2026-02-01")]  # fmt: skip
    assert _checked("not_after", rows, ("first", "last")) == [3]


def test_an_end_without_its_day_is_an_end_all_the_same() -> None:
    rows = [("k1", "2026-01-01", "2026-02"), ("k1", "2026-05-01", None)]
    assert _checked("no_overlap", rows, ("key",), **{"from": "first", "to": "last"}) == []


NUMBERS = st.sampled_from(["0", "5", "007", "-3", "12.5", "13", "99999999999999", None])


@given(st.lists(st.tuples(NUMBERS, DAYS, DAYS), min_size=1, max_size=10), st.integers(-5, 20))
def test_numbers_outside_their_bounds_are_what_a_plain_loop_finds(rows: Rows, least: int) -> None:
    most = least + 6
    wanted = [
        line
        for line, (number, _, _) in enumerate(rows, 2)
        if number and not least <= float(number) <= most
    ]
    assert _checked("between", rows, ("key",), least=str(least), most=str(most)) == wanted
    over = [line for line, (number, _, _) in enumerate(rows, 2) if number and float(number) > most]
    assert _checked("between", rows, ("key",), most=str(most)) == over


BORN = st.one_of(
    st.none(),
    st.dates(date(1890, 1, 1), date(2026, 11, 25)).map(date.isoformat),
    st.sampled_from(["2008-11-25", "2008-11-26", "2008-02-29", "2026-11-25", "2008", "2008-11"]),
)


@given(st.lists(st.tuples(BORN, DAYS, DAYS), min_size=1, max_size=10), st.integers(0, 30))
def test_ages_outside_their_bounds_are_what_a_plain_loop_finds(rows: Rows, most: int) -> None:
    wanted = [
        line
        for line, (born, _, _) in enumerate(rows, 2)
        if born
        and len(born) == 10
        and not 3 <= whole_years(date.fromisoformat(born), TODAY) <= most
    ]
    assert _checked("age_between", rows, ("key",), least="3", most=str(most)) == wanted


@given(
    st.lists(st.tuples(KEYS, DAYS, DAYS), min_size=1, max_size=8),
    st.lists(st.tuples(KEYS, DAYS, DAYS), min_size=1, max_size=8),
)
def test_keys_of_no_other_table_are_what_a_plain_loop_finds(rows: Rows, other: Rows) -> None:
    known = {key for key, _, _ in other}
    assert _checked("in_table", rows, ("key",), other, into="u") == [
        line for line, (key, _, _) in enumerate(rows, 2) if key and key not in known
    ]


FILLED = {"key": pa.array(["x"]), "first": pa.array(["7"])}


@pytest.mark.parametrize(
    ("rule", "names", "spec", "columns", "status"),
    [
        ("age_between", ("first",), {"least": "many"}, FILLED, "failed"),
        ("age_between", ("first",), {}, {"first": pa.array(["no day yet"])}, "failed"),
        ("between", ("first",), {"least": "1"}, {"first": pa.array(["seven"])}, "failed"),
        ("conflict", ("key",), {}, FILLED, "failed"),
        ("no_such_rule", ("first",), {}, FILLED, "failed"),
        ("no_overlap", ("key",), {}, FILLED, "failed"),
        ("not_after", ("first", "last"), {}, FILLED, "skipped"),
        ("unique", ("last",), {}, FILLED, "skipped"),
        ("one_open", ("key",), {"to": "last"}, FILLED, "skipped"),
        ("no_overlap", ("key",), {"from": "first", "to": "last"}, FILLED, "skipped"),
        ("in_table", ("key",), {"into": "u"}, FILLED, "skipped"),
        ("unique", ("key",), {}, None, "skipped"),
        ("unique", ("key",), {}, FILLED, "run"),
    ],
)  # fmt: skip
def test_a_check_that_crashes_has_failed_and_one_without_columns_is_skipped(
    rule: str, names: tuple[str, ...], spec: dict[str, str], columns: Any, status: str
) -> None:
    checks = Checks([_check(rule, names, **spec), _check("unique", ("key",))], TODAY)
    for line in (2, 3):
        if columns is not None:
            checks.feed("t", np.array([line]), columns)
    run, other = checks.finish()
    assert run.status == status
    assert bool(run.why) == (status != "run")
    if status != "run":
        assert len(run.rows) == 0
    # What becomes of one check is nothing to the next.
    if columns is not None and "key" in columns:
        assert (other.status, other.rows.tolist()) == ("run", [2, 3])


def _record(number: int) -> bytes:
    return bytes([number]) * 32


ROW = st.tuples(st.integers(0, 4), st.one_of(st.integers(0, 9), st.just(NO_DAY)), st.booleans())
MERGE = st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans()).filter(
    lambda one: one[0] != one[1]
)
DELIVERY = st.fixed_dictionaries(
    {
        "source": st.sampled_from("ab"),
        # By its name, each row is spoken of once in a delivery: it holds, or it is gone.
        "named": st.dictionaries(st.integers(1, 5), ROW, max_size=5),
        "nameless": st.lists(ROW, max_size=2),
        "window": st.one_of(
            st.none(),
            st.tuples(st.integers(0, 9), st.integers(0, 9)).map(lambda one: (min(one), max(one))),
        ),
        "merges": st.lists(MERGE, max_size=3),
    }
)


def _write(path: Path, rows: list[tuple[int, int, int, int]]) -> None:
    pq.write_table(
        pa.table(
            {
                "record": pa.array([_record(record) for record, _, _, _ in rows], pa.binary(32)),
                "rk": pa.array([key for _, key, _, _ in rows], pa.int64()),
                "gone": pa.array([gone for _, _, gone, _ in rows], pa.uint8()),
                "day": pa.array([day for _, _, _, day in rows], pa.int32()),
            }
        ),
        path,
    )


def _root(number: int, stated: dict[int, int]) -> int:
    """Follow merges; whoever leads into a circle stays who they are."""
    end = number
    for _ in range(len(stated) + 1):
        if end not in stated:
            return end
        end = stated[end]
    return number


@settings(max_examples=120)
@given(st.lists(DELIVERY, min_size=1, max_size=6))
def test_what_holds_is_what_a_table_of_rows_would_hold(
    tmp_path_factory: Any, deliveries: list[dict[str, Any]]
) -> None:
    folder: Path = tmp_path_factory.mktemp("live")
    held: list[tuple[str, int, int, int, int]] = []
    stated: dict[int, int] = {}
    seen: set[int] = set()
    order, spoken, merges = [], {}, {}
    for number, one in enumerate(deliveries):
        source, window = one["source"], one["window"]
        rows = [(key, *row) for key, row in one["named"].items()]
        rows += [(0, record, day, False) for record, day, _ in one["nameless"]]
        spoken[str(number)], merges[str(number)] = folder / f"{number}.s", folder / f"{number}.m"
        _write(
            spoken[str(number)],
            [(record, key, int(gone), NO_DAY if gone else day) for key, record, day, gone in rows],
        )
        if one["merges"]:
            pq.write_table(
                pa.table(
                    {
                        "old": pa.array(
                            [_record(old) for old, _, _ in one["merges"]], pa.binary(32)
                        ),
                        "new": pa.array(
                            [_record(new) for _, new, _ in one["merges"]], pa.binary(32)
                        ),
                        "undone": pa.array([undone for _, _, undone in one["merges"]], pa.bool_()),
                    }
                ),
                merges[str(number)],
            )
        order.append(
            Sent(
                str(number),
                source,
                plain=not (one["named"] or one["merges"] or window),
                window=window,
            )
        )
        # The model: a list of rows, out of which a later word of the same source takes some.
        held = [
            row
            for row in held
            if row[0] != source
            or not (row[2] in one["named"] or (window and window[0] <= row[4] <= window[1]))
        ]
        held += [(source, number, key, record, day) for key, record, day, gone in rows if not gone]
        seen |= {record for _, record, _, gone in rows if not gone}
        for old, new, undone in one["merges"]:
            if undone:
                stated.pop(old, None)
            else:
                stated[old] = new
    live = live_of(order, spoken, merges)
    # Into a record that nothing that counts has brought, nobody is merged.
    roots = {old: _root(old, stated) for old in stated}
    joined = {old: new for old, new in roots.items() if new != old and new in seen}
    assert live.joined == {_record(old): _record(new) for old, new in joined.items()}
    found = []
    for sent in order:
        table = pq.read_table(spoken[sent.delivery])
        table = table.filter(pa.compute.equal(table.column("gone"), 0))
        found += [
            (sent.source, int(sent.delivery), row["rk"], row["record"][0], row["window"])
            for row in live.rows(sent.delivery, _led_to(table)).to_pylist()
        ]
    assert sorted(found) == sorted((*row[:3], joined.get(row[3], row[3]), row[4]) for row in held)
    alive = {joined.get(record, record) for _, _, _, record, _ in held}
    assert live.dead == {_record(one) for one in (seen - alive) | set(joined)}
    if all(sent.plain for sent in order):
        assert live == Live()


def _led_to(spoken: pa.Table) -> pa.Table:
    """Return an event for each row, of another day than the one by which windows replace the row."""
    days = pa.compute.add(spoken.column("day"), 1000)
    moved = spoken.rename_columns(
        ["window" if name == "day" else name for name in spoken.column_names]
    )
    return moved.append_column("day", days)


def test_a_delivery_whose_rows_are_named_nowhere_takes_nothing_away(tmp_path: Path) -> None:
    _write(tmp_path / "1.s", [(1, 7, 0, 3)])
    order = [Sent("1", "s", plain=False, window=None), Sent("2", "s", plain=True, window=None)]
    none = tmp_path / "none"
    live = live_of(order, {"1": tmp_path / "1.s", "2": none}, {"1": none, "2": none})
    assert live.rows("1", _led_to(pq.read_table(tmp_path / "1.s"))).num_rows == 1
    assert live.dead == frozenset()


def test_a_record_whose_rows_a_window_replaced_is_dead(tmp_path: Path) -> None:
    _write(tmp_path / "1.s", [(1, 7, 0, 3), (2, 8, 0, 5)])
    _write(tmp_path / "2.s", [])
    order = [Sent("1", "s", plain=False, window=None), Sent("2", "s", plain=False, window=(3, 4))]
    none = tmp_path / "none"
    live = live_of(order, {"1": tmp_path / "1.s", "2": tmp_path / "2.s"}, {"1": none, "2": none})
    assert live.dead == {_record(1)}
    assert live.rows("1", _led_to(pq.read_table(tmp_path / "1.s"))).column("rk").to_pylist() == [8]


KEY = bytes(range(32))
SMALL = 16
MOVES = st.lists(
    st.tuples(st.integers(-60, 140), st.sampled_from([0, 1, 2]), st.integers(-1, 60)), max_size=8
)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a spool seal its chunks small, so that few bytes make many."""
    monkeypatch.setattr(spool, "CHUNK", SMALL)


@contextmanager
def _spooled(folder: Path, parts: Sequence[bytes]) -> Iterator[tuple[Spool, Path]]:
    path = folder / "spool"
    made = Spool(path, KEY)
    try:
        assert not made.readable()
        for part in parts:
            assert made.write(part) == len(part)
        made.complete()
        yield made, path
    finally:
        made.destroy()
    assert list(folder.iterdir()) == []


def _all(made: Spool) -> bytes:
    return io.BufferedReader(made).read()  # type: ignore[type-var]


@given(st.lists(st.binary(max_size=50), max_size=5))
@pytest.mark.usefixtures("small_chunks")
def test_what_is_spooled_is_what_is_read(tmp_path: Path, parts: list[bytes]) -> None:
    with _spooled(tmp_path, parts) as (made, path):
        assert path.stat().st_mode & 0o777 == 0o600
        assert _all(made) == b"".join(parts)


@settings(max_examples=120)
@given(st.lists(st.binary(max_size=50), max_size=5), MOVES)
@pytest.mark.usefixtures("small_chunks")
def test_a_spool_moves_as_a_file_in_memory_moves(
    tmp_path: Path, parts: list[bytes], moves: list[tuple[int, int, int]]
) -> None:
    model = io.BytesIO(b"".join(parts))
    with _spooled(tmp_path, parts) as (made, _):
        for offset, whence, count in moves:
            try:
                place = model.seek(offset, whence)
            except ValueError:  # Before the beginning, which is the beginning.
                place = model.seek(0)
            assert made.seek(offset, whence) == made.tell() == place
            # A raw stream may give less than it was asked for, but never nothing before the end.
            wanted, got = model.read(count), b""
            while len(got) < len(wanted) and (more := made.read(len(wanted) - len(got))):
                got += more
            assert got == wanted
            assert made.tell() == model.tell()


@settings(max_examples=40)
@given(
    st.integers(0, 90), st.integers(1, 200), st.sampled_from(["flip", "swap", "cut", "repeat"]),
    st.integers(0, 10**6),
)  # fmt: skip
@pytest.mark.usefixtures("small_chunks")
def test_a_spool_that_was_touched_is_not_read(
    tmp_path: Path, before: int, after: int, what: str, place: int
) -> None:
    canary = b"Quokka Fakename, 1 Lantern Street"
    plain = b"\n" * before + canary + b"\n" * after
    with _spooled(tmp_path, [plain[:before], plain[before:]]) as (made, path):
        sealed = bytearray(path.read_bytes())
        assert not any(canary[at : at + 6] in sealed for at in range(len(canary) - 5))
        size = SMALL + 16
        count = len(sealed) // size
        at = place % len(sealed)
        one, two = place % count, (place + 1 + place % (count - 1)) % count
        first, second = sealed[one * size : (one + 1) * size], sealed[two * size : (two + 1) * size]
        if what == "flip":
            sealed[at] ^= 1 + place % 255
        elif what == "cut":
            del sealed[at:]
        else:
            sealed[one * size : (one + 1) * size] = second
            if what == "swap":
                sealed[two * size : (two + 1) * size] = first
        path.write_bytes(sealed)
        with pytest.raises(InvalidTag):
            _all(made)


def test_a_spool_of_whole_size_is_what_was_written_and_takes_no_more(tmp_path: Path) -> None:
    data = random.Random(7).randbytes(2 * spool.CHUNK + 5)
    parts = [data[:3], data[3 : spool.CHUNK], data[spool.CHUNK :]]
    with _spooled(tmp_path, parts) as (made, path):
        assert path.stat().st_size == len(data) + 3 * 16
        with pytest.raises(io.UnsupportedOperation):
            made.write(b"more")
        with pytest.raises(FileExistsError):
            Spool(path, KEY)
        made.seek(spool.CHUNK - 2)
        assert made.read(4) == data[spool.CHUNK - 2 : spool.CHUNK]
        assert _all(made) == data[spool.CHUNK :]


def test_a_delivery_is_read_out_of_a_spool(tmp_path: Path) -> None:
    with _spooled(tmp_path, [_zip(CSV)]) as (made, _):
        stream: Any = io.BufferedReader(made)  # type: ignore[type-var]
        opened = open_delivery(members_of([("upload", stream)]), PERSONS)
        assert sum(len(batch.lines) for batch in opened.batches) == 2


def test_members_of_an_archive_are_read_in_order_of_their_names() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in ("b.csv", "a.csv", ".DS_Store"):
            archive.writestr(name, name)
    found: list[Member] = members_of([("x", out)])
    assert [(one.name, one.open().read()) for one in found] == [
        ("a.csv", b"a.csv"),
        ("b.csv", b"b.csv"),
    ]
