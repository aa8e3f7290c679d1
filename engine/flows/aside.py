"""An agency reads back its own rows that were set aside, to mend them and send them again."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, select

from engine.domain.errors import PolicyRefused
from engine.domain.ids import Actor
from engine.flows.clients import ROLE
from engine.flows.home import Home
from engine.flows.incoming import contract_for
from engine.flows.intent import Flow
from engine.flows.standing import STANDS
from engine.identity.vault_read import open_aside
from engine.intake.terms import intake_for
from engine.store.session import reading
from engine.store.tables import Delivery


def rows_aside(home: Home, actor: Actor, number: int) -> dict[str, Any]:
    """Return the rows of a delivery that are still set aside, in the agency's own column names.

    Only a data submitter of the agency that sent them is answered, and only with fields that may enter
    today: a field whose gateway has closed since is not handed out again.

    Args:
        home: The home.
        actor: Who asks.
        number: Number of the delivery.

    Returns:
        ``columns``, the names of the columns in order of the contract, and ``rows``: table, file,
        row (the physical line), why it was set aside, and cells by column; and a receipt.

    Raises:
        PolicyRefused: ``FG-SUB-23``.

    Audited as ``disclosure`` to the agency.
    """
    details = {"recipient": actor.agency, "counts": {"delivery": number}}
    with Flow(home, "rows_aside", "disclosure", actor, details) as flow:
        with Session(reading(home.casework)) as session:
            found = session.exec(select(Delivery).where(Delivery.number == number)).first()
            if found is None or actor.role != ROLE or actor.agency != found.agency:
                raise PolicyRefused(
                    "FG-SUB-23",
                    "there is no such delivery of that agency",
                    "See fieldgate deliveries list.",
                )
            delivery, source, stands = found.id, found.source, found.state in STANDS
        columns = _columns(home, actor.agency, source)
        flow.commit(lambda _: None)
        # What is replaced can be mended by nobody.
        held = open_aside(home.vault, home.keyring("vault"), delivery) if stands else []
        rows: list[dict[str, Any]] = [
            {
                "table": one.table,
                "file": one.file,
                "row": one.line,
                "why": one.code,
                "cells": {
                    column: one.cells[name] for name, column in columns.items() if name in one.cells
                },
            }
            for one in held
        ]
        used = [one for one in columns.values() if any(one in row["cells"] for row in rows)]
        fields = sorted(name for name, column in columns.items() if column in used)
        flow.finish(
            {
                **details,
                "source": source,
                "fields": fields,
                "rows": len(rows),
                "policy_hash": home.pack.version,
            }
        )
        return {
            "delivery": number,
            "source": source,
            "columns": used,
            "rows": rows,
            "receipt": flow.receipt(),
        }


def _columns(home: Home, agency: str, source: str) -> dict[str, str]:
    """Return the fields of a source that may be handed back today, with the agency's names of them."""
    contract = contract_for(home, agency, source)
    today = home.clock().date()
    intake = intake_for(home.pack, contract, tuple(contract.fields), home.tables, today)
    # What a condition of the row may close is not handed out: the row is not here to be asked.
    admitted = frozenset(
        name for name in intake.admission.admitted if not intake.admission.fields[name].row_bases
    )
    return {
        name: spec.columns[0]
        for name, spec in contract.fields.items()
        if name in admitted and spec.columns
    }


def as_table(found: dict[str, Any]) -> list[list[str]]:
    """Return the rows of `rows_aside` as a table for a CSV, the header first."""
    head = ["table", "file", "row", "why", *found["columns"]]
    return [
        head,
        *(
            [one["table"], one["file"], str(one["row"]), one["why"],
             *(one["cells"].get(column, "") for column in found["columns"])]
            for one in found["rows"]
        ),
    ]  # fmt: skip
