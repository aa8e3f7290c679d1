"""Casework tables of the monitor of unusual access: keyed tokens, days, items, decisions; no name."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from engine.store.columns import json_column as _json
from engine.store.columns import moment as _moment


class MonitorMember(SQLModel, table=True):
    """Somebody of staff as the monitor of unusual access knows them: keyed tokens and nothing they said."""

    user: str = Field(primary_key=True, max_length=64)
    version: int
    tokens: dict[str, Any] = _json()
    team: str = Field(max_length=32)
    enrolled_at: datetime = _moment()
    enrolled_by: str = Field(max_length=64)


class MonitorSubject(SQLModel, table=True):
    """Keyed tokens of somebody who was looked at, under their audit pseudonym; deleted a while after."""

    subject: str = Field(primary_key=True, max_length=80)
    version: int
    tokens: dict[str, Any] = _json()
    last_day: str = Field(max_length=10)


class MonitorMark(SQLModel, table=True):
    """Somebody whose every access is looked at: publicly known, or a decoy that belongs to nobody."""

    subject: str = Field(primary_key=True, max_length=80)
    mark: str = Field(max_length=8)
    set_by: str = Field(max_length=64)
    set_at: datetime = _moment()
    __table_args__ = (CheckConstraint("mark in ('marked', 'decoy')"),)


class MonitorDay(SQLModel, table=True):
    """A day that the monitor judged, with counts by agency, role and team; no user and no person."""

    day: str = Field(primary_key=True, max_length=10)
    weights: str = Field(max_length=16)
    judged_at: datetime = _moment()
    counts: dict[str, Any] = _json()


class MonitorItem(SQLModel, table=True):
    """A place in the queue of unusual access: a user and a person, or a user's unusual days.

    `shape` holds signs with points, days, entries of the trail and counts. The person stands as an audit
    pseudonym, empty for days as a whole.
    """

    id: str = Field(primary_key=True, max_length=40)
    number: int = Field(index=True, unique=True)
    actor: str = Field(max_length=64, index=True)
    agency: str = Field(max_length=64)
    role: str = Field(max_length=64)
    team: str = Field(max_length=32)
    subject: str = Field(max_length=80)
    points: int
    shape: dict[str, Any] = _json()
    opened_at: datetime = _moment()
    state: str = Field(max_length=8, index=True)
    __table_args__ = (CheckConstraint("state in ('open', 'waiting', 'closed')"),)


class MonitorDecision(SQLModel, table=True):
    """What an officer decided about an item, and what a second person said of it; never changed after."""

    id: str = Field(primary_key=True, max_length=40)
    item: str = Field(max_length=40, index=True)
    outcome: str = Field(max_length=16)
    decided_by: str = Field(max_length=64)
    decided_at: datetime = _moment()
    second_by: str | None = Field(default=None, max_length=64)
    second_at: datetime | None = _moment(nullable=True)
    state: str = Field(max_length=8)
    __table_args__ = (
        CheckConstraint("outcome in ('explained', 'spoken_to', 'misuse', 'cannot_tell')"),
        CheckConstraint("state in ('waiting', 'final', 'rejected')"),
        CheckConstraint("(second_by is null) = (second_at is null)"),
        CheckConstraint("second_by is null or second_by <> decided_by"),
    )
