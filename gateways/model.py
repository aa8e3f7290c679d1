"""The register as frozen values: vocabulary, gateways, agreements and their parties."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum


class Kind(StrEnum):
    """What a record of the register is able to do (law.md 1.6, law_verified.md C)."""

    EXPRESS_POWER = "express_power"
    EXPRESS_DUTY = "express_duty"
    FUNCTION = "function"
    GENERAL_POWER = "general_power"
    ANCILLARY = "ancillary"
    RESTRICTION = "restriction"
    NOT_A_GATEWAY = "not_a_gateway"
    REPEALED = "repealed"
    UNVERIFIED = "unverified"


# A record of any other kind never permits by itself (LAW-2).
PERMITTING = frozenset({Kind.EXPRESS_POWER, Kind.EXPRESS_DUTY, Kind.FUNCTION})


def expand(names: Iterable[str], groups: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return the bodies that `names` stands for, groups opened."""
    return frozenset[str]().union(*(groups.get(name, frozenset({name})) for name in names))


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The closed lists of the law side.

    Attributes:
        bodies: Kinds of public body, for example ``la`` or ``police``.
        groups: Name of a body group to the bodies in it.
        purposes: Purpose token to its plain-English label.
        never_purposes: Purposes that are refused for every role and gateway (T-GM14).
        counts_only: Purposes of counts alone; nothing about a person is asked for them (DPA Sch.1 para 8(3)).
        le_purposes: Purposes of law enforcement in the sense of DPA 2018 s.31.
        competent: Bodies that are competent authorities under DPA 2018 s.30.
        public_authorities: Bodies that may never rely on Article 6(1)(ea).
        categories: Category of data to its sensitivity class.
        classes: Sensitivity class to the extra bases it needs, any of ``art9`` and ``art10``.
        dea_factors: Indicator code to the factor of SI 2018/912 that it evidences.
    """

    bodies: frozenset[str]
    groups: dict[str, frozenset[str]]
    purposes: dict[str, str]
    never_purposes: frozenset[str]
    counts_only: frozenset[str]
    le_purposes: frozenset[str]
    competent: frozenset[str]
    public_authorities: frozenset[str]
    categories: dict[str, str]
    classes: dict[str, frozenset[str]]
    dea_factors: dict[str, str]

    def expand(self, names: Iterable[str]) -> frozenset[str]:
        """Return the bodies that `names` stands for, groups opened."""
        return expand(names, self.groups)


@dataclass(frozen=True, slots=True)
class Gateway:
    """One record of the register. Bodies are given with their groups opened.

    Attributes:
        overrides_confidence: ``yes``, ``no`` or ``unknown``; unknown never counts as yes.
        unverified_from: Bodies that may give only when a lawyer's confirmation is recorded.
        unverified_to: Bodies that may receive only then.
        never_party: Bodies that may stand at neither end, nor behind derived data.
        applies_to: For a restriction: the categories whose every flow it adds its conditions to.
        unverified: Which parts of the record nobody has checked against a text.
    """

    id: str
    cite: str
    kind: Kind
    in_force_from: date | None
    in_force_to: date | None
    enabled: bool
    overrides_confidence: str
    parties_from: frozenset[str]
    parties_to: frozenset[str]
    unverified_from: frozenset[str]
    unverified_to: frozenset[str]
    never_party: frozenset[str]
    purposes: frozenset[str]
    allow: frozenset[str]
    deny: frozenset[str]
    applies_to: frozenset[str]
    conditions: tuple[str, ...]
    article6: tuple[str, ...]
    article9: tuple[str, ...]
    article10: tuple[str, ...]
    schedule1: tuple[str, ...]
    reviewed_on: date
    verified: bool
    unverified: tuple[str, ...]
    text_vintage: str
    note: str
    file: str
    line: int = 1

    def in_force(self, as_of: date) -> bool:
        """Say whether the record is law on `as_of` (law is evaluated at the decision's date).

        A record whose first day nobody knows is never law here.
        """
        ended = self.in_force_to is not None and as_of > self.in_force_to
        return self.in_force_from is not None and self.in_force_from <= as_of and not ended

    def changes(self) -> Iterator[date]:
        """Yield the days on which the answer of this record may differ from the day before."""
        if self.in_force_from:
            yield self.in_force_from
        if self.in_force_to:
            yield self.in_force_to + timedelta(days=1)


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
        dpia_expires: Last day on which its impact assessment counts (LAW-14).
        notes: Evidence recorded with the agreement, keyed ``<gateway>.<note>`` or ``<note>``; a
            function gateway permits nothing without its implied-power note.
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
    dpia: str
    dpia_expires: date
    text_sha256: str
    signatories: tuple[str, ...]
    notes: dict[str, str]
    file: str
    line: int = 1

    def stops(self) -> dict[str, date]:
        """Return what ends the agreement: name to the last day on which it carries anything."""
        return {"end": self.end, "review": self.review, "dpia": self.dpia_expires}

    def in_force(self, as_of: date) -> bool:
        """Say whether the agreement carries anything on `as_of`; past review stops it (LAW-14)."""
        return self.start <= as_of <= min(self.stops().values())

    def note(self, gateway: str, name: str) -> str:
        """Return the evidence recorded under a name, for this gateway or for all; else empty."""
        return (self.notes.get(f"{gateway}.{name}") or self.notes.get(name) or "").strip()

    def changes(self) -> Iterator[date]:
        """Yield the days on which the answer of this agreement differs from the day before."""
        yield self.start
        for last in self.stops().values():
            yield last + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Register:
    """Everything the law side knows, loaded together so that one hash covers it.

    Attributes:
        suspended: Agreements that are stopped today by an act that stands outside the signed text
            and outside the policy's hash; passed in as a value.
    """

    vocabulary: Vocabulary
    gateways: dict[str, Gateway]
    agreements: dict[str, Agreement]
    parties: dict[str, Party]
    suspended: frozenset[str] = field(default=frozenset())

    def restrictions(self, category: str, as_of: date) -> list[Gateway]:
        """Return the restrictions that bind every flow of a category on a day, by their ids."""
        return [
            one
            for _, one in sorted(self.gateways.items())
            if one.kind is Kind.RESTRICTION and category in one.applies_to and one.in_force(as_of)
        ]

    def changes(self) -> set[date]:
        """Return every day on which some answer of the register may differ from the day before."""
        found: set[date] = set()
        for gateway in self.gateways.values():
            found.update(gateway.changes())
        for agreement in self.agreements.values():
            found.update(agreement.changes())
        return found


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason against a flow: a stable code, the rule's id and a sentence without a value."""

    code: str
    rule: str
    sentence: str

    @property
    def key(self) -> str:
        """The reason as tests and reports name it: ``E13:cap.protected``."""
        return f"{self.code}:{self.rule}"
