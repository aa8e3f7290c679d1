"""The short ways of the normaliser give what the long ways give."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.identity.normalise import fold, nhs_number, normalise
from tests.builders.encoded import TODAY

ASCII = st.text(st.characters(max_codepoint=127), max_size=20)


@given(ASCII)
def test_a_text_without_accents_folds_as_it_would_beside_one(text: str) -> None:
    """The accent at the end sends the whole text the long way."""
    assert fold(text + "\u00e9") == fold(text + "e")
    assert fold("\u00c9" + text) == fold("E" + text)


@given(st.lists(st.from_regex(r"[0-9]{9}", fullmatch=True), max_size=8), st.booleans())
def test_a_column_of_numbers_is_what_each_is_alone_and_one_tenth_digit_at_most_holds(
    starts: list[str], accept: bool
) -> None:
    cells = [start + str(last) for start in starts for last in range(10)]
    clean = normalise({"nhs_number": list(cells)}, len(cells), TODAY, accept_test_range=accept,
                      local_scheme="")  # fmt: skip
    assert clean.nhs_number == [nhs_number(cell, accept_test_range=accept) for cell in cells]
    for place, start in enumerate(starts):
        ten = clean.nhs_number[10 * place : 10 * place + 10]
        held = [cell for cell in ten if cell]
        assert len(held) <= 1
        # Modulus 11 with the weights ten to two, written down once more as the rule has it.
        check = 11 - sum(int(digit) * (10 - at) for at, digit in enumerate(start)) % 11
        check = 0 if check == 11 else check
        whole = start + str(check)
        closed = check == 10 or whole == whole[0] * 10 or (whole.startswith("999") and not accept)
        assert held == ([] if closed else [whole])
