"""The linkage store: encoded records, persons, memberships, redirects and refused joins."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
)

metadata = MetaData()

encoding = Table(
    "encoding",
    metadata,
    Column("record", LargeBinary(32), primary_key=True),
    Column("delivery", String(40), primary_key=True),
    Column("agency", String(64), nullable=False),
    Column("source", String(64), nullable=False),
    Column("key_version", Integer, nullable=False),
    Column("norm_version", String(8), nullable=False),
    Column("encoder_version", String(8), nullable=False),
    Column("birth_month", Integer, nullable=False),
    Column("words", LargeBinary, nullable=False),
)

membership = Table(
    "membership",
    metadata,
    Column("record", LargeBinary(32), primary_key=True),
    Column("from_run", String(40), primary_key=True),
    Column("person_id", LargeBinary(16), nullable=False, index=True),
    Column("to_run", String(40), nullable=True, index=True),
)

person = Table(
    "person",
    metadata,
    Column("person_id", LargeBinary(16), primary_key=True),
    Column("from_run", String(40), nullable=False),
    Column("identified", Boolean, nullable=False),
    Column("redirect_to", LargeBinary(16), nullable=True),
    Column("redirect_run", String(40), nullable=True),
)

refused_join = Table(
    "refused_join",
    metadata,
    Column("run", String(40), primary_key=True),
    Column("left", LargeBinary(32), primary_key=True),
    Column("right", LargeBinary(32), primary_key=True),
    Column("reason", String(32), nullable=False),
    Column("weight", Float, nullable=False),
)
