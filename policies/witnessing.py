"""The section of governance.yaml that names the witnesses of the audit trail: its shape and its reading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from policies.model import Witnessing

_WORD: dict[str, Any] = {"type": "string", "minLength": 1}
COUNT: dict[str, Any] = {"type": "string", "pattern": "^[0-9]{1,4}$"}

WITNESSING: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["witnesses", "quorum", "alarm_after_hours"],
    "properties": {
        "quorum": COUNT,
        "alarm_after_hours": COUNT,
        "witnesses": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "vkey"],
                "properties": {"name": _WORD, "vkey": _WORD},
            },
        },
    },
}


def witnessing_of(raw: Mapping[str, Any]) -> Witnessing:
    """Return who witnesses the trail; an absent section names nobody."""
    return Witnessing(
        tuple((item["name"], item["vkey"]) for item in raw.get("witnesses", [])),
        int(raw.get("quorum", 0)),
        int(raw.get("alarm_after_hours", 24)),
    )
