"""``fieldgate keys``: the linkage key, and encodings made again under it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from engine.cli.context import HomeOption, JsonOption, open_home, operator
from engine.cli.output import emit, say, told

keys = typer.Typer(help="The linkage key and what was made with it.", no_args_is_help=True)
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be made again, and change nothing.")
]


@keys.command("rotate")
def rotate_command(
    home: HomeOption = None, dry_run: DryRunOption = False, as_json: JsonOption = False
) -> None:
    """Give linkage a new key and make every encoding again under it; no link and no score changes."""
    _run(home, rotate=True, dry_run=dry_run, as_json=as_json)


@keys.command("reencode")
def reencode_command(
    home: HomeOption = None, dry_run: DryRunOption = False, as_json: JsonOption = False
) -> None:
    """Make encodings again that another key, normaliser or encoder made."""
    _run(home, rotate=False, dry_run=dry_run, as_json=as_json)


def _run(home: HomeOption, *, rotate: bool, dry_run: bool, as_json: bool) -> None:
    with told(as_json):
        from engine.flows.rekey import reencode

        opened = open_home(home)
        say("Encoding ...")
        result = reencode(opened, operator(opened), rotate=rotate, dry_run=dry_run)
        opened.close()
        emit(result, as_json, lambda: _words(result))


def _words(result: dict[str, Any]) -> str:
    done = "would be made again" if result["dry_run"] else "were made again"
    return (
        f"{result['records']} encodings of {result['deliveries']} deliveries {done} under key "
        f"{result['key_version']}. Next: fieldgate link"
    )
