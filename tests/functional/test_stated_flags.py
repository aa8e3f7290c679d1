"""A word of a source about a record counts while its row holds, and follows a record that is merged."""

from __future__ import annotations

from pathlib import Path

from sqlmodel import Session, select

from engine.flows.deliveries import release, withdraw
from engine.flows.home import Home
from engine.flows.link import link
from engine.flows.states import joined_names, record_rows
from engine.store.tables import RecordFlag, SubjectState
from tests.builders.deliveries import send, visit, visits_home
from tests.builders.partnership import OPERATOR


def _flags(home: Home) -> list[str]:
    with Session(home.casework) as session:
        return sorted(one.value for one in session.exec(select(RecordFlag)).all())


def _row(person: str, number: str, word: str, **more: str) -> list[str]:
    return [*visit(person, number, **more), word]


def test_a_deleted_row_takes_its_marker_with_it_and_a_withdrawn_deletion_brings_it_back(
    tmp_path: Path,
) -> None:
    home = visits_home(tmp_path / "home")
    send(home, tmp_path, "visits-1", [_row("P1", "V1", "Y"), _row("P1", "V2", "N")])
    assert _flags(home) == ["y"]
    gone = send(home, tmp_path, "visits-2", [_row("P1", "V1", "", state="D"), _row("P2", "V3", "")])
    assert _flags(home) == ["n"]
    withdraw(home, gone["number"], OPERATOR)
    assert _flags(home) == ["y"]
    send(home, tmp_path, "visits-3", [_row("P1", "V1", "N"), _row("P2", "V3", "Y")])
    assert _flags(home) == ["n", "y"]
    home.close()


def test_markers_are_what_a_fresh_load_of_the_corrected_rows_states(tmp_path: Path) -> None:
    changed, fresh = visits_home(tmp_path / "one"), visits_home(tmp_path / "two")
    send(changed, tmp_path, "visits-1", [_row("P1", "V1", "Y"), _row("P2", "V2", "Y")])
    send(changed, tmp_path, "visits-2", [_row("P1", "V3", "N"), _row("P2", "V2", "N")])
    send(fresh, tmp_path, "visits-3",
         [_row("P1", "V1", "Y"), _row("P1", "V3", "N"), _row("P2", "V2", "N")])  # fmt: skip
    assert _flags(changed) == _flags(fresh) == ["n", "y"]
    for home in (changed, fresh):
        home.close()


def test_a_window_takes_the_markers_of_what_it_replaces(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home", mode="window")
    send(
        home, tmp_path, "visits-1", [_row("P1", "V1", "Y"), _row("P2", "V2", "", day="2026-09-01")]
    )
    assert _flags(home) == ["y"]
    again = send(
        home, tmp_path, "visits-2",
        [_row("P3", "V4", ""), _row("P2", "V5", "Y", day="2026-10-02")],
    )  # fmt: skip
    if again["state"] == "paused":
        release(home, again["number"], OPERATOR, accept=True)
    assert _flags(home) == ["y"]
    with Session(home.casework) as session:
        (left,) = session.exec(select(RecordFlag)).all()
    assert left.set_by == "source"
    withdraw(home, again["number"], OPERATOR)
    with Session(home.casework) as session:
        (back,) = session.exec(select(RecordFlag)).all()
    assert back.record != left.record
    home.close()


def test_what_was_put_on_a_record_protects_the_record_it_was_merged_into(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home")
    send(home, tmp_path, "visits-1", [_row("P1", "V1", "Y"), _row("P2", "V2", "N")])
    merged = send(home, tmp_path, "merges-1", [("P1", "P2", "N")])
    if merged["state"] == "paused":
        release(home, merged["number"], OPERATOR, accept=True)
    ((old, new),) = joined_names(home).items()
    assert record_rows(home, [new]) == {(new, "protected"): "y"}
    assert old != new
    link(home, OPERATOR)
    with Session(home.casework) as session:
        (person,) = session.exec(select(SubjectState)).all()
    assert person.flags["protected"] == "y"
    home.close()
