"""One scoring run as a process of its own: ``python -m scoring.run``, its job on standard input.

The process is given warehouse paths, tables and a tie key, and nothing else: no key of a vault, no
passphrase, no database. It reads Parquet, writes Parquet and a manifest whose digest covers every
column of the result, so that a replay can be compared byte for byte.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scoring.asked import Asked, asked_of, tables_of
from scoring.errors import ScoringFault
from scoring.fence import check_paths, raise_fence
from scoring.graph import exposure
from scoring.groups import groups_of, load_library
from scoring.hashes import code_hash, digest, engine, input_paths, inputs_hash, job_hash
from scoring.increment import base_paths, incremental
from scoring.inputs import (
    EVENTS,
    STATES,
    bands_of,
    membership_of,
    newest_states,
    persons_of,
    read_columns,
)
from scoring.memory import history_points, trend_table
from scoring.modulate import network_alarms, score_table
from scoring.plt import link_table
from scoring.results import Made, Numbers, groups_before, result_tables, unscored_to_zero
from scoring.rfg import contributions, own_evidence
from scoring.tables import Tables
from scoring.visible import Columns, Visible, visible_events, visible_states

OPEN_END = 2**31 - 1


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Carry out one run.

    Args:
        job: ``run``, ``as_of`` (day number), ``tables``, ``events`` and ``states`` (paths),
            ``membership`` and ``persons`` (paths), ``restricted`` (hex pseudonyms), ``admitted``
            (source number to kind ids), ``sources`` (number to id, those loaded), ``tie_key`` (hex),
            ``out`` (folder), ``decided`` (hex pseudonym to the last outcome), ``purpose``, ``themes`` and
            ``links`` (what the run is for and may use; all of the tables where they are left out) and,
            where there is an earlier run to compare with, ``before``: its
            ``run``, ``as_of``, ``tables`` (hash) and ``events``; ``groups_before``: the files ``person``
            and ``members`` of the run whose groups are carried on; ``base``: a published run of which
            what still holds may be taken over (see `scoring.increment`).

    Returns:
        The manifest, which is also written to ``out/manifest.json``. But for ``made``, which says how the
        run was made, it is the same with a base and without.

    Raises:
        ScoringFault: A table or an input cannot be used.
    """
    tables = tables_of(job)
    out = Path(job["out"])
    made, how = incremental(job, tables)
    if made is None:
        made = _whole(job, tables)
    for name, columns in made.results.items():
        _write(out / f"{name}.parquet", columns)
    pq.write_table(made.persons, out / "person.parquet")
    manifest = {**_manifest(job, made, tables), "made": how}
    text = json.dumps(manifest, sort_keys=True, indent=1)
    (out / "manifest.json").write_text(text, encoding="utf-8")
    return manifest


def _manifest(job: dict[str, Any], made: Made, tables: Tables) -> dict[str, Any]:
    results, groups = made.results, made.groups
    return {
        "run": job["run"],
        "as_of": made.asked.as_of,
        "purpose": job.get("purpose", ""),
        "tables": tables.hash,
        "code": code_hash(),
        "job": job_hash(job),
        "inputs": inputs_hash(input_paths(job)),
        "engine": engine(),
        "persons": len(made.pseudonyms),
        "compared_with": _compared_with(job, tables),
        "themes_scored": list(made.asked.scored),
        "themes_not_scored": dict(made.asked.not_scored),
        "events": made.events,
        "states": made.states,
        "links": len(results["link_weight"]["a"]),
        "events_too_large_to_link": len(results["link_skipped"]["eid"]),
        "network": network_alarms(results, made.events["kept"]),
        "groups": {
            "found": len(groups.groups["group"]),
            "people": len(groups.members["pid"]),
            "carried": int((groups.groups["carried"] > 0).sum()),
            "too_large": list(groups.too_large),
        },
        "lists": {
            name.removeprefix("list."): len(columns["pid"])
            for name, columns in results.items()
            if name.startswith("list.")
        },
        "digest": digest(results, made.pseudonyms),
    }


