"""Plant unique names and grep everything: no value of a person outside the vault, in any form."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlmodel import Session, select
from typer.testing import CliRunner

from audit.canonical import parse
from audit.log import read_events
from engine.cli.main import app
from engine.domain.errors import FieldgateError
from engine.flows.decision import Ask
from engine.flows.home import Home
from engine.flows.link import link
from engine.flows.reveal import reveal
from engine.flows.score import score
from engine.flows.submit import submit
from engine.store.tables import SubjectState
from tests.builders.partnership import OPERATOR, REASON, TODAY, person_row, persons_file

CANARIES = {
    "Forename": "Quokkalina",
    "Surname": "Zzyzxborough",
    "KnownAs": "Wombatella",
    "Address": "99 Axolotl Parade",
    "NHSNumber": "9990000018",
    "PersonID": "LAPANGOLIN77",
    "HouseholdRef": "HHNARWHAL5",
}


def _bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.finding("AUD-7")
@pytest.mark.finding("B34")
@pytest.mark.finding("T-GM8")
def test_planted_values_are_nowhere_in_the_home_the_spans_or_the_output(
    home: Home, tmp_path: Path
) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("fieldgate")
    telemetry = pytest.MonkeyPatch()
    telemetry.setattr("engine.telemetry._TRACER", tracer)
    file = persons_file(
        tmp_path / "p.csv",
        person_row(**CANARIES),
        person_row(PersonID="LA2", Forename="Other", RecordedOn=""),
        *[person_row(PersonID=f"LA{n}", Forename=f"Filler{n}") for n in range(3, 9)],
    )
    said = [CliRunner().invoke(
        app, ["submit", str(file), "--agency", "council", "--source", "council.persons",
              "--home", str(home.path)],
    ).output]  # fmt: skip
    link(home, OPERATOR)
    score(home, TODAY, OPERATOR)
    with Session(home.casework) as session:
        people = [state.person for state in session.exec(select(SubjectState)).all()]
    shown = []
    for person in people:
        shown.append(
            reveal(
                home,
                Ask("demo.social_worker", "safeguard_child", "CASE-1", REASON, person),
                auth="demo",
            )
        )
        with pytest.raises(FieldgateError) as refused:
            reveal(
                home, Ask("demo.ig_lead", "safeguard_child", "CASE-1", REASON, person), auth="demo"
            )
        said += [str(refused.value), repr(refused.value), *refused.value.reasons]
    telemetry.undo()

    # The reveal itself does show them: the canaries were alive.
    assert "Quokkalina" in json.dumps(shown)
    spans = exporter.get_finished_spans()
    names = {span.name for span in spans}
    # A span around each arrow of every flow, and the trace id of the flow in its events.
    assert {
        *("fieldgate.submit.read", "fieldgate.submit.admit", "fieldgate.submit.minimise"),
        *("fieldgate.submit.vault", "fieldgate.submit.encode", "fieldgate.submit.warehouse"),
        *("fieldgate.link.predict", "fieldgate.link.cluster", "fieldgate.score.process"),
        *("fieldgate.reveal.decide", "fieldgate.reveal.commit", "fieldgate.reveal.vault"),
    } <= names
    traces = {format(span.context.trace_id, "032x") for span in spans if span.context}
    events = [parse(body) for _, body in read_events(home.path / "audit")]
    linked = [event for event in events if event["flow"] in ("submit", "link", "score", "reveal")]
    assert {event["trace_id"] for event in linked} <= traces
    said += [span.to_json() for span in spans]
    home.close()
    haystacks = {**_bytes_of(home.path), "output": "\n".join(said).encode()}
    for name, value in CANARIES.items():
        for form in (value, value.upper(), value.lower(), value.replace(" ", "")):
            found = [place for place, data in haystacks.items() if form.encode() in data]
            assert found == [], f"a planted {name} stands in {found}"


def test_a_broken_row_is_told_by_row_and_column_only(home: Home, tmp_path: Path) -> None:
    file = persons_file(
        tmp_path / "p.csv", *[person_row(BirthDate="Quokka", RecordedOn="Wombat") for _ in range(3)]
    )
    result = CliRunner().invoke(
        app, ["submit", str(file), "--agency", "council", "--source", "council.persons",
              "--home", str(home.path), "--json"],
    )  # fmt: skip
    assert result.exit_code == 11
    assert "RecordedOn" in result.output
    assert "Quokka" not in result.output
    assert "Wombat" not in result.output


def test_exceptions_of_the_stores_hide_their_parameters(home: Home) -> None:
    with (
        pytest.raises(Exception, match="no such table") as caught,
        home.vault.connect() as connection,
    ):
        connection.exec_driver_sql("select * from no_table where name = ?", ("Quokkalina",))
    assert "Quokkalina" not in str(caught.value)


def test_frames_and_keys_do_not_print_themselves(home: Home) -> None:
    ring = home.keyring("vault")
    assert ring.keys[1].hex() not in repr(ring)
    assert "_key" not in repr(home.domain("record"))
    assert "secret" not in repr(home.audit.__dict__["_signer"]).lower()


@pytest.mark.finding("B27")
@pytest.mark.finding("LAW-15")
def test_scoring_and_linkage_tables_hold_no_direct_identifier(home: Home, tmp_path: Path) -> None:
    file = persons_file(tmp_path / "p.csv", person_row(**CANARIES))
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    link(home, OPERATOR)
    home.close()
    with sqlite3.connect(home.path / "linkage" / "linkage.db") as connection:
        columns = [row[1] for row in connection.execute("pragma table_info(encoding)")]
    assert not {"name", "surname", "birth_date", "address", "nhs_number"} & set(columns)


def test_no_provider_is_set_up_by_the_product() -> None:
    assert type(trace.get_tracer_provider()).__name__ in {"ProxyTracerProvider"}
