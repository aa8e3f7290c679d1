"""The verifier: every row of the tamper matrix, and the two things it cannot see by itself."""

import base64
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

import audit.verify as verify_module
from audit.canonical import canonical
from audit.database import DATABASE
from audit.errors import AuditFault
from audit.event import make_event
from audit.log import CHECKPOINTS, VKEY, AuditLog
from audit.merkle import EMPTY, leaf_hash
from audit.note import Checkpoint, Signer, Verifier
from audit.report import Report
from audit.stranger import arguments
from audit.stranger import check as run_stranger
from audit.verify import verify

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SIGNER = Signer.from_bytes("log.example/verify", bytes(range(32)))
OTHER = Signer.from_bytes("log.example/other", bytes(range(1, 33)))
SIZE = 6


def event(number: int, phase: str = "intent", *, log: str = SIGNER.name, **details):
    return make_event(
        log=log,
        kind="consultation",
        phase=phase,
        flow="view",
        intent=f"i{number}",
        actor={"id": "a1", "org": "council"},
        now=NOW + timedelta(seconds=number),
        random=number.to_bytes(10, "big"),
        details=details,
    )


def settled(number: int, **options):
    return [event(number, **options), event(number, "outcome", **options)]


def build(folder, signer: Signer = SIGNER, **details):
    """Three batches of two events: six leaves, checkpoints at sizes 2, 4 and 6."""
    AuditLog.create(folder, signer.vkey())
    log = AuditLog(folder, signer)
    for number in range(SIZE // 2):
        log.append(settled(number, log=signer.name, **details))
    log.close()
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return build(tmp_path_factory.mktemp("whole") / "audit")


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "audit")


