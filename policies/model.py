"""The pack as frozen values, and the questions and answers of the policy engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from gateways.model import Finding, Register

State = Mapping[str, str]
"""Flag to ``y`` or ``n``; a flag that is absent is unknown and takes the strictest reading."""


class Level(IntEnum):
    """How much of a field is shown (policy.md 5.3)."""

    REFUSE = 0
    EXISTS = 1
    TOKEN = 2
    BANDED = 3
    CLEAR = 4


@dataclass(frozen=True, slots=True)
class Role:
    """A capacity in which somebody acts; `agencies` are those whose staff may hold it."""

    id: str
    label: str
    agencies: frozenset[str]


@dataclass(frozen=True, slots=True)
class PackVocabulary:
    """The closed lists of the policy side."""

    host: str
    roles: dict[str, Role]
    subject_flags: frozenset[str]
    record_flags: frozenset[str]
    obligations: dict[str, str]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a source, with everything that decides its passage and its display.

    Attributes:
        lane: ``identity`` goes to the vault, ``content`` feeds events and states.
        part: For identity fields, which part of an identity it is (``given_name`` ...).
        spec: Reading instructions (type, columns, codes, formats) that intake interprets.
    """

    source: str
    name: str
    label: str
    category: str
    data_class: str
    lane: str
    part: str | None
    gateways: tuple[str, ...]
    agreements: tuple[str, ...]
    purposes: tuple[str, ...]
    retention_years: int | None
    spec: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Source:
    """A data set of an agency: its contract and the policy of each of its fields."""

    id: str
    agency: str
    title: str
    regime: str
    scheme: str
    key: str
    fields: dict[str, Field]
    layouts: tuple[Mapping[str, Any], ...]
    yields: tuple[Mapping[str, Any], ...]
    record_defaults: Mapping[str, str]
    row_error_limit: float
    file: str


@dataclass(frozen=True, slots=True)
class Grant:
    """A role's right to see a class, for one purpose, at one level, with obligations."""

    id: str
    role: str
    agency: str
    purpose: str
    data_class: str
    level: Level
    agreements: tuple[str, ...]
    sources: frozenset[str]
    obligations: tuple[str, ...]
    why: str
    file: str


@dataclass(frozen=True, slots=True)
class Cap:
    """A restriction: where `when` holds, no field of these categories is shown above `level`."""

    id: str
    when: State
    roles: frozenset[str]
    except_roles: frozenset[str]
    categories: frozenset[str]
    level: Level
    disclosure: str
    file: str

    def bites(self, role: str, category: str, state: State) -> bool:
        """Say whether the cap applies; an unknown flag counts as the value the cap asks for."""
        if self.roles and role not in self.roles:
            return False
        if role in self.except_roles:
            return False
        if self.categories and category not in self.categories:
            return False
        return all(state.get(flag, wanted) == wanted for flag, wanted in self.when.items())


@dataclass(frozen=True, slots=True)
class Pack:
    """Register and pack together, with the hash that names this version of the policy."""

    register: Register
    vocabulary: PackVocabulary
    sources: dict[str, Source]
    grants: tuple[Grant, ...]
    caps: tuple[Cap, ...]
    routes: Mapping[str, frozenset[str]]
    version: str


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks, in which capacity, why. States and facts come from trusted tables."""

    role: str
    agency: str
    purpose: str
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FieldView:
    """The answer for one field, before a state is known.

    Attributes:
        ceiling: Highest level over the grants, ``refuse`` when a structural check failed.
        basis: (agreement, gateway) relied on, or None when refused.
        obligations: Union over every grant that was met, sorted.
        caps: Caps that may lower the level, depending on the state.
        reasons: Every reason against, and the ids of the grants for.
    """

    category: str
    ceiling: Level
    basis: tuple[str, str] | None
    obligations: tuple[str, ...]
    caps: tuple[Cap, ...]
    reasons: tuple[Finding, ...]
    grants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class View:
    """The policy engine's answer for one source. Data code accepts nothing else.

    There is no truth value: a caller asks for the level of a field in a state.
    """

    source: str
    role: str
    purpose: str
    fields: Mapping[str, FieldView]
    policy_version: str

    def level(self, name: str, state: State) -> Level:
        """Return ``min(max over grants, min over caps)`` of field `name` in `state`."""
        view = self.fields.get(name)
        if view is None:
            return Level.REFUSE
        caps = (cap.level for cap in self.biting(name, state))
        return Level(min([view.ceiling, *caps]))

    def biting(self, name: str, state: State) -> tuple[Cap, ...]:
        """Return the caps that lower field `name` in `state`."""
        view = self.fields[name]
        return tuple(cap for cap in view.caps if cap.bites(self.role, view.category, state))

    def __bool__(self) -> bool:
        """Refuse to be a bare yes or no."""
        raise TypeError("a View has no truth value; ask it for a level")


@dataclass(frozen=True, slots=True)
class FieldAdmission:
    """Whether one field may enter today, for which purposes, and the reasons if not.

    Attributes:
        row_bases: Bases whose gateway asks something of each row's person; empty when some basis
            asks nothing.
    """

    name: str
    admitted: bool
    purposes: tuple[str, ...]
    bases: tuple[tuple[str, str], ...]
    row_bases: tuple[tuple[str, str], ...]
    reasons: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer of `admit`: one `FieldAdmission` per field asked about."""

    source: str
    fields: Mapping[str, FieldAdmission]
    policy_version: str

    @property
    def admitted(self) -> tuple[str, ...]:
        """Names of the fields that may enter."""
        return tuple(name for name, answer in self.fields.items() if answer.admitted)

    @property
    def refused(self) -> tuple[str, ...]:
        """Names of the fields that may not."""
        return tuple(name for name, answer in self.fields.items() if not answer.admitted)
