"""Families and their traps, pair by pair: who is one person, who is not, and who goes to a reviewer.

The table is the documentation of the merge guard and of constraint clustering (linkage.md 4.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from engine.identity.normalise import normalise
from engine.linkage.artefacts import load_model, shipped
from engine.linkage.blocks import Mask, Places, listed
from engine.linkage.cluster import NOTHING, Memory, enough_to_identify
from engine.linkage.decide import CONFUSED, GUARD, NAMELESS, Linked, decide
from engine.linkage.edge_store import Scored
from engine.linkage.encode import Encoder, Words
from engine.linkage.linker import SplinkLinker
from tests.builders.encoded import KEY, Row, encoded, person
from tests.builders.partnership import TODAY

MODEL = load_model(shipped())
ELSEWHERE = {"address": "77 Harbour Way", "postcode": "TL9 9ZZ"}
Case = tuple[str, str, Row, Row]
Apart = Case | tuple[str, str, Row, Row, str]


def _persons(rows: list[Row], scheme: str = "") -> list[int]:
    """Return the cluster of each row, as the link flow makes it."""
    return _linked(rows, scheme).clusters.cluster.tolist()


def _linked(rows: list[Row], scheme: str = "", memory: Memory = NOTHING, **masks: Any) -> Linked:
    """Return what the link flow makes of some records, each of an agency of its own."""
    words: Words = encoded(rows, scheme=scheme)
    linker = SplinkLinker(Encoder(KEY, 1), MODEL)
    agencies = [f"agency{number}" for number in range(len(rows))]
    return decide(words, agencies, linker, MODEL, memory, **masks)


ONE: list[Case] = [
    ("the same words", "", person("Ada", "Fakename", "2010-03-04"), person("ADA", "fakename", "2010-03-04")),
    ("a nickname", "", person("William", "Fakename", "2010-03-04"), person("Bill", "Fakename", "2010-03-04")),
    ("LNK-33 an accent and an apostrophe", "LNK-33", person("Zoë", "O'Dell", "2010-03-04"), person("Zoe", "ODell", "2010-03-04")),
    ("LNK-9 day and month swapped at one home", "LNK-9", person("Ada", "Fakename", "2010-03-04"), person("Ada", "Fakename", "2010-04-03")),
    ("LNK-11 a double-barrelled name shortened", "LNK-11", person("Ada", "Thorne-Smith", "2010-03-04"), person("Ada", "Smith", "2010-03-04")),
    ("LNK-11 a double-barrelled name of which the first part was kept", "LNK-11", person("Ada", "Thorne-Smith", "2010-03-04"), person("Ada", "Thorne", "2010-03-04")),
    ("LNK-11 a double-barrelled name in the other order", "LNK-11", person("Ada", "Thorne-Smith", "2010-03-04"), person("Ada", "Smith-Thorne", "2010-03-04")),
    ("LNK-33 letters that Unicode keeps whole", "LNK-33", person("Łukasz", "Ørsted", "2010-03-04"), person("Lukasz", "Orsted", "2010-03-04")),
    ("LNK-12 given and surname swapped", "LNK-12", person("Ada", "Fakename", "2010-03-04"), person("Fakename", "Ada", "2010-03-04")),
    ("LNK-13 a misspelling of a name", "LNK-13", person("Mohammed", "Fakename", "2010-03-04"), person("Mohamemd", "Fakename", "2010-03-04")),
    ("LNK-12 one name only", "LNK-12", person("Abebe", None, "2010-03-04"), person("Abebe", None, "2010-03-04")),
    ("LNK-12 one name and two", "LNK-12", person("Abebe", None, "2010-03-04"), person("Abebe", "Bikila", "2010-03-04")),
    ("LNK-12 three Somali names, split in another place", "LNK-12", person("Abdi Hassan", "Warsame", "2010-03-04"), person("Abdi", "Hassan Warsame", "2010-03-04")),
    ("LNK-12 three Somali names, all of them in one field", "LNK-12", person("Abdi Hassan Warsame", None, "2010-03-04"), person("Abdi", "Hassan Warsame", "2010-03-04")),
    ("LNK-12 three Somali names, split in another place and in two homes", "LNK-12", person("Abdi Hassan", "Warsame", "2010-03-04"), person("Abdi", "Hassan Warsame", "2010-03-04", **ELSEWHERE)),
    ("LNK-12 the first two of three Somali names at one home", "LNK-12", person("Abdi", "Hassan Warsame", "2010-03-04"), person("Abdi", "Hassan", "2010-03-04")),
    ("LNK-12 the first and the last of three Somali names at one home", "LNK-12", person("Abdi Hassan", "Warsame", "2010-03-04"), person("Abdi", "Warsame", "2010-03-04")),
    ("a nickname and a whole name", "", person("Edward", "Fakename", "2010-03-04"), person("Ted", "Fakename", "2010-03-04")),
    ("LNK-13 two spellings and one pupil number", "LNK-13", person("Mohammed", "Fakename", "2010-03-04", upn="H801200001001"), person("Muhammad", "Fakename", "2010-03-04", upn="H801200001001")),
    ("an address by its reference", "", person("Ada", "Fakename", "2010-01-01", address="The Mill", postcode=None, uprn="100023336956"), person("Ada", "Fakename", "2010-01-01", address="Mill House", postcode=None, uprn="100023336956")),
    ("LNK-22 a pupil number that was changed", "LNK-22", person("Ada", "Fakename", "2010-03-04", upn="H801200001001"), person("Ada", "Fakename", "2010-03-04", upn="Z980000004145")),
    ("moved house", "", person("Ada", "Fakename", "2010-03-04"), person("Ada", "Fakename", "2010-03-04", **ELSEWHERE)),
    ("LNK-8 1 January at one home", "LNK-8", person("Ada", "Fakename", "2010-01-01"), person("Ada", "Fakename", "2010-01-01")),
]  # fmt: skip

# Who is not linked; and, where linkage.md 4.1 asks for a person, why the pair is a question.
APART: list[Apart] = [
    ("LNK-1 twins", "LNK-1", person("Ada", "Fakename", "2010-03-04"), person("Bella", "Fakename", "2010-03-04")),
    ("LNK-22 a pupil number and nothing more", "LNK-22", person("Ada", "Fakename", "2010-03-04", upn="H801200001001"), person("Bob", "Other", "2008-07-08", upn="H801200001001", **ELSEWHERE)),
    ("LNK-22 two pupil numbers in two homes", "LNK-22", person("Ada", "Fakename", "2010-03-04", upn="H801200001001"), person("Ada", "Fakename", "2010-03-04", upn="Z980000004145", **ELSEWHERE)),
    ("LNK-1 twins with one first and another second name", "LNK-1", person("Mary Ann", "Fakename", "2010-03-04"), person("Mary Jane", "Fakename", "2010-03-04")),
    ("LNK-1 twins whose names end in another vowel", "LNK-1", person("Amelia", "Fakename", "2010-03-04"), person("Amelie", "Fakename", "2010-03-04")),
    ("LNK-1 twins of one stem, one with a vowel more", "LNK-1", person("Isabel", "Fakename", "2010-03-04"), person("Isabella", "Fakename", "2010-03-04", sex=None)),
    ("LNK-1 twins whose names rhyme", "LNK-1", person("Aiden", "Fakename", "2010-03-04"), person("Jaiden", "Fakename", "2010-03-04")),
    ("LNK-1 alike names and two pupil numbers", "LNK-1", person("Mohammed", "Fakename", "2010-03-04", upn="H801200001001"), person("Muhammad", "Fakename", "2010-03-04", upn="Z980000004145")),
    ("LNK-13 two spellings of one sound, as twins may have", "LNK-13", person("Mohammed", "Fakename", "2010-03-04"), person("Muhammad", "Fakename", "2010-03-04"), GUARD),
    ("LNK-13 one name as Arabic and as Somali spell it", "LNK-13", person("Mohammed", "Fakename", "2010-03-04"), person("Maxamed", "Fakename", "2010-03-04"), GUARD),
    ("LNK-13 one name as Ukrainian and as Russian spell it", "LNK-13", person("Oleksandr", "Fakename", "2010-03-04"), person("Aleksandr", "Fakename", "2010-03-04"), GUARD),
    ("LNK-13 one name as Ukrainian and as Russian spell it, in two homes", "LNK-13", person("Oleksandr", "Fakename", "2010-03-04"), person("Aleksandr", "Fakename", "2010-03-04", **ELSEWHERE), GUARD),
    ("LNK-12 two of three Somali names, in two homes", "LNK-12", person("Abdi", "Hassan Warsame", "2010-03-04"), person("Abdi", "Hassan", "2010-03-04", **ELSEWHERE), GUARD),
    *(
        (f"LNK-1 twins {one} and {other}", "LNK-1", person(one, "Fakename", "2010-03-04", sex=None), person(other, "Fakename", "2010-03-04", sex=None))
        for one, other in (("Jasmin", "Yasmin"), ("Amina", "Amna"), ("Amir", "Amar"), ("Samira", "Samara"), ("Lyla", "Layla"), ("Kieran", "Kiran"), ("Aaron", "Arran"), ("Dean", "Dan"), ("Marta", "Martha"), ("Mohamed", "Mahmoud"), ("Molly", "Polly"), ("Beth", "Libby"))
    ),
    *(
        (f"LNK-3 two without a name, {one} and {other}", "LNK-3", person(one, "Fakename", "2010-03-04"), person(other, "Fakename", "2010-03-04"))
        for one, other in (("Baby 1", "Baby 2"), ("Infant 1", "Infant 2"), ("Baby Boy", "Baby Boy"), ("Unborn", "Unborn"), ("Newborn", "Newborn"), ("Triplet 1", "Triplet 2"), ("Unknown 1", "Unknown 1"), ("Not Given", "Not Given"))
    ),
    ("LNK-7 a form's first day in two homes", "LNK-7", person("Ada", "Fakename", "1899-12-30"), person("Ada", "Fakename", "1899-12-30", **ELSEWHERE)),
    ("LNK-7 the day of the delivery", "LNK-7", person("Ada", "Fakename", "2026-11-25"), person("Ada", "Fakename", "2026-11-25", **ELSEWHERE)),
    ("LNK-12 one name in a street", "LNK-12", person("Abebe", None, "2010-03-04"), person("Abebe", None, "2010-03-04", address="7 Lantern Street"), GUARD),
    ("flats of two buildings and a common day", "LNK-8", person("Ada", "Fakename", "2010-01-01", address="Flat 2, 3 Mill Lane"), person("Ada", "Other", "2010-01-01", address="Flat 2, 5 Mill Lane")),
    ("LNK-1 twins of two consonants", "LNK-1", person("Tom", "Fakename", "2010-03-04"), person("Tim", "Fakename", "2010-03-04")),
    ("LNK-1 twins of one stem and two sexes", "LNK-1", person("Louis", "Fakename", "2010-03-04", sex="m"), person("Louise", "Fakename", "2010-03-04", sex="f")),
    ("LNK-2 an initial at one home", "LNK-2", person("J", "Fakename", "2010-03-04"), person("Jack", "Fakename", "2010-03-04"), GUARD),
    ("LNK-2 twins with one initial", "LNK-2", person("Jack", "Fakename", "2010-03-04"), person("James", "Fakename", "2010-03-04")),
    ("LNK-3 a twin without a name", "LNK-3", person("Jack", "Fakename", "2010-03-04"), person("Twin 1", "Fakename", "2010-03-04"), NAMELESS),
    ("LNK-4 father and son", "LNK-4", person("Jack", "Fakename", "1980-03-04"), person("Jack", "Fakename", "2010-03-04")),
    ("LNK-5 father and son, one date missing", "LNK-5", person("Jack", "Fakename", None), person("Jack", "Fakename", "2010-03-04"), GUARD),
    ("LNK-6 a sibling's date by clerical error", "LNK-6", person("Ada", "Fakename", "2010-03-04"), person("Rose", "Fakename", "2010-03-04"), GUARD),
    ("LNK-7 placeholders only", "LNK-7", person("Unknown", "Fakename", "1900-01-01"), person("Unknown", "Fakename", "1900-01-01")),
    ("LNK-8 1 January and a name elsewhere", "LNK-8", person("Mohammed", "Ali", "2010-01-01"), person("Mohammed", "Ali", "2010-01-01", **ELSEWHERE), GUARD),
    ("a birth date one day apart at one home", "", person("Ada", "Fakename", "2010-03-04"), person("Ada", "Fakename", "2010-03-05"), GUARD),
    ("LNK-14 a common name and a near date elsewhere", "LNK-14", person("James", "Smith", "2010-03-04"), person("James", "Smith", "2010-03-14", **ELSEWHERE), GUARD),
    ("LNK-19 one NHS number on two people", "LNK-19", person("Ada", "Fakename", "2010-03-04", nhs_number="9990000018"), person("Bob", "Other", "1960-07-08", nhs_number="9990000018", **ELSEWHERE), CONFUSED),
    ("LNK-21 two NHS numbers", "LNK-21", person("Ada", "Fakename", "2010-03-04", nhs_number="9990000018"), person("Ada", "Fakename", "2010-03-04", nhs_number="9990000026"), GUARD),
]  # fmt: skip


def _cases(rows: Sequence[Apart]) -> list[Any]:
    return [
        pytest.param(*case, id=name, marks=[pytest.mark.finding(finding)] if finding else [])
        for name, finding, *case in rows
    ]


@pytest.mark.parametrize(("one", "other"), _cases(ONE))
def test_one_person(one: Row, other: Row) -> None:
    first, second = _persons([one, other])
    assert first == second


@pytest.mark.parametrize(
    ("one", "other", "asked"), _cases([case if len(case) > 4 else (*case, "") for case in APART])
)
def test_two_persons(one: Row, other: Row, asked: str) -> None:
    found = _linked([one, other])
    first, second = found.clusters.cluster.tolist()
    assert first != second
    if asked:
        assert [(q.left, q.right, q.reason) for q in found.questions] == [(0, 1, asked)]


@pytest.mark.finding("LNK-25")
def test_a_chain_through_an_initial_never_merges_twins() -> None:
    rows = [
        person("Jack", "Fakename", "2010-03-04"),
        person("J", "Fakename", "2010-03-04"),
        person("James", "Fakename", "2010-03-04"),
    ]
    clusters = _persons(rows)
    assert clusters[0] != clusters[2]


@pytest.mark.finding("LNK-21", "B03")
def test_a_chain_through_a_record_without_a_number_never_joins_two_numbers() -> None:
    rows = [
        person("Ada", "Fakename", "2010-03-04", nhs_number="9990000018"),
        person("Ada", "Fakename", "2010-03-04"),
        person("Ada", "Fakename", "2010-03-04", nhs_number="9990000026"),
    ]
    clusters = _persons(rows)
    assert clusters[0] != clusters[2]


def test_an_agencys_own_id_joins_records_that_say_nothing_else() -> None:
    rows: list[Row] = [{"local_id": "A1"}, {"local_id": "A1"}, {"local_id": "A2"}]
    clusters = _persons(rows, scheme="council.child")
    assert clusters[0] == clusters[1] != clusters[2]


@pytest.mark.parametrize(
    ("row", "enough"),
    [
        (person("Ada", "Fakename", "2010-03-04"), True),
        ({"given_name": "Ada", "surname": "Fakename", "postcode": "TL1 0AA"}, True),
        ({"nhs_number": "9990000018"}, True),
        ({"given_name": "Ada", "surname": "Fakename"}, False),
        ({"birth_date": "2010-03-04", "sex": "f", "upn": "Z980000004145"}, False),
        ({"local_id": "A1"}, False),
        (person("Unknown", "Fakename", "1900-01-01"), False),
    ],
)
def test_not_enough_to_identify_is_a_state(row: Row, enough: bool) -> None:
    assert bool(enough_to_identify(encoded([row]))[0]) is enough


ADA = person("Ada", "Fakename", "2010-03-04")
BY_NUMBER = {"nhs_number": "9990000018"}


@pytest.mark.finding("LNK-14", "B09")
def test_a_record_that_fits_two_people_alike_goes_to_a_person() -> None:
    """Two people of one name, date and home, told apart by their numbers; a third record has none."""
    one, other = {**ADA, **BY_NUMBER}, {**ADA, "nhs_number": "9990000026"}
    found = _linked([one, other, ADA])
    assert len(set(found.clusters.cluster.tolist())) == 3
    assert {(one.left, one.right, one.reason) for one in found.questions} >= {
        (0, 2, "no_clear_leader"),
        (1, 2, "no_clear_leader"),
    }
    # With one of them alone there is a leader.
    assert len(set(_persons([one, ADA]))) == 1


@pytest.mark.finding("LNK-23")
def test_an_address_that_many_share_is_no_evidence_and_is_counted() -> None:
    hostel = {"address": "5 Harbour Hostel Road", "postcode": "TL5 5HH"}
    crowd = [person(f"Mock{chr(65 + n)}a", f"Fake{chr(65 + n)}e", f"19{70 + n}-02-03", **hostel)
             for n in range(20)]  # fmt: skip
    pair = [person("Ada", "Fakename", "2010-01-01", **hostel)] * 2
    assert len(set(_persons(pair))) == 1  # A home of two.
    found = _linked([*pair, *crowd])
    assert found.homes_set_aside == 22
    assert len(set(found.clusters.cluster.tolist())) == 22


@pytest.mark.finding("LNK-3")
def test_a_twin_without_a_name_is_a_question_about_both_and_links_to_neither() -> None:
    twins = [person("Ada", "Fakename", "2010-03-04"), person("Bella", "Fakename", "2010-03-04")]
    elsewhere = person("Cara", "Fakename", "2010-03-04", **ELSEWHERE)
    for name in ("Baby", "Twin 1", None):
        found = _linked([*twins, person(name, "Fakename", "2010-03-04"), elsewhere])
        assert len(set(found.clusters.cluster.tolist())) == 4
        assert [(one.left, one.right) for one in found.questions if one.reason == NAMELESS] == [
            (0, 2),
            (1, 2),
        ]
    rows = [*twins, person("Baby", "Fakename", "2010-03-04")]
    # By the agency's own id the nameless record is Ada's: nobody is asked whether it is Bella's.
    mine = [{**rows[0], "local_id": "L1"}, rows[1], {**rows[2], "local_id": "L1"}]
    assert NAMELESS not in {one.reason for one in _linked(mine, "council.child").questions}
    # Of five three are asked about, and with their answers the others.
    five = [*(person(name, "Fakename", "2010-03-04") for name in ("Ada", "Bella", "Cleo", "Dora", "Edna")),
            person("Baby", "Fakename", "2010-03-04")]  # fmt: skip
    answered: list[int] = []
    for count in (3, 2, 0):
        memory = Memory(cannot=[(row, 5) for row in answered])
        asked = [
            one.left for one in _linked(five, memory=memory).questions if one.reason == NAMELESS
        ]
        assert (len(asked), set(asked) & set(answered)) == (count, set())
        answered += asked
    assert sorted(answered) == [0, 1, 2, 3, 4]
    # What was said beside one record of Ada's is not asked again beside another of hers.
    two = [rows[0], rows[0], rows[1], rows[2]]
    for said in (0, 1):
        found = _linked(two, memory=Memory(cannot=[(said, 3)]))
        assert found.clusters.cluster[0] == found.clusters.cluster[1]
        assert [one.left for one in found.questions if one.reason == NAMELESS] == [2]
    # What a person says holds, and is asked about no more.
    told = _linked(rows, memory=Memory(must=[(0, 2)], cannot=[(1, 2)]))
    assert told.clusters.cluster[0] == told.clusters.cluster[2] != told.clusters.cluster[1]
    assert NAMELESS not in {one.reason for one in told.questions}
    # One who is kept apart is asked about nowhere.
    apart = np.array([True, False, True])
    assert NAMELESS not in {one.reason for one in _linked(rows, apart=apart).questions}


@pytest.mark.finding("LNK-23")
def test_an_address_on_the_partnership_s_list_is_no_evidence_for_two_either() -> None:
    """A home for four is too small to be noticed as a crowd: somebody has to say what it is."""
    flat = {"address": "Harbour House, Mill Lane", "postcode": "TL5 5HH"}
    pair = [person("Ada", "Fakename", "2010-01-01", **flat)] * 2
    assert len(set(_persons(pair))) == 1
    words = encoded(pair)
    encoder = Encoder(KEY, 1)

    def places(**said: str) -> Mask:
        clean = normalise({name: [value] for name, value in said.items()}, 1, TODAY,
                          accept_test_range=True, local_scheme="")  # fmt: skip
        return listed(words, Places(*(encoder.tokens(name, getattr(clean, name))
                                      for name in ("uprn", "house", "street", "postcode"))))  # fmt: skip

    for said in (flat, {"postcode": "tl5 5hh"}):
        found = places(**said)
        assert found.all()
        told = _linked(pair, listed=found)
        assert told.homes_set_aside == 2
        assert len(set(told.clusters.cluster.tolist())) == 2
    for other in ({**flat, "postcode": "TL5 5HJ"}, {**flat, "address": "Other House"},
                  {"uprn": "12"}, {"address": "Harbour House, Mill Lane"}):  # fmt: skip
        assert not places(**other).any()
    numbered = encoded([person("Ada", "Fakename", "2010-01-01", address="5 Hostel Road",
                               postcode="TL5 5HH", uprn="0012")])  # fmt: skip
    words = numbered  # What `places` looks at from here.
    assert places(address="5, Hostel Road", postcode="TL5 5HH").all()
    assert not places(address="7 Hostel Road", postcode="TL5 5HH").any()
    assert places(uprn="12").all()
    # A property with its postcode is that property, and not the neighbours.
    assert not places(uprn="13", postcode="TL5 5HH").any()
    assert places(uprn="12", postcode="TL5 5HH").all()


@pytest.mark.finding("LNK-17")
def test_who_is_hidden_on_one_record_is_hidden_on_all_records_of_the_person() -> None:
    """The flag wins over every source: another agency's record of the same person has the address too."""
    home = {"address": "9 Harbour Way", "postcode": "TL9 9ZZ"}
    one = {
        **person("Ada", "Fakename", "2010-01-01"),
        **BY_NUMBER,
        "address": None,
        "postcode": None,
    }
    other = {**person("Ada", "Fakename", "2010-01-01", **home), **BY_NUMBER}
    third = person("Ada", "Fakename", "2010-01-01", **home)
    rows = [one, other, third]
    assert len(set(_linked(rows).clusters.cluster.tolist())) == 1
    hidden = np.array([True, False, False])
    found = _linked(rows, hidden=hidden)
    assert found.homes_set_aside == 3
    assert found.clusters.cluster[0] == found.clusters.cluster[1] != found.clusters.cluster[2]
    # Whether pairs were taken over or scored again, the answer is the same.
    names = [bytes([n]) * 32 for n in range(3)]
    before = _linked(rows, records=names)
    earlier = Scored("", names, before.digests, before.edges)
    for more in ({"records": names}, {"records": names, "earlier": earlier}):
        again = _linked(rows, hidden=hidden, **more)
        assert again.clusters.cluster.tolist() == found.clusters.cluster.tolist()
        assert again.questions == found.questions


