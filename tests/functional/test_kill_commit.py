"""Kill the writer, or its disk, at every step of a commit: what was acknowledged stands in the log."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audit.canonical import parse
from audit.database import DATABASE
from audit.event import make_event
from audit.log import CHECKPOINTS, AuditLog, read_events
from audit.note import Signer
from audit.outside import CUT
from audit.verify import verify

ROOT = Path(__file__).resolve().parents[2]
SIGNER = Signer.from_bytes("log.example/kill", bytes(range(32)))
STATEMENTS = (
    "BEGIN IMMEDIATE",
    "INSERT INTO leaf",
    "DELETE FROM open_intent",
    "INSERT INTO open_intent",
    "UPDATE head",
    "INSERT INTO checkpoint",
    "COMMIT",
)
STEPS = (*STATEMENTS, "before the note", "inside the note", "after the note")


def event(intent: str, phase: str = "intent") -> dict[str, Any]:
    return make_event(
        log=SIGNER.name, kind="consultation", phase=phase, flow="show", intent=intent,
        actor={"id": "a1"}, now=datetime(2026, 3, 2, tzinfo=UTC), random=os.urandom(10), details={},
    )  # fmt: skip


class Dying(AuditLog):
    """A log whose process is killed when it comes to a step for the n-th time."""

    def __init__(self, folder: Path, step: str, after: int) -> None:
        super().__init__(folder, SIGNER)
        self._step, self._left = step, after
        if step in STATEMENTS:
            self._connection.set_trace_callback(
                lambda statement: self._pass(step) if statement.startswith(step) else None
            )

    def _pass(self, step: str) -> None:
        if step == self._step:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def _publish(self, note: str, *, wait: bool = True) -> None:
        self._pass("before the note")
        if self._step == "inside the note" and self._left == 1:
            with (self.folder / CHECKPOINTS).open("ab") as stream:
                stream.write(note.encode()[: len(note) // 2])
        self._pass("inside the note")
        super()._publish(note, wait=wait)
        self._pass("after the note")


CHILD = """
import os, sys, threading
from pathlib import Path
from tests.functional.test_kill_commit import Dying, event
folder, step, after, threads = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
log = Dying(folder, step, after)
def work(name):
    for number in range(10_000):
        intent = f"{os.getpid()}-{name}-{number}"
        for phase in ("intent", "outcome"):
            entry = log.append([event(intent, phase)])[0]
            os.write(1, f"{entry.seq} {intent} {phase}\\n".encode())
for name in range(threads):
    threading.Thread(target=work, args=(name,), daemon=True).start()
threading.Event().wait(60)
"""


def _child(folder: Path, step: str, after: int, threads: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), step, str(after), str(threads)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _holds(folder: Path, acknowledged: list[str]) -> None:
    """Assert that the log is whole, holds what was acknowledged where it was said to, and goes on."""
    report = verify(folder, vkey=SIGNER.vkey())
    assert report.findings == []
    stored = {seq: parse(body) for seq, body in read_events(folder)}
    assert sorted(stored) == list(range(report.size))
    for line in acknowledged:
        seq, intent, phase = line.split(" ")
        assert (stored[int(seq)]["intent"], stored[int(seq)]["phase"]) == (intent, phase)
    log = AuditLog(folder, SIGNER)
    for begun in log.open_intents():
        log.append([event(str(begun["intent"]), "outcome")])
    log.close()
    report = verify(folder, vkey=SIGNER.vkey())
    assert (report.status, report.findings) == ("verified", [])
    text = (folder / CHECKPOINTS).read_text(encoding="utf-8")
    assert text.endswith("\n\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    AuditLog.create(tmp_path / "audit", SIGNER.vkey())
    return tmp_path / "audit"


@pytest.mark.deep
@pytest.mark.finding("AUD-18")
@pytest.mark.parametrize("threads", [1, 6])
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_of_a_commit_loses_nothing_that_was_acknowledged(
    folder: Path, step: str, threads: int
) -> None:
    killed = _child(folder, step, 9, threads)
    out, err = killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL, err[-2000:]
    acknowledged = out.split("\n")[:-1]
    assert acknowledged
    _holds(folder, acknowledged)
    cut = CUT in (folder / CHECKPOINTS).read_text(encoding="utf-8")
    assert cut == (step == "inside the note")


@pytest.mark.deep
def test_two_processes_killed_at_any_moment_lose_nothing_that_they_acknowledged(
    folder: Path,
) -> None:
    acknowledged: list[str] = []
    for lines in (3, 17, 40):
        pair = [_child(folder, "never", 0, 4) for _ in range(2)]
        for child in pair:
            assert child.stdout is not None
            acknowledged += [child.stdout.readline().rstrip("\n") for _ in range(lines)]
            child.kill()
        for child in pair:
            out, _ = child.communicate(timeout=60)
            acknowledged += out.split("\n")[:-1]
    assert len(acknowledged) >= 120
    _holds(folder, acknowledged)


# A disk that fails while it is written to

FAILING = """
import json, sys, time
from pathlib import Path
from audit.errors import AuditFault
from audit.log import AuditLog
from tests.functional.test_kill_commit import SIGNER, event
log = AuditLog(Path(sys.argv[1]), SIGNER)
told = []
for number in range(int(sys.argv[2])):
    began = time.monotonic()
    try:
        code, seq = "", log.append([event(f"i{number}")])[0].seq
    except AuditFault as fault:
        code, seq = fault.code, -1
    told.append((code, seq, time.monotonic() - began))
