"""The shapes of the pack's files, as JSON Schema 2020-12; nothing unlisted is accepted."""

from __future__ import annotations

from typing import Any

from policies.witnessing import COUNT, WITNESSING

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
    [
        *("host", "roles", "subject_flags", "record_flags", "closing_flags"),
        *("obligations", "transforms", "break_glass", "denied_features", "profile_only"),
    ],
    {
        "host": _WORD,
        "roles": {
            "type": "object",
            "additionalProperties": _closed(
                ["label", "agencies", "kind"],
                {
                    "label": _WORD,
                    "agencies": _WORDS,
                    "kind": {"enum": ["practice", "analysis", "oversight", "submission"]},
                    "training": _YES_NO,
                },
            ),
        },
        "subject_flags": _WORDS,
        "record_flags": _WORDS,
        "closing_flags": _WORDS,
        "denied_features": _WORDS,
        "profile_only": _WORDS,
        "obligations": _MAP,
        "transforms": {"type": "object", "additionalProperties": _MAP},
        "break_glass": _closed(["purpose", "reviewers"], {"purpose": _WORD, "reviewers": _WORDS}),
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
    *("nino", "uprn", "decimal", "time"),
]

PARTS = (
    *("local_id", "given_name", "surname", "preferred_name", "birth_date", "sex"),
    *("address", "postcode", "nhs_number", "upn", "phone", "email", "nino", "uprn"),
    *("former_surname", "former_nhs_number", "former_upn"),
)
"""What a field may say of who somebody is."""
EQUALITY_PARTS = ("ethnic_group", "special_needs")
"""What is kept apart for counts of fairness, and told of nobody."""

_TRANSFORMS = _closed([], dict.fromkeys(("exists", "token", "banded"), _WORD))

