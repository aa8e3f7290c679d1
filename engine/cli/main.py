"""``fieldgate``: one command per use case."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.output import emit, os_user, say, table, told

if TYPE_CHECKING:
    from engine.domain.ids import Actor
    from engine.flows.home import Home

app = typer.Typer(
    name="fieldgate",
    help="Every field passes a gate: share, link, score and reveal under law, policy and audit.",
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=True,
)
review = typer.Typer(help="Review lists and their outcomes.", no_args_is_help=True)
audit = typer.Typer(help="The audit trail.", no_args_is_help=True)
policy = typer.Typer(help="The policy of this home.", no_args_is_help=True)
account = typer.Typer(help="Accounts of this home.", no_args_is_help=True)
flag = typer.Typer(help="Flags that trusted staff set.", no_args_is_help=True)
for _name, _group in (
    *(("review", review), ("audit", audit), ("policy", policy)),
    *(("account", account), ("flag", flag)),
):
    app.add_typer(_group, name=_name)

HomeOption = Annotated[Path | None, typer.Option("--home", help="Folder of the home.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
AsOption = Annotated[str | None, typer.Option("--as", help="Demo identity; demo homes only.")]


def open_home(path: Path | None) -> Home:
    """Open the home given by ``--home`` or ``FIELDGATE_HOME``."""
    from engine.domain.errors import ConfigError
    from engine.flows.home import Home
    from engine.settings import settings

    chosen = path or settings().home
    if chosen is None:
        raise ConfigError("FG-HOME-06", "no home was named", "Give --home DIR.")
    home = Home(chosen, settings())
    home.manifest  # noqa: B018  # refuses a folder that is no home
    return home


def operator(home: Home) -> Actor:
    """Return the operator of this command."""
    from engine.flows.setup import operator as make

    return make(home.profile, os_user())


def user_of(home: Home, as_user: str | None) -> tuple[str, str]:
    """Return (user, how established). ``--as`` works in a demo home only."""
    from engine.domain.errors import ConfigError

    if as_user is None:
        return os_user(), "demo" if home.is_demo else "os"
    if not home.is_demo:
        raise ConfigError(
            "FG-CLI-01",
            "--as works in a demo home only",
            "Run as the user who has the account.",
        )
    return as_user, "demo"


def _day(text: str) -> date:
    from engine.domain.errors import ConfigError

    if text == "today":
        from engine.domain.ids import system_clock

        return system_clock().date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            "FG-CLI-02", "the date is not year-month-day", "Write 2026-11-25."
        ) from None


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
def submit(
    file: Annotated[Path, typer.Argument(help="The delivery.")],
    agency: Annotated[str, typer.Option(help="Agency that sends.")],
    source: Annotated[str, typer.Option(help="Source it belongs to.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Accept a delivery and print its receipt."""
    with told(as_json):
        from engine.flows.submit import submit as run

        opened = open_home(home)
        receipt = run(opened, file, agency=agency, source=source, actor=operator(opened))
        opened.close()
        emit(receipt, as_json, lambda: receipt_words(receipt))


def receipt_words(receipt: dict[str, Any]) -> str:
    """Return a receipt in words."""
    rows = receipt["rows"]
    lines = [
        f"{receipt['source']}: {rows['in']} rows in, {rows['kept']} kept, "
        f"{sum(rows['dropped'].values())} dropped; {receipt['records']} records, "
        f"{receipt['events']} events, {receipt['states']} states."
    ]
    if receipt["duplicate"]:
        lines.append("This file was accepted before; nothing changed.")
    lines += [f"  dropped {count}: {reason}" for reason, count in rows["dropped"].items()]
    lines += [
        f"  not taken: {label} ({'; '.join(reasons)})"
        for label, reasons in receipt["fields_dropped"].items()
    ]
    if receipt["columns_unknown"]:
        lines.append(f"  columns not in the contract: {', '.join(receipt['columns_unknown'])}")
    lines += [
        f"  {group['severity']} {group['code']} {group['column']}: {group['sentence']} "
        f"({group['count']}). {group['next_step']}"
        for group in receipt["findings"]
    ]
    lines.append(f"Receipt {receipt['delivery']}, content {receipt['content_sha256'][:16]}")
    return "\n".join(lines)


