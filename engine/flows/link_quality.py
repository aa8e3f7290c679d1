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
from engine.store.tables import LinkRun


def link_quality(home: Home, user: str, *, auth: str) -> dict[str, Any]:
    """Return how well the newest run linked, for whom, and what waits; groups of ten and more only.

    Raises:
        PolicyRefused: ``FG-LNK-06`` the role may not see it.
        LinkageError: ``FG-LNK-07`` nothing was linked yet.

    Audited as ``consultation``.
    """
    account, actor = reviewer(home, user, auth, QUALITY)
    with Flow(home, "link_quality", "consultation", actor, {"purpose": account.purpose}) as flow:
        with Session(reading(home.casework)) as session:
            newest = session.exec(select(LinkRun).order_by(col(LinkRun.number).desc())).first()
            if newest is None or "quality" not in newest.summary:
                raise LinkageError(
                    "FG-LNK-07", "nothing was linked yet", "Link first: fieldgate link."
                )
            answer = {
                "run": newest.number,
                "linked_at": as_utc(newest.published_at).isoformat(timespec="seconds"),
                **{name: newest.summary[name] for name in
                   ("records", "persons", "not_enough_to_identify", "blocks_capped",
                    "addresses_set_aside")},
                **newest.summary["quality"],
            }  # fmt: skip
        waiting = open_pairs(home)
        answer["backlog"] = {
            "pairs": len(waiting),
            "second_reviews": sum(1 for one in all_decisions(home) if one.state == "waiting"),
        }
        flow.finish({"rows": len(answer["rates"])})
        return answer
