"""Every fault gets its code, its next step and its exit code, and leaves nothing half done."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

import policies.load
from audit.database import DATABASE
from audit.note import Signer
from audit.verify import verify
from engine.cli.doctor import check_all
from engine.cli.main import app
from engine.domain.errors import ConfigError, FieldgateError, GatewayError, RunError
from engine.flows.home import Home
from engine.flows.log_store import open_log
from engine.flows.score import score
from engine.flows.setup import init, operator
from engine.flows.submit import submit
from engine.settings import Settings
from engine.settings import settings as read_settings
from tests.builders.partnership import (
    OPERATOR,
    Clock,
    person_row,
    persons_file,
    seeded,
    write_csv,
)


def _cli(*arguments: str) -> tuple[int, dict[str, object], str]:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    document = json.loads(result.stdout) if result.stdout.strip().startswith("{") else {}
    return result.exit_code, document, result.stderr


def _nothing_was_kept(home: Home) -> None:
    assert home.published() == {}
    with home.vault.connect() as connection:
        for table in ("sealed_identity", "record_key"):
            assert connection.exec_driver_sql(f"select count(*) from {table}").scalar() == 0
    with home.linkage.connect() as connection:
        assert connection.exec_driver_sql("select count(*) from encoding").scalar() == 0
    assert not list((home.path / "warehouse").rglob("*.parquet"))
    assert not list((home.path / "staging").iterdir())
    assert verify(home.path / "audit").status == "verified"


FILES = {
    "FG-SUB-01": (b"", 10),
    "FG-SUB-02": (b"PK\x03\x04not a csv", 10),
    "FG-SUB-04": (b"Somebody,Else\n1,2\n", 10),
    "FG-SUB-05": (
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><Message><Children/></Message>', 10
    ),
}  # fmt: skip


@pytest.mark.parametrize("code", FILES)
def test_a_file_that_cannot_be_used_is_refused_with_its_code(
    home: Home, tmp_path: Path, code: str
) -> None:
    content, exit_code = FILES[code]
    source = "council.cin_census" if content.startswith(b"<") else "council.persons"
    file = tmp_path / "file"
    file.write_bytes(content)

    found, document, stderr = _cli(
        "submit", str(file), "--agency", "council", "--source", source, "--home", str(home.path)
    )

    assert found == exit_code
    assert document["error"]["code"] == code  # type: ignore[index]
    assert document["error"]["next_step"]  # type: ignore[index]
    assert code in stderr
    _nothing_was_kept(home)


def test_xml_that_stops_half_way_is_refused_and_leaves_nothing(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "half.xml"
    file.write_text("<Message><Children><Child><ChildIdentifiers><LAchildID>1</LAchildID>")

    code, document, _ = _cli(
        "submit", str(file), "--agency", "council", "--source", "council.cin_census",
        "--home", str(home.path),
    )  # fmt: skip

    assert (code, document["error"]["code"]) == (10, "FG-SUB-02")  # type: ignore[index]
    _nothing_was_kept(home)


def test_an_open_quote_deep_in_a_file_refuses_the_whole_file(home: Home, tmp_path: Path) -> None:
    file = persons_file(tmp_path / "p.csv", *[person_row(PersonID=f"LA{n}") for n in range(5000)])
    with file.open("a", encoding="utf-8") as stream:
        stream.write('LA9999,"never closed')

    with pytest.raises(FieldgateError, match="FG-SUB-02"):
        submit(home, file, agency="council", source="council.persons", actor=OPERATOR)

    _nothing_was_kept(home)


def test_unknown_columns_are_dropped_and_named(home: Home, tmp_path: Path) -> None:
    from tests.builders.partnership import PERSON_COLUMNS

    file = write_csv(
        tmp_path / "p.csv", [*PERSON_COLUMNS, "Favourite Colour"], [[*person_row(), "green"]]
    )
    receipt = submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    assert receipt["columns_unknown"] == ["Favourite Colour"]


@pytest.mark.finding("LAW-14")
def test_an_expired_agreement_stops_intake_and_says_which(tmp_path: Path) -> None:
    clock = Clock()
    home = init(
        tmp_path / "home", "demo", Settings(), "operator",
        log_key_folder=None, clock=clock, randomness=seeded(3),
    )  # fmt: skip
    clock.now += timedelta(days=800)
    file = persons_file(tmp_path / "p.csv", person_row())

    with pytest.raises(GatewayError, match="FG-GATE-11") as caught:
        submit(home, file, agency="council", source="council.persons", actor=OPERATOR)

    assert caught.value.exit_code == 13
    assert any("agreement dsa_0001 has ended" in reason for reason in caught.value.reasons)
    _nothing_was_kept(home)
    home.close()


@pytest.mark.parametrize(
    ("agency", "source", "code"),
    [
        ("police", "council.persons", "FG-GATE-13"),
        ("nobody", "council.persons", "FG-GATE-13"),
        ("council", "no.such_source", "FG-GATE-12"),
        ("engine", "engine.scores", "FG-GATE-12"),
    ],
)
def test_an_agency_that_is_not_the_owner_or_no_party_cannot_submit(
    home: Home, tmp_path: Path, agency: str, source: str, code: str
) -> None:
    file = persons_file(tmp_path / "p.csv", person_row())
    found, document, _ = _cli(
        "submit", str(file), "--agency", agency, "--source", source, "--home", str(home.path)
    )
    assert (found, document["error"]["code"]) == (13, code)  # type: ignore[index]
    _nothing_was_kept(home)


def test_row_errors_above_the_limit_refuse_and_below_it_are_dropped_and_counted(
    home: Home, tmp_path: Path
) -> None:
    good = [person_row(PersonID=f"LA{n}") for n in range(9)]
    bad = person_row(PersonID="LA99", RecordedOn="not a date")

    receipt = submit(
        home, persons_file(tmp_path / "a.csv", *good, bad), agency="council",
        source="council.persons", actor=OPERATOR,
    )  # fmt: skip
    assert receipt["rows"] == {"in": 10, "kept": 9, "dropped": {"FG-ROW-02": 1}}
    (finding,) = [one for one in receipt["findings"] if one["severity"] == "error"]
    assert (finding["column"], finding["rows"]) == ("RecordedOn", [11])

    code, document, _ = _cli(
        "submit", str(persons_file(tmp_path / "b.csv", good[0], bad)), "--agency", "council",
        "--source", "council.persons", "--home", str(home.path),
    )  # fmt: skip
    assert (code, document["error"]["code"]) == (11, "FG-SUB-11")  # type: ignore[index]


def test_a_wrong_passphrase_is_told_as_such(home: Home) -> None:
    process = subprocess.run(
        [sys.executable, "-c", "from engine.cli.main import run; run()", "link", "--home",
         str(home.path), "--json"],
        env={"PATH": "", "FIELDGATE_PASSPHRASE": "wrong"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert process.returncode == 15
    assert json.loads(process.stdout)["error"]["code"] == "FG-KEY-03"
    assert "Traceback" not in process.stderr


def test_a_missing_key_is_told_as_such(home: Home, tmp_path: Path) -> None:
    (home.path / "keys" / "vault.json").unlink()
    fresh = Home(home.path, Settings(), clock=home.clock)
    with pytest.raises(ConfigError, match="FG-KEY-01"):
        submit(
            fresh, persons_file(tmp_path / "p.csv", person_row()), agency="council",
            source="council.persons", actor=OPERATOR,
        )  # fmt: skip
    fresh.close()
    _nothing_was_kept(home)


def test_a_key_that_others_can_read_is_refused(home: Home) -> None:
    (home.path / "keys" / "psn.json").chmod(0o644)
    with pytest.raises(ConfigError, match="FG-KEY-02"):
        Home(home.path, Settings()).keyring("psn")


def test_the_passphrase_variable_works_in_a_demo_home_only(tmp_path: Path) -> None:
    settings = Settings.model_validate({"passphrase": "abc"})
    with pytest.raises(ConfigError, match="FG-KEY-07"):
        init(
            tmp_path / "home", "single", settings, "operator",
            log_key_folder=tmp_path / "log", clock=Clock(), randomness=seeded(1),
        )  # fmt: skip
    assert not (tmp_path / "home").exists()


@pytest.mark.finding("AUD-12")
def test_a_real_home_keeps_its_log_key_outside(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("long enough to be a passphrase")
    settings = Settings(passphrase_file=secret)
    with pytest.raises(ConfigError, match="FG-HOME-04"):
        init(
            tmp_path / "home", "single", settings, "operator",
            log_key_folder=tmp_path / "home" / "keys", clock=Clock(), randomness=seeded(1),
        )  # fmt: skip
    home = init(
        tmp_path / "home", "single", settings, "operator",
        log_key_folder=tmp_path / "elsewhere", clock=Clock(), randomness=seeded(1),
    )  # fmt: skip
    assert (tmp_path / "elsewhere" / "log.json").exists()
    assert not (tmp_path / "home" / "keys" / "log.json").exists()
    assert operator(home.profile, "x").auth == "os"
    home.close()


def test_split_homes_open_only_the_keyrings_they_were_given(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    for purpose in ("vault", "psn", "link", "grant", "log"):
        (folder / purpose).write_text(f"passphrase of {purpose}")
    made = init(
        tmp_path / "home", "split", Settings(passphrase_file=folder), "operator",
        log_key_folder=tmp_path / "elsewhere", clock=Clock(), randomness=seeded(1),
    )  # fmt: skip
    made.close()
    (folder / "vault").unlink()
    process = Home(tmp_path / "home", Settings(passphrase_file=folder))
    assert process.keyring("link").current == 1
    with pytest.raises(ConfigError, match="FG-KEY-06"):
        process.keyring("vault")


def test_a_split_home_refuses_one_passphrase_for_all_keyrings(tmp_path: Path) -> None:
    one = tmp_path / "one"
    one.write_text("passphrase of everything")
    for settings in (Settings(passphrase_file=one), Settings(passphrase_fd=0)):
        with pytest.raises(ConfigError, match="FG-KEY-08"):
            init(
                tmp_path / "home", "split", settings, "operator",
                log_key_folder=tmp_path / "elsewhere", clock=Clock(), randomness=seeded(1),
            )  # fmt: skip


def test_doctor_fails_on_a_home_whose_audit_log_is_gone(home: Home) -> None:
    found = {one["name"]: one["status"] for one in check_all(home.path)}
    assert found["audit trail"] == "ok"
    (home.path / "audit" / DATABASE).unlink()
    found = {one["name"]: one["status"] for one in check_all(home.path)}
    assert found["audit trail"] == "fail"


def test_a_run_for_a_day_that_has_not_come_is_refused(home: Home) -> None:
    with pytest.raises(RunError, match="FG-RUN-08"):
        score(home, home.clock().date() + timedelta(days=1), OPERATOR)


def test_a_port_in_use_is_told_with_the_way_out(home: Home) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = CliRunner().invoke(
            app, ["serve", "--home", str(home.path), "--port", str(taken.getsockname()[1])]
        )
    assert result.exit_code == 15
    assert "FG-WEB-01" in result.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "99999"), ("PORT", "high street"), ("PASSPHRASE_FD", "first")],
)
def test_a_variable_that_cannot_be_used_is_told_by_name_and_not_by_value(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"FIELDGATE_{name}", value)
    read_settings.cache_clear()
    result = CliRunner().invoke(app, ["init", "--home", str(tmp_path / "home")])
    read_settings.cache_clear()
    assert result.exit_code == 15
    assert f"FG-CLI-03: cannot be used: FIELDGATE_{name}" in result.stderr
    assert value not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["link"], "FG-HOME-06"),
        (["link", "--home", "nowhere-at-all"], "FG-HOME-01"),
        (["init", "--home", "{home}"], "FG-HOME-02"),
        (["init", "--home", "{new}", "--profile", "huge"], "FG-HOME-03"),
        (["link", "--home", "{home}"], "FG-LNK-03"),
        (["score", "--as-of", "2026-11-25", "--home", "{home}"], "FG-RUN-04"),
        (["score", "--as-of", "yesterday", "--home", "{home}"], "FG-CLI-02"),
        (["demo", "--size", "planet", "--home", "{new}"], "FG-DEM-01"),
    ],
)
def test_wrong_configuration_exits_15_with_its_code(
    home: Home, tmp_path: Path, arguments: list[str], code: str
) -> None:
    places = {"home": str(home.path), "new": str(tmp_path / "new")}
    found, document, _ = _cli(*[text.format(**places) for text in arguments])
    assert (found, document["error"]["code"]) == (15, code)  # type: ignore[index]


def test_demo_never_replaces_a_folder_that_is_no_demo_home(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("keep me")
    found, document, _ = _cli("demo", "--size", "tiny", "--home", str(tmp_path / "precious"))
    assert (found, document["error"]["code"]) == (15, "FG-DEM-02")  # type: ignore[index]
    assert (tmp_path / "precious" / "file").read_text() == "keep me"


def test_usage_errors_exit_2() -> None:
    assert CliRunner().invoke(app, ["submit"]).exit_code == 2


@pytest.mark.finding("AUD-5")
@pytest.mark.finding("B35")
def test_when_the_audit_cannot_write_nothing_happens(home: Home, tmp_path: Path) -> None:
    file = persons_file(tmp_path / "p.csv", person_row())
    log = home.path / "audit" / "log.db"
    home.audit.close()
    home.__dict__.pop("audit")
    log.rename(log.with_suffix(".gone"))

    with pytest.raises(Exception, match="FG-AUD-02"):
        submit(home, file, agency="council", source="council.persons", actor=OPERATOR)

    log.with_suffix(".gone").rename(log)
    _nothing_was_kept(home)


def test_a_log_in_a_file_needs_no_sequencer_and_says_so(home: Home) -> None:
    home.close()
    found, document, _ = _cli("audit", "sequence", "--once", "--home", str(home.path))
    assert (found, document["error"]["code"]) == (15, "FG-AUD-73")  # type: ignore[index]


def test_a_loss_on_postgresql_is_declared_with_the_address_of_who_may_sign(tmp_path: Path) -> None:
    settings = Settings(audit_url=SecretStr("postgresql://localhost/never-reached"))
    signer = Signer.from_bytes("log.example/loss", bytes(range(32)))
    with pytest.raises(ConfigError, match="FG-AUD-74") as caught:
        open_log(tmp_path, signer, settings, recovering=True)
    assert "FIELDGATE_AUDIT_OWNER_URL" in caught.value.next_step


def test_an_edited_pack_is_a_draft_until_it_is_activated(home: Home, tmp_path: Path) -> None:
    caps = home.path / "pack" / "policies" / "caps" / "markers.yaml"
    caps.write_text(caps.read_text().replace("level: exists", "level: refuse"))
    active = home.pack.version
    fresh = Home(home.path, Settings(), clock=home.clock)
    receipt = submit(
        fresh, persons_file(tmp_path / "p.csv", person_row()), agency="council",
        source="council.persons", actor=OPERATOR,
    )  # fmt: skip
    assert receipt["policy_version"] == active
    assert policies.load.load_pack(*fresh.draft).version != active
    fresh.close()


def test_a_kept_policy_that_was_changed_behind_its_back_is_not_used(
    home: Home, tmp_path: Path
) -> None:
    kept = home.version_folders(home.pack.version)[1] / "caps" / "markers.yaml"
    kept.write_text(kept.read_text().replace("level: exists", "level: token"))
    fresh = Home(home.path, Settings(), clock=home.clock)
    with pytest.raises(ConfigError, match="FG-POL-05"):
        submit(
            fresh, persons_file(tmp_path / "p.csv", person_row()), agency="council",
            source="council.persons", actor=OPERATOR,
        )  # fmt: skip
    fresh.close()


def test_an_init_that_was_killed_can_be_run_again_and_touches_no_other_folder(
    tmp_path: Path,
) -> None:
    unfinished = tmp_path / "home.building"
    (unfinished / "keys").mkdir(parents=True)
    (unfinished / "unfinished").touch()
    made = init(
        tmp_path / "home", "demo", Settings(), "operator",
        log_key_folder=None, clock=Clock(), randomness=seeded(1),
    )  # fmt: skip
    made.close()
    assert not unfinished.exists()
    assert not (tmp_path / "home" / "unfinished").exists()

    precious = tmp_path / "other.building"
    precious.mkdir()
    (precious / "file").write_text("keep me")
    with pytest.raises(ConfigError, match="FG-HOME-02"):
        init(
            tmp_path / "other", "demo", Settings(), "operator",
            log_key_folder=None, clock=Clock(), randomness=seeded(1),
        )  # fmt: skip
    assert (precious / "file").read_text() == "keep me"
