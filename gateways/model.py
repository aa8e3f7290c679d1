"""The register as frozen values: vocabulary, gateways, agreements and their parties."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Kind(StrEnum):
    """What a record of the register is able to do (law.md 1.6)."""

    EXPRESS_POWER = "express_power"
    EXPRESS_DUTY = "express_duty"
    FUNCTION = "function"
    GENERAL_POWER = "general_power"
    RESTRICTION = "restriction"
    NOT_A_GATEWAY = "not_a_gateway"
    REPEALED = "repealed"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The closed lists of the law side.

    Attributes:
        bodies: Kinds of public body, for example ``la`` or ``police``.
        groups: Name of a body group to the bodies in it.
        purposes: Purpose token to its plain-English label.
        never_purposes: Purposes that are refused for every role and gateway (T-GM14).
        categories: Category of data to its sensitivity class.
        classes: Sensitivity class to the extra bases it needs, any of ``art9`` and ``art10``.
    """

    bodies: frozenset[str]
    groups: dict[str, frozenset[str]]
    purposes: dict[str, str]
    never_purposes: frozenset[str]
    categories: dict[str, str]
    classes: dict[str, frozenset[str]]

    def expand(self, names: tuple[str, ...]) -> frozenset[str]:
        """Return the bodies that `names` stands for, groups opened."""
        found: set[str] = set()
        for name in names:
            found |= self.groups.get(name, frozenset({name}))
        return frozenset(found)


@dataclass(frozen=True, slots=True)
class Gateway:
    """One record of the register. `parties_from` and `parties_to` are bodies, groups opened."""

    id: str
    cite: str
    kind: Kind
    in_force_from: date
    in_force_to: date | None
    enabled: bool
    overrides_confidence: bool
    parties_from: frozenset[str]
    parties_to: frozenset[str]
    purposes: frozenset[str]
    allow: frozenset[str]
    deny: frozenset[str]
    conditions: tuple[str, ...]
    article6: tuple[str, ...]
    article9: tuple[str, ...]
    article10: tuple[str, ...]
    schedule1: tuple[str, ...]
    reviewed_on: date
    verified: bool
    file: str

    def in_force(self, as_of: date) -> bool:
        """Say whether the record is law on `as_of` (law is evaluated at the decision's date)."""
        ended = self.in_force_to is not None and as_of > self.in_force_to
        return self.in_force_from <= as_of and not ended


@dataclass(frozen=True, slots=True)
class Party:
    """A partner agency and the kind of body it is in law."""

    agency: str
    body: str
    name: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """A signed data sharing agreement: who, what, under which gateway, for what, until when.

    Attributes:
        notes: Evidence recorded with the agreement, keyed ``<gateway>.<condition>`` or
            ``<condition>``; a function gateway permits nothing without its implied-power note.
    """

    id: str
    title: str
    parties: frozenset[str]
    sources: frozenset[str]
    gateways: frozenset[str]
    purposes: frozenset[str]
    start: date
    end: date
    review: date
    text_sha256: str
    signatories: tuple[str, ...]
    notes: dict[str, str]
    file: str

    def in_force(self, as_of: date) -> bool:
        """Say whether the agreement carries anything on `as_of`; past review stops it (LAW-14)."""
        return self.start <= as_of <= min(self.end, self.review)


@dataclass(frozen=True, slots=True)
class Register:
    """Everything the law side knows, loaded together so that one hash covers it."""

    vocabulary: Vocabulary
    gateways: dict[str, Gateway]
    agreements: dict[str, Agreement]
    parties: dict[str, Party]


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason against a flow: a stable code, the rule's id and a sentence without a value."""

    code: str
    rule: str
    sentence: str
