"""``fieldgate``: one command per use case."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from engine.cli import (
    casework,
    contract,
    deliveries,
    doors,
    govern,
    harms,
    keys,
    law,
    linkage,
    monitor,
    pairs,
    products,
    scoring,
    stranger,
    trail,
    witness,
)
from engine.cli.context import AsOption, HomeOption, JsonOption, day, open_home, operator, user_of
from engine.cli.output import emit, os_user, say, table, told
from engine.cli.policy_change import policy

app = typer.Typer(
    name="fieldgate",
    help="Every field passes a gate: share, link, score and reveal under law, policy and audit.",
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=True,
)
app.add_typer(casework.review, name="review")
app.add_typer(pairs.pairs, name="pairs")
app.add_typer(scoring.score, name="score")
app.add_typer(products.products, name="products")
app.add_typer(harms.harms, name="harms")
app.add_typer(keys.keys, name="keys")
app.add_typer(linkage.linkage, name="linkage")
stranger.add_to(govern.audit)
govern.audit.command("search")(trail.audit_search)
govern.audit.command("disclosures")(trail.audit_disclosures)
govern.audit.command("reports")(trail.audit_reports)
govern.audit.command("report")(trail.audit_report)
govern.audit.command("own")(trail.audit_own)
app.add_typer(govern.audit, name="audit")
app.add_typer(witness.witness, name="witness")
app.add_typer(monitor.monitor, name="monitor")
app.add_typer(policy, name="policy")
app.command("submit")(deliveries.submit)
app.command("watch")(doors.watch)
app.add_typer(deliveries.deliveries, name="deliveries")
app.add_typer(doors.client, name="client")
app.add_typer(contract.contract, name="contract")
app.add_typer(law.gateway, name="gateway")
app.add_typer(law.agreement, name="agreement")
app.add_typer(law.access, name="access")
app.add_typer(govern.account, name="account")
app.add_typer(govern.flag, name="flag")


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Every field passes a gate."""
    if version:
        from engine import __version__

        typer.echo(f"fieldgate {__version__}")
        raise typer.Exit


@app.command()
def init(
    home: HomeOption = None,
    profile: Annotated[str, typer.Option(help="demo, single or split.")] = "demo",
    log_key_folder: Annotated[
        Path | None, typer.Option(help="Where the log key goes; not inside the home.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a home: keys, stores and its own copy of the policy."""
    with told(as_json):
        from engine.domain.errors import ConfigError
        from engine.domain.ids import system_clock, system_randomness
        from engine.flows.setup import init as make
        from engine.settings import settings

        chosen = home or settings().home
        if chosen is None:
            raise ConfigError("FG-HOME-06", "no home was named", "Give --home DIR.")
        made = make(
            chosen,
            profile,
            settings(),
            os_user(),
            log_key_folder=log_key_folder,
            clock=system_clock,
            randomness=system_randomness,
        )
        result = {
            "home": str(chosen),
            "profile": profile,
            "policy_version": made.pack.version,
        }
        made.close()
        emit(
            result,
            as_json,
            lambda: f"Made a {profile} home. Next: fieldgate submit --help",
        )


@app.command()
def link(
    home: HomeOption = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Compare every record again; the answer is the same.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Link all accepted records into persons."""
    with told(as_json):
        from engine.flows.link import link as run

        opened = open_home(home)
        say("Linking ...")
        result = run(opened, operator(opened), whole=whole)
        opened.close()
        emit(
            result,
            as_json,
            lambda: (
                f"{result['records']} records are {result['persons']} persons "
                f"({result['not_enough_to_identify']} not enough to identify); "
                f"{result['records_compared']} were compared anew, {result['pairs_for_review']} pairs "
                "of records are left to people (pairs list has one for each two persons)."
            ),
        )


@app.command()
def reveal(
    person: Annotated[str, typer.Option(help="Casework reference of the person.")],
    purpose: Annotated[str, typer.Option(help="Why it is needed.")],
    case: Annotated[str, typer.Option(help="Reference of an open case.")],
    reason: Annotated[str, typer.Option(help="Reason in your own words.")],
    withhold: Annotated[
        bool,
        typer.Option("--withhold", help="Record that sharing is more detrimental to the child."),
    ] = False,
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show an identity to one user, for one purpose and case, for a limited time."""
    with told(as_json):
        from engine.flows.decision import SHARE, WITHHOLD, Ask
        from engine.flows.reveal import reveal as run

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        sharing = WITHHOLD if withhold else SHARE
        shown = run(opened, Ask(user, purpose, case, reason, person, sharing), auth=auth)
        opened.close()
        emit(shown, as_json, lambda: _reveal_words(shown))


def _reveal_words(shown: dict[str, Any]) -> str:
    if shown["withheld"]:
        entry = shown["receipt"]["entry"]
        return f"Recorded: withheld, and nothing was opened. Audit entry {entry}"
    identity = table(
        f"Shown to {shown['user']} for {shown['purpose']}; closes {shown['expires_at']}",
        ("what", "value", "level", "held by"),
        [
            (
                one["label"],
                one["value"].replace("\n", ", "),
                one["level"],
                "; ".join(one["sources"]),
            )
            for one in shown["identity"]
        ],
    )
    facts = table(
        "What is known",
        ("what", "when", "level", "source"),
        [
            (f"{one['label']} {one['role']}".strip(), one["when"], one["level"], one["source"])
            for one in shown["facts"]
        ],
    )
    return f"{identity}\n\n{facts}\n\n{shown['note']}\nAudit entry {shown['receipt']['entry']}"


@app.command()
def demo(
    size: Annotated[str, typer.Option(help="tiny, town or city.")] = "town",
    home: HomeOption = None,
    no_serve: Annotated[
        bool, typer.Option("--no-serve", help="Do not start the web face.")
    ] = False,
    as_of: Annotated[str, typer.Option("--as-of", help="Last day of the city.")] = "today",
    families: Annotated[
        str, typer.Option(help="plain, hard, or independent: names that no table of ours knows.")
    ] = "plain",
    as_json: JsonOption = False,
) -> None:
    """Run the main job on an invented city, then serve it."""
    with told(as_json):
        from engine.cli.demo import run_demo_command

        run_demo_command(
            size, home, day(as_of), families=families, serve=not no_serve, as_json=as_json
        )


@app.command()
def serve(
    home: HomeOption = None,
    port: Annotated[int | None, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535)] = None,
) -> None:
    """Serve the web face on 127.0.0.1."""
    with told(False):
        from engine.cli.demo import serve_home

        serve_home(open_home(home), port)


@app.command()
def doctor(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Check this machine and, when one is named, a home; say what to do about each fault."""
    with told(as_json):
        from engine.cli.doctor import check_all
        from engine.domain.errors import Exit

        checks = check_all(home)
        result = {
            "checks": checks,
            "ok": all(one["status"] != "fail" for one in checks),
        }
        emit(
            result,
            as_json,
            lambda: "\n".join(
                f"{one['status']:5} {one['name']}: {one['detail']}"
                + (f"\n      do: {one['fix']}" if one["fix"] else "")
                for one in checks
            ),
        )
        raise typer.Exit(Exit.OK if result["ok"] else Exit.CONFIGURATION)


def run() -> None:
    """Entry point of the ``fieldgate`` command."""
    app()
