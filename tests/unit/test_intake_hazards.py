"""Files that mean harm, or look as if they did: each refused by its own code, within bounded memory."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gateways.load
import policies.load
from engine.domain.errors import ContractError, SubmissionError
from engine.intake.check import check_cell
from engine.intake.contract import contract_of
from engine.intake.package import MAX_MEMBERS, members_of
from engine.intake.prepare import prepare
from engine.intake.read import open_delivery
from engine.intake.read_xml import MAX_INSIDE
from policies.model import Pack
from tests.builders.partnership import TODAY
from tests.property.test_intake_reading import CSV, SHEET, XML, _intake, _spec, parquet, workbook

MEBI = 1 << 20


@pytest.fixture(scope="module")
def pack() -> Pack:
    return policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())


def _read(pack: Pack, data: Any, source: str = "council.persons") -> int:
    stream = io.BytesIO(data) if isinstance(data, bytes) else data
    opened = open_delivery(members_of([("upload", stream)]), contract_of(pack.sources[source]))
    return sum(len(one.lines) for one in opened.batches)


def _zip(*members: tuple[str, bytes], compress: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compress) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


def _link() -> bytes:
    out = io.BytesIO()
    info = zipfile.ZipInfo("a.csv")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    return out.getvalue()


def _locked() -> bytes:
    data = bytearray(_zip(("a.csv", CSV)))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(mark) + place
        data[at] |= 1
    return bytes(data)


def _stating(data: bytes, name: str, size: int, crc: int | None = None) -> bytes:
    """Return an archive whose directory, and the member's own head, state another size of a member."""
    changed = bytearray(data)
    for mark, place, length in ((b"PK\x03\x04", 14, 30), (b"PK\x01\x02", 16, 46)):
        at = changed.index(mark)
        while changed[at + length : at + length + len(name)] != name.encode():
            at = changed.index(mark, at + 1)
        if crc is not None:
            changed[at + place : at + place + 4] = struct.pack("<I", crc)
        changed[at + place + 8 : at + place + 12] = struct.pack("<I", size)
    return bytes(changed)


def _longer_than_stated(*, forged: bool) -> bytes:
    """An archive whose directory says that a member is short while it goes on and on."""
    crc = zlib.crc32(CSV) if forged else None
    return _stating(_zip(("a.csv", CSV + b"x" * 20_000_000)), "a.csv", len(CSV), crc)


