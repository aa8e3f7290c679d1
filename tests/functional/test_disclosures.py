"""Of one person: everything that was disclosed, to whom and why, and what was refused in counts."""

from __future__ import annotations

import base64
import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from audit.act import Act, acts
from audit.canonical import parse
from audit.log import read_events
from engine.cli.main import app
from engine.domain.errors import ConfigError, PolicyRefused
from engine.flows.audit_names import names_of
from engine.flows.decision import WITHHOLD, Ask
from engine.flows.disclosures import SHOWING, as_table, disclosed, disclosures, not_shown
from engine.flows.lists import review_lists
from engine.flows.person import look
from engine.flows.reveal import MOST_FIELDS, _short, reveal
from engine.web.app import create_app
from tests.builders.partnership import REASON, Partnership

DEMO: dict[str, Any] = {"auth": "demo"}
LEAD, WORKER = "demo.ig_lead", "demo.social_worker"
NOW = datetime(2026, 11, 25, tzinfo=UTC)


def _act(seq: int, outcome: str = "permit", kind: str = "consultation", **details: Any) -> Act:
    return Act(seq, seq + 1, f"i{seq}", NOW, NOW, kind, details.pop("flow", "reveal"), "ann",
               "council", "social_worker", "demo", outcome, details)  # fmt: skip


def test_what_was_shown_and_what_may_have_been_are_told_apart() -> None:
    some = [
        _act(4, "unknown"),
        _act(2, "permit", fields=["police.flags.flag"], agreement="dsa_1", gateway="law.s1"),
        _act(6, "completed", run="r1"),
        _act(8, "refuse"),
        _act(10, "withhold"),
        _act(12, "discarded"),
        _act(14, "permit", "alteration"),
    ]
    rows = disclosed(some, {"r1": "2026-11-01"})
    assert [(one["entry"], one["certain"]) for one in rows] == [(2, True), (4, False), (6, False)]
    assert rows[0]["fields"] == ["police.flags.flag"]
    assert (rows[0]["gateway"], rows[0]["agreement"]) == ("law.s1", "dsa_1")
    assert rows[2]["run_as_of"] == "2026-11-01"
    assert {one["outcome"]: one["count"] for one in not_shown(some)} == {
        "refuse": 1, "withhold": 1, "discarded": 1,
    }  # fmt: skip


def test_what_goes_to_an_agency_is_told_under_that_agency() -> None:
    assert disclosed([_act(1, recipient="police", kind="disclosure")], {})[0]["agency"] == "police"


def test_a_source_of_which_no_field_is_named_is_told_itself() -> None:
    row = disclosed([_act(1, source="engine.scores", fields=["police.flags.flag"])], {})[0]
    assert row["fields"] == ["engine.scores", "police.flags.flag"]


def test_no_source_vanishes_from_an_event_of_very_many_fields() -> None:
    fields = [f"police.s{number % 7}.f{number}" for number in range(300)]
    short = _short(sorted(fields))
    assert len(short) <= MOST_FIELDS
    act = _act(1, fields=short)
    assert act.sources == [f"police.s{number}" for number in range(7)]
    assert _short(["b.c.d", "a.b.c"]) == ["a.b.c", "b.c.d"]
    assert len(json.dumps(_short([f"agency.source_{n}.field" for n in range(90)]))) < 4096


def _person(partnership: Partnership) -> str:
    lists = review_lists(partnership.home, WORKER, auth="demo")["lists"]
    entries = [one for one in lists[0]["entries"] if not one["blind"]]
    return str(entries[1]["person"])


def _seen(partnership: Partnership) -> str:
    """A person who was listed, looked at, revealed, withheld and refused."""
    home, person = partnership.home, _person(partnership)
    look(home, WORKER, person, **DEMO)
    ask = Ask(WORKER, "safeguard_child", "CASE-9", REASON, person)
    reveal(home, ask, **DEMO)
    reveal(home, Ask(WORKER, "safeguard_child", "CASE-9", REASON, person, WITHHOLD), **DEMO)
    with pytest.raises(PolicyRefused):
        reveal(home, Ask("demo.benefits", "financial_support", "CASE-9", REASON, person), **DEMO)
    return person


