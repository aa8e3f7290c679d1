"""Public files of many systems, each with what a correct reader makes of it (realdata/MANIFEST.md)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import gateways.load
import policies.load
from engine.domain.errors import ContractError, FieldgateError, RowsRefused, SubmissionError
from engine.flows.contract_try import try_contract
from engine.intake.contract import contract_of
from engine.intake.contract_lint import contract_problems
from engine.intake.cross import RULES
from engine.intake.derive import derived_fields, example_problems
from policies.model import Pack
from tests.builders.partnership import person_row, persons_file, write_csv

TODAY = date(2026, 11, 25)
RETURN = ("header", "episodes", "missing", "placed_for_adoption", "reviews", "sw_episodes", "DoLo",
          "oc2", "oc3", "uasc", "ad1", "previous_permanence")  # fmt: skip


@pytest.fixture(scope="module")
def pack() -> Pack:
    return policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())


@dataclass(frozen=True)
class Expected:
    """What a delivery of public files gives: all of it, so that nothing else is found and nothing lost.

    Attributes:
        rows: Rows in, and kept.
        dropped: Reason to the rows that it closed.
        tables: Table to rows in, where the source has several.
        found: Check id, or code and column, to the number of findings.
        made: Records, events and states, where they are known.
        layout: End of the layout that was told.
        lines: The same key to the lines it names, where they are few.
    """

    source: str
    files: tuple[str, ...]
    rows: tuple[int, int]
    dropped: dict[str, int] = field(default_factory=dict)
    tables: dict[str, int] = field(default_factory=dict)
    found: dict[str, int] = field(default_factory=dict)
    made: tuple[int, int, int] | None = None
    layout: str = ""
    lines: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """A delivery of which nothing is taken.

    Attributes:
        code: The one code it is refused with.
        told: Check id, or code and column, to the lines it names; all of them.
    """

    source: str
    file: str
    code: str
    told: dict[str, list[int]] = field(default_factory=dict)


CIN = "council.cin_census"
LAC = "council.looked_after"
CLASS = "schools.class_list"
LISTS = "school_health/class_import"
ONE = {"child": 1, "disability": 2, "referral": 1, "plan": 1}
UPN, NFA = "FG-ROW-05 UPN", "FG-ROW-07 ReferralNFA"
# A pupil number from before, read so that it can be followed to the present one (LNK-22).
WAS = "FG-ROW-05 FormerUPN"
ACCEPTED = [
    # The assessment began on 1970-06-03 and the referral came on 1970-10-06: out of order, and kept.
    Expected(CIN, ("cin/CIN_Census_2021.xml",), (5, 5), {}, ONE, {"cin.assessed": 1, UPN: 1, WAS: 1},
             (1, 1, 2), "/2021", {"cin.assessed": [36]}),
    # Sex stands in place of GenderCurrent: the newer layout is told, and nobody is set aside.
    Expected(CIN, ("cin/CIN_Census_2024.xml",), (8, 8), {},
             {"child": 2, "disability": 3, "referral": 2, "plan": 1},
             {"cin.assessed": 1, UPN: 1, WAS: 1, NFA: 1}, (2, 2, 3), "/2024-2026"),
    Expected(CIN, ("cin/CIN2rows.xml",), (6, 6), {}, {**ONE, "plan": 2}, {UPN: 1, WAS: 1}, (1, 1, 3)),
    Expected(CIN, ("cin/BAR_cin_2022.xml",), (5, 5), {}, ONE, {"cin.assessed": 1, UPN: 1, WAS: 1, NFA: 1},
             (1, 1, 2), "/2021"),
    Expected(CIN, ("cin/fake_CIN_data.xml",), (851, 851), {},
             {"child": 332, "referral": 402, "disability": 117},
             {NFA: 402, UPN: 320, "cin.future": 2, "cin.reference_date": 1}, (332, 402, 402), "/2021",
             {"cin.future": [3692, 6453]}),
    # Two of the reviews stand there twice, and five children have two open episodes each.
    Expected(LAC, tuple(f"ssda903/{name}.csv" for name in RETURN), (25_945, 25_943),
             {"lac.review_once": 2},
             {"header": 2675, "episodes": 5050, "missing": 43, "placed_for_adoption": 29,
              "reviews": 12_582, "social_workers": 2, "outcomes": 2728, "others": 2836},
             {"lac.review_once": 2, "lac.one_open": 10, "lac.overlap": 82,
              "FG-ROW-06 REASON_PLACED_CEASED": 29, UPN: 2568}, None, "/ssda903",
             {"lac.review_once": [9826, 12_074]}),
    Expected(LAC, ("ssda903/placed_for_adoption.csv",), (29, 29), {}, {"placed_for_adoption": 29},
             {"FG-ROW-06 REASON_PLACED_CEASED": 29}, (29, 0, 0)),
    Expected(LAC, ("ssda903/placed_for_adoption_errors.csv",), (30, 30), {},
             {"placed_for_adoption": 30},
             {"FG-ROW-06 REASON_PLACED_CEASED": 30, "lac.placed_once": 2}, (29, 0, 0), "",
             {"lac.placed_once": [2, 3]}),
    # A mark before the first column, and a last line without an end.
    Expected(LAC, ("ssda903/sw_episodes.csv",), (1, 1), {}, {"social_workers": 1}, {}, (1, 0, 0)),
    Expected(LAC, ("ssda903/DoLo.csv",), (1, 1), {}, {"social_workers": 1}, {}, (1, 0, 0)),
    # Built to need repairs: overlaps are told, and every row stays as it was sent.
    Expected(LAC, ("ssda903/liia_episodes_fix_INPUT.csv",), (23, 23), {}, {"episodes": 23},
             {"lac.overlap": 8}, (10, 0, 23)),
    Expected("schools.census", ("school_census/2024_autumn_pupilnolongeronroll.csv",
                                "school_census/2024_autumn_termlysessiondetailsoffroll.csv"),
             (1636, 1636), {}, {"leavers": 308, "sessions": 1328},
             {"FG-ROW-05 upn": 308, "FG-ROW-05 formerupn": 308, "FG-ROW-26 (header)": 1},
             (297, 0, 308), "/2024-autumn + schools.census/2025-spring"),
    # 221 fixed-term and 183 permanent exclusions; 112 at lunchtime lead to nothing.
    Expected("schools.census", ("school_census/2025_spring_pupilnolongeronroll.csv",
                                "school_census/2025_spring_termlyexclusionsoffroll.csv"),
             (891, 891), {}, {"leavers": 375, "exclusions": 516},
             {"FG-ROW-05 upn": 375, "FG-ROW-05 formerupn": 375},
             (354, 221 + 183, 375), "/2025-spring"),
    Expected("schools.ctf", ("handmade/ctf_pupils.xml",), (3, 3), {}, {"pupils": 3},
             {"ctf.twins": 2, "FG-ROW-02 DOB": 1, UPN: 1, WAS: 1}, (3, 0, 0), "",
             {"ctf.twins": [6, 8], "FG-ROW-02 DOB": [7], UPN: [7]}),
    # 25:61 closes its row, 31/02 is not believed, and a year alone is kept as one.
    Expected("police.storm_calls", ("handmade/storm_call_cards.csv",), (4, 3), {"FG-ROW-02": 1}, {},
             {"FG-ROW-02 ReceivedAt": 1, "FG-ROW-02 SubjectDOB": 1, "FG-ROW-18 SubjectDOB": 1},
             (2, 1, 0), "/storm", {"FG-ROW-02 ReceivedAt": [4], "FG-ROW-02 SubjectDOB": [4],
                                   "FG-ROW-18 SubjectDOB": [5]}),
    # Two date layouts in a column, spaces in a number, and a last line of commas that is no row.
    Expected(CLASS, (f"{LISTS}/valid.csv",), (5, 4), {"blank": 1}, {}, {}, (4, 0, 0)),
    Expected(CLASS, (f"{LISTS}/valid_minimal.csv",), (1, 1), {}, {}, {}, (1, 0, 0)),
    Expected(CLASS, (f"{LISTS}/valid_instruction_row.csv",), (2, 1), {"blank": 1}, {}, {}, (1, 0, 0)),
    Expected(CLASS, (f"{LISTS}/valid_with_bom.csv",), (1, 1), {}, {}, {}, (1, 0, 0)),
    Expected(CLASS, (f"{LISTS}/valid_extra_fields.csv",), (3, 3), {}, {}, {}, (3, 0, 0)),
    Expected(CLASS, (f"{LISTS}/duplicates.csv",), (3, 3), {}, {}, {}, (3, 0, 0)),
    Expected(CLASS, (f"{LISTS}/review_one.csv",), (4, 4), {}, {}, {}, (4, 0, 0)),
    Expected(CLASS, (f"{LISTS}/review_two.csv",), (5, 5), {}, {}, {}, (5, 0, 0)),
    Expected(CLASS, (f"{LISTS}/review_one_new_patient.csv",), (1, 1), {}, {}, {}, (1, 0, 0)),
    Expected(CLASS, (f"{LISTS}/pds_extravaganza.csv",), (1, 1), {}, {}, {}, (1, 0, 0)),
    # Addresses with line breaks in quotes: 500 rows of 1,767 lines.
    Expected("council.extract", ("family_context/csc.csv",), (500, 500), {}, {},
             {"FG-ROW-06 Gender": 9}, (500, 500, 0)),
    Expected("schools.extract", ("family_context/education.csv",), (500, 500), {}, {},
             {"FG-ROW-06 Gender": 9}, (500, 500, 0)),
]  # fmt: skip

REFUSED = [
    Refused(CLASS, f"{LISTS}/empty.csv", "FG-SUB-10"),
    Refused(CLASS, f"{LISTS}/malformed.csv", "FG-SUB-04"),
    Refused(CLASS, f"{LISTS}/invalid_minimal.csv", "FG-SUB-11",
            {"FG-ROW-01 CHILD_DATE_OF_BIRTH": [2]}),
    # The line that explains the columns counts as a line.
    Refused(CLASS, f"{LISTS}/invalid_instruction_row.csv", "FG-SUB-11",
            {"FG-ROW-01 CHILD_DATE_OF_BIRTH": [3]}),
    Refused(CLASS, f"{LISTS}/invalid_fields.csv", "FG-SUB-11",
            {"FG-ROW-01 CHILD_LAST_NAME": [3], "FG-ROW-01 CHILD_FIRST_NAME": [8],
             "FG-ROW-01 CHILD_DATE_OF_BIRTH": [9], "FG-ROW-09 PARENT_1_EMAIL": [14],
             "FG-ROW-10 PARENT_1_PHONE": [15], "FG-ROW-02 CHILD_DATE_OF_BIRTH": [16],
             "FG-ROW-08 CHILD_POSTCODE": [17], "FG-ROW-03 CHILD_NHS_NUMBER": [18],
             "cls.nhs": [4, 5, 6, 7, 10, 11, 12]}),
    # A day to come and a row without a number are two of five rows; the placeholder of row 6 is told.
    Refused("police.occurrences", "handmade/niche_occurrences.csv", "FG-SUB-11",
            {"occ.future": [6], "FG-ROW-01 NicheID": [7], "FG-ROW-11 DOB": [6],
             "FG-ROW-11 Forenames": [6], "FG-ROW-11 Surname": [6]}),
    # The lists of another inspection, about special needs.
    Refused("council.annex_a", "annex_a/fake_sen.xlsx", "FG-SUB-04"),
    Refused(CIN, "cin/CIN_header_issues_100.xml", "FG-SUB-26"),
]  # fmt: skip

STREET = tuple(
    f"handmade/2026-01-avon-and-somerset-{name}.csv" for name in ("street", "stop-and-search")
)
ELSEWHERE = {
    "cin/CIN_schema_2022.xsd": "a schema",
    "cin/CIN_schema_2024.xsd": "a schema",
    "cin/expected_issue_report_sample.json": "a peer's answer",
    "ssda903/child_summary_expected.json": "a peer's answer",
    "police/police_api_street_crimes_2023-01.json": "taken by no contract, below",
    "police/forces.csv": "names of forces; nobody is in it",
    "handmade/cardinality_twins.csv": "four agencies in one file, a truth for linkage",
    **dict.fromkeys(STREET, "taken by no contract, below"),
}
FOLDERS = ("cin", "ssda903", "annex_a", "school_census", "school_health", "family_context", "police",
           "handmade")  # fmt: skip


def _try(pack: Pack, source: str, files: list[Path]) -> dict[str, Any]:
    return try_contract(pack, contract_of(pack.sources[source]), files, TODAY)


def _key(finding: dict[str, Any]) -> str:
    return finding["check"] or f"{finding['code']} {finding['column']}"


def _told(error: FieldgateError) -> dict[str, list[int]]:
    """Read the reasons of a refusal: what is wrong, and on which lines."""
    told = {}
    for reason in error.reasons:
        match = re.fullmatch(r"\w+ (\S+) column (.+?): .* \((\d+); row ([\d, ]+)\)", reason)
        assert match, reason
        code, column, count, rows = match.groups()
        lines = [int(row) for row in rows.split(", ")]
        assert len(lines) == int(count)
        told[f"{code} {column}" if code.startswith("FG-") else code] = lines
    return told


def _name(case: Expected | Refused) -> str:
    return Path(case.files[0] if isinstance(case, Expected) else case.file).name


@pytest.mark.parametrize("case", ACCEPTED, ids=_name)
def test_a_public_file_gives_what_its_manifest_says(
    pack: Pack, realdata: Path, case: Expected
) -> None:
    found = _try(pack, case.source, [realdata / name for name in case.files])
    rows = found["rows"]
    assert (rows["in"], rows["kept"], rows["dropped"]) == (*case.rows, case.dropped)
    assert rows["in"] == rows["kept"] + sum(rows["dropped"].values())
    if case.tables:
        assert {name: one["in"] for name, one in found["tables"].items()} == case.tables
    assert {_key(one): one["count"] for one in found["findings"]} == case.found
    if case.made is not None:
        assert (found["records"], found["events"], found["states"]) == case.made
    assert found["layout"].endswith(case.layout)
    lines = {_key(one): one["rows"] for one in found["findings"]}
    assert {name: lines[name] for name in case.lines} == case.lines
    assert {one["status"] for one in found["checks"]} <= {"run", "skipped"}
    assert all(one["why"] for one in found["checks"] if one["status"] == "skipped")


@pytest.mark.parametrize("case", REFUSED, ids=_name)
def test_a_public_file_that_cannot_be_used_says_why_once(
    pack: Pack, realdata: Path, case: Refused
) -> None:
    with pytest.raises((ContractError, RowsRefused, SubmissionError)) as caught:
        _try(pack, case.source, [realdata / case.file])
    assert caught.value.code == case.code
    assert _told(caught.value) == case.told


def test_every_public_file_is_expected_to_give_something(realdata: Path) -> None:
    named = {name for case in ACCEPTED for name in case.files} | {case.file for case in REFUSED}
    there = {
        path.relative_to(realdata).as_posix()
        for folder in FOLDERS
        for path in (realdata / folder).rglob("*")
        if path.is_file()
    }
    assert there - named - set(ELSEWHERE) == set()
    assert (named | set(ELSEWHERE)) - there == set()


def test_columns_that_no_contract_names_are_listed_and_dropped(pack: Pack, realdata: Path) -> None:
    found = _try(pack, CLASS, [realdata / LISTS / "valid_extra_fields.csv"])
    assert found["columns_unknown"] == ["SCHOOL_NAME", "Year"]


def test_good_rows_beside_an_occurrence_to_come_and_a_person_without_a_number_are_kept(
    pack: Pack, realdata: Path, tmp_path: Path
) -> None:
    """The file's own five rows among ten more, so that two bad ones do not refuse it."""
    text = (realdata / "handmade/niche_occurrences.csv").read_text(encoding="utf-8").rstrip("\n")
    more = [
        f"99{n},2026-01-0{n},Violence,Suspect,W{n},Fake,Wilma,0{n}/03/1980,{n} Lantern Street,TL1 0A{n},"
        for n in range(1, 10)
    ]
    more.append(
        "9910,2026-01-09,Other,Suspect,W9,Fake,Wilma,09/03/1980,,,showed a knife to the canary"
    )
    file = tmp_path / "niche.csv"
    file.write_text("\n".join([text, *more, ""]), encoding="utf-8")
    found = _try(pack, "police.occurrences", [file])
    assert found["rows"] == {"in": 15, "kept": 13, "dropped": {"FG-ROW-01": 1, "occ.future": 1}}
    assert found["layout"] == "police.occurrences/niche"
    # Remarks are read for the one flag that has a rule, and are themselves dropped with a reason.
    assert "Free text" in found["fields_dropped"]
    assert "canary" not in json.dumps(found)
    # Three of the file's rows and nine more lead to an offence, and the text of one to a weapon.
    assert found["events"] == 3 + 9 + 1


