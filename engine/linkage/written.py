"""The SQL that Splink writes for a model, kept in the process: writing it takes longer than a small run.

The text hangs on the model, the threshold and the columns alone, and not on the records; what a run of it
gives is the same, byte for byte (`test_sql_that_was_kept_gives_the_same_bytes`).
"""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
from splink.backends.duckdb import DuckDBAPI

_CREATES = re.compile(r"\s*CREATE TABLE (\w+) AS\b")
_MOST = 8
"""Models whose text is kept; a process seldom has more than one."""
_kept: dict[str, list[str]] = {}


class ListeningAPI(DuckDBAPI):
    """Splink's back end on DuckDB, which remembers the tables that it was told to make."""

    def __init__(self, connection: Any) -> None:
        """Use a connection."""
        super().__init__(connection=connection)
        self.made: list[str] = []

    def _execute_sql_against_backend(self, final_sql: str) -> Any:
        if _CREATES.match(final_sql):
            self.made.append(final_sql)
        return super()._execute_sql_against_backend(final_sql)


def kept(key: str) -> list[str] | None:
    """Return the statements that make the pairs under a key, or None."""
    return _kept.get(key)


def keep(key: str, statements: list[str]) -> None:
    """Keep the statements of a run in which every pair was made by them."""
    if len(_kept) >= _MOST:
        _kept.clear()
    _kept[key] = statements


def run_again(connection: Any, statements: list[str], tables: dict[str, pa.Table]) -> str:
    """Make the pairs of other records by statements that were kept; return the name of their table.

    Args:
        connection: An empty database.
        statements: From `kept`.
        tables: What the statements read, by the name under which Splink had it.
    """
    for name, table in tables.items():
        connection.register(name, table)
    for statement in statements:
        connection.execute(statement)
    found = _CREATES.match(statements[-1])
    assert found is not None
    return found.group(1)
