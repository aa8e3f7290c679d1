"""Changing the policy is a flow of the product: proposed, shown, answered by others, activated.

The draft is the home's own copy that IG edits. A proposal freezes it under its hash, with its exact
difference from what is active and its effect on the last 30 days' real requests; approvals are bound
to that hash, so nothing can be slipped in behind them.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from engine.domain.errors import ConfigError, PolicyRefused
from engine.domain.ids import Actor
from engine.flows.accounts import actor_of, open_account
from engine.flows.home import Home
from engine.flows.intent import Flow, record_denial
from engine.flows.kinds import check_kinds
from engine.flows.policy_review import Review, review_draft
from engine.flows.setup import keep_version
from engine.store.session import reading
from engine.store.tables import PolicyAnswer, PolicyChange, PolicyPointer
from policies.diff import Change
from policies.model import Approval, Pack

ANSWERS = ("approve", "reject", "advise")


def propose(home: Home, user: str, *, auth: str) -> dict[str, Any]:
    """Propose the home's draft as the next policy.

    Args:
        home: The home.
        user: The author; they approve nothing of it.
        auth: How the user was established.

    Returns:
        Number, version, what changes, what it would have done, and who must agree.

    Raises:
        GatewayFault, PolicyFault: The draft does not load; every finding, with file and line.
        ConfigError: ``FG-POL-13`` to ``FG-POL-17``: see `review_draft`.
        PolicyRefused: ``FG-POL-18`` the author's own role would see more.

    Audited as ``policy_publish``, also when the draft does not load; what is active stays active.
    """
    account = open_account(home, user, auth)
    actor = actor_of(account, auth)
    details: dict[str, Any] = {"rules": ["propose"]}
    with Flow(home, "propose_policy", "policy_publish", actor, details) as flow:
        _may_govern(home, account.role)
        review = review_draft(home)
        _not_own_role(review.changes, account.role)
        keep_version(home, review.pack)
        details |= {"policy_hash": review.pack.version}
        shown = _shown(home, review)
        number = flow.commit(
            lambda session: _add(session, home, flow.intent, review.pack, user, shown)
        )
        flow.finish(details)
        return {"change": number, "version": review.pack.version, **shown}


def _shown(home: Home, review: Review) -> dict[str, Any]:
    needs = needed(home.pack, review.pack, review.changes)
    return {
        "changes": [one.as_dict() for one in review.changes],
        "sentences": [one.sentence() for one in review.changes],
        "warnings": [one.as_dict() for one in review.waived],
        "cases": {"passed": review.cases},
        "simulation": review.simulation,
        "needs": [
            {"kind": one.id, "label": one.label, "roles": sorted(one.roles)} for one in needs
        ],
        "advice": sorted(home.pack.governance.advice),
        "widened_roles": sorted(widened_roles(review.changes)),
    }


def widened_roles(changes: list[Change]) -> set[str]:
    """Return the roles that would see more, or owe less for it."""
    return {one.role for one in changes if one.widens and one.role}


def needed(old: Pack, new: Pack, changes: list[Change]) -> list[Approval]:
    """Return the approvals a change needs, by the rules that are active and by its own.

    A draft cannot drop the approval it would need: the active rules count, and where the rules
    themselves change, every kind of approval is asked for.
    """
    touched = {one.data_class for one in changes if one.data_class}
    rules = {one.id: one for one in (*new.governance.approvals, *old.governance.approvals)}
    moved = old.governance != new.governance
    return [
        one for _, one in sorted(rules.items()) if moved or not one.classes or one.classes & touched
    ]


def _add(
    session: Session, home: Home, intent: str, pack: Pack, user: str, shown: dict[str, Any]
) -> int:
    same = session.exec(
        select(PolicyChange).where(
            PolicyChange.version == pack.version, PolicyChange.state == "open"
        )
    ).first()
    if same is not None:
        raise ConfigError(
            "FG-POL-17", f"that version is proposed already as change {same.number}", "Answer it."
        )
    number = (session.exec(select(func.max(PolicyChange.number))).one() or 0) + 1
    session.add(
        PolicyChange(
            id=intent,
            number=number,
            version=pack.version,
            base=home.pack.version,
            author=user,
            proposed_at=home.clock(),
            state="open",
            shown=shown,
        )
    )
    return number


def answer(
    home: Home, user: str, number: int, kind: str, word: str, *, auth: str
) -> dict[str, Any]:
    """Approve or reject a change as one kind of approver, or advise on it.

    Args:
        kind: Id of the approval, for example ``health``; ``advice`` for those who advise.
        word: ``approve``, ``reject`` or ``advise``.

    Raises:
        PolicyRefused: ``FG-POL-20`` no such open change, or kind; ``FG-POL-21`` the author, a role
            that does not hold this approval, or one that has answered; ``FG-POL-18`` the approver's
            own role would see more.

    Audited as ``approve``.
    """
    account = open_account(home, user, auth)
    actor = actor_of(account, auth)
    details: dict[str, Any] = {"rules": [word if word in ANSWERS else "unknown"]}
    with Flow(home, "answer_policy", "approve", actor, details) as flow:

        def publish(session: Session) -> PolicyChange:
            change = _open_change(session, home, number)
            needs = {one["kind"]: set(one["roles"]) for one in change.shown["needs"]}
            advises = account.role in set(change.shown["advice"])
            if word not in ANSWERS or (kind not in needs and kind != "advice"):
                raise _no_change()
            if user == change.author:
                raise _not_you("the author of a change does not answer it")
            if advises != (word == "advise") or advises != (kind == "advice"):
                raise _not_you("who advises does not approve, and who approves does not advise")
            if not advises and account.role not in needs[kind]:
                raise _not_you("your role does not hold this approval")
            if not advises and account.role in change.shown["widened_roles"]:
                raise _own_role()
            given = select(PolicyAnswer).where(
                PolicyAnswer.change == change.id, PolicyAnswer.user == user
            )
            if session.exec(given).first() is not None:
                raise _not_you("you have answered this change")
            session.add(
                PolicyAnswer(
                    change=change.id,
                    user=user,
                    kind=kind,
                    agency=account.agency,
                    role=account.role,
                    answer=word,
                    at=home.clock(),
                )
            )
            if word == "reject":
                change.state = "rejected"
            return change

        change = flow.commit(publish)
        flow.finish({"rules": [word, kind], "policy_hash": change.version})
        return _told(home, change)


def activate(home: Home, number: int, actor: Actor) -> dict[str, Any]:
    """Make an approved change the active policy of every worker at once.

    Raises:
        PolicyRefused: ``FG-POL-20`` no such open change, ``FG-POL-22`` approvals are missing,
            ``FG-POL-23`` another policy became active after it was proposed.
        ConfigError: ``FG-POL-05`` the frozen version is not what was approved, ``FG-POL-16`` its
            impact assessment has run out.

    Audited as ``policy_publish``.
    """
    details: dict[str, Any] = {"rules": ["activate"]}
    with Flow(home, "activate_policy", "policy_publish", actor, details) as flow:
        with Session(reading(home.casework)) as session:
            version = _open_change(session, home, number).version
        pack = home.stored_pack(version)
        check_kinds(pack, home.tables)
        _dpia(pack, home.clock().date())

        def publish(session: Session) -> list[str]:
            change = _open_change(session, home, number)
            missing = _missing(session, change)
            if missing:
                raise PolicyRefused(
                    "FG-POL-22",
                    f"change {number} still needs: {', '.join(missing)}",
                    "Ask them to read it and answer: fieldgate policy answer.",
                )
            change.state = "active"
            others = session.exec(select(PolicyChange).where(PolicyChange.state == "open")).all()
            for other in others:
                if other.id != change.id:
                    other.state = "replaced"
            _move_pointer(session, home, change.version, change.base, actor.user)
            asked = select(PolicyAnswer.user).where(
                PolicyAnswer.change == change.id, PolicyAnswer.answer == "approve"
            )
            return sorted(set(session.exec(asked).all()))

        approvers = flow.commit(publish)
        home.refresh_policy()
        flow.finish({**details, "policy_hash": version, "approvers": approvers})
        return {"change": number, "version": version}


def rollback(home: Home, actor: Actor) -> dict[str, Any]:
    """Go back one step, to the version that was active before; once, and never further.

    Raises:
        PolicyRefused: ``FG-POL-24`` there is no version to go back to.

    Audited as ``policy_publish``.
    """
    details: dict[str, Any] = {"rules": ["rollback"]}
    with Flow(home, "rollback_policy", "policy_publish", actor, details) as flow:
        with Session(reading(home.casework)) as session:
            pointer = session.get(PolicyPointer, 1)
        previous = pointer.previous if pointer else ""
        if not previous:
            raise PolicyRefused(
                "FG-POL-24",
                "there is no version before this one to go back to",
                "Propose the version you need as a change.",
            )
        home.stored_pack(previous)

        def publish(session: Session) -> None:
            _move_pointer(session, home, previous, "", actor.user)
            for change in session.exec(
                select(PolicyChange).where(PolicyChange.state == "open")
            ).all():
                change.state = "replaced"

        flow.commit(publish)
        home.refresh_policy()
        flow.finish({**details, "policy_hash": previous})
        return {"version": previous}


def changes(home: Home, actor: Actor) -> list[dict[str, Any]]:
    """Return every change, the newest first, with its answers and what it still needs.

    Audited as ``consultation``.
    """
    with Flow(home, "policy_changes", "consultation", actor, {}) as flow:
        with Session(reading(home.casework), expire_on_commit=False) as session:
            newest = select(PolicyChange).order_by(col(PolicyChange.number).desc())
            found = [_told(home, one) for one in session.exec(newest).all()]
        flow.finish({"rows": len(found)})
        return found


def governor(home: Home, user: str, auth: str) -> Actor:
    """Return the actor of an activation or a rollback: a governance role, or the operator.

    Raises:
        PolicyRefused: ``FG-POL-21``.

    A refusal is audited as ``deny``: no flow has begun that would tell of it (AUD-8).
    """
    account = open_account(home, user, auth)
    actor = actor_of(account, auth)
    try:
        _may_govern(home, account.role)
    except PolicyRefused as refused:
        record_denial(home, actor, refused.code)
        refused.audited = True
        raise
    return actor


def _told(home: Home, change: PolicyChange) -> dict[str, Any]:
    with Session(reading(home.casework)) as session:
        answers = session.exec(
            select(PolicyAnswer)
            .where(PolicyAnswer.change == change.id)
            .order_by(col(PolicyAnswer.at), col(PolicyAnswer.kind))
        ).all()
        missing = _missing(session, change)
    return {
        "change": change.number,
        "version": change.version,
        "base": change.base,
        "author": change.author,
        "proposed_at": change.proposed_at.isoformat(timespec="minutes"),
        "state": change.state,
        "answers": [
            {"user": one.user, "role": one.role, "kind": one.kind, "answer": one.answer}
            for one in answers
        ],
        "missing": missing,
        **change.shown,
    }


def _missing(session: Session, change: PolicyChange) -> list[str]:
    given = session.exec(
        select(PolicyAnswer.kind).where(
            PolicyAnswer.change == change.id, PolicyAnswer.answer == "approve"
        )
    ).all()
    return [one["kind"] for one in change.shown["needs"] if one["kind"] not in set(given)]


def _open_change(session: Session, home: Home, number: int) -> PolicyChange:
    change = session.exec(select(PolicyChange).where(PolicyChange.number == number)).first()
    if change is None or change.state != "open":
        raise _no_change()
    pointer = session.get(PolicyPointer, 1)
    if pointer is None or pointer.version != change.base or change.base != home.pack.version:
        raise PolicyRefused(
            "FG-POL-23",
            "another policy became active after this change was proposed",
            "Propose it again, so that it is compared with what is active now.",
        )
    return change


def _move_pointer(session: Session, home: Home, version: str, previous: str, user: str) -> None:
    pointer = session.get(PolicyPointer, 1)
    if pointer is None or pointer.version != home.pack.version:
        raise PolicyRefused(
            "FG-POL-23", "another policy became active meanwhile", "Look again, then decide."
        )
    pointer.version, pointer.previous = version, previous
    pointer.activated_at, pointer.activated_by = home.clock(), user
    session.add(pointer)


def _may_govern(home: Home, role: str) -> None:
    if role not in home.pack.routes.get("policy_change", frozenset()):
        raise _not_you("your role does not change the policy")


def _not_own_role(changed: list[Change], role: str) -> None:
    if role in widened_roles(changed):
        raise _own_role()


def _dpia(pack: Pack, today: date) -> None:
    if today > pack.governance.dpia_expires or not pack.governance.dpo_advice:
        raise ConfigError(
            "FG-POL-16",
            "the impact assessment of the pack has run out or lacks the DPO's advice",
            "Review the assessment and record its new date in governance.yaml.",
        )


def _no_change() -> PolicyRefused:
    return PolicyRefused(
        "FG-POL-20",
        "no open change has that number, or it needs no such approval",
        "See fieldgate policy changes.",
    )


def _not_you(why: str) -> PolicyRefused:
    return PolicyRefused(
        "FG-POL-21", why, "Somebody else answers; see who in fieldgate policy changes."
    )


def _own_role() -> PolicyRefused:
    return PolicyRefused(
        "FG-POL-18",
        "nobody proposes or approves a change by which their own role sees more",
        "Let a colleague in another role do it.",
    )
