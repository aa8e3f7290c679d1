"""Who a person was: which records, as known on one day, for another, and what every run changed.

A score or a reveal of March was about whoever the person was taken for in March. Somebody who answers for
it asks both: what was believed then, and what is believed now of then.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, NamedTuple

from sqlmodel import Session, col, select

from engine.domain.errors import LinkageError, PolicyRefused
from engine.domain.ids import as_utc, day_number, from_day_number
from engine.flows.clerical import reviewer
from engine.flows.decision import NOTHING
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.part import find_person
from engine.flows.sides import sides_of
from engine.linkage.history import Change, Known, bearer_at, changes, known_of
from engine.linkage.index import records_of
from engine.linkage.memory import decided_about
from engine.store.session import reading
from engine.store.tables import Account, LinkDecision, LinkRun

ENDED = "a record that its agency holds no more"
ELSEWHERE = "a record that is another person's now"


def person_history(
    home: Home,
    user: str,
    person: str,
    *,
    auth: str,
    as_of: date | None = None,
    known: date | None = None,
) -> dict[str, Any]:
    """Return which records were a person's on a day, as known on a day, and what every run changed.

    Args:
        home: The home.
        user: Who asks.
        person: Casework reference of the person, also a former one.
        auth: How the user signed in.
        as_of: Day in the world: records that their agency held then; today when None.
        known: What the runs knew by the end of that day; what is known now when None.

    Raises:
        PolicyRefused: ``FG-LNK-06`` the role reviews no pairs, ``FG-REV-02`` nobody has the reference,
            ``FG-REV-03`` nothing of one record may be shown to it.
        LinkageError: ``FG-LNK-19`` nothing had been linked by that day.

    Audited as ``consultation`` with the person.
    """
    account, actor = reviewer(home, user, auth)
    details: dict[str, Any] = {"purpose": account.purpose}
    with Flow(home, "person_history", "consultation", actor, details) as flow:
        person_id, text = find_person(home, person)
        audit = home.domain("audit")
        details["subject"] = audit.text(audit.seal([person_id])[0])
        runs = _runs(home)
        place = _known_by(runs, known)
        day = day_number(as_of or home.clock().date())
        published = [one.id for one in runs]
        # Whoever holds a former reference asks about the person that it was then.
        asked = home.domain("casework").parse(person)
        bearer = bearer_at(home.linkage, published, asked, place)
        facts = known_of(home.linkage, published, {person_id, bearer})
        numbers, titles = _named(home, account, person_id, facts)
        decided = _decisions(home, facts)
        then = [
            one
            for one in facts
            if one.person == bearer and one.at(place, day) and one.record in numbers
        ]
        answer = {
            "person": text,
            "as_of": _day(day),
            "known": as_utc(runs[place].published_at).date().isoformat(),
            "known_by_run": runs[place].number,
            "records": [
                {"record": numbers[one.record], "what": titles[one.record],
                 "since": _day(one.since), "until": _day(one.until)}
                for one in sorted(then, key=lambda one: numbers[one.record])
            ],
            "changes": [
                _told(runs, one, numbers, decided)
                for one in changes(facts, person_id, len(runs))
                if numbers.keys() & {*one.joined, *one.left}
            ],
            "legend": {str(number): titles[record] for record, number in numbers.items()},
            "note": NOTHING,
        }  # fmt: skip
        entry = flow.finish({**details, "rows": len(then)})
        return {**answer, "audit_entry": entry.seq}


def _runs(home: Home) -> list[LinkRun]:
    with Session(reading(home.casework), expire_on_commit=False) as session:
        return list(session.exec(select(LinkRun).order_by(col(LinkRun.number))).all())


def _known_by(runs: list[LinkRun], known: date | None) -> int:
    """Return the place of the newest run that was published by the end of a day."""
    by = [
        place
        for place, one in enumerate(runs)
        if known is None or as_utc(one.published_at).date() <= known
    ]
    if not by:
        raise LinkageError(
            "FG-LNK-19",
            "nothing had been linked by that day",
            "Give a later day, or leave it out for what is known now.",
        )
    return by[-1]


def _named(
    home: Home, account: Account, person_id: bytes, facts: list[Known]
) -> tuple[dict[bytes, int], dict[bytes, str]]:
    """Number the records, those that are the person's now as `open_records` does, and say what they are."""
    held = records_of(home.linkage, person_id, home.link_runs())
    sides = sides_of(home, account, home.domain("linkage").open(held))
    there = {one.record for one in facts if one.last is None and one.until is None}
    others = _told_of(home, account, {one.record for one in facts} - set(held), there)
    numbers = {record: number for number, record in enumerate([*held, *others], 1)}
    titles = {record: side.title for record, side in zip(held, sides, strict=True)}
    titles |= {record: ELSEWHERE if record in there else ENDED for record in others}
    return numbers, titles


def _told_of(home: Home, account: Account, records: set[bytes], there: set[bytes]) -> list[bytes]:
    """Return the records that are not the person's now, but for those that the role may not know of.

    A record that left because its person is protected must not be told by its leaving (LNK-15).
    """
    found = []
    for record in sorted(records):
        if record in there:
            try:
                sides_of(home, account, home.domain("linkage").open([record]))
            except PolicyRefused:
                continue
        found.append(record)
    return found


class _Decision(NamedTuple):
    number: int
    at: datetime
    records: frozenset[bytes]


def _decisions(home: Home, facts: list[Known]) -> list[_Decision]:
    """Return the decisions about some of the records that held at some time."""
    about = decided_about(home.linkage, sorted({one.record for one in facts}))
    with Session(reading(home.casework)) as session:
        # One that a later one took the place of held until then, unless it still waited for a second.
        asked = select(LinkDecision).where(
            col(LinkDecision.state).in_(("final", "replaced")),
            (col(LinkDecision.needs_second) == "") | col(LinkDecision.second_by).is_not(None),
        )
        return [
            _Decision(one.number, as_utc(one.second_at or one.decided_at), frozenset(about[one.id]))
            for one in session.exec(asked.order_by(col(LinkDecision.number))).all()
            if one.id in about
        ]


def _told(
    runs: list[LinkRun], one: Change, numbers: dict[bytes, int], decided: list[_Decision]
) -> dict[str, Any]:
    run = runs[one.run]
    return {
        "run": run.number,
        "on": as_utc(run.published_at).date().isoformat(),
        "joined": sorted(numbers[record] for record in one.joined if record in numbers),
        "left": sorted(numbers[record] for record in one.left if record in numbers),
        "why": _why(runs, one, decided),
    }


def _why(runs: list[LinkRun], one: Change, decided: list[_Decision]) -> list[str]:
    """Say what is known to have caused a change: records that came or ended, or somebody's decision."""
    since = as_utc(runs[one.run - 1].published_at) if one.run else None
    until = as_utc(runs[one.run].published_at)
    why = []
    if None in one.joined.values():
        why.append("records came that the run before did not have")
    if None in one.left.values():
        why.append("records ended or were withdrawn")
    why += [
        f"decision {made.number} was made"
        for made in decided
        if made.records & {*one.joined, *one.left}
        and (since is None or since <= made.at)
        and made.at < until
    ]
    return why or ["what other records say of them changed"]


def _day(number: int | None) -> str | None:
    return from_day_number(number).isoformat() if number is not None else None
