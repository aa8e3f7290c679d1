"""``fieldgate monitor``: unusual access, from enrolment to the second look."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.cli.context import AsOption, HomeOption, JsonOption, day, open_home, operator, user_of
from engine.cli.output import emit, table, told

monitor = typer.Typer(
    help="Unusual access: what an officer should look at, and what came of it.",
    no_args_is_help=True,
)
ItemArgument = Annotated[str, typer.Argument(help="Name of the item, such as K7QF-2M9X.")]


@monitor.command("run")
def run_command(
    until: Annotated[str, typer.Option(help="Last day to judge, year-month-day.")] = "today",
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge the days since the last run and fill the queue; safe to repeat."""
    with told(as_json):
        from engine.flows.monitor import run_monitor

        opened = open_home(home)
        last = None if until == "today" else day(until)
        done = run_monitor(opened, operator(opened), until=last)
        opened.close()
        emit(
            done,
            as_json,
            lambda: (
                f"Judged {done['looks']} accesses of {done['days']} days up to {done['until']}: "
                f"{done['queued']} new items, {done['grown']} grew." + _stale_words(done["stale"])
            ),
        )


def _stale_words(stale: int) -> str:
    if not stale:
        return ""
    what = "1 enrolment was" if stale == 1 else f"{stale} enrolments were"
    return (
        f"\n{what} made under a former key of the vault and shows no sign: see fieldgate monitor "
        "members, and enrol again."
    )


@monitor.command("list")
def list_command(
    home: HomeOption = None, as_user: AsOption = None, as_json: JsonOption = False
) -> None:
    """List the items that wait for you, the most pressing first."""
    with told(as_json):
        from engine.flows.monitor_queue import open_items

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        found = open_items(opened, user, auth=auth)
        opened.close()
        emit(found, as_json, lambda: _queue_words(found))


def _queue_words(found: dict[str, Any]) -> str:
    lines = [f"{one['item']}  {one['points']:>4}  {one['sentence']}" for one in found["open"]]
    waits = [
        f"{one['item']}        waits for a second person: {one['decided']['outcome']}"
        for one in found["waiting"]
    ]
    unknown = [] if found["recognised"] else [
        "You are not enrolled with your name and birth date: an item about a look at your own record cannot "
        "be kept from you."
    ]  # fmt: skip
    return "\n".join([*(lines or ["Nothing waits for a decision."]), *waits, *unknown])


