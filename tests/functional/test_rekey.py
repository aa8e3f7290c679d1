"""The linkage key is changed, and nobody is linked anew by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from typer.testing import CliRunner

from audit.canonical import parse
from audit.log import read_events
from engine.cli.main import app
from engine.domain.errors import ConfigError, LinkageError
from engine.flows.decision import Ask
from engine.flows.deliveries import withdraw
from engine.flows.home import Home
from engine.flows.link import link
from engine.flows.rekey import reencode
from engine.flows.reveal import reveal
from engine.flows.submit import submit
from engine.identity.keys import DEMO, add_key, create_keyring
from engine.linkage.index import current_membership
from engine.linkage.index_tables import canary, encoding
from engine.settings import Settings
from tests.builders.partnership import (
    OPERATOR,
    REASON,
    Clock,
    make_home,
    person_row,
    persons_file,
    seeded,
)

ROWS = [
    person_row(),
    person_row(PersonID="LA2", Forename="Testina", BirthDate="2012-03-05"),
    person_row(PersonID="LA3", Forename="Canaryname", BirthDate="2009-07-08", Postcode="TL9 9ZZ"),
]


def _home(folder: Path) -> Home:
    home = make_home(folder / "home")
    submit(home, persons_file(folder / "a.csv", *ROWS), agency="council", source="council.persons",
           actor=OPERATOR)  # fmt: skip
    return home


def _rows(home: Home) -> list[Any]:
    with home.linkage.connect() as connection:
        return list(connection.execute(select(encoding).order_by(encoding.c.record)))


@pytest.mark.finding("B26")
def test_a_new_key_changes_every_word_and_no_person(tmp_path: Path) -> None:
    home = _home(tmp_path)
    first = link(home, OPERATOR)
    people, before = current_membership(home.linkage, home.link_runs()), _rows(home)
    told = reencode(home, OPERATOR, rotate=True, dry_run=True)
    assert (told["records"], told["made"], told["key_version"]) == (3, 0, 2)
    assert _rows(home) == before
    made = reencode(home, OPERATOR, rotate=True)
    assert (made["records"], made["made"], made["key_version"]) == (3, 3, 2)
    after = _rows(home)
    assert [row.key_version for row in after] == [2, 2, 2]
    assert all(one.words != other.words for one, other in zip(before, after, strict=True))
    assert [row.birth_month for row in after] == [row.birth_month for row in before]
    again = link(home, OPERATOR)
    assert again["records_compared"] == 3  # Pairs of another key are of no use.
    assert current_membership(home.linkage, home.link_runs()) == people
    same = ("persons", "pairs_linked", "pairs_for_review", "review_reasons")
    assert {name: again[name] for name in same} == {name: first[name] for name in same}
    # What comes afterwards is encoded under the new key and meets the old records.
    more = persons_file(tmp_path / "b.csv", person_row(PersonID="LA9"))
    submit(home, more, agency="council", source="council.persons", actor=OPERATOR)
    assert link(home, OPERATOR)["persons"] == first["persons"]
    assert reencode(home, OPERATOR)["records"] == 0
    events = [parse(body) for _, body in read_events(home.path / "audit")]
    assert "key_op" in {event["kind"] for event in events}
    assert "Canaryname" not in json.dumps(events)
    home.close()


@pytest.mark.finding("LNK-31", "LNK-32")
def test_a_mixture_of_keys_or_encoders_is_an_error_until_it_is_made_again(tmp_path: Path) -> None:
    home = _home(tmp_path)
    path = home.path / "keys" / "link.json"
    words = (home.path / "keys" / "demo.passphrase").read_bytes().strip()
    assert add_key(path, "link", lambda: words, home.randomness) == 2
    home.forget_keyring("link")
    with pytest.raises(LinkageError, match="FG-LNK-02"):
        link(home, OPERATOR)
    assert reencode(home, OPERATOR)["made"] == 3
    assert link(home, OPERATOR)["records"] == 3
    with home.linkage.begin() as connection:
        connection.execute(update(encoding).values(encoder_version="e0", words=b"old"))
    with pytest.raises(LinkageError, match="FG-LNK-02"):
        link(home, OPERATOR)
    assert reencode(home, OPERATOR)["made"] == 3
    people = current_membership(home.linkage, home.link_runs())
    link(home, OPERATOR)
    assert current_membership(home.linkage, home.link_runs()) == people
    home.close()


@pytest.mark.finding("LNK-31")
def test_another_key_under_the_same_version_is_an_error_and_never_no_links(tmp_path: Path) -> None:
    home = _home(tmp_path)
    link(home, OPERATOR)
    people = current_membership(home.linkage, home.link_runs())
    path = home.path / "keys" / "link.json"
    words = (home.path / "keys" / "demo.passphrase").read_bytes().strip()
    path.unlink()
    create_keyring(path, "link", words, DEMO, seeded(77))
    home.forget_keyring("link")
    before = _rows(home)
    with pytest.raises(LinkageError, match="FG-LNK-13"):
        link(home, OPERATOR)
    assert _rows(home) == before
    assert reencode(home, OPERATOR)["made"] == 3
    link(home, OPERATOR)
    assert current_membership(home.linkage, home.link_runs()) == people
    # A delivery whose invented people are gone is refused as well.
    with home.linkage.begin() as connection:
        connection.execute(delete(canary))
    with pytest.raises(LinkageError, match="FG-LNK-13"):
        link(home, OPERATOR)
    home.close()


@pytest.mark.finding("LNK-30")
def test_encodings_that_nothing_needs_are_deleted_and_made_again_when_they_are(
    tmp_path: Path,
) -> None:
    clock = Clock()
    home = make_home(tmp_path / "home", clock=clock)
    send = {"agency": "council", "source": "council.persons", "actor": OPERATOR}
    submit(home, persons_file(tmp_path / "a.csv", *ROWS), **send)
    first = link(home, OPERATOR)
    assert (first["encodings_to_delete"], first["encodings_deleted"]) == (0, 0)
    people, before = current_membership(home.linkage, home.link_runs()), _rows(home)
    again = submit(home, persons_file(tmp_path / "b.csv", person_row(Forename="Other")), **send)
    waiting = link(home, OPERATOR)
    assert (waiting["encodings_to_delete"], waiting["encodings_deleted"]) == (1, 0)
    clock.advance(days=89)
    assert link(home, OPERATOR)["encodings_to_delete"] == 1
    assert len(_rows(home)) == 4
    clock.advance(days=1)
    done = link(home, OPERATOR)
    assert (done["encodings_to_delete"], done["encodings_deleted"]) == (0, 1)
    assert len(_rows(home)) == 3
    # The word that replaced it is withdrawn, so that the one before counts again.
    withdraw(home, again["number"], OPERATOR)
    with pytest.raises(LinkageError, match="FG-LNK-14"):
        link(home, OPERATOR)
    assert reencode(home, OPERATOR, dry_run=True)["records"] == 1
    assert reencode(home, OPERATOR)["made"] == 1
    last = link(home, OPERATOR)
    assert current_membership(home.linkage, home.link_runs()) == people
    held = {(row.record, row.delivery): row.words for row in _rows(home)}
    assert all(held[row.record, row.delivery] == row.words for row in before)
    assert last["encodings_to_delete"] == 0  # What was withdrawn went at once.
    home.close()


def test_the_command_says_what_it_would_do_and_does_it(tmp_path: Path) -> None:
    home = _home(tmp_path)
    home.close()
    where = ["--home", str(home.path), "--json"]
    dry = CliRunner().invoke(app, ["keys", "rotate", "--dry-run", *where])
    assert json.loads(dry.stdout)["made"] == 0
    done = CliRunner().invoke(app, ["keys", "rotate", *where])
    assert json.loads(done.stdout)["made"] == 3
    assert (home.path / "keys" / "link.json").stat().st_mode & 0o077 == 0
    assert json.loads(CliRunner().invoke(app, ["keys", "reencode", *where]).stdout)["records"] == 0


def test_linkage_needs_no_vault_key_and_the_vault_no_linkage_key(tmp_path: Path) -> None:
    """Each lane works with its own keys alone, and neither opens what is the other's."""
    home = _home(tmp_path)
    link(home, OPERATOR)
    people = current_membership(home.linkage, home.link_runs())
    home.close()
    keys = tmp_path / "home" / "keys"
    held = {name: (keys / f"{name}.json").read_bytes() for name in ("vault", "link")}

    def reopened() -> Home:
        return Home(tmp_path / "home", Settings(passphrase=None), Clock(), seeded(4))

    (keys / "vault.json").unlink()
    lane = reopened()
    assert link(lane, OPERATOR, whole=True)["records"] == 3
    assert current_membership(lane.linkage, lane.link_runs()) == people
    person = lane.domain("casework")
    asked = person.text(person.seal([sorted(people.values())[0]])[0])
    ask = Ask("demo.social_worker", "safeguard_child", "CASE-1", REASON, asked)
    with pytest.raises(ConfigError, match="FG-KEY-01"):
        reveal(lane, ask, auth="demo")
    lane.close()
    (keys / "vault.json").write_bytes(held["vault"])
    (keys / "vault.json").chmod(0o600)
    (keys / "link.json").unlink()
    vault = reopened()
    assert reveal(vault, ask, auth="demo")["permitted"]
    with pytest.raises(ConfigError, match="FG-KEY-01"):
        link(vault, OPERATOR)
    with pytest.raises(ConfigError, match="FG-KEY-01"):
        vault.keyring("link")
    vault.close()


def test_what_linkage_keeps_is_for_its_owner_alone(home: Home, tmp_path: Path) -> None:
    file = persons_file(tmp_path / "a.csv", person_row(), person_row(PersonID="LA2"))
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    summary = link(home, OPERATOR)
    assert summary["made_with"]["key_version"] == home.keyring("link").current
    kept = [path for path in (home.path / "linkage").rglob("*") if path.is_file()]
    assert {path.suffix for path in kept} >= {".db", ".pairs", ".records"}
    for path in [*kept, home.path / "vault" / "vault.db"]:
        if path.exists():
            assert path.stat().st_mode & 0o077 == 0, path.name


def test_pairs_scored_by_other_rules_are_not_taken_over(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [person_row(PersonID=f"LA{n}", BirthDate=f"2012-03-0{n}") for n in range(1, 5)]
    submit(home, persons_file(tmp_path / "a.csv", *rows), agency="council",
           source="council.persons", actor=OPERATOR)  # fmt: skip
    assert link(home, OPERATOR)["records_compared"] == 4
    assert link(home, OPERATOR)["records_compared"] == 0
    monkeypatch.setattr("engine.flows.link.scored_with", lambda _: "another Splink")
    assert link(home, OPERATOR)["records_compared"] == 4