@app.command()
def link(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Link all accepted records into persons."""
    with told(as_json):
        from engine.flows.link import link as run

        opened = open_home(home)
        say("Linking ...")
        result = run(opened, operator(opened))
        opened.close()
        emit(
            result,
            as_json,
            lambda: (
                f"{result['records']} records are {result['persons']} persons "
                f"({result['not_enough_to_identify']} not enough to identify)."
            ),
        )


@app.command()
def score(
    as_of: Annotated[str, typer.Option("--as-of", help="Year-month-day, or today.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score as of a date and publish the review lists."""
    with told(as_json):
        from engine.flows.score import score as run

        opened = open_home(home)
        say("Scoring ...")
        manifest = run(opened, _day(as_of), operator(opened))
        opened.close()
        emit(
            manifest,
            as_json,
            lambda: (
                f"Run {manifest['run']}: {manifest['persons']} persons, "
                f"lists {manifest['lists']}, digest {manifest['digest'][:16]}"
            ),
        )


@review.command("list")
def review_list(
    home: HomeOption = None, as_user: AsOption = None, as_json: JsonOption = False
) -> None:
    """Print the newest review lists: references and numbers, no names."""
    with told(as_json):
        from engine.flows.person import review_lists

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        # In a demo home the operator may look without an account; elsewhere the account decides.
        chosen = None if opened.is_demo and as_user is None else user
        result = review_lists(opened, chosen, auth=auth)
        opened.close()
        emit(result, as_json, lambda: _lists_words(result))


def _lists_words(result: dict[str, Any]) -> str:
    if result["run"] is None:
        return "No run has been published yet. Next: fieldgate score --as-of today"
    parts = []
    for one in result["lists"]:
        if not one["scored"]:
            parts.append(f"{one['label']}: {result['not_scored'][one['theme']]}")
            continue
        rows = [
            (
                e["rank"],
                e["person"],
                "(blind)" if e["blind"] else f"{e['score']:.3f}",
                e["outcome"],
            )
            for e in one["entries"]
        ]
        parts.append(
            table(
                f"{one['label']} (capacity {one['capacity']}, as of {result['as_of']})",
                ("rank", "person", "score", "outcome"),
                rows,
            )
        )
    return "\n\n".join(parts)


@review.command("decide")
def review_decide(
    item: Annotated[int, typer.Argument(help="Number of the list entry.")],
    outcome: Annotated[str, typer.Option(help="accept, watch, not_appropriate or need_more.")],
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record what a person decided about a list entry."""
    with told(as_json):
        from engine.flows.person import decide

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = decide(opened, user, item, outcome, auth=auth)
        opened.close()
        emit(result, as_json, lambda: f"Recorded: {outcome}.")


@app.command()
def reveal(
    person: Annotated[str, typer.Option(help="Casework reference of the person.")],
    purpose: Annotated[str, typer.Option(help="Why it is needed.")],
    case: Annotated[str, typer.Option(help="Reference of an open case.")],
    reason: Annotated[str, typer.Option(help="Reason in your own words.")],
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show an identity to one user, for one purpose and case, for a limited time."""
    with told(as_json):
        from engine.flows.reveal import Ask
        from engine.flows.reveal import reveal as run

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        shown = run(opened, Ask(user, purpose, case, reason, person), auth=auth)
        opened.close()
        emit(shown, as_json, lambda: _reveal_words(shown))


def _reveal_words(shown: dict[str, Any]) -> str:
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


@audit.command("verify")
def audit_verify(
    home: HomeOption = None,
    vkey: Annotated[str | None, typer.Option(help="Public key from a place you trust.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Prove the whole trail: exit 0 verified, 14 tampered, 17 incomplete."""
    with told(as_json):
        from engine.domain.errors import Exit
        from engine.flows.trail import verify_trail

        opened = open_home(home)
        report = verify_trail(opened, vkey=vkey)
        lines = [
            f"{report.status}: {report.size} events, {report.checkpoints} checkpoints, "
            f"root {report.root}",
            *(f"  tampered: {finding}" for finding in report.findings),
            *(f"  not checked: {missing}" for missing in report.missing),
            *(f"  no outcome yet: intent {intent}" for intent in report.open_intents),
        ]
        emit(report.as_dict(), as_json, lambda: "\n".join(lines))
        code = {
            "verified": Exit.OK,
            "tampered": Exit.TAMPERED,
            "incomplete": Exit.INCOMPLETE,
        }
        raise typer.Exit(code[report.status])


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


@policy.command("activate")
def policy_activate(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Make the pack that stands in the home the active policy."""
    with told(as_json):
        from engine.flows.setup import activate_policy

        opened = open_home(home)
        version = activate_policy(opened, os_user())
        opened.close()
        emit({"policy_version": version}, as_json, lambda: f"Active policy: {version}")


@account.command("add")
def account_add(
    user: Annotated[str, typer.Argument(help="User name.")],
    agency: Annotated[str, typer.Option()],
    role: Annotated[str, typer.Option()],
    purpose: Annotated[str, typer.Option(help="Purpose the role works under.")],
    label: Annotated[str, typer.Option()] = "",
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add or replace an account."""
    with told(as_json):
        from engine.flows.setup import add_account

        opened = open_home(home)
        add_account(opened, user, label or user, agency, role, purpose, by=os_user())
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


@app.command()
def demo(
    size: Annotated[str, typer.Option(help="tiny, town or city.")] = "town",
    home: HomeOption = None,
    no_serve: Annotated[
        bool, typer.Option("--no-serve", help="Do not start the web face.")
    ] = False,
    as_of: Annotated[str, typer.Option("--as-of", help="Last day of the city.")] = "today",
    as_json: JsonOption = False,
) -> None:
    """Run the main job on an invented city, then serve it."""
    with told(as_json):
        from engine.cli.demo import run_demo_command

        run_demo_command(size, home, _day(as_of), serve=not no_serve, as_json=as_json)


@app.command()
def serve(
    home: HomeOption = None,
    port: Annotated[int | None, typer.Option(help="Port on 127.0.0.1.")] = None,
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
