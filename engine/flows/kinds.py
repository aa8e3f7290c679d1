"""Hold the contracts of a pack against the kinds and roles that the scoring tables have."""

from __future__ import annotations

from typing import Any

from engine.domain.errors import ConfigError
from engine.intake.contract import contract_of
from engine.intake.contract_lint import contract_problems
from policies.model import Pack
from scoring.tables import Tables


def check_kinds(pack: Pack, tables: Tables) -> None:
    """Refuse a pack whose contracts yield kinds or roles that the scoring tables do not have.

    Raises:
        ConfigError: ``FG-POL-07`` naming every source and yield, ``FG-CON-02`` a contract does not
            hold together.
    """
    wrong = []
    for source in pack.sources.values():
        for rule in source.yields:
            spec = next(rule[name] for name in ("event", "state", "flag") if name in rule)
            kinds, roles = (_words_of(spec.get(name)) for name in ("kind", "role"))
            if not (kinds <= set(tables.kinds) and roles <= set(tables.roles)):
                wrong.append(f"{source.file} {rule['id']}")
    problems = [
        f"{source.id}: {problem}"
        for source in pack.sources.values()
        if source.agency != "engine"
        for problem in contract_problems(contract_of(source))
    ]
    if problems:
        raise ConfigError(
            "FG-CON-02",
            f"a contract does not hold together: {'; '.join(problems[:20])}",
            "Mend it and try: fieldgate contract test SOURCE.",
        )
    if wrong:
        raise ConfigError(
            "FG-POL-07",
            f"a contract yields an unknown kind or role: {', '.join(wrong)}",
            "Use the kinds and roles of the scoring tables.",
        )


def _words_of(spec: Any) -> set[str]:
    if spec is None:
        return set()
    return {spec} if isinstance(spec, str) else set(spec["map"].values())
