"""Read and verify the audit trail. Reading it is itself audited, for one of four permitted uses."""

from __future__ import annotations

from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from audit.canonical import parse
from audit.cosign import CosignerKey
from audit.errors import AuditFault
from audit.kept import NOTHING_KEPT, Kept
from audit.note import Verifier
from audit.place import place_of
from audit.report import Report
from audit.tiles import verify_tiles
from audit.witnessed import Quorum
from engine.domain.errors import FieldgateError, PolicyRefused
from engine.flows.accounts import actor_of, open_account
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.tell import ACTIONS
from engine.store.tables import Account
from policies.errors import PolicyFault

ROUTE = "trail"
# DPA 2018 s.62(4): the uses to which a log may be put.
USES = {
    "lawfulness": "Verify that processing is lawful",
    "self_monitoring": "Self-monitoring, including discipline",
    "integrity": "Integrity and security of data",
    "criminal_proceedings": "Criminal proceedings",
}


def verify_trail(home: Home, *, vkey: str | None = None, kept: Kept = NOTHING_KEPT) -> Report:
    """Verify the whole log and ask who witnesses it; it opens no key and changes nothing."""
    quorum, why = None, ""
    try:
        quorum = quorum_of(home)
    except (FieldgateError, AuditFault, PolicyFault, SQLAlchemyError) as error:
        why = f"the policy's witnesses could not be read ({type(error).__name__})"
    now = int(home.clock().timestamp())
    report = home.verify_log(vkey, quorum=quorum, seconds=now, kept=kept)
    if why:
        report.missing.append(why)
        report.status = "incomplete" if report.status == "verified" else report.status
    return report


def verify_export(where: str, vkey: str) -> Report:
    """Verify an exported trail from its files alone; no home is needed.

    Args:
        where: A folder, or an ``http`` or ``https`` address.
        vkey: The log's public key, from another place than the export.

    Returns:
        A report. Without a key that is one nothing is checked, and that is no sign of tampering.

    Raises:
        AuditFault: ``FG-AUD-28`` the address is none.
    """
    place = place_of(where)
    try:
        return verify_tiles(place, Verifier.from_vkey(vkey))
    except AuditFault as fault:
        why = fault.message if vkey else "no public key was given: --vkey"
        return Report(status="incomplete", missing=[f"nothing was checked: {why}"])


def quorum_of(home: Home) -> Quorum | None:
    """Return whom the active policy names as witnesses of the trail, None when it names nobody.

    Raises:
        AuditFault: ``FG-AUD-05`` a key in the policy is none of a witness.
    """
    named = home.pack.governance.witnessing
    if not named.witnesses:
        return None
    keys = tuple(CosignerKey.from_vkey(vkey) for _, vkey in named.witnesses)
    if any(key.name == home.manifest["log_name"] for key in keys):
        # Its second signature is no second pair of eyes.
        raise AuditFault(
            "FG-AUD-05", "a key of the log itself is none of a witness", "Name another partner."
        )
    return Quorum(keys, named.quorum, named.alarm_after_hours * 3600)


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
        found = [{"seq": seq, **_summary(parse(body))} for seq, body in home.log_events(newest)]
        flow.finish({"rules": [use], "rows": len(found)})
        return found


def may_read(home: Home, account: Account, use: str, route: str = ROUTE) -> None:
    """Refuse who may not read the trail, and every use but the four of DPA 2018 s.62(4).

    Raises:
        PolicyRefused: ``FG-AUD-10``.
    """
    reasons = []
    if account.role not in home.pack.routes.get(route, frozenset()):
        reasons.append("E12 no grant on the trail for this role")
    if use not in USES:
        reasons.append("the use that was stated is not one of the four")
    if reasons:
        raise PolicyRefused(
            "FG-AUD-10",
            "the trail is read by roles of oversight, for one of four uses",
            f"State one of {', '.join(USES)}.",
            reasons,
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