print(json.dumps(told))
"""


def _failing(folder: Path, calls: int, *prefix: str) -> list[tuple[str, int, float]]:
    done = subprocess.run(
        [*prefix, sys.executable, "-c", FAILING, str(folder), str(calls)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[tuple[str, int, float]] = json.loads(done.stdout.strip().split("\n")[-1])
    return found


def _refused_from_some_call_on(told: list[tuple[str, int, float]]) -> list[str]:
    """Assert that calls were answered, then refused to the last one and at once; return what was answered."""
    codes = [code for code, _, _ in told]
    first = codes.index("FG-AUD-02")
    assert first >= 1
    assert set(codes[:first]) == {""}
    assert set(codes[first:]) == {"FG-AUD-02"}
    assert max(spent for _, _, spent in told) < 3
    return [f"{seq} i{number} intent" for number, (_, seq, _) in enumerate(told[:first])]


@pytest.mark.deep
@pytest.mark.finding("AUD-5")
@pytest.mark.parametrize(
    ("file", "call", "error"),
    [
        ("log.db-wal", "pwrite64", "EROFS"),
        ("log.db-wal", "pwrite64", "ENOSPC"),
        ("log.db-wal", "pwrite64", "EIO"),
        ("log.db-wal", "fdatasync", "EIO"),
        (CHECKPOINTS, "write", "ENOSPC"),
        (CHECKPOINTS, "openat", "EROFS"),
        (CHECKPOINTS, "openat", "EMFILE"),
    ],
)
def test_a_disk_that_fails_in_the_middle_refuses_every_call_from_then_on(
    folder: Path, file: str, call: str, error: str
) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    tail = ("-P", str(folder / file), "-e", f"trace={call}")
    from_call = 60 if call == "pwrite64" else 6  # A commit writes several pages.
    fault = ("-e", f"inject={call}:error={error}:when={from_call}+")
    answered = _refused_from_some_call_on(
        _failing(folder, 20, strace, "-f", "-o", os.devnull, *tail, *fault)
    )
    _holds(folder, answered)


@pytest.mark.deep
@pytest.mark.finding("AUD-5")
def test_a_full_disk_refuses_keeps_what_it_had_and_goes_on_when_there_is_room(
    tmp_path: Path, folder: Path
) -> None:
    unshare = shutil.which("unshare")
    alone = [unshare or "", "--user", "--map-root-user", "--mount"]
    if unshare is None or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:  # fmt: skip
        pytest.skip("no mounts of one's own here")
    small, kept = tmp_path / "small", tmp_path / "kept"
    small.mkdir()
    script = 'mount -t tmpfs -o size=400k none "$1" && cp -r "$2" "$1/audit" && shift 2 && "$@"'
    after = f'; code=$?; cp -r "{small}/audit" "{kept}"; exit $code'
    told = _failing(
        small / "audit", 80, *alone, "sh", "-c", script + after, "sh", str(small), str(folder)
    )
    answered = _refused_from_some_call_on(told)
    assert len(answered) > 5
    _holds(kept, answered)


@pytest.mark.finding("AUD-5")
def test_a_log_that_may_only_be_read_takes_no_event(folder: Path) -> None:
    log = AuditLog(folder, SIGNER)
    log.append([event("before")])
    log._connection.execute("PRAGMA query_only=ON")
    with pytest.raises(Exception, match="FG-AUD-02"):
        log.append([event("after")])
    log._connection.execute("PRAGMA query_only=OFF")
    assert log.append([event("after")])[0].seq == 1
    log.close()
    assert (folder / DATABASE).is_file()
