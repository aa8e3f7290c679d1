"""Reading and checking: every layout, every fault by row and column, nothing lost."""

from __future__ import annotations

import io
from datetime import date
from typing import Any

import pytest

import gateways.load
import policies.load
from engine.domain.errors import ContractError, RowsRefused, SubmissionError
from engine.domain.records import Prepared
from engine.intake.check import CAUSES, check_cell, severity_of
from engine.intake.contract import Contract, FieldContract, contract_of
from engine.intake.prepare import prepare
from engine.intake.read import open_delivery
from engine.intake.terms import intake_for
from policies.model import Pack
from scoring.tables import load_tables, shipped
from tests.builders.partnership import PERSON_COLUMNS, person_row

TODAY = date(2026, 11, 25)
TABLES = load_tables(shipped())


@pytest.fixture(scope="module")
def pack() -> Pack:
    return policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())


def _prepare(pack: Pack, source: str, data: bytes) -> Prepared:
    spec = pack.sources[source]
    contract = contract_of(spec)
    opened = open_delivery(io.BytesIO(data), contract)
    return prepare(opened, intake_for(pack, contract, opened.present, TABLES, TODAY))


def _csv(*rows: list[str], header: tuple[str, ...] = PERSON_COLUMNS, delimiter: str = ",",
         encoding: str = "utf-8", end: str = "\n") -> bytes:  # fmt: skip
    def cell(text: str) -> str:
        return f'"{text}"' if any(char in text for char in f'{delimiter}"\n') else text

    lines = [delimiter.join(map(cell, row)) for row in [list(header), *rows]]
    return (end.join(lines) + end).encode(encoding)


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimiter_encoding_and_line_end_change_nothing(
    pack: Pack, delimiter: str, encoding: str, end: str
) -> None:
    row = person_row(Forename="Zoë", Address="Flat 1\nLantern Street")
    found = _prepare(
        pack, "council.persons", _csv(row, delimiter=delimiter, encoding=encoding, end=end)
    )
    assert (found.rows_in, found.rows_kept) == (1, 1)
    assert found.identities["given_name"] == ["Zoë"]
    assert found.identities["address"] == ["Flat 1\nLantern Street"]


def test_blank_rows_and_trailing_commas_are_counted_and_are_no_error(pack: Pack) -> None:
    data = _csv(person_row()) + b",,,\n\n" + b"," * 30 + b"\n"
    found = _prepare(pack, "council.persons", data)
    assert (found.rows_in, found.rows_kept, found.dropped) == (4, 1, {"blank": 3})
    assert found.findings == []


def test_a_row_with_too_few_or_too_many_cells_is_dropped_by_its_own_code(pack: Pack) -> None:
    good = [person_row(PersonID=f"LA{n}") for n in range(8)]
    data = _csv(*good, person_row()[:5], [*person_row(), "more"])
    found = _prepare(pack, "council.persons", data)
    assert found.dropped == {"FG-ROW-13": 2}
    assert next(group.rows for group in found.findings if group.code == "FG-ROW-13") == (10, 11)


def test_row_numbers_count_the_header_as_row_one_and_blank_rows_too(pack: Pack) -> None:
    rows = [person_row(PersonID=f"LA{n}") for n in range(9)]
    rows.insert(2, [""] * len(PERSON_COLUMNS))
    rows.append(person_row(PersonID=""))
    found = _prepare(pack, "council.persons", _csv(*rows))
    (group,) = [group for group in found.findings if group.severity == "error"]
    assert (group.code, group.column, group.rows) == ("FG-ROW-01", "PersonID", (12,))


def test_the_last_row_about_a_person_wins_and_a_gap_never_erases(pack: Pack) -> None:
    data = _csv(
        person_row(Forename="Ada", KnownAs="Addie"), person_row(Forename="Ada-Mae", KnownAs="")
    )
    found = _prepare(pack, "council.persons", data)
    assert found.local_keys == ["LA1"]
    assert found.identities["given_name"] == ["Ada-Mae"]
    assert found.identities["preferred_name"] == ["Addie"]


