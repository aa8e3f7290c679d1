"""The linkage key is held by a process of its own, and never by one that serves pages."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from engine.domain.errors import ConfigError, LinkageError
from engine.flows import encodings
from engine.flows.home import Home
from engine.flows.link import link
from engine.flows.linkage_process import _fault
from engine.flows.linkage_work import seal_under
from engine.flows.near import near
from engine.flows.submit import submit
from engine.intake.contract import contract_of
from engine.linkage.artefacts import load_model, shipped
from engine.linkage.encodings import published_records
from engine.linkage.index import current_membership
from engine.web.app import create_app
from tests.builders.partnership import OPERATOR, person_row, persons_file

IDENTITIES = {
    "given_name": ["Zelda", None, "Ada"] * 10,
    "surname": ["Fakename", "O'Mock", None] * 10,
    "birth_date": ["2010-03-04", None, "1990-01-01"] * 10,
    "nhs_number": ["9990000018", None, None] * 10,
    "address": [],
}
NAMES = [bytes([n]) * 32 for n in range(30)]
DEMO = {"auth": "demo"}
MATCHER = "demo.matcher"


@pytest.mark.parametrize("chunk", [7, 10_000])
def test_another_process_gives_the_same_words_also_in_parts(
    home: Home, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    contract = contract_of(home.pack.sources["council.persons"])
    seal = seal_under(home.keyring("link"))
    (here,) = encodings.encode(home, contract, IDENTITIES, NAMES)
    home.serve()
    monkeypatch.setattr(encodings, "CHUNK", chunk)
    (there,) = encodings.encode(home, contract, IDENTITIES, NAMES)
    words = seal.open(NAMES, there.sealed)
    assert words.tolist() == seal.open(NAMES, here.sealed).tolist()
    assert len(words) == 30
    assert (there.months, there.bird) == (here.months, here.bird)
    assert (there.key_version, there.norm_version) == (here.key_version, here.norm_version)
    (nobody,) = encodings.encode(home, contract, {}, [])
    assert (nobody.sealed, nobody.months) == ([], [])


def _near(home: Home) -> list[dict[str, object]]:
    people = sorted(set(current_membership(home.linkage, home.link_runs()).values()))
    names = home.domain("casework")
    texts = [names.text(one) for one in names.seal(people)]
    return [near(home, MATCHER, one, 1, **DEMO)["near"] for one in texts]


@pytest.mark.deep
def test_pages_take_in_and_look_near_without_the_linkage_key(home: Home, tmp_path: Path) -> None:
    """Whoever holds it can try every name against every encoding; pages hold the vault."""
    file = persons_file(
        tmp_path / "p.csv",
        person_row(),
        person_row(PersonID="LA2", DOB="05/03/2012"),
        person_row(PersonID="LA3", Forename="Bea", Surname="Mock", DOB="01/02/1990"),
    )
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    link(home, OPERATOR)
    here = _near(home)
    assert any(here)
    with TestClient(create_app(home), base_url="http://127.0.0.1") as page:
        with pytest.raises(ConfigError, match="FG-KEY-11"):
            home.keyring("link")
        assert _near(home) == here
        more = persons_file(tmp_path / "q.csv", person_row(PersonID="LA4", Forename="Cyd"))
        signed = page.post("/sign-in", data={"user": "demo.council_data"}, follow_redirects=True)
        token = re.search(r'name="csrf" value="([0-9a-f]+)"', signed.text)
        assert token
        sent = page.post(
            "/deliveries/new",
            data={"csrf": token.group(1), "source": "council.persons"},
            files={"file": ("q.csv", more.read_bytes())},
        )
        assert "1 rows came, 1 were kept" in sent.text
        assert "link" not in home._rings
    assert len(published_records(home.linkage, home.published())) == 4
    found = encodings.sexes_of(home)
    assert set(found.values()) <= {"group 1", "group 2", "not known"}
    assert len(found) == 4


def test_the_linkage_process_opens_nothing_else_of_the_home(home: Home) -> None:
    code = (
        "import sys; from pathlib import Path; from engine.flows.linkage_process import _fence\n"
        "home = Path(sys.argv[1]); _fence(home)\n"
        "open(home / 'keys' / 'link.json').close()\n"
        "import sqlite3\n"
        "sqlite3.connect(home / 'linkage' / 'linkage.db').close()\n"
        "for name in ('keys/vault.json', 'keys/psn.json', 'casework/casework.db'):\n"
        "    try: open(home / name)\n"
        "    except PermissionError: print('closed')\n"
        "try: sqlite3.connect(str(home / 'vault' / 'vault.db'))\n"
        "except PermissionError: print('closed')\n"
    )
    assert home.linkage
    home.linkage.connect().close()
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(home.path)], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["closed"] * 4


def test_a_wrong_passphrase_and_a_fault_inside_come_back_as_their_codes(home: Home) -> None:
    contract = contract_of(home.pack.sources["council.persons"])
    home.serve()
    with pytest.raises(ConfigError, match="FG-KEY-04"):
        encodings.encode(home, contract, IDENTITIES, NAMES, version=9)
    (home.path / "keys" / "demo.passphrase").write_text("another one")
    with pytest.raises(ConfigError, match="FG-KEY-03"):
        encodings.encode(home, contract, IDENTITIES, NAMES)


def test_a_process_that_breaks_tells_no_value(home: Home) -> None:
    """Not even where the text of an error has lines of its own."""
    contract = contract_of(home.pack.sources["council.persons"])
    home.serve()
    broken: dict[str, list[Any]] = {"given_name": [{"Canaryname\n Canarytwo": "x"}]}
    with pytest.raises(LinkageError, match="FG-LNK-18") as raised:
        encodings.encode(home, contract, broken, NAMES[:1])
    told = json.dumps([str(raised.value), raised.value.message, raised.value.next_step])
    assert "anary" not in told
    assert "Error" in raised.value.message
    fault = _fault(ValueError("bad cell\nCanaryname Fakename 2010-03-04"))
    assert fault["message"] == "the linkage process failed (ValueError)"
    assert "anary" not in json.dumps(fault)


def test_a_store_that_is_busy_is_told_as_busy_and_not_as_a_defect() -> None:
    class OperationalError(Exception):
        pass

    assert _fault(OperationalError("locked"))["code"] == "FG-HOME-07"


def test_a_process_that_hangs_is_ended_and_whoever_asked_is_answered(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = contract_of(home.pack.sources["council.persons"])
    home.serve()
    monkeypatch.setattr(encodings, "LONGEST", 0.001)
    with pytest.raises(LinkageError, match="FG-LNK-18.*without an answer"):
        encodings.encode(home, contract, IDENTITIES, NAMES)


def test_a_model_of_ones_own_may_lie_in_the_home_and_be_named_by_a_relative_path(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = persons_file(
        tmp_path / "p.csv", person_row(), person_row(PersonID="LA2", BirthDate="2012-03-05")
    )
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    link(home, OPERATOR)
    before = _near(home)
    shutil.copytree(shipped(), home.path / "own-model")
    monkeypatch.chdir(home.path)
    home.settings = home.settings.model_copy(update={"linkage_model": Path("own-model")})
    pack = home.pack
    monkeypatch.setattr(
        home, "_current",
        replace(pack, governance=replace(pack.governance, linkage_model=load_model(shipped()).hash)),
    )  # fmt: skip
    home.serve()
    assert _near(home) == before
