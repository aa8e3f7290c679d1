"""YAML in which every scalar is the string that was typed.

PyYAML turns ``no`` into False, ``012`` into 10 and keeps the last of two equal keys without a word
(policy.md 5.1). An IG officer signs what stands in the file, so this loader reads strings only and
refuses duplicate keys, anchors, aliases, tags, a byte order mark and anything that is not UTF-8.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from yaml.events import AliasEvent, CollectionStartEvent, NodeEvent, ScalarEvent
from yaml.nodes import MappingNode, ScalarNode, SequenceNode

from gateways.errors import GatewayFault

Plain = str | list[Any] | dict[str, Any]


def load(path: Path) -> dict[str, Any]:
    """Read one strict YAML file whose top level is a mapping.

    Args:
        path: The file.

    Returns:
        A mapping of strings, lists and mappings only.

    Raises:
        GatewayFault: ``FG-GATE-01`` when the file cannot be read or breaks a rule of this loader.
    """
    try:
        raw = path.read_bytes()
        if raw.startswith(b"\xef\xbb\xbf"):
            raise _fault(path, "it starts with a byte order mark")
        text = raw.decode("utf-8")
    except OSError as error:
        raise _fault(path, "it cannot be read") from error
    except UnicodeDecodeError as error:
        raise _fault(path, f"it is not UTF-8 at byte {error.start}") from None
    value = loads(text, path)
    if not isinstance(value, dict):
        raise _fault(path, "its top level is not a mapping")
    return value


def loads(text: str, path: Path) -> Plain:
    """Parse strict YAML from text; `path` only names the source in an error."""
    try:
        _refuse_anchors_and_tags(text, path)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise _fault(path, f"it is not YAML at line {line}") from None
    except yaml.YAMLError:
        raise _fault(path, "it holds a character that YAML does not allow") from None
    if node is None:
        raise _fault(path, "it is empty")
    return _plain(node, path)


def _refuse_anchors_and_tags(text: str, path: Path) -> None:
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor):
            raise _fault(path, f"an anchor or alias stands at line {_line(event.start_mark)}")
        if isinstance(event, ScalarEvent | CollectionStartEvent) and event.tag is not None:
            raise _fault(path, f"a tag stands at line {_line(event.start_mark)}")


def _line(mark: object) -> int:
    return int(getattr(mark, "line", -1)) + 1


def _plain(node: yaml.Node, path: Path) -> Plain:
    if isinstance(node, ScalarNode):
        return str(node.value)
    if isinstance(node, SequenceNode):
        return [_plain(item, path) for item in node.value]
    if isinstance(node, MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = _plain(key_node, path)
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise _fault(path, f"a key at line {line} is not a word")
            if key in result:
                raise _fault(path, f"the key {key!r} at line {line} stands twice")
            result[key] = _plain(value_node, path)
        return result
    raise _fault(path, "it holds a node of an unknown kind")


def _fault(path: Path, why: str) -> GatewayFault:
    return GatewayFault(
        "FG-GATE-01",
        f"{path.name}: {why}",
        f"Correct {path.name} and load again; the policy that was active stays active.",
    )
