"""What of the delivered rows still holds, when later deliveries replace, delete or join some of them.

Files are append-only. A row that its contract names holds until a later delivery of the source speaks
of it: sent again, it is replaced; said to be deleted, it is gone. A later window replaces what lies in
it. A record of which no row holds counts nowhere, and a record that its agency merged into another
counts as the other (DESIGN 4: corrections are tombstones).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

Ints = npt.NDArray[np.int64]
NO_DAY = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Sent:
    """A published delivery, oldest first in a sequence.

    Attributes:
        plain: Whether it names no rows, deletes and merges nothing, and is no window.
        window: First and last day (since 1970-01-01) that it replaces, or None.
    """

    delivery: str
    source: str
    plain: bool
    window: tuple[int, int] | None


@dataclass(frozen=True)
class Live:
    """Which rows hold.

    Attributes:
        trivial: Whether every row of every delivery holds.
        superseded: Delivery to the sorted row names that a later delivery speaks of.
        windows: Delivery to the later windows of its source.
        dead: Records of which no row holds, and those merged into others.
        joined: Record to the record that its agency merged it into.
    """

    trivial: bool = True
    superseded: Mapping[str, Ints] = field(default_factory=dict, repr=False)
    windows: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)
    dead: frozenset[bytes] = field(default=frozenset(), repr=False)
    joined: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)

    def rows(self, delivery: str, table: pa.Table) -> pa.Table:
        """Return the rows of a delivery that hold, under the records they belong to now.

        Args:
            delivery: The delivery.
            table: Its events or states. The day by which a window replaces a row is the row's own
                (``window``), not that of the event: one occurrence leads to events of other days.
        """
        if self.trivial:
            return table
        # A file from before rows had a day of their own goes by the day of what they led to.
        named = ("window", "day", "start")
        column = next(name for name in named if name in table.column_names)
        holds = self.holding(
            delivery, table.column("rk").to_numpy(), table.column(column).to_numpy()
        )
        if not holds.all():
            table = table.filter(pa.array(holds))
        return self._joined(table)

    def holding(self, delivery: str, names: Ints, days: Ints) -> npt.NDArray[np.bool_]:
        """Say which rows of a delivery no later one replaces.

        Args:
            delivery: The delivery.
            names: Keyed name of each row, 0 for none.
            days: The day by which a window replaces it.
        """
        holds = np.ones(len(names), dtype=bool)
        later = self.superseded.get(delivery)
        if later is not None and len(later):
            holds &= ~np.isin(names, later)
        for first, last in self.windows.get(delivery, ()):
            holds &= (days < first) | (days > last)
        return holds

    def _joined(self, table: pa.Table) -> pa.Table:
        if not self.joined or not table.num_rows:
            return table
        old = pa.array(list(self.joined), pa.binary(32))
        column = table.column("record").combine_chunks()
        places = pc.index_in(column, value_set=old)
        if places.null_count == len(places):
            return table
        new = pa.array(list(self.joined.values()), pa.binary(32)).take(places)
        at = table.column_names.index("record")
        return table.set_column(at, "record", pc.coalesce(new, column))


def live_of(order: Sequence[Sent], spoken: Mapping[str, Path], merges: Mapping[str, Path]) -> Live:
    """Work out what holds.

    Args:
        order: Published deliveries, oldest first.
        spoken: Delivery to its file of rows that it speaks of.
        merges: Delivery to its file of merges; absent when it states none.
    """
    if all(one.plain for one in order):
        return Live()
    named: dict[str, Ints] = {}
    windows: dict[str, list[tuple[int, int]]] = {}
    superseded: dict[str, Ints] = {}
    later_windows: dict[str, Sequence[tuple[int, int]]] = {}
    alive: set[bytes] = set()
    seen: set[bytes] = set()
    for sent in reversed(order):
        path = spoken[sent.delivery]
        if not path.exists():
            continue
        table = pq.read_table(path)
        rk = table.column("rk").to_numpy()
        later = named.get(sent.source, np.zeros(0, np.int64))
        superseded[sent.delivery] = later
        later_windows[sent.delivery] = tuple(windows.get(sent.source, ()))
        holds = table.column("gone").to_numpy() == 0
        here = holds.copy()
        if len(later):
            here &= ~np.isin(rk, later)
        day = table.column("day").to_numpy()
        for first, last in later_windows[sent.delivery]:
            here &= ~((day >= first) & (day <= last))
        records = table.column("record")
        seen.update(records.filter(pa.array(holds)).to_pylist())
        alive.update(records.filter(pa.array(here)).to_pylist())
        fresh = rk[rk != 0]
        if len(fresh):
            named[sent.source] = np.unique(np.concatenate([later, fresh]))
        if sent.window is not None:
            windows.setdefault(sent.source, []).append(sent.window)
    # A record that no delivery that counts has brought is nobody to be merged into.
    joined = {old: new for old, new in _joins(order, merges).items() if new in seen}
    alive.update(joined[record] for record in joined if record in alive)
    dead = (seen - alive) | set(joined)
    return Live(
        trivial=False,
        superseded=superseded,
        windows=later_windows,
        dead=frozenset(dead),
        joined=joined,
    )


def _joins(order: Sequence[Sent], merges: Mapping[str, Path]) -> dict[bytes, bytes]:
    """Follow merges in time: a later word about a record wins, an undone merge is none."""
    stated: dict[bytes, bytes] = {}
    for sent in order:
        path = merges[sent.delivery]
        if not path.exists():
            continue
        for row in pq.read_table(path).to_pylist():
            if row["undone"]:
                stated.pop(row["old"], None)
            else:
                stated[row["old"]] = row["new"]
    found = {}
    for old, new in stated.items():
        seen, end = {old}, new
        while end in stated and end not in seen:
            seen.add(end)
            end = stated[end]
        if end not in seen:  # Two records that are each merged into the other stay apart.
            found[old] = end
    return found
