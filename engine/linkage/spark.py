"""The shipped model on Spark, for an index that outgrows one machine; an extra that nobody needs.

An index of a city is a minute on two cores (linkage.md 1.2), and Spark is many times slower at that size.
It is here so that a partnership of many cities is not stopped by the choice of DuckDB: the same model,
the same levels, the same pairs.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.linkage.artefacts import Model
from engine.linkage.edges import Edges
from engine.linkage.encode import Encoder, Words
from engine.linkage.linker import SplinkLinker, edges_of
from engine.linkage.settings_v2 import COMPARISONS


class SparkLinker(SplinkLinker):
    """Scores pairs with the frozen model on Spark.

    Args:
        encoder: The encoder that made the words; needed to key the frequency tables.
        model: The frozen model.
        session: A Spark session; needs Java 17 and the extra ``spark``.
    """

    def __init__(self, encoder: Encoder, model: Model, session: Any) -> None:
        super().__init__(encoder, model)
        self._session = session

    def settings(self) -> dict[str, Any]:
        """Return the frozen model as settings of Splink on Spark."""
        found = super().settings() | {"sql_dialect": "spark"}
        for rule in found["blocking_rules_to_generate_predictions"]:
            rule["sql_dialect"] = "spark"
        return found

    def table(self, words: Words) -> pa.Table:
        """Spark knows no unsigned numbers; the bits of a Bloom word are the same in a signed one."""
        made = super().table(words)
        for number, name in enumerate(made.column_names):
            if name.startswith("bf_"):
                signed = made.column(name).combine_chunks().view(pa.int64())
                made = made.set_column(number, name, signed)
        return made

    def _scored(self, words: Words) -> Edges:
        from splink.backends.spark import SparkAPI

        if len(words) < 2:
            return super()._scored(words)
        with tempfile.TemporaryDirectory(prefix="fieldgate-spark-") as folder:
            self._session.sparkContext.setCheckpointDir(str(Path(folder) / "checkpoints"))
            made: Any = SparkAPI
            api = made(spark_session=self._session)
            ready = self._ready(api, self._inputs(words), self._session.createDataFrame)
            found = ready.inference.predict(threshold_match_weight=self._model.review_weight)
            names = [f"gamma_{name}" for name in COMPARISONS]
            frame = found.as_spark_dataframe().select("rid_l", "rid_r", "match_weight", *names)
            return edges_of(frame.toArrow())
