"""Kill the job at each arrow and run it again: nothing half done, nothing lost, the trail verifies."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlmodel import Session, select

from audit.verify import verify
from engine.domain.errors import FieldgateError
from engine.flows.decision import Ask
from engine.flows.home import Home
from engine.flows.link import link
from engine.flows.lists import review_lists
from engine.flows.reveal import reveal
from engine.flows.score import score
from engine.flows.submit import submit
from engine.linkage.index import current_membership
from engine.settings import Settings
from engine.store.tables import Delivery, LinkRun, Reveal, ScoreRun, SubjectState
from tests.builders.partnership import (
    OPERATOR,
    REASON,
    TODAY,
    Clock,
    make_home,
    person_row,
    persons_file,
)

STEPS = ("submit", "link", "score", "reveal")


def _do(home: Home, step: str, file: Path) -> None:
    if step == "submit":
        submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    elif step == "link":
        link(home, OPERATOR)
    elif step == "score":
        score(home, TODAY, OPERATOR)
    else:
        with Session(home.casework) as session:
            person = session.exec(select(SubjectState)).all()[0].person
        reveal(
            home,
            Ask("demo.social_worker", "safeguard_child", "CASE-1", REASON, person),
            auth="demo",
        )


def _file(folder: Path) -> Path:
    rows = [
        person_row(PersonID="LA1", Forename="Ada"),
        person_row(PersonID="LA2", Forename="Bertha", BirthDate="2013-01-02"),
        person_row(PersonID="LA3", Forename="Ada"),
    ]
    return persons_file(folder / "p.csv", *rows)


def _prepared(folder: Path, step: str) -> Path:
    """Make a home in which everything before `step` is done."""
    home = make_home(folder / "home")
    for earlier in STEPS[: STEPS.index(step)]:
        _do(home, earlier, _file(folder))
    home.close()
    return folder / "home"


def _arrows(folder: Path, step: str) -> list[str]:
    passed: list[str] = []
    home = Home(_prepared(folder, step), Settings(), clock=Clock(), arrow=passed.append)
    _do(home, step, _file(folder))
    home.close()
    return list(dict.fromkeys(passed))


def _whole(home: Home, step: str) -> None:
    """Assert that a home is as if nothing had ever gone wrong."""
    with Session(home.casework) as session:
        deliveries = [row.id for row in session.exec(select(Delivery)).all()]
        link_runs = [row.id for row in session.exec(select(LinkRun)).all()]
        score_runs = [row.id for row in session.exec(select(ScoreRun)).all()]
        reveals = session.exec(select(Reveal)).all()
    assert len(deliveries) == 1
    done = STEPS.index(step)
    assert len(link_runs) == (1 if done >= 1 else 0)
    assert len(score_runs) == (1 if done >= 2 else 0)
    assert len(reveals) in ((1, 2) if done >= 3 else (0,))
    with home.vault.connect() as connection:
        sealed = connection.exec_driver_sql("select record_id, delivery from sealed_identity").all()
        keys = connection.exec_driver_sql("select delivery from record_key").all()
    assert len(sealed) == len(keys) == 3
    assert {row.delivery for row in [*sealed, *keys]} == set(deliveries)
    with home.linkage.connect() as connection:
        encoded = connection.exec_driver_sql("select delivery from encoding").all()
        runs = connection.exec_driver_sql("select from_run, to_run from membership").all()
    assert [row.delivery for row in encoded] == deliveries * 3
    assert {row.from_run for row in runs} <= set(link_runs)
    assert {row.to_run for row in runs} <= {None}
    kept = home.path / "linkage" / "pairs"
    assert {path.stem for path in kept.glob("*")} == set(link_runs)
    if done >= 1:
        assert len(set(current_membership(home.linkage, home.link_runs()).values())) == 2
    warehouse = home.path / "warehouse"
    assert sorted(path.stem for path in (warehouse / "events").iterdir()) == deliveries
    if done >= 2:
        assert sorted(path.name for path in (warehouse / "runs").iterdir()) == score_runs
        assert review_lists(home, None, auth="demo")["run"] == score_runs[0]
    assert list((home.path / "staging").iterdir()) == []
    report = verify(home.path / "audit")
    assert (report.status, report.findings, report.open_intents) == ("verified", [], [])


_CHILD = """
import os, signal, sys
from pathlib import Path
from engine.flows.home import Home
from engine.settings import Settings
from tests.builders.partnership import Clock
from tests.functional.test_kill_matrix import _do
home_path, step, arrow, file = sys.argv[1:]
def stop(name):
    if name == arrow:
        os.kill(os.getpid(), signal.SIGKILL)
