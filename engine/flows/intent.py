"""The protocol of a flow: intent, staged effects, one commit point, then the answer, then the outcome.

There is no transaction across stores. The audit intent is durable before anything happens; effects
are staged under the intent's id; one casework transaction decides and publishes; only then is
anything opened or answered; the outcome is written last. An intent without an outcome is completed
or discarded when the home is next opened.
"""

from __future__ import annotations

import fcntl
import importlib
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from opentelemetry.trace import Span
from sqlmodel import Session, SQLModel, select

from audit.errors import AuditFault
from audit.event import make_event
from audit.log import Entry
from engine.domain.errors import (
    AuditError,
    ConfigError,
    FieldgateError,
    PolicyRefused,
    told,
)
from engine.domain.ids import Actor
from engine.flows.asked import asked_of
from engine.flows.home import Home
from engine.store.session import reading
from engine.store.tables import AgreementStop, FlowCommit, PolicyPointer
from engine.telemetry import arrow_span, span, trace_ids

Result = TypeVar("Result")
STAGING = {
    "submit": "engine.flows.submit",
    "link": "engine.flows.link",
    "score": "engine.flows.score",
    "replay": "engine.flows.replay",
    "challenge": "engine.flows.challenge",
    "pair_decide": "engine.flows.clerical",
    "person_part": "engine.flows.part",
    "person_join": "engine.flows.near",
}
"""Flows that stage effects, and the module whose ``discard`` takes them back. The module is imported
when it is needed, so that any command can settle what another one left."""

COMPLETING = {
    "submit": "engine.flows.deliveries",
    "withdraw_delivery": "engine.flows.deliveries",
    "release_delivery": "engine.flows.deliveries",
}
"""Flows whose commit makes something true in other stores, and the module whose ``complete`` does it again
when the process died in between."""


