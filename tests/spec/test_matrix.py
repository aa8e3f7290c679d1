"""Deny by default, field by field: every role, field and purpose is asked, and compared with what IG signs.

``docs/dpia/matrix.csv`` is the signed table. A cell that is not in it is refused; a change of the pack
that moves one cell fails here until the table is written again and looked at:
``fieldgate policy matrix --format csv --as-of 2026-11-25 --out docs/dpia/matrix.csv``.
"""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

import gateways.load
import policies.load
import scoring.tables
from engine.cli.main import app
from engine.domain.indicators import INDICATORS
from gateways.check import condition_findings, flow_findings
from gateways.conditions import Flow, When
from policies import authorise
from policies.cases import load_cases, run_cases
from policies.lint import lint, waived
from policies.matrix import ASSUMED, as_csv, cells, everything_met, plain_state
from policies.model import Level, Pack, Request

TODAY = date(2026, 11, 25)
SIGNED = Path(__file__).resolve().parents[2] / "docs" / "dpia" / "matrix.csv"


@pytest.fixture(scope="module")
def pack() -> Pack:
    return policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())


def _signed() -> dict[tuple[str, ...], str]:
    with SIGNED.open(encoding="utf-8", newline="") as stream:
        stream.readline()
        return {
            (row["role"], row["agency"], row["purpose"], row["source"], row["field"]): row["level"]
            for row in csv.DictReader(stream)
        }


def _read_naively(pack: Pack, who: tuple[str, str, str], source_id: str, name: str) -> Level:
    """Grants and caps read from the top, and the law asked pair by pair; no table and no casbin."""
    role, agency, purpose = who
    register, source = pack.register, pack.sources[source_id]
    spec = source.fields[name]
    giver = "council" if source.agency == "engine" else source.agency
    flow = Flow(register.parties[giver].body, register.parties[agency].body, spec.category,
                spec.retention_years is not None, TODAY, purpose, source.regime, source.origins,
                source.inputs | {spec.category})  # fmt: skip
    best = 0
    for agreement in (register.agreements[one] for one in spec.agreements):
        if (
            not {giver, agency} <= agreement.parties
            or source_id not in agreement.sources
            or purpose not in spec.purposes
        ):
            continue
        for gateway in (register.gateways[one] for one in spec.gateways):
            against = [*flow_findings(register, gateway, agreement, flow),
                       *condition_findings(register, gateway, agreement, flow, When.REQUEST, ASSUMED)]  # fmt: skip
            if against:
                continue
            for grant in pack.grants:
                same = (grant.role, grant.agency, grant.purpose, grant.data_class) == (
                    *who,
                    spec.data_class,
                )
                if (
                    same
                    and agreement.id in grant.agreements
                    and (not grant.sources or source_id in grant.sources)
                ):
                    best = max(best, grant.level)
    state = plain_state(pack)
    for cap in pack.caps:
        concerned = (not cap.roles or role in cap.roles) and role not in cap.except_roles
        named = (not cap.categories or spec.category in cap.categories) and (
            not cap.sources or source_id in cap.sources
        )
        if concerned and named and all(state[flag] == value for flag, value in cap.when.items()):
            best = min(best, cap.level)
    return Level(best)


@pytest.mark.deep
def test_every_role_is_refused_every_field_for_every_purpose_unless_it_was_signed(
    pack: Pack,
) -> None:
    signed, met, state = _signed(), everything_met(pack), plain_state(pack)
    asked, found = 0, {}
    for role in pack.vocabulary.roles.values():
        for agency in role.agencies:
            for purpose in pack.register.vocabulary.purposes:
                request = Request(role.id, agency, purpose, ASSUMED)
                for source in pack.sources.values():
                    view = authorise(pack, request, source.id, source.fields, TODAY, met)
                    for name in source.fields:
                        asked += 1
                        level = view.level(name, state)
                        if level > Level.REFUSE:
                            found[(role.id, agency, purpose, source.id, name)] = level.name.lower()
    assert asked > 200_000
    assert found == signed


