"""The monitor of unusual access: judge the days since it last ran and put what is found into the queue.

The flow reads the trail (DPA 2018 s.62(4)(b), self-monitoring), has keyed tokens made of those who were
looked at, and gives plain rows to `audit.unusual`. Run by a timer, and by hand as often as one likes: the
same day twice finds the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlmodel import Session, col, select

from audit.unusual import Act, Found, Look, Subject, User, Weights, judge, load_weights, shipped
from audit.unusual.gather import Item, gather, quiet
from audit.unusual.rows import Tokens
from audit.unusual.signs import Surnames
from engine.domain.errors import ConfigError
from engine.domain.ids import Actor, as_utc
from engine.flows.home import Home
from engine.flows.intent import Flow, alone
from engine.flows.monitor_enrol import stale_members
from engine.flows.monitor_names import KEPT, Names
from engine.flows.monitor_rows import LONDON, Seen, explained, seen_since
from engine.flows.monitor_tokens import subject_tokens
from engine.flows.subjects import bulk_subjects
from engine.store.monitor_tables import (
    MonitorDay,
    MonitorDecision,
    MonitorItem,
    MonitorMark,
    MonitorMember,
    MonitorSubject,
)
from engine.store.session import reading

USE = "self_monitoring"
FIRST_DAYS = 31
"""How far back the first run goes; older days only say what is ordinary."""


@dataclass
class Evidence:
    """What the days are judged on."""

    names: Names
    looks: list[Look] = field(default_factory=list)
    users: dict[str, User] = field(default_factory=dict)
    subjects: dict[str, Subject] = field(default_factory=dict)
    surnames: Surnames = field(default_factory=Surnames)
    made: dict[str, dict[str, list[str]]] = field(default_factory=dict, repr=False)
    opened: set[bytes] = field(default_factory=set, repr=False)
    """Ids of those whose identity was opened for tokens."""


def run_monitor(home: Home, actor: Actor, *, until: date | None = None) -> dict[str, Any]:
    """Judge every day since the newest that was judged, that one included, and fill the queue.

    Args:
        home: The home; its vault keyring is opened, for keyed tokens of those who were looked at.
        actor: Who runs it.
        until: Last day to judge; today when None.

    Returns:
        Counts: days, accesses, items that are new and items that grew; and how many enrolments were made
        under a former key of the vault and match nobody until they are made again.

    Raises:
        ConfigError: ``FG-MON-07`` another run goes on; ``FG-MON-08`` the day lies ahead.
        AuditFault: ``FG-MON-01`` the weights cannot be used, so nothing was judged.

    Audited as ``audit_read``, for self-monitoring, with days, accesses and a root over those who were
    opened. They are opened between intent and commit, because the tokens are what is committed; nothing is
    answered.
    """
    today = home.clock().astimezone(LONDON).date()
    last = today if until is None else until
    if last > today:
        raise ConfigError("FG-MON-08", "that day lies ahead", "Name today or a day before.")
    details = {"rules": [USE]}
    with alone(home, "monitor", "FG-MON-07"), Flow(
        home, "monitor_run", "audit_read", actor, details
    ) as flow:  # fmt: skip
        weights = load_weights(shipped())
        days = _days(home, last)
        flow.arrow("read")
        back = max(weights.limits["repeat_days"], weights.limits["volume_days"]) + 1
        seen = seen_since(home, days[0] - timedelta(days=back))
        evidence = _evidence(home, weights, seen, days[0])
        flow.arrow("judge")
        key = home.keyring("psn").derive("monitor-order", 32)
        found = {
            day: judge(weights, day, evidence.looks, evidence.users, evidence.subjects,
                       evidence.surnames, key)
            for day in days
        }  # fmt: skip
        done = flow.commit(lambda session: _publish(session, home, weights, evidence, found))
        counts = {"days": len(days), "looks": sum(one.at.date() in found for one in evidence.looks),
                  **done}  # fmt: skip
        # How many were queued is not in the trail: who reads it may be in one of them, and could subtract.
        told = {name: counts[name] for name in ("days", "looks")}
        flow.finish({**details, "counts": told, "subjects": bulk_subjects(home, evidence.opened)})
        return {**counts, "from": days[0].isoformat(), "until": last.isoformat(),
                "weights": weights.version, "stale": stale_members(home)}  # fmt: skip


def _days(home: Home, last: date) -> list[date]:
    """Return the days to judge: from the newest judged one, which may not have been over, to the last."""
    with Session(reading(home.casework)) as session:
        newest = session.exec(select(MonitorDay.day).order_by(col(MonitorDay.day).desc())).first()
    first = last - timedelta(days=FIRST_DAYS - 1)
    if newest is not None:
        first = min(date.fromisoformat(newest), last)
    return [first + timedelta(days=at) for at in range((last - first).days + 1)]


def _evidence(home: Home, weights: Weights, seen: Sequence[Seen], first: date) -> Evidence:
    """Bring together what is known of users and of those who were looked at."""
    made = Evidence(Names(home))
    named = _waiting(home, made.names) | {
        one.look.subject: one.person
        for one in seen
        if one.person and one.look.personal and one.look.at.date() >= first
    }
    flags: dict[str, frozenset[str]] = {}
    for subject, (tokens, held) in subject_tokens(home, named).items():
        made.made[subject], flags[subject] = tokens, held
        made.opened.add(named[subject])
    with Session(reading(home.casework)) as session:
        members = session.exec(select(MonitorMember)).all()
        kept = session.exec(select(MonitorSubject)).all()
        marks: dict[str, set[str]] = defaultdict(set)
        for one in session.exec(select(MonitorMark)).all():
            marks[made.names.present(one.subject)].add(one.mark)
        version = home.keyring("vault").current
        made.users = {one.user: _user(one) for one in members if one.version == version}
        known = {one.subject: one.tokens for one in kept if one.version == version} | made.made
    for subject, tokens in known.items():
        marked = flags.get(subject, frozenset()) & {"staff_kin"}
        marked |= marks.get(subject, set())
        made.subjects[subject] = Subject(_tokens(tokens), marked)
    for subject, some in marks.items():
        made.subjects.setdefault(subject, Subject(marks=frozenset(some)))
    made.surnames = Surnames.of([*made.users.values(), *made.subjects.values()])
    made.looks = explained(
        home,
        weights,
        seen,
        {name: user.areas for name, user in made.users.items()},
        {name: subject.tokens.area for name, subject in made.subjects.items()},
        first,
    )
    return made


def _waiting(home: Home, names: Names) -> dict[str, bytes]:
    """Return whom items that wait are about: their tokens say who may not decide, so they are kept new.

    A merge, its undoing or a new key of the vault changes them.
    """
    with Session(reading(home.casework)) as session:
        asked = select(MonitorItem.subject).where(col(MonitorItem.state) != "closed").distinct()
        subjects = session.exec(asked).all()
    followed = [names.follow(one) for one in subjects if one]
    return {subject: person for subject, person in followed if person}


def _user(member: MonitorMember) -> User:
    return User(_tokens(member.tokens), frozenset(member.tokens.get("areas", ())), member.team)


def _tokens(kept: Mapping[str, Sequence[str]]) -> Tokens:
    return Tokens(*(frozenset(kept.get(sort, ())) for sort in
                    ("oneself", "surname", "address", "street", "area")))  # fmt: skip


def _publish(
    session: Session, home: Home, weights: Weights, evidence: Evidence,
    found: Mapping[date, Sequence[Found]],
) -> dict[str, int]:  # fmt: skip
    """Write items, tokens of those looked at, and counts by group; delete tokens nobody needs."""
    counts = Counter({"queued": 0, "grown": 0})
    for day in sorted(found):
        for one in found[day]:
            counts.update(_put(session, home, weights, evidence, one))
        session.merge(
            MonitorDay(day=day.isoformat(), weights=weights.version, judged_at=home.clock(),
                       counts=_groups(evidence, day))
        )  # fmt: skip
    newest = {one.subject: one.at.date().isoformat() for one in evidence.looks if one.personal}
    items = session.exec(select(MonitorItem).where(col(MonitorItem.state) != "closed")).all()
    waiting = {evidence.names.present(one.subject): max(one.shape["days"]) for one in items}
    version = home.keyring("vault").current
    for subject, tokens in evidence.made.items():
        known = session.get(MonitorSubject, subject)
        last = max(
            newest.get(subject, ""), waiting.get(subject, ""), known.last_day if known else ""
        )
        session.merge(
            MonitorSubject(subject=subject, version=version, tokens=tokens, last_day=last)
        )
    old = max(found) - timedelta(days=weights.limits["tokens_kept_days"])
    for gone in session.exec(
        select(MonitorSubject).where(col(MonitorSubject.last_day) < old.isoformat())
    ).all():
        # As long as an item waits they say who may not decide about it.
        if evidence.names.present(gone.subject) not in waiting:
            session.delete(gone)
    return dict(counts)


def _put(
    session: Session, home: Home, weights: Weights, evidence: Evidence, one: Found
) -> list[str]:
    """Put one finding into the queue; say whether an item is new, grew, or nothing was to be done."""
    mine = session.exec(
        select(MonitorItem)
        .where(MonitorItem.actor == one.actor)
        .order_by(col(MonitorItem.number).desc())
    ).all()
    # What was queued under a name that leads to this person by now is of the same pair.
    items = [each for each in mine if evidence.names.present(each.subject) == one.subject]
    counted = max((int(item.shape["through"]) for item in items), default=-1)
    fresh = tuple(entry for entry in one.entries if entry > counted)
    row = next((each for each in items if each.state == "open"), None)
    if not fresh or (row is None and _stays_quiet(session, weights, items, one)):
        return []
    if row is not None:
        after = gather(weights, item_of(row), one)
        row.shape, row.points, row.role = shape_of(after), after.points, after.role
        session.add(row)
        return ["grown"]
    after = gather(weights, None, replace(one, entries=fresh))
    newest = session.exec(
        select(MonitorItem.number).order_by(col(MonitorItem.number).desc())
    ).first()
    team = evidence.users[one.actor].team if one.actor in evidence.users else ""
    session.add(
        MonitorItem(
            id=_fresh_id(session, home), number=(newest or 0) + 1, actor=one.actor,
            agency=one.agency, role=one.role, team=team, subject=one.subject, points=after.points,
            shape=shape_of(after), opened_at=home.clock(), state="open",
        )
    )  # fmt: skip
    session.flush()
    return ["queued"]


def _fresh_id(session: Session, home: Home) -> str:
    """Return a random id, of which the beginning, that people type, is no other item's."""
    while True:
        made = home.randomness(16).hex()
        taken = select(MonitorItem.id).where(col(MonitorItem.id).startswith(made[:KEPT]))
        if session.exec(taken).first() is None:
            return made