def _with(data: bytes, more: dict[str, bytes], rename: tuple[str, str] = ("", "")) -> bytes:
    """Return an archive with some members more, or instead, and with other names."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for info in old.infolist():
            if info.filename not in more:
                content = old.read(info)
                if rename[0]:
                    content = content.replace(rename[0].encode(), rename[1].encode())
                new.writestr(info.filename.replace(*rename), content)
        for name, content in more.items():
            new.writestr(name, content)
    return out.getvalue()


FORMULA = SHEET.replace("<is><t>X1</t></is>", "<f>1+1</f><v>2</v>")
SPACE = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


XML_HEAD = b"<Message><Children><Child><LAchildID>1</LAchildID>"
HAZARDS: list[tuple[str, str, Callable[[], bytes], str]] = [
    ("an-entity-that-expands", "council.cin_census",
     lambda: b'<!DOCTYPE m [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><Message><Children><Child>'
             b"<LAchildID>&b;</LAchildID></Child></Children></Message>", "FG-SUB-05"),
    ("an-entity-from-a-file", "council.cin_census",
     lambda: b'<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]><Message><Children><Child>&x;'
             b"</Child></Children></Message>", "FG-SUB-05"),
    ("a-document-type-elsewhere", "council.cin_census",
     lambda: b'<!DOCTYPE m SYSTEM "http://example.org/m.dtd"><Message/>', "FG-SUB-05"),
    ("an-archive-that-unpacks-to-too-much", "council.persons",
     lambda: _zip(("a.csv", CSV + b"\n" * (60 * MEBI))), "FG-SUB-14"),
    ("an-archive-of-too-many-files", "council.persons",
     lambda: _zip(*((f"{n}.csv", b"a") for n in range(MAX_MEMBERS + 1))), "FG-SUB-14"),
    ("a-member-longer-than-stated", "council.persons",
     lambda: _longer_than_stated(forged=False), "FG-SUB-(02|14)"),
    ("a-path-upwards", "council.persons", lambda: _zip(("../a.csv", CSV)), "FG-SUB-13"),
    ("a-path-from-the-root", "council.persons", lambda: _zip(("/etc/a.csv", CSV)), "FG-SUB-13"),
    ("a-path-of-another-system", "council.persons", lambda: _zip(("c:\\a.csv", CSV)), "FG-SUB-13"),
    ("a-path-of-another-system-upwards", "council.persons",
     lambda: _zip(("a\\..\\..\\b.csv", CSV)), "FG-SUB-13"),
    ("a-path-upwards-inside", "council.persons", lambda: _zip(("a/../../b.csv", CSV)), "FG-SUB-13"),
    ("a-name-that-moves-the-cursor", "council.persons", lambda: _zip(("\x1b[2Ja.csv", CSV)), "FG-SUB-13"),
    ("a-link", "council.persons", _link, "FG-SUB-13"),
    ("a-locked-archive", "council.persons", _locked, "FG-SUB-12"),
    ("an-archive-in-an-archive", "council.persons",
     lambda: _zip(("a.zip", _zip(("a.csv", CSV)))), "FG-SUB-15"),
    ("an-archive-in-an-archive-by-another-name", "council.persons",
     lambda: _zip(("a.csv", _zip(("a.csv", CSV)))), "FG-SUB-02"),
    ("an-archive-of-nothing", "council.persons", lambda: _zip((".DS_Store", b"x")), "FG-SUB-01"),
    ("a-document-type-in-an-archive", "council.cin_census",
     lambda: _zip(("a.xml", b"<!DOCTYPE m><Message/>")), "FG-SUB-05"),
    ("a-formula-in-a-workbook", "council.annex_a",
     lambda: workbook(FORMULA), "FG-SUB-16"),
    ("a-shared-formula-in-a-workbook", "council.annex_a",
     lambda: workbook(FORMULA.replace("<f>1+1</f>", '<f t="shared" si="0"/>')), "FG-SUB-16"),
    ("a-formula-behind-a-megabyte", "council.annex_a",
     lambda: workbook(FORMULA.replace("<sheetData>", "<sheetData><!--" + "x" * (MEBI - 250) + "-->")),
     "FG-SUB-16"),
    ("a-workbook-that-states-too-much", "council.annex_a",
     lambda: _stating(workbook(), "xl/worksheets/sheet1.xml", 4095 * MEBI), "FG-SUB-14"),
    ("a-workbook-of-too-many-files", "council.annex_a",
     lambda: _with(workbook(), {f"x{n}": b"" for n in range(10 * MAX_MEMBERS)}), "FG-SUB-14"),
    ("a-sheet-longer-than-stated", "council.annex_a",
     lambda: _stating(workbook(), "xl/worksheets/sheet1.xml", 90), "FG-SUB-(02|14)"),
    ("a-sheet-of-three-thousand-columns", "council.annex_a",
     lambda: workbook(SHEET.replace("</c></row>", "</c>" + "".join(
         f'<c r="{chr(65 + n // 676)}{chr(65 + n // 26 % 26)}{chr(65 + n % 26)}1" t="str"><v>c</v></c>'
         for n in range(3000)) + "</row>", 1)), "FG-SUB-17"),
    ("ten-million-columns", "council.persons", lambda: b"a," * 10_000_000, "FG-SUB-17"),
    ("a-header-without-end", "council.persons", lambda: b'"' + b"a" * (3 * MEBI), "FG-SUB-17"),
    ("three-thousand-columns", "council.persons",
     lambda: b",".join(b"c%d" % n for n in range(3000)) + b"\n1\n", "FG-SUB-17"),
    ("a-cell-without-end", "council.persons",
     lambda: CSV + b'C,"' + b"x" * (2 * MEBI) + b"\n", "FG-SUB-02"),
    ("a-person-of-rows-without-end", "council.cin_census",
     lambda: XML_HEAD + (b"<CINdetails/><!--" + b"x" * 100 + b"-->") * (MAX_INSIDE // 100), "FG-SUB-18"),
    ("an-entity-that-is-none", "council.cin_census", lambda: XML.replace(b"2026", b"&x;"), "FG-SUB-02"),
    ("an-encoding-that-is-none", "council.cin_census",
     lambda: b'<?xml version="1.0" encoding="quokka"?>' + XML, "FG-SUB-02"),
    ("an-encoding-of-several-bytes", "council.cin_census",
     lambda: b'<?xml version="1.0" encoding="utf-7"?>' + XML, "FG-SUB-02"),
    ("xml-that-is-cut", "council.cin_census", lambda: XML[:-20], "FG-SUB-02"),
    ("xml-after-its-end", "council.cin_census", lambda: XML + XML, "FG-SUB-02"),
    ("an-old-workbook", "council.annex_a", lambda: b"\xd0\xcf\x11\xe0" + bytes(600), "FG-SUB-02"),
    ("a-document", "council.persons", lambda: b"%PDF-1.7\n", "FG-SUB-02"),
    ("an-object", "council.persons", lambda: b'{"a": 1}', "FG-SUB-02"),
    ("a-list-of-objects", "council.persons", lambda: json.dumps([{"PersonID": 1}]).encode(), "FG-SUB-02"),
    ("a-packed-file", "council.persons", lambda: gzip.compress(CSV, mtime=0), "FG-SUB-02"),
    ("a-packed-file-of-another-kind", "council.persons", lambda: bz2.compress(CSV * 50), "FG-SUB-0[24]"),
    ("zero-bytes", "council.persons", lambda: CSV + bytes(10), "FG-SUB-02"),
    ("zero-bytes-far-on", "council.persons", lambda: CSV + b"C,,,\n" * MEBI + b"\0", "FG-SUB-02"),
    ("nothing", "council.persons", lambda: b"", "FG-SUB-01"),
    ("nothing-but-white-space", "council.persons", lambda: b"\xef\xbb\xbf \r\n\t", "FG-SUB-01"),
    ("parquet-that-is-cut", "council.persons", lambda: parquet()[:-9], "FG-SUB-03"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "source", "make", "code"), HAZARDS, ids=[one[0] for one in HAZARDS]
)
def test_a_hazard_is_refused_by_its_code_and_costs_little(
    pack: Pack, name: str, source: str, make: Callable[[], bytes], code: str
) -> None:
    data = make()
    tracemalloc.start()
    try:
        with pytest.raises((SubmissionError, ContractError), match=code):
            _read(pack, data, source)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200 * MEBI


class Endless(io.RawIOBase):
    """A gigabyte that nobody holds: a beginning, then the same again and again; what was read counts."""

    def __init__(self, head: bytes, again: bytes, size: int = 1 << 30) -> None:
        self.head, self.unit, self.size = head, len(again), size
        self.again = again * (2 + MEBI // len(again))
        self.place = self.given = self.largest = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.place = offset + (0, self.place, self.size)[whence]
        return self.place

    def tell(self) -> int:
        return self.place

    def readinto(self, buffer: Any) -> int:
        self.largest = max(self.largest, len(buffer))
        wanted = min(len(buffer), MEBI, self.size - self.place)
        if self.place < len(self.head):
            data = self.head[self.place : self.place + wanted]
        else:
            start = (self.place - len(self.head)) % self.unit
            data = self.again[start : start + wanted]
        buffer[: len(data)] = data
        self.place += len(data)
        self.given += len(data)
        return len(data)


@pytest.mark.parametrize(
    ("head", "again", "code"),
    [
        (b"<Message>", b"<!-- x -->", "FG-SUB-18"),
        (b"<Message><Header>", b"x", "FG-SUB-18"),
        (b"<Message a='", b"x", "FG-SUB-18"),
        (b"<", b"x", "FG-SUB-18"),
        (b"<Message><Children><Child>", b"<Shoe>" + b"9" * 200 + b"</Shoe>", "FG-SUB-18"),
        (b"<Message><Children><Child><LAchildID>", b"9", "FG-SUB-18"),
        (
            XML[: XML.index(b"</Children>")] + b"<Child>",
            b"<Shoe>" + b"9" * 200 + b"</Shoe>",
            "FG-SUB-18",
        ),
        (XML[: XML.index(b"</Children>")] + b"<Child><LAchildID>", b"9", "FG-SUB-18"),
        (XML[: XML.index(b"</Children>")], b"<!-- x -->", "FG-SUB-18"),
        (b"<Quokka>", b"x", "FG-SUB-04"),
    ],
)
def test_xml_without_end_is_given_up_after_little_of_it(
    pack: Pack, head: bytes, again: bytes, code: str
) -> None:
    stream = Endless(head, again)
    tracemalloc.start()
    try:
        with pytest.raises((SubmissionError, ContractError), match=code):
            _read(pack, stream, "council.cin_census")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert stream.given < 2 * MAX_INSIDE + 4 * MEBI
    assert stream.largest <= MEBI
    assert peak < 3 * MAX_INSIDE


@pytest.mark.parametrize(
    ("head", "again", "code"),
    [(b"", b"a", "FG-SUB-17"), (b'PersonID,"', b"a\n", "FG-SUB-17"), (b"PersonID,", b"a,", "FG-SUB-17"),
     (b"PersonID,RecordedOn\n", b"a", "FG-SUB-02"),
     (b'PersonID,RecordedOn\n"', b"a" * 999 + b"\n", "FG-SUB-02")],
)  # fmt: skip
def test_csv_without_end_is_read_in_pieces(
    pack: Pack, head: bytes, again: bytes, code: str
) -> None:
    stream = Endless(head, again, 80 * MEBI)
    tracemalloc.start()
    try:
        with pytest.raises((SubmissionError, ContractError), match=code):
            _read(pack, stream)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert stream.largest <= 16 * MEBI
    assert peak < 400 * MEBI


def test_a_quote_that_never_closes_costs_no_more_than_what_stands_behind_it(pack: Pack) -> None:
    data = CSV + b'C,"' + b"a\n" * (4 * MEBI)
    tracemalloc.start()
    try:
        with pytest.raises(SubmissionError, match="FG-SUB-02"):
            _read(pack, data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * len(data)


def test_rows_in_rows_cost_no_more_than_rows_beside_each_other(pack: Pack) -> None:
    many = 3000
    data = (
        XML_HEAD
        + b"<CINdetails>" * many
        + b"</CINdetails>" * many
        + b"</Child></Children></Message>"
    )
    tracemalloc.start()
    try:
        assert _read(pack, data, "council.cin_census") >= 1
        _, peak = tracemalloc.get_traced_memory()
    except SubmissionError:  # To be refused for its depth is as good.
        peak = 0
    finally:
        tracemalloc.stop()
    assert peak < 15 * MEBI


def test_a_member_that_goes_on_behind_a_forged_sum_is_refused(pack: Pack) -> None:
    with pytest.raises(SubmissionError, match="FG-SUB-(02|14)"):
        _read(pack, _longer_than_stated(forged=True))


@pytest.mark.parametrize(
    "make",
    [
        lambda: workbook(FORMULA.replace("<f>", "<f\n>")),
        lambda: workbook(
            FORMULA.replace("<f>1+1</f>", "<x:f>1+1</x:f>").replace(
                f'xmlns="{SPACE}"', f'xmlns="{SPACE}" xmlns:x="{SPACE}"'
            )
        ),
        lambda: _with(workbook(FORMULA), {}, ("worksheets/sheet1.xml", "sheets/one.xml")),
    ],
    ids=["a-line-break", "a-prefix", "another-folder"],
)
def test_a_formula_is_found_however_it_is_written(pack: Pack, make: Callable[[], bytes]) -> None:
    with pytest.raises(SubmissionError, match="FG-SUB-16"):
        _read(pack, make(), "council.annex_a")


BEHIND = (
    '<extLst xmlns:x14="urn:x14" xmlns:xm="urn:xm"><ext><x14:dataValidations><x14:dataValidation>'
    "<x14:formula1><xm:f>Sheet2!$A$1</xm:f></x14:formula1></x14:dataValidation></x14:dataValidations>"
    "</ext></extLst></worksheet>"
)


def test_what_ordinary_workbooks_hold_beside_their_cells_refuses_none(pack: Pack) -> None:
    """A list that another sheet fills, a drawing that is no XML, a picture with a document type."""
    listed = workbook(SHEET.replace("</worksheet>", BEHIND))
    picture = b'<?xml version="1.0"?><!DOCTYPE svg PUBLIC "x" "y"><svg/>'
    book = _with(listed, {"xl/media/a.svg": picture, "xl/drawings/v.vml": b"<xml><br></xml>"})
    assert _read(pack, book, "council.annex_a") == 1
    sheet = b"<!DOCTYPE w><worksheet><sheetData/></worksheet>"
    with pytest.raises(SubmissionError, match="FG-SUB-02"):
        _read(pack, _with(workbook(), {"xl/worksheets/sheet1.xml": sheet}), "council.annex_a")


def test_a_word_without_end_in_a_workbook_is_given_up(pack: Pack) -> None:
    book = _with(workbook(), {"xl/other.xml": b'<a b="' + b"x" * (40 * MEBI)})
    with pytest.raises(SubmissionError, match="FG-SUB-14"):
        _read(pack, book, "council.annex_a")


CHILD = """
import resource, sys
import tests.unit.test_intake_hazards as hazards
from engine.domain.errors import FieldgateError
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
pack = hazards.policies.load.load_pack(
    hazards.gateways.load.shipped(), hazards.policies.load.shipped())
