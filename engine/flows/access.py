"""What is owed after an access: a review of break-glass by another person, and telling the giver."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from sqlmodel import Session, col, select

from engine.domain.errors import ConfigError, PolicyRefused
from engine.domain.ids import Actor
from engine.flows.accounts import actor_of, open_account
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.store.session import reading
from engine.store.tables import AccessReview, Account, OwedNotice, Reveal

FINDINGS = {
    "justified": "The danger was real and the use was needed",
    "training": "Understandable and not needed; the person is talked to",
    "misuse": "Not justified; reported to the employer",
}


def working_day_after(start: date, days: int) -> date:
    """Return the day that lies `days` working days after `start`; public holidays count as worked.

    Args:
        start: The day of the use.
        days: Whole working days, Monday to Friday.
    """
    found = start
    while days > 0:
        found += timedelta(days=1)
        days -= found.weekday() < 5
    return found


def open_reviews(home: Home, user: str, *, auth: str) -> list[dict[str, Any]]:
    """Return the uses of break-glass that wait for a review, the oldest first, without a name.

    Raises:
        PolicyRefused: ``FG-ACC-05`` the role does not review.

    Audited as ``consultation``.
    """
    account = open_account(home, user, auth)
    actor = actor_of(account, auth)
    with Flow(home, "access_reviews", "consultation", actor, {}) as flow:
        _may_review(home, account)
        with Session(reading(home.casework)) as session:
            rows = session.exec(
                select(AccessReview, Reveal)
                .where(AccessReview.reveal == Reveal.id)
                .where(col(AccessReview.reviewed_by).is_(None))
                .order_by(col(AccessReview.due), col(AccessReview.reveal))
            ).all()
            found = [
                {
                    "reveal": review.reveal,
                    "user": review.user,
                    "role": grant.role,
                    "purpose": grant.purpose,
                    "opened_at": grant.opened_at.isoformat(timespec="minutes"),
                    "due": review.due,
                    "overdue": review.due < home.clock().date().isoformat(),
                }
                for review, grant in rows
            ]
        flow.finish({"rows": len(found)})
        return found


def review_access(home: Home, user: str, reveal: str, finding: str, *, auth: str) -> dict[str, Any]:
    """Record what another person found about a use of break-glass.

    Raises:
        PolicyRefused: ``FG-ACC-05`` the role does not review, or it was the person's own use;
            ``FG-ACC-06`` no such use waits, or the finding is unknown.

    Audited as ``alteration``.
    """
    account = open_account(home, user, auth)
    actor = actor_of(account, auth)
    # Only an id that is one of ours goes into the trail; what else was typed might be a name.
    with Session(reading(home.casework)) as session:
        known = session.get(AccessReview, reveal) is not None
    details = {"grant": reveal if known else "unknown"}
    with Flow(home, "review_access", "alteration", actor, details) as flow:
        _may_review(home, account)

        def publish(session: Session) -> None:
            found = session.get(AccessReview, reveal)
            if found is None or found.reviewed_by is not None or finding not in FINDINGS:
                raise PolicyRefused(
                    "FG-ACC-06",
                    "no such use waits for a review, or the finding is unknown",
                    f"See fieldgate access reviews; findings are {', '.join(FINDINGS)}.",
                )
            if found.user == user:
                raise _not_yours()
            found.reviewed_by, found.reviewed_at, found.finding = user, home.clock(), finding

        flow.commit(publish)
        flow.finish({**details, "rules": [finding]})
        return {"reveal": reveal, "finding": finding, "reviewed_by": user}


def owed_notices(home: Home, agency: str, actor: Actor) -> dict[str, Any]:
    """Return what an agency has not been told yet: that its data was shown, when and for what.

    Returns:
        ``notices``, and the receipt of having seen them.

    Raises:
        ConfigError: ``FG-ACC-07`` no such agency.

    Audited as ``consultation``.
    """
    recipient = _agency(home, agency)
    with Flow(home, "notices", "consultation", actor, {"recipient": recipient}) as flow:
        found = _owed(home, recipient)
        flow.finish({"recipient": recipient, "rows": len(found)})
        return {"agency": recipient, "notices": found, "receipt": flow.receipt()}


def tell_notices(home: Home, agency: str, actor: Actor) -> dict[str, Any]:
    """Return what an agency was owed and mark it as told, so that it is not told twice.

    Args:
        home: The home.
        agency: The agency that is told.
        actor: Who hands the notices over, outside fieldgate; nothing is sent from here.

    Returns:
        ``notices``, and the receipt that goes with them: the agency can prove what it was told and when. What
        was marked is returned, also where no proof could be made (`Flow.receipt`).

    Raises:
        ConfigError: ``FG-ACC-07`` no such agency.

    Audited as ``disclosure`` to the agency.
    """
    recipient = _agency(home, agency)
    with Flow(home, "tell_notices", "disclosure", actor, {"recipient": recipient}) as flow:
        found = _owed(home, recipient)

        def publish(session: Session) -> None:
            for one in found:
                notice = session.get(OwedNotice, (one["reveal"], recipient))
                if notice is not None and notice.told_at is None:
                    notice.told_at = home.clock()

        flow.commit(publish)
        flow.finish({"recipient": recipient, "rows": len(found)})
        return {"agency": recipient, "notices": found, "receipt": flow.receipt()}


def _agency(home: Home, agency: str) -> str:
    if agency not in home.pack.register.parties:
        raise ConfigError(
            "FG-ACC-07",
            "no such agency is a party here",
            "See gateways/agreements/parties.yaml in the home's pack.",
        )
    return agency


def _owed(home: Home, agency: str) -> list[dict[str, Any]]:
    with Session(reading(home.casework)) as session:
        rows = session.exec(
            select(OwedNotice, Reveal)
            .where(OwedNotice.reveal == Reveal.id)
            .where(OwedNotice.agency == agency, col(OwedNotice.told_at).is_(None))
            .order_by(col(OwedNotice.queued_at), col(OwedNotice.reveal))
        ).all()
        return [
            {
                "reveal": notice.reveal,
                "shown_to_agency": grant.agency,
                "role": grant.role,
                "purpose": grant.purpose,
                "when": grant.opened_at.isoformat(timespec="minutes"),
            }
            for notice, grant in rows
        ]


def _may_review(home: Home, account: Account) -> None:
    if account.role not in home.pack.vocabulary.break_glass_reviewers:
        raise _not_yours()


def _not_yours() -> PolicyRefused:
    return PolicyRefused(
        "FG-ACC-05",
        "a use for immediate danger is reviewed by another person whose role reviews",
        "Ask the data protection officer.",
    )
