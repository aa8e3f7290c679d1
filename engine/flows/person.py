"""The pseudonymous view of a person: evidence first, no name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow.compute as pc
from sqlmodel import Session

from engine.domain.errors import PolicyRefused, VaultError
from engine.domain.ids import from_day_number
from engine.flows import trend
from engine.flows.accounts import actor_of, open_account
from engine.flows.decision import NOTHING
from engine.flows.ego import around_of
from engine.flows.group import group_of
from engine.flows.home import Home
from engine.flows.indicators import flags_of, household_of, with_sources
from engine.flows.intent import Flow
from engine.flows.lists import in_full, latest_run, list_state, purpose_of, source_of, withdrawn
from engine.flows.places import places_of
from engine.flows.product_tables import PURPOSE, told_themes
from engine.flows.registry import why_not_served
from engine.linkage.index import resolve
from engine.store.session import reading
from engine.store.tables import ScoreRun, SubjectState
from policies.transforms import quarter
from scoring.tables import ONE, TRACKS, Tables

TRACK_WORDS = {"harmed": "may be harmed", "harming": "may harm others"}
THEME_WORDS = {
    "cse": "Sexual exploitation",
    "cce": "Criminal exploitation",
    "serious_violence": "Serious violence",
}


def look(home: Home, user: str, person: str, *, auth: str) -> dict[str, Any]:
    """Return the evidence about a person under their casework reference.

    Raises:
        PolicyRefused: The role may not see scores, or nobody has the reference.

    What is shown is the run of the account's purpose; indicators and household are what safeguarding holds,
    and no other purpose is shown them.

    Audited as ``consultation`` of ``engine.scores``, or of what holds the scores of that purpose.
    """
    account = open_account(home, user, auth)
    actor = actor_of(account, auth)
    purpose, source = purpose_of(home, account), source_of(home, account, "score")
    safeguarding = purpose == PURPOSE
    details: dict[str, Any] = {"source": source, "purpose": account.purpose}
    with Flow(home, "look", "consultation", actor, details) as flow:
        person_id = _parse(home, person)
        audit = home.domain("audit")
        details["subject"] = audit.text(audit.seal([person_id])[0])
        # Decided before it is looked up, so that a refusal does not tell whether somebody is there.
        in_full(home, account, source, "score", list_state(home))
        run, state, found = _find(home, person_id, purpose)
        flags = flags_of(home, state, found)
        for name in ("score", "contributions"):
            in_full(home, account, source, name, flags)
        if safeguarding:
            in_full(home, account, "engine.indicators", "indicators", flags)
        answer = _evidence(home, run, found)
        pid = answer.pop("_pid")
        pid = pid if pid >= 0 else None
        entries = _entries(home, run, found, answer["not_served"])
        if any(entry["blind"] and entry["outcome"] is None for entry in entries):
            # Drawn at random: the reviewer's own view is recorded before the score is shown (T17).
            answer["scores"] = None
            answer["history"] = []
        answer |= {
            "person": state.person,
            "identified": state.identified,
            "run": run.id,
            "as_of": run.as_of,
            "entries": entries,
            "note": NOTHING,
            "indicators": with_sources(home, account, found, flags) if safeguarding else None,
            **around_of(home, account, run, pid, flags, answer["not_served"]),
            **group_of(home, account, run, pid, flags),
            **household_of(home, account, found, flags),
        }
        told = told_themes(home.pack, home.tables, purpose)
        answer["not_served"] = {
            theme: why for theme, why in answer["not_served"].items() if theme in told
        }
        answer["audit_entry"] = flow.finish({**details, "run": run.id}).seq
        return answer


def _parse(home: Home, person: str) -> bytes:
    try:
        return home.domain("casework").parse(person)
    except VaultError:
        raise _nobody() from None


def _nobody() -> PolicyRefused:
    return PolicyRefused(
        "FG-REV-02", "that is no reference of a person here", "Copy it again from the list."
    )


def _find(home: Home, person_id: bytes, purpose: str) -> tuple[ScoreRun, SubjectState, bytes]:
    """Return the newest run, the state and the present id of a person, redirects followed."""
    run = latest_run(home, purpose)
    found = resolve(home.linkage, person_id, home.link_runs())
    if run is None or found is None:
        raise _nobody()
    casework = home.domain("casework")
    text = casework.text(casework.seal([found])[0])
    with Session(reading(home.casework)) as session:
        state = session.get(SubjectState, text)
    if state is None or text in withdrawn(home, run):
        raise _nobody()
    return run, state, found


def _entries(
    home: Home, run: ScoreRun, person: bytes, closed: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the places on lists of the run that are shown, also under a name from before a merge."""
    theme_of = {one.id: one.theme for one in home.tables.lists}
    label = {one.id: one.label for one in home.tables.lists}
    with Session(reading(home.casework)) as session:
        return [
            {"item": one.id, "list": one.list, "label": label.get(one.list, one.list),
             "blind": one.blind, "outcome": one.outcome, "decided_by": one.decided_by}
            for one in places_of(home, session, person, run.purpose)
            if one.run == run.id and theme_of.get(one.list) not in closed
        ]  # fmt: skip


