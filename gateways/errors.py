"""The one error of this package: a register, agreement or vocabulary that cannot be used."""

from __future__ import annotations

from collections.abc import Sequence

from gateways.findings import LintFinding, in_order, message_of


class GatewayFault(Exception):
    """A file of the register cannot be trusted, so nothing that rests on it may be decided.

    Args:
        code: Stable code, for example ``FG-GATE-01``.
        message: What happened and in which file; never a person's value.
        next_step: What the reader does next.
        findings: Every finding, with file and line.
    """

    def __init__(
        self, code: str, message: str, next_step: str, findings: Sequence[LintFinding] = ()
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.next_step = next_step
        self.findings = tuple(findings)

    @classmethod
    def of(cls, findings: Sequence[LintFinding]) -> GatewayFault:
        """Return one error that carries every finding; its code is that of the first of this family.

        A file may be found wrong by rules of the law and of the pack at once; an error of the law
        then carries a code of the law.
        """
        ordered = in_order(findings)
        own = [one for one in ordered if one.code.startswith("FG-GATE")] or ordered
        return cls(own[0].code, message_of(ordered), own[0].next_step, ordered)