hazards._read(pack, hazards.workbook(), "council.annex_a")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
code = "none"
try:
    hazards._read(pack, sys.stdin.buffer.read(), "council.annex_a")
except FieldgateError as error:
    code = error.code
print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def _packed(data: bytes) -> bytes:
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return out.getvalue()


def _strings_that_lie() -> bytes:
    """A workbook whose strings unpack to 150 MB while their directory states a few bytes."""
    name = "xl/sharedStrings.xml"
    rels = "xl/_rels/workbook.xml.rels"
    with zipfile.ZipFile(io.BytesIO(workbook())) as archive:
        related = archive.read(rels).replace(
            b"</Relationships>",
            f'<Relationship Id="rId2" Type="{RELATIONS}/sharedStrings" Target="sharedStrings.xml"/>'
            "</Relationships>".encode(),
        )
    one = b"<si><t>" + b"x" * MEBI + b"</t></si>"
    strings = f'<sst xmlns="{SPACE}">'.encode() + one * 150 + b"</sst>"
    return _stating(_with(workbook(), {rels: related, name: strings}), name, 64)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(
            lambda: _packed(workbook(SHEET + " " * (60 * MEBI))),
            id="a-sheet-that-swells",
        ),
        pytest.param(_strings_that_lie, id="strings-that-lie"),
        pytest.param(lambda: workbook(FORMULA), id="a-formula"),
    ],
)
@pytest.mark.deep
def test_a_workbook_that_would_fill_the_memory_is_refused(make: Callable[[], bytes]) -> None:
    """In a process of its own, so that its memory is its own."""
    code, grown = _in_a_process(make())
    assert code in {"FG-SUB-02", "FG-SUB-14", "FG-SUB-16"}
    assert grown < 100 << 10


