"""Review lists and the pseudonymous view of a person: evidence first, no name."""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc
from sqlmodel import Session, col, select

from engine.domain.errors import PolicyRefused
from engine.domain.ids import Actor, from_day_number
from engine.domain.indicators import GROUPS, INDICATORS
from engine.flows.disclose import quarter
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.reveal import NOTHING
from engine.linkage.index import records_of
from engine.store.session import reading
from engine.store.tables import Account, ReviewItem, ScoreRun, SubjectState
from policies import authorise
from policies.model import Level, Request
from scoring.tables import ONE, TRACKS, ListRule, Tables

OUTCOMES = {
    "accept": "Accept for support",
    "watch": "Watch and review again",
    "not_appropriate": "Not appropriate",
    "need_more": "Need more information",
}
WITNESS = 6
TRACK_WORDS = {"harmed": "may be harmed", "harming": "may harm others"}
THEME_WORDS = {"cse": "Sexual exploitation", "cce": "Criminal exploitation"}


def _account(home: Home, user: str) -> Account:
    with Session(reading(home.casework)) as session:
        found = session.get(Account, user)
    if found is None or not found.active:
        raise PolicyRefused(
            "FG-REV-01",
            "that user has no active account here",
            "Ask the operator to add one.",
        )
    return found


def _require(home: Home, account: Account, source: str, name: str) -> Level:
    """Return the level of a derived field for this account, or refuse with every reason."""
    request = Request(
        account.role,
        account.agency,
        account.purpose,
        {"reason_given": True, "decision_recorded": True},
    )
    view = authorise(home.pack, request, source, [name], home.clock().date(), frozenset())
    # Derived data has no subject of its own here: the strictest reading of every flag but those that
    # its inputs were already filtered by.
    level = view.level(name, {"child": "y", "protected": "n", "restricted": "n", "embargoed": "n"})
    if level == Level.REFUSE:
        raise PolicyRefused(
            "FG-REV-03",
            "your role may not see this for its purpose",
            "Ask your information governance lead which role it needs. " + NOTHING,
            [f"{reason.code} {reason.sentence}" for reason in view.fields[name].reasons],
        )
    return level


def latest_run(home: Home) -> ScoreRun | None:
    """Return the newest published run."""
    with Session(reading(home.casework), expire_on_commit=False) as session:
        return session.exec(select(ScoreRun).order_by(col(ScoreRun.number).desc())).first()


def review_lists(home: Home, user: str | None, *, auth: str) -> dict[str, Any]:
    """Return the newest review lists.

    Args:
        user: Who looks; None for an operator of a demo home, who sees references and numbers only.

    Raises:
        PolicyRefused: The role may not see lists.

    Audited as ``consultation``.
    """
    actor = Actor(user or "operator", "host", "operator", auth)
    if user is not None:
        account = _account(home, user)
        actor = Actor(user, account.agency, account.role, auth)
    with Flow(home, "review_list", "consultation", actor, {"source": "engine.lists"}) as flow:
        if user is not None:
            _require(home, account, "engine.lists", "review_list")
        run = latest_run(home)
        answer: dict[str, Any] = {
            "run": None,
            "as_of": None,
            "lists": [],
            "not_scored": {},
        }
        if run is not None:
            answer = {
                "run": run.id,
                "as_of": run.as_of,
                "lists": [_list(home, run, rule) for rule in home.tables.lists],
                "not_scored": run.manifest["themes_not_scored"],
            }
        listed = sum(len(one["entries"]) for one in answer["lists"])
        flow.finish({"source": "engine.lists", "run": answer["run"] or "", "rows": listed})
        return answer


