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
from engine.flows.linkage_work import seal_under
from engine.flows.rekey import begin, promote, reencode, retire, rotate, shown
from engine.flows.reveal import reveal
from engine.flows.submit import submit
from engine.identity.keys import DEMO, add_key, create_keyring
from engine.linkage.encode import COLUMNS
from engine.linkage.encodings import promote_coming
from engine.linkage.index import current_membership
from engine.linkage.index_tables import canary, coming_canary, coming_encoding, encoding
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
    told = rotate(home, OPERATOR, dry_run=True)
    assert (told["records"], told["made"], told["key_version"]) == (3, 0, 2)
    assert _rows(home) == before
    made = rotate(home, OPERATOR)
    assert (made["records"], made["made"], made["key_version"]) == (3, 3, 2)
    after = _rows(home)
    assert [row.key_version for row in after] == [2, 2, 2]
    ring, names = home.keyring("link"), [bytes(row.record) for row in before]
    old, new = (
        seal_under(ring, version).open(names, [bytes(row.words) for row in rows])
        for version, rows in ((1, before), (2, after))
    )
    tokens = [COLUMNS.index(name) for name in ("given", "surname", "dob")]
    assert (old[:, tokens] != new[:, tokens]).all()
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
    seal, names = seal_under(home.keyring("link")), [row.record for row in before]
    made_again = [held[row.record, row.delivery] for row in before]
    # The same words under the same key, sealed anew.
    assert (seal.open(names, made_again) == seal.open(names, [row.words for row in before])).all()
    assert last["encodings_to_delete"] == 0  # What was withdrawn went at once.
    home.close()


def _keys(home: Home) -> dict[str, Any]:
    return json.loads((home.path / "keys" / "link.json").read_text(encoding="ascii"))


def test_two_keys_are_carried_until_everything_stands_under_both(tmp_path: Path) -> None:
    """linkage.md 4: during the overlap both are carried, and linking goes on within one version."""
    home = _home(tmp_path)
    send = {"agency": "council", "source": "council.persons", "actor": OPERATOR}
    first = link(home, OPERATOR)
    people, before = current_membership(home.linkage, home.link_runs()), _rows(home)
    assert begin(home, OPERATOR, dry_run=True)["coming"] == 2
    assert len(_keys(home)["keys"]) == 1
    begun = begin(home, OPERATOR)
    assert (begun["key_version"], begun["coming"], begun["to_make"]) == (1, 2, 3)
    with pytest.raises(ConfigError, match="FG-KEY-09"):
        begin(home, OPERATOR)
    # Linking goes on, under the key in use, and takes over the pairs of the run before.
    assert link(home, OPERATOR)["records_compared"] == 0
    assert _rows(home) == before
    # A delivery that comes now is encoded under both.
    more = persons_file(tmp_path / "b.csv", person_row(PersonID="LA9"))
    came = submit(home, more, **send)
    assert shown(home) == {
        "in_use": 1, "coming": 2, "versions": [1, 2], "encodings": {"1": 4, "2": 1},
        "not_yet_under_the_coming_key": 3,
    }  # fmt: skip
    for refused in (promote, retire):
        with pytest.raises(ConfigError, match="FG-KEY-(09|10)"):
            refused(home, OPERATOR)
    assert reencode(home, OPERATOR, dry_run=True)["records"] == 3
    assert reencode(home, OPERATOR)["made"] == 3
    assert reencode(home, OPERATOR)["made"] == 0
    assert link(home, OPERATOR)["persons"] == first["persons"]
    held = current_membership(home.linkage, home.link_runs())
    # What is withdrawn meanwhile goes under both keys.
    withdraw(home, came["number"], OPERATOR)
    assert shown(home)["encodings"] == {"1": 3, "2": 3}
    assert promote(home, OPERATOR, dry_run=True)["encodings"] == 3
    assert promote(home, OPERATOR)["encodings"] == 3
    assert [row.key_version for row in _rows(home)] == [2, 2, 2]
    assert shown(home)["encodings"] == {"2": 3}
    again = link(home, OPERATOR)
    assert again["made_with"]["key_version"] == 2
    now = current_membership(home.linkage, home.link_runs())
    assert {one: now[one] for one in people} == people
    assert {one: held[one] for one in now} == now
    # The old key opens nothing any more, and goes by a step of its own.
    assert sorted(_keys(home)["keys"]) == ["1", "2"]
    assert retire(home, OPERATOR, dry_run=True)["retired"] == [1]
    assert retire(home, OPERATOR)["retired"] == [1]
    assert sorted(_keys(home)["keys"]) == ["2"]
    assert link(home, OPERATOR)["persons"] == again["persons"]
    with pytest.raises(ConfigError, match="FG-KEY-10"):
        promote(home, OPERATOR)
    events = [parse(body) for _, body in read_events(home.path / "audit")]
    acts = {event["flow"] for event in events if event["kind"] == "key_op"}
    assert acts >= {"key_begin", "reencode", "key_promote", "key_retire"}
    home.close()