def _stays_quiet(
    session: Session, weights: Weights, items: Iterable[MonitorItem], one: Found
) -> bool:
    """Say whether this pair was explained, lately, with every sign that holds now.

    The newest decision about the pair counts: what was misuse later is quiet no more. Days of a user with no
    person in them are never quiet, since the next day has other people in it.
    """
    if not one.subject:
        return False
    for item in items:
        decided = session.exec(
            select(MonitorDecision)
            .where(MonitorDecision.item == item.id, MonitorDecision.state == "final")
            .order_by(col(MonitorDecision.decided_at).desc())
        ).first()
        if decided is not None:
            on = as_utc(decided.decided_at).astimezone(LONDON).date()
            return decided.outcome == "explained" and quiet(
                weights, one.signs, item.shape["signs"], on, one.day
            )
    return False


def item_of(row: MonitorItem) -> Item:
    """Return a stored item as the rules know it."""
    shape = row.shape
    return Item(
        row.actor, row.agency, row.role, row.subject, dict(shape["signs"]), tuple(shape["entries"]),
        shape["looks"], tuple(date.fromisoformat(one) for one in shape["days"]), shape["people"],
        shape["through"],
    )  # fmt: skip


def shape_of(item: Item) -> dict[str, Any]:
    """Return what is stored of an item beside its columns."""
    return {
        "signs": dict(item.signs),
        "entries": list(item.entries),
        "looks": item.looks,
        "days": [one.isoformat() for one in item.days],
        "people": item.people,
        "through": item.through,
    }


def _groups(evidence: Evidence, day: date) -> dict[str, Any]:
    """Return accesses of a day by agency, role and team, for the monitor's own rates."""
    looks: dict[str, int] = defaultdict(int)
    for one in evidence.looks:
        if one.at.date() == day and one.act in (Act.VIEW, Act.EVIDENCE, Act.REFUSED):
            team = evidence.users[one.actor].team if one.actor in evidence.users else ""
            looks[f"{one.agency}|{one.role}|{team}"] += 1
    return dict(sorted(looks.items()))


def moment_text(moment: datetime) -> str:
    """Return a stored moment in local time, to the minute."""
    return as_utc(moment).astimezone(LONDON).strftime("%Y-%m-%d %H:%M")
