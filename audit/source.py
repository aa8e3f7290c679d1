"""What a log is to those who write to it, and what its store is to those who read and prove it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from audit.log import Entry
    from audit.note import Checkpoint
    from audit.outside import Incident, Lost


class Reader(Protocol):
    """What answers the few questions of a verifier: a connection of SQLite, or `audit.postgres.Reading`."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Any:
        """Run one statement whose parameters are written as ``?``."""

    def close(self) -> None:
        """Give the connection back."""


Opening = Callable[[], Reader]
"""Opens the store of a log whose database is not in its folder."""


class Log(Protocol):
    """A writer of the log, wherever it is stored; one instance may be shared by threads."""

    @property
    def origin(self) -> str:
        """Name of the log."""

    def intend(self, event: dict[str, Any]) -> Entry | None:
        """Make an intent durable, so that what it announces may begin.

        Returns:
            Where it stands, if that is known by then.

        Raises:
            AuditFault: It is not, and nothing may begin.
        """

    def append(self, events: Sequence[dict[str, Any]]) -> list[Entry]:
        """Append events durably and return where they stand in the signed tree. All of them, or none.

        Raises:
            AuditFault: They do not, or nobody knows within the bounded wait.
        """

    def open_intents(self) -> list[dict[str, Any]]:
        """Return the intent events that have no outcome yet, oldest first."""

    def proof(self, seq: int) -> str:
        """Return the receipt of an event."""

    def head_at(self, size: int) -> Checkpoint:
        """Return the tree head of the stored events at a size, or at their own when they are fewer."""

    def incident(self) -> tuple[Incident, int] | None:
        """Return how the log differs from what it had signed, and how many events are left of that."""

    def declare_lost(self, lost: Lost) -> None:
        """Sign, outside the store, that events are lost."""

    def close(self) -> None:
        """Wait for what is being written and give everything back."""
