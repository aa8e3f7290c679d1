"""The thirty indicators of a person, and those of the people they live with, marked as such.

A family is told by its members' own indicators: what somebody at home has is shown `by_association`, never as
the person's own, and no score of a family is made (T-AF6).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlmodel import Session

from engine.domain.errors import PolicyRefused
from engine.domain.ids import day_number, from_day_number
from engine.domain.indicators import GROUPS, INDICATORS
from engine.flows.decision import sources_of
from engine.flows.disclose import visible_content
from engine.flows.facts import request_facts
from engine.flows.home import Home
from engine.flows.household import FAMILY, as_handles, bonds_of, housemates
from engine.flows.lists import in_full, shown_level
from engine.flows.rules import name_rules
from engine.flows.states import counts, record_rows, record_state, subject_flags
from engine.linkage.index import records_of
from engine.store.session import reading
from engine.store.tables import Account, SubjectState
from policies import authorise
from policies.model import Level, Request, State
from policies.transforms import quarter


def flags_of(home: Home, state: SubjectState, person_id: bytes) -> State:
    """Flags of a person from the trusted tables; records that are closed were left out of the run."""
    ids = home.domain("linkage").open(records_of(home.linkage, person_id, home.link_runs()))
    record = home.domain("record")
    names = [record.text(sealed) for sealed in record.seal(ids)]
    flags = subject_flags(home, state, record_rows(home, names))
    return {**flags, **dict.fromkeys(home.pack.vocabulary.closing_flags, "n")}


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest evidence of an indicator.

    Attributes:
        day: When it happened or began, days since 1970-01-01.
        end: Until when it held; the day itself for an event.
        kind: What it was.
        source: The source that said so.
        rule: Id of the rule of its contract that made it, for example ``per.home``.
        record: The record, in the record domain.
    """

    day: int
    end: int
    kind: str
    source: str
    rule: str
    record: str = field(repr=False)


def newest_seen(home: Home, person_id: bytes) -> dict[str, Seen]:
    """Return the newest evidence by indicator; what the engine does not hold is not there."""
    ids = home.domain("linkage").open(records_of(home.linkage, person_id, home.link_runs()))
    record = home.domain("record")
    sealed_by_name = {record.text(sealed): sealed for sealed in record.seal(ids)}
    rows, source_of = record_rows(home, sealed_by_name), sources_of(home, ids)
    own = {
        sealed: (name, source_of[one])
        for (name, sealed), one in zip(sealed_by_name.items(), ids, strict=True)
        if one in source_of and counts(home, source_of[one], name, rows)
    }
    order, kinds = home.published(), home.tables.kind_by_id()
    found: dict[str, Seen] = {}
    for what, first, last in (("events", "day", "day"), ("states", "start", "end")):
        held = home.warehouse.rows_of(what, order, list(own), home.live())
        name_rules(home, held)
        for row in held:
            kind = kinds[row["kind"]]
            code = kind.indicator(row.get("role", 0))
            if not code or (code in found and found[code].day >= row[first]):
                continue
            name, source = own[row["record"]]
            found[code] = Seen(row[first], row[last], kind.label, source, row["rule_id"], name)
    return found


def indicators_of(home: Home, person_id: bytes) -> list[dict[str, Any]]:
    """All thirty indicators with the newest evidence; an empty one says "no data", never "no"."""
    seen = newest_seen(home, person_id)
    return [_told(home, code, label, seen.get(code)) for code, label in INDICATORS.items()]


def with_sources(
    home: Home, account: Account, person_id: bytes, flags: State
) -> list[dict[str, Any]]:
    """Return `indicators_of` with who said so and by which rule, as far as the role may know that.

    That somebody is known to a service is told only to who may know what the service holds when they give
    their reason; else it is a partner's record. The person has no name here, and what an indicator is
    called says more than the title of its source.

    Args:
        home: The home.
        account: Who looks.
        person_id: The person, redirects followed.
        flags: State of the person.
    """
    seen, today = newest_seen(home, person_id), home.clock().date()
    ids = home.domain("linkage").open(records_of(home.linkage, person_id, home.link_runs()))
    request = Request(
        account.role, account.agency, account.purpose, request_facts(home, ids, justified=True)
    )
    rows = record_rows(home, {one.record for one in seen.values()})
    views = {
        name: authorise(home.pack, request, name, home.pack.sources[name].fields, today, UNNAMED)
        for name in sorted({one.source for one in seen.values()})
    }
    told = []
    for code, label in INDICATORS.items():
        one, known = seen.get(code), False
        if one is not None:
            source = home.pack.sources[one.source]
            state = record_state(home, source.id, one.record, flags, rows)
            known = visible_content(source, views[source.id], state)
        told.append(
            {
                **_told(home, code, label, one),
                "source": "" if one is None else source.title if known else "a partner's record",
                "rule": one.rule if one is not None and known else "",
            }
        )
    return told


def _told(home: Home, code: str, label: str, one: Seen | None) -> dict[str, Any]:
    today = day_number(home.clock().date())
    return {
        "code": code,
        "group": GROUPS[code[0]],
        "label": label,
        "kind": "" if one is None else one.kind,
        "last_seen": None if one is None else quarter(from_day_number(one.day)),
        "freshness": "" if one is None else _freshness(one, today),
    }


def _freshness(one: Seen, today: int) -> str:
    """Say how old evidence is, no finer than its quarter does."""
    if one.end > one.day and one.day <= today <= one.end:
        return "holds today"
    age = today - max(one.day, min(one.end, today))
    return next((words for days, words in FRESH if age <= days), "older than two years")


UNNAMED = frozenset({"justify", "case_ref"})
"""A reason and a case are asked for when a name is wanted; this view has none, and the trail has the look."""
FRESH = ((183, "in the last six months"), (365, "in the last year"), (730, "in the last two years"))
"""Days up to which evidence is as fresh as the words say."""


def household_of(home: Home, account: Account, person_id: bytes, flags: State) -> dict[str, Any]:
    """Return who lives with a person and is of their family by handle, and the indicators at home.

    Those of the people at home are marked as association; a family that is declared and lives elsewhere
    adds none. All are None when nothing of links may be shown. Somebody at home whose indicators may not
    be shown adds nothing, and that is not said.

    Args:
        home: The home.
        account: Who looks.
        person_id: The person, redirects followed.
        flags: State of the person.
    """
    level = shown_level(home, account, "engine.links", "associates", flags)
    if level < Level.TOKEN:
        return {"household": None, "family": None, "family_indicators": None}
    found = bonds_of(home, person_id)
    return {
        "household": as_handles(home, found, level),
        "family": as_handles(home, bonds_of(home, person_id, FAMILY), level, FAMILY),
        "family_indicators": _by_association(home, account, housemates(home, person_id, found)),
    }


def _by_association(home: Home, account: Account, people: list[bytes]) -> list[dict[str, Any]]:
    casework = home.domain("casework")
    found: dict[str, dict[str, Any]] = {}
    for other in people:
        with Session(reading(home.casework), expire_on_commit=False) as session:
            state = session.get(SubjectState, casework.text(casework.seal([other])[0]))
        if state is None:
            continue
        try:
            in_full(home, account, "engine.indicators", "indicators", flags_of(home, state, other))
        except PolicyRefused:
            continue
        for one in indicators_of(home, other):
            last = found.get(one["code"], {}).get("last_seen") or ""
            if one["last_seen"] and one["last_seen"] > last:
                found[one["code"]] = {**one, "by_association": True}
    return [found[code] for code in sorted(found)]
