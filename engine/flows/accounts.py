"""Who somebody is here: an active account, or a refusal that stands in the trail."""

from __future__ import annotations

from sqlmodel import Session

from engine.domain.errors import PolicyRefused
from engine.domain.ids import Actor
from engine.flows.home import Home
from engine.flows.intent import record_denial
from engine.store.session import reading
from engine.store.tables import Account


def open_account(home: Home, user: str, auth: str) -> Account:
    """Return an active account, or put the refusal into the trail and refuse.

    Raises:
        PolicyRefused: ``FG-REV-01``.
    """
    with Session(reading(home.casework)) as session:
        found = session.get(Account, user)
    if found is None or not found.active:
        record_denial(home, Actor("unknown", "", "", auth), "FG-REV-01")
        step = "Ask the operator to add one."
        if home.is_demo:
            step = "In a demo home name an identity: --as demo.social_worker."
        error = PolicyRefused("FG-REV-01", "that user has no active account here", step)
        error.audited = True
        raise error
    return found


def actor_of(account: Account, auth: str) -> Actor:
    """Return an account as who acts, with how that was established."""
    return Actor(account.user, account.agency, account.role, auth)
