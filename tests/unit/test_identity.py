"""Normalising, keys, pseudonyms and the vault."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from engine.domain.errors import ConfigError, VaultError
from engine.identity import vault_read, vault_write
from engine.identity.keys import DEMO, Keyring, create_keyring, open_keyring
from engine.identity.normalise import (
    address,
    birth_date,
    fold,
    given_parts,
    name_parts,
    nhs_number,
    normalise,
    postcode,
    skeleton,
    upn,
)
from engine.identity.pseudonyms import DOMAINS, domain, self_test
from engine.identity.vault_tables import metadata
from engine.store.session import make_engine
from tests.builders.partnership import seeded

TODAY = date(2026, 11, 25)


@pytest.mark.finding("LNK-33")
@pytest.mark.parametrize(
    ("written", "folded"),
    [
        ("Zoë", "ZOE"), ("O'Neil", "ONEIL"), ("ONeil", "ONEIL"), ("O’Neil", "ONEIL"),
        ("  Thorne - Smith ", "THORNE SMITH"), ("Łukasz", "LUKASZ"), ("Siân", "SIAN"), ("ﬁne", "FINE"),
    ],
)  # fmt: skip
def test_names_fold_to_one_form(written: str, folded: str) -> None:
    assert fold(written) == folded


@pytest.mark.finding("LNK-3")
@pytest.mark.parametrize("text", ["Unknown", "BABY", "Twin 1", "n/a", "", "  ", None, "TBC"])
def test_placeholder_names_are_not_names(text: str | None) -> None:
    assert name_parts(text) == ()


@pytest.mark.finding("LNK-7")
@pytest.mark.parametrize(
    "text", ["1900-01-01", "1901-01-01", "2026-11-26", "1894-12-31", "x", "", None]
)
def test_placeholder_and_impossible_dates_are_not_birth_dates(text: str | None) -> None:
    assert birth_date(text, TODAY) is None


def test_a_first_of_january_stays_a_date_because_it_is_only_weak() -> None:
    assert birth_date("2010-01-01", TODAY) == "2010-01-01"


@pytest.mark.finding("B29")
@pytest.mark.finding("LNK-18")
def test_nhs_numbers_need_their_check_digit_and_no_test_range_outside_a_demo() -> None:
    assert nhs_number("999 000 0018", accept_test_range=True) == "9990000018"
    assert nhs_number("9990000018", accept_test_range=False) is None
    for text in ("9990000019", "1111111111", "123", "", None):
        assert nhs_number(text, accept_test_range=True) is None


def test_other_identifiers_are_checked() -> None:
    assert upn("A850728973744") is None
    assert upn("Z980000004145") == "Z980000004145"
    assert postcode("tl1 0aa") == "TL10AA"
    assert postcode("ZZ99 3VZ") is None
    assert address("Flat 78m\nSally mall\nDaviesmouth\nG6T 3BF") == ("/78M", "SALLY MALL", "G6T3BF")
    assert address("Unknown") == (None, None, None)
    homes = [address(text)[0] for text in (
        "5, Flat 2, High St", "5, Flat 3, High St", "Flat 2, 5 High St", "Unity House, 12 High St",
        "Flats, 12 High St", "12 High St", "12 High St, Tallowmere")]  # fmt: skip
    assert homes == ["5/2", "5/3", "5/2", "12", "12", "12", "12"]
    assert address("12 High St, Tallowmere")[1] == "HIGH ST"


@pytest.mark.finding("LNK-12")
def test_a_name_that_people_have_is_no_placeholder() -> None:
    assert given_parts("Sơn") == ("SON",)
    assert given_parts("Boy") == given_parts("Baby") == given_parts("Twin two") == ()


@pytest.mark.finding("LNK-13")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CATHERINE", "KATHRYN"),
        ("STEPHEN", "STEFAN"),
        ("MOHAMMED", "MUHAMMAD"),
        ("OLEKSANDR", "OLEKSANDER"),
    ],
)
def test_spellings_of_one_sound_share_a_skeleton(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)


def test_local_ids_count_only_within_their_scheme() -> None:
    def local(scheme: str) -> str | None:
        return normalise(
            {"local_id": ["A-1"]}, 1, TODAY, accept_test_range=True, local_scheme=scheme
        ).local_id[0]

    for one, other in (("12/3", "12.3"), ("P_1", "P1"), ("aB", "ab")):
        clean = normalise(
            {"local_id": [one, other]}, 2, TODAY, accept_test_range=True, local_scheme="s"
        )
        assert clean.local_id[0] != clean.local_id[1]
    assert local("police.nominal") != local("council.child")
    assert local("") is None


def _ring(purpose: str = "psn", seed: int = 1) -> Keyring:
    return Keyring(purpose, {1: seeded(seed)(32)})


def test_a_pseudonym_of_one_domain_means_nothing_in_another() -> None:
    ring, identity = _ring(), b"0123456789abcdef"
    texts = {
        name: domain(ring, name).text(domain(ring, name).seal([identity])[0]) for name in DOMAINS
    }
    assert len({text.split(".")[2] for text in texts.values()}) == len(DOMAINS)
    for name in DOMAINS:
        assert domain(ring, name).parse(texts[name]) == identity
        for other in set(DOMAINS) - {name}:
            with pytest.raises(VaultError, match="FG-PSN-01"):
                domain(ring, name).parse(texts[other])
            relabelled = name + texts[other][len(other) :]
            with pytest.raises(VaultError, match="FG-PSN-01"):
                domain(ring, name).parse(relabelled)


def test_another_key_reads_nothing_and_a_wrong_ring_is_refused() -> None:
    sealed = domain(_ring(seed=1), "record").seal([b"0123456789abcdef"])
    with pytest.raises(VaultError, match="FG-PSN-01"):
        domain(_ring(seed=2), "record").open(sealed)
    with pytest.raises(VaultError, match="FG-PSN-01"):
        domain(_ring("vault"), "record")


@pytest.mark.finding("AUD-13")
def test_the_self_test_holds_and_wrong_lengths_are_refused() -> None:
    self_test()
    with pytest.raises(VaultError, match="FG-PSN-01"):
        domain(_ring(), "record").seal([b"short"])
    assert domain(_ring(), "record").seal([]) == []
    assert domain(_ring(), "record").open([]) == []


def test_a_keyring_opens_with_its_passphrase_and_purpose_only(tmp_path: Path) -> None:
    path = tmp_path / "vault.json"
    create_keyring(path, "vault", b"right", DEMO, seeded(1))
    assert open_keyring(path, "vault", lambda: b"right").current == 1
    for purpose, words in (("vault", b"wrong"), ("psn", b"right")):
        with pytest.raises(ConfigError, match="FG-KEY-03"):
            open_keyring(path, purpose, lambda words=words: words)  # type: ignore[misc]
    with pytest.raises(ConfigError, match="FG-KEY-05"):
        create_keyring(path, "vault", b"right", DEMO, seeded(1))
    document = json.loads(path.read_text())
    document["keys"]["2"] = document["keys"].pop("1")
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigError, match="FG-KEY-03"):
        open_keyring(path, "vault", lambda: b"right")


def test_a_lost_key_version_is_named() -> None:
    with pytest.raises(ConfigError, match="FG-KEY-04"):
        _ring().derive("x", 32, version=7)


def test_the_vault_opens_the_newest_published_identity_and_no_other(tmp_path: Path) -> None:
    engine, ring, chance = make_engine(tmp_path / "v.db"), _ring("vault"), seeded(5)
    metadata.create_all(engine)
    tokens = [vault_write.key_token(ring, "council", "s", key) for key in ("a", "b")]
    records = vault_write.write(engine, ring, "d1", tokens, {"surname": ["Old", "Other"]}, chance)
    assert (
        vault_write.write(engine, ring, "d2", tokens[:1], {"surname": ["New"]}, chance)
        == records[:1]
    )

    found = vault_read.open_identities(engine, ring, records, {"d1": 1, "d2": 2})
    assert found == {records[0]: {"surname": "New"}, records[1]: {"surname": "Other"}}
    assert vault_read.open_identities(engine, ring, records, {"d1": 1})[records[0]] == {
        "surname": "Old"
    }
    assert vault_read.open_identities(engine, ring, records, {}) == {}

    vault_write.forget(engine, "d1")
    assert vault_read.open_identities(engine, ring, records, {"d1": 1}) == {}
    # The other delivery uses the first local key, so that key keeps its record and the second is gone.
    assert vault_write.known_records(engine, tokens) == {tokens[0]: records[0]}
    engine.dispose()


def test_a_sealed_identity_moved_to_another_record_does_not_open(tmp_path: Path) -> None:
    engine, ring, chance = make_engine(tmp_path / "v.db"), _ring("vault"), seeded(5)
    metadata.create_all(engine)
    records = vault_write.write(
        engine, ring, "d", [b"t" * 32, b"u" * 32], {"surname": ["A", "B"]}, chance
    )
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "update sealed_identity set body = (select body from sealed_identity where record_id = ?), "
            "wrapped_key = (select wrapped_key from sealed_identity where record_id = ?) where record_id = ?",
            (records[1], records[1], records[0]),
        )
    with pytest.raises(VaultError, match="FG-VAU-01"):
        vault_read.open_identities(engine, ring, records, {"d": 1})
    engine.dispose()
