"""Events of the usual shape: read and written again in C, many at a time.

What is taken here is a part of what `audit.canonical.parse` and `audit.event.schema_problem` take, and never
more: a batch that holds anything else is left to them, event by event, and so is every finding. The shape is
made from the same lists of keys and kinds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import UNSET

from audit.canonical import MAX_BYTES, MAX_INTEGER
from audit.event import KEYS_OF, KINDS, PHASES, REQUIRED
from audit.stranger import Story

_INTEGER = Annotated[int, msgspec.Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
_ONE = str | _INTEGER | bool | None
_MANY = _ONE | list[str]
_VALUE = _MANY | dict[str, _MANY] | msgspec.UnsetType
_STRICT: dict[str, Any] = {"forbid_unknown_fields": True, "kw_only": True, "gc": False}
_HASH = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$", max_length=64)] | msgspec.UnsetType
_OPTIONAL: dict[str, Any] = {
    "approvers": list[str] | msgspec.UnsetType,
    "net": _HASH,
    "request_hash": _HASH,
}
_ACTOR = ("auth", "id", "level", "org", "role", "session")


def _shape(version: int) -> Any:
    """Return the usual shape of events of a version."""
    types: dict[str, Any] = dict.fromkeys(REQUIRED, str) | {
        "actor": msgspec.defstruct(
            "Actor", [(key, str | msgspec.UnsetType, UNSET) for key in _ACTOR], **_STRICT
        ),
        "kind": Literal[tuple(sorted(KINDS))],
        "phase": Literal[tuple(sorted(PHASES))],
        "v": Literal[version],
    }
    # The fields stand in the order of their names, which is that of canonical bytes.
    fields = [
        (key, types[key]) if key in REQUIRED else (key, _OPTIONAL.get(key, _VALUE), UNSET)
        for key in sorted(KEYS_OF[version])
    ]
    return msgspec.defstruct("Event", fields, **_STRICT)


_EVENTS = tuple(_shape(version) for version in sorted(KEYS_OF, reverse=True))
_READ = tuple(msgspec.json.Decoder(event) for event in _EVENTS)
_WRITE = msgspec.json.Encoder(order="deterministic")  # Keys of inner objects are sorted.


def usual(bodies: Sequence[bytes]) -> list[Any] | None:
    """Return the events of canonical bytes, or None when one of them is not canonical or of another shape.

    Plain ASCII without an escape that is read into the shape and written again byte-equal can break no
    rule: a key that stands twice is lost, one that is unknown is refused, an order that is another is
    changed. Each event is a line, and none of them holds the end of one.
    """
    data = b"\n".join((*bodies, b""))
    plain = data.isascii() and b"\\" not in data and b"\x7f" not in data
    if (
        not plain
        or data.count(b"\n") != len(bodies)
        or max(map(len, bodies), default=0) > MAX_BYTES
    ):
        return None
    for reader in _READ:  # Events of one version; where two meet, each is looked at by itself.
        try:
            events = reader.decode_lines(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            continue
        return events if _WRITE.encode_lines(events) == data else None
    return None


class UsualStory(Story):
    """The story of a log, told the usual events in one go. It finds what `Story` finds, in its order."""

    # A flow whose outcome says more than that its intent has ended.
    _RULED = frozenset(
        {*Story.POLICY, "propose_policy", "answer_policy", "recover_log", "reveal", "show"}
    )

    def tell(self, seq: int, event: dict[str, Any]) -> None:
        """Take the next event of the log."""
        intent = event["intent"]
        begun = self._begun.get(intent)
        if begun is not None and type(begun[0]) in _EVENTS:
            self._begun[intent] = (msgspec.to_builtins(begun[0]), begun[1])
        super().tell(seq, event)

    def tell_all(self, start: int, events: Sequence[Any]) -> None:
        """Take the next events of the log, as `usual` gave them; the first stands at `start`."""
        opened, begun, origin, ruled = self.open, self._begun, self._origin, self._RULED
        newest, active = self._newest, self._active
        for seq, event in enumerate(events, start):
            intent, moment = event.intent, event.ts
            if moment >= newest and (event.log == origin or origin is None):
                if event.phase == "intent":
                    if intent not in opened:
                        newest = moment
                        opened[intent] = seq
                        begun[intent] = (event, active)
                        continue
                elif intent in opened:
                    # An outcome of the flow and the person of its intent, that says no more than that.
                    flow, first = event.flow, cast("Any", begun[intent][0])
                    if (
                        type(first) in _EVENTS
                        and first.flow == flow
                        and first.actor == event.actor
                        and (
                            flow not in ruled or (event.decision is UNSET and flow != "recover_log")
                        )
                    ):
                        newest = moment
                        del opened[intent], begun[intent]
                        continue
            self._newest = newest
            self.tell(seq, msgspec.to_builtins(event))
            newest, active = self._newest, self._active
        self._newest, self._last = newest, start + len(events) - 1
