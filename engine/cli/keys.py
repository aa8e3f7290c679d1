"""``fieldgate keys``: the linkage key, and encodings made again under it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from engine.cli.context import HomeOption, JsonOption, open_home, operator
from engine.cli.output import emit, say, told

keys = typer.Typer(help="The linkage key and what was made with it.", no_args_is_help=True)
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")
]
OverlapOption = Annotated[
    bool,
    typer.Option("--overlap", help="Only begin: carry both keys until you run keys promote."),
]


@keys.command("show")
def show_command(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show the versions of the linkage key, and how many encodings stand under each."""
    with told(as_json):
        from engine.flows.rekey import shown

        opened = open_home(home)
        result = shown(opened)
        opened.close()
        emit(result, as_json, lambda: _state(result))


@keys.command("rotate")
def rotate_command(
    home: HomeOption = None,
    overlap: OverlapOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Give linkage a new key and make every encoding again under it; no link and no score changes."""
    from engine.flows.rekey import begin, rotate

    _run(home, begin if overlap else rotate, _begun if overlap else _made, dry_run, as_json)


@keys.command("reencode")
def reencode_command(
    home: HomeOption = None, dry_run: DryRunOption = False, as_json: JsonOption = False
) -> None:
    """Make encodings again that another key, normaliser or encoder made, or that the coming key lacks."""
    from engine.flows.rekey import reencode

    _run(home, reencode, _made, dry_run, as_json)


@keys.command("promote")
def promote_command(
    home: HomeOption = None, dry_run: DryRunOption = False, as_json: JsonOption = False
) -> None:
    """Link under the coming key from now on, once it has encoded everything."""
    from engine.flows.rekey import promote

    _run(home, promote, _promoted, dry_run, as_json)


@keys.command("retire")
def retire_command(
    home: HomeOption = None, dry_run: DryRunOption = False, as_json: JsonOption = False
) -> None:
    """Destroy the linkage keys before the one in use; a backup of old encodings is then of no use."""
    from engine.flows.rekey import retire

    _run(home, retire, _retired, dry_run, as_json)


def _run(
    home: HomeOption,
    flow: Callable[..., dict[str, Any]],
    words: Callable[[dict[str, Any]], str],
    dry_run: bool,  # as the option has it
    as_json: bool,  # as the option has it
) -> None:
    with told(as_json):
        opened = open_home(home)
        say("Working ...")
        result = flow(opened, operator(opened), dry_run=dry_run)
        opened.close()
        emit(result, as_json, lambda: words(result))


def _made(result: dict[str, Any]) -> str:
    done = "would be made again" if result["dry_run"] else "were made again"
    return (
        f"{result['records']} encodings of {result['deliveries']} deliveries {done} under key "
        f"{result['key_version']}. Next: fieldgate link"
    )


def _begun(result: dict[str, Any]) -> str:
    does = "would be" if result["dry_run"] else "is"
    return (
        f"Key {result['coming']} {does} prepared beside key {result['key_version']}, which stays in use; "
        f"{result['to_make']} encodings are to be made. Next: fieldgate keys reencode, then fieldgate "
        "keys promote"
    )


def _promoted(result: dict[str, Any]) -> str:
    does = "would be" if result["dry_run"] else "is"
    return (
        f"Key {result['key_version']} {does} in use, with {result['encodings']} encodings. Next: "
        "fieldgate link, and fieldgate keys retire once no backup needs the old key"
    )


def _retired(result: dict[str, Any]) -> str:
    does = "would be destroyed" if result["dry_run"] else "were destroyed"
    gone = ", ".join(map(str, result["retired"])) or "none"
    return f"Keys that {does}: {gone}. In use: {result['key_version']}"


def _state(result: dict[str, Any]) -> str:
    lines = [f"In use: key {result['in_use']}"]
    if result["coming"] is not None:
        lines.append(
            f"Being prepared: key {result['coming']}; {result['not_yet_under_the_coming_key']} "
            "encodings are still to be made"
        )
    lines += [
        f"  key {version}: {count} encodings" for version, count in result["encodings"].items()
    ]
    idle = [one for one in result["versions"] if one < result["in_use"]]
    if idle:
        lines.append(f"Kept and not in use: {', '.join(map(str, idle))}")
    return "\n".join(lines)
