"""The linkage store: encoded records, persons, memberships, redirects, decisions and pairs for review."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Engine,
    Float,
    Inspector,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    inspect,
    text,
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

canary = Table(
    "canary",
    metadata,
    Column("delivery", String(40), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""What invented people came to when a delivery was encoded: another key gives another number."""

coming_encoding = encoding.to_metadata(metadata, name="coming_encoding")
coming_canary = canary.to_metadata(metadata, name="coming_canary")
"""The same records under the key that will be in use next, while both are carried."""

forgetting = Table(
    "forgetting",
    metadata,
    Column("record", LargeBinary(32), primary_key=True),
    Column("delivery", String(40), primary_key=True),
    Column("since", Integer, nullable=False),
    Column("done", Integer, nullable=False),
)
"""Encodings that nothing needs, since which day (since 1970-01-01), and whether they are deleted."""

membership = Table(
    "membership",
    metadata,
    Column("record", LargeBinary(32), primary_key=True),
    Column("from_run", String(40), primary_key=True),
    Column("person_id", LargeBinary(16), nullable=False, index=True),
    Column("to_run", String(40), nullable=True, index=True),
    Column("valid_from", Integer, nullable=True),
    Column("valid_to", Integer, nullable=True),
)
"""Which person a record belongs to, on two axes of time: the runs that knew it, and the days in the world
(since 1970-01-01) for which the record's agency holds it; `valid_to` is null while it does."""

person = Table(
    "person",
    metadata,
    Column("person_id", LargeBinary(16), primary_key=True),
    Column("from_run", String(40), nullable=False),
    Column("identified", Boolean, nullable=False),
)

redirect = Table(
    "redirect",
    metadata,
    Column("old", LargeBinary(16), primary_key=True),
    Column("from_run", String(40), primary_key=True),
    Column("new", LargeBinary(16), nullable=False),
    Column("to_run", String(40), nullable=True, index=True),
)
"""Which person a former one became, and until which run: a merge that is undone ends its redirect."""

number_alias = Table(
    "number_alias",
    metadata,
    Column("kind", String(8), primary_key=True),
    Column("old", BigInteger, primary_key=True),
    Column("from_run", String(40), primary_key=True),
    Column("new", BigInteger, nullable=False),
    Column("to_run", String(40), nullable=True, index=True),
)
"""Keyed tokens of numbers that became others, and the runs between which that was so."""

person_sure = Table(
    "person_sure",
    metadata,
    Column("run", String(40), primary_key=True),
    Column("person_id", LargeBinary(16), primary_key=True),
    Column("thousandths", Integer, nullable=False),
)
"""How sure a run is of a person, where it is not quite; see `engine.linkage.sure`."""

pair_decision = Table(
    "pair_decision",
    metadata,
    Column("decision", String(40), primary_key=True),
    Column("left", LargeBinary(32), primary_key=True),
    Column("right", LargeBinary(32), primary_key=True),
    Column("kind", String(8), nullable=False),
)
"""What a person decided about two records: ``must`` or ``cannot`` be one person. It counts once casework
says that its decision is final, and survives every relink."""

review_pair = Table(
    "review_pair",
    metadata,
    Column("run", String(40), primary_key=True),
    Column("left", LargeBinary(32), primary_key=True),
    Column("right", LargeBinary(32), primary_key=True),
    Column("reason", String(32), nullable=False),
    Column("weight", Float, nullable=False),
    Column("levels", String(200), nullable=False),
)
"""Pairs that a run did not decide: held back, refused, or too close to call."""


def ensure(engine: Engine) -> None:
    """Make what a home from before this version has not; what it had of redirects is taken over."""
    found = inspect(engine)
    before = found.has_table("redirect")
    if found.has_table("membership"):
        _with_days(engine)
    metadata.create_all(engine, checkfirst=True)
    if before or not found.has_table("person"):
        return
    if "redirect_to" in {column["name"] for column in found.get_columns("person")}:
        with engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO redirect (old, from_run, new, to_run) SELECT person_id, redirect_run, "
                    "redirect_to, NULL FROM person WHERE redirect_to IS NOT NULL"
                )
            )


def _with_days(engine: Engine) -> None:
    """Add the days in the world to memberships from before; the next run fills them in."""

    def missing(found: Inspector) -> list[str]:
        there = {column["name"] for column in found.get_columns("membership")}
        return [name for name in ("valid_from", "valid_to") if name not in there]

    if missing(inspect(engine)):
        with engine.begin() as connection:
            # Looked at again under the lock: two processes may open an old home at once.
            for name in missing(inspect(connection)):
                connection.execute(text(f"ALTER TABLE membership ADD COLUMN {name} INTEGER"))
