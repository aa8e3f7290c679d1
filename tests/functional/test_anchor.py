"""Every checkpoint on another disk as well, and a second signature that quantum computers do not break."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import audit.anchor
from audit.anchor import Anchor
from audit.cosign import Cosigner, CosignerKey
from audit.errors import AuditFault
from audit.kept import SECOND_VKEY, Kept
from audit.log import AuditLog
from audit.note import Checkpoint, Signer, Verifier
from audit.outside import CHECKPOINTS, WITNESSED, append_note, last_signed, notes
from audit.stranger import arguments, check
from audit.verify import verify
from engine.cli.doctor import check_all
from engine.cli.main import app as cli
from engine.domain.errors import ConfigError, PolicyRefused
from engine.flows.deliveries import deliveries
from engine.flows.home import Home
from engine.flows.recover_log import recover_log
from engine.flows.trail import verify_trail
from engine.flows.trail_keep import set_anchor, set_second_signature
from engine.flows.trail_notices import trail_notices
from engine.flows.trail_out import export_trail
from tests.builders.partnership import OPERATOR

DPO, LEAD, OTHER = "demo.dpo", "demo.ig_lead", "demo.social_worker"
DEMO = {"auth": "demo"}


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that counts as another file system."""
    (tmp_path / "disk").mkdir()
    real = audit.anchor.device_of
    monkeypatch.setattr(
        audit.anchor,
        "device_of",
        lambda path: -1 if (tmp_path / "disk") in (path, *path.parents) else real(path),
    )
    return tmp_path / "disk"


def again(home: Home) -> Home:
    home.close()
    return Home(home.path, home.settings, home.clock, home.randomness, apart=False)


def published(home: Home) -> bytes:
    return (home.path / "audit" / CHECKPOINTS).read_bytes()


@pytest.fixture
def anchored(home: Home, disk: Path) -> Home:
    set_anchor(home, DPO, disk / "anchor.txt", **DEMO)
    return again(home)


def test_every_published_checkpoint_is_on_the_other_disk(anchored: Home, disk: Path) -> None:
    for _ in range(3):
        deliveries(anchored, OPERATOR)
    home = again(anchored)
    assert (disk / "anchor.txt").read_bytes() == published(home)
    report = verify_trail(home)
    assert (report.status, report.alarms) == ("verified", [])
    home.close()


@pytest.mark.finding("AUD-18")
def test_a_whole_audit_folder_put_back_from_a_backup_is_found_by_the_anchor(
    anchored: Home, disk: Path, tmp_path: Path
) -> None:
    deliveries(anchored, OPERATOR)
    home = again(anchored)
    backup = shutil.copytree(home.path / "audit", tmp_path / "backup")
    for _ in range(3):
        deliveries(home, OPERATOR)
    home.close()
    shutil.rmtree(home.path / "audit")
    shutil.copytree(backup, home.path / "audit")
    home = again(home)
    # Within the folder everything fits together; only what was kept elsewhere tells.
    assert verify(home.path / "audit").status == "verified"
    report = verify_trail(home)
    assert report.status == "tampered"
    assert "an anchored checkpoint attests size" in report.findings[-1]
    kept = ["--anchor", str(disk / "anchor.txt")]
    words = [str(home.path / "audit"), "--vkey", home.log_vkey(), *kept]
    assert check(arguments(words)).as_dict()["status"] == "tampered"
    done = CliRunner().invoke(cli, ["audit", "verify", "--home", str(home.path), *kept])
    assert done.exit_code == 14, done.output
    with pytest.raises(AuditFault, match="FG-AUD-12"):
        deliveries(home, OPERATOR)
    # Two people declare it, and the anchor goes on behind the gap.
    recover_log(home, LEAD, "restored", **DEMO)
    home = again(home)
    recover_log(home, DPO, "restored", **DEMO)
    home = again(home)
    deliveries(home, OPERATOR)
    home = again(home)
    report = verify_trail(home)
    assert (report.status, report.findings, report.alarms) == ("incomplete", [], [])
    assert check(arguments(words)).as_dict()["status"] == "incomplete"
    deliveries(home, OPERATOR)
    home.close()


def test_an_anchor_that_is_gone_is_an_alarm_blocks_nothing_and_catches_up(
    anchored: Home, disk: Path
) -> None:
    away = disk.with_name("away")
    anchored.close()
    disk.rename(away)
    home = again(anchored)
    deliveries(home, OPERATOR)
    home = again(home)
    report = verify_trail(home)
    assert report.status == "verified"
    assert any("anchor" in one for one in report.alarms)
    told = trail_notices(home, report)
    assert [one["title"] for one in told] == ["What is kept outside this house needs mending"]
    assert "anchor" in told[0]["text"]
    found = {one["name"]: one for one in check_all(home.path)}["audit trail"]
    assert (found["status"], "anchor" in found["detail"]) == ("warn", True)
    assert found["fix"].startswith("Look at the anchor")
    away.rename(disk)
    report = verify_trail(home)
    assert any("lags" in one for one in report.alarms)
    deliveries(home, OPERATOR)
    home = again(home)
    assert verify_trail(home).alarms == []
    assert (disk / "anchor.txt").read_bytes() == published(home)
    home.close()


