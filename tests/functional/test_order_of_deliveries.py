"""Whichever agency sends first: who is one person and what is asked hang on the records alone."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from engine.flows.home import Home
from engine.flows.link import link
from engine.flows.submit import submit
from engine.identity import vault_write
from engine.linkage.decide import CONFUSED, GUARD, LEADER, NAMELESS
from engine.linkage.index import current_membership, review_pairs
from tests.builders.partnership import (
    OPERATOR,
    make_home,
    person_row,
    persons_file,
    seeded,
    write_csv,
)

PATIENTS = ("PatientRef", "NHSNumber", "GivenName", "FamilyName", "BirthDate", "Sex", "Postcode", "Flag",
            "FlagFrom", "RecordedOn")  # fmt: skip
OCCURRENCES = ("OccurrenceRef", "NominalRef", "Role", "Surname", "Forename", "DOB", "Address", "Postcode",
               "OccurredOn", "RecordedOn")  # fmt: skip
KEYS = {
    ("council", "council.persons"): ("LA1", "LA2", "LA3", "LA4", "LA5", "LA6"),
    ("health", "health.flags"): ("R1", "R2", "R3", "R5", "R6"),
    ("police", "police.occurrences"): ("N1", "N3", "N4", "N5"),
}
Source = tuple[str, str]
People = set[frozenset[bytes]]
Asked = set[tuple[frozenset[frozenset[bytes]], str, float]]


def _council(path: Path) -> Path:
    return persons_file(
        path,
        person_row(),
        person_row(PersonID="LA2", Forename="Bella"),  # Her twin.
        person_row(PersonID="LA3", Forename="Ada", Surname="Mockley", NHSNumber="9990000018",
                   Postcode="TL2 1BB", Address=""),
        person_row(PersonID="LA4", Forename="Rose", Surname="Mallow", BirthDate="2011-05-06",
                   Postcode="TL3 1CC", Address="3 Harbour Way"),
        person_row(PersonID="LA5", Forename="J", Surname="Harrow", BirthDate="2010-09-10",
                   Postcode="TL4 1DD", Address="4 Harbour Way"),
        person_row(PersonID="LA6", Forename="Wilma", Surname="Inventa", NHSNumber="9990000034",
                   BirthDate="2009-02-03", Postcode="TL5 1EE", Address="5 Harbour Way"),
    )  # fmt: skip


def _health(path: Path) -> Path:
    def row(ref: str, number: str, given: str, surname: str, born: str, code: str) -> list[str]:
        return [ref, number, given, surname, born, "F", code, "MH", "2026-10-01", "2026-11-01"]

    return write_csv(path, PATIENTS, [
        row("R1", "9990000042", "Testina", "Fakename", "2012-03-04", "TL1 0AA"),
        row("R2", "", "Baby", "Fakename", "2012-03-04", "TL1 0AA"),
        row("R3", "9990000026", "Ada", "Mockley", "2012-03-04", "TL2 1BB"),
        row("R5", "", "Jack", "Harrow", "2010-09-10", "TL4 1DD"),
        row("R6", "9990000034", "Orla", "Otherly", "1990-07-08", "TL9 9ZZ"),
    ])  # fmt: skip


def _police(path: Path) -> Path:
    def row(ref: str, given: str, surname: str, born: str, place: str, code: str) -> list[str]:
        return [
            f"O{ref}",
            ref,
            "VICTIM",
            surname,
            given,
            born,
            place,
            code,
            "01/11/2026",
            "02/11/2026",
        ]

    return write_csv(path, OCCURRENCES, [
        row("N1", "Testina", "Fakename", "04/03/2012", "7 Elsewhere Road", "TL8 1HH"),
        row("N3", "Ada", "Mockley", "04/03/2012", "9 Mill Lane", "TL2 1BB"),
        row("N4", "Rose", "Mallow", "07/05/2011", "3 Harbour Way", "TL3 1CC"),
        row("N5", "James", "Harrow", "10/09/2010", "4 Harbour Way", "TL4 1DD"),
    ])  # fmt: skip


FILES = dict(zip(KEYS, (_council, _health, _police), strict=True))


def _names(home: Home) -> dict[bytes, bytes]:
    """Return the record that linkage knows to the keyed token of its agency's own key."""
    found: dict[bytes, bytes] = {}
    for (agency, source), keys in KEYS.items():
        tokens = [vault_write.key_token(home.keyring("vault"), agency, source, key) for key in keys]
        records = vault_write.known_records(home.vault, tokens)
        assert len(records) == len(keys)
        sealed = home.domain("linkage").seal([records[token] for token in tokens])
        found.update(zip(sealed, tokens, strict=True))
    return found


def _story(home: Home, order: tuple[Source, ...]) -> tuple[People, Asked]:
    """Return who is together and what is asked when deliveries came in an order, each linked at once."""
    for agency, source in order:
        file = FILES[agency, source](home.path.with_name(f"{source}.csv"))
        submit(home, file, agency=agency, source=source, actor=OPERATOR)
        link(home, OPERATOR)
    names = _names(home)
    member = current_membership(home.linkage, home.link_runs())
    people: dict[bytes, set[bytes]] = defaultdict(set)
    for record, person in member.items():
        people[person].add(names[record])

    def side(record: bytes, *, scored: bool) -> frozenset[bytes]:
        # What no rule scored is asked of two people, beside whichever record of theirs.
        return frozenset([names[record]] if scored else people[member[record]])

    asked = {
        (frozenset(side(record, scored=bool(one.levels)) for record in (one.left, one.right)),
         one.reason, one.weight)
        for one in review_pairs(home.linkage, home.link_runs()[-1])
    }  # fmt: skip
    return {frozenset(one) for one in people.values()}, asked


@pytest.mark.deep
def test_the_order_of_deliveries_changes_nobody_and_no_question(tmp_path: Path) -> None:
    made = make_home(tmp_path / "made")
    made.close()
    stories = {}
    for number, order in enumerate(itertools.permutations(KEYS)):
        # The keys are those of one home; what chance gives to records and people is not.
        folder = tmp_path / str(number)
        shutil.copytree(made.path, folder / "home")
        home = Home(folder / "home", made.settings, made.clock, seeded(10 + number), apart=False)
        stories[order] = _story(home, order)
        home.close()
    (people, asked), *others = stories.values()
    # Three agencies know Testina. The police's Ada fits both of two who have numbers, and is neither:
    # where one of those came last, she was the other's before.
    assert sorted(map(len, people)) == [1] * 12 + [3]
    reasons = Counter(reason for _, reason, _ in asked)
    assert reasons == {GUARD: 8, LEADER: 2, NAMELESS: 2, CONFUSED: 1}
    assert others == [(people, asked)] * 5
