"""``fieldgate audit export-tiles | stranger | checkpoint | witnessed | submit-checkpoint``: for others to check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.context import AsOption, HomeOption, JsonOption, open_home, user_of
from engine.cli.output import emit, told


def add_to(audit: typer.Typer) -> None:
    """Add these commands to ``fieldgate audit``."""
    audit.command("export-tiles")(export_tiles)
    audit.command("stranger")(stranger)


def export_tiles(
    out: Annotated[Path, typer.Option(help="An empty folder, or an earlier export.")],
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the whole trail as static files that any tlog-tiles tool can check."""
    with told(as_json):
        from engine.flows.trail_out import export_trail

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        done = export_trail(opened, user, out, auth=auth)
        opened.close()
        emit(
            done,
            as_json,
            lambda: (
                f"{done['size']} events, {done['files']} files written. Public key {done['vkey']}\n"
                f"Audit entry {done['receipt']['entry']}"
            ),
        )


def stranger(
    out: Annotated[Path, typer.Option(help="Where to write the script.")],
    as_json: JsonOption = False,
) -> None:
    """Write the script with which somebody outside checks the trail; it needs nothing of fieldgate."""
    with told(as_json):
        import hashlib

        import audit.stranger

        script = Path(str(audit.stranger.__file__)).read_bytes()
        out.write_bytes(script)
        digest = hashlib.sha256(script).hexdigest()
        emit(
            {"file": str(out), "sha256": digest},
            as_json,
            lambda: f"{out}: sha256 {digest}. Run it with python and the package cryptography.",
        )
