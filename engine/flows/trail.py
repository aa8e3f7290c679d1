"""Read and verify the audit trail. Reading it is itself audited, for one of four permitted uses."""

from __future__ import annotations

from typing import Any

from audit.canonical import parse
from audit.log import read_events
from audit.verify import Report, verify
from engine.domain.errors import PolicyRefused
from engine.flows.accounts import actor_of, open_account
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.tell import ACTIONS
from engine.store.tables import Account

ROUTE = "trail"
# DPA 2018 s.62(4): the uses to which a log may be put.
USES = {
    "lawfulness": "Verify that processing is lawful",
    "self_monitoring": "Self-monitoring, including discipline",
    "integrity": "Integrity and security of data",
    "criminal_proceedings": "Criminal proceedings",
}


def verify_trail(home: Home, *, vkey: str | None = None) -> Report:
    """Verify the whole log; it opens no key and changes nothing."""
    return verify(home.path / "audit", vkey=vkey)


def read_trail(home: Home, user: str, use: str, newest: int, *, auth: str) -> list[dict[str, Any]]:
    """Return the newest events as sentences, for the roles that the pack lets read the trail.

    Args:
        use: One of `USES`.
        newest: How many events.

    Raises:
        PolicyRefused: ``FG-AUD-10`` the role may not read the trail, or the use is not one of four.

    Audited as ``audit_read``.
    """
    account = open_account(home, user, auth)
    actor = actor_of(account, auth)
    with Flow(
        home,
        "read_trail",
        "audit_read",
        actor,
        {"rules": [use if use in USES else "unknown"]},
    ) as flow:
        may_read(home, account, use)
        found = [
            {"seq": seq, **_summary(parse(body))}
            for seq, body in read_events(home.path / "audit", newest=newest)
        ]
        flow.finish({"rules": [use], "rows": len(found)})
        return found


def may_read(home: Home, account: Account, use: str, route: str = ROUTE) -> None:
    """Refuse who may not read the trail, and every use but the four of DPA 2018 s.62(4).

    Raises:
        PolicyRefused: ``FG-AUD-10``.
    """
    if account.role not in home.pack.routes.get(route, frozenset()) or use not in USES:
        raise PolicyRefused(
            "FG-AUD-10",
            "the trail is read by roles of oversight, for one of four uses",
            f"State one of {', '.join(USES)}.",
            ["E12 no grant on the trail for this role"],
        )


def _summary(event: dict[str, Any]) -> dict[str, Any]:
    actor = event["actor"]
    return {
        "when": event["ts"],
        "kind": event["kind"],
        "phase": event["phase"],
        "flow": event["flow"],
        "actor": actor["id"],
        "role": actor["role"],
        "decision": event.get("decision", ""),
        "sentence": sentence(event),
        "subject": event.get("subject", ""),
        "intent": event["intent"],
    }


def sentence(event: dict[str, Any]) -> str:
    """Tell an event as a sentence."""
    what = ACTIONS.get(event["flow"], f"for {event['flow']}")
    if event["phase"] == "intent":
        return f"{event['actor']['id']} asked {what}"
    decision = {
        "permit": "was done",
        "refuse": "was refused",
        "failed": "failed and was taken back",
        "completed": "had happened and was completed at start-up",
        "discarded": "had not happened and was taken back at start-up",
    }.get(event.get("decision", ""), "ended")
    codes = ", ".join(event.get("rules", [])[:4])
    return f"The request {what} {decision}" + (f" ({codes})" if codes else "")
