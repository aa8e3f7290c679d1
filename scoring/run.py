"""One scoring run as a process of its own: ``python -m scoring.run``, its job on standard input.

The process is given warehouse paths, tables and a tie key, and nothing else: no key of a vault, no
passphrase, no database. It reads Parquet, writes Parquet and a manifest whose digest covers every
column of the result, so that a replay can be compared byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scoring.errors import ScoringFault
from scoring.fence import check_paths, raise_fence
from scoring.graph import exposure
from scoring.groups import Groups, groups_of, load_library
from scoring.inputs import (
    EVENTS,
    STATES,
    bands_of,
    membership_of,
    newest_states,
    persons_of,
    read_columns,
)
from scoring.lists import Around, Decided, linked_by_events, review_list, still_resting
from scoring.memory import history_points, rising_of, trend_table
from scoring.modulate import network_alarms, score_table
from scoring.plt import link_table
from scoring.rfg import contributions, own_evidence
from scoring.tables import TRACKS, Ints, Tables, load_tables, narrowed
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
            and ``members`` of the run whose groups are carried on.

    Returns:
        The manifest, which is also written to ``out/manifest.json``.

    Raises:
        ScoringFault: A table or an input cannot be used.
    """
    tables = tables_of(job)
    out = Path(job["out"])
    inputs = _load(job, tables)
    results, bands, groups = _compute(job, inputs, tables)
    for name, columns in results.items():
        _write(out / f"{name}.parquet", columns)
    pq.write_table(inputs.persons, out / "person.parquet")
    manifest = {
        "run": job["run"],
        "as_of": int(job["as_of"]),
        "purpose": job.get("purpose", ""),
        "tables": tables.hash,
        "code": code_hash(),
        "inputs": inputs_hash(input_paths(job)),
        "engine": f"numpy {np.__version__}, python {platform.python_version()}",
        "persons": len(bands),
        "compared_with": _compared_with(job, tables),
        "themes_scored": list(inputs.scored),
        "themes_not_scored": dict(inputs.not_scored),
        "events": {
            "kept": len(inputs.events.columns["pid"]),
            "dropped": dict(inputs.events.dropped),
        },
        "states": {
            "kept": len(inputs.states.columns["pid"]),
            "dropped": {**inputs.states.dropped, "superseded": inputs.superseded},
        },
        "links": len(results["link_weight"]["a"]),
        "events_too_large_to_link": len(results["link_skipped"]["eid"]),
        "network": network_alarms(results, len(inputs.events.columns["pid"])),
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
        "digest": digest(results, inputs.pseudonyms),
    }
    text = json.dumps(manifest, sort_keys=True, indent=1)
    (out / "manifest.json").write_text(text, encoding="utf-8")
    return manifest


@dataclass(frozen=True)
class _Inputs:
    """Everything a run computes from, after the as-of filter."""

    persons: pa.Table
    pseudonyms: list[bytes]
    events: Visible
    states: Visible
    before: Visible | None
    superseded: int
    scored: tuple[str, ...]
    not_scored: dict[str, str]


def _load(job: dict[str, Any], tables: Tables) -> _Inputs:
    persons = persons_of(Path(job["persons"]))
    pid_of = membership_of(Path(job["membership"]), persons, job["restricted"])
    as_of = int(job["as_of"])
    admitted = {int(source): frozenset(kinds) for source, kinds in job["admitted"].items()}
    retention = np.zeros(int(tables.gamma.shape[2]), np.int64)
    for kind in tables.kinds.values():
        retention[kind.id] = kind.retention_days
    stated, superseded = newest_states(read_columns(job["states"], pid_of, STATES))
    # A source of which nothing may be used today is as silent as one that was never loaded.
    heard = {name for number, name in job["sources"].items() if admitted.get(int(number))}
    # One that is late stops what depends on it; what it once said still holds for the rest.
    heard -= set(job.get("late", []))
    scored, not_scored = _themes(tables, heard, job.get("themes", tables.themes))
    return _Inputs(
        persons=persons,
        pseudonyms=[bytes(value) for value in persons.column("person").to_pylist()],
        events=visible_events(
            read_columns(job["events"], pid_of, EVENTS), as_of, admitted, retention
        ),
        states=visible_states(stated, as_of, admitted),
        before=_before(job, pid_of, admitted, retention),
        superseded=superseded,
        scored=scored,
        not_scored=not_scored,
    )


