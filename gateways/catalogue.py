"""The vocabulary of conditions: every word that a record of the register may use (law.md 1.6).

The lists of codes are closed; a code that is not in its list is not met. Where the statute's own
list was not read, the list holds what was, and says so in ADR 0008.
"""

from __future__ import annotations

from gateways.conditions import (
    Check,
    Condition,
    Evidence,
    When,
    age_between,
    in_order,
    never,
    noted,
    one_of,
    stated,
)

_HEALTH = frozenset({"nhs_trust", "nhs_ft", "icb", "nhs_england", "gp_practice"})
# CDA 1998 s.115: names added after the copies read stay out until confirmed (law_verified.md 2b-2d).
_RELEVANT_AUTHORITY = frozenset({"police", "la", "district", "parish_council"})
# DEA 2017 Sch.4 paras 1-5, 7-8, 10-16, 18-25 (law_verified.md 1a, 1d); no health body, PCC or charity.
_DEA_PERSONS = frozenset(
    {
        *("la", "district", "police", "school", "academy", "fe_college", "dwp", "dfe", "hmrc"),
        *(
            "combined_authority",
            "fire",
            "home_office",
            "moj",
            "dluhc",
            "specified_service_provider",
        ),
    }
)
# DEA 2017 ss.40(2), 41(2); none of them is open to data that came from HMRC (ss.40(4), 42).
DEA_EXITS = frozenset(
    {
        *("public", "consent", "crime_asb", "criminal_investigation", "legal_proceedings"),
        *("serious_physical_harm", "loss_of_life", "safeguarding", "emergency"),
        *("national_security", "enactment", "court_order"),
    }
)
# SEND Regulations 2014 reg.17, read through its forerunner (law_verified.md 4).
EHC_EXCEPTIONS = frozenset(
    {
        *("interests_of_child", "appeal", "research_not_identifying", "court", "ombudsman"),
        *("secretary_of_state", "disabled_persons_assessment", "children_act", "dsa_assessment"),
    }
)
# DPA 2018 Sch.1 para 18(1)(c): why consent was not asked (law_verified.md 13a).
NO_CONSENT = frozenset({"cannot_give", "not_reasonable_to_obtain", "would_prejudice"})
# PCSC 2022 s.16(4): whatever says something of health, whoever holds it (law_verified.md A3).
_HEALTH_DERIVED = frozenset(
    {
        *("health_flag", "mental_health", "substance_support", "pregnancy", "send_status"),
        *("patient_record", "ehc_plan", "health_registration", "send_opinion"),
    }
)
_CARE = frozenset({"care_status", "social_work", "early_help"})
_BASIC_PUPIL = frozenset({"identity", "contact", "parent_identity"})
_S47 = frozenset({"epo", "police_protection", "significant_harm_suspected"})
_PRESCRIBED = frozenset({"council_tax_reduction", "local_welfare_provision", "housing_support"})


def _bodies(at: Evidence) -> frozenset[str]:
    return at.flow.origins | {at.flow.from_body, at.flow.to_body}


def _not_hmrc_or_consented(at: Evidence) -> bool:
    return "hmrc" not in _bodies(at) or bool(at.note("hmrc_consent"))


def _onward(at: Evidence) -> bool:
    """Onward data of another body leaves by a named exit; data of HMRC leaves by none."""
    onward = bool(at.flow.origins - {at.flow.from_body})
    return not onward or ("hmrc" not in at.flow.origins and at.note("onward_exit") in DEA_EXITS)


def _factors(at: Evidence) -> bool:
    count = at.facts.get("dea_factors")
    return isinstance(count, int) and not isinstance(count, bool) and count >= 2


def _no_opt_out(at: Evidence) -> bool:
    """ESA 2008 s.14(4): a veto closes all but basic details; the giver may leave such pupils out."""
    if at.flow.category in _BASIC_PUPIL:
        return True
    known = at.facts.get("opted_out")
    return known is False or (known is None and bool(at.note("opt_outs_left_out")))


def _age_or_sen(at: Evidence) -> bool:
    return age_between(13, 19)(at) or (age_between(20, 24)(at) and at.facts.get("sen") is True)


def _ehc(at: Evidence) -> bool:
    return at.facts.get("consent") is True or at.facts.get("ehc_exception") in EHC_EXCEPTIONS


