"""What is kept apart for counts of fairness: a group per record, under names of this lane alone.

A folder of its own that scoring is never given and that no page reads. Data Protection Act 2018 Schedule 1
paragraph 8(3): not for a measure or decision about a particular person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema([("record", pa.binary(32)), ("part", pa.string()), ("value", pa.string())])


def write(
    folder: Path, delivery: str, records: Sequence[bytes], parts: Mapping[str, Sequence[str | None]]
) -> int:
    """Write the groups that a delivery states; return how many.

    Args:
        folder: The lane's folder.
        delivery: Under whose name they stand, so that they can be taken back with it.
        records: Record pseudonyms of the domain ``equality``.
        parts: Part to one value per record, None for not stated.
    """
    rows = [
        (record, part, value)
        for part, values in sorted(parts.items())
        for record, value in zip(records, values, strict=True)
        if value
    ]
    if rows:
        folder.mkdir(parents=True, exist_ok=True)
        columns = [pa.array(list(one)) for one in zip(*rows, strict=True)]
        pq.write_table(
            pa.table(columns, names=SCHEMA.names).cast(SCHEMA), folder / f"{delivery}.parquet"
        )
    return len(rows)


def read(folder: Path, deliveries: Iterable[str], part: str) -> dict[bytes, str]:
    """Return the group of each record; what a later delivery says replaces what an earlier one said."""
    found: dict[bytes, str] = {}
    for delivery in deliveries:
        path = folder / f"{delivery}.parquet"
        if not path.exists():
            continue
        table = pq.read_table(path, filters=[("part", "=", part)])
        found.update(zip(table["record"].to_pylist(), table["value"].to_pylist(), strict=True))
    return found


def discard(folder: Path, delivery: str) -> None:
    """Take back what a delivery states; harmless when it states nothing."""
    (folder / f"{delivery}.parquet").unlink(missing_ok=True)
