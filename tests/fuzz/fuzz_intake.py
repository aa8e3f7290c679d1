"""Feed reading with bytes that coverage leads to: ``make fuzz``.

Whatever comes, reading ends with an answer or with an error of ours, and rows in are rows kept and
dropped. The first byte chooses what the others are: a whole file, or what stands in one that begins and
ends well, so that little chance is spent on finding out what a file looks like.
"""

from __future__ import annotations

import io
import re
import sys
import zipfile
from collections.abc import Callable
from datetime import date

TODAY = date(2026, 11, 25)
PERSONS = b"PersonID,NHSNumber,Forename,BirthDate,Postcode,Address,RecordedOn\n"
POLICE = b"OccurrenceRef,NominalRef,Role,OccurredOn,RecordedOn,Forename,MOText\n"
SPACE = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
PLACES = b"http://schemas.openxmlformats.org/officeDocument/2006/relationships"
BOOK = {
    "[Content_Types].xml": b"<Types/>",
    "xl/workbook.xml": b'<workbook xmlns="%s" xmlns:r="%s"><sheets><sheet name="List 1" sheetId="1" '
    b'r:id="rId1"/></sheets></workbook>' % (SPACE, PLACES),
    "xl/_rels/workbook.xml.rels": b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
    b'relationships"><Relationship Id="rId1" Type="%s/worksheet" Target="worksheets/sheet1.xml"/>'
    b"</Relationships>" % PLACES,
}
# A far cell makes the workbook reader take all memory, which ends the process; other ways are tried.
FAR = re.compile(rb"[0-9]{4,}|[A-Z]{3,}[0-9]")


def _archive(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def _sheet(data: bytes) -> bytes:
    sheet = (
        b'<worksheet xmlns="%s"><sheetData><row r="1"><c r="A1" t="str"><v>Unique ID</v></c></row>'
        b'<row r="2"><c r="A2" t="str"><v>X1</v></c>%s</row></sheetData></worksheet>'
        % (SPACE, FAR.sub(b"", data))
    )
    return _archive({**BOOK, "xl/worksheets/sheet1.xml": sheet})


def _utf16(data: bytes) -> bytes:
    return (PERSONS + data).decode("latin-1").encode("utf-16")


FORMS: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    ("council.persons", lambda data: data),
    ("council.persons", lambda data: PERSONS + data),
    ("council.persons", _utf16),
    ("council.persons", lambda data: _archive({"a.csv": PERSONS + data})),
    ("council.persons", lambda data: b"PK\x03\x04" + data),
    ("police.occurrences", lambda data: POLICE + data),
    ("schools.class_list", lambda data: data),
    ("council.cin_census", lambda data: data),
    ("council.cin_census", lambda data: b"<Message><Children><Child>" + data),
    ("council.cin_census",
     lambda data: b"<Message><Children><Child>" + data + b"</Child></Children></Message>"),
    ("schools.ctf", lambda data: data),
    ("council.annex_a", _sheet),
)  # fmt: skip


def target() -> Callable[[bytes], None]:
    """Return the function that is fed; what it needs is imported here, so that it is instrumented."""
    import gateways.load
    import policies.load
    from engine.domain.errors import FieldgateError
    from engine.intake.contract import contract_of
    from engine.intake.package import members_of
    from engine.intake.prepare import prepare
    from engine.intake.read import open_delivery
    from engine.intake.terms import Intake, intake_for
    from scoring.tables import load_tables, shipped

    pack = policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())
    tables = load_tables(shipped())
    contracts = {source: contract_of(pack.sources[source]) for source, _ in FORMS}
    known: dict[tuple[str, tuple[str, ...]], Intake] = {}

    def intake(source: str, present: tuple[str, ...]) -> Intake:
        # What a source may send is the same every time; asking is slow, reading is what is tried.
        if (source, present) not in known:
            known[source, present] = intake_for(pack, contracts[source], present, tables, TODAY)
        return known[source, present]

    def feed(data: bytes) -> None:
        source, form = FORMS[(data[:1] or b"\0")[0] % len(FORMS)]
        contract = contracts[source]
        try:
            opened = open_delivery(members_of([("upload", io.BytesIO(form(data[1:])))]), contract)
            found = prepare(opened, intake(source, tuple(opened.present)))
        except FieldgateError as error:
            if not error.next_step:
                raise AssertionError("an error of ours says no next step") from error
            return
        if found.rows_in != found.rows_kept + sum(found.dropped.values()):
            raise AssertionError("rows do not reconcile")

    return feed


def main() -> None:
    """Run until the time that the arguments give is over."""
    import atheris

    with atheris.instrument_imports(include=["engine.intake"]):
        feed = target()
    atheris.Setup(sys.argv, feed)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
