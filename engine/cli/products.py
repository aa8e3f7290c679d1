"""``fieldgate products``: what may serve, on whose word, and who saw it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from engine.cli.context import AsOption, HomeOption, JsonOption, open_home, user_of
from engine.cli.output import emit, receipt_words, table, told

products = typer.Typer(
    help="Release, suspend and retire what the engine makes of evidence; see who saw it.",
    no_args_is_help=True,
)


@products.command("list")
def list_command(
    home: HomeOption = None, as_user: AsOption = None, as_json: JsonOption = False
) -> None:
    """List every product with its state, and what it lacks for a release."""
    with told(as_json):
        from engine.flows.registry import products as found

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = found(opened, user, auth=auth)
        opened.close()
        emit({"products": result}, as_json, lambda: _words(result))


@products.command("ask")
def ask_command(
    product: Annotated[str, typer.Argument(help="Its id.")],
    to: Annotated[str, typer.Argument(help="shadow, live, suspended or retired.")],
    reason: Annotated[str, typer.Option(help="Why, in your own words; kept sealed.")] = "",
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask for a state; a suspension takes effect at once, all else needs a second person."""
    with told(as_json):
        from engine.flows.registry import ask

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = ask(opened, user, product, to, reason, auth=auth)
        opened.close()
        emit(result, as_json, lambda: _step_words(result))


@products.command("answer")
def answer_command(
    number: Annotated[int, typer.Argument(help="Number of the step.")],
    agree: Annotated[bool, typer.Option("--agree/--reject", help="What you say.")],
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer as the second person."""
    with told(as_json):
        from engine.flows.registry import answer

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = answer(opened, user, number, agree=agree, auth=auth)
        opened.close()
        emit(result, as_json, lambda: _step_words(result))


@products.command("saw")
def saw_command(
    product: Annotated[str, typer.Argument(help="Its id.")],
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """List everybody who was shown something of a product while it was live."""
    with told(as_json):
        from engine.flows.who_saw import who_saw

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = who_saw(opened, user, product, auth=auth)
        opened.close()
        rows = [(one["when"][:19], one["user"], one["agency"], one["what"], one["subject"][:24])
                for one in result["seen"]]  # fmt: skip
        emit(
            result, as_json,
            lambda: table(f"Who saw {product}", ("When", "Who", "Agency", "What", "About"), rows),
        )  # fmt: skip


@products.command("profile")
def profile_command(
    product: Annotated[
        str, typer.Argument(help="Id of a product that is a profile, such as hate.")
    ],
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count incidents by quarter, area and kind; a cell of few is not told, and nobody is named."""
    with told(as_json):
        from engine.flows.profile import profile

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = profile(opened, user, product, auth=auth)
        opened.close()
        emit(result, as_json, lambda: f"{_profile_words(result)}\n\n{receipt_words(result)}")


def _profile_words(result: dict[str, Any]) -> str:
    if not result["rows"]:
        return f"{result['title']}: no counts. {result['not_counted'] or 'No area is named.'}"
    few = f"fewer than {result['least']}"
    rows = [
        (one["quarter"], one["area"], *(few if value is None else value
                                        for value in one["counts"].values()))
        for one in result["rows"]
    ]  # fmt: skip
    rows.append(("Told in all", "", *(f"at least {one}" for one in result["at_least"].values())))
    return table(f"{result['title']}: incidents", ("Quarter", "Area", *result["kinds"]), rows)


def _words(result: list[dict[str, Any]]) -> str:
    rows = [
        (one["product"], one["state"] + (" (changed since)" if one["changed_since"] else ""),
         one["figures"].get("precision", ""), one["figures"].get("recall", ""),
         "; ".join(one["lacks"][:4]) + (" ..." if len(one["lacks"]) > 4 else ""))
        for one in result
    ]  # fmt: skip
    return table("Products", ("Product", "State", "Precision", "Recall", "Lacks"), rows)


def _step_words(one: dict[str, Any]) -> str:
    waits = " It waits for a second person." if one["state"] == "waiting" else ""
    return f"Step {one['number']}: {one['product']} to {one['to']}, {one['state']}.{waits}"
