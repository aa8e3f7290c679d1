"""The log as a folder of static files in C2SP tlog-tiles layout, and the check of such a folder.

::

    checkpoint                      the newest signed tree head
    tile/<level>/<place>[.p/<n>]    256 hashes each; n of them where the tree ends
    tile/entries/<place>[.p/<n>]    the events, each behind its length in two bytes
    witnessed.txt                   checkpoints that witnesses signed, and declared losses, if any

Files are written whole or not at all, the checkpoint last; full ones never change, so a later export
adds what is new. Any tool that reads tlog-tiles can check the folder.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from audit.cosign import unknown_lines
from audit.database import reader_of
from audit.errors import AuditFault
from audit.kept import check_notes, kept_notes
from audit.levels import WIDTH, Node, node_of, root_at
from audit.merkle import EMPTY, leaf_hash, node_hash, root_of
from audit.note import Checkpoint, Verifier
from audit.outside import WITNESSED, declared_lost
from audit.place import Place
from audit.report import Report
from audit.source import Opening, Reader
from audit.stranger import Story
from audit.verify import tell_event, tell_story

CHECKPOINT, ENTRIES = "checkpoint", "entries"
_MOST_NOTE, _MOST_ENTRIES, _MOST_WITNESSED = 1 << 20, WIDTH * (2 + 65_535), 1 << 26
"""Bytes that a file of an export may have."""


def tile_path(level: int | str, place: int, width: int = WIDTH) -> Path:
    """Return where a tile stands: 1234067 is ``x001/x234/067``, and a partial one ``067.p/<width>``."""
    digits = f"{place:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    path = Path("tile", str(level), *(f"x{part}" for part in parts[:-1]), parts[-1])
    return path if width == WIDTH else path.with_name(parts[-1] + ".p") / str(width)


def tile_places(size: int) -> Iterator[tuple[int, int, int]]:
    """Yield (level, place, width) of every tile of a tree."""
    level = 0
    while size >> (8 * level):
        count = size >> (8 * level)
        for place in range(count // WIDTH):
            yield level, place, WIDTH
        if count % WIDTH:
            yield level, count // WIDTH, count % WIDTH
        level += 1


def bundle(bodies: Sequence[bytes]) -> bytes:
    """Return an entry bundle: each event behind its length, two bytes big-endian."""
    return b"".join(struct.pack(">H", len(body)) + body for body in bodies)


def entries_of(data: bytes) -> list[bytes]:
    """Split an entry bundle.

    Raises:
        AuditFault: ``FG-AUD-21`` it ends inside an entry.
    """
    found, at = [], 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise AuditFault(
                "FG-AUD-21", "an entry bundle ends inside an entry", "Export it again."
            )
        found.append(data[at + 2 : end])
        at = end
    return found


def export_tiles(
    log: Path, out: Path, verifier: Verifier, opening: Opening | None = None
) -> dict[str, int]:
    """Write the log up to its newest checkpoint into a folder; what stands there already stays.

    Args:
        log: The audit folder.
        out: An empty folder, or an earlier export of the same log.
        verifier: The log's public key.
        opening: See `audit.database.reader_of`.

    Returns:
        ``size`` of the exported tree and ``files`` written.

    Raises:
        AuditFault: ``FG-AUD-20`` the folder holds something else; ``FG-AUD-02`` it cannot be written;
            ``FG-AUD-07`` the stored hashes do not come to the signed root, so nothing is exported.
    """
    try:
        # Before the snapshot: what witnesses had signed by then is inside it.
        told = _beside(log, verifier)
        with closing(reader_of(log, opening)) as connection:
            connection.execute("BEGIN")
            row = connection.execute(
                "SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1"
            ).fetchone()
            if row is None:
                raise AuditFault("FG-AUD-07", "the log has no checkpoint", "Write an event first.")
            note = str(row[0])
            head = Checkpoint.parse(verifier.open(note))
            node = node_of(connection)
            if root_at(node, head.size) != head.root:
                raise AuditFault(
                    "FG-AUD-07", "the events do not come to the signed root", "Verify the log."
                )
            _same_log(out, head, node, verifier)
            files = sum(_write(out, *one, connection, node) for one in tile_places(head.size))
            files += _put(out / CHECKPOINT, note.encode())
            # Not part of the layout; a verifier of ours reads it.
            if told:
                files += _put(out / WITNESSED, told)
    except (sqlite3.Error, OSError) as error:
        raise AuditFault(
            "FG-AUD-02",
            f"the export failed ({type(error).__name__})",
            "Check the disk and the folder.",
        ) from error
    return {"size": head.size, "files": files}


def _beside(log: Path, verifier: Verifier) -> bytes:
    """Return what witnesses signed; where they signed nothing, what was declared lost all the same."""
    if (log / WITNESSED).is_file():
        return (log / WITNESSED).read_bytes()
    return "".join(f"{note}\n" for note in declared_lost(log, verifier)).encode()


def _same_log(out: Path, head: Checkpoint, node: Node, verifier: Verifier) -> None:
    try:
        stated = Checkpoint.parse(verifier.open((out / CHECKPOINT).read_text(encoding="utf-8")))
    except FileNotFoundError:
        # An export that was cut short has tiles and no checkpoint; they are written again.
        if out.is_dir() and any(one.name != "tile" for one in out.iterdir()):
            raise _other() from None
        return
    except (AuditFault, UnicodeDecodeError):
        raise _other() from None
    older = stated.origin == head.origin and stated.size <= head.size
    if not older or root_at(node, stated.size) != stated.root:
        raise _other()


def _other() -> AuditFault:
    return AuditFault(
        "FG-AUD-20", "the folder holds something else than an earlier export of this log",
        "Choose an empty folder. If it was an export of this log, keep both and verify them.",
    )  # fmt: skip


def _write(out: Path, level: int, place: int, width: int, connection: Reader, node: Node) -> int:
    start, whole = place * WIDTH, (out / CHECKPOINT).exists()
    files = 0
    path = out / tile_path(level, place, width)
    if not (whole and path.exists()):
        files += _put(path, b"".join(node(8 * level, start + at) for at in range(width)))
    path = out / tile_path(ENTRIES, place, width)
    if level == 0 and not (whole and path.exists()):
        rows = connection.execute(
            "SELECT body FROM leaf WHERE seq >= ? AND seq < ? ORDER BY seq", (start, start + width)
        )
        files += _put(path, bundle([bytes(row[0]) for row in rows]))
    return files


def _put(path: Path, data: bytes) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    with draft.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)
    return 1


def verify_tiles(place: Place, verifier: Verifier, *, ours: bool = True) -> Report:
    """Verify an export against its checkpoint: the signature, every tile, every event and what they tell.

    Args:
        place: Where the exported files are.
        verifier: The log's public key, from a place the reader trusts.
        ours: Whether the entries are events of a trail of ours; any other log is checked for its tree alone.

    Returns:
        A report; it never raises for a bad export. What is not there, or could not be read, is missing and
        not tampered.
    """
    report = Report()
    story = Story(verifier.name) if ours else None
    try:
        # Before the checkpoint, which a later export writes before it: what it holds is no newer.
        told = _told(place)
        head = _head(place, verifier, report)
        if head is not None:
            _check_tiles(place, head, report)
            _check_entries(place, head, report, story)
            _check_witnessed(place, told, head, verifier, report)
            if story is not None:
                tell_story(story, report, exported=True)
    except AuditFault as fault:  # Nobody knows what the rest is.
        report.missing.append(fault.message)
    if report.findings:
        report.status = "tampered"
    elif report.missing or report.open_intents:
        report.status = "incomplete"
    return report


def _head(place: Place, verifier: Verifier, report: Report) -> Checkpoint | None:
    data = place.read(CHECKPOINT, _MOST_NOTE)
    if data is None:
        report.missing.append("the checkpoint is not there")
        return None
    try:
        note = data.decode()
        head = Checkpoint.parse(verifier.open(note))
    except UnicodeDecodeError:
        report.findings.append("the checkpoint is no text")
        return None
    except AuditFault as fault:
        report.findings.append(f"checkpoint: {fault.message}")
        return None
    report.size, report.checkpoints = head.size, 1
    report.unchecked = unknown_lines(note, [(verifier.name, verifier.hash)])
    if head.origin != verifier.name:
        report.findings.append("the checkpoint belongs to another log")
    return head


def _check_tiles(place: Place, head: Checkpoint, report: Report) -> None:
    level, expected = 0, None
    while head.size >> (8 * level):
        count, hashes = head.size >> (8 * level), b""
        for number in range(-(-count // WIDTH)):
            width = min(WIDTH, count - number * WIDTH)
            hashes += _read(place, level, number, width, report) or b"\0" * 32 * width
        row = [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
        if level == 0:
            report.root = root_of(row).hex()
            if root_of(row) != head.root and not report.missing:
                report.findings.append("the tiles of level 0 do not come to the checkpoint's root")
        elif row != expected and not report.missing:
            at = next(at for at, one in enumerate(row) if one != (expected or [])[at])
            report.findings.append(f"hash {at} of level {level} is not that of the tile below it")
        expected = [root_of(row[at : at + WIDTH]) for at in range(0, len(row) - WIDTH + 1, WIDTH)]
        level += 1
    report.ran.append("tiles")


def _check_entries(place: Place, head: Checkpoint, report: Report, story: Story | None) -> None:
    frontier = EMPTY
    for number in range(-(-head.size // WIDTH)):
        start = number * WIDTH
        width = min(WIDTH, head.size - start)
        data = _read(place, ENTRIES, number, width, report)
        if data is None:
            return
        try:
            found = entries_of(data)[:width]
        except AuditFault as fault:
            report.findings.append(f"entries from {start}: {fault.message}")
            return
        tile = _read(place, 0, number, width, report) or b""
        for at, body in enumerate(found):
            if tile and leaf_hash(body) != tile[32 * at : 32 * at + 32]:
                report.findings.append(f"event {start + at} is not the one that its tile holds")
            if story is not None:
                tell_event(start + at, body, story, report)
            frontier = frontier.append(leaf_hash(body))
        if len(found) < width:
            report.findings.append(f"event {start + len(found)} is missing")
            return
    if frontier.root() != head.root:
        report.findings.append("the events do not come to the checkpoint's root")
    report.ran.append("entries")


def _told(place: Place) -> bytes | AuditFault | None:
    """Return what witnesses signed, or why nobody knows: the rest is checked all the same."""
    try:
        return place.read(WITNESSED, _MOST_WITNESSED)
    except AuditFault as fault:
        return fault


def _check_witnessed(
    place: Place,
    data: bytes | AuditFault | None,
    head: Checkpoint,
    verifier: Verifier,
    report: Report,
) -> None:
    """Hold what witnesses signed against the tiles, and say what is declared lost there."""
    if isinstance(data, AuditFault):
        raise data
    if data is None:
        return
    node = _nodes(place, head.size, report)
    kept = kept_notes(data.decode("utf-8", "replace"), "witnessed checkpoint", verifier, report)
    try:
        roots = {size: root_at(node, size) for size, _ in kept if size <= head.size}
    except LookupError:
        return  # The tile that is not there is told already.
    check_notes(kept, roots, verifier, "witnessed checkpoint", report)


def _nodes(place: Place, size: int, report: Report) -> Node:
    """Return the complete subtrees of an export, from its tiles."""
    known: dict[tuple[int, int], bytes | None] = {}

    def node(level: int, at: int) -> bytes:
        if level % 8:
            return node_hash(node(level - 1, 2 * at), node(level - 1, 2 * at + 1))
        key = (level // 8, at // WIDTH)
        if key not in known:
            width = min(WIDTH, (size >> level) - key[1] * WIDTH)
            known[key] = _read(place, key[0], key[1], width, report) if width > 0 else None
        tile, start = known[key], 32 * (at % WIDTH)
        if tile is None or len(tile) < start + 32:
            raise LookupError
        return tile[start : start + 32]

    return node


def _read(place: Place, level: int | str, number: int, width: int, report: Report) -> bytes | None:
    """Return a tile or bundle; a full one that has taken a partial one's place serves as well."""
    length = None if level == ENTRIES else 32 * width
    full = str(tile_path(level, number))
    for name in dict.fromkeys((str(tile_path(level, number, width)), full)):
        data = place.read(name, _MOST_ENTRIES if length is None else 32 * WIDTH)
        if data is None:
            continue
        if length is not None and len(data) < length:
            report.findings.append(f"the tile {tile_path(level, number, width)} is too short")
            return None
        return data if length is None else data[:length]
    missing = f"{tile_path(level, number, width)} is not there"
    if missing not in report.missing:
        report.missing.append(missing)
    return None
