"""Rules that a pack is held against before it may be used: POL-L01 to POL-L31 (policy.md 5.5).

An error (E) and the pack does not load; a warning (W) and it is not activated without a waiver that
somebody signed for this rule and this thing, until a day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date

from gateways.findings import LintFinding, in_order
from gateways.load import TOKEN
from gateways.model import Kind
from policies.errors import PolicyFault
from policies.lineage import loops
from policies.lint_tokens import fault, token_findings
from policies.lint_warnings import warnings
from policies.model import Field, Grant, Level, Pack, Source
from policies.products import product_findings
from policies.rows import loaded
from policies.schemas import EQUALITY_PARTS

__all__ = ["compile_findings", "errors", "lint", "token_findings", "waived"]

EQUALITY_LANE, EQUALITY_CLASS = "equality", "special_equality"
BREAK_GLASS_OWED = ("time_box", "notify", "review_after")
"""Obligations without which a grant for immediate danger is a way round (policy.md 5.3)."""


def lint(
    pack: Pack, as_of: date, submitted: Mapping[str, Iterable[str]] | None = None
) -> tuple[LintFinding, ...]:
    """Return every finding about a pack that loaded: errors, warnings and lost rows.

    Args:
        pack: The pack.
        as_of: The date; agreements and reviews are judged as at it.
        submitted: Source to the columns of real deliveries that no field names (POL-L18); None
            when no home is at hand.
    """
    return in_order(
        [*errors(pack), *warnings(pack, as_of, submitted or {}), *compile_findings(pack)]
    )


def waived(pack: Pack, finding: LintFinding, as_of: date) -> bool:
    """Say whether somebody signed for a warning, and still does on that day."""
    return finding.severity == "W" and any(
        waiver.rule == finding.rule and waiver.subject == finding.subject and as_of <= waiver.until
        for waiver in pack.governance.waivers
    )


def errors(pack: Pack) -> list[LintFinding]:
    """Return what must not load, all of it."""
    found = list(_fields(pack))
    found += _agreements(pack)
    found += _grants(pack)
    found += _unique(pack)
    found += product_findings(pack)
    for name in loops(pack.sources):
        found.append(
            fault(
                pack.sources[name].file,
                pack.line(pack.sources[name].file, "derived_from"),
                "FG-POL-02",
                "POL-L22",
                name,
                f"{name} is derived from itself",
                "Name the sources behind it.",
            )
        )
    return found


def compile_findings(pack: Pack) -> list[LintFinding]:
    """Load the rows of every grant's role and source into casbin and count them (POL-L20)."""
    found = []
    asked = {(one.role, one.agency, one.purpose) for one in pack.grants}
    for role, agency, purpose in sorted(asked):
        for source in pack.sources.values():
            try:
                loaded(pack, role, agency, purpose, source)
            except PolicyFault as error:
                found.append(
                    fault(
                        source.file,
                        1,
                        error.code,
                        "POL-L20",
                        source.id,
                        error.message,
                        error.next_step,
                    )
                )
    return found


def _field_fault(
    pack: Pack, spec: Field, rule: str, message: str, next_step: str, severity: str = "E"
) -> LintFinding:
    name = f"{spec.source}.{spec.name}"
    file = pack.sources[spec.source].file
    return fault(file, spec.line, "FG-POL-02", rule, name, f"{name} {message}", next_step, severity)


def _fields(pack: Pack) -> Iterator[LintFinding]:
    register, words = pack.register, pack.register.vocabulary
    for source in pack.sources.values():
        body = register.parties[pack.giver(source)].body
        for spec in source.fields.values():
            stated = {"gateways": "gateways" in spec.spec}
            if spec.gateways:
                stated |= {
                    "agreements": bool(spec.agreements),
                    "purposes": bool(spec.purposes),
                    "retention_years": spec.retention_years is not None,
                }
            for name, given in stated.items():
                if not given:
                    yield _field_fault(
                        pack,
                        spec,
                        "POL-L01",
                        f"states no {name}",
                        f"State {name}, or gateways: [] to keep it out.",
                    )
            needs = words.classes.get(spec.data_class, frozenset({"art9", "art10"}))
            records = [register.gateways[name] for name in spec.gateways]
            for need, article in (("art9", "article9"), ("art10", "article10")):
                good = [one for one in records if getattr(one, article) and one.schedule1]
                if need in needs and records and not good:
                    yield _field_fault(
                        pack,
                        spec,
                        "POL-L03",
                        f"needs a basis under {article}",
                        "Name a gateway that carries one.",
                    )
            for record in records:
                if body not in record.parties_from | record.unverified_from:
                    yield _field_fault(
                        pack,
                        spec,
                        "POL-L08",
                        f"names {record.id}, which does not let {body} give",
                        "Take the gateway out, or correct the party.",
                    )
            if records and not _agreed(pack, spec):
                yield _field_fault(
                    pack,
                    spec,
                    "POL-L07",
                    "has no purpose that a gateway, an agreement and the field share",
                    "Correct the purposes.",
                )
        yield from _equality(pack, source)


