"""No input crashes intake, and no row is lost: in = kept + dropped by reason."""

from __future__ import annotations

import csv
import io
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import gateways.load
import policies.load
from engine.domain.errors import FieldgateError
from engine.domain.records import Prepared
from engine.intake.contract import contract_of
from engine.intake.prepare import prepare
from engine.intake.read import open_delivery
from engine.intake.terms import intake_for
from scoring.tables import load_tables, shipped
from tests.builders.partnership import PERSON_COLUMNS, person_row

PACK = policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())
TABLES = load_tables(shipped())
TODAY = date(2026, 11, 25)


def _run(source: str, data: bytes):
    spec = PACK.sources[source]
    contract = contract_of(spec)
    opened = open_delivery(io.BytesIO(data), contract)
    return prepare(opened, intake_for(PACK, contract, opened.present, TABLES, TODAY))


@pytest.mark.finding("B04")
@example(b"\x8d", "council.persons")
@given(
    st.binary(max_size=400),
    st.sampled_from(["council.persons", "council.cin_census", "police.occurrences"]),
)
def test_no_bytes_crash_intake(data, source) -> None:
    try:
        found = _run(source, data)
    except FieldgateError as error:
        assert error.code.startswith("FG-")
        assert error.next_step
    else:
        assert found.rows_in == found.rows_kept + sum(found.dropped.values())


cells = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)


@given(st.lists(st.lists(cells, min_size=1, max_size=18), max_size=8), st.integers(0, 4))
def test_rows_of_any_text_and_width_reconcile(rows, good) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(PERSON_COLUMNS)
    writer.writerows([person_row(PersonID=f"LA{n}") for n in range(good)])
    writer.writerows(rows)
    try:
        found = _run("council.persons", text.getvalue().encode())
    except FieldgateError as error:
        assert error.code in {"FG-SUB-02", "FG-SUB-10", "FG-SUB-11"}
    else:
        assert found.rows_in == found.rows_kept + sum(found.dropped.values())
        assert found.rows_kept >= good
        assert all(len(column) == len(found.local_keys) for column in found.identities.values())


@given(st.permutations([person_row(PersonID=f"LA{n}", Forename=f"Name{n}") for n in range(6)]))
def test_the_order_of_rows_changes_no_record(rows) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(PERSON_COLUMNS)
    writer.writerows(rows)
    found = _run("council.persons", text.getvalue().encode())
    named = dict(zip(found.local_keys, found.identities["given_name"], strict=True))
    assert named == {f"LA{n}": f"Name{n}" for n in range(6)}
    assert len(found.states) == 6


def _plain(found: Prepared) -> dict[str, object]:
    whole = {**vars(found), "events": found.events, "states": found.states}
    return {
        name: value.tolist() if hasattr(value, "tolist") else value
        for name, value in whole.items()
        if name not in ("event_rows", "state_rows")
    }


@given(
    st.sets(
        st.sampled_from([name for name in PERSON_COLUMNS if name not in ("PersonID", "RecordedOn")])
    )
)
def test_minimising_again_changes_nothing_and_no_refused_field_survives(missing) -> None:
    header = [name for name in PERSON_COLUMNS if name not in missing]
    row = dict(zip(PERSON_COLUMNS, person_row(), strict=True))
    text = io.StringIO()
    csv.writer(text).writerows([header, [row[name] for name in header]])
    found = _run("council.persons", text.getvalue().encode())
    again = _run("council.persons", text.getvalue().encode())
    assert _plain(found) == _plain(again)
    assert not set(found.fields_kept) & set(found.fields_dropped)
