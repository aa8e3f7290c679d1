"""From the files of a run to its columns: who is whom, and what was recorded about each of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scoring.errors import ScoringFault
from scoring.tables import Ints
from scoring.visible import Columns

EVENTS = {
    **{name: name for name in ("eid", "kind", "role", "day", "recorded", "source", "origin")},
    "age": "age_band",
}
STATES = {name: name for name in ("kind", "place", "start", "end", "recorded", "source")}


def persons_of(path: Path) -> pa.Table:
    """Return the persons of a run in the order of their pseudonyms, which gives each its number."""
    table = pq.read_table(path)
    return table.take(pc.sort_indices(table.column("person").cast(pa.binary())))


def membership_of(path: Path, persons: pa.Table, restricted: Iterable[str]) -> pa.Table:
    """Return ``record`` and ``pid``; a restricted record has -2 and counts nowhere."""
    table = pq.read_table(path)
    pid = pc.index_in(table.column("person"), value_set=persons.column("person").combine_chunks())
    if pid.null_count:
        raise ScoringFault("FG-RUN-03", "a record belongs to nobody of the run", "Link again.")
    numbers = pid.to_numpy().astype(np.int64)
    closed = pa.array([bytes.fromhex(text) for text in restricted], pa.binary(32))
    is_closed = pc.is_in(table.column("record"), value_set=closed).to_numpy()
    numbers = np.where(is_closed, -2, numbers)
    return pa.table({"record": table.column("record"), "pid": numbers})


def read_columns(paths: Iterable[str], pid_of: pa.Table, names: dict[str, str]) -> Columns:
    """Return the rows of files as int64 columns, with the person of each row.

    Args:
        paths: Parquet files, the oldest first.
        pid_of: From `membership_of`.
        names: Column to the name it is stored under: `EVENTS` or `STATES`.
    """
    tables = [pq.read_table(path, columns=["record", *names.values()]) for path in paths]
    if not tables:
        empty = np.zeros(0, np.int64)
        return dict.fromkeys(("pid", "record", "file", *names), empty)
    table = pa.concat_tables(tables)
    at = pc.index_in(table.column("record"), value_set=pid_of.column("record").combine_chunks())
    found = pc.fill_null(at, -1).to_numpy().astype(np.int64)
    pids = np.append(pid_of.column("pid").to_numpy().astype(np.int64), -1)
    columns = {
        name: table.column(stored).to_numpy().astype(np.int64) for name, stored in names.items()
    }
    sizes = [len(one) for one in tables]
    files = np.repeat(np.arange(len(tables), dtype=np.int64), sizes)
    return {"pid": pids[found], "record": found, "file": files, **columns}


def newest_states(columns: Columns) -> tuple[Columns, int]:
    """Keep, of several deliveries about one state, what the newest says.

    Args:
        columns: State columns with ``record`` (row number of the record) and ``file`` (place of the
            delivery, oldest first).

    Returns:
        The columns without those two, and the number of rows that a newer delivery replaced.
    """
    keys = ("record", "kind", "place", "start")
    order = np.lexsort([columns["file"], *(columns[name] for name in reversed(keys))])
    newest = np.ones(len(order), dtype=bool)
    if len(order):
        same = np.ones(len(order) - 1, dtype=bool)
        for name in keys:
            ordered = columns[name][order]
            same &= ordered[1:] == ordered[:-1]
        newest[:-1] = ~same
    # A record without a person has no number of its own and is dropped with its own reason later.
    newest |= columns["record"][order] < 0
    kept = order[newest]
    wanted = {
        name: column[kept] for name, column in columns.items() if name not in ("record", "file")
    }
    return wanted, len(order) - len(kept)


def bands_of(persons: pa.Table, as_of: int) -> Ints:
    """Age band on the as-of date from the birth month: 0 unknown, 1 under 18, 2 eighteen or over.

    The month a child turns 18 counts as under 18 to its end, because the day is not known here.
    """
    month = persons.column("birth_month").to_numpy().astype(np.int64)
    today = np.datetime64(as_of, "D").astype("datetime64[M]").astype(np.int64)
    band = np.where(today - month > 18 * 12, 2, 1)
    return np.where(month < -12 * 150, 0, band).astype(np.int64)
