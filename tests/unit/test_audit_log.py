"""The writer: append, head, receipt, and every way in which it must refuse."""

import base64
import shutil
import sqlite3
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from audit.canonical import MAX_BYTES, canonical, parse
from audit.database import DATABASE, connect
from audit.errors import AuditFault
from audit.event import commitment, event_id, make_event
from audit.log import CHECKPOINTS, VKEY, AuditLog, read_events
from audit.merkle import EMPTY, leaf_hash, root_of, verify_inclusion
from audit.note import Checkpoint, Signer, Verifier
from audit.outside import CUT, Lost
from audit.verify import verify
from audit.write import LOCK_SECONDS

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SIGNER = Signer.from_bytes("log.example/unit", bytes(range(32)))
ACTOR = {"id": "a1", "org": "council", "role": "front_door", "auth": "demo"}


def event(number: int, phase: str = "intent", **details):
    return make_event(
        log=SIGNER.name,
        kind="disclosure",
        phase=phase,
        flow="reveal",
        intent=f"i{number}",
        actor=ACTOR,
        now=NOW + timedelta(seconds=number),
        random=number.to_bytes(10, "big"),
        details=details,
    )


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("empty") / "audit"
    AuditLog.create(folder, SIGNER.vkey())
    return folder


@pytest.fixture
def log(empty, tmp_path):
    folder = shutil.copytree(empty, tmp_path / "audit")
    opened = AuditLog(folder, SIGNER)
    yield opened
    opened.close()


def size(log: AuditLog) -> int:
    return len(read_events(log.folder))


def outside(log: AuditLog) -> bytes:
    return (log.folder / CHECKPOINTS).read_bytes()


def refused(code: str, call, *arguments) -> AuditFault:
    with pytest.raises(AuditFault) as caught:
        call(*arguments)
    assert caught.value.code == code
    return caught.value


# A log that was put back


@pytest.mark.finding("AUD-18")
def test_a_second_loss_inside_a_gap_that_was_declared_is_another_incident(log, tmp_path):
    """What was signed after a recovery is not what was declared lost, whatever its size."""
    folder = log.folder

    def grow(opened, first, last):
        for number in range(first, last):
            opened.append([event(number)])
            if number in (9, 43):
                opened.close()
                shutil.copy(folder / DATABASE, tmp_path / f"{number}.db")
                opened = AuditLog(folder, SIGNER)
        opened.close()

    def put_back(number):
        for name in (f"{DATABASE}-wal", f"{DATABASE}-shm"):
            (folder / name).unlink(missing_ok=True)
        shutil.copy(tmp_path / f"{number}.db", folder / DATABASE)

    grow(log, 0, 30)
    put_back(9)
    refused("FG-AUD-12", AuditLog, folder, SIGNER)
    recovering = AuditLog(folder, SIGNER, recovering=True)
    incident, base = recovering.incident()
    recovering.append([event(30)])
    recovering.declare_lost(Lost(base, incident.signed.size, incident.signed.root))
    recovering.close()
    grow(AuditLog(folder, SIGNER), 40, 50)
    put_back(43)
    fault = refused("FG-AUD-12", AuditLog, folder, SIGNER)
    assert fault.message == "the log holds 15 events and had signed 21"


# What an append gives


def test_entries_are_contiguous_and_state_the_root_of_the_tree_that_holds_them(log):
    first = log.append([event(0), event(1)])
    second = log.append([event(2)])
    assert [entry.seq for entry in first + second] == [0, 1, 2]
    assert [entry.size for entry in first + second] == [2, 2, 3]
    hashes = [leaf_hash(canonical(event(number))) for number in range(3)]
    assert [entry.hash for entry in first + second] == hashes
    assert first[0].root == first[1].root == root_of(hashes[:2])
    assert second[0].root == root_of(hashes)


def test_the_head_row_is_re_read_by_a_second_opening(log):
    log.append([event(0)])
    other = AuditLog(log.folder, SIGNER)
    other.append([event(1)])
    assert log.append([event(2)])[0].seq == 2
    other.close()
    assert log._connection.execute("SELECT size FROM head").fetchone() == (3,)