def _whole(job: dict[str, Any], tables: Tables) -> Made:
    """Compute everything from the inputs."""
    asked = asked_of(job, tables)
    persons = persons_of(Path(job["persons"]))
    pid_of = membership_of(Path(job["membership"]), persons, job["restricted"])
    stated, superseded = newest_states(read_columns(job["states"], pid_of, STATES))
    seen = visible_events(
        read_columns(job["events"], pid_of, EVENTS), asked.as_of, asked.admitted, asked.retention
    )
    held = visible_states(stated, asked.as_of, asked.admitted)
    pseudonyms = [bytes(value) for value in persons.column("person").to_pylist()]
    bands = bands_of(persons, asked.as_of)
    evidence = own_evidence(seen.columns, len(bands), asked.as_of, tables)
    unscored_to_zero(evidence, asked, tables)
    sure = persons.column("link_p").to_numpy().astype(np.int64)
    links = link_table(seen.columns, held.columns, evidence, len(bands), asked.as_of, tables, sure)
    trend = None
    before = _before(job, pid_of, asked)
    if before is not None:
        then = own_evidence(before.columns, len(bands), asked.as_of, tables)
        unscored_to_zero(then, asked, tables)
        late = history_points(seen.columns, evidence)
        late -= history_points(before.columns, then)
        trend = trend_table(evidence, then.points, late, tables)
    around = exposure(links, evidence, bands, seen.columns, tables)
    numbers = Numbers(
        events=seen.columns,
        row_points=evidence.row_points,
        scores=score_table(evidence, around, tables),
        contribution=contributions(seen.columns, evidence, tables),
        links=links,
        around=around,
        trend=trend,
        groups=groups_of(links, tables, pseudonyms, job["run"], groups_before(job)),
    )
    return Made(
        persons=persons,
        pseudonyms=pseudonyms,
        asked=asked,
        events={"kept": len(seen.columns["pid"]), "dropped": dict(seen.dropped)},
        states={
            "kept": len(held.columns["pid"]),
            "dropped": {**held.dropped, "superseded": superseded},
        },
        results=result_tables(job, asked, numbers, bands, pseudonyms, tables),
        groups=numbers.groups,
    )


def _before(job: dict[str, Any], pid_of: pa.Table, asked: Asked) -> Visible | None:
    """Return what an earlier run saw, without what may not be used today, for the persons of today."""
    before = job.get("before")
    if not before:
        return None
    # A row whose retention has ended since is no evidence any more.
    gap = asked.as_of - int(before["as_of"])
    columns = read_columns(before["events"], pid_of, EVENTS)
    left = np.maximum(asked.retention - gap, 0)
    return visible_events(columns, int(before["as_of"]), asked.admitted, left)


def _compared_with(job: dict[str, Any], tables: Tables) -> dict[str, Any] | None:
    """Say which run the trend is held against, and whether tables or code changed since."""
    before = job.get("before")
    if not before:
        return None
    rebased = before["tables"] != tables.hash or before["code"] != code_hash()
    return {"run": before["run"], "as_of": int(before["as_of"]), "rebased": rebased}


def _write(path: Path, columns: Columns) -> None:
    pq.write_table(pa.table({name: pa.array(column) for name, column in columns.items()}), path)


def main(*, fenced: bool = False) -> int:
    """Run the job on standard input; a refusal is printed as JSON on standard error.

    Args:
        fenced: Raise the fence first. It stands until the process ends, so only a process that was
            started for one run may ask for it.

    Returns:
        The exit code: 0, or 3 when the run was refused.
    """
    job = json.load(sys.stdin)
    try:
        if fenced:
            load_library()
            _fence(job)
        print(json.dumps(run(job)))
    except ScoringFault as error:
        fault = {
            "code": error.code,
            "message": error.message,
            "next_step": error.next_step,
        }
        print(json.dumps(fault), file=sys.stderr)
        return 3
    return 0


def _fence(job: dict[str, Any]) -> None:
    warehouse, tables = Path(job["out"]).parent.parent, Path(job["tables"])
    named = [*input_paths(job), *base_paths(job), job["out"]]
    check_paths(named, warehouse, tables)
    raise_fence(warehouse, tables)


if __name__ == "__main__":
    sys.exit(main(fenced=True))
