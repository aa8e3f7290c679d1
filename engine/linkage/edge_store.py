"""Scored pairs of the last run, so that the next one scores only what is new.

A pair's weight depends on its two records and on the frozen model, and on nothing else; so the pairs of
two records whose words have not changed are taken over as they were. A full relink gives the same
pairs, weight for weight, and is run as a check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from engine.linkage.edges import Edges
from engine.linkage.encode import Words, take
from engine.linkage.linker import Linker, joined
from engine.linkage.settings_v2 import COMPARISONS

Mask = npt.NDArray[np.bool_]
Digests = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Scored:
    """The records of a run as they were compared, and their pairs.

    Attributes:
        made_by: Hash of the model and version of the key: pairs of others are of no use.
        records: Record pseudonyms.
        digests: What each record's words come to.
        edges: Pairs, by row of `records`.
    """

    made_by: str
    records: Sequence[bytes] = field(repr=False)
    digests: Digests = field(repr=False)
    edges: Edges = field(repr=False)


def digests_of(words: Words, usable: Mask) -> Digests:
    """Return a number for each record that changes when anything that is compared does."""
    total: Digests = usable.astype(np.uint64)
    for column in words.T:
        total = (total ^ column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        total ^= total >> np.uint64(29)
    return total


def score(
    linker: Linker, words: Words, usable: Mask, records: Sequence[bytes], earlier: Scored | None
) -> tuple[Edges, Digests, int]:
    """Score the pairs of usable records; those that an earlier run scored are taken over.

    Args:
        linker: Scores pairs.
        words: Records as they are compared.
        usable: Which of them are.
        records: Their pseudonyms.
        earlier: What an earlier run scored, under the same model and key; None for nothing.

    Returns:
        Pairs by row of `words`, exactly those of a full run; each record's digest; and how many records
        had to be compared anew.
    """
    digests = digests_of(words, usable)
    rows = np.flatnonzero(usable)
    if earlier is None:
        found = linker.edges(words if len(rows) == len(words) else take(words, rows))
        return _rows(found, rows), digests, len(rows)
    place = {record: row for row, record in enumerate(records)}
    now = np.array([place.get(record, -1) for record in earlier.records], np.int64)
    same = np.zeros(len(now), dtype=bool)
    there = now >= 0
    same[there] = digests[now[there]] == earlier.digests[there]
    kept = np.zeros(len(records), dtype=bool)
    kept[now[same]] = True
    old = np.flatnonzero(same[earlier.edges.left] & same[earlier.edges.right])
    taken = earlier.edges.take(old)
    taken = Edges(now[taken.left], now[taken.right], taken.weight, taken.gammas)
    fresh = usable & ~kept
    new = _rows(linker.edges(take(words, rows), fresh[rows]), rows)
    return joined([taken, new]), digests, int(fresh.sum())


def _rows(edges: Edges, rows: Words) -> Edges:
    return Edges(rows[edges.left], rows[edges.right], edges.weight, edges.gammas)


def save(folder: Path, run: str, scored: Scored) -> None:
    """Write what a run scored; it is read once the run is published."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    edges = scored.edges
    table = pa.table({"left": edges.left, "right": edges.right, "weight": edges.weight,
                      **{name: edges.gammas[name] for name in COMPARISONS}})  # fmt: skip
    pq.write_table(
        table.replace_schema_metadata({"made_by": scored.made_by}), folder / f"{run}.pairs"
    )
    nodes = pa.table({"record": pa.array(list(scored.records), pa.binary(32)),
                      "digest": scored.digests})  # fmt: skip
    pq.write_table(nodes, folder / f"{run}.records")
    for name in ("pairs", "records"):
        (folder / f"{run}.{name}").chmod(0o600)


def load(folder: Path, run: str, made_by: str) -> Scored | None:
    """Return what a run scored, or None when it is not there or another model or key made it."""
    pairs, records = folder / f"{run}.pairs", folder / f"{run}.records"
    if not pairs.exists() or not records.exists():
        return None
    try:
        table, nodes = pq.read_table(pairs), pq.read_table(records)
    except (pa.ArrowException, OSError):
        return None  # Cut off or damaged: everything is scored again, and the answer is the same.
    if (table.schema.metadata or {}).get(b"made_by") != made_by.encode():
        return None
    edges = Edges(
        table.column("left").to_numpy(),
        table.column("right").to_numpy(),
        table.column("weight").to_numpy(),
        {name: table.column(name).to_numpy() for name in COMPARISONS},
    )
    return Scored(
        made_by, nodes.column("record").to_pylist(), nodes.column("digest").to_numpy(), edges
    )


def forget(folder: Path, run: str) -> None:
    """Take away what a run scored; harmless when it is not there."""
    for name in ("pairs", "records"):
        (folder / f"{run}.{name}").unlink(missing_ok=True)


def keep_only(folder: Path, run: str) -> None:
    """Take away what runs before this one scored: it is of no use any more."""
    for path in folder.glob("*.*"):
        if path.stem != run and path.suffix in (".pairs", ".records"):
            path.unlink(missing_ok=True)
