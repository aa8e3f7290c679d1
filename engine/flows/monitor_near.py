"""How a user is near somebody they looked at, from the tokens that the monitor holds; nothing is opened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from sqlmodel import Session, select

from engine.flows.home import Home
from engine.flows.monitor_enrol import recognised, stale_users
from engine.flows.monitor_names import Names
from engine.store.monitor_tables import MonitorMember, MonitorSubject
from engine.store.session import reading


class Nearness:
    """Staff who enrolled and people who were looked at, by keyed token.

    Args:
        home: The home.

    Attributes:
        enrolled: Users whose tokens can be compared.
        stale: How many enrolled under a former key of the vault, so that theirs equal nobody's.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._names, version = Names(home), home.keyring("vault").current
        with Session(reading(home.casework)) as session:
            members = session.exec(select(MonitorMember)).all()
            subjects = session.exec(select(MonitorSubject)).all()
        self._members = {one.user: _sets(one.tokens) for one in members if one.version == version}
        self._subjects: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for each in subjects:
            if each.version == version:
                for sort, tokens in _sets(each.tokens).items():
                    self._subjects[self._names.present(each.subject)][sort] |= tokens
        self._staff: dict[str, set[str]] = defaultdict(set)
        for user, own in self._members.items():
            for token in own.get("oneself", ()):
                self._staff[token].add(user)
        self.enrolled = frozenset(self._members)
        self.stale = len(stale_users(home))

    def knows(self, user: str) -> bool:
        """Say whether the monitor can tell somebody's own record; see `monitor_enrol.recognised`."""
        return recognised(self._home, user)

    def of(self, user: str, subject: str) -> list[str] | None:
        """Return how near they are, in words; None where it cannot be compared.

        Args:
            user: The user.
            subject: Audit pseudonym of the person, also a former one.
        """
        mine, theirs = self._members.get(user), self._subjects.get(self._names.present(subject))
        if mine is None or theirs is None:
            return None

        def shared(sort: str) -> bool:
            return not mine.get(sort, set()).isdisjoint(theirs.get(sort, set()))

        if shared("oneself"):
            return ["own record"]
        others = set().union(*(self._staff.get(one, set()) for one in theirs.get("oneself", set())))
        address = shared("address")
        held = {
            "colleague": bool(others - {user}),
            "same address": address,
            "same street": not address and shared("street"),
            "same surname": shared("surname"),
        }
        return [name for name, holds in held.items() if holds]


def _sets(kept: Mapping[str, Any]) -> dict[str, set[str]]:
    return {sort: set(tokens) for sort, tokens in kept.items()}