@pytest.fixture
def database(folder):
    connection = sqlite3.connect(folder / DATABASE, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    for trigger in ("leaf_no_update", "leaf_no_delete", "checkpoint_no_delete"):
        connection.execute(f"DROP TRIGGER {trigger}")
    yield connection
    connection.close()


def bodies(database) -> list[bytes]:
    return [row[0] for row in database.execute("SELECT body FROM leaf ORDER BY seq")]


def rewrite(database, new: list[bytes]) -> None:
    """Store other leaves with right hashes and a right head row, as somebody without the key can."""
    database.execute("DELETE FROM leaf")
    frontier = EMPTY
    for seq, body in enumerate(new):
        database.execute("INSERT INTO leaf VALUES (?, ?, ?)", (seq, body, leaf_hash(body)))
        frontier = frontier.append(leaf_hash(body))
    database.execute("UPDATE head SET size = ?, frontier = ?", (frontier.size, frontier.pack()))


def check(folder, **options) -> Report:
    """Verify, and hold the stranger's script to the same verdict with the same words."""
    options = {"vkey": SIGNER.vkey()} | options
    report = verify(folder, **options)
    words = [str(folder)] + (["--vkey", options["vkey"]] if options["vkey"] else [])
    stranger = run_stranger(arguments(words))
    told = stranger.as_dict()
    assert told["status"] == report.status, (told, report)
    assert kind_of(stranger.findings()) == kind_of(report.findings)
    if report.status != "tampered":  # A writer may have been at work between the two.
        assert told["size"] >= report.size
        assert told["root"] == report.root or told["size"] > report.size
    return report


def kind_of(findings: list[str]) -> set[str]:
    """Return findings without why a note or an event could not be read: two programs word that apart."""
    return {line.partition(": ")[0] for line in findings}


def tampered(folder, *sentences: str, **options) -> Report:
    report = check(folder, **options)
    assert report.status == "tampered", report
    assert not report.as_dict()["verified"]
    for sentence in sentences:
        assert sentence in report.findings
    return report


def incomplete(folder, *sentences: str, **options) -> Report:
    report = check(folder, **options)
    assert (report.status, report.findings) == ("incomplete", [])
    assert not report.as_dict()["verified"]
    for sentence in sentences:
        assert sentence in report.missing
    return report


def note_of(signer: Signer, origin: str, size: int, root: bytes) -> str:
    return signer.sign(Checkpoint(origin, size, root).body())


# A good log


def test_a_whole_log_verifies_and_every_check_is_named_as_ran(folder):
    report = check(folder)
    assert (report.status, report.size, report.checkpoints) == ("verified", SIZE, 3)
    assert (report.findings, report.missing, report.open_intents) == ([], [], [])
    assert set(report.ran) == {
        *("leaves", "sequence", "schema", "head", "checkpoints", "outside checkpoints"),
        *("intents", "time", "approvals", "permits", "grants"),
    }


def test_the_report_states_the_recomputed_root(folder, database):
    frontier = EMPTY
    for body in bodies(database):
        frontier = frontier.append(leaf_hash(body))
    assert check(folder).root == frontier.root().hex()


def test_the_report_is_plain_data(folder):
    given = check(folder).as_dict()
    assert given["verified"] is True
    assert canonical(given)


def test_verifying_changes_no_file_of_the_log(folder):
    before = {name: (folder / name).read_bytes() for name in (DATABASE, CHECKPOINTS, VKEY)}
    assert check(folder).status == "verified"
    assert {name: (folder / name).read_bytes() for name in before} == before


# Events


@pytest.mark.parametrize("index", range(SIZE))
def test_any_flipped_byte_of_an_event_is_found_at_its_index(folder, database, index):
    good = bodies(database)[index]
    for position in range(0, len(good), 7):
        bad = bytearray(good)
        bad[position] ^= 1
        database.execute("UPDATE leaf SET body = ? WHERE seq = ?", (bytes(bad), index))
        tampered(folder, f"event {index} was edited: its hash does not fit its bytes")
    database.execute("UPDATE leaf SET body = ? WHERE seq = ?", (good, index))
    assert check(folder).status == "verified"


@pytest.mark.parametrize("index", range(SIZE))
def test_an_edited_event_with_a_right_hash_and_head_breaks_every_later_checkpoint(
    folder, database, index
):
    changed = bodies(database)
    changed[index] = changed[index].replace(b'"org":"council"', b'"org":"counciL"')
    rewrite(database, changed)
    first = index - index % 2 + 2
    report = tampered(
        folder,
        f"the events before {first} are not those the checkpoint attests",
        f"the events before {first} are not those the outside checkpoint attests",
    )
    blamed = {line for line in report.findings if " checkpoint attests" in line}
    assert len(blamed) == 2 * len(range(first, SIZE + 1, 2))


@pytest.mark.parametrize("index", range(SIZE))
def test_an_edited_leaf_hash_is_found_at_its_index(folder, database, index):
    database.execute("UPDATE leaf SET hash = zeroblob(32) WHERE seq = ?", (index,))
    tampered(folder, f"event {index} was edited: its hash does not fit its bytes")


def test_an_event_that_is_not_stored_as_bytes_is_found_and_does_not_crash(folder, database):
    for value in ("'text'", "5", "1000000000000000", "-1", "1.5"):
        for column in ("body", "hash"):
            database.execute("SAVEPOINT before")
            database.execute(f"UPDATE leaf SET {column} = {value} WHERE seq = 3")
            database.execute("RELEASE before")
            tampered(folder, "event 3 is not stored as bytes")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 4000 + b"]" * 4000,
        b"1" * 5000,
        b'{"a":1,"a":2}',
        b"\xff\xfe",
        b"",
        b'{"v":1.0}',
        b'"text"',
    ],
    ids=lambda body: body[:6].hex(),
)
def test_an_event_of_hostile_bytes_is_a_finding_and_never_an_exception(folder, database, body):
    changed = bodies(database)
    changed[2] = body
    rewrite(database, changed)
    report = tampered(folder)
    assert any(line.startswith("event 2: ") for line in report.findings)


@pytest.mark.parametrize("change", [{"kind": []}, {"phase": {}}, {"intent": []}, {"v": [1]}])
def test_an_event_of_hostile_types_is_a_finding_and_never_an_exception(folder, database, change):
    changed = bodies(database)
    changed[2] = canonical(event(1) | change)
    rewrite(database, changed)
    report = tampered(folder)
    assert any(line.startswith("event 2: ") for line in report.findings)


