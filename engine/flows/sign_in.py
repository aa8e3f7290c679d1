"""Sign in and out of the web face. Demo identities only for now; another home refuses."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import timedelta

from sqlmodel import Session

from engine.domain.errors import PolicyRefused
from engine.domain.ids import Actor, as_utc
from engine.flows.accounts import actor_of
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.store.session import reading
from engine.store.tables import Account, WebSession

LASTS = timedelta(hours=8)


@dataclass(frozen=True)
class SignedIn:
    """A signed-in user: account, form token and how it was established."""

    account: Account
    csrf: str
    auth: str = "demo"

    @property
    def user(self) -> str:
        """Name of the account."""
        return self.account.user

    @property
    def actor(self) -> Actor:
        """Who acts, as an event carries it."""
        return actor_of(self.account, self.auth)


def sign_in(home: Home, user: str) -> str:
    """Begin a session and return its cookie.

    Raises:
        PolicyRefused: ``FG-AUT-01`` outside a demo home, ``FG-AUT-02`` unknown or closed account.

    Audited as ``login``.
    """
    with Session(reading(home.casework)) as session:
        account = session.get(Account, user)
    agency = account.agency if account else ""
    role = account.role if account else ""
    known = user if account else "unknown"
    with Flow(home, "sign_in", "login", Actor(known, agency, role, "demo"), {}) as flow:
        if not home.is_demo:
            raise PolicyRefused(
                "FG-AUT-01",
                "this home has no sign-in yet",
                "Use the command line, or wait for the connection to your identity provider.",
            )
        if account is None or not account.active:
            raise PolicyRefused("FG-AUT-02", "that account is not open", "Choose another.")
        cookie = home.randomness(32).hex()
        now = home.clock()
        form_token = home.randomness(32).hex()

        def publish(session: Session) -> None:
            session.add(
                WebSession(
                    token_hash=token_hash(cookie),
                    user=user,
                    csrf=form_token,
                    opened_at=now,
                    expires_at=now + LASTS,
                )
            )

        flow.commit(publish)
        flow.finish({})
        return cookie


def sign_out(home: Home, cookie: str) -> None:
    """End a session; harmless when it has ended. Audited as ``login`` with the rule ``sign_out``."""
    current = signed_in(home, cookie)
    if current is None:
        return
    with Flow(home, "sign_in", "login", current.actor, {"rules": ["sign_out"]}) as flow:

        def publish(session: Session) -> None:
            found = session.get(WebSession, token_hash(cookie))
            if found is not None:
                session.delete(found)

        flow.commit(publish)
        flow.finish({"rules": ["sign_out"]})


def signed_in(home: Home, cookie: str | None) -> SignedIn | None:
    """Return who a cookie belongs to, or None when it is unknown, has ended, or its account closed."""
    if not cookie:
        return None
    with Session(reading(home.casework), expire_on_commit=False) as session:
        found = session.get(WebSession, token_hash(cookie))
        if found is None or as_utc(found.expires_at) <= home.clock():
            return None
        account = session.get(Account, found.user)
        if account is None or not account.active:
            return None
        return SignedIn(account, found.csrf)


def check_form(current: SignedIn, token: str) -> None:
    """Refuse a form that did not come from this session's own page.

    Raises:
        PolicyRefused: ``FG-AUT-03``.
    """
    if not hmac.compare_digest(current.csrf.encode(), token.encode()):
        raise PolicyRefused("FG-AUT-03", "the form has expired", "Open the page again and resend.")


def token_hash(token: str) -> str:
    """Return what is kept of a random token: its SHA-256, so that a copy of the database opens nothing."""
    return hashlib.sha256(token.encode()).hexdigest()
