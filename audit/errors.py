"""The one error of this package."""

from __future__ import annotations


class AuditFault(Exception):
    """The log could not be written, read or trusted; whatever depended on it must not happen.

    Args:
        code: Stable code, for example ``FG-AUD-02``.
        message: What happened; never a person's value.
        next_step: What the reader does next.
    """

    def __init__(self, code: str, message: str, next_step: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.next_step = next_step
