"""Readable rows to the columns of scoring, and the straight line from columns to scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scoring import scenario
from scoring.scenario import OPEN_END, Event, State, World
from scoring.tables import TRACKS, Ints, Tables, load_tables, narrowed, shipped
from scoring.visible import Columns

UNKNOWN_MONTH = -(10**6)
POLICE, MISSING_UNIT = 1, 2
SOURCES = {"1": "police.occurrences", "2": "police.missing"}
__all__ = ["OPEN_END", "Event", "State", "World"]
WHOLE = load_tables(shipped())
THEMES = ("cse", "cce")
# What a run of safeguarding uses: most tests speak of one run, and a run has one purpose (ADR 0016).
TABLES = narrowed(WHOLE, THEMES, [one.name for one in WHOLE.links])
EVERY_KIND = frozenset(kind.id for kind in TABLES.kinds.values())
ADMIT_ALL = {POLICE: EVERY_KIND, MISSING_UNIT: EVERY_KIND}


def event_columns(rows: Iterable[Event], tables: Tables = TABLES) -> Columns:
    """Return the raw columns of events, in the order of the rows."""
    return scenario.event_columns(rows, tables)


def state_columns(rows: Iterable[State], tables: Tables = TABLES) -> Columns:
    """Return the raw columns of states, in the order of the rows."""
    return scenario.state_columns(rows, tables)


def retention_of(tables: Tables = TABLES) -> Ints:
    """Return the retention days by kind id."""
    return scenario.retention_of(tables)


def world(
    events: Iterable[Event],
    states: Iterable[State] = (),
    *,
    persons: int,
    as_of: int,
    bands: Iterable[int] | None = None,
    admitted: Mapping[int, frozenset[int]] = ADMIT_ALL,
    tables: Tables = TABLES,
) -> World:
    """Go the straight line from raw rows to scores, everybody under 18 unless `bands` says else."""
    return scenario.world(events, states, persons=persons, as_of=as_of, bands=bands,
                          admitted=admitted, tables=tables)  # fmt: skip


def rows_of(columns: Columns, *names: str) -> list[tuple[int, ...]]:
    """Return the named columns as plain tuples, row by row."""
    return list(zip(*(columns[name].tolist() for name in names), strict=True))


def score_of(columns: Columns, pid: int, theme: str, track: str) -> dict[str, int]:
    """Return one row of the score table; nothing but zeros when the person is not in it."""
    at = np.flatnonzero(
        (columns["pid"] == pid)
        & (columns["theme"] == TABLES.themes.index(theme))
        & (columns["track"] == TRACKS.index(track))
    )
    if not len(at):
        return dict.fromkeys(columns, 0)
    return {name: int(column[at[0]]) for name, column in columns.items()}


def edited_tables(folder: Path, edits: Mapping[str, tuple[str, str]]) -> Path:
    """Copy the shipped tables into `folder` and replace a text that stands once in each named file."""
    for path in shipped().iterdir():
        text = path.read_text(encoding="utf-8")
        if path.name in edits:
            old, new = edits[path.name]
            if text.count(old) != 1:
                raise ValueError(f"{path.name} does not hold the text exactly once")
            text = text.replace(old, new)
        (folder / path.name).write_text(text, encoding="utf-8")
    return folder


def name32(prefix: str, number: int) -> bytes:
    """Return a made-up pseudonym of 32 bytes."""
    return f"{prefix}{number}".encode().ljust(32, b".")


def write_job(
    folder: Path,
    events: Iterable[Event],
    states: Iterable[State] = (),
    *,
    months: Mapping[int, int],
    as_of: int,
    restricted: Iterable[int] = (),
    sources: Mapping[str, str] | None = None,
    admitted: Mapping[str, list[int]] | None = None,
    themes: Iterable[str] = THEMES,
) -> dict[str, Any]:
    """Write the Parquet inputs of a whole run and return its job; record N belongs to person N.

    Args:
        folder: Where to write.
        events: Their `pid` is the number of the record.
        states: As `events`.
        months: Birth month of each person, in months since 1970-01.
        as_of: Day of the run.
        restricted: Records that count nowhere.
        sources: Source number to name, those loaded.
        admitted: Source number to the kinds admitted.
        themes: Themes of the run's purpose.
    """
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / "out"
    out.mkdir()
    people = list(months)
    _write(folder / "events.parquet", _with_record(event_columns(events), {"age": "age_band"}))
    _write(folder / "states.parquet", _with_record(state_columns(states), {}))
    records = pa.array([name32("r", number) for number in people], pa.binary(32))
    names = pa.array([name32("p", number) for number in people], pa.binary(32))
    _write(folder / "membership.parquet", {"record": records, "person": names})
    born = pa.array([months[number] for number in people], pa.int32())
    sure = pa.array([1000] * len(names), pa.int32())
    _write(folder / "persons.parquet", {"person": names, "birth_month": born, "link_p": sure})
    return {
        "run": "run-1",
        "as_of": as_of,
        "themes": list(themes),
        "tables": str(shipped()),
        "events": [str(folder / "events.parquet")],
        "states": [str(folder / "states.parquet")],
        "membership": str(folder / "membership.parquet"),
        "persons": str(folder / "persons.parquet"),
        "restricted": [name32("r", number).hex() for number in restricted],
        "admitted": admitted or {number: sorted(EVERY_KIND) for number in SOURCES},
        "sources": dict(SOURCES if sources is None else sources),
        "tie_key": "07" * 32,
        "out": str(out),
    }


def _with_record(columns: Columns, renamed: Mapping[str, str]) -> dict[str, Any]:
    record = pa.array([name32("r", number) for number in columns["pid"].tolist()], pa.binary(32))
    kept = {renamed.get(name, name): value for name, value in columns.items() if name != "pid"}
    return {"record": record, **kept}


def _write(path: Path, columns: Mapping[str, Any]) -> None:
    pq.write_table(pa.table(dict(columns)), path)
