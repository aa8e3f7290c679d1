"""Does this law, under this agreement, let this category pass from this body to that one?

All checks run, so a refusal lists every reason (DESIGN 4). Each reason has a code of its own: the
letter code of policy.md 6 and the rule that spoke, for example ``E06:cda1998.s115.to``.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateways.answers import six_answers
from gateways.catalogue import CONDITIONS
from gateways.conditions import Condition, Evidence, Flow, When
from gateways.model import PERMITTING, Agreement, Finding, Gateway, Register


def flow_findings(
    register: Register, gateway: Gateway, agreement: Agreement, flow: Flow
) -> tuple[Finding, ...]:
    """Return every reason why the flow is not open; an empty tuple means it is.

    Args:
        register: The loaded register.
        gateway: The gateway relied on.
        agreement: The agreement relied on; its parties and sources are checked by policies.
        flow: From, to, category, purpose, regime, retention and date.

    Returns:
        Findings with stable codes. ``flow`` conditions are evaluated, those of restrictions among
        them; ``row`` and ``request`` ones are left to `condition_findings`.
    """
    _, answers = six_answers(register, gateway, agreement, flow)
    reasons = [
        *_vires(gateway, flow),
        *_agreement(register, gateway, agreement, flow),
        *answers,
        *condition_findings(register, gateway, agreement, flow, When.FLOW, {}),
    ]
    if flow.purpose in register.vocabulary.never_purposes:
        reasons.append(
            Finding("E04", "purpose.never", f"the purpose {flow.purpose} is never served")
        )
    return tuple(reasons)


def _vires(gateway: Gateway, flow: Flow) -> list[Finding]:
    rule, cite, reasons = gateway.id, gateway.cite, []

    def refuse(code: str, part: str, sentence: str) -> None:
        reasons.append(Finding(code, f"{rule}.{part}", sentence))

    if gateway.kind not in PERMITTING:
        refuse("E03", "kind", f"{cite} never permits by itself")
    if not gateway.enabled:
        refuse("E03", "enabled", f"{cite} is switched off")
    if not gateway.in_force(flow.as_of):
        refuse("E03", "in_force", f"{cite} is not in force on that date")
    if flow.purpose not in gateway.purposes:
        refuse("E04", "purpose", f"{cite} does not serve {flow.purpose}")
    if flow.category in gateway.deny:
        refuse("E03", "deny", f"{cite} is closed to {flow.category}")
    elif flow.category not in gateway.allow:
        refuse("E03", "category", f"{cite} does not cover {flow.category}")
    if (flow.origins | {flow.from_body, flow.to_body}) & gateway.never_party:
        refuse("E06", "never_party", f"a body behind this is never a party to {cite}")
    return reasons


def _parties(gateway: Gateway, agreement: Agreement, flow: Flow) -> list[Finding]:
    """A party that no text confirms counts only when a lawyer's confirmation is recorded."""
    confirmed = bool(agreement.note(gateway.id, "lawyer_confirmed"))
    reasons = []
    for side, body, known, doubtful, verb in (
        ("from", flow.from_body, gateway.parties_from, gateway.unverified_from, "give"),
        ("to", flow.to_body, gateway.parties_to, gateway.unverified_to, "receive"),
    ):
        if body in known or (body in doubtful and confirmed):
            continue
        part = f"{side}_unverified" if body in doubtful else side
        words = f"{gateway.cite} does not let {body} {verb}"
        if body in doubtful:
            words += " until a lawyer has confirmed it"
        reasons.append(Finding("E06", f"{gateway.id}.{part}", words))
    return reasons


def _agreement(
    register: Register, gateway: Gateway, agreement: Agreement, flow: Flow
) -> list[Finding]:
    reasons, name, as_of = _parties(gateway, agreement, flow), agreement.id, flow.as_of
    if as_of < agreement.start:
        reasons.append(Finding("E05", f"{name}.start", f"agreement {name} has not started"))
    words = {"end": "has ended", "review": "is past its review", "dpia": "has no current DPIA"}
    for part, last in agreement.stops().items():
        if as_of > last:
            reasons.append(Finding("E05", f"{name}.{part}", f"agreement {name} {words[part]}"))
    if name in register.suspended:
        reasons.append(Finding("E05", f"{name}.suspended", f"agreement {name} is suspended"))
    if gateway.id not in agreement.gateways:
        reasons.append(Finding("E09", name, f"{name} does not rely on {gateway.id}"))
    if flow.purpose not in agreement.purposes:
        reasons.append(Finding("E08", name, f"{name} does not agree {flow.purpose}"))
    return reasons


def conditions_of(
    register: Register, gateway: Gateway, flow: Flow
) -> list[tuple[Gateway, Condition]]:
    """Return the gateway's conditions and those of every restriction on the category."""
    records = [gateway, *register.restrictions(flow.category, flow.as_of)]
    return [(record, CONDITIONS[name]) for record in records for name in record.conditions]


def condition_findings(
    register: Register,
    gateway: Gateway,
    agreement: Agreement,
    flow: Flow,
    when: When,
    facts: Mapping[str, object],
) -> tuple[Finding, ...]:
    """Return the conditions of one moment that are not met, given the `facts` at hand.

    A check that fails to run is not a check that passed: it refuses with ``E15``.
    """
    reasons = []
    for record, condition in conditions_of(register, gateway, flow):
        if condition.when is not when:
            continue
        rule = f"{record.id}.{condition.id}"
        try:
            met = condition.met(Evidence(flow, record, agreement, facts))
        except Exception:  # noqa: BLE001  # an error inside a check refuses, whatever it is
            reasons.append(Finding("E15", rule, "the check could not be made"))
            continue
        if not met:
            reasons.append(Finding("E10", rule, condition.sentence))
    return tuple(reasons)


def asks(register: Register, gateway: Gateway, flow: Flow, when: When) -> bool:
    """Say whether the gateway, or a restriction on the category, has a condition of this moment."""
    return any(one.when is when for _, one in conditions_of(register, gateway, flow))
