"""A list does not feed itself: what a review by a list found is no evidence for the next list."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.flows.link import link
from engine.flows.score import score
from engine.flows.submit import submit
from tests.builders.partnership import OPERATOR, TODAY, make_home, write_csv

HEADER = ("NominalRef", "OccurrenceRef", "Forename", "Surname", "DOB", "Role", "Flag", "OccurredOn",
          "RecordedOn", "RaisedBy")  # fmt: skip


def _row(number: int, raised_by: str) -> tuple[str, ...]:
    return (f"N{number}", f"O{number}", f"Mock{chr(97 + number)}", "Fakename", f"0{number + 1}/03/2012",
            "VICTIM", "CSE", "01/10/2026", "02/10/2026", raised_by)  # fmt: skip


@pytest.mark.finding("SCO-T1")
def test_what_a_review_found_carries_no_points_and_is_counted(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    file = write_csv(tmp_path / "o.csv", HEADER, [_row(0, "Report"), _row(1, "Review list")])
    submit(home, file, agency="police", source="police.occurrences", actor=OPERATOR)
    link(home, OPERATOR)
    manifest = score(home, TODAY, OPERATOR)
    assert manifest["events"]["kept"] == 1
    assert manifest["events"]["dropped"]["found_in_review"] == 1
    home.close()