@pytest.mark.parametrize("name", STREET, ids=["street", "stop-and-search"])
def test_police_rule_data_by_month_and_place_is_taken_by_no_contract(
    pack: Pack, realdata: Path, name: str
) -> None:
    """Month-precision street data can never be linked to a person."""
    for source in pack.sources.values():
        if source.agency == "engine":
            continue
        contract = contract_of(source)
        by_csv = any(layout.format == "csv" for layout in contract.layouts)
        with pytest.raises(ContractError) as caught:
            _try(pack, source.id, [realdata / name])
        assert caught.value.code == ("FG-SUB-04" if by_csv else "FG-SUB-03"), source.id


def test_police_rule_answers_of_the_street_interface_are_no_format_of_ours(
    pack: Pack, realdata: Path
) -> None:
    file = realdata / "police/police_api_street_crimes_2023-01.json"
    with pytest.raises(SubmissionError, match="FG-SUB-02"):
        _try(pack, "police.occurrences", [file])


def test_police_rule_a_contract_over_days_that_are_months_does_not_hold_together(
    pack: Pack,
) -> None:
    """Nobody can write a contract for street data by giving it a reference of a person."""
    contract = contract_of(pack.sources["police.occurrences"])
    (layout, *_) = contract.layouts
    months = replace(layout.fields["occurred_on"], formats=("%Y-%m", "%b-%y"))
    street = replace(layout, fields={**layout.fields, "occurred_on": months})
    problems = contract_problems(replace(contract, layouts=(street,)))
    assert problems
    assert all("data by month is never linked to a person" in one for one in problems)


