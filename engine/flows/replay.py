"""Replay a scoring run: the same inputs, tables and code give the same bytes, or it is said why not.

A run keeps the description of its job, so that a replay does not ask what holds today. The tie key is
derived again and stands nowhere. A replay computes everybody, also of a run that took over from an earlier
one: so it checks what was taken over, and needs the earlier run no more.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

import scoring.tables
from engine.domain.errors import NotReplayable, RunError
from engine.domain.ids import Actor, as_utc
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.score import JOB, tie_key
from engine.flows.scoring_process import run_process
from engine.store.session import reading
from engine.store.tables import Delivery, ScoreRun
from scoring.hashes import code_hash, input_paths, inputs_hash


def replay(home: Home, run: str, actor: Actor) -> dict[str, Any]:
    """Run a published run again and compare every byte of its results.

    Args:
        home: The home.
        run: Id or number of the run.
        actor: Who asks.

    Returns:
        The run, its date, digest, and the number of result files, all of them equal.

    Raises:
        RunError: ``FG-RUN-09`` no such run.
        NotReplayable: ``FG-RUN-02`` it cannot be replayed, and why: what was
            erased or withdrawn, other tables, other code, another engine, or other bytes.

    Audited as ``model_run``. Nothing is published and nothing of the replay is kept.
    """
    with Flow(home, "replay", "model_run", actor, {}) as flow:
        found = _run(home, run)
        flow.arrow("inputs")
        job = _job(home, found)
        _same_ground(home, found, job)
        out = home.warehouse.run(flow.intent)
        out.mkdir(parents=True)
        flow.arrow("process")
        try:
            manifest = run_process({**job, "tie_key": tie_key(home), "out": str(out)}, out)
            files = _compared(found, manifest, home.warehouse.run(found.id), out)
        finally:
            discard(home, flow.intent)
        flow.finish(
            {"run": found.id, "result_hash": manifest["digest"], "counts": {"files": files}}
        )
        return {
            "run": found.id,
            "number": found.number,
            "as_of": found.as_of,
            "digest": manifest["digest"],
            "files": files,
            "same": True,
        }


def runs(home: Home) -> list[dict[str, Any]]:
    """Return the published runs, the newest first: number, date, persons and digest, no person."""
    with Session(reading(home.casework)) as session:
        found = session.exec(select(ScoreRun).order_by(col(ScoreRun.number).desc())).all()
        return [
            {
                "run": one.id,
                "number": one.number,
                "purpose": one.purpose,
                "as_of": one.as_of,
                "published_at": as_utc(one.published_at).isoformat(timespec="seconds"),
                "persons": one.manifest["persons"],
                "digest": one.manifest["digest"],
            }
            for one in found
        ]


def discard(home: Home, intent: str) -> None:
    """Take back what an unfinished replay staged."""
    home.warehouse.discard_run(intent)


def _run(home: Home, run: str) -> ScoreRun:
    with Session(reading(home.casework)) as session:
        asked = select(ScoreRun).where(
            ScoreRun.number == int(run) if run.isdigit() else col(ScoreRun.id) == run
        )
        found = session.exec(asked).first()
    if found is None:
        raise RunError("FG-RUN-09", "there is no such run", "See fieldgate score list.")
    return found


def _job(home: Home, found: ScoreRun) -> dict[str, Any]:
    path = home.warehouse.run(found.id) / JOB
    try:
        job: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise _not_replayable("the description of its job is missing") from None
    return job


def _same_ground(home: Home, found: ScoreRun, job: dict[str, Any]) -> None:
    """Refuse when inputs, tables, code or engine are not those of the run."""
    paths = input_paths(job)
    missing = [path for path in paths if not Path(path).exists()]
    if missing:
        raise _not_replayable(_erased(home, missing))
    manifest = found.manifest
    if scoring.tables.load_tables(Path(job["tables"])).hash != manifest["tables"]:
        raise _not_replayable("the tables of points and links are another version")
    if code_hash() != manifest["code"]:
        raise _not_replayable("the code of the scoring package is another version")
    if inputs_hash(paths) != manifest["inputs"]:
        raise _not_replayable("an input file holds other bytes")


def _erased(home: Home, missing: list[str]) -> str:
    """Name the deliveries whose files are gone, by number and state."""
    gone = {Path(path).stem.rpartition(".")[2] for path in missing}
    with Session(reading(home.casework)) as session:
        rows = session.exec(select(Delivery).where(col(Delivery.id).in_(sorted(gone)))).all()
        named = [f"{one.number} ({one.state})" for one in sorted(rows, key=lambda one: one.number)]
    told = ", ".join(named) if named else "unknown"
    return f"{len(missing)} input files are gone; deliveries: {told}"


def _compared(found: ScoreRun, manifest: dict[str, Any], old: Path, new: Path) -> int:
    """Compare digest and files; return how many files there are."""
    if manifest["engine"] != found.manifest["engine"]:
        raise _not_replayable(f"it was made by {found.manifest['engine']}")
    if manifest["digest"] != found.manifest["digest"]:
        raise _not_replayable("the same inputs give another digest; no score of it stands")
    names = sorted(path.name for path in new.glob("*.parquet"))
    differ = [name for name in names if (old / name).read_bytes() != (new / name).read_bytes()]
    if differ:
        raise _not_replayable(f"{len(differ)} of {len(names)} result files hold other bytes")
    return len(names)


def _not_replayable(why: str) -> NotReplayable:
    return NotReplayable(
        "FG-RUN-02",
        f"the run cannot be replayed: {why}",
        "Its manifest says what it was made from.",
    )
