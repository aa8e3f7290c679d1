"""An act: the intent and the outcome of one thing that somebody asked for, read as one line.

The trail holds two events for everything: what somebody asked for, and what came of it. A reader wants to
see one. An intent whose outcome is missing is an act of outcome ``unknown``: it may have happened.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

UNKNOWN = "unknown"
"""Outcome of an intent that has no outcome event."""
ENVELOPE = frozenset({"v", "id", "ts", "log", "kind", "phase", "flow", "intent", "actor"})


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody asked for and what came of it.

    Attributes:
        seq: Place of the intent in the log.
        ended: Place of the outcome; None while there is none.
        when: Moment of the intent, UTC.
        until: Moment of the outcome; None while there is none.
        outcome: The decision of the outcome: ``permit``, ``refuse``, ``failed``, ``completed``,
            ``discarded``, a word of the flow itself (``withhold``), or `UNKNOWN`.
        details: Every further key of the two events; the outcome's value where both state one.
    """

    seq: int
    ended: int | None
    intent: str
    when: datetime
    until: datetime | None
    kind: str
    flow: str
    actor: str
    agency: str
    role: str
    auth: str
    outcome: str
    details: Mapping[str, Any] = field(repr=False)

    def text(self, key: str) -> str:
        """Return a detail that is text; empty when it is not stated."""
        found = self.details.get(key, "")
        return found if isinstance(found, str) else ""

    def texts(self, key: str) -> list[str]:
        """Return a detail that is a list of texts; empty when it is not stated."""
        found = self.details.get(key, [])
        return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []

    @property
    def subjects(self) -> list[str]:
        """Pseudonyms of the audit domain that the act names."""
        many = self.details.get("subjects", {})
        names = many.get("names", []) if isinstance(many, dict) else []
        one = self.text("subject")
        return [*([one] if one else []), *(name for name in names if isinstance(name, str))]

    @property
    def touched(self) -> list[str]:
        """What was touched, sorted: each source, and each field as ``source.field``."""
        source = self.text("source")
        stated = self.texts("fields")
        # Where everything is of one source, an event names its fields without it.
        stated = [f"{source}.{one}" if source and "." not in one else one for one in stated]
        fields = [one for one in stated if _is_field(one)]
        return sorted({*fields, *map(source_of, fields), *([source] if source else [])})

    @property
    def sources(self) -> list[str]:
        """The sources that were touched, sorted."""
        return [one for one in self.touched if one.count(".") == 1]


def source_of(name: str) -> str:
    """Return the source of a field that is written ``source.field``."""
    return name.rpartition(".")[0]


def _is_field(name: str) -> bool:
    # A list that was too long for an event ends in words, which name no field.
    return name.count(".") == 2 and " " not in name


def join(
    seq: int, intent: Mapping[str, Any], ended: int | None, outcome: Mapping[str, Any] | None
) -> Act:
    """Return the act of an intent event and its outcome event, if there is one."""
    details = {key: value for key, value in intent.items() if key not in ENVELOPE}
    if outcome is not None:
        details |= {key: value for key, value in outcome.items() if key not in ENVELOPE}
    actor = intent["actor"]
    return Act(
        seq=seq,
        ended=ended,
        intent=intent["intent"],
        when=_moment(intent["ts"]),
        until=_moment(outcome["ts"]) if outcome is not None else None,
        kind=intent["kind"],
        flow=intent["flow"],
        actor=str(actor.get("id", "")),
        agency=str(actor.get("org", "")),
        role=str(actor.get("role", "")),
        auth=str(actor.get("auth", "")),
        outcome=UNKNOWN if outcome is None else str(outcome.get("decision", UNKNOWN)),
        details=details,
    )


def acts(leaves: Iterable[tuple[int, bytes]]) -> Iterator[Act]:
    """Return the acts of leaves in the order of the log, those without an outcome last.

    Args:
        leaves: Place and bytes of each event, oldest first. An outcome whose intent is not among them
            is passed over.
    """
    begun: dict[str, tuple[int, dict[str, Any]]] = {}
    for seq, body in leaves:
        event = json.loads(body)
        if event["phase"] == "intent":
            begun[event["intent"]] = (seq, event)
        elif event["intent"] in begun:
            at, intent = begun.pop(event["intent"])
            yield join(at, intent, seq, event)
    for at, intent in begun.values():
        yield join(at, intent, None, None)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
