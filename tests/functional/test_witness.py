"""A partner watches the trail of another: by files, by the service, and what happens when they disagree."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from typer.testing import CliRunner

import engine.settings
import policies.load
from audit.cosign import Cosigner
from audit.errors import AuditFault
from audit.outside import CHECKPOINTS, WITNESSED
from audit.stranger import arguments, check
from audit.witness import Witness
from engine.cli.doctor import check_all
from engine.cli.main import app as cli
from engine.domain.errors import ConfigError, PolicyRefused
from engine.flows.deliveries import deliveries
from engine.flows.home import Home
from engine.flows.recover_log import recover_log
from engine.flows.trail import verify_trail
from engine.flows.trail_notices import trail_notices
from engine.flows.trail_out import checkpoint_out, export_trail, take_witnessed
from engine.flows.witness_submit import submit_checkpoint
from engine.web.app import create_app
from engine.web.witness import create_witness_app
from tests.builders.partnership import OPERATOR, Clock, make_home

POLICE, HEALTH = "police.example/witness", "health.example/witness"
SEEDS = {POLICE: bytes(range(32)), HEALTH: bytes(range(1, 33))}
URLS = {POLICE: "http://police.example", HEALTH: "http://health.example"}


def cosigner(name: str) -> Cosigner:
    return Cosigner.from_seed(name, SEEDS[name])


@pytest.fixture
def home(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A demo home whose policy names two witnesses, of whom two must vouch."""
    pack = shutil.copytree(policies.load.shipped(), tmp_path / "pack")
    witnesses = [{"name": name, "vkey": cosigner(name).vkey()} for name in SEEDS]
    section = {"witnesses": witnesses, "quorum": "2", "alarm_after_hours": "24"}
    with (pack / "governance.yaml").open("a", encoding="utf-8") as stream:
        stream.write(yaml.safe_dump({"witnessing": section}))
    text = (
        (pack / "governance.yaml").read_text(encoding="utf-8").replace("quorum: '2'", 'quorum: "2"')
    )
    (pack / "governance.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(policies.load, "shipped", lambda: pack)
    made = make_home(tmp_path / "home", clock=clock)
    yield made
    made.close()


class Partners:
    """The two witnesses as services; an address can be made to answer otherwise."""

    def __init__(self, home: Home, folder: Path, now: Clock) -> None:
        self.witnesses = {}
        self.down: set[str] = set()
        self.pages = {}
        for name in SEEDS:
            Witness.create(folder / name)
            made = Witness(folder / name, cosigner(name))
            made.trust(home.log_vkey())
            self.witnesses[name] = made
            app = create_witness_app(made, lambda: int(now().timestamp()))
            self.pages[URLS[name]] = TestClient(app)

    def send(self, url: str, body: bytes) -> tuple[int, str]:
        base = url.removesuffix("/add-checkpoint")
        if base in self.down:
            raise TimeoutError
        answer = self.pages[base].post("/add-checkpoint", content=body)
        return answer.status_code, answer.text


@pytest.fixture
def partners(home: Home, tmp_path: Path, clock: Clock) -> Partners:
    return Partners(home, tmp_path / "witnesses", clock)


def submit(home: Home, partners: Partners) -> dict[str, str]:
    done = submit_checkpoint(home, "demo.dpo", URLS, auth="demo", send=partners.send)
    return {one["witness"]: one["state"] for one in done["answers"]}


def again(home: Home) -> Home:
    home.close()
    return Home(home.path, home.settings, home.clock, home.randomness, apart=False)


def standing(home: Home) -> Any:
    report = verify_trail(home)
    assert report.standing is not None
    return report, report.standing


# By the service


def test_witnesses_sign_and_the_report_says_up_to_where_enough_vouch(
    home: Home, partners: Partners, tmp_path: Path
) -> None:
    report, found = standing(home)
    assert (report.status, report.missing) == ("incomplete", ["witnessed by 0 of 2, quorum 2"])
    assert len(found.alarms) == 2
    assert set(submit(home, partners).values()) == {"signed"}
    report, found = standing(home)
    # The event that closes the submission came after what was submitted.
    assert (report.status, found.size, found.alarms) == ("verified", report.size - 1, ())
    assert set(submit(home, partners).values()) == {"signed"}
    words = [str(home.path / "audit"), "--vkey", home.log_vkey(), "--quorum", "2"]
    for name in SEEDS:
        words += ["--witness-vkey", cosigner(name).vkey()]
    told = check(arguments(words)).as_dict()
    assert (told["status"], told["witnessed"]["by"]) == ("verified", 2)
    assert told["witnessed"]["size"] == told["size"] - 1
    # What they signed leaves with the export, so that an auditor needs nothing else.
    export_trail(home, "demo.dpo", tmp_path / "out", auth="demo")
    told = check(arguments([str(tmp_path / "out"), *words[1:]])).as_dict()
    assert [one["name"] for one in told["checks"] if one["result"] == "failed"] == []
    assert (told["witnessed"]["by"], told["witnessed"]["of"]) == (2, 2)


def test_a_silent_witness_is_told_in_plain_words_where_those_who_oversee_look_first(
    home: Home, partners: Partners, clock: Clock
) -> None:
    def told() -> tuple[list[str], str]:
        notices = trail_notices(home, verify_trail(home))
        with TestClient(create_app(home), base_url="http://127.0.0.1") as client:
            client.post("/sign-in", data={"user": "demo.ig_lead"})
            return [one["title"] for one in notices], client.get("/").text

    titles, page = told()
    assert titles == ["Too few witnesses vouch for the trail", *["A witness is silent"] * 2]
    assert "has never been heard of" in page
    assert "What to do:" in page
    submit(home, partners)
    titles, page = told()
    assert titles == []
    assert "Witnessed by 2 of 2" in page
    assert "What to do:" not in page
    clock.advance(hours=30)
    titles, page = told()
    assert titles == ["A witness is silent"] * 2
    assert "was last heard of 30 hours ago" in page
    assert "fieldgate audit submit-checkpoint" in page


def test_a_witness_that_is_not_reached_is_an_alarm_and_stops_nothing(
    home: Home, partners: Partners, clock: Clock
) -> None:
    submit(home, partners)
    partners.down.add(URLS[HEALTH])
    clock.advance(hours=30)
    assert submit(home, partners) == {POLICE: "signed", HEALTH: "unreachable"}
    deliveries(home, OPERATOR)
    report, found = standing(home)
    assert report.status == "verified"
    assert found.alarms == (f"the witness {HEALTH} was last heard of 30 hours ago",)
    assert found.newest[POLICE][0] > found.size == found.newest[HEALTH][0]


def test_a_home_that_lost_what_a_witness_signed_asks_it_for_the_size(
    home: Home, partners: Partners
) -> None:
    submit(home, partners)
    (home.path / "audit" / WITNESSED).unlink()
    assert set(submit(home, partners).values()) == {"signed"}


@pytest.mark.finding("AUD-17")
def test_a_fork_is_contradicted_by_the_witness_that_saw_the_other_story(
    home: Home, partners: Partners, tmp_path: Path
) -> None:
    """The log key and the database in one hand: the same home goes on in two ways."""
    deliveries(home, OPERATOR)
    home.close()
    fork = Home(
        shutil.copytree(home.path, tmp_path / "fork"),
        home.settings, home.clock, home.randomness, apart=False,
    )  # fmt: skip
    deliveries(fork, OPERATOR)
    assert set(submit(fork, partners).values()) == {"signed"}
    fork.close()
    home = again(home)
    for _ in range(3):
        deliveries(home, OPERATOR)
    assert set(submit(home, partners).values()) == {"contradicts"}
    assert verify_trail(home).standing.newest == {}  # type: ignore[union-attr]
    told = partners.witnesses[POLICE].standing()[0]
    assert (told["evidence"], told["open"]) in ((1, 0), (0, 1))
    home.close()


@pytest.mark.finding("AUD-18")
def test_database_and_outside_file_put_back_together_are_found_by_what_a_witness_signed(
    home: Home, partners: Partners, tmp_path: Path
) -> None:
    home.audit  # noqa: B018  # opened, so that the database is whole
    home.close()
    backup = shutil.copytree(home.path / "audit", tmp_path / "backup")
    home = again(home)
    for _ in range(3):
        deliveries(home, OPERATOR)
    submit(home, partners)
    home.close()
    kept = (home.path / "audit" / WITNESSED).read_bytes()
    shutil.rmtree(home.path / "audit")
    shutil.copytree(backup, home.path / "audit")
    home = again(home)
    assert set(submit(home, partners).values()) == {"contradicts"}
    (home.path / "audit" / WITNESSED).write_bytes(kept)
    home = again(home)
    with pytest.raises(AuditFault, match="FG-AUD-12"):
        deliveries(home, OPERATOR)
    # Two people declare it; the gap stays, and what the witness signed of it is no second alarm.
    recover_log(home, "demo.ig_lead", "restored", auth="demo")
    home = again(home)
    recover_log(home, "demo.dpo", "restored", auth="demo")
    home = again(home)
    deliveries(home, OPERATOR)
    report = verify_trail(home)
    assert (report.status, report.findings) == ("incomplete", [])
    told = check(arguments([str(home.path / "audit"), "--vkey", home.log_vkey()])).as_dict()
    assert told["status"] == "incomplete"
    home.close()


def test_no_address_and_one_of_an_unknown_witness_are_refused(home: Home) -> None:
    for addresses in ({}, {"nobody.example": "http://nobody.example"}):
        with pytest.raises(ConfigError, match="FG-AUD-27"):
            submit_checkpoint(home, "demo.dpo", addresses, auth="demo", send=lambda *_: (200, ""))


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ((200, "— police.example/witness AAAAAAAA\n"), "refused"),
        ((200, "nonsense"), "refused"),
        ((404, ""), "refused"),
        ((409, "x"), "contradicts"),
        ((409, "99999"), "contradicts"),
        ((503, ""), "refused"),
    ],
)
def test_any_other_answer_of_a_witness_is_told_and_kept_nowhere(
    home: Home, answer: tuple[int, str], state: str
) -> None:
    done = submit_checkpoint(
        home, "demo.dpo", {POLICE: "http://p"}, auth="demo", send=lambda *_: answer
    )
    assert [one["state"] for one in done["answers"]] == [state]
    assert not (home.path / "audit" / WITNESSED).exists()


