"""The comparisons and blocking rules of the household-aware model, version 2 (linkage.md 3.4, 3.5).

Surname, postcode, house and street are one fact (the same home) and stand in one comparison with
ordered levels; given name and birth date carry the evidence for the person. The probabilities are
not here: they come from a shipped, signed artefact and nothing is trained inside a delivery.
"""

from __future__ import annotations

from typing import Any

from engine.linkage.encode import BLOCKS

Level = tuple[str, str]

BLOCKING_COLUMNS = (*BLOCKS, "nhs", "upn")


ALIKE = {"given": "0.66", "surname": "0.58", "dob": "0.8"}
"""Dice coefficient from which two values of a field are alike."""


def dice(name: str) -> str:
    """Return the SQL that says whether two Bloom words of a field are alike."""
    words = " + ".join(
        f"bit_count(bf_{name}_{number}_l & bf_{name}_{number}_r)" for number in range(4)
    )
    return (
        f"pc_{name}_l > 0 and pc_{name}_r > 0 and "
        f"2.0 * ({words}) >= {ALIKE[name]} * (pc_{name}_l + pc_{name}_r)"
    )


_SAME_SURNAME = "surname_l = surname_r"
_LIKE_SURNAME = (
    f"(surname_last_l = surname_last_r or surname_skel_l = surname_skel_r or "
    f"({dice('surname')}) or surname_former_l = surname_r or "
    # A name before a marriage or a deed, where a record says so (LNK-10).
    "surname_l = surname_former_r or surname_former_l = surname_former_r)"
)
_SAME_HOME = "((postcode_l = postcode_r and house_l = house_r) or uprn_l = uprn_r)"
_SAME_POSTCODE = "postcode_l = postcode_r"

COMPARISONS: dict[str, list[Level]] = {
    "given": [
        ("exact", "given_l = given_r"),
        ("nickname", "nick_l = nick_r or nick_l = pref_r or pref_l = nick_r"),
        ("alike", dice("given")),
        ("skeleton", "skel_l = skel_r"),
        ("swapped", "given_l = surname_r and surname_l = given_r"),
        (
            "initial",
            "initial_l = initial_r and (given_is_initial_l = 1 or given_is_initial_r = 1)",
        ),
    ],
    "dob": [
        ("exact_weak", "dob_l = dob_r and dob_weak_l = 1"),
        ("exact", "dob_l = dob_r"),
        ("swapped", "dob_swap_l = dob_swap_r"),
        ("alike", dice("dob")),
    ],
    "home": [
        ("surname_home", f"{_SAME_SURNAME} and {_SAME_HOME}"),
        ("like_surname_home", f"{_LIKE_SURNAME} and {_SAME_HOME}"),
        ("surname_postcode", f"{_SAME_SURNAME} and {_SAME_POSTCODE}"),
        ("like_surname_postcode", f"{_LIKE_SURNAME} and {_SAME_POSTCODE}"),
        ("home_only", _SAME_HOME),
        ("postcode_only", _SAME_POSTCODE),
        ("surname_only", _SAME_SURNAME),
        ("like_surname_only", _LIKE_SURNAME),
    ],
    "nhs": [("exact", "nhs_l = nhs_r")],
    "upn": [("exact", "upn_l = upn_r")],
    "sex": [("exact", "sex_l = sex_r")],
}

NULLS = {
    "given": "given_l is null or given_r is null",
    "dob": "dob_l is null or dob_r is null",
    "home": "(surname_l is null or surname_r is null) and (postcode_l is null or postcode_r is null)",
    "nhs": "nhs_l is null or nhs_r is null",
    "upn": "upn_l is null or upn_r is null",
    "sex": "sex_l is null or sex_r is null",
}

# Frequent names are weaker evidence; the frequencies are a frozen table, never this delivery's.
TERM_FREQUENCY = {
    ("given", "exact"): "given",
    ("home", "surname_only"): "surname",
    ("home", "surname_postcode"): "surname",
}


def least_share(
    probabilities: dict[str, dict[str, tuple[float, float]]], comparison: str, level: str
) -> float:
    """Return the frequency below which a rarer name counts for no more; 0 when there is none.

    A rare surname in one postcode, or alone, must not weigh more than the same surname in the same home:
    within a home everybody shares it, so that how rare it is says nothing of which of them it is, and a
    neighbour of the name would be taken for the housemate.
    """
    if comparison != "home":
        return 0.0
    levels = probabilities[comparison]
    (m, u), (home_m, home_u) = levels[level], levels["surname_home"]
    return (m / u) * (home_u / home_m) * levels["surname_only"][1]


def gamma(comparison: str, level: str) -> int:
    """Return Splink's number of a level: the first of n levels has n, "else" 0, unknown -1."""
    names = [name for name, _ in COMPARISONS[comparison]]
    return len(names) - names.index(level)


def settings(
    probabilities: dict[str, dict[str, tuple[float, float]]] | None, prior: float
) -> dict[str, Any]:
    """Return Splink settings.

    Args:
        probabilities: Comparison and level to (m, u); None while training.
        prior: Probability that two records drawn at random are one person.
    """
    comparisons = []
    for name, levels in COMPARISONS.items():
        described: list[dict[str, Any]] = [
            {
                "sql_condition": NULLS[name],
                "label_for_charts": "unknown",
                "is_null_level": True,
            }
        ]
        for label, sql in [*levels, ("else", "ELSE")]:
            level: dict[str, Any] = {"sql_condition": sql, "label_for_charts": label}
            if probabilities is not None:
                m, u = probabilities[name][label]
                level |= {"m_probability": m, "u_probability": u}
            frequency = TERM_FREQUENCY.get((name, label))
            if frequency:
                level |= {
                    "tf_adjustment_column": frequency,
                    "tf_adjustment_weight": 1.0,
                }
                if probabilities is not None:
                    level |= {"tf_minimum_u_value": least_share(probabilities, name, label)}
            described.append(level)
        comparisons.append({"output_column_name": name, "comparison_levels": described})
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "rid",
        "sql_dialect": "duckdb",
        "probability_two_random_records_match": prior,
        "comparisons": comparisons,
        "blocking_rules_to_generate_predictions": [
            {"blocking_rule": f"l.{column} = r.{column}", "sql_dialect": "duckdb"}
            for column in BLOCKING_COLUMNS
        ],
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": False,
        "additional_columns_to_retain": [],
    }
