"""Records near one record: a missed match is found, looked at and joined, as a wrong one is parted.

A run joins what is sure and asks about what is close. What it missed, a reviewer who has the record in
front of them can look for: the model scores that one record against all others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from audit.event import commitment
from engine.domain.errors import LinkageError, PolicyRefused
from engine.flows.clerical import SHORTEST_REASON, record_single, reviewer
from engine.flows.decision import NOTHING
from engine.flows.encodings import near_records, places_of
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.link import dead_records, kept_apart
from engine.flows.linkage_lookup import Sought
from engine.flows.open_pairs import pair_token
from engine.flows.pair_view import show
from engine.flows.part import find_person
from engine.flows.reason import keep_reason
from engine.flows.second import TWO_PEOPLE, needs_second
from engine.flows.sides import Side, sides_of
from engine.linkage.encodings import published_records
from engine.linkage.explain import sentence
from engine.linkage.index import members_of, records_of
from engine.linkage.memory import CANNOT, MUST, final_decisions, forget_decision, write_decision
from engine.store.tables import Account

MOST = 10
"""Records shown beside the one that was asked about; the heaviest."""


@dataclass(frozen=True)
class _Near:
    """A record of another person that may be the same one's."""

    token: str
    record: bytes = field(repr=False)
    person: str
    weight: float
    says: str
    side: Side = field(repr=False)


def near(home: Home, user: str, person: str, number: int, *, auth: str) -> dict[str, Any]:
    """Return the records of other people that may belong to the person of one record.

    Args:
        home: The home.
        user: Who asks.
        person: Casework reference of the person.
        number: Which record, from 1, in the order of `engine.flows.pair_view.open_records`.
        auth: How the user signed in.

    Raises:
        PolicyRefused: ``FG-LNK-06`` the role reviews no pairs, ``FG-REV-02`` nobody has the reference,
            ``FG-REV-03`` nothing of the record may be shown to it.
        LinkageError: ``FG-LNK-11`` the person has no such record.

    Audited as ``consultation`` with everybody shown.
    """
    account, actor = reviewer(home, user, auth)
    details: dict[str, Any] = {"purpose": account.purpose}
    with Flow(home, "person_near", "consultation", actor, details) as flow:
        text, own, found = _found(home, account, person, number)
        audit = home.domain("audit")
        ids = home.domain("linkage").open([own, *(one.record for one in found)])
        details["subjects"] = {
            "count": len(ids), "names": [audit.text(one) for one in audit.seal(ids)]
        }  # fmt: skip
        flow.arrow("decide")
        (mine,) = sides_of(home, account, ids[:1])
        flow.arrow("vault")
        shown, fields = show(home, [mine, *(one.side for one in found)])
        entry = flow.finish({**details, "fields": fields, "rows": len(found)})
        return {
            "person": text,
            "record": number,
            "sides": [f"This record: {mine.title}"]
            + [f"{place}: {one.side.title}" for place, one in enumerate(found, 1)],
            "rows": shown,
            "near": [
                {"place": place, "pair": one.token, "person": one.person,
                 "weight": round(one.weight, 1), "says": one.says}
                for place, one in enumerate(found, 1)
            ],
            "note": NOTHING,
            "audit_entry": entry.seq,
        }  # fmt: skip