@pytest.mark.finding("LNK-17")
def test_a_hidden_address_links_nobody_and_helps_nobody() -> None:
    pair = [person("Ada", "Fakename", "2010-01-01"), person("Ada", "Fakename", "2010-01-01")]
    assert len(set(_persons(pair))) == 1
    hidden = np.array([True, False])
    assert len(set(_linked(pair, hidden=hidden).clusters.cluster.tolist())) == 2


@pytest.mark.finding("LNK-15", "LNK-16")
def test_records_of_an_adopted_child_are_linked_to_nothing_and_asked_about_nowhere() -> None:
    rows = [{**ADA, **BY_NUMBER, "local_id": "A1"}, {**ADA, **BY_NUMBER, "local_id": "A1"}]
    assert len(set(_persons(rows, "council.child"))) == 1
    found = _linked(rows, "council.child", apart=np.array([True, False]))
    assert len(set(found.clusters.cluster.tolist())) == 2
    assert found.questions == []


OLD, NEW, LAST = "9990000018", "9990000026", "9990000034"


@pytest.mark.finding("LNK-20", "LNK-22")
def test_a_former_number_is_followed_to_the_present_one_and_no_other_word_joins_two_numbers() -> (
    None
):
    before, after = {**ADA, "nhs_number": OLD}, {**ADA, "nhs_number": NEW}
    assert len(set(_persons([before, after]))) == 2
    stated = {"nhs_number": NEW, "former_nhs_number": OLD}
    found = _linked([before, {**ADA, **stated}])
    assert len(set(found.clusters.cluster.tolist())) == 1
    assert found.numbers.counts()["nhs_followed"] == 1
    # A record of the number alone says which of the two it means: a chain is followed to its end.
    chain = {"nhs_number": LAST, "former_nhs_number": NEW}
    found = _linked([before, {**ADA, **stated}, {**ADA, **chain}])
    assert len(set(found.clusters.cluster.tolist())) == 1
    # A former number that is somebody else's is never enough against both name and date.
    other = person("Bob", "Other", "1960-07-08", nhs_number=OLD, **ELSEWHERE)
    assert len(set(_persons([other, {**ADA, **stated}]))) == 2
    # Twins whose pupil numbers differ are asked about; a number that one of them had before is not.
    pupil = {"upn": "H801200001001"}
    soft = person("Mohammed", "Fakename", "2010-03-04", **pupil)
    later = person("Muhammad", "Fakename", "2010-03-04", upn="Z980000004145")
    assert len(set(_persons([soft, later]))) == 2
    assert len(set(_persons([soft, {**later, "former_upn": "H801200001001"}]))) == 1


