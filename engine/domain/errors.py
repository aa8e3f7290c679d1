"""Every error a user can meet, in one tree.

::

    FieldgateError
    |-- SubmissionError   a file cannot be read, or its rows are wrong       exit 10 or 11
    |-- ContractError     a contract does not fit the file                   exit 10
    |-- PolicyRefused     the policy says no; the stated exception in naming exit 12
    |-- GatewayError      no gateway or agreement is open                    exit 13
    |-- AuditError        the trail is tampered (14) or cannot be written
    |-- ConfigError       the home, a key or a setting is wrong              exit 15
    |-- VaultError        an identity cannot be opened                       exit 15
    |-- LinkageError      linkage cannot run                                 exit 15
    `-- RunError          a run cannot be made or replayed                   exit 15 or 16

Each carries a stable code, a sentence and a next step; never a person's value.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

from audit.errors import AuditFault
from gateways.errors import GatewayFault
from policies.errors import PolicyFault
from scoring.errors import ScoringFault

if TYPE_CHECKING:
    from engine.domain.records import Prepared


class Exit(IntEnum):
    """Exit codes of the command line, fixed (DESIGN 4)."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    UNREADABLE = 10
    ROW_ERRORS = 11
    REFUSED = 12
    NO_GATEWAY = 13
    TAMPERED = 14
    CONFIGURATION = 15
    NOT_REPLAYABLE = 16
    INCOMPLETE = 17


class FieldgateError(Exception):
    """Base of every error that is told to a user.

    Args:
        code: Stable code, for example ``FG-GATE-11``.
        message: What happened and to which object; never a person's value.
        next_step: What to do next.
        reasons: Further sentences, for example every reason of a refusal.
    """

    exit_code = Exit.UNEXPECTED

    def __init__(
        self, code: str, message: str, next_step: str, reasons: Sequence[str] = ()
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.next_step = next_step
        self.reasons = tuple(reasons)
        self.audited = False


class SubmissionError(FieldgateError):
    """A delivery cannot be read."""

    exit_code = Exit.UNREADABLE


class RowsRefused(SubmissionError):
    """A delivery has more row errors than its contract allows.

    Args:
        code, message, next_step, reasons: As of every error.
        prepared: What was found in it, without anything of its content.
        number: Number of the delivery under which the findings are kept.
    """

    exit_code = Exit.ROW_ERRORS

    def __init__(
        self,
        code: str,
        message: str,
        next_step: str,
        reasons: Sequence[str] = (),
        *,
        prepared: Prepared | None = None,
        number: int | None = None,
    ) -> None:
        super().__init__(code, message, next_step, reasons)
        self.prepared, self.number = prepared, number


class ContractError(FieldgateError):
    """A contract does not fit the file, or does not hold together."""

    exit_code = Exit.UNREADABLE


class PolicyRefused(FieldgateError):
    """The policy refuses the request; `reasons` holds every reason that may be said."""

    exit_code = Exit.REFUSED


class GatewayError(FieldgateError):
    """No gateway or agreement is open for the delivery."""

    exit_code = Exit.NO_GATEWAY


class AuditError(FieldgateError):
    """The audit trail cannot be written or trusted, so nothing happened."""

    exit_code = Exit.TAMPERED


class ConfigError(FieldgateError):
    """The home, a key, a passphrase or a setting is wrong."""

    exit_code = Exit.CONFIGURATION


class VaultError(FieldgateError):
    """An identity cannot be sealed or opened."""

    exit_code = Exit.CONFIGURATION


class LinkageError(FieldgateError):
    """Records cannot be linked."""

    exit_code = Exit.CONFIGURATION


class RunError(FieldgateError):
    """A scoring run cannot be made."""

    exit_code = Exit.CONFIGURATION


class NotReplayable(RunError):
    """A run cannot be replayed to the byte, and the message says why."""

    exit_code = Exit.NOT_REPLAYABLE


_TAMPERED = frozenset(
    {
        *("FG-AUD-05", "FG-AUD-06", "FG-AUD-07", "FG-AUD-12"),
        *("FG-AUD-20", "FG-AUD-21", "FG-AUD-24", "FG-AUD-26", "FG-AUD-72"),
    }
)


def told(error: Exception) -> FieldgateError | None:
    """Return the error of our tree for a coded fault of a leaf package, or None for a stranger."""
    if isinstance(error, FieldgateError):
        return error
    if isinstance(error, GatewayFault | PolicyFault):
        return ConfigError(error.code, error.message, error.next_step)
    if isinstance(error, AuditFault):
        # Only a log that does not hold together is tampered with; a full disk is configuration.
        family = AuditError if error.code in _TAMPERED else ConfigError
        return family(error.code, error.message, error.next_step)
    if type(error).__name__ == "OperationalError":
        # A store that is locked or away; the text might hold a statement and is not told.
        return ConfigError(
            "FG-HOME-07", "a store is busy or cannot be reached", "Try again in a moment."
        )
    if isinstance(error, ScoringFault):
        return RunError(error.code, error.message, error.next_step)
    return None
