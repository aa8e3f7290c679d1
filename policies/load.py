"""Read the pack folder and the register into a `Pack`, or refuse the whole of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from gateways import strict_yaml
from gateways.load import check_shape, load_register
from gateways.model import Register
from policies.errors import PolicyFault
from policies.model import Cap, Field, Grant, Level, Pack, PackVocabulary, Role, Source
from policies.schemas import CAPS, GRANTS, ROUTES, SOURCE, VOCABULARY

# Part of every policy version: a change of meaning in this code is a change of policy.
COMPILER_VERSION = "1"


def shipped() -> Path:
    """Return the folder of the pack that comes with the package."""
    return Path(str(files("policies").joinpath("pack")))


def load_pack(gateways_folder: Path, pack_folder: Path) -> Pack:
    """Load register and pack together.

    Args:
        gateways_folder: Vocabulary, register and agreements.
        pack_folder: ``vocabulary.yaml``, ``sources/``, ``grants/`` and ``caps/``.

    Returns:
        The pack; `version` changes exactly when the content of an input changes.

    Raises:
        GatewayFault: A register file or the shape of a pack file is wrong.
        PolicyFault: ``FG-POL-01`` an unknown token, ``FG-POL-02`` a rule of the pack is broken; all
            findings are listed at once.
    """
    register = load_register(gateways_folder)
    vocabulary = _vocabulary(pack_folder / "vocabulary.yaml")
    sources: dict[str, Source] = {}
    for path in _files(pack_folder / "sources"):
        source = _source(path, register)
        if source.id in sources:
            raise PolicyFault("FG-POL-01", f"{path.name}: {source.id} stands twice", "Rename one.")
        sources[source.id] = source
    grants = [grant for path in _files(pack_folder / "grants") for grant in _grants(path)]
    caps = [cap for path in _files(pack_folder / "caps") for cap in _caps(path)]
    pack = Pack(
        register,
        vocabulary,
        sources,
        tuple(sorted(grants, key=lambda grant: grant.id)),
        tuple(sorted(caps, key=lambda cap: cap.id)),
        _routes(pack_folder / "routes.yaml"),
        policy_version(gateways_folder, pack_folder),
    )
    findings = _findings(pack)
    if findings:
        raise PolicyFault("FG-POL-01", "; ".join(findings), "Correct the named files and reload.")
    return pack


def policy_version(gateways_folder: Path, pack_folder: Path) -> str:
    """Return the SHA-256 over the canonical content of every input, not over its bytes."""
    content = {
        f"{folder.name}/{path.relative_to(folder)}": strict_yaml.load(path)
        for folder in (gateways_folder, pack_folder)
        for path in sorted(folder.rglob("*.yaml"))
        if folder is pack_folder or "pack" not in path.relative_to(folder).parts
    }
    text = json.dumps({"compiler": COMPILER_VERSION, "files": content}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.yaml"))


def _vocabulary(path: Path) -> PackVocabulary:
    raw = strict_yaml.load(path)
    check_shape(raw, VOCABULARY, path)
    return PackVocabulary(
        host=raw["host"],
        roles={
            name: Role(name, value["label"], frozenset(value["agencies"]))
            for name, value in raw["roles"].items()
        },
        subject_flags=frozenset(raw["subject_flags"]),
        record_flags=frozenset(raw["record_flags"]),
        obligations=dict(raw["obligations"]),
    )


def _source(path: Path, register: Register) -> Source:
    raw = strict_yaml.load(path)
    check_shape(raw, SOURCE, path)
    defaults = raw.get("defaults", {})
    return Source(
        id=raw["source"],
        agency=raw["agency"],
        title=raw["title"],
        regime=raw["regime"],
        scheme=raw["scheme"],
        key=raw["key"],
        fields={
            name: _field(raw["source"], name, {**defaults, **value}, register)
            for name, value in raw["fields"].items()
        },
        layouts=tuple(raw["layouts"]),
        yields=tuple(raw.get("yields", [])),
        record_defaults=dict(raw.get("record_defaults", {})),
        row_error_limit=float(raw["row_error_limit"]),
        file=path.name,
    )


def _field(source: str, name: str, raw: dict[str, Any], register: Register) -> Field:
    years = raw.get("retention_years")
    return Field(
        source=source,
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
        spec=raw,
    )


def _grants(path: Path) -> list[Grant]:
    raw = strict_yaml.load(path)
    check_shape(raw, GRANTS, path)
    return [
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
            file=path.name,
        )
        for item in raw["grants"]
    ]


def _caps(path: Path) -> list[Cap]:
    raw = strict_yaml.load(path)
    check_shape(raw, CAPS, path)
    return [
        Cap(
            id=item["id"],
            when=dict(item["when"]),
            roles=frozenset(item.get("roles", [])),
            except_roles=frozenset(item.get("except_roles", [])),
            categories=frozenset(item.get("categories", [])),
            level=Level[item["level"].upper()],
            disclosure=item["disclosure"],
            file=path.name,
        )
        for item in raw["caps"]
    ]


def _routes(path: Path) -> dict[str, frozenset[str]]:
    raw = strict_yaml.load(path)
    check_shape(raw, ROUTES, path)
    return {name: frozenset(roles) for name, roles in raw["routes"].items()}


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


def _findings(pack: Pack) -> list[str]:
    """Collect every unknown word of the pack, all at once (POL-L02)."""
    register, words = pack.register, pack.vocabulary
    found: list[str] = []

    def known(used: object, all_known: object, what: str, file: str) -> None:
        missing = sorted(set(used) - set(all_known))  # type: ignore[call-overload]
        found.extend(f"{file}: unknown {what} {name}" for name in missing)

    known([words.host], register.parties, "agency", "vocabulary.yaml")
    for role in words.roles.values():
        known(role.agencies, register.parties, "agency", "vocabulary.yaml")
    flags = words.subject_flags | words.record_flags
    for source in pack.sources.values():
        known([source.agency], [*register.parties, "engine"], "agency", source.file)
        known(source.record_defaults, words.record_flags, "record flag", source.file)
        known([source.key], source.fields, "key field", source.file)
        for rule in source.yields:
            where = f"{source.file} {rule['id']}"
            known(yield_fields(rule), source.fields, "field", where)
            if "flag" in rule:
                flags_known = words.subject_flags | words.record_flags
                known([rule["flag"]["name"]], flags_known, "flag", where)
        for field in source.fields.values():
            where = f"{source.file} {field.name}"
            known([field.category], register.vocabulary.categories, "category", where)
            known(field.gateways, register.gateways, "gateway", where)
            known(field.agreements, register.agreements, "agreement", where)
            known(field.purposes, register.vocabulary.purposes, "purpose", where)
    for grant in pack.grants:
        known([grant.role], words.roles, "role", grant.file)
        known([grant.data_class], register.vocabulary.classes, "class", grant.file)
        known([grant.purpose], register.vocabulary.purposes, "purpose", grant.file)
        known(grant.agreements, register.agreements, "agreement", grant.file)
        known(grant.sources, pack.sources, "source", grant.file)
        known(
            [o.split(":")[0] for o in grant.obligations],
            words.obligations,
            "obligation",
            grant.file,
        )
        if grant.role in words.roles and grant.agency not in words.roles[grant.role].agencies:
            found.append(f"{grant.file}: {grant.agency} does not hold the role {grant.role}")
    for roles in pack.routes.values():
        known(roles, words.roles, "role", "routes.yaml")
    for cap in pack.caps:
        known(cap.when, flags, "flag", cap.file)
        known(cap.categories, register.vocabulary.categories, "category", cap.file)
        known(cap.roles | cap.except_roles, words.roles, "role", cap.file)
    return found
