"""Checks of a machine and a home: each says ok, warn or fail, and the command that mends it."""

from __future__ import annotations

import importlib.metadata
import platform
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audit.report import Report

Check = tuple[str, str, str]


def check_all(path: Path | None) -> list[dict[str, Any]]:
    """Run every check; one that crashes is reported as failed, never as passed."""
    from engine.settings import settings

    chosen = path or settings().home
    checks: list[tuple[str, Callable[[], Check]]] = [
        ("python", _python),
        ("packages", _packages),
        ("casbin", _casbin),
        ("sqlite", _sqlite),
        ("pseudonyms", _pseudonyms),
        ("linkage model", _model),
        ("linkage vectors", _vectors),
        ("front end", _assets),
    ]
    if chosen is not None:
        checks += [
            ("home", lambda: _home(chosen)),
            ("policy", lambda: _policy(chosen)),
            ("audit trail", lambda: _trail(chosen)),
        ]
    return [_run(name, check) for name, check in checks]


def _run(name: str, check: Callable[[], Check]) -> dict[str, Any]:
    from engine.domain.errors import told

    try:
        status, detail, fix = check()
    except Exception as error:  # noqa: BLE001  # reported as failed, never as passed
        known = told(error)
        status = "fail"
        detail = known.message if known else f"the check itself failed ({type(error).__name__})"
        fix = known.next_step if known else "Report this."
    return {"name": name, "status": status, "detail": detail, "fix": fix}


def _python() -> Check:
    good = sys.version_info >= (3, 11)
    return (
        "ok" if good else "fail",
        platform.python_version(),
        "" if good else "Use Python 3.11+.",
    )


def _packages() -> Check:
    names = (
        "fastapi",
        "sqlmodel",
        "splink",
        "duckdb",
        "pyarrow",
        "cryptography",
        "lxml",
    )
    found = [f"{name} {importlib.metadata.version(name)}" for name in names]
    return "ok", ", ".join(found), ""


def _casbin() -> Check:
    """The old distribution and the new one share a folder; exactly one may be there (policy.md 1)."""
    installed = {item.metadata["Name"].lower() for item in importlib.metadata.distributions()}
    if "casbin" in installed or "pycasbin" not in installed:
        return (
            "fail",
            "the old casbin distribution is installed",
            "Make the environment again.",
        )
    return "ok", f"pycasbin {importlib.metadata.version('pycasbin')}", ""


def _sqlite() -> Check:
    good = sqlite3.sqlite_version_info >= (3, 35)
    return (
        "ok" if good else "fail",
        sqlite3.sqlite_version,
        "" if good else "Use a Python with SQLite 3.35 or newer.",
    )


def _pseudonyms() -> Check:
    from engine.identity.pseudonyms import self_test

    self_test()
    return "ok", "AES-SIV agrees with the library", ""


def _model() -> Check:
    from engine.linkage.artefacts import load_model, shipped
    from engine.settings import settings

    own = settings().linkage_model
    which = "shipped" if own is None else "of FIELDGATE_LINKAGE_MODEL"
    return "ok", f"{which}, signed, {load_model(own or shipped()).hash[:16]}", ""


def _vectors() -> Check:
    from engine.flows.linkage_work import self_test

    return "ok", f"{self_test()} golden vectors agree", ""


def _assets() -> Check:
    from engine.web.assets import missing_assets

    missing = missing_assets()
    if missing:
        return (
            "warn",
            f"{len(missing)} front-end files are not built",
            "Run make assets.",
        )
    return "ok", "built", ""


def _home(path: Path) -> Check:
    from engine.flows.home import Home
    from engine.settings import settings

    home = Home(path, settings())
    profile = home.profile
    home.close()
    cannot = {
        "demo": "demo: one passphrase lies beside the keys; the operator could rebuild the log",
        "single": "single: one operator holds all lanes and could rebuild the log without a witness",
        "split": "split: lanes are apart only if each runs as its own OS user",
    }
    return ("warn" if profile == "demo" else "ok", cannot[profile], "")


def _policy(path: Path) -> Check:
    from engine.flows.home import Home
    from engine.settings import settings

    home = Home(path, settings())
    version = home.pack.version
    home.close()
    return "ok", f"active version {version[:16]}", ""


def _verified(path: Path) -> Report:
    from engine.flows.home import Home
    from engine.flows.trail import verify_trail
    from engine.settings import settings

    home = Home(path, settings())
    try:
        return verify_trail(home)
    finally:
        home.close()


def _trail(path: Path) -> Check:
    from audit.database import DATABASE
    from engine.settings import settings

    if settings().audit_url is None and not (path / "audit" / DATABASE).is_file():
        # Not merely unproven: whatever happened in this home, nothing is left that tells it.
        return "fail", "the log is missing", "Restore the audit folder from its backup."
    from audit.kept import SECOND

    report = _verified(path)
    if report.status == "verified":
        if report.alarms:
            fix = "Run fieldgate audit verify and mend what it names."
            if all("anchor" in alarm for alarm in report.alarms):
                fix = "Look at the anchor: fieldgate audit verify."
            return "warn", "; ".join(report.alarms), fix
        if report.standing is None:
            return "ok", f"{report.size} events verified, no witness named", ""
        told = f"{report.size} events verified, {report.standing.sentence()}"
        alarms = report.standing.alarms
        fix = "Ask them, then run fieldgate audit submit-checkpoint." if alarms else ""
        return "warn" if alarms else "ok", "; ".join([told, *alarms]), fix
    bare = [one for one in report.missing if SECOND in one]
    if report.status == "incomplete" and bare:
        return "warn", "; ".join(bare), "Switch it on again: fieldgate audit second-signature."
    return (
        "fail" if report.status == "tampered" else "warn",
        report.status,
        "Run fieldgate audit verify and keep the folder as it is.",
    )