class Flow:
    """One execution of a use case.

    Args:
        home: The home.
        name: Name of the flow, for example ``reveal``.
        kind: Kind of the audit events (DPA 2018 s.62 and ours).
        actor: Who acts.
        details: What is known before anything happens; no person's value.
    """

    def __init__(
        self, home: Home, name: str, kind: str, actor: Actor, details: Mapping[str, Any]
    ) -> None:
        self.home, self.name, self.kind, self.actor = home, name, kind, actor
        self.intent = make_intent_id(home)
        self.committed = False
        self._begun = False
        self.entry: Entry | None = None
        self.asked: Entry | None = None
        self._details = dict(details)
        self._kept: list[SQLModel] = []
        self._lock: int | None = None
        self._span = span(name, flow=name)
        self._arrow_span: Span | None = None

    def __enter__(self) -> Self:
        recover(self.home)
        self.home.refresh_policy()
        self._span.__enter__()
        try:
            self._lock = _take_lock(self.home, self.intent)
            self.asked = self.home.audit.intend(self._event("intent", self._details))
            self._begun = True
            self.arrow("intent")
        except BaseException as error:
            try:
                if self._begun:
                    self._fail(error)
            finally:
                self._leave(None, None, None)
            raise
        return self

    def arrow(self, name: str) -> None:
        """Pass an arrow: its span begins and that of the arrow before ends. Tests stop here."""
        if self._arrow_span is not None:
            self._arrow_span.end()
        self._arrow_span = arrow_span(self.name, name)
        self.home.arrow(f"{self.name}.{name}")

    def keep(self, row: SQLModel) -> None:
        """Keep a row of casework whatever is decided: with the one transaction, or beside a refusal.

        A run that is killed before either leaves an intent that is discarded, and no row.
        """
        self._kept.append(row)

    def _keep_now(self) -> None:
        if self._kept:
            with Session(self.home.casework) as session:
                session.add_all(self._kept)
                session.commit()
            self._kept = []

    def commit(self, publish: Callable[[Session], Result]) -> Result:
        """Run the one casework transaction; afterwards the flow has happened.

        Args:
            publish: Re-reads what the decision rests on, decides, and writes. It raises to refuse.
        """
        self.arrow("commit")
        pack = self.home.pack
        with Session(self.home.casework, expire_on_commit=False) as session:
            pointer = session.get(PolicyPointer, 1)
            stops = frozenset(session.exec(select(AgreementStop.agreement)).all())
            if (
                pointer is None
                or pointer.version != pack.version
                or stops != pack.register.suspended
            ):
                raise ConfigError(
                    "FG-POL-06",
                    "the policy changed while this was running",
                    "Try again.",
                )
            result = publish(session)
            session.add_all(self._kept)
            session.add(
                FlowCommit(intent=self.intent, flow=self.name, committed_at=self.home.clock())
            )
            session.commit()
        self.committed = True
        self._kept = []
        self.arrow("committed")
        return result

    def finish(self, details: Mapping[str, Any]) -> Entry:
        """Write the outcome event; nothing of this flow happens after it."""
        self.arrow("outcome")
        self._keep_now()
        self.entry = self._write({"decision": "permit", **details})
        return self.entry

    def receipt(self) -> dict[str, Any]:
        """Return where the outcome stands and a proof of it that can be checked years later.

        The outcome is durable and the trail says that this was answered, so a proof that fails does not take
        the answer away: ``proof`` is empty then, and ``why`` tells it.
        """
        if self.entry is None:
            raise AuditError("FG-AUD-08", "a flow ended without an outcome", "Report this.")
        seq = self.entry.seq
        try:
            return {"entry": seq, "proof": self.home.audit.proof(seq)}
        except Exception as error:  # noqa: BLE001  # whatever it is, what was marked as given is given
            known = told(error)
            code = known.code if known else type(error).__name__
            logging.getLogger("fieldgate").error("no proof for %s: %s", self.name, code)  # noqa: TRY400
            why = f"It is recorded, and its proof could not be made ({code}): verify the trail."
            return {"entry": seq, "proof": "", "why": why}

    def _event(self, phase: str, details: Mapping[str, Any]) -> dict[str, Any]:
        request, session = asked_of(self.home)
        return make_event(
            log=self.home.audit.origin,
            kind=self.kind,
            phase=phase,
            flow=self.name,
            intent=self.intent,
            actor={**self.actor.as_event(), **session},
            now=self.home.clock(),
            random=self.home.randomness(10),
            details={**details, **trace_ids(), **request},
        )

    def _write(self, details: Mapping[str, Any]) -> Entry:
        return self.home.audit.append([self._event("outcome", details)])[0]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None and self.entry is None:
                raise AuditError("FG-AUD-08", "a flow ended without an outcome", "Report this.")
            if error is not None and self.entry is None:
                self._fail(error)
        finally:
            self._leave(kind, error, trace)

    def _fail(self, error: BaseException) -> None:
        """Take back what was staged and say so in the trail; then the error goes on to the caller."""
        happened = self.committed or _happened(self.home, self.intent)
        # Should either fail, the intent stays open and the next flow tries again.
        if happened:
            complete_committed(self.home, self.name)
        else:
            discard_staged(self.home, self.name, self.intent)
            self._keep_now()
        if isinstance(error, FieldgateError):
            error.audited = True
        known = told(error) if isinstance(error, Exception) else None
        refused = isinstance(error, PolicyRefused)
        self._settle(
            {
                "decision": "completed" if happened else "refuse" if refused else "failed",
                "rules": _codes(known) if known else [type(error).__name__],
            },
        )

    def _settle(self, details: Mapping[str, Any]) -> None:
        """Write the outcome of a flow that failed; one that another process wrote stands."""
        try:
            self._write(details)
        except AuditFault as fault:
            if fault.code != "FG-AUD-09":
                raise

    def _leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _drop_lock(self.home, self.intent, self._lock)
        self._lock = None
        # Whoever holds the linkage key can try names against it: it is there for the run alone.
        self.home.forget_keyring("link")
        if self._arrow_span is not None:
            self._arrow_span.end()
            self._arrow_span = None
        self._span.__exit__(kind, error, trace)


def _codes(error: FieldgateError) -> list[str]:
    """Return the codes of an error, not its sentences: at most 32, so that the event stays small."""
    words = [reason.split(" ")[0] for reason in error.reasons]
    return list(dict.fromkeys([error.code, *(word for word in words if len(word) <= 12)]))[:32]


