"""The stranger's script: alone on a machine, against everything that somebody could hand it."""

import ast
import json
import shutil
import subprocess
import sys
import sysconfig
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import audit.stranger
from audit.canonical import canonical
from audit.cosign import ML_DSA_44, Cosigner
from audit.database import DATABASE
from audit.event import make_event
from audit.log import CHECKPOINTS, AuditLog
from audit.note import Signer, Verifier
from audit.outside import WITNESSED, append_note, notes
from audit.stranger import Story, arguments, check
from audit.tiles import export_tiles

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SIGNER = Signer.from_bytes("log.example/stranger", bytes(range(32)))
POLICE = Cosigner.from_seed("police.example/witness", bytes(range(3, 35)))
HEALTH = Cosigner.from_seed("health.example/witness", bytes(range(4, 36)), ML_DSA_44)
SIZE = 6
SCRIPT = Path(audit.stranger.__file__)
ALONE = """
import runpy, sys
sys.path.append(sys.argv[1])
sys.argv = sys.argv[2:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    ours = {"audit", "engine", "policies", "gateways", "scoring"} & set(sys.modules)
    assert not ours, ours
"""


def event(number: int, phase: str = "intent", *, seconds: int | None = None, **details):
    fixed = {"kind": "consultation", "flow": "view", "actor": {"id": "a1", "org": "council"}}
    shape = {name: details.pop(name, value) for name, value in fixed.items()}
    return make_event(
        log=SIGNER.name,
        phase=phase,
        intent=f"i{number}",
        now=NOW + timedelta(seconds=number if seconds is None else seconds),
        random=number.to_bytes(10, "big"),
        details=details,
        **shape,
    )


