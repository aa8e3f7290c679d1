"""How often the disk is waited for in one permitted read, counted by strace in a process of its own.

What is counted: every ``fdatasync``, ``fsync``, ``sync_file_range``, ``msync`` and ``syncfs`` of any thread,
between two marks round a `reveal`: the intent, the casework transaction with the reason, the vault, the
outcome and the receipt. ``write`` is not counted; what it leaves to the system is the checkpoint outside
the log's database, which is waited for once in some sixty batches and when the log is closed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

READS = 25
MARK = "/no-such-file-of-the-flush-count"
CALLS = ("fdatasync", "fsync", "sync_file_range", "msync", "syncfs", "sync")


def counted(reads: int = READS) -> list[int] | None:
    """Return the flushes of each read after the first, or None where strace is not installed."""
    strace = shutil.which("strace")
    if strace is None:
        return None
    traced = ",".join(f"?{name}" for name in (*CALLS, "access", "faccessat", "faccessat2"))
    with TemporaryDirectory(dir=Path.cwd()) as name:  # A folder of memory would flush nothing.
        out = Path(name) / "trace"
        subprocess.run(
            [
                *(strace, "-f", "-e", f"trace={traced}", "-o", str(out)),
                *(sys.executable, "-c"),
                f"from bench.flushes import read; read({str(Path(name) / 'home')!r}, {reads})",
            ],
            check=True,
        )
        return _between_marks(out.read_text(encoding="utf-8", errors="replace"))


def _between_marks(trace: str) -> list[int]:
    counts: list[int] = []
    for line in trace.split("\n"):
        call = line.partition(" ")[2].strip()
        if MARK in call:
            counts.append(0)
        elif counts and call.startswith(tuple(f"{name}(" for name in CALLS)):
            counts[-1] += 1
    return counts[
        1:-1
    ]  # The first read opens what the others find open; nothing follows the last mark.


def read(home: str, reads: int) -> None:
    """Make a home with one person and look at that person several times, with a mark round each."""
    from sqlmodel import Session, select

    from engine.flows.decision import Ask
    from engine.flows.link import link
    from engine.flows.reveal import reveal
    from engine.flows.submit import submit
    from engine.store.tables import SubjectState
    from tests.builders.partnership import OPERATOR, REASON, make_home, person_row, persons_file

    made = make_home(Path(home))
    file = persons_file(Path(home).parent / "persons.csv", person_row())
    submit(made, file, agency="council", source="council.persons", actor=OPERATOR)
    link(made, OPERATOR)
    with Session(made.casework) as session:
        person = session.exec(select(SubjectState)).one().person
    ask = Ask("demo.social_worker", "safeguard_child", "CASE-1", REASON, person)
    for _ in range(reads):
        os.access(MARK, os.F_OK)
        assert reveal(made, ask, auth="demo")["permitted"]
    os.access(MARK, os.F_OK)
    made.close()
