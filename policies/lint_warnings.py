"""What an officer should look at before a pack is activated; a warning needs a signed waiver."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta

from gateways.findings import LintFinding
from gateways.model import Kind
from gateways.notice import expiring
from policies.authorise import open_bases
from policies.lint_tokens import fault
from policies.matrix import ASSUMED
from policies.model import Cap, Grant, Level, Pack, Request

MOST_SPECIAL = 0.75
"""Share of the special and offence fields that one role may reach before somebody is asked why."""
_YEAR = timedelta(days=365)
PLACES = {"dpia": "dpia_expires"}
"""Where a file states what runs out, when its key has another name."""


def warnings(
    pack: Pack, as_of: date, submitted: Mapping[str, Iterable[str]]
) -> Iterator[LintFinding]:
    """Yield what needs a waiver."""
    for one in expiring(pack.register, as_of):
        file = pack.register.agreements[one.agreement].file
        words = f"{one.agreement}: its {one.what} is {one.last_day.isoformat()}"
        line = pack.line(file, PLACES.get(one.what, one.what))
        yield _warn(
            file, line, "POL-L06", f"{one.agreement}.{one.what}", words, "Renew it in time."
        )
    yield from _gateways(pack, as_of)
    yield from _grants(pack, as_of)
    yield from _caps(pack)
    yield from _broad(pack)
    yield from _columns(pack, submitted)


def _warn(
    file: str, line: int, rule: str, subject: str, message: str, next_step: str
) -> LintFinding:
    return fault(file, line, "FG-POL-02", rule, subject, message, next_step, "W")


def _gateways(pack: Pack, as_of: date) -> Iterator[LintFinding]:
    for record in pack.register.gateways.values():
        if as_of - record.reviewed_on > _YEAR:
            yield _warn(
                record.file,
                pack.line(record.file, "reviewed_on"),
                "POL-L19",
                record.id,
                f"{record.id} was last read more than a year ago",
                "Read the text again and set reviewed_on.",
            )
    for source in pack.sources.values():
        for spec in source.fields.values():
            kinds = {pack.register.gateways[name].kind for name in spec.gateways}
            needs = pack.register.vocabulary.classes.get(spec.data_class, frozenset())
            if needs and kinds and kinds <= {Kind.GENERAL_POWER, Kind.ANCILLARY}:
                name = f"{source.id}.{spec.name}"
                yield _warn(
                    source.file,
                    spec.line,
                    "POL-L08",
                    name,
                    f"{name} rests on a general power alone",
                    "Name a gateway of its own.",
                )


def _grants(pack: Pack, as_of: date) -> Iterator[LintFinding]:
    for grant in pack.grants:
        if not _reaches(pack, grant, as_of):
            yield _warn(
                grant.file,
                grant.line,
                "POL-L09",
                grant.id,
                f"{grant.id} opens nothing on this date",
                "Remove it, or mend the gateway, agreement or purpose it needs.",
            )
        for other in pack.grants_of(grant.role, grant.agency, grant.purpose):
            if other.id == grant.id or other.data_class != grant.data_class:
                continue
            wider = _covers(other.sources, grant.sources) and set(other.agreements) >= set(
                grant.agreements
            )
            if not wider or other.level < grant.level:
                continue
            same = set(other.obligations) == set(grant.obligations)
            twin = (
                other.level == grant.level
                and _covers(grant.sources, other.sources)
                and set(other.agreements) == set(grant.agreements)
            )
            if same and (other.level > grant.level or other.id < grant.id):
                yield _warn(
                    grant.file,
                    grant.line,
                    "POL-L10",
                    grant.id,
                    f"{grant.id} adds nothing to {other.id}",
                    "Remove it.",
                )
            lighter = set(other.obligations) > set(grant.obligations)
            heavier = set(other.obligations) < set(grant.obligations)
            if lighter or (twin and not same and not heavier and other.id < grant.id):
                words = (
                    f"{grant.id} is dead text beside {other.id}: the obligations of both are owed"
                )
                yield _warn(grant.file, grant.line, "POL-L16", grant.id, words, "Keep one.")


def _covers(wider: frozenset[str], narrower: frozenset[str]) -> bool:
    """Say whether one list of sources holds the other; an empty list means all."""
    return not wider or bool(narrower and wider >= narrower)


def _reaches(pack: Pack, grant: Grant, as_of: date) -> bool:
    request = Request(grant.role, grant.agency, grant.purpose, ASSUMED)
    for source in pack.sources.values():
        if grant.sources and source.id not in grant.sources:
            continue
        for spec in source.fields.values():
            if spec.data_class != grant.data_class:
                continue
            pairs, _ = open_bases(pack, request, source, spec, as_of)
            if any(agreement in grant.agreements for agreement, _ in pairs) and not _always_capped(
                pack, grant, source.id, spec.category
            ):
                return True
    return False


def _always_capped(pack: Pack, grant: Grant, source: str, category: str) -> bool:
    """Say whether caps of `refuse` leave no state in which the grant opens a category.

    A state that avoids every cap exists unless two caps ask for both values of one flag, so only then
    are the states of the flags concerned tried one by one.
    """
    caps = [
        cap
        for cap in pack.caps
        if cap.level is Level.REFUSE and cap.concerns(grant.role, source, category)
    ]
    asked = {item for cap in caps for item in cap.when.items()}
    flags = sorted({flag for flag, _ in asked})
    if any(not cap.when for cap in caps):
        return True
    if len(asked) == len(flags):
        return False
    return all(
        any(cap.holds(dict(zip(flags, values, strict=True))) for cap in caps)
        for values in itertools.product("yn", repeat=len(flags))
    )


def _caps(pack: Pack) -> Iterator[LintFinding]:
    for cap in pack.caps:
        if not any(_bites(pack, cap, grant) for grant in pack.grants):
            yield _warn(
                cap.file,
                cap.line,
                "POL-L11",
                cap.id,
                f"{cap.id} never lowers anything",
                "Correct its words; a cap that does nothing is often a slip.",
            )


def _bites(pack: Pack, cap: Cap, grant: Grant) -> bool:
    return cap.level < grant.level and any(
        spec.data_class == grant.data_class and cap.concerns(grant.role, source.id, spec.category)
        for source in pack.sources.values()
        if not grant.sources or source.id in grant.sources
        for spec in source.fields.values()
    )


def _broad(pack: Pack) -> Iterator[LintFinding]:
    """A role that reaches most of the special fields, or far more than its peers (POL-L12)."""
    special = {
        (source.id, spec.name)
        for source in pack.sources.values()
        for spec in source.fields.values()
        if pack.register.vocabulary.classes.get(spec.data_class)
    }
    share: dict[str, float] = {}
    for role in pack.vocabulary.roles:
        reached = {
            (source.id, spec.name)
            for grant in pack.grants
            if grant.role == role and pack.register.vocabulary.classes.get(grant.data_class)
            for source in pack.sources.values()
            if not grant.sources or source.id in grant.sources
            for spec in source.fields.values()
            if spec.data_class == grant.data_class and spec.gateways
        }
        share[role] = len(reached) / max(1, len(special))
    values = list(share.values())
    mean = statistics.fmean(values) if values else 0.0
    spread = statistics.pstdev(values) if len(values) > 1 else 0.0
    for role, value in sorted(share.items()):
        if value > MOST_SPECIAL or (spread and value > mean + 3 * spread):
            words = f"{role} reaches {value:.0%} of the special and offence fields"
            file = "policies/vocabulary.yaml"
            line = pack.line(file, f"roles.{role}")
            yield _warn(file, line, "POL-L12", role, words, "Narrow it, or say why.")


def _columns(pack: Pack, submitted: Mapping[str, Iterable[str]]) -> Iterator[LintFinding]:
    for name, columns in sorted(submitted.items()):
        source = pack.sources.get(name)
        for column in sorted(columns):
            words = f"{name} is sent with the column {column}, which no field names"
            yield _warn(
                source.file if source else "sources",
                1,
                "POL-L18",
                f"{name}.{column}",
                words,
                "Add the field with its gateway, or ask the agency to leave it out.",
            )
    for source in pack.sources.values():
        for spec in source.fields.values():
            if spec.spec.get("type") != "derived" and not spec.spec.get("columns"):
                where = f"{source.id}.{spec.name}"
                yield _warn(
                    source.file,
                    spec.line,
                    "POL-L18",
                    where,
                    f"{where} is never in a file",
                    "Name its column, or remove it.",
                )
