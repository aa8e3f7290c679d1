"""Groups of people who were suspected together: all of them in a list, and the one a person is in."""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc

from engine.domain.errors import PolicyRefused
from engine.flows.accounts import actor_of, open_account
from engine.flows.decision import NOTHING
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.lists import (
    latest_run,
    level_of,
    list_state,
    purpose_of,
    shown_level,
    source_of,
    withdrawn,
)
from engine.flows.product_tables import told_themes
from engine.flows.registry import why_not_served
from engine.store.tables import Account, ScoreRun
from policies.model import Level, State

FEW = 5
"""People of a group of whom no theme is told: what one of them lacks would be another's."""
SIZES = ((5, "three to five people"), (10, "six to ten people"))
"""Sizes up to which a group has the words."""
FIRM = ((900, "firm"), (700, "fairly firm"))
"""Thousandths of the drawings in which a group held together, from which it has the words."""


def group_list(home: Home, user: str, *, auth: str) -> dict[str, Any]:
    """Return the groups of the newest run of the account's purpose: size, firmness, known before, themes.

    Nobody stands in it, at no level, and nothing says who is in which group: that is told on the page of one
    person. A group a member of which was closed since the run is left out and counted. Below the full level
    size and firmness are words. When no product of the purpose is live nothing is shown.

    Args:
        home: The home.
        user: Who looks.
        auth: How the user signed in.

    Raises:
        PolicyRefused: ``FG-REV-03`` the role may not see groups.

    Audited as ``consultation``.
    """
    account = open_account(home, user, auth)
    source = source_of(home, account, "group")
    details: dict[str, Any] = {"source": source, "purpose": account.purpose}
    with Flow(home, "group_list", "consultation", actor_of(account, auth), details) as flow:
        level = level_of(home, account, source, "group", list_state(home))
        if level < Level.TOKEN:
            raise PolicyRefused(
                "FG-REV-03",
                "your role may not see groups",
                "Ask your information governance lead which role it needs. " + NOTHING,
                ["E13 the grant is for less than a reference"],
            )
        purpose = purpose_of(home, account)
        run = latest_run(home, purpose)
        answer: dict[str, Any] = {"run": None, "as_of": None, "groups": [], "left_out": 0,
                                  "too_large": 0, "not_served": {}}  # fmt: skip
        if run is not None:
            closed = why_not_served(home, run)
            told = told_themes(home.pack, home.tables, purpose)
            served = [one for one in told if one not in closed]
            answer |= {
                "run": run.id,
                "as_of": run.as_of,
                "too_large": len(run.manifest["groups"]["too_large"]),
                "not_served": {theme: why for theme, why in closed.items() if theme in told},
                **(_all_groups(home, run, served, level) if served else {}),
            }
        entry = flow.finish({**details, "run": answer["run"] or "", "rows": len(answer["groups"])})
        answer["audit_entry"] = entry.seq
        answer["receipt"] = flow.receipt()
        return answer


def _all_groups(home: Home, run: ScoreRun, served: list[str], level: Level) -> dict[str, Any]:
    """Return the groups of a run, the largest and firmest first, without a name of group or member."""
    members: dict[int, set[int]] = {}
    for row in home.warehouse.result(run.id, "group_member").to_pylist():
        members.setdefault(row["group"], set()).add(row["pid"])
    gone, evidence = _withdrawn_pids(home, run), _evidence_by_theme(home, run, served)
    rows = [row for row in home.warehouse.result(run.id, "group").to_pylist()
            if not members[row["group"]] & gone]  # fmt: skip
    rows.sort(key=lambda row: (-row["size"], -row["stability"], row["group"]))
    return {
        "groups": [
            {
                # In words at every level: with numbers a row could be found again from a person's page.
                **_told(row, min(level, Level.TOKEN)),
                "themes": [
                    theme
                    for theme in served
                    if row["size"] > FEW and members[row["group"]] & evidence[theme]
                ],
            }
            for row in rows
        ],
        "left_out": len(members) - len(rows),
    }


def _evidence_by_theme(home: Home, run: ScoreRun, served: list[str]) -> dict[str, set[int]]:
    """Return, by theme, who has evidence of their own."""
    scores = home.warehouse.result(run.id, "score")
    mine = scores.filter(pc.greater(scores.column("index"), 0))
    found: dict[str, set[int]] = {theme: set() for theme in served}
    for pid, theme in zip(
        mine.column("pid").to_pylist(), mine.column("theme").to_pylist(), strict=True
    ):
        if home.tables.themes[theme] in found:
            found[home.tables.themes[theme]].add(pid)
    return found


def _withdrawn_pids(home: Home, run: ScoreRun) -> set[int]:
    """Return the people of a run a record of whom was closed since."""
    casework, persons = home.domain("casework"), home.warehouse.result(run.id, "person")
    ids = [casework.parse(one) for one in sorted(withdrawn(home, run))]
    column = persons.column("person")
    return {pc.index(column, name).as_py() for name in home.domain("analysis").seal(ids)} - {-1}


def _told(row: dict[str, Any], level: Level) -> dict[str, Any]:
    """Return what is told of a group: words below the full level, numbers at it."""
    shown: dict[str, Any] = {
        "size": next(
            (words for most, words in SIZES if row["size"] <= most), "more than ten people"
        ),
        "firmness": next((words for least, words in FIRM if row["stability"] >= least), "loose"),
        "known_before": row["carried"] > 0,
    }
    if level >= Level.CLEAR:
        shown |= {"people": row["size"], "stability": row["stability"] / 1000}
    return shown


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
    return {"group": _told(row, level)}
