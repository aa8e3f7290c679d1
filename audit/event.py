"""The event: what a line of the trail may hold (audit_crypto.md 7.1).

An event is made from an allow-list of keys; anything else is refused, so that a new field has to be
thought about. No direct identifier has a place in it: subjects are audit-domain pseudonyms, a case
reference is a keyed token, and free text stands outside the tree behind a salted commitment.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from audit.errors import AuditFault

# The six operations of DPA 2018 s.62, and ours.
KINDS = frozenset(
    {
        *(
            "collection",
            "alteration",
            "consultation",
            "disclosure",
            "combination",
            "erasure",
        ),
        *(
            "reidentify",
            "grant",
            "approve",
            "deny",
            "break_glass",
            "policy_publish",
            "key_op",
        ),
        *("login", "model_run", "export", "audit_read", "config", "recovery"),
    }
)
PHASES = frozenset({"intent", "outcome"})
VERSION = 2
"""Version of the events that are made now. A log holds each in the version in which it was written."""
_KEYS_1 = frozenset(
    {
        *("v", "id", "ts", "log", "kind", "phase", "flow", "intent"),
        *(
            "actor",
            "source",
            "fields",
            "subject",
            "subjects",
            "rows",
            "result_hash",
            "bytes",
        ),
        *(
            "purpose",
            "gateway",
            "agreement",
            "case",
            "reason",
            "decision",
            "rules",
            "obligations",
        ),
        *(
            "policy_hash",
            "code",
            "run",
            "psn_v",
            "kek_v",
            "grant",
            "trace_id",
            "span_id",
            "counts",
        ),
        *("auth", "recipient", "expires"),
    }
)
# Since version 2: who agreed, for whom somebody acts, which model, and where a request came from.
_KEYS_2 = frozenset({"approvers", "on_behalf_of", "model", "request_hash", "net"})
KEYS_OF = {1: _KEYS_1, 2: _KEYS_1 | _KEYS_2}
"""What an event of a version may hold."""
_HASH = re.compile(r"[0-9a-f]{64}")
REQUIRED = frozenset({"v", "id", "ts", "log", "kind", "phase", "flow", "intent", "actor"})


def event_id(now: datetime, random: bytes) -> str:
    """Return a UUIDv7 from a moment and ten random bytes (RFC 9562 5.7)."""
    millis = int(now.timestamp() * 1000).to_bytes(6, "big")
    raw = bytearray(millis + random[:10])
    raw[6] = (raw[6] & 0x0F) | 0x70
    raw[8] = (raw[8] & 0x3F) | 0x80
    return str(uuid.UUID(bytes=bytes(raw)))


def make_event(
    *,
    log: str,
    kind: str,
    phase: str,
    flow: str,
    intent: str,
    actor: Mapping[str, str],
    now: datetime,
    random: bytes,
    details: Mapping[str, Any],
) -> dict[str, Any]:
    """Build one event.

    Args:
        log: Name of the log.
        kind: One of `KINDS`.
        phase: ``intent`` before anything happens, ``outcome`` after.
        flow: Name of the flow, for example ``reveal``.
        intent: Id that ties intent and outcome together.
        actor: ``id``, ``org``, ``role`` and ``auth``.
        now: Moment of the event, timezone aware.
        random: At least ten random bytes for the id.
        details: Further keys, each of `KEYS_OF` the newest version.

    Raises:
        AuditFault: ``FG-AUD-01`` for an unknown kind, phase or key.
    """
    event: dict[str, Any] = {
        "v": VERSION,
        "id": event_id(now, random),
        "ts": now.astimezone(UTC).isoformat(timespec="microseconds"),
        "log": log,
        "kind": kind,
        "phase": phase,
        "flow": flow,
        "intent": intent,
        "actor": dict(actor),
        **details,
    }
    problem = schema_problem(event)
    if problem:
        raise AuditFault("FG-AUD-01", problem, "Report this fault; nothing was disclosed.")
    return event


def schema_problem(event: Any) -> str | None:
    """Return what is wrong with the shape of an event, or None."""
    if not isinstance(event, dict):
        return "the event is not an object"
    if not event.keys() >= REQUIRED:
        return f"the event lacks the key {min(REQUIRED - event.keys())}"
    keys = KEYS_OF.get(event["v"]) if type(event["v"]) is int else None
    if keys is None:
        return "the event has an unknown version, kind or phase"
    if not event.keys() <= keys:
        return f"the event holds an unknown key {min(event.keys() - keys)}"
    for key in ("id", "ts", "log", "kind", "phase", "flow", "intent"):
        if not isinstance(event[key], str):
            return f"the event's {key} is not text"
    if event["kind"] not in KINDS or event["phase"] not in PHASES:
        return "the event has an unknown version, kind or phase"
    return _shape_problem(event)


def _shape_problem(event: Mapping[str, Any]) -> str | None:
    actor = event["actor"]
    if not isinstance(actor, dict) or not all(isinstance(one, str) for one in actor.values()):
        return "the event's actor is not an object of texts"
    for key in ("request_hash", "net"):
        found = event.get(key, "0" * 64)
        # Keyed hashes alone: an address or a request in clear has no place here.
        if not isinstance(found, str) or not _HASH.fullmatch(found):
            return f"the event's {key} is not a hash"
    people = event.get("approvers", [])
    if not isinstance(people, list) or not all(isinstance(one, str) for one in people):
        return "the event's approvers are not a list of texts"
    return None


def commitment(salt: bytes, text: str) -> str:
    """Return the salted commitment that stands in the tree in place of free text."""
    return hashlib.sha256(salt + text.encode()).hexdigest()