@pytest.mark.finding("LNK-20")
def test_a_former_number_that_two_claim_or_that_leads_in_a_circle_is_followed_nowhere() -> None:
    fork = [{**ADA, "nhs_number": NEW, "former_nhs_number": OLD},
            {**ADA, "nhs_number": LAST, "former_nhs_number": OLD},
            {**ADA, "nhs_number": OLD}]  # fmt: skip
    found = _linked(fork)
    assert len(set(found.clusters.cluster.tolist())) == 3
    assert found.numbers.counts()["nhs_unclear"] == 1
    circle = [{**ADA, "nhs_number": NEW, "former_nhs_number": OLD},
              {**ADA, "nhs_number": OLD, "former_nhs_number": NEW}]  # fmt: skip
    found = _linked(circle)
    assert len(set(found.clusters.cluster.tolist())) == 2
    assert found.numbers.counts()["nhs_unclear"] == 2


@pytest.mark.finding("LNK-15", "LNK-20")
def test_an_adopted_childs_former_number_leads_nowhere() -> None:
    rows = [{**ADA, "nhs_number": OLD}, {**ADA, "nhs_number": NEW, "former_nhs_number": OLD}]
    found = _linked(rows, apart=np.array([False, True]))
    assert found.numbers.counts()["nhs_followed"] == 0
    assert len(set(found.clusters.cluster.tolist())) == 2


