"""Group commit: many threads, one transaction, and each of them answered for its own events alone."""

import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.canonical import canonical, parse
from audit.database import DATABASE, unwritable
from audit.errors import AuditFault
from audit.event import make_event
from audit.log import CHECKPOINTS, AuditLog, read_events
from audit.merkle import leaf_hash
from audit.note import Signer
from audit.outside import notes
from audit.verify import verify
from audit.write import GroupCommit, OpenIntents, Ticket

ROOT = Path(__file__).resolve().parents[2]
SIGNER = Signer.from_bytes("log.example/group", bytes(range(32)))


def event(name: str, phase: str = "intent", **details):
    return make_event(
        log=SIGNER.name, kind="consultation", phase=phase, flow="show", intent=name,
        actor={"id": "a1"}, now=datetime(2026, 3, 2, tzinfo=UTC), random=bytes(10), details=details,
    )  # fmt: skip


@pytest.fixture
def log(tmp_path):
    AuditLog.create(tmp_path / "audit", SIGNER.vkey())
    opened = AuditLog(tmp_path / "audit", SIGNER)
    yield opened
    opened.close()


def waiting(log: AuditLog, calls: int) -> None:
    """Wait until that many calls stand in the queue behind the one that leads."""
    until = time.monotonic() + 20
    while len(log._opened.group._queue) < calls:
        assert time.monotonic() < until
        time.sleep(0.001)


class Held:
    """The store as another process holds it, so that calls gather behind the first of them."""

    def __init__(self, log: AuditLog) -> None:
        self._other = sqlite3.connect(
            log.folder / DATABASE, isolation_level=None, check_same_thread=False
        )

    def __enter__(self):
        self._other.execute("BEGIN IMMEDIATE")

    def __exit__(self, *error):
        self._other.execute("ROLLBACK")
        self._other.close()


def gathered(log: AuditLog, calls: list[list[dict]]) -> list:
    """Append the calls from one thread each, all in one batch behind a first one; answers or faults."""

    def ask(call):
        try:
            return log.append(call)
        except AuditFault as fault:
            return fault

    with ThreadPoolExecutor(len(calls) + 1) as pool:
        with Held(log):
            first = pool.submit(ask, [event("first")])
            waiting_for = time.monotonic() + 20
            while not log._opened.group._led:
                assert time.monotonic() < waiting_for
            asked = []
            for number, call in enumerate(calls, start=1):
                asked.append(pool.submit(ask, call))
                waiting(log, number)
        assert len(first.result()) == 1
        return [one.result() for one in asked]


def test_calls_that_wait_together_stand_under_one_checkpoint(log):
    answers = gathered(log, [[event(f"i{n}"), event(f"i{n}", "outcome")] for n in range(8)])
    assert [[entry.seq for entry in answer] for answer in answers] == [
        [1 + 2 * n, 2 + 2 * n] for n in range(8)
    ]
    assert {entry.size for answer in answers for entry in answer} == {17}
    for n, answer in enumerate(answers):
        assert answer[1].hash == leaf_hash(canonical(event(f"i{n}", "outcome")))
    assert len(list(notes((log.folder / CHECKPOINTS).read_text()))) == 2
    report = verify(log.folder, vkey=SIGNER.vkey())
    assert (report.size, report.checkpoints, report.findings) == (17, 2, [])
    assert report.open_intents == ["first"]


def test_what_is_wrong_with_one_call_refuses_it_and_none_of_its_neighbours(log):
    log.append([event("old")])
    answers = gathered(
        log,
        [
            [event("a")],
            [event("b"), event("never", "outcome")],
            [event("old", "outcome")],
            [event("old", "outcome")],
            [event("a")],
            [event("a", "outcome")],
            [event("b")],
            [event("first", "outcome"), event("first")],
        ],
    )
    codes = [one.code if isinstance(one, AuditFault) else one[0].seq for one in answers]
    assert codes == [2, "FG-AUD-09", 3, "FG-AUD-09", "FG-AUD-70", 4, 5, 6]
    assert [e["intent"] for e in log.open_intents()] == ["b", "first"]
    report = verify(log.folder, vkey=SIGNER.vkey())
    assert (report.size, report.findings) == (8, [])


def test_an_event_outside_the_schema_never_reaches_the_queue(log):
    with pytest.raises(AuditFault, match="FG-AUD-01"):
        log.append([event("a") | {"purpose": "a\nb"}])
    assert not log._opened.group._led