PEER_TABLES = {"child": "ChildIdentifiers", "referral": "CINdetails", "plan": "ChildProtectionPlans",
               "disability": "Disabilities"}  # fmt: skip


@pytest.mark.parametrize(
    "name", ["CIN2rows", "CIN_Census_2021", "CIN_Census_2024", "fake_CIN_data"]
)
def test_the_tables_of_a_return_agree_with_the_peers_counts(
    pack: Pack, realdata: Path, name: str
) -> None:
    """The counts are what the public validator measured, table by table."""
    expected = json.loads((realdata / "expected/cin_expected.json").read_text(encoding="utf-8"))
    (peer, *_) = [one["tables"] for key, one in expected.items() if key.split("|")[0] == name]
    found = _try(pack, CIN, [realdata / f"cin/{name}.xml"])["tables"]
    ours = {table: found.get(table, {"in": 0})["in"] for table in PEER_TABLES}
    assert ours == {table: peer[theirs] for table, theirs in PEER_TABLES.items()}


@pytest.mark.finding("B04")
def test_one_nhs_number_on_two_rows_is_told_on_both(pack: Pack, tmp_path: Path) -> None:
    header = ("CHILD_FIRST_NAME", "CHILD_LAST_NAME", "CHILD_DATE_OF_BIRTH", "CHILD_NHS_NUMBER")
    rows = [["Ada", "Fake", "2012-01-02", "9990000018"], ["Bea", "Fake", "2012-05-02", ""],
            ["Cleo", "Fake", "2013-01-02", "999 000 0018"]]  # fmt: skip
    found = _try(pack, CLASS, [write_csv(tmp_path / "c.csv", header, rows)])
    (group,) = [one for one in found["findings"] if one["check"] == "cls.nhs"]
    assert (group["count"], group["rows"]) == (2, [2, 4])
    assert found["records"] == 3


