"""Rows that are set aside for whoever mends them: permitted cells only, and never in clear at rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from engine.domain.records import AsideRow, Ints
from engine.intake.columns import ColumnCheck
from engine.intake.contract import Contract
from engine.intake.kept import STAND_IN, local_keys, row_names
from engine.intake.parts import Batch, Part, text_of
from engine.intake.places import Places
from engine.intake.read import Opened
from engine.intake.tally import Tally
from engine.intake.terms import Intake

QUARANTINE = 20_000
"""Rows of a delivery that are set aside with their permitted cells; more are counted only."""


def set_aside(
    batch: Batch,
    file: str,
    rows: Ints,
    why: Mapping[int, str],
    intake: Intake,
    tally: Tally,
    checked: Mapping[str, pa.Array],
) -> None:
    """Keep some rows of a batch: cells that may enter, and none that a condition of the row may close.

    Args:
        batch: Rows as they were sent.
        file: The file or sheet they stand in.
        rows: Number of each row.
        why: Place in the batch to the code or check that closed the row.
        intake: What may enter.
        tally: Where they go.
        checked: The columns after checking, which name the row.
    """
    places = list(why)[: max(0, QUARANTINE - len(tally.quarantined))]
    if not places:
        return
    answers = intake.admission.fields
    names = [
        name
        for name in batch.columns
        if name in answers
        and answers[name].admitted
        and not answers[name].row_bases
        and intake.contract.fields[name].lane != "equality"
    ]
    cells = {name: batch.columns[name].take(places).to_pylist() for name in names}
    # By the keys as they were checked: an untrimmed one would be another person's.
    some = {
        name: checked[name].take(places)
        for name in naming(intake.contract, batch.table)
        if name in checked
    }
    keys = text_of(local_keys(some, intake.contract, len(places))).to_pylist()
    named = row_names(batch.table, some, intake.contract.sending.row_key.get(batch.table, ()))
    names_of = named.to_pylist() if named is not None else [""] * len(places)
    for number, place in enumerate(places):
        held = {name: column[number] for name, column in cells.items() if column[number]}
        tally.quarantined.append(
            AsideRow(
                int(rows[place]), batch.table, file, int(batch.lines[place]), why[place],
                keys[number] or "", held, names_of[number] or "",
            )
        )  # fmt: skip


def naming(contract: Contract, table: str) -> frozenset[str]:
    """Return the fields that say whose a row is, and which row."""
    stand_in = [name for name, spec in contract.fields.items() if spec.part in STAND_IN]
    derived = contract.fields[contract.key].type == "derived"
    return frozenset(
        [contract.key, *contract.sending.row_key.get(table, ()), *(stand_in if derived else ())]
    )


def set_late_aside(opened: Opened, intake: Intake, tally: Tally, closed: Mapping[int, str]) -> None:
    """Keep the rows that a check over several rows closed, once all of them had passed.

    They were not held while they passed, so the delivery is read once more from its start; it is done
    only when there is such a row.

    Args:
        opened: The delivery, its rows already read.
        intake: What may enter.
        tally: Where they go.
        closed: Number of a row to the check that closed it.
    """
    if not closed or len(tally.quarantined) >= QUARANTINE:
        return
    wanted = np.sort(np.fromiter(closed, np.int64, len(closed)))
    places = Places()
    parts = in_order(opened.again(), intake)
    # A row has the number it had the first time: the same bytes pass in the same order.
    for part, file in zip(parts, file_names(parts), strict=True):
        for batch in part.batches:
            rows = places.take(file, batch.lines)
            found = np.flatnonzero(np.isin(rows, wanted))
            why = {int(place): closed[int(rows[place])] for place in found}
            if why:
                wanted_names = naming(intake.contract, batch.table)
                some = {name: ColumnCheck(part.fields[name], intake.today)(cells)[0]
                        for name, cells in batch.columns.items() if name in wanted_names}  # fmt: skip
                set_aside(batch, file, rows, why, intake, tally, some)
    tally.quarantined.sort(key=lambda one: one.row)


def in_order(opened: Opened, intake: Intake) -> list[Part]:
    """Return the parts of a delivery in the order of the contract's tables."""
    order = [one.id for one in intake.contract.tables]
    return sorted(
        opened.parts, key=lambda part: order.index(part.table) if part.table in order else 0
    )


def file_names(parts: Sequence[Part]) -> list[str]:
    """Return what findings call each file or sheet: nothing for the only one, a number for equal names."""
    if len(parts) < 2:
        return [""] * len(parts)
    met: Counter[str] = Counter()
    names = []
    for part in parts:
        met[part.name] += 1
        names.append(part.name if met[part.name] == 1 else f"{part.name} ({met[part.name]})")
    return names
