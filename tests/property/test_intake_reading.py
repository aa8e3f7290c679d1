"""Reading: two ways that must agree, files of any bytes, and no row that is lost."""

from __future__ import annotations

import csv
import io
import string
import zipfile
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateways.load
import policies.load
from engine.domain.errors import FieldgateError
from engine.intake.check import CHECKERS, check_cell
from engine.intake.columns import CODES, ColumnCheck
from engine.intake.contract import CheckRule, Contract, Derive, FieldContract, contract_of
from engine.intake.cross import Checks
from engine.intake.derive import derived
from engine.intake.lines import Block, blocks
from engine.intake.package import Member, members_of
from engine.intake.parts import Columns, text_of
from engine.intake.prepare import Intake, minimised, used_fields
from engine.intake.read import open_delivery
from engine.intake.read_csv import _batches, _careful, _Shape
from engine.intake.tally import Tally
from engine.warehouse.live import Sent, live_of
from policies import admit
from policies.model import Pack
from scoring.tables import load_tables, shipped

TODAY = date(2026, 11, 25)
PACK: Pack = policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())
TABLES = load_tables(shipped())
PERSONS = contract_of(PACK.sources["council.persons"])

CELLS = st.text(
    st.sampled_from(string.ascii_letters + string.digits + " ,;|\t\"'\n-é’=日"), max_size=12
).filter(lambda text: "\r" not in text)
WIDTH = 4


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


def _read(batches: Any) -> tuple[dict[int, tuple[str, ...]], list[int], int]:
    rows: dict[int, tuple[str, ...]] = {}
    ragged: list[int] = []
    blank = 0
    for batch in batches:
        columns = [text_of(batch.columns[f"f{place}"]).to_pylist() for place in range(WIDTH)]
        rows |= {
            int(line): cells
            for line, cells in zip(batch.lines, zip(*columns, strict=True), strict=True)
        }
        ragged += batch.ragged
        blank += batch.blank
        assert batch.quoted == []
    return rows, sorted(ragged), blank


def _oracle(text: str, delimiter: str) -> tuple[dict[int, tuple[str, ...]], list[int], int]:
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
    return rows, ragged, blank


@given(
    st.lists(st.lists(CELLS, min_size=1, max_size=6), max_size=12),
    st.sampled_from(",;|\t"),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 40),
    st.booleans(),
)
def test_the_fast_way_and_the_careful_way_read_what_the_standard_library_reads(
    rows: list[list[str]], delimiter: str, end: str, size: int, last: bool
) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter, lineterminator=end).writerows(rows)
    text = stream.getvalue()
    if not last:
        text = text.removesuffix(end)
    data = text.encode()
    shape = _shape(delimiter)
    wanted = _oracle(text, delimiter)
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    assert _read(_batches(iter(chunks), shape, 1)) == wanted
    assert _read(_careful(iter(chunks), shape, 1)) == wanted


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


def _intake(contract: Contract, present: tuple[str, ...]) -> Intake:
    answer = admit(
        PACK, from_agency=contract.agency, host="council", source=contract.source,
        fields=used_fields(contract, present), as_of=TODAY,
    )  # fmt: skip
    kinds = {kind.name: kind.id for kind in TABLES.kinds.values()}
    return Intake(
        PACK, contract, answer, contract.agency, "council", TODAY, kinds, TABLES.roles, str
    )


SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    '<row r="1"><c r="A1" t="inlineStr"><is><t>Unique ID</t></is></c></row>'
    '<row r="2"><c r="A2" t="inlineStr"><is><t>X1</t></is></c></row></sheetData></worksheet>'
)


def workbook(sheet: str = SHEET, name: str = "List 1") -> bytes:
    """Return the smallest workbook there is."""
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
            '//schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="'
            f'{name}" sheetId="1" r:id="rId1"/></sheets></workbook>',
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            '<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/'
            'relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        )
        archive.writestr("xl/worksheets/sheet1.xml", sheet)
    return out.getvalue()


def _parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"PersonID": ["A", "B"], "RecordedOn": ["2026-01-01", ""]}), out)
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
    "csv": ("council.persons", CSV),
    "xml": ("council.cin_census", XML),
    "xlsx": ("council.annex_a", workbook()),
    "parquet": ("council.persons", _parquet()),
    "zip": ("council.persons", _zip(CSV)),
}


def _run(source: str, data: bytes) -> Tally | None:
    contract = contract_of(PACK.sources[source])
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
        if name != "parquet":  # The persons of the council never come as Parquet.
            assert _run(source, data) is not None, name


@pytest.mark.parametrize("name", sorted(GOOD))
@given(
    st.lists(
        st.tuples(
            st.integers(0, 4000),
            st.sampled_from(["flip", "cut", "add"]),
            st.binary(min_size=1, max_size=4),
        ),
        max_size=6,
    )
)
def test_no_damage_crashes_reading_or_loses_a_row(name: str, edits: list[Any]) -> None:
    source, data = GOOD[name]
    changed = bytearray(data)
    for place, what, more in edits:
        at = place % max(1, len(changed))
        if what == "flip" and changed:
            changed[at] ^= more[0] or 1
        elif what == "cut":
            del changed[at : at + len(more)]
        else:
            changed[at:at] = more
    _run(source, bytes(changed))