def test_fields_without_a_gateway_leave_no_trace_in_what_was_prepared(pack: Pack) -> None:
    header = ("PatientRef", "NHSNumber", "GivenName", "FamilyName", "BirthDate", "Sex", "Postcode", "Flag",
              "FlagFrom", "RecordedOn")  # fmt: skip
    row = ["R1", "", "Ada", "Fake", "2010-01-02", "F", "", "MH", "2026-01-01", "2026-02-01"]
    found = _prepare(pack, "health.flags", _csv(row, header=header))
    assert len(found.events) == 1
    header_roll = ("PupilID", "UPN", "LegalForename", "LegalSurname", "PreferredForename", "DateOfBirth", "Sex",
                   "AddressLine", "Postcode", "SchoolURN", "OnRollFrom", "OnRollTo", "RecordedOn",
                   "NextDestination", "Ethnicity")  # fmt: skip
    roll = ["P1", "", "Ada", "Fake", "", "2010-01-02", "F", "", "", "10001", "2022-09-01", "", "2026-11-01",
            "NEET", "Quokkan"]  # fmt: skip
    kept = _prepare(pack, "schools.roll", _csv(roll, header=header_roll))
    assert "Quokkan" not in repr(vars(kept))
    assert [event[1] for event in kept.events] == [TABLES.kinds["neet"].id]
    census_header = ("PupilID", "LegalForename", "LegalSurname", "DateOfBirth", "SchoolURN", "OnRollFrom",
                     "RecordedOn", "Ethnicity")  # fmt: skip
    known = ["P1", "Ada", "Fake", "2010-01-02", "10001", "2022-09-01", "2026-11-01", "bcrb"]
    apart = _prepare(pack, "schools.roll", _csv(known, header=census_header))
    assert apart.equality == {"ethnic_group": ["black"]}
    assert "ethnic_group" not in apart.identities
    rent = ["T1", "Ada", "Fake", "02/01/2010", "01/01/2026", "8123.45", "01/02/2026"]
    money = _prepare(pack, "housing.arrears", _csv(rent, header=(
        "TenantRef", "Forename", "Surname", "DOB", "ArrearsSince", "ArrearsAmount", "RecordedOn"
    )))  # fmt: skip
    assert list(money.fields_dropped) == ["Amount owed"]
    assert "8123.45" not in repr(vars(money))


def test_a_row_set_aside_keeps_nothing_of_what_is_for_counts(pack: Pack) -> None:
    header = ("PupilID", "LegalForename", "DateOfBirth", "SchoolURN", "OnRollFrom", "RecordedOn",
              "Ethnicity")  # fmt: skip
    rows = [["P1", "Ada", "2010-01-02", "1", "2022-09-01", "2026-11-01", "WBRI"]] * 5
    rows = [[f"P{n}", *row[1:]] for n, row in enumerate(rows)]
    found = _prepare(pack, "schools.roll", _csv(
        *rows, ["P9", "Bea", "2010-01-02", "", "2022-09-01", "2026-11-01", "BAFR"], header=header
    ))  # fmt: skip
    (aside,) = found.quarantined
    assert "given_name" in aside.cells
    assert "ethnicity" not in aside.cells


def test_a_cell_closed_by_the_persons_age_yields_nothing_and_is_counted(pack: Pack) -> None:
    header = ("PupilID", "LegalForename", "LegalSurname", "DateOfBirth", "SchoolURN", "OnRollFrom",
              "RecordedOn", "NextDestination")  # fmt: skip
    rows = [
        ["P1", "Ada", "Fake", "2010-01-02", "1", "2022-09-01", "2026-11-01", "NEET"],
        ["P2", "Bea", "Fake", "2012-01-02", "1", "2022-09-01", "2026-11-01", "NEET"],
        ["P3", "Cleo", "Fake", "", "1", "2022-09-01", "2026-11-01", "NEET"],
    ]
    found = _prepare(pack, "schools.roll", _csv(*rows, header=header))
    assert [event[0] for event in found.events] == [0]
    assert found.cells_closed == {"destination": 2}


