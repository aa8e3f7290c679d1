"""An agency's own part of the trail: who was shown its data, and what its own staff looked for. Nothing else.

A partner that gives data stays answerable for it, and for its own staff. It sees each disclosure of a field
that it gave, also one that may have happened and whose outcome is not recorded, and each search by its
staff. Of another agency's staff it sees what that needs: who, in which
role, of which agency, for what, when, and which of its own fields; never whom it was about, nor a field that
somebody else gave.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from audit.act import Act, source_of
from audit.facets import Index, Mask, Question
from audit.search import read_acts
from engine.domain.errors import VaultError
from engine.flows.accounts import actor_of, open_account
from engine.flows.decision import sources_of
from engine.flows.disclosures import DISCLOSED, PERHAPS, SHOWING
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.search_trail import PAGE, Search, asked_at, index_of, label_of, question_of
from engine.flows.tell import outcome_words
from engine.flows.trail import USES, may_read
from engine.linkage.index import ever_records_of
from policies.model import Pack

ROUTE = "own_trail"
SEARCHING = SHOWING | {"audit_read", "deny"}
"""Kinds of operation by which staff look for something, or try to."""
NOTE = (
    "Your agency's data that was shown, and what your own staff looked for. What was shown of data that "
    "other agencies gave is not here. A request that stopped half-way stands here as one that may have shown "
    "your data, when you hold a record of whom it was about; which fields, nobody can say."
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
        index = index_of(home, flow)
        asked = asked_at(flow, index)
        stand = asked if below is None else min(below, asked)
        own = given_by(home.pack, agency)
        mask = own_mask(index, agency, own)
        perhaps = may_have_shown(home, index, own)
        mask |= np.isin(index.columns["seq"], sorted(perhaps))
        mask &= index.mask(Question(first=limits.first, last=limits.last, below=stand))
        found = read_acts(home.path / "audit", index.page(mask, page, size), home.log_opening())
        total = int(mask.sum())
        entry = flow.finish({**details, "rows": len(found), "counts": {"page": page}})
        return {
            "use": use,
            "agency": agency,
            "total": total,
            "page": page,
            "pages": max(1, -(-total // size)),
            "below": stand,
            "acts": [
                _worded(home, own_row(one, agency, own, perhaps.get(one.seq, frozenset())))
                for one in found
            ],
            "note": NOTE,
            "audit_entry": entry.seq,
            "receipt": flow.receipt(),
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
    shown = Question({"kind": SHOWING, "outcome": DISCLOSED | PERHAPS, "source": sources})
    # No source is no limit to a question, and here it must find nothing.
    given = index.mask(shown) if sources else index.mask(Question({"kind": [""]}))
    return given | index.mask(Question({"agency": [agency], "kind": SEARCHING}))


def may_have_shown(home: Home, index: Index, sources: Collection[str]) -> dict[int, frozenset[str]]:
    """Return the acts that say whom they were about and not what they showed, and what they may have shown.

    An intent whose outcome is not there, or was written at start-up, names no field: the process died before
    it could. Whatever an agency holds of the person, then or now, may have been in it.

    Args:
        home: The home.
        index: The index.
        sources: The sources of one agency.

    Returns:
        Place of the intent to the sources of that agency; acts about nobody that it holds are left out.
    """
    column = index.columns["touched"]
    nothing = index.words.get("touched", {}).get("[]")
    asked = index.mask(Question({"kind": SHOWING, "outcome": PERHAPS}))
    rows = np.flatnonzero(asked & (column == nothing)) if nothing is not None else np.zeros(0, int)
    acts = read_acts(home.path / "audit", index.places(rows), home.log_opening())
    held = {name: _held(home, name) for name in {name for act in acts for name in act.subjects}}
    found = {
        act.seq: frozenset().union(*(held[name] for name in act.subjects)) & frozenset(sources)
        for act in acts
    }
    return {seq: some for seq, some in found.items() if some}


def _held(home: Home, subject: str) -> frozenset[str]:
    """Return the sources with a record that is, or once was, of somebody named in the trail."""
    try:
        name = home.domain("audit").parse(subject)
    except VaultError:
        return frozenset()
    sealed = ever_records_of(home.linkage, name, home.link_runs())
    records = home.domain("linkage").open(sealed)
    # An event about a pair of records names the records themselves.
    return frozenset(sources_of(home, [*records, name]).values())


def own_row(
    act: Act, agency: str, sources: Collection[str], perhaps: Collection[str] = ()
) -> dict[str, Any]:
    """Return what an agency sees of an act that is its part: its own fields, and nobody it was about.

    Args:
        act: The act.
        agency: The agency.
        sources: The sources that it gives.
        perhaps: Those of which something may have been shown, where the act itself names none.
    """
    shown = act.kind in SHOWING and act.outcome in DISCLOSED | PERHAPS
    exact = [one for one in act.touched if one.count(".") == 2 and source_of(one) in sources]
    whole = set(act.sources) & set(sources) - {source_of(one) for one in exact}
    fields = sorted([*exact, *whole, *perhaps]) if shown else []
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
        "certain": not fields or act.outcome in DISCLOSED,
        "why": why,
    }


def _worded(home: Home, row: dict[str, Any]) -> dict[str, Any]:
    said = {
        "role_label": label_of(home, "role", row["role"]),
        "agency_label": label_of(home, "agency", row["agency"]),
        "purpose_label": label_of(home, "purpose", row["purpose"]),
        "what_label": label_of(home, "action", row["what"]),
        "outcome_label": outcome_words(row["outcome"])
        + ("" if row["certain"] else ": your data may have been shown"),
    }
    return {**row, **said}
