"""``fieldgate audit search | disclosures | report | reports | own``: what the trail tells."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from engine.cli.context import AsOption, HomeOption, JsonOption, open_home, user_of
from engine.cli.output import emit, table, told

UseOption = Annotated[
    str,
    typer.Option(
        help="lawfulness, self_monitoring, integrity or criminal_proceedings (DPA 2018 s.62(4))."
    ),
]
Some = Annotated[list[str] | None, typer.Option(help="May be given several times.")]
DayOption = Annotated[str, typer.Option(help="Year-month-day, UTC.")]


def audit_search(
    use: UseOption,
    actor: Some = None,
    agency: Some = None,
    role: Some = None,
    purpose: Some = None,
    action: Some = None,
    kind: Some = None,
    outcome: Some = None,
    source: Some = None,
    field: Some = None,
    person: Annotated[str, typer.Option(help="Casework reference of a person.")] = "",
    case: Annotated[str, typer.Option(help="Reference of a case, or its token.")] = "",
    since: DayOption = "",
    until: DayOption = "",
    page: Annotated[int, typer.Option(help="Page, from 1.")] = 1,
    below: Annotated[
        int | None, typer.Option(help="Only entries before this one, as the first page says.")
    ] = None,
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search the trail by who, why, what, when and about whom; the newest first, with counts."""
    with told(as_json):
        from engine.flows.search_trail import Search, search_trail

        chosen = {
            name: values
            for name, values in (
                ("actor", actor), ("agency", agency), ("role", role), ("purpose", purpose),
                ("action", action), ("kind", kind), ("outcome", outcome), ("source", source),
                ("field", field),
            )
            if values
        }  # fmt: skip
        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        search = Search(chosen, person, case, since, until, page, below)
        found = search_trail(opened, user, use, search, auth=auth)
        opened.close()
        emit(found, as_json, lambda: _search_words(found))


def _search_words(found: dict[str, Any]) -> str:
    lines = [
        f"{found['total']} acts before entry {found['below']}, page {found['page']} of "
        f"{found['pages']}, newest first"
    ]
    lines += [f"#{one['entry']} {one['when']} {one['sentence']}" for one in found["acts"]]
    for facet, values in found["facets"].items():
        some = ", ".join(f"{one['value']} {one['count']}" for one in values[:8])
        more = f" and {len(values) - 8} more" if len(values) > 8 else ""
        if some:
            lines.append(f"{facet}: {some}{more}")
    return "\n".join(lines)


def audit_disclosures(
    person: Annotated[str, typer.Option(help="Casework reference of the person.")],
    use: UseOption,
    since: DayOption = "",
    until: DayOption = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print everything of one person that was disclosed: when, to whom, why, under what; refusals in counts."""
    with told(as_json):
        from engine.domain.export import csv_text
        from engine.flows.disclosures import as_table, disclosures

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        found = disclosures(opened, user, use, person, since, until, auth=auth)
        opened.close()
        if as_csv and not as_json:
            typer.echo(csv_text(as_table(found)), nl=False)
            return
        emit(found, as_json, lambda: _disclosure_words(found))


def _disclosure_words(found: dict[str, Any]) -> str:
    lines = [f"{len(found['disclosed'])} disclosures, the oldest first"]
    for one in found["disclosed"]:
        basis = " under ".join(word for word in (one["gateway"], one["agreement"]) if word)
        lines.append(
            f"#{one['entry']} {one['when']} {one['user']} ({one['role']}, {one['agency']})"
            f" for {one['purpose'] or 'no stated purpose'}"
            + (f", {basis}" if basis else "")
            + (f", run of {one['run_as_of']}" if one["run_as_of"] else "")
            + f": {', '.join(one['fields']) or one['what']}"
            + ("" if one["certain"] else " (may have been shown)")
        )
    lines += [
        f"Not shown: {one['count']} x {one['outcome']} ({one['role']}, {one['agency']})"
        for one in found["not_shown"]
    ]
    return "\n".join([*lines, found["note"]])


def audit_reports(
    use: UseOption,
    since: DayOption = "",
    until: DayOption = "",
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the seventeen reports that an officer checks; each ran, was skipped or failed."""
    _report("", use, since, until, home, as_user, as_json=as_json)


def audit_report(
    name: Annotated[str, typer.Argument(help="Name of a report, as audit reports lists it.")],
    use: UseOption,
    since: DayOption = "",
    until: DayOption = "",
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run one report and print its table."""
    _report(name, use, since, until, home, as_user, as_json=as_json)


def _report(
    name: str,
    use: str,
    since: str,
    until: str,
    home: Path | None,
    as_user: str | None,
    *,
    as_json: bool,
) -> None:
    with told(as_json):
        from engine.domain.errors import Exit
        from engine.flows.report_form import FAILED
        from engine.flows.reports import reports

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        found = reports(opened, user, use, name, since, until, auth=auth)
        opened.close()
        emit(found, as_json, lambda: _one_words(found) if name else _all_words(found))
        # A report that crashed is not one that found nothing: a nightly job must not take it for a pass.
        if any(one["status"] == FAILED for one in found["reports"]):
            raise typer.Exit(int(Exit.INCOMPLETE))


def _all_words(found: dict[str, Any]) -> str:
    rows = [
        (one["number"], one["name"], one["status"],
         "" if one["figure"] is None else one["figure"], one["unit"] or one["note"])
        for one in found["reports"]
    ]  # fmt: skip
    title = f"Reports, {found['first']} to {found['last']}, {found['acts']} acts"
    return table(title, ("no", "report", "state", "figure", "of"), rows)


def _one_words(found: dict[str, Any]) -> str:
    (one,) = found["reports"]
    head = f"{one['title']}: {one['status']}"
    if one["figure"] is not None:
        head += f", {one['figure']} {one['unit']}"
    lines = [f"{head} ({found['first']} to {found['last']})"]
    if one["rows"]:
        lines = [table(lines[0], tuple(one["columns"]), [tuple(row) for row in one["rows"]])]
    return "\n".join([*lines, one["note"]])


def audit_own(
    use: UseOption,
    since: DayOption = "",
    until: DayOption = "",
    page: Annotated[int, typer.Option(help="Page, from 1.")] = 1,
    below: Annotated[
        int | None, typer.Option(help="Only entries before this one, as the first page says.")
    ] = None,
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print your agency's part of the trail: who was shown its data, and what its staff looked for."""
    with told(as_json):
        from engine.flows.own_trail import own_trail

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        found = own_trail(opened, user, use, since, until, page, below, auth=auth)
        opened.close()
        emit(found, as_json, lambda: _own_words(found))


def _own_words(found: dict[str, Any]) -> str:
    lines = [
        f"{found['agency']}: {found['total']} acts before entry {found['below']}, page "
        f"{found['page']} of {found['pages']}, newest first"
    ]
    lines += [
        f"#{one['entry']} {one['when']} {' and '.join(one['why'])}: {one['user']} ({one['role_label']}, "
        f"{one['agency_label']}), {one['what_label'].lower()}, {one['purpose_label'] or 'no purpose stated'}: "
        f"{one['outcome_label']}" + (f"; {', '.join(one['fields'])}" if one["fields"] else "")
        for one in found["acts"]
    ]
    return "\n".join([*lines, found["note"]])
