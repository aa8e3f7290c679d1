"""Clerical review of linkage: what a person decides lasts, is seen at their level, and can be undone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import Session, select

from audit.canonical import parse
from audit.log import read_events
from engine.domain.errors import LinkageError, PolicyRefused
from engine.flows.clerical import (
    answer_second,
    decide_pair,
    decisions,
    queue,
)
from engine.flows.decision import Ask
from engine.flows.hidden import APART
from engine.flows.home import Home
from engine.flows.incoming import Options
from engine.flows.intent import recover
from engine.flows.link import link
from engine.flows.link_quality import link_quality
from engine.flows.lists import review_lists
from engine.flows.near import join, near
from engine.flows.pair_view import open_pair, open_records
from engine.flows.part import part
from engine.flows.person import look
from engine.flows.person_history import person_history
from engine.flows.reveal import reveal
from engine.flows.score import score
from engine.flows.second import TWO_PEOPLE
from engine.flows.submit import submit
from engine.linkage.artefacts import load_model, shipped
from engine.linkage.cluster import Memory
from engine.linkage.decide import decide
from engine.linkage.encode import COLUMNS, Encoder
from engine.linkage.index import current_membership, review_pairs
from engine.linkage.linker import SplinkLinker, keyed_frequencies
from engine.linkage.memory import final_decisions
from engine.linkage.quality import COMMON, Frozen, quality, suppressed
from engine.store.tables import RecordFlag, ReviewItem, ScoreRun, SubjectState
from tests.builders.encoded import KEY, encoded, person
from tests.builders.partnership import (
    OPERATOR,
    REASON,
    TODAY,
    Clock,
    Partnership,
    make_home,
    person_row,
    persons_file,
    write_csv,
)

MODEL = load_model(shipped())
WHY = "Both records carry the same school and the same mother."
MATCHER, SECOND = "demo.matcher", "demo.matcher_two"
DEMO: dict[str, Any] = {"auth": "demo"}
OCCURRENCES = (
    *("OccurrenceRef", "NominalRef", "Role", "Surname", "Forename", "DOB", "Address", "Postcode"),
    *("OccurredOn", "RecordedOn", "MOText"),
)


def _two(folder: Path, **second: str) -> Home:
    """A home with two records that differ by a day of birth: a question for a person."""
    home = make_home(folder / "home")
    file = persons_file(
        folder / "persons.csv",
        person_row(),
        person_row(**{"PersonID": "LA2", "BirthDate": "2012-03-05", **second}),
        person_row(PersonID="LA3", Forename="Canaryname", Surname="Elsewhere",
                   BirthDate="2009-07-08", Postcode="TL9 9ZZ", Address="7 Harbour Way",
                   HouseholdRef="H9"),
    )  # fmt: skip
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    link(home, OPERATOR)
    return home


def _people(home: Home) -> list[bytes]:
    member = current_membership(home.linkage, home.link_runs())
    return [member[record] for record in sorted(member)]


def _scores(home: Home) -> list[dict[str, Any]]:
    """Return the scores of a new run, person by person."""
    run = score(home, TODAY, OPERATOR)["run"]
    rows = home.warehouse.result(run, "person").to_pylist()
    return sorted(rows, key=lambda row: str(row["person"]))


@pytest.mark.finding("LNK-29")
def test_a_decision_merges_lasts_and_can_be_undone_with_all_that_rests_on_it(
    tmp_path: Path,
) -> None:
    home = _two(tmp_path)
    before = _people(home)
    assert len(set(before)) == 3
    apart = _scores(home)
    (waits,) = queue(home, MATCHER, **DEMO)["pairs"]
    assert waits["priority"] == "high"  # A child is in it.
    assert "birth dates are alike" in waits["says"]
    made = decide_pair(home, MATCHER, waits["pair"], "one", WHY, **DEMO)
    assert (made["state"], made["takes_effect"]) == ("final", "with the next link")
    assert queue(home, MATCHER, **DEMO)["pairs"] == []
    assert len(set(_people(home))) == 3  # Nothing changes before the next link.
    summary = link(home, OPERATOR)
    assert (summary["ids_merged"], summary["decisions_kept"]) == (1, 1)
    merged = _people(home)
    assert len(set(merged)) == 2
    link(home, OPERATOR)
    assert _people(home) == merged  # It survives every relink.
    score(home, TODAY, OPERATOR)
    casework = home.domain("casework")
    person = casework.text(casework.seal([max(set(merged), key=merged.count)])[0])
    with Session(home.casework) as session:
        state = session.get(SubjectState, person)
        assert state is not None
    shown = reveal(home, Ask("demo.social_worker", "safeguard_child", "C-1", REASON, person),
                   **DEMO)  # fmt: skip
    assert shown["permitted"]
    # Under the id that the other record had before, the same person is opened, and that counts too.
    (former,) = set(before) - set(merged)
    name = casework.text(casework.seal([former])[0])
    assert reveal(home, Ask("demo.social_worker", "safeguard_child", "C-2", REASON, name), **DEMO)
    told = open_records(home, MATCHER, person, **DEMO)
    assert told["records"] == 2
    days = next(row for row in told["rows"] if row["label"] == "Birth date")["cells"]
    wrong = 1 + [cell["value"] for cell in days].index("5 March 2012")
    undone = part(home, MATCHER, person, wrong, WHY, **DEMO)
    rests = undone["rests_on_it"]
    assert [one["user"] for one in rests["reveals"]] == ["demo.social_worker"] * 2
    assert [one["run"] for one in rests["scores"]] == [1, 2]
    link(home, OPERATOR)
    assert _people(home) == before  # Every id as it was.
    assert _scores(home) == apart  # And every score.
    states = {one["number"]: one["state"] for one in decisions(home, MATCHER, **DEMO)}
    assert states == {1: "replaced", 2: "final"}
    home.close()


def _list_everybody(home: Home) -> None:
    """Give everybody an open place on a list of the only run."""
    casework = home.domain("casework")
    with Session(home.casework) as session:
        run = session.exec(select(ScoreRun.id)).one()
        for rank, person in enumerate(casework.seal(sorted(set(_people(home)))), 1):
            session.add(ReviewItem(run=run, list="cse", person=casework.text(person), rank=rank,
                                   score=1, blind=False))  # fmt: skip
        session.commit()


def test_a_merge_that_touches_an_open_alert_waits_for_a_person(tmp_path: Path) -> None:
    """linkage.md 4: nobody's facts come into a case from one day to the next without a word."""
    home = _two(tmp_path)
    score(home, TODAY, OPERATOR)
    before = _people(home)
    _list_everybody(home)
    # The source corrects the birth date, so that the two records say one and the same.
    file = persons_file(tmp_path / "corrected.csv", person_row(PersonID="LA2"))
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR,
           options=Options(mends=1))  # fmt: skip
    link(home, OPERATOR)
    assert _people(home) == before
    (waits,) = queue(home, MATCHER, **DEMO)["pairs"]
    assert "review list" in waits["why"]
    # When the places are decided, or a person says so, the records are joined.
    decide_pair(home, MATCHER, waits["pair"], "one", WHY, **DEMO)
    link(home, OPERATOR)
    assert len(set(_people(home))) == 2
    home.close()


