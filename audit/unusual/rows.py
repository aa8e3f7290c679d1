"""The plain rows that the rules read: who looked at whom, and what is known by keyed token alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

NOTHING: frozenset[str] = frozenset()


class Act(StrEnum):
    """What an access was, as far as the rules tell accesses apart."""

    VIEW = "view"
    """An identity was shown, or would have been: whoever asked knew or learned who it is."""
    EVIDENCE = "evidence"
    """Evidence under a reference, without a name: it counts in volume and carries no personal sign."""
    LIST = "list"
    """A list of references."""
    REFUSED = "refused"
    """Asked for and not given."""


@dataclass(frozen=True, slots=True)
class Look:
    """One access.

    Attributes:
        seq: Place of its event in the trail.
        actor: The user's name in the trail.
        agency: Agency whose staff the user is.
        role: Role in which it was done.
        at: Local date and time; the hours of a role are local.
        subject: Pseudonym under the audit domain, empty when nobody was named.
        act: See `Act`.
        purpose: Purpose that was stated.
        case: Keyed token of the case reference, empty without one.
        explained: Ids of the explanations that the house knows for this look.
    """

    seq: int
    actor: str
    agency: str
    role: str
    at: datetime
    subject: str
    act: Act
    purpose: str = ""
    case: str = ""
    explained: frozenset[str] = NOTHING

    @property
    def personal(self) -> bool:
        """Whether it was about somebody who was named: seen, or asked for and refused."""
        return bool(self.subject) and self.act in (Act.VIEW, Act.REFUSED)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Keyed tokens of somebody; two people who share one share what it was made of."""

    oneself: frozenset[str] = field(default=NOTHING, repr=False)
    surname: frozenset[str] = field(default=NOTHING, repr=False)
    address: frozenset[str] = field(default=NOTHING, repr=False)
    street: frozenset[str] = field(default=NOTHING, repr=False)
    area: frozenset[str] = field(default=NOTHING, repr=False)


@dataclass(frozen=True, slots=True)
class User:
    """A member of staff as the monitor knows them; nobody need be enrolled.

    Attributes:
        tokens: Of what they declared, nothing when they declared nothing.
        areas: Tokens of the areas that their team works in.
        team: Id of the team, for counts alone.
    """

    tokens: Tokens = Tokens()
    areas: frozenset[str] = field(default=NOTHING, repr=False)
    team: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """Somebody who was looked at.

    Attributes:
        tokens: Made by whoever holds the vault, for those who were looked at and for nobody else.
        marks: Of ``staff_kin``, ``marked`` and ``decoy``, those that hold.
    """

    tokens: Tokens = Tokens()
    marks: frozenset[str] = NOTHING
