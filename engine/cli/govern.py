"""``fieldgate audit | account | flag``: what operators and governance leads run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.context import AsOption, HomeOption, JsonOption, open_home, user_of
from engine.cli.output import emit, os_user, told

audit = typer.Typer(help="The audit trail.", no_args_is_help=True)
account = typer.Typer(help="Accounts of this home.", no_args_is_help=True)
flag = typer.Typer(help="Flags that trusted staff set.", no_args_is_help=True)


@audit.command("verify")
def audit_verify(
    home: HomeOption = None,
    vkey: Annotated[str | None, typer.Option(help="Public key from a place you trust.")] = None,
    tiles: Annotated[
        str, typer.Option(help="An export, by folder or http(s) address, in place of a home.")
    ] = "",
    anchor: Annotated[
        list[Path] | None, typer.Option(help="File of checkpoints that was copied to another disk.")
    ] = None,
    second_vkey: Annotated[str, typer.Option(help="Second public key, from such a place.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Prove the whole trail: exit 0 verified, 14 tampered, 17 incomplete."""
    with told(as_json):
        from audit.kept import Kept
        from engine.domain.errors import ConfigError, Exit
        from engine.flows.trail import verify_export, verify_trail

        if tiles and (anchor or second_vkey):
            raise ConfigError(
                "FG-AUD-31",
                "an export is not held against an anchor or a second key",
                "Give a home in place of the export, or leave --anchor and --second-vkey out.",
            )
        kept = Kept(tuple(anchor or ()), second_vkey=second_vkey)
        report = (
            verify_export(tiles, vkey or "")
            if tiles
            else verify_trail(open_home(home), vkey=vkey, kept=kept)
        )
        lines = [
            f"{report.status}: {report.size} events, {report.checkpoints} checkpoints, "
            f"root {report.root}",
            *(f"  tampered: {finding}" for finding in report.findings),
            *(f"  not checked: {missing}" for missing in report.missing),
            *(f"  no outcome yet: intent {intent}" for intent in report.open_intents),
            *(f"  ALARM: {alarm}" for alarm in report.alarms),
            *(f"  no key here for a signature line of {name}" for name in report.unchecked),
        ]
        if report.standing is not None:
            lines.append(f"  {report.standing.sentence()}")
            lines += [f"  ALARM: {alarm}" for alarm in report.standing.alarms]
        emit(report.as_dict(), as_json, lambda: "\n".join(lines))
        code = {
            "verified": Exit.OK,
            "tampered": Exit.TAMPERED,
            "incomplete": Exit.INCOMPLETE,
        }
        raise typer.Exit(code[report.status])


@audit.command("sequence")
def audit_sequence(
    once: Annotated[bool, typer.Option(help="Sequence what waits and end.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put the events that wait on PostgreSQL into the signed tree, until it is stopped.

    Several may run: one works, and another one goes on when it dies.
    """
    with told(as_json):
        import signal
        import threading

        opened = open_home(home)
        stop = threading.Event()
        if not once:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stop.set())
        count = opened.sequence_log(None if once else stop)
        emit({"sequenced": count}, as_json, lambda: f"{count} events were put into the trail")


@audit.command("recover")
def audit_recover(
    because: Annotated[str, typer.Option(help="restored, disk or unknown.")],
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Declare that events of the trail are lost, or confirm it as the second person. Cannot be undone."""
    with told(as_json):
        from engine.flows.recover_log import recover_log

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = recover_log(opened, user, because, auth=auth)
        opened.close()
        emit(
            result,
            as_json,
            lambda: (
                f"{result['state']}: {result['what']}; {result['left']} events are left. "
                f"{result['next']}"
            ),
        )


@audit.command("list")
def audit_list(
    use: Annotated[str, typer.Option(help="One of the four uses of DPA 2018 s.62(4).")],
    newest: Annotated[int, typer.Option(help="How many events.")] = 20,
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the newest events as sentences, for the information governance lead."""
    with told(as_json):
        from engine.flows.trail import read_trail

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        events = read_trail(opened, user, use, newest, auth=auth)
        opened.close()
        emit(
            events,
            as_json,
            lambda: "\n".join(f"#{one['seq']} {one['when']} {one['sentence']}" for one in events),
        )


@account.command("add")
def account_add(
    user: Annotated[str, typer.Argument(help="User name.")],
    agency: Annotated[str, typer.Option()],
    role: Annotated[str, typer.Option()],
    purpose: Annotated[str, typer.Option(help="Purpose the role works under.")],
    label: Annotated[str, typer.Option()] = "",
    training_until: Annotated[
        str | None, typer.Option(help="Last day on which the person's training counts.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add or replace an account."""
    with told(as_json):
        from engine.flows.setup import add_account

        opened = open_home(home)
        add_account(
            opened,
            user,
            label or user,
            agency,
            role,
            purpose,
            by=os_user(),
            training=training_until,
        )
        opened.close()
        emit(
            {"user": user, "role": role},
            as_json,
            lambda: f"{user} is {role} of {agency}.",
        )


@flag.command("set")
def flag_set(
    person: Annotated[str, typer.Option(help="Casework reference.")],
    name: Annotated[str, typer.Option(help="Flag of the pack, for example restricted.")],
    value: Annotated[str, typer.Option(help="y or n.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set a flag of a person or of all their records."""
    with told(as_json):
        from engine.flows.setup import set_flag

        opened = open_home(home)
        set_flag(opened, person, name, value, os_user())
        opened.close()
        emit({"flag": name, "value": value}, as_json, lambda: f"{name} is {value}.")


@flag.command("declare")
def flag_declare(
    name: Annotated[str, typer.Argument(help="Subject flag, for example adopted.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """State that the host's register of a flag is complete; who is not in it does not bear it."""
    with told(as_json):
        from engine.flows.setup import declare_register

        opened = open_home(home)
        declare_register(opened, name, os_user())
        opened.close()
        emit({"flag": name}, as_json, lambda: f"The register of {name} is complete.")
