"""What leaves in bulk carries a receipt: lists, groups, profiles, notices, an agency's part, reports."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from fastapi.testclient import TestClient
from typer.testing import CliRunner

from audit.canonical import parse
from audit.errors import AuditFault
from audit.log import read_events
from audit.source import Log
from audit.stranger import arguments, check
from engine.cli.main import app
from engine.cli.output import receipt_words
from engine.flows.access import owed_notices, tell_notices
from engine.flows.group import group_list
from engine.flows.home import Home
from engine.flows.lists import review_list, review_lists
from engine.flows.own_trail import own_trail
from engine.flows.profile import profile
from engine.flows.reports import reports
from engine.flows.reveal import Ask, reveal
from engine.flows.who_saw import who_saw
from engine.web.app import create_app
from engine.web.headers import download_headers
from tests.builders.partnership import OPERATOR, Partnership

DEMO: dict[str, Any] = {"auth": "demo"}
LEAD, WORKER = "demo.ig_lead", "demo.social_worker"
REASON = "The child is in danger now and must be found."
LEAVES: dict[str, Callable[[Home], dict[str, Any]]] = {
    "review_list": lambda home: review_list(home, WORKER, "cse.harmed", **DEMO),
    "group_list": lambda home: group_list(home, WORKER, **DEMO),
    "profile": lambda home: profile(home, LEAD, "hate", **DEMO),
    "tell_notices": lambda home: tell_notices(home, "police", OPERATOR),
    "notices": lambda home: owed_notices(home, "police", OPERATOR),
    "own_trail": lambda home: own_trail(home, "demo.police_data", "lawfulness", **DEMO),
    "reports": lambda home: reports(home, LEAD, "lawfulness", "training", **DEMO),
    "product_saw": lambda home: who_saw(home, LEAD, "cse", **DEMO),
}
"""Flow to how something of it leaves in bulk."""


def _holds(home: Home, proof: str, folder: Path) -> bool:
    """Say whether somebody who has the log's key alone can check a proof."""
    path = folder / "proof"
    path.write_text(proof, encoding="utf-8")
    words = [str(home.path / "audit"), "--vkey", home.log_vkey(), "--receipt", str(path)]
    return str(check(arguments(words)).as_dict()["status"]) == "verified"


def test_everything_that_leaves_in_bulk_gives_a_receipt_of_its_own_outcome(
    partnership: Partnership, tmp_path: Path
) -> None:
    home = partnership.home
    for flow, leave in LEAVES.items():
        receipt = leave(home)["receipt"]
        (body,) = [body for at, body in read_events(home.path / "audit", newest=4)
                   if at == receipt["entry"]]  # fmt: skip
        event = parse(body)
        assert (event["flow"], event["phase"], event["decision"]) == (flow, "outcome", "permit")
        assert receipt["proof"].startswith("c2sp.org/tlog-proof@v1"), flow
        assert _holds(home, receipt["proof"], tmp_path), flow
    wrong = review_lists(home, WORKER, **DEMO)["receipt"]["proof"].replace("index ", "index 1", 1)
    assert not _holds(home, wrong, tmp_path)


class _Unproved:
    """A log that writes and proves nothing."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def proof(self, seq: int) -> str:
        raise AuditFault("FG-AUD-07", "no checkpoint covers the event", "Verify the log.")


def test_what_was_marked_as_given_is_given_also_without_a_proof_and_it_is_said(
    partnership: Partnership,
) -> None:
    home = partnership.home
    entries = review_list(home, WORKER, "cse.harmed", **DEMO)["lists"][0]["entries"]
    person = next(one["person"] for one in entries if not one["blind"])
    reveal(home, Ask("demo.front_door", "immediate_danger", "", REASON, person), **DEMO)
    agency = next(one for one in sorted(home.pack.register.parties)
                  if owed_notices(home, one, OPERATOR)["notices"])  # fmt: skip
    owed = owed_notices(home, agency, OPERATOR)["notices"]
    log = home.audit
    home.use_log(cast("Log", _Unproved(log)))
    try:
        told = tell_notices(home, agency, OPERATOR)
        for flow, leave in LEAVES.items():
            receipt = leave(home)["receipt"]
            assert (receipt["proof"], "FG-AUD-07" in receipt["why"]) == ("", True), flow
            assert "Fieldgate-Receipt" not in download_headers("a.csv", receipt)
            assert "FG-AUD-07" in download_headers("a.csv", receipt)["Fieldgate-No-Receipt"]
            assert "FG-AUD-07" in receipt_words({"receipt": receipt})
    finally:
        home.use_log(log)
    assert told["notices"] == owed
    assert owed_notices(home, agency, OPERATOR)["notices"] == []


def test_pages_calls_and_commands_hand_the_receipt_on(
    partnership: Partnership, tmp_path: Path
) -> None:
    home = partnership.home
    with TestClient(create_app(home), base_url="http://127.0.0.1") as client:
        for user, address in ((WORKER, "/lists"), (LEAD, "/profiles")):
            client.post("/sign-in", data={"user": user})
            page = client.get(address).text
            proof = re.findall(r"<pre[^>]*>(.*?)</pre>", page, re.S)[0]
            assert _holds(home, html.unescape(proof), tmp_path)
        client.post("/sign-in", data={"user": WORKER})
        for address in ("/api/lists", "/api/lists/cse.harmed", "/api/groups"):
            assert _holds(home, client.get(address).json()["receipt"]["proof"], tmp_path)
        client.post("/sign-in", data={"user": "demo.police_data"})
        told = client.get("/api/own-trail?use=lawfulness").json()
        assert _holds(home, told["receipt"]["proof"], tmp_path)
    at = ["--home", str(home.path)]
    for words in (
        ["review", "list", "--as", WORKER],
        ["review", "groups", "--as", WORKER],
        ["products", "profile", "hate", "--as", LEAD],
        ["access", "notices", "police", "--told"],
    ):
        said = CliRunner().invoke(app, [*words, *at])
        assert "Receipt: audit entry" in said.output, said.output
        given = json.loads(CliRunner().invoke(app, [*words, "--json", *at]).stdout)
        assert _holds(home, given["receipt"]["proof"], tmp_path), words
