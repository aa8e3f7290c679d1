"""A trail that was put back from a backup takes nothing, until two people declare what is lost."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from audit.canonical import parse
from audit.errors import AuditFault
from audit.log import AuditLog, read_events
from audit.note import Verifier
from audit.outside import CHECKPOINTS, INCIDENTS, WITNESSED, Lost, notes
from audit.place import Folder
from audit.stranger import arguments, check
from audit.tiles import verify_tiles
from audit.verify import verify
from engine.domain.errors import ConfigError, PolicyRefused
from engine.flows.deliveries import deliveries
from engine.flows.home import Home
from engine.flows.recover_log import recover_log
from engine.flows.submit import submit
from engine.flows.trail import verify_trail
from engine.flows.trail_notices import trail_notices
from engine.flows.trail_out import export_trail
from engine.web.app import create_app
from tests.builders.partnership import OPERATOR, person_row, persons_file

LEAD, DPO, OTHER = "demo.ig_lead", "demo.dpo", "demo.social_worker"
DEMO = {"auth": "demo"}


def _again(home: Home) -> Home:
    home.close()
    return Home(home.path, home.settings, home.clock, home.randomness, apart=False)


def _backup(home: Home, to: Path) -> None:
    with sqlite3.connect(home.path / "audit" / "log.db") as live, sqlite3.connect(to) as copy:
        live.backup(copy)
    live.close()
    copy.close()


def _restore(home: Home, backup: Path) -> Home:
    """Put an older copy of the database back; what was signed outside stays where it is."""
    home.close()
    for name in ("log.db", "log.db-wal", "log.db-shm"):
        (home.path / "audit" / name).unlink(missing_ok=True)
    shutil.copy(backup, home.path / "audit" / "log.db")
    return Home(home.path, home.settings, home.clock, home.randomness, apart=False)


def _rolled_back(home: Home, tmp_path: Path) -> tuple[Home, int, int]:
    """Return a home whose trail lost its newest events, and how many there are and had been."""
    deliveries(home, OPERATOR)
    left = verify(home.path / "audit").size
    _backup(home, tmp_path / "log.bak")
    for _ in range(3):
        deliveries(home, OPERATOR)
    signed = verify(home.path / "audit").size
    return _restore(home, tmp_path / "log.bak"), left, signed


@pytest.mark.finding("AUD-18")
def test_a_trail_put_back_from_a_backup_takes_nothing_and_says_so(
    home: Home, tmp_path: Path
) -> None:
    home, left, signed = _rolled_back(home, tmp_path)
    file = persons_file(tmp_path / "p.csv", person_row())
    for _ in range(2):
        with pytest.raises(AuditFault, match=f"FG-AUD-12.*{left} events and had signed {signed}"):
            submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    assert home.published() == {}
    (incident,) = notes((home.path / "audit" / INCIDENTS).read_text(encoding="utf-8"))
    vkey = (home.path / "audit" / "log.vkey").read_text(encoding="ascii")
    text = Verifier.from_vkey(vkey).open(incident)
    assert f"signed {signed} " in text
    assert f"found {left} " in text
    report = verify(home.path / "audit")
    assert report.status == "tampered"
    assert any("cut off" in one for one in report.findings)
    home.close()


def _told(home: Home) -> list[dict[str, str]]:
    return trail_notices(home, verify_trail(home))


def test_those_who_oversee_are_told_of_a_loss_where_they_look_first_and_what_became_of_it(
    home: Home, tmp_path: Path
) -> None:
    assert _told(home) == []
    deliveries(home, OPERATOR)
    with TestClient(create_app(home), base_url="http://127.0.0.1") as client:
        client.post("/sign-in", data={"user": LEAD})
        cookies = dict(client.cookies)
    home, left, signed = _rolled_back(home, tmp_path)
    with pytest.raises(AuditFault, match="FG-AUD-12"):
        deliveries(home, OPERATOR)
    (one,) = _told(home)
    assert f"had signed {signed} events and was found with {left}" in one["text"]
    assert "It takes no event" in one["text"]
    assert "fieldgate audit recover" in one["next"]
    # Whoever is signed in already reads it on the first page, although nothing can be written.
    with TestClient(create_app(home), base_url="http://127.0.0.1", cookies=cookies) as client:
        for address in ("/trail", "/trail/badge"):
            page = client.get(address)
            assert page.status_code == 200
            assert "The trail lost events" in page.text
    recover_log(home, LEAD, "restored", **DEMO)
    assert f"{LEAD} has declared it lost; another person has to confirm" in _told(home)[0]["text"]
    home = _again(home)
    recover_log(home, DPO, "restored", **DEMO)
    home = _again(home)
    deliveries(home, OPERATOR)
    (one,) = _told(home)
    assert one["text"].endswith("Two people have declared what was lost.")
    home.close()


@pytest.mark.finding("AUD-18")
def test_two_people_declare_the_loss_and_the_gap_stays_for_ever(home: Home, tmp_path: Path) -> None:
    home, left, signed = _rolled_back(home, tmp_path)
    with pytest.raises(PolicyRefused, match="FG-AUD-13"):
        recover_log(home, OTHER, "restored", **DEMO)
    with pytest.raises(PolicyRefused, match="FG-AUD-13"):
        recover_log(home, LEAD, "because I say so", **DEMO)
    told = recover_log(home, LEAD, "restored", **DEMO)
    assert (told["state"], told["left"], told["signed"]) == ("declared", left, signed)
    with pytest.raises(PolicyRefused, match="FG-AUD-15"):
        recover_log(home, LEAD, "restored", **DEMO)
    # Declared by one, it takes nothing yet.
    with pytest.raises(AuditFault, match="FG-AUD-12"):
        deliveries(home, OPERATOR)
    home = _again(home)
    assert recover_log(home, DPO, "restored", **DEMO)["state"] == "recovered"
    home = _again(home)
    for _ in range(4):
        deliveries(home, OPERATOR)
        report = verify(home.path / "audit")
        assert (report.status, report.findings) == ("incomplete", [])
        assert any(f"events {left} to {signed - 1} were lost" in one for one in report.missing)
    assert report.size > signed
    first = [parse(body) for seq, body in read_events(home.path / "audit") if seq >= left][::-1][0]
    assert (first["kind"], first["flow"], first["actor"]["id"]) == ("recovery", "recover_log", DPO)
    assert f"declared_by {LEAD}" in first["rules"]
    assert first["approvers"] == [LEAD]
    with pytest.raises(ConfigError, match="FG-AUD-14"):
        recover_log(home, LEAD, "restored", **DEMO)
    home.close()


@pytest.mark.finding("AUD-18")
def test_an_export_tells_of_the_gap_also_without_a_witness_and_without_any_file_beside_it(
    home: Home, tmp_path: Path
) -> None:
    home, left, signed = _rolled_back(home, tmp_path)
    kept = tmp_path / "kept.txt"  # What a partner kept of the events that are gone.
    kept.write_bytes((home.path / "audit" / CHECKPOINTS).read_bytes())
    for user in (LEAD, DPO):
        recover_log(home, user, "restored", **DEMO)
    home = _again(home)
    out = tmp_path / "out"
    done = export_trail(home, DPO, out, **DEMO)
    gap = f"events {left} to {signed - 1} were lost"
    assert [one for one in done["incomplete"] if gap in one]
    for beside in (True, False):
        if not beside:
            (out / WITNESSED).unlink()
        words = [str(out), "--vkey", home.log_vkey(), "--checkpoints", str(kept)]
        told = check(arguments(words)).as_dict()
        assert (told["status"], len([one for one in told["missing"] if gap in one])) == (
            "incomplete",
            1,
        )
        report = verify_tiles(Folder(out), Verifier.from_vkey(home.log_vkey()))
        assert (report.status, len([one for one in report.missing if gap in one])) == (
            "incomplete",
            1,
        )
    # And a log whose outside file was thrown away tells it too.
    (home.path / "audit" / CHECKPOINTS).write_text("", encoding="utf-8")
    assert any(gap in one for one in verify(home.path / "audit").missing)
    home.close()


def test_a_second_loss_after_a_recovery_is_another_incident(home: Home, tmp_path: Path) -> None:
    home, _, _ = _rolled_back(home, tmp_path)
    for user in (LEAD, DPO):
        recover_log(home, user, "disk", **DEMO)
    home = _again(home)
    home, left, signed = _rolled_back(home, tmp_path)
    with pytest.raises(AuditFault, match=f"FG-AUD-12.*{left} events and had signed {signed}"):
        deliveries(home, OPERATOR)
    for user in (LEAD, DPO):
        assert recover_log(home, user, "unknown", **DEMO)["left"] == left
    home = _again(home)
    deliveries(home, OPERATOR)
    report = verify(home.path / "audit")
    assert (report.status, report.findings) == ("incomplete", [])
    assert len([one for one in report.missing if "were lost" in one]) == 2
    home.close()


def test_another_history_of_the_same_length_is_refused_and_what_is_common_is_kept(
    home: Home, tmp_path: Path
) -> None:
    home, left, signed = _rolled_back(home, tmp_path)
    path = home.path / "audit" / CHECKPOINTS
    outside = path.read_bytes()
    # Somebody who holds the log key goes on from the backup, and puts the outside file back.
    home.use_log(home.recovering_log())
    for _ in range(6):
        deliveries(home, OPERATOR)
    path.write_bytes(outside)
    home = _again(home)
    with pytest.raises(AuditFault, match=f"FG-AUD-12.*the first {signed} events are not those"):
        deliveries(home, OPERATOR)
    assert recover_log(home, LEAD, "unknown", **DEMO)["left"] == left
    home.close()


def test_a_copy_put_back_under_a_process_that_goes_on_is_noticed(
    home: Home, tmp_path: Path
) -> None:
    deliveries(home, OPERATOR)
    _backup(home, tmp_path / "log.bak")
    deliveries(home, OPERATOR)
    with (
        sqlite3.connect(tmp_path / "log.bak") as copy,
        sqlite3.connect(home.path / "audit" / "log.db") as live,
    ):
        copy.backup(live)
    copy.close()
    live.close()
    with pytest.raises(AuditFault, match="FG-AUD-12"):
        deliveries(home, OPERATOR)
    home.close()


def test_a_declaration_that_the_log_key_did_not_sign_declares_nothing(
    home: Home, tmp_path: Path
) -> None:
    home, left, signed = _rolled_back(home, tmp_path)
    log: AuditLog = home.recovering_log()
    found = log.incident()
    assert found is not None
    log.close()
    line = Lost(left, signed, found[0].signed.root).line()
    path = home.path / "audit" / CHECKPOINTS
    first = path.read_text(encoding="utf-8").split("\n\n")[0]
    head, _, signature = first.partition("\n\n")
    with path.open("a", encoding="utf-8") as stream:
        stream.write(f"{head}\n{line}\n— {log.origin} AAAA\n\n")
    assert signature == ""
    with pytest.raises(AuditFault, match="FG-AUD-12"):
        deliveries(home, OPERATOR)
    assert verify(home.path / "audit").status == "tampered"
    home.close()


@pytest.mark.finding("AUD-18")
def test_the_newest_copy_put_back_makes_the_trail_whole_and_junk_hides_no_loss(
    home: Home, tmp_path: Path
) -> None:
    deliveries(home, OPERATOR)
    _backup(home, tmp_path / "old.bak")
    deliveries(home, OPERATOR)
    _backup(home, tmp_path / "new.bak")
    home = _restore(home, tmp_path / "old.bak")
    path = home.path / "audit" / CHECKPOINTS
    with path.open("a", encoding="utf-8") as stream:
        stream.write("nobody\n9\nAAAA\n\n— nobody AAAA\n\n" * 40)
    with pytest.raises(AuditFault, match="FG-AUD-12"):
        deliveries(home, OPERATOR)
    path.write_text(path.read_text(encoding="utf-8").split("nobody\n9")[0], encoding="utf-8")
    home = _restore(home, tmp_path / "new.bak")
    deliveries(home, OPERATOR)
    assert verify(home.path / "audit").status == "verified"
    assert (home.path / "audit" / INCIDENTS).exists()
    home.close()