def _equality(pack: Pack, source: Source) -> Iterator[LintFinding]:
    """What is asked about equality serves counts alone: never a person's record, score or list.

    Data Protection Act 2018 Schedule 1 paragraph 8(3): not for a measure or decision about a person.
    """
    counts = pack.register.vocabulary.counts_only
    for spec in source.fields.values():
        apart, serves = spec.lane == EQUALITY_LANE, set(spec.purposes)
        used = [one["id"] for one in source.yields if _mentions(one, spec.name)]
        if spec.data_class == EQUALITY_CLASS and spec.gateways and not apart:
            says = "is about equality and does not go into its lane"
        elif (spec.part in EQUALITY_PARTS) != apart:
            says = (
                "names a part for counts of fairness in another lane, or another part in that lane"
            )
        elif apart and serves - counts:
            says = "is in the equality lane and serves more than counts, or names no part"
        elif serves & counts and not apart:
            says = "serves counts only and is not in the equality lane"
        elif apart and used:
            says = f"is in the equality lane and {', '.join(used)} reads it"
        else:
            continue
        yield _field_fault(pack, spec, "POL-L26", says, "Keep it apart, or take its gateways away.")


def _mentions(value: object, name: str) -> bool:
    if isinstance(value, Mapping):
        return any(_mentions(one, name) for one in value.values())
    if isinstance(value, list | tuple):
        return any(_mentions(one, name) for one in value)
    return value == name


def _agreed(pack: Pack, spec: Field) -> bool:
    register = pack.register
    return any(
        set(spec.purposes)
        & register.gateways[gateway].purposes
        & register.agreements[agreement].purposes
        for gateway in spec.gateways
        for agreement in spec.agreements
        if gateway in register.agreements[agreement].gateways
    )


def _agreements(pack: Pack) -> Iterator[LintFinding]:
    register = pack.register
    for agreement in register.agreements.values():
        for name in sorted(agreement.gateways):
            record = register.gateways[name]
            if record.kind in (Kind.REPEALED, Kind.UNVERIFIED, Kind.NOT_A_GATEWAY):
                words = f"{agreement.id} relies on {name}, which is {record.kind.value}"
                yield fault(
                    agreement.file,
                    pack.line(agreement.file, "gateways"),
                    "FG-POL-02",
                    "POL-L24",
                    f"{agreement.id}.{name}",
                    words,
                    "Rely on a gateway that is law.",
                )
            elif not record.purposes & agreement.purposes:
                words = f"{agreement.id} and {name} share no purpose"
                yield fault(
                    agreement.file,
                    pack.line(agreement.file, "purposes"),
                    "FG-POL-02",
                    "POL-L07",
                    f"{agreement.id}.{name}",
                    words,
                    "Correct the purposes of the agreement.",
                )
            if "ea" in record.article6 and (
                (record.parties_from | record.parties_to) & register.vocabulary.public_authorities
            ):
                words = f"{name} rests on Article 6(1)(ea), which a public authority may not use"
                yield fault(
                    record.file,
                    pack.line(record.file, "article6"),
                    "FG-POL-02",
                    "POL-L25",
                    name,
                    words,
                    "Name another basis of Article 6.",
                )


