"""What a verification found, told check by check."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from audit.witnessed import Standing


@dataclass
class Report:
    """What a verification found.

    Attributes:
        status: ``verified``, ``tampered`` or ``incomplete``.
        size: Number of events.
        root: Hex root of the tree as recomputed.
        findings: Sentences about what does not hold, with the index of the event.
        missing: Sentences about what could not be checked.
        ran: Names of the checks that ran to their end.
        open_intents: Intents without an outcome.
        unchecked: Names of the signature lines on the newest checkpoint whose keys the reader does not
            have; they say nothing.
        alarms: Sentences about what should be mended and proves nothing.
        second: Checkpoints that bear a second signature of the log, which was checked.
        standing: Who vouches for the log, when witnesses were asked about.
    """

    status: str = "verified"
    size: int = 0
    root: str = ""
    checkpoints: int = 0
    findings: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    open_intents: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    second: int = 0
    standing: Standing | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data for ``--json``."""
        return {
            "status": self.status,
            "verified": self.status == "verified",
            "size": self.size,
            "root": self.root,
            "checkpoints": self.checkpoints,
            "findings": self.findings,
            "missing": self.missing,
            "ran": self.ran,
            "open_intents": self.open_intents,
            "unchecked": self.unchecked,
            "alarms": self.alarms,
            "second_signatures": self.second,
            "witnessed": self.standing.as_dict() if self.standing else None,
        }
