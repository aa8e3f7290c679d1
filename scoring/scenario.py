"""Readable rows to the columns of scoring, and the straight line from columns to scores, in memory.

For worked examples and for the checks of harm, which a critic runs with invented people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scoring.graph import Exposure, exposure
from scoring.modulate import score_table
from scoring.plt import Links, link_table
from scoring.rfg import OwnEvidence, own_evidence
from scoring.tables import Ints, Tables
from scoring.visible import EVENT_COLUMNS, STATE_COLUMNS, Columns, visible_events, visible_states

OPEN_END = 2**31 - 1
SOURCE = 1


class Event(NamedTuple):
    """One person in one event; the day it was recorded is the day it happened unless said."""

    pid: int
    eid: int
    kind: str
    role: str
    day: int
    age: int = 1
    recorded: int | None = None
    source: int = SOURCE
    origin: int = 0


class State(NamedTuple):
    """One person in one place, from `start` on, and to `end` if it has one."""

    pid: int
    kind: str
    place: int
    start: int = 0
    end: int = OPEN_END
    recorded: int | None = None
    source: int = SOURCE


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a run computes."""

    events: Columns
    states: Columns
    evidence: OwnEvidence
    links: Links
    around: Exposure
    scores: Columns


def event_columns(rows: Iterable[Event], tables: Tables) -> Columns:
    """Return the raw columns of events, in the order of the rows."""
    found = [
        (
            row.pid,
            row.eid,
            tables.kinds[row.kind].id,
            tables.roles[row.role],
            row.day,
            row.day if row.recorded is None else row.recorded,
            row.source,
            row.origin,
            row.age,
        )
        for row in rows
    ]
    return _columns(found, EVENT_COLUMNS)


def state_columns(rows: Iterable[State], tables: Tables) -> Columns:
    """Return the raw columns of states, in the order of the rows."""
    found = [
        (
            row.pid,
            tables.kinds[row.kind].id,
            row.place,
            row.start,
            row.end,
            row.start if row.recorded is None else row.recorded,
            row.source,
        )
        for row in rows
    ]
    return _columns(found, STATE_COLUMNS)


def _columns(rows: Sequence[tuple[int, ...]], names: tuple[str, ...]) -> Columns:
    data = np.array(rows, np.int64).reshape(len(rows), len(names))
    return {name: data[:, place].copy() for place, name in enumerate(names)}


def retention_of(tables: Tables) -> Ints:
    """Return the retention days by kind id."""
    days = np.zeros(int(tables.gamma.shape[2]), np.int64)
    for kind in tables.kinds.values():
        days[kind.id] = kind.retention_days
    return days


def world(
    events: Iterable[Event],
    states: Iterable[State] = (),
    *,
    persons: int,
    as_of: int,
    bands: Iterable[int] | None = None,
    tables: Tables,
    admitted: Mapping[int, frozenset[int]] | None = None,
    sure: Iterable[int] | None = None,
) -> World:
    """Go the straight line from raw rows to scores, everybody under 18 unless `bands` says else.

    `sure` is how sure the match of each person is, in thousandths.
    """
    if admitted is None:
        admitted = {SOURCE: frozenset(kind.id for kind in tables.kinds.values())}
    seen = visible_events(
        event_columns(events, tables), as_of, admitted, retention_of(tables)
    ).columns
    held = visible_states(state_columns(states, tables), as_of, admitted).columns
    evidence = own_evidence(seen, persons, as_of, tables)
    parts = None if sure is None else np.array(list(sure), np.int64)
    links = link_table(seen, held, evidence, persons, as_of, tables, parts)
    ages = np.array([1] * persons if bands is None else list(bands), np.int64)
    around = exposure(links, evidence, ages, seen, tables)
    return World(seen, held, evidence, links, around, score_table(evidence, around, tables))
