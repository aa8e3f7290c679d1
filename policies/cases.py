"""Tests of the policy in words: YAML beside the pack, written and run by an officer without Python.

A case states a request and what must come of it. ``reasons`` must all be among the reasons given,
each as ``code`` or ``code:rule``; ``level`` must be met exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from gateways.findings import LintFinding
from gateways.load import Reader
from policies.explain import Explanation, explain
from policies.matrix import ASSUMED, everything_met, plain_state
from policies.model import Pack, Request
from policies.schemas import TESTS


@dataclass(frozen=True, slots=True)
class Case:
    """One test: where it stands, what it asks, what it expects."""

    name: str
    file: str
    line: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of a test; `problems` is empty when it passed."""

    case: Case
    problems: tuple[str, ...]
    level: str
    reasons: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the result for JSON."""
        return {
            "name": self.case.name,
            "file": self.case.file,
            "line": self.case.line,
            "passed": not self.problems,
            "problems": list(self.problems),
            "level": self.level,
            "reasons": list(self.reasons),
        }


def load_cases(folder: Path) -> tuple[list[Case], tuple[LintFinding, ...]]:
    """Read every test of a folder, and what is wrong with the files."""
    reader = Reader()
    cases = []
    for path in reader.files(folder):
        document = reader.read(path, TESTS)
        for place, body in enumerate(document.value["tests"] if document else ()):
            line = document.line(("tests", place)) if document else 1
            cases.append(Case(body["name"], f"tests/{path.name}", line, body))
    return cases, tuple(reader.findings)


def run_cases(pack: Pack, cases: list[Case], today: date) -> list[CaseResult]:
    """Run the tests against a pack.

    Args:
        pack: The pack.
        cases: From `load_cases`.
        today: The date of a case that states none.
    """
    return [_run(pack, case, today) for case in cases]


def _run(pack: Pack, case: Case, today: date) -> CaseResult:
    asked, expected = case.body["request"], case.body["expect"]
    try:
        as_of = date.fromisoformat(case.body.get("as_of", today.isoformat()))
    except ValueError:
        return CaseResult(case, ("as_of is not year-month-day",), "", ())
    one = _explained(pack, asked, as_of)
    keys = [reason.key for reason in one.reasons]
    problems = []
    if one.level.name.lower() != expected["level"]:
        problems.append(f"the level is {one.level.name.lower()} and not {expected['level']}")
    given = {*keys, *(key.split(":")[0] for key in keys)}
    problems += [
        f"the reason {one} is not given" for one in expected.get("reasons", []) if one not in given
    ]
    if "obligations" in expected and set(expected["obligations"]) != set(one.obligations):
        problems.append(f"what is owed is {', '.join(one.obligations) or 'nothing'}")
    grants = [grant["id"] for grant in one.grants]
    problems += [
        f"the grant {g} does not match" for g in expected.get("grants", []) if g not in grants
    ]
    basis = "|".join(one.basis) if one.basis else ""
    if "basis" in expected and expected["basis"] != basis:
        problems.append(f"it rests on {basis or 'nothing'}")
    return CaseResult(case, tuple(problems), one.level.name.lower(), tuple(keys))


def _explained(pack: Pack, asked: dict[str, Any], as_of: date) -> Explanation:
    """Evaluate a case: what it does not say is a child without a marker, all met, all stated."""
    source, _, name = asked["field"].rpartition(".")
    facts: dict[str, object] = dict(ASSUMED)
    for key, value in asked.get("facts", {}).items():
        facts[key] = {"yes": True, "no": False}.get(value, int(value) if value.isdigit() else value)
    met = frozenset(asked["met"]) if "met" in asked else everything_met(pack)
    agreement, _, gateway = asked.get("basis", "").partition("|")
    return explain(
        pack,
        Request(asked["role"], asked["agency"], asked["purpose"], facts),
        source,
        name,
        as_of,
        met,
        {**plain_state(pack), **asked.get("state", {})},
        (agreement, gateway) if agreement else None,
    )
