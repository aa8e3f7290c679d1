"""Every word of the pack is a word of a vocabulary, or the pack does not load (POL-L02)."""

from __future__ import annotations

from collections.abc import Iterable

from gateways.findings import LintFinding
from policies.model import Pack
from policies.parts import yield_fields
from policies.transforms import TRANSFORMS


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
        obligations = [one.split(":")[0] for one in grant.obligations]
        say.known(obligations, words.obligations, "obligation", *at)
    for cap in pack.caps:
        at = (cap.file, cap.line)
        say.known(cap.when, words.flags, "flag", *at)
        say.known(cap.categories, register.vocabulary.categories, "category", *at)
        say.known(cap.sources, pack.sources, "source", *at)
        say.known(cap.roles | cap.except_roles, words.roles, "role", *at)
    for agreement in register.agreements.values():
        say.known(agreement.sources, pack.sources, "source", agreement.file)
    return say.found


def _vocabulary(pack: Pack, say: _Words) -> None:
    register, words, file = pack.register, pack.vocabulary, "policies/vocabulary.yaml"
    say.known([words.host], register.parties, "agency", file)
    for role in words.roles.values():
        say.known(role.agencies, register.parties, "agency", file)
    say.known(words.closing_flags, words.record_flags, "record flag", file)
    say.known([words.break_glass_purpose], register.vocabulary.purposes, "purpose", file)
    say.known(words.break_glass_reviewers, words.roles, "role", file)
    for route, roles in pack.routes.items():
        say.known(roles, words.roles, "role", f"policies/routes.yaml {route}")
    for approval in pack.governance.approvals:
        at = "policies/governance.yaml"
        say.known(approval.roles, words.roles, "role", at)
        say.known(approval.classes, register.vocabulary.classes, "class", at)
    for levels in words.transforms.values():
        say.known(levels.values(), TRANSFORMS, "transform", file)
    say.known(pack.governance.advice, words.roles, "role", "policies/governance.yaml")


def _source(pack: Pack, name: str, say: _Words) -> None:
    register, words = pack.register, pack.vocabulary
    source = pack.sources[name]
    say.known([source.agency], [*register.parties, "engine"], "agency", source.file)
    say.known(source.record_defaults, words.record_flags, "record flag", source.file)
    say.known([source.key], source.fields, "key field", source.file)
    say.known(source.derived_from, pack.sources, "source", source.file)
    for rule in source.yields:
        where = f"{source.file} {rule['id']}"
        say.known(yield_fields(rule), source.fields, "field", where)
        if "flag" in rule:
            say.known([rule["flag"]["name"]], words.flags, "flag", where)
    for spec in source.fields.values():
        at = (source.file, spec.line)
        say.known(spec.transforms.values(), TRANSFORMS, "transform", *at)
        say.known([spec.category], register.vocabulary.categories, "category", *at)
        say.known(spec.gateways, register.gateways, "gateway", *at)
        say.known(spec.agreements, register.agreements, "agreement", *at)
        say.known(spec.purposes, register.vocabulary.purposes, "purpose", *at)
