"""The tables of the vault: sealed identities and the map from local keys to records."""

from __future__ import annotations

from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table

metadata = MetaData()

sealed = Table(
    "sealed_identity",
    metadata,
    Column("record_id", LargeBinary(16), primary_key=True),
    Column("delivery", String(40), primary_key=True),
    Column("kek_version", Integer, nullable=False),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

record_key = Table(
    "record_key",
    metadata,
    Column("token", LargeBinary(32), primary_key=True),
    Column("record_id", LargeBinary(16), nullable=False, unique=True),
    Column("delivery", String(40), nullable=False),
)

quarantine = Table(
    "set_aside",
    metadata,
    Column("delivery", String(40), primary_key=True),
    Column("row", Integer, primary_key=True),
    Column("part", String(64), nullable=False),
    Column("file", String(64), nullable=False),
    Column("line", Integer, nullable=False),
    Column("source", String(64), nullable=False),
    Column("code", String(32), nullable=False),
    Column("token", LargeBinary(32), nullable=False, index=True),
    Column("kek_version", Integer, nullable=False),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
"""Rows that were set aside: permitted cells only, sealed, until a corrected row with their key comes."""


def bound(record_id: bytes, version: int) -> bytes:
    """Associated data of a wrapped key and of a body: neither opens under another record."""
    return b"fieldgate vault|" + record_id + b"|" + str(version).encode()
