"""The export as static files: layout, what a later export adds, and every way in which it can lie."""

import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import audit.stranger
import audit.tiles
from audit.canonical import canonical
from audit.errors import AuditFault
from audit.event import make_event
from audit.log import AuditLog
from audit.merkle import leaf_hash, root_of
from audit.note import Checkpoint, Signer, Verifier
from audit.outside import CHECKPOINTS, WITNESSED, notes
from audit.place import Folder
from audit.stranger import Story, arguments, check
from audit.tiles import (
    bundle,
    entries_of,
    export_tiles,
    tile_path,
    tile_places,
    verify_tiles,
)

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SIGNER = Signer.from_bytes("log.example/tiles", bytes(range(32)))
KEY = Verifier.from_vkey(SIGNER.vkey())
SIZE = 600


def event(number: int):
    return make_event(
        log=SIGNER.name,
        kind="consultation",
        phase="intent" if number % 2 == 0 else "outcome",
        flow="view",
        intent=f"i{number // 2}",
        actor={"id": "a1", "org": "council"},
        now=NOW + timedelta(seconds=number),
        random=number.to_bytes(10, "big"),
        details={},
    )


def grow(log: AuditLog, start: int, end: int) -> None:
    log.append([event(number) for number in range(start, end)])


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiles") / "audit"
    AuditLog.create(folder, SIGNER.vkey())
    opened = AuditLog(folder, SIGNER)
    grow(opened, 0, SIZE)
    yield opened
    opened.close()


@pytest.fixture
def exported(log, tmp_path) -> Path:
    export_tiles(log.folder, tmp_path / "out", KEY)
    return tmp_path / "out"


def files(folder: Path) -> set[str]:
    return {str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()}


@pytest.mark.parametrize(
    ("place", "width", "expected"),
    [
        (0, 256, "tile/0/000"),
        (1234067, 256, "tile/0/x001/x234/067"),
        (5, 44, "tile/0/005.p/44"),
        (1000, 1, "tile/0/x001/000.p/1"),
    ],
)
def test_places_are_written_as_the_layout_says(place, width, expected):
    assert str(tile_path(0, place, width)) == expected


def test_a_tree_of_70000_has_the_tiles_that_the_specification_names():
    found = list(tile_places(70_000))
    assert sum(level == 0 and width == 256 for level, _, width in found) == 273
    assert [(level, width) for level, _, width in found if width != 256 or level] == [
        *((0, 112), (1, 256), (1, 17), (2, 1)),
    ]


def test_an_export_verifies_and_holds_what_the_layout_names(exported):
    assert files(exported) == {
        "checkpoint",
        *("tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2"),
        *("tile/entries/000", "tile/entries/001", "tile/entries/002.p/88"),
    }
    report = verify_tiles(Folder(exported), KEY)
    assert (report.status, report.size) == ("verified", SIZE)
    assert report.ran == ["tiles", "entries", *Story.CHECKS]
    bodies = entries_of((exported / "tile/entries/001").read_bytes())
    assert bodies[0] == canonical(event(256))
    assert (exported / "tile/0/001").read_bytes()[:32] == leaf_hash(bodies[0])


def test_a_later_export_adds_what_is_new_and_changes_no_full_file(tmp_path):
    folder, out = tmp_path / "audit", tmp_path / "out"
    AuditLog.create(folder, SIGNER.vkey())
    log = AuditLog(folder, SIGNER)
    grow(log, 0, 300)
    assert export_tiles(folder, out, KEY) == {"size": 300, "files": 6}
    full = {name: (out / name).stat().st_mtime_ns for name in ("tile/0/000", "tile/entries/000")}
    grow(log, 300, 520)
    assert export_tiles(folder, out, KEY) == {"size": 520, "files": 6}
    log.close()
    assert {name: (out / name).stat().st_mtime_ns for name in full} == full
    assert verify_tiles(Folder(out), KEY).status == "verified"


def test_an_export_that_was_cut_short_is_written_again(log, exported):
    (exported / "checkpoint").unlink()
    (exported / "tile/0/000").write_bytes(b"half")
    export_tiles(log.folder, exported, KEY)
    assert verify_tiles(Folder(exported), KEY).status == "verified"


def test_a_folder_of_something_else_is_left_alone(log, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(AuditFault, match="FG-AUD-20"):
        export_tiles(log.folder, tmp_path, KEY)
    assert files(tmp_path) == {"notes.txt"}


def test_an_export_of_another_history_is_not_written_over(log, tmp_path):
    other = Checkpoint(SIGNER.name, 10, bytes(32))
    (tmp_path / "checkpoint").write_text(SIGNER.sign(other.body()), encoding="utf-8")
    before = (tmp_path / "checkpoint").read_bytes()
    with pytest.raises(AuditFault, match="FG-AUD-20"):
        export_tiles(log.folder, tmp_path, KEY)
    assert (tmp_path / "checkpoint").read_bytes() == before


@pytest.mark.finding("AUD-4")
def test_nothing_is_exported_that_the_signed_root_does_not_bear_out(log, tmp_path):
    folder = shutil.copytree(log.folder, tmp_path / "audit")
    with sqlite3.connect(folder / "log.db") as database:
        database.execute("DROP TRIGGER leaf_no_update")
        database.execute("UPDATE leaf SET hash = zeroblob(32) WHERE seq = 590")
    database.close()
    with pytest.raises(AuditFault, match="FG-AUD-07"):
        export_tiles(folder, tmp_path / "out", KEY)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["tile/0/000", "tile/0/002.p/88", "tile/1/000.p/2"])
