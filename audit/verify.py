"""Prove the whole log from its stored bytes, trusting nothing but the log's public key.

Everything is recomputed: each leaf's hash, the root at every checkpoint (which is consistency from
one to the next), every signature, the order and completeness of the sequence, the shape of every
event, the head row, and the checkpoints that were written outside the database. Checks are reported
as ran, skipped or failed; a check that could not run is not a check that passed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit.canonical import parse
from audit.database import connect
from audit.errors import AuditFault
from audit.event import schema_problem
from audit.log import DATABASE, VKEY
from audit.merkle import EMPTY, Frontier, leaf_hash
from audit.note import Checkpoint, Verifier, plain_size
from audit.outside import CHECKPOINTS, Lost, notes
from audit.source import Reader


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
    """

    status: str = "verified"
    size: int = 0
    root: str = ""
    checkpoints: int = 0
    findings: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    open_intents: list[str] = field(default_factory=list)

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
        }


def verify(
    folder: Path, *, vkey: str | None = None, reader: Callable[[], Reader] | None = None
) -> Report:
    """Verify the log in `folder`.

    Args:
        folder: The audit folder, or a copy of it.
        vkey: The log's verifier key from a place the reader trusts; without it the key that stands
            in the folder is used, and the report says so.
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
                _verify_database(connection, verifier, folder, report)
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
) -> None:
    # The outside notes first, then one snapshot: a writer may be at work, and what was published
    # before the snapshot is inside it.
    outside = _outside_notes(folder, verifier, report)
    connection.execute("BEGIN")
    notes = {
        size: note if isinstance(note, str) else ""
        for size, note in connection.execute("SELECT size, note FROM checkpoint")
    }
    wanted = set(notes) | {size for size, _ in outside}
    roots: dict[int, bytes] = {0: EMPTY.root()}
    frontier = EMPTY
    intents: dict[str, int] = {}
    for seq, body, stored in connection.execute("SELECT seq, body, hash FROM leaf ORDER BY seq"):
        if seq != frontier.size:
            report.findings.append(f"event {frontier.size} is missing")
            break
        if not isinstance(body, bytes) or not isinstance(stored, bytes):
            report.findings.append(f"event {seq} is not stored as bytes")
            break
        _check_leaf(seq, body, stored, intents, report)
        frontier = frontier.append(leaf_hash(body))
        if frontier.size in wanted:
            roots[frontier.size] = frontier.root()
    report.size, report.root = frontier.size, frontier.root().hex()
    report.ran += ["leaves", "sequence", "schema"]
    _check_head(connection, frontier, report)
    _check_notes(sorted(notes.items()), roots, verifier, "checkpoint", report)
    _check_notes(outside, roots, verifier, "outside checkpoint", report)
    report.checkpoints = len(notes)
    if frontier.size and not outside:
        report.missing.append("no checkpoint is kept outside the database")
    if frontier.size and frontier.size not in notes:
        report.findings.append(f"no checkpoint covers event {frontier.size - 1}")
    report.open_intents = sorted(intents, key=lambda name: intents[name])
    report.ran.append("intents")


def _check_leaf(
    seq: int, body: bytes, stored: bytes, intents: dict[str, int], report: Report
) -> None:
    if leaf_hash(body) != stored:
        report.findings.append(f"event {seq} was edited: its hash does not fit its bytes")
        return
    try:
        event = parse(body)
    except AuditFault as error:
        report.findings.append(f"event {seq}: {error.message}")
        return
    problem = schema_problem(event)
    if problem:
        report.findings.append(f"event {seq}: {problem}")
    elif event["phase"] == "intent":
        intents[event["intent"]] = seq
    else:
        intents.pop(event["intent"], None)


def _check_head(connection: Reader, frontier: Frontier, report: Report) -> None:
    row = connection.execute("SELECT size, frontier FROM head").fetchone()
    if row is None or tuple(row) != (frontier.size, frontier.pack()):
        report.findings.append("the head row does not fit the events")
    report.ran.append("head")


def _outside_notes(
    folder: Path, verifier: Verifier | None, report: Report
) -> list[tuple[int, str]]:
    """Return the notes of the outside file by size, but for those of events declared lost after them.

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


def _declared(note: str, verifier: Verifier | None) -> Lost | None:
    if verifier is None:
        return None
    try:
        return Lost.of(verifier.open(note))
    except AuditFault:
        return None


def _a(what: str) -> str:
    return f"an {what}" if what[0] in "aeiou" else f"a {what}"


def _check_notes(
    notes: list[tuple[int, str]],
    roots: dict[int, bytes],
    verifier: Verifier | None,
    what: str,
    report: Report,
) -> None:
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
