"""How events get into the tables on PostgreSQL: each with the note that it waits, both or none.

The database itself refuses a second intent and a second outcome; an outcome without an intent is not
inserted. So a writer knows at once.
"""

from __future__ import annotations

from typing import Any

import psycopg

from audit.errors import AuditFault
from audit.write import already_open, settled

_INTENT = (
    "WITH e AS (INSERT INTO event (intent, phase, body) VALUES (%s, 'intent', %s) RETURNING id), "
    "p AS (INSERT INTO pending (id) SELECT id FROM e) SELECT id FROM e"
)
_OUTCOME = (
    "WITH e AS (INSERT INTO event (intent, phase, body) SELECT %s, 'outcome', %s "
    "WHERE EXISTS (SELECT 1 FROM event WHERE intent = %s AND phase = 'intent') RETURNING id), "
    "p AS (INSERT INTO pending (id) SELECT id FROM e) SELECT id FROM e"
)
ONCE = "event_intent_phase_key"
"""The rule of the database that an intent has one event of each phase; see `audit.postgres_tables`."""


def inserted(connection: psycopg.Connection[Any], event: dict[str, Any], body: bytes) -> int:
    """Insert one event and return its number.

    Raises:
        AuditFault: ``FG-AUD-70`` the intent is there already; ``FG-AUD-09`` an outcome has no open intent;
            ``FG-AUD-75`` the number that the event gets is taken, or it waits already.
    """
    intent = event["intent"]
    try:
        if event["phase"] == "intent":
            row = connection.execute(_INTENT, (intent, body)).fetchone()
        else:
            row = connection.execute(_OUTCOME, (intent, body, intent)).fetchone()
    except psycopg.errors.UniqueViolation as error:
        if error.diag.constraint_name != ONCE:
            raise _planted() from None
        raise already_open() if event["phase"] == "intent" else settled() from None
    if row is None:
        raise settled()
    return int(row[0])


def _planted() -> AuditFault:
    return AuditFault(
        "FG-AUD-75",
        "the database holds a row under the number of a new event",
        "Nothing was shown. Look who wrote to the tables of the trail: fieldgate audit verify.",
    )
