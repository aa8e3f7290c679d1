"""The queue of unusual access: what an officer is shown, what they decide, and a second person's look.

An item goes to the actor's employer and to the information governance lead. Nobody sees or decides an
item about themselves: neither one about what they did, nor one about a look at their own record or household.
Items have names of random letters, because of numbers in a row the one that is missing would tell.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Any

from sqlmodel import Session, col, select

from audit.unusual import Weights, load_weights, shipped
from audit.unusual.signs import order, sentence
from engine.domain.errors import PolicyRefused
from engine.domain.ids import Actor
from engine.flows.accounts import actor_of, open_account
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.monitor import USE, item_of, moment_text
from engine.flows.monitor_enrol import not_yours, recognised, stale_users
from engine.flows.monitor_names import Names, item_beginning, item_name
from engine.flows.monitor_own import EVERYWHERE, Concerned
from engine.store.monitor_tables import MonitorDecision, MonitorItem
from engine.store.session import reading
from engine.store.tables import Account

ROUTE = "monitor"
OUTCOMES = {
    "explained": "There was a reason for the access",
    "spoken_to": "The user was spoken to; no misuse",
    "misuse": "Misuse found; it goes to the employer",
    "cannot_tell": "It cannot be told from what is here",
}
MISUSE, EXPLAINED = "misuse", "explained"


def open_items(home: Home, user: str, *, auth: str) -> dict[str, Any]:
    """Return the items that wait for this officer, the most pressing first, told without a name.

    ``stale`` names the users whose enrolment matches nobody any more until they enrol again; ``recognised``
    says whether the officer's own does, as only then an item about their own record is kept from them.

    Raises:
        PolicyRefused: ``FG-MON-04`` the role does not look after unusual access.

    Audited as ``audit_read``, for self-monitoring.
    """
    account, actor = officer(home, user, auth)
    with Flow(home, "monitor_items", "audit_read", actor, {"rules": [USE]}) as flow:
        desk = _Desk(home, account)
        with Session(reading(home.casework)) as session:
            concerned = desk.concerned(session)
            rows = [
                one
                for one in session.exec(
                    select(MonitorItem).where(col(MonitorItem.state) != "closed")
                ).all()
                if concerned.may_see(account, one)
            ]
            decisions = _decisions(session, [one.id for one in rows])
            told = [_told(desk, one, decisions.get(one.id, []), concerned)
                    for one in _in_order(home, desk.weights, rows)]  # fmt: skip
        # How many they were is not in the trail: another officer who is shown fewer could subtract.
        flow.finish({"rules": [USE]})
        return {
            "open": [one for one in told if one["state"] == "open"],
            "waiting": [one for one in told if one["state"] == "waiting"],
            "recognised": recognised(home, user),
            "stale": stale_users(home, None if account.role == EVERYWHERE else account.agency),
        }


def show_item(home: Home, user: str, name: str, *, auth: str) -> dict[str, Any]:
    """Return one item with its signs, its days, its places in the trail and what was decided before.

    Raises:
        PolicyRefused: ``FG-MON-04``; ``FG-MON-05`` there is no such item for this officer.

    Audited as ``audit_read`` with the person's audit pseudonym.
    """
    account, actor = officer(home, user, auth)
    with Flow(home, "monitor_item", "audit_read", actor, {"rules": [USE]}) as flow:
        desk = _Desk(home, account)
        with Session(reading(home.casework)) as session:
            concerned = desk.concerned(session)
            row = _item(session, account, name, concerned)
            same = _same_pair(session, desk.names, row)
            decisions = _decisions(session, [one.id for one in same])
            told = _told(desk, row, decisions.get(row.id, []), concerned)
            told["before"] = [
                {
                    "item": item_name(one.id),
                    "outcome": last.outcome,
                    "on": moment_text(last.decided_at)[:10],
                }
                for one in same
                if one.number < row.number
                for last in decisions.get(one.id, [])[-1:]
            ]
            subject = row.subject
        named = {"subject": subject} if subject else {}
        flow.finish({"rules": [USE], "rows": 1, **named})
        return told


def decide_item(home: Home, user: str, name: str, outcome: str, *, auth: str) -> dict[str, Any]:
    """Record what an officer decided about an item.

    Misuse, a strong sign that was explained, and one in so many others wait for a second person.

    Args:
        home: The home.
        user: Who decides.
        name: Name of the item, as the queue tells it.
        outcome: One of `OUTCOMES`.
        auth: How the user was established.

    Raises:
        PolicyRefused: ``FG-MON-04``; ``FG-MON-05`` no such item for this officer, also one about
            themselves; ``FG-MON-09`` it was decided already, or there is no such outcome.

    Audited as ``alteration`` with the outcome and the person's audit pseudonym.
    """
    account, actor = officer(home, user, auth)
    details = {"rules": [outcome if outcome in OUTCOMES else "unknown"]}
    with Flow(home, "monitor_decide", "alteration", actor, details) as flow:
        weights = load_weights(shipped())

        def publish(session: Session) -> MonitorItem:
            item = _item(session, account, name, Concerned(home, session, Names(home)))
            if item.state != "open" or outcome not in OUTCOMES:
                raise _decided()
            second = _needs_second(home, weights, item, outcome)
            session.add(
                MonitorDecision(
                    id=flow.intent, item=item.id, outcome=outcome, decided_by=user,
                    decided_at=home.clock(), state="waiting" if second else "final",
                )
            )  # fmt: skip
            item.state = "waiting" if second else "closed"
            session.add(item)
            return item

        done = flow.commit(publish)
        flow.finish({**details, **({"subject": done.subject} if done.subject else {})})
        return {
            "item": item_name(done.id), "outcome": outcome, "decided_by": user, "state": done.state
        }  # fmt: skip


def second_look(home: Home, user: str, name: str, *, agree: bool, auth: str) -> dict[str, Any]:
    """Agree with what another officer decided, or put the item back into the queue.

    Raises:
        PolicyRefused: ``FG-MON-04``; ``FG-MON-05`` no such item for this officer; ``FG-MON-10`` nothing
            waits, or it is the officer's own decision.

    Audited as ``approve``.
    """
    account, actor = officer(home, user, auth)
    details = {"rules": ["agree" if agree else "reject"]}
    with Flow(home, "monitor_second", "approve", actor, details) as flow:

        def publish(session: Session) -> tuple[MonitorItem, str]:
            item = _item(session, account, name, Concerned(home, session, Names(home)))
            waiting = session.exec(
                select(MonitorDecision).where(
                    MonitorDecision.item == item.id, MonitorDecision.state == "waiting"
                )
            ).first()
            if item.state != "waiting" or waiting is None or waiting.decided_by == user:
                raise PolicyRefused(
                    "FG-MON-10",
                    "nothing of that item waits for a second person, or you decided it yourself",
                    "Another officer takes the second look.",
                )
            waiting.second_by, waiting.second_at = user, home.clock()
            waiting.state = "final" if agree else "rejected"
            item.state = "closed" if agree else "open"
            session.add_all([waiting, item])
            return item, waiting.decided_by

        done, first = flow.commit(publish)
        agreed = {"approvers": [first]} if agree else {}
        flow.finish({**details, **agreed, **({"subject": done.subject} if done.subject else {})})
        return {
            "item": item_name(done.id), "agreed": agree, "second_by": user, "state": done.state
        }  # fmt: skip


def officer(home: Home, user: str, auth: str) -> tuple[Account, Actor]:
    """Return the account of somebody who looks after unusual access, and who acts.

    Raises:
        PolicyRefused: ``FG-MON-04``, in the trail as a refusal.
    """
    account = open_account(home, user, auth)
    actor = actor_of(account, auth)
    if account.role not in home.pack.routes.get(ROUTE, frozenset()):
        # The refusal is an event of its own: whoever may not look has tried.
        with Flow(home, "monitor_items", "audit_read", actor, {"rules": [USE]}):
            raise not_yours()
    return account, actor


class _Desk:
    """What an officer's question needs: the weights, who is who now, and whom an item concerns."""

    def __init__(self, home: Home, account: Account) -> None:
        self.home, self.account = home, account
        self.weights, self.names = load_weights(shipped()), Names(home)

    def concerned(self, session: Session) -> Concerned:
        """Return whom items concern."""
        return Concerned(self.home, session, self.names)


