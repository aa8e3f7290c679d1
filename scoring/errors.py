"""The one error of this package."""

from __future__ import annotations


class ScoringFault(Exception):
    """A table or an input cannot be used, so no number is given.

    Args:
        code: Stable code, for example ``FG-RUN-01``.
        message: What happened and in which table; never a person's value.
        next_step: What the reader does next.
    """

    def __init__(self, code: str, message: str, next_step: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.next_step = next_step
