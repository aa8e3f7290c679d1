"""``fieldgate submit | deliveries``: what agencies send, and what became of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.context import AsOption, HomeOption, JsonOption, open_home, operator, user_of
from engine.cli.output import emit, table, told

if TYPE_CHECKING:
    from engine.domain.ids import Actor
    from engine.flows.home import Home

deliveries = typer.Typer(help="Deliveries and what became of them.", no_args_is_help=True)

NumberArgument = Annotated[int, typer.Argument(help="Number of the delivery.")]
AgencyOption = Annotated[str, typer.Option(help="Agency that sends.")]


def submit(
    files: Annotated[list[Path], typer.Argument(help="The file, the files of a set, or a zip.")],
    agency: AgencyOption,
    source: Annotated[str, typer.Option(help="Source it belongs to.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read, check and judge; store nothing.")
    ] = False,
    history: Annotated[
        bool, typer.Option("--history", help="A back-load: recorded as on its own days, no news.")
    ] = False,
    replaces: Annotated[
        int | None, typer.Option(help="Number of the delivery that this one corrects.")
    ] = None,
    mends: Annotated[
        int | None, typer.Option(help="Number of the delivery whose rows, set aside, come mended.")
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", help="First day of the window that it replaces.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", help="Last day of the window that it replaces.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Accept a delivery and print its receipt."""
    with told(as_json):
        from engine.flows.incoming import Options, window_of
        from engine.flows.submit import submit as run

        opened = open_home(home)
        with _progress("Reading") as tell:
            receipt = run(
                opened,
                files if len(files) > 1 else files[0],
                agency=agency,
                source=source,
                actor=operator(opened),
                options=Options(
                    history=history,
                    window=window_of(first or "", last or ""),
                    replaces=replaces,
                    mends=mends,
                    dry_run=dry_run,
                    progress=tell,
                ),
            )
        opened.close()
        emit(receipt, as_json, lambda: receipt_words(receipt))


