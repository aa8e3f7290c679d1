"""Try a contract on a sample without a home: the same reading and checking, and nothing is kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import scoring.tables
from engine.flows.incoming import opened_files
from engine.intake.contract import Contract
from engine.intake.package import members_of
from engine.intake.prepare import prepare
from engine.intake.read import open_delivery
from engine.intake.terms import intake_for
from policies.model import Pack


def try_contract(
    pack: Pack, contract: Contract, files: Sequence[Path], today: date
) -> dict[str, Any]:
    """Read and judge a sample under a contract of a pack that is not active.

    Args:
        pack: The pack, a draft for example.
        contract: A contract of it.
        files: The sample, as one delivery.
        today: The day as at which law and dates are judged.

    Raises:
        SubmissionError, ContractError, RowsRefused, GatewayError: As a real delivery would.
    """
    tables = scoring.tables.load_tables(scoring.tables.shipped())
    with opened_files(list(files)) as handed:
        opened = open_delivery(members_of(handed), contract)
        prepared = prepare(opened, intake_for(pack, contract, opened.present, tables, today))
    return {
        "layout": prepared.layout,
        "encoding": prepared.encoding,
        "rows": {
            "in": prepared.rows_in,
            "kept": prepared.rows_kept,
            "dropped": dict(sorted(prepared.dropped.items())),
        },
        "tables": prepared.tables,
        "records": len(prepared.local_keys),
        "events": len(prepared.event_rows),
        "states": len(prepared.state_rows),
        "fields_dropped": prepared.fields_dropped,
        "columns_unknown": list(prepared.columns_unknown),
        "checks": prepared.checks,
        "identifiers": prepared.quality,
        "findings": [group.as_dict() for group in prepared.findings],
    }