def test_an_event_with_a_key_off_the_allow_list_is_found_at_its_index(folder, database):
    changed = bodies(database)
    changed[4] = canonical(event(2) | {"name": "x"})
    rewrite(database, changed)
    tampered(folder, "event 4: the event holds an unknown key name")


@pytest.mark.parametrize("index", range(SIZE - 1))
def test_a_dropped_event_is_found_at_its_index(folder, database, index):
    database.execute("DELETE FROM leaf WHERE seq = ?", (index,))
    tampered(folder, f"event {index} is missing", "the head row does not fit the events")


@pytest.mark.finding("B33")
@pytest.mark.parametrize("index", range(SIZE))
def test_a_dropped_event_with_the_rest_moved_up_is_found(folder, database, index):
    kept = bodies(database)
    del kept[index]
    rewrite(database, kept)
    first = index - index % 2 + 2
    expected = (
        f"the events before {first} are not those the checkpoint attests"
        if first < SIZE
        else "events were cut off: a checkpoint attests size 6"
    )
    tampered(folder, expected, "events were cut off: an outside checkpoint attests size 6")


def test_a_dropped_last_event_is_found_by_the_head_row_alone(folder, database):
    (folder / CHECKPOINTS).unlink()
    database.execute("DELETE FROM leaf WHERE seq = 5")
    database.execute("DELETE FROM checkpoint WHERE size = 6")
    tampered(folder, "the head row does not fit the events", "no checkpoint covers event 4")


@pytest.mark.finding("AUD-18")
@pytest.mark.parametrize("keep", [0, 2, 4])
def test_a_database_put_back_to_an_older_genuine_state_is_caught_by_the_checkpoints_outside(
    folder, database, keep
):
    rewrite(database, bodies(database)[:keep])
    database.execute("DELETE FROM checkpoint WHERE size > ?", (keep,))
    report = tampered(folder, "events were cut off: an outside checkpoint attests size 6")
    assert report.size == keep
    assert all("outside checkpoint" in line for line in report.findings)


@pytest.mark.finding("AUD-18")
def test_a_restored_backup_of_the_database_file_is_caught_by_the_checkpoints_outside(tmp_path):
    folder = tmp_path / "audit"
    AuditLog.create(folder, SIGNER.vkey())
    log = AuditLog(folder, SIGNER)
    log.append(settled(0))
    log.close()
    shutil.copy(folder / DATABASE, tmp_path / "backup")
    log = AuditLog(folder, SIGNER)
    log.append(settled(1))
    log.close()
    shutil.copy(tmp_path / "backup", folder / DATABASE)
    tampered(folder, "events were cut off: an outside checkpoint attests size 4")


@pytest.mark.parametrize(("left", "right"), [(0, 1), (1, 2), (0, 5), (3, 4)])
def test_two_events_that_changed_places_are_found(folder, database, left, right):
    changed = bodies(database)
    changed[left], changed[right] = changed[right], changed[left]
    rewrite(database, changed)
    first = left - left % 2 + 2
    tampered(folder, f"the events before {first} are not those the checkpoint attests")


def test_two_stored_rows_that_changed_numbers_are_found(folder, database):
    database.execute("UPDATE leaf SET seq = 100 WHERE seq = 2")
    database.execute("UPDATE leaf SET seq = 2 WHERE seq = 3")
    database.execute("UPDATE leaf SET seq = 3 WHERE seq = 100")
    tampered(folder, "the events before 4 are not those the checkpoint attests")


@pytest.mark.parametrize("index", range(SIZE + 1))
def test_an_inserted_event_is_found(folder, database, index):
    changed = bodies(database)
    changed.insert(index, canonical(event(9)))
    rewrite(database, changed)
    expected = (
        f"the events before {index - index % 2 + 2} are not those the checkpoint attests"
        if index < SIZE
        else "no checkpoint covers event 6"
    )
    tampered(folder, expected)


@pytest.mark.parametrize("index", range(SIZE))
def test_a_repeated_event_is_found(folder, database, index):
    changed = bodies(database)
    changed.insert(index, changed[index])
    rewrite(database, changed)
    tampered(folder, "no checkpoint covers event 6")