def test_the_signed_table_is_what_a_naive_reading_of_the_files_gives(pack: Pack) -> None:
    signed = _signed()
    seen = {(grant.role, grant.agency, grant.purpose) for grant in pack.grants}
    wrong = []
    for who in sorted(seen):
        for source in pack.sources.values():
            for name in source.fields:
                wanted = signed.get((*who, source.id, name), "refuse")
                if _read_naively(pack, who, source.id, name).name.lower() != wanted:
                    wrong.append((*who, source.id, name))
    assert wrong == []
    assert len(signed) > 1000


def test_the_file_is_what_the_command_writes(pack: Pack) -> None:
    assert SIGNED.read_text(encoding="utf-8") == as_csv(cells(pack, TODAY), pack.version, TODAY)


def test_the_tests_beside_the_pack_pass_and_nothing_unsigned_is_found() -> None:
    folder = policies.load.shipped()
    pack = policies.load.load_pack(gateways.load.shipped(), folder)
    cases, findings = load_cases(folder / "tests")
    assert findings == ()
    results = run_cases(pack, cases, TODAY)
    assert [one.as_dict() for one in results if one.problems] == []
    names = [one.case.name.split(" ")[0] for one in results]
    assert {"A1", "A2", "A3", "A4", "R1", "R2", "R3", "R4", "R5", "R6", "R7"} <= set(names)
    assert [one.sentence() for one in lint(pack, TODAY) if not waived(pack, one, TODAY)] == []


def test_the_pack_feeds_all_thirty_indicators_and_4b_is_a_score_that_feeds_nothing(
    pack: Pack,
) -> None:
    tables = scoring.tables.load_tables(scoring.tables.shipped())
    fed = set()
    for source in pack.sources.values():
        for rule in source.yields:
            spec = next((rule[name] for name in ("event", "state") if name in rule), None)
            kinds = (
                []
                if spec is None
                else [spec["kind"]]
                if isinstance(spec["kind"], str)
                else spec["kind"]["map"].values()
            )
            for kind in kinds:
                fed |= {tables.kinds[kind].indicator(role) for role in (0, *tables.roles.values())}
    assert set(INDICATORS) - fed == {"4B"}
    risk = pack.sources["engine.neet_risk"]
    assert not risk.feeds_models
    assert all("engine.neet_risk" not in source.derived_from for source in pack.sources.values())
    partners = [source for source in pack.sources.values() if source.agency != "engine"]
    assert len(partners) >= 16
    for source in pack.sources.values():
        if source.agency == "engine":
            assert source.derived_from
            assert not source.feeds_models


@pytest.mark.finding("LAW-11")
def test_derived_data_inherits_what_stands_behind_it(pack: Pack) -> None:
    scores = pack.sources["engine.scores"]
    assert "nhs_trust" in scores.origins
    assert scores.inputs & {"health_flag", "care_status"}
    assert pack.register.vocabulary.classes["score"] == {"art9", "art10"}


@pytest.mark.parametrize(
    "command",
    [
        ["policy", "lint"], ["policy", "test"], ["policy", "matrix"], ["policy", "as-of", "2026-09-15"],
        ["policy", "who-can", "council.persons.surname"], ["policy", "what-can", "school_lead"],
        ["policy", "explain", "health.flags.flag", "--role", "social_worker", "--agency", "council",
         "--purpose", "safeguard_child"],
        ["gateway", "list"], ["gateway", "gaps"], ["agreement", "list"], ["agreement", "expiring"],
    ],
    ids=lambda words: " ".join(words[:2]),
)  # fmt: skip
@pytest.mark.deep
def test_every_question_can_be_asked_without_a_home_in_words_and_in_json(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    monkeypatch.delenv("FIELDGATE_HOME", raising=False)
    when = [] if "as-of" in command else ["--as-of", "2026-11-25"]
    words = CliRunner().invoke(app, [*command, *when])
    assert words.exit_code == 0, words.output
    assert words.stdout.strip()
    document = CliRunner().invoke(app, [*command, *when, "--json"])
    assert document.exit_code == 0
    assert json.loads(document.stdout) is not None


def test_the_horizon_shows_the_new_duty_opening(pack: Pack) -> None:
    from policies.horizon import horizon

    found = horizon(pack, date(2026, 9, 15))
    steps = {one["day"]: one for one in found["steps"]}
    assert steps["2026-09-30"]["opened"] > 0
    assert any("16LA" in word for word in steps["2026-09-30"]["because"])
    assert any("dsa_0006" in word for word in steps["2026-10-01"]["because"])