def _item(session: Session, account: Account, name: str, concerned: Concerned) -> MonitorItem:
    begins = item_beginning(name)
    row = None
    if begins is not None:
        row = session.exec(
            select(MonitorItem).where(col(MonitorItem.id).startswith(begins))
        ).first()
    # One answer for what is not there, another agency's, and one's own: none of them tells which.
    if row is None or not concerned.may_see(account, row):
        raise PolicyRefused(
            "FG-MON-05", "there is no such item for you", "See fieldgate monitor list."
        )
    return row


def _same_pair(session: Session, names: Names, row: MonitorItem) -> list[MonitorItem]:
    """Return the items of a user and a person, under whichever name they stood, the oldest first."""
    present = names.present(row.subject)
    mine = session.exec(
        select(MonitorItem).where(MonitorItem.actor == row.actor).order_by(col(MonitorItem.number))
    ).all()
    return [one for one in mine if names.present(one.subject) == present]


def _decisions(session: Session, items: Sequence[str]) -> dict[str, list[MonitorDecision]]:
    found: dict[str, list[MonitorDecision]] = {}
    for one in session.exec(
        select(MonitorDecision)
        .where(col(MonitorDecision.item).in_(list(items)))
        .order_by(col(MonitorDecision.decided_at), col(MonitorDecision.id))
    ).all():
        found.setdefault(one.item, []).append(one)
    return found


