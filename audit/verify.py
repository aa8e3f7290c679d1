"""Prove the whole log from its stored bytes, trusting nothing but the log's public key.

Everything is recomputed: each leaf's hash, the root at every checkpoint (which is consistency from
one to the next), every signature, the order and completeness of the sequence, the shape of every
event, what events say of each other, the head row, and the checkpoints that were written outside the
database or came back from witnesses. Checks are reported as ran, skipped or failed; a check that could
not run is not a check that passed. A stranger's script (`audit.stranger`) does the same on its own, and
both are held against each other in the tests.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit.canonical import parse
from audit.cosign import cosigned_by, unknown_lines
from audit.database import DATABASE, connect
from audit.errors import AuditFault
from audit.event import schema_problem
from audit.log import VKEY
from audit.merkle import EMPTY, Frontier, leaf_hash
from audit.note import Checkpoint, Verifier, plain_size
from audit.outside import CHECKPOINTS, WITNESSED, Lost, notes
from audit.source import Reader
from audit.stranger import Story
from audit.witnessed import Quorum, Standing, standing


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
            "witnessed": self.standing.as_dict() if self.standing else None,
        }


def verify(
    folder: Path,
    *,
    vkey: str | None = None,
    quorum: Quorum | None = None,
    seconds: int = 0,
    reader: Callable[[], Reader] | None = None,
) -> Report:
    """Verify the log in `folder`.

    Args:
        folder: The audit folder, or a copy of it.
        vkey: The log's verifier key from a place the reader trusts; without it the key that stands
            in the folder is used, and the report says so.
        quorum: Witnesses that must vouch for it. Too few make the report incomplete; one that is late is an
            alarm in it and no more.
        seconds: Now, POSIX time; it decides who is late.
        reader: Opens the store of a log whose database is not in the folder (`audit.postgres.Reading`).

    Returns:
        A report; it never raises for a bad log.
    """
    report = Report()
    verifier = _verifier(folder, vkey, report)
    try:
        if reader is None and not (folder / DATABASE).is_file():
            report.missing.append("the log's database is not there")
        else:
            connection = reader() if reader else connect(folder / DATABASE, read_only=True)
            try:
                known = [(key.name, key.hash) for key in quorum.keys] if quorum else []
                roots, signed = _verify_database(connection, verifier, folder, known, report)
                if quorum is not None:
                    _check_witnesses(signed, roots, verifier, quorum, seconds, report)
            finally:
                connection.close()
    except (sqlite3.Error, AuditFault) as error:
        report.findings.append(f"the log's database cannot be read ({type(error).__name__})")
    if report.findings:
        report.status = "tampered"
    elif report.missing or report.open_intents:
        report.status = "incomplete"
    return report


def _verifier(folder: Path, vkey: str | None, report: Report) -> Verifier | None:
    try:
        text = vkey or (folder / VKEY).read_text(encoding="ascii")
        return Verifier.from_vkey(text)
    except (OSError, UnicodeDecodeError):
        report.missing.append("the log's public key is not there")
    except AuditFault as error:
        report.missing.append(error.message)
    return None


def _verify_database(
    connection: Reader,
    verifier: Verifier | None,
    folder: Path,
    known: list[tuple[str, bytes]],
    report: Report,
) -> tuple[dict[int, bytes], list[tuple[int, str]]]:
    """Check the whole log; return its roots and every note that was signed."""
    # The outside notes first, then one snapshot: a writer may be at work, and what was published
    # before the snapshot is inside it.
    outside = _outside_notes(folder, verifier, report)
    witnessed = _witnessed_notes(folder, verifier, report)
    connection.execute("BEGIN")
    notes = {
        size: note if isinstance(note, str) else ""
        for size, note in connection.execute("SELECT size, note FROM checkpoint")
    }
    wanted = set(notes) | {size for size, _ in (*outside, *witnessed)}
    roots: dict[int, bytes] = {0: EMPTY.root()}
    frontier = EMPTY
    story = Story(verifier.name if verifier else None)
    for seq, body, stored in connection.execute("SELECT seq, body, hash FROM leaf ORDER BY seq"):
        if seq != frontier.size:
            report.findings.append(f"event {frontier.size} is missing")
            break
        if not isinstance(body, bytes) or not isinstance(stored, bytes):
            report.findings.append(f"event {seq} is not stored as bytes")
            break
        _check_leaf(seq, body, stored, story, report)
        frontier = frontier.append(leaf_hash(body))
        if frontier.size in wanted:
            roots[frontier.size] = frontier.root()
    report.size, report.root = frontier.size, frontier.root().hex()
    report.ran += ["leaves", "sequence", "schema"]
    _check_head(connection, frontier, report)
    check_notes(sorted(notes.items()), roots, verifier, "checkpoint", report)
    check_notes(outside, roots, verifier, "outside checkpoint", report)
    if witnessed:
        check_notes(witnessed, roots, verifier, "witnessed checkpoint", report)
    report.checkpoints = len(notes)
    if frontier.size and not outside:
        report.missing.append("no checkpoint is kept outside the database")
    if frontier.size and frontier.size not in notes:
        report.findings.append(f"no checkpoint covers event {frontier.size - 1}")
    tell_story(story, report)
    if notes and verifier:
        with suppress(AuditFault):  # A note that is malformed is a finding already.
            report.unchecked = unknown_lines(
                notes[max(notes)], [(verifier.name, verifier.hash), *known]
            )
    return roots, [*notes.items(), *outside, *witnessed]


def _check_witnesses(
    signed: list[tuple[int, str]],
    roots: dict[int, bytes],
    verifier: Verifier | None,
    quorum: Quorum,
    seconds: int,
    report: Report,
) -> None:
    found = []
    for size, note in signed:
        try:
            lines = cosigned_by(note, quorum.keys)
            if lines and verifier and roots.get(size) == Checkpoint.parse(verifier.open(note)).root:
                found.append((size, lines))
        except AuditFault as error:
            report.findings.append(f"witnesses at size {size}: {error.message}")
    report.standing = standing(found, quorum, seconds)
    if not report.standing.reached:
        report.missing.append(report.standing.sentence())
    report.ran.append("witnesses")


def _check_leaf(seq: int, body: bytes, stored: bytes, story: Story, report: Report) -> None:
    if leaf_hash(body) != stored:
        story.lose()
        report.findings.append(f"event {seq} was edited: its hash does not fit its bytes")
        return
    tell_event(seq, body, story, report)


def tell_event(seq: int, body: bytes, story: Story, report: Report) -> None:
    """Check the shape of an event and put it into the story of its log."""
    try:
        event = parse(body)
        problem = schema_problem(event)
    except AuditFault as error:
        problem = error.message
    if problem:
        story.lose()
        report.findings.append(f"event {seq}: {problem}")
    else:
        story.tell(seq, event)


def tell_story(story: Story, report: Report, *, exported: bool = False) -> None:
    """Put what events say of each other into a report.

    Args:
        story: The story, told to its end.
        report: The report.
        exported: Whether it is that of an export, which ends with the intent that announces it.
    """
    report.findings += [what for _, _, what in story.findings]
    report.missing += [what for _, _, what in story.doubts]
    for seq, base, size in story.losses:
        sentence = _gone(base, size, seq)
        # A checkpoint outside has said it, unless it was left behind.
        if not any(one.startswith(sentence.partition(",")[0]) for one in report.missing):
            report.missing.append(sentence)
    announced = {one for one in story.open if exported and story.announces(one)}
    report.open_intents = sorted(set(story.open) - announced, key=lambda name: story.open[name])
    report.ran += story.CHECKS


def _gone(base: int, size: int, seq: int) -> str:
    return f"events {base} to {size - 1} were lost, and declared lost in event {seq}"


def _check_head(connection: Reader, frontier: Frontier, report: Report) -> None:
    row = connection.execute("SELECT size, frontier FROM head").fetchone()
    if row is None or tuple(row) != (frontier.size, frontier.pack()):
        report.findings.append("the head row does not fit the events")
    report.ran.append("head")


def _outside_notes(
    folder: Path, verifier: Verifier | None, report: Report
) -> list[tuple[int, str]]:
    try:
        text = (folder / CHECKPOINTS).read_text(encoding="utf-8", errors="replace")
    except OSError:
        report.missing.append("the checkpoints outside the database are not there")
        return []
    return kept_notes(text, "outside checkpoint", verifier, report)


def _witnessed_notes(
    folder: Path, verifier: Verifier | None, report: Report
) -> list[tuple[int, str]]:
    try:
        text = (folder / WITNESSED).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return kept_notes(text, "witnessed checkpoint", verifier, report)


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
            found = [one for one in found if not lost.base < one[0] <= lost.size]
            sentence = _gone(lost.base, lost.size, size - 1)
            if sentence not in report.missing:
                report.missing.append(sentence)
        found.append((size, note))
    return sorted(found)


def _declared(note: str, verifier: Verifier | None) -> Lost | None:
    if verifier is None:
        return None
    try:
        return Lost.of(verifier.open(note))
    except AuditFault:
        return None


def _a(what: str) -> str:
    return f"an {what}" if what[0] in "aeiou" else f"a {what}"


def check_notes(
    notes: list[tuple[int, str]],
    roots: dict[int, bytes],
    verifier: Verifier | None,
    what: str,
    report: Report,
) -> None:
    """Hold signed tree heads against the roots of a tree: that is consistency between all of them."""
    if verifier is None:
        report.missing.append(f"{what}s were not checked: no public key")
        return
    for size, note in notes:
        try:
            stated = Checkpoint.parse(verifier.open(note))
        except AuditFault as error:
            report.findings.append(f"{what} at size {size}: {error.message}")
            continue
        if stated.origin != verifier.name or stated.size != size:
            report.findings.append(f"{what} at size {size} belongs to another tree")
        elif size not in roots:
            report.findings.append(f"events were cut off: {_a(what)} attests size {size}")
        elif roots[size] != stated.root:
            report.findings.append(f"the events before {size} are not those the {what} attests")
    report.ran.append(f"{what}s")
