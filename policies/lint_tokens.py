"""Every word of the pack is a word of a vocabulary, or the pack does not load (POL-L02)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateways.findings import LintFinding
from gateways.load import TOKEN
from policies.model import Pack
from policies.parts import yield_fields
from policies.transforms import TRANSFORMS

WAIVABLE = frozenset({f"POL-L{n:02}" for n in (6, 8, 9, 10, 11, 12, 16, 18, 19)})
"""Rules whose findings are warnings; an error is mended and never waived."""


def fault(
    file: str,
    line: int,
    code: str,
    rule: str,
    subject: str,
    message: str,
    next_step: str,
    severity: str = "E",
) -> LintFinding:
    """Return a finding about a thing of the pack."""
    return LintFinding(file, line, code, rule, message, next_step, severity, subject)


class _Words:
    def __init__(self) -> None:
        self.found: list[LintFinding] = []

    def known(
        self, used: Iterable[str], all_known: Iterable[str], what: str, file: str, line: int = 1
    ) -> None:
        for name in sorted(set(used) - set(all_known)):
            self.found.append(
                fault(
                    file,
                    line,
                    "FG-POL-01",
                    "POL-L02",
                    name,
                    f"unknown {what} {name}",
                    f"Add the {what} to its vocabulary, or correct the word.",
                )
            )


def token_findings(pack: Pack) -> list[LintFinding]:
    """Collect every unknown word of the pack, all at once."""
    say = _Words()
    _vocabulary(pack, say)
    for source in pack.sources.values():
        _source(pack, source.id, say)
    register, words = pack.register, pack.vocabulary
    for grant in pack.grants:
        at = (grant.file, grant.line)
        say.known([grant.role], words.roles, "role", *at)
        say.known([grant.agency], register.parties, "agency", *at)
        say.known([grant.data_class], register.vocabulary.classes, "class", *at)
        say.known([grant.purpose], register.vocabulary.purposes, "purpose", *at)
        say.known(grant.agreements, register.agreements, "agreement", *at)
        say.known(grant.sources, pack.sources, "source", *at)
        parts = [one.partition(":") for one in grant.obligations]
        say.known([name for name, _, _ in parts], words.obligations, "obligation", *at)
        approvers = [who for name, _, who in parts if name == "second_approver"]
        say.known(approvers, words.roles, "role", *at)
    for cap in pack.caps:
        at = (cap.file, cap.line)
        say.known(cap.when, words.flags, "flag", *at)
        say.known(cap.categories, register.vocabulary.categories, "category", *at)
        say.known(cap.sources, pack.sources, "source", *at)
        say.known(cap.roles | cap.except_roles, words.roles, "role", *at)
    for agreement in register.agreements.values():
        line = pack.line(agreement.file, "sources")
        say.known(agreement.sources, pack.sources, "source", agreement.file, line)
    return [*say.found, *_tokens(pack)]


def _vocabulary(pack: Pack, say: _Words) -> None:
    register, words, file = pack.register, pack.vocabulary, "policies/vocabulary.yaml"

    def at(*places: str) -> tuple[str, int]:
        return file, pack.line(file, *places)

    say.known([words.host], register.parties, "agency", *at("host"))
    for name, role in words.roles.items():
        where = at(f"roles.{name}.agencies", f"roles.{name}")
        say.known(role.agencies, register.parties, "agency", *where)
    say.known(words.closing_flags, words.record_flags, "record flag", *at("closing_flags"))
    glass = at("break_glass")
    say.known([words.break_glass_purpose], register.vocabulary.purposes, "purpose", *glass)
    say.known(words.break_glass_reviewers, words.roles, "role", *glass)
    for kind, levels in words.transforms.items():
        where = at(f"transforms.{kind}", "transforms")
        say.known(levels.values(), TRANSFORMS, "transform", *where)
    routes = "policies/routes.yaml"
    for route, roles in pack.routes.items():
        say.known(roles, words.roles, "role", routes, pack.line(routes, f"routes.{route}"))
    _governance(pack, say)


def _governance(pack: Pack, say: _Words) -> None:
    register, words, file = pack.register, pack.vocabulary, "policies/governance.yaml"
    for place, approval in enumerate(pack.governance.approvals):
        line = pack.line(file, f"approvals.{place}", "approvals")
        say.known(approval.roles, words.roles, "role", file, line)
        say.known(approval.classes, register.vocabulary.classes, "class", file, line)
    say.known(pack.governance.advice, words.roles, "role", file, pack.line(file, "advice"))
    for place, waiver in enumerate(pack.governance.waivers):
        line = pack.line(file, f"waivers.{place}", "waivers")
        say.known([waiver.rule], WAIVABLE, "rule that can be waived", file, line)
        say.known([waiver.signed_by], words.roles, "role", file, line)


def _source(pack: Pack, name: str, say: _Words) -> None:
    register, words = pack.register, pack.vocabulary
    source = pack.sources[name]

    def at(*places: str) -> tuple[str, int]:
        return source.file, pack.line(source.file, *places)

    say.known([source.agency], [*register.parties, "engine"], "agency", *at("agency"))
    defaults = at("record_defaults")
    say.known(source.record_defaults, words.record_flags, "record flag", *defaults)
    say.known([source.key], source.fields, "key field", *at("key"))
    say.known(source.derived_from, pack.sources, "source", *at("derived_from"))
    for place, rule in enumerate(source.yields):
        where = at(f"yields.{place}", "yields")
        say.known(yield_fields(rule), source.fields, "field", *where)
        if "flag" in rule:
            say.known([rule["flag"]["name"]], words.flags, "flag", *where)
    for spec in source.fields.values():
        where = (source.file, spec.line)
        say.known(spec.transforms.values(), TRANSFORMS, "transform", *where)
        say.known([spec.category], register.vocabulary.categories, "category", *where)
        say.known(spec.gateways, register.gateways, "gateway", *where)
        say.known(spec.agreements, register.agreements, "agreement", *where)
        say.known(spec.purposes, register.vocabulary.purposes, "purpose", *where)


def _tokens(pack: Pack) -> Iterator[LintFinding]:
    """Names of sources, fields, roles, flags and obligations are tokens (POL-L17, DESIGN 4)."""
    words, file = pack.vocabulary, "policies/vocabulary.yaml"
    named = [
        *((name, file, pack.line(file, f"roles.{name}", "roles")) for name in words.roles),
        *((name, file, pack.line(file, "subject_flags")) for name in words.subject_flags),
        *((name, file, pack.line(file, "record_flags")) for name in words.record_flags),
        *((name, file, pack.line(file, "obligations")) for name in words.obligations),
    ]
    for source in pack.sources.values():
        named.append((source.id, source.file, pack.line(source.file, "source")))
        named += [(name, source.file, spec.line) for name, spec in source.fields.items()]
    for name, where, line in sorted(named):
        if not TOKEN.fullmatch(name):
            yield fault(
                where,
                line,
                "FG-POL-02",
                "POL-L17",
                # A name that is no token may be anything, so it is not repeated.
                "",
                "a name on this line is not a token",
                "Use small letters, digits, _, . and - only.",
            )