def test_stored_bytes_are_the_canonical_bytes_newest_first(log):
    log.append([event(number) for number in range(3)])
    assert read_events(log.folder) == [(n, canonical(event(n))) for n in (2, 1, 0)]
    assert read_events(log.folder, newest=1) == [(2, canonical(event(2)))]


def test_appending_nothing_writes_nothing_at_any_size(log):
    assert log.append([]) == []
    log.append([event(0)])
    before = outside(log)
    assert log.append([]) == []
    assert (size(log), outside(log)) == (1, before)


def test_a_batch_is_all_or_nothing(log):
    refused("FG-AUD-09", log.append, [event(0), event(7, "outcome")])
    assert size(log) == 0
    assert outside(log) == b""
    assert log.open_intents() == []
    assert log.append([event(0)])[0].seq == 0


@pytest.mark.finding("AUD-3")
def test_a_receipt_proves_the_event_against_a_signed_checkpoint_and_nothing_else(log):
    log.append([event(0), event(1), event(2)])
    log.append([event(3), event(4)])
    for seq in range(5):
        receipt = log.proof(seq)
        head, _, note = receipt.partition("\n\n")
        lines = head.split("\n")
        leaf = leaf_hash(canonical(event(seq)))
        extra = base64.b64encode(leaf).decode()
        assert lines[:3] == ["c2sp.org/tlog-proof@v1", f"extra {extra}", f"index {seq}"]
        path = [base64.b64decode(line) for line in lines[3:]]
        stated = Checkpoint.parse(Verifier.from_vkey(SIGNER.vkey()).open(note))
        assert (stated.origin, stated.size) == (SIGNER.name, 5)
        assert verify_inclusion(leaf, seq, stated.size, path, stated.root)
        assert not verify_inclusion(leaf_hash(b"{}"), seq, stated.size, path, stated.root)


def test_a_receipt_of_a_single_event_has_an_empty_path(log):
    log.append([event(0)])
    assert log.proof(0).partition("index ")[2].startswith("0\n\nlog.example/unit\n1\n")


@pytest.mark.finding("AUD-3")
def test_no_receipt_is_handed_out_that_the_signed_root_does_not_bear_out(log):
    log.append([event(0), event(1)])
    with sqlite3.connect(log.folder / DATABASE) as database:
        database.execute("DROP TRIGGER leaf_no_update")
        database.execute("UPDATE leaf SET hash = zeroblob(32) WHERE seq = 1")
    database.close()
    for seq in (0, 1):
        refused("FG-AUD-07", log.proof, seq)


@pytest.mark.parametrize("seq", [-1, 2, 10**6])
def test_a_receipt_for_an_event_that_is_not_there_is_refused(log, seq):
    log.append([event(0), event(1)])
    refused("FG-AUD-07", log.proof, seq)


def test_a_receipt_from_an_empty_log_is_refused(log):
    refused("FG-AUD-07", log.proof, 0)


def test_every_batch_leaves_one_checkpoint_inside_and_the_same_one_outside(log):
    log.append([event(0), event(1)])
    log.append([event(2)])
    notes = log._connection.execute("SELECT size, note FROM checkpoint ORDER BY size").fetchall()
    assert [row[0] for row in notes] == [2, 3]
    assert outside(log).decode() == "".join(row[1] + "\n" for row in notes)


def test_a_folder_whose_name_has_the_signs_of_an_address_is_just_a_folder(tmp_path):
    folder = tmp_path / "a#b?mode=memory&c%20d"
    AuditLog.create(folder, SIGNER.vkey())
    log = AuditLog(folder, SIGNER)
    log.append([event(0)])
    log.close()
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert verify(folder).size == 1


def test_a_second_log_in_the_same_folder_is_refused_and_the_first_stays(log):
    log.append([event(0)])
    refused("FG-AUD-04", AuditLog.create, log.folder, "other")
    assert (log.folder / VKEY).read_text() == SIGNER.vkey() + "\n"
    assert size(log) == 1


