"""The sequencer: gives events that wait on PostgreSQL their place in the tree, and signs it.

One advisory lock decides who works. A second sequencer finds it taken and does nothing; when the first one
dies its connection ends, the lock is free, and the second one goes on from the head row. Nothing is kept in
memory that the next step does not read again.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from audit.anchor import Anchor
from audit.canonical import parse
from audit.database import unwritable
from audit.errors import AuditFault
from audit.event import schema_problem
from audit.merkle import Frontier, leaf_hash
from audit.note import Checkpoint, Signer, Verifier, states
from audit.outside import CHECKPOINTS, append_note, hold_against
from audit.source import Reader
from audit.usual import usual
from audit.write import MOST

_LOG = logging.getLogger("fieldgate")
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}")
_AHEAD = timedelta(minutes=5)
"""How far the clock of a writer may be before that of the sequencer, as for the verifier."""
LOCK = 0x6669656C64  # "field": one number for all sequencers of a database.
# A note of waiting may name no event, or one that was placed or set aside before: whoever has the role of
# the application can write it, and it holds nobody up.
_WAITING = (
    "SELECT p.id, e.intent, e.phase, e.body, EXISTS (SELECT 1 FROM sequenced s WHERE s.event = p.id) "
    "OR EXISTS (SELECT 1 FROM refused r WHERE r.id = p.id) "
    "FROM pending p LEFT JOIN event e ON e.id = p.id ORDER BY p.id LIMIT %s"
)


def compare(
    reader: Callable[[], Reader], folder: Path, signer: Signer, anchor: Anchor | None = None
) -> None:
    """Hold the log against what was signed outside, before anything is signed on top of it.

    Raises:
        AuditFault: ``FG-AUD-12`` it is not the log that it had signed.
    """
    # Read before the store: what was published before is in it.
    anchored = anchor.last(Verifier.from_vkey(signer.vkey())) if anchor else None
    reading = reader()
    try:
        hold_against(reading, folder, signer, anchored)
    finally:
        reading.close()


class Sequencer:
    """Puts waiting events into the tree, a batch at a time.

    Args:
        folder: Holds the outside checkpoints.
        connect: Opens a connection of the role that sequences.
        signer: The log key.
        anchor: Gets a copy of every checkpoint.
    """

    def __init__(
        self,
        folder: Path,
        connect: Callable[[], psycopg.Connection[Any]],
        signer: Signer,
        anchor: Anchor | None = None,
    ) -> None:
        self._folder, self._connect, self._signer = folder, connect, signer
        self._anchor = anchor
        self._connection: psycopg.Connection[Any] | None = None
        self._verifier = Verifier.from_vkey(signer.vkey())
        self._lock = threading.Lock()
        self._seen, self._signed = 0, ""

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
        if self._anchor:
            self._anchor.settle()

    def step(self) -> int:
        """Sequence what waits, up to 2,000 events, and return how many; 0 also when another one works.

        Raises:
            AuditFault: ``FG-AUD-02`` the database or the outside file cannot be used; ``FG-AUD-07`` the
                head does not fit what was signed; ``FG-AUD-12`` the log is shorter than it was.
        """
        with self._lock:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = self._connect()
                note, count = self._sequence(self._connection)
                if note:
                    append_note(self._folder / CHECKPOINTS, note, wait=False)
                    if self._anchor:
                        self._anchor.nudge()
            except (psycopg.Error, OSError) as error:
                if self._connection is not None and self._connection.broken:
                    self._connection.close()
                raise unwritable(error) from error
            return count

    def run(self, stop: threading.Event, *, idle_seconds: float = 0.005) -> int:
        """Sequence until told to stop, and return how many events it were; storage faults are waited out.

        Raises:
            AuditFault: ``FG-AUD-07`` or ``FG-AUD-12``: nothing is signed on such a log.
        """
        total = 0
        while not stop.is_set():
            try:
                count = self.step()
            except AuditFault as fault:
                if fault.code != "FG-AUD-02":
                    raise
                count = 0
                stop.wait(0.5)
            total += count
            if not count:
                time.sleep(idle_seconds)
        return total

    def _sequence(self, connection: psycopg.Connection[Any]) -> tuple[str, int]:
        with connection.transaction():
            mine = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (LOCK,)).fetchone()
            if mine is None or not mine[0]:
                return "", 0
            rows = connection.execute(_WAITING, (MOST,)).fetchall()
            if not rows:
                return "", 0
            frontier = self._head(connection)
            if frontier.size < self._seen:
                raise AuditFault(
                    "FG-AUD-12",
                    f"the log holds {frontier.size} events and had {self._seen}",
                    "Stop everything and compare: fieldgate audit verify.",
                )
            new = [row for row in rows if not row[4] and row[3] is not None]
            good = self._fitting(connection, new, datetime.now(UTC))
            ids = [row[0] for row in rows]
            bad = sorted({row[0] for row in new}.difference(row[0] for row in good))
            connection.execute("INSERT INTO refused SELECT unnest(%s::bigint[])", (bad,))
            connection.execute("DELETE FROM pending WHERE id = ANY(%s)", (ids,))
            frontier = _place(connection, good, frontier)
            note = ""
            if good:
                stated = Checkpoint(self._signer.name, frontier.size, frontier.root())
                note = self._signer.checkpoint(stated.body())
                connection.execute("INSERT INTO checkpoint VALUES (%s, %s)", (stated.size, note))
                connection.execute(
                    "UPDATE head SET size = %s, frontier = %s WHERE id = 1",
                    (frontier.size, frontier.pack()),
                )
        self._seen, self._signed = frontier.size, note or self._signed
        if bad:
            _LOG.error("the sequencer set %d events aside, the first of them %d", len(bad), bad[0])
        return note, len(rows)

    def _fitting(
        self, connection: psycopg.Connection[Any], rows: Sequence[Sequence[Any]], now: datetime
    ) -> list[Sequence[Any]]:
        """Return what may be signed; the rest is set aside, and nobody is answered for it (ADR 15).

        What may be signed is an event of this log, and an outcome only behind its open intent, of the same
        flow and person: one bad row would otherwise make the trail tampered for ever.
        """
        fit = _events_among(rows, self._signer.name, now)
        ends = [row[1] for row, _ in fit if row[2] != "intent"]
        known = connection.execute(
            "SELECT o.intent, e.body FROM open_intent o JOIN sequenced s ON s.seq = o.seq "
            "JOIN event e ON e.id = s.event WHERE o.intent = ANY(%s)",
            (ends,),
        ).fetchall()
        opened = {row[0]: _whose(parse(bytes(row[1]))) for row in known}
        found = []
        for row, event in fit:
            if row[2] == "intent":
                opened[row[1]] = _whose(event)
            elif row[1] in opened and (
                event["kind"] == "recovery" or opened[row[1]] == _whose(event)
            ):
                del opened[row[1]]
            else:
                continue
            found.append(row)
        return found

    def _head(self, connection: psycopg.Connection[Any]) -> Frontier:
        """Read the head row again; nothing is signed on one that the last signed root does not confirm."""
        row = connection.execute(
            "SELECT h.size, h.frontier, c.note, (SELECT MAX(seq) FROM sequenced), "
            "(SELECT MAX(size) FROM checkpoint) FROM head h LEFT JOIN checkpoint c ON c.size = h.size"
        ).fetchone()
        size, packed, note, last, newest = row or (-1, b"", None, None, None)
        try:
            frontier = Frontier.unpack(int(size), bytes(packed))
        except ValueError:
            frontier = Frontier(-1, ())
        stated = Checkpoint(self._signer.name, frontier.size, frontier.root()).body()
        confirmed = not frontier.size or states(note, self._verifier, stated, known=self._signed)
        ends = (last if last is not None else -1) + 1 == frontier.size == (newest or 0)
        if not ends or not confirmed:
            raise AuditFault(
                "FG-AUD-07",
                "the log's head does not fit its leaves",
                "Run fieldgate audit verify.",
            )
        return frontier


def _events_among(
    rows: Sequence[Sequence[Any]], log: str, now: datetime
) -> list[tuple[Sequence[Any], dict[str, Any]]]:
    """Return the rows whose stored bytes are an event of this log; what is signed is read again (AUD-4)."""
    bodies = [bytes(row[3]) for row in rows]
    quick = usual(bodies)
    events = map(_event_of, bodies) if quick is None else map(msgspec.to_builtins, quick)
    return [
        (row, event)
        for row, event in zip(rows, events, strict=True)
        if event is not None and _fits(row, log, event, now)
    ]


def _event_of(body: bytes) -> dict[str, Any] | None:
    try:
        event: dict[str, Any] = parse(body)
    except AuditFault:
        return None
    return None if schema_problem(event) else event


def _fits(row: Sequence[Any], log: str, event: Mapping[str, Any], now: datetime) -> bool:
    """Say whether an event is what its row says, of a time that has come, by somebody, under a plain name.

    Readers of the trail rely on all of it; the name of an intent is also that of what it stages.
    """
    try:
        moment = datetime.fromisoformat(event["ts"])
        timely = moment.tzinfo is not None and moment <= now + _AHEAD
    except (ValueError, OverflowError):
        return False
    told = (event["intent"], event["phase"], event["log"])
    named = event["actor"].keys() >= {"id", "org", "role"}
    return timely and named and bool(_NAME.fullmatch(row[1])) and told == (row[1], row[2], log)


def _whose(event: Mapping[str, Any]) -> tuple[Any, Any]:
    return event["flow"], event["actor"]


def _place(
    connection: psycopg.Connection[Any], rows: Sequence[Sequence[Any]], frontier: Frontier
) -> Frontier:
    seqs: list[int] = []
    hashes: list[bytes] = []
    opened: dict[str, int] = {}
    closed: list[str] = []
    for _, intent, phase, body, _ in rows:
        seqs.append(frontier.size + len(seqs))
        hashes.append(leaf_hash(bytes(body)))
        if phase == "intent":
            opened[intent] = seqs[-1]
        elif opened.pop(intent, None) is None:
            closed.append(intent)
    connection.execute(
        "INSERT INTO sequenced SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[])",
        (seqs, [row[0] for row in rows], hashes),
    )
    connection.execute("DELETE FROM open_intent WHERE intent = ANY(%s)", (closed,))
    connection.execute(
        "INSERT INTO open_intent SELECT * FROM unnest(%s::text[], %s::bigint[]) ON CONFLICT DO NOTHING",
        (list(opened), list(opened.values())),
    )
    return frontier.extend(hashes)
