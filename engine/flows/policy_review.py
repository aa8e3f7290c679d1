"""Hold a draft against everything it must pass before anybody is asked to approve it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from sqlmodel import Session, select

import policies.load
from engine.domain.errors import ConfigError
from engine.domain.ids import Actor
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.kinds import check_kinds
from engine.flows.policy_simulate import simulate
from engine.store.session import reading
from engine.store.tables import Delivery
from gateways.errors import GatewayFault
from gateways.findings import LintFinding, message_of
from gateways.load import Reader
from policies.cases import CaseResult, load_cases, run_cases
from policies.diff import Change, declared_classes, diff, undeclared
from policies.lint import lint, waived
from policies.model import Pack
from policies.schemas import EXPECTED


@dataclass(frozen=True)
class Review:
    """What a draft is and does, once it has passed.

    Attributes:
        waived: Warnings that somebody signed for.
        cases: Number of tests that passed.
    """

    pack: Pack
    changes: list[Change]
    waived: list[LintFinding]
    cases: int
    simulation: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return what a report prints."""
        return {
            "version": self.pack.version,
            "tests_passed": self.cases,
            "waived": [one.as_dict() for one in self.waived],
            "changes": [one.as_dict() for one in self.changes],
            "simulation": self.simulation,
        }


def unknown_columns(home: Home) -> dict[str, list[str]]:
    """Return the columns of accepted deliveries that no contract names, by source (POL-L18)."""
    found: dict[str, set[str]] = {}
    with Session(reading(home.casework)) as session:
        for source, receipt in session.exec(select(Delivery.source, Delivery.receipt)).all():
            found.setdefault(source, set()).update(receipt.get("columns_unknown", []))
    return {source: sorted(columns) for source, columns in found.items() if columns}


def lint_folders(
    home: Home | None, gateways: Path, pack: Path, as_of: date
) -> tuple[Pack | None, tuple[LintFinding, ...]]:
    """Return a pack, or None, with every finding about it: errors and warnings."""
    loaded, broken = policies.load.read_pack(gateways, pack)
    if loaded is None:
        return None, broken
    submitted = unknown_columns(home) if home is not None else None
    return loaded, lint(loaded, as_of, submitted)


def cases_of(pack: Pack, folder: Path, today: date) -> list[CaseResult]:
    """Run the tests of a pack.

    Raises:
        GatewayFault: A file of the tests cannot be read.
    """
    cases, findings = load_cases(folder / "tests")
    if findings:
        raise GatewayFault.of(findings)
    return run_cases(pack, cases, today)


def expected_of(folder: Path, active: str) -> list[dict[str, str]]:
    """Return the widenings that the draft declares against the active version.

    Raises:
        GatewayFault: The file cannot be read.
        ConfigError: ``FG-POL-15`` it was written against another version.
    """
    path = folder / "expected_changes.yaml"
    if not path.exists():
        return []
    reader = Reader()
    document = reader.read(path, EXPECTED, "policies/expected_changes.yaml")
    reader.refuse()
    if document is None:
        return []
    if document.value["against"] != active:
        raise ConfigError(
            "FG-POL-15",
            "expected_changes.yaml was written against another version than the active one",
            "Write it again: fieldgate policy diff --declare.",
        )
    return list(document.value["changes"])


def review_draft(home: Home) -> Review:
    """Return the draft with its difference and effect, or refuse it.

    Raises:
        GatewayFault, PolicyFault: It does not load, with every finding.
        ConfigError: ``FG-POL-13`` a warning nobody signed for, ``FG-POL-14`` a test of the pack
            fails, ``FG-POL-15`` a widening in a special, police or health class that the change
            does not declare, ``FG-POL-17`` it is what is active already.
    """
    today, active = home.clock().date(), home.pack
    pack = policies.load.load_pack(*home.draft)
    check_kinds(pack, home.tables)
    if pack.version == active.version:
        raise ConfigError(
            "FG-POL-17", "the draft is the version that is active", "Edit the pack first."
        )
    found = lint(pack, today, unknown_columns(home))
    signed = [one for one in found if waived(pack, one, today)]
    _must_be_empty(
        [one for one in found if one not in signed],
        "FG-POL-13",
        "the draft has warnings that nobody signed for",
        "Mend them, or add a waiver to governance.yaml: rule, subject, signed_by, until, why.",
    )
    results = cases_of(pack, home.draft[1], today)
    failed = [one for one in results if one.problems]
    if failed:
        raise ConfigError(
            "FG-POL-14",
            f"{len(failed)} of {len(results)} tests of the pack fail",
            "Run fieldgate policy test, then mend the pack or the test.",
            [f"{one.case.file}:{one.case.line} {one.case.name}" for one in failed],
        )
    changed = diff(active, pack, today)
    expected = expected_of(home.draft[1], active.version)
    classes = declared_classes(active) | declared_classes(pack)
    hidden = undeclared(changed, expected, classes)
    if hidden:
        raise ConfigError(
            "FG-POL-15",
            f"the change widens {len(hidden)} things that it does not declare",
            "Look at fieldgate policy diff; if it is meant, write expected_changes.yaml with --declare.",
            [one.sentence() for one in hidden],
        )
    return Review(pack, changed, signed, len(results), simulate(home, active, pack))


def check_draft(home: Home, actor: Actor) -> Review:
    """Hold the draft against all a proposal must pass, without proposing it; raises as `review_draft`.

    Audited as ``audit_read``: its effect on real requests is read from the trail.
    """
    details = {"rules": ["lawfulness"]}
    with Flow(home, "check_policy", "audit_read", actor, details) as flow:
        review = review_draft(home)
        flow.finish({**details, "rows": review.simulation["requests"]})
        return review


def _must_be_empty(found: list[LintFinding], code: str, what: str, next_step: str) -> None:
    if found:
        raise ConfigError(
            code, f"{what}: {message_of(found)}", next_step, [one.sentence() for one in found]
        )
