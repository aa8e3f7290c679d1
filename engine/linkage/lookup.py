"""One record against all others: who else could this be, found by token and scored by the frozen model.

A run scores all pairs; a reviewer who doubts one record asks about that one. An index from blocking token
to record finds the few that share a key, and the model scores those alone: the same pairs and weights as
a run finds for the record.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pyarrow as pa

from engine.linkage.artefacts import Model
from engine.linkage.edges import Edges
from engine.linkage.encode import COLUMNS, Encoder, Words
from engine.linkage.linker import SplinkLinker, edges_of, frozen_shares, no_pairs
from engine.linkage.settings_v2 import BLOCKING_COLUMNS, COMPARISONS

_SOUGHT = "__fieldgate_one_record"


class Lookup:
    """An index over encoded records that answers for one of them at a time.

    Args:
        encoder: The encoder that made the words; needed to key the frequency tables.
        model: The frozen model.
        words: Encoded records, as they are compared.
    """

    def __init__(self, encoder: Encoder, model: Model, words: Words) -> None:
        self._model, self._words = model, words
        self._shares = {name: frozen_shares(encoder, model, name) for name in ("given", "surname")}
        self._linker = SplinkLinker(encoder, model)
        self._index: dict[str, tuple[Words, Words]] = {}
        for name in BLOCKING_COLUMNS:
            keys = words[:, COLUMNS.index(name)]
            rows = np.flatnonzero(keys)
            order = rows[np.argsort(keys[rows], kind="stable")]
            self._index[name] = keys[order], order
        self._api: Any = None

    def candidates(self, row: int) -> Words:
        """Return the rows that share a blocking key with a record, itself left out."""
        found = []
        for name, (keys, rows) in self._index.items():
            key = self._words[row, COLUMNS.index(name)]
            if key:
                first, last = np.searchsorted(keys, [key, key + 1])
                found.append(rows[first:last])
        near = np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)
        others: Words = near[near != row]
        return others

    def edges(self, row: int) -> Edges:
        """Return the scored pairs of one record, at or above the model's review weight.

        Args:
            row: Row of `words`.
        """
        near = self.candidates(row)
        if not len(near):
            return edges_of(no_pairs())
        rows = np.append(near, row)
        table = self._with_shares(rows)
        return edges_of(self._compared(table.slice(len(near), 1), table.slice(0, len(near))))

    def _with_shares(self, rows: Words) -> pa.Table:
        words = self._words[rows]
        table = self._linker.table(words).set_column(0, "rid", pa.array(rows))
        for column in ("given", "surname"):
            known, rare = self._shares[column], self._model.rare
            shares = [
                known.get(one, rare) if one else None
                for one in words[:, COLUMNS.index(column)].tolist()
            ]
            table = table.append_column(f"tf_{column}", pa.array(shares, pa.float64()))
        return table

    def _compared(self, one: pa.Table, others: pa.Table) -> pa.Table:
        from splink.internals.realtime import compare_records

        if self._api is None:
            import duckdb
            from splink.backends.duckdb import DuckDBAPI

            logging.getLogger("splink").setLevel(logging.ERROR)
            self._connection = duckdb.connect(":memory:")
            self._connection.execute("SET threads TO 1")
            self._api = DuckDBAPI(connection=self._connection)
        made = compare_records(
            one,
            others,
            self._linker.settings(),
            self._api,
            sql_cache_key=_SOUGHT + self._model.hash,
        )
        names = ", ".join(f"gamma_{name}" for name in COMPARISONS)
        found = self._connection.sql(
            f"select rid_l, rid_r, match_weight, {names} from {made.physical_name} "  # noqa: S608
            f"where match_weight >= {self._model.review_weight}"
        ).to_arrow_table()
        name = made.physical_name.rpartition("_")[2]
        self._connection.execute(f"drop table {made.physical_name}")
        for side in ("left", "right"):
            self._connection.unregister(f"__splink__compare_records_{side}_{name}")
        return found

    def close(self) -> None:
        """Close the database in memory."""
        if self._api is not None:
            self._connection.close()
