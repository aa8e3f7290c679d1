"""The conditions of the register: small pure checks, each with an id and a moment.

``flow`` conditions are facts about the agreement, ``row`` conditions about the person a row speaks
of, ``request`` conditions about somebody who asks. A condition that is unknown, or whose fact is
missing, is not met.
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
    """One flow that is asked about: who gives which category to whom, under what, on which day."""

    from_body: str
    to_body: str
    category: str
    has_retention: bool
    as_of: date


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of the register.

    Attributes:
        id: Token used in the register.
        when: The moment at which it can be answered.
        sentence: What is missing when it is not met, in plain English.
        met: The check; arguments are the flow, gateway, agreement and the facts at hand.
    """

    id: str
    when: When
    sentence: str
    met: Callable[[Flow, Gateway, Agreement, Mapping[str, object]], bool]


def _note(
    condition: str,
) -> Callable[[Flow, Gateway, Agreement, Mapping[str, object]], bool]:
    """Met when the agreement records a note of this name, for this gateway or for all of it."""

    def met(
        flow: Flow, gateway: Gateway, agreement: Agreement, facts: Mapping[str, object]
    ) -> bool:
        notes = agreement.notes
        return bool(notes.get(f"{gateway.id}.{condition}") or notes.get(condition))

    return met


def _fact(
    name: str,
) -> Callable[[Flow, Gateway, Agreement, Mapping[str, object]], bool]:
    """Met when the request states this fact as true; absent is false."""

    def met(
        flow: Flow, gateway: Gateway, agreement: Agreement, facts: Mapping[str, object]
    ) -> bool:
        return facts.get(name) is True

    return met


def _age_between(
    lowest: int, highest: int
) -> Callable[[Flow, Gateway, Agreement, Mapping[str, object]], bool]:
    """Met when the row's age in whole years lies in the range; an unknown age is not met."""

    def met(
        flow: Flow, gateway: Gateway, agreement: Agreement, facts: Mapping[str, object]
    ) -> bool:
        age = facts.get("age_years")
        return isinstance(age, int) and lowest <= age <= highest

    return met


def _flow_rule(
    rule: Callable[[Flow], bool],
) -> Callable[[Flow, Gateway, Agreement, Mapping[str, object]], bool]:
    def met(
        flow: Flow, gateway: Gateway, agreement: Agreement, facts: Mapping[str, object]
    ) -> bool:
        return rule(flow)

    return met


# CDA 1998 s.115 reaches only a relevant authority; names added after the copies read stay out
# until a lawyer confirms them (law_verified.md 2c, 2d).
_RELEVANT_AUTHORITY = frozenset({"police", "la", "district"})
# DEA 2017 Sch.4 Part 1 names no health body, no policing body and no charity (law_verified.md 1b).
_DEA_PERSONS = frozenset(
    {
        "la",
        "district",
        "police",
        "school",
        "academy",
        "fe_college",
        "dwp",
        "dfe",
        "hmrc",
    }
)

_LIST = (
    Condition(
        "implied_power_note",
        When.FLOW,
        "no implied-power note is recorded",
        _note("implied_power"),
    ),
    Condition(
        "necessity_recorded",
        When.FLOW,
        "no necessity note is recorded",
        _note("necessity"),
    ),
    Condition(
        "confidence_basis",
        When.FLOW,
        "no basis for confidence is recorded",
        _note("confidence"),
    ),
    Condition("dpia_ref", When.FLOW, "no DPIA is recorded", _note("dpia")),
    Condition(
        "caldicott_signoff",
        When.FLOW,
        "the Caldicott Guardian has not signed",
        _note("caldicott"),
    ),
    Condition(
        "cda_provision_cited",
        When.FLOW,
        "no provision of the 1998 Act is cited",
        _note("provision"),
    ),
    Condition(
        "necessary_or_expedient",
        When.FLOW,
        "no note says why it is needed",
        _note("necessity"),
    ),
    Condition(
        "facilitates_recipient_function",
        When.FLOW,
        "no function of the recipient is recorded",
        _note("recipient_function"),
    ),
    Condition(
        "agreement_on_register",
        When.FLOW,
        "the agreement is not on the public register",
        _note("public_register"),
    ),
    Condition(
        "two_or_more_factors",
        When.FLOW,
        "no rule for two or more factors is recorded",
        _note("two_factors"),
    ),
    Condition(
        "not_punitive",
        When.FLOW,
        "the not-punitive note is missing",
        _note("not_punitive"),
    ),
    Condition(
        "dea_code_regard",
        When.FLOW,
        "regard to the Code is not recorded",
        _note("dea_code"),
    ),
    Condition(
        "retention_stated",
        When.FLOW,
        "no retention period is stated",
        _flow_rule(lambda flow: flow.has_retention),
    ),
    Condition(
        "recipient_is_relevant_authority",
        When.FLOW,
        "the recipient is not a relevant authority",
        _flow_rule(lambda flow: flow.to_body in _RELEVANT_AUTHORITY),
    ),
    Condition(
        "both_specified_persons",
        When.FLOW,
        "a party is not a specified person of Schedule 4",
        _flow_rule(lambda flow: {flow.from_body, flow.to_body} <= _DEA_PERSONS),
    ),
    Condition("age_16_17", When.ROW, "the person is not 16 or 17", _age_between(16, 17)),
    Condition(
        "child_is_young_child",
        When.ROW,
        "the person is not a young child",
        _age_between(0, 5),
    ),
    Condition(
        "relevant_to_welfare",
        When.REQUEST,
        "the request does not say how it serves a child's welfare",
        _fact("reason_given"),
    ),
    Condition(
        "not_more_detrimental",
        When.REQUEST,
        "nobody stated that sharing is not more detrimental to the child",
        _fact("reason_given"),
    ),
    Condition(
        "decision_recorded",
        When.REQUEST,
        "the decision would not be recorded",
        _fact("decision_recorded"),
    ),
    Condition(
        "needs_other_gateway",
        When.FLOW,
        "this provision permits nothing without another",
        _flow_rule(lambda _flow: False),
    ),
    Condition(
        "separate_dpia_and_two_signatures",
        When.FLOW,
        "the separate assessment and signatures are missing",
        _note("immigration_signoff"),
    ),
)

CONDITIONS: dict[str, Condition] = {condition.id: condition for condition in _LIST}
