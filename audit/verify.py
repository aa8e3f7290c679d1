"""Prove the whole log from its stored bytes, trusting nothing but the log's public key.

Everything is recomputed: each leaf's hash, the root at every checkpoint (which is consistency from
one to the next), every signature, the order and completeness of the sequence, the shape of every
event, what events say of each other, the head row, and the checkpoints that were written outside the
database or came back from witnesses. Checks are reported as ran, skipped or failed; a check that could
not run is not a check that passed. A stranger's script (`audit.stranger`) does the same on its own, and
both are held against each other in the tests.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from audit.canonical import parse
from audit.cosign import cosigned_by
from audit.database import DATABASE, connect
from audit.errors import AuditFault
from audit.event import schema_problem
from audit.log import VKEY
from audit.merkle import EMPTY, Frontier, leaf_hash
from audit.note import Checkpoint, Verifier, plain_size
from audit.outside import CHECKPOINTS, RECOVERED, WITNESSED, Lost, notes
from audit.source import Reader
from audit.usual import UsualStory, usual
from audit.witnessed import Quorum, Standing, standing

_AT_ONCE = 512


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
                roots, signed = _verify_database(connection, verifier, folder, report)
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
    story = UsualStory(verifier.name if verifier else None)
    leaves = iter(connection.execute("SELECT seq, body, hash FROM leaf ORDER BY seq"))
    while batch := list(islice(leaves, _AT_ONCE)):
        hashes = _check_leaves(frontier.size, batch, story, report)
        frontier = frontier.extend_past(hashes, wanted, roots)
        if len(hashes) < len(batch):
            break
    report.size, report.root = frontier.size, frontier.root().hex()
    report.ran += ["leaves", "sequence", "schema"]
    _check_head(connection, frontier, report)
    opened: dict[str, Checkpoint | AuditFault] = {}  # Most notes stand in several places.
    _check_notes(sorted(notes.items()), roots, verifier, "checkpoint", report, opened)
    _check_notes(outside, roots, verifier, "outside checkpoint", report, opened)
    if witnessed:
        _check_notes(witnessed, roots, verifier, "witnessed checkpoint", report, opened)
    report.checkpoints = len(notes)
    if frontier.size and not outside:
        report.missing.append("no checkpoint is kept outside the database")
    if frontier.size and frontier.size not in notes:
        report.findings.append(f"no checkpoint covers event {frontier.size - 1}")
    report.findings += [what for _, _, what in story.findings]
    report.missing += [what for _, _, what in story.doubts]
    aside: list[int] = getattr(connection, "set_aside", list)()
    if aside:
        report.missing.append(
            f"{len(aside)} events were set aside as not fit to be signed, the first of them number {aside[0]}"
        )
    report.open_intents = sorted(story.open, key=lambda name: story.open[name])
    report.ran += story.CHECKS
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


def _check_leaves(
    start: int, batch: Sequence[tuple[Any, Any, Any]], story: UsualStory, report: Report
) -> list[bytes]:
    """Check leaves that should stand from `start` on; return the hashes of those up to a gap."""
    numbers, bodies, stored = zip(*batch, strict=True)
    if numbers == tuple(range(start, start + len(batch))) and set(map(type, bodies)) == {bytes}:
        sha256 = hashlib.sha256
        hashes = [sha256(b"\x00" + body).digest() for body in bodies]
        events = usual(bodies) if stored == tuple(hashes) else None
        if events is not None:
            story.tell_all(start, events)
            return hashes
    hashes = []
    for seq, body, hashed in batch:
        if seq != start + len(hashes):
            report.findings.append(f"event {start + len(hashes)} is missing")
            break
        if not isinstance(body, bytes) or not isinstance(hashed, bytes):
            report.findings.append(f"event {seq} is not stored as bytes")
            break
        _check_leaf(seq, body, hashed, story, report)
        hashes.append(leaf_hash(body))
    return hashes


def _check_leaf(seq: int, body: bytes, stored: bytes, story: UsualStory, report: Report) -> None:
    if leaf_hash(body) != stored:
        story.lose()
        report.findings.append(f"event {seq} was edited: its hash does not fit its bytes")
        return
    events = usual([body])
    if events is not None:
        story.tell_all(seq, events)
        return
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


def _check_head(connection: Reader, frontier: Frontier, report: Report) -> None:
    row = connection.execute("SELECT size, frontier FROM head").fetchone()
    if row is None or tuple(row) != (frontier.size, frontier.pack()):
        report.findings.append("the head row does not fit the events")
    report.ran.append("head")


def _outside_notes(
    folder: Path, verifier: Verifier | None, report: Report
) -> list[tuple[int, str]]:
    """Return the notes of the outside file by size, but for those of events declared lost.

    Such a note attests what is not there any more: it is told as missing, for ever, and is no sign of
    tampering.
    """
    try:
        text = (folder / CHECKPOINTS).read_text(encoding="utf-8", errors="replace")
    except OSError:
        report.missing.append("the checkpoints outside the database are not there")
        return []
    found: list[tuple[int, str]] = []
    for number, note in enumerate(notes(text)):
        size = plain_size(note.split("\n")[1])
        if size is None:
            report.findings.append(f"checkpoint {number} outside the database is malformed")
            continue
        lost = _declared(note, verifier)
        if lost is not None:
            found = [one for one in found if not lost.base < one[0] <= lost.size]
            report.missing.append(
                f"events {lost.base} to {lost.size - 1} were lost, and declared lost in event {size - 1}"
            )
        found.append((size, note))
    return sorted(found)


def _witnessed_notes(
    folder: Path, verifier: Verifier | None, report: Report
) -> list[tuple[int, str]]:
    """Return the notes that came back from witnesses by size, but for those of events declared lost since."""
    try:
        text = (folder / WITNESSED).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    found: list[tuple[int, str]] = []
    for number, note in enumerate(notes(text)):
        size = plain_size(note.split("\n")[1])
        if size is None:
            report.findings.append(f"witnessed checkpoint {number} is malformed")
            continue
        lost = _declared(note, verifier)
        if lost is not None:
            # A witness may hold what was lost: that is the gap, and no second history.
            found = [one for one in found if not lost.base < one[0] <= lost.size]
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


def _check_notes(
    notes: list[tuple[int, str]],
    roots: dict[int, bytes],
    verifier: Verifier | None,
    what: str,
    report: Report,
    opened: dict[str, Checkpoint | AuditFault],
) -> None:
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