@pytest.mark.finding("LNK-10")
def test_a_name_before_a_marriage_is_evidence_where_a_record_says_so() -> None:
    before = person("Ada", "Fakename", "1990-03-04")
    after = person("Ada", "Mockley", "1990-03-04", former_surname="Fakename", **ELSEWHERE)
    assert len(set(_persons([before, after]))) == 1
    assert len(set(_persons([before, {**after, "former_surname": None}]))) == 2


@pytest.mark.finding("LNK-29")
def test_what_people_decided_holds_against_the_records_and_against_the_model() -> None:
    twins = [person("Ada", "Fakename", "2010-03-04"), person("Bella", "Fakename", "2010-03-04")]
    one = _linked(twins, memory=Memory(must=[(0, 1)])).clusters.cluster.tolist()
    assert one[0] == one[1]
    same = [ADA, dict(ADA)]
    two = _linked(same, memory=Memory(cannot=[(0, 1)]))
    assert two.clusters.cluster[0] != two.clusters.cluster[1]
    assert two.questions == []  # It was decided, so nobody is asked again.
    # Decisions that contradict each other join nobody, and a person is asked.
    three = _linked([ADA, dict(ADA), dict(ADA)],
                    memory=Memory(must=[(0, 1), (1, 2)], cannot=[(0, 2)]))  # fmt: skip
    assert three.clusters.cluster[0] != three.clusters.cluster[2]
    assert ("decided_apart") in {reason for _, _, reason in three.clusters.refused}