def test_an_anchor_on_the_file_system_of_the_home_is_refused_and_the_mount_is_named(
    home: Home, tmp_path: Path
) -> None:
    with pytest.raises(AuditFault, match="FG-AUD-29") as caught:
        set_anchor(home, DPO, tmp_path / "beside" / "anchor.txt", **DEMO)
    assert str(audit.anchor.mount_of(tmp_path)) in str(caught.value)
    assert home.anchor is None
    event = json.loads(home.log_events(1)[0][1])
    assert (event["flow"], event["decision"]) == ("set_anchor", "failed")


def test_a_disk_that_is_no_longer_mounted_is_not_written_to(
    anchored: Home, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What remains is an empty folder on the disk of the home."""
    anchored.close()
    (disk / "anchor.txt").unlink()
    monkeypatch.undo()
    home = again(anchored)
    deliveries(home, OPERATOR)
    home = again(home)
    assert not (disk / "anchor.txt").exists()
    assert any("on the file system of the home" in one for one in verify_trail(home).alarms)
    home.close()


def test_who_may_set_an_anchor_and_a_place_that_cannot_be_written(home: Home, disk: Path) -> None:
    with pytest.raises(PolicyRefused, match="FG-AUD-22"):
        set_anchor(home, OTHER, disk / "anchor.txt", **DEMO)
    with pytest.raises(ConfigError, match="FG-AUD-30"):
        set_anchor(home, DPO, disk / "none" / "anchor.txt", **DEMO)
    done = CliRunner().invoke(cli, ["audit", "anchor", "--home", str(home.path), "--json"])
    assert json.loads(done.stdout)["error"]["code"] == "FG-AUD-30"
    assert not (disk / "anchor.txt").exists()


def test_it_is_taken_away_again(anchored: Home, disk: Path) -> None:
    set_anchor(anchored, DPO, None, **DEMO)
    home = again(anchored)
    size = (disk / "anchor.txt").stat().st_size
    deliveries(home, OPERATOR)
    home = again(home)
    assert (home.anchor, (disk / "anchor.txt").stat().st_size) == (None, size)


def test_what_a_crash_cut_short_on_the_anchor_is_marked_and_copied_again(tmp_path: Path) -> None:
    signer = Signer.from_bytes("log.example/anchor", bytes(range(32)))
    AuditLog.create(tmp_path, signer.vkey())
    there = Anchor(tmp_path, tmp_path / "there.txt", lambda path: len(path.name))
    for size in range(1, 6):
        note = signer.sign(Checkpoint(signer.name, size, bytes([size]) * 32).body())
        append_note(tmp_path / CHECKPOINTS, note)
        there.copy()
    data = there.path.read_bytes()
    there.path.write_bytes(data[:-30])
    there.copy()
    held = list(notes(there.path.read_text(encoding="utf-8")))
    assert held == list(notes((tmp_path / CHECKPOINTS).read_text(encoding="utf-8")))
    assert there.copy() == 0
    # One that another log wrote to, or that knows more than was published here, is left alone.
    other = signer.sign(Checkpoint(signer.name, 99, bytes(32)).body())
    append_note(there.path, other)
    with pytest.raises(AuditFault, match="FG-AUD-12"):
        there.copy()


# A second signature


def test_a_second_signature_stands_on_every_checkpoint_and_is_verified(
    home: Home, tmp_path: Path
) -> None:
    assert verify_trail(home).second == 0
    done = set_second_signature(home, DPO, on=True, **DEMO)
    home = again(home)
    for _ in range(2):
        deliveries(home, OPERATOR)
    home = again(home)
    report = verify_trail(home)
    assert (report.status, report.findings, report.second, report.unchecked) == (
        "verified",
        [],
        4,
        [],
    )
    newest = list(notes((home.path / "audit" / CHECKPOINTS).read_text(encoding="utf-8")))[-1]
    assert CosignerKey.from_vkey(done["vkey"]).find(newest) is not None
    # The script knows the first key alone and says so; a key of the log is none of a witness.
    words = [str(home.path / "audit"), "--vkey", home.log_vkey()]
    told = check(arguments(words)).as_dict()
    assert (told["status"], told["unchecked"]) == ("verified", [home.manifest["log_name"]])
    done_by_script = CliRunner().invoke(cli, ["audit", "verify", "--home", str(home.path)])
    assert done_by_script.exit_code == 0
    with pytest.raises(Exception, match="one of the log itself"):
        check(arguments([*words, "--witness-vkey", done["vkey"]]))
    # It goes through everything that reads a checkpoint: the export, the receipt, the start.
    out = export_trail(home, DPO, tmp_path / "out", **DEMO)
    assert check(arguments([str(tmp_path / "out"), *words[1:]])).as_dict()["status"] == "verified"
    (tmp_path / "receipt").write_text(out["receipt"]["proof"], encoding="utf-8")
    told = check(arguments([*words, "--receipt", str(tmp_path / "receipt")])).as_dict()
    assert {one["name"]: one["result"] for one in told["checks"]}["receipt"] == "ran"
    set_second_signature(home, DPO, on=False, **DEMO)
    home = again(home)
    deliveries(home, OPERATOR)
    report = verify_trail(home)
    assert (report.status, report.alarms) == ("incomplete", [])
    assert re.fullmatch("no checkpoint after size [0-9]+ bears a second signature", *report.missing)
    assert "second signature" in trail_notices(home, report)[0]["text"]
    home.close()
    found = {one["name"]: one for one in check_all(home.path)}["audit trail"]
    assert found["status"] == "warn"
    assert "anchor" not in found["fix"]
    done_by_script = CliRunner().invoke(cli, ["audit", "verify", "--home", str(home.path)])
    assert done_by_script.exit_code == 17
    # One that bears it attests everything before it: what was signed in between does no lasting harm.
    home = again(home)
    set_second_signature(home, DPO, on=True, **DEMO)
    home = again(home)
    deliveries(home, OPERATOR)
    assert (verify_trail(home).status, verify_trail(home).missing) == ("verified", [])
    home.close()


def test_a_second_key_that_signed_nothing_leaves_it_incomplete(home: Home) -> None:
    """Whoever broke the first key alone can leave the second line out, from the newest or from all."""
    deliveries(home, OPERATOR)
    home.close()
    assert verify(home.path / "audit").status == "verified"
    second = Cosigner.from_seed(home.manifest["log_name"], bytes(32), 6).vkey()
    words = ["audit", "verify", "--home", str(home.path), "--second-vkey", second, "--json"]
    done = CliRunner().invoke(cli, words)
    told = json.loads(done.stdout)
    assert (done.exit_code, told["second_signatures"]) == (17, 0)
    assert told["missing"] == ["no checkpoint bears a second signature"]
    (home.path / "audit" / SECOND_VKEY).write_text(second + "\n", encoding="ascii")
    assert verify(home.path / "audit").status == "incomplete"


def test_a_second_signature_that_does_not_verify_is_found(home: Home) -> None:
    set_second_signature(home, DPO, on=True, **DEMO)
    home = again(home)
    deliveries(home, OPERATOR)
    home = again(home)
    path = home.path / "audit" / CHECKPOINTS
    lines = path.read_text(encoding="utf-8").split("\n")
    at = max(number for number, line in enumerate(lines) if len(line) > 3000)
    raw = bytearray(base64.b64decode(lines[at].split(" ")[2]))
    raw[-1] ^= 1
    lines[at] = " ".join([*lines[at].split(" ")[:2], base64.b64encode(raw).decode()])
    path.write_text("\n".join(lines), encoding="utf-8")
    report = verify_trail(home)
    assert report.status == "tampered"
    assert "the second signature at size" in report.findings[0]
    # With a second key that somebody else has, none of them is checked, and that is said.
    other = Cosigner.from_seed("log.example/other", bytes(32), 6).vkey()
    assert (
        "one of another log" in verify(home.path / "audit", kept=Kept(second_vkey=other)).missing[0]
    )
    (home.path / "audit" / SECOND_VKEY).unlink()
    assert verify_trail(home).unchecked == [home.manifest["log_name"]]
    home.close()


@pytest.mark.parametrize("length", [80, 2_500, 40_000])
def test_a_checkpoint_has_room_for_lines_of_any_length_that_nobody_here_knows(
    home: Home, length: int
) -> None:
    """C2SP lets a signature be of any kind. A reader that cut the note would call it a crash."""
    deliveries(home, OPERATOR)
    home.close()
    folder = home.path / "audit"
    line = f"— future.example/kind {base64.b64encode(bytes(length)).decode()}\n"
    kept = list(notes((folder / CHECKPOINTS).read_text(encoding="utf-8")))
    (folder / CHECKPOINTS).write_text("", encoding="utf-8")
    for note in kept:
        append_note(folder / CHECKPOINTS, note + line)
    append_note(folder / WITNESSED, kept[-1] + line)
    text = (folder / CHECKPOINTS).read_text(encoding="utf-8")
    assert list(notes(text)) == [note + line for note in kept]
    assert "cut short" not in text
    verifier = Verifier.from_vkey(home.log_vkey())
    stated = Checkpoint.parse(verifier.open(kept[-1]))
    assert last_signed(folder, verifier) == stated
    assert verify(folder).status == "verified"
    told = check(arguments([str(folder), "--vkey", home.log_vkey()])).as_dict()
    assert told["status"] == "verified"
    home = again(home)
    deliveries(home, OPERATOR)
    home.close()