def test_the_private_key_is_in_no_representation_and_no_file(log):
    log.append([event(0)])
    assert repr(SIGNER) == "Signer(log.example/unit)"
    for path in log.folder.iterdir():
        assert bytes(range(32)) not in path.read_bytes()


# Durability


def test_the_writer_runs_in_wal_mode_with_synchronous_full(log):
    assert log._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert log._connection.execute("PRAGMA synchronous").fetchone()[0] >= 2


class _Weak(sqlite3.Connection):
    """A connection on which one pragma does not take, as on a file system that cannot do it."""

    answer = ("", "")

    def execute(self, sql, *arguments):
        if sql == self.answer[0]:
            return super().execute(f"SELECT {self.answer[1]}")
        return super().execute(sql, *arguments)


@pytest.mark.parametrize(
    "answer",
    [
        ("PRAGMA journal_mode=WAL", "'delete'"),
        ("PRAGMA synchronous", "1"),
        ("PRAGMA synchronous", "0"),
    ],
)
def test_a_database_that_is_not_durable_is_refused(log, monkeypatch, answer):
    original = sqlite3.connect
    opened = []

    def weak(*arguments, **options):
        opened.append(original(*arguments, factory=_Weak, **options))
        return opened[-1]

    monkeypatch.setattr(_Weak, "answer", answer)
    monkeypatch.setattr(sqlite3, "connect", weak)
    refused("FG-AUD-03", AuditLog, log.folder, SIGNER)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].total_changes  # noqa: B018


def test_an_append_returns_only_after_its_commit(log):
    other = connect(log.folder / DATABASE, read_only=True)
    log.append([event(0)])
    assert other.execute("SELECT COUNT(*) FROM leaf").fetchone() == (1,)
    other.close()
    assert not log._connection.in_transaction


# A store that cannot be written refuses


@pytest.mark.finding("AUD-5")
def test_a_deleted_database_refuses_the_next_append(log):
    log.append([event(0)])
    published = outside(log)
    (log.folder / DATABASE).unlink()
    refused("FG-AUD-02", log.append, [event(1)])
    assert outside(log) == published


@pytest.mark.finding("AUD-5")
def test_a_database_replaced_by_its_own_copy_refuses_the_next_append(log):
    log.append([event(0)])
    log._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copy = log.folder / "copy"
    shutil.copy(log.folder / DATABASE, copy)
    copy.replace(log.folder / DATABASE)
    refused("FG-AUD-02", log.append, [event(1)])
    assert not log._connection.in_transaction


@pytest.mark.finding("AUD-5")
@pytest.mark.parametrize("kind", ["missing", "folder", "text", "empty"])
def test_a_log_whose_database_is_no_database_does_not_take_an_event(tmp_path, kind):
    path = tmp_path / DATABASE
    if kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("this is not a database, and it is longer than one header " * 40)
    elif kind == "empty":
        path.touch()

    def use():
        log = AuditLog(tmp_path, SIGNER)
        try:
            log.append([event(0)])
        finally:
            log.close()

    refused("FG-AUD-02", use)
    assert not (tmp_path / CHECKPOINTS).exists()


