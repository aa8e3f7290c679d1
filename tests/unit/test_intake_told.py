"""What a reader left out or chose is told: values that stand twice, lines above a header, hidden files."""

from __future__ import annotations

import hashlib
import hmac
import io
import zipfile
from datetime import date
from typing import Any

import pytest

import gateways.load
import policies.load
from engine.domain.errors import ContractError, SubmissionError
from engine.domain.records import FindingGroup, Prepared
from engine.flows.incoming import window_of
from engine.intake.contract import contract_of
from engine.intake.csv_head import sample_of
from engine.intake.package import members_of
from engine.intake.prepare import prepare
from engine.intake.read import open_delivery
from engine.intake.terms import intake_for
from policies.model import Pack
from scoring.tables import load_tables, shipped
from tests.builders.partnership import PERSON_COLUMNS, person_row

TODAY = date(2026, 11, 25)
TABLES = load_tables(shipped())
CHILD = (
    "<Child><ChildIdentifiers><LAchildID>X{n}</LAchildID>{more}"
    "<PersonBirthDate>2012-03-04</PersonBirthDate></ChildIdentifiers>"
    "<CINdetails><CINreferralDate>2025-05-0{n}</CINreferralDate>{details}</CINdetails></Child>"
)


@pytest.fixture(scope="module")
def pack() -> Pack:
    return policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())


def _prepare(pack: Pack, source: str, data: bytes, today: date = TODAY, **more: Any) -> Prepared:
    contract = contract_of(pack.sources[source])
    opened = open_delivery(members_of([("upload", io.BytesIO(data))]), contract)
    return prepare(opened, intake_for(pack, contract, opened.present, TABLES, today, **more))


def _cin(*children: str) -> bytes:
    return f"<Message><Children>{''.join(children)}</Children></Message>".encode()


def _found(prepared: Prepared, code: str) -> list[FindingGroup]:
    return [one for one in prepared.findings if one.code == code]


def _csv(*rows: list[str]) -> str:
    return "".join(",".join(row) + "\n" for row in [list(PERSON_COLUMNS), *rows])


def test_an_element_that_stands_twice_is_told_and_an_empty_first_one_loses_nothing(
    pack: Pack,
) -> None:
    twice = CHILD.format(n=1, more="<UPN>A001</UPN>\n<UPN>B002</UPN>", details="")
    same = CHILD.format(n=2, more="<UPN>C003</UPN><UPN>C003</UPN>", details="")
    empty = CHILD.format(n=3, more="<UPN></UPN><UPN>D004</UPN>", details="")
    found = _prepare(pack, "council.cin_census", _cin(twice, same, empty))
    (group,) = _found(found, "FG-ROW-24")
    assert (group.column, group.count, group.rows, group.severity) == ("UPN", 1, (2,), "warning")
    assert found.identities["upn"][:2] == ["A001", "C003"]
    assert found.identities["upn"][2] == "D004"


def test_a_check_of_an_element_that_no_child_has_is_skipped_and_not_passed(pack: Pack) -> None:
    bare = _prepare(pack, "council.cin_census", _cin(CHILD.format(n=1, more="", details="")))
    by_id = {one["id"]: one for one in bare.checks}
    assert by_id["cin.order"]["status"] == "skipped"
    assert "closed_on" in by_id["cin.order"]["why"]
    assert by_id["cin.future"]["status"] == "run"
    closed = "<CINclosureDate>2025-04-01</CINclosureDate>"
    full = _prepare(
        pack, "council.cin_census",
        _cin(CHILD.format(n=1, more="", details=""), CHILD.format(n=2, more="", details=closed)),
    )  # fmt: skip
    order = next(one for one in full.checks if one["id"] == "cin.order")
    assert (order["status"], order["found"]) == ("run", 1)


@pytest.mark.parametrize("above", [
    "Children known to social care\n", "Made on,2026-11-01\n\n", "sep=,\n", "\ufeffsep=,\r\n",
    '"A title, with a comma"\n,,,\n',
])  # fmt: skip
def test_lines_above_the_header_are_not_rows_and_are_told_with_their_numbers(
    pack: Pack, above: str
) -> None:
    plain = _prepare(pack, "council.persons", _csv(person_row()).encode())
    found = _prepare(pack, "council.persons", (above + _csv(person_row())).encode())
    (group,) = _found(found, "FG-ROW-25")
    assert group.rows == tuple(range(1, above.count("\n") + 1))
    assert (found.rows_in, found.identities) == (plain.rows_in, plain.identities)