def _in_order(home: Home, weights: Weights, rows: Sequence[MonitorItem]) -> list[MonitorItem]:
    key = home.keyring("psn").derive("monitor-order", 32)
    return sorted(
        rows,
        key=lambda one: order(weights, one.points, one.shape["signs"], key, one.actor, one.subject),
    )


def _needs_second(home: Home, weights: Weights, item: MonitorItem, outcome: str) -> bool:
    if outcome == MISUSE:
        return True
    signs = [weights.signs[one] for one in item.shape["signs"] if one in weights.signs]
    if outcome == EXPLAINED and any(one.strong for one in signs):
        return True
    key = home.keyring("psn").derive("monitor-second", 32)
    drawn = hmac.digest(key, item.id.encode(), "sha256")
    return int.from_bytes(drawn[:4], "big") % weights.limits["second_look_in"] == 0


def _told(
    desk: _Desk, row: MonitorItem, decisions: Sequence[MonitorDecision], concerned: Concerned
) -> dict[str, Any]:
    """Tell an item: sentences, no name, the person under the audit pseudonym alone."""
    item, home, weights, user = item_of(row), desk.home, desk.weights, desk.account.user
    roles, parties = home.pack.vocabulary.roles, home.pack.register.parties
    role = roles[row.role].label if row.role in roles else row.role
    agency = parties[row.agency].name if row.agency in parties else row.agency
    last = decisions[-1] if decisions else None
    return {
        "item": item_name(row.id),
        "sentence": sentence(
            weights, who=f"{role} {row.actor} of {agency}", looks=item.looks, days=len(item.days),
            last=item.days[-1], signs=item.signs, subject=bool(row.subject), people=item.people,
        ),
        "user": row.actor,
        "agency": row.agency,
        "employer_has_officer": _has_officer(
            home, row.agency, {row.actor, *concerned.users(row.subject)}
        ),
        "role": row.role,
        "subject": desk.names.present(row.subject),
        "points": row.points,
        "signs": [_sign(weights, name, points) for name, points in item.signs.items()],
        "looks": item.looks,
        "days": [one.isoformat() for one in item.days],
        "entries": list(item.entries),
        "opened_at": moment_text(row.opened_at),
        "state": row.state,
        "decided": None if last is None else _decision(last),
        "yours_to_second": row.state == "waiting" and last is not None and last.decided_by != user,
    }  # fmt: skip


def _sign(weights: Weights, name: str, points: int) -> dict[str, Any]:
    known = weights.signs.get(name)
    return {
        "sign": name,
        "points": points,
        "says": known.says if known else name,
        "reason": known.reason if known else "",
        "strong": known.strong if known else False,
    }


def _decision(one: MonitorDecision) -> dict[str, Any]:
    return {
        "outcome": one.outcome,
        "by": one.decided_by,
        "at": moment_text(one.decided_at),
        "second_by": one.second_by,
        "state": one.state,
    }


def _has_officer(home: Home, agency: str, about: set[str]) -> bool:
    """Say whether somebody of an agency, whom it is not about, sees its items; else the lead tells it."""
    allowed = home.pack.routes.get(ROUTE, frozenset())
    with Session(reading(home.casework)) as session:
        return (
            session.exec(
                select(Account.user).where(
                    Account.agency == agency,
                    col(Account.role).in_(sorted(allowed)),
                    Account.active,
                    col(Account.user).not_in(sorted(about)),
                )
            ).first()
            is not None
        )


def _decided() -> PolicyRefused:
    return PolicyRefused(
        "FG-MON-09",
        "that item was decided already, or there is no such outcome",
        f"Outcomes are {', '.join(OUTCOMES)}.",
    )