@pytest.mark.finding("AUD-6")
def test_a_locked_database_is_waited_for_and_then_refused(log):
    log.append([event(0)])
    other = sqlite3.connect(log.folder / DATABASE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    refused("FG-AUD-02", log.append, [event(1)])
    assert LOCK_SECONDS <= time.monotonic() - started < 5
    other.execute("ROLLBACK")
    other.close()
    assert log.append([event(1)])[0].seq == 1


def test_the_wait_for_a_lock_is_bounded_by_default(log):
    assert 0 < log._connection.execute("PRAGMA busy_timeout").fetchone()[0] <= 1_000
    log.append([event(0)])
    assert 0 < log._connection.execute("PRAGMA busy_timeout").fetchone()[0] <= 1_000


@pytest.mark.finding("AUD-5")
def test_a_full_database_refuses_and_keeps_what_it_had(log):
    log.append([event(0)])
    pages = log._connection.execute("PRAGMA page_count").fetchone()[0]
    log._connection.execute(f"PRAGMA max_page_count={pages}")
    numbers = range(1, 60)
    refused("FG-AUD-02", log.append, [event(n, rules=["r" * 500]) for n in numbers])
    assert size(log) == 1
    log._connection.execute("PRAGMA max_page_count=100000")
    assert log.append([event(n, rules=["r" * 500]) for n in numbers])[-1].seq == 59


@pytest.mark.finding("AUD-5")
def test_a_checkpoint_file_that_cannot_be_written_refuses_and_is_healed_later(log):
    log.append([event(0)])
    path = log.folder / CHECKPOINTS
    path.rename(log.folder / "kept")
    path.mkdir()
    refused("FG-AUD-02", log.append, [event(0, "outcome")])
    path.rmdir()
    (log.folder / "kept").rename(path)
    log.append([event(1), event(1, "outcome")])
    report = verify(log.folder, vkey=SIGNER.vkey())
    assert (report.status, report.size, report.findings) == ("verified", 4, [])


def test_a_closed_log_refuses_every_use(log):
    log.append([event(0)])
    log.close()
    refused("FG-AUD-02", log.append, [event(1)])
    refused("FG-AUD-02", log.proof, 0)
    refused("FG-AUD-02", log.open_intents)


def test_reading_a_log_that_is_not_there_is_refused_and_makes_nothing(tmp_path):
    refused("FG-AUD-02", read_events, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_text_of_a_storage_fault_holds_no_value_of_the_event(log):
    log.close()
    fault = refused("FG-AUD-02", log.append, [event(0, subject="marker-of-a-subject")])
    assert "marker" not in f"{fault} {fault.message} {fault.next_step}"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE leaf SET body = x'7b7d'",
        "DELETE FROM leaf WHERE seq = 1",
        "DELETE FROM checkpoint",
    ],
)
def test_the_database_itself_refuses_to_change_the_past(log, change):
    log.append([event(0), event(1)])
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        log._connection.execute(change)


# The head


@pytest.mark.finding("AUD-4")
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE head SET size = 2",
        "UPDATE head SET size = 4",
        "UPDATE head SET size = 'x'",
        "UPDATE head SET size = -3",
        "UPDATE head SET frontier = x''",
        "UPDATE head SET frontier = zeroblob(64)",
        "UPDATE head SET frontier = zeroblob(63)",
        "UPDATE head SET frontier = 'text'",
        "DELETE FROM head",
        "UPDATE checkpoint SET note = 'log.example/unit'",
    ],
)
def test_nothing_is_signed_on_a_head_that_the_last_signed_root_does_not_confirm(log, change):
    log.append([event(0), event(1), event(2)])
    log._connection.execute(change)
    published = outside(log)
    refused("FG-AUD-07", log.append, [event(3)])
    assert (size(log), outside(log)) == (3, published)


@pytest.mark.finding("AUD-4")
def test_one_flipped_bit_of_the_frontier_stops_signing(log):
    log.append([event(0), event(1), event(2)])
    good = log._connection.execute("SELECT frontier FROM head").fetchone()[0]
    for position in (0, 31, 32, 63):
        bad = bytearray(good)
        bad[position] ^= 1
        log._connection.execute("UPDATE head SET frontier = ?", (bytes(bad),))
        refused("FG-AUD-07", log.append, [event(3)])
    log._connection.execute("UPDATE head SET frontier = ?", (good,))
    assert log.append([event(3)])[0].seq == 3


@pytest.mark.finding("AUD-4")
def test_nothing_is_signed_on_a_checkpoint_that_another_key_signed(log):
    log.append([event(0)])
    other = Signer.from_bytes(log.origin, bytes(range(1, 33)))
    frontier = EMPTY.append(leaf_hash(b"another story"))
    log._connection.execute("UPDATE head SET frontier = ?", (frontier.pack(),))
    note = other.sign(Checkpoint(log.origin, 1, frontier.root()).body())
    log._connection.execute("UPDATE checkpoint SET note = ?", (note,))
    refused("FG-AUD-07", log.append, [event(1)])