@contextmanager
def alone(home: Home, what: str, code: str) -> Iterator[None]:
    """Hold the home's only place for a kind of work; the system frees it when the process ends.

    Raises:
        ConfigError: With `code` when another process holds it.
    """
    descriptor = os.open(home.path / "linkage" / f"{what}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(
                code, f"another {what} is running in this home", "Wait until it has ended."
            ) from None
        yield
    finally:
        os.close(descriptor)


_MADE_HERE = re.compile(r"[0-9a-f]{32}")


def make_intent_id(home: Home) -> str:
    """Return a fresh id: time first, so that ids sort by age."""
    millis = int(home.clock().timestamp() * 1000)
    return f"{millis:012x}{home.randomness(10).hex()}"


def _lock_path(home: Home, intent: str) -> Path:
    return home.path / "staging" / f"{intent}.lock"


def _take_lock(home: Home, intent: str) -> int:
    """Hold a lock for as long as this process lives; the system drops it on a kill."""
    try:
        descriptor = os.open(_lock_path(home, intent), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ConfigError(
            "FG-HOME-05",
            "the staging folder cannot be written",
            "Check its rights and the disk.",
        ) from None
    return descriptor


def _drop_lock(home: Home, intent: str, descriptor: int | None) -> None:
    if descriptor is not None:
        with suppress(OSError):
            _lock_path(home, intent).unlink(missing_ok=True)
        os.close(descriptor)


def _owner_is_gone(home: Home, intent: str) -> bool:
    """Say whether the process that began an intent has ended."""
    path = _lock_path(home, intent)
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        path.unlink(missing_ok=True)
        return True
    finally:
        os.close(descriptor)


def _happened(home: Home, intent: str) -> bool:
    """Say whether an intent passed its commit point; the database knows, no memory does."""
    with Session(reading(home.casework)) as session:
        return session.get(FlowCommit, intent) is not None


def discard_staged(home: Home, flow: str, intent: str) -> None:
    """Take back what an unfinished run of a flow staged; harmless when it staged nothing."""
    module = STAGING.get(flow)
    if module is not None:
        importlib.import_module(module).discard(home, intent)


def complete_committed(home: Home, flow: str) -> None:
    """Do again what a committed flow had still to do elsewhere; harmless when it was done."""
    module = COMPLETING.get(flow)
    if module is not None:
        importlib.import_module(module).complete(home)


def record_denial(home: Home, actor: Actor, code: str) -> None:
    """Put a refusal into the trail that was decided before any flow began.

    Args:
        home: The home.
        actor: Who was refused; an unknown user is ``unknown``, never what was typed.
        code: Code of the refusal.

    Raises:
        AuditError: The trail cannot be written, so the refusal is not answered as one.
    """
    with Flow(home, "denied", "deny", actor, {"rules": [code]}) as flow:
        flow.finish({"decision": "refuse", "rules": [code]})


def recover(home: Home) -> list[str]:
    """Complete or discard every intent whose process has gone; return their ids.

    An intent with a commit row happened: what it had still to do elsewhere is done, and it gets its
    outcome. One without did not, so what it staged is taken back and the outcome says so.
    """
    settled = []
    for begun in home.audit.open_intents():
        intent = str(begun["intent"])
        # The name of an intent is that of files and folders: one that no flow made touches none of them.
        if not _MADE_HERE.fullmatch(intent) or not _owner_is_gone(home, intent):
            continue
        happened = _happened(home, intent)
        if happened:
            complete_committed(home, str(begun["flow"]))
        else:
            discard_staged(home, str(begun["flow"]), intent)
        event = make_event(
            log=home.audit.origin,
            kind="recovery",
            phase="outcome",
            flow=str(begun["flow"]),
            intent=intent,
            actor={"id": "fieldgate", "org": "", "role": "recovery", "auth": "none"},
            now=home.clock(),
            random=home.randomness(10),
            # A disclosure that was committed may have been answered before the process died.
            details={"decision": "completed" if happened else "discarded"},
        )
        try:
            home.audit.append([event])
        except AuditFault as fault:
            if fault.code != "FG-AUD-09":  # Another process settled it between our two looks.
                raise
        settled.append(intent)
    return settled
