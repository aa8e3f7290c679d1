"""The only way by which identity leaves: request, decision, commit, vault, view, receipt."""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlmodel import Session, select

from audit.act import source_of
from audit.event import commitment
from engine.domain.errors import PolicyRefused, VaultError
from engine.domain.ids import as_utc
from engine.flows.access import working_day_after
from engine.flows.accounts import actor_of, open_account
from engine.flows.decision import (
    MIN_REASON,
    NOTHING,
    SHARE,
    WITHHOLD,
    Ask,
    Decided,
    decide,
    recheck,
)
from engine.flows.disclose import Disclosure, Held, disclose, visible_content
from engine.flows.home import Home
from engine.flows.intent import Flow, record_denial
from engine.flows.reason import sealed_reason
from engine.flows.rules import name_rules
from engine.identity.vault_read import open_identities
from engine.intake.contract import contract_of
from engine.store.session import reading
from engine.store.tables import (
    AccessReview,
    OwedNotice,
    Reveal,
    ReviewItem,
    SharingDecision,
)
from engine.telemetry import span

MOST_FIELDS = 70


def reveal(home: Home, ask: Ask, *, auth: str) -> dict[str, Any]:
    """Show an identity to one user, for one purpose and case, for a limited time.

    Args:
        home: The home.
        ask: The request.
        auth: How the user was established (``demo``, ``os``, ``session``).

    Returns:
        Identity and facts at their levels, when it closes, and a receipt whose proof can be checked
        years later. Of a decision to withhold: ``withheld`` and the receipt, and nothing is opened.

    Raises:
        PolicyRefused: ``FG-REV-01`` to ``FG-REV-05`` and ``FG-REV-08``, with every reason that
            may be said.
        AuditError: The trail cannot be written, so nothing was opened.

    Audited as ``break_glass`` for immediate danger, else as ``reidentify`` for a list entry and
    ``consultation`` for a known person, before
    anything is decided and again with what was shown. The reason's text stands outside the trail
    behind a salted commitment.
    """
    account = open_account(home, ask.user, auth)
    kind = "identify" if _is_listed(home, ask.person) else "view"
    salt = home.randomness(32)
    person_id = _person_id(home, ask.person)
    details: dict[str, Any] = {
        "purpose": ask.purpose if ask.purpose in _purposes(home) else "unknown",
        "case": case_token(home, ask.case),
        "reason": commitment(salt, ask.reason),
    }
    if person_id is not None:
        audit = home.domain("audit")
        details["subject"] = audit.text(audit.seal([person_id])[0])
    actor = actor_of(account, auth)
    event = "reidentify" if kind == "identify" else "consultation"
    if ask.purpose == home.pack.vocabulary.break_glass_purpose:
        event = "break_glass"
    with Flow(home, "reveal", event, actor, details) as flow:
        flow.keep(sealed_reason(home, flow.intent, salt, ask.reason))
        if ask.sharing not in (SHARE, WITHHOLD):
            raise PolicyRefused(
                "FG-REV-08",
                "nobody said whether this is shared or withheld",
                f"Decide {SHARE}, or {WITHHOLD} when sharing is more detrimental to the child.",
            )
        decided = decide(flow, ask, account, person_id)
        if ask.sharing == WITHHOLD:
            return _withhold(flow, ask, decided, details)
        grant = flow.commit(lambda session: _publish(session, flow, ask, kind, decided))
        flow.arrow("vault")
        with span("reveal.vault", records=len(decided.records)):
            shown = _open(home, decided)
        entry = flow.finish(_outcome(details, decided, shown, grant))
        return {
            "permitted": True,
            "withheld": False,
            **_answer(ask.person, grant, decided, shown),
            "receipt": {"entry": entry.seq, "proof": home.audit.proof(entry.seq)},
        }


