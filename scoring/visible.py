"""The as-of filter: which events and states a run may look at, and why the others are left out.

An event is visible at A when it happened and was recorded by A, its source and kind are admitted
today, its kind is within retention, and its record belongs to a person of the run (scoring.md 1.3).
In = kept + dropped by reason, asserted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scoring.errors import ScoringFault

Ints = npt.NDArray[np.int64]
Columns = dict[str, Ints]

ORIGIN_ENGINE, ORIGIN_REVIEW = 1, 3
ECHO_DAYS = 365
"""Days from its recording in which what a review by a list found carries no points (T1)."""
EVENT_COLUMNS = (
    "pid",
    "eid",
    "kind",
    "role",
    "day",
    "recorded",
    "source",
    "origin",
    "age",
)
STATE_COLUMNS = ("pid", "kind", "place", "start", "end", "recorded", "source")


@dataclass(frozen=True, slots=True)
class Visible:
    """Visible rows sorted by person, and the number of rows dropped for each reason."""

    columns: Columns
    dropped: Mapping[str, int]


def visible_events(
    columns: Columns,
    as_of: int,
    admitted: Mapping[int, frozenset[int]],
    retention: Ints,
) -> Visible:
    """Filter events.

    Args:
        columns: int64 columns `EVENT_COLUMNS`; ``pid`` is -1 for a record without a person and -2
            for a record that is restricted or embargoed. Days count from 1970-01-01.
        as_of: Day of the run.
        admitted: Source number to the kind ids that may be used today.
        retention: Days that each kind id is kept in use; 0 is never.

    Returns:
        Rows sorted by (pid, day, eid, kind, role), exact duplicates removed.

    Raises:
        ScoringFault: ``FG-RUN-03`` when the counts do not reconcile.
    """
    open_rows, dropped = admit(columns, as_of, admitted, retention)
    kept = {name: column[open_rows] for name, column in columns.items()}
    result, dropped["duplicate"] = arranged(kept)
    _reconcile(len(columns["pid"]), len(result["pid"]), dropped)
    return Visible(result, dropped)


def admit(
    columns: Columns,
    as_of: int,
    admitted: Mapping[int, frozenset[int]],
    retention: Ints,
) -> tuple[npt.NDArray[np.bool_], dict[str, int]]:
    """Return which rows of events a run may look at, and how many it may not, by their first reason.

    Args:
        columns: As of `visible_events`.
        as_of: Day of the run.
        admitted: Source number to the kind ids that may be used today.
        retention: Days that each kind id is kept in use; 0 is never.
    """
    age_days = as_of - columns["day"]
    kept_days = _kept_days(columns["kind"], retention)
    return _open(
        len(columns["pid"]),
        {
            "restricted": columns["pid"] == -2,
            "no_person": columns["pid"] == -1,
            "from_engine": columns["origin"] == ORIGIN_ENGINE,
            "found_in_review": (columns["origin"] == ORIGIN_REVIEW)
            & (as_of - columns["recorded"] < ECHO_DAYS),
            "in_the_future": age_days < 0,
            "not_recorded_yet": columns["recorded"] > as_of,
            "not_admitted": ~_admitted(columns, admitted),
            "past_retention": (age_days > kept_days) | (kept_days == 0),
        },
    )


def arranged(kept: Columns) -> tuple[Columns, int]:
    """Return admitted rows sorted by (pid, day, eid, kind, role), and how many were told twice."""
    names = ("role", "kind", "eid", "day", "pid")
    # Which of two duplicates stays must not hang on the order of files: a known age before an
    # unknown one, under 18 before over, so that somebody stays a child.
    choice = [kept["origin"], kept["source"], kept["recorded"], (kept["age"] - 1) % 3]
    order = np.lexsort([*choice, *(kept[name] for name in names)])
    ordered = {name: kept[name][order] for name in EVENT_COLUMNS}
    same = np.ones(len(order), dtype=bool)
    same[:1] = False
    for name in names:
        same[1:] &= ordered[name][1:] == ordered[name][:-1]
    return {name: column[~same] for name, column in ordered.items()}, int(same.sum())


def visible_states(columns: Columns, as_of: int, admitted: Mapping[int, frozenset[int]]) -> Visible:
    """Filter states to those that hold on `as_of`; an open end is stored as the largest day."""
    reasons = {
        "restricted": columns["pid"] == -2,
        "no_person": columns["pid"] == -1,
        "not_recorded_yet": columns["recorded"] > as_of,
        "not_admitted": ~_admitted(columns, admitted),
        "not_now": (columns["start"] > as_of) | (columns["end"] < as_of),
    }
    open_rows, dropped = _open(len(columns["pid"]), reasons)
    kept = {name: column[open_rows] for name, column in columns.items()}
    order = np.lexsort([kept[name] for name in ("start", "place", "kind", "pid")])
    result = {name: kept[name][order] for name in STATE_COLUMNS}
    _reconcile(len(columns["pid"]), len(result["pid"]), dropped)
    return Visible(result, dropped)


def _kept_days(kind: Ints, retention: Ints) -> Ints:
    """Return the retention of each row's kind; a kind that the tables do not know has none."""
    known = (kind >= 0) & (kind < len(retention))
    return np.where(known, retention[np.where(known, kind, 0)], 0)


def _admitted(columns: Columns, admitted: Mapping[int, frozenset[int]]) -> npt.NDArray[np.bool_]:
    allowed = np.zeros(len(columns["pid"]), dtype=bool)
    for source, kinds in admitted.items():
        of_source = columns["source"] == source
        allowed |= of_source & np.isin(columns["kind"], sorted(kinds))
    return allowed


def _open(
    rows: int, reasons: Mapping[str, npt.NDArray[np.bool_]]
) -> tuple[npt.NDArray[np.bool_], dict[str, int]]:
    """Give each dropped row to its first reason, so that the counts add up."""
    open_rows = np.ones(rows, dtype=bool)
    dropped = {}
    for name, mask in reasons.items():
        dropped[name] = int((open_rows & mask).sum())
        open_rows &= ~mask
    return open_rows, dropped


def _reconcile(total: int, kept: int, dropped: Mapping[str, int]) -> None:
    if total != kept + sum(dropped.values()):
        raise ScoringFault(
            "FG-RUN-03",
            "the rows of a run do not reconcile",
            "Report this fault; no score stands.",
        )
