"""How the trail is kept beyond its folder: an anchor on another disk, and a second signature of its own.

Both change how the trail is guarded, so both are written into it before they take effect (audit_crypto.md 6,
9), by the roles that deal with its witnesses.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audit.anchor import Anchor
from audit.errors import AuditFault
from audit.kept import SECOND_VKEY
from engine.domain.errors import ConfigError
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.trail_out import outward


def set_anchor(home: Home, user: str, place: Path | None, *, auth: str) -> dict[str, Any]:
    """Copy every published checkpoint to a file outside the home from now on, or no longer.

    Args:
        home: The home.
        user: Who sets it.
        place: The file: on another disk, or on a share of a partner. None takes the anchor away.
        auth: How the user was established.

    Returns:
        ``anchor`` and the bytes that were copied at once. Processes that run already go on as they were.

    Raises:
        PolicyRefused: ``FG-AUD-22``.
        AuditFault: ``FG-AUD-29`` the file is on the file system of the home; ``FG-AUD-12`` it ends with a
            checkpoint that was not published here.
        ConfigError: ``FG-AUD-30`` it cannot be written.

    Audited as ``config`` before it takes effect.
    """
    actor = outward(home, user, auth)
    word = "on" if place else "off"
    details = {"source": "audit.anchor", "rules": [word]}
    with Flow(home, "set_anchor", "config", actor, details) as flow:
        copied = 0
        try:
            if place is not None:
                place = place.resolve()
                copied = Anchor(home.path / "audit", place).copy()
            home.configure({"anchor": str(place) if place else None})
        except OSError as error:
            raise ConfigError(
                "FG-AUD-30",
                f"the file of the anchor cannot be written ({type(error).__name__})",
                "Make its folder, and give the user of this home the right to append to it.",
            ) from None
        flow.finish({**details, "counts": {"bytes": copied}})
        return {
            "anchor": str(place) if place else None,
            "copied": copied,
            "receipt": flow.receipt(),
        }


def set_second_signature(home: Home, user: str, *, on: bool, auth: str) -> dict[str, Any]:
    """Sign every checkpoint with ML-DSA-44 as well, which quantum computers do not break, or no longer.

    The key comes from the log's keyring; its public part is put beside the log and returned, for
    verifiers to get on another way.

    Args:
        home: The home.
        user: Who sets it.
        on: Whether to sign a second time.
        auth: How the user was established.

    Raises:
        PolicyRefused: ``FG-AUD-22``.
        AuditFault: ``FG-AUD-02`` the public key cannot be written.

    Audited as ``key_op`` before it takes effect. Processes that run already go on as they were.
    """
    actor = outward(home, user, auth)
    details = {"source": "audit.checkpoint", "rules": ["on" if on else "off", "ML-DSA-44"]}
    with Flow(home, "second_signature", "key_op", actor, details) as flow:
        vkey = home.second_signer().vkey()
        try:
            # It stays when it is switched off: what was signed with it is verified for ever.
            (home.path / "audit" / SECOND_VKEY).write_text(vkey + "\n", encoding="ascii")
            home.configure({"second_signature": True if on else None})
        except OSError as error:
            raise AuditFault(
                "FG-AUD-02",
                f"the second key cannot be written down ({type(error).__name__})",
                "Check the rights of the home.",
            ) from None
        flow.finish(details)
        return {"second_signature": on, "vkey": vkey, "receipt": flow.receipt()}
