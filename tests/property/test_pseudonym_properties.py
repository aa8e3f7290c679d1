"""The column form of AES-SIV is byte-equal to the library's, and a forged pseudonym is refused."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.errors import VaultError
from engine.identity.keys import Keyring
from engine.identity.normalise import VERSION, normalise
from engine.identity.pseudonyms import domain, siv_decrypt_column, siv_encrypt_column
from engine.linkage.encode import COLUMNS, Encoder

ids = st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=20)


@given(st.binary(min_size=64, max_size=64), st.binary(min_size=1, max_size=40), ids)
def test_a_column_is_what_the_library_makes_row_by_row(key, associated, rows) -> None:
    plain = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 16)
    sealed = siv_encrypt_column(key, associated, plain)
    library = AESSIV(key)
    assert [row.tobytes() for row in sealed] == [library.encrypt(row, [associated]) for row in rows]
    opened, good = siv_decrypt_column(key, associated, sealed)
    assert good.all()
    assert opened.tobytes() == plain.tobytes()


@given(st.binary(min_size=32, max_size=32), ids, st.integers(0, 255), st.data())
def test_one_changed_bit_refuses_the_whole_column(secret, rows, bit, data) -> None:
    used = domain(Keyring("psn", {1: secret}), "record")
    sealed = used.seal(rows)
    at = data.draw(st.integers(0, len(sealed) - 1))
    changed = bytearray(sealed[at])
    changed[bit // 8] ^= 1 << bit % 8
    forged = [*sealed[:at], bytes(changed), *sealed[at + 1 :]]
    with pytest.raises(VaultError, match="FG-PSN-01"):
        used.open(forged)


@given(
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=16, max_size=16),
    st.integers(0, 60),
    st.characters(codec="ascii"),
)
def test_a_changed_letter_of_a_pseudonym_is_never_another_person(
    secret, identity, at, letter
) -> None:
    used = domain(Keyring("psn", {1: secret}), "casework")
    text = used.text(used.seal([identity])[0])
    changed = text[: at % len(text)] + letter + text[at % len(text) + 1 :]
    if changed != text:
        with pytest.raises(VaultError, match="FG-PSN-01"):
            used.parse(changed)


names = st.sampled_from(["Ada", "ada ", "ADA", "Zoë", "Zoe", "Beatrice", "O'Neil", "ONeil", ""])


@given(names, names, st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_tokens_are_equal_exactly_where_normal_forms_are_and_never_under_two_keys(
    one, other, key, second
) -> None:
    today = date(2026, 11, 25)

    def words(name: str, secret: bytes) -> int:
        clean = normalise({"given_name": [name], "surname": ["Fake"]}, 1, today,
                          accept_test_range=True, local_scheme="")  # fmt: skip
        assert clean.version == VERSION
        return int(Encoder(secret, 1).encode(clean, today)[0][COLUMNS.index("given")])

    from engine.identity.normalise import name_parts

    assert (words(one, key) == words(other, key)) == (name_parts(one) == name_parts(other))
    if name_parts(one) and key != second:
        assert words(one, key) != words(one, second)
