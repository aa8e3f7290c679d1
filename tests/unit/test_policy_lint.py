"""Each rule of the pack's lint, broken once on a copy of the shipped pack: rule, file and line."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import pytest

import gateways.load
import policies.load
from gateways.errors import GatewayFault
from gateways.findings import LintFinding
from gateways.model import Register
from gateways.notice import expiring, gaps
from policies.errors import PolicyFault
from policies.lint import lint, waived
from policies.load import load_pack, read_pack
from policies.model import Pack, Waiver
from policies.rows import RowAdapter

TODAY = date(2026, 11, 25)
FLAG = "flag: {label: Health flag, "
BENEFITS = "  - {id: benefits_officer.benefits, class: benefits, level: clear}\n"
DANGER = '{id: social_worker.danger.police_intel, class: police_intel, level: banded, purpose: immediate_danger, obligations: [justify, watermark, "time_box:60", notify, "review_after:1"]'
CAP = """  - id: cap.slip
    when: {child: "y"}
    roles: [benefits_officer]
    categories: [health_flag]
    level: refuse
    disclosure: generic
    why: A slip
"""

Folders = tuple[Path, Path]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    shutil.copytree(
        gateways.load.shipped(),
        tmp_path / "gateways",
        ignore=shutil.ignore_patterns("*.py", "__pycache__"),
    )
    shutil.copytree(policies.load.shipped(), tmp_path / "policies")
    return tmp_path / "gateways", tmp_path / "policies"


@pytest.fixture(scope="module")
def pack() -> Pack:
    return load_pack(gateways.load.shipped(), policies.load.shipped())


def _path(folders: Folders, file: str) -> Path:
    folder, _, name = file.partition("/")
    register, pack = folders
    if folder in ("gateways", "policies"):
        return (register if folder == "gateways" else pack) / name
    return (register if folder in ("register", "agreements") else pack) / file


def _edit(folders: Folders, file: str, old: str, new: str) -> None:
    path = _path(folders, file)
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{file} holds {old!r} {text.count(old)} times"
    path.write_text(text.replace(old, new), encoding="utf-8")


def _line(folders: Folders, file: str, text: str) -> int:
    """Return the one line of a file on which a text stands, or 1 when the file as a whole is meant."""
    if not text:
        return 1
    lines = _path(folders, file).read_text(encoding="utf-8").splitlines()
    found = [number for number, line in enumerate(lines, 1) if text in line]
    assert len(found) == 1, f"{text!r} stands on the lines {found} of {file}"
    return found[0]


def _refused(folders: Folders) -> PolicyFault | GatewayFault:
    with pytest.raises((PolicyFault, GatewayFault)) as caught:
        load_pack(*folders)
    error = caught.value
    assert isinstance(error, PolicyFault | GatewayFault)
    return error


def _unwaived(
    pack: Pack, on: date = TODAY, submitted: dict[str, list[str]] | None = None
) -> list[LintFinding]:
    return [one for one in lint(pack, on, submitted) if not waived(pack, one, on)]


def _at(findings: Iterable[LintFinding]) -> set[tuple[str, str, int]]:
    return {(one.rule, one.file, one.line) for one in findings}


@dataclass(frozen=True)
class Case:
    """One slip: the edits, the rule that finds it and the text on whose line it is found."""

    rule: str
    file: str
    at: str
    subject: str
    edits: tuple[tuple[str, str, str], ...]
    code: str = "FG-POL-02"
    others: frozenset[str] = field(default=frozenset())


ERRORS = [
    pytest.param(
        Case("POL-L01", "sources/health_flags.yaml", FLAG, "health.flags.flag",
             (("sources/health_flags.yaml", FLAG, FLAG + "purposes: [], "),),
             others=frozenset({"POL-L07"})),
        id="L01-field-without-purpose", marks=pytest.mark.finding("POL-L01")),
    pytest.param(
        Case("POL-L01", "grants/benefits_officer.yaml", "benefits_officer.benefits",
             "benefits_officer.benefits",
             (("grants/benefits_officer.yaml", BENEFITS, BENEFITS.replace("}", ', why: " "}')),)),
        id="L01-grant-without-why", marks=pytest.mark.finding("POL-L01")),
    pytest.param(
        Case("POL-L02", "grants/benefits_officer.yaml", "benefits_officer.benefits", "benefitz",
             (("grants/benefits_officer.yaml", BENEFITS, BENEFITS.replace(" benefits,", " benefitz,")),),
             code="FG-POL-01"),
        id="L02-unknown-class", marks=pytest.mark.finding("POL-L02")),
    pytest.param(
        Case("POL-L02", "agreements/dsa_0005.yaml", "gateways: [", "",
             (("agreements/dsa_0005.yaml", "gateways: [nhs2006.s82]", "gateways: [nhs2006.s82, no.such]"),),
             code="FG-GATE-03"),
        id="L02-unknown-gateway", marks=pytest.mark.finding("POL-L02")),
    pytest.param(
        Case("POL-L02", "policies/routes.yaml", "  policy_change: [", "nobody",
             (("policies/routes.yaml", "  policy_change: [", "  policy_change: [nobody, "),),
             code="FG-POL-01"),
        id="L02-unknown-role-of-a-route", marks=pytest.mark.finding("POL-L02")),
    pytest.param(
        Case("POL-L02", "policies/governance.yaml", "rule: POL-L12", "somebody",
             (("policies/governance.yaml", "social_worker, signed_by: ig_lead",
               "social_worker, signed_by: somebody"),), code="FG-POL-01"),
        id="L02-waiver-that-nobody-signed", marks=pytest.mark.finding("POL-L02")),
    pytest.param(
        Case("POL-L02", "policies/governance.yaml", "rule: POL-L14", "POL-L14",
             (("policies/governance.yaml", "rule: POL-L12", "rule: POL-L14"),), code="FG-POL-01"),
        id="L02-waiver-of-an-error", marks=pytest.mark.finding("POL-L02")),
    pytest.param(
        Case("POL-L02", "grants/benefits_officer.yaml", "benefits_officer.benefits", "nobody",
             (("grants/benefits_officer.yaml", BENEFITS,
               BENEFITS.replace("}", ', obligations: ["second_approver:nobody"]}')),),
             code="FG-POL-01"),
        id="L02-approver-that-is-no-role", marks=pytest.mark.finding("POL-L02")),
    pytest.param(
        Case("POL-L03", "sources/health_flags.yaml", FLAG, "health.flags.flag",
             (("register/nhs2006_s82.yaml", "schedule1: ", "schedule1: [] #"),
              ("sources/health_flags.yaml", FLAG, FLAG + "gateways: [nhs2006.s82], "))),
        id="L03-special-without-condition", marks=pytest.mark.finding("POL-L03")),
    pytest.param(
        Case("POL-L04", "grants/benefits_officer.yaml", "benefits_officer.benefits",
             "benefits_officer.benefits",
             (("gateways/vocabulary.yaml", "  housing: []\n", "  housing: []\n  unused: []\n"),
              ("grants/benefits_officer.yaml", BENEFITS, BENEFITS.replace(" benefits,", " unused,")))),
        id="L04-class-of-no-field", marks=pytest.mark.finding("POL-L04")),
    pytest.param(
        Case("POL-L04", "grants/benefits_officer.yaml", "benefits_officer.benefits",
             "benefits_officer.benefits",
             (("grants/benefits_officer.yaml", BENEFITS, BENEFITS.replace("}", ", agency: health}")),)),
        id="L04-agency-without-role", marks=pytest.mark.finding("POL-L04")),
    pytest.param(
        Case("POL-L05", "agreements/dsa_0005.yaml", "end: 2025-12-31", "",
             (("agreements/dsa_0005.yaml", "end: 2027-12-31", "end: 2025-12-31"),), code="FG-GATE-02"),
        id="L05-ends-before-start", marks=pytest.mark.finding("POL-L05")),
    pytest.param(
        Case("POL-L07", "agreements/dsa_0005.yaml", "purposes:", "dsa_0005.nhs2006.s82",
             (("agreements/dsa_0005.yaml", "purposes: [promote_welfare, safeguard_child]",
               "purposes: [neet_track]"),)),
        id="L07-agreement-and-gateway", marks=pytest.mark.finding("POL-L07")),
    pytest.param(
        Case("POL-L07", "sources/health_flags.yaml", FLAG, "health.flags.flag",
             (("sources/health_flags.yaml", FLAG, FLAG + "purposes: [neet_track], "),)),
        id="L07-field", marks=pytest.mark.finding("POL-L07")),
    pytest.param(
        Case("POL-L08", "sources/health_flags.yaml", FLAG, "health.flags.flag",
             (("sources/health_flags.yaml", FLAG,
               FLAG + "gateways: [nhs2006.s82, ca2004.s16la, dea2017.s35.md], "),)),
        id="L08-body-not-listed", marks=pytest.mark.finding("POL-L08")),
    pytest.param(
        Case("POL-L13", "grants/thematic_analyst.yaml", "id: thematic_analyst.offence,",
             "thematic_analyst.offence",
             (("grants/thematic_analyst.yaml", "thematic_analyst.offence, class: offence, level: token",
               "thematic_analyst.offence, class: offence, level: clear"),)),
        id="L13-analyst-sees-clear", marks=pytest.mark.finding("POL-L13")),
    pytest.param(
        Case("POL-L13", "grants/thematic_analyst.yaml", "id: thematic_analyst.offence,",
             "thematic_analyst.offence",
             (("grants/thematic_analyst.yaml", "thematic_analyst.offence, class: offence, level: token",
               "thematic_analyst.offence, class: identity, level: token"),)),
        id="L13-analyst-sees-names", marks=pytest.mark.finding("POL-L13")),
    pytest.param(
        Case("POL-L13", "grants/benefits_officer.yaml", "benefits_officer.benefits",
             "benefits_officer.benefits",
             (("grants/benefits_officer.yaml", BENEFITS,
               BENEFITS.replace("}", ', obligations: ["second_approver:benefits_officer"]}')),)),
        id="L13-approves-own-request", marks=pytest.mark.finding("POL-L13")),
    pytest.param(
        Case("POL-L14", "grants/police_staff.yaml", "police_staff.police_intel",
             "police_staff.police_intel",
             (("sources/police_occurrences.yaml", "free_text: yes, gateways: []", "free_text: yes"),)),
        id="L14-free-text", marks=pytest.mark.finding("POL-L14")),
    pytest.param(
        Case("POL-L15", "grants/school_lead.yaml", "school_lead.education",
             "school_lead.education",
             (("policies/vocabulary.yaml", "  integer: {banded: held, token: entry, exists: known}",
               "  integer: {banded: held, exists: known}"),)),
        id="L15-missing-transform", marks=pytest.mark.finding("POL-L15")),
    pytest.param(
        Case("POL-L17", "grants/benefits_officer.yaml", "class: benefits", "benefits_officer.contact",
             (("grants/benefits_officer.yaml", BENEFITS,
               BENEFITS.replace("officer.benefits", "officer.contact")),)),
        id="L17-grant-twice", marks=pytest.mark.finding("POL-L17")),
    pytest.param(
        Case("POL-L17", "sources/engine_lists.yaml", "source: engine.groups", "",
             (("sources/engine_lists.yaml", "source: engine.lists", "source: engine.groups"),),
             code="FG-POL-01", others=frozenset({"POL-L02"})),
        id="L17-source-twice", marks=pytest.mark.finding("POL-L17")),
    pytest.param(
        Case("POL-L17", "sources/health_flags.yaml", "Odd Name: {", "",
             (("sources/health_flags.yaml", "  flag_from: {", "  Odd Name: {"),),
             others=frozenset({"POL-L02"})),
        id="L17-field-that-is-no-token", marks=pytest.mark.finding("POL-L17")),
    pytest.param(
        Case("POL-L21", "grants/benefits_officer.yaml", "benefits_officer.benefits",
             "benefits_officer.benefits",
             (("grants/benefits_officer.yaml", BENEFITS, BENEFITS.replace("}", ", purpose: eviction}")),)),
        id="L21-never-served"),
    pytest.param(
        Case("POL-L22", "sources/engine_scores.yaml", "derived_from:", "engine.scores",
             (("sources/engine_scores.yaml", "police.call_cards,", "engine.scores, police.call_cards,"),)),
        id="L22-derived-from-itself"),
    pytest.param(
        Case("POL-L23", "grants/social_worker.yaml", "social_worker.danger.police_intel",
             "social_worker.danger.police_intel",
             (("grants/social_worker.yaml", DANGER, DANGER.replace(', "review_after:1"', "")),)),
        id="L23-break-glass-unreviewed"),
    pytest.param(
        Case("POL-L24", "agreements/dsa_0006.yaml", "gateways:", "dsa_0006.ea2002.s11",
             (("agreements/dsa_0006.yaml", "gateways: [pcsc2022.s16]",
               "gateways: [pcsc2022.s16, ea2002.s11]"),)),
        id="L24-no-gateway"),
    pytest.param(
        Case("POL-L25", "register/nhs2006_s82.yaml", "article6:", "nhs2006.s82",
             (("register/nhs2006_s82.yaml", "article6: [", "article6: [ea, "),)),
        id="L25-recognised-interest"),
    pytest.param(
        Case("POL-L26", "sources/schools_roll.yaml", "ethnicity: {", "schools.roll.ethnicity",
             (("sources/schools_roll.yaml", "lane: equality, part: ethnic_group", "lane: content, part: ethnic_group"),)),
        id="L26-in-the-content-lane"),
    pytest.param(
        Case("POL-L26", "sources/schools_roll.yaml", "ethnicity: {", "schools.roll.ethnicity",
             (("sources/schools_roll.yaml", "[equality_monitoring]}\n  special", "[equality_monitoring, safeguard_child]}\n  special"),)),
        id="L26-serves-more"),
    pytest.param(
        Case("POL-L26", "sources/schools_roll.yaml", "ethnicity: {", "schools.roll.ethnicity",
             (("sources/schools_roll.yaml", "{field: destination, in: [neet]}", "{field: ethnicity, in: [white]}"),)),
        id="L26-an-event-reads-it"),
    pytest.param(
        Case("POL-L26", "sources/schools_roll.yaml", "ethnicity: {", "schools.roll.ethnicity",
             (("sources/schools_roll.yaml", "part: ethnic_group", "part: postcode"),)),
        id="L26-another-part-in-the-lane"),
    pytest.param(
        Case("POL-L26", "grants/benefits_officer.yaml", "benefits_officer.benefits",
             "benefits_officer.benefits",
             (("grants/benefits_officer.yaml", BENEFITS,
               BENEFITS.replace("}", ", purpose: equality_monitoring}")),)),
        id="L26-a-grant-names-it"),
    pytest.param(
        Case("POL-L27", "products/cse.yaml", "evidence:", "cse.stop_search_nfa",
             (("products/cse.yaml", "evidence: [", "evidence: [stop_search_nfa, "),)),
        id="L27-denied-feature", marks=pytest.mark.finding("T-WM3", "T-HA1", "T-NL1", "LAW-27")),
    pytest.param(
        Case("POL-L28", "products/serious_violence.yaml", "evidence:", "serious_violence.child_protection_plan",
             (("products/serious_violence.yaml", "evidence: [", "evidence: [child_protection_plan, "),)),
        id="L28-social-care-in-serious-violence", marks=pytest.mark.finding("LAW-11")),
    pytest.param(
        Case("POL-L28", "products/serious_violence.yaml", "evidence:", "serious_violence.mental_health_concern",
             (("products/serious_violence.yaml", "evidence: [", "evidence: [mental_health_concern, "),)),
        id="L28-health-in-serious-violence", marks=pytest.mark.finding("LAW-11")),
    pytest.param(
        Case("POL-L28", "products/cse.yaml", "evidence:", "cse.purpose",
             (("products/cse.yaml", "purpose: safeguard_child", "purpose: enforcement"),),
             others=frozenset({"POL-L28"})),
        id="L28-punitive-purpose", marks=pytest.mark.finding("T-GM14")),
    pytest.param(
        Case("POL-L30", "products/cse.yaml", "evidence:", "cse.service_acceptance",
             (("products/cse.yaml", "evidence: [", "evidence: [service_acceptance, "),),
             others=frozenset({"POL-L28", "POL-L29"})),
        id="L30-the-label-is-evidence", marks=pytest.mark.finding("T-WM1")),
    pytest.param(
        Case("POL-L31", "products/cce.yaml", "evidence:", "cce.exclusions",
             (("products/cce.yaml", "exclusions: [police_check]", "exclusions: []"),)),
        id="L31-known-from-a-check-only"),
    pytest.param(
        Case("POL-L31", "products/cce.yaml", "evidence:", "cce.family",
             (("products/cce.yaml", "family: own_evidence", "family: highest_member"),)),
        id="L31-a-familys-score", marks=pytest.mark.finding("T-AF6")),
    pytest.param(
        Case("POL-L31", "products/hate.yaml", "evidence:", "hate.kind",
             (("products/hate.yaml", "kind: profile", "kind: list"),)),
        id="L31-a-list-out-of-hate"),
    pytest.param(
        Case("POL-L31", "products/hate.yaml", "evidence:", "hate.lists",
             (("products/hate.yaml", "lists: []", "lists: [hate.harming]"),)),
        id="L31-a-profile-with-a-list"),
]  # fmt: skip

WARNINGS = [
    pytest.param(
        Case("POL-L06", "agreements/dsa_0005.yaml", "end:", "dsa_0005.end",
             (("agreements/dsa_0005.yaml", "end: 2027-12-31", "end: 2026-12-31"),)),
        id="L06-ends-soon", marks=pytest.mark.finding("POL-L06")),
    pytest.param(
        Case("POL-L08", "sources/health_flags.yaml", FLAG, "health.flags.flag",
             (("register/nhs2006_s82.yaml", "kind: ", "kind: general_power #"),
              ("sources/health_flags.yaml", FLAG, FLAG + "gateways: [nhs2006.s82], ")),
             others=frozenset({"POL-L09"})),
        id="L08-general-power-alone", marks=pytest.mark.finding("POL-L08")),
    pytest.param(
        Case("POL-L09", "grants/benefits_officer.yaml", "benefits_officer.score",
             "benefits_officer.score",
             (("grants/benefits_officer.yaml", BENEFITS,
               BENEFITS + "  - {id: benefits_officer.score, class: score, level: token}\n"),)),
        id="L09-opens-nothing", marks=pytest.mark.finding("POL-L09")),
    pytest.param(
        Case("POL-L09", "grants/benefits_officer.yaml", "benefits_officer.benefits,",
             "benefits_officer.benefits",
             (("caps/records.yaml", "caps:\n", "caps:\n" + "".join(
                 CAP.replace("cap.slip", f"cap.slip.{value}").replace('"y"', f'"{value}"')
                 .replace("[health_flag]", "[benefit_cap_flag, benefit_status, benefits_detail, free_school_meals]") for value in "yn")),)),
        id="L09-always-capped", marks=pytest.mark.finding("POL-L09")),
    pytest.param(
        Case("POL-L10", "grants/benefits_officer.yaml", "benefits_officer.more",
             "benefits_officer.more",
             (("grants/benefits_officer.yaml", BENEFITS,
               BENEFITS + "  - {id: benefits_officer.more, class: benefits, level: exists}\n"),)),
        id="L10-adds-nothing", marks=pytest.mark.finding("POL-L10")),
    pytest.param(
        Case("POL-L11", "caps/records.yaml", "id: cap.slip", "cap.slip",
             (("caps/records.yaml", "caps:\n", "caps:\n" + CAP),)),
        id="L11-never-bites", marks=pytest.mark.finding("POL-L11")),
    pytest.param(
        Case("POL-L12", "policies/vocabulary.yaml", "  social_worker: {", "social_worker",
             (("policies/governance.yaml", "rule: POL-L12, subject: social_worker",
               "rule: POL-L12, subject: front_door"),)),
        id="L12-broad", marks=pytest.mark.finding("POL-L12")),
    pytest.param(
        Case("POL-L16", "grants/benefits_officer.yaml", "benefits_officer.benefits,",
             "benefits_officer.benefits",
             (("grants/benefits_officer.yaml", BENEFITS, BENEFITS + BENEFITS.replace(
                 "benefits, class", "stricter, class").replace(
                 "}", ', obligations: [justify, case_ref, watermark, "time_box:15", notify]}')),)),
        id="L16-only-obligations-differ", marks=pytest.mark.finding("POL-L16")),
    pytest.param(
        Case("POL-L16", "grants/benefits_officer.yaml", "benefits_officer.other,",
             "benefits_officer.other",
             (("grants/benefits_officer.yaml", BENEFITS, BENEFITS + BENEFITS.replace(
                 "benefits, class", "other, class").replace(
                 "}", ', obligations: [justify, case_ref, notify, "time_box:15"]}')),)),
        id="L16-beside-and-not-within", marks=pytest.mark.finding("POL-L16")),
    pytest.param(
        Case("POL-L18", "sources/health_flags.yaml", "flag_from: {", "health.flags.flag_from",
             (("sources/health_flags.yaml", "columns: [FlagFrom], ", ""),)),
        id="L18-never-in-a-file", marks=pytest.mark.finding("POL-L18")),
    pytest.param(
        Case("POL-L19", "register/nhs2006_s82.yaml", "reviewed_on:", "nhs2006.s82",
             (("register/nhs2006_s82.yaml", "reviewed_on: ", "reviewed_on: 2025-11-24 #"),)),
        id="L19-review-overdue", marks=pytest.mark.finding("POL-L19")),
]  # fmt: skip


def _apply(folders: Folders, case: Case) -> tuple[str, str, int]:
    for file, old, new in case.edits:
        _edit(folders, file, old, new)
    return case.rule, case.file, _line(folders, case.file, case.at)


def test_the_shipped_pack_has_no_finding_that_nobody_signed_for(pack: Pack) -> None:
    assert _unwaived(pack) == []
    assert {one.severity for one in lint(pack, TODAY)} == {"W"}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_refuses_the_pack_with_rule_file_and_line(folders: Folders, case: Case) -> None:
    expected = _apply(folders, case)
    error = _refused(folders)
    assert expected in _at(error.findings)
    assert {one.rule for one in error.findings} <= {case.rule} | case.others
    (found,) = [
        one
        for one in error.findings
        if (one.rule, one.file, one.line) == expected and case.subject in ("", one.subject)
    ][:1]
    assert (found.severity, found.code, found.subject) == ("E", case.code, case.subject)
    assert f"{found.file}:{found.line} {found.rule}" in str(error)
    assert read_pack(*folders)[0] is None


@pytest.mark.parametrize("case", WARNINGS)
@pytest.mark.deep
def test_a_warning_leaves_the_pack_loaded_and_waits_for_a_waiver(
    folders: Folders, case: Case
) -> None:
    expected = _apply(folders, case)
    findings = _unwaived(load_pack(*folders))
    found = [one for one in findings if (one.rule, one.subject) == (case.rule, case.subject)]
    assert _at(found) == {expected}
    assert {(one.severity, one.code) for one in findings} == {("W", case.code)}
    assert {one.rule for one in findings} <= {case.rule} | case.others


@pytest.mark.finding("POL-L18")
def test_a_submitted_column_that_no_field_names_is_a_warning(pack: Pack) -> None:
    found = _unwaived(pack, submitted={"health.flags": ["Religion"], "no.such": ["A"]})
    assert [(one.rule, one.file, one.line, one.severity, one.subject) for one in found] == [
        ("POL-L18", "sources", 1, "W", "no.such.A"),
        ("POL-L18", "sources/health_flags.yaml", 1, "W", "health.flags.Religion"),
    ]


@pytest.mark.finding("POL-L20")
def test_a_row_that_casbin_lost_is_an_error(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_pack(*folders)
    load = RowAdapter.load_policy

    def lossy(self: RowAdapter, model: object) -> None:
        self.rows = self.rows[1:]
        load(self, model)

    monkeypatch.setattr(RowAdapter, "load_policy", lossy)
    errors = [one for one in lint(whole, TODAY) if one.severity == "E"]
    assert ("POL-L20", "sources/health_flags.yaml", 1) in _at(errors)
    assert {(one.rule, one.code) for one in errors} == {("POL-L20", "FG-POL-09")}
    assert not any(waived(whole, one, TODAY) for one in errors)


def test_errors_of_several_files_are_all_told_at_once(folders: Folders) -> None:
    cases = [
        case
        for case in (parameter.values[0] for parameter in ERRORS)
        if isinstance(case, Case) and case.rule in ("POL-L14", "POL-L21", "POL-L22", "POL-L24")
    ]
    expected = {_apply(folders, case) for case in cases}
    error = _refused(folders)
    assert len(expected) == 4
    assert _at(error.findings) == expected
    assert all(f"{file}:{line} {rule}" in str(error) for rule, file, line in expected)


def test_an_unknown_word_of_a_grant_does_not_hide_what_is_wrong_with_another(
    folders: Folders,
) -> None:
    _edit(folders, "grants/benefits_officer.yaml", BENEFITS, BENEFITS.replace(" benefits,", " bx,"))
    _edit(
        folders,
        "grants/employment_adviser.yaml",
        "{id: employment_adviser.contact, ",
        "{id: employment_adviser.contact, purpose: eviction, ",
    )
    assert {one.rule for one in _refused(folders).findings} == {"POL-L02", "POL-L21"}


def test_a_fault_of_the_law_keeps_its_code_beside_faults_of_the_pack(folders: Folders) -> None:
    _edit(folders, "agreements/dsa_0005.yaml", "end: 2027-12-31", "end: 2025-12-31")
    _edit(folders, "caps/records.yaml", "caps:\n", "caps:\n" + CAP.replace("benefits_", "no_"))
    error = _refused(folders)
    assert isinstance(error, GatewayFault)
    assert error.code == "FG-GATE-02"
    assert {one.code for one in error.findings} == {"FG-GATE-02", "FG-POL-01"}


def test_unreadable_files_and_unknown_words_are_told_together(folders: Folders) -> None:
    for file in ("register/nhs2006_s82.yaml", "caps/records.yaml"):
        path = _path(folders, file)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    _edit(folders, "grants/benefits_officer.yaml", BENEFITS, BENEFITS.replace(" clear", " bright"))
    line = _line(folders, "grants/benefits_officer.yaml", "bright")
    found = _at(_refused(folders).findings)
    assert ("POL-L17", "register/nhs2006_s82.yaml", 1) in found
    assert ("POL-L17", "caps/records.yaml", 1) in found
    assert ("POL-L02", "grants/benefits_officer.yaml", line) in found


@pytest.mark.finding("POL-L17")
@pytest.mark.parametrize("file", ["grants/benefits_officer.yaml", "policies/routes.yaml",
                                  "register/nhs2006_s82.yaml", "agreements/dsa_0005.yaml",
                                  "gateways/vocabulary.yaml", "agreements/parties.yaml"])  # fmt: skip
@pytest.mark.parametrize("slip", ["bom", "twice", "latin", "folder", "empty"])
def test_a_file_that_cannot_be_read_is_a_finding_and_no_crash(
    folders: Folders, file: str, slip: str
) -> None:
    path = _path(folders, file)
    raw = path.read_bytes()
    line = 1
    if slip == "bom":
        path.write_bytes(b"\xef\xbb\xbf" + raw)
    elif slip == "twice":
        key = next(
            row for row in raw.decode().splitlines() if row[:1].isalpha() and ":" in row
        ).partition(":")[0]
        path.write_bytes(raw + f"\n{key}: again\n".encode())
        line = raw.count(b"\n") + 2
    elif slip == "latin":
        path.write_bytes(raw + b"\n# caf\xe9\n")
        line = raw.count(b"\n") + 2
    elif slip == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(b"")
    error = _refused(folders)
    assert ("POL-L17", file, line) in _at(error.findings)
    assert {one.code for one in error.findings if one.rule == "POL-L17"} == {"FG-GATE-01"}


@pytest.mark.finding("POL-L17")
@pytest.mark.parametrize(
    "folder", ["sources", "grants", "caps", "register", "agreements", "policies", "gateways"]
)
def test_a_missing_folder_is_a_finding_and_no_crash(folders: Folders, folder: str) -> None:
    register, pack = folders
    places = {"policies": pack, "gateways": register}
    place = places.get(folder, _path(folders, f"{folder}/x").parent)
    shutil.rmtree(place)
    found = [one for one in _refused(folders).findings if one.rule == "POL-L17"]
    file = f"{folder}/vocabulary.yaml" if folder in places else folder
    assert (file, 1, "FG-GATE-01", "E") in {
        (one.file, one.line, one.code, one.severity) for one in found
    }


@pytest.mark.deep
def test_a_waiver_silences_one_warning_and_only_until_its_day(folders: Folders) -> None:
    for file in ("register/nhs2006_s82.yaml", "register/ca2004_s10.yaml"):
        _edit(folders, file, "reviewed_on: ", "reviewed_on: 2025-11-24 #")
    bare = load_pack(*folders)
    assert {one.subject for one in _unwaived(bare)} == {"nhs2006.s82", "ca2004.s10"}
    last = TODAY + timedelta(days=1)
    for rule, subject, left in (
        ("POL-L19", "nhs2006.s82", {"ca2004.s10"}),
        ("POL-L18", "nhs2006.s82", {"nhs2006.s82", "ca2004.s10"}),
        ("POL-L19", "nhs2006", {"nhs2006.s82", "ca2004.s10"}),
    ):
        waiver = Waiver(rule, subject, "ig_lead", last, "Read next week")
        governance = replace(
            bare.governance,
            waivers=(*bare.governance.waivers, waiver),
        )
        signed = replace(bare, governance=governance)
        assert {one.subject for one in _unwaived(signed)} == left
        assert {one.subject for one in _unwaived(signed, last)} == left
        after = {one.subject for one in _unwaived(signed, last + timedelta(days=1))}
        assert {"nhs2006.s82", "ca2004.s10"} <= after


def test_a_waiver_never_silences_an_error(pack: Pack) -> None:
    waiver = Waiver("POL-L21", "a.grant", "ig_lead", TODAY, "No")
    signed = replace(pack, governance=replace(pack.governance, waivers=(waiver,)))
    finding = LintFinding("f", 1, "FG-POL-02", "POL-L21", "m", "n", "E", "a.grant")
    assert not waived(signed, finding, TODAY)
    assert waived(signed, replace(finding, severity="W"), TODAY)


@pytest.mark.parametrize(
    ("left", "notice"),
    [(61, None), (60, 60), (31, 60), (30, 30), (8, 30), (7, 7), (1, 7), (0, 7), (-1, 0)],
)
@pytest.mark.parametrize("what", ["end", "review", "dpia"])
def test_notice_begins_at_60_30_and_7_days(
    pack: Pack, what: str, left: int, notice: int | None
) -> None:
    far = TODAY + timedelta(days=400)
    days = {"end": far, "review": far, "dpia": far, what: TODAY + timedelta(days=left)}
    agreement = replace(
        pack.register.agreements["dsa_0005"],
        end=days["end"],
        review=days["review"],
        dpia_expires=days["dpia"],
    )
    register = replace(pack.register, agreements={"dsa_0005": agreement})
    found = expiring(register, TODAY)
    if notice is None:
        assert found == []
        return
    (one,) = found
    assert (one.agreement, one.what, one.days_left, one.notice) == ("dsa_0005", what, left, notice)
    assert one.last_day == days[what]
    assert one.as_dict()["stops"] == ["health.flags", "health.maternity"]


def test_gaps_lists_what_nobody_has_settled(pack: Pack) -> None:
    def found(register: Register, on: date = TODAY) -> set[tuple[str, str]]:
        return {(row["gateway"], row["gap"]) for row in gaps(register, on)}

    rows = found(pack.register)
    for name, record in pack.register.gateways.items():
        for part in record.unverified:
            assert (name, f"unverified {part}") in rows
        for body in record.unverified_from | record.unverified_to:
            assert (name, f"party {body}") in rows
        assert ((name, "not verified") in rows) is not record.verified
        assert ((name, "no first day") in rows) is (record.in_force_from is None)
    assert ("dea2017.s35.md", "unverified allow") in rows
    assert not any(gap == "review overdue" for _, gap in rows)
    late = TODAY + timedelta(days=366)
    assert ("dea2017.s35.md", "review overdue") in found(pack.register, late)
    bare = replace(pack.register, agreements={})
    assert ("dea2017.s35.md", "no agreement") in found(bare) - rows
