"""What a reviewer's role may see of a record, decided before anything is opened or answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlmodel import Session

from engine.domain.errors import PolicyRefused
from engine.flows.decision import NOTHING, sources_of
from engine.flows.disclose import visible_content
from engine.flows.facts import request_facts
from engine.flows.home import Home
from engine.flows.states import declared, record_rows, record_state, subject_flags
from engine.linkage.index import members_of
from engine.store.session import reading
from engine.store.tables import Account, SubjectState
from policies import authorise
from policies.model import Level, Request

MET = frozenset({"justify"})
"""The queue is the reason: a run put the pair there, and the trail names it."""


@dataclass(frozen=True)
class Side:
    """One record of a pair: what may be shown of it, decided before anything is opened."""

    record: bytes = field(repr=False)
    source: str
    title: str
    levels: Mapping[str, tuple[str, Level]]


def sides_of(home: Home, account: Account, records: Sequence[bytes]) -> list[Side]:
    """Return what a role may see of some records; nobody decides about what they may not see.

    Raises:
        PolicyRefused: ``FG-REV-03`` nothing of one of them may be shown, or it was withdrawn since.
    """
    pack, today = home.pack, home.clock().date()
    of = sources_of(home, list(records))
    if any(record not in of for record in records):
        raise PolicyRefused(
            "FG-REV-03",
            "one of the records was withdrawn or deleted since the last link",
            "Link again: fieldgate link.",
        )
    request = Request(
        account.role,
        account.agency,
        account.purpose,
        request_facts(home, records, justified=True),
    )
    domain = home.domain("record")
    names = dict(zip(records, map(domain.text, domain.seal(list(records))), strict=True))
    rows, complete = record_rows(home, names.values()), declared(home)
    sides = []
    for record in records:
        source = pack.sources[of[record]]
        view = authorise(pack, request, source.id, source.fields, today, MET)
        subject = _subject(home, record)
        flags = subject_flags(home, subject, rows, complete)
        state = record_state(home, source.id, names[record], flags, rows)
        levels = {
            spec.part: (name, view.level(name, state))
            for name, spec in source.fields.items()
            if spec.part is not None and view.level(name, state) >= Level.BANDED
        }
        if not levels:
            raise PolicyRefused(
                "FG-REV-03",
                "nothing of one of the records may be shown to your role",
                "Leave it to a colleague who may see it. " + NOTHING,
                ["E12 no grant covers the identity of that source, or a restriction closes it"],
            )
        # That somebody is known to a service is told only to who may know what the service holds.
        title = source.title if visible_content(source, view, state) else "a partner's record"
        sides.append(Side(record, source.id, title, levels))
    return sides


def _subject(home: Home, record: bytes) -> SubjectState | None:
    sealed = home.domain("linkage").seal([record])[0]
    member = members_of(home.linkage, home.link_runs(), [sealed]).get(sealed)
    if member is None:
        return None
    casework = home.domain("casework")
    with Session(reading(home.casework), expire_on_commit=False) as session:
        return session.get(SubjectState, casework.text(casework.seal([member])[0]))
