"""What a condition of the register is: an id, a moment, a sentence and a small pure check.

``flow`` conditions are answered by the agreement and the two bodies, ``row`` conditions by what is
known of the person a row speaks of, ``request`` conditions by what somebody who asks has stated or
trusted tables hold. A condition that is unknown, or whose fact is missing, is not met.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from gateways.model import Agreement, Gateway


class When(StrEnum):
    """At which moment of the straight line a condition can be answered."""

    FLOW = "flow"
    ROW = "row"
    REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow that is asked about: who gives which category to whom, for what, on which day.

    Attributes:
        from_body: Body that gives.
        to_body: Body that receives.
        category: Category of data.
        has_retention: Whether a retention period is stated for the field.
        as_of: Date of the decision.
        purpose: Why it moves.
        regime: ``ukgdpr`` or ``le_part3``, the regime of the data where it comes from.
        origins: Bodies whose data stands behind it; for derived data all inputs, else the giver.
        inputs: Categories that stand behind it; for derived data all inputs, else its own.
    """

    from_body: str
    to_body: str
    category: str
    has_retention: bool
    as_of: date
    purpose: str
    regime: str
    origins: frozenset[str]
    inputs: frozenset[str]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a check may look at. `facts` is empty for a ``flow`` condition."""

    flow: Flow
    gateway: Gateway
    agreement: Agreement
    facts: Mapping[str, object]

    def note(self, name: str) -> str:
        """Return a note of the agreement, or empty."""
        return self.agreement.note(self.gateway.id, name)


Check = Callable[[Evidence], bool]


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of the register.

    Attributes:
        id: Token used in the register.
        when: The moment at which it can be answered.
        sentence: What is missing when it is not met, in plain English.
        met: The check.
        basis: ``statute``, ``code_or_policy`` or ``design``: where the condition comes from.
    """

    id: str
    when: When
    sentence: str
    met: Check
    basis: str = "statute"


def noted(name: str, allowed: frozenset[str] | None = None) -> Check:
    """Met when the agreement records a note of this name, for this gateway or for all of it.

    Args:
        name: Name of the note.
        allowed: When given, the note must be one of these codes.
    """

    def met(at: Evidence) -> bool:
        text = at.note(name)
        return bool(text) and (allowed is None or text in allowed)

    return met


def stated(name: str) -> Check:
    """Met when the fact is True itself; absent, unknown or any other value is not."""
    return lambda at: at.facts.get(name) is True


def one_of(name: str, allowed: frozenset[str]) -> Check:
    """Met when the fact is one of the codes."""
    return lambda at: at.facts.get(name) in allowed


def age_between(lowest: int, highest: int) -> Check:
    """Met when the age in whole years lies in the range; an unknown age is not met."""

    def met(at: Evidence) -> bool:
        age = at.facts.get("age_years")
        return isinstance(age, int) and not isinstance(age, bool) and lowest <= age <= highest

    return met


def in_order(first: str, second: str) -> Check:
    """Met when both facts are dates and `first` is not after `second` nor after the decision."""

    def met(at: Evidence) -> bool:
        one, two = at.facts.get(first), at.facts.get(second)
        return isinstance(one, date) and isinstance(two, date) and one <= two <= at.flow.as_of

    return met


def never(_: Evidence) -> bool:
    """Not met by anything: the provision permits nothing without another."""
    return False
