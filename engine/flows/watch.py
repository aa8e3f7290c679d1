"""Watch a folder: what an agency puts there is submitted, and the answer is put beside it.

The folder belongs to the agency. Nothing in it is moved, changed or copied; a file is known again by
its content, so a restart submits nothing twice. A folder inside that of a source says how what lies in it
is meant: ``history``, ``mends-7``, ``replaces-7``, ``window-2026-10-01-2026-10-31``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.domain.errors import FieldgateError, SubmissionError, told
from engine.domain.ids import Actor
from engine.flows.home import Home
from engine.flows.incoming import ORDINARY, Options, window_of
from engine.flows.submit import submit

RECEIPTS = "receipts"
_MEANT = re.compile(
    r"history|(?:mends|replaces)-(?P<number>[0-9]{1,9})"
    r"|window-(?P<first>[0-9]{4}-[0-9]{2}-[0-9]{2})-(?P<last>[0-9]{4}-[0-9]{2}-[0-9]{2})"
)


class Watcher:
    """One look after another over a folder with a folder for each source in it.

    Args:
        home: The home.
        folder: Holds ``<source>/<file>`` and ``<source>/<how it is meant>/<file>``; a folder ``receipts``
            is made in it.
        agency: The agency whose folder it is.
        actor: Who submits.
    """

    def __init__(self, home: Home, folder: Path, agency: str, actor: Actor) -> None:
        self._home, self._folder, self._agency, self._actor = home, folder, agency, actor
        self._seen: dict[Path, tuple[int, int]] = {}
        self._done: dict[Path, tuple[int, int]] = {}

    def look(self, say: Callable[[str], None] = lambda _: None) -> list[dict[str, Any]]:
        """Submit every file that has not changed since the look before; return their answers.

        A file that is still being written changes between two looks and waits. A file that is
        refused gets its reasons beside it and is not tried again until it changes.
        """
        answers = []
        for path in self._files():
            state = path.stat()
            shape = (state.st_size, state.st_mtime_ns)
            if self._done.get(path) == shape:
                continue
            if self._seen.get(path) != shape:
                self._seen[path] = shape
                continue
            say(f"{self._source(path)}: one file")
            answers.append(self._submit(path))
            self._done[path] = shape
        return answers

    def _files(self) -> list[Path]:
        known = self._home.pack.sources
        folders = [one for one in sorted(self._folder.iterdir()) if one.name in known]
        return [
            path
            for folder in folders
            if folder.is_dir()
            for path in sorted([*folder.iterdir(), *folder.glob("*/*")])
            if path.is_file() and not path.name.startswith(".")
        ]

    def _source(self, path: Path) -> str:
        return path.relative_to(self._folder).parts[0]

    def _submit(self, path: Path) -> dict[str, Any]:
        source = self._source(path)
        answer: dict[str, Any]
        try:
            options = _meant(path.parent.name) if path.parent.name != source else ORDINARY
            answer = submit(
                self._home,
                path,
                agency=self._agency,
                source=source,
                actor=self._actor,
                options=options,
            )
        except Exception as error:
            known = told(error)
            if known is None:
                raise
            answer = _told(known, source)
        # Named by the answer and not by the file: a file name may hold anything.
        name = answer.get("delivery") or f"refused-{self._home.randomness(8).hex()}"
        out = self._folder / RECEIPTS
        out.mkdir(exist_ok=True)
        (out / f"{name}.json").write_text(json.dumps(answer, indent=1), encoding="utf-8")
        return answer


def _meant(name: str) -> Options:
    """Return how a delivery is meant by the name of the folder that it lies in.

    Raises:
        SubmissionError: ``FG-SUB-31`` the name says nothing; ``FG-SUB-30`` its window is none.
    """
    found = _MEANT.fullmatch(name)
    if found is None:
        raise SubmissionError(
            "FG-SUB-31",
            "the name of its folder does not say how the delivery is meant",
            "Name it history, mends-N, replaces-N or window-YYYY-MM-DD-YYYY-MM-DD, or put the file "
            "into the folder of its source.",
        )
    if found["first"]:
        return Options(window=window_of(found["first"], found["last"]))
    if found["number"]:
        number = int(found["number"])
        return Options(mends=number) if name.startswith("mends") else Options(replaces=number)
    return Options(history=True)


def _told(error: FieldgateError, source: str) -> dict[str, Any]:
    return {
        "source": source,
        "state": "not taken",
        "code": error.code,
        "message": error.message,
        "next_step": error.next_step,
        "reasons": list(error.reasons),
    }
