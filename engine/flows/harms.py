"""The report of known harms: what a critic would run, on the points and code that are in use."""

from __future__ import annotations

from typing import Any

import scoring.tables
from engine.flows.home import Home
from engine.flows.lists import latest_run
from scoring.harms import HOLDS, report
from scoring.hashes import code_hash


def harms(home: Home | None) -> dict[str, Any]:
    """Run every check of harm and return what each found; it reads no person.

    Args:
        home: A home, of which the newest run is told too; None for the tables that ship.

    Returns:
        One row per check; ``holds`` says whether all of them hold, and one that could not run does not.
        The people of the scenarios are invented.
    """
    tables = (
        home.tables if home is not None else scoring.tables.load_tables(scoring.tables.shipped())
    )
    found = report(tables)
    run = latest_run(home) if home is not None else None
    return {
        "synthetic": True,
        "tables": tables.hash,
        "code": code_hash(),
        "checks": found,
        "holds": all(one["state"] == HOLDS for one in found),
        "newest_run": None
        if run is None
        else {"run": run.number, "as_of": run.as_of, **run.manifest.get("network", {})},
    }
