"""YAML in which every scalar is the string that was typed, and every value knows its line.

PyYAML turns ``no`` into False, ``012`` into 10 and keeps the last of two equal keys without a word
(policy.md 5.1). An IG officer signs what stands in the file, so this reader keeps strings only and
refuses duplicate keys, anchors, aliases, tags, a byte order mark and anything that is not UTF-8.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from gateways.errors import GatewayFault
from gateways.findings import LintFinding

Plain = str | list[Any] | dict[str, Any]
Place = tuple[str | int, ...]
DEPTH = 3
"""How deep a place may stand that a finding of a later rule points at, such as ``roles.x.agencies``."""

# libyaml reads the same events several times faster; the wheels carry it, another build may not.
_LOADER: Any = getattr(yaml, "CLoader", yaml.Loader)


@dataclass(frozen=True)
class Document:
    """One file as it was typed.

    Attributes:
        value: Strings, lists and mappings.
        lines: Place of a value in the document to its line, counted from 1.
        name: File name for messages, with its folder.
    """

    value: dict[str, Any]
    lines: Mapping[Place, int] = field(repr=False)
    name: str

    def line(self, place: Place = ()) -> int:
        """Return the line of a place, or of the nearest thing around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def spots(self) -> dict[str, int]:
        """Return the line of every value near the top, by its dotted place, for later findings."""
        return {
            ".".join(map(str, place)): line
            for place, line in self.lines.items()
            if 1 <= len(place) <= DEPTH
        }


def load(path: Path) -> dict[str, Any]:
    """Read one strict YAML file whose top level is a mapping.

    Args:
        path: The file.

    Returns:
        A mapping of strings, lists and mappings only.

    Raises:
        GatewayFault: ``FG-GATE-01`` when the file cannot be read or breaks a rule of this loader.
    """
    return read(path).value


def read(path: Path, name: str = "") -> Document:
    """Read one file with the line of every value; raises as `load`.

    Args:
        path: The file.
        name: How messages name it; its folder and file name when empty.
    """
    name = name or f"{path.parent.name}/{path.name}"
    return parse(raw_of(path, name), name)


def raw_of(path: Path, name: str) -> bytes:
    """Return the bytes of a file; raises as `load`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise _fault(name, 1, "it cannot be read") from error


def parse(raw: bytes, name: str) -> Document:
    """Parse the bytes of one file; raises as `load`."""
    if raw.startswith(b"\xef\xbb\xbf"):
        raise _fault(name, 1, "it starts with a byte order mark")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _fault(name, line, f"it is not UTF-8 at byte {error.start}") from None
    return loads(text, name)


def loads(text: str, name: str) -> Document:
    """Parse strict YAML from text; `name` only names the source in an error."""
    lines: dict[Place, int] = {}
    try:
        value = _document(yaml.parse(text, Loader=_LOADER), lines, name)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise _fault(name, line, f"it is not YAML at line {line}") from None
    except yaml.YAMLError:
        raise _fault(name, 1, "it holds a character that YAML does not allow") from None
    if not isinstance(value, dict):
        raise _fault(name, 1, "it is empty" if value is None else "its top level is not a mapping")
    return Document(value, lines, name)


def _document(events: Iterator[Event], lines: dict[Place, int], name: str) -> Plain | None:
    value: Plain | None = None
    for event in events:
        if isinstance(event, ScalarEvent | SequenceStartEvent | MappingStartEvent | AliasEvent):
            if value is not None:
                raise _fault(name, _line(event), "it holds more than one document")
            value = _plain(event, events, lines, (), name)
    return value


def _plain(
    event: Event, events: Iterator[Event], lines: dict[Place, int], place: Place, name: str
) -> Plain:
    line = _line(event)
    lines[place] = line
    if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
        raise _fault(name, line, f"an anchor or alias stands at line {line}")
    if getattr(event, "tag", None) is not None:
        raise _fault(name, line, f"a tag stands at line {line}")
    if isinstance(event, ScalarEvent):
        return str(event.value)
    if isinstance(event, SequenceStartEvent):
        items: list[Any] = []
        while not isinstance(following := next(events), SequenceEndEvent):
            items.append(_plain(following, events, lines, (*place, len(items)), name))
        return items
    result: dict[str, Any] = {}
    while not isinstance(key := next(events), MappingEndEvent):
        _add(key, result, events, lines, place, name)
    return result


def _add(
    key: Event,
    result: dict[str, Any],
    events: Iterator[Event],
    lines: dict[Place, int],
    place: Place,
    name: str,
) -> None:
    line = _line(key)
    if not isinstance(key, ScalarEvent) or key.anchor or key.tag is not None:
        raise _fault(name, line, f"a key at line {line} is not a plain word")
    word = str(key.value)
    if word in result:
        raise _fault(name, line, f"the key {word!r} at line {line} stands twice")
    result[word] = _plain(next(events), events, lines, (*place, word), name)
    lines[(*place, word)] = line


def _line(event: Event) -> int:
    mark = getattr(event, "start_mark", None)
    return int(mark.line) + 1 if mark is not None else 0


def _fault(name: str, line: int, why: str) -> GatewayFault:
    finding = LintFinding(
        name,
        line,
        "FG-GATE-01",
        "POL-L17",
        why,
        f"Correct {name} and load again; the policy that was active stays active.",
    )
    return GatewayFault.of([finding])
