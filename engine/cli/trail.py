"""``fieldgate audit search | disclosures | report | reports | own``: what the trail tells."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from engine.cli.context import AsOption, HomeOption, JsonOption, open_home, user_of
from engine.cli.output import emit, told

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
