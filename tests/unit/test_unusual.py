"""Rules of unusual access over plain rows: explanations, signs, volume, the queue and its own rates."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from audit.errors import AuditFault
from audit.unusual import Act, Counted, Subject, User, load_weights, rates, shipped
from audit.unusual.gather import KEPT_ENTRIES, gather, quiet
from audit.unusual.rates import wilson
from audit.unusual.signs import out_of_hours, sentence
from audit.unusual.volume import Past, people_a_day
from tests.builders.looks import NOON, WEIGHTS, judged, look, tokens

ME = {"worker.one": User(tokens("me", "s1", "h1", "t1"))}
NEIGHBOUR = {"p1": Subject(tokens("p1", "s2", "h2", "t1"))}
P = {name: one.points for name, one in WEIGHTS.signs.items()}
ALWAYS = (
    "allocation",
    "referral",
    "open_case",
    "shared_case",
    "review_list",
    "reviewed",
    "matching",
)


def _signs(found: list) -> dict:  # type: ignore[type-arg]
    return {one.subject: dict(one.signs) for one in found}


def test_a_neighbour_looked_up_without_a_reason_is_queued_and_told_why() -> None:
    found = judged([look(1)], ME, NEIGHBOUR)
    assert _signs(found) == {
        "p1": {"same_street": P["same_street"], "no_reason_known": P["no_reason_known"]}
    }
    said = sentence(WEIGHTS, who="Social worker worker.one of council", looks=1, days=1,
                    last=NOON.date(), signs=found[0].signs, subject=True, people=1)  # fmt: skip
    assert said == (
        "Social worker worker.one of council opened or asked for one person once, on 24 November 2026: the person "
        "lives in the user's street; nothing that fieldgate knows explains the look."
    )


@pytest.mark.parametrize("why", ["allocation", "referral", "open_case", "shared_case", "reviewed"])
def test_an_explained_look_at_a_neighbour_is_not_queued(why: str) -> None:
    assert judged([look(1, explained=[why])], ME, NEIGHBOUR) == []


def test_that_a_team_works_in_the_area_does_not_explain_a_neighbour() -> None:
    found = judged([look(1, explained=["team_area"])], ME, NEIGHBOUR)
    assert _signs(found) == {"p1": {"same_street": P["same_street"]}}


@pytest.mark.parametrize(
    ("subject", "sign"),
    [
        (Subject(tokens("me", "s1", "h1", "t1")), "own_record"),
        (Subject(tokens("you", "s9", "h9", "t9")), "colleague"),
        (Subject(tokens("x"), frozenset({"staff_kin"})), "staff_kin"),
        (Subject(tokens("x"), frozenset({"marked"})), "marked"),
        (Subject(tokens("x"), frozenset({"decoy"})), "decoy"),
    ],
)
def test_a_strong_sign_holds_whatever_explains_the_look(subject: Subject, sign: str) -> None:
    users = {**ME, "worker.two": User(tokens("you", "s9", "h9", "t9"))}
    found = judged([look(1, explained=ALWAYS)], users, {"p1": subject})
    assert _signs(found) == {"p1": {sign: P[sign]}}


def test_the_own_record_is_told_once_and_not_as_a_neighbour_with_ones_surname() -> None:
    found = judged([look(1)], ME, {"p1": Subject(tokens("me", "s1", "h1", "t1"))})
    assert list(found[0].signs) == ["own_record", "no_reason_known"]


def test_a_request_that_was_refused_carries_the_signs_of_a_person_too() -> None:
    found = judged([look(1, act=Act.REFUSED)], ME, NEIGHBOUR)
    assert "same_street" in found[0].signs


def test_evidence_without_a_name_carries_no_sign_of_a_person() -> None:
    assert judged([look(1, act=Act.EVIDENCE)], ME, NEIGHBOUR) == []


def test_a_rare_surname_counts_more_than_a_common_one_and_a_common_one_hardly() -> None:
    points = [WEIGHTS.surname_points(bearers, 10_000) for bearers in range(0, 2_000, 5)]
    assert points == sorted(points, reverse=True)
    assert points[0] == WEIGHTS.signs["same_surname"].points > WEIGHTS.queue_from > points[-1]
    crowd = {f"x{n}": Subject(tokens(f"x{n}", "s1")) for n in range(300)}
    rare = {"p1": Subject(tokens("p1", "s1"))}
    assert "same_surname" in judged([look(1)], ME, rare, known=5_000)[0].signs
    assert judged([look(1)], ME, rare | crowd, known=5_000) == []


def test_who_is_not_enrolled_shares_nothing_with_anybody() -> None:
    assert judged([look(1)], {}, NEIGHBOUR) == []
    assert judged([look(1)], {"worker.one": User()}, {"p1": Subject()}) == []


def test_coming_back_is_a_sign_on_the_third_day_and_not_when_a_case_is_known() -> None:
    days = [NOON - timedelta(days=back) for back in (50, 20, 0)]
    assert judged([look(1, at=days[1]), look(2, at=days[2])]) == []
    three = [look(at, at=when) for at, when in enumerate(days)]
    assert "repeat_without_case" in judged(three)[0].signs
    # Twice on a day is one day, and what lies before the limit is forgotten.
    twice = [look(1, at=days[1]), look(2, at=days[1]), look(3, at=days[2])]
    assert judged(twice) == []
    old = NOON - timedelta(days=WEIGHTS.limits["repeat_days"])
    assert judged([look(1, at=old), look(2, at=days[1]), look(3)]) == []
    known = [look(at, at=when, explained=["open_case"]) for at, when in enumerate(days)]
    assert judged(known) == []


def test_late_work_with_a_reason_is_not_queued_and_without_one_or_with_a_neighbour_it_is() -> None:
    night = NOON.replace(hour=23)
    assert judged([look(1, at=night, explained=["open_case"])]) == []
    assert judged([look(1)]) == []
    assert list(judged([look(1, at=night)])[0].signs) == ["out_of_hours", "no_reason_known"]
    found = judged([look(1, at=night)], ME, NEIGHBOUR)
    assert list(found[0].signs) == ["same_street", "out_of_hours", "no_reason_known"]
    assert not out_of_hours(WEIGHTS, look(1, at=night, role="front_door"))
    assert out_of_hours(WEIGHTS, look(1, at=NOON + timedelta(days=4)))


def test_a_crowd_around_one_person_is_a_sign_for_each_of_them_without_a_reason() -> None:
    crowd = [look(n, actor=f"worker.{n}") for n in range(5)]
    found = judged(crowd)
    assert len(found) == 5
    assert all(list(one.signs) == ["many_lookers", "no_reason_known"] for one in found)
    explained = [look(9, actor="worker.9", explained=["open_case"])]
    assert len(judged([*crowd, *explained])) == 5


@pytest.mark.finding("T-LR1")
def test_many_people_within_an_hour_are_a_sign_and_the_same_over_a_day_are_not() -> None:
    fast = [look(n, f"p{n}", at=NOON + timedelta(minutes=n)) for n in range(30)]
    assert _signs(judged(fast))[""]["bulk"] == P["bulk"]
    slow = [
        look(n, f"p{n}", at=NOON.replace(hour=0) + timedelta(minutes=40 * n)) for n in range(30)
    ]
    assert "" not in _signs(judged(slow))
    one = [look(n, "p1", at=NOON + timedelta(minutes=n)) for n in range(30)]
    assert "" not in _signs(judged(one))


def test_a_bulk_day_is_one_item_and_not_one_for_each_person_beside_a_neighbour() -> None:
    late = NOON.replace(hour=21)
    fast = [look(n, f"p{n}", at=late + timedelta(minutes=n)) for n in range(40)]
    found = judged(fast, ME, NEIGHBOUR)
    assert [one.subject for one in found] == ["p1", ""]
    assert "same_street" in found[0].signs


def test_an_hour_that_begins_before_midnight_is_one_hour() -> None:
    start = NOON.replace(hour=0) - timedelta(minutes=25)
    rows = [look(n, f"p{n}", at=start + timedelta(minutes=n)) for n in range(40)]
    assert "bulk" in _signs(judged(rows))[""]


def test_paging_and_refusals_are_signs_of_a_day() -> None:
    lists = [look(n, "", act=Act.LIST, at=NOON + timedelta(seconds=20 * n)) for n in range(20)]
    assert _signs(judged(lists)) == {"": {"paging": P["paging"]}}
    refused = [look(n, f"p{n}", act=Act.REFUSED) for n in range(6)]
    assert _signs(judged(refused)) == {"": {"probing": P["probing"]}}
    assert judged(refused[:5]) == []


def _ordinary_days(users: int) -> list:  # type: ignore[type-arg]
    return [
        look(1000 + 100 * back + n, f"q{back}.{n}", actor=f"worker.{n % users + 2}",
             at=NOON - timedelta(days=back))
        for back in range(1, 60)
        for n in range(users * 2)
    ]  # fmt: skip


def test_volume_is_held_against_the_role_and_not_against_the_users_own_days() -> None:
    past = _ordinary_days(5)
    mine = [look(n, f"p{n}", at=NOON + timedelta(minutes=10 * n)) for n in range(15)]
    assert _signs(judged([*past, *mine])) == {"": {"volume": P["volume"]}}
    # Somebody who always took that many is not their own measure.
    always = [
        look(50_000 + 100 * back + n, f"z{back}.{n}", at=NOON - timedelta(days=back))
        for back in range(1, 60)
        for n in range(15)
    ]
    assert _signs(judged([*past, *always, *mine])) == {"": {"volume": P["volume"]}}


def test_a_group_too_small_to_have_an_ordinary_day_is_told_nothing() -> None:
    mine = [look(n, f"p{n}", at=NOON + timedelta(minutes=10 * n)) for n in range(15)]
    assert judged(mine) == []
    few = [one for one in _ordinary_days(1) if (NOON - one.at).days <= 10]
    assert judged([*few, *mine]) == []
    assert Past(people_a_day(few), WEIGHTS).ordinary("x", "social_worker", NOON.date()) is None
    # A role of its own borrows from everybody once they are enough.
    usual = Past(people_a_day(_ordinary_days(5)), WEIGHTS).ordinary("x", "gp", NOON.date())
    assert usual is not None
    assert usual.group == "everybody"


def test_the_same_rows_in_any_order_give_the_same_queue() -> None:
    subjects = {f"p{n}": Subject(tokens(f"p{n}", "s1", "", "t1")) for n in range(12)}
    rows = [look(n, f"p{n % 12}", at=NOON + timedelta(minutes=n)) for n in range(40)]
    first = judged(rows, ME, subjects)
    assert len(first) == 12
    for seed in range(5):
        shuffled = random.Random(seed).sample(rows, len(rows))
        assert judged(shuffled, ME, subjects) == first
    assert [one.points for one in first] == sorted((one.points for one in first), reverse=True)


def test_a_repeat_by_the_same_pair_is_one_item_and_the_same_day_twice_changes_nothing() -> None:
    (first,) = judged([look(1)], ME, NEIGHBOUR)
    later = NOON + timedelta(days=3, hours=10)
    (second,) = judged([look(7, at=later)], ME, NEIGHBOUR, on=later)
    item = gather(WEIGHTS, gather(WEIGHTS, None, first), second)
    assert (item.looks, item.entries, len(item.days)) == (2, (1, 7), 2)
    assert item.signs == {
        "same_street": P["same_street"],
        "out_of_hours": P["out_of_hours"],
        "no_reason_known": P["no_reason_known"],
    }
    assert gather(WEIGHTS, item, second) == item
    assert gather(WEIGHTS, item, first) == item


def test_an_item_names_so_many_places_in_the_trail_and_counts_the_rest() -> None:
    rows = [look(n, at=NOON + timedelta(seconds=n)) for n in range(KEPT_ENTRIES + 50)]
    (found,) = judged(rows, ME, NEIGHBOUR)
    item = gather(WEIGHTS, None, found)
    assert (len(item.entries), item.looks) == (KEPT_ENTRIES, KEPT_ENTRIES + 50)
    assert gather(WEIGHTS, item, found) == item


def test_what_was_explained_comes_back_with_a_new_sign_or_after_the_quiet_time() -> None:
    day = NOON.date()
    later = day + timedelta(days=WEIGHTS.limits["quiet_days"] + 1)
    assert quiet(WEIGHTS, ["same_street"], ["same_street", "out_of_hours"], day, day)
    assert not quiet(WEIGHTS, ["same_street", "repeat_without_case"], ["same_street"], day, day)
    assert not quiet(WEIGHTS, ["same_street"], ["same_street"], day, later)


def test_every_weight_has_a_reason_and_a_broken_table_is_refused() -> None:
    assert all(len(one.reason) > 20 and one.says for one in WEIGHTS.signs.values())
    text = shipped()
    for broken in (
        text.replace("queue_from: 18", "queue_from: many"),
        text.replace("- id: decoy", "- id: decoration"),
        text.replace("  bulk_people: 30", "  bulk_peoples: 30"),
        text.replace("answered_by: [allocation,", "answered_by: [rumour,"),
        text.replace("  other: {from", "  others: {from"),
        text.replace("at_most_per_10000: 8, points: 40", "at_most_per_10000: 80, points: 40"),
        "signs: [",
        "",
    ):
        with pytest.raises(AuditFault) as refused:
            load_weights(broken)
        assert refused.value.code == "FG-MON-01"


def test_rates_of_small_groups_are_not_estimable_and_small_counts_of_teams_are_hidden() -> None:
    large, small = Counted(40, 8_000, 80, 50, 5), Counted(3, 900, 9, 9, 1)
    of_large, of_small = rates(WEIGHTS, {"council": large, "gp": small})
    assert of_large.queued_per_1000 is not None
    assert of_large.queued_per_1000[0] == pytest.approx(10.0)
    assert of_large.misuse_share is not None
    assert of_large.misuse_share[1] < 0.1 < of_large.misuse_share[2]
    assert (of_small.queued_per_1000, of_small.misuse_share) == (None, None)
    # Of three users the counts of what was found would tell who.
    hidden = dict.fromkeys(("queued", "decided", "misuse"))
    assert of_small.counts == {"users": 3, "looks": 900, **hidden}
    assert of_large.counts["misuse"] == 5
    east, west = rates(WEIGHTS, {"east": Counted(8, 900, 9, 7, 1), "west": small}, counts_only=True)
    assert east.counts == {"users": 8, "looks": 900, "queued": 9, "decided": 7, "misuse": None}
    assert set(west.counts.values()) == {None}
    assert (east.queued_per_1000, east.misuse_share) == (None, None)


def test_the_interval_of_a_share_is_that_of_wilson() -> None:
    # Newcombe 1998, table I: 81 of 263 is 0.2553 to 0.3662, 0 of 20 is 0 to 0.1611.
    assert wilson(81, 263)[1:] == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20)[1:] == pytest.approx((0.0, 0.1611), abs=5e-5)