@contextmanager
def _progress(words: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar on a terminal, and nothing anywhere else."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(words)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def receipt_words(receipt: dict[str, Any]) -> str:
    """Return a receipt in words."""
    rows = receipt["rows"]
    lines = [
        f"{receipt['source']}: {rows['in']} rows in, {rows['kept']} kept, "
        f"{sum(rows['dropped'].values())} dropped; {receipt['records']} records, "
        f"{receipt['events']} events, {receipt['states']} states. {receipt['state'].capitalize()}."
    ]
    if receipt["duplicate"]:
        lines.append("This file was accepted before; nothing changed.")
    lines += [f"  PAUSED: {why}" for why in receipt["paused_because"]]
    if len(receipt["tables"]) > 1:
        lines += [
            f"  {name}: {one['in']} in, {one['kept']} kept"
            for name, one in receipt["tables"].items()
        ]
    lines += [f"  dropped {count}: {reason}" for reason, count in rows["dropped"].items()]
    lines += [
        f"  not taken: {label} ({'; '.join(reasons)})"
        for label, reasons in receipt["fields_dropped"].items()
    ]
    if receipt["columns_unknown"]:
        lines.append(f"  columns not in the contract: {', '.join(receipt['columns_unknown'])}")
    lines += [
        f"  {group['severity']} {group['check'] or group['code']} {group['column']}: "
        f"{group['sentence']} ({group['count']}{_in_file(group)}). {group['next_step']}"
        for group in receipt["findings"]
    ]
    lines += [
        f"  check {one['id']} {one['status']}: {one['why']}"
        for one in receipt["checks"]
        if one["status"] != "run"
    ]
    lines += [f"  repair: {rule} ({count})" for rule, count in receipt["repairs"].items()]
    lines.append(f"Receipt {receipt['delivery']}, content {receipt['content_sha256'][:16]}")
    return "\n".join(lines)


def _in_file(group: dict[str, Any]) -> str:
    return f" in {group['file']}" if group.get("file") else ""


@deliveries.command("list")
def list_command(
    agency: Annotated[str, typer.Option(help="Only those of one agency.")] = "",
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List deliveries, the newest first, and those that wait for a release."""
    with told(as_json):
        from engine.flows.deliveries import deliveries as run

        opened = open_home(home)
        rows = run(opened, operator(opened), agency)
        opened.close()
        emit(
            rows,
            as_json,
            lambda: table(
                "Deliveries",
                ("number", "agency", "source", "state", "light", "in", "kept", "errors", "warnings"),
                [
                    (one["number"], one["agency"], one["source"], one["state"], one["light"],
                     one["rows_in"], one["rows_kept"], one["errors"], one["warnings"])
                    for one in rows
                ],
            ),
        )  # fmt: skip


@deliveries.command("show")
def show_command(
    number: NumberArgument, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Show a receipt and what became of the delivery."""
    with told(as_json):
        from engine.flows.deliveries import EVERYBODYS, receipt_of

        opened = open_home(home)
        receipt = receipt_of(opened, operator(opened), number, EVERYBODYS, with_keys=False)
        opened.close()
        emit(receipt, as_json, lambda: receipt_words(receipt))


@deliveries.command("findings")
def findings_command(
    number: NumberArgument,
    as_user: AsOption = None,
    out: Annotated[Path | None, typer.Option(help="CSV file to write.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give every row found; with its own record keys to a data submitter of the agency that sent them."""
    with told(as_json):
        from engine.flows.clients import ROLE
        from engine.flows.deliveries import EVERYBODYS, finding_rows, receipt_of

        opened = open_home(home)
        actor, agency = operator(opened), EVERYBODYS
        if as_user is not None or not opened.is_demo:
            actor = _account(opened, as_user)
            agency = actor.agency if actor.role == ROLE else EVERYBODYS
        receipt = receipt_of(opened, actor, number, agency, with_keys=agency != EVERYBODYS)
        opened.close()
        rows = finding_rows(receipt)
        plain = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
        _emit_rows(plain, rows, out, receipt["looked"], as_json=as_json)


@deliveries.command("aside")
def aside_command(
    number: NumberArgument,
    as_user: AsOption = None,
    out: Annotated[Path | None, typer.Option(help="CSV file to write.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a data submitter the rows of the own agency that wait to be mended."""
    with told(as_json):
        from engine.flows.aside import as_table, rows_aside

        opened = open_home(home)
        found = rows_aside(opened, _account(opened, as_user), number)
        opened.close()
        _emit_rows(found, as_table(found), out, found["receipt"], as_json=as_json)


def _account(home: Home, as_user: str | None) -> Actor:
    """Return the account under which this command asks."""
    from engine.flows.accounts import actor_of, open_account

    user, auth = user_of(home, as_user)
    return actor_of(open_account(home, user, auth), auth)


def _emit_rows(
    plain: Any,
    rows: list[list[str]],
    out: Path | None,
    receipt: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    """Write a table and its receipt into files where one is named, and print it as one document or as CSV."""
    from engine.domain.export import csv_text

    if out is not None:
        out.write_text(csv_text(rows), encoding="utf-8")
        if receipt["proof"]:
            out.with_name(f"{out.name}.tlog-proof").write_text(receipt["proof"], encoding="utf-8")
        else:
            typer.echo(f"Audit entry {receipt['entry']}: {receipt['why']}", err=True)
    emit(
        plain,
        as_json,
        lambda: f"{len(rows) - 1} rows written." if out else csv_text(rows).rstrip(),
    )


@deliveries.command("trend")
def trend_command(
    agency: Annotated[str, typer.Option(help="Only those of one agency.")] = "",
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how the findings of an agency change from delivery to delivery."""
    with told(as_json):
        from engine.flows.deliveries import trend

        opened = open_home(home)
        rows = trend(opened, operator(opened), agency)
        opened.close()
        emit(
            rows,
            as_json,
            lambda: table(
                "Findings by delivery",
                ("number", "source", "rows", "cause", "found"),
                [
                    (one["number"], one["source"], one["rows_in"], cause, count)
                    for one in rows
                    for cause, count in one["findings"].items()
                ],
            ),
        )


@deliveries.command("lights")
def lights_command(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show which sources come in time; a late one stops the lists that need it."""
    with told(as_json):
        from engine.flows.lights import source_lights

        opened = open_home(home)
        rows = source_lights(opened)
        opened.close()
        emit(
            rows,
            as_json,
            lambda: table(
                "Sources",
                ("source", "agency", "light", "last", "every days", "days late"),
                [
                    (one["source"], one["agency"], one["light"], one["last"] or "never",
                     one["every_days"] or "", one["days_late"] or "")
                    for one in rows
                ],
            ),
        )  # fmt: skip


@deliveries.command("release")
def release_command(
    number: NumberArgument, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Let a paused delivery count, after you have looked at it."""
    _decide(number, home, as_json, accept=True)


@deliveries.command("refuse")
def refuse_command(
    number: NumberArgument, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Refuse a paused delivery and destroy what it brought."""
    _decide(number, home, as_json, accept=False)


def _decide(number: int, home: Path | None, as_json: bool, *, accept: bool) -> None:
    with told(as_json):
        from engine.flows.deliveries import release

        opened = open_home(home)
        result = release(opened, number, operator(opened), accept=accept)
        opened.close()
        emit(result, as_json, lambda: f"Delivery {number} is {result['state']}.")


def _back(result: dict[str, Any]) -> str:
    done, said = result["withdrawn"], ""
    for name, word, would in (
        ("restored", "stands again", "would stand again"),
        ("destroyed", "was sent anew since and is gone", "was sent anew since and would go"),
    ):
        for one in result[name]:
            said += f"Delivery {one}, which it replaced, {word if done else would}. "
    return said


@deliveries.command("withdraw")
def withdraw_command(
    number: NumberArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a whole delivery back and destroy what it brought, as if it had never been sent."""
    with told(as_json):
        from engine.flows.deliveries import withdraw

        opened = open_home(home)
        result = withdraw(opened, number, operator(opened), dry_run=dry_run)
        opened.close()
        word = "would go" if dry_run else "gone"
        emit(
            result,
            as_json,
            lambda: (
                f"Delivery {number}: {result['records']} records, {result['events']} events and "
                f"{result['states']} states {word}. {_back(result)}Next: {result['next']}"
            ),
        )
