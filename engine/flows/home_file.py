"""How the description of a home is changed: by one process at a time, and durable once it is answered."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def change(path: Path, changes: Mapping[str, Any]) -> None:
    """Change a description, whole or not at all, and return once it survives a loss of power.

    It is read again under the lock of its folder, so that of two processes neither takes back what the other
    one set. The system frees the lock when a process ends.

    Args:
        path: The description.
        changes: Entries that are set; None takes one away.

    Raises:
        OSError: It cannot be read or written.
        ValueError: It is damaged, and stays as it is.
    """
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        made = {**json.loads(path.read_text(encoding="utf-8")), **changes}
        text = json.dumps({key: one for key, one in made.items() if one is not None}, indent=1)
        draft = path.with_name(path.name + ".new")
        with draft.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
        # The name as well: a folder that is not written down may still hold the former file.
        os.fsync(folder)
    finally:
        os.close(folder)
