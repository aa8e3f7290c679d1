"""What somebody who answers for the trail must know before they read it: witnesses that are late, losses.

In plain words and with what to do, for the first page of those who oversee. Nothing here is written, and no
key is opened: a trail that takes nothing any more can still say so.
"""

from __future__ import annotations

import json
import re

from audit.errors import AuditFault
from audit.kept import SECOND
from audit.note import Verifier
from audit.outside import INCIDENTS, notes
from audit.report import Report
from engine.flows.home import Home
from engine.flows.recover_log import REQUEST

Notice = dict[str, str]
_FOUND = re.compile(r"^signed (\d{1,15}) .*\nfound (\d{1,15}) ", re.M)
_LOST = re.compile(r"events \d+ to (\d+) were lost, and declared lost in event \d+")


def trail_notices(home: Home, report: Report) -> list[Notice]:
    """Return what is wrong with the trail or its witnesses: ``title``, ``text``, ``next``; the worst first.

    Args:
        home: The home.
        report: What the verifier found just now.
    """
    return [*_losses(home, report), *_late(report), *_behind(report)]


def _late(report: Report) -> list[Notice]:
    if report.standing is None:
        return []
    found = [
        {
            "title": "A witness is silent",
            "text": f"{alarm[:1].upper()}{alarm[1:]}. Until it signs again, nobody outside this house "
            "can tell whether the newest events were changed.",
            "next": "Ask the partner that runs it, then run fieldgate audit submit-checkpoint.",
        }
        for alarm in report.standing.alarms
    ]
    if not report.standing.reached:
        found.insert(0, {
            "title": "Too few witnesses vouch for the trail",
            "text": f"{len(report.standing.newest)} of {report.standing.of} witnesses have signed; the "
            f"policy asks for {report.standing.needed}.",
            "next": "Run fieldgate audit submit-checkpoint, and ask the partners whose witness is silent.",
        })  # fmt: skip
    return found


def _behind(report: Report) -> list[Notice]:
    """Return what should be mended of what is kept outside the home: the anchor, the second signature."""
    return [
        {
            "title": "What is kept outside this house needs mending",
            "text": f"{told[:1].upper()}{told[1:]}.",
            "next": "Ask whoever runs this installation, then run fieldgate audit verify.",
        }
        for told in (*report.alarms, *(one for one in report.missing if SECOND in one))
    ]


def _losses(home: Home, report: Report) -> list[Notice]:
    """Return the incidents that the log wrote down when it refused to go on, and what became of them."""
    found = []
    declared = [int(one) for text in report.missing for one in _LOST.findall(text)]
    for signed, left in _incidents(home):
        over = signed - 1 in declared
        gone = (
            f"The trail had signed {signed} events and was found with {left}."
            if left < signed
            else f"The first {signed} events were not those that the trail had signed."
        )
        if over:
            text, step = f"{gone} Two people have declared what was lost.", (
                "What those events said cannot be proved any more; a report on those days is incomplete."
            )  # fmt: skip
        elif report.status != "tampered":
            text, step = (
                f"{gone} It is whole again.",
                "Find out how it came about, and write it down.",
            )
        else:
            text, step = f"{gone} It takes no event, so nothing can be shown or changed.{_asked(home)}", (
                "Put back the newest copy of the audit folder. If it is lost, two people declare that: "
                "fieldgate audit recover."
            )  # fmt: skip
        found.append({"title": "The trail lost events", "text": text, "next": step})
    return found


def _incidents(home: Home) -> list[tuple[int, int]]:
    """Return the sizes signed and found of each incident that the log's own key has written down."""
    folder = home.path / "audit"
    try:
        verifier = Verifier.from_vkey((folder / "log.vkey").read_text(encoding="ascii").strip())
        text = (folder / INCIDENTS).read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError, AuditFault):
        return []
    found = []
    for note in notes(text):
        try:
            said = _FOUND.search(verifier.open(note))
        except AuditFault:
            continue  # Cut short or not of this log: the verifier tells of what does not hold.
        if said is not None:
            found.append((int(said.group(1)), int(said.group(2))))
    return list(dict.fromkeys(found))[::-1]


def _asked(home: Home) -> str:
    try:
        by = json.loads((home.path / "audit" / REQUEST).read_text(encoding="utf-8"))["by"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return f" {by} has declared it lost; another person has to confirm that."
