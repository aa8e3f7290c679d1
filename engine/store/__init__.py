"""Casework: SQLModel tables, sessions and Alembic migrations. Tables are storage only."""
