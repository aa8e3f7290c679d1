"""A partnership in a folder: homes with a fixed clock and seeded chance, and readable deliveries."""

from __future__ import annotations

import atexit
import csv
import random
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import gateways.load
import policies.load
from engine.city.agencies import FILES, City, write_city
from engine.domain.ids import Actor, Randomness
from engine.flows.home import Home
from engine.flows.link import link
from engine.flows.score import score
from engine.flows.setup import init
from engine.flows.submit import submit
from engine.settings import Settings

TODAY = date(2026, 11, 25)
OPERATOR = Actor("operator", "host", "operator", "demo")
REASON = "Strategy discussion today; need to know which services know this child."


@dataclass
class Clock:
    """A clock that stands still until it is told to move."""

    now: datetime = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the present moment."""
        return self.now

    def advance(self, **parts: int) -> None:
        """Move on by a timedelta's parts."""
        self.now += timedelta(**parts)


def seeded(seed: int) -> Randomness:
    """Return repeatable chance; never for anything but tests."""
    return random.Random(seed).randbytes


_MADE: dict[tuple[Any, ...], tuple[Path, random.Random]] = {}
"""Homes as `init` made them, with the chance that is left: making one takes a second, copying it little."""


def _made(seed: int, now: datetime) -> tuple[Path, random.Random]:
    """Return a home that nobody opens, made once in this process, and where its chance stood then."""
    # A test may ship another policy.
    key = (seed, now, policies.load.shipped(), gateways.load.shipped())
    if key not in _MADE:
        folder = Path(tempfile.mkdtemp(prefix="fieldgate-homes-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        chance = random.Random(seed)
        init(
            folder / "home",
            "demo",
            Settings(passphrase=None),
            "operator",
            log_key_folder=None,
            clock=Clock(now),
            randomness=chance.randbytes,
        ).close()
        _MADE[key] = folder / "home", chance
    return _MADE[key]


def make_home(path: Path, *, seed: int = 1, clock: Callable[[], datetime] | None = None) -> Home:
    """Make a demo home that does all in one process, as many tests make many."""
    clock = clock or Clock()
    made, chance = _made(seed, clock())
    if path.exists():
        path.rmdir()
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(made, path, symlinks=True)
    mine = random.Random()
    mine.setstate(chance.getstate())
    home = Home(path.resolve(), Settings(passphrase=None), clock, mine.randbytes)
    home.apart = False
    return home


def link_elsewhere(home: Home) -> dict[str, Any]:
    """Link as a command does, in a process that may hold the linkage key; one that serves may not."""
    other = Home(home.path, home.settings, home.clock, home.randomness, apart=False)
    result = link(other, OPERATOR)
    other.close()
    return result


@dataclass
class Partnership:
    """A home in which a tiny city was accepted, linked and scored."""

    home: Home
    city: City
    receipts: dict[str, dict[str, object]] = field(default_factory=dict)


def make_partnership(folder: Path, *, seed: int = 1) -> Partnership:
    """Make a home and run the line over a tiny city."""
    home = make_home(folder / "home", seed=seed)
    city = write_city(folder / "city", "tiny", 7, TODAY)
    made = Partnership(home, city)
    for source, (agency, _) in FILES.items():
        made.receipts[source] = submit(
            home, city.file(source), agency=agency, source=source, actor=OPERATOR
        )
    link(home, OPERATOR)
    score(home, TODAY, OPERATOR)
    return made


PERSON_COLUMNS = (
    *("PersonID", "NHSNumber", "Forename", "Surname", "KnownAs", "BirthDate", "Gender", "Address"),
    *("Postcode", "HouseholdRef", "HouseholdFrom", "HouseholdTo", "CareHomeRef", "CareHomeFrom"),
    *("ProtectedAddress", "RecordedOn"),
)


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[str]]) -> Path:
    """Write a CSV file and return its path."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def person_row(**changes: str) -> list[str]:
    """Return a row of the council's person file; obviously invented, changed where asked."""
    row = {
        "PersonID": "LA1",
        "NHSNumber": "",
        "Forename": "Testina",
        "Surname": "Fakename",
        "KnownAs": "",
        "BirthDate": "2012-03-04",
        "Gender": "Female",
        "Address": "1 Lantern Street",
        "Postcode": "TL1 0AA",
        "HouseholdRef": "H1",
        "HouseholdFrom": "2020-01-01",
        "HouseholdTo": "",
        "CareHomeRef": "",
        "CareHomeFrom": "",
        "ProtectedAddress": "N",
        "RecordedOn": "2026-11-01",
        **changes,
    }
    return [row[name] for name in PERSON_COLUMNS]


def persons_file(path: Path, *rows: list[str]) -> Path:
    """Write a council person file."""
    return write_csv(path, PERSON_COLUMNS, rows)
