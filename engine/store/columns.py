"""Columns that casework tables share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Column, DateTime
from sqlmodel import Field


def moment(*, nullable: bool = False) -> Any:
    """Return a column of a moment with its zone; SQLite gives it back without (`as_utc`)."""
    return Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=nullable))


def json_column() -> Any:
    """Return a column of a JSON object that no repr prints."""
    return Field(default_factory=dict, sa_column=Column(JSON, nullable=False), repr=False)
