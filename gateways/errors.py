"""The one error of this package: a register, agreement or vocabulary that cannot be used."""

from __future__ import annotations


class GatewayFault(Exception):
    """A file of the register cannot be trusted, so nothing that rests on it may be decided.

    Args:
        code: Stable code, for example ``FG-GATE-01``.
        message: What happened and in which file; never a person's value.
        next_step: What the reader does next.
    """

    def __init__(self, code: str, message: str, next_step: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.next_step = next_step
