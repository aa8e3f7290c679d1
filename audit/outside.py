"""What was signed outside the database: read it, and hold a log against it before it may be appended to.

A database that was put back from a backup is shorter than what it signed, or another one. Nothing is
appended to such a log: it would sign a second history. The incident is written down, signed, and two people
declare what is lost before the log goes on; the gap stays visible for ever.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path

from audit.errors import AuditFault
from audit.merkle import EMPTY, Frontier
from audit.note import Checkpoint, Signer, Verifier, plain_size
from audit.source import Reader

CHECKPOINTS = "checkpoints.txt"
INCIDENTS = "incidents.txt"
WITNESSED = "witnessed.txt"
CUT = "-- the lines above were cut short --"
RECOVERED = "recovered"
_TAIL = 262_144
_AT_ONCE = 4_096
_SETTLE = 16_384
"""Bytes of checkpoints, some sixty of them, that may be on their way to the disk."""
_ENOUGH = 16
"""Notes of the log key that are looked at, from the end: several processes may publish out of order. Others
say nothing and hide none of them."""


@dataclass(frozen=True, slots=True)
class Lost:
    """What two people declared lost: the events from `base` on, up to those of a checkpoint.

    Attributes:
        base: Number of events that were left.
        size: Number of events that had been signed.
        root: Their root.
    """

    base: int
    size: int
    root: bytes

    def line(self) -> str:
        """Return the extension line of the checkpoint that declares it."""
        return f"{RECOVERED} {self.base} {self.size} {base64.b64encode(self.root).decode()}\n"

    def holds(self, size: int) -> bool:
        """Say whether a checkpoint of that size, signed before the loss, attests events that were lost."""
        return self.base < size <= self.size

    @staticmethod
    def of(text: str) -> Lost | None:
        """Return what a checkpoint's text declares lost, if anything."""
        for line in text.split("\n")[3:]:
            parts = line.split(" ")
            if len(parts) != 4 or parts[0] != RECOVERED:
                continue
            base, size = plain_size(parts[1]), plain_size(parts[2])
            try:
                root = base64.b64decode(parts[3], validate=True)
            except ValueError:
                continue
            if base is not None and size is not None:
                return Lost(base, size, root)
        return None


def notes(text: str) -> Iterator[str]:
    """Split a file of notes: a note is text, an empty line and signature lines.

    What stands before a line `CUT`, or after the last whole note, was cut by a crash; it proves
    nothing and is left out.
    """
    lines: list[str] = []
    signed = False
    for line in text.split("\n"):
        if signed and line == "":
            yield "\n".join(lines) + "\n"
            lines, signed = [], False
        elif line == CUT:
            lines, signed = [], False
        elif lines or line:
            lines.append(line)
            signed = line.startswith("— ")


def append_note(path: Path, note: str, *, wait: bool = True) -> None:
    """Append a signed note; one that a crash cut short before it is marked as cut.

    Args:
        path: The file.
        note: The signed note.
        wait: Wait until it is on the disk. A checkpoint need not: what it attests is durable before it
            is written, a killed process loses nothing that was written, and after a power cut the
            next one heals the file. Its writing is begun at once, and waited for when the file has
            grown by `_SETTLE` bytes and when the log is closed.

    Raises:
        OSError: It cannot be written.
    """
    with path.open("a+b") as stream:
        size = stream.seek(0, os.SEEK_END)
        tail, back = b"", 1024
        while b"\n" not in tail[:-2] and len(tail) < size:  # A signature line may be long.
            stream.seek(max(0, size - back))
            tail, back = stream.read(), 16 * back
        last = tail.rstrip(b"\n").rpartition(b"\n")[2]
        whole = not tail or (tail.endswith(b"\n\n") and last.startswith("— ".encode()))
        data = (b"" if whole else f"\n{CUT}\n".encode()) + note.encode() + b"\n"
        stream.write(data)
        stream.flush()
        if wait or size // _SETTLE != (size + len(data)) // _SETTLE:
            _settle(stream.fileno())
        elif hasattr(os, "posix_fadvise"):
            # Linux begins to write what it is told not to keep.
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def settle_notes(path: Path) -> None:
    """Wait until the notes of a file are on the disk; a file that is not there is nothing to wait for."""
    with suppress(OSError), path.open("rb") as stream:
        _settle(stream.fileno())


def _settle(descriptor: int) -> None:
    os.fdatasync(descriptor) if hasattr(os, "fdatasync") else os.fsync(descriptor)


def last_signed(folder: Path, verifier: Verifier) -> Checkpoint | None:
    """Return the largest checkpoint at the end of the outside file, back to the last recovery."""
    try:
        return last_signed_in(folder / CHECKPOINTS, verifier)
    except OSError:
        return None