@pytest.mark.deep
def test_a_cell_at_the_far_end_of_a_sheet_fills_no_memory() -> None:
    """It is the last row of a table with a million empty ones before it, which are only counted."""
    far = SHEET.replace('r="A2"', 'r="A1048576"').replace('<row r="2">', '<row r="1048576">')
    far = far.replace(
        "</c></row></sheetData>", '</c><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    )
    code, grown = _in_a_process(workbook(far))
    assert (code, grown < 100 << 10) == ("none", True)


def _in_a_process(data: bytes) -> tuple[str, int]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=data,
        capture_output=True,
        check=False,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.returncode == 0
    code, grown = done.stdout.decode().split()
    return code, int(grown)


def test_a_header_that_begins_like_an_archive_is_read(pack: Pack) -> None:
    assert _read(pack, b"PKNumber,PersonID,RecordedOn\n1,A,2026-11-01\n") == 1


def test_a_formula_in_a_csv_file_is_found_by_row_and_column_and_not_taken(pack: Pack) -> None:
    head, first, second = CSV.splitlines()
    more = [b"C,=cmd|' /C calc'!A0,,2026-11-01", b"D,@SUM(A1),,2026-11-01", b"E,+x,,2026-11-01"]
    good = [b"F%d,Ada,,2026-11-01" % n for n in range(20)]
    contract = contract_of(pack.sources["council.persons"])
    data = b"\n".join([head, first, second, *more, *good])
    opened = open_delivery(io.BytesIO(data), contract)
    found = prepare(opened, _intake(contract, opened.present))
    (group,) = [one for one in found.findings if one.code == "FG-ROW-16"]
    assert (group.column, group.rows, group.count) == ("Forename", (4, 5, 6), 3)
    assert "calc" not in repr(vars(found))
    assert found.rows_kept == 25
    assert found.identities["given_name"][2:5] == [None, None, None]


def test_wide_characters_with_their_mark_are_read(pack: Pack) -> None:
    text = CSV.decode().replace("Ada", "Zoë")
    assert _read(pack, text.encode("utf-16")) == 2


@pytest.mark.parametrize(
    ("data", "encoding"),
    [(b"caf\xe9", "cp1252"), (b"\x93quoted\x94", "cp1252"), (b"\x81\xe9", "latin-1"),
     ("é".encode(), "utf-8"), ("\ufeffé".encode(), "utf-8-sig"), ("é".encode("utf-16"), "utf-16")],
)  # fmt: skip
def test_the_encoding_is_found_and_recorded(pack: Pack, data: bytes, encoding: str) -> None:
    body = b"PersonID,RecordedOn,Forename\nA,2026-11-01,"
    whole = body + data + b"\n"
    if encoding == "utf-16":
        whole = (body.decode() + "é\n").encode("utf-16")
    if encoding == "utf-8-sig":
        whole = b"\xef\xbb\xbf" + body + "é\n".encode()
    opened = open_delivery(io.BytesIO(whole), contract_of(pack.sources["council.persons"]))
    assert opened.encoding == encoding
    (batch,) = opened.batches
    assert batch.columns["given_name"].to_pylist()[0]


@pytest.mark.parametrize("cell", ["=HYPERLINK(1)", "+cmd", "-x()", "@SUM(A1)"])
def test_a_cell_that_begins_like_a_formula_is_not_taken(cell: str) -> None:
    for kind in ("text", "name", "address"):
        assert check_cell(cell, _spec(type=kind), TODAY) == (None, "FG-ROW-16")


def test_a_quote_that_is_not_doubled_sets_its_row_aside_and_no_other(pack: Pack) -> None:
    data = (b"PersonID,RecordedOn,Forename\nA,2026-11-01,Ada\n"
            b'B,2026-11-01,"Bea "the bee" Fake"\nC,2026-11-01,Cleo\n'
            b'D,2026-11-01,5" pipe\n')  # fmt: skip
    opened = open_delivery(io.BytesIO(data), contract_of(pack.sources["council.persons"]))
    (batch,) = opened.batches
    assert batch.quoted == [3]
    assert batch.lines.tolist() == [2, 4, 5]
    assert batch.columns["given_name"].to_pylist() == ["Ada", "Cleo", '5" pipe']