@monitor.command("show")
def show_command(
    item: ItemArgument,
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell one item: its signs with their reasons, its days, and what was decided before."""
    with told(as_json):
        from engine.flows.monitor_queue import show_item

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        one = show_item(opened, user, item, auth=auth)
        opened.close()
        emit(one, as_json, lambda: _item_words(one))


def _item_words(one: dict[str, Any]) -> str:
    signs = table(
        one["sentence"],
        ("sign", "points", "why it is one"),
        [(sign["says"], sign["points"], sign["reason"]) for sign in one["signs"]],
    )
    before = "".join(
        f"\nItem {item['item']} of the same pair: {item['outcome']}, {item['on']}"
        for item in one["before"]
    )
    employer = "" if one["employer_has_officer"] else (
        "\nThe employer has no officer here; tell them yourself."
    )  # fmt: skip
    entries = ", ".join(map(str, one["entries"][:20]))
    return f"{signs}\nDays: {', '.join(one['days'])}\nTrail: {entries}{before}{employer}"


@monitor.command("decide")
def decide_command(
    item: ItemArgument,
    outcome: Annotated[str, typer.Argument(help="explained, spoken_to, misuse or cannot_tell.")],
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record what you decided; misuse waits for a second person."""
    with told(as_json):
        from engine.flows.monitor_queue import decide_item

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        done = decide_item(opened, user, item, outcome, auth=auth)
        opened.close()
        waits = " It waits for a second person." if done["state"] == "waiting" else ""
        emit(done, as_json, lambda: f"Recorded: {outcome}.{waits}")


@monitor.command("second")
def second_command(
    item: ItemArgument,
    agree: Annotated[bool, typer.Option("--agree/--reject", help="What you say.")],
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take the second look at what another officer decided."""
    with told(as_json):
        from engine.flows.monitor_queue import second_look

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        done = second_look(opened, user, item, agree=agree, auth=auth)
        opened.close()
        emit(done, as_json, lambda: "Agreed." if agree else "Rejected; the item is open again.")


@monitor.command("rates")
def rates_command(
    home: HomeOption = None, as_user: AsOption = None, as_json: JsonOption = False
) -> None:
    """Report what the monitor does to groups over the last year, and the outcomes."""
    with told(as_json):
        from engine.flows.monitor_rates import monitor_rates

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        found = monitor_rates(opened, user, auth=auth)
        opened.close()
        emit(found, as_json, lambda: _rate_words(found))


def _rate_words(found: dict[str, Any]) -> str:
    def cell(value: Any) -> str:
        if isinstance(value, str):
            return value
        return f"{value['value']} ({value['low']} to {value['high']})"

    header = ("group", "users", "looks", "queued", "decided", "misuse", "per 1,000", "misuse share")
    parts = [
        table(
            title,
            header,
            [
                (
                    *(
                        one[name]
                        for name in ("group", "users", "looks", "queued", "decided", "misuse")
                    ),
                    cell(one["queued_per_1000"]),
                    cell(one["misuse_share"]),
                )
                for one in found[name]
            ],
        )
        for name, title in (("by_role", "By role"), ("by_agency", "By agency"))
    ]
    teams = table(
        "By team, counts alone",
        header[:6],
        [tuple(one[name] for name in ("group", "users", "looks", "queued", "decided", "misuse"))
         for one in found["by_team"]],
    )  # fmt: skip
    return "\n\n".join([*parts, teams, found["note"]])


@monitor.command("enrol")
def enrol_command(
    user: Annotated[str, typer.Argument(help="Name of the account.")],
    file: Annotated[
        Path | None, typer.Option("--from", help="The declaration; standard input without it.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Enrol a user: reads lines such as "surname: ..." and keeps keyed tokens alone."""
    with told(as_json):
        from engine.domain.errors import ConfigError
        from engine.flows.monitor_enrol import enrol

        opened = open_home(home)
        try:
            text = sys.stdin.read() if file is None else file.read_text(encoding="utf-8")
        except (OSError, ValueError):
            raise ConfigError(
                "FG-MON-03",
                "the declaration cannot be read: no such file, or not UTF-8",
                "Name a text file, or give it on standard input.",
            ) from None
        done = enrol(opened, user, text, operator(opened))
        opened.close()
        kept = ", ".join(f"{count} {sort}" for sort, count in done["tokens"].items() if count)
        emit(done, as_json, lambda: f"{user} is enrolled; keyed tokens kept: {kept or 'none'}.")


@monitor.command("leave")
def leave_command(
    user: Annotated[str, typer.Argument(help="Name of the account.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete the tokens of a user."""
    with told(as_json):
        from engine.flows.monitor_enrol import leave

        opened = open_home(home)
        done = leave(opened, user, operator(opened))
        opened.close()
        emit(done, as_json, lambda: f"The tokens of {user} are deleted.")


@monitor.command("members")
def members_command(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the accounts and who is enrolled; who is not, or is stale, shows no surname or address sign."""
    with told(as_json):
        from engine.flows.monitor_enrol import enrolled

        opened = open_home(home)
        rows = enrolled(opened)
        opened.close()
        emit(
            rows,
            as_json,
            lambda: table(
                f"{sum(one['enrolled'] for one in rows)} of {len(rows)} accounts are enrolled",
                ("user", "agency", "role", "state", "team", "tokens of"),
                [
                    (one["user"], one["agency"], one["role"], one["state"], one["team"],
                     ", ".join(one["sorts"]))
                    for one in rows
                ],
            ) + "".join(f"\n{one['user']}: {one['next']}" for one in rows if one["next"]),
        )  # fmt: skip


@monitor.command("mark")
def mark_command(
    person: Annotated[str, typer.Option(help="Casework reference.")],
    value: Annotated[str, typer.Option("--as-mark", help="marked, decoy or none.")],
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Mark a person as publicly known or as a decoy, for the monitor alone."""
    with told(as_json):
        from engine.flows.monitor_enrol import mark

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        done = mark(opened, user, person, value, auth=auth)
        opened.close()
        emit(done, as_json, lambda: f"Recorded: {value}.")
