"""Two people declare that events of the trail are lost, so that it can go on; the gap stays for ever.

A log that was put back from a backup is shorter than what it signed, and refuses to be written. One person
declares what is lost, another one confirms it. Both stand in the first events after the gap, and a
checkpoint outside the database says so too: a verifier calls the log incomplete from then on.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from audit.errors import AuditFault
from audit.outside import Incident, Lost
from engine.domain.errors import ConfigError, PolicyRefused
from engine.flows.accounts import actor_of, open_account
from engine.flows.home import Home
from engine.flows.intent import Flow, record_denial

ROUTE = "recovery"
REQUEST = "recovery.json"
CAUSES = {
    "restored": "The audit folder was put back from a backup",
    "disk": "A disk failed",
    "unknown": "Nobody knows yet",
}


def recover_log(home: Home, user: str, because: str, *, auth: str) -> dict[str, Any]:
    """Declare what is lost of the trail, or confirm what another person has declared.

    Args:
        home: The home.
        user: Who declares or confirms.
        because: One of `CAUSES`.
        auth: How the user signed in.

    Returns:
        ``state`` (``declared`` or ``recovered``), events left and events that had been signed.

    Raises:
        PolicyRefused: ``FG-AUD-13`` the role declares nothing, or the cause is not one of three;
            ``FG-AUD-15`` the same person cannot confirm.
        ConfigError: ``FG-AUD-14`` the log is the one it had signed: nothing is lost.

    Audited as ``recovery`` with both people once it is confirmed; before that the trail takes nothing.
    """
    account = open_account(home, user, auth)
    if account.role not in home.pack.routes.get(ROUTE, frozenset()) or because not in CAUSES:
        refused = PolicyRefused(
            "FG-AUD-13",
            "your role does not declare events of the trail as lost, or the cause is unknown",
            f"The information governance lead and the data protection officer do. "
            f"Causes: {', '.join(CAUSES)}.",
        )
        # A trail that lost something takes nothing; a whole one says who tried (AUD-8).
        with suppress(AuditFault):
            record_denial(home, actor_of(account, auth), refused.code)
            refused.audited = True
        raise refused
    log = home.recovering_log()
    found = log.incident()
    if found is None:
        log.close()
        raise ConfigError(
            "FG-AUD-14",
            "the trail is the one that it had signed, so nothing is lost and nothing is to be declared",
            "Go on; see fieldgate audit verify.",
        )
    incident, base = found
    facts = _facts(incident, base)
    declared = _declared(home, facts)
    if declared is None or declared["by"] == user:
        log.close()
        if declared is not None:
            raise PolicyRefused(
                "FG-AUD-15", "you have declared it yourself", "Another person has to confirm it."
            )
        _write(home, {**facts, "by": user, "because": because})
        return {"state": "declared", **facts, "next": "Another person confirms it the same way."}
    home.use_log(log)
    lost = Lost(base, incident.signed.size, incident.signed.root)
    details: dict[str, Any] = {
        "rules": [f"declared_by {declared['by']}", f"because {declared['because']}"],
        "approvers": [declared["by"]],
        "counts": {"left": base, "signed": lost.size},
        "result_hash": lost.root.hex(),
    }
    with Flow(home, "recover_log", "recovery", actor_of(account, auth), details) as flow:
        entry = flow.finish({**details, "decision": "declared_lost"})
    log.declare_lost(lost)
    (home.path / "audit" / REQUEST).unlink(missing_ok=True)
    return {"state": "recovered", **facts, "audit_entry": entry.seq,
            "next": "fieldgate audit verify calls the trail incomplete from now on."}  # fmt: skip


def _facts(incident: Incident, base: int) -> dict[str, Any]:
    return {
        "what": incident.sentence(),
        "left": base,
        "signed": incident.signed.size,
        "signed_root": incident.signed.root.hex(),
        "found_root": incident.found.root.hex(),
    }


def _declared(home: Home, facts: dict[str, Any]) -> dict[str, Any] | None:
    """Return the declaration that waits, when it is about the same loss."""
    try:
        found = json.loads((home.path / "audit" / REQUEST).read_text(encoding="utf-8"))
        same = {name: found[name] for name in facts} == facts
        usable = type(found["by"]) is str and found["because"] in CAUSES
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(found) if same and usable else None


def _write(home: Home, declaration: dict[str, Any]) -> None:
    path = home.path / "audit" / REQUEST
    try:
        path.write_text(json.dumps(declaration, indent=1, sort_keys=True), encoding="utf-8")
    except OSError as error:
        raise AuditFault(
            "FG-AUD-02",
            "the declaration cannot be written",
            "Check the rights of the audit folder.",
        ) from error
