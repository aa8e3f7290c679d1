"""Casework, vault and linkage on a real PostgreSQL server: the same line, the same answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import NullPool, create_engine, text
from sqlmodel import Session, select

from audit.database import DATABASE
from audit.errors import AuditFault
from engine.city.agencies import FILES, write_city
from engine.domain.errors import FieldgateError
from engine.flows.decision import Ask
from engine.flows.deliveries import deliveries
from engine.flows.home import Home
from engine.flows.link import link
from engine.flows.reveal import reveal
from engine.flows.score import score
from engine.flows.setup import init
from engine.flows.submit import submit
from engine.flows.trail import read_trail
from engine.settings import Settings
from engine.store.tables import Delivery, ReviewItem
from tests.builders.partnership import OPERATOR, REASON, TODAY, Clock, seeded

pytestmark = pytest.mark.deep


def _url(server: str, name: str) -> SecretStr:
    """Make a database of its own for a lane and return its URL."""
    base = server.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(base, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'drop database if exists "{name}"'))
        connection.execute(text(f'create database "{name}"'))
    engine.dispose()
    head, _, query = base.partition("?")
    return SecretStr(head.rsplit("/", 1)[0] + f"/{name}" + (f"?{query}" if query else ""))


def test_a_sequencer_process_serves_a_home_whose_application_may_only_insert(
    server: str, tmp_path: Path
) -> None:
    owner = _url(server, "audit_apart").get_secret_value()
    with create_engine(owner, poolclass=NullPool).connect() as connection:
        for role in ("fg_app", "fg_seq"):
            if not connection.execute(
                text("select 1 from pg_roles where rolname = :role"), {"role": role}
            ).all():
                connection.execute(text(f"create role {role} login"))
        connection.commit()
    apart = {
        "audit_owner_url": owner,
        "audit_url": owner.replace("postgres:@", "fg_app:@"),
        "audit_sequencer_url": owner.replace("postgres:@", "fg_seq:@"),
    }
    made = init(
        tmp_path / "home", "demo",
        Settings(**{name: SecretStr(url) for name, url in apart.items()}), "operator",
        log_key_folder=None, clock=Clock(), randomness=seeded(1),
    )  # fmt: skip
    made.close()
    home = Home(tmp_path / "home", Settings(audit_url=SecretStr(apart["audit_url"])), clock=Clock())
    environment = {**os.environ, "FIELDGATE_AUDIT_URL": apart["audit_url"],
                   "FIELDGATE_AUDIT_SEQUENCER_URL": apart["audit_sequencer_url"]}  # fmt: skip
    command = [
        sys.executable,
        "-c",
        "from engine.cli.main import run; run()",
        "audit",
        "sequence",
        "--home",
        str(home.path),
    ]
    running = subprocess.Popen([*command, "--json"], env=environment, stdout=subprocess.PIPE)
    try:
        with create_engine(owner, poolclass=NullPool).connect() as connection:
            until = time.monotonic() + 60
            asked = text("select 1 from pg_stat_activity where usename = 'fg_seq'")
            while not connection.execute(asked).all():
                assert time.monotonic() < until
                connection.rollback()  # What is asked within one transaction does not change.
                time.sleep(0.1)
        before = home.verify_log().size
        assert deliveries(home, OPERATOR) == []
        assert deliveries(home, OPERATOR) == []
    finally:
        running.terminate()
        out, _ = running.communicate(timeout=60)
    assert (running.returncode, json.loads(out)["sequenced"]) == (0, 4)
    report = home.verify_log()
    assert (report.status, report.size) == ("verified", before + 4)
    with pytest.raises(AuditFault, match="FG-AUD-71"):
        deliveries(home, OPERATOR)
    home.close()


def test_the_line_runs_on_postgresql_and_gives_what_sqlite_gives(
    server: str, tmp_path: Path
) -> None:
    settings = Settings(
        casework_url=_url(server, "casework"),
        vault_url=_url(server, "vault"),
        linkage_url=_url(server, "linkage"),
        audit_url=_url(server, "audit"),
    )
    settings = settings.model_copy(update={"audit_sequencer_url": settings.audit_url})
    city = write_city(tmp_path / "city", "tiny", 7, TODAY)
    answers = []
    for name, used in (("pg", settings), ("lite", Settings())):
        home = init(
            tmp_path / name, "demo", used, "operator",
            log_key_folder=None, clock=Clock(), randomness=seeded(1),
        )  # fmt: skip
        for source, (agency, _) in FILES.items():
            submit(home, city.file(source), agency=agency, source=source, actor=OPERATOR)
        again = submit(
            home, city.file("health.flags"), agency="health", source="health.flags", actor=OPERATOR
        )
        assert again["duplicate"] is True
        linked = link(home, OPERATOR)
        second = link(home, OPERATOR)
        assert second["ids_created"] == 0
        manifest = score(home, TODAY, OPERATOR)
        with Session(home.casework) as session:
            items = session.exec(select(ReviewItem).order_by(ReviewItem.id)).all()  # type: ignore[arg-type]
            listed = [(item.list, item.rank, item.score) for item in items]
            person = items[0].person
            assert len(session.exec(select(Delivery)).all()) == 8
        shown = reveal(
            home,
            Ask("demo.social_worker", "safeguard_child", "CASE-1", REASON, person),
            auth="demo",
        )
        with pytest.raises(FieldgateError, match="FG-REV-03"):
            reveal(
                home, Ask("demo.ig_lead", "safeguard_child", "CASE-1", REASON, person), auth="demo"
            )
        assert home.verify_log().status == "verified"
        assert (home.path / "audit" / DATABASE).exists() == (name == "lite")
        trail = read_trail(home, "demo.ig_lead", "integrity", 4, auth="demo")
        assert [one["flow"] for one in trail[1:]] == ["reveal"] * 3
        assert shown["receipt"]["proof"].startswith("c2sp.org/tlog-proof@v1\n")
        answers.append(
            (linked["persons"], manifest["events"], listed, shown["identity"], shown["facts"])
        )
        home.close()
    assert answers[0] == answers[1]
