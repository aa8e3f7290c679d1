"""How well the newest run linked, for those who review pairs and those who answer for the data."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, col, select

from engine.domain.errors import LinkageError
from engine.domain.ids import as_utc
from engine.flows.clerical import QUALITY, reviewer
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.open_pairs import all_decisions, open_pairs
from engine.store.session import reading
from engine.store.tables import Delivery, LinkRun


def link_quality(
    home: Home, user: str, *, auth: str, delivery: int | None = None
) -> dict[str, Any]:
    """Return how well the newest run linked, for whom, and what waits; groups of ten and more only.

    Args:
        home: The home.
        user: Who asks.
        auth: How the user signed in.
        delivery: Number of a delivery: what the newest run says of the records it brought.

    Raises:
        PolicyRefused: ``FG-LNK-06`` the role may not see it.
        LinkageError: ``FG-LNK-07`` nothing was linked yet, or the newest run keeps no report of it.

    Audited as ``consultation``.
    """
    account, actor = reviewer(home, user, auth, QUALITY)
    with Flow(home, "link_quality", "consultation", actor, {"purpose": account.purpose}) as flow:
        with Session(reading(home.casework)) as session:
            run = session.exec(select(LinkRun).order_by(col(LinkRun.number).desc())).first()
            known = {
                one.number: {"number": one.number, "agency": one.agency, "source": one.source}
                for one in session.exec(select(Delivery))
            }
        of = run.summary.get("delivery_quality", {}) if run is not None else {}
        if (
            run is None
            or "quality" not in run.summary
            or (delivery is not None and str(delivery) not in of)
        ):
            raise LinkageError(
                "FG-LNK-07",
                "nothing was linked yet, or the newest run keeps no report of that delivery",
                "Link first: fieldgate link. The newest fifty deliveries have a report.",
            )
        told = run.summary["quality"] if delivery is None else {"waiting": {}, **of[str(delivery)]}
        answer = {
            "run": run.number,
            "linked_at": as_utc(run.published_at).isoformat(timespec="seconds"),
            **{name: run.summary[name] for name in
               ("records", "persons", "not_enough_to_identify", "blocks_capped",
                "addresses_set_aside")},
            **told,
            "not_told": run.summary["quality"].get("not_told", []),
            "delivery": None if delivery is None else known[delivery],
            "deliveries": [known[int(one)] for one in sorted(of, key=int, reverse=True)],
        }  # fmt: skip
        waiting = open_pairs(home)
        answer["backlog"] = {
            "pairs": len(waiting),
            "second_reviews": sum(1 for one in all_decisions(home) if one.state == "waiting"),
        }
        flow.finish({"rows": len(answer["rates"])})
        return answer
