"""An earlier run that a new one may take over from: read whole, and believed in nothing.

Everything about it is held against its published manifest before a number of it is used: code, tables and
engine, what it was asked for, every byte that it read and every column that it gave. Where anything differs,
the new run is computed whole, and says why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scoring.asked import Asked, asked_of
from scoring.hashes import (
    code_hash,
    digest,
    engine,
    file_hash,
    hash_of_hashes,
    input_paths,
    job_hash,
)
from scoring.inputs import persons_of
from scoring.tables import Tables
from scoring.visible import Columns

DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException)
"""What reading something damaged raises; a refusal of the fence is none of these and goes on."""
JOB = "job.json"
"""File of a run's folder that says what the run was asked for."""
RESULTS = (
    *("score", "contribution", "link", "link_weight", "link_skipped"),
    *("exposure", "exposure_part", "group", "group_member"),
)


@dataclass(frozen=True)
class Base:
    """A published run whose inputs and results were found to be those of its manifest.

    Attributes:
        run: Its id.
        job: What it was asked for.
        asked: The same, read.
        manifest: Its manifest.
        hashes: Path of each of its inputs to the hash of the file.
        persons: Its persons in the order of their numbers.
        results: Its result tables.
    """

    run: str
    job: dict[str, Any]
    asked: Asked
    manifest: Mapping[str, Any]
    hashes: Mapping[str, str]
    persons: pa.Table
    results: dict[str, Columns]


def base_of(job: dict[str, Any], asked: Asked, tables: Tables) -> tuple[Base | None, str]:
    """Return the run to take over from, or none and why.

    A file that is cut short or cannot be opened stops no run: the earlier one is not taken over.
    """
    named = job.get("base") or {}
    if not named.get("run"):
        return None, str(named.get("why", "no earlier run was named"))
    try:
        return _checked(named, job, asked, tables)
    except DAMAGED as error:
        return None, f"a file of the earlier run cannot be read ({type(error).__name__})"


def _checked(
    named: dict[str, Any], job: dict[str, Any], asked: Asked, tables: Tables
) -> tuple[Base | None, str]:
    folder, manifest = Path(named["folder"]), named["manifest"]
    if (why := _other_ground(manifest, tables)) is not None:
        return None, why
    path = folder / JOB
    try:
        before: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None, "the description of the earlier run is gone"
    if job_hash(before) != manifest.get("job"):
        return None, "the description of the earlier run is not the published one"
    theirs = asked_of(before, tables)
    if any(before.get(name) != job.get(name) for name in ("purpose", "themes", "links")):
        return None, "the earlier run was for something else"
    if (theirs.scored, theirs.not_scored) != (asked.scored, asked.not_scored):
        return None, "other themes could be scored in the earlier run"
    if before.get("before") != job.get("before"):
        return None, "the earlier run was compared with another one"
    paths = input_paths(before)
    if not all(Path(one).exists() for one in paths):
        return None, "something that the earlier run read is gone"
    hashes = {one: file_hash(one) for one in set(paths)}
    if hash_of_hashes(hashes[one] for one in paths) != manifest["inputs"]:
        return None, "an input of the earlier run holds other bytes"
    persons, results = persons_of(Path(before["persons"])), _results(folder, manifest)
    names = [bytes(value) for value in persons.column("person").to_pylist()]
    if results is None or digest(results, names) != manifest["digest"]:
        return None, "a result of the earlier run is not the published one"
    return Base(named["run"], before, theirs, manifest, hashes, persons, results), ""


def _other_ground(manifest: Mapping[str, Any], tables: Tables) -> str | None:
    if manifest["code"] != code_hash():
        return "the earlier run was made by other code"
    if manifest["tables"] != tables.hash:
        return "the earlier run was made with other tables"
    if manifest["engine"] != engine():
        return "the earlier run was made by another engine"
    return None


def _results(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Columns] | None:
    names = [*RESULTS, *(f"list.{name}" for name in manifest["lists"])]
    names += ["trend"] if manifest["compared_with"] else []
    paths = {name: folder / f"{name}.parquet" for name in names}
    if not all(path.exists() for path in paths.values()):
        return None
    return {name: _columns(path) for name, path in paths.items()}


def _columns(path: Path) -> Columns:
    # Opened by Python, so that the fence sees it.
    with path.open("rb") as stream:
        table = pq.read_table(stream)
    return {
        name: table.column(name).to_numpy().astype(np.int64, copy=False)
        for name in table.column_names
    }