def _relevant(at: Evidence) -> bool:
    """A relevant authority, one acting for it, or a newer one that a lawyer has confirmed."""
    known = _RELEVANT_AUTHORITY | {"agent_of_relevant_authority"}
    doubtful = at.flow.to_body in at.gateway.unverified_to and bool(at.note("lawyer_confirmed"))
    return at.flow.to_body in known or doubtful


def _provider(kind: str, note: str) -> Check:
    """A provider stands only for the service it was arranged for; the link is written down."""
    return lambda at: kind not in _bodies(at) or bool(at.note(note))


def _flow(name: str, sentence: str, met: Check, basis: str = "statute") -> Condition:
    return Condition(name, When.FLOW, sentence, met, basis)


def _row(name: str, sentence: str, met: Check, basis: str = "statute") -> Condition:
    return Condition(name, When.ROW, sentence, met, basis)


def _request(name: str, sentence: str, met: Check, basis: str = "statute") -> Condition:
    return Condition(name, When.REQUEST, sentence, met, basis)


_FLOW = (
    _flow("implied_power_note", "no implied-power note is recorded", noted("implied_power"), "design"),
    _flow("necessity_recorded", "no necessity note is recorded", noted("necessity")),
    _flow("confidence_basis", "no basis for confidence is recorded", noted("confidence")),
    _flow("dpia_ref", "no DPIA is recorded", lambda at: bool(at.agreement.dpia), "code_or_policy"),
    _flow("caldicott_signoff", "the Caldicott Guardian has not signed", noted("caldicott"), "code_or_policy"),
    _flow("lawyer_confirmed", "no lawyer's confirmation is recorded", noted("lawyer_confirmed"), "design"),
    _flow("commencement_confirmed", "no second officer has confirmed the first day in force", noted("commencement"), "design"),
    _flow("retention_stated", "no retention period is stated", lambda at: at.flow.has_retention, "code_or_policy"),
    _flow("never_sole_gateway", "this power is never the only one", never, "design"),
    _flow("needs_other_gateway", "this provision permits nothing without another", never, "design"),
    _flow("no_other_enactment_bars", "nobody recorded that no other enactment bars it", noted("no_bar")),
    # Crime and Disorder Act 1998 s.115.
    _flow("recipient_is_relevant_authority", "the recipient is not a relevant authority", _relevant),
    _flow("cda_provision_cited", "no provision of the 1998 Act is cited", noted("provision")),
    _flow("necessary_or_expedient", "no note says why it is necessary or expedient", noted("necessity")),
    # Digital Economy Act 2017 Part 5.
    _flow("both_specified_persons", "a party is not a specified person of Schedule 4", lambda at: {at.flow.from_body, at.flow.to_body} <= _DEA_PERSONS),
    _flow("same_objective_both", "a party is not allocated the objective", noted("objective", frozenset({"multiple_disadvantages"}))),
    _flow("wellbeing_purpose", "no well-being purpose is recorded", noted("wellbeing")),
    _flow("not_punitive", "the not-punitive note is missing", noted("not_punitive"), "code_or_policy"),
    _flow("dea_code_regard", "regard to the Code is not recorded", noted("dea_code")),
    _flow("agreement_on_register", "the agreement is not on the public register", noted("public_register"), "code_or_policy"),
    _flow("hmrc_consent_if_hmrc", "the Commissioners' consent is not recorded", _not_hmrc_or_consented),
    _flow("use_s40_only", "no use within section 40 is recorded", noted("use", DEA_EXITS | {"objective"})),
    _flow("onward_s41_only", "no exit of section 41 covers the onward disclosure", _onward),
    _flow("provider_of_specified_public_authority", "the provider's arrangement is not recorded", _provider("specified_service_provider", "provider_arrangement")),
    # Children Act 2004 s.16LA and s.16LC, Children Act 1989.
    _flow("facilitates_recipient_function", "no function of the recipient is recorded", noted("recipient_function")),
    _flow("provider_service_link", "the provider's arranged service is not recorded", _provider("commissioned_provider", "provider_service")),
    _flow("regulations_made", "no regulations are recorded", noted("regulations")),
    _flow("part_iii_function", "no Part III function is recorded", noted("part_iii")),
    _flow("compatible_with_own_duties", "no note says it is compatible with the giver's own duties", noted("compatible")),
    _flow("la_request_ref", "no request of the council is recorded", noted("la_request")),
    # Education and Skills Act 2008.
    _flow("esa_part1_function", "no Part 1 function is recorded", noted("part_1")),
    _flow("recipient_relevant_purpose", "no relevant purpose of the recipient is recorded", noted("relevant_purpose")),
    # Health.
    _flow("gp_practice_not_nhs_body", "a GP practice is a contractor and no NHS body", lambda at: "gp_practice" not in _bodies(at)),
    # Police, Crime, Sentencing and Courts Act 2022 s.16.
    _flow("chapter1_function_cited", "no function under Chapter 1 is cited", noted("chapter_1")),
    _flow("serious_violence_s13", "no serious violence in the sense of section 13 is recorded", noted("serious_violence")),
    _flow("no_health_derived_feature", "information on health stands behind it, whoever holds it", lambda at: not at.flow.inputs & _HEALTH_DERIVED),
    _flow("not_from_health_or_social_care", "it comes from a health or social care authority", lambda at: not at.flow.origins & _HEALTH and not at.flow.inputs & _CARE),
    # Welfare Reform Act 2012 s.131.
    _flow("prescribed_purpose_cited", "no prescribed purpose is cited", noted("prescribed_purpose", _PRESCRIBED)),
    _flow("qualifying_person_both", "a party is not recorded as a qualifying person", noted("qualifying_persons")),
    _flow("provider_la_funded", "the council's funding of the provider is not recorded", _provider("welfare_service_provider", "la_funded")),
    # Immigration and Asylum Act 1999 s.20: a deliberate act with its own papers (LAW-9).
    _flow("separate_dpia", "no separate impact assessment is recorded", noted("immigration_dpia"), "design"),
    _flow("dpo_and_caldicott_signoff", "the DPO and the Caldicott Guardian have not both signed", lambda at: bool(at.note("immigration_dpo")) and bool(at.note("immigration_caldicott")), "design"),
    _flow("dual_authorisation", "two authorising officers are not recorded", lambda at: bool(at.note("immigration_first")) and bool(at.note("immigration_second")) and at.note("immigration_first") != at.note("immigration_second"), "design"),
)  # fmt: skip

