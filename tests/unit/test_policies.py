"""Levels, caps, obligations, admission and the second opinion, on a small pack and on the shipped one."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

import gateways.load
import policies.load
from gateways.errors import GatewayFault
from policies import admit, authorise
from policies.admit import row_findings
from policies.authorise import open_bases
from policies.diff import diff
from policies.errors import PolicyFault
from policies.matrix import ASSUMED, requests_of
from policies.model import Level, Pack, Request
from policies.shadow import RouteGate, shadow_level

TODAY = date(2026, 11, 25)
FACTS = ASSUMED
MET = frozenset({"justify", "case_ref"})
CHILD = {
    flag: "y" if flag == "child" else "n"
    for flag in (
        "child",
        "protected",
        "adopted",
        "identity_changed",
        "staff_kin",
        "victim_safety",
        "restricted",
        "embargoed",
        "disputed",
        "expired",
        "ungraded",
        "police_sensitive",
    )
}
SOCIAL_WORKER = Request("social_worker", "council", "safeguard_child", FACTS)


@pytest.fixture(scope="module")
def pack() -> Pack:
    return policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    shutil.copytree(
        gateways.load.shipped(),
        tmp_path / "gateways",
        ignore=shutil.ignore_patterns("*.py", "__pycache__"),
    )
    shutil.copytree(policies.load.shipped(), tmp_path / "policies")
    return tmp_path / "gateways", tmp_path / "policies"


def _level(pack: Pack, request: Request, field: str, state: dict[str, str] = CHILD, *,
           on: date = TODAY, met: frozenset[str] = MET) -> Level:  # fmt: skip
    source, _, name = field.rpartition(".")
    return authorise(pack, request, source, [name], on, met).level(name, state)


@pytest.mark.parametrize(
    ("field", "level"),
    [
        ("council.persons.given_name", Level.CLEAR),
        ("police.occurrences.offence", Level.BANDED),
        ("health.flags.flag", Level.BANDED),
        ("engine.links.associates", Level.TOKEN),
        ("police.occurrences.mo_text", Level.REFUSE),
        ("schools.roll.ethnicity", Level.REFUSE),
        ("council.persons.no_such_field", Level.REFUSE),
        ("no.such_source.x", Level.REFUSE),
    ],
)
def test_a_social_worker_sees_each_field_at_its_level(pack: Pack, field: str, level: Level) -> None:
    assert _level(pack, SOCIAL_WORKER, field) == level


@pytest.mark.finding("POL-R4")
def test_a_cap_lowers_and_an_unknown_flag_takes_the_strictest_reading(pack: Pack) -> None:
    front_door = replace(SOCIAL_WORKER, role="front_door")
    field = "council.persons.postcode"
    assert _level(pack, front_door, field) == Level.BANDED
    assert _level(pack, front_door, field, {**CHILD, "protected": "y"}) == Level.REFUSE
    assert (
        _level(
            pack,
            front_door,
            field,
            {flag: value for flag, value in CHILD.items() if flag != "protected"},
        )
        == Level.REFUSE
    )
    assert _level(pack, SOCIAL_WORKER, field, {}) == Level.REFUSE


@pytest.mark.finding("POL-R7")
def test_an_adults_health_flag_is_known_to_exist_and_no_more(pack: Pack) -> None:
    assert _level(pack, SOCIAL_WORKER, "health.flags.flag", {**CHILD, "child": "n"}) == Level.EXISTS


@pytest.mark.finding("POL-R5")
@pytest.mark.parametrize("met", [frozenset(), frozenset({"justify"}), frozenset({"case_ref"})])
def test_an_unmet_obligation_refuses_with_its_own_reason(pack: Pack, met: frozenset[str]) -> None:
    view = authorise(pack, SOCIAL_WORKER, "council.persons", ["surname"], TODAY, met)
    assert view.level("surname", CHILD) == Level.REFUSE
    assert {reason.code for reason in view.fields["surname"].reasons} == {"E14"}


@pytest.mark.finding("LAW-10")
def test_the_new_duty_opens_on_the_day_it_is_in_force_and_not_before(pack: Pack) -> None:
    """Children Act 2004 s.16LA carries offending status to the council from 30 September 2026 only."""
    field = "police.occurrences.offence"
    assert _level(pack, SOCIAL_WORKER, field, on=date(2026, 9, 29)) == Level.REFUSE
    assert _level(pack, SOCIAL_WORKER, field, on=date(2026, 9, 30)) == Level.BANDED


@pytest.mark.finding("LAW-14")
@pytest.mark.parametrize("on", [date(2025, 12, 31), date(2027, 7, 1), date(2028, 1, 1)])
def test_before_start_after_review_and_after_end_nothing_is_shown(pack: Pack, on: date) -> None:
    assert _level(pack, SOCIAL_WORKER, "council.persons.given_name", on=on) == Level.REFUSE


@pytest.mark.finding("LAW-21")
@pytest.mark.finding("T-GM14")
@pytest.mark.parametrize(
    "purpose", ["immigration_control", "enforcement", "eviction", "benefit_sanction"]
)
@pytest.mark.deep
def test_punitive_purposes_are_refused_for_every_role_and_field(pack: Pack, purpose: str) -> None:
    for role in pack.vocabulary.roles.values():
        for agency in role.agencies:
            request = Request(role.id, agency, purpose, FACTS)
            for source in pack.sources.values():
                view = authorise(pack, request, source.id, source.fields, TODAY, MET)
                assert all(view.level(name, CHILD) == Level.REFUSE for name in source.fields)


@pytest.mark.finding("LAW-2")
def test_a_general_power_a_dead_section_and_a_repealed_one_never_permit(pack: Pack) -> None:
    for gateway in ("la2011.s1", "ea2002.s11", "esa2008.s15", "cda1998.s17", "iaa1999.s20"):
        source = pack.sources["council.persons"]
        spec = replace(source.fields["given_name"], gateways=(gateway,))
        changed = replace(
            pack,
            sources={
                **pack.sources,
                source.id: replace(source, fields={**source.fields, "given_name": spec}),
            },
        )
        assert _level(changed, SOCIAL_WORKER, "council.persons.given_name") == Level.REFUSE
        answer = admit(
            changed,
            from_agency="council",
            host="council",
            source=source.id,
            fields=["given_name"],
            as_of=TODAY,
        )
        assert answer.refused == ("given_name",)


def test_a_view_refuses_to_be_a_bare_yes_or_no(pack: Pack) -> None:
    view = authorise(pack, SOCIAL_WORKER, "council.persons", ["surname"], TODAY, MET)
    with pytest.raises(TypeError, match="no truth value"):
        bool(view)


def test_a_refusal_lists_every_reason_at_once(pack: Pack) -> None:
    request = Request("school_lead", "schools", "enforcement", {})
    view = authorise(
        pack, request, "police.occurrences", ["offence"], date(2029, 1, 1), frozenset()
    )
    codes = {reason.code for reason in view.fields["offence"].reasons}
    assert {"E04", "E05", "E12"} <= codes


@pytest.mark.deep
def test_the_second_opinion_agrees_on_every_field_role_and_state_of_the_pack(pack: Pack) -> None:
    asked = allowed = 0
    states = [
        CHILD,
        {},
        {**CHILD, "child": "n"},
        {**CHILD, "protected": "y"},
        {**CHILD, "embargoed": "y"},
    ]
    for role, agency, purpose in requests_of(pack):
        request = Request(role, agency, purpose, FACTS)
        for source in pack.sources.values():
            view = authorise(pack, request, source.id, source.fields, TODAY, MET)
            one_a_kind = {
                (spec.category, spec.gateways, spec.purposes): name
                for name, spec in source.fields.items()
            }
            for name in one_a_kind.values():
                bases, _ = open_bases(pack, request, source, source.fields[name], TODAY)
                if not bases:
                    assert view.level(name, CHILD) == Level.REFUSE
                    continue
                for state in states:
                    level = view.level(name, state)
                    assert shadow_level(pack, request, source, name, state, bases) == level
                    asked += 1
                    allowed += level > Level.REFUSE
    assert asked > 1000
    assert allowed > asked * 0.1


@pytest.mark.finding("POL-TRAP-27")
def test_casbin_writes_no_request_into_any_log(
    pack: Pack, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        source = pack.sources["police.occurrences"]
        shadow_level(pack, SOCIAL_WORKER, source, "mo_text", CHILD, [("dsa_0001", "ca2004.s11")])
        shadow_level(pack, SOCIAL_WORKER, source, "offence", CHILD, [("dsa_0001", "ca2004.s16la")])
        with pytest.raises(PolicyFault):
            RouteGate(pack).admits("nobody", "lists")
    assert [record for record in caplog.records if record.name.startswith("casbin")] == []


def test_the_route_gate_is_closed_for_unlisted_routes_and_roles(pack: Pack) -> None:
    gate = RouteGate(pack)
    gate.admits("social_worker", "lists")
    for role, route in (
        ("ig_lead", "lists"),
        ("social_worker", "unlisted"),
        ("", ""),
        ("*", "lists"),
    ):
        with pytest.raises(PolicyFault, match="FG-POL-04"):
            gate.admits(role, route)


def test_admission_names_the_missing_gateway_and_keeps_the_purposes(pack: Pack) -> None:
    source = pack.sources["housing.arrears"]
    answer = admit(
        pack,
        from_agency="housing",
        host="council",
        source=source.id,
        fields=source.fields,
        as_of=TODAY,
    )
    assert answer.refused == ("amount",)
    assert answer.fields["amount"].reasons[0].code == "E02"
    assert set(answer.fields["arrears_since"].purposes) == {
        "early_help",
        "immediate_danger",
        "promote_welfare",
        "safeguard_child",
    }


def test_more_evidence_in_a_product_is_a_change_that_widens(pack: Pack) -> None:
    old = pack.products["cse"]
    more = replace(old, evidence=(*old.evidence, "violence"), title="Another title")
    found = diff(pack, replace(pack, products={**pack.products, "cse": more}), TODAY)
    assert [(one.kind, one.source, one.field, one.widens) for one in found] == [
        ("product", "cse", "evidence", True),
        ("product", "cse", "title", False),
    ]
    assert "violence" in found[0].sentence()
    freer = replace(old, exclusions=frozenset())
    (change,) = diff(pack, replace(pack, products={**pack.products, "cse": freer}), TODAY)
    assert (change.field, change.widens) == ("exclusions", True)
    gone = {name: one for name, one in pack.products.items() if name != "hate"}
    less = diff(pack, replace(pack, products=gone), TODAY)
    assert {one.widens for one in less} == {False}


@pytest.mark.finding("LAW-4")
def test_what_is_kept_for_counts_enters_for_counts_alone_and_no_role_may_ask_it(pack: Pack) -> None:
    """DPA 2018 Sch.1 para 8(3): monitoring of equality is no decision about a person."""
    source = pack.sources["schools.roll"]
    answer = admit(pack, from_agency="schools", host="council", source=source.id,
                   fields=["ethnicity"], as_of=TODAY)  # fmt: skip
    assert answer.fields["ethnicity"].purposes == ("equality_monitoring",)
    for role in pack.vocabulary.roles.values():
        for agency in role.agencies:
            for purpose in pack.register.vocabulary.purposes:
                request = replace(SOCIAL_WORKER, role=role.id, agency=agency, purpose=purpose)
                assert _level(pack, request, "schools.roll.ethnicity") == Level.REFUSE


@pytest.mark.parametrize(
    ("age", "closed"), [(15, True), (16, False), (17, False), (18, True), (None, True)]
)
def test_a_condition_of_the_row_closes_a_cell_and_an_unknown_age_closes_it_too(
    pack: Pack, age: int | None, closed: bool
) -> None:
    """Education and Skills Act 2008 s.14 reaches 16 and 17 year olds."""
    answer = admit(pack, from_agency="schools", host="council", source="schools.roll",
                   fields=["destination", "surname"], as_of=TODAY)  # fmt: skip
    found = row_findings(
        pack,
        answer,
        "destination",
        {"age_years": age, "opted_out": False},
        host="council",
        as_of=TODAY,
    )
    assert bool(found) is closed
    assert (
        row_findings(pack, answer, "surname", {"age_years": age}, host="council", as_of=TODAY) == ()
    )


def test_an_unknown_agency_source_or_field_is_refused_with_e01(pack: Pack) -> None:
    for agency, source, field in (
        ("nobody", "council.persons", "surname"),
        ("council", "no.source", "surname"),
        ("council", "council.persons", "no_field"),
    ):
        answer = admit(
            pack, from_agency=agency, host="council", source=source, fields=[field], as_of=TODAY
        )
        assert answer.admitted == ()
        assert answer.fields[field].reasons[0].code == "E01"


@pytest.mark.finding("POL-P16")
def test_the_version_changes_with_content_and_not_with_comments(folders: tuple[Path, Path]) -> None:
    first = policies.load.load_pack(*folders).version
    caps = folders[1] / "caps" / "markers.yaml"
    caps.write_text("# a comment\n" + caps.read_text())
    assert policies.load.load_pack(*folders).version == first
    caps.write_text(caps.read_text().replace("level: exists", "level: token"))
    assert policies.load.load_pack(*folders).version != first
    agreement = folders[0] / "agreements" / "dsa_0001.yaml"
    agreement.write_text(agreement.read_text().replace("end: 2027-12-31", "end: 2027-12-30"))
    assert len({first, policies.load.load_pack(*folders).version}) == 2


@pytest.mark.finding("POL-L02")
@pytest.mark.parametrize(
    ("file", "old", "new", "word"),
    [
        ("policies/grants/front_door.yaml", "class: identity", "class: nonsense", "class nonsense"),
        (
            "policies/grants/front_door.yaml",
            "agency: council",
            "agency: police",
            "does not hold the role",
        ),
        (
            "policies/sources/health_flags.yaml",
            "category: health_flag",
            "category: nonsense",
            "category nonsense",
        ),
        (
            "policies/sources/health_flags.yaml",
            "nhs2006.s82",
            "nhs2006.s999",
            "gateway nhs2006.s999",
        ),
        ("policies/caps/markers.yaml", 'protected: "y"', 'nonsense: "y"', "flag nonsense"),
        ("policies/routes.yaml", "lists: [social_worker", "lists: [nonsense", "role nonsense"),
        ("gateways/agreements/dsa_0001.yaml", "ca2004.s11, ", "ca2004.s99, ", "gateway ca2004.s99"),
        ("gateways/register/ca2004_s11.yaml", "confidence_basis", "nonsense", "condition nonsense"),
        ("gateways/agreements/parties.yaml", "body: la,", "body: nonsense,", "body nonsense"),
    ],
)
def test_an_unknown_word_anywhere_refuses_the_whole_pack_and_names_it(
    folders: tuple[Path, Path], file: str, old: str, new: str, word: str
) -> None:
    path = folders[0].parent / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises((GatewayFault, PolicyFault), match=word):
        policies.load.load_pack(*folders)


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2\n",
        "a: &x 1\nb: *x\n",
        "a: !!int 1\n",
        "\ufeffa: 1\n",
        "- 1\n",
        "",
        "a: [1",
        "a: \x00",
    ],
)
@pytest.mark.finding("POL-L17")
def test_strict_yaml_refuses_what_an_officer_could_not_have_meant(
    tmp_path: Path, text: str
) -> None:
    from gateways import strict_yaml

    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(GatewayFault, match="FG-GATE-01"):
        strict_yaml.load(path)


def test_strict_yaml_keeps_every_scalar_as_it_was_typed(tmp_path: Path) -> None:
    from gateways import strict_yaml

    path = tmp_path / "x.yaml"
    path.write_text("a: no\nb: 012\nc: 12:30\nd: 2026-09-30\ne: [on, 1.0]\n")
    assert strict_yaml.load(path) == {
        "a": "no",
        "b": "012",
        "c": "12:30",
        "d": "2026-09-30",
        "e": ["on", "1.0"],
    }


def test_a_file_that_was_found_whole_is_taken_over_only_as_it_stands(tmp_path: Path) -> None:
    from gateways.load import Reader, forget_files

    schema = {"type": "object", "properties": {"a": {"type": "array"}}, "required": ["a"]}
    path = tmp_path / "one.yaml"
    path.write_text("a: [x, y]\n", encoding="utf-8")
    forget_files()
    first, again = Reader(), Reader()
    fresh = first.read(path, schema)
    assert fresh is not None
    fresh.value["a"].append("z")
    known = again.read(path, schema)
    assert known is not None
    assert known.value == {"a": ["x", "y"]}
    assert (again.spots, known.line(("a",))) == (first.spots, fresh.line(("a",)))
    # Another schema, and other bytes under the same name, are held against it anew.
    other = Reader()
    assert other.read(path, {**schema, "required": ["b"]}) is None
    assert [one.code for one in other.findings] == ["FG-GATE-02"]
    path.write_text("a: x\n", encoding="utf-8")
    for _ in range(2):
        changed = Reader()
        assert changed.read(path, schema) is None
        assert [one.code for one in changed.findings] == ["FG-GATE-02"]
