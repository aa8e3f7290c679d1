"""The log's tables on PostgreSQL, who may do what with them, and a connection whose commits are durable."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from audit.database import unwritable
from audit.errors import AuditFault
from audit.log import VKEY
from audit.outside import CHECKPOINTS

_SCHEMA = """
CREATE TABLE event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    intent text NOT NULL, phase text NOT NULL CHECK (phase IN ('intent', 'outcome')),
    body bytea NOT NULL CHECK (octet_length(body) <= 4096), UNIQUE (intent, phase));
CREATE TABLE pending (id bigint PRIMARY KEY, since timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE refused (id bigint PRIMARY KEY);
CREATE TABLE sequenced (
    seq bigint PRIMARY KEY CHECK (seq >= 0), event bigint NOT NULL UNIQUE, hash bytea NOT NULL);
CREATE TABLE head (id int PRIMARY KEY CHECK (id = 1), size bigint NOT NULL, frontier bytea NOT NULL);
CREATE TABLE checkpoint (size bigint PRIMARY KEY, note text NOT NULL);
CREATE TABLE open_intent (intent text PRIMARY KEY, seq bigint NOT NULL);
CREATE VIEW leaf AS SELECT seq, body, hash FROM sequenced JOIN event ON event.id = sequenced.event;
INSERT INTO head VALUES (1, 0, '');
CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the log is append-only'; END $$;
"""
_APPEND_ONLY = ("event", "refused", "sequenced", "checkpoint")


def plain_url(url: str) -> str:
    """Return the URL as libpq writes it, without the driver that SQLAlchemy names in it."""
    return url.replace("postgresql+psycopg://", "postgresql://")


def open_connection(url: str) -> psycopg.Connection[Any]:
    """Connect with bounded waits, and refuse a server whose commits are not durable.

    Raises:
        AuditFault: ``FG-AUD-02`` it cannot be reached; ``FG-AUD-03`` it does not wait for its disk.
    """
    try:
        connection = psycopg.connect(
            plain_url(url),
            autocommit=True,
            connect_timeout=2,
            options="-c statement_timeout=5000 -c lock_timeout=1000 -c synchronous_commit=on "
            "-c plan_cache_mode=force_generic_plan -c jit=off",
        )
        found = connection.execute("SELECT current_setting('fsync')").fetchone()
    except psycopg.Error as error:
        raise unwritable(error) from None  # Its text may name the address.
    if found is None or found[0] != "on":
        connection.close()
        raise AuditFault(
            "FG-AUD-03", "the log's database is not durable", "Run PostgreSQL with fsync on."
        )
    return connection


def create(
    folder: Path,
    vkey: str,
    url: str,
    *,
    writers: Sequence[str] = (),
    sequencers: Sequence[str] = (),
) -> None:
    """Make an empty log: its tables in the database, its public key and outside file in the folder.

    Args:
        folder: The audit folder.
        vkey: The log's public key.
        url: Database of its own, with a role that may make tables and owns them afterwards.
        writers: Roles of the application; they may insert events and read, and nothing else.
        sequencers: Roles that put events into the tree.

    Raises:
        AuditFault: ``FG-AUD-04`` a log stands there already; ``FG-AUD-02`` it cannot be made.
    """
    connection = open_connection(url)
    try:
        with connection.transaction():
            connection.execute(_SCHEMA)
            for table in _APPEND_ONLY:
                connection.execute(
                    sql.SQL(
                        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {} "
                        "FOR EACH STATEMENT EXECUTE FUNCTION append_only()"
                    ).format(sql.Identifier(table))
                )
            _grant(connection, writers, sequencers)
    except psycopg.errors.DuplicateTable:
        raise AuditFault("FG-AUD-04", "a log stands here already", "Choose another home.") from None
    except psycopg.Error as error:
        raise unwritable(error) from error
    finally:
        connection.close()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / VKEY).write_text(vkey + "\n", encoding="ascii")
    (folder / CHECKPOINTS).touch()


def _grant(
    connection: psycopg.Connection[Any], writers: Sequence[str], sequencers: Sequence[str]
) -> None:
    everything = "event, pending, refused, sequenced, head, checkpoint, open_intent, leaf"
    rights = [f"REVOKE ALL ON {everything} FROM PUBLIC"]
    rights += [
        f"GRANT SELECT ON {everything} TO {{role}}|{role}" for role in (*writers, *sequencers)
    ]
    for role in writers:
        rights.append(f"GRANT INSERT (intent, phase, body) ON event TO {{role}}|{role}")
        rights.append(f"GRANT INSERT (id) ON pending TO {{role}}|{role}")
    for role in sequencers:
        rights.append(
            f"GRANT INSERT ON refused, sequenced, checkpoint, open_intent TO {{role}}|{role}"
        )
        rights.append(f"GRANT DELETE ON pending, open_intent TO {{role}}|{role}")
        rights.append(f"GRANT UPDATE ON head TO {{role}}|{role}")
    for right in rights:
        text, _, role = right.partition("|")
        connection.execute(sql.SQL(text).format(role=sql.Identifier(role)))
