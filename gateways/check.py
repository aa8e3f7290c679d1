"""Does this law, under this agreement, let this category pass from this body to that one?

All checks run, so a refusal lists every reason (DESIGN 4). Six answers are needed and none may be
missing: vires, confidence, Article 6, Article 9, Article 10 and Schedule 1 (LAW-3).
"""

from __future__ import annotations

from collections.abc import Mapping

from gateways.conditions import CONDITIONS, Flow, When
from gateways.model import Agreement, Finding, Gateway, Kind, Register

# A record of these kinds never permits by itself (LAW-2).
_PERMITTING = frozenset({Kind.EXPRESS_POWER, Kind.EXPRESS_DUTY, Kind.FUNCTION})


def flow_findings(
    register: Register, gateway: Gateway, agreement: Agreement, purpose: str, flow: Flow
) -> tuple[Finding, ...]:
    """Return every reason why the flow is not open; an empty tuple means it is.

    Args:
        register: The loaded register.
        gateway: The gateway relied on.
        agreement: The agreement relied on; its parties and sources are checked by policies.
        purpose: Why the data moves.
        flow: From, to, category, retention and date.

    Returns:
        Findings with stable codes. ``flow`` conditions are evaluated; ``row`` and ``request`` ones
        are left to `condition_findings`.
    """
    reasons = [
        *_vires(gateway, purpose, flow),
        *_agreement(gateway, agreement, purpose, flow),
        *_bases(register, gateway, agreement, flow),
        *condition_findings(gateway, agreement, flow, When.FLOW, {}),
    ]
    if purpose in register.vocabulary.never_purposes:
        reasons.append(Finding("E04", "purpose.never", f"the purpose {purpose} is never served"))
    return tuple(reasons)


def _vires(gateway: Gateway, purpose: str, flow: Flow) -> list[Finding]:
    rule, reasons = gateway.id, []
    if gateway.kind not in _PERMITTING:
        reasons.append(Finding("E03", rule, f"{gateway.cite} never permits by itself"))
    if not gateway.enabled:
        reasons.append(Finding("E03", rule, f"{gateway.cite} is switched off"))
    if not gateway.in_force(flow.as_of):
        reasons.append(Finding("E03", rule, f"{gateway.cite} is not in force on that date"))
    if flow.from_body not in gateway.parties_from:
        reasons.append(Finding("E06", rule, f"{gateway.cite} does not let {flow.from_body} give"))
    if flow.to_body not in gateway.parties_to:
        reasons.append(Finding("E06", rule, f"{gateway.cite} does not let {flow.to_body} receive"))
    if purpose not in gateway.purposes:
        reasons.append(Finding("E04", rule, f"{gateway.cite} does not serve {purpose}"))
    if flow.category not in gateway.allow or flow.category in gateway.deny:
        reasons.append(Finding("E03", rule, f"{gateway.cite} does not cover {flow.category}"))
    return reasons


def _agreement(gateway: Gateway, agreement: Agreement, purpose: str, flow: Flow) -> list[Finding]:
    reasons = []
    if not agreement.in_force(flow.as_of):
        reasons.append(Finding("E05", agreement.id, f"agreement {agreement.id} is not in force"))
    if gateway.id not in agreement.gateways:
        reasons.append(
            Finding("E09", agreement.id, f"{agreement.id} does not rely on {gateway.id}")
        )
    if purpose not in agreement.purposes:
        reasons.append(Finding("E08", agreement.id, f"{agreement.id} does not agree {purpose}"))
    return reasons


def _bases(register: Register, gateway: Gateway, agreement: Agreement, flow: Flow) -> list[Finding]:
    """The five answers beside vires; a class states which of them it needs."""
    data_class = register.vocabulary.categories.get(flow.category)
    needs = register.vocabulary.classes.get(data_class or "", frozenset({"art9", "art10"}))
    answers = {
        "confidence": gateway.overrides_confidence or bool(_confidence(gateway, agreement)),
        "art6": bool(gateway.article6),
        "art9": "art9" not in needs or bool(gateway.article9),
        "art10": "art10" not in needs or bool(gateway.article10),
        "schedule1": not needs or bool(gateway.schedule1),
    }
    return [
        Finding("E10", f"{gateway.id}.{name}", f"no {name} basis for {flow.category}")
        for name, answered in answers.items()
        if not answered
    ]


def _confidence(gateway: Gateway, agreement: Agreement) -> str:
    notes = agreement.notes
    return notes.get(f"{gateway.id}.confidence") or notes.get("confidence") or ""


def condition_findings(
    gateway: Gateway,
    agreement: Agreement,
    flow: Flow,
    when: When,
    facts: Mapping[str, object],
) -> tuple[Finding, ...]:
    """Return the conditions of one moment that are not met, given the `facts` at hand."""
    reasons = []
    for name in gateway.conditions:
        condition = CONDITIONS[name]
        if condition.when is when and not condition.met(flow, gateway, agreement, facts):
            reasons.append(Finding("E10", f"{gateway.id}.{name}", condition.sentence))
    return tuple(reasons)
