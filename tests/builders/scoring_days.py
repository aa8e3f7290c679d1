"""A day of data as deliveries, records and people, and the job of a run over it; and the next day of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scoring.hashes import told
from scoring.run import run
from scoring.tables import shipped
from tests.builders.scoring_columns import (
    EVERY_KIND,
    SOURCES,
    THEMES,
    Event,
    State,
    event_columns,
    name32,
    state_columns,
)

MONTH = 657
AS_OF = 20_000  # 2024-10-04, the month 657 since 1970-01.


@dataclass(frozen=True)
class Day:
    """What a run of one day reads.

    Attributes:
        deliveries: Name of each delivery, oldest first, to its events; ``pid`` is the number of the record.
        states: The same of states.
        member: Record to person.
        months: Person to birth month.
        sure: Person to the certainty of the match in thousandths; 1000 unless said.
        restricted: Records that count nowhere.
        admitted: Source to kinds; all unless said.
        decided: Person to the last outcome.
        as_of: Day of the run.
    """

    deliveries: Mapping[str, tuple[Event, ...]]
    states: Mapping[str, tuple[State, ...]]
    member: Mapping[int, int]
    months: Mapping[int, int]
    sure: Mapping[int, int] = field(default_factory=dict)
    restricted: frozenset[int] = frozenset()
    admitted: Mapping[str, Iterable[int]] = field(default_factory=dict)
    decided: Mapping[int, dict[str, Any]] = field(default_factory=dict)
    as_of: int = AS_OF

    def job(self, folder: Path, run_id: str) -> dict[str, Any]:
        """Write the files of a run and return its job; a delivery keeps its file from run to run."""
        out = folder / "runs" / run_id
        out.mkdir(parents=True)
        people = sorted(set(self.member.values()))
        names = [_name("p", one) for one in people]
        _write(out / "membership.parquet", {
            "record": pa.array([_name("r", one) for one in self.member], pa.binary(32)),
            "person": pa.array([_name("p", one) for one in self.member.values()], pa.binary(32)),
        })  # fmt: skip
        _write(out / "persons.parquet", {
            "person": pa.array(names, pa.binary(32)),
            "birth_month": pa.array([self.months[one] for one in people], pa.int32()),
            "link_p": pa.array([self.sure.get(one, 1000) for one in people], pa.int32()),
        })  # fmt: skip
        for name, rows in self.deliveries.items():
            _write(folder / f"events.{name}.parquet", _named(event_columns(rows)))
        for name, held in self.states.items():
            _write(folder / f"states.{name}.parquet", _named(state_columns(held)))
        return {
            "run": run_id,
            "as_of": self.as_of,
            "purpose": "safeguard_child",
            "themes": list(THEMES),
            "tables": str(shipped()),
            "events": [str(folder / f"events.{name}.parquet") for name in self.deliveries],
            "states": [str(folder / f"states.{name}.parquet") for name in self.states],
            "membership": str(out / "membership.parquet"),
            "persons": str(out / "persons.parquet"),
            "restricted": [_name("r", one).hex() for one in sorted(self.restricted)],
            "admitted": {one: sorted(self.admitted.get(one, EVERY_KIND)) for one in SOURCES},
            "sources": dict(SOURCES),
            "tie_key": "07" * 32,
            "out": str(out),
            "decided": {_name("p", one).hex(): told for one, told in self.decided.items()},
        }

    def but(self, **changes: Any) -> Day:
        """Return another day."""
        return replace(self, **changes)


def _name(prefix: str, number: int) -> bytes:
    """Return a made-up pseudonym; their order is not that of the numbers."""
    return hashlib.sha256(name32(prefix, number)).digest()


def _named(columns: Mapping[str, np.ndarray]) -> dict[str, Any]:
    record = pa.array([_name("r", one) for one in columns["pid"].tolist()], pa.binary(32))
    kept = {
        "age_band" if one == "age" else one: value for one, value in columns.items() if one != "pid"
    }
    return {"record": record, **kept}


def _write(path: Path, columns: Mapping[str, Any]) -> None:
    pq.write_table(pa.table(dict(columns)), path)


def published(job: dict[str, Any]) -> dict[str, Any]:
    """Carry out a run as the flow does: its description lies beside its results."""
    (Path(job["out"]) / "job.json").write_text(told(job), encoding="utf-8")
    return run(job)


def based_on(job: dict[str, Any], base: dict[str, Any], manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the job with a run to take over from."""
    named = {"run": base["run"], "folder": base["out"], "manifest": manifest}
    return {**job, "base": named}


def looking_back(
    job: dict[str, Any], earlier: dict[str, Any], manifest: dict[str, Any]
) -> dict[str, Any]:
    """Return the job with a run that its trend is held against and whose groups are carried on."""
    names = ("run", "as_of", "tables", "code")
    folder = Path(earlier["out"])
    return {
        **job,
        "before": {**{name: manifest[name] for name in names}, "events": earlier["events"]},
        "groups_before": {
            "person": str(folder / "person.parquet"),
            "members": str(folder / "group_member.parquet"),
        },
    }


def bytes_of(job: dict[str, Any]) -> dict[str, bytes]:
    """Return the files that a run gave."""
    inputs = {Path(job["membership"]).name, Path(job["persons"]).name}
    return {
        path.name: path.read_bytes()
        for path in sorted(Path(job["out"]).glob("*.parquet"))
        if path.name not in inputs
    }


def both_ways(
    folder: Path, one: Day, other: Day, before: Day | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the manifests of an increment and of a whole run; their bytes are held equal."""
    base, job = one.job(folder, "run-1"), other.job(folder, "run-2")
    if before is not None:
        earlier = before.job(folder, "run-0")
        told = published(earlier)
        base, job = (looking_back(each, earlier, told) for each in (base, job))
    made = run(based_on(job, base, published(base)))
    files = bytes_of(job)
    whole = run(job)
    assert bytes_of(job) == files
    assert len(files) >= 10
    assert {**made, "made": ""} == {**whole, "made": ""}
    return made, whole
