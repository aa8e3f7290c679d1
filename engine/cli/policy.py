"""``fieldgate policy``: read, test, explain, compare and change who may see what.

Questions are asked of a folder (``--pack DIR``, holding ``gateways`` and ``policies``), of a home's
active version, or with ``--draft`` of the copy in it that IG edits.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.context import HomeOption, JsonOption, day, open_home
from engine.cli.output import emit, say, table, told

if TYPE_CHECKING:
    from engine.flows.home import Home
    from policies.model import Pack

policy = typer.Typer(
    help="Who may see what: read, test, explain, compare, change.", no_args_is_help=True
)

PackOption = Annotated[
    Path | None, typer.Option("--pack", help="Folder with gateways and policies; no home needed.")
]
DraftOption = Annotated[
    bool, typer.Option("--draft", help="The home's draft, not the active version.")
]
DateOption = Annotated[str, typer.Option("--as-of", help="Year-month-day, or today.")]


def folders_of(
    home: Path | None, pack: Path | None, *, draft: bool
) -> tuple[Path, Path, Home | None]:
    """Return the two folders a question is about, and the home they belong to."""
    import gateways.load
    import policies.load

    if pack is not None:
        if (pack / "policies").is_dir():
            return pack / "gateways", pack / "policies", None
        return pack / "gateways", pack / "policies" / "pack", None
    from engine.settings import settings

    if home is None and settings().home is None:
        return gateways.load.shipped(), policies.load.shipped(), None
    opened = open_home(home)
    if draft:
        return *opened.draft, opened
    return *opened.version_folders(opened.pack.version), opened


def pack_of(home: Path | None, pack: Path | None, *, draft: bool = False) -> Pack:
    """Return the pack a question is about; the active one of a home knows what is suspended."""
    import policies.load

    gateways_folder, policies_folder, opened = folders_of(home, pack, draft=draft)
    if opened is not None and not draft:
        return opened.pack
    return policies.load.load_pack(gateways_folder, policies_folder)


@policy.command("lint")
def lint_command(
    home: HomeOption = None,
    pack: PackOption = None,
    as_of: DateOption = "today",
    as_json: JsonOption = False,
) -> None:
    """Find everything that is wrong with the draft or a folder: file, line, rule. Exit 15 on an error."""
    with told(as_json):
        from engine.domain.errors import Exit
        from engine.flows.policy_review import lint_folders
        from policies.lint import waived

        gateways_folder, policies_folder, opened = folders_of(home, pack, draft=True)
        today = day(as_of)
        loaded, found = lint_folders(opened, gateways_folder, policies_folder, today)
        rows: list[dict[str, Any]] = [
            {**one.as_dict(), "waived": loaded is not None and waived(loaded, one, today)}
            for one in found
        ]
        broken = [one for one in rows if one["severity"] == "E"]
        open_warnings = [one for one in rows if one["severity"] == "W" and not one["waived"]]
        result = {
            "ok": not broken,
            "version": loaded.version if loaded else None,
            "errors": len(broken),
            "warnings": len(open_warnings),
            "waived": len(rows) - len(broken) - len(open_warnings),
            "findings": rows,
        }
        emit(result, as_json, lambda: _lint_words(result))
        raise typer.Exit(Exit.OK if not broken else Exit.CONFIGURATION)


def _lint_words(result: dict[str, Any]) -> str:
    lines = [
        f"{one['severity']}{'(waived)' if one['waived'] else ''} {one['file']}:{one['line']} "
        f"{one['rule']} {one['message']}\n      do: {one['next_step']}"
        for one in result["findings"]
    ]
    lines.append(
        f"{result['errors']} errors, {result['warnings']} warnings, {result['waived']} waived."
    )
    return "\n".join(lines)


@policy.command("test")
def run_tests_command(
    home: HomeOption = None,
    pack: PackOption = None,
    as_of: DateOption = "today",
    as_json: JsonOption = False,
) -> None:
    """Run the tests that stand beside the pack, in YAML. Exit 15 when one fails."""
    with told(as_json):
        import policies.load
        from engine.domain.errors import Exit
        from engine.flows.policy_review import cases_of

        gateways_folder, policies_folder, _ = folders_of(home, pack, draft=True)
        results = cases_of(
            policies.load.load_pack(gateways_folder, policies_folder), policies_folder, day(as_of)
        )
        failed = [one for one in results if one.problems]
        result = {"passed": len(results) - len(failed), "failed": len(failed),
                  "tests": [one.as_dict() for one in results]}  # fmt: skip
        emit(
            result,
            as_json,
            lambda: "\n".join(
                [f"{'ok  ' if not one.problems else 'FAIL'} {one.case.name}"
                 + "".join(f"\n      {one.case.file}:{one.case.line} {problem}" for problem in one.problems)
                 for one in results]
                + [f"{result['passed']} passed, {result['failed']} failed."]
            ),
        )  # fmt: skip
        raise typer.Exit(Exit.OK if not failed else Exit.CONFIGURATION)


@policy.command("explain")
def explain_command(
    field: Annotated[str, typer.Argument(help="source.field")],
    role: Annotated[str, typer.Option(help="Role of the pack.")],
    agency: Annotated[str, typer.Option(help="Agency whose staff asks.")],
    purpose: Annotated[str, typer.Option(help="Why.")],
    met: Annotated[str, typer.Option(help="Obligations met, by comma; all when left out.")] = "all",
    state: Annotated[str, typer.Option(help="Flags, for example child=y,protected=y.")] = "",
    basis: Annotated[
        str, typer.Option(help="agreement|gateway; every one is tried when left out.")
    ] = "",
    as_of: DateOption = "today",
    home: HomeOption = None,
    pack: PackOption = None,
    draft: DraftOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say why a field is shown or not: row, file, line, statute and agreement."""
    with told(as_json):
        from policies.explain import explain, sentences
        from policies.matrix import ASSUMED, everything_met, plain_state
        from policies.model import Request

        found = pack_of(home, pack, draft=draft)
        source, _, name = field.rpartition(".")
        flags = dict(part.partition("=")[::2] for part in state.split(",") if part)
        done = everything_met(found) if met == "all" else frozenset(m for m in met.split(",") if m)
        agreement, _, gateway = basis.partition("|")
        one = explain(
            found,
            Request(role, agency, purpose, ASSUMED),
            source,
            name,
            day(as_of),
            done,
            {**plain_state(found), **flags},
            (agreement, gateway) if basis else None,
        )
        emit(one.as_dict(), as_json, lambda: "\n".join(sentences(one, found)))


