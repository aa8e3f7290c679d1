"""The repository itself: what stands where, what must never stand anywhere, and what the docs say."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlmodel import SQLModel

import audit
import engine
import gateways
import policies
import scoring
from engine.domain.errors import Exit
from engine.store import monitor_tables  # noqa: F401  # its tables are part of the schema
from engine.store import tables as store_tables
from engine.store.migrate import upgrade
from engine.store.session import make_engine

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("engine", "policies", "gateways", "scoring", "audit")


def _tracked() -> list[Path]:
    git = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True,
                         check=False)  # fmt: skip
    if git.returncode:
        pytest.skip("this is not a git checkout")
    return [ROOT / name for name in git.stdout.splitlines() if (ROOT / name).is_file()]


def _python() -> list[Path]:
    return [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]


def test_packages_come_from_this_repository_and_are_not_shadowed() -> None:
    for package in (audit, engine, gateways, policies, scoring):
        assert Path(str(package.__file__)).is_relative_to(ROOT)


def test_exactly_one_of_the_two_casbin_distributions_is_installed() -> None:
    names = {item.metadata["Name"].lower() for item in distributions()}
    assert "pycasbin" in names
    assert "casbin" not in names


def test_no_file_names_a_registry_host_or_a_path_of_a_machine() -> None:
    # Written in pieces, so that this file does not find itself.
    words = ["py" + "pi.org", "files.python" + "hosted", "registry.npm" + "js", "deb.deb" + "ian",
             "/wo" + "rk/", "/fa" + "rm/"]  # fmt: skip
    for path in _tracked():
        text = path.read_text(encoding="utf-8", errors="ignore")
        assert not [word for word in words if word in text], path


def test_no_large_file_and_no_data_of_a_home_is_tracked() -> None:
    for path in _tracked():
        assert path.stat().st_size < 1_000_000, path
        assert path.suffix not in {".db", ".parquet"}, path


def test_locks_pin_with_hashes_and_hold_no_address() -> None:
    for path in sorted(ROOT.glob("requirements*.lock")):
        text = path.read_text()
        assert "://" not in text
        pins = re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE | re.IGNORECASE)
        assert pins
        assert text.count("--hash=sha256:") >= len(pins)
    lock = json.loads((ROOT / "package-lock.json").read_text())
    inside = [item for place, item in lock["packages"].items() if place]
    assert all("integrity" in item and "resolved" not in item for item in inside)


def test_a_lock_is_installed_as_it_stands_so_that_a_release_of_tomorrow_breaks_no_machine() -> None:
    # pip resolves what a lock names with an extra again, and takes a release that the lock does not hold.
    for line in (ROOT / "Makefile").read_text().splitlines():
        if "pip install" in line and ".lock" in line:
            assert "--no-deps --require-hashes" in line, line


def test_every_direct_dependency_is_pinned_exactly() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    for line in re.findall(
        r'^\s+"([a-z][^"\s]*)",?$', text.split("[project.scripts]")[0], re.MULTILINE
    ):
        assert "==" in line, line


def test_help_is_fast_because_it_imports_nothing_heavy() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from engine.cli.main import app; "
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0; "
        "print([n for n in ('pandas', 'sklearn', 'splink', 'duckdb', 'pyarrow', 'fastapi', 'sqlmodel', 'numpy') "
        "if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_exit_codes_are_those_of_the_design() -> None:
    assert {code.name: int(code) for code in Exit} == {
        "OK": 0, "UNEXPECTED": 1, "USAGE": 2, "UNREADABLE": 10, "ROW_ERRORS": 11, "REFUSED": 12,
        "NO_GATEWAY": 13, "TAMPERED": 14, "CONFIGURATION": 15, "NOT_REPLAYABLE": 16, "INCOMPLETE": 17,
    }  # fmt: skip


def test_migrations_have_one_head_and_give_exactly_the_tables(tmp_path: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "engine" / "store" / "migrations"))
    assert len(ScriptDirectory.from_config(config).get_heads()) == 1
    database = make_engine(tmp_path / "c.db")
    upgrade(database)
    upgrade(database)
    with database.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []
    database.dispose()


def test_tables_hide_what_could_be_personal_in_their_repr() -> None:
    assert "Quokka" not in repr(store_tables.Delivery(id="1", receipt={"x": "Quokka"}))
    assert "Quokka" not in repr(store_tables.Reason(intent="1", sealed=b"Quokka"))


def test_only_settings_reads_the_environment() -> None:
    for path in _python():
        text = path.read_text(encoding="utf-8")
        assert "os.environ" not in text, path
        assert "getenv" not in text, path


@pytest.mark.finding("AUD-10")
def test_only_flows_write_audit_or_open_sessions_for_writing() -> None:
    for path in _python():
        inside = path.relative_to(ROOT).parts
        text = path.read_text(encoding="utf-8")
        if inside[:2] != ("engine", "flows") and inside[0] != "audit":
            assert ".audit.append" not in text, path
            assert ".audit.intend" not in text, path
            assert "session.commit()" not in text, path


def test_no_names_that_hide_what_they_are_and_no_loose_ends() -> None:
    for path in _python():
        assert path.stem not in {"utils", "helpers", "managers", "misc", "common"}, path
        text = path.read_text(encoding="utf-8")
        assert "TO" + "DO" not in text, path
        assert "FIX" + "ME" not in text, path


def test_every_public_name_has_a_docstring() -> None:
    missing = []
    for path in _python():
        if "versions" in path.parts:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith(
                "_"
            )
            if public and not ast.get_docstring(node):
                missing.append(f"{path.name}:{node.name}")
    assert missing == []


def test_files_and_functions_stay_readable() -> None:
    for path in _python():
        if "versions" in path.parts:
            continue  # A migration is a list of what it makes.
        text = path.read_text(encoding="utf-8")
        # What a stranger runs is one file on purpose: it is copied alone to where nothing of ours is.
        assert text.count("\n") <= (1100 if path.name == "stranger.py" else 420), path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or 0) - node.lineno
                assert length <= 70, f"{path.name}:{node.name}"


def test_every_error_code_means_one_thing() -> None:
    """A code stands with one sentence's beginning wherever it is raised, and has the fixed form."""
    codes: dict[str, set[str]] = {}
    for path in _python():
        for code in re.findall(r'"(FG-[A-Z]{3,4}-\d\d)"', path.read_text(encoding="utf-8")):
            codes.setdefault(code, set()).add(path.parts[-2])
    assert len(codes) > 60
    told = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert sorted(code for code in codes if code not in told) == []