def last_signed_in(path: Path, verifier: Verifier) -> Checkpoint | None:
    """Return the largest checkpoint at the end of a file of them, back to the last recovery.

    Args:
        path: The file.
        verifier: The log's public key; what it did not sign says nothing.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL))
        text = stream.read().decode("utf-8", errors="replace")
    best: Checkpoint | None = None
    seen = 0
    for note in reversed(list(notes(text))):
        try:
            signed = verifier.open(note)
            stated = Checkpoint.parse(signed)
        except AuditFault:
            continue
        if stated.origin != verifier.name:
            continue
        if best is None or stated.size > best.size:
            best = stated
        seen += 1
        if seen == _ENOUGH or Lost.of(signed) is not None:
            break
    return best


@dataclass(frozen=True, slots=True)
class Incident:
    """A log that is not the one it had signed.

    Attributes:
        signed: The last checkpoint that was signed outside.
        found: What the stored events come to, at the same size or at their own when they are fewer.
    """

    signed: Checkpoint
    found: Checkpoint

    def sentence(self) -> str:
        """Say what is wrong."""
        if self.found.size < self.signed.size:
            return f"the log holds {self.found.size} events and had signed {self.signed.size}"
        return f"the first {self.signed.size} events are not those that the log had signed"


def incident_of(
    connection: Reader, folder: Path, verifier: Verifier, anchored: Checkpoint | None = None
) -> Incident | None:
    """Compare a log with the last checkpoint that was signed outside it; None when it fits.

    Args:
        connection: The log's store.
        folder: The audit folder.
        verifier: The log's public key.
        anchored: The last checkpoint of its anchor, read before the store.
    """
    # The files first: what was published before is in the database that is read after them.
    known = [last_signed(folder, verifier), _last_witnessed(folder, verifier), anchored]
    signed = [one for one in known if one is not None]
    found = heads_at(connection, verifier.name, {one.size for one in signed})
    for one in signed:
        if found[one.size] != one:
            return Incident(one, found[one.size])
    return None


def _last_witnessed(folder: Path, verifier: Verifier) -> Checkpoint | None:
    """Return the largest checkpoint that came back from witnesses of late, back to the last recovery."""
    try:
        with (folder / WITNESSED).open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL))
            text = stream.read().decode("utf-8", errors="replace")
    except OSError:
        return None
    best: Checkpoint | None = None
    for note in reversed(list(notes(text))[-_ENOUGH:]):
        try:
            signed = verifier.open(note)
            stated = Checkpoint.parse(signed)
        except AuditFault:
            continue
        if stated.origin == verifier.name and (best is None or stated.size > best.size):
            best = stated
        if Lost.of(signed) is not None:
            break
    return best


def append_lost(folder: Path, note: str) -> None:
    """Write down a declared loss where what was lost is known: outside, and beside what witnesses signed.

    Raises:
        OSError: It cannot be written.
    """
    if (folder / WITNESSED).exists():
        append_note(folder / WITNESSED, note)
    append_note(folder / CHECKPOINTS, note)


def declared_lost(folder: Path, verifier: Verifier) -> list[str]:
    """Return the notes of the outside file that declare events lost, oldest first.

    Raises:
        OSError: It cannot be read; one that is not there declares nothing.
    """
    try:
        text = (folder / CHECKPOINTS).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    if f"\n{RECOVERED} " not in text:  # The file has a note for each batch; few have a loss.
        return []
    found = []
    for note in notes(text):
        try:
            if f"\n{RECOVERED} " in note and Lost.of(verifier.open(note)) is not None:
                found.append(note)
        except AuditFault:
            continue
    return found


def hold_against(
    connection: Reader, folder: Path, signer: Signer, anchored: Checkpoint | None = None
) -> None:
    """Refuse a log that is not the one it had signed (audit_crypto.md 6, 18); see `incident_of`.

    Raises:
        AuditFault: ``FG-AUD-12`` it is shorter than that, or another log. The incident stands signed in
            ``incidents.txt`` beside it.
    """
    incident = incident_of(connection, folder, Verifier.from_vkey(signer.vkey()), anchored)
    if incident is None:
        return
    signed, found = incident.signed, incident.found
    note = signer.sign(
        f"{signer.name}\nincident\n"
        f"signed {signed.size} {base64.b64encode(signed.root).decode()}\n"
        f"found {found.size} {base64.b64encode(found.root).decode()}\n"
    )
    path = folder / INCIDENTS
    # The refusal does not hang on it: a disk that takes no incident takes no event either.
    with suppress(OSError):
        known = path.read_text(encoding="utf-8") if path.exists() else ""
        if note not in known:
            append_note(path, note)
    raise AuditFault(
        "FG-AUD-12",
        incident.sentence(),
        "Put back the newest copy of the audit folder. If it is lost, two people declare that: "
        "fieldgate audit recover.",
    )


def common_base(connection: Reader, folder: Path, verifier: Verifier) -> int:
    """Return the size of the largest checkpoint signed outside that the stored events still bear out."""
    text = (folder / CHECKPOINTS).read_text(encoding="utf-8", errors="replace")
    signed = []
    for note in notes(text):
        with suppress(AuditFault):
            signed.append(Checkpoint.parse(verifier.open(note)))
    found = heads_at(connection, verifier.name, {one.size for one in signed})
    return max((one.size for one in signed if found[one.size] == one), default=0)


def heads_at(connection: Reader, origin: str, sizes: set[int]) -> dict[int, Checkpoint]:
    """Return the tree head of the stored leaves at each size, or at their own size when they are fewer.

    It is computed from the hashes of all leaves up to there: what the store says of its own heads and of
    its own size is what a changed store would say.
    """
    roots = {0: EMPTY.root()}
    frontier: Frontier = EMPTY
    rows = iter(
        connection.execute(
            "SELECT seq, hash FROM leaf ORDER BY seq LIMIT ?", (max(sizes, default=0),)
        )
    )
    while batch := list(islice(rows, _AT_ONCE)):
        first = frontier.size
        places = takewhile(
            lambda one: one[1][0] == one[0] and type(one[1][1]) is bytes, enumerate(batch, first)
        )
        hashes = [hashed for _, (_, hashed) in places]
        frontier = frontier.extend_past(hashes, sizes, roots)
        if len(hashes) < len(batch):  # What stands behind a gap is no part of the tree.
            break
    whole = Checkpoint(origin, frontier.size, frontier.root())
    return {
        size: Checkpoint(origin, size, roots[size]) if size in roots else whole for size in sizes
    }


def found_at(connection: Reader, origin: str, size: int) -> Checkpoint:
    """Return the tree head of the stored leaves at a size, or at their own when they are fewer."""
    return heads_at(connection, origin, {size})[size]
