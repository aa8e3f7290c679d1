"""An anchor: a copy of every published checkpoint on another disk, or a share of a partner.

Whoever puts the whole audit folder back from a backup puts the checkpoints in it back as well. The anchor
is a file that they have to reach too. It is only ever appended to, by a thread of its own: a disk that is
gone or hangs is an alarm, and nobody waits for it. What it missed is copied when it is back.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from audit.errors import AuditFault
from audit.note import Checkpoint, Verifier
from audit.outside import CHECKPOINTS, CUT, Lost, declared_lost, last_signed_in, notes

T = TypeVar("T")
WAIT_SECONDS = 2.0
"""Longest wait for an anchor: to compare with it, for its next part, at the end for what is being copied."""
_TAIL = 262_144
_PART = 1 << 20
_STUCK: dict[Path, threading.Thread] = {}
"""Who looks at a place that did not answer in time: while they wait, nobody else begins to."""


def bounded(path: Path, look: Callable[[Callable[[], None]], T], wait: float | None = None) -> T:
    """Look at a place that may not answer, such as a share that hangs.

    Args:
        path: The place.
        look: What to do there; it calls what it is given whenever it got further.
        wait: Seconds without getting further; `WAIT_SECONDS` by default.

    Raises:
        TimeoutError: It does not answer.
        OSError: It cannot be reached.
    """
    found: list[T] = []
    failed: list[Exception] = []
    steps = [0]

    def step() -> None:
        steps[0] += 1

    def run() -> None:
        try:
            found.append(look(step))
        except Exception as error:  # noqa: BLE001  # raised again by whoever waits for it
            failed.append(error)

    stuck = _STUCK.get(path)
    if stuck is not None and stuck.is_alive():
        raise TimeoutError
    thread = threading.Thread(target=run, name="anchor-look", daemon=True)
    thread.start()
    before = -1
    while thread.is_alive() and steps[0] != before:
        before = steps[0]
        thread.join(WAIT_SECONDS if wait is None else wait)
    if thread.is_alive():
        _STUCK[path] = thread
        raise TimeoutError
    if failed:
        raise failed[0]
    return found[0]


def read_bounded(path: Path, wait: float | None = None) -> str:
    """Return the text of a file on another disk; see `bounded`."""
    return bounded(path, lambda step: _read(path, step), wait)


def _read(path: Path, step: Callable[[], None]) -> str:
    parts = []
    with path.open("rb") as stream:
        while part := stream.read(_PART):
            parts.append(part)
            step()
    return b"".join(parts).decode("utf-8", "replace")


def device_of(path: Path) -> int:
    """Return the file system on which a file is, or would be made."""
    for place in (path, *path.parents):
        with suppress(FileNotFoundError, NotADirectoryError):
            return place.stat().st_dev
    raise FileNotFoundError


def mount_of(path: Path) -> Path:
    """Return where the file system is mounted on which a file is, or would be made."""
    place = path.resolve()
    while place != place.parent and not (place.exists() and os.path.ismount(place)):
        place = place.parent
    return place


class Anchor:
    """The anchor of a log.

    Args:
        folder: The audit folder.
        path: File of the anchor, on another file system.
        device: Returns the file system of a path; tests pass one of their own.
    """

    def __init__(
        self, folder: Path, path: Path, device: Callable[[Path], int] | None = None
    ) -> None:
        self._folder, self.path = folder, path
        self._device = device or device_of
        self._changed = threading.Condition()
        self._asked = self._done = 0
        self._pid = -1

    def alarm(self, wait: float | None = None) -> str:
        """Say what is wrong with the place of the anchor; empty when nothing is.

        Raises:
            OSError: It cannot be reached, or does not answer in time.
        """
        there = bounded(self.path, lambda _: self._device(self.path), wait)
        if there == self._device(self._folder):
            return (
                f"the anchor is on the file system of the home, {mount_of(self.path)}: "
                "whoever has that has both"
            )
        return ""

    def nudge(self) -> None:
        """Say that a checkpoint was published; it is copied soon, and this returns at once."""
        with self._changed:
            self._asked += 1
            if self._pid != os.getpid():  # No thread survives a fork.
                self._pid = os.getpid()
                threading.Thread(target=self._run, name="anchor", daemon=True).start()
            self._changed.notify_all()

    def settle(self, wait: float = WAIT_SECONDS) -> bool:
        """Wait, bounded, until what was published is copied or could not be; say whether it came to that."""
        with self._changed:
            return self._changed.wait_for(lambda: self._done >= self._asked, wait)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._done < self._asked)
                upto = self._asked
            with suppress(OSError, AuditFault):  # Told by whoever verifies: the anchor lags.
                self.copy()
            with self._changed:
                self._done = upto
                self._changed.notify_all()

    def copy(self) -> int:
        """Append what was published and is not there yet; return how many bytes.

        Raises:
            OSError: The anchor or the published checkpoints cannot be reached.
            AuditFault: ``FG-AUD-29`` it is on the file system of the home, for example because its disk
                is not mounted; ``FG-AUD-12`` it ends with a checkpoint that was not published here.
        """
        wrong = self.alarm()
        if wrong:
            raise AuditFault("FG-AUD-29", wrong, "Mount the other disk, or choose another place.")
        with self.path.open("a+b") as stream:
            fcntl.flock(stream.fileno(), fcntl.LOCK_EX)  # Several processes publish.
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL))
            tail = stream.read()
            data = self._after(tail)
            if not data:
                return 0
            if tail and not tail.endswith(b"\n\n"):
                data = f"\n{CUT}\n".encode() + data
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
            return len(data)

    def _after(self, tail: bytes) -> bytes:
        """Return what was published after the last checkpoint of the anchor, up to the last whole one."""
        held = list(notes(tail.decode("utf-8", "replace")))
        last = f"{held[-1]}\n".encode() if held else b""
        with (self._folder / CHECKPOINTS).open("rb") as stream:
            end = stream.seek(0, os.SEEK_END)
            reach = _TAIL
            while True:  # Near the end, unless the anchor was away for long.
                start = max(0, end - reach)
                stream.seek(start)
                text = stream.read(end - start)
                at = text.rfind(last) if last else 0 if start == 0 else -1
                if at >= 0 or start == 0:
                    break
                reach *= 16
        if at < 0:
            at, last = self._since_loss(text, tail), b""
        whole = text[: text.rfind(b"\n\n") + 2]
        return whole[at + len(last) :]

    def _since_loss(self, text: bytes, tail: bytes) -> int:
        """Return where the last declared loss stands that the anchor does not have."""
        verifier = Verifier.from_vkey((self._folder / "log.vkey").read_text(encoding="ascii"))
        for note in reversed(declared_lost(self._folder, verifier)[-1:]):
            if note.encode() not in tail:
                return text.rfind(note.encode())
        raise AuditFault(
            "FG-AUD-12",
            "the anchor holds a checkpoint that was not published here",
            "Stop everything and compare: fieldgate audit verify.",
        )

    def last(self, verifier: Verifier, wait: float | None = None) -> Checkpoint | None:
        """Return the largest checkpoint at the end of the anchor; None when it has none or does not answer.

        One of events that were declared lost since is passed over. What was signed after the loss is not,
        and stands behind it in the anchor.
        """
        gaps = losses(self._folder, verifier)

        def look(step: Callable[[], None]) -> Checkpoint | None:
            stated = last_signed_in(self.path, verifier)
            within = [note for note, lost in gaps if stated and lost.holds(stated.size)]
            if within:
                known = set(notes(_read(self.path, step)))
                return stated if known.issuperset(within) else None
            return stated

        with suppress(
            OSError
        ):  # A share that hangs is an alarm of the verifier, and stops no start.
            return bounded(self.path, look, wait)
        return None


def losses(folder: Path, verifier: Verifier) -> list[tuple[str, Lost]]:
    """Return what was declared lost of a log and the notes that declare it, oldest first."""
    try:
        declared = declared_lost(folder, verifier)
    except OSError:
        return []
    return [(note, lost) for note in declared if (lost := Lost.of(verifier.open(note))) is not None]
