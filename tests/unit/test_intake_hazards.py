"""Files that mean harm, or look as if they did: each refused by its own code, within bounded memory."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

import gateways.load
import policies.load
from engine.domain.errors import ContractError, SubmissionError
from engine.intake.check import check_cell
from engine.intake.contract import contract_of
from engine.intake.package import MAX_MEMBERS, members_of
from engine.intake.read import open_delivery
from policies.model import Pack
from tests.builders.partnership import TODAY
from tests.property.test_intake_reading import CSV, SHEET, _spec, workbook

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


def _longer_than_stated() -> bytes:
    """An archive whose directory says that a member is short while it goes on and on."""
    data = bytearray(_zip(("a.csv", CSV + b"x" * 200_000)))
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(mark) + place
        data[at : at + 4] = struct.pack("<I", len(CSV))
    return bytes(data)


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
    ("a-member-longer-than-stated", "council.persons", _longer_than_stated, "FG-SUB-0[24]"),
    ("a-path-upwards", "council.persons", lambda: _zip(("../a.csv", CSV)), "FG-SUB-13"),
    ("a-path-from-the-root", "council.persons", lambda: _zip(("/etc/a.csv", CSV)), "FG-SUB-13"),
    ("a-path-of-another-system", "council.persons", lambda: _zip(("c:\\a.csv", CSV)), "FG-SUB-13"),
    ("a-link", "council.persons", _link, "FG-SUB-13"),
    ("a-locked-archive", "council.persons", _locked, "FG-SUB-12"),
    ("an-archive-in-an-archive", "council.persons",
     lambda: _zip(("a.zip", _zip(("a.csv", CSV)))), "FG-SUB-15"),
    ("a-formula-in-a-workbook", "council.annex_a",
     lambda: workbook(SHEET.replace("<is><t>X1</t></is>", "<f>1+1</f><v>2</v>")), "FG-SUB-16"),
    ("ten-million-columns", "council.persons", lambda: b"a," * 10_000_000, "FG-SUB-17"),
    ("a-header-without-end", "council.persons", lambda: b'"' + b"a" * (3 * MEBI), "FG-SUB-17"),
    ("three-thousand-columns", "council.persons",
     lambda: b",".join(b"c%d" % n for n in range(3000)) + b"\n1\n", "FG-SUB-17"),
    ("a-cell-without-end", "council.persons",
     lambda: CSV + b'C,"' + b"x" * (2 * MEBI) + b"\n", "FG-SUB-02"),
    ("a-person-without-end", "council.cin_census",
     lambda: XML_HEAD + b"<CINdetails/>" * (4 * MEBI), "FG-SUB-18"),
    ("an-old-workbook", "council.annex_a", lambda: b"\xd0\xcf\x11\xe0" + bytes(600), "FG-SUB-02"),
    ("a-document", "council.persons", lambda: b"%PDF-1.7\n", "FG-SUB-02"),
    ("an-object", "council.persons", lambda: b'{"a": 1}', "FG-SUB-02"),
    ("zero-bytes", "council.persons", lambda: CSV + bytes(10), "FG-SUB-02"),
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