@pytest.mark.finding("SCO-T12")
def test_the_age_band_of_an_event_is_taken_on_its_own_date(pack: Pack) -> None:
    header = ("OccurrenceRef", "NominalRef", "Role", "OffenceType", "Flag", "OccurredOn", "RecordedOn",
              "Forename", "Surname", "DOB")  # fmt: skip
    rows = [
        [f"O{n}", "N1", "SUBJECT", "", "CSE", day, "01/11/2026", "Ada", "Fake", "01/06/2008"]
        for n, day in enumerate(("31/05/2026", "01/06/2026"))
    ]
    found = _prepare(pack, "police.occurrences", _csv(*rows, header=header))
    assert [event[6] for event in found.events] == [1, 2]


def test_attendance_is_sessions_over_sessions_and_never_rows(pack: Pack) -> None:
    header = (
        "PupilID",
        "TermEnd",
        "PossibleSessions",
        "AttendedSessions",
        "Suspended",
        "PermanentlyExcluded",
    )
    rows = [
        ["P1", "2026-07-20", "120", "108", "N", "N"],
        ["P2", "2026-07-20", "120", "107", "N", "N"],
        ["P3", "2026-07-20", "0", "0", "N", "N"],
    ]
    found = _prepare(pack, "schools.attendance", _csv(*rows, header=header))
    assert [event[0] for event in found.events] == [1]


def _field(**changes: Any) -> FieldContract:
    values: dict[str, Any] = {
        "name": "x", "label": "X", "lane": "identity", "part": None, "type": "text", "columns": ("X",),
        "required": False, "formats": ("%Y-%m-%d", "%d/%m/%Y"), "codes": {"a": "alpha"},
        "severity": "warning", "placeholders": frozenset({"unknown"}), **changes,
    }  # fmt: skip
    return FieldContract(**values)


@pytest.mark.parametrize(
    ("kind", "text", "value", "code"),
    [
        ("date", "2026-01-02", "2026-01-02", None),
        ("date", "02/01/2026", "2026-01-02", None),
        ("date", "31/02/2026", None, "FG-ROW-02"),
        ("date", "1900-01-01", None, "FG-ROW-11"),
        ("text", "Unknown", None, "FG-ROW-11"),
        ("code", "A", "alpha", None),
        ("code", "b", None, "FG-ROW-06"),
        ("boolean", "1", "yes", None),
        ("boolean", "false", "no", "FG-ROW-07"),
        ("boolean", "maybe", None, "FG-ROW-06"),
        ("integer", "12", "12", None),
        ("integer", "-1", None, "FG-ROW-12"),
        ("integer", "1.5", None, "FG-ROW-12"),
        ("postcode", "tl1 0aa", "TL1 0AA", None),
        ("postcode", "nowhere", None, "FG-ROW-08"),
        ("nhs_number", "999 000 0018", "9990000018", None),
        ("nhs_number", "9990000019", "9990000019", "FG-ROW-04"),
        ("nhs_number", "0000000000", "0000000000", "FG-ROW-04"),
        ("nhs_number", "invalid", None, "FG-ROW-03"),
        ("upn", "A850728973744", "A850728973744", "FG-ROW-05"),
        ("upn", "temporary", "TEMPORARY", "FG-ROW-05"),
        ("email", "a@example.com", "a@example.com", None),
        ("email", "invalid", None, "FG-ROW-09"),
        ("phone", "07412345678", "07412345678", None),
        ("phone", "invalid", None, "FG-ROW-10"),
        ("name", "O'Dell-Marsh", "O'Dell-Marsh", None),
        ("name", "J£mmy", "J£mmy", "FG-ROW-14"),
    ],
)
def test_each_type_gives_its_value_or_its_code(
    kind: str, text: str, value: str | None, code: str | None
) -> None:
    assert check_cell(text, _field(type=kind), TODAY) == (value, code)
    assert code is None or code in CAUSES


def test_a_birth_date_to_come_is_not_believed() -> None:
    spec = _field(type="date", part="birth_date")
    assert check_cell("2027-01-01", spec, TODAY) == (None, "FG-ROW-15")


