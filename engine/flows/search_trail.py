"""Search the trail by facets: who asked for what, why, when, and what came of it. Asking is audited too."""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from audit.act import Act
from audit.facets import FACETS, MANY, Index, Question
from audit.search import open_index, read_acts
from engine.domain.errors import ConfigError
from engine.flows.accounts import actor_of, open_account
from engine.flows.audit_names import names_of
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.reveal import case_token
from engine.flows.tell import ACTIONS, OUTCOMES, tell
from engine.flows.trail import USES, may_read

PAGE = 50
MOST_PAGES = 1_000_000
TOKEN = re.compile(r"[0-9a-f]{32}")
HANDLE = re.compile(r"u-[0-9a-f]{16}")


@dataclass(frozen=True)
class Search:
    """What somebody searches for. What is left empty limits nothing.

    Attributes:
        chosen: Facet to the values of which one must be there. An actor is a user name, or the handle
            that stands for one in an address.
        person: Casework reference.
        case: Reference of a case, or its token.
        first: First day, year-month-day, UTC.
        last: Last day.
        page: Page, from 1.
        below: Only what stands before this entry: pages of one answer stay together while the trail grows.
    """

    chosen: Mapping[str, Collection[str]] = field(default_factory=dict)
    person: str = field(default="", repr=False)
    case: str = field(default="", repr=False)
    first: str = ""
    last: str = ""
    page: int = 1
    below: int | None = None