def test_everything_that_was_shown_of_a_person_is_there_with_its_basis(
    partnership: Partnership,
) -> None:
    home, person = partnership.home, _seen(partnership)
    found = disclosures(home, LEAD, "lawfulness", person, **DEMO)
    what = [one["what"] for one in found["disclosed"]]
    assert {"review_list", "look", "reveal"} <= set(what)
    shown = next(one for one in found["disclosed"] if one["what"] == "reveal")
    assert (shown["user"], shown["agency"], shown["role"]) == (WORKER, "council", "social_worker")
    assert shown["purpose"] == "safeguard_child"
    assert shown["agreement"].startswith("dsa_")
    assert shown["gateway"]
    assert shown["fields"]
    looked = next(one for one in found["disclosed"] if one["what"] == "look")
    assert "2026-11-25" in looked["run_as_of"]
    assert {(one["outcome"], one["agency"]) for one in found["not_shown"]} >= {
        ("refuse", "benefits"), ("withhold", "council"),
    }  # fmt: skip
    # Nothing of anybody else: each act of it, but for lists, names this person.
    names = {one.name for one in names_of(home, person)}
    trail = list(acts(reversed(read_events(home.path / "audit"))))
    about = {one.seq for one in trail if names & set(one.subjects)}
    for row in found["disclosed"]:
        assert row["what"] == "review_list" or row["entry"] in about
    mine = [one for one in trail if one.seq in about and one.kind in SHOWING]
    told = sum(one["count"] for one in found["not_shown"]) + len(
        [one for one in found["disclosed"] if one["what"] != "review_list"]
    )
    assert told == len(mine)


def test_reading_it_is_in_the_trail_with_the_person_and_only_oversight_reads(
    partnership: Partnership,
) -> None:
    home, person = partnership.home, _seen(partnership)
    found = disclosures(home, LEAD, "lawfulness", person, **DEMO)
    (seq, body), *_ = read_events(home.path / "audit", newest=1)
    outcome = parse(body)
    assert (seq, outcome["kind"], outcome["flow"]) == (
        found["audit_entry"], "audit_read", "disclosures",
    )  # fmt: skip
    assert outcome["subject"] in {one.name for one in names_of(home, person)}
    assert person not in json.dumps(outcome)
    for user, use in ((WORKER, "lawfulness"), (LEAD, "curiosity")):
        with pytest.raises(PolicyRefused, match="FG-AUD-10"):
            disclosures(home, user, use, person, **DEMO)
    with pytest.raises(PolicyRefused, match="FG-REV-02"):
        disclosures(home, LEAD, "lawfulness", "Quokkalina", **DEMO)
    with pytest.raises(ConfigError, match="FG-AUD-41"):
        disclosures(home, LEAD, "lawfulness", person, "soon", **DEMO)
    later = disclosures(home, LEAD, "lawfulness", person, "2026-11-26", **DEMO)
    assert (later["disclosed"], later["not_shown"]) == ([], [])


def test_as_csv_each_disclosure_is_a_line(partnership: Partnership) -> None:
    home, person = partnership.home, _seen(partnership)
    found = disclosures(home, LEAD, "lawfulness", person, **DEMO)
    header, *rows = as_table(found)
    assert header[0] == "entry"
    assert len(rows) == len(found["disclosed"])
    done = CliRunner().invoke(
        app, ["audit", "disclosures", "--person", person, "--use", "lawfulness", "--csv", "--as", LEAD,
              "--home", str(home.path)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    lines = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [one["entry"] for one in lines][: len(rows)] == [row[0] for row in rows]
    sure = {one["what"]: one["certain"] for one in lines}
    # The event of a list does not say which lists were opened.
    assert {what: word == "yes" for what, word in sure.items()} == {
        what: what != "review_list" for what in sure
    }
    words = CliRunner().invoke(
        app, ["audit", "disclosures", "--person", person, "--use", "lawfulness", "--as", LEAD,
              "--home", str(home.path)],
    )  # fmt: skip
    assert "Not shown:" in words.stdout


def test_the_page_shows_it_and_names_nobody_in_its_file(partnership: Partnership) -> None:
    person = _seen(partnership)
    with TestClient(
        create_app(partnership.home), base_url="http://127.0.0.1", raise_server_exceptions=False
    ) as client:
        client.post("/sign-in", data={"user": LEAD})
        assert "Reference of the person" in client.get("/trail/disclosures").text
        query = {"use": "lawfulness", "person": person}
        page = client.get("/trail/disclosures", params=query)
        assert page.status_code == 200
        assert "Asked for and not shown" in page.text
        file = client.get("/trail/disclosures.csv", params=query)
        assert file.headers["content-disposition"] == 'attachment; filename="disclosures.csv"'
        assert file.text.startswith("entry,when,user")
        proof = base64.b64decode(file.headers["fieldgate-receipt"]).decode()
        assert proof.startswith("c2sp.org/tlog-proof@v1\n")
        told = client.get("/api/trail/disclosures", params=query).json()
        assert told["disclosed"]
        wrong = client.get("/trail/disclosures", params={**query, "person": "Quokkalina"})
        assert (wrong.status_code, 'id="person-error"' in wrong.text) == (422, True)
        for more in ({}, {"last": "Quokkalina"}, {"use": "none"}):
            wrong = client.get(
                "/trail/disclosures", params={**query, "person": "Quokkalina", **more}
            )
            assert (wrong.status_code, "Quokkalina" in wrong.text) == (422, False)
        wrong = client.get("/trail/disclosures", params={**query, "use": "none"})
        assert (wrong.status_code, 'id="use-error"' in wrong.text) == (422, True)
