"""Watch a folder: what an agency puts there is submitted, and the answer is put beside it.

The folder belongs to the agency. Nothing in it is moved, changed or copied; a file is known again by
its content, so a restart submits nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.domain.errors import FieldgateError, told
from engine.domain.ids import Actor
from engine.flows.home import Home
from engine.flows.submit import submit

RECEIPTS = "receipts"


class Watcher:
    """One look after another over a folder with a folder for each source in it.

    Args:
        home: The home.
        folder: Holds ``<source>/<file>``; a folder ``receipts`` is made in it.
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
            say(f"{path.parent.name}: one file")
            answers.append(self._submit(path))
            self._done[path] = shape
        return answers

    def _files(self) -> list[Path]:
        known = self._home.pack.sources
        return [
            path
            for folder in sorted(self._folder.iterdir())
            if folder.is_dir() and folder.name in known
            for path in sorted(folder.iterdir())
            if path.is_file() and not path.name.startswith(".")
        ]

    def _submit(self, path: Path) -> dict[str, Any]:
        source = path.parent.name
        answer: dict[str, Any]
        try:
            answer = submit(self._home, path, agency=self._agency, source=source, actor=self._actor)
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


def _told(error: FieldgateError, source: str) -> dict[str, Any]:
    return {
        "source": source,
        "state": "not taken",
        "code": error.code,
        "message": error.message,
        "next_step": error.next_step,
        "reasons": list(error.reasons),
    }
