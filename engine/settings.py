"""The one settings class. Nothing else reads the environment."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from engine.domain.errors import ConfigError


class Settings(BaseSettings):
    """Settings of a process, from ``FIELDGATE_*`` variables.

    Attributes:
        home: Folder of the stores; a ``--home`` option wins over it.
        passphrase: Passphrase, for a demo home only.
        passphrase_file: File that holds the passphrase; in a split home a folder with one file a
            keyring.
        passphrase_fd: Open file descriptor to read the passphrase from.
        casework_url: Database URL of casework when it has outgrown the file in the home.
        vault_url: Database URL of the vault, likewise.
        linkage_url: Database URL of linkage, likewise.
        audit_url: Database URL of the audit log, likewise, with the role that inserts events.
        audit_sequencer_url: The same database with the role that puts events into the tree; where it is not
            given, ``fieldgate audit sequence`` runs elsewhere.
        audit_owner_url: The same database with the role that makes the tables; for ``init``,
            and to declare a loss where no sequencer's is given.
        linkage_model: Folder of a signed linkage model that takes the place of the shipped one.
        port: Port of ``serve`` on 127.0.0.1.
        witness_urls: Name of each witness of the audit trail to its submission address, as JSON.
    """

    model_config = SettingsConfigDict(
        env_prefix="FIELDGATE_", frozen=True, hide_input_in_errors=True
    )

    home: Path | None = None
    passphrase: SecretStr | None = None
    passphrase_file: Path | None = None
    passphrase_fd: int | None = None
    casework_url: SecretStr | None = None
    vault_url: SecretStr | None = None
    linkage_url: SecretStr | None = None
    audit_url: SecretStr | None = None
    audit_sequencer_url: SecretStr | None = None
    audit_owner_url: SecretStr | None = None
    linkage_model: Path | None = None
    port: int = Field(default=8321, ge=1, le=65535)
    witness_urls: dict[str, str] = Field(default_factory=dict)


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process, read once.

    Raises:
        ConfigError: ``FG-CLI-03`` naming the variables that cannot be used, never their values.
    """
    try:
        return Settings()
    except ValidationError as error:
        names = sorted({f"FIELDGATE_{one['loc'][0]}".upper() for one in error.errors()})
        raise ConfigError(
            "FG-CLI-03",
            f"cannot be used: {', '.join(names)}",
            "Correct or unset the named variables.",
        ) from None