# The service itself


def test_the_service_answers_by_rule(home: Home, partners: Partners) -> None:
    submit(home, partners)
    page = partners.pages[URLS[POLICE]]
    size = partners.witnesses[POLICE].standing()[0]["size"]
    note = list((home.path / "audit" / CHECKPOINTS).read_text(encoding="utf-8").split("\n\n"))
    request = f"old 0\n\n{note[0]}\n\n{note[1]}\n"
    answer = page.post("/add-checkpoint", content=request.encode())
    assert (answer.status_code, answer.text) == (409, f"{size}\n")
    assert answer.headers["content-type"] == "text/x.tlog.size"
    assert page.post("/add-checkpoint", content=b"\xff").status_code == 400
    assert page.post("/add-checkpoint", content=b"x" * 70_000).status_code == 400
    other = request.replace("fieldgate.local", "elsewhere.local")
    assert page.post("/add-checkpoint", content=other.encode()).status_code == 404
    assert page.get("/add-checkpoint").status_code == 405
    assert page.get("/healthz").json() == {"status": "ok"}
    assert page.get("/docs").status_code == 404


def test_a_service_whose_database_fails_signs_nothing(home: Home, partners: Partners) -> None:
    made = partners.witnesses[POLICE]
    with closing(sqlite3.connect(made.folder / "witness.db", isolation_level=None)) as base:
        base.execute("DROP TABLE seen")
    assert submit(home, partners)[POLICE] == "refused"


