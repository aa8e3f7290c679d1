"""Keyrings: one file a purpose, each key sealed under a passphrase with argon2id and AES-256-GCM.

A process holds only the keyrings it was given: linkage has no vault key, scoring has none at all,
and the log key of a real deployment lies outside the home (audit_crypto.md 3).
"""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from engine.domain.errors import ConfigError
from engine.domain.ids import Randomness

PURPOSES = ("vault", "psn", "link", "grant", "log")
"""The purposes a keyring can have; a key of one is useless for another."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of argon2id: memory in KiB, passes, lanes (RFC 9106)."""

    memory: int
    passes: int
    lanes: int


STRONG = Cost(65_536, 3, 4)
DEMO = Cost(19_456, 2, 1)


@dataclass(frozen=True)
class Keyring:
    """The opened keys of one purpose, by version. Never printed.

    Attributes:
        purpose: One of `PURPOSES`.
        keys: Version to 32 secret bytes.
        present: Version that is in use while a newer one is being prepared; None without one.
    """

    purpose: str
    keys: dict[int, bytes] = field(repr=False)
    present: int | None = None

    @property
    def current(self) -> int:
        """Version that new data is made with."""
        return max(self.keys) if self.present is None else self.present

    @property
    def coming(self) -> int | None:
        """Version that is being prepared and will take the place of the present one, if any."""
        newest = max(self.keys)
        return newest if newest > self.current else None

    def derive(self, label: str, length: int, version: int | None = None) -> bytes:
        """Return a sub-key by HKDF-SHA256; the full label is bound into it (RFC 5869).

        Raises:
            ConfigError: ``FG-KEY-04`` when the version is not in this ring.
        """
        number = self.current if version is None else version
        secret = self.keys.get(number)
        if secret is None:
            raise ConfigError(
                "FG-KEY-04",
                f"version {number} of the {self.purpose} key is not in its keyring",
                "Restore the keyring that held it.",
            )
        info = f"fieldgate|{self.purpose}|{number}|{label}".encode()
        return HKDF(hashes.SHA256(), length, salt=None, info=info).derive(secret)


def create_keyring(
    path: Path, purpose: str, passphrase: bytes, cost: Cost, randomness: Randomness
) -> None:
    """Write a keyring with one fresh key, readable by its owner only.

    Raises:
        ConfigError: ``FG-KEY-05`` when a keyring stands there already.
    """
    if path.exists():
        raise ConfigError("FG-KEY-05", f"a {purpose} keyring stands there already", "Use another.")
    salt, nonce = randomness(16), randomness(12)
    sealed = AESGCM(_derive(passphrase, salt, cost)).encrypt(
        nonce, randomness(32), _bound(purpose, 1)
    )
    document = {
        "purpose": purpose,
        "kdf": {"name": "argon2id", "salt": _text(salt), "memory": cost.memory,
                "passes": cost.passes, "lanes": cost.lanes},
        "keys": {"1": {"nonce": _text(nonce), "sealed": _text(sealed)}},
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, document)


def add_key(
    path: Path,
    purpose: str,
    passphrase: Callable[[], bytes],
    randomness: Randomness,
    *,
    coming: bool = False,
) -> int:
    """Add a fresh key to a keyring and return its version; what the old ones sealed still opens.

    Args:
        path: The keyring file.
        purpose: What it is for.
        passphrase: Its passphrase.
        randomness: Source of the key.
        coming: The version in use stays in use until `use_newest`.

    Raises:
        ConfigError: See `open_keyring`; the file stays as it is.
    """
    words = passphrase()
    ring = open_keyring(path, purpose, lambda: words)
    version = max(ring.keys) + 1
    document = json.loads(path.read_text(encoding="ascii"))
    if coming:
        document["present"] = ring.current
    kdf = document["kdf"]
    cost = Cost(kdf["memory"], kdf["passes"], kdf["lanes"])
    secret = _derive(words, base64.b64decode(kdf["salt"]), cost)
    nonce = randomness(12)
    sealed = AESGCM(secret).encrypt(nonce, randomness(32), _bound(purpose, version))
    document["keys"][str(version)] = {"nonce": _text(nonce), "sealed": _text(sealed)}
    _write(path, document)
    return version


def use_newest(path: Path) -> None:
    """Make the newest key of a keyring the one in use; harmless when it is."""
    document = json.loads(path.read_text(encoding="ascii"))
    if document.pop("present", None) is not None:
        _write(path, document)


def drop_older(path: Path, version: int) -> list[int]:
    """Destroy the keys before a version and return which those were; what they made opens no more."""
    document = json.loads(path.read_text(encoding="ascii"))
    old = sorted(int(one) for one in document["keys"] if int(one) < version)
    for one in old:
        del document["keys"][str(one)]
    if old:
        _write(path, document)
    return old


def _write(path: Path, document: object) -> None:
    """Write a keyring whole or not at all, readable by its owner only."""
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        json.dump(document, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.rename(path)


def open_keyring(path: Path, purpose: str, passphrase: Callable[[], bytes]) -> Keyring:
    """Open a keyring.

    Args:
        path: The keyring file.
        purpose: What it must be for; a file of another purpose is refused.
        passphrase: Called only when the file is there.

    Raises:
        ConfigError: ``FG-KEY-01`` missing or unreadable, ``FG-KEY-02`` readable by others,
            ``FG-KEY-03`` wrong passphrase or altered file.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        document = json.loads(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        raise _missing(purpose) from None
    if mode & 0o077:
        raise ConfigError(
            "FG-KEY-02",
            f"the {purpose} keyring is readable by others",
            "Run chmod 600 on it.",
        )
    try:
        kdf = document["kdf"]
        cost = Cost(kdf["memory"], kdf["passes"], kdf["lanes"])
        secret = _derive(passphrase(), base64.b64decode(kdf["salt"]), cost)
        keys = {
            int(version): AESGCM(secret).decrypt(
                base64.b64decode(item["nonce"]),
                base64.b64decode(item["sealed"]),
                _bound(purpose, int(version)),
            )
            for version, item in document["keys"].items()
        }
        present = document.get("present")
        if present is not None and (type(present) is not int or present not in keys):
            raise ValueError
    except (InvalidTag, KeyError, TypeError, ValueError):
        raise ConfigError(
            "FG-KEY-03",
            f"the {purpose} keyring does not open: wrong passphrase, or an altered file",
            "Give the passphrase this home was made with.",
        ) from None
    return Keyring(purpose, keys, present)


def version_in_use(path: Path, purpose: str) -> int:
    """Return the version that new data is made with, as the file says; no key is opened.

    Raises:
        ConfigError: ``FG-KEY-01`` missing or unreadable.
    """
    try:
        document = json.loads(path.read_text(encoding="ascii"))
        return int(document.get("present") or max(map(int, document["keys"])))
    except (OSError, ValueError, KeyError, AttributeError):
        raise _missing(purpose) from None


def _missing(purpose: str) -> ConfigError:
    return ConfigError(
        "FG-KEY-01",
        f"the {purpose} keyring is missing or unreadable",
        "This process was not given that key, or the file must be restored from its backup.",
    )


def _derive(passphrase: bytes, salt: bytes, cost: Cost) -> bytes:
    return Argon2id(
        salt=salt,
        length=32,
        iterations=cost.passes,
        lanes=cost.lanes,
        memory_cost=cost.memory,
    ).derive(passphrase)


def _bound(purpose: str, version: int) -> bytes:
    """Associated data: a blob moved to another purpose or version does not open."""
    return f"fieldgate keyring|{purpose}|{version}".encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
