"""``fieldgate score``: score as of a date, and what can be done with a run."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from engine.cli.context import HomeOption, JsonOption, day, open_home, operator
from engine.cli.output import emit, say, table, told

score = typer.Typer(
    help="Score as of a date and publish the review lists; list and replay runs.",
    invoke_without_command=True,
)


@score.callback()
def score_command(
    context: typer.Context,
    as_of: Annotated[str, typer.Option("--as-of", help="Year-month-day, or today.")] = "",
    purpose: Annotated[
        str, typer.Option("--purpose", help="What the run is for; safeguard_child unless said.")
    ] = "safeguard_child",
    full: Annotated[
        bool, typer.Option("--full", help="Compute everybody, whatever an earlier run holds.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score as of a date and publish the review lists; a run serves one purpose."""
    if context.invoked_subcommand is not None:
        return
    if not as_of:
        raise typer.BadParameter("Say the date: --as-of today.", param_hint="--as-of")
    with told(as_json):
        from engine.flows.score import score as run

        opened = open_home(home)
        say("Scoring ...")
        manifest = run(opened, day(as_of), operator(opened), purpose, full=full)
        opened.close()
        emit(
            manifest,
            as_json,
            lambda: (
                f"Run {manifest['run']}: {manifest['persons']} persons, "
                f"lists {manifest['lists']}, digest {manifest['digest'][:16]}\n"
                f"{_made_words(manifest['made'])}"
            ),
        )


def _made_words(made: dict[str, Any]) -> str:
    if made["how"] == "full":
        return f"Computed whole: {made['why']}"
    return f"{made['people']} people computed, the others taken over from run {made['run']}"


@score.command("list")
def list_command(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the published runs, the newest first."""
    with told(as_json):
        from engine.flows.replay import runs

        opened = open_home(home)
        result = runs(opened)
        opened.close()
        emit({"runs": result}, as_json, lambda: _runs_words(result))


@score.command("replay")
def replay_command(
    run: Annotated[str, typer.Argument(help="Number or id of the run.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a published run again and compare every byte; exit 16 when it cannot be, with the reason."""
    with told(as_json):
        from engine.flows.replay import replay

        opened = open_home(home)
        say("Replaying ...")
        result = replay(opened, run, operator(opened))
        opened.close()
        emit(result, as_json, lambda: _replay_words(result))


@score.command("challenge")
def challenge_command(
    theme: Annotated[str, typer.Argument(help="Theme of a product that makes a list.")],
    label: Annotated[str, typer.Option(help="Kind of event that is the outcome.")] = "cse_flag",
    as_of: Annotated[str, typer.Option("--as-of", help="Last day of the data.")] = "today",
    capacity: Annotated[int, typer.Option(help="Places of the list it is judged at.")] = 60,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a model in the shadow and say what it would have been worth beside the index."""
    with told(as_json):
        from engine.flows.challenge import challenge

        opened = open_home(home)
        say("Training ...")
        result = challenge(opened, theme, label, day(as_of), operator(opened), capacity=capacity)
        opened.close()
        emit(result, as_json, lambda: _challenge_words(result))


def _challenge_words(result: dict[str, Any]) -> str:
    rows = [
        (name, part["hit"], part["false"], part["missed"], part["average_precision"])
        for name, part in result["ablation"].items()
    ]
    what = "synthetic people" if result["synthetic"] else "the home's people"
    text = table(
        f"Outcome {result['label']} after {result['days'][2]}: {result['outcomes'][2]} of "
        f"{result['people'][2]} ({what})",
        ("Way", "Hit", "False", "Missed", "Area"), rows,
    )  # fmt: skip
    folds, fit = result["folds"], result["calibration"]
    text += (
        f"\nArea with folds of rows {folds['rows']}, of households {folds['households']}, of communities {folds['communities']}. "
        f"Stated on average {fit['mean_stated']:.4f}, happened {fit['base_rate']:.4f}. "
        "The model is shown to nobody."
    )
    return text


@score.command("evaluations")
def evaluations_command(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List what runs were worth against what truly was; every figure is held against its counts."""
    with told(as_json):
        from engine.flows.evaluate import evaluations

        opened = open_home(home)
        result = evaluations(opened, operator(opened))
        opened.close()
        emit({"evaluations": result}, as_json, lambda: _evaluations_words(result))


def _evaluations_words(result: list[dict[str, Any]]) -> str:
    rows = [
        (one["number"], name, *report["counts"].values(), report["figures"]["precision"],
         report["figures"]["recall"], report["figures"]["lift"], report["figures"]["base_rate"])
        for one in result
        for name, report in one["lists"].items()
    ]  # fmt: skip
    heads = ("No", "List", "Hit", "False", "Missed", "Left", "Precision", "Recall", "Lift", "Base")
    alarms = [
        f"\nEvaluation {one['number']}, alarm: {why}" for one in result for why in one["alarms"]
    ]
    return table("Evaluations (synthetic people)", heads, rows) + "".join(alarms)


def _replay_words(result: dict[str, Any]) -> str:
    return (
        f"Run {result['number']} as of {result['as_of']}: the same bytes in {result['files']} files, "
        f"digest {result['digest'][:16]}"
    )


def _runs_words(result: list[dict[str, Any]]) -> str:
    rows = [
        (one["number"], one["purpose"], one["as_of"], one["published_at"], one["persons"],
         one["digest"][:16])
        for one in result
    ]  # fmt: skip
    return table("Runs", ("Run", "Purpose", "As of", "Published", "Persons", "Digest"), rows)