@pytest.mark.parametrize("word", ["two", "one", "the place is decided"])
def test_a_split_that_touches_an_open_alert_waits_for_a_person(tmp_path: Path, word: str) -> None:
    """linkage.md 4: nor does anything go out of a case without a word."""
    home = make_home(tmp_path / "home")
    send = {"agency": "council", "source": "council.persons", "actor": OPERATOR}
    away = person_row(PersonID="LA3", Forename="Canaryname", Surname="Elsewhere", BirthDate="2009-07-08",
                      Postcode="TL9 9ZZ", Address="7 Harbour Way", HouseholdRef="H9")  # fmt: skip
    submit(
        home,
        persons_file(tmp_path / "a.csv", person_row(), person_row(PersonID="LA2"), away),
        **send,
    )
    link(home, OPERATOR)
    before = _people(home)
    assert len(set(before)) == 2
    score(home, TODAY, OPERATOR)
    _list_everybody(home)
    other = person_row(PersonID="LA2", Forename="Canarina", BirthDate="2011-09-05")
    submit(home, persons_file(tmp_path / "b.csv", other), options=Options(mends=1), **send)
    link(home, OPERATOR)
    assert _people(home) == before
    (waits,) = queue(home, MATCHER, **DEMO)["pairs"]
    assert "would now be two" in waits["why"]
    assert open_pair(home, MATCHER, waits["pair"], **DEMO)["needs_second"] == []
    if word == "the place is decided":
        with Session(home.casework) as session:
            for item in session.exec(select(ReviewItem)):
                item.decided_by, item.decided_at = "demo.social_worker", home.clock()
                item.outcome = "watch"
                session.add(item)
            session.commit()
    else:
        assert decide_pair(home, MATCHER, waits["pair"], word, WHY, **DEMO)["state"] == "final"
    link(home, OPERATOR)
    assert len(set(_people(home))) == (2 if word == "one" else 3)
    assert queue(home, MATCHER, **DEMO)["pairs"] == []
    home.close()


def test_an_alert_that_was_decided_holds_no_merge(tmp_path: Path) -> None:
    home = _two(tmp_path)
    score(home, TODAY, OPERATOR)
    file = persons_file(tmp_path / "corrected.csv", person_row(PersonID="LA2"))
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR,
           options=Options(mends=1))  # fmt: skip
    assert link(home, OPERATOR)["ids_merged"] == 1
    home.close()


