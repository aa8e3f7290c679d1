"""Read the pack folder and the register into a `Pack`, or refuse the whole of it.

Every file is read and every finding told at once, with file and line: an officer mends a pack in one
go. Nothing of a pack with an error is used, and the pack that was active stays active.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from gateways.errors import GatewayFault
from gateways.findings import LintFinding
from gateways.load import Reader, read_register
from gateways.model import Register
from policies.errors import PolicyFault
from policies.lineage import with_lineage
from policies.lint import errors, token_findings
from policies.model import Cap, Field, Governance, Grant, Pack, PackVocabulary, Product, Source
from policies.parts import (
    approvals_of,
    caps_of,
    grants_of,
    source_of,
    vocabulary_of,
    yield_fields,
)
from policies.products import product_of
from policies.rows import MODEL
from policies.schemas import CAPS, GOVERNANCE, GRANTS, PRODUCT, ROUTES, SOURCE, VOCABULARY

__all__ = ["load_pack", "read_pack", "shipped", "yield_fields"]

# Part of every policy version: a change of meaning in this code is a change of policy.
COMPILER_VERSION = "2"


def shipped() -> Path:
    """Return the folder of the pack that comes with the package."""
    return Path(str(files("policies").joinpath("pack")))


def load_pack(gateways_folder: Path, pack_folder: Path) -> Pack:
    """Load register and pack together.

    Args:
        gateways_folder: Vocabulary, register and agreements.
        pack_folder: ``vocabulary.yaml``, ``governance.yaml``, ``routes.yaml``, ``sources/``,
            ``grants/`` and ``caps/``.

    Returns:
        The pack; `version` changes exactly when the content of an input changes.

    Raises:
        GatewayFault: A file cannot be read or has another shape, or a word of the register is
            unknown (``FG-GATE-01`` to ``FG-GATE-03``).
        PolicyFault: ``FG-POL-01`` an unknown word of the pack, ``FG-POL-02`` a rule of the pack is
            broken. Either carries all findings of all files.
    """
    pack, findings = read_pack(gateways_folder, pack_folder)
    blocking = [finding for finding in findings if finding.severity == "E"]
    if pack is None or blocking:
        if all(finding.code.startswith("FG-POL") for finding in blocking):
            raise PolicyFault.of(blocking)
        raise GatewayFault.of(blocking)
    return pack


def read_pack(
    gateways_folder: Path, pack_folder: Path
) -> tuple[Pack | None, tuple[LintFinding, ...]]:
    """Read everything and return the pack, or None, with every error found.

    Warnings need the date and the neighbours of each grant, so they stand in `policies.lint.lint`.
    """
    reader = Reader()
    register = read_register(gateways_folder, reader)
    vocabulary = reader.read(
        pack_folder / "vocabulary.yaml", VOCABULARY, "policies/vocabulary.yaml"
    )
    governance = reader.read(
        pack_folder / "governance.yaml", GOVERNANCE, "policies/governance.yaml"
    )
    routes = reader.read(pack_folder / "routes.yaml", ROUTES, "policies/routes.yaml")
    found: dict[str, list[Any]] = {}
    for folder, schema in (
        ("sources", SOURCE),
        ("grants", GRANTS),
        ("caps", CAPS),
        ("products", PRODUCT),
    ):
        documents = [reader.read(path, schema) for path in reader.files(pack_folder / folder)]
        found[folder] = [document for document in documents if document is not None]
    if register is None or vocabulary is None or governance is None or routes is None:
        return None, tuple(reader.findings)
    words = vocabulary_of(vocabulary)
    sources: dict[str, Source] = {}
    for document in found["sources"]:
        source = source_of(document, register, words)
        if source.id in sources:
            reader.add(
                document,
                ("source",),
                "FG-POL-01",
                "POL-L17",
                f"{source.id} stands twice",
                "Rename one.",
            )
        sources[source.id] = source
    grants = [one for document in found["grants"] for one in grants_of(document)]
    caps = [one for document in found["caps"] for one in caps_of(document)]
    pack = _pack(
        register,
        words,
        sources,
        grants,
        caps,
        {name: frozenset(roles) for name, roles in routes.value["routes"].items()},
        approvals_of(governance, reader),
        version_of(reader.content),
        reader.spots,
        {one.id: one for one in map(product_of, found["products"])},
    )
    unknown = [*reader.findings, *token_findings(pack)]
    if unknown:
        return None, (*unknown, *_beside(pack, unknown))
    whole = with_lineage(pack)
    broken = errors(whole)
    return (None if broken else whole), tuple(broken)


def _beside(pack: Pack, unknown: list[LintFinding]) -> list[LintFinding]:
    """Return what the later rules say of the grants and caps whose every word is known.

    Only where the unknown words stand in grants and caps: with a source or the register in doubt the
    later rules would speak of things that are not so.
    """
    places = {(one.file, one.line) for one in unknown}
    grants = tuple(one for one in pack.grants if (one.file, one.line) not in places)
    caps = tuple(one for one in pack.caps if (one.file, one.line) not in places)
    files = {one.file for one in pack.grants} | {one.file for one in pack.caps}
    if any(file not in files for file, _ in places):
        return []
    return errors(with_lineage(replace(pack, grants=grants, caps=caps)))


def _pack(
    register: Register,
    words: PackVocabulary,
    sources: dict[str, Source],
    grants: list[Grant],
    caps: list[Cap],
    routes: dict[str, frozenset[str]],
    governance: Governance,
    version: str,
    spots: dict[str, dict[str, int]],
    products: dict[str, Product],
) -> Pack:
    return Pack(
        register,
        words,
        sources,
        tuple(sorted(grants, key=lambda grant: (grant.id, grant.file, grant.line))),
        tuple(sorted(caps, key=lambda cap: (cap.id, cap.file, cap.line))),
        routes,
        governance,
        version,
        spots,
        products,
    )


def version_of(content: dict[str, Any]) -> str:
    """Return the SHA-256 over the canonical content of every input, not over its bytes.

    The compiler's version and casbin's model are inputs too (policy.md 5.6): what they mean is part
    of what an old decision meant.
    """
    whole = {"compiler": COMPILER_VERSION, "model": MODEL, "files": content}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def field_of(pack: Pack, name: str) -> Field | None:
    """Return the field that ``source.field`` names, or None."""
    source, _, field = name.rpartition(".")
    contract = pack.sources.get(source)
    return contract.fields.get(field) if contract else None
