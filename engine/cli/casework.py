"""``fieldgate review``: lists and outcomes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from engine.cli.context import AsOption, HomeOption, JsonOption, open_home, user_of
from engine.cli.output import emit, receipt_words, table, told

review = typer.Typer(help="Review lists and their outcomes.", no_args_is_help=True)


@review.command("list")
def review_list(
    home: HomeOption = None, as_user: AsOption = None, as_json: JsonOption = False
) -> None:
    """Print the newest review lists: references and numbers, no names."""
    with told(as_json):
        from engine.flows.lists import review_lists

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        # In a demo home the operator may look without an account; elsewhere the account decides.
        chosen = None if opened.is_demo and as_user is None else user
        result = review_lists(opened, chosen, auth=auth)
        opened.close()
        emit(result, as_json, lambda: f"{_lists_words(result)}\n\n{receipt_words(result)}")


def _lists_words(result: dict[str, Any]) -> str:
    if result["run"] is None:
        return "No run has been published yet. Next: fieldgate score --as-of today"
    parts = []
    for one in result["lists"]:
        if not one["scored"]:
            parts.append(f"{one['label']}: {result['not_scored'][one['theme']]}")
            continue
        if not one["entries"]:
            parts.append(
                f"{one['label']} (as of {result['as_of']}): nobody is on this list. "
                "Nothing found never means nothing known."
            )
            continue
        rows = [
            (
                e["rank"],
                e["person"],
                "(blind)" if e["score"] is None else f"{e['score']:.3f}",
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


@review.command("groups")
def review_groups(
    home: HomeOption = None, as_user: AsOption = None, as_json: JsonOption = False
) -> None:
    """List the groups of people suspected together: size, firmness and themes, nobody named."""
    with told(as_json):
        from engine.flows.group import group_list

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = group_list(opened, user, auth=auth)
        opened.close()
        emit(result, as_json, lambda: f"{_groups_words(result)}\n\n{receipt_words(result)}")


def _groups_words(result: dict[str, Any]) -> str:
    rows = [
        (number, one.get("people", one["size"]), one["firmness"],
         "yes" if one["known_before"] else "new", ", ".join(one["themes"]))
        for number, one in enumerate(result["groups"], start=1)
    ]  # fmt: skip
    closed = "".join(f"\n{theme}: {why}" for theme, why in result["not_served"].items())
    return table("Groups", ("No", "Size", "Together", "Known before", "Themes"), rows) + closed


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
        from engine.flows.lists import decide

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = decide(opened, user, item, outcome, auth=auth)
        opened.close()
        emit(result, as_json, lambda: f"Recorded: {outcome}.")
