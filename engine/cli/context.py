"""Options that commands share, and the home and user they run in."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.output import os_user

if TYPE_CHECKING:
    from engine.domain.ids import Actor
    from engine.flows.home import Home

HomeOption = Annotated[Path | None, typer.Option("--home", help="Folder of the home.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
AsOption = Annotated[str | None, typer.Option("--as", help="Demo identity; demo homes only.")]


def open_home(path: Path | None) -> Home:
    """Open the home given by ``--home`` or ``FIELDGATE_HOME``."""
    from engine.domain.errors import ConfigError
    from engine.flows.home import Home
    from engine.settings import settings

    chosen = path or settings().home
    if chosen is None:
        raise ConfigError("FG-HOME-06", "no home was named", "Give --home DIR.")
    home = Home(chosen, settings())
    home.manifest  # noqa: B018  # refuses a folder that is no home
    return home


def operator(home: Home) -> Actor:
    """Return the operator of this command."""
    from engine.flows.setup import operator as make

    return make(home.profile, os_user())


def user_of(home: Home, as_user: str | None) -> tuple[str, str]:
    """Return (user, how established). ``--as`` works in a demo home only."""
    from engine.domain.errors import ConfigError

    if as_user is None:
        return os_user(), "demo" if home.is_demo else "os"
    if not home.is_demo:
        raise ConfigError(
            "FG-CLI-01",
            "--as works in a demo home only",
            "Run as the user who has the account.",
        )
    return as_user, "demo"


def day(text: str) -> date:
    """Return the date of an option: year-month-day, or ``today``."""
    from engine.domain.days import day_of
    from engine.domain.ids import system_clock

    return day_of(text, system_clock().date())
