"""Read the register folder into a `Register`, or refuse the whole of it with every finding."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jsonschema

from gateways import strict_yaml
from gateways.catalogue import CONDITIONS
from gateways.errors import GatewayFault
from gateways.findings import LintFinding
from gateways.model import Agreement, Gateway, Kind, Party, Register, Vocabulary, expand
from gateways.schemas import AGREEMENT, GATEWAY, PARTIES, VOCABULARY
from gateways.strict_yaml import Document, Place

TOKEN = re.compile(r"[a-z][a-z0-9_.-]{0,63}")


def shipped() -> Path:
    """Return the folder of the register that comes with the package."""
    return Path(str(files("gateways")))


_MOST = 1024
"""Files that are remembered; a policy has about a hundred."""
_FOUND_WHOLE: dict[tuple[bytes, str, str], _Whole] = {}
"""Bytes, name and schema of files that were found to have their shape, each with what they say.

A change of the policy reads the active version, the draft and the proposed one several times over, and to
hold a file against its schema takes longer than all else. Only equal bytes under an equal schema are taken
over; what has a finding is read anew each time.
"""


@dataclass(frozen=True)
class _Whole:
    """A file without a finding."""

    text: str
    lines: Mapping[Place, int]
    spots: Mapping[str, int]
    name: str

    @classmethod
    def of(cls, document: Document) -> _Whole:
        lines, spots = MappingProxyType(dict(document.lines)), MappingProxyType(document.spots())
        return cls(json.dumps(document.value), lines, spots, document.name)

    def document(self) -> Document:
        """Return the file as if it had just been read; nobody else holds the same mapping."""
        return Document(json.loads(self.text), self.lines, self.name)


def forget_files() -> None:
    """Read every file anew the next time; for measuring."""
    _FOUND_WHOLE.clear()


@dataclass
class Reader:
    """Reads files and collects what is wrong with them, all of it.

    Attributes:
        findings: What was found so far.
        content: Folder and name of each file to its content, for the version's hash.
        spots: Folder and name of each file to the lines of its values, for rules that run later.
    """

    findings: list[LintFinding] = field(default_factory=list)
    content: dict[str, Any] = field(default_factory=dict)
    spots: dict[str, dict[str, int]] = field(default_factory=dict)

    def files(self, folder: Path) -> list[Path]:
        """Return the YAML files of a folder by name; an empty folder is a finding."""
        found = sorted(folder.glob("*.yaml"))
        if not found:
            self.findings.append(
                LintFinding(
                    folder.name,
                    1,
                    "FG-GATE-01",
                    "POL-L17",
                    "no YAML file stands here",
                    "Restore the folder.",
                )
            )
        return found

    def read(self, path: Path, schema: dict[str, Any], name: str = "") -> Document | None:
        """Return a file that has the shape of the schema, or None after adding findings."""
        name = name or f"{path.parent.name}/{path.name}"
        try:
            raw = strict_yaml.raw_of(path, name)
            key = (raw, name, json.dumps(schema, sort_keys=True))
            known = _FOUND_WHOLE.get(key)
            document = known.document() if known else strict_yaml.parse(raw, name)
        except GatewayFault as fault:
            self.findings.extend(fault.findings)
            return None
        self.content[document.name] = document.value
        if known:
            self.spots[document.name] = dict(known.spots)
            return document
        self.spots[document.name] = document.spots()
        before = len(self.findings)
        validator = jsonschema.Draft202012Validator(schema)
        for error in validator.iter_errors(document.value):
            where = ".".join(str(part) for part in error.absolute_path) or "top level"
            self.add(
                document,
                tuple(error.absolute_path),
                "FG-GATE-02",
                "POL-L02",
                f"{where}: {_problem(error)}",
                "Compare the file with the ones that came with fieldgate.",
            )
        if len(self.findings) > before:
            return None
        if len(_FOUND_WHOLE) >= _MOST:
            _FOUND_WHOLE.clear()
        _FOUND_WHOLE[key] = _Whole.of(document)
        return document

    def add(
        self,
        document: Document,
        place: Place,
        code: str,
        rule: str,
        message: str,
        next_step: str,
    ) -> None:
        """Add a finding at a place of a document."""
        line = document.line(place)
        self.findings.append(LintFinding(document.name, line, code, rule, message, next_step))

    def known(
        self, document: Document, place: Place, used: Iterable[str], words: Iterable[str], what: str
    ) -> None:
        """Add a finding for every used word that is not a word of the list (POL-L02)."""
        for word in sorted(set(used) - set(words)):
            self.add(
                document,
                place,
                "FG-GATE-03",
                "POL-L02",
                f"unknown {what} {word}",
                f"Add the {what} to the vocabulary, or correct the word.",
            )

    def date(self, document: Document, place: Place, text: str) -> date:
        """Return a date, or add a finding and return a day on which nothing is in force."""
        try:
            return date.fromisoformat(text)
        except ValueError:
            self.add(
                document,
                place,
                "FG-GATE-02",
                "POL-L02",
                "a date is not year-month-day",
                "Write 2026-09-30.",
            )
            return date.min

    def refuse(self) -> None:
        """Raise when anything was found.

        Raises:
            GatewayFault: With every finding.
        """
        if self.findings:
            raise GatewayFault.of(self.findings)


def _problem(error: jsonschema.ValidationError) -> str:
    """Word a schema error; keys and rules of our files hold no person's value."""
    if error.validator == "enum":
        return f"it must be one of {error.validator_value}"
    if error.validator == "pattern":
        return f"it must match {error.validator_value}"
    return error.message[:160]