def join(
    home: Home, user: str, person: str, number: int, token: str, reason: str, *, auth: str
) -> dict[str, Any]:
    """Decide that a record near one of a person is the same person's.

    Args:
        home: The home.
        user: Who decides.
        person: Casework reference of the person.
        number: Which of the person's records.
        token: The pair, as `near` names it.
        reason: In the reviewer's own words; sealed.
        auth: How the user signed in.

    Raises:
        PolicyRefused: ``FG-LNK-06``, ``FG-REV-02``, ``FG-REV-03`` as for `near`.
        LinkageError: ``FG-LNK-07`` no such record is near, ``FG-LNK-08`` no reason, ``FG-LNK-11``.

    Audited as ``alteration`` with both subjects.
    """
    account, actor = reviewer(home, user, auth)
    salt = home.randomness(32)
    details: dict[str, Any] = {
        "purpose": account.purpose,
        "reason": commitment(salt, reason),
    }
    with Flow(home, "person_join", "alteration", actor, details) as flow:
        keep_reason(home, flow.intent, salt, reason)
        if len(reason.strip()) < SHORTEST_REASON:
            raise LinkageError(
                "FG-LNK-08",
                "a decision needs an answer and a reason",
                f"Say why in at least {SHORTEST_REASON} characters.",
            )
        text, own, found = _found(home, account, person, number)
        other = next((one for one in found if one.token == token), None)
        if other is None:
            raise LinkageError(
                "FG-LNK-07",
                "no such record is near",
                "Look again: fieldgate pairs near.",
            )
        audit = home.domain("audit")
        ids = home.domain("linkage").open([own, other.record])
        details["subjects"] = {
            "count": 2, "names": [audit.text(one) for one in audit.seal(ids)]
        }  # fmt: skip
        sides_of(home, account, ids)
        people = (text, other.person)
        why = needs_second(home, people)
        write_decision(home.linkage, flow.intent, [(own, other.record)], MUST)

        made = flow.commit(
            lambda session: record_single(
                session,
                flow,
                token,
                "one",
                "missed_match",
                people,
                account.user,
                [TWO_PEOPLE] if why else [],
            )
        )
        entry = flow.finish({**details, "decision": "join", "obligations": why})
        return {
            "decision": made.number,
            "person": text,
            "takes_effect": "when a second reviewer agrees" if why else "with the next link",
            "audit_entry": entry.seq,
        }


def discard(home: Home, intent: str) -> None:
    """Take back what an unfinished joining staged."""
    forget_decision(home.linkage, intent)


def _found(
    home: Home, account: Account, person: str, number: int
) -> tuple[str, bytes, list[_Near]]:
    """Return the person's reference, the record and what is near it; nothing that may not be shown."""
    person_id, text = find_person(home, person)
    runs = home.link_runs()
    held = records_of(home.linkage, person_id, runs)
    if not 1 <= number <= len(held):
        raise LinkageError(
            "FG-LNK-11",
            "the person has no such record, or no other one",
            "See the person's records: fieldgate pairs records.",
        )
    own = held[number - 1]
    apart = _decided_apart(home)
    found = [
        (record, weight, says)
        for record, weight, says in _scored(home, own)
        if record not in held and (min(own, record), max(own, record)) not in apart
    ]
    member = members_of(home.linkage, runs, [record for record, _, _ in found])
    casework = home.domain("casework")
    made: list[_Near] = []
    for record, weight, says in found:
        if record not in member or len(made) == MOST:
            continue
        try:
            (side,) = sides_of(home, account, home.domain("linkage").open([record]))
        except PolicyRefused:
            continue  # That something is there is not said either: an empty answer reads the same.
        reference = casework.text(casework.seal([member[record]])[0])
        made.append(_Near(pair_token(home, own, record), record, reference, weight, says, side))
    return text, own, made


def _scored(home: Home, own: bytes) -> list[tuple[bytes, float, str]]:
    """Return the records that share a key with one, the heaviest first."""
    order = home.published()
    hidden, apart = kept_apart(home, published_records(home.linkage, order))
    found = near_records(
        home,
        Sought(own, order, dead_records(home), hidden, apart, places_of(home), home.clock().date()),
    )
    return [(record, weight, sentence(levels, weight)) for record, weight, levels in found]


def _decided_apart(home: Home) -> set[tuple[bytes, bytes]]:
    """Return the pairs of records that somebody decided are two people, and that decision stands."""
    return {
        (min(one.left, one.right), max(one.left, one.right))
        for one in final_decisions(home.linkage, home.final_decisions())
        if one.kind == CANNOT
    }
