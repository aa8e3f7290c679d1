"""What leaves the home for others to check: who may, what stands in the trail, and that it verifies."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import audit.stranger
from audit.canonical import parse
from audit.errors import AuditFault
from audit.log import read_events
from audit.place import Folder
from audit.stranger import arguments, check
from audit.tiles import entries_of, verify_tiles
from audit.verify import verify
from engine.cli.main import app
from engine.domain.errors import PolicyRefused
from engine.domain.ids import Actor
from engine.flows.aside import rows_aside
from engine.flows.deliveries import deliveries, receipt_of
from engine.flows.home import Home
from engine.flows.reveal import case_token
from engine.flows.submit import submit
from engine.flows.trail import read_trail
from engine.flows.trail_out import checkpoint_out, export_trail, public_key
from engine.settings import Settings
from tests.builders.partnership import OPERATOR, Partnership, person_row, persons_file

LEAD, DPO, OTHER = "demo.ig_lead", "demo.dpo", "demo.social_worker"
DEMO = {"auth": "demo"}


def _events(home: Home) -> list[dict[str, object]]:
    return [parse(body) for _, body in read_events(home.path / "audit")]


@pytest.mark.parametrize("user", [LEAD, DPO])
def test_the_trail_leaves_as_files_that_verify_and_the_export_stands_in_the_trail(
    home: Home, tmp_path: Path, user: str
) -> None:
    deliveries(home, OPERATOR)
    done = export_trail(home, user, tmp_path / "out", **DEMO)
    report = verify_tiles(Folder(tmp_path / "out"), public_key(home))
    assert (report.status, report.size) == ("verified", done["size"])
    # And whoever has the files and the script alone comes to the same.
    assert _stranger(tmp_path / "out", "--vkey", home.log_vkey())["status"] == "verified"
    outcome, intent = _events(home)[:2]
    assert (intent["kind"], intent["phase"]) == ("export", "intent")
    assert (outcome["decision"], outcome["rows"]) == ("permit", done["size"])
    bundle = next((tmp_path / "out" / "tile" / "entries").rglob("*[0-9]"))
    assert parse(entries_of(bundle.read_bytes())[-1]) == intent
    assert done["receipt"]["proof"].startswith("c2sp.org/tlog-proof@v1\n")


def test_another_role_exports_nothing_and_the_refusal_is_in_the_trail(
    home: Home, tmp_path: Path
) -> None:
    with pytest.raises(PolicyRefused, match="FG-AUD-22"):
        export_trail(home, OTHER, tmp_path / "out", **DEMO)
    assert not (tmp_path / "out").exists()
    assert _events(home)[0]["rules"] == ["FG-AUD-22"]


def test_a_folder_of_something_else_is_left_alone_and_the_failure_is_in_the_trail(
    home: Home, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(AuditFault, match="FG-AUD-20"):
        export_trail(home, LEAD, tmp_path, **DEMO)
    assert (_events(home)[0]["decision"], _events(home)[0]["rules"]) == ("failed", ["FG-AUD-20"])


def test_the_command_exports_and_tells_the_public_key(home: Home, tmp_path: Path) -> None:
    home.close()
    command = ["audit", "export-tiles", "--home", str(home.path), "--as", LEAD, "--json"]
    done = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["vkey"] == (home.path / "audit" / "log.vkey").read_text().strip()


@pytest.mark.finding("AUD-1")
def test_a_case_token_is_found_by_no_dictionary_that_lacks_the_key(home: Home) -> None:
    """Every reference of a small space, hashed in the usual ways: none is what stands in the trail."""
    space = [f"case {number}" for number in range(2_000)]
    tokens = {case_token(home, one) for one in space}
    assert len(tokens) == len(space)
    key = home.log_vkey().encode()  # A key that anybody has.
    for name in ("md5", "sha1", "sha256", "sha512", "blake2b"):
        for one in space:
            for text in (one, one.casefold(), one.upper()):
                plain = hashlib.new(name, text.encode()).hexdigest()
                keyed = hmac.digest(key, text.encode(), name).hex()
                assert not {plain[:32], plain[-32:], keyed[:32]} & tokens


@pytest.mark.finding("AUD-9")
@pytest.mark.finding("B36")
def test_no_setting_switches_the_trail_off_and_reading_it_is_in_it(home: Home) -> None:
    names = {*Settings.model_fields} - {
        "witness_urls",
        "audit_url",
        "audit_sequencer_url",
        "audit_owner_url",
    }
    assert not [one for one in names if any(word in one for word in ("audit", "log", "trail"))]
    size = len(_events(home))
    read_trail(home, LEAD, "lawfulness", 5, **DEMO)
    outcome, intent = _events(home)[:2]
    assert len(_events(home)) == size + 2
    assert (intent["kind"], intent["phase"], outcome["rows"]) == ("audit_read", "intent", 5)


def _stranger(trail: Path, *words: str) -> dict[str, Any]:
    return check(arguments([str(trail), *words])).as_dict()


def test_the_script_for_strangers_is_handed_out_as_it_is(tmp_path: Path) -> None:
    out = tmp_path / "stranger.py"
    done = CliRunner().invoke(app, ["audit", "stranger", "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert out.read_bytes() == Path(str(audit.stranger.__file__)).read_bytes()


def test_a_stranger_finds_the_trail_of_a_whole_partnership_in_order(
    partnership: Partnership, tmp_path: Path
) -> None:
    home = partnership.home
    trail, vkey = home.path / "audit", home.log_vkey()
    (tmp_path / "hashes").write_text(home.pack.version)
    told = _stranger(trail, "--vkey", vkey, "--policy-hashes", str(tmp_path / "hashes"))
    assert (told["status"], told["missing"]) == ("verified", [])
    assert {one["name"] for one in told["checks"] if one["result"] == "ran"} >= {
        *("leaves", "sequence", "schema", "head", "checkpoints", "outside checkpoints"),
        *("intents", "time", "approvals", "permits", "grants", "policies"),
    }
    assert told["size"] == verify(trail).size


def test_every_way_out_gives_a_receipt_that_a_stranger_takes(home: Home, tmp_path: Path) -> None:
    file = persons_file(tmp_path / "p.csv", person_row(), person_row(PersonID="LA2"))
    sent = submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    sender = Actor("demo.council_data", "council", "data_submitter", "demo")
    given = [
        sent["audit"],
        receipt_of(home, sender, sent["number"], "council", with_keys=True)["looked"],
        rows_aside(home, sender, sent["number"])["receipt"],
        export_trail(home, LEAD, tmp_path / "out", **DEMO)["receipt"],
        checkpoint_out(home, "demo.dpo", tmp_path / "checkpoint", auth="demo")["receipt"],
    ]
    flows = []
    for one in given:
        (tmp_path / "receipt").write_text(one["proof"], encoding="utf-8")
        words = ["--vkey", home.log_vkey(), "--receipt", str(tmp_path / "receipt")]
        assert _stranger(home.path / "audit", *words)["status"] == "verified"
        event = parse(dict(read_events(home.path / "audit"))[one["entry"]])
        flows.append((event["flow"], event["phase"]))
    assert flows == [
        *(("submit", "outcome"), ("receipt", "outcome"), ("rows_aside", "outcome")),
        *(("export_trail", "outcome"), ("checkpoint_out", "outcome")),
    ]
