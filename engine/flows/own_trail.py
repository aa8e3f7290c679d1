"""An agency's own part of the trail: who was shown its data, and what its own staff looked for. Nothing else.

A partner that gives data stays answerable for it, and for its own staff. It sees each disclosure of a field
that it gave, and each search by its staff. Of another agency's staff it sees what that needs: who, in which
role, of which agency, for what, when, and which of its own fields; never whom it was about, nor a field that
somebody else gave.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from audit.act import Act, source_of
from audit.facets import Index, Mask, Question
from audit.search import read_acts
from engine.flows.accounts import actor_of, open_account
from engine.flows.disclosures import DISCLOSED, SHOWING
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.search_trail import PAGE, Search, index_of, label_of, question_of
from engine.flows.tell import outcome_words
from engine.flows.trail import USES, may_read
from policies.model import Pack

ROUTE = "own_trail"
SEARCHING = SHOWING | {"audit_read", "deny"}
"""Kinds of operation by which staff look for something, or try to."""
NOTE = (
    "Your agency's data that was shown, and what your own staff looked for. What was shown of data that "
    "other agencies gave is not here. A request whose outcome is not recorded may have shown something."
)


def own_trail(
    home: Home,
    user: str,
    use: str,
    first: str = "",
    last: str = "",
    page: int = 1,
    below: int | None = None,
    *,
    auth: str,
    size: int = PAGE,
) -> dict[str, Any]:
    """Return a page of the user's agency's part of the trail, the newest first.

    Args:
        home: The home.
        user: Who asks; the agency is that of the account and cannot be chosen.
        use: One of the four uses of the trail.
        first: First day, year-month-day, UTC; empty for all.
        last: Last day.
        page: Page, from 1.
        below: Only what stands before this entry.
        auth: How the user signed in.
        size: Acts on a page.

    Raises:
        PolicyRefused: ``FG-AUD-10`` the role oversees no agency's part, or the use is not one of four.
        ConfigError: ``FG-AUD-41`` a day or a page is none.

    Audited as ``audit_read`` with the agency, once for each page.
    """
    account = open_account(home, user, auth)
    actor = actor_of(account, auth)
    agency = account.agency
    details: dict[str, Any] = {"rules": [use if use in USES else "unknown"], "recipient": agency}
    with Flow(home, "own_trail", "audit_read", actor, details) as flow:
        may_read(home, account, use, ROUTE)
        limits = question_of(home, Search(first=first, last=last, page=page, below=below))
        asked = flow.asked.seq if flow.asked is not None else 0
        stand = asked if below is None else min(below, asked)
        index = index_of(home, flow)
        own = given_by(home.pack, agency)
        mask = own_mask(index, agency, own)
        mask &= index.mask(Question(first=limits.first, last=limits.last, below=stand))
        found = read_acts(home.path / "audit", index.page(mask, page, size))
        total = int(mask.sum())
        entry = flow.finish({**details, "rows": len(found), "counts": {"page": page}})
        return {
            "use": use,
            "agency": agency,
            "total": total,
            "page": page,
            "pages": max(1, -(-total // size)),
            "below": stand,
            "acts": [_worded(home, own_row(one, agency, own)) for one in found],
            "note": NOTE,
            "audit_entry": entry.seq,
        }


def given_by(pack: Pack, agency: str) -> frozenset[str]:
    """Return the sources that an agency gives; what is derived is the host's."""
    return frozenset(name for name, one in pack.sources.items() if pack.giver(one) == agency)


def own_mask(index: Index, agency: str, sources: Collection[str]) -> Mask:
    """Return which acts of an index are an agency's part.

    Args:
        index: The index.
        agency: The agency.
        sources: The sources that it gives.
    """
    shown = Question({"kind": SHOWING, "outcome": DISCLOSED, "source": sources})
    # No source is no limit to a question, and here it must find nothing.
    given = index.mask(shown) if sources else index.mask(Question({"kind": [""]}))
    return given | index.mask(Question({"agency": [agency], "kind": SEARCHING}))


def own_row(act: Act, agency: str, sources: Collection[str]) -> dict[str, Any]:
    """Return what an agency sees of an act that is its part: its own fields, and nobody it was about."""
    shown = act.kind in SHOWING and act.outcome in DISCLOSED
    exact = [one for one in act.touched if one.count(".") == 2 and source_of(one) in sources]
    whole = set(act.sources) & set(sources) - {source_of(one) for one in exact}
    fields = sorted([*exact, *whole]) if shown else []
    why = (["our data"] if fields else []) + (["our staff"] if act.agency == agency else [])
    return {
        "entry": act.seq,
        "when": act.when.isoformat(timespec="seconds"),
        "user": act.actor,
        "agency": act.agency,
        "role": act.role,
        "purpose": act.text("purpose"),
        "what": act.flow,
        "outcome": act.outcome,
        "fields": fields,
        "why": why,
    }


def _worded(home: Home, row: dict[str, Any]) -> dict[str, Any]:
    said = {
        "role_label": label_of(home, "role", row["role"]),
        "agency_label": label_of(home, "agency", row["agency"]),
        "purpose_label": label_of(home, "purpose", row["purpose"]),
        "what_label": label_of(home, "action", row["what"]),
        "outcome_label": outcome_words(row["outcome"]),
    }
    return {**row, **said}
