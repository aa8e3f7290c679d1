"""What a commit makes true in other stores is made true, also when the process died right after it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlmodel import Session, select

from audit.verify import verify
from engine.flows.deliveries import receipt_of, release, withdraw
from engine.flows.home import Home
from engine.flows.incoming import Options
from engine.flows.lists import review_lists
from engine.flows.submit import submit
from engine.settings import Settings
from engine.store.tables import Delivery
from tests.builders.deliveries import COLUMNS, content, send, visit, visits_home
from tests.builders.partnership import OPERATOR, Clock, write_csv

STEPS = ("withdraw", "replace", "restore", "accept", "refuse")
FIRST = [visit("P1", "V1"), visit("P2", "V2", "WRONG"), *(visit("P3", f"V3{n}") for n in range(20))]
PAUSES = ', rows_max: "30"'


def _more(count: int) -> list[list[str]]:
    return [visit("P2", f"W{n}", "ASB") for n in range(count)]


def _do(home: Home, step: str, folder: Path) -> None:
    if step == "withdraw":
        withdraw(home, 1, OPERATOR)
    elif step == "replace":
        file = write_csv(folder / "again.csv", COLUMNS, _more(3))
        submit(home, file, agency="council", source="council.visits", actor=OPERATOR,
               options=Options(replaces=1))  # fmt: skip
    elif step == "restore":
        withdraw(home, 2, OPERATOR)
    else:
        release(home, 2, OPERATOR, accept=step == "accept")


def _prepared(folder: Path, step: str) -> Path:
    folder.mkdir()
    home = visits_home(folder / "home", extra=PAUSES)
    send(home, folder, "visits-1", FIRST)
    if step == "restore":
        _do(home, "replace", folder)
        assert _states(home) == ["replaced", "accepted"]
    if step in ("accept", "refuse"):
        file = write_csv(folder / "two.csv", COLUMNS, _more(40))
        made = submit(home, file, agency="council", source="council.visits", actor=OPERATOR,
                      options=Options(replaces=1))  # fmt: skip
        assert made["state"] == "paused"
        # It waits, so that what it corrects goes on counting.
        assert _states(home) == ["accepted", "paused"]
    home.close()
    return folder / "home"


def _states(home: Home) -> list[str]:
    with Session(home.casework) as session:
        return list(session.exec(select(Delivery.state).order_by(Delivery.number)).all())  # type: ignore[arg-type]


def _whole(home: Home, step: str) -> None:
    """Assert that what was taken back is nowhere, and that what came again is not set aside."""
    expected = {"withdraw": ["withdrawn"], "replace": ["replaced", "accepted"],
                "restore": ["accepted", "withdrawn"],
                "accept": ["replaced", "accepted"], "refuse": ["accepted", "refused"]}[step]  # fmt: skip
    assert _states(home) == expected
    with Session(home.casework) as session:
        rows = session.exec(select(Delivery)).all()
        kept = {one.id for one in rows if one.state in ("accepted", "replaced")}
    with home.vault.connect() as connection:
        for table in ("sealed_identity", "set_aside"):
            held = set(connection.exec_driver_sql(f"select delivery from {table}").scalars())
            assert held <= kept, table
    with home.linkage.connect() as connection:
        assert set(connection.exec_driver_sql("select delivery from encoding").scalars()) == kept
    assert {path.stem for path in (home.path / "warehouse" / "events").iterdir()} == kept
    people = {"withdraw": 0, "replace": 1, "restore": 2, "accept": 1, "refuse": 2}[step]
    assert len(content(home)) == people
    if step in ("restore", "refuse"):
        shown = receipt_of(home, OPERATOR, 1, "council", with_keys=False)
        assert len(shown["set_aside"]) == 1
    report = verify(home.path / "audit")
    assert (report.status, report.findings, report.open_intents) == ("verified", [], [])


_CHILD = """
import os, signal, sys
from pathlib import Path
from engine.flows.home import Home
from engine.settings import Settings
from tests.builders.partnership import Clock
from tests.functional.test_kill_deliveries import _do
path, step, arrow, folder = sys.argv[1:]
def stop(name):
    if name == arrow:
        os.kill(os.getpid(), signal.SIGKILL)
_do(Home(Path(path), Settings(), clock=Clock(), arrow=stop), step, Path(folder))
"""


def _arrows(folder: Path, step: str) -> list[str]:
    passed: list[str] = []
    home = Home(_prepared(folder, step), Settings(), clock=Clock(), arrow=passed.append)
    _do(home, step, folder)
    arrows = list(dict.fromkeys(passed))
    _whole(home, step)
    home.close()
    return arrows


@pytest.mark.deep
@pytest.mark.finding("AUD-18")
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_leaves_a_delivery_wholly_there_or_wholly_gone(tmp_path: Path, step: str) -> None:
    arrows = _arrows(tmp_path / "record", step)
    base = _prepared(tmp_path / "base", step)
    for arrow in arrows:
        path = tmp_path / arrow.replace(".", "-")
        shutil.copytree(base, path)
        killed = subprocess.run(
            [sys.executable, "-c", _CHILD, str(path), step, arrow, str(tmp_path)],
            cwd=Path(__file__).resolve().parents[2],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL, (arrow, killed.stderr[-2000:])
        again = Home(path, Settings(), clock=Clock())
        _settled(again, step, arrow, tmp_path)
        again.close()


def _settled(home: Home, step: str, arrow: str, folder: Path) -> None:
    # Another command comes first and settles what was left, also what it does not know itself.
    review_lists(home, None, auth="demo")
    if arrow.split(".")[1] not in ("committed", "outcome"):
        _do(home, step, folder)
    _whole(home, step)


@pytest.mark.parametrize(
    "step", ["withdraw", *(pytest.param(one, marks=pytest.mark.deep) for one in STEPS[1:])]
)
@pytest.mark.deep
def test_an_error_after_the_commit_is_followed_up(tmp_path: Path, step: str) -> None:
    arrows = _arrows(tmp_path / "record", step)
    base = _prepared(tmp_path / "base", step)
    for arrow in arrows:
        path = tmp_path / arrow.replace(".", "-")
        shutil.copytree(base, path)

        def stop(name: str, at: str = arrow) -> None:
            if name == at:
                raise KeyboardInterrupt

        home = Home(path, Settings(), clock=Clock(), arrow=stop)
        with pytest.raises(KeyboardInterrupt):
            _do(home, step, tmp_path)
        home.close()
        again = Home(path, Settings(), clock=Clock())
        _settled(again, step, arrow, tmp_path)
        again.close()
