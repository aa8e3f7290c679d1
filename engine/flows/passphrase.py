"""Where the passphrase of a keyring comes from."""

from __future__ import annotations

import os
from pathlib import Path

from engine.domain.errors import ConfigError
from engine.settings import Settings

DEMO_PASSPHRASE = "demo.passphrase"  # noqa: S105  # a file name


def passphrase(settings: Settings, path: Path, profile: str, purpose: str) -> bytes:
    """Return the passphrase of a keyring.

    In a demo home it may come from ``FIELDGATE_PASSPHRASE`` or from the file that ``init`` wrote
    beside the keys; elsewhere from a file or a descriptor only, and in a split home from a folder
    that holds one file a keyring.

    Raises:
        ConfigError: ``FG-KEY-06`` when there is none, ``FG-KEY-07`` when a variable is used outside
            a demo home, ``FG-KEY-08`` when one passphrase would open all of a split home.
    """
    if settings.passphrase is not None:
        if profile != "demo":
            raise ConfigError(
                "FG-KEY-07",
                "FIELDGATE_PASSPHRASE works in a demo home only",
                "Use FIELDGATE_PASSPHRASE_FILE or FIELDGATE_PASSPHRASE_FD.",
            )
        return settings.passphrase.get_secret_value().encode()
    if profile == "split":
        _must_be_a_folder(settings)
    try:
        if settings.passphrase_fd is not None:
            text = _read_descriptor(settings.passphrase_fd)
        elif settings.passphrase_file is not None:
            file = settings.passphrase_file
            text = (file / purpose if file.is_dir() else file).read_text(encoding="utf-8")
        elif profile == "demo":
            text = (path / "keys" / DEMO_PASSPHRASE).read_text(encoding="utf-8")
        else:
            text = ""
    except OSError:
        text = ""
    if not text.strip():
        raise ConfigError(
            "FG-KEY-06",
            f"no passphrase was given for the {purpose} keyring",
            "Set FIELDGATE_PASSPHRASE_FILE to a file that only this user can read.",
        )
    return text.strip().encode()


def _must_be_a_folder(settings: Settings) -> None:
    file = settings.passphrase_file
    if settings.passphrase_fd is not None or (file is not None and file.is_file()):
        raise ConfigError(
            "FG-KEY-08",
            "one passphrase would open every keyring of a split home",
            "Set FIELDGATE_PASSPHRASE_FILE to a folder that holds one file a keyring.",
        )


_DESCRIPTORS: dict[int, str] = {}


def _read_descriptor(descriptor: int) -> str:
    """Read a descriptor once; a pipe cannot be read again."""
    if descriptor not in _DESCRIPTORS:
        with os.fdopen(os.dup(descriptor), encoding="utf-8") as stream:
            _DESCRIPTORS[descriptor] = stream.read()
    return _DESCRIPTORS[descriptor]
