"""Reports on the trail itself: whether it holds, and who reads it (law.md 2.2, 16 and 17)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from audit.act import Act
from audit.report import Report
from engine.flows.report_form import Told


def holds(report: Report, asking: str = "") -> Told:
    """16: whether the whole trail verifies, and who witnesses it.

    Args:
        report: What the verifier found.
        asking: Intent of the question itself, which cannot have an outcome yet.
    """
    waiting = [one for one in report.open_intents if one != asking]
    whole = not (report.findings or report.missing or waiting)
    standing = report.standing
    rows = [
        ("status", "verified" if whole else report.status),
        ("events", report.size),
        ("checkpoints", report.checkpoints),
        ("root", report.root),
        *(("tampered", finding) for finding in report.findings),
        *(("not checked", missing) for missing in report.missing),
        *(("no outcome yet", intent) for intent in waiting),
        *([("witnesses", standing.sentence())] if standing else []),
        *(("alarm", alarm) for alarm in (standing.alarms if standing else ())),
    ]
    return Told(
        len(report.findings) + len(report.missing) + len(waiting),
        "findings",
        ("what", "value"),
        rows,
        "Who holds the whole folder and the log key could show another history: compare a checkpoint that "
        "is kept elsewhere.",
    )


def readers(acts: Iterable[Act]) -> Told:
    """17: who read the trail, how, and for which of the four uses."""
    counted: Counter[tuple[str, str, str, str, str, str]] = Counter()
    for act in acts:
        if act.kind == "audit_read":
            use = next(iter(act.texts("rules")), "not stated")
            counted[(act.actor, act.role, act.agency, act.flow, use, act.outcome)] += 1
    rows = [(*key, count) for key, count in sorted(counted.items())]
    return Told(
        sum(row[-1] for row in rows),
        "readings of the trail",
        ("user", "role", "agency", "how", "use", "outcome", "times"),
        rows,
        "This reading itself is not among them yet.",
    )