def test_a_head_is_computed_from_the_leaves_up_to_the_first_gap(log):
    for number in range(4):
        log.append([event(number)])
    heads = [log.head_at(number) for number in range(5)]
    hashes = [leaf_hash(canonical(event(number))) for number in range(4)]
    assert heads == [Checkpoint(log.origin, n, root_of(hashes[:n])) for n in range(5)]
    log._connection.execute("UPDATE checkpoint SET note = 'of no meaning' WHERE size = 3")
    assert (log.head_at(3), log.head_at(9)) == (heads[3], heads[4])
    for change in ("DELETE FROM leaf WHERE seq = 2", "INSERT INTO leaf VALUES (2, x'', 'text')"):
        log._connection.execute("DROP TRIGGER IF EXISTS leaf_no_delete")
        log._connection.execute(change)
        assert log.head_at(4) == heads[2]


# Intents and outcomes


def test_an_outcome_without_an_intent_is_refused(log):
    log.append([event(0)])
    refused("FG-AUD-09", log.append, [event(1, "outcome")])
    assert size(log) == 1


def test_a_second_outcome_of_one_intent_is_refused(log):
    log.append([event(0)])
    log.append([event(0, "outcome")])
    refused("FG-AUD-09", log.append, [event(0, "outcome")])
    assert size(log) == 2


def test_an_outcome_may_follow_its_intent_in_one_batch_but_not_go_before_it(log):
    refused("FG-AUD-09", log.append, [event(0, "outcome"), event(0)])
    assert len(log.append([event(0), event(0, "outcome")])) == 2


def test_an_intent_that_is_open_already_is_refused(log):
    log.append([event(0)])
    refused("FG-AUD-70", log.append, [event(0)])
    refused("FG-AUD-70", log.append, [event(1), event(1)])
    assert size(log) == 1


def test_open_intents_are_whole_events_oldest_first(log):
    log.append([event(2), event(0), event(1)])
    log.append([event(0, "outcome")])
    assert log.open_intents() == [event(2), event(1)]
    log.append([event(2, "outcome"), event(1, "outcome")])
    assert log.open_intents() == []


def test_open_intents_outlive_the_process_that_began_them(log):
    log.append([event(0)])
    log.close()
    again = AuditLog(log.folder, SIGNER)
    assert again.open_intents() == [event(0)]
    again.close()


# What an event may hold


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        float("inf"),
        2**53,
        -(2**53),
        10**400,
        b"bytes",
        ("a", "tuple"),
        {1: "number as key"},
        {"kéy": "not ASCII"},
        {"a\nb": "control character in a key"},
        {"a\x7fb": "delete character in a key"},
        datetime(2026, 1, 1, tzinfo=UTC),
    ],
    ids=repr,
)
def test_floats_large_integers_and_other_types_are_refused(log, value):
    refused("FG-AUD-01", log.append, [event(0) | {"counts": {"n": value}}])
    refused("FG-AUD-01", log.append, [event(0) | {"counts": [value]}])
    assert size(log) == 0


@pytest.mark.parametrize("value", [2**53 - 1, -(2**53) + 1, 0, True, False, None, "é ✓ 𝒳", ""])
def test_small_integers_booleans_null_and_printable_text_come_back_as_they_were(log, value):
    log.append([event(0, counts={"n": value})])
    back = parse(read_events(log.folder)[0][1])["counts"]["n"]
    assert (back, type(back)) == (value, type(value))


@pytest.mark.parametrize(
    "text",
    ["a\nb", "a\rb", "\x00", "\x1b[31m", "\x7f", "\x9b", "\u2028", "\u2029", "\u202e", "\ud800"],
    ids=ascii,
)
def test_control_characters_are_refused_in_every_string(log, text):
    refused("FG-AUD-01", log.append, [event(0) | {"purpose": text}])
    refused("FG-AUD-01", log.append, [event(0) | {"rules": ["ok", text]}])
    refused("FG-AUD-01", log.append, [event(0) | {"intent": text}])
    assert size(log) == 0


