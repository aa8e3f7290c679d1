"""Which published run a new one may take over from, by what only the engine knows: policy and deliveries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from engine.flows.home import Home
from engine.store.session import reading
from engine.store.tables import Delivery, ScoreRun
from scoring.base import JOB

KNOWN = ("accepted", "replaced")
"""States of a delivery whose rows are still there, so that what went is known row by row."""


def score_base(home: Home, runs: Sequence[ScoreRun], as_of: int, *, full: bool) -> dict[str, Any]:
    """Return the run that the scoring process may take over from, or why there is none.

    The newest run of the purpose is asked, of the same day if there is one. Whether its inputs and results
    are what its manifest says is for the process to find (`scoring.base`).

    Args:
        home: The home.
        runs: Runs of the purpose, the newest first.
        as_of: Day of the new run.
        full: Somebody wants everything computed.
    """
    if full:
        return {"run": "", "why": "asked for"}
    same = [one for one in runs if one.manifest["as_of"] == as_of]
    found = next(iter([*same, *runs]), None)
    if found is None:
        return {"run": "", "why": "there is no earlier run"}
    if found.policy_version != home.pack.version:
        return {"run": "", "why": "the earlier run was made under another policy"}
    folder = home.warehouse.run(found.id)
    if not (folder / JOB).exists() or not _stands(home, folder):
        return {"run": "", "why": "a delivery of the earlier run was withdrawn"}
    return {"run": found.id, "folder": str(folder), "manifest": found.manifest}


def _stands(home: Home, folder: Path) -> bool:
    """Say whether every delivery that a run read, or was compared with, still has its rows."""
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    paths = [*job["events"], *job["states"], *(job.get("before") or {}).get("events", [])]
    # A file is named after its delivery, a copy of a run's own after its kind as well.
    read = {Path(path).stem.rpartition(".")[2] for path in paths}
    with Session(reading(home.casework)) as session:
        known = session.exec(select(Delivery.id).where(col(Delivery.state).in_(KNOWN))).all()
    return read <= set(known)
