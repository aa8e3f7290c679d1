"""The anchor after a declared loss, and when it does not answer."""

import os
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit.anchor import Anchor, bounded, read_bounded
from audit.errors import AuditFault
from audit.event import make_event
from audit.kept import Kept
from audit.log import AuditLog
from audit.note import Signer
from audit.outside import CHECKPOINTS, Lost
from audit.report import Report
from audit.stranger import arguments, check
from audit.verify import verify

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SIGNER = Signer.from_bytes("log.example/anchored", bytes(range(32)))


class Place:
    """A log with an anchor that counts as being on another disk."""

    def __init__(self, base: Path) -> None:
        self.base, self.folder, self.there = base, base / "audit", base / "anchor.txt"
        self.number = 0
        AuditLog.create(self.folder, SIGNER.vkey())

    def anchor(self) -> Anchor:
        return Anchor(self.folder, self.there, lambda path: int(path == self.there))

    def log(self, *, recovering: bool = False) -> AuditLog:
        return AuditLog(self.folder, SIGNER, recovering=recovering, anchor=self.anchor())

    def grow(self, log: AuditLog, pairs: int) -> None:
        for _ in range(pairs):
            for phase in ("intent", "outcome"):
                log.append([self.event(phase)])
            self.number += 1

    def event(self, phase: str) -> dict[str, object]:
        return make_event(
            log=SIGNER.name,
            kind="config",
            phase=phase,
            flow="set",
            intent=f"i{self.number}",
            actor={"id": "a1", "org": "council"},
            now=NOW + timedelta(seconds=self.number),
            random=(2 * self.number + (phase == "outcome")).to_bytes(10, "big"),
            details={},
        )

    def put_back(self, copy: Path) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(copy, self.folder)

    def verify(self) -> Report:
        return verify(self.folder, vkey=SIGNER.vkey(), kept=Kept(anchor=self.anchor()))

    def stranger(self) -> str:
        words = [str(self.folder), "--vkey", SIGNER.vkey(), "--anchor", str(self.there)]
        return str(check(arguments(words)).as_dict()["status"])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def lost(place: Place) -> Place:
    """Forty events are lost and declared lost; four of the log are left and four come after."""
    log = place.log()
    place.grow(log, 2)
    log.close()
    shutil.copytree(place.folder, place.base / "old")
    log = place.log()
    place.grow(log, 20)
    log.close()
    for one in place.folder.glob("log.db*"):
        one.unlink()
    shutil.copy(place.base / "old" / "log.db", place.folder / "log.db")
    log = place.log(recovering=True)
    found = log.incident()
    assert found is not None
    incident, base = found
    place.grow(log, 1)
    log.declare_lost(Lost(base, incident.signed.size, incident.signed.root))
    log.close()
    return place


@pytest.mark.finding("AUD-18")
def test_a_folder_put_back_after_a_declared_loss_is_found_by_the_anchor_too(lost: Place) -> None:
    """What was signed after the loss is smaller than what was lost, and was not lost."""
    shutil.copytree(lost.folder, lost.base / "backup")
    log = lost.log()
    lost.grow(log, 3)
    log.close()
    lost.put_back(lost.base / "backup")
    with pytest.raises(AuditFault, match="FG-AUD-12"):
        lost.log()
    report = lost.verify()
    assert report.status == "tampered"
    assert "an anchored checkpoint attests size" in report.findings[0]
    copied = verify(lost.folder, vkey=SIGNER.vkey(), kept=Kept(files=(lost.there,)))
    assert copied.status == "tampered"
    assert lost.stranger() == "tampered"


def test_a_declared_loss_is_on_the_anchor_at_once_and_leaves_no_alarm(lost: Place) -> None:
    """Nobody has to write another event before it is copied."""
    assert lost.there.read_bytes() == (lost.folder / CHECKPOINTS).read_bytes()
    for _ in range(2):
        report = lost.verify()
        assert (report.status, report.findings, report.alarms) == ("incomplete", [], [])
        assert lost.stranger() == "incomplete"
        log = lost.log()
        lost.grow(log, 2)
        log.close()


def test_a_copy_from_before_the_loss_lags_and_contradicts_nothing(lost: Place) -> None:
    text = lost.there.read_text(encoding="utf-8")
    lost.there.write_text(text[: text.index("\nrecovered ")].rpartition("\n\n")[0] + "\n\n")
    report = lost.verify()
    assert (report.status, report.findings) == ("incomplete", [])
    assert report.alarms == ["the anchor lags: it does not know the last 2 events"]
    assert lost.stranger() == "incomplete"
    assert lost.anchor().copy() > 0
    assert lost.verify().alarms == []
    lost.log().close()


@pytest.fixture
def silent(place: Place) -> Iterator[Place]:
    """Nobody answers at the anchor: whoever opens it waits until the test ends."""
    os.mkfifo(place.there)
    yield place
    os.close(os.open(place.there, os.O_RDWR | os.O_NONBLOCK))  # Whoever waits there goes on.


def test_an_anchor_that_does_not_answer_is_an_alarm_and_nobody_waits_for_it(
    silent: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.anchor.WAIT_SECONDS", 0.05)
    found: list[Report] = []
    looking = threading.Thread(target=lambda: found.append(silent.verify()), daemon=True)
    looking.start()
    looking.join(60)
    assert found, "the verifier still waits"
    assert found[0].alarms == ["the checkpoints of the anchor are not there (TimeoutError)"]
    asked = verify(silent.folder, vkey=SIGNER.vkey(), kept=Kept(files=(silent.there,)))
    assert "the checkpoints of the anchor are not there (TimeoutError)" in asked.missing


def test_a_disk_whose_state_is_not_told_is_an_alarm(place: Place) -> None:
    free = threading.Event()

    def device(path: Path) -> int:
        if path == place.there:
            free.wait()
        return int(path == place.there)

    anchor = Anchor(place.folder, place.there, device)
    with pytest.raises(TimeoutError):
        anchor.alarm(wait=0.01)
    began = threading.active_count()
    with pytest.raises(TimeoutError):  # The one who waits is not joined by another one.
        anchor.alarm(wait=0.01)
    assert threading.active_count() == began
    free.set()


def test_a_slow_disk_that_goes_on_is_waited_for(place: Place) -> None:
    place.there.write_bytes(bytes(3 << 20))
    assert len(read_bounded(place.there)) == 3 << 20
    with pytest.raises(FileNotFoundError):
        read_bounded(place.base / "none")
    waits = threading.Event()

    def look(step):  # type: ignore[no-untyped-def]
        for _ in range(5):
            step()
            waits.wait(0.02)
        return "seen"

    assert bounded(place.base / "slow", look, wait=0.5) == "seen"
