"""Casework tables. No name of a person has a place here: people appear as casework pseudonyms."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    DateTime,
    LargeBinary,
    UniqueConstraint,
)
from sqlmodel import Field, SQLModel


def _moment(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=nullable))


def _json() -> Any:
    return Field(default_factory=dict, sa_column=Column(JSON, nullable=False), repr=False)


class FlowCommit(SQLModel, table=True):
    """The commit point of a flow: an intent with this row happened, one without it did not."""

    intent: str = Field(primary_key=True, max_length=40)
    flow: str = Field(max_length=40)
    committed_at: datetime = _moment()
    summary: dict[str, Any] = _json()


class Delivery(SQLModel, table=True):
    """An accepted delivery. The receipt is immutable; the raw bytes are kept nowhere."""

    id: str = Field(primary_key=True, max_length=40)
    number: int = Field(index=True, unique=True)
    agency: str = Field(max_length=64)
    source: str = Field(max_length=64)
    content_hash: str = Field(max_length=64)
    policy_version: str = Field(max_length=64)
    accepted_at: datetime = _moment()
    receipt: dict[str, Any] = _json()
    __table_args__ = (UniqueConstraint("agency", "source", "content_hash"),)


class LinkRun(SQLModel, table=True):
    """A published execution of linkage."""

    id: str = Field(primary_key=True, max_length=40)
    number: int = Field(index=True, unique=True)
    deliveries: int
    published_at: datetime = _moment()
    summary: dict[str, Any] = _json()


class ScoreRun(SQLModel, table=True):
    """A published, replayable scoring run as of a date."""

    id: str = Field(primary_key=True, max_length=40)
    number: int = Field(index=True, unique=True)
    as_of: str = Field(max_length=10)
    link_run: str = Field(max_length=40)
    policy_version: str = Field(max_length=64)
    published_at: datetime = _moment()
    manifest: dict[str, Any] = _json()


class ReviewItem(SQLModel, table=True):
    """A place on a review list and, once a human has decided, the outcome."""

    id: int | None = Field(default=None, primary_key=True)
    run: str = Field(max_length=40, index=True)
    list: str = Field(max_length=64)
    person: str = Field(max_length=80, index=True)
    rank: int
    score: int
    blind: bool
    outcome: str | None = Field(default=None, max_length=32)
    decided_by: str | None = Field(default=None, max_length=64)
    decided_at: datetime | None = _moment(nullable=True)
    __table_args__ = (
        CheckConstraint("(decided_by is null) = (decided_at is null)"),
        CheckConstraint("(decided_by is null) = (outcome is null)"),
    )


class SubjectState(SQLModel, table=True):
    """What trusted tables say of a person: flags ``y`` or ``n``; an absent flag is unknown."""

    person: str = Field(primary_key=True, max_length=80)
    link_run: str = Field(max_length=40)
    identified: bool
    flags: dict[str, Any] = _json()


class RecordFlag(SQLModel, table=True):
    """A flag somebody put on one record; it wins over the default of the record's source."""

    record: str = Field(primary_key=True, max_length=80)
    flag: str = Field(primary_key=True, max_length=32)
    value: str = Field(max_length=1)
    set_by: str = Field(max_length=64)
    set_at: datetime = _moment()


class Reveal(SQLModel, table=True):
    """A permitted disclosure: time-boxed, for one user, one person, one purpose."""

    id: str = Field(primary_key=True, max_length=40)
    user: str = Field(max_length=64)
    agency: str = Field(max_length=64)
    role: str = Field(max_length=64)
    purpose: str = Field(max_length=64)
    case_token: str = Field(max_length=64)
    person: str = Field(max_length=80)
    kind: str = Field(max_length=12)
    policy_version: str = Field(max_length=64)
    opened_at: datetime = _moment()
    expires_at: datetime = _moment()
    entry: int | None = None


class Reason(SQLModel, table=True):
    """Free text of a request, sealed; the trail holds only a salted commitment to it."""

    intent: str = Field(primary_key=True, max_length=40)
    commitment: str = Field(max_length=64)
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False), repr=False)


class Account(SQLModel, table=True):
    """A user's agency and role. In a demo home these are the demo identities."""

    user: str = Field(primary_key=True, max_length=64)
    label: str = Field(max_length=80)
    agency: str = Field(max_length=64)
    role: str = Field(max_length=64)
    purpose: str = Field(max_length=64)
    active: bool = True


class WebSession(SQLModel, table=True):
    """A signed-in browser; the table holds a hash of the cookie, never the cookie."""

    token_hash: str = Field(primary_key=True, max_length=64)
    user: str = Field(max_length=64)
    csrf: str = Field(max_length=64, repr=False)
    opened_at: datetime = _moment()
    expires_at: datetime = _moment()


class PolicyPointer(SQLModel, table=True):
    """The version of the policy that is active; anything else in the home's pack is a draft."""

    id: int = Field(default=1, primary_key=True)
    version: str = Field(max_length=64)
    activated_at: datetime = _moment()
    activated_by: str = Field(max_length=64)
    __table_args__ = (CheckConstraint("id = 1"),)
