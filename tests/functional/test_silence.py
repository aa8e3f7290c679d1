"""What a silent cap hides reads exactly like what is not there (POL-P23)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from engine.flows.home import Home
from engine.flows.link import link
from engine.flows.setup import set_flag
from engine.flows.submit import submit
from engine.store.tables import SubjectState
from engine.web.app import create_app
from tests.builders.partnership import (
    OPERATOR,
    REASON,
    Partnership,
    make_home,
    person_row,
    persons_file,
)

pytestmark = pytest.mark.finding("POL-P23")
ASKER = "demo.school_lead"
SILENT_STATES = ("restricted", "embargoed", "expired", "ungraded", "police_sensitive")
OWN = ("reveal", "person", "opened_at", "expires_at", "receipt")


class Desk:
    """A signed-in practitioner who asks the API about one person after another."""

    def __init__(self, home: Home, user: str) -> None:
        self._client = TestClient(create_app(home), base_url="http://127.0.0.1")
        self._client.post("/sign-in", data={"user": user})
        page = self._client.get("/reveal").text
        self._token = page.split('name="csrf" value="')[1].split('"')[0]

    def ask(self, person: str) -> tuple[int, bytes]:
        """Return status and body; what names this one answer is taken out of a permitted one."""
        answer = self._client.post(
            "/api/reveals",
            json={"person": person, "case": "CASE-1", "reason": REASON},
            headers={"X-CSRF-Token": self._token},
        )
        if answer.status_code != 200:
            return answer.status_code, answer.content
        body: dict[str, Any] = answer.json()
        for key in OWN:
            body.pop(key)
        return answer.status_code, json.dumps(body).encode()


def _people(home: Home) -> list[str]:
    with Session(home.casework) as session:
        return [one.person for one in session.exec(select(SubjectState)).all()]


@pytest.mark.deep
def test_a_silenced_record_is_refused_in_the_bytes_of_one_that_is_not_there(
    partnership: Partnership,
) -> None:
    home = partnership.home
    desk = Desk(home, ASKER)
    answers = {person: desk.ask(person) for person in _people(home)[:120]}
    absent = [body for status, body in answers.values() if status == 403]
    shown = [person for person, (status, _) in answers.items() if status == 200]
    # Somebody of whom this role may see nothing at all, and people it sees.
    assert len(set(absent)) == 1
    assert shown
    person = shown[0]
    for flag in SILENT_STATES:
        set_flag(home, person, flag, "y", "operator")
        assert desk.ask(person) == (403, absent[0]), flag
        set_flag(home, person, flag, "n", "operator")
    assert desk.ask(person)[0] == 200


@pytest.mark.parametrize("user", ["demo.front_door", "demo.early_help"])
@pytest.mark.deep
def test_a_hidden_address_reads_like_no_address(tmp_path: Path, user: str) -> None:
    answers = []
    for name, changes in (
        ("hidden", {"ProtectedAddress": "Y"}),
        ("absent", {"Address": "", "Postcode": "", "ProtectedAddress": "N"}),
    ):
        folder = tmp_path / name
        folder.mkdir()
        home = make_home(folder / "home")
        row = person_row(**changes, HouseholdRef="", HouseholdFrom="")
        file = persons_file(folder / "p.csv", row)
        submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
        link(home, OPERATOR)
        (person,) = _people(home)
        answers.append(Desk(home, user).ask(person))
        home.close()
    assert answers[0][0] == 200
    assert answers[0] == answers[1]
