"""Read and verify the audit trail. Reading it is itself audited, for one of four permitted uses."""

from __future__ import annotations

from typing import Any

from audit.canonical import parse
from audit.verify import Report
from engine.domain.errors import PolicyRefused
from engine.flows.accounts import actor_of, open_account
from engine.flows.home import Home
from engine.flows.intent import Flow

# DPA 2018 s.62(4): the uses to which a log may be put.
USES = {
    "lawfulness": "Verify that processing is lawful",
    "self_monitoring": "Self-monitoring, including discipline",
    "integrity": "Integrity and security of data",
    "criminal_proceedings": "Criminal proceedings",
}


def verify_trail(home: Home, *, vkey: str | None = None) -> Report:
    """Verify the whole log; it opens no key and changes nothing."""
    return home.verify_log(vkey)


def read_trail(home: Home, user: str, use: str, newest: int, *, auth: str) -> list[dict[str, Any]]:
    """Return the newest events as sentences, for the information governance lead.

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
        if account.role != "ig_lead" or use not in USES:
            raise PolicyRefused(
                "FG-AUD-10",
                "the trail is read by the information governance lead, for one of four uses",
                f"State one of {', '.join(USES)}.",
                ["E12 no grant on the trail for this role"],
            )
        found = [{"seq": seq, **_summary(parse(body))} for seq, body in home.log_events(newest)]
        flow.finish({"rules": [use], "rows": len(found)})
        return found


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


_VERBS = {
    "submit": "a delivery",
    "link": "linkage of all records",
    "score": "a scoring run",
    "replay": "a replay of a scoring run",
    "reveal": "to see an identity",
    "show": "to see a granted view again",
    "look": "to see the evidence about a person",
    "review_list": "to see the review lists",
    "decide": "to record a decision",
    "read_trail": "to read this trail",
    "first_policy": "to activate the first policy",
    "propose_policy": "to propose a policy",
    "check_policy": "to check a draft of the policy",
    "simulate_policy": "the effect of a draft on past requests",
    "answer_policy": "to answer a change of the policy",
    "activate_policy": "to activate a policy",
    "rollback_policy": "to go back to the policy before",
    "agreement": "to suspend or resume an agreement",
    "register": "to declare a register of a flag complete",
    "access_reviews": "to see which uses wait for review",
    "review_access": "to review a use for immediate danger",
    "account": "to change an account",
    "flag": "to set a flag",
    "sign_in": "to sign in",
    "evaluate": "an evaluation against known truth",
    "denied": "to use something that was denied",
}


def sentence(event: dict[str, Any]) -> str:
    """Tell an event as a sentence."""
    what = _VERBS.get(event["flow"], event["flow"])
    if event["phase"] == "intent":
        return (
            f"{event['actor']['id']} asked for {what}"
            if not what.startswith("to ")
            else (f"{event['actor']['id']} asked {what}")
        )
    decision = {
        "permit": "was done",
        "refuse": "was refused",
        "failed": "failed and was taken back",
        "completed": "had happened and was completed at start-up",
        "discarded": "had not happened and was taken back at start-up",
    }.get(event.get("decision", ""), "ended")
    codes = ", ".join(event.get("rules", [])[:4])
    return f"The request {what} {decision}" + (f" ({codes})" if codes else "")
