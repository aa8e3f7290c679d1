"""Six separate answers per flow, none of them empty: a missing one refuses (LAW-3).

Vires says who may give; confidence, Article 6, Article 9, Article 10 or the law-enforcement regime,
and Schedule 1 are asked apart from it, because a power answers none of them (law.md 1.1).
"""

from __future__ import annotations

from dataclasses import dataclass

from gateways.catalogue import NO_CONSENT
from gateways.conditions import Flow
from gateways.model import Agreement, Finding, Gateway, Register

_APPROPRIATE_POLICY = frozenset({"p6", "p8", "p18"})
"""Conditions of Schedule 1 that ask for an appropriate policy document (LAW-4)."""


@dataclass(frozen=True, slots=True)
class Answers:
    """One sentence per question; an empty one is a question without an answer."""

    vires: str
    confidence: str
    article6: str
    article9: str
    article10: str
    schedule1: str

    def as_dict(self) -> dict[str, str]:
        """Return the answers for JSON."""
        return {
            "vires": self.vires,
            "confidence": self.confidence,
            "article6": self.article6,
            "article9": self.article9,
            "article10": self.article10,
            "schedule1": self.schedule1,
        }


def six_answers(
    register: Register, gateway: Gateway, agreement: Agreement, flow: Flow
) -> tuple[Answers, list[Finding]]:
    """Answer the six questions about a flow.

    Args:
        register: The register.
        gateway: The gateway relied on; `vires` names it, and the structural checks decide it.
        agreement: The agreement relied on.
        flow: The flow.

    Returns:
        The answers, and a finding for every one that is missing or invalid.
    """
    data_class = register.vocabulary.categories.get(flow.category, "")
    # An unknown class takes the stricter reading: it needs every basis.
    needs = register.vocabulary.classes.get(data_class, frozenset({"art9", "art10"}))
    plain = f"not needed for {data_class or 'this class'}"
    answers = Answers(
        vires=f"{gateway.cite} ({gateway.kind.value.replace('_', ' ')})",
        confidence=_confidence(gateway, agreement),
        article6=", ".join(f"6(1)({letter})" for letter in _article6(register, gateway, flow)),
        article9=_listed("9(2)", gateway.article9) if "art9" in needs else plain,
        article10=_article10(register, gateway, flow) if "art10" in needs else plain,
        schedule1=", ".join(_schedule1(register, gateway, flow)) if needs else plain,
    )
    findings = [
        Finding("E10", f"{gateway.id}.{name}", f"no {name} basis for {flow.category}")
        for name, answer in answers.as_dict().items()
        if not answer
    ]
    return answers, [
        *findings,
        *_invalid(register, gateway, agreement, flow, special=bool(needs)),
        *_crossing(register, gateway, agreement, flow),
    ]


def _listed(article: str, letters: tuple[str, ...]) -> str:
    return ", ".join(f"{article}({letter})" for letter in letters)


def _confidence(gateway: Gateway, agreement: Agreement) -> str:
    if gateway.overrides_confidence == "yes":
        return f"overridden by {gateway.cite}"
    return agreement.note(gateway.id, "confidence")


def _article6(register: Register, gateway: Gateway, flow: Flow) -> tuple[str, ...]:
    """Article 6(1)(ea) is never open to a public authority in its tasks (LAW-4)."""
    public = {flow.from_body, flow.to_body} & register.vocabulary.public_authorities
    return tuple(letter for letter in gateway.article6 if letter != "ea" or not public)


def _article10(register: Register, gateway: Gateway, flow: Flow) -> str:
    words = ", ".join(basis.replace("_", " ") for basis in gateway.article10)
    if flow.regime == "le_part3" and _stays_in_part_3(register, flow):
        return f"DPA 2018 Part 3{'; ' + words if words else ''}"
    return words


def _schedule1(register: Register, gateway: Gateway, flow: Flow) -> list[str]:
    """Paragraph 8 serves monitoring in counts and never a decision about one person (LAW-4)."""
    counts = flow.purpose in register.vocabulary.counts_only
    return [f"Sch.1 {one}" for one in gateway.schedule1 if one != "p8" or counts]


def _stays_in_part_3(register: Register, flow: Flow) -> bool:
    words = register.vocabulary
    return flow.purpose in words.le_purposes and flow.to_body in words.competent


def _invalid(
    register: Register, gateway: Gateway, agreement: Agreement, flow: Flow, *, special: bool
) -> list[Finding]:
    found = []
    public = {flow.from_body, flow.to_body} & register.vocabulary.public_authorities
    if "ea" in gateway.article6 and public:
        found.append(
            Finding(
                "E10",
                f"{gateway.id}.art6_ea",
                "recognised legitimate interest is not open to a public authority",
            )
        )
    if not special:
        return found
    if "p8" in gateway.schedule1 and flow.purpose not in register.vocabulary.counts_only:
        found.append(
            Finding(
                "E10",
                f"{gateway.id}.sch1_p8",
                "paragraph 8 serves no decision about one person",
            )
        )
    if _APPROPRIATE_POLICY & set(gateway.schedule1) and not agreement.note(gateway.id, "apd"):
        found.append(
            Finding("E10", f"{gateway.id}.apd", "no appropriate policy document is recorded")
        )
    reason = agreement.note(gateway.id, "no_consent_reason")
    if "p18" in gateway.schedule1 and reason not in NO_CONSENT:
        found.append(
            Finding(
                "E10",
                f"{gateway.id}.no_consent_reason",
                "paragraph 18 needs one of its three reasons why consent was not asked",
            )
        )
    return found


def _crossing(
    register: Register, gateway: Gateway, agreement: Agreement, flow: Flow
) -> list[Finding]:
    """Leaving DPA 2018 Part 3 needs its own note: authorised by law, necessary, proportionate."""
    if flow.regime != "le_part3" or _stays_in_part_3(register, flow):
        return []
    if agreement.note(gateway.id, "part3_crossing"):
        return []
    return [
        Finding(
            "E10",
            f"{gateway.id}.part3_crossing",
            "no note says why police data may leave the law-enforcement regime",
        )
    ]
