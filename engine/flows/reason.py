"""Reasons in somebody's own words: sealed, with a salted commitment in the trail and nothing more."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlmodel import Session

from audit.event import commitment
from engine.flows.home import Home
from engine.store.tables import Reason


def keep_reason(home: Home, intent: str, salt: bytes, reason: str) -> None:
    """Seal the reason and keep it at once, also that of a request that will be refused.

    Args:
        home: The home.
        intent: The intent it belongs to.
        salt: 32 random bytes, those of the commitment in the trail.
        reason: The text.
    """
    with Session(home.casework) as session:
        session.add(sealed_reason(home, intent, salt, reason))
        session.commit()


def sealed_reason(home: Home, intent: str, salt: bytes, reason: str) -> Reason:
    """Return the row that holds the sealed reason, for a flow that keeps it with what it decides.

    The parameters are those of `keep_reason`.
    """
    nonce = home.randomness(12)
    cipher = AESGCM(home.keyring("grant").derive("reason", 32))
    sealed = cipher.encrypt(nonce, salt + reason.encode(), intent.encode())
    return Reason(intent=intent, commitment=commitment(salt, reason), sealed=nonce + sealed)