def test_both_records_are_shown_at_the_level_of_the_role_with_evidence_that_adds_up(
    tmp_path: Path,
) -> None:
    home = _two(tmp_path)
    (waits,) = queue(home, MATCHER, **DEMO)["pairs"]
    assert "Testina" not in json.dumps(waits)
    found = open_pair(home, MATCHER, waits["pair"], **DEMO)
    shown = {row["label"]: [cell["value"] for cell in row["cells"]] for row in found["rows"]}
    assert shown["Birth date"] in (
        ["4 March 2012", "5 March 2012"],
        ["5 March 2012", "4 March 2012"],
    )
    assert shown["First name"] == ["Testina", "Testina"]
    assert found["sides"] == ["People known to social care"] * 2
    assert abs(sum(one["bits"] for one in found["evidence"]) - found["weight"]) < 0.4
    assert found["says"].startswith("The given names are the same, the birth dates are alike")
    events = [json.dumps(parse(body)) for _, body in read_events(home.path / "audit")]
    assert not any("Testina" in event for event in events)
    outcome = parse(next(iter(read_events(home.path / "audit")))[1])
    assert outcome["flow"] == "pair"
    assert "council.persons.surname" in outcome["fields"]
    home.close()


@pytest.mark.finding("LNK-17")
def test_what_the_role_may_not_see_is_not_shown_and_what_is_protected_needs_two(
    tmp_path: Path,
) -> None:
    home = _two(tmp_path, ProtectedAddress="Y")
    (waits,) = queue(home, MATCHER, **DEMO)["pairs"]
    found = open_pair(home, MATCHER, waits["pair"], **DEMO)
    values = {row["label"]: [cell["value"] for cell in row["cells"]] for row in found["rows"]}
    assert None in values.get("Address", [None])
    assert found["needs_second"] == [TWO_PEOPLE]
    made = decide_pair(home, MATCHER, waits["pair"], "one", WHY, **DEMO)
    assert made["state"] == "waiting"
    link(home, OPERATOR)
    assert len(set(_people(home))) == 3
    with pytest.raises(PolicyRefused, match="FG-LNK-10"):
        answer_second(home, MATCHER, made["number"], agree=True, **DEMO)
    with pytest.raises(LinkageError, match="FG-LNK-09"):
        decide_pair(home, SECOND, waits["pair"], "two", WHY, **DEMO)
    assert answer_second(home, SECOND, made["number"], agree=True, **DEMO)["state"] == "final"
    told = parse(read_events(home.path / "audit", newest=1)[0][1])
    assert (told["actor"]["id"], told["approvers"]) == (SECOND, [MATCHER])
    with pytest.raises(LinkageError, match="FG-LNK-07"):
        answer_second(home, SECOND, made["number"], agree=True, **DEMO)
    link(home, OPERATOR)
    assert len(set(_people(home))) == 2
    home.close()


def test_offence_facts_move_to_nobody_on_one_persons_word(tmp_path: Path) -> None:
    home = _two(tmp_path)
    row = ["O1", "N1", "SUSPECT", "Fakename", "Testina", "06/03/2012", "1 Lantern Street", "TL1 0AA",
           "01/11/2026", "02/11/2026", ""]  # fmt: skip
    file = write_csv(tmp_path / "occurrences.csv", OCCURRENCES, [row])
    submit(home, file, agency="police", source="police.occurrences", actor=OPERATOR)
    link(home, OPERATOR)
    pairs = queue(home, MATCHER, **DEMO)["pairs"]
    opened = [open_pair(home, MATCHER, one["pair"], **DEMO) for one in pairs]
    needs = [one["needs_second"] for one in opened]
    # What the police hold is no concern of the role, so neither is that they hold something.
    assert any("a partner's record" in one["sides"] for one in opened)
    assert not any("occurrence" in json.dumps(one["sides"]).casefold() for one in opened)
    # Why is for the trail: that there are offence facts is no concern of the role.
    assert "offence" not in json.dumps(opened)
    moved = [place for place, why in enumerate(needs) if why]
    assert moved
    made = decide_pair(home, MATCHER, pairs[moved[0]]["pair"], "one", WHY, **DEMO)
    assert made["state"] == "waiting"
    assert answer_second(home, SECOND, made["number"], agree=False, **DEMO)["state"] == "rejected"
    before = len(set(_people(home)))
    link(home, OPERATOR)
    assert len(set(_people(home))) == before
    home.close()


