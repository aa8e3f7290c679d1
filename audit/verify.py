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
from itertools import islice
from pathlib import Path
from typing import Any

from audit.canonical import parse
from audit.cosign import cosigned_by
from audit.database import DATABASE, connect
from audit.errors import AuditFault
from audit.event import schema_problem
from audit.kept import (
    NOTHING_KEPT,
    Kept,
    anchored_notes,
    check_lines,
    check_notes,
    gone,
    outside_notes,
    witnessed_notes,
)
from audit.log import VKEY
from audit.merkle import EMPTY, Frontier, leaf_hash
from audit.note import Checkpoint, Verifier
from audit.report import Report
from audit.source import Reader
from audit.stranger import Story
from audit.usual import UsualStory, usual
from audit.witnessed import Quorum, standing

_AT_ONCE = 512


def verify(
    folder: Path,
    *,
    vkey: str | None = None,
    quorum: Quorum | None = None,
    seconds: int = 0,
    reader: Callable[[], Reader] | None = None,
    kept: Kept = NOTHING_KEPT,
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
        kept: What else it is held against.

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
                roots, signed = _verify_database(connection, verifier, folder, kept, report)
                check_lines(signed, verifier, folder, kept, quorum, report)
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
    kept: Kept,
    report: Report,
) -> tuple[dict[int, bytes], list[tuple[int, str]]]:
    """Check the whole log; return its roots and every note that was signed."""
    # The outside notes first, then one snapshot: a writer may be at work, and what was published
    # before the snapshot is inside it.
    outside = outside_notes(folder, verifier, report)
    witnessed = witnessed_notes(folder, verifier, report)
    anchored = anchored_notes(folder, kept, verifier, report)
    connection.execute("BEGIN")
    notes = {
        size: note if isinstance(note, str) else ""
        for size, note in connection.execute("SELECT size, note FROM checkpoint")
    }
    wanted = set(notes) | {size for size, _ in (*outside, *witnessed, *anchored)}
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
    check_notes(sorted(notes.items()), roots, verifier, "checkpoint", report, opened)
    check_notes(outside, roots, verifier, "outside checkpoint", report, opened)
    if witnessed:
        check_notes(witnessed, roots, verifier, "witnessed checkpoint", report, opened)
    if anchored:
        check_notes(anchored, roots, verifier, "anchored checkpoint", report, opened)
    report.checkpoints = len(notes)
    if frontier.size and not outside:
        report.missing.append("no checkpoint is kept outside the database")
    if frontier.size and frontier.size not in notes:
        report.findings.append(f"no checkpoint covers event {frontier.size - 1}")
    aside: list[int] = getattr(connection, "set_aside", list)()
    if aside:
        report.missing.append(
            f"{len(aside)} events were set aside as not fit to be signed, the first of them number {aside[0]}"
        )
    tell_story(story, report)
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
        sentence = gone(base, size, seq)
        # A checkpoint outside has said it, unless it was left behind.
        if not any(one.startswith(sentence.partition(",")[0]) for one in report.missing):
            report.missing.append(sentence)
    announced = {one for one in story.open if exported and story.announces(one)}
    report.open_intents = sorted(set(story.open) - announced, key=lambda name: story.open[name])
    report.ran += story.CHECKS


def _check_head(connection: Reader, frontier: Frontier, report: Report) -> None:
    row = connection.execute("SELECT size, frontier FROM head").fetchone()
    if row is None or tuple(row) != (frontier.size, frontier.pack()):
        report.findings.append("the head row does not fit the events")
    report.ran.append("head")