def search_trail(
    home: Home, user: str, use: str, search: Search, *, auth: str, size: int = PAGE
) -> dict[str, Any]:
    """Return a page of what was asked for, the newest first, with counts for every facet.

    It is the trail as it stood when the question was asked; the question itself is not in it.

    Args:
        home: The home.
        user: Who asks.
        use: One of `USES`.
        search: What is searched for.
        auth: How the user signed in.
        size: Acts on a page.

    Raises:
        PolicyRefused: ``FG-AUD-10`` the role may not read the trail, or the use is not one of four;
            ``FG-REV-02`` nobody has that reference.
        ConfigError: ``FG-AUD-41`` a limit is none: an unknown facet, no date, no page.

    Audited as ``audit_read`` once for each page asked for, with the use, the facets that were limited (not
    what to) and the person.
    """
    account = open_account(home, user, auth)
    actor = actor_of(account, auth)
    details: dict[str, Any] = {"rules": [use if use in USES else "unknown"]}
    with Flow(home, "search_trail", "audit_read", actor, details) as flow:
        may_read(home, account, use)
        details |= {"rules": [use, *_limits(search)], "counts": {"page": search.page}}
        question = question_of(home, search)
        if question.people:
            details["subject"] = question.people[0].name
        if question.case:
            details["case"] = question.case
        index = index_of(home, flow)
        asked = asked_at(flow, index)
        question = replace(
            question,
            chosen=_without_handles(home, index, question.chosen),
            below=asked if search.below is None else min(search.below, asked),
        )
        mask, counts = index.ask(question)
        found = read_acts(
            home.path / "audit", index.page(mask, search.page, size), home.log_opening()
        )
        total = int(mask.sum())
        entry = flow.finish({**details, "rows": len(found)})
        return {
            "use": use,
            "total": total,
            "page": search.page,
            "pages": max(1, -(-total // size)),
            "below": question.below,
            "acts": [act_row(home, one) for one in found],
            "facets": _facets(home, counts, question),
            "audit_entry": entry.seq,
        }


def asked_at(flow: Flow, index: Index) -> int:
    """Return the place of the question itself, before which it looks; the end where it is not known yet."""
    if flow.asked is not None:
        return flow.asked.seq
    return int(index.columns["seq"].max(initial=-1)) + 1


def index_of(home: Home, flow: Flow) -> Index:
    """Return the index of the trail as it stood when a flow began."""
    key = home.keyring("log").derive("search", 32)
    below = flow.asked.seq if flow.asked is not None else None
    return open_index(home.path / "audit", key, below=below, opening=home.log_opening())


def question_of(home: Home, search: Search) -> Question:
    """Return what is asked of the index.

    Raises:
        PolicyRefused: ``FG-REV-02`` nobody has that reference.
        ConfigError: ``FG-AUD-41`` a limit is none.
    """
    unknown = set(search.chosen) - {*FACETS, *MANY}
    if unknown or not 1 <= search.page <= MOST_PAGES or (search.below or 0) < 0:
        raise _no_limit(f"Limits are {', '.join([*FACETS, *MANY])}; pages begin at 1.")
    first, last = _day(search.first), _day(search.last)
    if first is not None and last is not None and first > last:
        raise _no_limit("The first day comes before the last.")
    case = search.case.strip()
    return Question(
        {facet: values for facet, values in search.chosen.items() if values},
        names_of(home, search.person.strip()) if search.person.strip() else None,
        case if TOKEN.fullmatch(case) or not case else case_token(home, case),
        first,
        last,
    )


def handle_of(home: Home, user: str) -> str:
    """Return what stands for a user in an address, where no name has a place."""
    key = home.keyring("psn").derive("handle", 32)
    return "u-" + hmac.digest(key, user.encode(), "sha256").hex()[:16]


def act_row(home: Home, act: Act) -> dict[str, Any]:
    """Return an act as search and reports show it: ids, words of the policy and one sentence."""
    words = home.pack.register.vocabulary.purposes
    roles = {name: role.label for name, role in home.pack.vocabulary.roles.items()}
    return {
        "entry": act.seq,
        "outcome_entry": act.ended,
        "when": act.when.isoformat(timespec="seconds"),
        "until": act.until.isoformat(timespec="seconds") if act.until else None,
        "actor": act.actor,
        "agency": act.agency,
        "role": act.role,
        "action": act.flow,
        "kind": act.kind,
        "purpose": act.text("purpose"),
        "outcome": act.outcome,
        "rules": act.texts("rules"),
        "agreement": act.text("agreement"),
        "gateway": act.text("gateway"),
        "sources": act.sources,
        "fields": act.texts("fields"),
        "case": act.text("case"),
        "subjects": act.subjects,
        "sentence": tell(act, words, roles),
    }


def _limits(search: Search) -> list[str]:
    """Return which limits were set; what they were set to is not needed to see how the trail is used."""
    facets = sorted(facet for facet, values in search.chosen.items()
                    if values and facet in {*FACETS, *MANY})  # fmt: skip
    return [*facets, *(name for name in ("case", "first", "last") if getattr(search, name).strip())]


def _without_handles(
    home: Home, index: Index, chosen: Mapping[str, Collection[str]]
) -> Mapping[str, Collection[str]]:
    """Put user names in the place of handles; a handle of nobody stays, and nothing has it."""
    asked = chosen.get("actor", ())
    if not any(HANDLE.fullmatch(one) for one in asked):
        return chosen
    of = {handle_of(home, user): user for user in index.words.get("actor", {})}
    return {**chosen, "actor": [of.get(one, one) for one in asked]}


def _facets(
    home: Home, counts: Mapping[str, Mapping[str, int]], question: Question
) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for facet, values in counts.items():
        chosen = set(question.chosen.get(facet, ()))
        # A value that was chosen stays to be seen, and to be taken back, when it gives nothing.
        more = dict.fromkeys(sorted(chosen - set(values)), 0)
        found[facet] = [
            {
                "value": value,
                "handle": handle_of(home, value) if facet == "actor" else value,
                "text": label_of(home, facet, value),
                "count": count,
                "chosen": value in chosen,
            }
            for value, count in {**values, **more}.items()
        ]
    return found


def label_of(home: Home, facet: str, value: str) -> str:
    """Return how a value of a facet is said on screen."""
    pack = home.pack
    if facet == "role" and value in pack.vocabulary.roles:
        return pack.vocabulary.roles[value].label
    if facet == "agency" and value in pack.register.parties:
        return pack.register.parties[value].name
    if facet == "purpose":
        return pack.register.vocabulary.purposes.get(value, value)
    if facet == "action":
        words = ACTIONS.get(value, value).removeprefix("to ").removeprefix("for ")
        return words[:1].upper() + words[1:]
    if facet == "outcome":
        return OUTCOMES.get(value, value.replace("_", " ")).capitalize()
    return value.replace("_", " ") if facet == "kind" else value


def _day(text: str) -> date | None:
    if not text.strip():
        return None
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise _no_limit("Write a day as YYYY-MM-DD.") from None


def _no_limit(next_step: str) -> ConfigError:
    return ConfigError("FG-AUD-41", "the trail cannot be limited that way", next_step)
