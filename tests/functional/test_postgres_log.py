"""The log on a real PostgreSQL server: inserted side by side, sequenced by one, verified from there."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from audit.canonical import canonical, parse
from audit.errors import AuditFault
from audit.event import make_event
from audit.merkle import EMPTY, leaf_hash, root_of
from audit.note import Checkpoint, Signer
from audit.outside import CHECKPOINTS, Lost, notes
from audit.postgres import PostgresLog, Reading, read_events
from audit.postgres_tables import create, open_connection
from audit.report import Report
from audit.sequence import LOCK, Sequencer
from audit.verify import verify
from engine.flows.log_store import open_log
from engine.settings import Settings

pytestmark = pytest.mark.deep
ROOT = Path(__file__).resolve().parents[2]
SIGNER = Signer.from_bytes("log.example/postgres", bytes(range(32)))


WHO = {"id": "a1", "org": "council", "role": "social_worker"}


def event(intent: str, phase: str = "intent", **details: Any) -> dict[str, Any]:
    return make_event(
        log=SIGNER.name, kind="consultation", phase=phase, flow="show", intent=intent,
        actor=WHO, now=datetime(2026, 3, 2, tzinfo=UTC), random=bytes(10), details=details,
    )  # fmt: skip


class Place:
    """A database and a folder with an empty log, and the URL of each of its roles."""

    def __init__(self, server: str, folder: Path, name: str) -> None:
        self.folder, self.owner = folder, server.replace("/postgres?", f"/{name}?")
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')  # type: ignore[arg-type]
            connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[arg-type]
            for role in ("fg_app", "fg_seq"):
                if not connection.execute(
                    "SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)
                ).fetchone():
                    connection.execute(f"CREATE ROLE {role} LOGIN")  # type: ignore[arg-type]
        create(folder, SIGNER.vkey(), self.owner, writers=["fg_app"], sequencers=["fg_seq"])
        self.opened: list[PostgresLog | Sequencer] = []
        self.app = self.owner.replace("postgres:@", "fg_app:@")
        self.seq = self.owner.replace("postgres:@", "fg_seq:@")

    def log(self, *, sequencing: bool = True, wait: float = 5.0) -> PostgresLog:
        made = PostgresLog(
            self.folder, self.app, SIGNER, sequencer_url=self.seq if sequencing else None,
            wait_seconds=wait,
        )  # fmt: skip
        self.opened.append(made)
        return made

    def sequencer(self) -> Sequencer:
        made = Sequencer(self.folder, lambda: open_connection(self.seq), SIGNER)
        self.opened.append(made)
        return made

    def report(self) -> Report:
        return verify(self.folder, vkey=SIGNER.vkey(), reader=lambda: Reading(self.owner))

    def ask(self, statement: str, *, url: str | None = None) -> list[Any]:
        with psycopg.connect(url or self.owner, autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def forced(self, statement: str) -> None:
        """Run a statement past the triggers, as the owner of a server can."""
        with psycopg.connect(self.owner, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute(statement)  # type: ignore[arg-type]


@pytest.fixture
def place(server: str, tmp_path: Path) -> Iterator[Place]:
    made = Place(server, tmp_path / "audit", f"log_{tmp_path.name[-30:]}")
    yield made
    for one in made.opened:
        one.close()


def refused(code: str, call: Callable[[], object]) -> None:
    with pytest.raises(AuditFault) as caught:
        call()
    assert caught.value.code == code


def test_an_append_is_signed_when_it_answers_and_the_log_verifies_from_the_server(
    place: Place,
) -> None:
    log = place.log()
    first = log.append([event("a"), event("b")])
    second = log.append([event("a", "outcome")])
    assert [one.seq for one in first + second] == [0, 1, 2]
    bodies = [event("a"), event("b"), event("a", "outcome")]
    assert second[0].root == root_of([leaf_hash(canonical(one)) for one in bodies])
    assert read_events(place.app, newest=1) == [(2, canonical(event("a", "outcome")))]
    assert log.open_intents() == [event("b")]
    assert len(list(notes((place.folder / CHECKPOINTS).read_text()))) == 2
    report = place.report()
    assert (report.status, report.size, report.findings) == ("incomplete", 3, [])
    log.append([event("b", "outcome")])
    assert place.report().status == "verified"
    assert log.proof(1).startswith("c2sp.org/tlog-proof@v1\nextra ")
    assert "\nindex 1\n" in log.proof(1)
    log.close()


def test_outcomes_need_their_intent_once_and_an_intent_is_there_once(place: Place) -> None:
    log = place.log()
    refused("FG-AUD-09", lambda: log.append([event("a", "outcome")]))
    refused("FG-AUD-09", lambda: log.append([event("b"), event("c", "outcome")]))
    log.append([event("a")])
    refused("FG-AUD-70", lambda: log.append([event("a")]))
    log.append([event("a", "outcome")])
    refused("FG-AUD-09", lambda: log.append([event("a", "outcome")]))
    refused("FG-AUD-01", lambda: log.append([event("d") | {"purpose": "a\nb"}]))
    assert log.append([event("b")])[0].seq == 2
    assert log.append([]) == []
    assert place.report().findings == []
    log.close()


@pytest.mark.parametrize("phase", ["intent", "outcome"])
def test_a_planted_note_that_an_event_waits_is_told_apart_from_an_event_that_came_twice(
    place: Place, phase: str
) -> None:
    log = place.log()
    log.append([event("a")])
    with psycopg.connect(place.owner, autocommit=True) as connection:
        connection.execute("INSERT INTO pending (id) SELECT max(id) + 1 FROM event")
    refused("FG-AUD-75", lambda: log.append([event("a" if phase == "outcome" else "b", phase)]))
    log.append([event("a", "outcome")])
    refused("FG-AUD-70", lambda: log.append([event("a")]))
    log.close()


def test_many_threads_and_two_logs_write_one_contiguous_log(place: Place) -> None:
    logs = [place.log(), place.log()]
    before = threading.active_count()

    def work(name: int) -> list[int]:
        log = logs[name % 2]
        return [
            log.append([event(f"{name}-{n}", phase)])[0].seq
            for n in range(8)
            for phase in ("intent", "outcome")
        ]

    with ThreadPoolExecutor(16) as pool:
        seqs = [seq for made in pool.map(work, range(16)) for seq in made]
    assert sorted(seqs) == list(range(256))
    report = place.report()
    assert (report.status, report.size) == ("verified", 256)
    assert report.checkpoints < 256
    assert threading.active_count() == before
    for log in logs:
        log.close()


@pytest.mark.finding("AUD-6")
def test_without_a_sequencer_nothing_is_answered_and_one_that_comes_later_takes_it_up(
    place: Place,
) -> None:
    log = place.log(sequencing=False, wait=0.3)
    log.intend(event("a"))
    refused("FG-AUD-71", lambda: log.append([event("a", "outcome")]))
    refused("FG-AUD-71", lambda: log.intend(event("b")))
    assert read_events(place.app) == []
    assert [one["intent"] for one in log.open_intents()] == ["b"]
    sequencer = place.sequencer()
    assert sequencer.step() == 3
    sequencer.close()
    assert [parse(body)["intent"] for _, body in read_events(place.app)] == ["b", "a", "a"]
    refused("FG-AUD-09", lambda: log.append([event("a", "outcome")]))
    log.intend(event("c"))
    log.close()


def test_of_two_sequencers_one_works_and_the_other_takes_over(place: Place) -> None:
    log = place.log(sequencing=False)
    for n in range(6):
        log.intend(event(f"i{n}"))
    one, two = place.sequencer(), place.sequencer()
    holder = psycopg.connect(place.seq)
    holder.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
    assert (one.step(), two.step()) == (0, 0)
    holder.close()  # As when the one that works dies; the server needs a moment to notice.
    until = time.monotonic() + 20
    while not (count := one.step()):
        assert time.monotonic() < until
    assert (count, two.step()) == (6, 0)
    log.intend(event("i6"))
    assert (two.step(), one.step()) == (1, 0)
    stop = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(sequencer.run, stop) for sequencer in (one, two)]
        for n in range(7):
            log.append([event(f"i{n}", "outcome")])
        stop.set()
        assert sum(each.result() for each in running) == 7
    report = place.report()
    assert (report.status, report.size, report.findings) == ("verified", 14, [])
    for each in (one, two, log):
        each.close()


SEQUENCER = """
import os, signal, sys, threading
from pathlib import Path
import audit.sequence
from audit.postgres_tables import open_connection
from tests.functional.test_postgres_log import SIGNER
folder, url, where = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
if where == "placed":
    place = audit.sequence._place
    audit.sequence._place = lambda *given: (place(*given), die())
