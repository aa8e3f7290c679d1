"""Bring the casework database to the newest schema."""

from __future__ import annotations

from importlib.resources import files

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, inspect, text

from engine.domain.errors import ConfigError


def ensure_newest(engine: Engine) -> None:
    """Bring a database to the newest schema, unless it is there already.

    Raises:
        ConfigError: ``FG-HOME-08`` a newer version of fieldgate made it.
    """
    folder = files("engine.store").joinpath("migrations", "versions")
    newest = max(one.name[:4] for one in folder.iterdir() if one.name[:4].isdecimal())
    found = _version(engine)
    if found is not None and found > newest:
        raise ConfigError(
            "FG-HOME-08",
            "a newer version of fieldgate has worked with this home",
            "Use that version, or put back a backup from before it.",
        )
    if found != newest:
        upgrade(engine)


def _version(engine: Engine) -> str | None:
    if not inspect(engine).has_table("alembic_version"):
        return None
    with engine.connect() as connection:
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(engine: Engine) -> None:
    """Run every migration that has not run; of two processes the second finds nothing to do."""
    config = Config()
    config.set_main_option("script_location", str(files("engine.store").joinpath("migrations")))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
