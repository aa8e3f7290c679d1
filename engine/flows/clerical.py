"""Clerical review of linkage: a queue of pairs, the two records side by side, and decisions that last.

A queue shows references and numbers. A pair is opened at the level that the reviewer's role may see,
source by source, and every opening is in the trail. A decision is never changed: a later one takes its
place. What would move protected or offence facts to another person waits for a second reviewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from audit.event import commitment
from engine.domain.errors import LinkageError, PolicyRefused
from engine.domain.ids import Actor, as_utc
from engine.flows.accounts import actor_of, open_account
from engine.flows.facts import suspended
from engine.flows.home import Home
from engine.flows.intent import Flow, record_denial
from engine.flows.open_pairs import all_decisions, no_pair, open_pairs, waiting_pair
from engine.flows.reason import keep_reason
from engine.flows.second import TWO_PEOPLE, needs_second
from engine.flows.sides import sides_of
from engine.linkage.explain import REASONS, sentence
from engine.linkage.hold import SPLIT
from engine.linkage.memory import CANNOT, MUST, forget_decision, pairs_of, write_decision
from engine.store.session import reading
from engine.store.tables import Account, LinkDecision, ReviewItem, SubjectState

ROUTE, QUALITY = "pairs", "link_quality"
ANSWERS = {
    "one": "They are one person",
    "two": "They are two people",
    "unsure": "I cannot tell from these records",
}
_KINDS = {"one": MUST, "two": CANNOT}
SHORTEST_REASON = 10


def queue(home: Home, user: str, *, auth: str) -> dict[str, Any]:
    """Return the pairs that wait for a decision, the most urgent first, without a name.

    Raises:
        PolicyRefused: ``FG-LNK-06`` the role reviews no pairs.

    Audited as ``consultation``.
    """
    account, actor = reviewer(home, user, auth)
    with Flow(home, "pairs", "consultation", actor, {"purpose": account.purpose}) as flow:
        pairs, decided = open_pairs(home), all_decisions(home)
        urgent = _urgent(home, sorted({person for one in pairs for person in one.people}))
        waiting = {one.pair: one for one in decided if one.state == "waiting"}
        rows = []
        for one in pairs:
            stands = waiting.get(one.token)
            high = bool(urgent & set(one.people))
            rows.append(
                {
                    "pair": one.token,
                    "priority": "high" if high else "ordinary",
                    "why": REASONS.get(one.reason, one.reason),
                    "says": sentence(one.levels, one.weight),
                    "weight": round(one.weight, 1),
                    "other_pairs": one.others,
                    "waits_for": "a second reviewer" if stands else "",
                    "decided_by": stands.decided_by if stands else "",
                    "number": stands.number if stands else None,
                }
            )
        rows.sort(key=lambda row: (row["priority"] != "high", -float(str(row["weight"]))))
        flow.finish({"rows": len(rows)})
    return {"pairs": rows, "waiting": len(rows), "decided": len(decided)}


def decide_pair(
    home: Home, user: str, token: str, answer: str, reason: str, *, auth: str
) -> dict[str, Any]:
    """Record whether the two records of a pair are one person.

    Args:
        home: The home.
        user: Who decides.
        token: The pair, as the queue names it.
        answer: ``one``, ``two`` or ``unsure``.
        reason: In the reviewer's own words; sealed, and in the trail as a commitment only.
        auth: How the user signed in.

    Raises:
        PolicyRefused: ``FG-LNK-06`` the role reviews no pairs.
        LinkageError: ``FG-LNK-07`` no such pair waits, ``FG-LNK-08`` no answer or no reason,
            ``FG-LNK-09`` a decision about it waits for a second reviewer.

    Audited as ``alteration`` with both subjects.
    """
    account, actor = reviewer(home, user, auth)
    pair = waiting_pair(home, token, actor)
    audit = home.domain("audit")
    ids = home.domain("linkage").open([pair.left, pair.right])
    salt = home.randomness(32)
    details: dict[str, Any] = {
        "purpose": account.purpose,
        "subjects": {"count": 2, "names": [audit.text(one) for one in audit.seal(ids)]},
        "rules": [f"pair {token}"],
        "reason": commitment(salt, reason),
    }
    with Flow(home, "pair_decide", "alteration", actor, details) as flow:
        keep_reason(home, flow.intent, salt, reason)
        _must_be_said(answer, reason)
        sides_of(home, account, ids)
        # What moves facts is to join two persons, or to part one that has stayed whole so far.
        moving = "two" if pair.reason == SPLIT else "one"
        why = needs_second(home, pair.people) if answer == moving else []
        second = [TWO_PEOPLE] if why else []
        if answer in _KINDS:
            write_decision(home.linkage, flow.intent, [(pair.left, pair.right)], _KINDS[answer])
        made = flow.commit(
            lambda session: record_single(
                session, flow, pair.token, answer, pair.reason, pair.people, account.user, second
            )
        )
        entry = flow.finish({**details, "decision": answer, "obligations": why})
        return {**_told(made), "audit_entry": entry.seq}


def answer_second(home: Home, user: str, number: int, *, agree: bool, auth: str) -> dict[str, Any]:
    """Answer as the second reviewer of a decision that would move protected or offence facts.

    Raises:
        PolicyRefused: ``FG-LNK-06`` the role reviews no pairs, ``FG-LNK-10`` the same person,
            ``FG-REV-03`` nothing of one of the records may be shown to the role.
        LinkageError: ``FG-LNK-07`` no such decision waits.

    Audited as ``alteration`` with the subjects.
    """
    account, actor = reviewer(home, user, auth)
    with Session(reading(home.casework)) as session:
        waits = session.exec(select(LinkDecision).where(LinkDecision.number == number)).first()
        about = sorted({one for pair in pairs_of(home.linkage, waits.id) for one in pair}
                       if waits is not None else ())  # fmt: skip
    audit, ids = home.domain("audit"), home.domain("linkage").open(about)
    details: dict[str, Any] = {
        "purpose": account.purpose,
        "subjects": {"count": len(ids), "names": [audit.text(one) for one in audit.seal(ids)][:32]},
    }
    with Flow(home, "pair_second", "alteration", actor, details) as flow:
        # Nobody decides about records of which they may see nothing, first or second.
        sides_of(home, account, ids)

        def publish(session: Session) -> LinkDecision:
            found = session.exec(select(LinkDecision).where(LinkDecision.number == number)).first()
            if found is None or found.state != "waiting":
                raise no_pair()
            if found.decided_by == account.user:
                raise PolicyRefused(
                    "FG-LNK-10",
                    "the second reviewer is another person than the first",
                    "Ask a colleague to look at it.",
                )
            found.second_by, found.second_at = account.user, home.clock()
            found.state = "final" if agree else "rejected"
            session.add(found)
            return found

        made = flow.commit(publish)
        word = "agreed" if agree else "rejected"
        agreed = {"approvers": [made.decided_by]} if agree else {}
        told = {**details, **agreed, "decision": word, "rules": [f"pair {made.pair}"]}
        entry = flow.finish(told)
        return {**_told(made), "audit_entry": entry.seq}


def decisions(home: Home, user: str, *, auth: str) -> list[dict[str, Any]]:
    """Return every decision, the newest first.

    Audited as ``consultation``.
    """
    account, actor = reviewer(home, user, auth)
    with Flow(home, "pair_list", "consultation", actor, {"purpose": account.purpose}) as flow:
        found = [_told(one) for one in reversed(all_decisions(home))]
        flow.finish({"rows": len(found)})
        return found


def discard(home: Home, intent: str) -> None:
    """Take back what an unfinished decision staged."""
    forget_decision(home.linkage, intent)


def reviewer(home: Home, user: str, auth: str, route: str = ROUTE) -> tuple[Account, Actor]:
    """Return who reviews, or refuse and put the refusal into the trail.

    Raises:
        PolicyRefused: ``FG-LNK-06`` the role reviews no pairs.
    """
    account = open_account(home, user, auth)
    actor = actor_of(account, auth)
    if account.role not in home.pack.routes.get(route, frozenset()):
        record_denial(home, actor, "FG-LNK-06")
        error = PolicyRefused(
            "FG-LNK-06",
            "your role does not review pairs of records",
            "Ask the information governance lead who does.",
        )
        error.audited = True
        raise error
    suspended(home, account)
    return account, actor


def _must_be_said(answer: str, reason: str) -> None:
    if answer not in ANSWERS or len(reason.strip()) < SHORTEST_REASON:
        raise LinkageError(
            "FG-LNK-08",
            "a decision needs an answer and a reason",
            f"Answer {', '.join(ANSWERS)}, and say why in at least {SHORTEST_REASON} characters.",
        )


def history(home: Home, token: str) -> list[dict[str, Any]]:
    """Return what was decided about a pair, the newest first."""
    return [_told(one) for one in reversed(all_decisions(home)) if one.pair == token]


def _told(one: LinkDecision) -> dict[str, Any]:
    return {
        "number": one.number,
        "pair": one.pair,
        "answer": one.answer,
        "state": one.state,
        "decided_by": one.decided_by,
        "decided_at": as_utc(one.decided_at).isoformat(timespec="seconds"),
        "needs_second": one.needs_second.split("; ") if one.needs_second else [],
        "second_by": one.second_by,
        "takes_effect": "with the next link" if one.state == "final" else "",
    }


def _urgent(home: Home, people: Sequence[str]) -> set[str]:
    """Those of some people who are children, or stand on a review list without an outcome."""
    with Session(reading(home.casework)) as session:
        found = set(
            session.exec(select(ReviewItem.person).where(col(ReviewItem.outcome).is_(None))).all()
        )
        for start in range(0, len(people), 500):
            some = col(SubjectState.person).in_(list(people[start : start + 500]))
            for one in session.exec(select(SubjectState).where(some)):
                if one.flags.get("child") == "y":
                    found.add(one.person)
        return found


def record_single(
    session: Session,
    flow: Flow,
    token: str,
    answer: str,
    reason: str,
    people: tuple[str, str],
    user: str,
    second: Sequence[str],
) -> LinkDecision:
    """Add a decision about one pair; it replaces earlier ones about it and never one that waits.

    Raises:
        LinkageError: ``FG-LNK-09`` a decision about the pair waits for a second reviewer.
    """
    about = session.exec(select(LinkDecision).where(LinkDecision.pair == token)).all()
    if any(one.state == "waiting" for one in about):
        raise LinkageError(
            "FG-LNK-09",
            "a decision about this pair waits for a second reviewer",
            "Answer as the second reviewer, or wait.",
        )
    replace_single(session, flow.home, about)
    return record_decision(session, flow, token, answer, reason, people, user, second)


def replace_single(session: Session, home: Home, about: Sequence[LinkDecision]) -> None:
    """Mark decisions about one pair as replaced; one about several pairs still holds for the others."""
    for one in about:
        if one.state in ("final", "waiting") and len(pairs_of(home.linkage, one.id)) <= 1:
            one.state = "replaced"
            session.add(one)


def record_decision(
    session: Session, flow: Flow, token: str, answer: str, reason: str,
    people: tuple[str, str], user: str, second: Sequence[str],
) -> LinkDecision:  # fmt: skip
    """Add a decision under the intent of its flow; it waits when it needs a second person."""
    last = session.exec(select(func.max(LinkDecision.number))).one() or 0
    made = LinkDecision(
        id=flow.intent,
        number=last + 1,
        pair=token,
        answer=answer,
        reason=reason,
        left_person=people[0],
        right_person=people[1],
        decided_by=user,
        decided_at=flow.home.clock(),
        needs_second="; ".join(second)[:120],
        state="waiting" if second else "final",
    )
    session.add(made)
    return made
