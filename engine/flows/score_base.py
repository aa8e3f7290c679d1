"""Which published run a new one may take over from, by what only the engine knows: policy and deliveries."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from engine.flows.home import Home
from engine.store.session import reading
from engine.store.tables import Delivery, ScoreRun
from scoring.base import DAMAGED, JOB

KNOWN = ("accepted", "replaced")
"""States of a delivery whose rows are still there, so that what went is known row by row."""


def score_base(
    home: Home, runs: Sequence[ScoreRun], job: Mapping[str, Any], *, full: bool
) -> dict[str, Any]:
    """Return the run that the scoring process may take over from, or why there is none.

    The newest run of the purpose is asked, of the same day if there is one. Whether its inputs and results
    are what its manifest says is for the process to find (`scoring.base`).

    Args:
        home: The home.
        runs: Runs of the purpose, the newest first.
        job: What the new run is asked for.
        full: Somebody wants everything computed.
    """
    if full:
        return {"run": "", "why": "asked for"}
    same = [one for one in runs if one.manifest["as_of"] == job["as_of"]]
    found = next(iter([*same, *runs]), None)
    if found is None:
        return {"run": "", "why": "there is no earlier run"}
    if found.policy_version != home.pack.version:
        return {"run": "", "why": "the earlier run was made under another policy"}
    folder = home.warehouse.run(found.id)
    read = job_kept(folder)
    why = (
        "the description of the earlier run cannot be read"
        if read is None
        else _why_not(home, read, job)
    )
    if why:
        return {"run": "", "why": why}
    return {"run": found.id, "folder": str(folder), "manifest": found.manifest}


def job_kept(folder: Path) -> dict[str, Any] | None:
    """Return what a run was asked for; None where that is gone or damaged, which stops no other run.

    Args:
        folder: Folder of the run.
    """
    try:
        job: dict[str, Any] = json.loads((folder / JOB).read_text(encoding="utf-8"))
        deliveries_read(job)
    except DAMAGED:
        return None
    return job


def deliveries_read(job: Mapping[str, Any]) -> set[str]:
    """Return the deliveries that a run reads, or is compared with."""
    paths = [*job["events"], *job["states"], *(job.get("before") or {}).get("events", [])]
    return {delivery_of(path) for path in paths}


def delivery_of(path: str) -> str:
    """Return the delivery of a file: it is named after it, a copy of a run's own after its kind as well."""
    return Path(path).stem.rpartition(".")[2]


def _why_not(home: Home, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return why the files of an earlier run may not be opened today; empty when they may.

    A stop of an agreement changes no version of the policy, so what is handed over now is asked as well. A
    delivery that was corrected is not handed over again; its source is (limit of purpose, ADR 0016).
    """
    with Session(reading(home.casework)) as session:
        asked = select(Delivery.id, Delivery.source).where(col(Delivery.state).in_(KNOWN))
        source_of: dict[str, str] = dict(session.execute(asked).all())
    read = deliveries_read(before)
    if not read <= set(source_of):
        return "a delivery of the earlier run was withdrawn"
    open_now = {source_of.get(one) for one in deliveries_read(now)}
    if not {source_of[one] for one in read} <= open_now:
        return "the earlier run read a source that may not be read for the purpose any more"
    return ""
