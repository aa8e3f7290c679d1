"""The shapes of the register's files, as JSON Schema 2020-12; nothing unlisted is accepted."""

from __future__ import annotations

from typing import Any

from gateways.model import Kind

_WORD: dict[str, Any] = {"type": "string"}
_WORDS: dict[str, Any] = {"type": "array", "items": _WORD}
_MAP: dict[str, Any] = {"type": "object", "additionalProperties": _WORD}
_DATE: dict[str, Any] = {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
_YES_NO: dict[str, Any] = {"enum": ["yes", "no"]}


def closed(required: list[str], properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a mapping that may hold these keys and no other."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": properties,
    }


VOCABULARY = closed(
    [
        *("bodies", "groups", "purposes", "never_purposes", "counts_only", "le_purposes"),
        *("competent",),
        *("public_authorities", "classes", "categories", "dea_factors"),
    ],
    {
        **dict.fromkeys(
            (
                "bodies",
                "never_purposes",
                "counts_only",
                "le_purposes",
                "competent",
                "public_authorities",
            ),
            _WORDS,
        ),
        "groups": {"type": "object", "additionalProperties": _WORDS},
        "purposes": _MAP,
        "classes": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"enum": ["art9", "art10"]}},
        },
        "categories": _MAP,
        "dea_factors": _MAP,
    },
)

GATEWAY = closed(
    [
        *("id", "cite", "kind", "in_force_from", "overrides_confidence", "conditions"),
        *("article6", "reviewed_on", "verified", "text_vintage"),
    ],
    {
        **{
            key: {"type": "string", "minLength": 1}
            for key in ("id", "cite", "note", "text_vintage")
        },
        "in_force_from": {"anyOf": [_DATE, {"enum": ["unknown"]}]},
        "in_force_to": _DATE,
        "reviewed_on": _DATE,
        "kind": {"enum": [kind.value for kind in Kind]},
        "overrides_confidence": {"enum": ["yes", "no", "unknown"]},
        "enabled_by_default": _YES_NO,
        "verified": _YES_NO,
        **dict.fromkeys(
            (
                *("from", "to", "from_unverified", "to_unverified", "never_party", "purposes"),
                *("allow", "deny", "applies_to", "conditions", "unverified", "extent"),
            ),
            _WORDS,
        ),
        "article6": {"type": "array", "items": {"enum": ["a", "c", "d", "e", "ea"]}},
        "article9": {"type": "array", "items": {"enum": ["a", "c", "g", "h", "i", "j"]}},
        "article10": {"type": "array", "items": {"enum": ["official_authority", "sch1"]}},
        "schedule1": {"type": "array", "items": {"type": "string", "pattern": "^p[0-9]{1,2}$"}},
    },
)

AGREEMENT = closed(
    [
        *("id", "title", "parties", "sources", "gateways", "purposes", "start", "end", "review"),
        *("dpia", "dpia_expires", "text_sha256", "signatories"),
    ],
    {
        **{key: {"type": "string", "minLength": 1} for key in ("id", "title", "dpia")},
        **dict.fromkeys(("start", "end", "review", "dpia_expires"), _DATE),
        "text_sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        **{
            key: {"type": "array", "items": _WORD, "minItems": 1}
            for key in ("parties", "sources", "gateways", "purposes", "signatories")
        },
        "notes": {
            "type": "object",
            "additionalProperties": {"type": "string", "minLength": 1},
        },
    },
)

PARTIES: dict[str, Any] = {
    "type": "object",
    "additionalProperties": closed(["body", "name"], {"body": _WORD, "name": _WORD}),
}
