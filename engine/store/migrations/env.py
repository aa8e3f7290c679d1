"""Alembic environment: the connection comes from the caller, and nothing is logged."""

from alembic import context
from sqlmodel import SQLModel

from engine.store import tables  # noqa: F401  # registers the tables

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=SQLModel.metadata)
with context.begin_transaction():
    context.run_migrations()