@pytest.mark.finding("B07")
def test_a_birth_year_that_no_pupil_has_is_told_by_its_check(pack: Pack, tmp_path: Path) -> None:
    header = ("CHILD_FIRST_NAME", "CHILD_LAST_NAME", "CHILD_DATE_OF_BIRTH", "CHILD_YEAR_GROUP")
    rows = [
        ["Ada", "Fake", "1911-01-01", "9"],
        *(["Bea", "Fake", f"2012-05-0{n}", "9"] for n in range(1, 5)),
    ]
    found = _try(pack, CLASS, [write_csv(tmp_path / "c.csv", header, rows)])
    (group,) = [one for one in found["findings"] if one["check"] == "cls.age"]
    assert (group["rows"], group["severity"]) == ([2], "error")
    assert found["rows"]["dropped"] == {"cls.age": 1}


@pytest.mark.finding("B37")
def test_a_line_that_explains_the_columns_and_breaks_in_quotes_count_as_lines(
    pack: Pack, tmp_path: Path
) -> None:
    header = ("CHILD_FIRST_NAME", "CHILD_LAST_NAME", "CHILD_DATE_OF_BIRTH", "CHILD_ADDRESS_LINE_1")
    rows = [
        [
            "Required: Free text",
            "Required: Free text",
            "Required: DD/MM/YYYY",
            "Optional\nFree text",
        ],
        *(["Ada", "Fake", f"0{n}/05/2012", "1 Lantern Street\nTallowmere"] for n in range(1, 4)),
        ["Bea", "Fake", "31/02/2012", ""],
    ]
    file = write_csv(tmp_path / "c.csv", header, rows)
    file.write_text("\ufeff" + file.read_text(encoding="utf-8"), encoding="utf-8", newline="")
    found = _try(pack, CLASS, [file])
    assert found["rows"] == {"in": 5, "kept": 3, "dropped": {"FG-ROW-02": 1, "blank": 1}}
    assert {_key(one): one["rows"] for one in found["findings"]} == {
        "FG-ROW-02 CHILD_DATE_OF_BIRTH": [10]
    }