def test_events_after_the_last_checkpoint_are_not_taken_as_attested(folder, database):
    rewrite(database, [*bodies(database), *(canonical(made) for made in settled(9))])
    tampered(folder, "no checkpoint covers event 7")


# The head row


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE head SET size = 5",
        "UPDATE head SET frontier = zeroblob(64)",
        "UPDATE head SET frontier = 'text'",
        "UPDATE head SET frontier = 7",
        "DELETE FROM head",
    ],
)
def test_a_head_row_that_does_not_fit_is_found(folder, database, change):
    database.execute(change)
    tampered(folder, "the head row does not fit the events")


# Checkpoints


@pytest.mark.finding("AUD-2")
def test_any_changed_byte_of_a_checkpoint_is_found(folder, database):
    note = database.execute("SELECT note FROM checkpoint WHERE size = 4").fetchone()[0]
    for position in range(len(note)):
        for bad in (chr(ord(note[position]) ^ 1), "é"):
            changed = note[:position] + bad + note[position + 1 :]
            database.execute("UPDATE checkpoint SET note = ? WHERE size = 4", (changed,))
            report = tampered(folder)
            assert any(line.startswith("checkpoint at size 4") for line in report.findings)
    database.execute("UPDATE checkpoint SET note = ? WHERE size = 4", (note,))
    assert check(folder).status == "verified"


def test_a_checkpoint_of_another_size_is_found(folder, database):
    note = database.execute("SELECT note FROM checkpoint WHERE size = 2").fetchone()[0]
    database.execute("UPDATE checkpoint SET note = ? WHERE size = 6", (note,))
    tampered(folder, "checkpoint at size 6 belongs to another tree")


def test_a_checkpoint_by_another_key_is_found(folder, database):
    forger = Signer.from_bytes(SIGNER.name, bytes(32))
    root = bytes.fromhex(check(folder).root)
    note = note_of(forger, SIGNER.name, 6, root)
    database.execute("UPDATE checkpoint SET note = ? WHERE size = 6", (note,))
    report = tampered(folder)
    assert [line for line in report.findings if line.startswith("checkpoint at size 6:")]


def test_a_checkpoint_of_another_origin_under_the_same_key_is_found(folder, database):
    note = note_of(SIGNER, "log.example/elsewhere", 6, bytes.fromhex(check(folder).root))
    database.execute("UPDATE checkpoint SET note = ? WHERE size = 6", (note,))
    tampered(folder, "checkpoint at size 6 belongs to another tree")


def test_two_signed_heads_of_one_size_are_a_fork_and_are_found(folder):
    with (folder / CHECKPOINTS).open("a", encoding="utf-8") as stream:
        stream.write(note_of(SIGNER, SIGNER.name, 4, bytes(32)) + "\n")
    tampered(folder, "the events before 4 are not those the outside checkpoint attests")


def test_a_dropped_last_checkpoint_is_found(folder, database):
    database.execute("DELETE FROM checkpoint WHERE size = 6")
    tampered(folder, "no checkpoint covers event 5")


@pytest.mark.parametrize("value", ["x'00'", "7", "''", "'a\n4\nb\n'"])
def test_a_checkpoint_that_is_no_note_is_a_finding_and_never_an_exception(folder, database, value):
    database.execute(f"UPDATE checkpoint SET note = {value} WHERE size = 4")
    report = tampered(folder)
    assert any(line.startswith("checkpoint at size 4: ") for line in report.findings)


# The file outside


