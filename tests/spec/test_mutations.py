"""Deliberate faults in the policy engine, each of which a named property must catch.

The engine is copied, one line of the copy is changed, and the property is run against the copy: a
property that stays green on a broken engine would be no defence.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

MUTATIONS = {
    "an agreement that has ended carries data": (
        "gateways/check.py", "if as_of > last:", "if False:", "closes_on_one_day"),
    "an agreement that has not started carries data": (
        "gateways/check.py", "if as_of < agreement.start:", "if False:", "closes_on_one_day"),
    "the purposes of a statute are not looked at": (
        "gateways/check.py", "if flow.purpose not in gateway.purposes:", "if False:", "naive_reading_agree_in_every"),
    "a party that may not receive receives": (
        "gateways/check.py", "if body in known or (body in doubtful and confirmed):", "if True:", "naive_reading_agree_on_every"),
    "an agency that has not signed is served": (
        "policies/authorise.py", "for agency in sorted({request.agency, pack.giver(contract)} - agreement.parties):",
        "for agency in ():", "naive_reading_agree_on_every"),
    "an agreement covers every source": (
        "policies/authorise.py", "if spec.source not in agreement.sources:", "if False:", "naive_reading_agree_on_every"),
    "the answer of another day is served": (
        "policies/authorise.py", "pack.interval(as_of),\n        met,", "0,\n        met,", "suspended_or_dated"),
    "what was met once counts as met": (
        "policies/authorise.py", "        met,\n        facts,\n    )", "        facts,\n    )", "owe_more"),
    "only the first grant's obligations are owed": (
        "policies/authorise.py", "owed = sorted({obligation for grant in grants for",
        "owed = sorted({obligation for grant in grants[:1] for", "nor_drops"),
    "an unmet obligation does not refuse": (
        "policies/authorise.py", "ceiling = Level.REFUSE if reasons else", "ceiling = Level.REFUSE if against else",
        "owe_more"),
    "caps raise": ("policies/view.py", "bytes(map(min, found, limit))", "bytes(map(max, found, limit))", "adding_a_cap"),
    "a flag that is unknown is taken as absent": (
        "policies/view.py", "if not (no & must_yes or yes & must_no):",
        "if yes & must_yes == must_yes and no & must_no == must_no:", "naive_reading_agree_in_every"),
    "a cap is one level too weak": (
        "policies/rows.py", "range(cap.level + 1, Level.CLEAR + 1)", "range(cap.level + 2, Level.CLEAR + 1)",
        "naive_reading_agree_in_every"),
    "an excepted role is capped all the same": (
        "policies/model.py", "and role not in self.except_roles", "", "naive_reading_agree_in_every"),
    "a grant serves any purpose": (
        "policies/model.py", "index.setdefault((grant.role, grant.agency, grant.purpose), []).append(grant)",
        "[index.setdefault((grant.role, grant.agency, p), []).append(grant) for p in self.register.vocabulary.purposes]",
        "another_does_not"),
    "a value without a retention period is kept for ever": (
        "policies/view.py", "    if spec.retention_years is None:\n        return True",
        "    if spec.retention_years is None:\n        return False", "ageing"),
    "a comparison takes two policies for equal": (
        "policies/diff.py", "return {_rule(one) for one in mine} == {_rule(one) for one in theirs}", "return True",
        "lists_exactly"),
}  # fmt: skip

CONFTEST = """
from hypothesis import HealthCheck, settings
settings.register_profile("mutation", derandomize=True, deadline=None, max_examples=200, database=None,
                          suppress_health_check=list(HealthCheck))
settings.load_profile("mutation")
def pytest_configure(config):
    config.addinivalue_line("markers", "finding(id): a finding")
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engine")
    for name in ("policies", "gateways"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tests/__init__.py", "tests/builders/__init__.py", "tests/property/__init__.py",
                 "tests/builders/policy_world.py", "tests/property/test_policy_lattice.py"):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


def _run(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist",
         "tests/property/test_policy_lattice.py", "-k", name],
        cwd=folder, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.mark.deep
@pytest.mark.parametrize("what", MUTATIONS)
def test_a_fault_in_the_engine_is_caught(copy: Path, what: str) -> None:
    file, old, new, name = MUTATIONS[what]
    path = copy / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, "the line to change is not there exactly once"
    path.write_text(text.replace(old, new), encoding="utf-8")
    try:
        done = _run(copy, name)
    finally:
        path.write_text(text, encoding="utf-8")
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-500:]
    assert "failed" in done.stdout


@pytest.mark.deep
def test_the_copy_without_a_fault_passes(copy: Path) -> None:
    done = _run(copy, "naive_reading or closes_on_one_day or owe_more")
    assert done.returncode == 0, done.stdout[-2000:]