def build(folder: Path, size: int = SIZE, **details) -> Path:
    AuditLog.create(folder, SIGNER.vkey())
    log = AuditLog(folder, SIGNER)
    for number in range(size // 2):
        log.append([event(number, **details), event(number, "outcome", **details)])
    log.close()
    return folder


@pytest.fixture
def folder(tmp_path) -> Path:
    return build(tmp_path / "audit")


def run(trail: Path, *words: str):
    return check(arguments([str(trail), "--vkey", SIGNER.vkey(), *words])).as_dict()


def result_of(told, name: str) -> str:
    return next(one["result"] for one in told["checks"] if one["name"] == name)


def found(told) -> list[str]:
    return [item["what"] for one in told["checks"] for item in one["findings"]]


def witnessed(folder: Path, *cosigners: Cosigner, at: int = -1) -> None:
    text = (folder / CHECKPOINTS).read_text(encoding="utf-8")
    note = list(notes(text))[at]
    body = Verifier.from_vkey(SIGNER.vkey()).open(note)
    for cosigner in cosigners:
        note += cosigner.line(body, 1_772_000_000)
    append_note(folder / WITNESSED, note)


# Alone


def alone(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    place = tmp_path / "elsewhere"
    place.mkdir(exist_ok=True)
    shutil.copy(SCRIPT, place / "stranger.py")
    packages = sysconfig.get_paths()["purelib"]
    command = [sys.executable, "-I", "-S", "-c", ALONE, packages, "stranger.py", *words]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)


def test_the_script_needs_the_standard_library_and_cryptography_and_nothing_else():
    names = set()
    for node in ast.walk(ast.parse(SCRIPT.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {one.name.split(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module).split(".")[0])
    assert names - set(sys.stdlib_module_names) == {"cryptography"}


def test_the_script_runs_alone_and_ends_with_the_codes_of_the_command(folder, tmp_path):
    done = alone(tmp_path, str(folder), "--vkey", SIGNER.vkey(), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert (told["status"], told["exit"], told["size"]) == ("verified", 0, SIZE)
    (folder / CHECKPOINTS).unlink()
    assert alone(tmp_path, str(folder), "--vkey", SIGNER.vkey()).returncode == 17
    data = bytearray((folder / DATABASE).read_bytes())
    at = data.find(b'"org":"council"')
    data[at + 8] ^= 1
    (folder / DATABASE).write_bytes(data)
    (folder / f"{DATABASE}-wal").unlink(missing_ok=True)
    assert alone(tmp_path, str(folder), "--vkey", SIGNER.vkey()).returncode == 14


def test_the_script_says_in_words_what_ran_what_was_skipped_and_what_failed(folder, tmp_path):
    other = build(tmp_path / "other", purpose="another")
    saved = str(other / CHECKPOINTS)
    done = alone(tmp_path, str(folder), "--vkey", SIGNER.vkey(), "--checkpoints", saved)
    assert done.returncode == 14
    assert "failed  saved checkpoints" in done.stdout
    assert "the events before 2 are not those the saved checkpoint attests" in done.stdout
    assert "skipped witnesses: no key of a witness was given" in done.stdout
    assert "ran     sequence" in done.stdout


def test_a_bad_key_of_a_witness_is_a_mistake_of_the_command_and_no_verdict(folder, tmp_path):
    done = alone(tmp_path, str(folder), "--witness-vkey", SIGNER.vkey())
    assert (done.returncode, done.stdout) == (2, "")


def test_the_key_that_came_with_the_log_is_named_as_such(folder):
    assert check(arguments([str(folder)])).as_dict()["key"] == "came with the log"
    assert run(folder)["key"] == "given"


# Where from


def test_the_database_alone_is_read_and_what_stands_beside_it(folder, tmp_path):
    assert run(folder / DATABASE)["status"] == "verified"
    (tmp_path / "copy").mkdir()
    shutil.copy(folder / DATABASE, tmp_path / "copy" / "trail.sqlite")
    told = run(tmp_path / "copy" / "trail.sqlite")
    assert (told["status"], told["size"]) == ("incomplete", SIZE)
    assert "no checkpoint is kept outside the database" in told["missing"]


def test_an_export_is_read_and_its_changed_event_is_named_with_its_index(folder, tmp_path):
    out = tmp_path / "out"
    export_tiles(folder, out, Verifier.from_vkey(SIGNER.vkey()))
    assert run(out)["status"] == "verified"
    bundle = out / "tile" / "entries" / "000.p" / str(SIZE)
    bundle.write_bytes(bundle.read_bytes().replace(b'"id":"a1"', b'"id":"a2"', 3))
    told = run(out)
    assert told["status"] == "tampered"
    tiles = next(one for one in told["checks"] if one["name"] == "tiles")
    assert [one["index"] for one in tiles["findings"]] == [0, 1, 2]


def test_a_large_export_has_its_upper_tiles_checked(tmp_path):
    folder, out = tmp_path / "audit", tmp_path / "out"
    AuditLog.create(folder, SIGNER.vkey())
    log = AuditLog(folder, SIGNER)
    log.append([event(n // 2, "outcome" if n % 2 else "intent") for n in range(520)])
    log.close()
    export_tiles(folder, out, Verifier.from_vkey(SIGNER.vkey()))
    assert run(out)["status"] == "verified"
    (out / "tile" / "1" / "000.p" / "2").write_bytes(bytes(64))
    assert found(run(out)) == ["a tile of level 1 is not that of the tiles below it"]
    (out / "tile" / "1" / "000.p" / "2").unlink()
    assert run(out)["status"] == "incomplete"


def test_nothing_there_is_incomplete(tmp_path):
    told = run(tmp_path)
    assert (told["status"], told["exit"]) == ("incomplete", 17)
    assert "there is no log and no export of one" in told["missing"]


# What was kept elsewhere


@pytest.mark.finding("B33")
def test_a_cut_tail_is_found_by_one_checkpoint_that_the_reader_kept(folder, tmp_path):
    kept = tmp_path / "kept.txt"
    shutil.copy(folder / CHECKPOINTS, kept)
    shutil.rmtree(folder)
    build(folder, SIZE - 2)
    assert run(folder)["status"] == "verified"
    told = run(folder, "--checkpoints", str(kept))
    assert found(told) == ["events were cut off: a saved checkpoint attests size 6"]


def test_a_rebuilt_log_verifies_alone_and_is_found_by_a_saved_checkpoint(folder, tmp_path):
    kept = tmp_path / "kept.txt"
    kept.write_text(list(notes((folder / CHECKPOINTS).read_text("utf-8")))[1], encoding="utf-8")
    shutil.rmtree(folder)
    build(folder, purpose="another")
    assert run(folder)["status"] == "verified"
    told = run(folder, "--checkpoints", str(kept))
    assert found(told) == ["the events before 4 are not those the saved checkpoint attests"]


def test_a_rebuilt_log_is_found_by_what_a_witness_signed(folder, tmp_path):
    witnessed(folder, POLICE)
    shutil.copy(folder / WITNESSED, tmp_path / "kept")
    shutil.rmtree(folder)
    build(folder, purpose="another")
    shutil.copy(tmp_path / "kept", folder / WITNESSED)
    told = run(folder, "--witness-vkey", POLICE.vkey())
    assert found(told) == ["the events before 6 are not those the witnessed checkpoint attests"]
    assert told["witnessed"]["by"] == 0


def test_a_fork_that_is_served_to_two_auditors_is_found_when_they_exchange_checkpoints(tmp_path):
    one, two = build(tmp_path / "one"), build(tmp_path / "two", purpose="another")
    assert run(one)["status"] == run(two)["status"] == "verified"
    for mine, theirs in ((one, two), (two, one)):
        told = run(mine, "--checkpoints", str(theirs / CHECKPOINTS))
        assert (told["status"], told["exit"]) == ("tampered", 14)
        saved = next(one for one in told["checks"] if one["name"] == "saved checkpoints")
        assert [item["index"] for item in saved["findings"]] == [2, 4, 6]


def test_an_old_checkpoint_that_is_genuine_is_no_finding(folder, tmp_path):
    kept = tmp_path / "kept.txt"
    kept.write_text(next(notes((folder / CHECKPOINTS).read_text("utf-8"))), encoding="utf-8")
    told = run(folder, "--checkpoints", str(kept))
    assert (told["status"], result_of(told, "saved checkpoints")) == ("verified", "ran")


def test_a_saved_checkpoint_of_another_key_is_a_finding(folder, tmp_path):
    other = Signer.from_bytes(SIGNER.name, bytes(32))
    (tmp_path / "kept").write_text(other.sign(f"{SIGNER.name}\n2\n{'A' * 43}=\n"), encoding="utf-8")
    assert found(run(folder, "--checkpoints", str(tmp_path / "kept"))) == [
        "saved checkpoint at size 2: no signature of the log key stands on it"
    ]


def test_a_file_of_checkpoints_that_is_not_there_is_incomplete(folder, tmp_path):
    told = run(folder, "--checkpoints", str(tmp_path / "none"))
    assert (told["status"], result_of(told, "saved checkpoints")) == ("incomplete", "skipped")


# Witnesses


@pytest.mark.parametrize(("quorum", "status", "size"), [("1", "verified", 6), ("2", "verified", 4)])
def test_a_quorum_vouches_up_to_where_enough_witnesses_looked(folder, quorum, status, size):
    witnessed(folder, POLICE, HEALTH, at=1)
    witnessed(folder, POLICE)
    words = ["--witness-vkey", POLICE.vkey(), "--witness-vkey", HEALTH.vkey(), "--quorum", quorum]
    told = run(folder, *words)
    assert (told["status"], told["witnessed"]["size"]) == (status, size)
    assert told["witnessed"]["by"] == 2
    assert told["witnessed"]["newest"][POLICE.name] == {"size": 6, "time": 1_772_000_000}


def test_too_few_witnesses_are_incomplete_and_say_how_many(folder):
    witnessed(folder, POLICE)
    told = run(folder, "--witness-vkey", POLICE.vkey(), "--witness-vkey", HEALTH.vkey())
    assert (told["status"], told["missing"]) == ("incomplete", ["witnessed by 1 of 2, quorum 2"])


def test_a_forged_line_of_a_known_witness_is_a_finding(folder):
    forger = Cosigner.from_seed(POLICE.name, bytes(32))
    witnessed(folder, forger)
    assert run(folder, "--witness-vkey", POLICE.vkey())["witnessed"]["by"] == 0
    text = (folder / WITNESSED).read_text(encoding="utf-8")
    witnessed(folder, POLICE, at=0)
    moved = (folder / WITNESSED).read_text(encoding="utf-8").removeprefix(text).split("\n")[-3]
    (folder / WITNESSED).write_text(text.rstrip("\n") + f"\n{moved}\n\n", encoding="utf-8")
    assert found(run(folder, "--witness-vkey", POLICE.vkey())) == [
        "witnessed checkpoint at size 6: a signature of a known key does not verify"
    ]


# Receipts


def receipt(folder: Path, index: int, to: Path) -> str:
    log = AuditLog(folder, SIGNER)
    to.write_text(log.proof(index), encoding="utf-8")
    log.close()
    return str(to)


@pytest.mark.parametrize("index", range(SIZE))
def test_a_receipt_is_checked_against_the_log_and_years_later_when_it_has_grown(
    folder, tmp_path, index
):
    given = receipt(folder, index, tmp_path / "r")
    assert result_of(run(folder, "--receipt", given), "receipt") == "ran"
    log = AuditLog(folder, SIGNER)
    log.append([event(7), event(7, "outcome")])
    log.close()
    told = run(folder, "--receipt", given)
    assert (told["status"], result_of(told, "receipt")) == ("verified", "ran")


@pytest.mark.finding("AUD-3")
def test_a_receipt_alone_proves_its_leaf_and_says_that_the_log_is_not_there(folder, tmp_path):
    given = receipt(folder, 3, tmp_path / "r")
    told = run(tmp_path / "nowhere", "--receipt", given)
    assert (told["status"], result_of(told, "receipt")) == ("incomplete", "ran")


@pytest.mark.finding("AUD-2")
def test_no_receipt_with_a_changed_character_is_taken(folder, tmp_path):
    given = Path(receipt(folder, 3, tmp_path / "r"))
    text = given.read_text(encoding="utf-8")
    for at in range(len(text)):
        given.write_text(text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :], encoding="utf-8")
        told = run(tmp_path / "nowhere", "--receipt", str(given))
        assert result_of(told, "receipt") != "ran", at


def test_a_receipt_of_a_rebuilt_or_shortened_log_is_a_finding(folder, tmp_path):
    given = receipt(folder, 5, tmp_path / "r")
    shutil.rmtree(folder)
    build(folder, purpose="another")
    assert result_of(run(folder, "--receipt", given), "receipt") == "failed"
    shutil.rmtree(folder)
    build(folder, SIZE - 2)
    assert found(run(folder, "--receipt", given)) == [
        "events were cut off: a receipt attests event 5"
    ]


# What events say of each other

POLICY, NEXT = "a" * 64, "b" * 64
VIEW = {
    "agreement": "dsa_0001",
    "gateway": "ca2004.s11",
    "policy_hash": POLICY,
    "decision": "permit",
}


def told(*events, **options) -> list[str]:
    story = Story(SIGNER.name, **options)
    for seq, one in enumerate(events):
        assert canonical(one)
        story.tell(seq, one)
    return [what for _, _, what in (*story.findings, *story.doubts)]


def flow(number: int, name: str, who: str = "a1", **details) -> list[dict]:
    shape = {"flow": name, "actor": {"id": who, "org": "council"}}
    return [event(number, **shape), event(number, "outcome", **shape, **details)]


def first() -> list[dict]:
    return flow(90, "first_policy", policy_hash=POLICY, decision="permit")


def test_views_under_the_active_policy_hold_together():
    shown = flow(1, "reveal", **VIEW, expires="2026-03-02T09:50:00+00:00")
    again = flow(2, "show", **(VIEW | {"grant": "i1"}))
    assert told(*first(), *shown, *again) == []


def test_a_view_under_a_policy_that_was_not_active_is_found_at_its_index():
    assert told(*first(), *flow(1, "reveal", **(VIEW | {"policy_hash": NEXT}))) == [
        "event 3: a view was decided under a policy that was not active"
    ]


def test_a_view_that_names_no_gateway_agreement_or_policy_is_found():
    for gone in ("gateway", "agreement"):
        assert told(*first(), *flow(1, "reveal", **(VIEW | {gone: ""}))) == [
            "event 3: a view names no gateway, agreement or policy"
        ]


def test_a_view_shown_again_without_its_grant_or_to_somebody_else_or_too_late_is_found():
    shown = flow(1, "reveal", **VIEW, expires="2026-03-02T09:31:00+00:00")
    again = VIEW | {"grant": "i1"}
    without = "event 5: a view was shown again without its grant"
    assert told(*first(), *shown, *flow(2, "show", **(VIEW | {"grant": "i9"}))) == [without]
    assert told(*first(), *shown, *flow(2, "show", "b2", **again)) == [without]
    assert told(*first(), *shown, *flow(120, "show", **again)) == [
        "event 5: a view was shown again after it had closed"
    ]


def change(*approvers: str) -> list[dict]:
    permit = {"policy_hash": NEXT, "decision": "permit"}
    proposed = flow(1, "propose_policy", "author", **permit)
    answers = [
        one
        for at, who in enumerate(approvers)
        for one in flow(10 + at, "answer_policy", who, rules=["approve", "governance"], **permit)
    ]
    return [*first(), *proposed, *answers, *flow(30, "activate_policy", "author", **permit)]


def test_a_policy_that_another_person_approved_is_no_finding():
    assert told(*change("other")) == []


@pytest.mark.parametrize("approvers", [(), ("author",)])
def test_a_policy_without_another_persons_approval_is_found(approvers):
    at = 5 + 2 * len(approvers)
    assert told(*change(*approvers)) == [
        f"event {at}: a policy became active without another person's approval"
    ]


def test_a_policy_that_comes_back_must_have_been_active():
    back = {"policy_hash": NEXT, "decision": "permit"}
    assert told(*first(), *flow(1, "rollback_policy", **back)) == [
        "event 3: a policy came back that had never been active"
    ]


def test_a_loss_that_one_person_declared_and_confirmed_is_found():
    lost = flow(1, "recover_log", "a1", rules=["declared_by a1"], decision="declared_lost")
    assert told(*lost) == ["event 1: a loss was declared and confirmed by one person"]
    assert told(*flow(1, "recover_log", "b2", rules=["declared_by a1"])) == []


def test_an_outcome_without_its_intent_or_of_somebody_else_is_found():
    intent, outcome = flow(1, "look")
    assert told(outcome) == ["event 0: an outcome has no open intent"]
    assert told(intent, intent, outcome) == ["event 1: its intent had begun before"]
    assert told(intent, flow(1, "look", "b2")[1]) == [
        "event 1: an outcome is of another flow or person than its intent"
    ]


def test_start_up_may_settle_what_somebody_else_began():
    begun = flow(1, "look")[0]
    settled = event(1, "outcome", kind="recovery", flow="look", actor={"id": "fieldgate"})
    assert told(begun, settled) == []


def test_an_event_of_another_log_is_found():
    assert told(event(1) | {"log": "log.example/other"}) == ["event 0: it belongs to another log"]


def test_a_clock_that_went_back_is_told_beyond_a_tolerance_and_is_no_proof_of_tampering(folder):
    late, early = event(1, seconds=1000), event(2, seconds=0)
    assert told(late, early) == ["event 1 is 1000 seconds older than one before it"]
    assert told(late, early, tolerance=1000) == []
    log = AuditLog(folder, SIGNER)
    log.append([event(8, seconds=9000), event(8, "outcome", seconds=0)])
    log.close()
    report = run(folder)
    assert (report["status"], found(report)) == ("incomplete", [])
    assert report["missing"] == ["event 7 is 9000 seconds older than one before it"]


def test_a_policy_that_is_not_on_the_published_list_is_found_at_its_index(tmp_path):
    folder = tmp_path / "audit"
    AuditLog.create(folder, SIGNER.vkey())
    log = AuditLog(folder, SIGNER)
    log.append([*first(), *flow(1, "reveal", **VIEW)])
    log.close()
    (tmp_path / "hashes").write_text(f"{POLICY}\n")
    given = ("--policy-hashes", str(tmp_path / "hashes"))
    assert run(folder, *given)["status"] == "verified"
    (tmp_path / "hashes").write_text(f"{NEXT}\n")
    assert found(run(folder, *given)) == [f"event 1: its policy {POLICY[:16]} is not published"]
