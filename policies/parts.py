"""Turn documents of the pack into values, each with the file and line it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateways.load import Reader
from gateways.model import Register
from gateways.strict_yaml import Document
from policies.model import (
    Approval,
    Cap,
    CommunalAddress,
    Field,
    Governance,
    Grant,
    Level,
    PackVocabulary,
    Role,
    Source,
    Waiver,
)
from policies.witnessing import witnessing_of


def vocabulary_of(document: Document) -> PackVocabulary:
    """Return the closed lists of the policy side."""
    raw = document.value
    return PackVocabulary(
        host=raw["host"],
        roles={
            name: Role(
                name,
                value["label"],
                frozenset(value["agencies"]),
                value["kind"],
                value.get("training") == "yes",
            )
            for name, value in raw["roles"].items()
        },
        subject_flags=frozenset(raw["subject_flags"]),
        record_flags=frozenset(raw["record_flags"]),
        closing_flags=frozenset(raw["closing_flags"]),
        obligations=dict(raw["obligations"]),
        transforms={kind: dict(levels) for kind, levels in raw["transforms"].items()},
        break_glass_purpose=raw["break_glass"]["purpose"],
        break_glass_reviewers=frozenset(raw["break_glass"]["reviewers"]),
        denied_features=frozenset(raw["denied_features"]),
        profile_only=frozenset(raw["profile_only"]),
    )


def source_of(document: Document, register: Register, words: PackVocabulary) -> Source:
    """Return a source; its lineage is followed once all sources are known."""
    raw = document.value
    defaults = raw.get("defaults", {})
    party = register.parties.get(raw["agency"])
    return Source(
        id=raw["source"],
        agency=raw["agency"],
        title=raw["title"],
        regime=raw["regime"],
        scheme=raw["scheme"],
        key=raw["key"],
        fields={
            name: _field(document, name, {**defaults, **value}, register, words)
            for name, value in raw["fields"].items()
        },
        layouts=tuple(raw["layouts"]),
        yields=tuple(raw.get("yields", [])),
        record_defaults=dict(raw.get("record_defaults", {})),
        row_error_limit=float(raw["row_error_limit"]),
        people_once=raw.get("people_once") == "yes",
        derived_from=frozenset(raw.get("derived_from", [])),
        feeds_models=raw.get("feeds_models", "yes") == "yes",
        origins=frozenset({party.body}) if party else frozenset(),
        inputs=frozenset(),
        file=document.name,
        delivery=dict(raw.get("delivery", {})),
        tables=tuple(raw.get("tables", [])),
        checks=tuple(raw.get("checks", [])),
        changes=tuple(raw.get("changes", [])),
    )


def _field(
    document: Document, name: str, raw: dict[str, Any], register: Register, words: PackVocabulary
) -> Field:
    years = raw.get("retention_years")
    return Field(
        source=document.value["source"],
        name=name,
        label=raw["label"],
        category=raw["category"],
        data_class=register.vocabulary.categories.get(raw["category"], ""),
        lane=raw["lane"],
        part=raw.get("part"),
        gateways=tuple(raw.get("gateways", [])),
        agreements=tuple(raw.get("agreements", [])),
        purposes=tuple(raw.get("purposes", [])),
        retention_years=int(years) if years else None,
        free_text=raw.get("free_text") == "yes",
        transforms={
            **words.transforms.get(raw["type"], {}),
            **words.transforms.get(raw.get("part", ""), {}),
            **raw.get("transforms", {}),
        },
        spec=raw,
        line=document.line(("fields", name)),
    )


def grants_of(document: Document) -> list[Grant]:
    """Return the grants of a file; what the file says once holds for each of them."""
    raw = document.value
    found = []
    for place, own in enumerate(raw["grants"]):
        item = {
            "agency": "",
            "purpose": "",
            "agreements": [],
            "why": "",
            **raw.get("defaults", {}),
            **own,
        }
        found.append(
            Grant(
                id=item["id"],
                role=raw["role"],
                agency=item["agency"],
                purpose=item["purpose"],
                data_class=item["class"],
                level=Level[item["level"].upper()],
                agreements=tuple(item["agreements"]),
                sources=frozenset(item.get("sources", [])),
                obligations=tuple(item.get("obligations", [])),
                why=item["why"],
                file=document.name,
                line=document.line(("grants", place)),
            )
        )
    return found


def caps_of(document: Document) -> list[Cap]:
    """Return the caps of a file."""
    return [
        Cap(
            id=item["id"],
            when=dict(item["when"]),
            roles=frozenset(item.get("roles", [])),
            except_roles=frozenset(item.get("except_roles", [])),
            categories=frozenset(item.get("categories", [])),
            sources=frozenset(item.get("sources", [])),
            level=Level[item["level"].upper()],
            disclosure=item["disclosure"],
            why=item["why"],
            file=document.name,
            line=document.line(("caps", place)),
        )
        for place, item in enumerate(document.value["caps"])
    ]


def approvals_of(document: Document, reader: Reader) -> Governance:
    """Return who must agree to a change; a date that is none is a finding."""
    raw = document.value
    return Governance(
        dpia=raw["dpia"]["ref"],
        dpia_expires=reader.date(document, ("dpia", "expires"), raw["dpia"]["expires"]),
        dpo_advice=raw["dpia"]["dpo_advice"],
        approvals=tuple(
            Approval(
                item["id"],
                item["label"],
                frozenset(item["roles"]),
                frozenset(item.get("classes", [])),
            )
            for item in raw["approvals"]
        ),
        advice=frozenset(raw["advice"]),
        waivers=tuple(
            Waiver(
                item["rule"],
                item["subject"],
                item["signed_by"],
                reader.date(document, ("waivers", place, "until"), item["until"]),
                item["why"],
            )
            for place, item in enumerate(raw.get("waivers", []))
        ),
        forget_after_days=int(raw["encodings"]["forget_after_days"]),
        linkage_model=raw["encodings"].get("model", ""),
        communal=tuple(
            CommunalAddress(
                item["id"],
                item["kind"],
                item.get("uprn", ""),
                item.get("address", ""),
                item.get("postcode", ""),
                item["source"],
                reader.date(
                    document, ("communal_addresses", place, "reviewed_on"), item["reviewed_on"]
                ),
            )
            for place, item in enumerate(raw.get("communal_addresses", []))
        ),
        witnessing=witnessing_of(raw.get("witnessing", {})),
    )


def yield_fields(rule: Mapping[str, Any]) -> set[str]:
    """Return the fields that a yield of a contract reads, its governing field among them."""
    found = {rule["show"]}
    spec = next(rule[name] for name in ("event", "state", "flag") if name in rule)
    for name, value in spec.items():
        if isinstance(value, Mapping):
            found.add(value["field"])
        elif name not in ("kind", "role", "name"):
            found.add(value)
    when = rule.get("when", {})
    found.update([when["field"]] if "field" in when else when.get("ratio", []))
    return found
