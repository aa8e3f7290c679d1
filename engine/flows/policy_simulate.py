"""What a new policy would have done to the requests of the last days: real ones, from the trail.

Only tokens are read: role, agency, purpose and the subject's pseudonym. Nothing is opened, and what
comes out is counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

import policies.load
from audit.canonical import parse
from engine.domain.errors import VaultError
from engine.domain.ids import Actor
from engine.flows.decision import sources_of
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.states import declared, record_rows, record_state, subject_flags
from engine.linkage.index import records_of, resolve
from engine.store.session import reading
from engine.store.tables import SubjectState
from policies import authorise
from policies.matrix import ASSUMED, everything_met
from policies.model import Pack, Request

DAYS = 30
FLOWS = ("reveal", "show")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of the trail, in tokens."""

    role: str
    agency: str
    purpose: str
    subject: str
    permitted: bool


def logged_requests(home: Home, days: int = DAYS) -> Iterator[Asked]:
    """Yield the requests to see an identity of the last `days` days, permitted and refused."""
    since = home.clock() - timedelta(days=days)
    begun: dict[str, dict[str, Any]] = {}
    for _, body in reversed(home.log_events()):
        event = parse(body)
        if event["flow"] not in FLOWS or datetime.fromisoformat(event["ts"]) < since:
            continue
        if event["phase"] == "intent":
            begun[event["intent"]] = event
        elif event["intent"] in begun:
            first = begun.pop(event["intent"])
            yield Asked(
                first["actor"]["role"],
                first["actor"]["org"],
                first.get("purpose", ""),
                first.get("subject", ""),
                event.get("decision") in ("permit", "withhold"),
            )


def simulate_draft(home: Home, actor: Actor, days: int = DAYS) -> dict[str, Any]:
    """Return what the home's draft would have done to the requests of the last days.

    Raises:
        GatewayFault, PolicyFault: The draft does not load.

    Audited as ``audit_read``: it reads the trail, to verify that processing would be lawful.
    """
    details = {"rules": ["lawfulness"]}
    with Flow(home, "simulate_policy", "audit_read", actor, details) as flow:
        found = simulate(home, home.pack, policies.load.load_pack(*home.draft), days)
        flow.finish({**details, "rows": found["requests"]})
        return found


def simulate(home: Home, old: Pack, new: Pack, days: int = DAYS) -> dict[str, Any]:
    """Decide each logged request again under both versions and count what would differ.

    It reads the trail, so it is called inside a flow only.

    Args:
        home: The home; its trail and its trusted tables as they are today.
        old: The active version.
        new: The proposed one.
        days: How far back.

    Returns:
        Number of requests and, by role, agency, purpose and source, how often a field would be shown
        at a higher or a lower level, and how many requests would turn from something to nothing.
    """
    met = everything_met(old) | everything_met(new)
    as_of = home.clock().date()
    effects: dict[tuple[str, str, str, str], Counter[str]] = {}
    requests = gained = lost = skipped = 0
    for asked in logged_requests(home, days):
        requests += 1
        states = _states(home, asked.subject)
        if states is None:
            skipped += 1
            continue
        shown = [0, 0]
        for source, state in states:
            request = Request(asked.role, asked.agency, asked.purpose, ASSUMED)
            views = [
                authorise(pack, request, source, pack.sources[source].fields, as_of, met)
                if source in pack.sources
                else None
                for pack in (old, new)
            ]
            names = {name for view in views if view is not None for name in view.fields}
            for name in names:
                levels = [int(view.level(name, state)) if view is not None else 0 for view in views]
                shown = [one + (level > 0) for one, level in zip(shown, levels, strict=True)]
                if levels[0] != levels[1]:
                    key = (asked.role, asked.agency, asked.purpose, source)
                    word = "raised" if levels[1] > levels[0] else "lowered"
                    effects.setdefault(key, Counter())[word] += 1
        gained += shown[0] == 0 < shown[1]
        lost += shown[1] == 0 < shown[0]
    return {
        "days": days,
        "requests": requests,
        "not_found_any_more": skipped,
        "would_be_shown_something_new": gained,
        "would_be_shown_nothing": lost,
        "effects": [
            {
                "role": role,
                "agency": agency,
                "purpose": purpose,
                "source": source,
                "fields_raised": counts["raised"],
                "fields_lowered": counts["lowered"],
            }
            for (role, agency, purpose, source), counts in sorted(effects.items())
        ],
    }


def _states(home: Home, subject: str) -> list[tuple[str, dict[str, str]]] | None:
    """Return source and state of each record of a subject; None when nobody is found any more."""
    try:
        person_id = home.domain("audit").parse(subject)
    except VaultError:
        return None
    found = resolve(home.linkage, person_id, home.link_runs())
    if found is None:
        return None
    records = home.domain("linkage").open(records_of(home.linkage, found, home.link_runs()))
    sources, domain = sources_of(home, records), home.domain("record")
    names = dict(zip(records, (domain.text(one) for one in domain.seal(records)), strict=True))
    rows = record_rows(home, names.values())
    casework = home.domain("casework")
    with Session(reading(home.casework)) as session:
        state = session.get(SubjectState, casework.text(casework.seal([found])[0]))
    person = subject_flags(home, state, rows, declared(home))
    return [
        (sources[record], record_state(home, sources[record], name, person, rows))
        for record, name in names.items()
        if record in sources
    ]