def _compute(
    job: dict[str, Any], inputs: _Inputs, tables: Tables
) -> tuple[dict[str, Columns], Ints, Groups]:
    """Return every result table by name, the age band of each person, and the groups."""
    as_of = int(job["as_of"])
    bands = bands_of(inputs.persons, as_of)
    events = inputs.events.columns
    evidence = own_evidence(events, len(bands), as_of, tables)
    for theme in inputs.not_scored:
        # A silent source means "not scored", never zero and never low (T15).
        evidence.points[:, tables.themes.index(theme)] = 0
        evidence.row_points[:, tables.themes.index(theme)] = 0
    sure = inputs.persons.column("link_p").to_numpy().astype(np.int64)
    links = link_table(events, inputs.states.columns, evidence, len(bands), as_of, tables, sure)
    trend: dict[str, Columns] = {}
    if inputs.before is not None:
        then = own_evidence(inputs.before.columns, len(bands), as_of, tables)
        for theme in inputs.not_scored:
            then.points[:, tables.themes.index(theme)] = 0
        late = history_points(events, evidence)
        late -= history_points(inputs.before.columns, then)
        trend = {"trend": trend_table(evidence, then.points, late, tables)}
    around = exposure(links, evidence, bands, events, tables)
    scores = score_table(evidence, around, tables)
    tie_key = bytes.fromhex(job["tie_key"])
    groups = groups_of(links, tables, inputs.pseudonyms, job["run"], _groups_before(job))
    weights = {f"weight_{name}": links.weight[:, at] for at, name in enumerate(TRACKS)}
    results: dict[str, Columns] = {
        "score": scores,
        "contribution": contributions(events, evidence, tables),
        "link": links.rows,
        "link_weight": {"a": links.a, "b": links.b, **weights},
        "link_skipped": links.skipped,
        "exposure": around.rows,
        "exposure_part": around.parts,
        "group": groups.groups,
        "group_member": groups.members,
        **trend,
    }
    beside = Around(
        still_resting(_decided(job, inputs), events, evidence.row_points, as_of, tables),
        rising_of(trend["trend"], tables) if trend else {},
        linked_by_events(links.rows, around.parts, tables),
    )
    for rule in tables.lists:
        if rule.theme in inputs.scored:
            results[f"list.{rule.id}"] = review_list(
                scores, bands, inputs.pseudonyms, rule, job["run"], tie_key, tables, beside
            )
    return results, bands, groups


def _decided(job: dict[str, Any], inputs: _Inputs) -> dict[int, Decided]:
    """Return the last outcome of each person who had one."""
    pid = {name: number for number, name in enumerate(inputs.pseudonyms)}
    found = ((pid.get(bytes.fromhex(name)), one) for name, one in job.get("decided", {}).items())
    return {
        person: Decided(int(one["day"]), int(one["run_day"]), one["rows"])
        for person, one in found if person is not None
    }  # fmt: skip


def _groups_before(job: dict[str, Any]) -> dict[int, frozenset[bytes]]:
    """Return the groups of the run before, by the pseudonyms of their members."""
    paths = job.get("groups_before")
    if not paths:
        return {}
    names = pq.read_table(paths["person"]).column("person").to_pylist()
    members: dict[int, set[bytes]] = {}
    for row in pq.read_table(paths["members"]).to_pylist():
        members.setdefault(row["group"], set()).add(names[row["pid"]])
    return {group: frozenset(one) for group, one in members.items()}


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


def _before(
    job: dict[str, Any], pid_of: pa.Table, admitted: dict[int, frozenset[int]], retention: Ints
) -> Visible | None:
    """Return what an earlier run saw, without what may not be used today, for the persons of today."""
    before = job.get("before")
    if not before:
        return None
    # A row whose retention has ended since is no evidence any more.
    gap = int(job["as_of"]) - int(before["as_of"])
    columns = read_columns(before["events"], pid_of, EVENTS)
    left = np.maximum(retention - gap, 0)
    return visible_events(columns, int(before["as_of"]), admitted, left)


def _compared_with(job: dict[str, Any], tables: Tables) -> dict[str, Any] | None:
    """Say which run the trend is held against, and whether tables or code changed since."""
    before = job.get("before")
    if not before:
        return None
    rebased = before["tables"] != tables.hash or before["code"] != code_hash()
    return {"run": before["run"], "as_of": int(before["as_of"]), "rebased": rebased}


def tables_of(job: dict[str, Any]) -> Tables:
    """Return the tables of a job, narrowed to the themes and links of its purpose."""
    tables = load_tables(Path(job["tables"]))
    links = [one.name for one in tables.links]
    return narrowed(tables, job.get("themes", tables.themes), job.get("links", links))


def _themes(
    tables: Tables, heard: set[str], wanted: Iterable[str]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the themes that are scored, and why another of those wanted is not."""
    mine = [theme for theme in tables.themes if theme in set(wanted)]
    missing = {theme: sorted(set(tables.required_sources[theme]) - heard) for theme in mine}
    scored = tuple(theme for theme in mine if not missing[theme])
    silent = {
        theme: "not scored: no data from " + ", ".join(names)
        for theme, names in missing.items()
        if names
    }
    return scored, silent


def _write(path: Path, columns: Columns) -> None:
    pq.write_table(pa.table({name: pa.array(column) for name, column in columns.items()}), path)


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


def inputs_hash(paths: Iterable[str]) -> str:
    """Return the SHA-256 over the content hashes of the input files, whatever their names."""
    hashes = sorted(hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths)
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


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
    named = [*input_paths(job), job["out"]]
    check_paths(named, warehouse, tables)
    raise_fence(warehouse, tables)


if __name__ == "__main__":
    sys.exit(main(fenced=True))
