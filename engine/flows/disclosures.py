"""Everything of one person that was disclosed: when, to whom, why, under what, and what was refused.

For a subject access request (UK GDPR Art 15(1)(c), DPA 2018 s.45(2)(c): the recipients) and for whoever
has to tell past recipients of a correction (Art 19). It is made from the trail and holds no value of the
person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlmodel import Session, select

from audit.act import UNKNOWN, Act
from audit.facets import Question
from audit.search import read_acts
from engine.domain.ids import as_utc
from engine.flows.accounts import actor_of, open_account
from engine.flows.audit_names import names_of
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.search_trail import Search, asked_at, index_of, question_of
from engine.flows.trail import USES, may_read
from engine.linkage.index import ids_of, resolve
from engine.store.session import reading
from engine.store.tables import ReviewItem, ScoreRun

SHOWING = frozenset({"consultation", "reidentify", "break_glass", "disclosure", "export"})
"""Kinds of operation by which something of somebody may be shown."""
DISCLOSED = frozenset({"permit"})
PERHAPS = frozenset({UNKNOWN, "completed"})
"""Outcomes after which nobody knows whether the answer arrived; a reader is told of them."""
NOTE = (
    "This is what the trail holds. Before any of it is given to the person, somebody decides what an "
    "exemption covers (DPA 2018 Schedules 2 to 4): who was told may itself be what has to be kept back."
)


def disclosures(
    home: Home, user: str, use: str, person: str, first: str = "", last: str = "", *, auth: str
) -> dict[str, Any]:
    """Return what was disclosed of a person, the oldest first, and what was refused in counts.

    Args:
        home: The home.
        user: Who asks.
        use: One of the four uses of the trail.
        person: Casework reference, also a former one.
        first: First day, year-month-day, UTC; empty for all.
        last: Last day.
        auth: How the user signed in.

    Raises:
        PolicyRefused: ``FG-AUD-10`` the role may not read the trail, or the use is not one of four;
            ``FG-REV-02`` nobody has that reference.
        ConfigError: ``FG-AUD-41`` a day is none.

    Audited as ``audit_read`` with the person.
    """
    account = open_account(home, user, auth)
    actor = actor_of(account, auth)
    details: dict[str, Any] = {"rules": [use if use in USES else "unknown"]}
    with Flow(home, "disclosures", "audit_read", actor, details) as flow:
        may_read(home, account, use)
        names = names_of(home, person.strip())
        details["subject"] = names[0].name
        index, folder = index_of(home, flow), home.path / "audit"
        # As it stood when it was asked: another reader may have brought the index further by now.
        below = asked_at(flow, index)
        asked = question_of(home, Search(person=person, first=first, last=last))
        question = replace(asked, below=below)
        about = read_acts(
            folder, index.page(index.mask(question), 1, len(index) or 1), home.log_opening()
        )
        lists = Question(
            {"action": ["review_list"]}, None, "", question.first, question.last, below
        )
        listed = read_acts(
            folder, index.page(index.mask(lists), 1, len(index) or 1), home.log_opening()
        )
        runs, days = _runs_of(home, person.strip()), _days_of_runs(home)
        shown = [one for one in listed if one.text("run") in runs]
        found = disclosed([*about, *shown], days)
        entry = flow.finish({**details, "rows": len(found)})
        return {
            "use": use,
            "person": person.strip(),
            "disclosed": found,
            "not_shown": not_shown(about),
            "note": NOTE,
            "audit_entry": entry.seq,
            "receipt": flow.receipt(),
        }


def disclosed(acts: Iterable[Act], runs: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return a row for each act that showed something, or may have, the oldest first.

    Args:
        acts: Acts about one person, and review lists of a run on which the person stood.
        runs: Scoring run to the day it was made for.
    """
    return [
        {
            "entry": act.seq,
            "when": act.when.isoformat(timespec="seconds"),
            "user": act.actor,
            "agency": act.text("recipient") or act.agency,
            "role": act.role,
            "purpose": act.text("purpose"),
            "agreement": act.text("agreement"),
            "gateway": act.text("gateway"),
            "what": act.flow,
            "kind": act.kind,
            "fields": _fields(act),
            "run": act.text("run"),
            "run_as_of": runs.get(act.text("run"), ""),
            "policy": act.text("policy_hash"),
            # The event of a list names its run and not which lists were opened: the person may have stood
            # on another one, or been closed to the reader by then.
            "certain": act.outcome in DISCLOSED and act.flow != "review_list",
        }
        for act in sorted(acts, key=lambda one: one.seq)
        if act.kind in SHOWING and act.outcome in DISCLOSED | PERHAPS
    ]


def not_shown(acts: Iterable[Act]) -> list[dict[str, Any]]:
    """Return how often nothing was shown of the person: by outcome, agency and role, most first."""
    counted = Counter(
        (act.outcome, act.agency, act.role)
        for act in acts
        if act.kind in SHOWING and act.outcome not in DISCLOSED | PERHAPS
    )
    return [
        {"outcome": outcome, "agency": agency, "role": role, "count": count}
        for (outcome, agency, role), count in sorted(
            counted.items(), key=lambda one: (-one[1], one[0])
        )
    ]


COLUMNS = (
    "entry", "when", "user", "agency", "role", "purpose", "agreement", "gateway", "what", "kind",
    "fields", "run", "run_as_of", "policy", "certain",
)  # fmt: skip


def as_table(found: Mapping[str, Any]) -> list[list[str]]:
    """Return the disclosures as rows of cells for CSV, the header first."""
    rows: Sequence[Mapping[str, Any]] = found["disclosed"]
    told = [
        {
            **row,
            "fields": " ".join(row["fields"]),
            "certain": "yes" if row["certain"] else "may have been shown",
        }
        for row in rows
    ]
    return [list(COLUMNS), *([str(row[name]) for name in COLUMNS] for row in told)]


def _fields(act: Act) -> list[str]:
    exact = [one for one in act.touched if one.count(".") == 2]
    whole = set(act.sources) - {one.rpartition(".")[0] for one in exact}
    return sorted([*exact, *whole])


def _runs_of(home: Home, person: str) -> set[str]:
    """Return the runs on a list of which a person stood, under any id that leads to them."""
    runs, casework = home.link_runs(), home.domain("casework")
    present = resolve(home.linkage, casework.parse(person), runs)
    ids = [one for one in ids_of(home.linkage, present or b"", runs)
           if resolve(home.linkage, one, runs) == present]  # fmt: skip
    names = {casework.text(one) for one in casework.seal(ids)} if present else set()
    with Session(reading(home.casework)) as session:
        rows = session.exec(select(ReviewItem.run, ReviewItem.person).distinct()).all()
    return {run for run, one in rows if one in names}


def _days_of_runs(home: Home) -> dict[str, str]:
    with Session(reading(home.casework)) as session:
        return {
            one.id: f"{one.as_of}, made {as_utc(one.published_at).date().isoformat()}"
            for one in session.exec(select(ScoreRun)).all()
        }
