"""A night's increment against the whole run that gives the same bytes (scoring.md 7.3: at most 5 % of it).

The goal is not reached. A run writes, hashes and lists everybody again, looks for groups among all who are
suspected together, and holds all of the earlier run against its manifest; and on another day every row that
can still count has other points, so that everybody is computed.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.measure import FLOOR, Claim
from bench.rfg import AS_OF, synthetic_events
from scoring.groups import load_library
from scoring.hashes import told
from scoring.run import run
from scoring.tables import Tables, load_tables, shipped

PEOPLE, ROWS, DELIVERIES, NEW = 60_000, 300_000, 10, 0.01
SIZES, SHARES = (1, 2, 3, 5), (0.72, 0.17, 0.07, 0.04)
"""How many take part in an event, and how often."""
NEARBY = 0.05
"""People who meet live near each other; the chance that the next one along is the one."""


def claims() -> Iterator[Claim]:
    """Yield the claims of this group."""
    load_library()
    tables = load_tables(shipped())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = _town(folder, tables)
        manifest = _published(first)
        for what, day in (("the same day", AS_OF), ("the next day", AS_OF + 1)):
            night = _night(first, folder, day)
            base = {"run": first["run"], "folder": first["out"], "manifest": manifest}
            share = f"run of {PEOPLE:,} people, {ROWS:,} rows, {NEW:.0%} of them new, {what}"
            yield Claim(
                share,
                "the same run computed whole",
                FLOOR,
                _runner(night, folder / "whole"),
                _runner({**night, "base": base}, folder / "increment"),
                _same_bytes,
            )


def _runner(job: dict[str, Any], out: Path) -> Any:
    def go() -> tuple[dict[str, Any], Path]:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        return run({**job, "out": str(out)}), out

    return go


def _same_bytes(whole: tuple[dict[str, Any], Path], ours: tuple[dict[str, Any], Path]) -> bool:
    names = sorted(path.name for path in whole[1].glob("*.parquet"))
    return {**whole[0], "made": ""} == {**ours[0], "made": ""} and all(
        (whole[1] / name).read_bytes() == (ours[1] / name).read_bytes() for name in names
    )


def _published(job: dict[str, Any]) -> dict[str, Any]:
    (Path(job["out"]) / "job.json").write_text(told(job), encoding="utf-8")
    return run(job)


def _night(first: dict[str, Any], folder: Path, day: int) -> dict[str, Any]:
    """The next run: one more delivery, a hundredth of all rows, of the last days."""
    path = folder / "events.new.parquet"
    if not path.exists():
        rows = _rows(int(ROWS * NEW), 10**9, 30, np.random.default_rng(8))
        pq.write_table(rows, path)
    return {**first, "run": "night", "as_of": day, "events": [*first["events"], str(path)]}


def _town(folder: Path, tables: Tables) -> dict[str, Any]:
    out = folder / "first"
    out.mkdir()
    rows = _rows(ROWS, 0, 3 * 365, np.random.default_rng(7))
    rows = rows.sort_by("day")
    step = -(-ROWS // DELIVERIES)
    paths = [folder / f"events.{place}.parquet" for place in range(DELIVERIES)]
    for place, path in enumerate(paths):
        pq.write_table(rows.slice(place * step, step), path)
    records, people = _names("record"), _names("person")
    chance = np.random.default_rng(9)
    pq.write_table(pa.table({"record": records, "person": people}), folder / "membership.parquet")
    pq.write_table(pa.table({
        "person": people,
        "birth_month": pa.array(chance.integers(657 - 60 * 12, 657, PEOPLE), pa.int32()),
        "link_p": pa.array(np.full(PEOPLE, 1000), pa.int32()),
    }), folder / "persons.parquet")  # fmt: skip
    stay = np.full(PEOPLE, AS_OF - 500)
    pq.write_table(pa.table({
        "record": records,
        "kind": np.full(PEOPLE, tables.kinds["household"].id),
        "place": np.arange(PEOPLE) // 3 + 1,
        "start": stay, "end": np.full(PEOPLE, 2**31 - 1), "recorded": stay,
        "source": np.full(PEOPLE, 2),
    }), folder / "states.parquet")  # fmt: skip
    kinds = sorted(kind.id for kind in tables.kinds.values())
    return {
        "run": "first", "as_of": AS_OF, "themes": ["cse", "cce"], "tables": str(shipped()),
        "events": [str(path) for path in paths], "states": [str(folder / "states.parquet")],
        "membership": str(folder / "membership.parquet"),
        "persons": str(folder / "persons.parquet"),
        "restricted": [], "admitted": {"1": kinds, "2": kinds},
        "sources": {"1": "police.occurrences", "2": "police.missing"},
        "tie_key": "07" * 32, "out": str(out),
    }  # fmt: skip


def _rows(count: int, first: int, days: int, chance: np.random.Generator) -> pa.Table:
    """Rows of events in which people take part who live near each other."""
    events = -(-count * 2 // 3)
    found = synthetic_events(events, PEOPLE, load_tables(shipped()), chance)
    at = np.repeat(np.arange(events), chance.choice(SIZES, events, p=SHARES))[:count]
    far = chance.geometric(NEARBY, len(at)) * chance.choice([-1, 1], len(at))
    day = AS_OF - chance.integers(0, days, events)[at]
    records = _names("record").take(pa.array((chance.permutation(found["pid"])[at] + far) % PEOPLE))
    return pa.table({
        "record": records, "eid": at + first + 1, "kind": found["kind"][at],
        "role": found["role"][at], "day": day, "recorded": day,
        "source": np.ones(len(at), np.int64), "origin": np.zeros(len(at), np.int64),
        "age_band": found["age"][at],
    })  # fmt: skip


def _names(what: str) -> pa.Array:
    names = [hashlib.sha256(f"{what}{one}".encode()).digest() for one in range(PEOPLE)]
    return pa.array(names, pa.binary(32))
