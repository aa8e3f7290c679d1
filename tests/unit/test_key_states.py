"""A key that may not be used is used by nothing: every state of a key against everything that asks for one.

Public failure 14 of audit_crypto.md 6: a key store that decrypts with a disabled key, or with another one than was
named, makes every test of destruction pass for the wrong reason. There is no cloud key store here; these are the
states that ours has.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.domain.errors import ConfigError, VaultError
from engine.flows.home import Home
from engine.identity.keys import (
    DEMO,
    Keyring,
    add_key,
    create_keyring,
    drop_older,
    open_keyring,
    use_newest,
    version_in_use,
)
from engine.identity.pseudonyms import Domain, domain

pytestmark = pytest.mark.finding("AUD-14")
WORD = b"a passphrase of this test"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    create_keyring(tmp_path / "psn.json", "psn", WORD, DEMO, os.urandom)
    return tmp_path / "psn.json"


def opened(path: Path, purpose: str = "psn", word: bytes = WORD) -> Keyring:
    return open_keyring(path, purpose, lambda: word)


def more(path: Path, *, coming: bool = False) -> int:
    return add_key(path, "psn", lambda: WORD, os.urandom, coming=coming)


def names(path: Path) -> Domain:
    return domain(opened(path), "audit")


ID = bytes(range(16))


def test_a_key_that_was_destroyed_opens_nothing_that_it_made(path: Path) -> None:
    (made,) = names(path).seal([ID])
    assert names(path).open([made]) == [ID]
    version = more(path)
    assert drop_older(path, version) == [1]
    with pytest.raises(ConfigError, match="FG-KEY-04"):
        opened(path).derive("siv|audit", 64, 1)
    # Nor does the key that took its place, silently, open it to something else.
    with pytest.raises(VaultError):
        names(path).open([made])


def test_a_key_that_is_being_prepared_is_used_by_nothing_until_it_takes_over(path: Path) -> None:
    before = opened(path).derive("x", 32)
    coming = more(path, coming=True)
    ring = opened(path)
    assert (ring.current, ring.coming, version_in_use(path, "psn")) == (1, coming, 1)
    assert ring.derive("x", 32) == before != ring.derive("x", 32, coming)
    use_newest(path)
    assert opened(path).derive("x", 32) == ring.derive("x", 32, coming)


def test_a_version_that_never_was_is_refused_and_no_other_is_taken_for_it(path: Path) -> None:
    for version in (0, 2, 99, -1):
        with pytest.raises(ConfigError, match="FG-KEY-04"):
            opened(path).derive("x", 32, version)


def _swapped(document: dict) -> None:
    keys = document["keys"]
    keys["1"], keys["2"] = keys["2"], keys["1"]


def _copied(document: dict) -> None:
    document["keys"]["3"] = document["keys"]["1"]


def _present(document: dict) -> None:
    document["present"] = 7


def _bit(document: dict) -> None:
    sealed = document["keys"]["2"]["sealed"]
    document["keys"]["2"]["sealed"] = ("B" if sealed[0] == "A" else "A") + sealed[1:]


@pytest.mark.parametrize("change", [_swapped, _copied, _present, _bit])
def test_a_keyring_in_which_a_key_stands_for_another_does_not_open_at_all(
    path: Path, change: Callable[[dict], None]
) -> None:
    more(path)
    document = json.loads(path.read_text(encoding="ascii"))
    change(document)
    path.write_text(json.dumps(document), encoding="ascii")
    with pytest.raises(ConfigError, match="FG-KEY-03"):
        opened(path)


def test_another_passphrase_another_purpose_and_open_rights_open_nothing(path: Path) -> None:
    with pytest.raises(ConfigError, match="FG-KEY-03"):
        opened(path, word=b"another passphrase")
    with pytest.raises(ConfigError, match="FG-KEY-03"):
        opened(path, purpose="link")
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="FG-KEY-02"):
        opened(path)
    path.unlink()
    with pytest.raises(ConfigError, match="FG-KEY-01"):
        opened(path)


def test_a_key_that_is_closed_to_a_process_is_refused_by_name_and_every_other_opens(
    home: Home,
) -> None:
    home.serve()
    with pytest.raises(ConfigError, match="FG-KEY-11"):
        home.keyring("link")
    assert home.keyring("psn").purpose == "psn"


def test_what_a_domain_made_another_domain_and_another_version_refuse(path: Path) -> None:
    (made,) = names(path).seal([ID])
    with pytest.raises(VaultError):
        domain(opened(path), "casework").open([made])
    more(path)
    with pytest.raises(VaultError):
        names(path).open([made])


def test_no_stand_in_of_a_key_store_is_installed_that_keys_could_be_asked_of() -> None:
    """With moto's KMS a disabled key decrypts; a test that rested on it would prove nothing."""
    for lock in ROOT.glob("requirements*.lock"):
        assert not re.search(
            r"^(moto|boto3|botocore)==", lock.read_text(encoding="utf-8"), re.MULTILINE
        )
