"""The demo command and serving: what a newcomer runs first."""

from __future__ import annotations

import errno
import shutil
import socket
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import typer

from engine.cli.output import emit, os_user, say, table
from engine.domain.errors import ConfigError
from engine.domain.ids import system_clock, system_randomness
from engine.flows.demo import run_demo
from engine.flows.home import MANIFEST, Home
from engine.flows.setup import init
from engine.settings import settings


def run_demo_command(
    size: str, path: Path | None, as_of: date, *, families: str, serve: bool, as_json: bool
) -> None:
    """Make a demo home, run the main job, print the report, and serve unless told not to.

    Raises:
        ConfigError: ``FG-DEM-01`` unknown size or kind of families, ``FG-DEM-02`` the folder holds something else.
    """
    from engine.city.families import FAMILIES
    from engine.city.population import SIZES

    if size not in SIZES:
        raise ConfigError("FG-DEM-01", "that size is unknown", f"Use {', '.join(SIZES)}.")
    if families not in FAMILIES:
        raise ConfigError("FG-DEM-01", "such families are unknown", f"Use {', '.join(FAMILIES)}.")
    chosen = path or settings().home
    temporary = chosen is None
    if chosen is None:
        chosen = Path(tempfile.mkdtemp(prefix="fieldgate-demo-")) / "home"
    _make_room(chosen)
    home = init(
        chosen,
        "demo",
        settings(),
        os_user(),
        log_key_folder=None,
        clock=system_clock,
        randomness=system_randomness,
    )
    report = run_demo(home, size, as_of, lambda name: say(f"  {name} ..."), families)
    report["home"] = str(chosen)
    emit(report, as_json, lambda: report_words(report))
    if serve:
        serve_home(home, None)
    home.close()
    if temporary and not serve:
        shutil.rmtree(chosen.parent, ignore_errors=True)


def _make_room(path: Path) -> None:
    """A demo replaces an earlier demo in the same folder, and nothing else."""
    if not path.exists() or not any(path.iterdir()):
        return
    marker = path / MANIFEST
    if marker.is_file() and '"profile": "demo"' in marker.read_text(encoding="utf-8"):
        shutil.rmtree(path)
        return
    raise ConfigError(
        "FG-DEM-02",
        "the folder holds something that is no demo home",
        "Choose a new folder.",
    )


def _with_interval(one: dict[str, Any], name: str) -> str:
    low, high = one["interval"][name]
    return f"{one['figures'][name]:.2f} [{low:.2f}, {high:.2f}]"


def report_words(report: dict[str, Any]) -> str:
    """Return the demo's report as tables."""
    deliveries = table(
        f"SYNTHETIC {report['size']}: {report['people']:,} invented people, as of {report['as_of']}",
        ("source", "rows in", "kept", "dropped", "records", "events", "states", "fields not taken"),
        [
            (
                one["source"], one["rows"]["in"], one["rows"]["kept"],
                sum(one["rows"]["dropped"].values()), one["records"], one["events"],
                one["states"], ", ".join(one["fields_dropped"]),
            )
            for one in report["deliveries"]
        ],
    )  # fmt: skip
    persons = report["persons"]
    linkage = table(
        f"{persons['records']:,} records are {persons['persons']:,} persons "
        f"({persons['not_enough_to_identify']} not enough to identify); against the known truth:",
        ("pairs of", "precision", "recall"),
        [("all agencies", report["precision"], report["recall"])]
        + [(name, one["precision"], one["recall"]) for name, one in report["per_agency"].items()],
    )
    lists = table(
        "Review lists against the known truth (synthetic)",
        (
            "list",
            "listed",
            "truly at risk",
            "at risk in all",
            "precision",
            "recall",
            "index alone",
            "network",
            "groups",
        ),
        [
            (
                name,
                one["listed"],
                one["truly_at_risk"],
                one["at_risk_in_all"],
                _with_interval(one, "precision"),
                _with_interval(one, "recall"),
                *(part["hit"] for part in one["ablation"].values()),
            )
            for name, one in report["against_truth"].items()
        ],
    )
    reveals = table(
        "Requests to see an identity",
        ("user", "purpose", "answer", "why"),
        [
            (
                one["user"], one["purpose"], "permitted" if one["permitted"] else "refused",
                f"{one['identity_parts']} identity values, {one['facts']} facts"
                if one["permitted"] else one["reasons"][0],
            )
            for one in report["reveals"]
        ],
    )  # fmt: skip
    stages = table(
        "Measured in this run",
        ("stage", "seconds", "peak MiB"),
        [(one["stage"], one["seconds"], one["peak_mib"]) for one in report["stages"]]
        + [("in all", report["seconds"], report["peak_mib"])],
    )
    audit = report["audit"]
    verdict = f"Audit trail: {audit['size']} events, {audit['status']}, root {audit['root']}"
    return "\n\n".join([deliveries, linkage, lists, reveals, stages, verdict])


def serve_home(home: Home, port: int | None) -> None:
    """Serve a home on 127.0.0.1 with one worker.

    Raises:
        ConfigError: ``FG-WEB-01`` the port is in use, ``FG-WEB-02`` the front-end files are not
            built.
    """
    import uvicorn

    from engine.web.app import create_app
    from engine.web.assets import require_assets

    require_assets()
    chosen = port or settings().port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", chosen))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise ConfigError(
                "FG-WEB-01",
                f"port {chosen} is in use",
                "Stop the other program, or give --port (make serve PORT=...).",
            ) from None
    typer.echo(f"Serving on http://127.0.0.1:{chosen}/ - stop with Ctrl-C.", err=True)
    # No access log: a path can hold a reference, and the audit trail is the record of access.
    uvicorn.run(
        create_app(home),
        host="127.0.0.1",
        port=chosen,
        access_log=False,
        log_level="warning",
    )
