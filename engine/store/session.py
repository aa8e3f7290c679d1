"""Database engines with the settings that the promises rest on."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event


def make_engine(path: Path, url: str | None = None) -> Engine:
    """Return an engine for one lane's database.

    Args:
        path: SQLite file used when no URL is given, for its owner to read alone; WAL,
            ``synchronous=FULL``, and every transaction begins ``IMMEDIATE`` so that what a flow re-reads
            cannot change before it commits.
        url: PostgreSQL URL for a deployment that has outgrown the file; serialisable.

    Bound parameters never appear in an exception (style_ui.md 4.5).
    """
    if url:
        return create_engine(url, hide_parameters=True, isolation_level="SERIALIZABLE")
    engine = create_engine(
        f"sqlite:///{path}", hide_parameters=True, connect_args={"timeout": 10.0}
    )

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        # Its owner's alone; the files that SQLite writes beside it take the same rights.
        with suppress(OSError):
            if path.stat().st_mode & 0o077:
                path.chmod(0o600)
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("reading", False)
        connection.exec_driver_sql("BEGIN DEFERRED" if reading else "BEGIN IMMEDIATE")

    return engine


def reading(engine: Engine) -> Engine:
    """Return a view of the engine whose transactions only read, and so block nobody."""
    return engine.execution_options(reading=True)