def test_an_event_of_four_kibibytes_is_taken_and_one_more_byte_is_refused(log):
    room = MAX_BYTES - len(canonical(event(0, rules=[""])))
    log.append([event(0, rules=["r" * room])])
    assert len(read_events(log.folder)[0][1]) == MAX_BYTES == 4096
    refused("FG-AUD-01", log.append, [event(1, rules=["r" * (room + 1)])])
    refused("FG-AUD-01", log.append, [event(1, rules=["r" * 2**20])])
    assert size(log) == 1


def test_the_limit_counts_bytes_and_not_characters():
    assert len(canonical("é" * 2047)) == 4096
    refused("FG-AUD-01", canonical, "é" * 2048)


def test_a_value_nested_without_end_is_refused_and_does_not_crash():
    deep: list = []
    deep.append(deep)
    refused("FG-AUD-01", canonical, deep)
    refused("FG-AUD-01", parse, b"[" * 5000 + b"]" * 5000)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":1}',
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1}\n',
        b'"\\u0041"',
        b'"\\/"',
        b"1.0",
        b"1E2",
        b"-0",
        b"NaN",
        b"Infinity",
        b"1" * 5000,
        b"\xef\xbb\xbf{}",
        b"\xff",
        b"",
        b"{",
        b'"\\ud800"',
    ],
)
def test_bytes_that_are_not_the_one_canonical_form_are_refused(data):
    refused("FG-AUD-01", parse, data)


@pytest.mark.parametrize(
    "change",
    [
        {"unknown": "key"},
        {"v": 3},
        {"v": "2"},
        {"kind": "other"},
        {"kind": []},
        {"phase": "middle"},
        {"phase": {}},
        {"intent": ["i0"]},
        {"intent": 7},
    ],
    ids=str,
)
def test_an_event_outside_the_schema_never_enters_the_log(log, change):
    refused("FG-AUD-01", log.append, [event(0) | change])
    assert size(log) == 0


@pytest.mark.parametrize(
    "key", ["v", "id", "ts", "log", "kind", "phase", "flow", "intent", "actor"]
)
def test_an_event_that_lacks_a_required_key_never_enters_the_log(log, key):
    short = event(0)
    del short[key]
    refused("FG-AUD-01", log.append, [short])
    assert size(log) == 0


@pytest.mark.finding("AUD-11")
@pytest.mark.parametrize("key", ["name", "nhs_number", "text", "note", "Actor"])
def test_a_detail_that_is_not_on_the_allow_list_is_refused(key):
    refused("FG-AUD-01", lambda: event(0, **{key: "value"}))


def test_the_time_of_an_event_is_written_in_utc_with_microseconds():
    there = datetime(2026, 7, 1, 1, 30, tzinfo=timezone(timedelta(hours=1)))
    made = make_event(
        log="l", kind="login", phase="intent", flow="f", intent="i", actor={}, now=there,
        random=bytes(10), details={},
    )  # fmt: skip
    assert made["ts"] == "2026-07-01T00:30:00.000000+00:00"


def test_an_event_id_is_a_version_7_uuid_in_the_order_of_time():
    early, late = event_id(NOW, b"\xff" * 10), event_id(NOW + timedelta(milliseconds=1), bytes(10))
    assert early < late
    for made in (early, late):
        assert (uuid.UUID(made).version, uuid.UUID(made).variant) == (7, uuid.RFC_4122)
    assert int(early[:8] + early[9:13], 16) == int(NOW.timestamp() * 1000)


def test_free_text_is_committed_with_its_salt():
    given = commitment(b"s" * 32, "text")
    assert given == commitment(b"s" * 32, "text")
    assert len({given, commitment(b"t" * 32, "text"), commitment(b"s" * 32, "texu")}) == 3


# More writers than one

WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from audit.event import make_event
from audit.log import AuditLog
from audit.outside import Lost
from audit.note import Signer

folder, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
log = AuditLog(folder, Signer.from_bytes("log.example/unit", bytes(range(32))))
print("ready", flush=True)
sys.stdin.readline()
for number in range(count):
    for phase in ("intent", "outcome"):
        event = make_event(
            log="log.example/unit", kind="model_run", phase=phase, flow=name,
            intent=f"{name}-{number}", actor={"id": name}, now=datetime(2026, 3, 2, tzinfo=UTC),
            random=number.to_bytes(10, "big"), details={},
        )
        log.append([event])
log.close()
"""


def test_two_processes_at_once_write_one_contiguous_verified_log(log):
    count = 25
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(log.folder), name, str(count)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    stored = read_events(log.folder)
    assert [seq for seq, _ in stored] == list(reversed(range(4 * count)))
    for name in ("one", "two"):
        own = [parse(body) for _, body in reversed(stored) if parse(body)["flow"] == name]
        expected = [(f"{name}-{n}", p) for n in range(count) for p in ("intent", "outcome")]
        assert [(made["intent"], made["phase"]) for made in own] == expected
    report = verify(log.folder, vkey=SIGNER.vkey())
    assert (report.status, report.size, report.findings) == ("verified", 4 * count, [])
    assert report.checkpoints == 4 * count


def test_two_processes_cannot_both_settle_one_intent(log):
    other = AuditLog(log.folder, SIGNER)
    log.append([event(0)])
    other.append([event(0, "outcome")])
    refused("FG-AUD-09", log.append, [event(0, "outcome")])
    other.close()


# The file outside


def verified(log: AuditLog) -> bool:
    report = verify(log.folder, vkey=SIGNER.vkey())
    assert report.status in {"verified", "incomplete"}, report.findings
    return report.status == "verified"


def test_a_lost_checkpoint_line_is_healed_by_the_next_append(log):
    log.append([event(0)])
    kept = outside(log)
    log.append([event(0, "outcome")])
    (log.folder / CHECKPOINTS).write_bytes(kept)
    log.append([event(1), event(1, "outcome")])
    assert outside(log).startswith(kept)
    assert verified(log)


def test_a_deleted_checkpoint_file_is_reported_and_then_healed_by_the_next_append(log):
    log.append([event(0), event(0, "outcome")])
    (log.folder / CHECKPOINTS).unlink()
    assert not verified(log)
    log.append([event(1), event(1, "outcome")])
    assert verified(log)


def test_a_checkpoint_cut_short_at_any_byte_is_no_tampering_and_is_healed_by_the_next(tmp_path):
    folder = tmp_path / "audit"
    AuditLog.create(folder, SIGNER.vkey())
    log = AuditLog(folder, SIGNER)
    log.append([event(0), event(0, "outcome")])
    first = len(outside(log))
    log.append([event(1), event(1, "outcome")])
    full = outside(log)
    path = folder / CHECKPOINTS
    newest = log._connection.execute("SELECT note FROM checkpoint WHERE size = 4").fetchone()[0]
    for cut in range(first, len(full) + 1):
        path.write_bytes(full[:cut])
        assert verified(log), cut
        log._publish(newest)
        assert verified(log), cut
        healed = path.read_bytes()
        assert healed.startswith(full[:cut]), "nothing that stood there is removed"
        assert (CUT.encode() in healed) == (cut not in {first, len(full)})
    log.close()


def test_the_outside_file_is_waited_for_as_it_grows_and_when_the_log_is_closed(log, monkeypatch):
    waited = []
    monkeypatch.setattr("os.fdatasync", lambda descriptor: waited.append(outside(log)))
    for number in range(150):
        log.append([event(number)])
    grown = len(outside(log))
    assert len(waited) == grown // 16_384 >= 1
    log._publish("a note of somebody who declares a loss\n")
    assert waited[-1] == outside(log)
    log.append([event(150)])
    log.close()
    assert waited[-1] == outside(log)
