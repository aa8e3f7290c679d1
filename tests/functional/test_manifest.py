"""Public files of many systems, each with what a correct reader makes of it (realdata/MANIFEST.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
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
    """What a delivery of public files gives.

    Attributes:
        rows: Rows in, and kept.
        tables: Table to rows in, where the source has several.
        found: Code or check id, table and column to the number of findings; others may stand beside.
        made: Records, events and states, where they are known.
        layout: End of the layout that was told.
        lines: Code or check id to the lines it names, where they are few.
    """

    source: str
    files: tuple[str, ...]
    rows: tuple[int, int]
    tables: dict[str, int] = field(default_factory=dict)
    found: dict[str, int] = field(default_factory=dict)
    made: tuple[int, int, int] | None = None
    layout: str = ""
    lines: dict[str, list[int]] = field(default_factory=dict)
    never: tuple[str, ...] = ()


CIN = "council.cin_census"
LAC = "council.looked_after"
CLASS = "schools.class_list"
ACCEPTED = [
    Expected(CIN, ("cin/CIN_Census_2021.xml",), (5, 5), {"child": 1, "referral": 1, "plan": 1},
             {"cin.assessed": 1}, (1, 1, 2), "/2021", {"cin.assessed": [36]}),
    Expected(CIN, ("cin/CIN_Census_2024.xml",), (8, 8), {"child": 2}, {"FG-ROW-07": 1}, (2, 2, 3),
             "/2024-2026"),
    Expected(CIN, ("cin/CIN2rows.xml",), (6, 6), {"plan": 2}, {}, (1, 1, 3)),
    Expected(CIN, ("cin/BAR_cin_2022.xml",), (5, 5), {"child": 1}, {"FG-ROW-07": 1}),
    Expected(CIN, ("cin/CIN_header_issues_100.xml",), (5, 5), {}, {"cin.reference_date": 1}),
    Expected(CIN, ("cin/fake_CIN_data.xml",), (851, 851),
             {"child": 332, "referral": 402, "disability": 117},
             {"FG-ROW-07": 402, "FG-ROW-05": 320}, (332, 402, 402)),
    Expected(LAC, tuple(f"ssda903/{name}.csv" for name in RETURN), (25_945, 25_943),
             {"header": 2675, "episodes": 5050, "reviews": 12_582, "placed_for_adoption": 29},
             {"lac.review_once": 2, "lac.one_open": 10, "FG-ROW-06": 29, "FG-ROW-05": 2568}, None, "",
             {}, ("lac.known", "lac.order", "lac.once")),
    Expected(LAC, ("ssda903/placed_for_adoption_errors.csv",), (30, 30), {},
             {"FG-ROW-06": 30, "lac.placed_once": 2}, (29, 0, 0)),
    Expected(LAC, ("ssda903/sw_episodes.csv",), (1, 1), {"social_workers": 1}),
    Expected(LAC, ("ssda903/DoLo.csv",), (1, 1), {"social_workers": 1}),
    Expected(LAC, ("ssda903/liia_episodes_fix_INPUT.csv",), (23, 23), {}, {"lac.overlap": 8},
             (10, 0, 23)),
    Expected("schools.census", ("school_census/2024_autumn_pupilnolongeronroll.csv",
                                "school_census/2024_autumn_termlysessiondetailsoffroll.csv"),
             (1636, 1636), {"leavers": 308, "sessions": 1328}, {"FG-ROW-05": 308}, None,
             "/2024-autumn + schools.census/2025-spring"),
    # 221 fixed-term and 183 permanent exclusions; 112 at lunchtime lead to nothing.
    Expected("schools.census", ("school_census/2025_spring_pupilnolongeronroll.csv",
                                "school_census/2025_spring_termlyexclusionsoffroll.csv"),
             (891, 891), {"leavers": 375, "exclusions": 516}, {"FG-ROW-05": 375}, (354, 404, 375)),
    Expected("schools.ctf", ("handmade/ctf_pupils.xml",), (3, 3), {},
             {"ctf.twins": 2, "FG-ROW-02": 1, "FG-ROW-05": 1}, (3, 0, 0), "",
             {"ctf.twins": [6, 8], "FG-ROW-02": [7]}),
    Expected("police.storm_calls", ("handmade/storm_call_cards.csv",), (4, 3), {},
             {"FG-ROW-18": 1}, (2, 1, 0), "", {"FG-ROW-18": [5]}),
    Expected("council.annex_a", ("annex_a/fake_sen.xlsx",), (4, 4), {"contacts": 2, "early_help": 2},
             {}, (3, 0, 0)),
    Expected(CLASS, ("school_health/class_import/valid.csv",), (5, 4)),
    Expected(CLASS, ("school_health/class_import/valid_minimal.csv",), (1, 1)),
    Expected(CLASS, ("school_health/class_import/valid_instruction_row.csv",), (2, 1)),
    Expected(CLASS, ("school_health/class_import/valid_with_bom.csv",), (1, 1)),
    Expected(CLASS, ("school_health/class_import/valid_extra_fields.csv",), (3, 3)),
    Expected(CLASS, ("school_health/class_import/duplicates.csv",), (3, 3)),
    Expected(CLASS, ("school_health/class_import/review_one.csv",), (4, 4)),
    Expected(CLASS, ("school_health/class_import/review_two.csv",), (5, 5)),
    Expected("council.extract", ("family_context/csc.csv",), (500, 500), {}, {}, None),
    Expected("schools.extract", ("family_context/education.csv",), (500, 500), {}, {}, None),
]  # fmt: skip

REFUSED = [
    (CLASS, "school_health/class_import/empty.csv", "FG-SUB-10", None),
    (CLASS, "school_health/class_import/malformed.csv", "FG-SUB-04", None),
    (CLASS, "school_health/class_import/invalid_minimal.csv", "FG-SUB-11", 2),
    (CLASS, "school_health/class_import/invalid_instruction_row.csv", "FG-SUB-11", 3),
    (CLASS, "school_health/class_import/invalid_fields.csv", "FG-SUB-11", None),
    ("police.occurrences", "handmade/niche_occurrences.csv", "FG-SUB-11", None),
]


def _try(pack: Pack, source: str, files: list[Path]) -> dict[str, Any]:
    return try_contract(pack, contract_of(pack.sources[source]), files, TODAY)


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: Path(case.files[0]).name)
def test_a_public_file_gives_what_its_manifest_says(
    pack: Pack, realdata: Path, case: Expected
) -> None:
    found = _try(pack, case.source, [realdata / name for name in case.files])
    rows = found["rows"]
    assert (rows["in"], rows["kept"]) == case.rows
    assert rows["in"] == rows["kept"] + sum(rows["dropped"].values())
    assert {name: found["tables"][name]["in"] for name in case.tables} == case.tables
    counts = {one["check"] or one["code"]: one["count"] for one in found["findings"]}
    assert {name: counts.get(name, 0) for name in case.found} == case.found
    assert not set(case.never) & set(counts)
    if case.made is not None:
        assert (found["records"], found["events"], found["states"]) == case.made
    assert found["layout"].endswith(case.layout)
    lines = {one["check"] or one["code"]: one["rows"] for one in found["findings"]}
    assert {name: lines[name] for name in case.lines} == case.lines
    assert {one["status"] for one in found["checks"]} <= {"run", "skipped"}


@pytest.mark.parametrize(("source", "name", "code", "line"), REFUSED, ids=str)
def test_a_public_file_that_cannot_be_used_says_why_once(
    pack: Pack, realdata: Path, source: str, name: str, code: str, line: int | None
) -> None:
    with pytest.raises((ContractError, RowsRefused, SubmissionError), match=code) as caught:
        _try(pack, source, [realdata / name])
    if line is not None:
        (reason,) = caught.value.reasons
        assert f"row {line})" in reason


def test_an_occurrence_to_come_and_a_person_without_a_number_are_named(
    pack: Pack, realdata: Path
) -> None:
    with pytest.raises(RowsRefused) as caught:
        _try(pack, "police.occurrences", [realdata / "handmade/niche_occurrences.csv"])
    told = "\n".join(caught.value.reasons)
    assert "error occ.future column OccurredOn: an occurrence has not come yet (1; row 6)" in told
    assert "error FG-ROW-01 column NicheID: a required value is missing (1; row 7)" in told


@pytest.mark.parametrize("name", ["street", "stop-and-search"])
def test_police_data_by_month_and_place_is_taken_by_no_contract(
    pack: Pack, realdata: Path, name: str
) -> None:
    """Month-precision street data can never be linked to a person."""
    file = realdata / "handmade" / f"2026-01-avon-and-somerset-{name}.csv"
    for source in pack.sources.values():
        if source.agency == "engine":
            continue
        with pytest.raises(FieldgateError, match="FG-SUB-0[34]"):
            _try(pack, source.id, [file])
    with pytest.raises(SubmissionError, match="FG-SUB-02"):
        _try(
            pack, "police.occurrences", [realdata / "police/police_api_street_crimes_2023-01.json"]
        )


def test_the_tables_of_a_return_agree_with_the_peers_counts(pack: Pack, realdata: Path) -> None:
    expected = json.loads((realdata / "expected/cin_expected.json").read_text(encoding="utf-8"))
    text = json.dumps(expected)
    found = _try(pack, CIN, [realdata / "cin/fake_CIN_data.xml"])
    for count in (found["tables"]["child"]["in"], found["tables"]["referral"]["in"]):
        assert str(count) in text


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
    from dataclasses import replace

    contract = contract_of(pack.sources[CIN])
    strict = [
        replace(one, header=tuple({**check, "severity": "error"} for check in one.header))
        for one in contract.layouts
    ]
    file = tmp_path / "cin.xml"
    file.write_text(
        "<Message><Header><ReferenceDate>2023-03-28</ReferenceDate></Header><Children><Child>"
        "<LAchildID>1</LAchildID></Child></Children></Message>",
        encoding="utf-8",
    )
    with pytest.raises(SubmissionError, match="FG-SUB-26"):
        try_contract(pack, replace(contract, layouts=tuple(strict)), [file], TODAY)


def test_a_return_in_xml_gives_the_tables_of_its_files(pack: Pack, tmp_path: Path) -> None:
    file = tmp_path / "903.xml"
    file.write_text(
        "<Message><CHILD_RECORD><CHILD>7</CHILD><HEADER><SEX>2</SEX><DOB>02/01/2012</DOB></HEADER>"
        "<EPISODE><DECOM>01/02/2025</DECOM><DEC/></EPISODE>"
        "<EPISODE><DECOM>01/03/2025</DECOM><DEC>02/03/2025</DEC></EPISODE>"
        "<MISSING_EPISODE><MISSING>M</MISSING><MIS_START>01/04/2025</MIS_START></MISSING_EPISODE>"
        "</CHILD_RECORD></Message>",
        encoding="utf-8",
    )
    found = _try(pack, LAC, [file])
    assert {name: one["in"] for name, one in found["tables"].items()} == {
        "header": 1,
        "episodes": 2,
        "missing": 1,
    }
    assert (found["records"], found["events"], found["states"]) == (1, 1, 2)


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