def _list(home: Home, run: ScoreRun, rule: ListRule) -> dict[str, Any]:
    with Session(reading(home.casework)) as session:
        items = session.exec(
            select(ReviewItem)
            .where(ReviewItem.run == run.id, ReviewItem.list == rule.id)
            .order_by(col(ReviewItem.rank))
        ).all()
        entries = [
            {
                "item": item.id,
                "rank": item.rank,
                "person": item.person,
                "score": None if item.blind else item.score / 1000,
                "blind": item.blind,
                "outcome": item.outcome,
            }
            for item in items
        ]
    return {
        "id": rule.id,
        "label": rule.label,
        "capacity": rule.capacity,
        "theme": rule.theme,
        "track": rule.track,
        "scored": rule.theme not in run.manifest["themes_not_scored"],
        "entries": entries,
    }


def look(home: Home, user: str, person: str, *, auth: str) -> dict[str, Any]:
    """Return the evidence about a person under their casework reference.

    Raises:
        PolicyRefused: The role may not see scores, or nobody has the reference.

    Audited as ``consultation`` of ``engine.scores``.
    """
    account = _account(home, user)
    actor = Actor(user, account.agency, account.role, auth)
    try:
        person_id = home.domain("casework").parse(person)
    except Exception as error:
        raise PolicyRefused(
            "FG-REV-02",
            "that is no reference of a person here",
            "Copy it again from the list.",
        ) from error
    audit = home.domain("audit")
    subject = audit.text(audit.seal([person_id])[0])
    details = {
        "source": "engine.scores",
        "subject": subject,
        "purpose": account.purpose,
    }
    with Flow(home, "look", "consultation", actor, details) as flow:
        _require(home, account, "engine.scores", "score")
        run = latest_run(home)
        with Session(reading(home.casework)) as session:
            state = session.get(SubjectState, person)
        if run is None or state is None:
            raise PolicyRefused(
                "FG-REV-02",
                "that is no reference of a person here",
                "Copy it again from the list.",
            )
        answer = _evidence(home, run, person_id)
        entries = _entries(home, run, person)
        if any(entry["blind"] and entry["outcome"] is None for entry in entries):
            # Drawn at random: the reviewer's own view is recorded before the score is shown (T17).
            answer["scores"] = None
        answer |= {
            "person": person,
            "identified": state.identified,
            "run": run.id,
            "as_of": run.as_of,
            "entries": entries,
            "note": NOTHING,
        }
        if _allowed(home, account, "engine.links", "associates"):
            answer["associates"] = _associates(home, run, answer.pop("_pid"))
        else:
            answer.pop("_pid")
            answer["associates"] = None
        flow.finish({**details, "run": run.id})
        return answer


def _allowed(home: Home, account: Account, source: str, name: str) -> bool:
    try:
        return _require(home, account, source, name) >= Level.TOKEN
    except PolicyRefused:
        return False


def _entries(home: Home, run: ScoreRun, person: str) -> list[dict[str, Any]]:
    with Session(reading(home.casework)) as session:
        items = session.exec(
            select(ReviewItem).where(ReviewItem.run == run.id, ReviewItem.person == person)
        ).all()
        return [
            {"item": one.id, "list": one.list, "blind": one.blind, "outcome": one.outcome,
             "decided_by": one.decided_by}
            for one in items
        ]  # fmt: skip


def _evidence(home: Home, run: ScoreRun, person_id: bytes) -> dict[str, Any]:
    """Scores with contributions that add up, and indicators, of one person."""
    warehouse, tables = home.warehouse, home.tables
    sealed = home.domain("analysis").seal([person_id])[0]
    persons = warehouse.result(run.id, "person").column("person")
    pid = pc.index(persons, sealed).as_py()
    scores = _rows(warehouse.result(run.id, "score"), "pid", pid)
    parts = _rows(warehouse.result(run.id, "contribution"), "pid", pid)
    around = _rows(warehouse.result(run.id, "exposure_part"), "pid", pid)
    return {
        "_pid": pid,
        "scores": [_score(tables, row, parts, around) for row in scores],
        "indicators": _indicators(home, person_id),
        "not_scored": run.manifest["themes_not_scored"],
    }


