"""Make the folders, keys, stores and the copy of the policy of a new home."""

from __future__ import annotations

import json
from pathlib import Path

import gateways.load
import policies.load
from audit.note import Signer
from engine.domain.errors import ConfigError
from engine.domain.ids import Clock, Randomness
from engine.flows.home import MANIFEST, UNFINISHED, Home
from engine.flows.log_store import create_log
from engine.flows.passphrase import DEMO_PASSPHRASE, passphrase
from engine.identity.keys import DEMO, PURPOSES, STRONG, create_keyring
from engine.identity.vault_tables import metadata as vault_metadata
from engine.settings import Settings

PROFILES = ("demo", "single", "split")
LANES = (
    *("casework", "vault", "linkage", "audit", "warehouse", "equality", "staging", "pack", "keys"),
)


def create_home(
    path: Path,
    profile: str,
    settings: Settings,
    *,
    taken: bool,
    log_key_folder: Path | None,
    clock: Clock,
    randomness: Randomness,
) -> Home:
    """Make the folders, keys, stores and the copy of the policy of a new home.

    Raises:
        ConfigError: ``FG-HOME-02`` something stands there, ``FG-HOME-03`` unknown profile,
            ``FG-HOME-04`` the log key would lie inside the home.
    """
    if profile not in PROFILES:
        raise ConfigError("FG-HOME-03", "the profile is unknown", f"Use {', '.join(PROFILES)}.")
    if taken:
        raise ConfigError("FG-HOME-02", "the folder is not empty", "Choose a new folder.")
    if profile != "demo" and (log_key_folder is None or _inside(log_key_folder, path)):
        raise ConfigError(
            "FG-HOME-04",
            f"a {profile} home keeps its log key outside the home",
            "Give --log-key-folder on another disk or with another owner.",
        )
    if profile != "demo":
        for purpose in PURPOSES:  # Ask for every passphrase before anything is written.
            passphrase(settings, path, profile, purpose)
    path.mkdir(parents=True)
    (path / UNFINISHED).touch()
    for lane in LANES:
        (path / lane).mkdir()
    path.chmod(0o700)
    if profile == "demo" and settings.passphrase is None and settings.passphrase_file is None:
        file = path / "keys" / DEMO_PASSPHRASE
        file.touch(mode=0o600)
        file.write_text(randomness(16).hex(), encoding="ascii")
    for purpose in PURPOSES:
        folder = log_key_folder if purpose == "log" and log_key_folder else path / "keys"
        create_keyring(
            folder / f"{purpose}.json",
            purpose,
            passphrase(settings, path, profile, purpose),
            DEMO if profile == "demo" else STRONG,
            randomness,
        )
    home = Home(path, settings, clock, randomness)
    manifest = {
        "format": 1,
        "profile": profile,
        "created": clock().isoformat(timespec="seconds"),
        "log_name": f"fieldgate.local/{profile}-{randomness(4).hex()}",
        "log_key_folder": str(log_key_folder.resolve()) if log_key_folder else "",
    }
    home.__dict__["manifest"] = manifest
    signer = Signer.from_bytes(str(manifest["log_name"]), home.keyring("log").derive("ed25519", 32))
    create_log(path / "audit", signer.vkey(), settings)
    home.casework  # noqa: B018  # opening it makes its tables
    vault_metadata.create_all(home.vault)
    home.linkage  # noqa: B018  # opening it makes its tables
    _copy_policy(path, demo=profile == "demo", clock=clock)
    (path / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return home


def _inside(folder: Path, building: Path) -> bool:
    """Say whether a folder lies in the home, under its final name or the one it is built under."""
    home = building.with_name(building.name.removesuffix(".building"))
    return any(folder.resolve().is_relative_to(place.resolve()) for place in (home, building))


def _copy_policy(path: Path, *, demo: bool, clock: Clock) -> None:
    """Copy register, agreements and pack; that copy is what IG edits.

    In a demo home the invented agreements are moved to run until a year from now, so
    that a demonstration does not end with a date in a file. Real homes keep the dates as signed.
    """
    places = (
        (
            gateways.load.shipped(),
            path / "pack" / "gateways",
            ("register", "agreements", ""),
        ),
        (
            policies.load.shipped(),
            path / "pack" / "policies",
            ("sources", "grants", "caps", "products", "tests", ""),
        ),
    )
    for source, target, folders in places:
        for folder in folders:
            (target / folder).mkdir(parents=True, exist_ok=True)
            for file in sorted((source / folder).glob("*.yaml")):
                text = file.read_text(encoding="utf-8")
                if demo and folder == "agreements":
                    text = _move_dates(text, clock)
                (target / folder / file.name).write_text(text, encoding="utf-8")


def _move_dates(text: str, clock: Clock) -> str:
    if "# Dates stay" in text:
        return text
    today = clock().date()
    later = today.replace(year=today.year + 1, day=1)
    moved = dict.fromkeys(("end", "review", "dpia_expires"), later)
    lines = []
    for line in text.splitlines():
        name = line.partition(":")[0]
        lines.append(f"{name}: {moved[name]}" if name in moved else line)
    return "\n".join(lines) + "\n"
