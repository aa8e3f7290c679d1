"""What the monitor does to groups, and what came of it: by role and agency as rates, by team as counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlmodel import Session, col, select

from audit.unusual import Counted, Rate, load_weights, rates, shipped
from engine.domain.ids import as_utc
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.monitor import USE
from engine.flows.monitor_names import Names
from engine.flows.monitor_own import EVERYWHERE, Concerned
from engine.flows.monitor_queue import MISUSE, officer
from engine.store.monitor_tables import MonitorDay, MonitorDecision, MonitorItem, MonitorMember
from engine.store.session import reading
from engine.store.tables import Account

DAYS = 365
NOT_ESTIMABLE, NOT_SHOWN = "not estimable", "not shown"


def monitor_rates(home: Home, user: str, *, auth: str) -> dict[str, Any]:
    """Return how often each group was queued over the last year, and the outcomes.

    Raises:
        PolicyRefused: ``FG-MON-04`` the role does not look after unusual access.

    Audited as ``audit_read``, for self-monitoring.
    """
    account, actor = officer(home, user, auth)
    # Whoever looks after one agency's staff sees that agency's figures, as they see its items.
    mine = None if account.role == EVERYWHERE else account.agency
    with Flow(home, "monitor_rates", "audit_read", actor, {"rules": [USE]}) as flow:
        weights = load_weights(shipped())
        since = home.clock() - timedelta(days=DAYS)
        with Session(reading(home.casework)) as session:
            concerned = Concerned(home, session, Names(home))
            # What an officer may not see is in no figure of theirs: a sum would tell that it is there.
            items = [
                one
                for one in session.exec(select(MonitorItem).order_by(col(MonitorItem.number))).all()
                if concerned.may_see(account, one)
            ]
            counted = _counted(session, since.date().isoformat(), mine, items)
            days = session.exec(
                select(MonitorDay.day).where(MonitorDay.day >= since.date().isoformat())
            ).all()
            theirs = {one.id for one in items}
            outcomes: dict[str, int] = defaultdict(int)
            for one in session.exec(
                select(MonitorDecision).where(MonitorDecision.state == "final")
            ).all():
                outcomes[one.outcome] += one.item in theirs and as_utc(one.decided_at) >= since
        answer: dict[str, Any] = {
            "days": len(days),
            "queued": sum(as_utc(one.opened_at) >= since for one in items),
            "outcomes": {name: count for name, count in sorted(outcomes.items()) if count},
            "by_role": [_told(one) for one in rates(weights, _labelled(home, counted["role"]))],
            "by_agency": [_told(one) for one in rates(weights, counted["agency"])],
            "by_team": [_told(one) for one in rates(weights, counted["team"], counts_only=True)],
            "note": "A group that is queued more often may be watched more closely than others, or may "
            "misuse more. The figures do not tell which.",
        }
        flow.finish({"rules": [USE], "rows": len(answer["by_role"])})
        return answer


def _counted(
    session: Session, since: str, mine: str | None, items: Sequence[MonitorItem]
) -> dict[str, dict[str, Counted]]:
    """Count users, accesses, items and outcomes by role, agency and team, of one agency or of all."""
    found: dict[str, dict[str, Counted]] = {
        "role": defaultdict(Counted), "agency": defaultdict(Counted), "team": defaultdict(Counted)
    }  # fmt: skip

    def each(agency: str, role: str, team: str) -> list[Counted]:
        if mine not in (None, agency):
            return []
        groups = [found["role"][role], found["agency"][agency]]
        return [*groups, found["team"][team]] if team else groups

    teams = {one.user: one.team for one in session.exec(select(MonitorMember)).all()}
    for account in session.exec(select(Account).where(Account.active)).all():
        for group in each(account.agency, account.role, teams.get(account.user, "")):
            group.users += 1
    for day in session.exec(select(MonitorDay).where(MonitorDay.day >= since)).all():
        for name, count in day.counts.items():
            agency, role, team = name.split("|")
            for group in each(agency, role, team):
                group.looks += count
    decided = {
        one.item: one.outcome
        for one in session.exec(
            select(MonitorDecision).where(MonitorDecision.state == "final")
        ).all()
    }
    for item in items:
        if max(item.shape["days"]) < since:
            continue
        for group in each(item.agency, item.role, item.team):
            group.queued += 1
            group.decided += item.id in decided
            group.misuse += decided.get(item.id) == MISUSE
    # A group of officers who open nobody says nothing about the monitor.
    return {
        sort: {name: one for name, one in groups.items() if one.looks or one.queued}
        for sort, groups in found.items()
    }


def _labelled(home: Home, groups: dict[str, Counted]) -> dict[str, Counted]:
    roles = home.pack.vocabulary.roles
    return {roles[name].label if name in roles else name: one for name, one in groups.items()}


def _told(one: Rate) -> dict[str, Any]:
    return {
        "group": one.group,
        **{name: NOT_SHOWN if count is None else count for name, count in one.counts.items()},
        "queued_per_1000": _interval(one.queued_per_1000, 1),
        "misuse_share": _interval(one.misuse_share, 3),
    }


def _interval(found: tuple[float, float, float] | None, digits: int) -> dict[str, float] | str:
    if found is None:
        return NOT_ESTIMABLE
    return {
        "value": round(found[0], digits), "low": round(found[1], digits), "high": round(found[2], digits)
    }  # fmt: skip
