"""The pack as frozen values, and the questions of the policy engine. Answers stand in `view`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum
from typing import Any

from gateways.model import Register

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
    """A capacity in which somebody acts.

    Attributes:
        agencies: Those whose staff may hold it.
        kind: ``practice``, ``analysis``, ``oversight`` or ``submission``.
        training: Whether a training that has run out suspends the role (LAW-14).
    """

    id: str
    label: str
    agencies: frozenset[str]
    kind: str
    training: bool


@dataclass(frozen=True, slots=True)
class PackVocabulary:
    """The closed lists of the policy side.

    Attributes:
        closing_flags: Record flags that close a record to everything derived: a record of which one
            holds, or is unknown, counts nowhere (DESIGN 4).
        transforms: Type of field to level to the name of the transform that coarsens it.
        break_glass_purpose: The purpose of the grants for immediate danger.
        break_glass_reviewers: Roles that may review such a use afterwards.
        denied_features: What no product may take as evidence (LAW-27).
        profile_only: Themes of which counts may be made and no list of people.
    """

    host: str
    roles: dict[str, Role]
    subject_flags: frozenset[str]
    record_flags: frozenset[str]
    closing_flags: frozenset[str]
    obligations: dict[str, str]
    transforms: dict[str, dict[str, str]]
    break_glass_purpose: str
    break_glass_reviewers: frozenset[str]
    denied_features: frozenset[str] = frozenset()
    profile_only: frozenset[str] = frozenset()

    @property
    def flags(self) -> tuple[str, ...]:
        """Every flag of a state, in the order of its bits."""
        return tuple(sorted(self.subject_flags | self.record_flags))


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a source, with everything that decides its passage and its display.

    Attributes:
        lane: ``identity`` goes to the vault, ``content`` feeds events and states, ``equality`` is kept
            apart for counts of fairness.
        part: For identity fields, which part of an identity it is (``given_name`` ...).
        transforms: Level below ``clear`` to the name of the transform that makes its form.
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
    free_text: bool
    transforms: Mapping[str, str]
    spec: Mapping[str, Any] = field(repr=False)
    line: int = 1


@dataclass(frozen=True, slots=True)
class Source:
    """A data set of an agency: its contract and the policy of each of its fields.

    Attributes:
        derived_from: For data the engine makes: the sources behind it, each named.
        feeds_models: Whether a model may take it as an input or label; a score never (LAW-27).
        origins: Bodies whose data stands behind it, lineage followed to the end.
        inputs: Categories that stand behind it; empty for a partner's own source.
        delivery: How it is sent: mode, cadence, volumes, row keys; intake interprets it.
        tables: Files, sheets or elements that belong together; none means one table.
        checks: Rules over several cells, rows or tables, each with an id and a severity.
        changes: What of its layout or codes changed, when and why.
        people_once: Whether it holds nobody twice: two of its ids are then two people.
    """

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
    derived_from: frozenset[str]
    feeds_models: bool
    origins: frozenset[str]
    inputs: frozenset[str]
    file: str
    delivery: Mapping[str, Any] = field(repr=False, default_factory=dict)
    tables: tuple[Mapping[str, Any], ...] = ()
    checks: tuple[Mapping[str, Any], ...] = ()
    changes: tuple[Mapping[str, Any], ...] = ()
    people_once: bool = False


@dataclass(frozen=True, slots=True)
class Product:
    """What the engine makes of evidence, as governance declares it.

    Attributes:
        kind: ``list`` bounds whom a team looks at; ``profile`` gives counts and names nobody.
        theme: Theme of the points table.
        gateways: Under which the evidence is used for `purpose`.
        evidence: Kinds of events and states that may carry points.
        links: Kinds of relationships along which risk may pass.
        tracks: Track to the age it is for.
        lists: Review lists that come of it.
        label: Kind that says what became of somebody; never evidence.
        exclusions: Who or what is left out.
        family: Always the members' own evidence.
        release: What was brought before two people released it.
        algo_care: The eight answers of ALGO-CARE.
    """

    id: str
    title: str
    kind: str
    theme: str
    purpose: str
    gateways: tuple[str, ...]
    evidence: tuple[str, ...]
    links: tuple[str, ...]
    tracks: Mapping[str, str]
    lists: tuple[str, ...]
    label: str
    exclusions: frozenset[str]
    family: str
    release: Mapping[str, Any] = field(repr=False)
    algo_care: Mapping[str, str] = field(repr=False)
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
    line: int = 1


@dataclass(frozen=True, slots=True)
class Cap:
    """A restriction: where `when` holds, no field of these categories is shown above `level`."""

    id: str
    when: State
    roles: frozenset[str]
    except_roles: frozenset[str]
    categories: frozenset[str]
    sources: frozenset[str]
    level: Level
    disclosure: str
    why: str
    file: str
    line: int = 1

    def concerns(self, role: str, source: str, category: str) -> bool:
        """Say whether the cap speaks of this role, source and category in some state."""
        return (
            (not self.roles or role in self.roles)
            and role not in self.except_roles
            and (not self.categories or category in self.categories)
            and (not self.sources or source in self.sources)
        )

    def holds(self, state: State) -> bool:
        """Say whether its flags hold; a flag that is unknown counts as the value it asks for."""
        return all(
            state.get(flag) not in ("y", "n") or state[flag] == wanted
            for flag, wanted in self.when.items()
        )


@dataclass(frozen=True, slots=True)
class Approval:
    """One agreement that a change of policy needs, by what the change touches.

    Attributes:
        classes: Classes of data whose change needs it; empty for every change.
    """

    id: str
    label: str
    roles: frozenset[str]
    classes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Waiver:
    """A signed acceptance of one warning about one thing, until a day."""

    rule: str
    subject: str
    signed_by: str
    until: date
    why: str


@dataclass(frozen=True, slots=True)
class CommunalAddress:
    """An address where many are registered, so that sharing it is no evidence (linkage.md 4.1, case 23).

    Attributes:
        kind: What stands there, for example ``hostel``.
        uprn: Its property reference, or empty.
        address: House and street, or empty: then the whole postcode is meant.
        postcode: Its postcode, or empty.
        source: Where the partnership has it from.
        reviewed_on: When somebody last looked whether it is still so.
    """

    id: str
    kind: str
    uprn: str
    address: str
    postcode: str
    source: str
    reviewed_on: date


@dataclass(frozen=True, slots=True)
class Witnessing:
    """Which other partners sign the checkpoints of the audit trail, and how many of them must.

    Attributes:
        witnesses: Name and public key of each.
        quorum: How many must vouch before the trail counts as witnessed.
        alarm_after_hours: After how long without a word a witness is late; an alarm and never a block.
    """

    witnesses: tuple[tuple[str, str], ...] = ()
    quorum: int = 0
    alarm_after_hours: int = 24


@dataclass(frozen=True, slots=True)
class Governance:
    """Who must agree to a change of policy, and what was accepted in writing.

    Attributes:
        dpia: Reference of the pack's impact assessment; expired means no activation (T-GM10).
        advice: Roles that advise on a change and never approve it.
        forget_after_days: Days for which an encoding is kept that linkage needs no more.
        communal: Addresses that are nobody's home.
        linkage_model: Hash of the linkage model that two people agreed to; empty for the shipped one.
        witnessing: Who witnesses the audit trail.
    """

    dpia: str
    dpia_expires: date
    dpo_advice: str
    approvals: tuple[Approval, ...]
    advice: frozenset[str]
    waivers: tuple[Waiver, ...]
    forget_after_days: int
    communal: tuple[CommunalAddress, ...] = ()
    linkage_model: str = ""
    witnessing: Witnessing = Witnessing()


@dataclass(frozen=True, slots=True)
class Pack:
    """Register and pack together, with the hash that names this version of the policy.

    A pack is immutable, and what is compiled from it lives and dies with it: `compiled` is never
    carried over by `dataclasses.replace`, so no changed pack can answer from an old table. `spots`
    holds the lines of the files' values, so that a finding points at one.
    """

    register: Register
    vocabulary: PackVocabulary
    sources: dict[str, Source]
    grants: tuple[Grant, ...]
    caps: tuple[Cap, ...]
    routes: Mapping[str, frozenset[str]]
    governance: Governance
    version: str
    spots: Mapping[str, Mapping[str, int]] = field(repr=False, compare=False, default_factory=dict)
    products: Mapping[str, Product] = field(default_factory=dict)
    compiled: dict[Any, Any] = field(init=False, repr=False, compare=False, default_factory=dict)

    def grants_of(self, role: str, agency: str, purpose: str) -> tuple[Grant, ...]:
        """Return the grants for a role, agency and purpose, in order of their ids."""
        index = self.compiled.get("grants")
        if index is None:
            index = {}
            for grant in sorted(set(self.grants), key=lambda one: one.id):
                index.setdefault((grant.role, grant.agency, grant.purpose), []).append(grant)
            self.compiled["grants"] = index
        return tuple(index.get((role, agency, purpose), ()))

    def line(self, file: str, *places: str) -> int:
        """Return the line of the first place that the file states, or 1 for the file as a whole."""
        known = self.spots.get(file, {})
        return next((known[place] for place in places if place in known), 1)

    def interval(self, as_of: date) -> int:
        """Return the number of the stretch of days, between changes of law, that holds a date."""
        days = self.compiled.get("days")
        if days is None:
            days = self.compiled["days"] = sorted(self.register.changes())
        return bisect_right(days, as_of)

    def giver(self, source: Source) -> str:
        """Return the agency that gives a source: its own, or the host for derived data."""
        return self.vocabulary.host if source.agency == "engine" else source.agency


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks, in which role, for what, with the facts of the request."""

    role: str
    agency: str
    purpose: str
    facts: Mapping[str, object] = field(default_factory=dict)