def _grants(pack: Pack) -> Iterator[LintFinding]:
    held = {spec.data_class for source in pack.sources.values() for spec in source.fields.values()}
    for grant in pack.grants:

        def wrong(rule: str, message: str, next_step: str, grant: Grant = grant) -> LintFinding:
            return fault(
                grant.file,
                grant.line,
                "FG-POL-02",
                rule,
                grant.id,
                f"{grant.id} {message}",
                next_step,
            )

        role = pack.vocabulary.roles[grant.role]
        if grant.data_class not in held:
            yield wrong("POL-L04", f"opens {grant.data_class}, which no field has", "Remove it.")
        if grant.agency not in role.agencies:
            yield wrong(
                "POL-L04",
                f"is for {grant.agency}, which does not hold the role {grant.role}",
                "Correct the agency, or let it hold the role.",
            )
        if not grant.agreements or not grant.why.strip():
            yield wrong("POL-L01", "states no agreement, or not why it was given", "State both.")
        if grant.purpose in pack.register.vocabulary.never_purposes:
            yield wrong("POL-L21", f"serves {grant.purpose}, which is never served", "Remove it.")
        if (
            grant.purpose in pack.register.vocabulary.counts_only
            or grant.data_class == EQUALITY_CLASS
        ):
            yield wrong("POL-L26", "opens what is kept for counts of fairness only", "Remove it.")
        yield from _duties(pack, grant, wrong)
        names = {obligation.split(":")[0] for obligation in grant.obligations}
        missing = [name for name in BREAK_GLASS_OWED if name not in names]
        if grant.purpose == pack.vocabulary.break_glass_purpose and missing:
            yield wrong("POL-L23", f"breaks glass without {', '.join(missing)}", "Add them.")
        for spec in _opened(pack, grant):
            if spec.free_text and grant.level is Level.CLEAR and "second_approver" not in names:
                yield wrong(
                    "POL-L14",
                    f"shows the free text {spec.source}.{spec.name} to one person alone",
                    "Add second_approver, or lower the level.",
                )
            lacking = [
                level.name.lower()
                for level in (Level.EXISTS, Level.TOKEN, Level.BANDED)
                if level <= grant.level and level.name.lower() not in spec.transforms
            ]
            if lacking:
                yield wrong(
                    "POL-L15",
                    f"may show {spec.source}.{spec.name} as {', '.join(lacking)}, which has no form",
                    "Name a transform for the level.",
                )


def _opened(pack: Pack, grant: Grant) -> Iterator[Field]:
    for source in pack.sources.values():
        if not grant.sources or source.id in grant.sources:
            for spec in source.fields.values():
                if spec.data_class == grant.data_class and spec.gateways:
                    yield spec


def _duties(
    pack: Pack, grant: Grant, say: Callable[[str, str, str], LintFinding]
) -> Iterator[LintFinding]:
    """Separation of duties (POL-L13): who oversees or submits does not also practise."""
    kind = pack.vocabulary.roles[grant.role].kind
    if kind in ("oversight", "submission"):
        yield say(
            "POL-L13", f"gives content to {grant.role}, which is there for {kind}", "Remove it."
        )
    if kind == "analysis" and grant.data_class in ("identity", "contact"):
        yield say(
            "POL-L13", f"gives names to {grant.role}, which works on references", "Remove it."
        )
    if kind == "analysis" and grant.level > Level.TOKEN and grant.data_class != "score":
        yield say("POL-L13", f"gives more than references to {grant.role}", "Lower it to token.")
    for obligation in grant.obligations:
        name, _, approver = obligation.partition(":")
        if name == "second_approver" and approver == grant.role:
            yield say("POL-L13", "is approved by the role that asks", "Name another role.")


def _unique(pack: Pack) -> Iterator[LintFinding]:
    for what, items in (("grant", pack.grants), ("cap", pack.caps)):
        seen: set[str] = set()
        for one in items:
            if one.id in seen:
                yield fault(
                    one.file,
                    one.line,
                    "FG-POL-02",
                    "POL-L17",
                    one.id,
                    f"the {what} {one.id} stands twice",
                    "Rename one.",
                )
            seen.add(one.id)
            if not TOKEN.fullmatch(one.id):
                yield fault(
                    one.file,
                    one.line,
                    "FG-POL-02",
                    "POL-L17",
                    one.id,
                    f"the id of a {what} is not a token",
                    "Use small letters, digits, _, . and - only.",
                )