def test_findings_named_in_tests_have_the_form_of_the_design() -> None:
    form = re.compile(
        r"(POL-[PELRA]\d{1,2}|POL-TRAP-\d{1,2}|SCO-[PT]\d{1,2}|LAW-\d{1,2}|T-[A-Z]{2}\d{1,2}|B\d\d|LNK-\d{1,2}|AUD-\d{1,2})"
    )
    found = set()
    for path in (ROOT / "tests").rglob("*.py"):
        found.update(re.findall(r'mark\.finding\("([^"]+)"\)', path.read_text(encoding="utf-8")))
    found.discard("([^")
    assert len(found) > 40
    assert [one for one in sorted(found) if not form.fullmatch(one)] == []


def _markers(path: Path) -> set[str]:
    """Return the findings that tests of a file carry, whether written on them or taken from a table."""
    text = path.read_text(encoding="utf-8")
    marks = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.finding"
    ]
    found = {arg.value for mark in marks for arg in mark.args if isinstance(arg, ast.Constant)}
    if all(isinstance(arg, ast.Constant) for mark in marks for arg in mark.args):
        return found
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for name, test in vars(module).items():
        for mark in getattr(test, "pytestmark", []) if name.startswith("test_") else []:
            for row in mark.args[1] if mark.name == "parametrize" else []:
                more = getattr(row, "marks", [])
                found.update(arg for one in more if one.name == "finding" for arg in one.args)
    return found


def test_every_failure_case_of_linkage_is_held_by_a_test_and_no_other_is_named() -> None:
    """linkage.md 4.1; its table has no 26 and no 28, and ends with 34."""
    cases = {f"LNK-{number}" for number in range(1, 35) if number not in (26, 28)}
    found = {name for path in (ROOT / "tests").rglob("*.py") for name in _markers(path)}
    assert {name for name in found if name.startswith("LNK-")} == cases


def test_every_public_failure_of_an_audit_trail_is_held_by_a_test_and_no_other_is_named() -> None:
    """audit_crypto.md 6 has eighteen; B33 to B36 are those of the bench that concern the trail."""
    cases = {f"AUD-{number}" for number in range(1, 19)}
    found = {name for path in (ROOT / "tests").rglob("*.py") for name in _markers(path)}
    assert {name for name in found if name.startswith("AUD-")} == cases
    assert {"B33", "B34", "B35", "B36"} - found == set()


def test_property_tests_of_the_law_files_parse_with_any_yaml_reader() -> None:
    for path in [*(ROOT / "gateways").rglob("*.yaml"), *(ROOT / "policies").rglob("*.yaml")]:
        assert yaml.safe_load(path.read_text(encoding="utf-8"))


def test_every_gateway_says_when_it_was_reviewed_and_whether_it_was_verified() -> None:
    for path in (ROOT / "gateways" / "register").glob("*.yaml"):
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert record["reviewed_on"]
        assert record["verified"] in (True, False)


@pytest.mark.parametrize(
    "name",
    ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "CODEOWNERS",
     "docs/glossary.md", "docs/security-properties.md", "docs/errors.md", "docs/adr", ".ci/run", "Makefile"],
)  # fmt: skip
def test_the_papers_are_there(name: str) -> None:
    assert (ROOT / name).exists()


def test_readme_commands_and_targets_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"make ([a-z][a-z-]+)", readme)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    from typer.main import get_command

    from engine.cli.main import app

    known = get_command(app).commands  # type: ignore[attr-defined]
    for word in set(re.findall(r"`fieldgate ([a-z]+)", readme)):
        assert word in known, word


def test_tests_named_in_the_papers_exist() -> None:
    names = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    for paper in ("README.md", "docs/security-properties.md"):
        text = (ROOT / paper).read_text(encoding="utf-8")
        for name in set(re.findall(r"`(test_[a-z0-9_]+)`", text)):
            assert name in names, (paper, name)


def test_code_owners_give_policy_and_law_to_information_governance() -> None:
    text = (ROOT / "CODEOWNERS").read_text(encoding="utf-8")
    for folder in ("/policies/pack/", "/gateways/register/", "/gateways/agreements/"):
        assert re.search(rf"^{re.escape(folder)}\s+@\S*information-governance", text, re.MULTILINE)
