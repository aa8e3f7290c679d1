"""What a log is held against that stands outside it: beside it, on other disks, with witnesses."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from audit.anchor import Anchor, losses, read_bounded
from audit.cosign import CosignerKey, unknown_lines
from audit.errors import AuditFault
from audit.note import Checkpoint, Verifier, plain_size
from audit.outside import CHECKPOINTS, RECOVERED, WITNESSED, Lost, notes
from audit.report import Report
from audit.witnessed import Quorum

SECOND_VKEY = "log.second.vkey"
SECOND = "second signature"
"""What every sentence about one that is not there names."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a reader holds a log against, beside what stands in its folder.

    Attributes:
        files: Files of checkpoints that were copied to another disk.
        anchor: The log's own anchor: one that is not reached or lags is an alarm and no more.
        second_vkey: The log's second key; that of the folder where none is given.
    """

    files: tuple[Path, ...] = ()
    anchor: Anchor | None = None
    second_vkey: str = ""


NOTHING_KEPT = Kept()


def outside_notes(folder: Path, verifier: Verifier | None, report: Report) -> list[tuple[int, str]]:
    """Return the checkpoints that were published beside the log's store, by size."""
    try:
        text = (folder / CHECKPOINTS).read_text(encoding="utf-8", errors="replace")
    except OSError:
        report.missing.append("the checkpoints outside the database are not there")
        return []
    return kept_notes(text, "outside checkpoint", verifier, report)


def witnessed_notes(
    folder: Path, verifier: Verifier | None, report: Report
) -> list[tuple[int, str]]:
    """Return the checkpoints that came back from witnesses, by size."""
    try:
        text = (folder / WITNESSED).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return kept_notes(text, "witnessed checkpoint", verifier, report)


def anchored_notes(
    folder: Path, kept: Kept, verifier: Verifier | None, report: Report
) -> list[tuple[int, str]]:
    """Return what was copied to other disks and is not beside the log as well; say what lags there."""
    files = [(path, True) for path in kept.files]
    if kept.anchor is not None:
        files.append((kept.anchor.path, False))
        try:
            report.alarms += [one for one in (kept.anchor.alarm(),) if one]
        except OSError as error:
            report.alarms.append(f"the anchor cannot be reached ({type(error).__name__})")
    try:
        beside = (folder / CHECKPOINTS).read_text(encoding="utf-8", errors="replace")
    except OSError:
        beside = ""
    published = set(notes(beside))
    # Not what was lost since: nobody can copy that any more.
    newest = _newest(kept_notes(beside, "outside checkpoint", verifier, Report()))
    gaps = losses(folder, verifier) if verifier else []
    found: list[tuple[int, str]] = []
    for path, asked in files:
        try:
            text = read_bounded(path)
        except OSError as error:
            told = report.missing if asked else report.alarms
            why = " (TimeoutError)" if isinstance(error, TimeoutError) else ""
            told.append(f"the checkpoints of the anchor are not there{why}")
            continue
        held = kept_notes(text, "anchored checkpoint", verifier, report)
        if gaps:  # A copy from before a loss does not know of it; one that does holds both sides in order.
            known = set(notes(text))
            unknown = [lost for note, lost in gaps if note not in known]
            held = [one for one in held if not any(lost.holds(one[0]) for lost in unknown)]
        lag = newest - _newest(held)
        if not asked and lag > 0:
            report.alarms.append(f"the anchor lags: it does not know the last {lag} events")
        found += [one for one in held if one[1] not in published]
    return sorted(found)


def _newest(found: list[tuple[int, str]]) -> int:
    return max((size for size, _ in found), default=0)


def check_lines(
    signed: list[tuple[int, str]],
    verifier: Verifier | None,
    folder: Path,
    kept: Kept,
    quorum: Quorum | None,
    report: Report,
) -> None:
    """Check the log's second signatures, and name the lines of the newest checkpoint that nobody checked."""
    if verifier is None or not signed:
        return
    keys = [*(quorum.keys if quorum else ())]
    try:
        text = kept.second_vkey
        if not text and (folder / SECOND_VKEY).is_file():
            text = (folder / SECOND_VKEY).read_text(encoding="ascii")
        if text:
            second = CosignerKey.from_vkey(text)
            _check_second(signed, second, verifier, report)
            keys.append(second)
    except (OSError, UnicodeDecodeError, AuditFault):
        report.missing.append("the second key of the log cannot be read")
    known = [(verifier.name, verifier.hash), *((key.name, key.hash) for key in keys)]
    with suppress(AuditFault):  # A note that is malformed is a finding already.
        report.unchecked = unknown_lines(max(signed)[1], known)