def test_a_source_that_holds_nobody_twice_keeps_its_two_ids_apart() -> None:
    rows = [{**ADA, "local_id": "A1"}, {**ADA, "local_id": "A2"}, dict(ADA)]
    free = _persons(rows, "council.child")
    assert len(set(free)) == 1
    once = Memory(once=np.array([3, 3, 0], np.int64))
    found = _linked(rows, "council.child", memory=once)
    assert found.clusters.cluster[0] != found.clusters.cluster[1]
    again = _linked([rows[0], dict(rows[0])], "council.child",
                    memory=Memory(once=np.array([3, 3], np.int64)))  # fmt: skip
    assert len(set(again.clusters.cluster.tolist())) == 1  # The same id came twice: one person.


def test_a_decision_holds_a_group_together_and_keeps_nobody_else_out() -> None:
    """Two records with two numbers, said to be one person; others of that person still join."""
    one, other = {**ADA, **BY_NUMBER}, {**ADA, "nhs_number": "9990000026"}
    found = _linked([one, other, dict(ADA), dict(other)], memory=Memory(must=[(0, 1)]))
    assert len(set(found.clusters.cluster.tolist())) == 1
    third = {**ADA, "nhs_number": "9990000034"}
    found = _linked([one, other, third], memory=Memory(must=[(0, 1)]))
    assert found.clusters.cluster[2] not in found.clusters.cluster[:2]