def show_again(home: Home, reveal_id: str, user: str, *, auth: str) -> dict[str, Any]:
    """Show a granted reveal again to the same user while it is open; decided anew each time.

    Raises:
        PolicyRefused: ``FG-REV-06`` closed, not this user's, or never granted.

    Audited as ``consultation``.
    """
    account = open_account(home, user, auth)
    actor = actor_of(account, auth)
    with Session(reading(home.casework)) as session:
        grant = session.get(Reveal, reveal_id)
    if grant is None or grant.user != user or as_utc(grant.expires_at) <= home.clock():
        record_denial(home, actor, "FG-REV-06")
        error = PolicyRefused(
            "FG-REV-06",
            "that view is closed",
            "Ask again: a new request is decided on today's policy.",
        )
        error.audited = True
        raise error
    person_id = home.domain("casework").parse(grant.person)
    audit = home.domain("audit")
    details = {
        "purpose": grant.purpose,
        "case": grant.case_token,
        "grant": grant.id,
        "subject": audit.text(audit.seal([person_id])[0]),
    }
    with Flow(home, "show", "consultation", actor, details) as flow:
        # The grant stands for the reason and case that were given when it was made.
        ask = Ask(user, grant.purpose, "granted", "x" * MIN_REASON, grant.person)
        decided = decide(flow, ask, account, person_id)
        flow.commit(lambda session: recheck(session, home, ask, decided))
        shown = _open(home, decided)
        entry = flow.finish(_outcome(details, decided, shown, grant))
        return {
            "permitted": True,
            **_answer(grant.person, grant, decided, shown),
            "receipt": {"entry": entry.seq, "proof": home.audit.proof(entry.seq)},
        }


def _purposes(home: Home) -> dict[str, str]:
    return home.pack.register.vocabulary.purposes


def _is_listed(home: Home, person: str) -> bool:
    with Session(reading(home.casework)) as session:
        return (
            session.exec(select(ReviewItem.id).where(ReviewItem.person == person)).first()
            is not None
        )


def _person_id(home: Home, person: str) -> bytes | None:
    try:
        return home.domain("casework").parse(person)
    except VaultError:
        return None


def case_token(home: Home, case: str) -> str:
    """Return the keyed token of a case reference; the reference itself is not kept in the trail."""
    key = home.keyring("psn").derive("case", 32)
    return hmac.digest(key, case.strip().casefold().encode(), "sha256").hex()[:32]


def _publish(session: Session, flow: Flow, ask: Ask, kind: str, decided: Decided) -> Reveal:
    home = flow.home
    recheck(session, home, ask, decided)
    now = home.clock()
    grant = Reveal(
        id=flow.intent,
        user=ask.user,
        agency=decided.request.agency,
        role=decided.request.role,
        purpose=ask.purpose,
        case_token=case_token(home, ask.case),
        person=ask.person,
        kind=kind,
        policy_version=home.pack.version,
        opened_at=now,
        expires_at=now + timedelta(minutes=decided.minutes),
    )
    session.add(grant)
    session.add(_sharing(flow, ask, decided))
    # What is owed afterwards is queued where the grant is: neither can be there without the other.
    for agency in sorted(decided.tell - {decided.request.agency}):
        session.add(OwedNotice(reveal=grant.id, agency=agency, queued_at=now))
    if decided.review_days is not None:
        due = working_day_after(now.date(), decided.review_days)
        session.add(AccessReview(reveal=grant.id, user=ask.user, due=due.isoformat()))
    return grant


def _withhold(flow: Flow, ask: Ask, decided: Decided, details: Mapping[str, Any]) -> dict[str, Any]:
    """Record that it could be shared and is not, because that is more detrimental to the child."""
    home = flow.home

    def publish(session: Session) -> None:
        recheck(session, home, ask, decided)
        session.add(_sharing(flow, ask, decided))

    flow.commit(publish)
    agreement, gateway = decided.bases[0]
    entry = flow.finish(
        {
            **details,
            "decision": WITHHOLD,
            "agreement": agreement,
            "gateway": gateway,
            "rules": [f"{agreement}|{gateway}" for agreement, gateway in decided.bases][:16],
            "fields": [],
            "rows": 0,
            "obligations": decided.obligations,
            "policy_hash": home.pack.version,
        }
    )
    return {
        "permitted": True,
        "withheld": True,
        "decision": flow.intent,
        "person": ask.person,
        "purpose": ask.purpose,
        "receipt": {"entry": entry.seq, "proof": home.audit.proof(entry.seq)},
    }


