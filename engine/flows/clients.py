"""Systems of an agency that send by themselves: client credentials and short-lived tokens (RFC 6749 4.4)."""

from __future__ import annotations

import hmac
from datetime import date, timedelta
from typing import Any

from sqlmodel import Session, select

from engine.domain.errors import ConfigError, PolicyRefused
from engine.domain.ids import Actor, as_utc
from engine.flows.home import Home
from engine.flows.intent import Flow, record_denial
from engine.flows.sign_in import token_hash
from engine.store.session import reading
from engine.store.tables import ApiClient, ApiToken

LASTS = timedelta(minutes=15)
ROLE = "data_submitter"


def add_client(home: Home, agency: str, label: str, expires: date, actor: Actor) -> dict[str, Any]:
    """Make a client of an agency; its secret is returned once and kept as a hash only.

    Args:
        home: The home.
        agency: Agency whose system it is.
        label: What the system is called; no person's name.
        expires: Last day on which it may send; at most a year away.
        actor: Who makes it.

    Raises:
        ConfigError: ``FG-API-01`` no such agency, or an expiry that is past or too far away.

    Audited as ``grant``.
    """
    today = home.clock().date()
    if agency not in home.pack.register.parties or not (
        today < expires <= today + timedelta(days=366)
    ):
        raise ConfigError(
            "FG-API-01",
            "that agency is no party, or the expiry is past or more than a year away",
            "Name a party and a day within a year.",
        )
    details = {"recipient": agency, "rules": ["api_client"]}
    with Flow(home, "api_client", "grant", actor, details) as flow:
        client, secret = f"client-{home.randomness(8).hex()}", home.randomness(32).hex()

        def publish(session: Session) -> None:
            session.add(
                ApiClient(
                    id=client,
                    agency=agency,
                    label=label[:80],
                    secret_hash=token_hash(secret),
                    made_at=home.clock(),
                    expires=expires.isoformat(),
                )
            )

        flow.commit(publish)
        flow.finish({**details, "grant": client})
        return {"client_id": client, "client_secret": secret, "agency": agency,
                "expires": expires.isoformat()}  # fmt: skip


def close_client(home: Home, client: str, actor: Actor) -> None:
    """Close a client at once; tokens that it holds end with it.

    Raises:
        ConfigError: ``FG-API-02`` no such client.

    Audited as ``grant``.
    """
    with Flow(home, "api_client", "grant", actor, {"rules": ["closed"]}) as flow:

        def publish(session: Session) -> None:
            found = session.get(ApiClient, client)
            if found is None:
                raise ConfigError(
                    "FG-API-02", "there is no such client", "See fieldgate client list."
                )
            found.active = False
            held = session.exec(select(ApiToken).where(ApiToken.client == client)).all()
            for token in held:
                session.delete(token)

        flow.commit(publish)
        flow.finish({"rules": ["closed"]})


def clients(home: Home) -> list[dict[str, Any]]:
    """Return every client without its secret."""
    with Session(reading(home.casework)) as session:
        return [
            {"client_id": one.id, "agency": one.agency, "label": one.label,
             "expires": one.expires, "active": one.active}
            for one in session.exec(select(ApiClient).order_by(ApiClient.id)).all()
        ]  # fmt: skip


def make_token(home: Home, client: str, secret: str) -> dict[str, Any]:
    """Return a token for a client that proves its secret.

    Raises:
        PolicyRefused: ``FG-API-03``; it says the same whatever was wrong.

    Audited as ``login``.
    """
    with Session(reading(home.casework)) as session:
        found = session.get(ApiClient, client)
    known = found is not None and found.active
    # The comparison is made whether or not there is such a client, so that time tells nothing.
    good = hmac.compare_digest(found.secret_hash if found else "0" * 64, token_hash(secret))
    if found is None or not known or not good or found.expires < home.clock().date().isoformat():
        record_denial(home, Actor("unknown", "", "", "client"), "FG-API-03")
        error = _refused()
        error.audited = True
        raise error
    actor = Actor(found.id, found.agency, ROLE, "client")
    with Flow(home, "api_token", "login", actor, {}) as flow:
        token = home.randomness(32).hex()
        until = home.clock() + LASTS
        flow.commit(
            lambda session: session.add(
                ApiToken(token_hash=token_hash(token), client=found.id, expires_at=until)
            )
        )
        flow.finish({})
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": int(LASTS.total_seconds()),
        }


def client_of(home: Home, token: str) -> Actor:
    """Return the actor of a token.

    Raises:
        PolicyRefused: ``FG-API-03`` the token is unknown or has ended.
    """
    now = home.clock()
    with Session(reading(home.casework)) as session:
        held = session.get(ApiToken, token_hash(token))
        found = session.get(ApiClient, held.client) if held else None
        if held is None or found is None or not found.active:
            raise _refused()
        if as_utc(held.expires_at) <= now or found.expires < now.date().isoformat():
            raise _refused()
        return Actor(found.id, found.agency, ROLE, "client")


def _refused() -> PolicyRefused:
    return PolicyRefused(
        "FG-API-03", "the client or its token is not open", "Ask for a new token with its secret."
    )
