"""Public files through ordinary contracts, from submission to a reveal. Results as in the MANIFEST."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, select

from engine.domain.errors import ContractError, RowsRefused
from engine.flows.decision import Ask
from engine.flows.home import Home
from engine.flows.link import link
from engine.flows.reveal import reveal
from engine.flows.submit import submit
from engine.linkage.index import current_membership
from engine.store.tables import SubjectState
from tests.builders.partnership import OPERATOR, REASON


def _states(home: Home) -> list[SubjectState]:
    with Session(home.casework) as session:
        return list(session.exec(select(SubjectState)).all())


def _census(home: Home, realdata: Path) -> dict[str, Any]:
    file = realdata / "cin" / "fake_CIN_data.xml"
    return submit(home, file, agency="council", source="council.cin_census", actor=OPERATOR)


@pytest.mark.finding("B37")
def test_children_in_need_census_keeps_every_child_whatever_its_pupil_number(
    home: Home, realdata: Path
) -> None:
    receipt = _census(home, realdata)
    linked = link(home, OPERATOR)

    assert receipt["records"] == 332
    counts = {name: (one["in"], one["kept"]) for name, one in receipt["tables"].items()}  # type: ignore[attr-defined]
    assert counts == {"child": (332, 332), "referral": (402, 402), "disability": (117, 117)}
    assert receipt["events"] == 402
    booleans = [one for one in receipt["findings"] if one["code"] == "FG-ROW-07"]
    assert [(one["count"], one["severity"]) for one in booleans] == [(402, "warning")]
    assert linked["persons"] == 332
    assert linked["not_enough_to_identify"] == 332

    shown = reveal(
        home,
        Ask("demo.social_worker", "safeguard_child", "CASE-1", REASON, _states(home)[0].person),
        auth="demo",
    )

    parts = {one["part"]: one["value"] for one in shown["identity"]}
    assert parts["local_id"].startswith("RND")
    assert parts["birth_date"].split(" ")[-1].isdigit()
    assert "given_name" not in parts


def test_census_boolean_and_pupil_number_findings_count_as_the_peer_counts_them(
    home: Home, realdata: Path
) -> None:
    receipt = _census(home, realdata)
    # 320 of 332 pupil numbers fail their letter, as the peer counts them (rule 1510).
    letters = next(one for one in receipt["findings"] if one["code"] == "FG-ROW-05")
    assert letters["severity"] == "warning"
    assert letters["count"] == 320


def test_two_agencies_one_population_links_481_and_leaves_19_and_19_apart(
    home: Home, realdata: Path
) -> None:
    for agency, source, name in (
        ("council", "council.extract", "csc.csv"),
        ("schools", "schools.extract", "education.csv"),
    ):
        receipt = submit(
            home, realdata / "family_context" / name, agency=agency, source=source, actor=OPERATOR
        )
        assert receipt["rows"] == {"in": 500, "kept": 500, "dropped": {}}

    linked = link(home, OPERATOR)

    sizes: dict[bytes, int] = {}
    for person in current_membership(home.linkage, home.link_runs()).values():
        sizes[person] = sizes.get(person, 0) + 1
    assert sorted(sizes.values()) == [1] * 38 + [2] * 481
    assert linked["not_enough_to_identify"] == 0

    both = next(person for person, size in sizes.items() if size == 2)
    name = home.domain("casework")
    shown = reveal(
        home,
        Ask(
            "demo.social_worker",
            "safeguard_child",
            "CASE-1",
            REASON,
            name.text(name.seal([both])[0]),
        ),
        auth="demo",
    )
    assert len(shown["known_to"]) == 2
    assert {"given_name", "surname", "birth_date"} <= {one["part"] for one in shown["identity"]}


def _class_list(home: Home, realdata: Path, name: str) -> dict[str, object]:
    return submit(
        home,
        realdata / "school_health" / "class_import" / name,
        agency="schools",
        source="schools.class_list",
        actor=OPERATOR,
    )


def test_class_list_takes_two_date_layouts_spaces_in_numbers_and_a_row_of_commas(
    home: Home, realdata: Path
) -> None:
    receipt = _class_list(home, realdata, "valid.csv")

    assert receipt["rows"] == {"in": 5, "kept": 4, "dropped": {"blank": 1}}
    assert receipt["records"] == 4
    assert receipt["findings"] == []
    assert "Parent 1 e-mail" in receipt["fields_dropped"]  # type: ignore[operator]

    link(home, OPERATOR)
    shown = reveal(
        home,
        Ask("demo.school_lead", "school_safeguarding", "CASE-1", REASON, _states(home)[0].person),
        auth="demo",
    )
    assert shown["identity"]


def test_class_list_with_invalid_fields_names_every_row_at_once_and_stores_nothing(
    home: Home, realdata: Path
) -> None:
    with pytest.raises(RowsRefused, match="FG-SUB-11") as caught:
        _class_list(home, realdata, "invalid_fields.csv")

    told = "\n".join(caught.value.reasons)
    for column, row in (
        *(("CHILD_LAST_NAME", 3), ("CHILD_FIRST_NAME", 8), ("CHILD_DATE_OF_BIRTH", 9)),
        *(("PARENT_1_EMAIL", 14), ("PARENT_1_PHONE", 15), ("CHILD_DATE_OF_BIRTH", 16)),
        *(("CHILD_POSTCODE", 17), ("CHILD_NHS_NUMBER", 18)),
    ):
        assert f"column {column}: " in told
        assert f"row {row})" in told
    assert sum(reason.startswith("error ") for reason in caught.value.reasons) == 8
    assert home.published() == {}
    assert current_membership(home.linkage, home.link_runs()) == {}


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("empty.csv", "FG-SUB-10"),
        ("malformed.csv", "FG-SUB-04"),
        ("invalid_minimal.csv", "FG-SUB-11"),
    ],
)
def test_class_lists_that_cannot_be_used_get_one_clear_error(
    home: Home, realdata: Path, name: str, error: str
) -> None:
    with pytest.raises((RowsRefused, ContractError), match=error):
        _class_list(home, realdata, name)


@pytest.mark.parametrize("name", ["valid_minimal.csv", "valid_with_bom.csv"])
def test_small_class_lists_are_one_row(home: Home, realdata: Path, name: str) -> None:
    assert _class_list(home, realdata, name)["rows"] == {"in": 1, "kept": 1, "dropped": {}}


def test_class_list_names_and_drops_columns_that_the_contract_does_not_know(
    home: Home, realdata: Path
) -> None:
    receipt = _class_list(home, realdata, "valid_extra_fields.csv")

    assert receipt["columns_unknown"]