if where == "committed":
    audit.sequence.append_note = die
sequencer = audit.sequence.Sequencer(folder, lambda: open_connection(url), SIGNER)
print("ready", flush=True)
sequencer.run(threading.Event())
"""


@pytest.mark.parametrize("where", ["placed", "committed"])
def test_a_sequencer_that_is_killed_leaves_every_event_to_be_signed_by_the_next(
    place: Place, where: str
) -> None:
    log = place.log(sequencing=False, wait=0.4)
    for n in range(5):
        log.intend(event(f"i{n}"))
    killed = subprocess.run(
        [sys.executable, "-c", SEQUENCER, str(place.folder), place.seq, where],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert len(read_events(place.app)) == (0 if where == "placed" else 5)
    assert (place.folder / CHECKPOINTS).read_text() == ""
    log.close()
    log = place.log()
    for n in range(5):
        log.append([event(f"i{n}", "outcome")])
    report = place.report()
    assert (report.status, report.size, report.findings) == ("verified", 10, [])
    log.close()


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("app", "UPDATE event SET body = ''"),
        ("app", "DELETE FROM event"),
        ("app", "TRUNCATE event"),
        ("app", "DELETE FROM pending"),
        ("app", "INSERT INTO sequenced VALUES (0, 1, '')"),
        ("app", "INSERT INTO checkpoint VALUES (9, '')"),
        ("app", "UPDATE head SET size = 0"),
        ("app", "INSERT INTO pending (id, since) VALUES (9, now())"),
        ("seq", "UPDATE event SET body = ''"),
        ("seq", "DELETE FROM event"),
        ("seq", "INSERT INTO event (intent, phase, body) VALUES ('x', 'intent', '')"),
        ("seq", "UPDATE sequenced SET hash = ''"),
        ("seq", "DELETE FROM checkpoint"),
        ("owner", "UPDATE event SET body = ''"),
        ("owner", "DELETE FROM sequenced"),
        ("owner", "TRUNCATE checkpoint"),
    ],
)
def test_no_role_changes_the_past(place: Place, role: str, statement: str) -> None:
    log = place.log()
    log.append([event("a")])
    log.close()
    wanted = (
        psycopg.errors.RaiseException if role == "owner" else psycopg.errors.InsufficientPrivilege
    )
    with pytest.raises(wanted):
        place.ask(statement, url=getattr(place, role))
    assert place.report().findings == []


@pytest.mark.finding("AUD-4")
def test_what_the_owner_of_the_server_changes_is_found_and_nothing_is_signed_on_it(
    place: Place,
) -> None:
    log = place.log()
    for n in range(3):
        log.append([event(f"i{n}")])
    kept = place.ask("SELECT frontier FROM head")[0][0]
    for change, undo in (
        ("UPDATE head SET size = 2", "UPDATE head SET size = 3"),
        ("UPDATE head SET frontier = ''", "UPDATE head SET frontier = '\\x" + kept.hex() + "'"),
    ):
        place.forced(change)
        refused(
            "FG-AUD-07",
            partial(log.append, [event("next-" + "".join(filter(str.isalnum, change))[:20])]),
        )
        assert place.report().status == "tampered"
        place.forced(undo)
    place.forced("UPDATE event SET body = body || ' ' WHERE intent = 'i1'")
    assert any("event 1 was edited" in one for one in place.report().findings)
    place.forced("DELETE FROM event WHERE intent = 'i1'")
    assert any("event 1 is missing" in one for one in place.report().findings)
    log.close()


BAD = {
    "no JSON": ("x", "intent", b"{"),
    "no event": ("x", "intent", b"{}"),
    "not text": ("x", "intent", b"\xff\x00"),
    "not canonical": ("x", "intent", canonical(event("x")) + b" "),
    "of another name": ("x", "intent", canonical(event("y"))),
    "of another log": ("x", "intent", canonical(event("x") | {"log": "log.example/other"})),
    "of no time": ("x", "intent", canonical(event("x") | {"ts": "soon"})),
    "of no zone": ("x", "intent", canonical(event("x") | {"ts": "2026-03-02T00:00:00"})),
    "of a time to come": (
        "x",
        "intent",
        canonical(event("x") | {"ts": "9999-01-01T00:00:00+00:00"}),
    ),
    "by a text": ("x", "intent", canonical(event("x") | {"actor": "a1"})),
    "by nobody of a role": ("x", "intent", canonical(event("x") | {"actor": {"id": "a1"}})),
    "named as a way out": ("../../x", "intent", canonical(event("../../x"))),
    "an outcome of nothing": ("x", "outcome", canonical(event("x", "outcome"))),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_is_set_aside_told_and_holds_nobody_up(
    place: Place, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    log = place.log(wait=0.5)
    with psycopg.connect(place.app, autocommit=True) as connection:
        connection.execute(
            "WITH e AS (INSERT INTO event (intent, phase, body) VALUES (%s, %s, %s) RETURNING id) "
            "INSERT INTO pending (id) SELECT id FROM e",
            BAD[kind],
        )
    assert log.append([event("a")])[0].seq == 0
    assert place.ask("SELECT COUNT(*) FROM refused") == [(1,)]
    assert "set 1 events aside" in caplog.text
    # Whoever lets it wait again is not heard, and stops nobody either.
    place.ask("INSERT INTO pending (id) SELECT id FROM refused", url=place.app)
    assert log.append([event("a", "outcome")])[0].seq == 1
    assert place.ask("SELECT (SELECT COUNT(*) FROM refused), COUNT(*) FROM pending") == [(1, 0)]
    report = place.report()
    assert (report.status, report.size, report.findings) == ("incomplete", 2, [])
    assert "1 events were set aside" in report.missing[0]
    log.close()


@pytest.mark.parametrize(
    "other", [{"actor": WHO | {"id": "a2"}}, {"flow": "score"}], ids=["person", "flow"]
)
def test_an_outcome_of_another_person_or_flow_is_set_aside(
    place: Place, other: dict[str, Any]
) -> None:
    log = place.log(wait=0.5)
    log.append([event("a")])
    refused("FG-AUD-72", lambda: log.append([event("a", "outcome") | other]))
    assert place.report().findings == []
    log.close()


def test_the_writer_of_a_bad_row_gets_no_receipt(place: Place) -> None:
    log = place.log(wait=0.5)
    log.append([event("a")])
    other = event("b") | {"log": "log.example/other"}
    refused("FG-AUD-72", lambda: log.append([other]))
    assert log.append([event("a", "outcome")])[0].seq == 1
    log.close()


def test_a_note_of_waiting_that_names_no_event_or_a_placed_one_stops_nobody(place: Place) -> None:
    log = place.log(wait=0.5)
    log.append([event("a")])
    placed = place.ask("SELECT event FROM sequenced")[0][0]
    place.ask(f"INSERT INTO pending (id) VALUES ({placed}), (3), (999)", url=place.app)
    assert [log.append([event(name)])[0].seq for name in ("b", "c", "d")] == [1, 2, 3]
    for name in "abcd":
        log.append([event(name, "outcome")])
    report = place.report()
    assert (report.status, report.size, report.missing) == ("verified", 8, [])
    log.close()


FORK = """
import os, sys
from pathlib import Path
from audit.postgres import PostgresLog
from tests.functional.test_postgres_log import SIGNER, event
log = PostgresLog(Path(sys.argv[1]), sys.argv[2], SIGNER, sequencer_url=sys.argv[3])
log.append([event("before")])
child = os.fork()
if child == 0:
    log.close()
    log.append([event("child")])
    log.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