def _sharing(flow: Flow, ask: Ask, decided: Decided) -> SharingDecision:
    agreement, gateway = decided.bases[0]
    return SharingDecision(
        intent=flow.intent,
        user=ask.user,
        agency=decided.request.agency,
        role=decided.request.role,
        purpose=ask.purpose,
        person=ask.person,
        case_token=case_token(flow.home, ask.case),
        outcome=ask.sharing,
        agreement=agreement,
        gateway=gateway,
        policy_version=flow.home.pack.version,
        decided_at=flow.home.clock(),
    )


def _open(home: Home, decided: Decided) -> Disclosure:
    """Open the vault and read the facts: the first moment at which a clear value exists."""
    pack = home.pack
    order = home.published()
    allowed = [
        record
        for record in decided.records
        if visible_content(
            pack.sources[decided.sources[record]],
            decided.views[decided.sources[record]],
            decided.states[record],
        )
    ]
    identities = open_identities(home.vault, home.keyring("vault"), allowed, order)
    domain = home.domain("record")
    sealed = dict(zip(allowed, domain.seal(allowed), strict=True))
    events, states = (
        home.warehouse.rows_of(what, order, list(sealed.values()), home.live())
        for what in ("events", "states")
    )
    name_rules(home, [*events, *states])
    held = [
        Held(
            source=pack.sources[decided.sources[record]],
            contract=contract_of(pack.sources[decided.sources[record]]),
            view=decided.views[decided.sources[record]],
            state=decided.states[record],
            identity=identities.get(record, {}),
            events=[row for row in events if row["record"] == sealed[record]],
            states=[row for row in states if row["record"] == sealed[record]],
        )
        for record in allowed
    ]
    return disclose(held, home.tables, home.clock().date())


def _outcome(
    details: Mapping[str, Any], decided: Decided, shown: Disclosure, grant: Reveal
) -> dict[str, Any]:
    basis = decided.bases[0]
    return {
        **details,
        "agreement": basis[0],
        "gateway": basis[1],
        "grant": grant.id,
        "rules": [f"{agreement}|{gateway}" for agreement, gateway in decided.bases][:16],
        "fields": _short(shown.fields),
        "rows": shown.records,
        "obligations": decided.obligations,
        "policy_hash": grant.policy_version,
        "expires": as_utc(grant.expires_at).isoformat(timespec="seconds"),
    }


def _short(fields: list[str]) -> list[str]:
    """Keep the event under its 4 KiB; no source may vanish from it, as its giver reads what was shown.

    The fields of one person fit. Of a longer list, the sources with most fields are named as a whole.
    """
    found = list(fields)
    while len(found) > MOST_FIELDS:
        counted = Counter(source_of(one) for one in found if not one.endswith(".*"))
        if not counted:
            break
        most = counted.most_common(1)[0][0]
        found = [*(one for one in found if source_of(one) != most), f"{most}.*"]
    return sorted(found)


def _answer(person: str, grant: Reveal, decided: Decided, shown: Disclosure) -> dict[str, Any]:
    return {
        "reveal": grant.id,
        "kind": grant.kind,
        "person": person,
        "user": grant.user,
        "role": grant.role,
        "purpose": grant.purpose,
        "opened_at": as_utc(grant.opened_at).isoformat(timespec="seconds"),
        "expires_at": as_utc(grant.expires_at).isoformat(timespec="seconds"),
        "identity": shown.identity,
        "facts": shown.facts,
        "known_to": shown.known_to,
        "bases": [
            {"agreement": agreement, "gateway": gateway} for agreement, gateway in decided.bases
        ],
        "obligations": decided.obligations,
        "policy_version": grant.policy_version,
        "note": NOTHING,
    }
