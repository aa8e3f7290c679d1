"""What a report is: a title, one figure, a table, and whether it ran, was skipped or failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

RAN, SKIPPED, FAILED = "ran", "skipped", "failed"


@dataclass(frozen=True)
class Told:
    """What a report found.

    Attributes:
        figure: One number that says whether to look; None when the report was skipped or failed.
        unit: What the figure counts.
        columns: Names of the columns.
        rows: Cells: numbers and words of the policy, users and entries; never a value of a person.
        note: What the figure does not say, or why the report could not be made.
        status: ``ran``, ``skipped`` (the house does not hold what it needs) or ``failed``.
    """

    figure: int | None
    unit: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    note: str = ""
    status: str = RAN


def skipped(why: str) -> Told:
    """Return that a report cannot be made here, and why."""
    return Told(None, "", note=why, status=SKIPPED)


def failed(what: str) -> Told:
    """Return that a report crashed: by the type of the fault, as its text might hold a value."""
    return Told(None, "", note=f"The report stopped ({what}). It says nothing.", status=FAILED)