def load_register(folder: Path) -> Register:
    """Load vocabulary, register and agreements from `folder`.

    Args:
        folder: Holds ``vocabulary.yaml``, ``register/*.yaml`` and ``agreements/*.yaml``.

    Returns:
        The register; every token in it is known to its vocabulary.

    Raises:
        GatewayFault: ``FG-GATE-01`` unreadable file, ``FG-GATE-02`` wrong shape, ``FG-GATE-03``
            unknown token; every finding of every file, and no part of the register is used.
    """
    reader = Reader()
    register = read_register(folder, reader)
    reader.refuse()
    if register is None:
        raise AssertionError("a register without findings was not read")
    return register


def read_register(folder: Path, reader: Reader) -> Register | None:
    """Read the register; what is wrong is added to `reader`, and None means it cannot be used."""
    document = reader.read(folder / "vocabulary.yaml", VOCABULARY, "gateways/vocabulary.yaml")
    if document is None:
        # Without words nothing else can be judged, but every file is still read for its own faults.
        for path in reader.files(folder / "register"):
            reader.read(path, GATEWAY)
        return None
    words = _vocabulary(document, reader)
    gateways: dict[str, Gateway] = {}
    for path in reader.files(folder / "register"):
        if (found := reader.read(path, GATEWAY)) is not None:
            gateway = _gateway(found, words, reader)
            _unique(gateway.id, gateways, found, reader)
            gateways[gateway.id] = gateway
    parties = _parties(reader.read(folder / "agreements" / "parties.yaml", PARTIES), words, reader)
    register = Register(words, gateways, {}, parties)
    for path in reader.files(folder / "agreements"):
        if path.name != "parties.yaml" and (found := reader.read(path, AGREEMENT)) is not None:
            agreement = _agreement(found, register, reader)
            _unique(agreement.id, register.agreements, found, reader)
            register.agreements[agreement.id] = agreement
    return register


def _unique(key: str, known: Iterable[str], document: Document, reader: Reader) -> None:
    if key in known:
        reader.add(
            document, ("id",), "FG-GATE-02", "POL-L17", f"the id {key} stands twice", "Rename one."
        )
    if not TOKEN.fullmatch(key):
        reader.add(
            document,
            ("id",),
            "FG-GATE-02",
            "POL-L17",
            "the id is not a token",
            "Use small letters, digits, _, . and - only.",
        )


def _vocabulary(document: Document, reader: Reader) -> Vocabulary:
    raw = document.value
    bodies = frozenset(raw["bodies"])
    for name, members in raw["groups"].items():
        reader.known(document, ("groups", name), members, bodies, "body")
    for key in ("competent", "public_authorities"):
        reader.known(document, (key,), raw[key], [*bodies, *raw["groups"]], "body")
    for key in ("never_purposes", "counts_only", "le_purposes"):
        reader.known(document, (key,), raw[key], raw["purposes"], "purpose")
    for name, data_class in raw["categories"].items():
        reader.known(document, ("categories", name), [data_class], raw["classes"], "class")
    tokens = [
        *(("bodies", name) for name in bodies),
        *(("purposes", name) for name in raw["purposes"]),
        *(("categories", name) for name in raw["categories"]),
        *(("classes", name) for name in raw["classes"]),
    ]
    for key, name in tokens:
        if not TOKEN.fullmatch(name):
            reader.add(
                document,
                (key,),
                "FG-GATE-02",
                "POL-L17",
                "a word is not a token",
                "Use small letters, digits, _, . and - only.",
            )
    groups = {name: frozenset(members) for name, members in raw["groups"].items()}
    return Vocabulary(
        bodies=bodies,
        groups=groups,
        purposes=dict(raw["purposes"]),
        never_purposes=frozenset(raw["never_purposes"]),
        counts_only=frozenset(raw["counts_only"]),
        le_purposes=frozenset(raw["le_purposes"]),
        competent=expand(raw["competent"], groups),
        public_authorities=expand(raw["public_authorities"], groups),
        categories=dict(raw["categories"]),
        classes={name: frozenset(needs) for name, needs in raw["classes"].items()},
        dea_factors=dict(raw["dea_factors"]),
    )


