"""The one error of this package: a pack that cannot be used."""

from __future__ import annotations


class PolicyFault(Exception):
    """The pack cannot be trusted, or two engines disagree about it, so nothing is decided.

    Args:
        code: Stable code, for example ``FG-POL-02``.
        message: What happened and in which file; never a person's value.
        next_step: What the reader does next.
    """

    def __init__(self, code: str, message: str, next_step: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.next_step = next_step
