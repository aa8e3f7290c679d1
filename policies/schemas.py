"""The shapes of the pack's files, as JSON Schema 2020-12; nothing unlisted is accepted."""

from __future__ import annotations

from typing import Any

_WORD: dict[str, Any] = {"type": "string"}
_WORDS: dict[str, Any] = {"type": "array", "items": _WORD}
_MAP: dict[str, Any] = {"type": "object", "additionalProperties": _WORD}
_FLAGS: dict[str, Any] = {"type": "object", "additionalProperties": {"enum": ["y", "n"]}}
_YES_NO: dict[str, Any] = {"enum": ["yes", "no"]}
_LEVEL: dict[str, Any] = {"enum": ["refuse", "exists", "token", "banded", "clear"]}


def _closed(required: list[str], properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": properties,
    }


VOCABULARY = _closed(
    ["host", "roles", "subject_flags", "record_flags", "obligations"],
    {
        "host": _WORD,
        "roles": {
            "type": "object",
            "additionalProperties": _closed(
                ["label", "agencies"], {"label": _WORD, "agencies": _WORDS}
            ),
        },
        "subject_flags": _WORDS,
        "record_flags": _WORDS,
        "obligations": _MAP,
    },
)

_GATE: dict[str, Any] = {
    "gateways": _WORDS,
    "agreements": _WORDS,
    "purposes": _WORDS,
    "retention_years": {"type": "string", "pattern": "^[0-9]{1,2}$"},
}

TYPES = [
    *("text", "name", "address", "date", "code", "boolean", "integer", "postcode"),
    *("nhs_number", "upn", "email", "phone", "derived"),
]

_FIELD = _closed(
    ["label", "category", "lane", "type"],
    {
        **_GATE,
        "label": _WORD,
        "category": _WORD,
        "lane": {"enum": ["identity", "content"]},
        "part": {
            "enum": [
                *(
                    "local_id",
                    "given_name",
                    "surname",
                    "preferred_name",
                    "birth_date",
                    "sex",
                ),
                *("address", "postcode", "nhs_number", "upn", "phone", "email"),
            ]
        },
        "type": {"enum": TYPES},
        "columns": _WORDS,
        "required": _YES_NO,
        "formats": _WORDS,
        "codes": _MAP,
        "on_unknown": {"enum": ["error", "warning"]},
        "on_bad": {"enum": ["error", "warning"]},
        "placeholders": _WORDS,
    },
)

_MAPPED: dict[str, Any] = {
    "oneOf": [_WORD, _closed(["field", "map"], {"field": _WORD, "map": _MAP})]
}

_WHEN = _closed(
    [],
    {
        "field": _WORD,
        "in": _WORDS,
        "ratio": {"type": "array", "items": _WORD, "minItems": 2, "maxItems": 2},
        "below_thousandths": {"type": "string", "pattern": "^[0-9]{1,4}$"},
    },
)

_YIELD = _closed(
    ["id", "show"],
    {
        "id": _WORD,
        "show": _WORD,
        "when": _WHEN,
        "event": _closed(
            ["kind", "day", "role"],
            {
                "kind": _MAPPED,
                "day": _WORD,
                "recorded": _WORD,
                "role": _MAPPED,
                "group": _WORD,
            },
        ),
        "state": _closed(
            ["kind", "from"],
            {
                "kind": _MAPPED,
                "from": _WORD,
                "to": _WORD,
                "recorded": _WORD,
                "place": _WORD,
            },
        ),
        "flag": _closed(["name", "field"], {"name": _WORD, "field": _WORD}),
    },
)

SOURCE = _closed(
    [
        *("source", "agency", "title", "regime", "scheme", "key"),
        *("fields", "layouts", "row_error_limit"),
    ],
    {
        **dict.fromkeys(("source", "agency", "title", "scheme", "key"), _WORD),
        "regime": {"enum": ["ukgdpr", "le_part3"]},
        "row_error_limit": {"type": "string", "pattern": r"^[01]\.[0-9]{1,3}$"},
        "record_defaults": _FLAGS,
        "defaults": _closed([], _GATE),
        "layouts": {
            "type": "array",
            "items": _closed(
                ["id", "format"],
                {
                    "id": _WORD,
                    "format": {"enum": ["csv", "xml", "none"]},
                    "root": _WORD,
                    "parent": _WORD,
                    "row": _WORD,
                },
            ),
        },
        "fields": {"type": "object", "additionalProperties": _FIELD},
        "yields": {"type": "array", "items": _YIELD},
    },
)

GRANTS = _closed(
    ["role", "grants"],
    {
        "role": _WORD,
        "grants": {
            "type": "array",
            "items": _closed(
                ["id", "agency", "purpose", "class", "level", "agreements", "why"],
                {
                    **dict.fromkeys(("id", "agency", "purpose", "class", "why"), _WORD),
                    "level": _LEVEL,
                    "agreements": _WORDS,
                    "sources": _WORDS,
                    "obligations": _WORDS,
                },
            ),
        },
    },
)

CAPS = _closed(
    ["caps"],
    {
        "caps": {
            "type": "array",
            "items": _closed(
                ["id", "when", "level", "disclosure"],
                {
                    "id": _WORD,
                    "when": _FLAGS,
                    "roles": _WORDS,
                    "except_roles": _WORDS,
                    "categories": _WORDS,
                    "level": _LEVEL,
                    "disclosure": {"enum": ["say", "generic", "silent"]},
                },
            ),
        }
    },
)

ROUTES = _closed(["routes"], {"routes": {"type": "object", "additionalProperties": _WORDS}})
