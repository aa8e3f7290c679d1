"""Who was shown something of a product: a score that was withdrawn can be followed to its readers (TF4)."""

from __future__ import annotations

from typing import Any

from audit.canonical import parse
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.product_tables import derived_source
from engine.flows.registry import cannot, keeper

_SHOWS = frozenset({"review_list", "look", "group_list"})
"""Flows whose answer carries scores or places of a list; a reveal counts when a field of it is derived."""
_HELD = ("review_list", "score", "associates", "group")
"""Fields of derived data; the sources that hold them for a purpose are what a reader of it was shown."""


def who_saw(home: Home, user: str, product: str, *, auth: str) -> dict[str, Any]:
    """Return everybody who was shown something of a product, from the trail (TF4).

    A list, a person's page or a reveal shows every theme of its purpose that served at the time; each is
    named with the person looked at under the audit domain, so that a withdrawn score can be followed to its
    readers.

    Raises:
        PolicyRefused: ``FG-REG-02``.
        RunError: ``FG-REG-03`` unknown product.

    Audited as ``audit_read``.
    """
    _, actor = keeper(home, user, auth)
    named = product if product in home.pack.products else "unknown"
    with Flow(home, "product_saw", "audit_read", actor, {"rules": [named]}) as flow:
        if product not in home.pack.products:
            raise cannot("there is no such product")
        purpose = home.pack.products[product].purpose
        held = {derived_source(home.pack, purpose, name) for name in _HELD} - {""}
        found, live = [], False
        for seq, body in reversed(home.log_events()):
            event = parse(body)
            if event["phase"] != "outcome":
                continue
            live = _live_after(event, product, live)
            if live and _shows(event, held) and event.get("decision", "permit") == "permit":
                found.append(
                    {
                        "entry": seq,
                        "when": event["ts"],
                        "user": event["actor"]["id"],
                        "agency": event["actor"]["org"],
                        "what": event["flow"],
                        "run": event.get("run", ""),
                        "subject": event.get("subject", ""),
                    }
                )
        flow.finish({"rules": [product], "rows": len(found)})
        people = sorted({one["user"] for one in found})
        return {"product": product, "people": people, "seen": found, "receipt": flow.receipt()}


def _shows(event: dict[str, Any], held: set[str]) -> bool:
    """Say whether an answer carried results that stand in one of the sources `held`."""
    derived = any(str(one).rpartition(".")[0] in held for one in event.get("fields", []))
    listed = event["flow"] in _SHOWS and event.get("source") in held
    return listed or (event["flow"] in ("reveal", "show") and derived)


def _live_after(event: dict[str, Any], product: str, live: bool) -> bool:  # noqa: FBT001
    """Say whether a product is live once an event has happened; the order is the trail's own."""
    rules = event.get("rules", [])
    steps = ("products_first", "product_ask", "product_answer")
    if event["flow"] in steps and event.get("decision") == "completed":
        return True  # Which step it was is not told; rather a reader too many than one too few.
    if event["flow"] == "products_first" and product in rules:
        return True
    if event["flow"] in ("product_ask", "product_answer") and rules[:1] == [product]:
        return rules[1] == "live" if event.get("decision") == "final" else live
    return live
