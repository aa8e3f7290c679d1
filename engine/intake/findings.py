"""Everything that is wrong with a delivery, grouped by cause as it comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from engine.domain.records import FindingGroup
from engine.intake.check import CAUSES

ROWS_KEPT = 1000
CHECK_CODE = "FG-CHK-01"


@dataclass
class _Group:
    count: int = 0
    rows: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    sentence: str = ""
    next_step: str = ""


class Findings:
    """All findings of a delivery; the count is whole, the rows are the first thousand of a cause."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str, str, str, str, str], _Group] = {}

    def add(
        self,
        code: str,
        column: str,
        severity: str,
        lines: npt.NDArray[np.int64],
        keys: Sequence[str | None] = (),
        *,
        table: str = "",
        file: str = "",
        check: str = "",
        says: tuple[str, str] | None = None,
    ) -> None:
        """Take in findings of one cause.

        Args:
            code: A code of `CAUSES`, or that of a check of the contract.
            column: The column as the agency names it.
            severity: ``error`` or ``warning``.
            lines: Physical lines.
            keys: The agency's own key of each line, as far as known.
            table: The table, where the source has several.
            file: The file or sheet, where the delivery has several.
            check: Id of the contract's check.
            says: Sentence and next step of a check.
        """
        if not len(lines):
            return
        group = self._groups.setdefault((severity, code, column, table, check, file), _Group())
        group.count += len(lines)
        room = ROWS_KEPT - len(group.rows)
        if room > 0:
            group.rows += [int(line) for line in lines[:room]]
            group.keys += [key or "" for key in keys[:room]]
        cause = CAUSES.get(code)
        group.sentence, group.next_step = says or (
            (cause.sentence, cause.next_step) if cause else ("", "")
        )

    def groups(self) -> list[FindingGroup]:
        """Return the groups: errors first, then by count."""
        ordered = sorted(self._groups.items(), key=lambda one: (one[0][0], -one[1].count, one[0]))
        return [
            FindingGroup(
                code, column, severity, group.sentence, group.next_step, group.count,
                tuple(group.rows), table, check, tuple(group.keys), file,
            )
            for (severity, code, column, table, check, file), group in ordered
        ]  # fmt: skip