@pytest.mark.finding("AUD-5")
def test_a_storage_error_refuses_the_whole_batch_and_the_next_one_is_written(log):
    pages = log._connection.execute("PRAGMA page_count").fetchone()[0]
    log._connection.execute(f"PRAGMA max_page_count={pages + 1}")
    answers = gathered(log, [[event(f"i{n}", rules=["r" * 900])] for n in range(12)])
    assert {one.code for one in answers} == {"FG-AUD-02"}
    assert len({id(one) for one in answers}) == 12
    assert len(read_events(log.folder)) == 1
    log._connection.execute("PRAGMA max_page_count=100000")
    assert log.append([event("i0")])[0].seq == 1


@pytest.mark.finding("AUD-6")
def test_threads_behind_a_locked_store_are_all_refused_within_their_wait(log):
    def ask(number):
        began = time.monotonic()
        with pytest.raises(AuditFault, match="FG-AUD-02"):
            log.append([event(f"i{number}")])
        return time.monotonic() - began

    with Held(log), ThreadPoolExecutor(16) as pool:
        waits = list(pool.map(ask, range(16)))
    assert max(waits) < 4
    assert read_events(log.folder) == []
    assert log.append([event("i0")])[0].seq == 0


def test_many_threads_write_one_contiguous_log_that_verifies_and_no_thread_stays(log):
    before = threading.active_count()

    def work(name):
        return [
            log.append([event(f"{name}-{n}", phase)])[0]
            for n in range(12)
            for phase in ("intent", "outcome")
        ]

    with ThreadPoolExecutor(24) as pool:
        entries = [entry for made in pool.map(work, range(24)) for entry in made]
    assert sorted(entry.seq for entry in entries) == list(range(24 * 24))
    stored = dict(read_events(log.folder))
    assert all(leaf_hash(stored[entry.seq]) == entry.hash for entry in entries)
    report = verify(log.folder, vkey=SIGNER.vkey())
    assert (report.status, report.size) == ("verified", 24 * 24)
    assert report.checkpoints < 24 * 24
    assert threading.active_count() == before


def test_events_of_a_thread_stand_in_the_order_in_which_it_wrote_them(log):
    def work(name):
        for n in range(10):
            log.append([event(f"{name}-{n}")])
            log.append([event(f"{name}-{n}", "outcome")])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    for name in range(8):
        own = [
            (made["intent"], made["phase"])
            for made in (parse(body) for _, body in reversed(read_events(log.folder)))
            if made["intent"].startswith(f"{name}-")
        ]
        assert own == [(f"{name}-{n}", phase) for n in range(10) for phase in ("intent", "outcome")]


# The queue by itself


class Slow:
    """A writer that stops until it is let go, and remembers its batches."""

    def __init__(self):
        self.go, self.in_it = threading.Event(), threading.Event()
        self.batches = []

    def __call__(self, batch):
        self.batches.append([ticket.item for ticket in batch])
        self.in_it.set()
        assert self.go.wait(20)
        for ticket in batch:
            ticket.answer = ticket.item


def submitted(group, pool, items, weight=1):
    asked = []
    for number, item in enumerate(items, start=1):
        asked.append(pool.submit(group.submit, item, weight))
        until = time.monotonic() + 20
        while len(group._queue) < number:
            assert time.monotonic() < until
            time.sleep(0.001)
    return asked


def test_a_batch_is_bounded_and_a_larger_call_is_a_batch_by_itself():
    slow = Slow()
    group = GroupCommit(slow, unwritable, most=4)
    with ThreadPoolExecutor(16) as pool:
        first = pool.submit(group.submit, "first", 1)
        assert slow.in_it.wait(20)
        asked = submitted(group, pool, list(range(9)))
        large = pool.submit(group.submit, "large", 40)
        slow.go.set()
        assert first.result() == "first"
        assert [one.result() for one in asked] == list(range(9))
        assert large.result() == "large"
    assert slow.batches == [["first"], [0, 1, 2, 3], [4, 5, 6, 7], [8], ["large"]]
    assert (group._led, list(group._queue)) == (False, [])


@pytest.mark.finding("AUD-6")
def test_a_hanging_writer_holds_its_own_batch_and_the_others_are_refused():
    slow = Slow()
    group = GroupCommit(slow, unwritable, wait_seconds=0.1)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(group.submit, "first", 1)
        assert slow.in_it.wait(20)
        for one in [pool.submit(group.submit, n, 1) for n in range(5)]:
            with pytest.raises(AuditFault, match="FG-AUD-02"):
                one.result(timeout=20)
        assert list(group._queue) == []
        slow.go.set()
        assert first.result() == "first"
        assert group.submit("after", 1) == "after"
    assert slow.batches == [["first"], ["after"]]


