"""What separates the cells of a file, told from its header alone."""

from __future__ import annotations

import pytest

from engine.intake.csv_head import delimiter_of


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [
        ("PersonID,Forename", ","),
        ("PersonID;Forename", ";"),
        ("PersonID\tForename", "\t"),
        ('PersonID|Forename|"Notes (a, b, c, d)"', "|"),
        ('PersonID|"He said ""a, b, c"""', "|"),
        ("PersonID^Forename", "^"),
        ("PersonID~Forename", "~"),
        ("PersonID\x1fForename", "\x1f"),
        ("PersonID", ","),
    ],
)
def test_a_delimiter_is_what_stands_between_names_and_not_inside_them(
    header: str, delimiter: str
) -> None:
    assert delimiter_of(header) == delimiter
