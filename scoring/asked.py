"""What a job asks for, read once: its day, what may be used, and which themes can be scored at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scoring.tables import Ints, Tables, load_tables, narrowed


@dataclass(frozen=True, slots=True)
class Asked:
    """The settings of a run.

    Attributes:
        as_of: Day of the run.
        admitted: Source number to the kind ids that may be used today.
        retention: Days that each kind id is kept in use; 0 is never.
        scored: Themes that are scored.
        not_scored: Why another theme is not.
    """

    as_of: int
    admitted: dict[int, frozenset[int]]
    retention: Ints
    scored: tuple[str, ...]
    not_scored: dict[str, str]


def asked_of(job: dict[str, Any], tables: Tables) -> Asked:
    """Return the settings of a job."""
    admitted = {int(source): frozenset(kinds) for source, kinds in job["admitted"].items()}
    retention = np.zeros(int(tables.gamma.shape[2]), np.int64)
    for kind in tables.kinds.values():
        retention[kind.id] = kind.retention_days
    # A source of which nothing may be used today is as silent as one that was never loaded.
    heard = {name for number, name in job["sources"].items() if admitted.get(int(number))}
    # One that is late stops what depends on it; what it once said still holds for the rest.
    heard -= set(job.get("late", []))
    scored, not_scored = _themes(tables, heard, job.get("themes", tables.themes))
    return Asked(int(job["as_of"]), admitted, retention, scored, not_scored)


def tables_of(job: dict[str, Any]) -> Tables:
    """Return the tables of a job, narrowed to the themes and links of its purpose."""
    tables = load_tables(Path(job["tables"]))
    links = [one.name for one in tables.links]
    return narrowed(tables, job.get("themes", tables.themes), job.get("links", links))


def _themes(
    tables: Tables, heard: set[str], wanted: Iterable[str]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the themes that are scored, and why another of those wanted is not."""
    mine = [theme for theme in tables.themes if theme in set(wanted)]
    missing = {theme: sorted(set(tables.required_sources[theme]) - heard) for theme in mine}
    scored = tuple(theme for theme in mine if not missing[theme])
    silent = {
        theme: "not scored: no data from " + ", ".join(names)
        for theme, names in missing.items()
        if names
    }
    return scored, silent
