"""The frozen model on Spark gives the pairs that it gives on DuckDB: one smoke test on a few families."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

from engine.linkage.artefacts import load_model, shipped
from engine.linkage.encode import Encoder
from engine.linkage.linker import SplinkLinker
from tests.builders.encoded import KEY, Row, encoded, person

ROWS: list[Row] = [
    person("Ada", "Fakename", "2010-03-04", nhs_number="9990000018"),
    person("ADA", "fakename", "2010-03-04"),
    person("William", "Fakename", "1980-07-08"),
    person("Bill", "Fakename", "1980-07-08", postcode="TL9 9ZZ"),
    person("Zoë", "O'Dell", "2011-01-01"),
    person("Zoe", "ODell", "2011-01-01"),
    person("Mohammed", "Mockley", "2010-03-04"),
    person("Muhammad", "Mockley", "2010-04-03"),
    person("Rose", "Harrow", "2012-05-06", upn="H801200001001"),
    person("Rose", "Harrow-Smith", "2012-05-06", upn="H801200001001", postcode="TL9 9ZZ"),
    person("Kieran", "Mallow", "2009-09-10"),
    person("Kieran", "Malow", "2009-09-10"),
    person("Kiran", "Mallow", "2009-09-10"),
    {"given_name": "Ada", "surname": "Fakename"},
]


@pytest.mark.deep
@pytest.mark.filterwarnings("ignore")
def test_spark_gives_the_pairs_of_duckdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """splink 1903: pairs and clusters differed between two runs on Spark; a frozen model gives one answer."""
    if importlib.util.find_spec("pyspark") is None:
        pytest.skip("pyspark is not installed: make spark")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java 17, which is not installed")
    from pyspark.sql import SparkSession
    from splink.backends.spark import similarity_jar_location

    from engine.linkage.spark import SparkLinker

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.jars", similarity_jar_location())
        .config("spark.sql.warehouse.dir", str(tmp_path / "warehouse"))
        .getOrCreate()
    )
    try:
        words, model, encoder = encoded(ROWS), load_model(shipped()), Encoder(KEY, 1)
        expected = SplinkLinker(encoder, model).edges(words)
        found = SparkLinker(encoder, model, session).edges(words)
        assert len(expected.left) > 5
        assert found.left.tolist() == expected.left.tolist()
        assert found.right.tolist() == expected.right.tolist()
        assert {name: column.tolist() for name, column in found.gammas.items()} == {
            name: column.tolist() for name, column in expected.gammas.items()
        }
        # The logarithms of two engines differ in the last bits.
        assert np.allclose(found.weight, expected.weight, atol=1e-9)
    finally:
        session.stop()
