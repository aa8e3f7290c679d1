"""Group commit: events wait in a queue, and the first thread that waits writes for all (ADR 15).

No thread of its own stands behind it. Whoever finds nobody writing becomes the leader: it takes what
waits, up to `MOST` events, writes it as one batch and hands the lead to the oldest that came meanwhile.
Nobody is answered before the batch that holds its events is committed, and nobody waits without end.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from audit.errors import AuditFault

MOST = 2_000
"""Events of one batch; a single call may bring more, and is then a batch by itself."""
LOCK_SECONDS = 1.0
"""How long a batch waits for a store that another process holds."""
WAIT_SECONDS = 5.0
"""How long a call waits for the batch that it is in, or for its turn, when the disk hangs."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(eq=False, slots=True)
class Ticket(Generic[Item, Answer]):
    """One call that waits: what it brings, and what came of it.

    Attributes:
        item: What is to be written.
        weight: Number of events in it.
        since: When it came, on the monotonic clock.
        answer: Set by the writer once it is durable.
        fault: Set by the writer instead when it is refused.
    """

    item: Item
    weight: int
    since: float
    answer: Answer | None = None
    fault: AuditFault | None = None
    leads: bool = False
    gone: bool = False
    following: Ticket[Item, Answer] | None = None
    turn: threading.Lock = field(default_factory=threading.Lock)


class GroupCommit(Generic[Item, Answer]):
    """Bring calls of many threads together into batches.

    Args:
        write: Writes a batch durably and sets the answer or the fault of each ticket. What it raises
            refuses every ticket that has neither.
        fault_of: Makes the refusal out of what was raised.
        most: Events of one batch.
        wait_seconds: Bounded wait of a call (audit_crypto.md 6, 6).
    """

    def __init__(
        self,
        write: Callable[[Sequence[Ticket[Item, Answer]]], None],
        fault_of: Callable[[BaseException], AuditFault],
        *,
        most: int = MOST,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._write, self._fault_of = write, fault_of
        self._most, self._wait_seconds = most, wait_seconds
        self._mutex = threading.Lock()
        self._queue: deque[Ticket[Item, Answer]] = deque()
        self._led = False

    def submit(self, item: Item, weight: int) -> Answer:
        """Return what the writer answers for `item`, once it is durable.

        Raises:
            AuditFault: The writer refused it, or it was not written within the bounded wait.
        """
        ticket: Ticket[Item, Answer] = Ticket(item, weight, time.monotonic())
        ticket.turn.acquire()
        with self._mutex:
            self._queue.append(ticket)
            ticket.leads = not self._led
            self._led = True
        try:
            if ticket.leads or self._await(ticket):
                self._lead(ticket)
        finally:
            # An interrupt may come anywhere; nobody may be left waiting for a leader that has gone.
            if ticket.leads or (ticket.answer is None and ticket.fault is None):
                self._leave(ticket)
            self._wake_next(ticket)
        if ticket.fault is not None:
            raise ticket.fault
        if ticket.answer is None:
            raise self._fault_of(RuntimeError())
        return ticket.answer

    def _await(self, ticket: Ticket[Item, Answer]) -> bool:
        """Wait until the ticket is answered (False) or has to lead (True).

        Raises:
            AuditFault: Neither came in time. One that is being written may stand in the log afterwards:
                nobody was answered for it.
        """
        if not ticket.turn.acquire(timeout=self._wait_seconds):
            with self._mutex:
                if not ticket.leads and ticket.answer is None and ticket.fault is None:
                    raise self._fault_of(TimeoutError())
        return ticket.leads

    def _lead(self, ticket: Ticket[Item, Answer]) -> None:
        batch = self._take()
        try:
            self._write(batch)
        except Exception as error:  # noqa: BLE001  # whatever it is, it refuses the whole batch
            for one in batch:
                if one.answer is None and one.fault is None:
                    one.fault = self._fault_of(error)
                    one.fault.__cause__ = error
        finally:
            self._leave(ticket)
            self._link(batch)

    def _link(self, batch: Sequence[Ticket[Item, Answer]]) -> None:
        """Let each of a batch that was written wake the one behind it, as it goes.

        Hundreds that are woken at once stand in line for the interpreter and wake again and again to look
        whether it is free.
        """
        with self._mutex:
            here = batch[0]
            for one in batch[1:]:
                if not one.gone:
                    here.following, here = one, one

    def _wake_next(self, ticket: Ticket[Item, Answer]) -> None:
        """Wake whoever is behind a ticket that goes; one that gave up earlier has done so itself."""
        with self._mutex:
            ticket.gone = True
            following, ticket.following = ticket.following, None
            if following is not None and not following.gone:
                following.turn.release()

    def _leave(self, ticket: Ticket[Item, Answer]) -> None:
        """Take a ticket out of the queue, and hand on the lead when it has it."""
        following = None
        with self._mutex:
            if ticket in self._queue:
                self._queue.remove(ticket)
            if ticket.leads:
                following = self._queue[0] if self._queue else None
                self._led = following is not None
                ticket.leads = False
                if following is not None:
                    following.leads = True
        if following is not None:
            following.turn.release()

    def _take(self) -> list[Ticket[Item, Answer]]:
        """Take the oldest tickets; the first of them is the leader's own."""
        batch: list[Ticket[Item, Answer]] = []
        weight = 0
        with self._mutex:
            while self._queue and (not batch or weight + self._queue[0].weight <= self._most):
                batch.append(self._queue.popleft())
                weight += batch[-1].weight
        return batch


class OpenIntents:
    """Which intents are open while a batch is made up; a call that does not fit changes nothing.

    Args:
        known: Those intents of the batch that are open in the store.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self._known = frozenset(known)
        self.opened: dict[str, int] = {}
        self.closed: set[str] = set()

    def take(self, events: Sequence[Mapping[str, Any]], seq: int) -> AuditFault | None:
        """Take the events of one call, the first of them at `seq`, or say why they are refused."""
        asked: dict[str, int | None] = {}
        for place, event in enumerate(events, start=seq):
            name = str(event["intent"])
            if name in asked:
                is_open = asked[name] is not None
            else:
                is_open = name in self.opened or (name in self._known and name not in self.closed)
            if event["phase"] == "intent" and is_open:
                return already_open()
            if event["phase"] != "intent" and not is_open:
                return settled()
            asked[name] = place if event["phase"] == "intent" else None
        for name, opened_at in asked.items():
            if opened_at is None and self.opened.pop(name, None) is None and name in self._known:
                self.closed.add(name)
            if opened_at is not None:
                if name in self._known:
                    self.closed.add(name)  # Its outcome stands before it in this very call.
                self.opened[name] = opened_at
        return None


def already_open() -> AuditFault:
    """Return the refusal of an intent that is there already: a request that comes twice leaves one event."""
    return AuditFault(
        "FG-AUD-70",
        "that intent is open already",
        "Report this fault; nothing was disclosed.",
    )


def settled() -> AuditFault:
    """Return the refusal of an outcome whose intent is not open."""
    return AuditFault(
        "FG-AUD-09",
        "that intent has its outcome already",
        "Nothing; another process settled it.",
    )
