"""The group that a person is in, in words: people who were suspected together, and how firm that is."""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc

from engine.flows.home import Home
from engine.flows.lists import shown_level, source_of
from engine.store.tables import Account, ScoreRun
from policies.model import Level, State

SIZES = ((5, "three to five people"), (10, "six to ten people"))
"""Sizes up to which a group has the words."""
FIRM = ((900, "firm"), (700, "fairly firm"))
"""Thousandths of the drawings in which a group held together, from which it has the words."""


def group_of(
    home: Home, account: Account, run: ScoreRun, pid: int | None, flags: State
) -> dict[str, Any]:
    """Return the group of a person at the level of the grant, nobody named at any level.

    At ``token`` size and firmness are words; numbers need the full level.

    Args:
        home: The home.
        account: Who looks.
        run: The run whose groups are shown.
        pid: The person in that run; None when they are not in it.
        flags: State of the person.

    Returns:
        ``group``: None when nothing of groups may be shown, empty when the person is in none.
    """
    level = shown_level(home, account, source_of(home, account, "group"), "group", flags)
    if level < Level.TOKEN or pid is None:
        return {"group": None}
    members = home.warehouse.result(run.id, "group_member")
    mine = members.filter(pc.equal(members.column("pid"), pid)).column("group").to_pylist()
    if not mine:
        return {"group": {}}
    groups = home.warehouse.result(run.id, "group")
    (row,) = groups.filter(pc.equal(groups.column("group"), mine[0])).to_pylist()
    shown: dict[str, Any] = {
        "size": next(
            (words for most, words in SIZES if row["size"] <= most), "more than ten people"
        ),
        "firmness": next((words for least, words in FIRM if row["stability"] >= least), "loose"),
        "known_before": row["carried"] > 0,
    }
    if level >= Level.CLEAR:
        shown |= {"people": row["size"], "stability": row["stability"] / 1000}
    return {"group": shown}