def _gateway(document: Document, words: Vocabulary, reader: Reader) -> Gateway:
    raw = document.value
    bodies = {
        key: words.expand(raw.get(key, []))
        for key in ("from", "to", "from_unverified", "to_unverified", "never_party")
    }
    for key, found in bodies.items():
        reader.known(document, (key,), found, words.bodies, "body")
    for key, known, what in (
        ("purposes", words.purposes, "purpose"),
        ("allow", words.categories, "category"),
        ("deny", words.categories, "category"),
        ("applies_to", words.categories, "category"),
        ("conditions", CONDITIONS, "condition"),
    ):
        reader.known(document, (key,), raw.get(key, []), known, what)
    first, ended = raw["in_force_from"], raw.get("in_force_to")
    return Gateway(
        id=raw["id"],
        cite=raw["cite"],
        kind=Kind(raw["kind"]),
        in_force_from=None
        if first == "unknown"
        else reader.date(document, ("in_force_from",), first),
        in_force_to=reader.date(document, ("in_force_to",), ended) if ended else None,
        enabled=raw.get("enabled_by_default", "yes") == "yes",
        overrides_confidence=raw["overrides_confidence"],
        parties_from=bodies["from"],
        parties_to=bodies["to"],
        unverified_from=bodies["from_unverified"],
        unverified_to=bodies["to_unverified"],
        never_party=bodies["never_party"],
        purposes=frozenset(raw.get("purposes", [])),
        allow=frozenset(raw.get("allow", [])),
        deny=frozenset(raw.get("deny", [])),
        applies_to=frozenset(raw.get("applies_to", [])),
        conditions=tuple(raw["conditions"]),
        article6=tuple(raw["article6"]),
        article9=tuple(raw.get("article9", [])),
        article10=tuple(raw.get("article10", [])),
        schedule1=tuple(raw.get("schedule1", [])),
        reviewed_on=reader.date(document, ("reviewed_on",), raw["reviewed_on"]),
        verified=raw["verified"] == "yes",
        unverified=tuple(raw.get("unverified", [])),
        text_vintage=raw["text_vintage"],
        note=raw.get("note", ""),
        file=document.name,
    )


def _agreement(document: Document, register: Register, reader: Reader) -> Agreement:
    raw = document.value
    for key, known, what in (
        ("parties", register.parties, "agency"),
        ("gateways", register.gateways, "gateway"),
        ("purposes", register.vocabulary.purposes, "purpose"),
    ):
        reader.known(document, (key,), raw[key], known, what)
    days = {
        key: reader.date(document, (key,), raw[key])
        for key in ("start", "end", "review", "dpia_expires")
    }
    if days["end"] < days["start"]:
        reader.add(
            document,
            ("end",),
            "FG-GATE-02",
            "POL-L05",
            "the agreement ends before it starts",
            "Mend a date.",
        )
    return Agreement(
        start=days["start"],
        end=days["end"],
        review=days["review"],
        dpia_expires=days["dpia_expires"],
        id=raw["id"],
        title=raw["title"],
        parties=frozenset(raw["parties"]),
        sources=frozenset(raw["sources"]),
        gateways=frozenset(raw["gateways"]),
        purposes=frozenset(raw["purposes"]),
        dpia=raw["dpia"],
        text_sha256=raw["text_sha256"],
        signatories=tuple(raw["signatories"]),
        notes=dict(raw.get("notes", {})),
        file=document.name,
    )


def _parties(document: Document | None, words: Vocabulary, reader: Reader) -> dict[str, Party]:
    if document is None:
        return {}
    found = {}
    for agency, value in document.value.items():
        reader.known(document, (agency,), [value["body"]], words.bodies, "body")
        found[agency] = Party(agency, value["body"], value["name"])
    return found
