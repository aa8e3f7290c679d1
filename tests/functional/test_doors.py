"""The doors by which a delivery comes in: the page, the call of a system, the command."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select
from typer.testing import CliRunner

from audit.stranger import arguments, check
from engine.cli.main import app as cli
from engine.domain.export import csv_text, safe_cell
from engine.flows.clients import add_client, clients, close_client
from engine.flows.disclose import PARTS as SHOWN_PARTS
from engine.flows.home import Home
from engine.flows.setup import add_account
from engine.intake.spool import Spool
from engine.store.tables import Delivery
from engine.web.app import create_app
from gateways.load import Reader
from policies.schemas import PARTS, SOURCE
from tests.builders.deliveries import COLUMNS, send, visit, visits_home
from tests.builders.partnership import OPERATOR, Clock, person_row, persons_file, write_csv

CANARY = "Quokkafield"


@pytest.fixture
def page(home: Home) -> Iterator[TestClient]:
    with TestClient(create_app(home), base_url="http://127.0.0.1") as made:
        yield made


def _sign_in(page: TestClient, user: str) -> str:
    page.cookies.clear()
    answer = page.post("/sign-in", data={"user": user}, follow_redirects=True)
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', answer.text)
    assert found
    return found.group(1)


def _file(tmp_path: Path, *rows: list[str]) -> bytes:
    return persons_file(tmp_path / "p.csv", *rows).read_bytes()


def _upload(page: TestClient, data: bytes, form: dict[str, str], name: str = "p.csv") -> Any:
    return page.post("/deliveries/new", data=form, files={"file": (name, data)})


def test_a_window_is_stated_by_the_page_and_by_a_call(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home", mode="window")
    made = add_client(home, "council", "Case system", date(2026, 12, 1), OPERATOR)
    add_account(home, "two", "two", "council", "data_submitter", "safeguard_child", by="x",
                training=None)  # fmt: skip
    rows = [visit("P1", "V1"), visit("P2", "V2")]
    data = write_csv(tmp_path / "v.csv", COLUMNS, rows).read_bytes()
    window = {"window_from": "2026-10-01", "window_to": "2026-10-31"}
    with TestClient(create_app(home), base_url="http://127.0.0.1") as page:
        csrf = _sign_in(page, "two")
        form = {"csrf": csrf, "source": "council.visits"}
        outside = {"window_from": "2026-11-01", "window_to": "2026-11-30"}
        assert "FG-SUB-29" in _upload(page, data, {**form, **outside}).text
        assert "FG-SUB-30" in _upload(page, data, {**form, "window_from": "2026-10-01"}).text
        taken = _upload(page, data, {**form, **window})
        assert taken.status_code == 200
        with Session(home.casework) as session:
            (sent,) = session.exec(select(Delivery)).all()
        days = [(date(2026, 10, day) - date(1970, 1, 1)).days for day in (1, 31)]
        assert [sent.window_first, sent.window_last] == days
        head = _token(page, made)
        more = write_csv(tmp_path / "w.csv", COLUMNS, [*rows, visit("P3", "V3")]).read_bytes()
        answer = page.post(
            "/api/deliveries", params={"source": "council.visits", "dry_run": True, **window},
            content=more, headers=head,
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        assert answer.json()["mode"] == "window"
    home.close()


def test_a_file_refused_for_its_rows_leads_to_every_row_found(
    home: Home, page: TestClient, tmp_path: Path
) -> None:
    rows = [person_row(PersonID=f"LA{n}", RecordedOn=CANARY) for n in range(30)]
    csrf = _sign_in(page, "demo.council_data")
    answer = _upload(page, _file(tmp_path, *rows), {"csrf": csrf, "source": "council.persons"})
    assert answer.status_code == 422
    (place,) = re.findall(r'href="(/deliveries/[0-9]+)"', answer.text)
    shown = page.get(place).text
    assert "Nothing of it was taken" in shown
    assert "record LA29" in shown
    table = page.get(f"{place}/findings.csv").text
    assert "LA29" in table
    assert CANARY not in answer.text + shown + table
    _sign_in(page, "demo.police_data")
    assert page.get(place).status_code == 403


def test_a_file_sent_by_the_page_becomes_a_receipt(
    home: Home, page: TestClient, tmp_path: Path
) -> None:
    csrf = _sign_in(page, "demo.council_data")
    assert "People known to social care" in page.get("/deliveries/new").text
    data = _file(tmp_path, person_row(), person_row(PersonID="LA2", Postcode="nowhere"))
    answer = _upload(page, data, {"csrf": csrf, "source": "council.persons"})
    assert (answer.status_code, answer.url.path) == (200, "/deliveries/1")
    assert "2 rows came, 2 were kept" in answer.text
    assert "Postcode: a postcode has no postcode" in answer.text
    assert "row 3, record LA2" in answer.text
    found = page.get("/deliveries/1/findings.csv")
    assert found.headers["content-type"].startswith("text/csv")
    assert "LA2" in found.text
    proof = tmp_path / "proof"
    proof.write_bytes(base64.b64decode(found.headers["Fieldgate-Receipt"]))
    words = [str(home.path / "audit"), "--vkey", home.log_vkey(), "--receipt", str(proof)]
    assert check(arguments(words)).as_dict()["status"] == "verified"
    assert "council.persons" in page.get("/deliveries").text
    # Governance sees that it came and what was wrong, and not the agency's own keys.
    _sign_in(page, "demo.ig_lead")
    assert "record LA2" not in page.get("/deliveries/1").text
    assert "LA2" not in page.get("/deliveries/1/findings.csv").text
    _sign_in(page, "demo.police_data")
    assert page.get("/deliveries/1").status_code == 403
    assert "council.persons" not in page.get("/deliveries").text


def test_a_try_keeps_nothing_and_an_unfilled_form_says_what_is_missing(
    home: Home, page: TestClient, tmp_path: Path
) -> None:
    csrf = _sign_in(page, "demo.council_data")
    form = {"csrf": csrf, "source": "council.persons", "try": "yes"}
    assert "dry run" in _upload(page, _file(tmp_path, person_row()), form).text
    assert home.published() == {}
    missing = _upload(page, b"", {"csrf": csrf}, name="")
    assert missing.status_code == 422
    assert 'href="#source"' in missing.text
    assert 'href="#file"' in missing.text


@pytest.mark.parametrize(
    ("data", "code"), [(b" \n", "FG-SUB-01"), (b"%PDF-1.7", "FG-SUB-02"), (b"a\n1\n", "FG-SUB-04")]
)
def test_a_file_that_cannot_be_used_says_why_on_the_page(
    page: TestClient, data: bytes, code: str
) -> None:
    csrf = _sign_in(page, "demo.council_data")
    answer = _upload(page, data, {"csrf": csrf, "source": "council.persons"})
    assert answer.status_code == 422
    assert code in answer.text


def test_nothing_is_taken_in_before_the_forms_token(
    home: Home, page: TestClient, tmp_path: Path
) -> None:
    _sign_in(page, "demo.council_data")
    data = _file(tmp_path, person_row(Forename=CANARY))
    for form in ({"source": "council.persons"}, {"csrf": "0" * 64, "source": "council.persons"}):
        answer = _upload(page, data, form)
        assert (answer.status_code, "FG-AUT-03" in answer.text) == (403, True)
    assert list((home.path / "staging").rglob("*.spool")) == []
    assert home.published() == {}


def test_a_spool_holds_no_byte_in_clear_and_reads_back_what_was_written(tmp_path: Path) -> None:
    data = (CANARY.encode() + b",") * 200_000
    spool: Any = Spool(tmp_path / "one.spool", bytes(32))
    for start in range(0, len(data), 70_001):
        spool.write(data[start : start + 70_001])
    spool.complete()
    assert CANARY.encode() not in (tmp_path / "one.spool").read_bytes()
    assert io.BufferedReader(spool).read() == data
    spool.destroy()
    assert list(tmp_path.iterdir()) == []


def _token(page: TestClient, made: dict[str, Any]) -> dict[str, str]:
    body = {name: made[name] for name in ("client_id", "client_secret")}
    answer = page.post("/api/token", json=body)
    assert answer.status_code == 200
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def test_a_system_sends_with_client_credentials_and_for_its_agency_only(
    home: Home, page: TestClient, clock: Clock, tmp_path: Path
) -> None:
    made = add_client(home, "council", "Case system", clock().date() + timedelta(days=90), OPERATOR)
    head = _token(page, made)
    data = _file(tmp_path, person_row(), person_row(PersonID="LA2", NHSNumber="12"))

    def post(query: str, body: bytes) -> Any:
        return page.post(f"/api/deliveries?source={query}", content=body, headers=head)

    assert post("council.persons&dry_run=true", data).json()["state"] == "dry run"
    answer = post("council.persons", data)
    assert (answer.status_code, answer.json()["number"]) == (200, 1)
    listed = page.get("/api/deliveries", headers=head).json()
    assert [one["source"] for one in listed] == ["council.persons"]
    shown = page.get("/api/deliveries/1", headers=head).json()
    assert shown["findings"][0]["row_keys"] == [{"row": 3, "key": "LA2"}]
    other = post("schools.roll", data)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "FG-GATE-13")
    # A zip of files travels the same way.
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("people.csv", data + b"\n")
    assert post("council.persons", packed.getvalue()).json()["rows"]["kept"] == 2
    assert list((home.path / "staging").rglob("*.spool")) == []


def test_a_client_that_is_wrong_late_or_closed_is_refused_alike(
    home: Home, page: TestClient, clock: Clock
) -> None:
    made = add_client(home, "council", "Case system", clock().date() + timedelta(days=30), OPERATOR)
    head = _token(page, made)
    wrong = [
        page.post("/api/token", json={"client_id": name, "client_secret": "x"})
        for name in ("nobody", made["client_id"])
    ]
    assert {one.status_code for one in wrong} == {403}
    assert wrong[0].content == wrong[1].content
    assert page.get("/api/deliveries").status_code == 401
    assert page.get("/api/deliveries", headers={"Authorization": "Bearer x"}).status_code == 403
    clock.advance(minutes=15)
    assert page.get("/api/deliveries", headers=head).status_code == 403
    head = _token(page, made)
    close_client(home, made["client_id"], OPERATOR)
    assert page.get("/api/deliveries", headers=head).status_code == 403
    assert [one["active"] for one in clients(home)] == [False]
    raw = b"".join(path.read_bytes() for path in home.path.rglob("*") if path.is_file())
    assert made["client_secret"].encode() not in raw


def test_a_paused_delivery_is_released_on_the_page_by_governance_alone(tmp_path: Path) -> None:
    home = visits_home(tmp_path / "home", extra=', rows_min: "2"')
    for user, role in (("one", "ig_lead"), ("two", "data_submitter")):
        add_account(home, user, user, "council", role, "safeguard_child", by="x", training=None)
    send(home, tmp_path, "visits-1", [visit("P1", "V1")])
    with TestClient(create_app(home), base_url="http://127.0.0.1") as page:
        _sign_in(page, "two")
        assert "It waits until somebody has looked" in page.get("/deliveries/1").text
        assert "Let it count" not in page.get("/deliveries/1").text
        csrf = _sign_in(page, "one")
        assert "Let it count" in page.get("/deliveries/1").text
        nothing = page.post("/deliveries/1/release", data={"csrf": csrf})
        assert (nothing.status_code, "FG-SUB-27" in nothing.text) == (422, True)
        assert home.published() == {}
        answer = page.post("/deliveries/1/release", data={"csrf": csrf, "word": "accept"})
        assert "accepted" in answer.text
    assert len(home.published()) == 1
    home.close()


def test_the_command_reports_everything_as_json_and_as_words(home: Home, tmp_path: Path) -> None:
    where = ["--home", str(home.path)]
    file = persons_file(tmp_path / "p.csv", person_row(), person_row(PersonID="LA2", Gender="Q"))
    run = CliRunner()

    def told(*words: str, code: int = 0) -> Any:
        result = run.invoke(cli, [*words, *where, "--json"])
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    sent = ["submit", str(file), "--agency", "council", "--source", "council.persons"]
    assert told(*sent, "--dry-run")["state"] == "dry run"
    assert told(*sent)["number"] == 1
    assert told("deliveries", "list")[0]["state"] == "accepted"
    assert told("deliveries", "show", "1")["rows"]["kept"] == 2
    out = tmp_path / "found.csv"
    told("deliveries", "findings", "1", "--out", str(out))
    assert out.read_text(encoding="utf-8").startswith("severity,code")
    # The agency's own record keys are told to its own data submitters, and to no operator.
    assert [one["record key"] for one in told("deliveries", "findings", "1")] == [""]
    as_police = told("deliveries", "findings", "1", "--as", "demo.police_data", code=12)
    assert as_police["error"]["code"] == "FG-SUB-23"
    own = told("deliveries", "findings", "1", "--as", "demo.council_data")
    assert [one["record key"] for one in own] == ["LA2"]
    assert told("deliveries", "aside", "1", "--as", "demo.council_data")["rows"] == []
    assert told("deliveries", "trend")[0]["number"] == 1
    assert {one["light"] for one in told("deliveries", "lights")} <= {"green", "never"}
    for words in (["deliveries", "list"], ["deliveries", "lights"], ["deliveries", "show", "1"]):
        assert run.invoke(cli, [*words, *where]).exit_code == 0
    assert told("deliveries", "withdraw", "1", "--dry-run")["withdrawn"] is False
    assert told("deliveries", "withdraw", "1")["withdrawn"] is True
    told("deliveries", "release", "1", code=12)


def test_a_contract_is_drafted_closed_shown_and_tried(home: Home, tmp_path: Path) -> None:
    run = CliRunner()
    sample = persons_file(
        tmp_path / "s.csv",
        *(person_row(PersonID=f"LA{n}", Forename=CANARY, Gender="MF"[n % 2]) for n in range(30)),
    )
    out = tmp_path / "draft.yaml"
    words = ["contract", "draft", str(sample), "--source", "council.new", "--agency", "council",
             "--out", str(out)]  # fmt: skip
    made = run.invoke(cli, words)
    assert made.exit_code == 0, made.output
    text = out.read_text(encoding="utf-8")
    assert "key: person_id" in text
    assert text.count("gateways: []") == text.count("lane: ")
    assert CANARY not in text + made.output
    again = run.invoke(cli, words)
    assert (again.exit_code, "FG-CON-04" in again.output) == (15, True)
    where = ["--home", str(home.path), "--json"]
    shown = run.invoke(cli, ["contract", "show", "council.persons", *where])
    assert {one["name"] for one in json.loads(shown.stdout)["fields"]} >= {"nhs_number", "address"}
    tried = run.invoke(cli, ["contract", "test", "council.persons", str(sample), *where])
    assert json.loads(tried.stdout)["sample"]["rows"]["kept"] == 30
    assert home.published() == {}


def test_a_draft_has_the_shape_of_a_contract_whatever_names_its_people(tmp_path: Path) -> None:
    sample, out = tmp_path / "s.csv", tmp_path / "draft.yaml"
    header = (
        "Person ID,NHS number,UPN,NINO,UPRN,Postcode,DOB,Forename,Surname,Address,Sex,E-mail,Phone"
    )
    sample.write_text(header + "\n" + ",".join(["x"] * 13) + "\n", encoding="utf-8")
    words = ["contract", "draft", str(sample), "--source", "council.new", "--agency", "council"]
    made = CliRunner().invoke(cli, [*words, "--out", str(out)])
    assert made.exit_code == 0, made.output
    reader = Reader()
    document = reader.read(out, SOURCE)
    assert reader.findings == []
    assert document is not None
    parts = {one.get("part") for one in document.value["fields"].values()} - {None}
    assert parts >= {"nino", "uprn", "nhs_number", "local_id"}
    # Whatever a contract may name can also be told to somebody who may see it.
    assert set(SHOWN_PARTS) == set(PARTS)


def test_data_that_names_no_person_gets_no_contract(tmp_path: Path) -> None:
    """Street-level police data is by month and place: it can never be linked to a person."""
    file = tmp_path / "street.csv"
    file.write_text("Crime ID,Month,Longitude,Crime type\n,2026-01,-2.59,Burglary\n", "utf-8")
    made = CliRunner().invoke(
        cli,
        ["contract", "draft", str(file), "--source", "police.street", "--agency", "police",
         "--json"],
    )  # fmt: skip
    assert made.exit_code == 10
    assert json.loads(made.stdout)["error"]["code"] == "FG-CON-01"


@pytest.mark.parametrize(
    ("cell", "safe"),
    [("=1+1", "'=1+1"), ("+44", "'+44"), ("-2", "-2"), ("-2.5", "-2.5"), ("-x", "'-x"),
     ("@cmd", "'@cmd"), ("\tx", "'\tx"), ("plain", "plain"), (None, ""), ("＝1", "'＝1")],
)  # fmt: skip
def test_no_exported_cell_begins_like_a_formula(cell: object, safe: str) -> None:
    assert safe_cell(cell) == safe
    assert csv_text([[cell]]).strip("\r\n").strip('"') == safe