def test_a_writer_that_raises_refuses_its_batch_and_hands_on_the_lead():
    class Broken(Slow):
        def __call__(self, batch):
            super().__call__(batch)
            if "bad" in self.batches[-1]:
                batch[0].answer = None
                raise OSError

    broken = Broken()
    group = GroupCommit(broken, unwritable, most=2)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(group.submit, "first", 1)
        assert broken.in_it.wait(20)
        bad, beside, after = submitted(group, pool, ["bad", "beside", "after"])
        broken.go.set()
        assert (first.result(), beside.result(), after.result()) == ("first", "beside", "after")
        with pytest.raises(AuditFault, match="FG-AUD-02"):
            bad.result()
    assert not group._led


def test_each_of_a_batch_wakes_the_next_and_one_that_gave_up_breaks_no_chain():
    group = GroupCommit(lambda batch: None, unwritable)
    leader, early, late, last = batch = [Ticket(n, 1, 0.0) for n in range(4)]
    for one in batch:
        one.turn.acquire()
    group._wake_next(early)  # It gave up before the batch was written.
    group._link(batch)
    group._wake_next(leader)
    assert [one.turn.locked() for one in batch] == [True, True, False, True]
    group._wake_next(last)  # So did this one, in the moment between.
    group._wake_next(late)
    assert last.turn.locked()
    first, second, third = batch = [Ticket(n, 1, 0.0) for n in range(3)]
    for one in batch:
        one.turn.acquire()
    group._link(batch)
    group._wake_next(second)
    assert [one.turn.locked() for one in batch] == [True, True, False]
    group._wake_next(first)
    assert second.turn.locked()


class Interrupted:
    """A turn that is interrupted, as the main thread is by Ctrl-C."""

    def acquire(self, timeout=None):
        if timeout is not None:
            raise KeyboardInterrupt
        return True

    def release(self):
        pass


@pytest.mark.parametrize("promoted", [False, True])
def test_an_interrupt_while_waiting_leaves_nobody_without_a_leader(monkeypatch, promoted):
    slow = Slow()
    group = GroupCommit(slow, unwritable)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(group.submit, "first", 1)
        assert slow.in_it.wait(20)

        class Leaving(Interrupted):
            def acquire(self, timeout=None):
                if timeout is not None and promoted:
                    slow.go.set()
                    first.result()
                return super().acquire(timeout)

        with monkeypatch.context() as patch:
            patch.setattr("audit.write.Ticket", lambda *given: Ticket(*given, turn=Leaving()))
            with pytest.raises(KeyboardInterrupt):
                group.submit("interrupted", 1)
        slow.go.set()
        assert first.result() == "first"
        assert group.submit("after", 1) == "after"
    assert slow.batches == [["first"], ["after"]]


# A fork

FORK = """
import os, sys
from pathlib import Path
from tests.unit.test_audit_group import SIGNER, event
from audit.log import AuditLog
log = AuditLog(Path(sys.argv[1]), SIGNER)
log.append([event("before")])
log._lock.acquire()  # As if another thread were writing at the moment of the fork.
child = os.fork()
if child == 0:
    log.append([event("child")])
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
log._lock.release()
log.append([event("parent")])
log.close()
"""


def test_a_forked_process_opens_the_log_for_itself(log):
    subprocess.run([sys.executable, "-c", FORK, str(log.folder)], cwd=ROOT, check=True, timeout=60)
    found = [parse(body)["intent"] for _, body in reversed(read_events(log.folder))]
    assert found == ["before", "child", "parent"]
    assert verify(log.folder, vkey=SIGNER.vkey()).findings == []


# Which intents are open


@settings(derandomize=True, deadline=None, max_examples=300, database=None)
@given(
    st.sets(st.sampled_from("abc")),
    st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=4), max_size=8),
)
def test_a_batch_opens_and_closes_what_calls_one_after_another_would(known, calls):
    intents = OpenIntents(known)
    rows = dict.fromkeys(known, -1)
    seq = 0
    for call in calls:
        events = [event(name, "intent" if opens else "outcome") for name, opens in call]
        trial, code = dict(rows), None
        for place, made in enumerate(events, start=seq):
            name, opens = made["intent"], made["phase"] == "intent"
            if opens == (name in trial):
                code = "FG-AUD-70" if opens else "FG-AUD-09"
                break
            if opens:
                trial[name] = place
            else:
                del trial[name]
        fault = intents.take(events, seq)
        assert (fault and fault.code) == code
        if code is None:
            rows, seq = trial, seq + len(events)
    after = {name: -1 for name in known if name not in intents.closed} | intents.opened
    assert after == rows
