"""What is counted while the rows of a delivery pass."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.domain.records import AsideRow
from engine.intake.cross import CheckRun
from engine.intake.findings import Findings
from engine.intake.grade import Grades
from engine.intake.places import Places


@dataclass
class Tally:
    """What is counted while rows pass."""

    findings: Findings = field(default_factory=Findings)
    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    closed: dict[str, int] = field(default_factory=dict)
    quarantined: list[AsideRow] = field(default_factory=list, repr=False)
    places: Places = field(default_factory=Places, repr=False)
    grades: Grades = field(default_factory=lambda: Grades(b""))
    checks: list[CheckRun] = field(default_factory=list)
    born: dict[str, str] = field(default_factory=dict, repr=False)
    days: dict[str, str] = field(default_factory=dict, repr=False)

    def count(self, table: str, rows_in: int, kept: int) -> None:
        """Add rows of a table."""
        counts = self.tables.setdefault(table, {"in": 0, "kept": 0, "dropped": 0})
        counts["in"] += rows_in
        counts["kept"] += kept
        counts["dropped"] += rows_in - kept

    def close(self, code: str, table: str, count: int) -> None:
        """Count rows of a table that had been kept and do not go on after all, by their reason."""
        self.drop(code, count)
        self.tables[table]["kept"] -= count
        self.tables[table]["dropped"] += count

    def drop(self, code: str, count: int) -> None:
        """Count rows that did not go on, by their reason."""
        if count:
            self.dropped[code] = self.dropped.get(code, 0) + count