for connection in (*log._idle, log._sequencer._connection):
    assert connection.execute("SELECT 1").fetchone() == (1,)
log.append([event("parent")])
log.close()
"""


def test_a_forked_process_closes_its_own_connections_and_not_those_of_its_parent(
    place: Place,
) -> None:
    subprocess.run(
        [sys.executable, "-c", FORK, str(place.folder), place.app, place.seq],
        cwd=ROOT, check=True, timeout=60,
    )  # fmt: skip
    found = [parse(body)["intent"] for _, body in reversed(read_events(place.app))]
    assert found == ["before", "child", "parent"]


def test_a_head_is_computed_and_no_stored_checkpoint_is_taken_at_its_word(place: Place) -> None:
    log = place.log()
    for n in range(3):
        log.append([event(f"i{n}")])
    genuine = log.head_at(2)
    forged = Signer.from_bytes(SIGNER.name, bytes(range(1, 33))).sign(
        Checkpoint(SIGNER.name, 9, bytes(32)).body()
    )
    place.forced(f"INSERT INTO checkpoint VALUES (9, '{forged}')")
    place.forced(f"UPDATE checkpoint SET note = '{forged}' WHERE size = 2")
    assert log.head_at(2) == genuine
    assert log.head_at(9).size == 3
    refused("FG-AUD-07", lambda: log.declare_lost(Lost(3, 9, bytes(32))))
    refused("FG-AUD-07", lambda: log.append([event("i3")]))
    log.close()


@pytest.mark.finding("AUD-18")
def test_a_database_put_back_from_a_backup_is_refused_until_the_loss_is_declared(
    place: Place,
) -> None:
    log = place.log()
    for n in range(4):
        log.append([event(f"i{n}")])
    log.close()
    for table in (
        "sequenced WHERE seq >= 2",
        "checkpoint WHERE size > 2",
        "event WHERE intent > 'i1'",
    ):
        place.forced(f"DELETE FROM {table}")
    left = EMPTY
    for n in range(2):
        left = left.append(leaf_hash(canonical(event(f"i{n}"))))
    place.forced(f"UPDATE head SET size = 2, frontier = '\\x{left.pack().hex()}'")
    refused("FG-AUD-12", place.log)
    recovering = PostgresLog(place.folder, place.app, SIGNER, recovering=True)
    found = recovering.incident()
    assert found is not None
    assert (found[0].signed.size, found[0].found.size, found[1]) == (4, 2, 2)
    recovering.close()
    assert any("cut off" in one for one in place.report().findings)
    # The address of the owner is enough to declare it.
    settings = Settings(audit_url=SecretStr(place.app), audit_owner_url=SecretStr(place.owner))
    opened = open_log(place.folder, SIGNER, settings, recovering=True)
    opened.append([event("declared"), event("declared", "outcome")])
    opened.declare_lost(Lost(2, 4, found[0].signed.root))
    opened.close()
    assert place.report().findings == []
    place.log().append([event("after")])


@pytest.mark.finding("AUD-5")
def test_a_server_that_cannot_be_reached_refuses_at_once(place: Place) -> None:
    log = place.log()
    log.append([event("a")])
    place.ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    refused("FG-AUD-02", lambda: log.append([event("b")]))
    # The writer is there again and the sequencer is not: durable, signed later, and not answered now.
    refused("FG-AUD-02", lambda: log.append([event("c")]))
    assert log.append([event("d")])[0].seq == 2
    assert [one["intent"] for one in log.open_intents()] == ["a", "c", "d"]
    refused("FG-AUD-02", lambda: open_connection(place.app.replace("/log_", "/no_such_log_")))
    log.close()


def test_a_second_log_in_the_same_database_is_refused(place: Place) -> None:
    refused("FG-AUD-04", lambda: create(place.folder, SIGNER.vkey(), place.owner))
