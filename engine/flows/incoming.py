"""What was handed over: files or streams, how they are meant, and the contract they come under."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO

from engine.domain.errors import GatewayError, SubmissionError
from engine.flows.home import Home
from engine.intake.contract import Contract, contract_of
from policies.model import Source

Files = Path | Sequence[Path] | Sequence[tuple[str, BinaryIO]]


@dataclass(frozen=True)
class Options:
    """How a delivery is meant.

    Attributes:
        history: A back-load: what it tells is recorded as on its own day and is no news.
        window: First and last day that it replaces, for a source sent by windows; None takes the
            days of its rows.
        replaces: Number of the delivery that it corrects: that one counts no more from the same moment.
        mends: Number of the delivery some of whose rows were set aside: this one holds those rows,
            mended, and speaks of nothing else, however the source is sent.
        dry_run: Read, check and judge, and store nothing.
        progress: Called with the number of bytes read so far and in all.
    """

    history: bool = False
    window: tuple[date, date] | None = None
    replaces: int | None = None
    mends: int | None = None
    dry_run: bool = False
    progress: Callable[[int, int], None] | None = None

    @property
    def partial(self) -> bool:
        """Whether what it leaves out was never said to be gone."""
        return self.history or self.mends is not None


def window_of(first: str, last: str) -> tuple[date, date] | None:
    """Return the window that two texts state; two empty ones state none.

    Raises:
        SubmissionError: ``FG-SUB-30`` one end is missing or no date, or it ends before it begins.
    """
    if not first.strip() and not last.strip():
        return None
    try:
        window = (date.fromisoformat(first.strip()), date.fromisoformat(last.strip()))
    except ValueError:
        window = None
    if window is None or window[0] > window[1]:
        raise SubmissionError(
            "FG-SUB-30",
            "the window is not two days of which the first comes first",
            "Give its first and its last day as YYYY-MM-DD.",
        )
    return window


ORDINARY = Options()
"""A delivery as it comes every week."""


@contextmanager
def opened_files(file: Files) -> Iterator[list[tuple[str, BinaryIO]]]:
    """Open the files of a delivery.

    Raises:
        SubmissionError: ``FG-SUB-06`` one cannot be opened.
    """
    several: Sequence[Any] = [file] if isinstance(file, Path) else file
    with ExitStack() as stack:
        found: list[tuple[str, BinaryIO]] = []
        for one in several:
            if isinstance(one, Path):
                try:
                    found.append((one.name, stack.enter_context(one.open("rb"))))
                except OSError:
                    raise SubmissionError(
                        "FG-SUB-06",
                        "the file cannot be opened",
                        "Check its name and its rights.",
                    ) from None
            else:
                found.append(one)
        yield found


def contract_for(home: Home, agency: str, source: str) -> Contract:
    """Return the contract under which an agency sends a source.

    Raises:
        GatewayError: ``FG-GATE-12`` no such source, ``FG-GATE-13`` not that agency's.
    """
    found: Source | None = home.pack.sources.get(source)
    if found is None or found.agency == "engine":
        raise GatewayError(
            "FG-GATE-12", "no contract stands for that source", "See the sources of the pack."
        )
    if agency not in home.pack.register.parties or found.agency != agency:
        raise GatewayError(
            "FG-GATE-13",
            f"{source} is not a source of that agency",
            f"Send it as {found.agency}, or ask the information governance lead.",
            ["E06 the agency is not the owner of the source or not a party"],
        )
    return contract_of(found)


def content_of(files: Sequence[tuple[str, BinaryIO]]) -> str:
    """Return the SHA-256 of a file, or of the digests of several in order of their content."""
    digests = []
    for _, stream in files:
        stream.seek(0)
        total = hashlib.sha256()
        for block in iter(lambda stream=stream: stream.read(1 << 20), b""):  # type: ignore[misc]
            total.update(block)
        stream.seek(0)
        digests.append(total.hexdigest())
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


class Watched:
    """A stream that tells how far it was read; everything else is the stream's own.

    Args:
        stream: The stream, seekable.
        tell: Called with the bytes read so far and in all.
    """

    def __init__(self, stream: BinaryIO, tell: Callable[[int, int], None] | None) -> None:
        self._stream, self._tell = stream, tell
        self._size = stream.seek(0, 2)
        stream.seek(0)

    def read(self, size: int = -1) -> bytes:
        """Read on, and tell how far."""
        data = self._stream.read(size)
        if self._tell is not None:
            self._tell(self._stream.tell(), self._size)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