# By files


def test_a_checkpoint_goes_out_is_countersigned_and_comes_back(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "word").write_text("a long passphrase of a witness")
    run, place = CliRunner(), str(tmp_path / "police")

    def done(*words: str, code: int = 0) -> dict[str, Any]:
        # Two machines in one test: the witness's passphrase is not that of the home.
        if words[0] == "witness":
            monkeypatch.setenv("FIELDGATE_PASSPHRASE_FILE", str(tmp_path / "word"))
        else:
            monkeypatch.delenv("FIELDGATE_PASSPHRASE_FILE", raising=False)
        engine.settings.settings.cache_clear()
        answer = run.invoke(cli, [*words, "--json"])
        assert answer.exit_code == code, answer.output
        return dict(json.loads(answer.stdout))

    home.close()
    inside = str(home.path / "witness")
    done("witness", "init", "--folder", inside, "--name", POLICE, code=15)
    made = done("witness", "init", "--folder", place, "--name", POLICE, "--log", home.log_vkey())
    assert made["logs"] == [home.manifest["log_name"]]
    at = ["--home", str(home.path), "--as", "demo.dpo"]
    out, back = str(tmp_path / "out"), str(tmp_path / "back")
    sent = done("audit", "checkpoint", *at, "--out", out)
    assert sent["old"] == 0
    done("witness", "countersign", out, "--folder", place, "--out", back)
    shown = done("witness", "show", "--folder", place)
    assert [one["size"] for one in shown["logs"]] == [sent["size"]]
    # The key of this witness is its own and not the one that the policy names.
    told = done("audit", "witnessed", back, *at, code=15)
    assert told["error"]["code"] == "FG-AUD-25"
    # A second file from nothing: the witness has seen more, and says from where to begin.
    done("audit", "checkpoint", *at, "--out", out)
    told = done("witness", "countersign", out, "--folder", place, "--out", back, code=14)
    assert f"--old {sent['size']}" in told["error"]["next_step"]
    done("audit", "checkpoint", *at, "--out", out, "--old", str(sent["size"]))
    done("witness", "countersign", out, "--folder", place, "--out", back)
    done("audit", "checkpoint", *at, "--out", out)