def test_facts_of_every_record_of_a_person_count_and_not_only_of_the_two_compared(
    tmp_path: Path,
) -> None:
    """A police record of one of the two persons moves with a merge of two council records."""
    home = _two(tmp_path)
    row = ["O1", "N1", "SUSPECT", "Fakename", "Testina", "04/03/2012", "1 Lantern Street", "TL1 0AA",
           "01/11/2026", "02/11/2026", ""]  # fmt: skip
    file = write_csv(tmp_path / "occurrences.csv", OCCURRENCES, [row])
    submit(home, file, agency="police", source="police.occurrences", actor=OPERATOR)
    assert link(home, OPERATOR)["persons"] == 3  # The police record is LA1's.
    waits = queue(home, MATCHER, **DEMO)["pairs"]
    for one in waits:
        found = open_pair(home, MATCHER, one["pair"], **DEMO)
        assert found["needs_second"] == [TWO_PEOPLE]
    home.close()


@pytest.mark.finding("LNK-15", "LNK-16")
@pytest.mark.parametrize("flag", APART)
def test_who_is_kept_apart_is_not_shown_and_not_asked_about(tmp_path: Path, flag: str) -> None:
    home = _two(tmp_path)
    (waits,) = queue(home, MATCHER, **DEMO)["pairs"]
    domain = home.domain("record")
    member = current_membership(home.linkage, home.link_runs())
    ids = home.domain("linkage").open(sorted(member))
    with Session(home.casework) as session:
        for name in map(domain.text, domain.seal(ids)):
            session.add(RecordFlag(record=name, flag=flag, value="y", set_by="operator",
                                   set_at=home.clock()))  # fmt: skip
        session.commit()
    with pytest.raises(PolicyRefused, match="FG-REV-03"):
        open_pair(home, MATCHER, waits["pair"], **DEMO)
    link(home, OPERATOR)
    assert queue(home, MATCHER, **DEMO)["pairs"] == []
    home.close()


def test_only_reviewers_review_and_a_refusal_stands_in_the_trail(tmp_path: Path) -> None:
    home = _two(tmp_path)
    (waits,) = queue(home, MATCHER, **DEMO)["pairs"]
    for ask in (
        lambda: queue(home, "demo.social_worker", **DEMO),
        lambda: open_pair(home, "demo.ig_lead", waits["pair"], **DEMO),
        lambda: decide_pair(home, "demo.front_door", waits["pair"], "one", WHY, **DEMO),
        lambda: part(home, "demo.social_worker", "x", 1, WHY, **DEMO),
    ):
        with pytest.raises(PolicyRefused, match="FG-LNK-06"):
            ask()
        last = parse(next(iter(read_events(home.path / "audit")))[1])
        assert last["kind"] == "deny"
        assert "FG-LNK-06" in json.dumps(last)
    for answer, reason in (("maybe", WHY), ("one", "short"), ("", "")):
        with pytest.raises(LinkageError, match="FG-LNK-08"):
            decide_pair(home, MATCHER, waits["pair"], answer, reason, **DEMO)
    with pytest.raises(LinkageError, match="FG-LNK-07"):
        open_pair(home, MATCHER, "0" * 32, **DEMO)
    with pytest.raises(PolicyRefused, match="FG-REV-02"):
        part(home, MATCHER, "casework.1.nobody", 1, WHY, **DEMO)
    assert decisions(home, MATCHER, **DEMO) == []
    home.close()


def test_a_new_delivery_is_linked_as_a_whole_relink_would(tmp_path: Path) -> None:
    home = _two(tmp_path)
    assert link(home, OPERATOR)["records_compared"] == 0
    more = persons_file(
        tmp_path / "more.csv",
        person_row(PersonID="LA4", Forename="Testina", KnownAs="Tess"),
        person_row(PersonID="LA3", Forename="Canaryname", Surname="Elsewhere", BirthDate="2009-07-09",
                   Postcode="TL9 9ZZ", Address="7 Harbour Way", HouseholdRef="H9"),
    )  # fmt: skip
    submit(home, more, agency="council", source="council.persons", actor=OPERATOR)
    some = link(home, OPERATOR)
    assert some["records_compared"] == 2
    people = _people(home)
    whole = link(home, OPERATOR, whole=True)
    assert whole["records_compared"] == 4
    assert _people(home) == people
    same = {"persons", "pairs_scored", "pairs_linked", "pairs_for_review", "review_reasons"}
    assert {name: some[name] for name in same} == {name: whole[name] for name in same}
    home.close()


