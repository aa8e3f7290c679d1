"""The built front-end files: present, and with the bytes that the manifest states."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from pathlib import Path

from engine.domain.errors import ConfigError

STATIC = Path(str(files("engine.web").joinpath("static")))
VENDOR = STATIC / "vendor"
NEEDED = (
    "govuk-frontend.min.css",
    "govuk-frontend.min.js",
    "moj-frontend.min.css",
    "htmx.min.js",
)


def missing_assets() -> list[str]:
    """Return the names of files that are not built or do not fit their manifest."""
    try:
        manifest = json.loads((VENDOR / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return list(NEEDED)
    return [name for name in NEEDED if not _fits(name, manifest)]


def _fits(name: str, manifest: dict[str, dict[str, str]]) -> bool:
    try:
        found = hashlib.sha256((VENDOR / name).read_bytes()).hexdigest()
    except OSError:
        return False
    return name in manifest and manifest[name]["sha256"] == found


def require_assets() -> None:
    """Refuse to serve unstyled pages.

    Raises:
        ConfigError: ``FG-WEB-02`` with the command that builds them.
    """
    missing = missing_assets()
    if missing:
        raise ConfigError(
            "FG-WEB-02",
            f"front-end files are not built: {', '.join(missing)}",
            "Run make assets, then serve again.",
        )