def test_a_separator_that_is_stated_is_believed(pack: Pack) -> None:
    text = "sep=;\n" + _csv(person_row(Address="1 Fake Road")).replace(",", ";")
    found = _prepare(pack, "council.persons", text.encode())
    assert (found.rows_kept, len(_found(found, "FG-ROW-25"))) == (1, 1)
    assert sample_of(io.BytesIO(b"sep=;\na;b,c\n1;2\n"), 5) == [["a", "b,c"], ["1", "2"]]


def test_rows_are_counted_from_the_first_line_of_the_file_below_a_title(pack: Pack) -> None:
    rows = [person_row(PersonID=f"LA{n}") for n in range(9)]
    text = "A title\n\n" + _csv(*rows, person_row(RecordedOn="no day"))
    found = _prepare(pack, "council.persons", text.encode())
    (group,) = [one for one in found.findings if one.severity == "error"]
    assert group.rows == (13,)


def test_a_file_without_a_header_is_still_refused_and_says_what_is_missing(pack: Pack) -> None:
    body = "".join(",".join(person_row(PersonID=f"LA{n}")) + "\n" for n in range(30))
    with pytest.raises(ContractError, match="FG-SUB-04"):
        _prepare(pack, "council.persons", body.encode())
    misspelt = "A title\n" + _csv(person_row()).replace("PersonID", "PersonNumber")
    with pytest.raises(ContractError, match="required columns are missing: PersonID"):
        _prepare(pack, "council.persons", misspelt.encode())


def test_a_layout_that_is_no_longer_sent_is_told_unless_it_is_a_back_load(pack: Pack) -> None:
    spec = pack.sources["schools.census"]
    contract = contract_of(spec)
    last = [(one.id, one.last) for one in contract.layouts]
    assert last == [("2024-autumn", "2024-12-31"), ("2025-spring", "")]
    table = contract.layouts[0].of_table(contract.fields["authorised"].table)
    names = [one.columns[0] for one in table.values() if one.columns]
    row = ["X1" if spec.required else "" for spec in table.values() if spec.columns]
    data = (",".join(names) + "\n" + ",".join(row) + "\n").encode()
    stream = [("pupilnolongeronroll.csv", io.BytesIO(data))]

    def codes(today: date, *, history: bool) -> list[str]:
        opened = open_delivery(members_of(stream), contract)
        intake = intake_for(pack, contract, opened.present, TABLES, today, history=history)
        return [one.code for one in prepare(opened, intake).findings]

    assert "FG-ROW-26" in codes(TODAY, history=False)
    assert "FG-ROW-26" not in codes(TODAY, history=True)
    assert "FG-ROW-26" not in codes(date(2026, 12, 1), history=True)


def _zip(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


def test_only_what_a_system_leaves_behind_is_passed_over_in_a_zip(pack: Pack) -> None:
    good = ("persons.csv", _csv(person_row()).encode())
    left = [("__MACOSX/._persons.csv", b"x"), (".DS_Store", b"x"), ("a/Thumbs.db", b"x")]
    assert _prepare(pack, "council.persons", _zip(good, *left)).rows_in == 1
    hidden = (".more.csv", _csv(person_row(PersonID="LB1"), person_row(PersonID="LB2")).encode())
    assert _prepare(pack, "council.persons", _zip(good, *left, hidden)).rows_in == 3


def test_the_key_of_repaired_cells_tells_their_agency_which_cells_they_were(pack: Pack) -> None:
    key = bytes(range(32))
    row = person_row(NHSNumber="943 476 5919", Postcode="zz9 9zz")
    found = _prepare(pack, "council.persons", _csv(row).encode(), key=key)
    assert found.repair_key == key
    expected = hmac.new(key, b"943 476 5919", hashlib.sha256).hexdigest()[:32]
    assert expected in {before for *_, before, _ in found.repaired}


@pytest.mark.parametrize(("first", "last"), [
    ("2026-10-01", ""), ("", "2026-10-01"), ("2026-10-02", "2026-10-01"), ("soon", "later"),
])  # fmt: skip
def test_a_window_of_one_end_or_back_to_front_is_refused(first: str, last: str) -> None:
    with pytest.raises(SubmissionError, match="FG-SUB-30") as caught:
        window_of(first, last)
    assert "soon" not in str(caught.value)
    assert window_of(" ", "") is None
    assert window_of("2026-10-01", "2026-10-01") == (date(2026, 10, 1), date(2026, 10, 1))
