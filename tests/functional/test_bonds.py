"""Who lives with whom and who is of one family: a second graph, with dates and sources, and hidden homes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlmodel import Session, select

from engine.domain.errors import LinkageError
from engine.domain.ids import day_number
from engine.flows.home import Home
from engine.flows.household import FAMILY, HOUSEHOLD, bonds_of
from engine.flows.incoming import Options
from engine.flows.link import link
from engine.flows.linkage_lookup import all_records
from engine.flows.person import look
from engine.flows.rekey import begin, promote, reencode
from engine.flows.score import score
from engine.flows.submit import submit
from engine.linkage.encode import COLUMNS
from engine.linkage.index import current_membership
from engine.store.tables import RecordFlag
from tests.builders.partnership import (
    OPERATOR,
    PERSON_COLUMNS,
    TODAY,
    make_home,
    person_row,
    write_csv,
)

DEMO = {"auth": "demo"}
FAMILIES = ("FamilyRef", "FamilyFrom", "FamilyTo")


def _home(folder: Path, *rows: list[str]) -> Home:
    home = make_home(folder / "home")
    file = write_csv(folder / "a.csv", (*PERSON_COLUMNS, *FAMILIES), rows)
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    link(home, OPERATOR)
    score(home, TODAY, OPERATOR)
    return home


def _row(number: int, *family: str, **cells: str) -> list[str]:
    own = {
        "PersonID": f"LA{number}", "Forename": f"Mock{chr(96 + number)}an", "HouseholdRef": "H1",
        "HouseholdFrom": "2024-01-01", "BirthDate": f"2009-0{number}-11",
    } | cells  # fmt: skip
    return [*person_row(**own), *family]


def _shown(home: Home) -> dict[str, dict[str, Any]]:
    """Return by local order what a social worker is shown of each person."""
    casework, member = home.domain("casework"), current_membership(home.linkage, home.link_runs())
    people = sorted(set(member.values()))
    return {
        text: look(home, "demo.social_worker", text, **DEMO)
        for text in map(casework.text, casework.seal(people))
    }


def _links(home: Home) -> int:
    (run,) = (home.path / "warehouse").rglob("link.parquet")
    return pq.read_table(run).num_rows


def test_a_declared_family_has_dates_and_a_source_and_is_told_apart_from_a_household(
    tmp_path: Path,
) -> None:
    family = ("F1", "2020-02-03", "")
    home = _home(
        tmp_path,
        _row(1, *family),
        _row(2, "F1", "2020-02-03", "2023-05-06"),
        _row(3, *family, HouseholdRef="H2"),
        _row(4, "", "", "", HouseholdRef="H3"),
    )
    member = current_membership(home.linkage, home.link_runs())
    assert len(set(member.values())) == 4
    families = {person: bonds_of(home, person, FAMILY) for person in member.values()}
    assert sorted(len(one) for one in families.values()) == [0, 2, 2, 2]
    spans = sorted({one.spans for bonds in families.values() for one in bonds})
    start, end = day_number(TODAY.replace(2020, 2, 3)), day_number(TODAY.replace(2023, 5, 6))
    assert (start, end) in {span for one in spans for span in one}
    assert {one.confidence for bonds in families.values() for one in bonds} == {"one source"}
    households = {person: bonds_of(home, person, HOUSEHOLD) for person in member.values()}
    assert sorted(len(one) for one in households.values()) == [0, 0, 1, 1]
    shown = _shown(home).values()
    assert sorted(len(one["family"]) for one in shown) == [0, 2, 2, 2]
    assert {each["handle"] for one in shown for each in one["family"]} == {
        "Family member 1",
        "Family member 2",
    }
    assert {each["now"] for one in shown for each in one["family"]} == {True, False}
    home.close()


@pytest.mark.finding("LNK-17")
def test_a_flag_on_any_record_of_a_person_hides_the_bond_before_the_next_link(
    tmp_path: Path,
) -> None:
    same = {"Forename": "Mockdan", "BirthDate": "2009-04-11", "NHSNumber": "9990000018"}
    one = _row(4, "", "", "", **same)
    other = _row(9, "", "", "", HouseholdRef="", HouseholdFrom="", **same)
    home = _home(tmp_path, one, other, _row(5, "", "", ""))
    assert sorted(len(each["household"]) for each in _shown(home).values()) == [1, 1]
    other[PERSON_COLUMNS.index("ProtectedAddress")] = "Y"
    file = write_csv(tmp_path / "b.csv", (*PERSON_COLUMNS, *FAMILIES), [other])
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR,
           options=Options(mends=1))  # fmt: skip
    assert sorted(len(each["household"]) for each in _shown(home).values()) == [0, 0]
    home.close()


@pytest.mark.finding("LNK-17")
def test_who_is_hidden_is_bound_to_no_household_on_a_page_nor_in_a_score(tmp_path: Path) -> None:
    rows = [_row(1, "F1", "2020-02-03", ""), _row(2, "F1", "2020-02-03", ""), _row(3, "", "", "")]
    open_home = _home(tmp_path / "open", *rows)
    assert sorted(len(one["household"]) for one in _shown(open_home).values()) == [2, 2, 2]
    before = _links(open_home)
    open_home.close()
    rows[1][PERSON_COLUMNS.index("ProtectedAddress")] = "Y"
    home = _home(tmp_path / "hidden", *rows)
    shown = list(_shown(home).values())
    assert sorted(len(one["household"]) for one in shown) == [0, 1, 1]
    assert not any(one["family"] for one in shown)
    assert 0 < _links(home) < before
    home.close()


def _places(home: Home) -> list[tuple[bool, ...]]:
    """Say of each encoded record, in order, which words of a place it has."""
    found = all_records(home.linkage, home.keyring("link"), home.published(), [], TODAY)
    columns = [
        COLUMNS.index(one) for one in ("postcode", "sector", "house", "street", "b_dob_house")
    ]
    bits = [COLUMNS.index(f"bf_postcode_{word}") for word in range(4)]
    rows = found.words[:, [*columns, *bits]] != 0
    return sorted(tuple(row) for row in rows.tolist())


@pytest.mark.finding("LNK-17")
def test_a_hidden_address_is_not_encoded_at_all(tmp_path: Path) -> None:
    """By its own row, by an earlier one that still stands, by staff; and it comes back with an open one."""
    rows = [_row(1, "", "", ""), _row(2, "", "", "")]
    home = _home(tmp_path, *rows)
    nowhere = (False,) * len(_places(home)[0])
    assert nowhere not in _places(home)
    flag = PERSON_COLUMNS.index("ProtectedAddress")

    def send(word: str, name: str) -> None:
        rows[1][flag] = word
        rows.append(_row(len(rows) + 1, "", "", ""))  # A file that came before is no delivery.
        file = write_csv(tmp_path / name, (*PERSON_COLUMNS, *FAMILIES), rows)
        submit(home, file, agency="council", source="council.persons", actor=OPERATOR)

    send("Y", "b.csv")
    assert _places(home).count(nowhere) == 1
    # Made again from the vault, which holds the address, it stays out.
    begin(home, OPERATOR)
    reencode(home, OPERATOR)
    promote(home, OPERATOR)
    assert _places(home).count(nowhere) == 1
    # Its own row says that it is open again, in the delivery that says so.
    send("N", "c.csv")
    assert nowhere not in _places(home)
    # What staff set holds against whatever a source says.
    with Session(home.casework) as session:
        one = session.exec(select(RecordFlag).where(RecordFlag.flag == "protected")).first()
        assert one is not None
        one.value, one.set_by = "y", "operator"
        session.commit()
    send("N", "d.csv")
    assert _places(home).count(nowhere) == 1
    home.close()


@pytest.mark.finding("LNK-17")
@pytest.mark.parametrize("words", ["NY", "YN"])
def test_one_row_of_two_that_hides_is_enough_and_so_is_another_record_of_the_person(
    tmp_path: Path, words: str
) -> None:
    """Two rows under one id, in either order; then the same person's other record is sent again."""
    same = {"Forename": "Mockdan", "BirthDate": "2009-04-11", "NHSNumber": "9990000018"}
    rows = [_row(4, "", "", "", **same, ProtectedAddress=word) for word in words]
    other = _row(9, "", "", "", **same)
    home = _home(tmp_path, *rows, other)
    assert len(set(current_membership(home.linkage, home.link_runs()).values())) == 1
    # Nobody knew of the second record that it is the same person's before they were linked.
    assert sorted(any(one) for one in _places(home)) == [False, True]
    file = write_csv(
        tmp_path / "b.csv", (*PERSON_COLUMNS, *FAMILIES), [*rows, other, _row(5, "", "", "")]
    )
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    assert sorted(any(one) for one in _places(home)) == [False, False, True]
    home.close()


@pytest.mark.finding("LNK-23")
def test_a_communal_address_that_cannot_be_read_stops_the_link(tmp_path: Path) -> None:
    home = _home(tmp_path, _row(1, "", "", ""))
    for wrong in ({"postcode": "TL5"}, {"uprn": "12A"}, {"postcode": "TL55HHX", "uprn": "12"},
                  {"postcode": "TL5 5HH", "address": "Unknown"}):  # fmt: skip
        entry = replace(home.pack.governance.communal[0], id="the_hostel", uprn="", address="",
                        postcode="")  # fmt: skip
        governance = replace(home.pack.governance, communal=(replace(entry, **wrong),))
        home._current = replace(home.pack, governance=governance)
        with pytest.raises(LinkageError, match="FG-LNK-16.*the_hostel"):
            link(home, OPERATOR)
    home.close()
