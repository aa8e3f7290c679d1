"""Lanes never share a key: scoring cannot open the vault, linkage cannot open a name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.domain.errors import ConfigError
from engine.flows.home import Home
from engine.flows.link import link
from engine.flows.submit import submit
from engine.identity.keys import open_keyring
from tests.builders.partnership import OPERATOR, Partnership, person_row, persons_file

ENVIRONMENT = {"PATH": "", "OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}

_PROBE = """
import sys
from pathlib import Path
from scoring.fence import raise_fence
from scoring.tables import shipped
home = Path(sys.argv[1])
raise_fence(home / "warehouse", shipped())
open(home / "warehouse" / "allowed.txt", "w").close()
print("inside", flush=True)
try:
    {attempt}
except Exception as error:
    print(getattr(error, "code", type(error).__name__))
else:
    print("opened")
"""


@pytest.mark.parametrize(
    "attempt",
    [
        'open(home / "vault" / "vault.db", "rb")',
        'open(home / "keys" / "vault.json", "rb")',
        'open(home / "equality" / "x.parquet", "rb")',
        '__import__("os").listdir(home / "equality")',
        '__import__("os").rename(home / "warehouse" / "allowed.txt", home / "equality" / "x")',
        'open(home / "warehouse" / ".." / "keys" / "vault.json", "rb")',
        '__import__("sqlite3").connect(home / "vault" / "vault.db")',
        '__import__("subprocess").run(["cat", str(home / "keys" / "vault.json")])',
        '__import__("os").open(home / "linkage" / "linkage.db", 0)',
    ],
)
def test_the_scoring_process_cannot_open_the_vault(partnership: Partnership, attempt: str) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", _PROBE.replace("{attempt}", attempt), str(partnership.home.path)],
        env=ENVIRONMENT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["inside", "FG-RUN-07"]


def test_a_job_that_names_a_file_outside_the_warehouse_is_refused(partnership: Partnership) -> None:
    home = partnership.home.path
    out = home / "warehouse" / "runs" / "x"
    job = {
        "run": "x", "as_of": 1, "tables": str(Path(__file__).resolve().parents[2] / "scoring" / "tables"),
        "events": [str(home / "vault" / "vault.db")], "states": [], "membership": str(out / "m"),
        "persons": str(out / "p"), "restricted": [], "admitted": {}, "sources": {}, "tie_key": "00",
        "out": str(out),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-I", "-m", "scoring.run"], input=json.dumps(job),
        env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert json.loads(done.stderr)["code"] == "FG-RUN-07"


def test_a_process_without_the_vault_keyring_links_and_cannot_open_a_name(
    home: Home, tmp_path: Path
) -> None:
    from engine.flows.submit import submit

    file = persons_file(tmp_path / "p.csv", person_row())
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    for purpose in ("vault", "grant"):
        (home.path / "keys" / f"{purpose}.json").unlink()
    process = Home(home.path, home.settings, clock=home.clock, randomness=home.randomness)
    assert link(process, OPERATOR)["persons"] == 1
    with pytest.raises(ConfigError, match="FG-KEY-01"):
        process.keyring("vault")
    process.close()


def test_the_linkage_key_is_in_memory_for_a_run_and_not_longer(home: Home, tmp_path: Path) -> None:
    file = persons_file(
        tmp_path / "p.csv", person_row(), person_row(PersonID="LA2", Forename="Bea")
    )
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    assert "link" not in home._rings
    link(home, OPERATOR)
    assert "link" not in home._rings
    assert "vault" in home._rings


def test_one_keyring_never_opens_as_another(home: Home) -> None:
    secret = (home.path / "keys" / "demo.passphrase").read_bytes().strip()
    for used, asked in (("link", "vault"), ("log", "psn"), ("vault", "log")):
        with pytest.raises(ConfigError, match="FG-KEY-03"):
            open_keyring(home.path / "keys" / f"{used}.json", asked, lambda: secret)
