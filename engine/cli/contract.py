"""``fieldgate contract``: what a source may send, drafted, explained and tried on samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.context import HomeOption, JsonOption, day
from engine.cli.output import emit, table, told
from engine.cli.policy import DateOption, DraftOption, PackOption, pack_of

if TYPE_CHECKING:
    from engine.intake.contract import Contract
    from policies.model import Pack

contract = typer.Typer(help="Contracts: what a source may send.", no_args_is_help=True)
SourceArgument = Annotated[str, typer.Argument(help="Source, for example schools.roll.")]


@contract.command("draft")
def draft_command(
    file: Annotated[Path, typer.Argument(help="A sample file.")],
    source: Annotated[str, typer.Option(help="Id for the source.")],
    agency: Annotated[str, typer.Option(help="Agency that sends it.")],
    out: Annotated[Path | None, typer.Option(help="YAML file to write; must not exist.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Draft a contract from a sample: every field closed until somebody names the law that opens it."""
    with told(as_json):
        from engine.domain.errors import ConfigError
        from engine.flows.incoming import opened_files
        from engine.intake.draft import draft, write_draft

        with opened_files(file) as files:
            made = draft(files[0][1], source, agency)
        if out is not None:
            try:
                write_draft(made, out)
            except OSError:
                raise ConfigError(
                    "FG-CON-04",
                    "the draft cannot be written there",
                    "Name a file that is not there.",
                ) from None
        result = {"source": source, "yaml": made.yaml, "notes": made.notes}
        emit(
            result,
            as_json,
            lambda: ("" if out else made.yaml + "\n") + "\n".join(f"- {one}" for one in made.notes),
        )


def _contract(pack: Pack, source: str) -> Contract:
    from engine.domain.errors import GatewayError
    from engine.intake.contract import contract_of

    found = pack.sources.get(source)
    if found is None or found.agency == "engine":
        raise GatewayError(
            "FG-GATE-12", "no contract stands for that source", "See the sources of the pack."
        )
    return contract_of(found)


@contract.command("show")
def show_command(
    source: SourceArgument,
    home: HomeOption = None,
    pack: PackOption = None,
    draft: DraftOption = False,
    as_of: DateOption = "today",
    as_json: JsonOption = False,
) -> None:
    """Explain a contract: layouts, tables, columns, checks, and which fields may enter today."""
    with told(as_json):
        loaded = pack_of(home, pack, draft=draft)
        found = _contract(loaded, source)
        result = shown(loaded, found, day(as_of))
        emit(result, as_json, lambda: _show_words(result))


def shown(pack: Pack, found: Contract, on: Any) -> dict[str, Any]:
    """Return a contract as plain data, with the fields that may enter on a day."""
    from policies import admit

    answer = admit(
        pack, from_agency=found.agency, host=pack.vocabulary.host, source=found.source,
        fields=found.fields, as_of=on,
    )  # fmt: skip
    sending = found.sending
    return {
        "source": found.source,
        "title": found.title,
        "agency": found.agency,
        "key": found.key,
        "sent_as": {"mode": sending.mode, "every_days": sending.every_days,
                    "grace_days": sending.grace_days, "window": sending.window,
                    "rows_min": sending.rows_min, "rows_max": sending.rows_max,
                    "rows_change": sending.rows_change, "deletions_max": sending.deletions_max,
                    "row_key": {name: list(key) for name, key in sending.row_key.items()}},
        "row_error_limit": found.row_error_limit,
        "layouts": [
            {"id": one.id, "format": one.format, "from": one.first, "to": one.last}
            for one in found.layouts
        ],
        "tables": [
            {"id": one.id, "files": list(one.files), "sheets": list(one.sheets), "row": one.row,
             "required": one.required}
            for one in found.tables
        ],
        "fields": [
            {"name": one.name, "label": one.label, "columns": list(one.columns), "type": one.type,
             "table": one.table, "required": one.required, "formats": list(one.formats),
             "codes": sorted(one.codes), "enters": answer.fields[one.name].admitted,
             "why_not": [f"{reason.code} {reason.sentence}"
                         for reason in answer.fields[one.name].reasons]}
            for one in found.fields.values()
        ],
        "checks": [
            {"id": one.id, "rule": one.rule, "severity": one.severity, "says": one.says}
            for one in found.checks
        ],
        "changes": [dict(one) for one in found.changes],
    }  # fmt: skip


def _show_words(found: dict[str, Any]) -> str:
    sent = found["sent_as"]
    rhythm = f", every {sent['every_days']} days" if sent["every_days"] else ""
    parts = [
        f"{found['source']}: {found['title']}, sent by {found['agency']} as {sent['mode']}{rhythm}.",
        "Layouts: " + ", ".join(f"{one['id']} ({one['format']})" for one in found["layouts"]),
    ]
    if len(found["tables"]) > 1:
        parts.append("Tables: " + ", ".join(one["id"] for one in found["tables"]))
    parts.append(
        table(
            "Fields",
            ("field", "columns", "type", "required", "enters today"),
            [
                (
                    one["name"],
                    ", ".join(one["columns"]),
                    one["type"],
                    "yes" if one["required"] else "",
                    "yes" if one["enters"] else "no: " + (one["why_not"] or ["no gateway"])[0],
                )
                for one in found["fields"]
            ],
        )
    )
    if found["checks"]:
        parts.append(
            table(
                "Checks",
                ("id", "severity", "says"),
                [(one["id"], one["severity"], one["says"]) for one in found["checks"]],
            )
        )
    parts += [f"{one['on']}: {one['what']} ({one['why']})" for one in found["changes"]]
    return "\n\n".join(parts)


@contract.command("test")
def run_test_command(
    source: SourceArgument,
    files: Annotated[list[Path] | None, typer.Argument(help="Samples, as one delivery.")] = None,
    home: HomeOption = None,
    pack: PackOption = None,
    draft: DraftOption = False,
    as_of: DateOption = "today",
    as_json: JsonOption = False,
) -> None:
    """Hold a contract against itself, its examples and a sample; nothing is stored.

    Exit 15 when the contract is wrong.
    """
    with told(as_json):
        from engine.domain.errors import Exit
        from engine.flows.contract_try import try_contract
        from engine.intake.contract_lint import contract_problems

        loaded = pack_of(home, pack, draft=draft)
        found = _contract(loaded, source)
        problems = contract_problems(found)
        result: dict[str, Any] = {"source": source, "problems": problems, "sample": None}
        if files and not problems:
            result["sample"] = try_contract(loaded, found, files, day(as_of))
        emit(result, as_json, lambda: _test_words(result))
        raise typer.Exit(Exit.CONFIGURATION if problems else Exit.OK)


def _test_words(result: dict[str, Any]) -> str:
    lines = [f"FAIL {one}" for one in result["problems"]] or ["The contract holds together."]
    sample = result["sample"]
    if sample:
        rows = sample["rows"]
        lines.append(
            f"The sample: {rows['in']} rows in, {rows['kept']} kept, {sample['records']} records, "
            f"{sample['events']} events, {sample['states']} states."
        )
        lines += [f"  dropped {count}: {reason}" for reason, count in rows["dropped"].items()]
        lines += [
            f"  {one['severity']} {one['check'] or one['code']} {one['column']}: {one['sentence']} "
            f"({one['count']})"
            for one in sample["findings"]
        ]
    return "\n".join(lines)
