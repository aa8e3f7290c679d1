"""Staff enrol with the monitor of unusual access; of what they declare only keyed tokens stay."""

from __future__ import annotations

import re
from typing import Any

from sqlmodel import Session, col, select

from engine.domain.errors import ConfigError, PolicyRefused, VaultError
from engine.domain.ids import Actor
from engine.flows.accounts import actor_of, open_account
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.monitor_names import Names
from engine.identity.monitor_tokens import area_tokens, monitor_key, tokens_of
from engine.linkage.index import resolve
from engine.store.monitor_tables import MonitorMark, MonitorMember
from engine.store.session import reading
from engine.store.tables import Account, SubjectState

PARTS = ("given_name", "surname", "former_surname", "birth_date", "address", "postcode")
AREAS, TEAM = "areas", "team"
MARKS = {
    "marked": "Publicly known: every access is looked at",
    "decoy": "A decoy that belongs to nobody: any access is looked at",
    "none": "No mark",
}
_TEAM = re.compile(r"[a-z][a-z0-9_.-]{0,31}")


def read_declaration(text: str) -> dict[str, list[str]]:
    """Return what somebody declares: lines ``part: value``; a part may stand several times.

    Raises:
        ConfigError: ``FG-MON-03`` a line names no part of a declaration, or nothing is declared; never
            the line itself.
    """
    found: dict[str, list[str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, value = line.partition(":")
        if name.strip() not in (*PARTS, AREAS, TEAM) or not colon or not value.strip():
            raise _wrong(f"line {number} is none of its parts")
        found.setdefault(name.strip(), []).append(value.strip())
    if not found:
        raise _wrong("nothing is declared")
    if not all(_TEAM.fullmatch(one) for one in found.get(TEAM, [])):
        raise _wrong("the team is no short word of small letters")
    return found


def enrol(home: Home, user: str, text: str, actor: Actor) -> dict[str, Any]:
    """Enrol a user with what they declared of themselves; an enrolment before is replaced.

    Args:
        home: The home; its vault keyring is opened, no identity is.
        user: Name of the account.
        text: The declaration, see `read_declaration`. It is kept nowhere.
        actor: Who runs the command.

    Returns:
        How many tokens of each sort were kept.

    Raises:
        ConfigError: ``FG-MON-02`` no such account, ``FG-MON-03`` the declaration cannot be read.

    Audited as ``config`` with the account and counts.
    """
    _account(home, user)
    said = read_declaration(text)
    details = {"grant": f"monitor@{user}"}
    with Flow(home, "monitor_enrol", "config", actor, details) as flow:
        ring = home.keyring("vault")
        key, today = monitor_key(ring), home.clock().date()
        tokens = tokens_of(key, _identities(said), today, places=True)
        districts = [one for line in said.get(AREAS, []) for one in line.replace(",", " ").split()]
        tokens["areas"] = area_tokens(key, districts)
        team = (said.get(TEAM) or [""])[-1]

        def publish(session: Session) -> None:
            session.merge(
                MonitorMember(
                    user=user,
                    version=ring.current,
                    tokens=tokens,
                    team=team,
                    enrolled_at=home.clock(),
                    enrolled_by=actor.user,
                )
            )

        flow.commit(publish)
        counts = {sort: len(found) for sort, found in tokens.items()}
        flow.finish({**details, "counts": counts})
        return {"user": user, "tokens": counts, "team": team}


def _known(home: Home, user: str) -> bool:
    with Session(reading(home.casework)) as session:
        return session.get(Account, user) is not None


def leave(home: Home, user: str, actor: Actor) -> dict[str, Any]:
    """Delete the tokens of a user, for example when they leave.

    Raises:
        ConfigError: ``FG-MON-02`` the user is not enrolled.

    Audited as ``erasure``.
    """
    # A name that is no account's is not written down: it may be anything.
    details = {"grant": f"monitor@{user}" if _known(home, user) else "monitor"}
    with Flow(home, "monitor_leave", "erasure", actor, details) as flow:

        def publish(session: Session) -> None:
            found = session.get(MonitorMember, user)
            if found is None:
                raise _nobody()
            session.delete(found)

        flow.commit(publish)
        flow.finish({**details, "rows": 1})
        return {"user": user, "enrolled": False}


def enrolled(home: Home) -> list[dict[str, Any]]:
    """Return every active account of somebody who works with people's data, and whether it is enrolled.

    An enrolment is ``stale`` when it was made under a former key of the vault: its tokens equal nobody's any
    more, and because no declaration is kept only a new one mends that. ``next`` says so.
    """
    version = home.keyring("vault").current
    with Session(reading(home.casework)) as session:
        members = {one.user: one for one in session.exec(select(MonitorMember)).all()}
        accounts = session.exec(select(Account).where(Account.active).order_by(Account.user)).all()
        return [_member_row(one, members.get(one.user), version) for one in accounts]


def _member_row(account: Account, member: MonitorMember | None, version: int) -> dict[str, Any]:
    stale = member is not None and member.version != version
    return {
        "user": account.user,
        "agency": account.agency,
        "role": account.role,
        "enrolled": member is not None and not stale,
        "state": "not enrolled" if member is None else "stale" if stale else "enrolled",
        "team": member.team if member is not None else "",
        "sorts": sorted(sort for sort, found in member.tokens.items() if found)
        if member is not None else [],
        "next": "The vault has a new key since: ask for the declaration again, then fieldgate monitor "
        "enrol." if stale else "",
    }  # fmt: skip


def recognised(home: Home, user: str) -> bool:
    """Say whether the monitor can tell somebody's own record: they are enrolled with name and birth date."""
    version = home.keyring("vault").current
    with Session(reading(home.casework)) as session:
        found = session.get(MonitorMember, user)
        return found is not None and found.version == version and bool(found.tokens.get("oneself"))


def stale_members(home: Home) -> int:
    """Return how many enrolments were made under a former key of the vault, and match nobody."""
    return len(stale_users(home))


def stale_users(home: Home, agency: str | None = None) -> list[str]:
    """Return the users whose enrolment matches nobody any more, of one agency or of all."""
    return [one["user"] for one in enrolled(home)
            if one["state"] == "stale" and agency in (None, one["agency"])]  # fmt: skip


def mark(home: Home, user: str, person: str, value: str, *, auth: str) -> dict[str, Any]:
    """Mark a person for the monitor, so that every access is looked at; nothing else reads the mark.

    Args:
        home: The home.
        user: Who marks.
        person: Casework reference.
        value: One of `MARKS`.
        auth: How the user was established.

    Raises:
        PolicyRefused: ``FG-MON-04`` the role does not look after the monitor; ``FG-MON-06`` nobody has
            the reference, or there is no such mark.

    Audited as ``alteration`` with the person.
    """
    account = open_account(home, user, auth)
    details: dict[str, Any] = {"rules": [value if value in MARKS else "unknown"]}
    with Flow(home, "monitor_mark", "alteration", actor_of(account, auth), details) as flow:
        if account.role not in home.pack.routes.get("monitor_mark", frozenset()):
            raise not_yours()
        names = Names(home)
        subject = _subject(home, person)
        if subject is None or value not in MARKS:
            raise PolicyRefused(
                "FG-MON-06",
                "nobody has that reference, or there is no such mark",
                f"Marks are {', '.join(MARKS)}.",
            )

        def publish(session: Session) -> None:
            # A mark that was set under a name which leads to this person by now is a mark of theirs: who
            # takes it away means it too, and another mark leaves it to that name for an undone merge.
            for one in session.exec(select(MonitorMark)).all():
                if one.subject == subject or (
                    value == "none" and names.present(one.subject) == subject
                ):
                    session.delete(one)
            session.flush()
            if value != "none":
                session.add(
                    MonitorMark(subject=subject, mark=value, set_by=user, set_at=home.clock())
                )

        flow.commit(publish)
        flow.finish({**details, "subject": subject})
        return {"person": person, "mark": value}


def _subject(home: Home, person: str) -> str | None:
    """Return the present audit pseudonym of somebody who is there, also by a former reference."""
    casework, audit = home.domain("casework"), home.domain("audit")
    try:
        before = casework.parse(person)
    except VaultError:
        return None
    person_id = resolve(home.linkage, before, home.link_runs()) or before
    now = casework.text(casework.seal([person_id])[0])
    with Session(reading(home.casework)) as session:
        there = session.exec(
            select(SubjectState.person).where(col(SubjectState.person).in_([person, now]))
        ).first()
    return audit.text(audit.seal([person_id])[0]) if there else None


def _identities(said: dict[str, list[str]]) -> list[dict[str, str]]:
    """Return the declaration as identities: every surname with the rest, and every address with its code."""
    surnames = [*said.get("surname", []), *said.get("former_surname", [])]
    codes = said.get("postcode", [])
    born = {name: said[name][-1] for name in ("given_name", "birth_date") if name in said}
    return [
        *({**born, "surname": one} for one in surnames),
        *(
            {"address": one, **({"postcode": codes[min(at, len(codes) - 1)]} if codes else {})}
            for at, one in enumerate(said.get("address", []))
        ),
    ]


def _account(home: Home, user: str) -> None:
    with Session(reading(home.casework)) as session:
        found = session.get(Account, user)
    if found is None:
        raise _nobody()


def _nobody() -> ConfigError:
    return ConfigError(
        "FG-MON-02",
        "there is no such account, or it is not enrolled",
        "See fieldgate monitor members.",
    )


def _wrong(why: str) -> ConfigError:
    return ConfigError(
        "FG-MON-03",
        f"the declaration cannot be read: {why}",
        f"Write lines of part: value; parts are {', '.join((*PARTS, AREAS, TEAM))}.",
    )


def not_yours() -> PolicyRefused:
    """Return the refusal of somebody whose role does not look after the monitor."""
    return PolicyRefused(
        "FG-MON-04",
        "your role does not look after unusual access",
        "Ask the information governance lead.",
    )