@pytest.mark.finding("LNK-15")
def test_an_earlier_word_does_not_link_a_child_who_was_adopted_since() -> None:
    found = _linked([ADA, dict(ADA)], memory=Memory(must=[(0, 1)]), apart=np.array([True, False]))
    assert found.clusters.cluster[0] != found.clusters.cluster[1]


def test_a_name_without_more_joins_no_two_that_have_more() -> None:
    rows = [person(name, "Fakename", "2010-03-04") for name in ("Mary Ann", "Mary", "Mary Jane")]
    clusters = _persons(rows)
    assert clusters[0] != clusters[2]


@pytest.mark.finding("LNK-22", "LNK-25")
def test_a_record_without_a_number_joins_no_namesakes_whose_pupil_numbers_and_homes_differ() -> (
    None
):
    """Two girls of one name and birth date, in two homes: a police record fits both by half a surname."""
    police = person("Ada", "Thorne-Smith", "2010-03-04")
    one = {**police, "upn": "H801200001001"}
    other = person("Ada", "Smith", "2010-03-04", upn="Z980000004145", **ELSEWHERE)
    for rows in ([police, one, other], [other, one, police], [one, other, police]):
        found = _linked(rows)
        of = dict(zip(map(id, rows), found.clusters.cluster.tolist(), strict=True))
        assert of[id(police)] == of[id(one)] != of[id(other)]
        assert "two_pupil_numbers" in {question.reason for question in found.questions}
    # One child whose number changed: a home in common, or an equal NHS number, says so.
    moved = [{**one, **BY_NUMBER}, {**other, **BY_NUMBER}, police]
    assert len(set(_persons(moved))) == 1
    # One agency's own id says so too, with homes that differ or with none.
    for home in ({}, {"postcode": None, "address": None}):
        kept = [{**row, **home, "local_id": "A1"} for row in (one, other)]
        assert len(set(_persons(kept, "council.child"))) == 1
    at_home = {**one, "upn": "Z980000004145"}
    assert len(set(_persons([one, at_home, police]))) == 1


@pytest.mark.parametrize("surname", ["Fakename", "Skinner", "Zzyxmock"])
def test_a_surname_in_the_same_home_weighs_no_less_than_the_same_surname_next_door(
    surname: str,
) -> None:
    """However rare it is: within a home everybody has it, so that it says nothing of which of them."""
    rows = [
        person("Ada", surname, "2010-03-04"),
        person("Ada", surname, "2010-03-04"),
        person("Ada", surname, "2010-03-04", address="9 Lantern Street"),
        person("Ada", surname, "2010-03-04", **ELSEWHERE),
    ]
    edges = SplinkLinker(Encoder(KEY, 1), MODEL).edges(encoded(rows))
    pairs = zip(edges.left.tolist(), edges.right.tolist(), strict=True)
    weight = dict(zip(pairs, edges.weight.tolist(), strict=True))
    home, postcode, alone = weight[0, 1], weight[0, 2], weight[0, 3]
    assert home >= postcode - 1e-9
    assert postcode >= alone - 1e-9
