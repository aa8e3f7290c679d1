"""Casework tables. No name of a person has a place here: people appear as casework pseudonyms."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from engine.store.columns import json_column as _json
from engine.store.columns import moment as _moment


class FlowCommit(SQLModel, table=True):
    """The commit point of a flow: an intent with this row happened, one without it did not."""

    intent: str = Field(primary_key=True, max_length=40)
    flow: str = Field(max_length=40)
    committed_at: datetime = _moment()
    summary: dict[str, Any] = _json()


class Delivery(SQLModel, table=True):
    """A delivery. The receipt is immutable; the raw bytes are kept nowhere.

    `state` says whether it counts: ``accepted`` does; ``paused`` waits for a person's release;
    ``refused`` was not released; ``withdrawn`` was taken back, and with it everything it brought.
    ``replaced`` stood as `stood` until the correction `replaced_by` came, and stands so again when that
    one is withdrawn.
    `plain` is false when later or earlier deliveries have to be read together with it.
    """

    id: str = Field(primary_key=True, max_length=40)
    number: int = Field(index=True, unique=True)
    agency: str = Field(max_length=64)
    source: str = Field(max_length=64)
    content_hash: str = Field(max_length=64)
    policy_version: str = Field(max_length=64)
    accepted_at: datetime = _moment()
    receipt: dict[str, Any] = _json()
    state: str = Field(default="accepted", max_length=12)
    mode: str = Field(default="delta", max_length=8)
    window_first: int | None = None
    window_last: int | None = None
    plain: bool = True
    history: bool = False
    decided_by: str | None = Field(default=None, max_length=64)
    decided_at: datetime | None = _moment(nullable=True)
    stood: str | None = Field(default=None, max_length=12)
    replaced_by: str | None = Field(default=None, max_length=40, index=True)
    __table_args__ = (
        UniqueConstraint("agency", "source", "content_hash"),
        CheckConstraint("state in ('accepted', 'paused', 'refused', 'withdrawn', 'replaced')"),
    )


class DeliveryDetail(SQLModel, table=True):
    """What only the sending agency is told of its delivery, sealed: its own key of each row found."""

    delivery: str = Field(primary_key=True, max_length=40)
    sealed: bytes = Field(sa_column=Column(LargeBinary, nullable=False), repr=False)


class StatedFlag(SQLModel, table=True):
    """What a row of a delivery says of a record's flag, kept so that a word leaves with its row.

    `row` is the keyed name of the row, 0 where its source names none; `day` is that by which a window
    replaces it.
    """

    delivery: str = Field(primary_key=True, max_length=40)
    record: str = Field(primary_key=True, max_length=80, index=True)
    flag: str = Field(primary_key=True, max_length=32)
    row: int = Field(primary_key=True, sa_type=BigInteger, default=0)
    value: str = Field(max_length=1)
    day: int


class ApiClient(SQLModel, table=True):
    """A system of an agency that may send; the table holds a hash of its secret."""

    id: str = Field(primary_key=True, max_length=40)
    agency: str = Field(max_length=64)
    label: str = Field(max_length=80)
    secret_hash: str = Field(max_length=64, repr=False)
    made_at: datetime = _moment()
    expires: str = Field(max_length=10)
    active: bool = True


class ApiToken(SQLModel, table=True):
    """A short-lived token of an API client; the table holds a hash of it."""

    token_hash: str = Field(primary_key=True, max_length=64)
    client: str = Field(max_length=40)
    expires_at: datetime = _moment()


class LinkRun(SQLModel, table=True):
    """A published execution of linkage."""

    id: str = Field(primary_key=True, max_length=40)
    number: int = Field(index=True, unique=True)
    deliveries: int
    published_at: datetime = _moment()
    summary: dict[str, Any] = _json()


class LinkDecision(SQLModel, table=True):
    """What somebody decided about two records: one person, two, or cannot tell.

    A decision that would move protected or offence facts waits for a second person. It is never
    changed: a later one about the same pair takes its place, and the records themselves stand in the
    linkage store under its id.
    """

    id: str = Field(primary_key=True, max_length=40)
    number: int = Field(index=True, unique=True)
    pair: str = Field(max_length=32, index=True)
    answer: str = Field(max_length=8)
    reason: str = Field(max_length=32)
    left_person: str = Field(max_length=80)
    right_person: str = Field(max_length=80)
    decided_by: str = Field(max_length=64)
    decided_at: datetime = _moment()
    needs_second: str = Field(default="", max_length=120)
    second_by: str | None = Field(default=None, max_length=64)
    second_at: datetime | None = _moment(nullable=True)
    state: str = Field(max_length=12, index=True)
    __table_args__ = (
        CheckConstraint("answer in ('one', 'two', 'unsure')"),
        CheckConstraint("state in ('waiting', 'final', 'rejected', 'replaced')"),
        CheckConstraint("(second_by is null) = (second_at is null)"),
        CheckConstraint("second_by is null or second_by <> decided_by"),
    )


class ScoreRun(SQLModel, table=True):
    """A published, replayable scoring run as of a date."""

    id: str = Field(primary_key=True, max_length=40)
    number: int = Field(index=True, unique=True)
    as_of: str = Field(max_length=10)
    link_run: str = Field(max_length=40)
    policy_version: str = Field(max_length=64)
    published_at: datetime = _moment()
    manifest: dict[str, Any] = _json()
    purpose: str = Field(default="safeguard_child", max_length=64, index=True)


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


class SharingDecision(SQLModel, table=True):
    """What a named person decided: to share, or to withhold as more detrimental to the child (LAW-10).

    The reasons stand sealed under the same intent; the gateway is the one that would have carried it.
    """

    intent: str = Field(primary_key=True, max_length=40)
    user: str = Field(max_length=64)
    agency: str = Field(max_length=64)
    role: str = Field(max_length=64)
    purpose: str = Field(max_length=64)
    person: str = Field(max_length=80, index=True)
    case_token: str = Field(max_length=64)
    outcome: str = Field(max_length=16)
    agreement: str = Field(max_length=64)
    gateway: str = Field(max_length=64)
    policy_version: str = Field(max_length=64)
    decided_at: datetime = _moment()
    __table_args__ = (CheckConstraint("outcome in ('share', 'withhold')"),)


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
    training_until: str | None = Field(default=None, max_length=10)


class WebSession(SQLModel, table=True):
    """A signed-in browser; the table holds a hash of the cookie, never the cookie."""

    token_hash: str = Field(primary_key=True, max_length=64)
    user: str = Field(max_length=64)
    csrf: str = Field(max_length=64, repr=False)
    opened_at: datetime = _moment()
    expires_at: datetime = _moment()


class PolicyPointer(SQLModel, table=True):
    """The version of the policy that is active; anything else in the home's pack is a draft.

    `previous` is the version before it, to which one step back leads; empty when there is none.
    """

    id: int = Field(default=1, primary_key=True)
    version: str = Field(max_length=64)
    activated_at: datetime = _moment()
    activated_by: str = Field(max_length=64)
    previous: str = Field(default="", max_length=64)
    __table_args__ = (CheckConstraint("id = 1"),)


class PolicyChange(SQLModel, table=True):
    """A proposed version of the policy with everything its approvers were shown."""

    id: str = Field(primary_key=True, max_length=40)
    number: int = Field(index=True, unique=True)
    version: str = Field(max_length=64)
    base: str = Field(max_length=64)
    author: str = Field(max_length=64)
    proposed_at: datetime = _moment()
    state: str = Field(max_length=16)
    shown: dict[str, Any] = _json()
    __table_args__ = (
        CheckConstraint("state in ('open', 'active', 'rejected', 'withdrawn', 'replaced')"),
    )


class PolicyAnswer(SQLModel, table=True):
    """What one person answered about a change: an approval of a kind, an objection, or advice."""

    change: str = Field(primary_key=True, max_length=40)
    user: str = Field(primary_key=True, max_length=64)
    kind: str = Field(primary_key=True, max_length=32)
    agency: str = Field(max_length=64)
    role: str = Field(max_length=64)
    answer: str = Field(max_length=16)
    at: datetime = _moment()
    __table_args__ = (CheckConstraint("answer in ('approve', 'reject', 'advise')"),)


class AgreementStop(SQLModel, table=True):
    """An agreement that somebody suspended; a row that is there stops everything under it."""

    agreement: str = Field(primary_key=True, max_length=64)
    stopped_by: str = Field(max_length=64)
    stopped_at: datetime = _moment()


class FlagRegister(SQLModel, table=True):
    """A register that the host declared complete: who is not in it does not bear the flag."""

    flag: str = Field(primary_key=True, max_length=32)
    declared_by: str = Field(max_length=64)
    declared_at: datetime = _moment()


class AccessReview(SQLModel, table=True):
    """A use of break-glass that another person reviews; past `due` the account is restricted."""

    reveal: str = Field(primary_key=True, max_length=40)
    user: str = Field(max_length=64, index=True)
    due: str = Field(max_length=10)
    reviewed_by: str | None = Field(default=None, max_length=64)
    reviewed_at: datetime | None = _moment(nullable=True)
    finding: str | None = Field(default=None, max_length=32)
    __table_args__ = (CheckConstraint("(reviewed_by is null) = (reviewed_at is null)"),)


class OwedNotice(SQLModel, table=True):
    """An agency that must be told that its data was shown, queued with the grant itself."""

    reveal: str = Field(primary_key=True, max_length=40)
    agency: str = Field(primary_key=True, max_length=64)
    queued_at: datetime = _moment()
    told_at: datetime | None = _moment(nullable=True)


class ProductStep(SQLModel, table=True):
    """A step in the life of a product, append-only: the newest final one says whether it serves.

    A release is asked for by one person and answered by another; anybody of governance suspends alone.
    `evidence` is what was brought with it: hashes, references and counts; no person's value.
    """

    id: str = Field(primary_key=True, max_length=40)
    number: int = Field(index=True, unique=True)
    product: str = Field(index=True, max_length=64)
    version: str = Field(max_length=64)
    to: str = Field(max_length=12)
    state: str = Field(max_length=12)
    asked_by: str = Field(max_length=64)
    asked_at: datetime = _moment()
    answered_by: str | None = Field(default=None, max_length=64)
    answered_at: datetime | None = _moment(nullable=True)
    evidence: dict[str, Any] = _json()
    __table_args__ = (
        CheckConstraint("\"to\" in ('shadow', 'live', 'suspended', 'retired')"),
        CheckConstraint("state in ('waiting', 'final', 'rejected')"),
        CheckConstraint("(answered_by is null) = (answered_at is null)"),
        CheckConstraint("answered_by is null or answered_by <> asked_by"),
    )


class Evaluation(SQLModel, table=True):
    """How a run held against what truly was: counts, and what follows from them. Never changed.

    `report` is by list: four counts, intervals, an ablation and rates by group; no person is in it.
    """

    id: str = Field(primary_key=True, max_length=40)
    number: int = Field(index=True, unique=True)
    run: str = Field(max_length=40)
    made_at: datetime = _moment()
    synthetic: bool
    report: dict[str, Any] = _json()
