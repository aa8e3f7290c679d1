"""What leaves the home for others to check: the trail as static files, its checkpoints, cosignatures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audit.note import Verifier
from audit.tiles import export_tiles
from engine.domain.errors import PolicyRefused
from engine.domain.ids import Actor
from engine.flows.accounts import actor_of, open_account
from engine.flows.home import Home
from engine.flows.intent import Flow, record_denial

ROUTE = "trail_export"


def outward(home: Home, user: str, auth: str) -> Actor:
    """Return the actor of what leaves for others to check.

    Raises:
        PolicyRefused: ``FG-AUD-22``; the refusal stands in the trail.
    """
    account = open_account(home, user, auth)
    actor = actor_of(account, auth)
    if account.role not in home.pack.routes.get(ROUTE, frozenset()):
        record_denial(home, actor, "FG-AUD-22")
        error = PolicyRefused(
            "FG-AUD-22",
            "your role does not export the trail or deal with its witnesses",
            "The information governance lead and the data protection officer do.",
        )
        error.audited = True
        raise error
    return actor


def public_key(home: Home) -> Verifier:
    """Return the log's public key as its signer has it, not as a file says."""
    return Verifier.from_vkey(home.log_vkey())


def export_trail(home: Home, user: str, out: Path, *, auth: str) -> dict[str, Any]:
    """Write the whole trail as static files, for an auditor who trusts nobody here.

    Args:
        home: The home.
        user: Who exports.
        out: An empty folder, or an earlier export of this trail.
        auth: How the user was established.

    Returns:
        Size of what was exported, files written, the public key, and a receipt. The export ends with
        the event that announces it; the event that closes it comes with the next one.

    Raises:
        PolicyRefused: ``FG-AUD-22``.
        AuditFault: ``FG-AUD-20`` the folder holds something else; see `audit.tiles.export_tiles`.

    Audited as ``export``, before anything is written and again with its size.
    """
    actor = outward(home, user, auth)
    with Flow(home, "export_trail", "export", actor, {"source": "audit.log"}) as flow:
        done = export_tiles(home.path / "audit", out, public_key(home))
        flow.finish({"source": "audit.log", "rows": done["size"], "counts": done})
        return {**done, "vkey": home.log_vkey(), "receipt": flow.receipt()}