def _check_second(
    signed: list[tuple[int, str]], second: CosignerKey, verifier: Verifier, report: Report
) -> None:
    if second.name != verifier.name:
        report.missing.append("the second key is one of another log")
        return
    bears: dict[int, bool] = {}
    for size, note in dict.fromkeys(signed):
        try:
            bears[size] = second.find(note) is not None or bears.get(size, False)
        except AuditFault as error:
            report.findings.append(f"the second signature at size {size}: {error.message}")
    report.second = sum(bears.values())
    last = max((size for size, has in bears.items() if has), default=0)
    # Whoever leaves the second line out could have broken the first key: it is not shown, and no mere alarm.
    # One that bears it attests all events before it, whatever the checkpoints between bear.
    if not last:
        report.missing.append(f"no checkpoint bears a {SECOND}")
    elif last < max(bears):
        report.missing.append(f"no checkpoint after size {last} bears a {SECOND}")
    report.ran.append("second signatures")


def kept_notes(
    text: str, what: str, verifier: Verifier | None, report: Report
) -> list[tuple[int, str]]:
    """Return the notes of a file by size, but for those of events that were declared lost since.

    Such a note attests what is not there any more: it is told as missing, for ever, and is no sign of
    tampering. A witness may hold it too: that is the gap, and no second history.

    Args:
        text: Text of the file.
        what: What its notes are called.
        verifier: The log's public key.
        report: Takes what is malformed, and the losses.
    """
    found: list[tuple[int, str]] = []
    for number, note in enumerate(notes(text)):
        size = plain_size(note.split("\n")[1])
        if size is None:
            named = (
                f"checkpoint {number} outside the database"
                if what[0] == "o"
                else f"{what} {number}"
            )
            report.findings.append(f"{named} is malformed")
            continue
        lost = _declared(note, verifier)
        if lost is not None:
            found = [one for one in found if not lost.holds(one[0])]
            sentence = gone(lost.base, lost.size, size - 1)
            if sentence not in report.missing:
                report.missing.append(sentence)
        found.append((size, note))
    return sorted(found)


def _declared(note: str, verifier: Verifier | None) -> Lost | None:
    if verifier is None or f"\n{RECOVERED} " not in note:
        return None
    try:
        return Lost.of(verifier.open(note))
    except AuditFault:
        return None


def _a(what: str) -> str:
    return f"an {what}" if what[0] in "aeiou" else f"a {what}"


def _opened(verifier: Verifier, note: str) -> Checkpoint | AuditFault:
    try:
        return Checkpoint.parse(verifier.open(note))
    except AuditFault as error:
        return error


def check_notes(
    notes: list[tuple[int, str]],
    roots: dict[int, bytes],
    verifier: Verifier | None,
    what: str,
    report: Report,
    opened: dict[str, Checkpoint | AuditFault] | None = None,
) -> None:
    """Hold signed tree heads against the roots of a tree: that is consistency between all of them.

    Args:
        notes: Size and text of each.
        roots: Root by size.
        verifier: The log's public key.
        what: What the notes are called.
        report: Takes what does not hold.
        opened: What was opened before, so that a note is not opened twice; more is put into it.
    """
    opened = {} if opened is None else opened
    if verifier is None:
        report.missing.append(f"{what}s were not checked: no public key")
        return
    for size, note in notes:
        stated = opened.get(note) or opened.setdefault(note, _opened(verifier, note))
        if isinstance(stated, AuditFault):
            report.findings.append(f"{what} at size {size}: {stated.message}")
            continue
        if stated.origin != verifier.name or stated.size != size:
            report.findings.append(f"{what} at size {size} belongs to another tree")
        elif size not in roots:
            report.findings.append(f"events were cut off: {_a(what)} attests size {size}")
        elif roots[size] != stated.root:
            report.findings.append(f"the events before {size} are not those the {what} attests")
    report.ran.append(f"{what}s")


def gone(base: int, size: int, seq: int) -> str:
    """Say that events were declared lost, and where."""
    return f"events {base} to {size - 1} were lost, and declared lost in event {seq}"
