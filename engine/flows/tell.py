"""Tell an act of the trail as one sentence: who asked for what, why, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping

from audit.act import Act

ACTIONS = {
    "access_reviews": "to see which uses wait for review",
    "account": "to change an account",
    "activate_policy": "to activate a policy",
    "agreement": "to suspend or resume an agreement",
    "answer_policy": "to answer a change of the policy",
    "api_client": "to open or close a system of an agency",
    "api_token": "for a token of a system",
    "challenge": "to hold the tables against a model",
    "check_policy": "to check a draft of the policy",
    "checkpoint_out": "to write the newest checkpoint for a witness",
    "decide": "to record a decision about a list entry",
    "deliveries": "to see the deliveries",
    "delivery_trend": "to see the trend of deliveries",
    "denied": "for something that was denied at the door",
    "disclosures": "what was disclosed of a person",
    "evaluate": "for an evaluation against known truth",
    "evaluations": "to see the evaluations",
    "export_trail": "to write the whole trail as files",
    "first_policy": "to activate the first policy",
    "flag": "to set a flag",
    "group_list": "to see the groups of people suspected together",
    "key_begin": "to begin a new linkage key",
    "key_promote": "to change over to a new linkage key",
    "key_retire": "to destroy an old linkage key",
    "link": "to link all records",
    "link_quality": "to see the quality of matching",
    "look": "to see the evidence about a person",
    "monitor_decide": "to decide about an item of unusual access",
    "monitor_enrol": "to enrol a user with the monitor",
    "monitor_item": "to see an item of unusual access",
    "monitor_items": "to see which accesses are unusual",
    "monitor_leave": "to take a user out of the monitor",
    "monitor_mark": "to mark a person whose every access is looked at",
    "monitor_rates": "to see what the monitor does to groups",
    "monitor_run": "to judge the accesses of the last days",
    "monitor_second": "to answer a decision about unusual access",
    "notices": "to see what an agency has not been told",
    "own_trail": "to see their agency's part of the trail",
    "pair": "to see two records that may be one person",
    "pair_decide": "to decide about two records",
    "pair_list": "to see the decisions about records",
    "pair_second": "to answer a decision about two records",
    "pairs": "to see which records wait for a decision",
    "person_history": "to see which records were a person's",
    "person_join": "to join two records",
    "person_near": "to see the records near one",
    "person_part": "to part a record from a person",
    "person_records": "to see the records of a person",
    "policy_changes": "to see the changes of the policy",
    "product_answer": "to answer about a product",
    "product_ask": "to move a product",
    "product_saw": "to see who saw something of a product",
    "products": "to see the products",
    "products_first": "to release the first products",
    "profile": "to see a profile of counts",
    "propose_policy": "to propose a policy",
    "read_trail": "to read the newest events of the trail",
    "receipt": "to see a delivery",
    "recover_log": "to declare events of the trail lost",
    "reencode": "to make encodings again",
    "register": "to declare a register of a flag complete",
    "release_delivery": "to release or refuse a delivery",
    "replay": "to replay a scoring run",
    "reports": "for the reports of the trail",
    "reveal": "to see an identity",
    "review_access": "to review a use for immediate danger",
    "review_list": "to see the review lists",
    "rollback_policy": "to go back to the policy before",
    "rows_aside": "for the rows of a delivery that were set aside",
    "score": "for a scoring run",
    "search_trail": "to search the trail",
    "second_signature": "to sign checkpoints a second time or no longer",
    "set_anchor": "to copy checkpoints to another disk or no longer",
    "show": "to see a granted view again",
    "sign_in": "to sign in or out",
    "simulate_policy": "to try a draft on past requests",
    "submit": "to send a delivery",
    "submit_checkpoint": "to send a checkpoint to the witnesses",
    "submit_try": "to try a delivery",
    "take_witnessed": "to keep what a witness signed",
    "tell_notices": "to tell an agency what was shown of its data",
    "withdraw_delivery": "to withdraw a delivery",
}
"""Every flow, in the words that follow "asked"."""

OUTCOMES = {
    "permit": "permitted",
    "refuse": "refused",
    "failed": "failed and taken back",
    "completed": "it had happened, and was completed at start-up",
    "discarded": "it had not happened, and was taken back at start-up",
    "unknown": "no outcome is recorded yet; it may have happened",
    "withhold": "decided to withhold, and nothing was opened",
}
"""What came of it, as the page says it; a flow's own word is told as it stands."""


def tell(act: Act, purposes: Mapping[str, str], roles: Mapping[str, str]) -> str:
    """Tell an act as one sentence.

    Args:
        act: The act.
        purposes: Purpose to its label.
        roles: Role to its label.
    """
    what = ACTIONS.get(act.flow, f"for {act.flow}")
    role = roles.get(act.role, act.role)
    who = f"{act.actor} ({role})" if role else act.actor
    purpose = purposes.get(act.text("purpose"), act.text("purpose"))
    why = f", for: {purpose}" if purpose else ""
    codes = [one for one in act.texts("rules") if one.startswith("FG-")][:4]
    said = f" ({', '.join(codes)})" if codes and act.outcome != "permit" else ""
    return f"{who} asked {what}{why}. {outcome_words(act.outcome).capitalize()}{said}."


def outcome_words(outcome: str) -> str:
    """Return what came of it in words."""
    return OUTCOMES.get(outcome, f"recorded as {outcome.replace('_', ' ')}")