@pytest.mark.finding("B37")
def test_a_failed_check_digit_is_a_warning_even_on_a_strict_field() -> None:
    for kind, text in (("nhs_number", "9990000019"), ("upn", "A850728973744")):
        spec = _field(type=kind, severity="error")
        _, code = check_cell(text, spec, TODAY)
        assert code
        assert severity_of(code, spec) == "warning"


@pytest.mark.parametrize("source", ["council.persons", "council.cin_census"])
def test_a_format_that_the_source_never_sends_is_refused(pack: Pack, source: str) -> None:
    contract: Contract = contract_of(pack.sources[source])
    data = b"<Message/>" if source == "council.persons" else b"a,b\n1,2\n"
    with pytest.raises(ContractError, match="FG-SUB-03"):
        open_delivery(io.BytesIO(data), contract)


@pytest.mark.parametrize(
    "data",
    [
        b'<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]><Message><Children><Child>&x;</Child></Children></Message>',
        b'<!DOCTYPE m [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><Message><Children><Child>&b;</Child></Children></Message>',
    ],
)
def test_entities_and_document_types_are_refused(pack: Pack, data: bytes) -> None:
    contract = contract_of(pack.sources["council.cin_census"])
    with pytest.raises(SubmissionError, match="FG-SUB-0[25]"):
        list(open_delivery(io.BytesIO(data), contract).batches)


def test_comments_and_unknown_elements_are_passed_over_and_unknown_ones_named(pack: Pack) -> None:
    data = (
        b"<Message><!-- c --><Children><Child><!-- c --><ChildIdentifiers><LAchildID>1</LAchildID>"
        b"<Shoe>9</Shoe></ChildIdentifiers></Child></Children></Message>"
    )
    found = _prepare(pack, "council.cin_census", data)
    assert (found.rows_in, found.local_keys, found.columns_unknown) == (1, ["1"], ("Shoe",))


def test_two_plans_of_one_child_stay_two_states(pack: Pack) -> None:
    plan = b"<CINdetails><ChildProtectionPlans><CPPstartDate>%s</CPPstartDate></ChildProtectionPlans></CINdetails>"
    data = (
        b"<Message><Children><Child><ChildIdentifiers><LAchildID>1</LAchildID></ChildIdentifiers>"
        + plan % b"2024-01-01" + plan % b"2025-01-01" + b"</Child></Children></Message>"
    )  # fmt: skip
    found = _prepare(pack, "council.cin_census", data)
    assert {name: one["in"] for name, one in found.tables.items()} == {
        "child": 1,
        "referral": 2,
        "plan": 2,
    }
    assert (len(found.local_keys), len(found.states)) == (1, 2)


def test_what_a_check_closes_on_the_only_line_of_a_file_takes_no_row_along(pack: Pack) -> None:
    child = "<CHILD><CHILDID>C{}</CHILDID><DOB>01/02/2012</DOB><EPISODE><DECOM>0{}/03/2024</DECOM></EPISODE></CHILD>"
    people = "".join(child.format(n, 1 + n % 9) for n in (*range(20), 7))
    found = _prepare(
        pack, "council.looked_after", f"<EXPSSDA903>{people}</EXPSSDA903>".encode()
    )  # A child stands twice in the header: both rows of it are closed, and no other.
    assert (found.rows_in, found.rows_kept, found.dropped) == (42, 40, {"lac.once": 2})
    assert len(found.local_keys) == 20
    assert found.tables["episodes"] == {"in": 21, "kept": 21, "dropped": 0}
    assert (len(found.states), len(found.identities["birth_date"])) == (21, 20)
    assert found.identities["birth_date"].count(None) == 1
    (twice,) = [one for one in found.findings if one.check == "lac.once"]
    assert (twice.rows, twice.keys) == ((1, 1), ("C7", "C7"))


def test_a_file_of_bad_rows_only_is_refused_with_all_causes(pack: Pack) -> None:
    bad = person_row(PersonID="", RecordedOn="x", Gender="Q", BirthDate="x")
    with pytest.raises(RowsRefused, match="FG-SUB-11") as caught:
        _prepare(pack, "council.persons", _csv(bad, bad))
    assert {reason.split(" ")[1] for reason in caught.value.reasons} == {
        "FG-ROW-01",
        "FG-ROW-02",
        "FG-ROW-06",
    }