@pytest.mark.parametrize("at", [0, 40, 63])
def test_a_changed_byte_of_a_tile_is_found(exported, name, at):
    data = bytearray((exported / name).read_bytes())
    data[at] ^= 1
    (exported / name).write_bytes(data)
    assert verify_tiles(Folder(exported), KEY).status == "tampered"


@pytest.mark.parametrize("index", [0, 255, 256, 599])
def test_a_changed_event_is_found_at_its_index(exported, index):
    place = index // 256
    name = "tile/entries/002.p/88" if place == 2 else f"tile/entries/{place:03d}"
    bodies = entries_of((exported / name).read_bytes())
    bodies[index % 256] = bodies[index % 256].replace(b"council", b"counciL")
    (exported / name).write_bytes(bundle(bodies))
    report = verify_tiles(Folder(exported), KEY)
    assert f"event {index} is not the one that its tile holds" in report.findings


def test_a_dropped_last_event_is_found_at_its_index(exported):
    name = exported / "tile/entries/002.p/88"
    name.write_bytes(bundle(entries_of(name.read_bytes())[:-1]))
    assert "event 599 is missing" in verify_tiles(Folder(exported), KEY).findings


def test_a_bundle_that_ends_inside_an_event_is_found_and_never_an_exception(exported):
    name = exported / "tile/entries/000"
    for cut in (1, 2, 700):
        name.write_bytes(name.read_bytes()[:-cut])
        report = verify_tiles(Folder(exported), KEY)
        assert report.status == "tampered"


@pytest.mark.parametrize("name", ["tile/0/001", "tile/1/000.p/2", "tile/entries/000", "checkpoint"])
def test_what_is_not_there_is_incomplete_and_not_tampered(exported, name):
    (exported / name).unlink()
    report = verify_tiles(Folder(exported), KEY)
    assert report.status == "incomplete", report.findings


def test_a_checkpoint_of_another_key_or_tree_is_found(exported, log):
    stated = Checkpoint.parse(KEY.open((exported / "checkpoint").read_text(encoding="utf-8")))
    forger = Signer.from_bytes(SIGNER.name, bytes(32))
    for note in (
        forger.sign(stated.body()),
        SIGNER.sign(Checkpoint("log.example/other", stated.size, stated.root).body()),
        SIGNER.sign(Checkpoint(SIGNER.name, stated.size, bytes(32)).body()),
    ):
        (exported / "checkpoint").write_text(note, encoding="utf-8")
        assert verify_tiles(Folder(exported), KEY).status == "tampered"


def test_a_partial_tile_may_have_been_replaced_by_its_full_one(exported):
    leaves = b"".join((exported / f"tile/0/{one:03d}").read_bytes() for one in (0, 1))
    root = root_of([leaves[at : at + 32] for at in range(0, 300 * 32, 32)])
    (exported / "checkpoint").write_text(
        SIGNER.sign(Checkpoint(SIGNER.name, 300, root).body()), encoding="utf-8"
    )
    upper = (exported / "tile/1/000.p/2").read_bytes()
    (exported / "tile/1/000.p/1").write_bytes(upper[:32])
    report = verify_tiles(Folder(exported), KEY)
    assert (report.status, report.size) == ("verified", 300)


# What goes on meanwhile


def witnessed_now(folder: Path) -> None:
    """Put the newest checkpoint where those that came back from witnesses stand."""
    text = (folder / CHECKPOINTS).read_text(encoding="utf-8")
    (folder / WITNESSED).write_text(list(notes(text))[-1] + "\n", encoding="utf-8")


def opened(tmp_path: Path) -> AuditLog:
    AuditLog.create(tmp_path / "audit", SIGNER.vkey())
    log = AuditLog(tmp_path / "audit", SIGNER)
    grow(log, 0, 4)
    witnessed_now(log.folder)
    return log


def status(folder: Path) -> tuple[str, str]:
    told = check(arguments([str(folder), "--vkey", SIGNER.vkey()])).as_dict()
    return verify_tiles(Folder(folder), KEY).status, str(told["status"])


def test_an_export_while_a_witness_signs_something_newer_is_no_tampering(tmp_path, monkeypatch):
    log = opened(tmp_path)
    real = audit.tiles.node_of

    def node_of(connection):  # The checkpoint was chosen; somebody works on.
        grow(log, 4, 8)
        witnessed_now(log.folder)
        return real(connection)

    monkeypatch.setattr(audit.tiles, "node_of", node_of)
    assert export_tiles(log.folder, tmp_path / "out", KEY)["size"] == 4
    log.close()
    assert status(tmp_path / "out") == ("verified", "verified")


@pytest.mark.parametrize("reader", ["ours", "the stranger's"])
def test_an_export_that_is_renewed_while_it_is_read_is_no_tampering(tmp_path, monkeypatch, reader):
    log = opened(tmp_path)
    out = tmp_path / "out"
    export_tiles(log.folder, out, KEY)
    base = Folder if reader == "ours" else audit.stranger.Folder

    class Renewed(base):  # type: ignore[misc, valid-type]
        def read(self, name: str, most: int) -> bytes | None:
            data = super().read(name, most)
            if name == "checkpoint":
                grow(log, 4, 8)
                witnessed_now(log.folder)
                export_tiles(log.folder, out, KEY)
            return data

    if reader == "ours":
        assert verify_tiles(Renewed(out), KEY).status == "verified"
    else:
        monkeypatch.setattr(audit.stranger, "Folder", Renewed)
        told = check(arguments([str(out), "--vkey", SIGNER.vkey()])).as_dict()
        assert told["status"] == "verified", told
        monkeypatch.undo()
    log.close()
    assert status(out) == ("verified", "verified")