home = Home(Path(home_path), Settings(), clock=Clock(), arrow=stop)
_do(home, step, Path(file))
"""


@pytest.mark.deep
@pytest.mark.finding("AUD-18")
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_arrow_leaves_nothing_half_done(tmp_path: Path, step: str) -> None:
    arrows = _arrows(tmp_path / "record", step) if (tmp_path / "record").mkdir() is None else []
    assert len(arrows) >= 5
    (tmp_path / "base").mkdir()
    base = _prepared(tmp_path / "base", step)
    file = _file(tmp_path)
    for arrow in arrows:
        path = tmp_path / arrow.replace(".", "-")
        shutil.copytree(base, path)
        killed = subprocess.run(
            [sys.executable, "-c", _CHILD, str(path), step, arrow, str(file)],
            cwd=Path(__file__).resolve().parents[2],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL, (arrow, killed.stderr[-2000:])
        assert verify(path / "audit").status == "incomplete", arrow
        again = Home(path, Settings(), clock=Clock())
        happened = arrow.split(".")[1] in ("committed", "vault", "outcome")
        _repeat(again, step, file, happened=happened)
        _whole(again, step)
        again.close()


def _repeat(home: Home, step: str, file: Path, *, happened: bool) -> None:
    """Run again what a user would run again; a run that had happened is not wanted twice."""
    # Another command comes first and settles what was left, also what it does not know itself.
    review_lists(home, None, auth="demo")
    if happened and step in ("link", "score"):
        return
    _do(home, step, file)


@pytest.mark.deep
@pytest.mark.parametrize("step", STEPS)
def test_an_interrupt_at_any_arrow_takes_back_what_was_begun(tmp_path: Path, step: str) -> None:
    (tmp_path / "record").mkdir()
    arrows = _arrows(tmp_path / "record", step)
    (tmp_path / "base").mkdir()
    base = _prepared(tmp_path / "base", step)
    file = _file(tmp_path)

    def interrupt(at: str) -> Callable[[str], None]:
        def arrow(name: str) -> None:
            if name == at:
                raise KeyboardInterrupt

        return arrow

    for name in arrows:
        path = tmp_path / name.replace(".", "-")
        shutil.copytree(base, path)
        home = Home(path, Settings(), clock=Clock(), arrow=interrupt(name))
        with pytest.raises(KeyboardInterrupt):
            _do(home, step, file)
        assert verify(path / "audit").status == "verified", name
        home.close()
        again = Home(path, Settings(), clock=Clock())
        happened = name.split(".")[1] in ("committed", "vault", "outcome")
        _repeat(again, step, file, happened=happened)
        _whole(again, step)
        again.close()


def test_two_processes_do_not_settle_each_others_live_flows(tmp_path: Path) -> None:
    """While one flow runs, another opens the home: the first is not taken for dead."""
    home = make_home(tmp_path / "home")
    other = Home(tmp_path / "home", Settings(), clock=Clock())
    seen: list[str] = []

    def meanwhile(name: str) -> None:
        if name == "submit.warehouse" and not seen:
            seen.append(name)
            with pytest.raises(FieldgateError, match="FG-LNK-03"):
                link(other, OPERATOR)

    home.arrow = meanwhile
    _do(home, "submit", _file(tmp_path))
    home.arrow = lambda name: None
    assert seen
    _whole(home, "submit")
    home.close()
    other.close()