def test_two_ids_of_a_source_that_holds_nobody_twice_are_a_question(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    named = {one for one, source in home.pack.sources.items() if source.people_once}
    assert named == {"council.cin_census", "council.looked_after"}
    file = persons_file(tmp_path / "a.csv", person_row(), person_row(PersonID="LA2"))
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    link(home, OPERATOR)
    assert len(set(_people(home))) == 1
    once = replace(home.pack.sources["council.persons"], people_once=True)
    home._current = replace(home.pack, sources={**home.pack.sources, "council.persons": once})
    link(home, OPERATOR)
    assert len(set(_people(home))) == 2
    assert len(queue(home, MATCHER, **DEMO)["pairs"]) == 1
    home.close()


@pytest.mark.finding("LNK-34")
def test_match_rates_are_told_by_group_and_no_small_group_is(partnership: Partnership) -> None:
    home = partnership.home
    told = link_quality(home, "demo.ig_lead", **DEMO)
    rates = {(one["group"], one["value"]): one for one in told["rates"]}
    assert rates["agency", "schools"]["matched"] > 0.1
    assert (
        sum(one["records"] or 0 for (group, _), one in rates.items() if group == "agency")
        <= (told["records"])
    )
    assert {group for group, _ in rates} >= {"agency", "age", "sex", "given name", "has postcode"}
    assert {group for group, _ in rates} >= {"ethnic group", "form of name"}
    assert rates["ethnic group", "white"]["records"] >= 10
    assert rates["means-tested help", "yes"]["records"] >= 10
    ages = {value for group, value in rates if group == "age"}
    assert ages >= {"under 5", "5 to 10", "11 to 15", "25 to 64"}
    for one in told["rates"]:
        assert one["records"] is None or one["records"] >= 10
        assert (one["records"] is None) == (one["matched"] is None)
    assert told["backlog"]["pairs"] == len(queue(home, MATCHER, **DEMO)["pairs"])
    with pytest.raises(PolicyRefused, match="FG-LNK-06"):
        link_quality(home, "demo.social_worker", **DEMO)


@pytest.mark.finding("LNK-34")
def test_match_rates_are_told_for_each_delivery_and_none_follows_by_difference(
    partnership: Partnership,
) -> None:
    home = partnership.home
    all_of_it = link_quality(home, "demo.ig_lead", **DEMO)
    total = {(one["group"], one["value"]): one["records"] for one in all_of_it["rates"]}
    assert len(all_of_it["deliveries"]) >= 5
    seen = 0
    for delivery in all_of_it["deliveries"]:
        told = link_quality(home, "demo.ig_lead", delivery=delivery["number"], **DEMO)
        assert told["delivery"] == delivery
        assert {one["value"] for one in told["rates"] if one["group"] == "agency"} == {
            delivery["agency"]
        }
        for one in told["rates"]:
            if one["records"] is None:
                continue
            seen += 1
            of = total[one["group"], one["value"]]
            assert one["records"] >= 10
            assert of is None or of - one["records"] == 0 or of - one["records"] >= 10
    assert seen > 20
    with pytest.raises(LinkageError, match="FG-LNK-07"):
        link_quality(home, "demo.ig_lead", delivery=9999, **DEMO)


def _follow(counts: Any, hidden: Any, whole: Any) -> Any:
    """Return which hidden cells follow from what is told, by linear algebra and not by rings."""
    cells = np.argwhere(hidden).tolist()
    names = [tuple(one) for one in cells] + [(label, None) for label in np.flatnonzero(whole)]
    lines = [[float(name[0] == label) * (-1 if name[1] is None else 1) for name in names]
             for label in range(len(counts))]  # fmt: skip
    lines += [[float(name[1] == delivery) for name in names] for delivery in range(counts.shape[1])]
    lines += [[float(name[1] is None) for name in names]]
    found = np.zeros(counts.shape, bool)
    if not names:
        return found
    _, values, free = np.linalg.svd(np.array(lines))
    free = free[int((values > 1e-9).sum()) :]
    for place, (label, delivery) in enumerate(cells):
        found[label, delivery] = np.abs(free[:, place]).max(initial=0) < 1e-9
    return found


@pytest.mark.finding("LNK-34")
@pytest.mark.parametrize(
    "raw",
    [
        [[15, 15]],
        [[12, 3]],
        [[20, 20, 5]],
        [[12, 0], [100, 100], [0, 5]],
        [[20, 20], [5, 0]],
        [[9]],
        [[6, 6]],
        [[30, 30, 30], [30, 30, 5]],
        [[5, 500], [500, 0]],  # Police send nobody with a pupil number, the roll five without one.
        [[50, 0], [5, 95]],
        [[5, 0, 500], [300, 0, 0], [200, 400, 0]],
    ],
)
def test_what_is_hidden_follows_from_nothing_that_is_told(raw: list[list[int]]) -> None:
    _nothing_follows(np.array(raw))


@pytest.mark.finding("LNK-34")
@given(st.lists(st.lists(st.integers(0, 40), min_size=4, max_size=4), min_size=1, max_size=5))
def test_what_is_hidden_of_a_label_or_a_delivery_is_ten_or_all_there_is(
    raw: list[list[int]],
) -> None:
    _nothing_follows(np.array(raw))


def _nothing_follows(counts: Any) -> None:
    cells, totals = suppressed(counts)
    assert cells[(counts > 0) & (counts < 10)].all()
    assert totals[counts.sum(axis=1) < 10].all()
    assert not cells[counts == 0].any()
    # One label alone in a delivery is the number of its records, which the receipt tells.
    alone = (counts > 0).sum(axis=0) == 1
    follow = _follow(counts, cells, totals) & (counts < 10) & ~alone[np.newaxis, :]
    assert not follow.any()
    for line, some in zip(counts.T, cells.T, strict=True):
        assert not some.any() or line[some].sum() >= 10 or not (~some & (line > 0)).any()


def test_what_needs_no_hiding_is_told() -> None:
    cells, totals = suppressed(np.array([[15, 15], [40, 10]]))
    assert not cells.any()
    assert not totals.any()


def test_a_placeholder_that_came_through_is_noticed_by_its_frequency(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [person(f"Mock{n}a", f"Fake{n % 50}e", f"20{10 + n % 9}-0{1 + n % 9}-{10 + n % 18}")
            for n in range(1500)]  # fmt: skip
    for row in rows[:60]:
        row["birth_date"] = "2011-11-11"
    words = encoded(rows)
    linker = SplinkLinker(Encoder(KEY, 1), MODEL)
    linked = decide(words, ["a"] * len(rows), linker, MODEL, Memory())
    shares = {
        name: Frozen(*keyed_frequencies(Encoder(KEY, 1), MODEL, name, words[:, COLUMNS.index(name)]),
                     sum(share for share in MODEL.frequencies[name].values() if share >= COMMON))
        for name in ("given", "surname")
    }  # fmt: skip
    told, _ = quality(words, ["a"] * len(rows), linked, shares, MODEL.rare)
    assert "birth date" in {one["field"] for one in told["alerts"]}
    # Of so few names a distance says nothing; with enough of them none of these is in the table.
    assert [one["distance"] for one in told["drift"]] == [None, None]
    monkeypatch.setattr("engine.linkage.quality.ENOUGH", 1000)
    told, _ = quality(words, ["a"] * len(rows), linked, shares, MODEL.rare)
    assert all(one["too_far"] for one in told["drift"])
    first = decide(words[:5], ["a"] * 5, linker, MODEL, Memory())
    few, _ = quality(words[:5], ["a"] * 5, first, shares, MODEL.rare)
    assert all(one["records"] is None for one in few["rates"])


def test_who_cannot_tell_is_asked_again_after_the_next_link(tmp_path: Path) -> None:
    home = _two(tmp_path)
    (waits,) = queue(home, MATCHER, **DEMO)["pairs"]
    assert decide_pair(home, MATCHER, waits["pair"], "unsure", WHY, **DEMO)["state"] == "final"
    assert queue(home, MATCHER, **DEMO)["pairs"] == []
    home.clock.advance(days=1)  # type: ignore[attr-defined]
    link(home, OPERATOR)
    (again,) = queue(home, MATCHER, **DEMO)["pairs"]
    assert again["pair"] == waits["pair"]
    assert decide_pair(home, MATCHER, again["pair"], "two", WHY, **DEMO)["state"] == "final"
    link(home, OPERATOR)
    assert queue(home, MATCHER, **DEMO)["pairs"] == []
    assert len(set(_people(home))) == 3
    home.close()


def test_a_missed_match_is_found_from_one_record_looked_at_and_joined(tmp_path: Path) -> None:
    home = _two(tmp_path)
    names = home.domain("casework")
    before = _people(home)
    references = [names.text(one) for one in names.seal(before)]
    found = {one: near(home, MATCHER, one, 1, **DEMO) for one in references}
    pairs = [one["near"] for one in found.values() if one["near"]]
    assert [len(one) for one in pairs] == [1, 1]  # The third is near nobody.
    assert pairs[0][0]["pair"] == pairs[1][0]["pair"]
    person = next(one for one, each in found.items() if each["near"])
    shown = found[person]
    assert "birth dates are alike" in shown["near"][0]["says"]
    days = next(row for row in shown["rows"] if row["label"] == "Birth date")["cells"]
    assert {cell["value"] for cell in days} == {"4 March 2012", "5 March 2012"}
    assert "Canaryname" not in json.dumps(shown)
    events = [parse(body) for _, body in read_events(home.path / "audit")]
    (seen, *_) = [one for one in reversed(events) if one["flow"] == "person_near"
                  and one["phase"] == "outcome" and one.get("rows")]  # fmt: skip
    assert seen["subjects"]["count"] == 2
    token = shown["near"][0]["pair"]
    with pytest.raises(LinkageError, match="FG-LNK-08"):
        join(home, MATCHER, person, 1, token, "short", **DEMO)
    with pytest.raises(LinkageError, match="FG-LNK-07"):
        join(home, MATCHER, person, 1, "0" * 32, WHY, **DEMO)
    with pytest.raises(LinkageError, match="FG-LNK-11"):
        near(home, MATCHER, person, 2, **DEMO)
    made = join(home, MATCHER, person, 1, token, WHY, **DEMO)
    assert made["takes_effect"] == "with the next link"
    assert link(home, OPERATOR)["persons"] == 2
    assert queue(home, MATCHER, **DEMO)["pairs"] == []
    waiting = near(home, MATCHER, person, 1, **DEMO)["near"]
    assert waiting == []  # The two are one person now.
    # Parted again, the record is offered no more: somebody has decided.
    part(home, MATCHER, person, 1, WHY, **DEMO)
    link(home, OPERATOR)
    assert near(home, MATCHER, person, 1, **DEMO)["near"] == []
    home.close()


@pytest.mark.finding("LNK-15", "LNK-16")
@pytest.mark.parametrize("flag", APART)
def test_who_is_kept_apart_is_near_nobody_and_that_is_not_said(tmp_path: Path, flag: str) -> None:
    home = _two(tmp_path)
    names, people = home.domain("casework"), _people(home)
    reference = {one: names.text(names.seal([one])[0]) for one in people}
    first, second = [
        one for one in people if near(home, MATCHER, reference[one], 1, **DEMO)["near"]
    ]
    record, held = home.domain("record"), current_membership(home.linkage, home.link_runs())
    mine = [name for name, person in held.items() if person == first]
    (text,) = map(record.text, record.seal(home.domain("linkage").open(mine)))
    with Session(home.casework) as session:
        session.add(RecordFlag(record=text, flag=flag, value="y", set_by="operator",
                               set_at=home.clock()))  # fmt: skip
        session.commit()
    with pytest.raises(PolicyRefused, match="FG-REV-03"):
        near(home, MATCHER, reference[first], 1, **DEMO)
    nothing = near(home, MATCHER, reference[second], 1, **DEMO)
    assert (nothing["near"], len(nothing["sides"])) == ([], 1)
    home.close()


@pytest.mark.parametrize("flow", ["pair_decide", "person_part", "person_join"])
def test_a_decision_that_was_cut_off_counts_for_nothing(tmp_path: Path, flow: str) -> None:
    from engine.linkage.memory import write_decision

    home = _two(tmp_path)
    left, right = sorted(current_membership(home.linkage, home.link_runs()))[:2]
    write_decision(home.linkage, "0" * 36, [(left, right)], "must")
    assert final_decisions(home.linkage, home.final_decisions()) == []
    from engine.flows.intent import discard_staged

    discard_staged(home, flow, "0" * 36)
    assert final_decisions(home.linkage, ["0" * 36]) == []
    assert recover(home) == []
    home.close()


@pytest.mark.finding("T-AF6")
@pytest.mark.deep
def test_a_household_is_told_by_number_and_never_by_name(partnership: Partnership) -> None:
    home = partnership.home
    lists = review_lists(home, "demo.social_worker", **DEMO)["lists"]
    listed = [one["person"] for each in lists for one in each["entries"]]
    found = [look(home, "demo.social_worker", person, **DEMO)["household"] for person in listed]
    members = [one for each in found for one in each]
    assert any(one["now"] for one in members)
    assert {one["handle"].rsplit(" ", 1)[0] for one in members} == {"Household member"}
    shown = [look(home, "demo.social_worker", person, **DEMO) for person in listed]
    # What somebody at home has is told as association, and never as the person's own (T-AF6).
    family = [one["family_indicators"] for one in shown if one["family_indicators"]]
    assert family
    for one in shown:
        assert all(each["by_association"] for each in one["family_indicators"] or [])
        assert not any("by_association" in each for each in one["indicators"])
        if not any(each["now"] for each in one["household"]):
            assert one["family_indicators"] == []
    # At the level of this role a link has no dates.
    assert {name for one in members for name in one} == {"handle", "now", "confidence"}


def test_two_people_are_not_asked_about_again_by_their_other_records_until_one_more_comes(
    tmp_path: Path,
) -> None:
    clock = Clock()
    home = make_home(tmp_path / "home", clock=clock)
    rows = [
        person_row(PersonID="LA1", NHSNumber="9990000018"),
        person_row(PersonID="LB1", NHSNumber="9990000018", Postcode="TL1 0AB"),
        person_row(PersonID="LA2", NHSNumber="", BirthDate="2012-03-05"),
    ]
    file = persons_file(tmp_path / "a.csv", *rows)
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    link(home, OPERATOR)
    (waits,) = queue(home, MATCHER, **DEMO)["pairs"]
    assert waits["other_pairs"] == 1
    decide_pair(home, MATCHER, waits["pair"], "two", WHY, **DEMO)
    link(home, OPERATOR)
    # The pair of the other record is still there for the run, and nobody is asked again.
    assert len(review_pairs(home.linkage, home.link_runs()[-1])) == 1
    assert queue(home, MATCHER, **DEMO)["pairs"] == []
    clock.advance(minutes=5)
    more = persons_file(
        tmp_path / "b.csv", person_row(PersonID="LC1", NHSNumber="9990000018", Postcode="TL1 0AC")
    )
    submit(home, more, agency="council", source="council.persons", actor=OPERATOR)
    link(home, OPERATOR)
    assert len(queue(home, MATCHER, **DEMO)["pairs"]) == 1
    home.close()


def test_the_second_reviewer_must_be_allowed_to_see_both_and_the_trail_names_whom_it_was_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = _two(tmp_path, ProtectedAddress="Y")
    (waits,) = queue(home, MATCHER, **DEMO)["pairs"]
    made = decide_pair(home, MATCHER, waits["pair"], "one", WHY, **DEMO)

    def nothing(*_: object) -> None:
        raise PolicyRefused("FG-REV-03", "nothing may be shown", "Leave it.")

    with monkeypatch.context() as closed:
        closed.setattr("engine.flows.clerical.sides_of", nothing)
        with pytest.raises(PolicyRefused, match="FG-REV-03"):
            answer_second(home, SECOND, made["number"], agree=True, **DEMO)
    assert answer_second(home, SECOND, made["number"], agree=True, **DEMO)["state"] == "final"
    outcome = parse(next(iter(read_events(home.path / "audit")))[1])
    assert (outcome["flow"], outcome["subjects"]["count"]) == ("pair_second", 2)
    assert len(set(outcome["subjects"]["names"])) == 2
    home.close()


def test_who_a_person_was_is_told_for_any_day_and_as_known_on_any_day(tmp_path: Path) -> None:
    """What was believed then, and what is believed now of then; both for ever."""
    home = _two(tmp_path)
    clock = cast("Clock", home.clock)
    (waits,) = queue(home, MATCHER, **DEMO)["pairs"]
    decide_pair(home, MATCHER, waits["pair"], "one", WHY, **DEMO)
    names = home.domain("casework")
    casework_all = [names.text(one) for one in names.seal(_people(home))]
    clock.advance(days=10)
    link(home, OPERATOR)
    casework = [names.text(one) for one in names.seal(sorted(set(_people(home))))]
    person = next(
        one for one in casework if open_records(home, MATCHER, one, **DEMO)["records"] == 2
    )
    clock.advance(days=10)
    part(home, MATCHER, person, 1, WHY, **DEMO)
    clock.advance(days=1)
    link(home, OPERATOR)
    # Now one record; ten days ago two, as known then; and one of then, as known now.
    day = TODAY + timedelta(days=15)

    def records(**asked: date) -> list[dict[str, Any]]:
        return list(person_history(home, MATCHER, person, **asked, **DEMO)["records"])

    assert len(records()) == 1
    assert len(records(known=day)) == 2
    assert len(records(as_of=day)) == 1
    assert records(known=day)[0]["since"] == TODAY.isoformat()
    assert records(as_of=TODAY - timedelta(days=1), known=day) == []
    assert len(records(known=TODAY)) == 1  # Before the decision they were two people.
    told = person_history(home, MATCHER, person, known=TODAY, **DEMO)
    # Whoever holds the other's reference is told of the two as one while they were taken for one.
    other = next(one for one in casework_all if one != person and one not in casework)
    both = person_history(home, MATCHER, other, known=day, **DEMO)["records"]
    assert len(both) == 2
    assert len(person_history(home, MATCHER, other, **DEMO)["records"]) == 1
    assert [(one["run"], len(one["joined"]), len(one["left"])) for one in told["changes"]] == [
        (1, 1, 0), (2, 1, 0), (3, 0, 1),
    ]  # fmt: skip
    assert [one["why"] for one in told["changes"]] == [
        ["records came that the run before did not have"],
        ["decision 1 was made"],
        ["decision 2 was made"],
    ]
    with pytest.raises(LinkageError, match="FG-LNK-19"):
        records(known=TODAY - timedelta(days=1))
    events = [parse(body) for _, body in read_events(home.path / "audit")]
    shown = [one for one in events if one["flow"] == "person_history" and one.get("rows") == 2]
    assert [one["phase"] for one in shown] == ["outcome"] * 3
    assert all(one["subject"] for one in shown)
    assert "Canaryname" not in json.dumps(told)
    home.close()
