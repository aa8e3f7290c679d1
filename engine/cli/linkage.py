"""``fieldgate linkage``: making a linkage model, which is an act of its own and never part of a delivery."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.cli.context import JsonOption
from engine.cli.output import emit, say, told

linkage = typer.Typer(help="The linkage model.", no_args_is_help=True)


@linkage.command("train")
def train_command(
    out: Annotated[Path, typer.Option(help="Folder for the model; it must not be there yet.")],
    labelled: Annotated[
        Path | None,
        typer.Option(
            help="Folder with truth.csv and a file per source, such as council.persons.csv."
        ),
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option(help="Seed of a synthetic town; repeat for several.")
    ] = None,
    size: Annotated[
        str, typer.Option(help="Size of a synthetic town: tiny, town or city.")
    ] = "town",
    as_json: JsonOption = False,
) -> None:
    """Make and sign a linkage model from labelled records, or from synthetic towns.

    It opens no home and no key. Use the model with FIELDGATE_LINKAGE_MODEL; every home that shares
    data must use the same one.
    """
    with told(as_json):
        import gateways.load
        import policies.load
        from engine.domain.ids import system_randomness
        from engine.flows.training import labelled as labelled_lesson
        from engine.flows.training import make_model, planted
        from engine.linkage.encode import Encoder
        from scoring.tables import load_tables, shipped

        pack = policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())
        tables, today = load_tables(shipped()), datetime.now(tz=UTC).date()
        encoder = Encoder(system_randomness(32), 1)
        say("Reading and encoding ...")
        lesson = (
            planted(pack, tables, encoder, seed or [4242, 4243, 4244, 4245], size, today)
            if labelled is None
            else labelled_lesson(pack, tables, encoder, labelled, today)
        )
        say(f"Counting the levels of {lesson.records} records ...")
        result = make_model(lesson, encoder, out, system_randomness, today)
        emit({**result, "folder": str(out)}, as_json, lambda: _words(result, out))


def _words(result: dict[str, Any], out: Path) -> str:
    lines = [f"Model {result['model'][:16]} of {result['records']} records, signed, in {out}"]
    lines += [f"  {name}: {value}" for name, value in result["measured"].items()]
    lines.append("Measured on the training data; judge it on other records before it is used.")
    return "\n".join(lines)
