"""Where the files of the analysis lane stand, and how a delivery's rows are written and read.

Files are append-only: one a delivery, one folder a run. A file counts once casework has published its
delivery; until then it can be taken back by name.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.warehouse.live import Live

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
        ("rk", pa.int64()),
        ("rule", pa.uint16()),
        ("window", pa.int32()),
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
        ("rk", pa.int64()),
        ("rule", pa.uint16()),
        ("window", pa.int32()),
    ]
)
SPOKEN_SCHEMA = pa.schema(
    [("record", pa.binary(32)), ("rk", pa.int64()), ("gone", pa.uint8()), ("day", pa.int32())]
)
MERGE_SCHEMA = pa.schema([("old", pa.binary(32)), ("new", pa.binary(32)), ("undone", pa.uint8())])
ORIGIN_HISTORY, ORIGIN_REVIEW = 2, 3
"""Origin of what a back-load tells, and of what a review by a list found: 0 is an agency's news, 1 is the
engine's own."""
Ints = npt.NDArray[np.int64]


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

    def spoken(self, delivery: str) -> Path:
        """Return the path of the rows that a delivery speaks of."""
        return self.folder / "spoken" / f"{delivery}.parquet"

    def merges(self, delivery: str) -> Path:
        """Return the path of what a delivery says about its source's own records."""
        return self.folder / "merges" / f"{delivery}.parquet"

    def run(self, run: str) -> Path:
        """Return the folder of a scoring run.

        Raises:
            ValueError: That is the name of no run, but a way out of the folder.
        """
        if run in ("", ".", "..") or Path(run).name != run:
            raise ValueError("not the name of a run")
        return self.folder / "runs" / run

    def write_delivery(
        self,
        delivery: str,
        events: pa.Table,
        states: pa.Table,
        spoken: pa.Table,
        merges: pa.Table | None = None,
    ) -> None:
        """Write a delivery's rows, sorted by record and day, and every row it speaks of."""
        for path, table in (
            (self.spoken(delivery), spoken),
            (self.merges(delivery), merges),
        ):
            if table is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(table, path)
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
        """Take back a delivery's files, and what runs kept of it; harmless when there are none."""
        for what in ("events", "states"):
            for copy in (self.folder / "runs").glob(f"*/{what}.{delivery}.parquet"):
                copy.unlink(missing_ok=True)
        self.events(delivery).unlink(missing_ok=True)
        self.states(delivery).unlink(missing_ok=True)
        self.spoken(delivery).unlink(missing_ok=True)
        self.merges(delivery).unlink(missing_ok=True)

    def discard_run(self, run: str) -> None:
        """Take back a run's folder; harmless when there is none."""
        shutil.rmtree(self.run(run), ignore_errors=True)

    def result(self, run: str, name: str) -> pa.Table:
        """Read a result table of a run."""
        return pq.read_table(self.run(run) / f"{name}.parquet")

    def rows_of(
        self, kind: str, deliveries: Iterable[str], records: Sequence[bytes], live: Live
    ) -> list[dict[str, Any]]:
        """Return the events or states of some records, newest first, with their delivery.

        Args:
            kind: ``events`` or ``states``.
            deliveries: Published deliveries, oldest first.
            records: Record pseudonyms.
            live: Which rows hold.
        """
        wanted = pa.array(list(records), pa.binary(32))
        found: list[dict[str, Any]] = []
        for delivery in deliveries:
            path = self.events(delivery) if kind == "events" else self.states(delivery)
            if path.exists():
                table = live.rows(delivery, pq.read_table(path))
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
    records: Sequence[bytes], ints: Mapping[str, Ints], eids: Ints, rks: Ints, source: int,
    *, history: bool,
) -> pa.Table:  # fmt: skip
    """Build a table of events.

    Args:
        records: Record pseudonyms, by index.
        ints: ``record`` (index), ``kind``, ``role``, ``day``, ``recorded``, ``age_band``, ``row``,
            ``rule``, the place of the yield in the contract, ``review``, 1 where a review by a list
            found it, and ``window``, the day by which a later window replaces the row, or
            `live.NO_DAY`.
        eids: Keyed name of each event's group.
        rks: Keyed name of the row it came from; 0 where the contract names no rows.
        source: Number of the source.
        history: Whether it comes from a back-load, which is no news.
    """
    count = len(eids)
    values = {
        "record": _pseudonyms(records, ints["record"]),
        "eid": eids,
        **{
            name: ints[name]
            for name in ("kind", "role", "day", "recorded", "age_band", "row", "rule", "window")
        },
        "source": np.full(count, source),
        "origin": np.where(ints["review"] == 1, ORIGIN_REVIEW, ORIGIN_HISTORY if history else 0),
        # Grade 0 is "not graded", fact 1 is a statement of fact (DPA 2018 s.38).
        "grade": np.zeros(count, np.int64),
        "fact": np.ones(count, np.int64),
        "rk": rks,
    }
    return _table(values, EVENT_SCHEMA)


def state_table(
    records: Sequence[bytes], ints: Mapping[str, Ints], places: Ints, rks: Ints, source: int
) -> pa.Table:
    """Build a table of states; see `event_table`. `places` holds keyed names, 0 for none."""
    values = {
        "record": _pseudonyms(records, ints["record"]),
        "place": places,
        **{
            name: ints[name]
            for name in ("kind", "start", "end", "recorded", "row", "rule", "window")
        },
        "source": np.full(len(places), source),
        "rk": rks,
    }
    return _table(values, STATE_SCHEMA)


def spoken_table(
    records: Sequence[bytes], places: Ints, rks: Ints, gone: Ints, days: Ints
) -> pa.Table:
    """Build the table of every row that a delivery speaks of.

    Args:
        records: Record pseudonyms, by index.
        places: Record index of each row; -1 for a row that is only named as deleted.
        rks: Keyed name of the row, 0 for none.
        gone: 1 where the delivery says that the row is deleted.
        days: Day of the row for a source that is sent by windows; `live.NO_DAY` for none.
    """
    none = bytes(32)
    names = [records[int(place)] if place >= 0 else none for place in places]
    values = {"record": pa.array(names, pa.binary(32)), "rk": rks, "gone": gone, "day": days}
    return _table(values, SPOKEN_SCHEMA)


def merge_table(merges: Sequence[tuple[bytes, bytes, bool]]) -> pa.Table:
    """Build the table of what a source says about its own records: old, new, undone."""
    values = {
        "old": pa.array([old for old, _, _ in merges], pa.binary(32)),
        "new": pa.array([new for _, new, _ in merges], pa.binary(32)),
        "undone": np.array([int(undone) for _, _, undone in merges], np.int64),
    }
    return _table(values, MERGE_SCHEMA)


def _pseudonyms(records: Sequence[bytes], places: Ints) -> pa.Array:
    every = pa.array(list(records), pa.binary(32))
    return every.take(pa.array(places))


def _table(values: dict[str, Any], schema: pa.Schema) -> pa.Table:
    arrays = [
        values[field.name]
        if isinstance(values[field.name], pa.Array)
        else pa.array(values[field.name]).cast(field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
