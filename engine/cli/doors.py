"""``fieldgate client | watch``: how an agency's systems send by themselves."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.cli.context import HomeOption, JsonOption, day, open_home, operator
from engine.cli.deliveries import AgencyOption, receipt_words
from engine.cli.output import emit, say, table, told

client = typer.Typer(help="Systems of an agency that send by themselves.", no_args_is_help=True)


@client.command("add")
def add_command(
    agency: AgencyOption,
    label: Annotated[str, typer.Option(help="What the system is called.")],
    expires: Annotated[str, typer.Option(help="Last day on which it may send.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a client; its secret is printed once and kept nowhere."""
    with told(as_json):
        from engine.flows.clients import add_client

        opened = open_home(home)
        made = add_client(opened, agency, label, day(expires), operator(opened))
        opened.close()
        emit(made, as_json, lambda: f"{made['client_id']}\n{made['client_secret']}")


@client.command("list")
def clients_command(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the clients."""
    with told(as_json):
        from engine.flows.clients import clients

        opened = open_home(home)
        rows = clients(opened)
        opened.close()
        header = ("client_id", "agency", "label", "expires", "active")
        emit(
            rows,
            as_json,
            lambda: table("Clients", header, [tuple(one[name] for name in header) for one in rows]),
        )


@client.command("close")
def close_command(
    name: Annotated[str, typer.Argument(help="Id of the client.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close a client at once."""
    with told(as_json):
        from engine.flows.clients import close_client

        opened = open_home(home)
        close_client(opened, name, operator(opened))
        opened.close()
        emit({"client_id": name, "active": False}, as_json, lambda: f"{name} is closed.")


def watch(
    folder: Annotated[Path, typer.Argument(help="Holds a folder for each source.")],
    agency: AgencyOption,
    every: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.1)] = 10.0,
    once: Annotated[
        bool, typer.Option("--once", help="Take what is there and end; for a timer.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Submit what an agency puts into a folder; each answer stands in its folder receipts."""
    with told(as_json):
        from engine.domain.errors import ConfigError
        from engine.flows.watch import Watcher

        if not folder.is_dir():
            raise ConfigError(
                "FG-CLI-05", "there is no such folder", "Make it, with a folder a source."
            )
        opened = open_home(home)
        watcher = Watcher(opened, folder, agency, operator(opened))
        answers = watcher.look(say)
        time.sleep(every if not once else min(every, 1.0))
        answers += watcher.look(say)
        while not once:
            for one in answers:
                emit(one, as_json, lambda one=one: _answer_words(one))  # type: ignore[misc]
            time.sleep(every)
            answers = watcher.look(say)
        opened.close()
        emit(answers, as_json, lambda: "\n".join(map(_answer_words, answers)) or "Nothing new.")


def _answer_words(answer: dict[str, Any]) -> str:
    if "code" in answer:
        return f"{answer['source']}: not taken, {answer['code']}: {answer['message']}."
    return receipt_words(answer)