@pytest.mark.parametrize("arrow", ["key_promote.promote", "key_promote.promoted"])
def test_a_promotion_that_was_cut_is_gone_on_with(tmp_path: Path, arrow: str) -> None:
    home = _home(tmp_path)
    link(home, OPERATOR)
    people = current_membership(home.linkage, home.link_runs())
    begin(home, OPERATOR)
    reencode(home, OPERATOR)
    home.close()

    def cut(name: str) -> None:
        if name == arrow:
            raise RuntimeError

    broken = Home(tmp_path / "home", Settings(passphrase=None), Clock(), seeded(5), cut)
    with pytest.raises(RuntimeError):
        promote(broken, OPERATOR)
    broken.close()
    whole = Home(tmp_path / "home", Settings(passphrase=None), Clock(), seeded(6))
    assert promote(whole, OPERATOR)["encodings"] == 3
    link(whole, OPERATOR)
    assert current_membership(whole.linkage, whole.link_runs()) == people
    assert shown(whole)["encodings"] == {"2": 3}
    whole.close()


def test_a_coming_encoding_made_by_another_encoder_or_key_does_not_count(tmp_path: Path) -> None:
    home = _home(tmp_path)
    begin(home, OPERATOR)
    reencode(home, OPERATOR)
    for spoilt in (
        update(coming_encoding).values(encoder_version="e0"),
        update(coming_canary).values(value=7),
    ):
        with home.linkage.begin() as connection:
            connection.execute(spoilt)
        with pytest.raises(ConfigError, match="3 encodings"):
            promote(home, OPERATOR)
        assert reencode(home, OPERATOR)["made"] == 3
    assert promote(home, OPERATOR)["encodings"] == 3
    home.close()


def test_an_encoding_that_comes_while_the_key_is_changed_stops_the_change(tmp_path: Path) -> None:
    home = _home(tmp_path)
    begin(home, OPERATOR)
    reencode(home, OPERATOR)
    with home.linkage.begin() as connection:
        row = dict(connection.execute(select(encoding)).mappings().first() or {})
        connection.execute(encoding.insert(), [{**row, "record": b"new" * 8}])
    assert promote_coming(home.linkage) == (0, 1)
    assert {row.key_version for row in _rows(home)} == {1}
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
    assert json.loads(CliRunner().invoke(app, ["keys", "retire", *where]).stdout)["retired"] == [1]
    begun = CliRunner().invoke(app, ["keys", "rotate", "--overlap", "--home", str(home.path)])
    assert "Key 3 is prepared beside key 2" in begun.output
    told = CliRunner().invoke(app, ["keys", "show", "--home", str(home.path)]).output
    assert "Being prepared: key 3; 3 encodings are still to be made" in told
    assert json.loads(CliRunner().invoke(app, ["keys", "reencode", *where]).stdout)["made"] == 3
    assert json.loads(CliRunner().invoke(app, ["keys", "promote", *where]).stdout)["encodings"] == 3


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
