"""``fieldgate harms``: the checks that a critic would run, and what they found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from engine.cli.context import HomeOption, JsonOption, open_home
from engine.cli.output import emit, table, told

harms = typer.Typer(help="Run the checks for known harms.", no_args_is_help=True)


@harms.callback()
def group() -> None:
    """Run the checks for known harms."""


@harms.command("report")
def report_command(
    home: HomeOption = None,
    out: Annotated[Path | None, typer.Option(help="Also write it as Markdown.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run every check on invented people, and say what each found; exit 1 when one does not hold."""
    with told(as_json):
        from engine.flows.harms import harms as found

        opened = open_home(home) if home is not None else None
        result = found(opened)
        if opened is not None:
            opened.close()
        if out is not None:
            out.write_text(_markdown(result), encoding="utf-8")
        emit(result, as_json, lambda: _words(result))
    if not result["holds"]:
        raise typer.Exit(1)


def _words(result: dict[str, Any]) -> str:
    rows = [(one["id"], one["state"], one["harm"], one["measured"]) for one in result["checks"]]
    text = table("Known harms, on invented people", ("", "State", "Harm", "Measured"), rows)
    run = result["newest_run"]
    if run:
        alarms = "; ".join(run.get("alarms", [])) or "no alarm"
        text += f"\nNewest run {run['run']} as of {run['as_of']}: {alarms}"
    return text


def _markdown(result: dict[str, Any]) -> str:
    lines = [
        "# Known harms",
        "",
        "What a critic would run, on invented people. A check that could not run is not one that passed.",
        "",
        f"Tables {result['tables'][:16]}, code {result['code'][:16]}.",
        "",
        "| | Harm | Promise | State | Measured |",
        "|---|---|---|---|---|",
        *(
            f"| {one['id']} | {one['harm']} | {one['promise']} | {one['state']} | {one['measured']} |"
            for one in result["checks"]
        ),
    ]
    return "\n".join(lines) + "\n"
