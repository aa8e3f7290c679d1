"""The law's requirements LAW-1 to LAW-14, one thing taken away from an open flow at a time.

Every case starts from a flow that the shipped register leaves open and changes one thing; the keys
of the refusal are compared whole, so that no other check answers in place of the one under test.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

import gateways.load
import policies.load
from gateways.catalogue import CONDITIONS, DEA_EXITS, EHC_EXCEPTIONS, NO_CONSENT
from gateways.check import condition_findings, flow_findings
from gateways.conditions import Evidence, Flow, When
from gateways.model import PERMITTING, Agreement, Finding, Kind, Register
from policies.lint import errors
from policies.model import Pack

TODAY = date(2026, 11, 25)
S115, DEA, S16LA, PCSC = "cda1998.s115", "dea2017.s35.md", "ca2004.s16la", "pcsc2022.s16"
CFA23, EHC, ESA14, ESA16 = "cfa2014.s23", "cfa2014.s25", "esa2008.s14", "esa2008.s16"
SCHOOL, ISSR, CARE, S10, IAA = (
    "ea2002.s175",
    "issr2014.welfare",
    "hsca2012.s251b",
    "ca2004.s10",
    "iaa1999.s20",
)

NOTES = {
    **dict.fromkeys(
        (
            *("implied_power", "necessity", "confidence", "caldicott", "lawyer_confirmed"),
            *("commencement", "no_bar", "provision", "wellbeing", "not_punitive", "dea_code"),
            *("public_register", "hmrc_consent", "provider_arrangement", "recipient_function"),
            *("provider_service", "regulations", "part_iii", "compatible", "la_request", "part_1"),
            *("relevant_purpose", "chapter_1", "serious_violence", "qualifying_persons"),
            *("la_funded", "immigration_dpia", "immigration_dpo", "immigration_caldicott", "apd"),
            *("part3_crossing", "opt_outs_left_out"),
        ),
        "recorded",
    ),
    "objective": "multiple_disadvantages",
    "use": "objective",
    "onward_exit": "consent",
    "prescribed_purpose": "council_tax_reduction",
    "immigration_first": "one officer",
    "immigration_second": "another officer",
    "no_consent_reason": "would_prejudice",
}

NOTIFIED = {
    "parent_informed_on": date(2026, 11, 1),
    "discussion_offered_on": date(2026, 11, 1),
    "notified_on": date(2026, 11, 2),
}


@pytest.fixture(scope="module")
def register() -> Register:
    return gateways.load.load_register(gateways.load.shipped())


@pytest.fixture(scope="module")
def pack() -> Pack:
    return policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())


@dataclass(frozen=True)
class Ask:
    """A flow, the law and agreement it rests on, and what is changed in either.

    Attributes:
        law: Values of the gateway's record that replace the shipped ones.
        deal: Values of the agreement that replace the full one's.
        drop: Notes that the agreement does not hold.
        notes: Notes that it holds with another text.
        facts: What is known of the person, or stated by whoever asks.
    """

    gateway: str
    from_body: str
    to_body: str
    category: str
    purpose: str
    regime: str = "ukgdpr"
    retention: bool = True
    on: date = TODAY
    origins: frozenset[str] | None = None
    inputs: frozenset[str] | None = None
    law: dict[str, Any] = field(default_factory=dict)
    deal: dict[str, Any] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)
    suspended: bool = False

    def flow(self) -> Flow:
        """Return the flow."""
        origins = frozenset({self.from_body}) if self.origins is None else self.origins
        return Flow(
            from_body=self.from_body,
            to_body=self.to_body,
            category=self.category,
            has_retention=self.retention,
            as_of=self.on,
            purpose=self.purpose,
            regime=self.regime,
            origins=origins,
            inputs=frozenset({self.category}) if self.inputs is None else self.inputs,
        )

    def keys(self, register: Register) -> set[str]:
        """Return the keys of every reason against it: flow, row and request."""
        gateway = replace(register.gateways[self.gateway], **self.law)
        deal = replace(full(register), **self.deal)
        kept = {name: text for name, text in deal.notes.items() if name not in self.drop}
        deal = replace(deal, notes={**kept, **self.notes})
        if self.suspended:
            register = replace(register, suspended=frozenset({deal.id}))
        flow = self.flow()
        found: list[Finding] = list(flow_findings(register, gateway, deal, flow))
        for when in (When.ROW, When.REQUEST):
            found += condition_findings(register, gateway, deal, flow, when, self.facts)
        return {one.key for one in found}


def full(register: Register) -> Agreement:
    """Return an agreement that relies on every gateway for every purpose and holds every note."""
    return replace(
        register.agreements["dsa_0001"],
        gateways=frozenset(register.gateways),
        purposes=frozenset(register.vocabulary.purposes),
        start=date(2020, 1, 1),
        end=date(2030, 12, 31),
        review=date(2030, 12, 31),
        dpia_expires=date(2030, 12, 31),
        notes=dict(NOTES),
    )


SAFE = {"reason_given": True, "not_more_detrimental": True, "decision_recorded": True}
_S25_ALLOWS = {"allow": frozenset({"send_status", "ehc_plan"})}
OPEN = {
    "s115": Ask(S115, "school", "police", "offending_status", "crime_prevention"),
    "dea": Ask(DEA, "school", "la", "attendance", "early_help", facts={"dea_factors": 2}),
    "s16la": Ask(S16LA, "police", "la", "offending_status", "safeguard_child", facts=SAFE),
    "score": Ask(S16LA, "la", "police", "risk_score", "safeguard_child", facts=SAFE),
    "pcsc": Ask(PCSC, "police", "la", "offending_status", "serious_violence_prevention"),
    "cfa23": Ask(CFA23, "nhs_trust", "la", "send_opinion", "send_identify",
                 facts={"age_years": 4, **NOTIFIED}),
    "ehc": Ask(EHC, "la", "icb", "ehc_plan", "send_provision", law=_S25_ALLOWS,
               facts={"consent": True}),
    "esa14": Ask(ESA14, "school", "la", "attendance", "neet_track",
                 facts={"age_years": 16, "opted_out": False}),
    "esa16": Ask(ESA16, "police", "la", "neet", "neet_track"),
    "school": Ask(SCHOOL, "school", "la", "attendance", "school_safeguarding",
                  facts={"on_roll": True}),
    "issr": Ask(ISSR, "academy", "la", "attendance", "school_safeguarding",
                facts={"on_roll": True}),
    "care": Ask(CARE, "nhs_trust", "adult_social_care", "health_detail", "direct_care",
                facts={"facilitates_care": True, "best_interests": True, "objection": False,
                       "anonymous_access": False}),
    "s10": Ask(S10, "la", "school", "care_status", "early_help"),
}  # fmt: skip


@pytest.mark.finding("LAW-1")
@pytest.mark.parametrize("name", OPEN)
def test_the_base_of_every_case_is_open(register: Register, name: str) -> None:
    assert OPEN[name].keys(register) == set()


def _case(law: str, base: str, change: dict[str, Any], *keys: str) -> Any:
    """A case: requirement, open base, what changes, and every key that must come of it."""
    label = " ".join(
        f"{name}={sorted(value) if isinstance(value, frozenset) else value}"
        for name, value in change.items()
    )[:70]
    ask = replace(OPEN[base], **change)
    return pytest.param(ask, set(keys), id=f"{law} {base} {label}", marks=pytest.mark.finding(law))


def _without(law: str, base: str, note: str, *parts: str) -> Any:
    gateway = OPEN[base].gateway
    return _case(law, base, {"drop": (note,)}, *(f"E10:{gateway}.{part}" for part in parts))


NO_BODY: frozenset[str] = frozenset()
CASES = [
    # LAW-1: each element of the gateway has a reason of its own.
    _case("LAW-1", "s10", {"from_body": "dwp"}, f"E06:{S10}.from"),
    _case("LAW-1", "s10", {"to_body": "dwp"}, f"E06:{S10}.to"),
    _case("LAW-1", "s10", {"purpose": "neet_track"}, f"E04:{S10}.purpose"),
    _case("LAW-1", "s10", {"category": "attainment"}, f"E03:{S10}.category"),
    _case("LAW-1", "s10", {"law": {"deny": frozenset({"care_status"})}}, f"E03:{S10}.deny"),
    _case("LAW-1", "s10", {"law": {"in_force_from": TODAY + timedelta(days=1)}}, f"E03:{S10}.in_force"),
    _case("LAW-1", "s10", {"law": {"in_force_to": TODAY - timedelta(days=1)}}, f"E03:{S10}.in_force"),
    _case("LAW-1", "s10", {"law": {"in_force_from": None}}, f"E03:{S10}.in_force"),
    _case("LAW-1", "s10", {"law": {"enabled": False}}, f"E03:{S10}.enabled"),
    _case("LAW-1", "s10", {"deal": {"gateways": NO_BODY}}, "E09:dsa_0001"),
    _case("LAW-1", "s10", {"deal": {"purposes": NO_BODY}}, "E08:dsa_0001"),
    _case("LAW-1", "s10", {"retention": False}, f"E10:{S10}.retention_stated"),
    _without("LAW-1", "s10", "implied_power", "implied_power_note"),
    _without("LAW-1", "issr", "implied_power", "implied_power_note"),
    _without("LAW-1", "s10", "necessity", "necessity_recorded"),
    _case("LAW-1", "s115", {"from_body": "district", "to_body": "pcc", "drop": ("lawyer_confirmed",)},
          f"E06:{S115}.to_unverified", f"E10:{S115}.recipient_is_relevant_authority"),
    _case("LAW-1", "esa16", {"from_body": "icb", "drop": ("lawyer_confirmed",)}, f"E06:{ESA16}.from_unverified"),
    # LAW-2: only a power, a duty or a function permits.
    *(_case("LAW-2", "s115", {"law": {"kind": kind}}, f"E03:{S115}.kind") for kind in sorted(set(Kind) - PERMITTING)),
    _case("LAW-2", "s10", {"law": {"conditions": ("never_sole_gateway",)}}, f"E10:{S10}.never_sole_gateway"),
    _case("LAW-2", "s10", {"law": {"conditions": ("needs_other_gateway",)}}, f"E10:{S10}.needs_other_gateway"),
    # LAW-3: six answers.
    _case("LAW-3", "score", {"law": {"kind": Kind.GENERAL_POWER}}, f"E03:{S16LA}.kind"),
    _without("LAW-3", "score", "confidence", "confidence", "confidence_basis"),
    _case("LAW-3", "score", {"notes": {"confidence": "  "}}, f"E10:{S16LA}.confidence", f"E10:{S16LA}.confidence_basis"),
    *(_case("LAW-3", "score", {"law": {part: ()}}, f"E10:{S16LA}.{part}")
      for part in ("article6", "article9", "article10", "schedule1")),
    _without("LAW-3", "cfa23", "confidence", "confidence"),
    # An unknown class of data takes the stricter reading.
    _case("LAW-3", "s10", {"category": "new", "law": {"allow": frozenset({"new"}), "article9": (), "article10": ()}},
          f"E10:{S10}.article9", f"E10:{S10}.article10"),
    # LAW-4: combinations that cannot be.
    _case("LAW-4", "s10", {"law": {"article6": ("e", "ea")}}, f"E10:{S10}.art6_ea"),
    _case("LAW-4", "s10", {"law": {"article6": ("ea",)}}, f"E10:{S10}.art6_ea", f"E10:{S10}.article6"),
    _case("LAW-4", "score", {"law": {"schedule1": ("p6", "p8")}}, f"E10:{S16LA}.sch1_p8"),
    _case("LAW-4", "score", {"law": {"schedule1": ("p8",)}}, f"E10:{S16LA}.sch1_p8", f"E10:{S16LA}.schedule1"),
    _without("LAW-4", "score", "apd", "apd"),
    _case("LAW-4", "score", {"law": {"schedule1": ("p6",)}, "drop": ("apd",)}, f"E10:{S16LA}.apd"),
    _case("LAW-4", "score", {"law": {"schedule1": ("p18",)}, "drop": ("apd",)}, f"E10:{S16LA}.apd"),
    _without("LAW-4", "score", "no_consent_reason", "no_consent_reason"),
    _case("LAW-4", "score", {"notes": {"no_consent_reason": "busy"}}, f"E10:{S16LA}.no_consent_reason"),
    _case("LAW-4", "score", {"law": {"schedule1": ("p6",)}, "drop": ("no_consent_reason",)}),
    _case("LAW-4", "s10", {"drop": ("apd", "no_consent_reason")}),
    # LAW-38: leaving the law-enforcement regime.
    _case("LAW-38", "s16la", {"regime": "le_part3"}),
    _case("LAW-38", "s16la", {"regime": "le_part3", "drop": ("part3_crossing",)}, f"E10:{S16LA}.part3_crossing"),
    _case("LAW-38", "s115", {"regime": "le_part3", "from_body": "probation", "drop": ("part3_crossing",)}),
    _case("LAW-38", "s115", {"regime": "le_part3", "to_body": "la", "drop": ("part3_crossing",)}, f"E10:{S115}.part3_crossing"),
    # LAW-5: Digital Economy Act.
    *(_case("LAW-5", "dea", {"from_body": body},
            f"E06:{DEA}.never_party", f"E06:{DEA}.from", f"E10:{DEA}.both_specified_persons")
      for body in ("nhs_trust", "nhs_ft", "icb", "nhs_england", "gp_practice", "gla", "pcc", "charity", "yot",
                   "ofgem", "land_registry")),
    *(_case("LAW-5", "dea", {"to_body": body},
            f"E06:{DEA}.never_party", f"E06:{DEA}.to", f"E10:{DEA}.both_specified_persons")
      for body in ("icb", "gp_practice", "gla", "pcc")),
    _case("LAW-5", "dea", {"origins": frozenset({"school", "icb"})}, f"E06:{DEA}.never_party"),
    *(_case("LAW-5", "dea", {"facts": facts}, f"E10:{DEA}.two_or_more_factors")
      for facts in ({}, {"dea_factors": 1}, {"dea_factors": None}, {"dea_factors": True}, {"dea_factors": "2"})),
    _without("LAW-5", "dea", "objective", "same_objective_both"),
    _case("LAW-5", "dea", {"notes": {"objective": "fuel_poverty"}}, f"E10:{DEA}.same_objective_both"),
    _without("LAW-5", "dea", "wellbeing", "wellbeing_purpose"),
    _without("LAW-5", "dea", "not_punitive", "not_punitive"),
    _without("LAW-5", "dea", "dea_code", "dea_code_regard"),
    _without("LAW-5", "dea", "public_register", "agreement_on_register"),
    _without("LAW-5", "dea", "use", "use_s40_only"),
    _case("LAW-5", "dea", {"notes": {"use": "marketing"}}, f"E10:{DEA}.use_s40_only"),
    _case("LAW-5", "dea", {"deal": {"dpia": ""}}, f"E10:{DEA}.dpia_ref"),
    _case("LAW-5", "dea", {"retention": False}, f"E10:{DEA}.retention_stated"),
    _case("LAW-5", "dea", {"from_body": "specified_service_provider"}),
    _case("LAW-5", "dea", {"from_body": "specified_service_provider", "drop": ("provider_arrangement",)},
          f"E10:{DEA}.provider_of_specified_public_authority"),
    _case("LAW-5", "dea", {"origins": frozenset({"police"})}),
    _case("LAW-5", "dea", {"origins": frozenset({"police"}), "drop": ("onward_exit",)}, f"E10:{DEA}.onward_s41_only"),
    _case("LAW-5", "dea", {"origins": frozenset({"police"}), "notes": {"onward_exit": "convenient"}},
          f"E10:{DEA}.onward_s41_only"),
    _case("LAW-5", "dea", {"from_body": "hmrc"}),
    _case("LAW-5", "dea", {"from_body": "hmrc", "drop": ("hmrc_consent",)}, f"E10:{DEA}.hmrc_consent_if_hmrc"),
    *(_case("LAW-5", "dea", {"from_body": "dwp", "origins": frozenset({"hmrc"}), "notes": {"onward_exit": way}},
            f"E10:{DEA}.onward_s41_only") for way in sorted(DEA_EXITS)),
    # LAW-6: Crime and Disorder Act s.115.
    *(_case("LAW-6", "s115", {"to_body": body}, f"E06:{S115}.to", f"E10:{S115}.recipient_is_relevant_authority")
      for body in ("school", "academy", "gp_practice", "charity", "fire")),
    *(_case("LAW-6", "s115", {"to_body": body}) for body in ("police", "la", "district", "pcc")),
    _case("LAW-6", "s115", {"to_body": "la", "drop": ("provision",)}, f"E10:{S115}.cda_provision_cited"),
    _without("LAW-6", "s115", "provision", "cda_provision_cited"),
    _without("LAW-6", "s115", "necessity", "necessary_or_expedient"),
    # LAW-7: Children and Families Act s.23.
    _case("LAW-7", "cfa23", {"facts": {"age_years": 4, "notified_on": date(2026, 11, 2)}},
          f"E10:{CFA23}.parent_informed", f"E10:{CFA23}.parent_discussion_offered"),
    _case("LAW-7", "cfa23", {"facts": {"age_years": 4, **NOTIFIED, "parent_informed_on": None}},
          f"E10:{CFA23}.parent_informed"),
    _case("LAW-7", "cfa23", {"facts": {"age_years": 4, **NOTIFIED, "parent_informed_on": date(2026, 11, 3)}},
          f"E10:{CFA23}.parent_informed"),
    _case("LAW-7", "cfa23", {"facts": {"age_years": 4, **NOTIFIED, "discussion_offered_on": None}},
          f"E10:{CFA23}.parent_discussion_offered"),
    _case("LAW-7", "cfa23", {"facts": {"age_years": 4, **NOTIFIED, "notified_on": TODAY + timedelta(days=1)}},
          f"E10:{CFA23}.parent_informed", f"E10:{CFA23}.parent_discussion_offered"),
    *(_case("LAW-7", "cfa23", {"facts": {"age_years": age, **NOTIFIED}}, f"E10:{CFA23}.under_compulsory_school_age")
      for age in (5, 10, None)),
    # LAW-8: EHC plans, ESA 2008.
    *(_case("LAW-8", "ehc", {"facts": facts}, "E10:send2014.r17.child_consent_or_listed_exception")
      for facts in ({}, {"consent": None}, {"consent": "yes"}, {"ehc_exception": "useful"})),
    *(_case("LAW-8", "ehc", {"facts": {"ehc_exception": code}}) for code in sorted(EHC_EXCEPTIONS)),
    _case("LAW-8", "ehc", {"law": {}}, f"E03:{EHC}.category"),
    _case("LAW-8", "esa14", {"facts": {"age_years": 16, "opted_out": True}}, f"E10:{ESA14}.no_opt_out_for_non_basic"),
    _case("LAW-8", "esa14", {"facts": {"age_years": 16}, "drop": ("opt_outs_left_out",)},
          f"E10:{ESA14}.no_opt_out_for_non_basic"),
    _case("LAW-8", "esa14", {"facts": {"age_years": 16, "opted_out": True}, "category": "parent_identity"}),
    _case("LAW-8", "esa14", {"facts": {"age_years": 15, "opted_out": False}}, f"E10:{ESA14}.age_16_17_or_part1_person"),
    _without("LAW-8", "esa14", "la_request", "la_request_ref"),
    _case("LAW-8", "esa14", {"gateway": "esa2008.s15", "from_body": "dwp", "category": "benefit_status"},
          "E03:esa2008.s15.kind", "E03:esa2008.s15.enabled", "E03:esa2008.s15.category", "E04:esa2008.s15.purpose",
          "E06:esa2008.s15.from", "E06:esa2008.s15.to", "E10:esa2008.s15.article6"),
    *(_case("LAW-8", "esa16", {"to_body": body}, f"E06:{ESA16}.to")
      for body in ("support_service_provider", "commissioned_provider", "charity")),
    _without("LAW-8", "esa16", "part_1", "esa_part1_function"),
    # LAW-10: Children Act 2004 s.16LA.
    _case("LAW-10", "s16la", {"on": date(2026, 9, 29)}, f"E03:{S16LA}.in_force"),
    _case("LAW-10", "s16la", {"on": date(2026, 9, 30)}),
    _without("LAW-10", "s16la", "commencement", "commencement_confirmed"),
    _without("LAW-10", "s16la", "recipient_function", "facilitates_recipient_function"),
    _without("LAW-10", "s16la", "confidence", "confidence", "confidence_basis"),
    _case("LAW-10", "s16la", {"from_body": "commissioned_provider", "drop": ("provider_service",)},
          f"E10:{S16LA}.provider_service_link"),
    _case("LAW-10", "s16la", {"facts": {**SAFE, "not_more_detrimental": False}}, f"E10:{S16LA}.not_more_detrimental"),
    _case("LAW-10", "s16la", {"facts": {**SAFE, "not_more_detrimental": None}}, f"E10:{S16LA}.not_more_detrimental"),
    _case("LAW-10", "s16la", {"facts": {**SAFE, "decision_recorded": False}}, f"E10:{S16LA}.decision_recorded"),
    _case("LAW-10", "s16la", {"facts": {**SAFE, "reason_given": False}}, f"E10:{S16LA}.relevant_to_welfare"),
    # LAW-11: Police, Crime, Sentencing and Courts Act s.16.
    _case("LAW-11", "pcsc", {"category": "patient_record"},
          f"E03:{PCSC}.deny", f"E10:{PCSC}.no_health_derived_feature"),
    _case("LAW-11", "pcsc", {"category": "risk_score", "inputs": frozenset({"offending_status"}),
                             "law": {"allow": frozenset({"risk_score"})}}),
    _case("LAW-11", "pcsc", {"category": "risk_score", "inputs": frozenset({"offending_status", "health_flag"}),
                             "law": {"allow": frozenset({"risk_score"})}}, f"E10:{PCSC}.no_health_derived_feature"),
    _case("LAW-11", "pcsc", {"origins": frozenset({"police", "icb"})}, f"E10:{PCSC}.not_from_health_or_social_care"),
    _case("LAW-11", "pcsc", {"inputs": frozenset({"offending_status", "social_work"})},
          f"E10:{PCSC}.not_from_health_or_social_care"),
    _case("LAW-11", "pcsc", {"from_body": "icb"}, f"E06:{PCSC}.from", f"E10:{PCSC}.not_from_health_or_social_care"),
    _without("LAW-11", "pcsc", "chapter_1", "chapter1_function_cited"),
    _without("LAW-11", "pcsc", "serious_violence", "serious_violence_s13"),
    # LAW-1 again, with the parties that law_verified.md C corrects.
    _case("LAW-1", "school", {"from_body": "academy"}, f"E06:{SCHOOL}.from"),
    _case("LAW-1", "school", {"to_body": "academy"}, f"E06:{SCHOOL}.to"),
    _case("LAW-1", "school", {"facts": {}}, f"E10:{SCHOOL}.pupil_on_roll"),
    _case("LAW-1", "issr", {"facts": {"on_roll": False}}, f"E10:{ISSR}.pupil_on_roll"),
    *(_case("LAW-1", "care", {"to_body": body}, f"E06:{CARE}.to") for body in ("la", "school", "police")),
    _case("LAW-1", "care", {"facts": {}}, *(f"E10:{CARE}.{part}" for part in (
        "facilitates_care", "best_interests", "no_objection", "not_anonymous_access"))),
    # LAW-14: what stops an agreement.
    _case("LAW-14", "s10", {"deal": {"review": TODAY}}),
    _case("LAW-14", "s10", {"deal": {"review": TODAY - timedelta(days=1)}}, "E05:dsa_0001.review"),
    _case("LAW-14", "s10", {"deal": {"end": TODAY - timedelta(days=1)}}, "E05:dsa_0001.end"),
    _case("LAW-14", "s10", {"deal": {"dpia_expires": TODAY - timedelta(days=1)}}, "E05:dsa_0001.dpia"),
    _case("LAW-14", "s10", {"deal": {"start": TODAY + timedelta(days=1)}}, "E05:dsa_0001.start"),
    _case("LAW-14", "s10", {"suspended": True}, "E05:dsa_0001.suspended"),
]  # fmt: skip


@pytest.mark.parametrize(("ask", "keys"), CASES)
def test_one_change_gives_exactly_its_own_reasons(
    register: Register, ask: Ask, keys: set[str]
) -> None:
    assert ask.keys(register) == keys


@pytest.mark.finding("LAW-2")
def test_no_shipped_record_of_another_kind_permits(register: Register) -> None:
    others = [one for one in register.gateways.values() if one.kind not in PERMITTING]
    assert {Kind.GENERAL_POWER, Kind.NOT_A_GATEWAY, Kind.REPEALED} <= {one.kind for one in others}
    for one in others:
        assert f"E03:{one.id}.kind" in replace(OPEN["s10"], gateway=one.id).keys(register)


@pytest.mark.finding("LAW-2")
def test_the_localism_act_alone_never_permits(register: Register) -> None:
    ask = Ask("la2011.s1", "la", "la", "aggregate_only", "service_planning_aggregate")
    assert {"E03:la2011.s1.kind", "E10:la2011.s1.never_sole_gateway"} <= ask.keys(register)


@pytest.mark.finding("LAW-1")
def test_every_function_asks_for_its_implied_power_or_for_another_gateway(
    register: Register,
) -> None:
    for one in register.gateways.values():
        if one.kind is Kind.FUNCTION:
            assert {"implied_power_note", "needs_other_gateway"} & set(one.conditions), one.id


@pytest.mark.finding("LAW-3")
def test_an_unknown_override_of_confidence_is_never_true(register: Register) -> None:
    unknown = [one for one in register.gateways.values() if one.overrides_confidence == "unknown"]
    assert S16LA in {one.id for one in unknown}
    for one in unknown:
        ask = replace(OPEN["s10"], gateway=one.id, drop=("confidence",))
        assert f"E10:{one.id}.confidence" in ask.keys(register)
        overriding = replace(ask, law={"overrides_confidence": "yes"})
        assert f"E10:{one.id}.confidence" not in overriding.keys(register)


@pytest.mark.finding("LAW-4")
@pytest.mark.parametrize("reason", sorted(NO_CONSENT))
def test_paragraph_18_takes_each_of_its_three_reasons(register: Register, reason: str) -> None:
    assert replace(OPEN["score"], notes={"no_consent_reason": reason}).keys(register) == set()


@pytest.mark.finding("LAW-8")
def test_nothing_that_relies_on_the_repealed_section_loads(pack: Pack) -> None:
    """Education and Skills Act 2008 s.15 is refused when the pack loads, not only when it is asked."""
    deal = pack.register.agreements["dsa_0001"]
    relying = replace(deal, gateways=deal.gateways | {"esa2008.s15"})
    law = replace(pack.register, agreements={**pack.register.agreements, deal.id: relying})
    assert errors(pack) == []
    assert "POL-L24" in {one.rule for one in errors(replace(pack, register=law))}


IMMIGRATION = Ask(IAA, "la", "home_office", "identity", "immigration_control")


@pytest.mark.finding("LAW-9")
def test_immigration_is_off_and_closed_to_every_category(register: Register) -> None:
    for category in register.vocabulary.categories:
        shipped = replace(IMMIGRATION, category=category)
        switched_on = replace(shipped, law={"enabled": True})
        closed = {f"E03:{IAA}.deny", "E04:purpose.never"}
        assert closed | {f"E03:{IAA}.enabled"} <= shipped.keys(register)
        assert closed <= switched_on.keys(register)


@pytest.mark.finding("LAW-9")
@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ({}, set()),
        ({"drop": ("immigration_dpia",)}, {f"E10:{IAA}.separate_dpia"}),
        ({"drop": ("immigration_dpo",)}, {f"E10:{IAA}.dpo_and_caldicott_signoff"}),
        ({"drop": ("immigration_caldicott",)}, {f"E10:{IAA}.dpo_and_caldicott_signoff"}),
        ({"drop": ("immigration_first",)}, {f"E10:{IAA}.dual_authorisation"}),
        ({"drop": ("immigration_second",)}, {f"E10:{IAA}.dual_authorisation"}),
        ({"notes": {"immigration_second": "one officer"}}, {f"E10:{IAA}.dual_authorisation"}),
        ({"drop": ("confidence",)}, {f"E10:{IAA}.confidence"}),
    ],
)
def test_immigration_needs_every_paper_and_even_then_its_purpose_is_never_served(
    register: Register, change: dict[str, Any], keys: set[str]
) -> None:
    law = {"enabled": True, "allow": frozenset({"identity"}), "deny": frozenset()}
    ask = replace(IMMIGRATION, law=law, **change)
    assert ask.keys(register) == {"E04:purpose.never", *keys}


@pytest.mark.finding("LAW-12")
def test_an_old_decision_replays_under_the_law_stored_with_it(tmp_path: Path) -> None:
    """A section ends; decisions are read at their own day, and under the law kept with them."""
    shutil.copytree(
        gateways.load.shipped(), tmp_path / "g", ignore=shutil.ignore_patterns("*.py", "__*")
    )
    path = tmp_path / "g" / "register" / "cda1998_s115.yaml"
    before = "in_force_from: 1998-09-30\n"
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, f"{before}in_force_to: 2026-12-31\n"), encoding="utf-8")
    old, again, new = (
        policies.load.load_pack(folder, policies.load.shipped())
        for folder in (gateways.load.shipped(), gateways.load.shipped(), tmp_path / "g")
    )
    assert old.version == again.version != new.version
    ended = replace(OPEN["s115"], on=date(2027, 1, 1))
    assert OPEN["s115"].keys(new.register) == OPEN["s115"].keys(old.register) == set()
    assert ended.keys(new.register) == {f"E03:{S115}.in_force"}
    assert ended.keys(old.register) == ended.keys(again.register) == set()


@pytest.mark.finding("LAW-13")
@pytest.mark.parametrize("part", ["gateways", "agreements", "purposes", "retention_years"])
def test_a_field_that_does_not_state_its_part_does_not_load(pack: Pack, part: str) -> None:
    contract = pack.sources["council.persons"]
    spec = contract.fields["given_name"]
    change: dict[str, Any] = {part: None if part == "retention_years" else ()}
    if part == "gateways":
        change["spec"] = {name: value for name, value in spec.spec.items() if name != part}
    fields = {**contract.fields, spec.name: replace(spec, **change)}
    sources = {**pack.sources, contract.id: replace(contract, fields=fields)}
    found = {(one.rule, one.subject) for one in errors(replace(pack, sources=sources))}
    assert ("POL-L01", "council.persons.given_name") in found


@pytest.mark.finding("LAW-13")
def test_every_shipped_field_has_owner_class_regime_and_a_basis(pack: Pack) -> None:
    words = pack.register.vocabulary
    for contract in pack.sources.values():
        assert pack.giver(contract) in pack.register.parties
        assert contract.regime in {"ukgdpr", "le_part3"}
        for spec in contract.fields.values():
            assert spec.data_class == words.categories[spec.category]
            if spec.gateways:
                assert spec.agreements, spec.name
                assert spec.purposes, spec.name
                assert spec.retention_years is not None, spec.name


# One example that meets each condition: notes, facts, flow or agreement over an empty Evidence.
_TRUE = {
    **{name: {"facts": {fact: True}} for name, fact in {
        "looked_after_eligible": "looked_after_eligible", "relevant_to_welfare": "reason_given",
        "not_more_detrimental": "not_more_detrimental", "decision_recorded": "decision_recorded",
        "pupil_on_roll": "on_roll", "facilitates_care": "facilitates_care",
        "best_interests": "best_interests", "facilitates_welfare_function": "reason_given",
        "child_consent_or_listed_exception": "consent"}.items()},
    **{name: {"notes": {note: "recorded"}} for name, note in {
        "implied_power_note": "implied_power", "necessity_recorded": "necessity",
        "confidence_basis": "confidence", "caldicott_signoff": "caldicott",
        "lawyer_confirmed": "lawyer_confirmed", "commencement_confirmed": "commencement",
        "no_other_enactment_bars": "no_bar", "cda_provision_cited": "provision",
        "necessary_or_expedient": "necessity", "wellbeing_purpose": "wellbeing",
        "not_punitive": "not_punitive", "dea_code_regard": "dea_code",
        "agreement_on_register": "public_register",
        "facilitates_recipient_function": "recipient_function", "regulations_made": "regulations",
        "part_iii_function": "part_iii", "compatible_with_own_duties": "compatible",
        "la_request_ref": "la_request", "esa_part1_function": "part_1",
        "recipient_relevant_purpose": "relevant_purpose", "chapter1_function_cited": "chapter_1",
        "serious_violence_s13": "serious_violence", "qualifying_person_both": "qualifying_persons",
        "separate_dpia": "immigration_dpia"}.items()},
}  # fmt: skip
MET: dict[str, dict[str, Any]] = {
    **_TRUE,
    "dpia_ref": {"deal": {"dpia": "DPIA-2026-03"}},
    "retention_stated": {"flow": {"has_retention": True}},
    "recipient_is_relevant_authority": {"flow": {"to_body": "police"}},
    "both_specified_persons": {"flow": {"from_body": "school", "to_body": "la"}},
    "same_objective_both": {"notes": {"objective": "multiple_disadvantages"}},
    "use_s40_only": {"notes": {"use": "objective"}},
    "prescribed_purpose_cited": {"notes": {"prescribed_purpose": "housing_support"}},
    "dpo_and_caldicott_signoff": {"notes": {"immigration_dpo": "a", "immigration_caldicott": "b"}},
    "dual_authorisation": {"notes": {"immigration_first": "a", "immigration_second": "b"}},
    "age_16_17_or_part1_person": {"facts": {"age_years": 17}},
    "no_opt_out_for_non_basic": {"facts": {"opted_out": False}},
    "age_13_19_or_20_24_sen": {"facts": {"age_years": 24, "sen": True}},
    "child_is_young_child": {"facts": {"age_years": 5}},
    "age_16_17": {"facts": {"age_years": 16}},
    "under_compulsory_school_age": {"facts": {"age_years": 4}},
    "parent_informed": {"facts": NOTIFIED},
    "parent_discussion_offered": {"facts": NOTIFIED},
    "no_objection": {"facts": {"objection": False}},
    "not_anonymous_access": {"facts": {"anonymous_access": False}},
    "two_or_more_factors": {"facts": {"dea_factors": 2}},
    "s47_trigger": {"facts": {"s47_trigger": "epo"}},
    # With the thing they speak of at hand, and its paper.
    "hmrc_consent_if_hmrc": {
        "flow": {"from_body": "hmrc"},
        "notes": {"hmrc_consent": "recorded"},
    },
    "onward_s41_only": {
        "flow": {"from_body": "la", "origins": frozenset({"police"})},
        "notes": {"onward_exit": "safeguarding"},
    },
    "provider_of_specified_public_authority": {
        "flow": {"to_body": "specified_service_provider"},
        "notes": {"provider_arrangement": "recorded"},
    },
    "provider_service_link": {
        "flow": {"to_body": "commissioned_provider"},
        "notes": {"provider_service": "recorded"},
    },
    "provider_la_funded": {
        "flow": {"to_body": "welfare_service_provider"},
        "notes": {"la_funded": "recorded"},
    },
    "gp_practice_not_nhs_body": {"flow": {"from_body": "nhs_trust", "to_body": "la"}},
    "no_health_derived_feature": {"flow": {"inputs": frozenset({"offending_status"})}},
    "not_from_health_or_social_care": {
        "flow": {"origins": frozenset({"police"}), "inputs": frozenset({"offending_status"})}
    },
}
# Nothing meets these two: the provision permits nothing without another (LAW-2).
NEVER = {"never_sole_gateway", "needs_other_gateway"}
# Met when nothing is at hand, because each bars one thing only; beside it, that thing.
MET_UNLESS: dict[str, dict[str, Any]] = {
    "hmrc_consent_if_hmrc": {"flow": {"origins": frozenset({"hmrc"})}},
    "onward_s41_only": {"flow": {"from_body": "la", "origins": frozenset({"police"})}},
    "provider_of_specified_public_authority": {"flow": {"to_body": "specified_service_provider"}},
    "provider_service_link": {"flow": {"from_body": "commissioned_provider"}},
    "provider_la_funded": {"flow": {"origins": frozenset({"welfare_service_provider"})}},
    "gp_practice_not_nhs_body": {"flow": {"from_body": "gp_practice"}},
    "no_health_derived_feature": {"flow": {"inputs": frozenset({"health_flag"})}},
    "not_from_health_or_social_care": {"flow": {"origins": frozenset({"gp_practice"})}},
}
NOTHING = Flow(
    from_body="",
    to_body="",
    category="",
    has_retention=False,
    as_of=TODAY,
    purpose="",
    regime="",
    origins=frozenset(),
    inputs=frozenset(),
)


def _evidence(register: Register, name: str, example: dict[str, Any]) -> Evidence:
    record = next(one for one in register.gateways.values() if name in one.conditions)
    bare = replace(full(register), dpia="", notes=example.get("notes", {}))
    return Evidence(
        replace(NOTHING, **example.get("flow", {})),
        record,
        replace(bare, **example.get("deal", {})),
        example.get("facts", {}),
    )


@pytest.mark.finding("LAW-13")
def test_the_table_has_an_example_for_every_condition() -> None:
    assert set(MET) | NEVER == set(CONDITIONS)
    assert not set(MET) & NEVER
    assert set(MET_UNLESS) < set(MET)


@pytest.mark.finding("LAW-13")
@pytest.mark.parametrize("name", CONDITIONS)
def test_every_condition_is_used_said_plainly_and_not_met_by_silence(
    register: Register, name: str
) -> None:
    condition = CONDITIONS[name]
    assert condition.id == name
    assert any(name in one.conditions for one in register.gateways.values())
    assert len(condition.sentence.split()) >= 4
    assert "_" not in condition.sentence
    assert condition.basis in {"statute", "code_or_policy", "design"}
    assert condition.met(_evidence(register, name, {})) is (name in MET_UNLESS)
    if name in MET_UNLESS:
        assert condition.met(_evidence(register, name, MET_UNLESS[name])) is False
    full_evidence = _evidence(register, name, MET.get(name, {"notes": NOTES, "facts": SAFE}))
    assert condition.met(full_evidence) is (name not in NEVER)


@pytest.mark.finding("LAW-1")
@pytest.mark.parametrize("name", CONDITIONS)
def test_a_check_that_fails_to_run_refuses(
    register: Register, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def broken(_: Evidence) -> bool:
        raise ZeroDivisionError

    condition = CONDITIONS[name]
    monkeypatch.setitem(CONDITIONS, name, replace(condition, met=broken))
    record = next(one for one in register.gateways.values() if name in one.conditions)
    flow = OPEN["s10"].flow()
    found = condition_findings(register, record, full(register), flow, condition.when, {})
    mine = [one.key for one in found if one.rule == f"{record.id}.{name}"]
    assert mine == [f"E15:{record.id}.{name}"]
    if condition.when is When.FLOW:
        asked = flow_findings(register, record, full(register), flow)
        assert mine[0] in {one.key for one in asked}


@pytest.mark.finding("LAW-8")
def test_a_restriction_whose_check_fails_to_run_refuses(
    register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Evidence) -> bool:
        raise RuntimeError

    name = "child_consent_or_listed_exception"
    monkeypatch.setitem(CONDITIONS, name, replace(CONDITIONS[name], met=broken))
    assert OPEN["ehc"].keys(register) == {f"E15:send2014.r17.{name}"}