@given(st.lists(st.text("knife machete’'crime team \n", max_size=20), min_size=1, max_size=8))
def test_a_flag_from_text_is_yes_or_not_known_and_never_no(texts: list[str]) -> None:
    rule = Derive("x", ("knife", "machete"), ("knife crime team",), (), ())
    found = derived(pa.array(texts, pa.string()), rule).to_pylist()
    assert set(found) <= {"yes", None}
    for text, flag in zip(texts, found, strict=True):
        if flag == "yes":
            assert "knife" in text or "machete" in text


KEYS = st.sampled_from(["k1", "k2", "k3", None])
DAYS = st.sampled_from(["2026-01-01", "2026-02-01", "2026-03-01", "2027-01-01", None])


def _checked(
    rule: str, rows: list[tuple[Any, ...]], names: tuple[str, ...], **spec: str
) -> list[int]:
    check = CheckRule(
        "c", rule, "warning", "s", "d", "t", names, {"in": spec.pop("into", ""), **spec}
    )
    checks = Checks([check], TODAY)
    columns = ("key", "first", "last")
    for start in range(0, len(rows), 3):
        some = rows[start : start + 3]
        checks.feed(
            "t",
            np.arange(start + 2, start + 2 + len(some), dtype=np.int64),
            {name: pa.array([row[place] for row in some], pa.string())
             for place, name in enumerate(columns)},
        )  # fmt: skip
    (run,) = checks.finish()
    assert run.status == "run", run.why
    return sorted(run.lines.tolist())


@given(st.lists(st.tuples(KEYS, DAYS, DAYS), min_size=1, max_size=14))
def test_each_rule_finds_what_a_plain_loop_finds(rows: list[tuple[Any, ...]]) -> None:
    lines = range(2, len(rows) + 2)
    numbered = list(zip(lines, rows, strict=True))
    assert _checked("not_after", rows, ("first", "last")) == [
        line for line, (_, a, b) in numbered if a and b and a > b
    ]
    assert _checked("not_future", rows, ("first",)) == [
        line for line, (_, a, _) in numbered if a and a > TODAY.isoformat()
    ]
    keys = [key for key, _, _ in rows]
    assert _checked("unique", rows, ("key",)) == [
        line for line, (key, _, _) in numbered if key and keys.count(key) > 1
    ]
    seen: set[Any] = set()
    again = []
    for line, row in numbered:
        if row in seen:
            again.append(line)
        seen.add(row)
    assert _checked("same_row", rows, ()) == again
    beside = {key: {a for other, a, _ in rows if other == key} for key in keys}
    assert _checked("conflict", rows, ("key", "first")) == [
        line for line, (key, _, _) in numbered if key and len(beside[key]) > 1
    ]
    opened = [key for key, _, end in rows if end is None]
    assert _checked("one_open", rows, ("key",), to="last") == [
        line for line, (key, _, end) in numbered if key and end is None and opened.count(key) > 1
    ]


def test_a_check_that_crashes_has_failed_and_one_without_columns_is_skipped() -> None:
    rows = {"key": pa.array(["x"]), "first": pa.array([7])}
    lines = np.array([2])
    for rule, names, status in (
        ("age_between", ("first",), "failed"),
        ("not_after", ("first", "last"), "skipped"),
        ("no_such_rule", ("first",), "failed"),
    ):
        checks = Checks([CheckRule("c", rule, "error", "s", "d", "t", names, {})], TODAY)
        checks.feed("t", lines, rows)
        (run,) = checks.finish()
        assert (run.status, len(run.lines)) == (status, 0)


ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 4), st.booleans()), min_size=0, max_size=6
)


@given(st.lists(ROWS, min_size=1, max_size=5))
def test_what_holds_is_what_a_table_of_rows_would_hold(
    tmp_path_factory: Any, deliveries: list[list[tuple[int, int, bool]]]
) -> None:
    folder = tmp_path_factory.mktemp("live")
    model: dict[int, tuple[int, int]] = {}
    spoken, order = {}, []
    seen: set[int] = set()
    for number, rows in enumerate(deliveries):
        named = {key: (record, gone) for record, key, gone in rows}
        path = folder / f"{number}.parquet"
        table = pa.table(
            {
                "record": pa.array(
                    [bytes([record]) * 32 for record, _ in named.values()], pa.binary(32)
                ),
                "rk": pa.array([key + 1 for key in named], pa.int64()),
                "gone": pa.array([int(gone) for _, gone in named.values()], pa.uint8()),
                "day": pa.array([2**31 - 1] * len(named), pa.int32()),
            }
        )
        pq.write_table(table, path)
        spoken[str(number)] = path
        order.append(Sent(str(number), "s", plain=False, window=None))
        for key, (record, gone) in named.items():
            model.pop(key, None)
            if not gone:
                model[key] = (number, record)
                seen.add(record)
    live = live_of(order, spoken, {str(n): folder / "none" for n in range(len(deliveries))})
    held = set()
    for number in range(len(deliveries)):
        rows = pq.read_table(spoken[str(number)])
        events = rows.filter(pa.compute.equal(rows.column("gone"), 0)).rename_columns(
            ["record", "rk", "gone", "day"]
        )
        for row in live.rows(str(number), events, "day").to_pylist():
            held.add((row["rk"] - 1, number, row["record"][0]))
    assert held == {(key, number, record) for key, (number, record) in model.items()}
    alive = {record for _, record in model.values()}
    assert live.dead == frozenset(bytes([one]) * 32 for one in seen - alive)


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