def test_what_a_named_witness_signed_is_kept_and_what_is_not_of_this_trail_is_not(
    home: Home, tmp_path: Path, partners: Partners
) -> None:
    out = tmp_path / "out"
    checkpoint_out(home, "demo.dpo", out, auth="demo", witness=POLICE)
    text = out.read_text(encoding="utf-8")
    note = text.partition("\n\n")[2]
    signed = note + partners.witnesses[POLICE].add_checkpoint(text, 1_764_000_000)
    (tmp_path / "back").write_text(signed, encoding="utf-8")
    done = take_witnessed(home, "demo.dpo", tmp_path / "back", auth="demo")
    assert done["witnesses"] == [POLICE]
    checkpoint_out(home, "demo.dpo", out, auth="demo", witness=POLICE)
    assert out.read_text(encoding="utf-8").startswith(f"old {done['size']}\n")
    for bad in (note, signed.replace(str(home.manifest["log_name"]), "log.example/other"), "x"):
        (tmp_path / "bad").write_text(bad, encoding="utf-8")
        with pytest.raises(AuditFault, match="FG-AUD-(06|25)"):
            take_witnessed(home, "demo.dpo", tmp_path / "bad", auth="demo")
    with pytest.raises(ConfigError, match="FG-AUD-27"):
        take_witnessed(home, "demo.dpo", tmp_path / "none", auth="demo")
    with pytest.raises(ConfigError, match="FG-AUD-27"):
        checkpoint_out(home, "demo.dpo", out, auth="demo", witness="nobody.example")


def test_another_role_sends_takes_and_submits_nothing_and_each_refusal_is_in_the_trail(
    home: Home, partners: Partners, tmp_path: Path
) -> None:
    asked: list[str] = []

    def send(url: str, body: bytes) -> tuple[int, str]:
        asked.append(url)
        return partners.send(url, body)

    checkpoint_out(home, "demo.dpo", tmp_path / "ask", auth="demo")
    size = home.audit.head_at(10**6).size
    for number, tried in enumerate(
        (
            lambda: checkpoint_out(home, "demo.benefits", tmp_path / "out", auth="demo"),
            lambda: take_witnessed(home, "demo.benefits", tmp_path / "ask", auth="demo"),
            lambda: submit_checkpoint(home, "demo.benefits", URLS, auth="demo", send=send),
        ),
        start=1,
    ):
        with pytest.raises(PolicyRefused, match="FG-AUD-22"):
            tried()
        assert home.audit.head_at(10**6).size == size + 2 * number
        event = json.loads(home.log_events(1)[0][1])
        assert (event["kind"], event["decision"], event["rules"]) == (
            "deny", "refuse", ["FG-AUD-22"],
        )  # fmt: skip
        assert event["actor"]["id"] == "demo.benefits"
    assert not (tmp_path / "out").exists()
    assert not (home.path / "audit" / WITNESSED).exists()
    assert asked == []


def test_a_witness_that_saw_more_than_the_trail_holds_is_told_before_anything_is_written(
    home: Home, tmp_path: Path
) -> None:
    with pytest.raises(AuditFault, match="FG-AUD-26"):
        checkpoint_out(home, "demo.dpo", tmp_path / "out", auth="demo", old=10_000)
    assert not (tmp_path / "out").exists()


def test_verify_and_doctor_say_who_vouches(home: Home, partners: Partners) -> None:
    submit(home, partners)
    home.close()
    answer = CliRunner().invoke(cli, ["audit", "verify", "--home", str(home.path)])
    assert answer.exit_code == 0, answer.output
    assert "witnessed by 2 of 2, quorum 2, up to event" in answer.output
    trail = next(one for one in check_all(home.path) if one["name"] == "audit trail")
    assert "witnessed by 2 of 2" in trail["detail"]


def test_a_policy_with_a_key_that_is_none_leaves_the_verdict_incomplete(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Home) -> None:
        raise AuditFault("FG-AUD-05", "the verifier key is malformed", "")

    monkeypatch.setattr("engine.flows.trail.quorum_of", broken)
    report = verify_trail(home)
    assert report.status == "incomplete"
    assert "the policy's witnesses could not be read (AuditFault)" in report.missing