@pytest.mark.parametrize("text", ["#REF!", "#N/A", "#div/0!", "#NAME?"])
def test_the_mark_of_a_failed_formula_is_no_value(pack: Pack, text: str) -> None:
    """It would else be the key of every record in whose row a lookup failed."""
    rows = [person_row(PersonID=f"LA{n}") for n in range(30)]
    found = _prepare(pack, "council.persons", _csv(*rows, person_row(PersonID=text)))
    (group,) = [one for one in found.findings if one.code == "FG-ROW-16"]
    assert (group.rows, group.count) == ((32,), 1)
    assert text not in found.local_keys


@pytest.mark.parametrize("text", ["N/A", "Unknown", "TBC", "-", "not known"])
def test_what_stands_in_place_of_an_identity_is_not_known_and_drops_nobody(
    pack: Pack, text: str
) -> None:
    rows = [person_row(PersonID=f"LA{n}") for n in range(30)]
    mixed = person_row(PersonID="LA99", NHSNumber=text, Postcode=text, Forename=text)
    found = _prepare(pack, "council.persons", _csv(*rows, mixed))
    assert found.rows_kept == 31
    at = found.local_keys.index("LA99")
    assert {found.identities[part][at] for part in ("nhs_number", "postcode", "given_name")} == {
        None
    }


@pytest.mark.finding("B28")
@pytest.mark.parametrize("prefix", ["BG", "GB", "KN", "NK", "NT", "TN", "ZZ", "DA", "AO"])
def test_a_prefix_that_was_never_issued_is_no_insurance_number(prefix: str) -> None:
    spec = _field(type="nino")
    assert check_cell(f"{prefix} 12 34 56 A", spec, TODAY)[1] == "FG-ROW-19"
    assert check_cell("AB 12 34 56 C", spec, TODAY) == ("AB123456C", None)


@pytest.mark.finding("LNK-7")
def test_a_birth_date_that_a_form_filled_in_is_told_and_identifies_nobody(pack: Pack) -> None:
    dates = [("2026-02-03", "2026-02-03"), ("2010-02-03", "2026-02-03"), ("2026-01-01", "2026-01-01"),
             ("", "2026-02-03")]  # fmt: skip
    rows = [f"E{n},{born},{referred},2026-03-01" for n, (born, referred) in enumerate(dates)]
    data = "\n".join(["ClientRef,DateOfBirth,ReferredOn,RecordedOn", *rows]) + "\n"
    found = _prepare(pack, "exploitation.acceptances", data.encode())
    assert found.rows_kept == 4
    assert found.identities["birth_date"] == [None, "2010-02-03", None, None]
    (told,) = [one for one in found.findings if one.check == "exa.form_day"]
    assert (told.count, told.rows, told.severity) == (2, (2, 4), "warning")
    assert found.quality["birth_date"] == {"good": 1, "weak": 0, "unusable": 2, "missing": 1}


@pytest.mark.finding("SCO-T1")
def test_what_a_review_by_a_list_found_is_marked_and_the_rest_is_taken_at_its_word(
    pack: Pack,
) -> None:
    header = "NominalRef,OccurrenceRef,Role,Flag,OccurredOn,RecordedOn,RaisedBy"
    rows = [
        f"N{n},O{n},VICTIM,CSE,01/10/2026,02/10/2026,{by}"
        for n, by in enumerate(("Review list", "Report", "", "Review list"))
    ]
    found = _prepare(pack, "police.occurrences", ("\n".join([header, *rows]) + "\n").encode())
    assert found.event_rows.ints["review"].tolist() == [1, 0, 0, 1]
    # A system that does not send the column says nothing of it, and its rows are events all the same.
    plain = "\n".join(line.rsplit(",", 1)[0] for line in [header, *rows]) + "\n"
    assert (
        _prepare(pack, "police.occurrences", plain.encode()).event_rows.ints["review"].tolist()
        == [0] * 4
    )