_FIELD = _closed(
    ["label", "category", "lane", "type"],
    {
        **_GATE,
        "label": _WORD,
        "category": _WORD,
        "lane": {"enum": ["identity", "content", "equality"]},
        "part": {"enum": [*PARTS, *EQUALITY_PARTS]},
        "type": {"enum": TYPES},
        "columns": _WORDS,
        "required": _YES_NO,
        "formats": _WORDS,
        "codes": _MAP,
        "on_unknown": {"enum": ["error", "warning"]},
        "on_bad": {"enum": ["error", "warning"]},
        "placeholders": _WORDS,
        "free_text": _YES_NO,
        "transforms": _TRANSFORMS,
        # The table of a file set that holds the column; without it, every table may.
        "table": _WORD,
        # Coarsest precision of a date that is still of use; day unless said.
        "precision": {"enum": ["day", "month", "year"]},
        # Workbooks write codes as "a) WBRI"; the letter is no part of the code.
        "lettered": _YES_NO,
        "derive": _closed(
            ["from", "any"],
            {"from": _WORD, "any": _WORDS, "none": _WORDS, "yes": _WORDS, "no": _WORDS},
        ),
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
        "below_thousandths": {"type": "string", "pattern": "^[1-9][0-9]{0,3}$"},
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
                "review": _WHEN,
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

_SHARE: dict[str, Any] = {"type": "string", "pattern": r"^[0-9]{1,3}\.[0-9]{1,3}$"}
_COUNT: dict[str, Any] = {"type": "string", "pattern": "^[0-9]{1,9}$"}

_LAYOUT = _closed(
    ["id", "format"],
    {
        "id": _WORD,
        "format": {"enum": ["csv", "xml", "xlsx", "parquet", "none"]},
        **dict.fromkeys(("root", "parent", "row", "from", "to"), _WORD),
        # What this layout changes against another one of the source.
        "differs_from": _WORD,
        "columns": {"type": "object", "additionalProperties": _WORDS},
        "without": _WORDS,
        "codes": {"type": "object", "additionalProperties": _MAP},
        "formats": {"type": "object", "additionalProperties": _WORDS},
        "rows": _MAP,
        # Values that stand before the first person, such as the day a return is made for.
        "header": {
            "type": "array",
            "items": _closed(
                ["id", "element", "matches", "severity", "says"],
                {
                    **dict.fromkeys(("id", "element", "matches", "says", "do"), _WORD),
                    "severity": {"enum": ["error", "warning"]},
                },
            ),
        },
        # A second line that explains the columns; known by how its first cell begins.
        "instructions": _WORD,
    },
)

_DELIVERY = _closed(
    [],
    {
        "mode": {"enum": ["full", "window", "delta"]},
        "window": _WORD,
        "every_days": _COUNT,
        "grace_days": _COUNT,
        "rows_min": _COUNT,
        "rows_max": _COUNT,
        "rows_change": _SHARE,
        "deletions_max": _SHARE,
        "row_key": {"type": "object", "additionalProperties": _WORDS},
        "deleted": _closed(["field", "in"], {"field": _WORD, "in": _WORDS}),
        "merges": _closed(["table", "into"], {"table": _WORD, "into": _WORD, "undone": _WORD}),
    },
)

_TABLE = _closed(
    ["id"], {"id": _WORD, "files": _WORDS, "sheets": _WORDS, "row": _WORD, "required": _YES_NO}
)

_CHECK = _closed(
    ["id", "rule", "severity", "says"],
    {
        **dict.fromkeys(("id", "rule", "table", "in", "says", "do", "from", "to"), _WORD),
        "severity": {"enum": ["error", "warning"]},
        "fields": _WORDS,
        "least": {"type": "string", "pattern": "^-?[0-9]{1,9}$"},
        "most": {"type": "string", "pattern": "^-?[0-9]{1,9}$"},
    },
)

_CHANGE = _closed(["on", "what", "why"], dict.fromkeys(("on", "what", "why"), _WORD))

SOURCE = _closed(
    [
        *("source", "agency", "title", "regime", "scheme", "key"),
        *("fields", "layouts", "row_error_limit"),
    ],
    {
        **dict.fromkeys(("source", "agency", "title", "scheme", "key"), _WORD),
        "regime": {"enum": ["ukgdpr", "le_part3"]},
        "people_once": {"enum": ["yes", "no"]},
        "row_error_limit": {"type": "string", "pattern": r"^[01]\.[0-9]{1,3}$"},
        "record_defaults": _FLAGS,
        "derived_from": _WORDS,
        "feeds_models": _YES_NO,
        "defaults": _closed([], _GATE),
        "layouts": {"type": "array", "items": _LAYOUT},
        "tables": {"type": "array", "minItems": 1, "items": _TABLE},
        "delivery": _DELIVERY,
        "checks": {"type": "array", "items": _CHECK},
        "changes": {"type": "array", "items": _CHANGE},
        "fields": {"type": "object", "additionalProperties": _FIELD},
        "yields": {"type": "array", "items": _YIELD},
    },
)

_GRANT: dict[str, Any] = {
    **dict.fromkeys(("id", "agency", "purpose", "class", "why"), _WORD),
    "level": _LEVEL,
    "agreements": _WORDS,
    "sources": _WORDS,
    "obligations": _WORDS,
}

GRANTS = _closed(
    ["role", "grants"],
    {
        "role": _WORD,
        # Said once for all grants of the file; a grant may say otherwise.
        "defaults": _closed(
            [],
            {
                name: _GRANT[name]
                for name in ("agency", "purpose", "agreements", "obligations", "sources", "why")
            },
        ),
        "grants": {
            "type": "array",
            "items": _closed(["id", "class", "level"], _GRANT),
        },
    },
)

CAPS = _closed(
    ["caps"],
    {
        "caps": {
            "type": "array",
            "items": _closed(
                ["id", "when", "level", "disclosure", "why"],
                {
                    "id": _WORD,
                    "when": _FLAGS,
                    "roles": _WORDS,
                    "except_roles": _WORDS,
                    "categories": _WORDS,
                    "sources": _WORDS,
                    "level": _LEVEL,
                    "disclosure": {"enum": ["say", "generic", "silent"]},
                    "why": _WORD,
                },
            ),
        }
    },
)

_DAY_WORD = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
_REF = _closed(["ref", "until"], {"ref": _WORD, "until": _DAY_WORD})

_TRACK_AGE = {"enum": ["any", "under18", "over18"]}
PRODUCT = _closed(
    [
        *("product", "title", "kind", "theme", "purpose", "gateways", "evidence", "links"),
        *("tracks", "lists", "exclusions", "family"),
    ],
    {
        **dict.fromkeys(("product", "title", "theme", "purpose", "label", "family"), _WORD),
        "kind": {"enum": ["list", "profile"]},
        **dict.fromkeys(("gateways", "evidence", "links", "lists", "exclusions"), _WORDS),
        "tracks": _closed([], {"harmed": _TRACK_AGE, "harming": _TRACK_AGE}),
        "release": _closed(
            [],
            {
                **dict.fromkeys(("owner", "uplift", "cost_ratio", "practitioners"), _WORD),
                "stop": _DAY_WORD,
                **dict.fromkeys(("dpia", "eqia", "ethics", "disparity"), _REF),
                # A figure that is typed in is read, so that it can be refused by name (B48).
                "evaluation": {"type": "object"},
            },
        ),
        "algo_care": _MAP,
    },
)  # fmt: skip

ROUTES = _closed(["routes"], {"routes": {"type": "object", "additionalProperties": _WORDS}})

COMMUNAL = {
    **_closed(
        ["id", "kind", "source", "reviewed_on"],
        dict.fromkeys(
            ("id", "kind", "uprn", "address", "postcode", "source", "reviewed_on"), _WORD
        ),
    ),
    "anyOf": [{"required": ["uprn"]}, {"required": ["postcode"]}],
}

GOVERNANCE = _closed(
    ["dpia", "approvals", "advice", "encodings"],
    {
        # Days for which an encoding is kept that nothing needs; hash of the model if not the shipped one.
        "encodings": _closed(["forget_after_days"], {"forget_after_days": COUNT, "model": _WORD}),
        # Who must agree to a change, by what it touches; see docs/guides/ig-lead.md.
        "dpia": _closed(
            ["ref", "expires", "dpo_advice"], dict.fromkeys(("ref", "expires", "dpo_advice"), _WORD)
        ),
        "approvals": {
            "type": "array",
            "minItems": 1,
            "items": _closed(
                ["id", "label", "roles"],
                {"id": _WORD, "label": _WORD, "roles": _WORDS, "classes": _WORDS},
            ),
        },
        "advice": _WORDS,
        # Addresses where many are registered and nobody's home is; what is secret does not stand here.
        "communal_addresses": {"type": "array", "items": COMMUNAL},
        # Other partners that sign the checkpoints of the audit trail; see docs/guides/auditor.md.
        "witnessing": WITNESSING,
        "waivers": {
            "type": "array",
            "items": _closed(
                ["rule", "subject", "signed_by", "until", "why"],
                dict.fromkeys(("rule", "subject", "signed_by", "until", "why"), _WORD),
            ),
        },
    },
)

EXPECTED = _closed(
    ["against", "changes"],
    {
        "against": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "changes": {
            "type": "array",
            "items": _closed(
                ["role", "agency", "purpose", "source", "field", "from", "to", "why"],
                {
                    **dict.fromkeys(("role", "agency", "purpose", "source", "field", "why"), _WORD),
                    "from": _LEVEL,
                    "to": _LEVEL,
                },
            ),
        },
    },
)

TESTS = _closed(
    ["tests"],
    {
        "tests": {
            "type": "array",
            "minItems": 1,
            "items": _closed(
                ["name", "request", "expect"],
                {
                    "name": _WORD,
                    "as_of": _WORD,
                    "request": _closed(
                        ["role", "agency", "purpose", "field"],
                        {
                            **dict.fromkeys(("role", "agency", "purpose", "field", "basis"), _WORD),
                            "state": _FLAGS,
                            "met": _WORDS,
                            "facts": {"type": "object", "additionalProperties": _WORD},
                        },
                    ),
                    "expect": _closed(
                        ["level"],
                        {
                            "level": _LEVEL,
                            "reasons": _WORDS,
                            "obligations": _WORDS,
                            "grants": _WORDS,
                            "basis": _WORD,
                        },
                    ),
                },
            ),
        }
    },
)
