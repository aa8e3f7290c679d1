"""Why two records may be one person: the weight as a waterfall of evidence, and as one sentence.

The parts are those of the frozen model: what each comparison adds is log2(m / u) of its level. What is
left between their sum and the weight of the pair is how common the names are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from engine.linkage.artefacts import Model
from engine.linkage.settings_v2 import COMPARISONS

_LABELS = {
    "given": "Given name",
    "dob": "Birth date",
    "home": "Surname and home",
    "nhs": "NHS number",
    "upn": "Unique pupil number",
    "sex": "Sex",
}
_WORDS: dict[str, dict[str, str]] = {
    "given": {
        "exact": "the given names are the same",
        "nickname": "one given name is a short form of the other",
        "alike": "the given names are spelt alike",
        "skeleton": "the given names sound alike",
        "swapped": "given name and surname are swapped",
        "initial": "one given name is only an initial of the other",
        "else": "the given names differ",
    },
    "dob": {
        "exact_weak": "the birth date is the same, but a first of January",
        "exact": "the birth date is the same",
        "swapped": "day and month of the birth date are swapped",
        "alike": "the birth dates are alike",
        "else": "the birth dates differ",
    },
    "home": {
        "surname_home": "surname and home are the same",
        "like_surname_home": "the home is the same and the surnames are alike",
        "surname_postcode": "surname and postcode are the same",
        "like_surname_postcode": "the postcode is the same and the surnames are alike",
        "home_only": "the home is the same and the surnames differ",
        "postcode_only": "the postcode is the same and the surnames differ",
        "surname_only": "the surname is the same and the homes differ",
        "like_surname_only": "the surnames are alike and the homes differ",
        "else": "surname and home differ",
    },
    "nhs": {"exact": "the NHS number is the same", "else": "the NHS numbers differ"},
    "upn": {"exact": "the pupil number is the same", "else": "the pupil numbers differ"},
    "sex": {"exact": "the sex is the same", "else": "the sex differs"},
}
_UNKNOWN = {
    "given": "a given name is not known",
    "dob": "a birth date is not known",
}
REASONS = {
    "merge_guard": "A merge needs a name, a birth date and one thing more; one is missing or unsure.",
    "one_nhs_number": "Two people have one NHS number: one of them has another's, or they are one.",
    "open_alert_split": "They are one person who is on a review list, and would now be two.",
    "no_given_name": "One of them has no given name, as of a baby or a twin; all else is the same.",
    "no_clear_leader": "One of them fits another person as well.",
    "open_alert": "One of them stands on a review list: nobody is joined to them without a person's word.",
    "review_band": "It is too close to call.",
    "decided_apart": "Somebody decided that records of them are two people.",
    "a_failed_nhs_number": "An NHS number fails its check beside one that holds.",
    "wrong_merge": "A reviewer found a record that is somebody else's.",
    "missed_match": "A reviewer found a record that no run had joined.",
    "two_nhs_numbers": "They have two different NHS numbers.",
    "two_pupil_numbers": "They have two different pupil numbers, in two homes.",
    "child_and_adult": "One is a child and one an adult.",
    "given_names_differ": "Given names differ within the group.",
    "twice_in_one_source": "One source that holds nobody twice holds both.",
    "too_many_records": "The group would be larger than a person's records are.",
}


def waterfall(model: Model, levels: Mapping[str, int], weight: float) -> list[dict[str, Any]]:
    """Return what each comparison adds to the weight of a pair, in bits.

    Args:
        model: The frozen model that scored it.
        levels: Comparison to the number of its level; -1 is "not known".
        weight: Match weight of the pair.

    Returns:
        The starting odds, a row per comparison, and the rest; together they are the weight.
    """
    start = math.log2(model.prior / (1 - model.prior))
    rows = [{"label": "Two records drawn at random", "says": "before anything is compared",
             "bits": round(start, 1)}]  # fmt: skip
    total = start
    for name, level in levels.items():
        label, bits = level_of(name, level), 0.0
        if label:
            m, u = model.probabilities[name][label]
            bits = math.log2(m / u)
        total += bits
        rows.append(
            {
                "label": _LABELS[name],
                "says": _WORDS[name][label] if label else "not known on one side",
                "bits": round(bits, 1),
            }
        )
    if levels and abs(weight - total) >= 0.05:
        rows.append(
            {
                "label": "How common the names are",
                "says": "a rare name says more than a common one",
                "bits": round(weight - total, 1),
            }
        )
    return rows


def level_of(comparison: str, number: int) -> str:
    """Return the name of a level by its number; empty for "not known"."""
    if number < 0:
        return ""
    names = [name for name, _ in COMPARISONS[comparison]]
    return "else" if number == 0 else names[len(names) - number]


def sentence(levels: Mapping[str, int], weight: float) -> str:
    """Return the evidence in one plain sentence."""
    said = [
        _WORDS[name][label] if (label := level_of(name, number)) else _UNKNOWN[name]
        for name, number in levels.items()
        # That a birth date is missing is the point of the question; a missing number says nothing.
        if (number >= 0 and name != "sex") or name in _UNKNOWN
    ]
    if not said:
        return "The records were not compared field by field."
    text = ", ".join(said[:-1]) + (" and " if len(said) > 1 else "") + said[-1]
    return f"{text[0].upper()}{text[1:]}: {_odds(weight)}."


def _odds(weight: float) -> str:
    if weight >= 10:
        return "more than a thousand to one for one person"
    if weight >= 1:
        return f"about {2**weight:.0f} to 1 for one person"
    if weight > -1:
        return "it could be either"
    return f"about {2**-weight:.0f} to 1 for two people"