@pytest.mark.finding("B37")
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_row_is_the_line_that_an_editor_shows(pack: Pack, tmp_path: Path, mark: str) -> None:
    rows = [
        person_row(PersonID="LA1", Address="1 Lantern Street\nTallowmere\nup the stairs"),
        person_row(PersonID="LA2", Postcode="nowhere"),
    ]
    file = persons_file(tmp_path / "p.csv", *rows)
    file.write_text(mark + file.read_text(encoding="utf-8"), encoding="utf-8", newline="")
    found = _try(pack, "council.persons", [file])
    (group,) = [one for one in found["findings"] if one["code"] == "FG-ROW-08"]
    assert group["rows"] == [5]


def test_every_shipped_contract_holds_together(pack: Pack) -> None:
    partners = [one for one in pack.sources.values() if one.agency != "engine"]
    assert len(partners) >= 35
    for source in partners:
        contract = contract_of(source)
        assert contract_problems(contract) == [], source.id
        assert example_problems(contract) == []
        assert {check.rule for check in contract.checks} <= RULES
    assert any(derived_fields(contract_of(one)) for one in partners)


def test_a_header_that_a_contract_calls_an_error_refuses_the_file(
    pack: Pack, tmp_path: Path
) -> None:
    file = tmp_path / "cin.xml"

    def dated(day: str) -> dict[str, Any]:
        file.write_text(
            f"<Message><Header><ReferenceDate>{day}</ReferenceDate></Header><Children><Child>"
            "<LAchildID>1</LAchildID></Child></Children></Message>",
            encoding="utf-8",
        )
        return _try(pack, CIN, [file])

    for wrong in ("2023-03-28", "2023-03-01"):
        with pytest.raises(SubmissionError, match="FG-SUB-26.*not its last day"):
            dated(wrong)
    # A file made during the year is told and taken.
    assert [one["check"] for one in dated("2022-07-21")["findings"]].count(
        "cin.reference_date"
    ) == 1
    assert "cin.reference_date" not in [one["check"] for one in dated("2023-03-31")["findings"]]