def _rows(table: Any, name: str, value: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.filter(pc.equal(table.column(name), value)).to_pylist()
    return found


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
    if row["score"] > row["index"]:
        contributions.append(
            {
                "reason": "People linked to this person who have evidence of their own",
                "count": len(near),
                "last_seen": "",
                "points": 0.0,
                "part": (row["score"] - row["index"]) / 1000,
            }
        )
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


def _indicators(home: Home, person_id: bytes) -> list[dict[str, Any]]:
    """All thirty indicators with the newest evidence; an empty one says "no data", never "no"."""
    ids = home.domain("linkage").open(records_of(home.linkage, person_id))
    names = home.domain("record").seal(ids)
    order = home.published()
    kinds = home.tables.kind_by_id()
    last: dict[str, int] = {}
    for what, day in (("events", "day"), ("states", "start")):
        for row in home.warehouse.rows_of(what, order, names):
            code = kinds[row["kind"]].indicator
            if code and row.get("role") != WITNESS:
                last[code] = max(last.get(code, row[day]), row[day])
    return [
        {
            "code": code,
            "group": GROUPS[code[0]],
            "label": label,
            "last_seen": quarter(from_day_number(last[code])) if code in last else None,
        }
        for code, label in INDICATORS.items()
    ]


def _associates(home: Home, run: ScoreRun, pid: int) -> list[dict[str, Any]]:
    """Linked people by handle; nobody is named, and whoever has no evidence is a count only."""
    warehouse, tables = home.warehouse, home.tables
    links = warehouse.result(run.id, "link")
    near = links.filter(
        pc.or_(pc.equal(links.column("a"), pid), pc.equal(links.column("b"), pid))
    ).to_pylist()
    risk = {
        row["neighbour"]: row["exposure"]
        for row in _rows(warehouse.result(run.id, "exposure_part"), "pid", pid)
    }
    labels = {kind.id: kind.label for kind in tables.links}
    people: dict[int, dict[str, Any]] = {}
    for row in near:
        other = row["b"] if row["a"] == pid else row["a"]
        found = people.setdefault(other, {"kinds": [], "last": 0})
        found["kinds"].append(f"{labels[row['kind']]} ({row['n']})")
        found["last"] = max(found["last"], row["last"])
    ordered = sorted(people.items(), key=lambda item: (-risk.get(item[0], 0), item[0]))
    return [
        {
            "handle": f"Associate {number}",
            "links": "; ".join(found["kinds"]),
            "last_seen": quarter(from_day_number(found["last"])),
            "shares_risk": other in risk,
            "exposure": risk.get(other, 0) / 1000,
        }
        for number, (other, found) in enumerate(ordered, start=1)
    ]


def decide(home: Home, user: str, item: int, outcome: str, *, auth: str) -> dict[str, Any]:
    """Record what a named human decided about a list entry.

    Raises:
        PolicyRefused: ``FG-REV-08`` unknown entry or outcome, or it was decided already.

    Audited as ``alteration``. No score leads to an action without this record.
    """
    account = _account(home, user)
    actor = Actor(user, account.agency, account.role, auth)
    with Flow(home, "decide", "alteration", actor, {"source": "engine.lists"}) as flow:
        _require(home, account, "engine.lists", "review_list")
        if outcome not in OUTCOMES:
            raise PolicyRefused(
                "FG-REV-08",
                "that outcome is not one of the list",
                f"Use {', '.join(OUTCOMES)}.",
            )

        def publish(session: Session) -> str:
            found = session.get(ReviewItem, item)
            if found is None or found.outcome is not None:
                raise PolicyRefused(
                    "FG-REV-08",
                    "that entry is not there or was decided already",
                    "Look again.",
                )
            found.outcome, found.decided_by, found.decided_at = (
                outcome,
                user,
                home.clock(),
            )
            return found.person

        person = flow.commit(publish)
        audit = home.domain("audit")
        subject = audit.text(audit.seal([home.domain("casework").parse(person)])[0])
        flow.finish({"source": "engine.lists", "subject": subject, "rules": [outcome]})
        return {"item": item, "outcome": outcome, "decided_by": user}
