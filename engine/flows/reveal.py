"""The only way by which identity leaves: request, decision, commit, vault, view, receipt."""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from audit.event import commitment
from engine.domain.errors import ConfigError, PolicyRefused, VaultError
from engine.domain.ids import Actor
from engine.flows.disclose import Disclosure, Held, disclose, visible_content
from engine.flows.home import Home
from engine.flows.intent import Flow, record_denial
from engine.identity.pseudonyms import Domain
from engine.identity.vault_read import open_identities
from engine.intake.contract import contract_of
from engine.linkage.index import records_of
from engine.linkage.index_tables import encoding
from engine.store.session import reading
from engine.store.tables import (
    Account,
    Reason,
    RecordFlag,
    Reveal,
    ReviewItem,
    SubjectState,
)
from engine.telemetry import span
from policies import authorise
from policies.authorise import open_bases
from policies.model import Level, Pack, Request, Source, View
from policies.shadow import shadow_level

MIN_REASON = 20
NOTHING = "What is not shown may be absent or not shared with you. Nothing found never means nothing known."


@dataclass(frozen=True, slots=True)
class Ask:
    """What a practitioner asks: who, why, under which case, in their own words."""

    user: str
    purpose: str
    case: str
    reason: str
    person: str


def reveal(home: Home, ask: Ask, *, auth: str) -> dict[str, Any]:
    """Show an identity to one user, for one purpose and case, for a limited time.

    Args:
        home: The home.
        ask: The request.
        auth: How the user was established (``demo``, ``os``, ``session``).

    Returns:
        Identity and facts at their levels, when it closes, and a receipt whose proof can be checked
        years later.

    Raises:
        PolicyRefused: ``FG-REV-01`` to ``FG-REV-05``, with every reason that may be said.
        AuditError: The trail cannot be written, so nothing was opened.

    Audited as ``reidentify`` for a list entry and ``consultation`` for a known person, before
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
    actor = Actor(ask.user, account.agency, account.role, auth)
    event = "reidentify" if kind == "identify" else "consultation"
    with Flow(home, "reveal", event, actor, details) as flow:
        _keep_reason(home, flow.intent, salt, ask.reason)
        decided = _decide(flow, ask, account, person_id)
        grant = flow.commit(lambda session: _publish(session, flow, ask, kind, decided))
        flow.arrow("vault")
        with span("reveal.vault", records=len(decided.records)):
            shown = _open(home, decided)
        entry = flow.finish(_outcome(details, decided, shown, grant))
        return {
            "permitted": True,
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
    actor = Actor(user, account.agency, account.role, auth)
    with Session(reading(home.casework)) as session:
        grant = session.get(Reveal, reveal_id)
    if grant is None or grant.user != user or _aware(grant.expires_at) <= home.clock():
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
        decided = _decide(flow, ask, account, person_id)
        flow.commit(lambda session: _recheck(session, home, ask, decided))
        shown = _open(home, decided)
        entry = flow.finish(_outcome(details, decided, shown, grant))
        return {
            "permitted": True,
            **_answer(grant.person, grant, decided, shown),
            "receipt": {"entry": entry.seq, "proof": home.audit.proof(entry.seq)},
        }


@dataclass
class _Decided:
    """A decision over every record of a person, before anything is opened."""

    request: Request
    records: list[bytes]
    sources: dict[bytes, str]
    names: dict[bytes, str]
    states: dict[bytes, dict[str, str]]
    views: dict[str, View]
    obligations: list[str]
    bases: list[tuple[str, str]]
    subject: tuple[str, dict[str, str]]

    @property
    def minutes(self) -> int:
        """Shortest time box over the obligations; 15 when none is stated."""
        boxes = [int(o.split(":")[1]) for o in self.obligations if o.startswith("time_box:")]
        return min(boxes, default=15)


def _purposes(home: Home) -> dict[str, str]:
    return home.pack.register.vocabulary.purposes


def open_account(home: Home, user: str, auth: str) -> Account:
    """Return an active account, or put the refusal into the trail and refuse.

    Raises:
        PolicyRefused: ``FG-REV-01``.
    """
    with Session(reading(home.casework)) as session:
        found = session.get(Account, user)
    if found is None or not found.active:
        record_denial(home, Actor("unknown", "", "", auth), "FG-REV-01")
        error = PolicyRefused(
            "FG-REV-01", "that user has no active account here", "Ask the operator to add one."
        )
        error.audited = True
        raise error
    return found


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


def _decide(flow: Flow, ask: Ask, account: Account, person_id: bytes | None) -> _Decided:
    """Decide over all records; refuse with every reason when nothing may be shown."""
    home, pack = flow.home, flow.home.pack
    flow.arrow("decide")
    if person_id is None:
        raise PolicyRefused(
            "FG-REV-02",
            "that is no reference of a person here",
            "Copy it again from the list.",
        )
    records = home.domain("linkage").open(records_of(home.linkage, person_id, home.link_runs()))
    if not records:
        raise PolicyRefused(
            "FG-REV-02",
            "that is no reference of a person here",
            "Copy it again from the list.",
        )
    met = _met(ask)
    request = Request(
        account.role,
        account.agency,
        ask.purpose,
        {"reason_given": "justify" in met, "decision_recorded": True},
    )
    sources = _sources_of(home.linkage, home.domain("linkage"), records)
    as_of = home.clock().date()
    views = {
        name: authorise(pack, request, name, pack.sources[name].fields, as_of, met)
        for name in sorted(set(sources.values()))
    }
    names = dict(zip(records, _record_names(home, records), strict=True))
    decided = _Decided(request, records, sources, names, {}, views, [], [], ("", {}))
    _load_states(home, ask.person, decided)
    _require_something(home, decided, met)
    _shadow(home, decided)
    return decided


def _met(ask: Ask) -> frozenset[str]:
    found = set()
    if len(ask.reason.strip()) >= MIN_REASON:
        found.add("justify")
    if len(ask.case.strip()) >= 3:
        found.add("case_ref")
    return frozenset(found)


def _record_names(home: Home, records: list[bytes]) -> list[str]:
    domain = home.domain("record")
    return [domain.text(sealed) for sealed in domain.seal(records)]


def _sources_of(engine: Engine, domain: Domain, records: list[bytes]) -> dict[bytes, str]:
    """Return the source of each record, as the linkage store knows it."""
    sealed = dict(zip(domain.seal(records), records, strict=True))
    with engine.connect() as connection:
        rows = connection.execute(
            encoding.select()
            .with_only_columns(encoding.c.record, encoding.c.source)
            .where(encoding.c.record.in_(list(sealed)))
        )
        return {sealed[bytes(row.record)]: str(row.source) for row in rows}


def _load_states(home: Home, person: str, decided: _Decided) -> None:
    """Read flags of the person and of each record from the trusted tables; absent is unknown."""
    words = home.pack.vocabulary
    with Session(reading(home.casework)) as session:
        subject = session.get(SubjectState, person)
        rows = session.exec(
            select(RecordFlag).where(col(RecordFlag.record).in_(list(decided.names.values())))
        ).all()
    person_flags: dict[str, str] = dict(subject.flags) if subject else {}
    decided.subject = (subject.link_run if subject else "", dict(person_flags))
    set_flags = {(row.record, row.flag): row.value for row in rows}
    for (_, flag), value in set_flags.items():
        # A marker that came with a delivery counts at once, before the next link has seen it.
        if flag in words.subject_flags and value == "y":
            person_flags[flag] = "y"
    for record, name in decided.names.items():
        defaults = home.pack.sources[decided.sources[record]].record_defaults
        flags = {flag: person_flags[flag] for flag in words.subject_flags if flag in person_flags}
        for flag in words.record_flags:
            stated = set_flags.get((name, flag)) or defaults.get(flag)
            if stated:
                flags[flag] = stated
        decided.states[record] = flags


def _require_something(home: Home, decided: _Decided, met: frozenset[str]) -> None:
    pack = home.pack
    owed: set[str] = set()
    bases: set[tuple[str, str]] = set()
    for record, source in decided.sources.items():
        view, state = decided.views[source], decided.states[record]
        if not visible_content(pack.sources[source], view, state):
            continue
        for name, answer in view.fields.items():
            if view.level(name, state) > Level.REFUSE:
                owed.update(answer.obligations)
                if answer.basis:
                    bases.add(answer.basis)
    if not bases:
        raise _refusal(home, decided, met)
    decided.obligations = sorted(owed)
    decided.bases = sorted(bases)


def _refusal(home: Home, decided: _Decided, met: frozenset[str]) -> PolicyRefused:
    """Word a refusal from the request alone.

    The reasons run over every source of the pack and not over those that hold the person, so that a
    refusal never tells which service knows somebody; a silent cap adds nothing to it.
    """
    as_of = home.clock().date()
    counted: Counter[str] = Counter()
    for name, source in home.pack.sources.items():
        view = authorise(home.pack, decided.request, name, source.fields, as_of, met)
        counted.update(
            f"{reason.code} {reason.sentence}"
            for answer in view.fields.values()
            for reason in answer.reasons
        )
    unmet = sorted(reason for reason in counted if reason.startswith("E14"))
    common = sorted(counted, key=lambda reason: (-counted[reason], reason))[:8]
    return PolicyRefused(
        "FG-REV-04" if unmet else "FG-REV-03",
        "nothing of this person may be shown to you for this purpose",
        f"Give a case reference and a reason of at least {MIN_REASON} characters, and ask again."
        if unmet
        else "If you need it for a child's safety, ask your information governance lead. "
        + NOTHING,
        unmet or common or ["E12 no grant covers this request"],
    )


def _shadow(home: Home, decided: _Decided) -> None:
    """Let casbin decide again; a disagreement refuses and is in the trail as FG-REV-05."""
    as_of = home.clock().date()
    for source, view in decided.views.items():
        spec = home.pack.sources[source]
        states = {
            tuple(sorted(decided.states[record].items()))
            for record, name in decided.sources.items()
            if name == source
        }
        for name in view.fields:
            for items in states:
                state = dict(items)
                level = view.level(name, state)
                if level > Level.REFUSE and level != _second(
                    home.pack, decided, spec, name, state, as_of
                ):
                    raise PolicyRefused(
                        "FG-REV-05",
                        "the two policy engines disagree, so nothing is shown",
                        "Tell the information governance lead; the trail holds the case.",
                    )


def _second(
    pack: Pack,
    decided: _Decided,
    spec: Source,
    name: str,
    state: dict[str, str],
    as_of: date,
) -> Level:
    bases, _ = open_bases(pack, decided.request, spec, spec.fields[name], as_of)
    return shadow_level(pack, decided.request, spec, name, state, bases)


def _recheck(session: Session, home: Home, ask: Ask, decided: _Decided) -> None:
    """Inside the commit: everything the decision rested on is still so."""
    account = session.get(Account, ask.user)
    if (
        account is None
        or not account.active
        or (account.role, account.agency) != (decided.request.role, decided.request.agency)
    ):
        raise PolicyRefused("FG-REV-01", "that account changed just now", "Sign in again.")
    subject = session.get(SubjectState, ask.person)
    if (
        subject.link_run if subject else "",
        dict(subject.flags) if subject else {},
    ) != decided.subject:
        raise _changed()
    words = home.pack.vocabulary
    rows = session.exec(
        select(RecordFlag).where(col(RecordFlag.record).in_(list(decided.names.values())))
    ).all()
    records = {name: record for record, name in decided.names.items()}
    for row in rows:
        state = decided.states[records[row.record]]
        strict = row.flag in words.subject_flags and row.value == "y"
        if (row.flag in words.record_flags or strict) and state.get(row.flag) != row.value:
            raise _changed()


def _changed() -> ConfigError:
    return ConfigError("FG-REV-07", "how this person is handled changed just now", "Ask again.")


def _publish(session: Session, flow: Flow, ask: Ask, kind: str, decided: _Decided) -> Reveal:
    home = flow.home
    _recheck(session, home, ask, decided)
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
    return grant


def _keep_reason(home: Home, intent: str, salt: bytes, reason: str) -> None:
    """Seal the reason, also that of a request that will be refused, so that it can be opened later."""
    nonce = home.randomness(12)
    cipher = AESGCM(home.keyring("grant").derive("reason", 32))
    sealed = cipher.encrypt(nonce, salt + reason.encode(), intent.encode())
    with Session(home.casework) as session:
        session.add(
            Reason(intent=intent, commitment=commitment(salt, reason), sealed=nonce + sealed)
        )
        session.commit()


def _open(home: Home, decided: _Decided) -> Disclosure:
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
        home.warehouse.rows_of(what, order, list(sealed.values())) for what in ("events", "states")
    )
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
    return disclose(held, home.tables)


def _outcome(
    details: Mapping[str, Any], decided: _Decided, shown: Disclosure, grant: Reveal
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
        "expires": _aware(grant.expires_at).isoformat(timespec="seconds"),
    }


def _short(fields: list[str]) -> list[str]:
    """Keep the event under its 4 KiB: the fields of one person fit; a longer list is cut and marked."""
    return fields if len(fields) <= 80 else [*fields[:79], f"and {len(fields) - 79} more"]


def _answer(person: str, grant: Reveal, decided: _Decided, shown: Disclosure) -> dict[str, Any]:
    return {
        "reveal": grant.id,
        "kind": grant.kind,
        "person": person,
        "user": grant.user,
        "role": grant.role,
        "purpose": grant.purpose,
        "opened_at": _aware(grant.opened_at).isoformat(timespec="seconds"),
        "expires_at": _aware(grant.expires_at).isoformat(timespec="seconds"),
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


def _aware(moment: datetime) -> datetime:
    """SQLite gives times back without their zone; all of ours are UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
