"""When joining or parting people needs a second person: who is protected, offence, police, health."""

from __future__ import annotations

from sqlmodel import Session

from engine.flows.decision import sources_of
from engine.flows.home import Home
from engine.flows.states import declared, record_rows, subject_flags
from engine.linkage.index import records_of
from engine.store.session import reading
from engine.store.tables import SubjectState

TWO_PEOPLE = "what is held of one of them may move on the word of two people only"
PROTECTED = ("protected", "adopted", "identity_changed", "victim_safety")
MOVING = frozenset({"offence", "offence_victim", "police_intel", "special_health"})


def needs_second(home: Home, people: tuple[str, str]) -> list[str]:
    """Return why joining two persons needs a second reviewer; empty when it does not.

    The reasons are for the trail: a reviewer is told `TWO_PEOPLE` and no more, because what is held of
    somebody is no concern of the role.

    A merge moves everything that every record of one person holds, and not only the two records that
    were compared.

    Args:
        home: The home.
        people: The two persons, as casework names them.
    """
    reasons: list[str] = []
    kinds: list[set[str]] = []
    complete = declared(home)
    for person in people:
        records = records_of_person(home, person)
        domain = home.domain("record")
        rows = record_rows(home, [domain.text(one) for one in domain.seal(records)])
        with Session(reading(home.casework)) as session:
            flags = subject_flags(home, session.get(SubjectState, person), rows, complete)
        reasons += [f"{flag} person" for flag in PROTECTED if flags.get(flag) == "y"]
        sources = set(sources_of(home, records).values())
        kinds.append({one for source in sources for one in _classes(home, source)})
    moved = (kinds[0] | kinds[1]) & MOVING
    reasons += [f"{one.replace('_', ' ')} facts would move" for one in sorted(moved)]
    return list(dict.fromkeys(reasons))


def records_of_person(home: Home, person: str) -> list[bytes]:
    """Return the records of a person by their casework reference."""
    found = records_of(home.linkage, home.domain("casework").parse(person), home.link_runs())
    return home.domain("linkage").open(found)


def _classes(home: Home, source: str) -> set[str]:
    classes = home.pack.register.vocabulary.categories
    return {
        classes[one.category]
        for one in home.pack.sources[source].fields.values()
        if one.lane == "content" and one.category in classes
    }