def test_limit_an_old_genuine_checkpoint_replayed_over_the_outside_file_is_not_seen_while_the_log_is_whole(
    folder,
):
    old = (folder / CHECKPOINTS).read_text(encoding="utf-8")
    old = old[: len(old) // 3]
    (folder / CHECKPOINTS).write_text(old, encoding="utf-8")
    assert check(folder).status == "verified"


def test_an_old_outside_checkpoint_relabelled_as_the_newest_is_found(folder):
    text = (folder / CHECKPOINTS).read_text(encoding="utf-8")
    old = text[: len(text) // 3].replace("\n2\n", "\n6\n", 1)
    (folder / CHECKPOINTS).write_text(old, encoding="utf-8")
    report = tampered(folder)
    assert any(line.startswith("outside checkpoint at size 6: ") for line in report.findings)


def test_an_outside_checkpoint_of_another_history_is_found_at_its_size(folder, tmp_path):
    other = build(tmp_path / "fork", purpose="safeguarding")
    shutil.copy(other / CHECKPOINTS, folder / CHECKPOINTS)
    tampered(
        folder,
        *(
            f"the events before {size} are not those the outside checkpoint attests"
            for size in (2, 4, 6)
        ),
    )


@pytest.mark.finding("AUD-2")
def test_any_changed_character_of_a_note_in_the_outside_file_is_found(folder):
    path = folder / CHECKPOINTS
    text = path.read_text(encoding="utf-8")
    third = len(text) // 3
    for position in range(third):
        changed = text[:position] + chr(ord(text[position]) ^ 1) + text[position + 1 :]
        path.write_text(changed, encoding="utf-8")
        report = check(folder)
        assert report.status == "tampered", (position, changed[:third])


@pytest.mark.parametrize("size", ["x", "-2", "02", "²", "٢", "1" * 5000, "", "2 "])
def test_an_outside_file_with_a_malformed_size_is_found_and_never_an_exception(folder, size):
    path = folder / CHECKPOINTS
    text = path.read_text(encoding="utf-8").replace("\n4\n", f"\n{size}\n", 1)
    path.write_text(text, encoding="utf-8")
    tampered(folder, "checkpoint 1 outside the database is malformed")


def test_an_outside_file_of_signature_lines_only_is_found(folder):
    (folder / CHECKPOINTS).write_text("— a b\n\n", encoding="utf-8")
    tampered(folder, "checkpoint 0 outside the database is malformed")


@pytest.mark.parametrize("data", [b"", b"\n\n\n", b"not a note", b"\xff\x00\xfe" * 100])
def test_an_outside_file_without_a_note_is_incomplete(folder, data):
    (folder / CHECKPOINTS).write_bytes(data)
    incomplete(folder, "no checkpoint is kept outside the database")


def test_missing_outside_checkpoints_are_incomplete(folder):
    (folder / CHECKPOINTS).unlink()
    report = incomplete(folder, "the checkpoints outside the database are not there")
    assert "no checkpoint is kept outside the database" in report.missing


# Keys and whole logs


def test_a_missing_key_is_incomplete_and_no_checkpoint_check_is_named_as_ran(folder):
    (folder / VKEY).unlink()
    report = incomplete(folder, "the log's public key is not there", vkey=None)
    assert not {"checkpoints", "outside checkpoints"} & set(report.ran)
    assert "leaves" in report.ran


@pytest.mark.parametrize("text", ["", "é", "a+b", "log.example/verify+00000000+AAAA"])
def test_a_malformed_key_is_incomplete(folder, text):
    (folder / VKEY).write_text(text, encoding="utf-8")
    assert incomplete(folder, vkey=None).missing


def test_an_edited_event_is_found_even_without_a_key(folder, database):
    (folder / VKEY).unlink()
    database.execute("UPDATE leaf SET body = x'7b7d' WHERE seq = 2")
    tampered(folder, "event 2 was edited: its hash does not fit its bytes", vkey=None)


def test_a_key_swapped_in_the_folder_does_not_open_the_old_notes(folder):
    (folder / VKEY).write_text(OTHER.vkey() + "\n")
    tampered(folder, vkey=None)


def test_a_swapped_database_of_another_log_is_found(folder, tmp_path):
    other = build(tmp_path / "other", OTHER)
    shutil.copy(other / DATABASE, folder / DATABASE)
    report = tampered(folder)
    for size in (2, 4, 6):
        assert any(line.startswith(f"checkpoint at size {size}: ") for line in report.findings)


def test_a_swapped_whole_folder_is_found_with_the_key_that_the_reader_brought(tmp_path):
    other = build(tmp_path / "other", OTHER)
    tampered(other, vkey=SIGNER.vkey())
    assert check(other, vkey=OTHER.vkey()).status == "verified"


@pytest.mark.parametrize("name", ["missing", "folder"])
def test_a_missing_database_is_incomplete(folder, name):
    (folder / DATABASE).unlink()
    if name == "folder":
        (folder / DATABASE).mkdir()
    incomplete(folder, "the log's database is not there")


@pytest.mark.parametrize("data", [b"", b"not a database" * 100])
def test_a_database_that_cannot_be_read_is_never_verified(folder, data):
    (folder / DATABASE).write_bytes(data)
    report = tampered(folder)
    assert any(line.startswith("the log's database cannot be read") for line in report.findings)


@pytest.mark.parametrize("table", ["leaf", "head", "checkpoint"])
def test_a_database_without_one_of_its_tables_is_never_verified(folder, database, table):
    database.execute(f"DROP TABLE {table}")
    tampered(folder)


# Intents


def test_an_open_intent_is_incomplete_and_named_oldest_first(folder):
    log = AuditLog(folder, SIGNER)
    log.append([event(9), event(8)])
    log.close()
    assert incomplete(folder).open_intents == ["i9", "i8"]
    log = AuditLog(folder, SIGNER)
    log.append([event(9, "outcome")])
    assert incomplete(folder).open_intents == ["i8"]
    log.append([event(8, "outcome")])
    log.close()
    assert check(folder).status == "verified"


def test_the_verifier_does_not_read_the_index_of_open_intents(folder, database):
    database.execute("INSERT INTO open_intent VALUES ('i0', 0)")
    assert check(folder).status == "verified"
    database.execute("DROP TABLE open_intent")
    assert check(folder).status == "verified"


# A log of several batches


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    folder = tmp_path_factory.mktemp("long") / "audit"
    AuditLog.create(folder, SIGNER.vkey())
    log = AuditLog(folder, SIGNER)
    for start, end in ((0, 350), (350, 1050)):
        log.append([one for number in range(start, end) for one in settled(number)])
    log.close()
    return folder


@pytest.mark.parametrize("index", [0, 511, 512, 700, 1023, 1024, 2099])
def test_in_a_long_log_each_fault_is_found_at_its_index(long, tmp_path, index):
    folder = shutil.copytree(long, tmp_path / "audit")
    assert check(folder).status == "verified"
    connection = sqlite3.connect(folder / DATABASE, isolation_level=None)
    for trigger in ("leaf_no_update", "leaf_no_delete"):
        connection.execute(f"DROP TRIGGER {trigger}")
    body = connection.execute("SELECT body FROM leaf WHERE seq = ?", (index,)).fetchone()[0]
    put = "UPDATE leaf SET body = ?, hash = ? WHERE seq = ?"
    edited = body.replace(b"council", b"countil")
    connection.execute(put, (edited, leaf_hash(body), index))
    tampered(folder, f"event {index} was edited: its hash does not fit its bytes")
    connection.execute(put, (edited, leaf_hash(edited), index))
    size = next(one for one in (700, 2100) if one > index)
    tampered(folder, f"the events before {size} are not those the checkpoint attests")
    spaced = body + b" "
    connection.execute(put, (spaced, leaf_hash(spaced), index))
    tampered(folder, f"event {index}: the bytes are not canonical")
    connection.execute("DELETE FROM leaf WHERE seq = ?", (index,))
    tampered(
        folder,
        f"event {index} is missing" if index < 2099 else "the head row does not fit the events",
    )
    connection.close()


# A log that is written to while it is read


@pytest.mark.parametrize("moment", ["outside_notes", "_check_leaves", "_check_head"])
def test_an_append_during_the_verification_is_no_tampering(folder, monkeypatch, moment):
    log = AuditLog(folder, SIGNER)
    numbers = iter(range(10, 100))
    original = getattr(verify_module, moment)

    def slow(*arguments):
        log.append(settled(next(numbers)))
        result = original(*arguments)
        log.append(settled(next(numbers)))
        return result

    monkeypatch.setattr(verify_module, moment, slow)
    report = check(folder)
    log.close()
    assert (report.status, report.findings) == ("verified", [])
    assert next(numbers) > 11


# What the verifier cannot see by itself


def test_limit_a_full_rebuild_with_the_log_key_verifies(folder):
    shutil.rmtree(folder)
    build(folder, purpose="another-story")
    assert check(folder).status == "verified"


def test_limit_a_full_rebuild_is_exposed_by_one_checkpoint_kept_elsewhere(folder, tmp_path):
    kept = tmp_path / "kept-by-a-partner"
    shutil.copy(folder / CHECKPOINTS, kept)
    shutil.rmtree(folder)
    build(folder, purpose="another-story")
    shutil.copy(kept, folder / CHECKPOINTS)
    tampered(folder, "the events before 2 are not those the outside checkpoint attests")


def test_limit_database_and_outside_file_put_back_together_verify_without_any_key(folder, database):
    rewrite(database, bodies(database)[:2])
    database.execute("DELETE FROM checkpoint WHERE size > 2")
    text = (folder / CHECKPOINTS).read_text(encoding="utf-8")
    (folder / CHECKPOINTS).write_text(text[: len(text) // 3], encoding="utf-8")
    report = check(folder)
    assert (report.status, report.size) == ("verified", 2)


# Signed notes


@pytest.mark.finding("AUD-2")
def test_no_signed_note_opens_with_any_one_bit_changed():
    note = note_of(SIGNER, SIGNER.name, 5, bytes(range(32))).encode()
    verifier = Verifier.from_vkey(SIGNER.vkey())
    assert Checkpoint.parse(verifier.open(note.decode())).size == 5
    for position in range(len(note) * 8):
        bad = bytearray(note)
        bad[position // 8] ^= 1 << position % 8
        try:
            text = bytes(bad).decode()
        except UnicodeDecodeError:
            continue
        with pytest.raises(AuditFault):
            verifier.open(text)


def test_every_verifier_key_with_one_changed_bit_is_refused():
    vkey = SIGNER.vkey().encode()
    for position in range(len(vkey) * 8):
        bad = bytearray(vkey)
        bad[position // 8] ^= 1 << position % 8
        with pytest.raises(AuditFault, match="FG-AUD-05"):
            Verifier.from_vkey(bytes(bad).decode("latin-1"))


def test_a_note_is_not_signed_when_its_text_does_not_end_in_a_newline():
    with pytest.raises(AuditFault, match="FG-AUD-01"):
        SIGNER.sign("text")


def test_a_note_with_a_witness_line_of_an_unknown_key_still_opens():
    note = note_of(SIGNER, SIGNER.name, 1, bytes(32))
    line = OTHER.sign("x\n").partition("\n\n")[2]
    assert Verifier.from_vkey(SIGNER.vkey()).open(note + line).startswith(SIGNER.name)
    with pytest.raises(AuditFault, match="FG-AUD-06"):
        Verifier.from_vkey(OTHER.vkey()).open(note)


def test_a_signature_shorter_or_longer_than_ed25519_is_refused():
    text, _, line = note_of(SIGNER, SIGNER.name, 1, bytes(32)).partition("\n\n")
    raw = base64.b64decode(line.split(" ")[2])
    for changed in (raw[:4], raw[:-1], raw + b"\x00"):
        bad = f"{text}\n\n— {SIGNER.name} {base64.b64encode(changed).decode()}\n"
        with pytest.raises(AuditFault, match="FG-AUD-06"):
            Verifier.from_vkey(SIGNER.vkey()).open(bad)


@pytest.mark.finding("AUD-2")
def test_one_signature_and_one_root_have_one_spelling_only():
    """Base64 of 68 or 32 bytes has two spare bits; a second spelling would pass as the same note."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body = Checkpoint(SIGNER.name, 1, bytes(range(32))).body()
    verifier = Verifier.from_vkey(SIGNER.vkey())
    note = SIGNER.sign(body)
    for text, call in ((note, verifier.open), (body, Checkpoint.parse)):
        assert text.endswith("=\n")
        call(text)
        value = alphabet.index(text[-3])
        assert value % 4 == 0
        for spare in (1, 2, 3):
            with pytest.raises(AuditFault, match="FG-AUD-06"):
                call(f"{text[:-3]}{alphabet[value + spare]}=\n")