def test_a_return_in_xml_gives_the_tables_of_its_files(pack: Pack, tmp_path: Path) -> None:
    """The number of a child stands in HEADER, and the rows beside HEADER have it all the same."""
    file = tmp_path / "903.xml"
    parts = (
        *(
            "<EXPSSDA903><CHILD><HEADER><CHILDID>7</CHILDID><UPN/><SEX>2</SEX><DOB>02/01/2012</DOB>",
        ),
        "<AREVIEW><REVIEW>28/01/2025</REVIEW><REVIEW_CODE>PN3</REVIEW_CODE></AREVIEW>",
        "<AREVIEW><REVIEW>28/01/2025</REVIEW><REVIEW_CODE>PN3</REVIEW_CODE></AREVIEW>",
        "<AMISSING><MISSING>M</MISSING><MIS_START>01/04/2025</MIS_START></AMISSING>",
        "<AMISSING><MISSING>A</MISSING><MIS_START>01/05/2025</MIS_START></AMISSING>",
        "<OC2><CONVICTED>1</CONVICTED></OC2></HEADER>",
        "<EPISODE><DECOM>01/02/2025</DECOM><PL>A3</PL><DEC>01/03/2025</DEC></EPISODE>",
        "<EPISODE><DECOM>01/03/2025</DECOM><PL>A3</PL><DEC/></EPISODE></CHILD>",
        "<CHILD><HEADER><CHILDID>8</CHILDID><SEX>1</SEX></HEADER></CHILD></EXPSSDA903>",
    )
    file.write_text("\n".join(parts), encoding="utf-8")
    found = _try(pack, LAC, [file])
    assert {name: one["in"] for name, one in found["tables"].items()} == {
        "header": 2,
        "reviews": 2,
        "missing": 2,
        "outcomes": 1,
        "episodes": 2,
    }
    # The second review stands on line 3; to be away is not to be missing.
    assert {_key(one): one["rows"] for one in found["findings"]} == {"lac.review_once": [3]}
    assert found["rows"]["dropped"] == {"lac.review_once": 1}
    assert (found["records"], found["events"], found["states"]) == (2, 1, 2)
    assert "CONVICTED" in found["columns_unknown"]