_PERSON = (
    _row("age_16_17_or_part1_person", "the person is not 16 or 17 or otherwise within Part 1", age_between(16, 17)),
    _row("no_opt_out_for_non_basic", "it is not known that nobody has opted out of more than basic details", _no_opt_out),
    _row("age_13_19_or_20_24_sen", "the person is not 13 to 19, or 20 to 24 with special needs", _age_or_sen),
    _row("child_is_young_child", "the person is not a young child", age_between(0, 5)),
    _row("age_16_17", "the person is not 16 or 17", age_between(16, 17)),
    _row("looked_after_eligible", "the person is not an eligible looked-after child", stated("looked_after_eligible")),
    _row("under_compulsory_school_age", "the child is of compulsory school age", age_between(0, 4)),
    _row("parent_informed", "it is not recorded that the parent was informed first", in_order("parent_informed_on", "notified_on")),
    _row("parent_discussion_offered", "it is not recorded that the parent was offered a discussion", in_order("discussion_offered_on", "notified_on")),
    _row("child_consent_or_listed_exception", "there is neither consent nor a listed exception", _ehc),
    _row("no_objection", "it is not known that nobody objects", lambda at: at.facts.get("objection") is False),
    _row("not_anonymous_access", "the service may have been used anonymously", lambda at: at.facts.get("anonymous_access") is False),
    _request("two_or_more_factors", "fewer than two factors are evidenced", _factors),
    _request("relevant_to_welfare", "the request does not say how it serves a child's welfare", stated("reason_given"), "statute"),
    _request("not_more_detrimental", "nobody stated that sharing is not more detrimental to the child", stated("not_more_detrimental")),
    _request("decision_recorded", "the decision would not be recorded", stated("decision_recorded"), "code_or_policy"),
    _request("s47_trigger", "no ground for an enquiry is stated", one_of("s47_trigger", _S47)),
    _request("pupil_on_roll", "the person is not a pupil on roll today", stated("on_roll")),
    _request("facilitates_care", "nobody stated that it is likely to aid the person's care", stated("facilitates_care")),
    _request("best_interests", "nobody stated that it is in the person's best interests", stated("best_interests")),
    _request("facilitates_welfare_function", "the request does not name a welfare function", stated("reason_given")),
)  # fmt: skip

CONDITIONS: dict[str, Condition] = {one.id: one for one in (*_FLOW, *_PERSON)}