def _evidence(home: Home, run: ScoreRun, person_id: bytes) -> dict[str, Any]:
    """Scores of one person with contributions that add up."""
    warehouse, tables = home.warehouse, home.tables
    sealed = home.domain("analysis").seal([person_id])[0]
    persons = warehouse.result(run.id, "person").column("person")
    pid = pc.index(persons, sealed).as_py()
    scores = _rows(warehouse.result(run.id, "score"), "pid", pid)
    parts = _rows(warehouse.result(run.id, "contribution"), "pid", pid)
    around = _rows(warehouse.result(run.id, "exposure_part"), "pid", pid)
    trends = trend.of_person(home, run, pid)
    closed = why_not_served(home, run)
    scores = [row for row in scores if tables.themes[row["theme"]] not in closed]
    return {
        "_pid": pid,
        "scores": [
            {
                **_score(tables, row, parts, around),
                "trend": trends.get((row["theme"], row["track"])),
            }
            for row in scores
        ],
        "history": trend.history(home, person_id, run.purpose),
        "not_served": closed,
        "not_scored": run.manifest["themes_not_scored"],
    }


def _rows(table: Any, name: str, value: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.filter(pc.equal(table.column(name), value)).to_pylist()
    return found


HOP_WORDS = (
    "People linked to this person who have evidence of their own",
    "People two steps away who have evidence of their own",
)


def _score(
    tables: Tables,
    row: dict[str, Any],
    parts: list[dict[str, Any]],
    around: list[dict[str, Any]],
) -> dict[str, Any]:
    """One score: own evidence by kind, then exposure; the parts add up to the number shown."""
    kinds = tables.kind_by_id()
    mine = [
        part for part in parts if (part["theme"], part["track"]) == (row["theme"], row["track"])
    ]
    shares = split_exactly(row["index"], [part["points"] for part in mine])
    theme = tables.themes[row["theme"]]
    near = [
        part for part in around if (part["theme"], part["track"]) == (row["theme"], row["track"])
    ]
    contributions = [
        {
            "reason": kinds[part["kind"]].label,
            "count": part["count"],
            # Banded: an exact date belongs to the source and is shown by a reveal at its level.
            "last_seen": quarter(from_day_number(part["last"])),
            "points": part["points"] / ONE,
            "part": share / 1000,
        }
        for part, share in sorted(
            zip(mine, shares, strict=True), key=lambda pair: (-pair[1], pair[0]["kind"])
        )
    ]
    by_hop = [[part for part in near if part["hop"] == hop] for hop in (1, 2)]
    worth = [sum(part["exposure"] for part in parts) for parts in by_hop]
    added = split_exactly(row["score"] - row["index"], worth)
    contributions += [
        {
            "reason": reason,
            "count": len(parts),
            "last_seen": "",
            "points": 0.0,
            "part": share / 1000,
        }
        for reason, parts, share in zip(HOP_WORDS, by_hop, added, strict=True)
        if share
    ]
    return {
        "theme": theme,
        "theme_label": THEME_WORDS.get(theme, theme),
        "track": TRACKS[row["track"]],
        "track_label": TRACK_WORDS[TRACKS[row["track"]]],
        "index": row["index"] / 1000,
        "exposure": row["exposure"] / 1000,
        "score": row["score"] / 1000,
        "state": "emerging" if row["state"] == 2 else "scored",
        "contributions": contributions,
    }


def split_exactly(total: int, weights: list[int]) -> list[int]:
    """Split an integer in proportion to weights so that the parts add up to it (P14)."""
    whole = sum(weights)
    if whole == 0:
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    rest = total - sum(parts)
    order = sorted(range(len(weights)), key=lambda at: (-(total * weights[at] % whole), at))
    for at in order[:rest]:
        parts[at] += 1
    return parts
