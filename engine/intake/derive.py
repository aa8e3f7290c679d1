"""Flags from free text, read in memory and forgotten: the text itself goes nowhere.

A rule is a list of words and phrases with an id; a rule's examples are run by `contract test`. What
stands in a text is evidence that somebody wrote it, so the flag is ``yes`` or not known, never ``no``.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from engine.intake.contract import Contract, Derive, FieldContract

_QUOTES = "[’‘`´]"
_BORDER = r"[^\p{L}\p{M}\p{N}_]"
"""What is no part of a word, in any script."""
_TAKEN_OUT = "\x01"


@lru_cache(maxsize=512)
def _pattern(phrases: tuple[str, ...], *, doubled: bool) -> str:
    """Return a pattern of whole words; white space in a phrase stands for any white space."""
    parts = [r"\s+".join(_word(word, doubled=doubled) for word in phrase.split())
             for phrase in phrases]  # fmt: skip
    return rf"(?i)(^|{_BORDER})(?:{'|'.join(parts)})({_BORDER}|$)"


def _word(word: str, *, doubled: bool) -> str:
    plain = re.sub(_QUOTES, "'", unicodedata.normalize("NFC", word))
    return "".join(re.escape(char) * (2 if doubled and not _in_word(char) else 1) for char in plain)


def _in_word(char: str) -> bool:
    return char == "_" or unicodedata.category(char)[0] in "LMN"


def derived(texts: pa.Array, rule: Derive) -> pa.Array:
    """Return ``yes`` for each text in which the rule holds, else null."""
    plain = pc.replace_substring_regex(pc.utf8_normalize(texts, "NFC"), _QUOTES, "'")
    if rule.none:
        # Each border stands twice, so that two phrases side by side do not share one.
        plain = pc.replace_substring_regex(plain, f"({_BORDER})", r"\1\1")
        pattern = _pattern(rule.none, doubled=True)
        plain = pc.replace_substring_regex(plain, pattern, rf"\1{_TAKEN_OUT}\2")
    found = pc.match_substring_regex(plain, _pattern(rule.any, doubled=bool(rule.none)))
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
