"""What is wrong with a file of the register or the pack: where, which rule, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MOST = 50
"""How many findings an error message spells out; all of them travel with the error."""


@dataclass(frozen=True, slots=True, order=True)
class LintFinding:
    """One finding about a file that governs.

    Attributes:
        file: Folder and name of the file, never a path of a machine.
        line: Line, counted from 1.
        code: Stable code, for example ``FG-GATE-03``.
        rule: The rule that found it, for example ``POL-L02``.
        message: What is wrong, with the word or object at fault; never a person's value.
        next_step: What the officer does next.
        severity: ``E`` the pack does not load, ``W`` a signed waiver is needed to activate it.
        subject: Stable name of the thing at fault, by which a waiver names it.
    """

    file: str
    line: int
    code: str
    rule: str
    message: str
    next_step: str
    severity: str = "E"
    subject: str = ""

    def sentence(self) -> str:
        """Return the finding on one line."""
        return f"{self.file}:{self.line} {self.rule} {self.message}"

    def as_dict(self) -> dict[str, object]:
        """Return the finding for JSON."""
        return {
            "file": self.file,
            "line": self.line,
            "code": self.code,
            "rule": self.rule,
            "severity": self.severity,
            "subject": self.subject,
            "message": self.message,
            "next_step": self.next_step,
        }


def in_order(findings: Iterable[LintFinding]) -> tuple[LintFinding, ...]:
    """Return the findings once each: errors before warnings, then by rule, file and line."""
    return tuple(
        sorted(
            set(findings),
            key=lambda one: (one.severity, one.rule, one.file, one.line, one.message),
        )
    )


def message_of(findings: Iterable[LintFinding]) -> str:
    """Return all findings as one message, the first `MOST` spelled out."""
    ordered = in_order(findings)
    words = "; ".join(one.sentence() for one in ordered[:MOST])
    more = len(ordered) - MOST
    return words + (f"; and {more} more" if more > 0 else "")
