"""A delivery refused for its rows leaves its findings: nothing of anybody, and all that was wrong."""

from __future__ import annotations

import hashlib

from sqlmodel import Session

from engine.domain.errors import RowsRefused
from engine.domain.records import Prepared
from engine.flows import stage as lanes
from engine.flows.incoming import Options
from engine.flows.intent import Flow
from engine.flows.receipt import make_receipt, next_number
from engine.intake.contract import Contract
from engine.store.tables import Delivery, DeliveryDetail

REFUSED = "FG-SUB-11"
WHOLE = f"{REFUSED} the whole delivery was refused"


def keep_refusal(
    flow: Flow, refusal: RowsRefused, contract: Contract, content_hash: str, options: Options
) -> RowsRefused:
    """Keep the receipt of a refused delivery and end its flow; return the refusal that tells its number.

    The sender reads every row found on a page and as CSV, and the trend counts it. The same bytes may
    come again: a contract or a law may have changed meanwhile.

    Args:
        flow: The flow of the delivery.
        refusal: What `prepare` raised, with what it had found.
        contract: The contract it came under.
        content_hash: SHA-256 of its bytes.
        options: How it was meant.
    """
    home, found = flow.home, refusal.prepared
    if found is None:
        return refusal
    _nothing_kept(found)
    receipt = make_receipt(flow, found, contract, content_hash, options=options, pauses=[])
    receipt |= {"state": "refused", "light": "amber"}
    delivery = Delivery(
        id=flow.intent,
        number=0,
        agency=contract.agency,
        source=contract.source,
        content_hash=hashlib.sha256(f"refused {flow.intent}".encode()).hexdigest(),
        policy_version=home.pack.version,
        accepted_at=home.clock(),
        receipt=receipt,
        state="refused",
        history=options.history,
    )
    detail = DeliveryDetail(
        delivery=flow.intent, sealed=lanes.sealed_detail(home, flow.intent, found)
    )

    def publish(session: Session) -> None:
        delivery.number = next_number(session)
        session.add_all([delivery, detail])

    flow.commit(publish)
    flow.finish(
        {
            "decision": "refuse",
            "source": contract.source,
            "rows": 0,
            "rules": [REFUSED],
            "counts": {"rows_in": found.rows_in},
            "result_hash": content_hash,
            "policy_hash": home.pack.version,
        }
    )
    numbered = RowsRefused(
        refusal.code,
        refusal.message,
        f"Correct the rows and send the whole file again. Every row found is under delivery "
        f"{delivery.number}: fieldgate deliveries findings {delivery.number}.",
        refusal.reasons,
        number=delivery.number,
    )
    numbered.audited = True
    return numbered


def _nothing_kept(found: Prepared) -> None:
    """Count the rows that were good among those that were not taken; rows reconcile as always."""
    if found.rows_kept:
        found.dropped = {**found.dropped, WHOLE: found.rows_kept}
    found.tables = {
        name: {**counts, "kept": 0, "dropped": counts["in"]}
        for name, counts in found.tables.items()
    }
    found.rows_kept, found.fields_kept, found.cells_closed, found.not_yielded = 0, (), {}, {}
