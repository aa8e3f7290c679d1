"""Flags from free text, read in memory and forgotten: the text itself goes nowhere.

A rule is a list of words and phrases with an id; a rule's examples are run by `contract test`. What
stands in a text is evidence that somebody wrote it, so the flag is ``yes`` or not known, never ``no``.
"""

from __future__ import annotations

import re
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from engine.intake.contract import Contract, Derive, FieldContract


@lru_cache(maxsize=512)
def _pattern(phrases: tuple[str, ...]) -> str:
    """Return a pattern of whole words; white space in a phrase stands for any white space."""
    parts = [r"\s+".join(re.escape(word) for word in phrase.split()) for phrase in phrases]
    return r"(?i)\b(?:" + "|".join(parts) + r")\b"


def derived(texts: pa.Array, rule: Derive) -> pa.Array:
    """Return ``yes`` for each text in which the rule holds, else null."""
    plain = pc.replace_substring_regex(texts, "[’‘`´]", "'")
    if rule.none:
        plain = pc.replace_substring_regex(plain, _pattern(rule.none), " ")
    found = pc.match_substring_regex(plain, _pattern(rule.any))
    return pc.if_else(found, pa.scalar("yes"), pa.scalar(None, pa.string()))


def derived_fields(contract: Contract) -> dict[str, FieldContract]:
    """Return the fields of a contract that are read from free text."""
    return {name: spec for name, spec in contract.fields.items() if spec.derive is not None}


def example_problems(contract: Contract) -> list[str]:
    """Return which examples of the contract's rules give another answer than they say."""
    problems = []
    for name, spec in derived_fields(contract).items():
        rule = spec.derive
        if rule is None:
            continue
        for wanted, examples in (("yes", rule.yes), (None, rule.no)):
            given = derived(pa.array(list(examples), pa.string()), rule).to_pylist()
            problems += [
                f"{name}: example {place} of {wanted or 'no'} gives {answer or 'nothing'}"
                for place, answer in enumerate(given, 1)
                if answer != wanted
            ]
        if not rule.yes or not rule.no:
            problems.append(f"{name}: the rule has no examples of both kinds")
    return problems
