"""Rows after checking: what is left of their cells, and what names, ends or joins them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from engine.domain.records import Ints
from engine.intake.contract import Contract
from engine.intake.parts import text_of

STAND_IN = ("given_name", "surname", "birth_date")
"""Parts of an identity that stand in for a key where a source has no ids of its own."""
UNIT = "\x1f"
"""Stands between the parts of a name."""


@dataclass
class Kept:
    """Rows of a table after checking; after minimising, only what may be kept.

    Attributes:
        rows: Number of each row, unique in the delivery.
        lines: Physical line of each row.
        keys: Local key of each row.
        row_keys: Text that names each row, where the contract names rows; else null.
        deleted: Rows that the delivery says are deleted.
        merges: (row, old key, new key, undone) of the rows of a table of merges.
    """

    table: str
    rows: Ints
    lines: Ints
    columns: dict[str, pa.Array] = field(repr=False)
    keys: pa.Array = field(default=None, repr=False)
    row_keys: pa.Array | None = field(default=None, repr=False)
    deleted: npt.NDArray[np.bool_] | None = field(default=None, repr=False)
    merges: list[tuple[int, str, str, bool]] = field(default_factory=list, repr=False)

    def note(self, contract: Contract, row_key: Sequence[str]) -> None:
        """Take what names, ends or joins rows out of the columns, before they are minimised."""
        self.keys = local_keys(self.columns, contract, len(self.lines))
        sending = contract.sending
        self.row_keys = row_names(self.table, self.columns, row_key)
        if sending.deleted_field in self.columns:
            wanted = pa.array(sorted(sending.deleted_in), pa.string())
            mask = pc.is_in(text_of(self.columns[sending.deleted_field]), value_set=wanted)
            self.deleted = np.asarray(mask.to_numpy(zero_copy_only=False), dtype=bool)
        merges = sending.merges
        if merges and self.table == merges["table"] and merges["into"] in self.columns:
            into = self.columns[merges["into"]].to_pylist()
            undone = self.columns.get(merges.get("undone", ""))
            flags = undone.to_pylist() if undone is not None else [None] * len(into)
            self.merges = [
                (row, old, new, flag == "yes")
                for row, old, new, flag in zip(
                    self.rows.tolist(), self.keys.to_pylist(), into, flags, strict=True
                )
                if old and new and old != new
            ]

    def some(self, places: Ints) -> Kept:
        """Return some of the rows."""
        taken = pa.array(places)
        return Kept(
            self.table,
            self.rows[places],
            self.lines[places],
            {name: one.take(taken) for name, one in self.columns.items()},
            self.keys.take(taken),
            self.row_keys.take(taken) if self.row_keys is not None else None,
        )


def row_names(
    table: str, columns: Mapping[str, pa.Array], row_key: Sequence[str]
) -> pa.Array | None:
    """Return the text that names each row, null where every part of it is empty; None without a key."""
    if not row_key or not all(name in columns for name in row_key):
        return None
    parts = [pc.fill_null(text_of(columns[name]), "") for name in row_key]
    # The table is part of the name: two tables may count their rows alike.
    texts = pc.binary_join_element_wise(pa.scalar(table), *parts, pa.scalar(UNIT))
    nameless = pc.equal(texts, table + UNIT * len(row_key))
    return pc.if_else(nameless, pa.scalar(None, pa.string()), texts)


def local_keys(columns: Mapping[str, pa.Array], contract: Contract, count: int) -> pa.Array:
    """Return the agency's own key of each row, or what stands in for one; null or empty where it has none."""
    key = contract.fields[contract.key]
    if key.type != "derived":
        found = columns.get(key.name)
        return found if found is not None else pa.array([""] * count, pa.string())
    # A list without ids of its own: the identity as sent stands in for a local key.
    parts = [
        pc.fill_null(pc.utf8_lower(text_of(columns[spec.name])), "")
        for spec in contract.fields.values()
        if spec.part in STAND_IN and spec.name in columns
    ]
    return pc.binary_join_element_wise(*parts, pa.scalar(UNIT))
