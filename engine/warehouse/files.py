"""Where the files of the analysis lane stand, and how a delivery's rows are written and read.

Files are append-only: one a delivery, one folder a run. A file counts once casework has published its
delivery; until then it can be taken back by name.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

EVENT_SCHEMA = pa.schema(
    [
        ("record", pa.binary(32)),
        ("eid", pa.int64()),
        ("kind", pa.uint16()),
        ("role", pa.uint8()),
        ("day", pa.int32()),
        ("recorded", pa.int32()),
        ("source", pa.uint16()),
        ("origin", pa.uint8()),
        ("age_band", pa.uint8()),
        ("grade", pa.uint8()),
        ("fact", pa.uint8()),
        ("row", pa.int32()),
    ]
)
STATE_SCHEMA = pa.schema(
    [
        ("record", pa.binary(32)),
        ("kind", pa.uint16()),
        ("place", pa.int64()),
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("recorded", pa.int32()),
        ("source", pa.uint16()),
        ("row", pa.int32()),
    ]
)


@dataclass(frozen=True, slots=True)
class Warehouse:
    """The folder of the analysis lane."""

    folder: Path

    def events(self, delivery: str) -> Path:
        """Return the path of a delivery's events."""
        return self.folder / "events" / f"{delivery}.parquet"

    def states(self, delivery: str) -> Path:
        """Return the path of a delivery's states."""
        return self.folder / "states" / f"{delivery}.parquet"

    def run(self, run: str) -> Path:
        """Return the folder of a scoring run."""
        return self.folder / "runs" / run

    def write_delivery(self, delivery: str, events: pa.Table, states: pa.Table) -> None:
        """Write a delivery's rows, sorted by record and day."""
        for path, table, keys in (
            (self.events(delivery), events, ("record", "day", "eid", "kind", "role")),
            (self.states(delivery), states, ("record", "start", "kind", "place")),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            order = pc.sort_indices(
                table.set_column(0, "record", table.column("record").cast(pa.binary())),
                sort_keys=[(key, "ascending") for key in keys],
            )
            pq.write_table(table.take(order), path)

    def discard_delivery(self, delivery: str) -> None:
        """Take back a delivery's files; harmless when there are none."""
        self.events(delivery).unlink(missing_ok=True)
        self.states(delivery).unlink(missing_ok=True)

    def discard_run(self, run: str) -> None:
        """Take back a run's folder; harmless when there is none."""
        shutil.rmtree(self.run(run), ignore_errors=True)

    def result(self, run: str, name: str) -> pa.Table:
        """Read a result table of a run."""
        return pq.read_table(self.run(run) / f"{name}.parquet")

    def rows_of(
        self, kind: str, deliveries: Iterable[str], records: Sequence[bytes]
    ) -> list[dict[str, Any]]:
        """Return the events or states of some records, newest first, with their delivery.

        Args:
            kind: ``events`` or ``states``.
            deliveries: Published deliveries, oldest first.
            records: Record pseudonyms.
        """
        wanted = pa.array(list(records), pa.binary(32))
        found: list[dict[str, Any]] = []
        for delivery in deliveries:
            path = self.events(delivery) if kind == "events" else self.states(delivery)
            if path.exists():
                table = pq.read_table(path)
                mine = table.filter(pc.is_in(table.column("record"), value_set=wanted))
                found += [row | {"delivery": delivery} for row in mine.to_pylist()]
        return _newest(found, kind)


def _newest(rows: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Keep one row per event, and per state what the newest delivery says; newest first."""
    names = ("record", "kind", "eid", "role", "day") if kind == "events" else (
        "record", "kind", "place", "start"
    )  # fmt: skip
    latest = {tuple(row[name] for name in names): row for row in rows}
    first = names[-1]
    return sorted(
        latest.values(), key=lambda row: (-row[first], row["kind"], row["record"], row["row"])
    )


def event_table(
    records: Sequence[bytes],
    rows: Sequence[tuple[int, int, int, int, int, int, int, int]],
    source: int,
) -> pa.Table:
    """Build a table of events.

    Args:
        records: Record pseudonyms, by index.
        rows: ``record index, kind, role, day, recorded, eid, age band, row``.
        source: Number of the source.
    """
    columns = np.array(rows, np.int64).reshape(len(rows), 8)
    count = len(rows)
    values = {
        "record": pa.array([records[int(number)] for number in columns[:, 0]], pa.binary(32)),
        "eid": columns[:, 5],
        "kind": columns[:, 1],
        "role": columns[:, 2],
        "day": columns[:, 3],
        "recorded": columns[:, 4],
        "source": np.full(count, source),
        "origin": np.zeros(count, np.int64),
        "age_band": columns[:, 6],
        # Grade 0 is "not graded", fact 1 is a statement of fact (DPA 2018 s.38).
        "grade": np.zeros(count, np.int64),
        "fact": np.ones(count, np.int64),
        "row": columns[:, 7],
    }
    return _table(values, EVENT_SCHEMA)


def state_table(
    records: Sequence[bytes],
    rows: Sequence[tuple[int, int, int, int, int, int, int]],
    source: int,
) -> pa.Table:
    """Build a table of states from ``record index, kind, start, end, recorded, place, row``."""
    columns = np.array(rows, np.int64).reshape(len(rows), 7)
    values = {
        "record": pa.array([records[int(number)] for number in columns[:, 0]], pa.binary(32)),
        "kind": columns[:, 1],
        "place": columns[:, 5],
        "start": columns[:, 2],
        "end": columns[:, 3],
        "recorded": columns[:, 4],
        "source": np.full(len(rows), source),
        "row": columns[:, 6],
    }
    return _table(values, STATE_SCHEMA)


def _table(values: dict[str, Any], schema: pa.Schema) -> pa.Table:
    arrays = [
        values[field.name]
        if isinstance(values[field.name], pa.Array)
        else pa.array(values[field.name]).cast(field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