def _cells(rows: list[Any], title: str) -> str:
    return table(
        title,
        ("role", "agency", "purpose", "field", "level", "law", "owed"),
        [
            (one.role, one.agency, one.purpose, f"{one.source}.{one.field}", one.level, one.gateway, one.obligations)
            for one in rows
        ],
    )  # fmt: skip


@policy.command("who-can")
def who_can_command(
    field: Annotated[str, typer.Argument(help="source.field")],
    as_of: DateOption = "today",
    home: HomeOption = None,
    pack: PackOption = None,
    draft: DraftOption = False,
    as_json: JsonOption = False,
) -> None:
    """List everybody who may see a field, at which level, under which law."""
    with told(as_json):
        from engine.domain.errors import ConfigError
        from policies.load import field_of
        from policies.matrix import who_can

        found = pack_of(home, pack, draft=draft)
        if field_of(found, field) is None:
            raise ConfigError("FG-POL-25", "the pack has no such field", "Write source.field.")
        rows = who_can(found, field, day(as_of))
        words = f"{field} is shown to" if rows else f"{field} is shown to nobody."
        emit([one.as_dict() for one in rows], as_json, lambda: _cells(rows, words))


@policy.command("what-can")
def what_can_command(
    role: Annotated[str, typer.Argument(help="Role of the pack.")],
    as_of: DateOption = "today",
    home: HomeOption = None,
    pack: PackOption = None,
    draft: DraftOption = False,
    as_json: JsonOption = False,
) -> None:
    """List everything a role may see."""
    with told(as_json):
        from engine.domain.errors import ConfigError
        from policies.matrix import what_can

        found = pack_of(home, pack, draft=draft)
        if role not in found.vocabulary.roles:
            raise ConfigError("FG-POL-25", "the pack has no such role", "See its vocabulary.")
        rows = what_can(found, role, day(as_of))
        emit([one.as_dict() for one in rows], as_json, lambda: _cells(rows, f"{role} may see"))


@policy.command("matrix")
def matrix_command(
    form: Annotated[str, typer.Option("--format", help="md, csv or json.")] = "md",
    out: Annotated[Path | None, typer.Option(help="Write to a file.")] = None,
    as_of: DateOption = "today",
    home: HomeOption = None,
    pack: PackOption = None,
    draft: DraftOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the table source x field x gateway x role that the impact assessment embeds."""
    with told(as_json):
        import json

        from engine.domain.errors import ConfigError
        from policies.matrix import as_csv, as_markdown, cells

        if form not in ("md", "csv", "json"):
            raise ConfigError("FG-POL-25", "the form is unknown", "Use md, csv or json.")
        found, today = pack_of(home, pack, draft=draft), day(as_of)
        rows = list(cells(found, today))
        if as_json or form == "json":
            text = json.dumps([one.as_dict() for one in rows], indent=1) + "\n"
        elif form == "csv":
            text = as_csv(rows, found.version, today)
        else:
            text = as_markdown(found, rows, today)
        if out is None:
            typer.echo(text, nl=False)
        else:
            out.write_text(text, encoding="utf-8")
            say(f"{len(rows)} cells written.")


@policy.command("as-of")
def as_of_command(
    when: Annotated[str, typer.Argument(help="Year-month-day, or today.")],
    home: HomeOption = None,
    pack: PackOption = None,
    draft: DraftOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say what is open on a day, and what opens or lapses in the 60 days after it."""
    with told(as_json):
        from policies.horizon import horizon

        result = horizon(pack_of(home, pack, draft=draft), day(when))
        emit(result, as_json, lambda: _horizon_words(result))


def _horizon_words(result: dict[str, Any]) -> str:
    lines = [
        f"As of {result['as_of']}: {result['open_cells']} cells are open, "
        f"{len(result['agreements'])} agreements carry data."
    ]
    for one in result["steps"]:
        lines.append(f"{one['day']}: {one['opened']} cells open, {one['lapsed']} lapse")
        lines += [f"  {name}" for name in one["because"]]
    return "\n".join(lines)
