"""Candidate pairs and their weights: Splink on DuckDB over keyed words, with a frozen model."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from engine.linkage.artefacts import Model
from engine.linkage.edges import Edges
from engine.linkage.encode import COLUMNS, Encoder, Words, take
from engine.linkage.settings_v2 import BLOCKING_COLUMNS, COMPARISONS, settings

Floats = npt.NDArray[np.float64]
CHUNK = 1_000_000
"""Records whose pairs are scored at a time, and half as many once there are more than twice as many: what a
run holds beside the records stays this large."""
Mask = npt.NDArray[np.bool_]

_BITS = (1 << 22) - 1
# Columns in which zero is a value; in every other column zero is "not known".
_VALUES = frozenset(
    name for name in COLUMNS
    if name.startswith(("bf_", "pc_", "given_is_")) or name.endswith(("_weak", "_failed"))
)  # fmt: skip


class Linker(Protocol):
    """Anything that scores pairs of encoded records with a frozen model."""

    def edges(self, words: Words, fresh: Mask | None = None) -> Edges:
        """Return scored pairs of the records, at or above the model's review weight.

        Args:
            words: Encoded records.
            fresh: Records of which the pairs are wanted, among themselves and with all others; None
                for all pairs.
        """


def frozen_shares(encoder: Encoder, model: Model, column: str) -> dict[int, float]:
    """Return the frozen frequency of each name of a column, by its token."""
    table = model.frequencies[column]
    names = sorted(table)
    tokens = encoder.tokens("given", names).tolist()
    return dict(zip(tokens, (table[name] for name in names), strict=True))


def keyed_frequencies(
    encoder: Encoder, model: Model, column: str, present: Words
) -> tuple[Words, Floats]:
    """Return the tokens of a column with their frozen frequency.

    A token that the frozen table does not hold takes the frequency of a rare name, so that the
    weight of a pair never depends on what else was delivered (linkage.md 4).
    """
    known = frozen_shares(encoder, model, column)
    wanted = np.unique(present[present != 0])
    shares = np.array([known.get(token, model.rare) for token in wanted.tolist()], np.float64)
    return wanted, shares


def arrow_table(words: Words) -> pa.Table:
    """Return the words as a table for DuckDB; "not known" becomes NULL."""
    columns: dict[str, pa.Array] = {"rid": pa.array(np.arange(len(words), dtype=np.int64))}
    for number, name in enumerate(COLUMNS):
        column = np.ascontiguousarray(words[:, number])
        if name.startswith("bf_"):
            columns[name] = pa.array(column.view(np.uint64))
        elif name in _VALUES:
            columns[name] = pa.array(column)
        else:
            columns[name] = pa.array(column, mask=column == 0)
    return pa.table(columns)


def scored_with(model: Model) -> str:
    """Return what pairs hang on beside the model's numbers: rules, levels, and who works them out.

    Pairs of an earlier run are taken over only under the same one.
    """
    rules = json.dumps(settings(model.probabilities, model.prior), sort_keys=True, default=str)
    versions = "|".join(f"{name} {version(name)}" for name in ("splink", "duckdb"))
    return hashlib.sha256(f"{versions}|{rules}".encode()).hexdigest()[:16]


class SplinkLinker:
    """The shipped linker.

    Args:
        encoder: The encoder that made the words; needed to key the frequency tables.
        model: The frozen model.
        chunk: Records whose pairs are scored at a time.
    """

    def __init__(self, encoder: Encoder, model: Model, chunk: int = CHUNK) -> None:
        self._encoder, self._model, self._chunk = encoder, model, chunk

    def table(self, words: Words) -> pa.Table:
        """Return the records as Splink reads them."""
        return arrow_table(words)

    def settings(self) -> dict[str, Any]:
        """Return the frozen model as settings of Splink."""
        return settings(self._model.probabilities, self._model.prior)

    def frequencies(self, column: str, words: Words) -> tuple[Any, Any]:
        """Return the names of a column that are there, with their frozen frequency."""
        present = words[:, COLUMNS.index(column)]
        return keyed_frequencies(self._encoder, self._model, column, present)

    def edges(self, words: Words, fresh: Mask | None = None) -> Edges:
        """Score candidate pairs; the same input and model give the same bytes.

        With `fresh`, the pairs that a full run would find for these records and with the same weights:
        the frequencies are frozen, so that no weight depends on what else is there.
        """
        if len(words) < 2 or (fresh is not None and not fresh.any()):
            return edges_of(no_pairs())
        if fresh is not None and not fresh.all():
            rows = _within_reach(words, fresh)
            found = self._scored(take(words, rows))
            asked = np.flatnonzero(fresh[rows[found.left]] | fresh[rows[found.right]])
            found = found.take(asked)
            return Edges(rows[found.left], rows[found.right], found.weight, found.gammas)
        return self._scored(words)

    def _scored(self, words: Words) -> Edges:
        if len(words) < 2:
            return edges_of(no_pairs())
        import duckdb

        from engine.linkage import written

        names = ", ".join(f"gamma_{name}" for name in COMPARISONS)
        size = self._chunk if len(words) <= 2 * self._chunk else -(-self._chunk // 2)
        chunks = -(-len(words) // size)
        tables = []
        connection = duckdb.connect(":memory:")
        try:
            connection.execute("SET threads TO 2")
            inputs = self._inputs(words)
            # All that the text hangs on; of several chunks each has its own.
            key = json.dumps(
                [self.settings(), self._model.review_weight,
                 {name: one.schema.names for name, one in inputs.items()}],
                sort_keys=True, default=str,
            )  # fmt: skip
            statements = written.kept(key) if chunks == 1 else None
            if statements is not None:
                name = written.run_again(connection, statements, inputs)
                pairs = connection.sql(f"select rid_l, rid_r, match_weight, {names} from {name}")  # noqa: S608
                return edges_of(pairs.to_arrow_table())
            api = written.ListeningAPI(connection)
            ready = self._ready(api, inputs, lambda table: table)
            for chunk in range(1, chunks + 1):
                found = ready.inference.predict_chunk(
                    (chunk, chunks), (1, 1), threshold_match_weight=self._model.review_weight
                )
                tables.append(
                    connection.sql(
                        f"select rid_l, rid_r, match_weight, {names} from {found.physical_name}"  # noqa: S608
                    ).to_arrow_table()
                )
                if chunks > 1:
                    found.drop_table_from_database_and_remove_from_cache()
                elif api.made and found.physical_name in api.made[-1].partition(" AS")[0]:
                    written.keep(key, api.made)
        finally:
            connection.close()
        return edges_of(pa.concat_tables(tables))

    def _inputs(self, words: Words) -> dict[str, pa.Table]:
        """Return what Splink reads, by the name it is registered under."""
        tables = {"records": self.table(words)}
        for column in ("given", "surname"):
            names, shares = self.frequencies(column, words)
            tables[f"shares_{column}"] = pa.table({column: names, f"tf_{column}": shares})
        return tables

    def _ready(
        self, api: Any, inputs: Mapping[str, pa.Table], frame: Callable[[pa.Table], Any]
    ) -> Any:
        """Return Splink with the records and the frozen frequencies on a back end.

        Args:
            api: The back end.
            inputs: From `_inputs`.
            frame: Turns a table into what the back end registers.
        """
        from splink import Linker as Splink

        logging.getLogger("splink").setLevel(logging.ERROR)
        source = api.register(frame(inputs["records"]), dataset_display_name="records")
        linker = Splink(
            source,
            self.settings() | {"retain_matching_columns": True},
            log_level=logging.ERROR,
            validate_settings=False,
        )
        for column in ("given", "surname"):
            shares = frame(inputs[f"shares_{column}"])
            linker.table_management.register_term_frequency_lookup(
                api.register(shares, dataset_display_name=f"shares_{column}"),
                column,
            )
        return linker


def no_pairs() -> pa.Table:
    """Return what is predicted where nothing can pair."""
    names = [
        "rid_l",
        "rid_r",
        "match_weight",
        *(f"gamma_{name}" for name in COMPARISONS),
    ]
    return pa.table({name: pa.array([], pa.int64()) for name in names})


def _within_reach(words: Words, fresh: Mask) -> Words:
    """Return the rows that are fresh, or share a blocking key with one that is: no other can pair."""
    reached = fresh.copy()
    for name in BLOCKING_COLUMNS:
        keys = words[:, COLUMNS.index(name)]
        wanted = np.unique(keys[fresh])
        wanted = wanted[wanted != 0]
        if len(wanted):
            # Most records share nothing with the new ones: a table of low bits says so at once.
            seen = np.zeros(_BITS + 1, dtype=bool)
            seen[wanted & _BITS] = True
            maybe = np.flatnonzero(seen[keys & _BITS])
            place = np.minimum(np.searchsorted(wanted, keys[maybe]), len(wanted) - 1)
            reached[maybe[wanted[place] == keys[maybe]]] = True
    return np.flatnonzero(reached)


def joined(parts: Sequence[Edges]) -> Edges:
    """Return pairs of several runs as one run would have given them."""
    left = np.concatenate([one.left for one in parts])
    right = np.concatenate([one.right for one in parts])
    weight = np.concatenate([one.weight for one in parts])
    gammas = {name: np.concatenate([one.gammas[name] for one in parts]) for name in COMPARISONS}
    return _in_order(left, right, weight, gammas)


def edges_of(table: pa.Table) -> Edges:
    """Return what Splink predicted as pairs, the heaviest first and ties by row."""
    left = table.column("rid_l").to_numpy().astype(np.int64)
    right = table.column("rid_r").to_numpy().astype(np.int64)
    weight = table.column("match_weight").to_numpy().astype(np.float64)
    gammas = {
        name: table.column(f"gamma_{name}").to_numpy().astype(np.int64) for name in COMPARISONS
    }
    return _in_order(left, right, weight, gammas)


def _in_order(left: Words, right: Words, weight: Floats, gammas: Mapping[str, Words]) -> Edges:
    low, high = np.minimum(left, right), np.maximum(left, right)
    return Edges(low, high, weight, gammas).take(np.lexsort([high, low, -weight]))
