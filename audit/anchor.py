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

from audit.errors import AuditFault
from audit.note import Checkpoint, Verifier
from audit.outside import CHECKPOINTS, CUT, Lost, declared_lost, last_signed_in, notes

WAIT_SECONDS = 2.0
"""Longest wait for an anchor: at start-up to compare with it, at the end for what is being copied."""
_TAIL = 262_144


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

    def alarm(self) -> str:
        """Say what is wrong with the place of the anchor; empty when nothing is.

        Raises:
            OSError: It cannot be reached.
        """
        if self._device(self.path) == self._device(self._folder):
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

    def last(self, verifier: Verifier, wait: float = WAIT_SECONDS) -> Checkpoint | None:
        """Return the largest checkpoint at the end of the anchor; None when it has none or does not answer.

        One of events that were declared lost since is passed over.
        """
        found: list[Checkpoint] = []

        def look() -> None:
            with suppress(OSError):
                stated = last_signed_in(self.path, verifier)
                if stated is not None:
                    found.append(stated)

        thread = threading.Thread(target=look, name="anchor-look", daemon=True)
        thread.start()
        thread.join(wait)  # A share that hangs is an alarm of the verifier, and stops no start.
        if not found or any(
            lost.base < found[0].size <= lost.size for lost in losses(self._folder, verifier)
        ):
            return None
        return found[0]


def losses(folder: Path, verifier: Verifier) -> list[Lost]:
    """Return what was declared lost of a log, oldest first."""
    try:
        declared = declared_lost(folder, verifier)
    except OSError:
        return []
    return [lost for note in declared if (lost := Lost.of(verifier.open(note))) is not None]
