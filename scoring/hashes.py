"""What a run was made from and what it gave, as hashes that a stranger can compute again."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from scoring.visible import Columns

NOT_TOLD = ("tie_key", "out", "base")
"""Parts of a job that are no part of what a run was asked for: a key, a folder, and a shorter way."""


def input_paths(job: dict[str, Any]) -> list[str]:
    """Return every file that a run reads."""
    before = job.get("before") or {}
    return [
        *job["events"],
        *job["states"],
        job["membership"],
        job["persons"],
        *before.get("events", []),
        *(job.get("groups_before") or {}).values(),
    ]


def digest(results: dict[str, Columns], pseudonyms: list[bytes]) -> str:
    """Return the SHA-256 over the names and buffers of every result column, in sorted order."""
    total = hashlib.sha256()
    for pseudonym in pseudonyms:
        total.update(pseudonym)
    for name in sorted(results):
        for column in sorted(results[name]):
            data = np.ascontiguousarray(results[name][column], dtype="<i8")
            total.update(f"{name}.{column}:{len(data)}\n".encode())
            total.update(data.tobytes())
    return total.hexdigest()


def code_hash() -> str:
    """Return the SHA-256 over the source files of this package."""
    total = hashlib.sha256()
    for path in sorted(Path(str(files("scoring"))).glob("*.py")):
        total.update(path.name.encode() + b"\n" + path.read_bytes())
    return total.hexdigest()


def engine() -> str:
    """Return what does the sums here."""
    return f"numpy {np.__version__}, python {platform.python_version()}"


def inputs_hash(paths: Iterable[str]) -> str:
    """Return the SHA-256 over the content hashes of the input files, whatever their names."""
    return hash_of_hashes(file_hash(path) for path in paths)


def file_hash(path: str) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def hash_of_hashes(hashes: Iterable[str]) -> str:
    """Return the SHA-256 over hashes, whatever their order."""
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()


def told(job: dict[str, Any]) -> str:
    """Return the description of a job as it is kept beside the results, without its key and folder."""
    return json.dumps(
        {name: one for name, one in job.items() if name not in NOT_TOLD}, sort_keys=True
    )


def job_hash(job: dict[str, Any]) -> str:
    """Return the SHA-256 of what a run was asked for; where its files lie is no part of that."""
    before, groups = job.get("before"), job.get("groups_before")
    bare = {
        **job,
        **{name: _names(job[name]) for name in ("events", "states")},
        **{name: Path(job[name]).name for name in ("membership", "persons", "tables")},
        "before": {**before, "events": _names(before["events"])} if before else None,
        "groups_before": _names(groups[one] for one in sorted(groups)) if groups else None,
    }
    return hashlib.sha256(told(bare).encode()).hexdigest()


def _names(paths: Iterable[str]) -> list[str]:
    return [Path(path).name for path in paths]
