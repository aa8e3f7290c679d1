"""Read the register folder into a `Register`, or refuse the whole of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema

from gateways import strict_yaml
from gateways.conditions import CONDITIONS
from gateways.errors import GatewayFault
from gateways.model import Agreement, Gateway, Kind, Party, Register, Vocabulary

TOKEN = re.compile(r"[a-z][a-z0-9_.-]*")


def shipped() -> Path:
    """Return the folder of the register that comes with the package."""
    return Path(str(files("gateways")))


def load_register(folder: Path) -> Register:
    """Load vocabulary, register and agreements from `folder`.

    Args:
        folder: Holds ``vocabulary.yaml``, ``register/*.yaml`` and ``agreements/*.yaml``.

    Returns:
        The register; every token in it is known to its vocabulary.

    Raises:
        GatewayFault: ``FG-GATE-01`` unreadable file, ``FG-GATE-02`` wrong shape, ``FG-GATE-03``
            unknown token. The first fault of a file names it; no part of the register is used.
    """
    vocabulary = _vocabulary(folder / "vocabulary.yaml")
    gateways: dict[str, Gateway] = {}
    for path in _yaml_files(folder / "register"):
        gateway = _gateway(path, vocabulary)
        _unique(gateway.id, gateways, path)
        gateways[gateway.id] = gateway
    parties: dict[str, Party] = {}
    agreements: dict[str, Agreement] = {}
    for path in _yaml_files(folder / "agreements"):
        if path.name == "parties.yaml":
            parties = _parties(path, vocabulary)
            continue
        agreement = _agreement(path)
        _unique(agreement.id, agreements, path)
        agreements[agreement.id] = agreement
    register = Register(vocabulary, gateways, agreements, parties)
    _check_tokens(register)
    return register


def _yaml_files(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.yaml"))
    if not found:
        raise GatewayFault(
            "FG-GATE-01",
            f"{folder.name}: no YAML file stands here",
            "Restore the folder.",
        )
    return found


def check_shape(value: object, schema: dict[str, Any], path: Path) -> None:
    """Hold `value` against a JSON Schema and name every place that does not fit."""
    validator = jsonschema.Draft202012Validator(schema)
    errors = sorted(validator.iter_errors(value), key=lambda error: list(map(str, error.path)))
    if errors:
        where = "; ".join(
            f"{'/'.join(map(str, error.path)) or 'top'} fails {error.validator}"
            for error in errors[:8]
        )
        raise GatewayFault("FG-GATE-02", f"{path.name}: {where}", "Compare with the schema.")


def _unique(key: str, known: dict[str, Any], path: Path) -> None:
    if key in known:
        raise GatewayFault("FG-GATE-02", f"{path.name}: the id {key} stands twice", "Rename one.")


def _date(text: str, path: Path) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise GatewayFault(
            "FG-GATE-02",
            f"{path.name}: a date is not year-month-day",
            "Write 2026-09-30.",
        ) from None


_WORDS = {"type": "array", "items": {"type": "string"}}
_WORD = {"type": "string"}

_VOCABULARY_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": [
        "bodies",
        "groups",
        "purposes",
        "never_purposes",
        "classes",
        "categories",
    ],
    "properties": {
        "bodies": _WORDS,
        "groups": {"type": "object", "additionalProperties": _WORDS},
        "purposes": {"type": "object", "additionalProperties": _WORD},
        "never_purposes": _WORDS,
        "classes": {"type": "object", "additionalProperties": _WORDS},
        "categories": {"type": "object", "additionalProperties": _WORD},
    },
}

_GATEWAY_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": [
        *("id", "cite", "kind", "in_force_from", "overrides_confidence", "from", "to"),
        *(
            "purposes",
            "allow",
            "deny",
            "conditions",
            "article6",
            "reviewed_on",
            "verified",
        ),
    ],
    "properties": {
        **dict.fromkeys(("id", "cite", "note", "text_vintage"), _WORD),
        **dict.fromkeys(("in_force_from", "in_force_to", "reviewed_on"), _WORD),
        "kind": {"enum": [kind.value for kind in Kind]},
        **{
            name: {"enum": ["yes", "no"]}
            for name in ("enabled_by_default", "overrides_confidence", "verified")
        },
        **dict.fromkeys(
            (
                *("from", "to", "purposes", "allow", "deny", "conditions"),
                *("article6", "article9", "article10", "schedule1"),
            ),
            _WORDS,
        ),
    },
}

_AGREEMENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": [
        *("id", "title", "parties", "sources", "gateways", "purposes"),
        *("start", "end", "review", "text_sha256", "signatories"),
    ],
    "properties": {
        **dict.fromkeys(("id", "title", "start", "end", "review"), _WORD),
        "text_sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        **dict.fromkeys(("parties", "sources", "gateways", "purposes", "signatories"), _WORDS),
        "notes": {"type": "object", "additionalProperties": _WORD},
    },
}

_PARTIES_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "additionalProperties": False,
        "required": ["body", "name"],
        "properties": {"body": _WORD, "name": _WORD},
    },
}


def _vocabulary(path: Path) -> Vocabulary:
    raw = strict_yaml.load(path)
    check_shape(raw, _VOCABULARY_SCHEMA, path)
    return Vocabulary(
        bodies=frozenset(raw["bodies"]),
        groups={name: frozenset(members) for name, members in raw["groups"].items()},
        purposes=dict(raw["purposes"]),
        never_purposes=frozenset(raw["never_purposes"]),
        categories=dict(raw["categories"]),
        classes={name: frozenset(needs) for name, needs in raw["classes"].items()},
    )


def _gateway(path: Path, vocabulary: Vocabulary) -> Gateway:
    raw = strict_yaml.load(path)
    check_shape(raw, _GATEWAY_SCHEMA, path)
    ended = raw.get("in_force_to")
    return Gateway(
        id=raw["id"],
        cite=raw["cite"],
        kind=Kind(raw["kind"]),
        in_force_from=_date(raw["in_force_from"], path),
        in_force_to=_date(ended, path) if ended else None,
        enabled=raw.get("enabled_by_default", "yes") == "yes",
        overrides_confidence=raw["overrides_confidence"] == "yes",
        parties_from=vocabulary.expand(tuple(raw["from"])),
        parties_to=vocabulary.expand(tuple(raw["to"])),
        purposes=frozenset(raw["purposes"]),
        allow=frozenset(raw["allow"]),
        deny=frozenset(raw["deny"]),
        conditions=tuple(raw["conditions"]),
        article6=tuple(raw["article6"]),
        article9=tuple(raw.get("article9", [])),
        article10=tuple(raw.get("article10", [])),
        schedule1=tuple(raw.get("schedule1", [])),
        reviewed_on=_date(raw["reviewed_on"], path),
        verified=raw["verified"] == "yes",
        file=path.name,
    )


def _agreement(path: Path) -> Agreement:
    raw = strict_yaml.load(path)
    check_shape(raw, _AGREEMENT_SCHEMA, path)
    start, end = _date(raw["start"], path), _date(raw["end"], path)
    if end < start:
        raise GatewayFault("FG-GATE-02", f"{path.name}: it ends before it starts", "Mend a date.")
    return Agreement(
        id=raw["id"],
        title=raw["title"],
        parties=frozenset(raw["parties"]),
        sources=frozenset(raw["sources"]),
        gateways=frozenset(raw["gateways"]),
        purposes=frozenset(raw["purposes"]),
        start=start,
        end=end,
        review=_date(raw["review"], path),
        text_sha256=raw["text_sha256"],
        signatories=tuple(raw["signatories"]),
        notes=dict(raw.get("notes", {})),
        file=path.name,
    )


def _parties(path: Path, vocabulary: Vocabulary) -> dict[str, Party]:
    raw = strict_yaml.load(path)
    check_shape(raw, _PARTIES_SCHEMA, path)
    _known((party["body"] for party in raw.values()), vocabulary.bodies, "body", path.name)
    return {agency: Party(agency, value["body"], value["name"]) for agency, value in raw.items()}


def _check_tokens(register: Register) -> None:
    words = register.vocabulary
    for group in words.groups.values():
        _known(group, words.bodies, "body", "vocabulary.yaml")
    _known(words.categories.values(), words.classes, "class", "vocabulary.yaml")
    for gateway in register.gateways.values():
        _known(
            gateway.parties_from | gateway.parties_to,
            words.bodies,
            "body",
            gateway.file,
        )
        _known(gateway.purposes, words.purposes, "purpose", gateway.file)
        _known(gateway.allow | gateway.deny, words.categories, "category", gateway.file)
        _known(gateway.conditions, CONDITIONS, "condition", gateway.file)
        _known(
            [gateway.id],
            [t for t in [gateway.id] if TOKEN.fullmatch(t)],
            "id",
            gateway.file,
        )
    for agreement in register.agreements.values():
        _known(agreement.parties, register.parties, "agency", agreement.file)
        _known(agreement.gateways, register.gateways, "gateway", agreement.file)
        _known(agreement.purposes, words.purposes, "purpose", agreement.file)


def _known(used: Iterable[str], known: Iterable[str], what: str, file: str) -> None:
    missing = sorted(set(used) - set(known))
    if missing:
        raise GatewayFault(
            "FG-GATE-03",
            f"{file}: unknown {what} {', '.join(missing)}",
            f"Add the {what} to the vocabulary, or correct the word.",
        )
