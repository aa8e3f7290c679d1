"""Hate crime is a profile in counts: by quarter, area and kind, of few nothing, and of nobody anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session
from typer.testing import CliRunner

from engine.cli.main import app
from engine.domain.errors import PolicyRefused, RunError
from engine.flows.admitted import admitted_kinds
from engine.flows.home import Home
from engine.flows.link import link
from engine.flows.profile import complete_quarters, profile, profiles
from engine.flows.submit import submit
from engine.store.tables import AgreementStop
from engine.web.app import create_app
from scoring.profile import LEAST
from tests.builders.partnership import OPERATOR, make_home, write_csv

DEMO: dict[str, Any] = {"auth": "demo"}
LEAD, WORKER = "demo.ig_lead", "demo.social_worker"
HEAD = ("NominalRef", "Forename", "Surname", "DOB", "IncidentRef", "IncidentType", "Sector",
        "OccurredOn", "RecordedOn")  # fmt: skip
VIOLENCE, HARASSMENT = "Violence out of hate", "Harassment out of hate"


def _rows() -> list[tuple[str, ...]]:
    """Seven incidents of violence in the north, four of harassment, five of damage done to one person."""
    found = []
    for kind, count, people in (("VIOLENCE", 7, 7), ("HARASSMENT", 4, 4), ("DAMAGE", 5, 1)):
        for number in range(count):
            who = f"{kind[0]}{number % people}"
            found.append(
                (who, "Testina", "Fakename", "04/03/1990", f"I{kind[0]}{number}", kind, "N",
                 "10/08/2026", "11/08/2026")
            )  # fmt: skip
    # Two harmed in one incident are one incident; one of this quarter is not told yet.
    found.append(("V0", "Testina", "Fakename", "04/03/1990", "IV1", "VIOLENCE", "N",
                  "10/08/2026", "11/08/2026"))  # fmt: skip
    found += [(f"N{number}", "Testina", "Fakename", "04/03/1990", f"IN{number}", "VIOLENCE", "S",
               "10/11/2026", "11/11/2026") for number in range(9)]  # fmt: skip
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("profile")
    made = make_home(folder / "home")
    file = write_csv(folder / "hate.csv", HEAD, _rows())
    submit(made, file, agency="police", source="police.hate", actor=OPERATOR)
    link(made, OPERATOR)
    yield made
    made.close()


def _cell(found: dict[str, Any], quarter: str, area: str) -> dict[str, Any]:
    (row,) = [one for one in found["rows"] if (one["quarter"], one["area"]) == (quarter, area)]
    counts: dict[str, Any] = row["counts"]
    return counts


def test_incidents_are_counted_by_quarter_area_and_kind_and_a_cell_of_few_is_not_told(
    home: Home,
) -> None:
    found = profile(home, LEAD, "hate", **DEMO)
    summer = _cell(found, "2026, quarter 3", "north")
    assert summer[VIOLENCE] == 7
    assert summer[HARASSMENT] is None
    assert summer["Damage out of hate"] is None  # Five incidents, and one person who could be told.
    assert _cell(found, "2026, quarter 3", "south")[VIOLENCE] == 0
    assert "2026, quarter 4" not in {one["quarter"] for one in found["rows"]}
    assert found["at_least"] == {VIOLENCE: 7, HARASSMENT: 0, "Damage out of hate": 0}
    assert len(found["rows"]) == 8 * 4


@pytest.mark.finding("T-HA1")
def test_no_reference_of_anybody_leaves_a_profile_and_no_list_is_made(home: Home) -> None:
    text = json.dumps(profile(home, LEAD, "hate", **DEMO))
    assert "record." not in text
    assert "Testina" not in text
    assert home.pack.products["hate"].lists == ()
    assert "hate" in home.pack.vocabulary.profile_only
    assert "hate" not in home.tables.themes
    numbers = home.source_numbers()
    for purpose in ("safeguard_child", "serious_violence_prevention", "model_development"):
        admitted = admitted_kinds(home, {"police.hate"}, purpose)
        assert admitted[str(numbers["police.hate"])] == []


def test_who_reads_no_profiles_is_refused_and_what_is_no_profile_is_not_counted(home: Home) -> None:
    with pytest.raises(PolicyRefused, match="FG-SCO-23"):
        profile(home, WORKER, "hate", **DEMO)
    for other in ("cse", "nothing"):
        with pytest.raises(RunError, match="FG-SCO-22"):
            profile(home, LEAD, other, **DEMO)


def test_when_the_agreement_stops_nothing_is_counted_and_it_is_said(home: Home) -> None:
    with Session(home.casework) as session:
        session.add(AgreementStop(agreement="dsa_0002", stopped_by=LEAD, stopped_at=home.clock()))
        session.commit()
    home.refresh_policy()
    (found,) = profiles(home, LEAD, **DEMO)
    assert found["rows"] == []
    assert "may be used" in found["not_counted"]
    with Session(home.casework) as session:
        session.delete(session.get(AgreementStop, "dsa_0002"))
        session.commit()
    home.refresh_policy()
    assert profile(home, LEAD, "hate", **DEMO)["rows"]


def test_it_is_read_on_its_page_and_by_its_command(home: Home) -> None:
    with TestClient(create_app(home), base_url="http://127.0.0.1") as client:
        client.post("/sign-in", data={"user": LEAD})
        page = client.get("/profiles").text
        assert "Hate crime" in page
        assert "few" in page
        client.post("/sign-in", data={"user": WORKER})
        assert client.get("/profiles").status_code == 403
    where = ["--home", str(home.path), "--as", LEAD]
    told = CliRunner().invoke(app, ["products", "profile", "hate", *where])
    assert told.exit_code == 0
    assert f"fewer than {LEAST}" in told.output
    as_json = CliRunner().invoke(app, ["products", "profile", "hate", *where, "--json"])
    assert json.loads(as_json.stdout)["at_least"][VIOLENCE] == 7


def test_the_quarters_told_have_ended() -> None:
    assert complete_quarters(date(2026, 11, 25))[0] == "2026, quarter 3"
    assert complete_quarters(date(2026, 1, 1))[0] == "2025, quarter 4"
    assert len(set(complete_quarters(date(2026, 4, 1)))) == 8
