"""Who of staff the people that were looked at are, or live with: by equal tokens, as the monitor knows it.

An officer decides no item about a look at their own record or at somebody of their own address, and is not
told that there is one. Who is not enrolled, or enrolled under a former key, cannot be recognised.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from sqlmodel import Session, select

from engine.flows.home import Home
from engine.flows.monitor_names import Names
from engine.store.monitor_tables import MonitorItem, MonitorMember, MonitorSubject
from engine.store.tables import Account

OWN = ("oneself", "address")
"""Sorts of tokens of which an equal one means: it is they, or their household."""
EVERYWHERE = "ig_lead"
"""The role that sees items of every agency; others see those of their own agency's staff."""


class Concerned:
    """Which users each of those who were looked at concerns.

    Args:
        home: The home.
        session: Casework.
        names: Follows merges.
    """

    def __init__(self, home: Home, session: Session, names: Names) -> None:
        self._names = names
        version = home.keyring("vault").current
        bearers: dict[tuple[str, str], set[str]] = defaultdict(set)
        for member in session.exec(select(MonitorMember)).all():
            if member.version == version:
                for key in _own_tokens(member.tokens):
                    bearers[key].add(member.user)
        self._users: dict[str, set[str]] = defaultdict(set)
        for subject in session.exec(select(MonitorSubject)).all() if bearers else ():
            users = {
                user
                for key in (_own_tokens(subject.tokens) if subject.version == version else ())
                for user in bearers.get(key, ())
            }
            if users:
                self._users[subject.subject] |= users
                self._users[names.present(subject.subject)] |= users

    def users(self, subject: str) -> set[str]:
        """Return the users whom it concerns that somebody was looked at."""
        if not subject or not self._users:
            return set()
        return self._users.get(subject, set()) | self._users.get(
            self._names.present(subject), set()
        )

    def may_see(self, account: Account, item: MonitorItem) -> bool:
        """Say whether an item is for this officer: of their agency or, for the lead, of any.

        Never one about themselves, neither as who looked nor as who was looked at.
        """
        if account.user in {item.actor, *self.users(item.subject)}:
            return False
        return account.role == EVERYWHERE or item.agency == account.agency


def _own_tokens(kept: Mapping[str, list[str]]) -> list[tuple[str, str]]:
    return [(sort, token) for sort in OWN for token in kept.get(sort, ())]