def test_a_progress_return_mixes_words_and_numbers_and_names_nobody(
    pack: Pack, tmp_path: Path
) -> None:
    header = ("FamilyRef", "StartDate", "EndDate", "OutcomeAchieved", "LeadName")
    rows = [
        ["F1", "01/04/2026", "30/06/2026", "Yes", "canary"],
        ["F2", "2026-04-01", "", "0", "canary"],
        ["F3", "01/04/2026", "01/03/2026", "1", "canary"],
        ["F4", "01/04/2026", "", "perhaps", "canary"],
    ]
    found = _try(pack, "families.progress", [write_csv(tmp_path / "p.csv", header, rows)])
    assert found["rows"] == {"in": 4, "kept": 4, "dropped": {}}
    assert {_key(one): one["rows"] for one in found["findings"]} == {
        "fam.order": [4],
        "FG-ROW-06 OutcomeAchieved": [5],
    }
    # A programme's own flag is no evidence about anybody, so that it leads to nothing (T-GM5).
    assert (found["records"], found["events"], found["states"]) == (4, 0, 0)
    assert found["columns_unknown"] == ["LeadName"]


def test_a_workbook_with_lettered_codes_and_ages_as_decimals_is_read(
    pack: Pack, tmp_path: Path
) -> None:
    from tests.property.test_intake_reading import workbook

    def row(number: int, *cells: str) -> str:
        made = "".join(
            f'<c r="{chr(65 + place)}{number}"><v>{cell}</v></c>'
            if cell.replace(".", "").isdigit()
            else f'<c r="{chr(65 + place)}{number}" t="inlineStr"><is><t>{cell}</t></is></c>'
            for place, cell in enumerate(cells)
        )
        return f'<row r="{number}">{made}</row>'

    sheet = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        + row(1, "List 6: children in need")
        + row(
            3,
            "Child Unique ID",
            "Gender",
            "Date of Birth",
            "Age of Child (Years)",
            "CIN Start Date",
        )
        + row(4, "X1", "b) Female", "02/01/2012", "14.0", "01/02/2026")
        + row(5, "X2", "a) Male", "", "9.5", "01/03/2026")
        + row(6, "X3", "z) Wrong", "", "", "01/03/2026")
        + "</sheetData></worksheet>"
    )
    file = tmp_path / "annex.xlsx"
    file.write_bytes(workbook(sheet, "List 6"))
    found = _try(pack, "council.annex_a", [file])
    assert found["tables"] == {"in_need": {"in": 3, "kept": 3, "dropped": 0}}
    lines = {one["check"] or one["code"]: one["rows"] for one in found["findings"]}
    assert lines == {"FG-ROW-06": [6], "ann.who": [6]}
    assert found["states"] == 3
