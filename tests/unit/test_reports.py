"""Each report on planted cases: what it must find, and what stands beside it that it must not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

import numpy as np
import pytest

import gateways.load
import policies.load
from audit.act import Act
from audit.report import Report
from engine.flows import report_access as access
from engine.flows import report_law as law
from engine.flows import report_products as products
from engine.flows import report_trail as own
from engine.flows.report_form import RAN, SKIPPED
from engine.flows.reports import REPORTS
from policies.load import load_pack

TODAY = date(2026, 11, 25)
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)  # A Wednesday.
NONE = "0" * 32


def _act(seq: int, **known: Any) -> Act:
    when = known.pop("when", NOON)
    return Act(
        seq=seq, ended=seq + 1, intent=f"i{seq}", when=when, until=when + timedelta(seconds=2),
        kind=known.pop("kind", "consultation"), flow=known.pop("flow", "reveal"),
        actor=known.pop("actor", "ann"), agency=known.pop("agency", "council"),
        role=known.pop("role", "social_worker"), auth=known.pop("auth", "session"),
        outcome=known.pop("outcome", "permit"), details=known,
    )  # fmt: skip


def _staff(user: str, **known: Any) -> access.Staff:
    return access.Staff(
        user, known.get("agency", "council"), known.get("role", "social_worker"),
        known.get("active", True), known.get("until"), known.get("needs", True),
    )  # fmt: skip


class _Near:
    """Two users who enrolled, of whom one lives in the street of somebody and one is a colleague's kin."""

    enrolled = frozenset({"ann", "lead"})
    stale = 1
    _known: ClassVar = {("ann", "audit.1.a"): ["same street", "same surname"], ("ann", "audit.1.b"): [],
                        ("ann", "audit.1.lead"): ["colleague"], ("lead", "audit.1.lead"): ["own record"],
                        ("lead", "audit.1.a"): ["same street"]}  # fmt: skip

    def of(self, user: str, subject: str) -> list[str] | None:
        return self._known.get((user, subject))

    def knows(self, user: str) -> bool:
        return user in self.enrolled


def test_2_somebody_near_is_found_and_nobody_reads_it_of_themselves() -> None:
    acts = [
        _act(0, subject="audit.1.a"),
        _act(2, subject="audit.1.b"),
        _act(4, subject="audit.1.unknown"),
        _act(6, subject="audit.1.a", actor="bob"),
        _act(8, subject="audit.1.a", actor="lead"),
        _act(10, subject="audit.1.lead"),
    ]
    told = access.near_oneself(acts, _Near(), "lead")
    assert [(row[0], row[2], row[-1]) for row in told.rows] == [
        (0, "ann", "same street, same surname")
    ]
    assert told.figure == 1
    assert "Users enrolled: 2." in told.note
    assert "under a former key: 1." in told.note  # Bob.
    assert "looked at long ago: 1." in told.note
    assert access.LEFT_OUT in told.note
    others = access.near_oneself(acts, _Near(), "dpo")
    assert [row[0] for row in others.rows] == [0, 8, 10]
    assert access.NOT_LEFT_OUT in others.note
    assert access.LEFT_OUT not in others.note


def test_2_is_skipped_while_nobody_is_enrolled_and_says_what_to_do() -> None:
    class Nobody(_Near):
        enrolled: frozenset[str] = frozenset()

    told = access.near_oneself([_act(0, subject="audit.1.a")], Nobody(), "lead")
    assert (told.status, told.figure) == (SKIPPED, None)
    assert "fieldgate monitor enrol" in told.note
    assert "enrol again" in told.note


def test_there_are_seventeen_and_they_stand_in_the_order_of_the_law() -> None:
    assert [one.number for one in REPORTS.values()] == list(range(1, 18))
    assert len({one.title for one in REPORTS.values()}) == 17


def test_1_a_view_without_a_case_is_found_and_immediate_danger_is_only_listed() -> None:
    told = access.no_case(
        [
            _act(0, case=NONE),
            _act(2, case="c" * 32),
            _act(4),
            _act(6, outcome="refuse", case=NONE),
            _act(8, kind="break_glass", case=NONE),
            _act(10, flow="look", subject="audit.1.a"),
        ],
        NONE,
    )
    assert told.figure == 2
    assert list(told.rows) == [
        ("ann", "social_worker", "council", "break_glass", 1, 0, 0),
        ("ann", "social_worker", "council", "consultation", 2, 1, 0),
    ]


def test_3_look_ups_of_kin_of_staff_are_found_also_among_several() -> None:
    acts = [
        _act(0, subject="audit.1.kin"),
        _act(2, flow="pair", subjects={"count": 2, "names": ["audit.1.x", "audit.1.kin"]}),
        _act(4, subject="audit.1.x"),
        _act(6, kind="alteration", flow="flag", subject="audit.1.kin"),
        _act(8, subject="audit.1.kin", outcome="refuse"),
    ]
    told = access.kin(acts, {"audit.1.kin"}, _Near(), "dpo", declared=True)
    assert [row[0] for row in told.rows] == [0, 2, 8]
    assert access.NOT_LEFT_OUT in told.note
    assert access.kin(acts, set(), _Near(), "dpo", declared=False).status == SKIPPED
    assert access.kin(acts, set(), _Near(), "dpo", declared=True).figure == 0


def test_3_nobody_reads_of_themselves_or_of_their_own_household() -> None:
    acts = [
        _act(0, subject="audit.1.lead"),
        _act(2, subject="audit.1.a"),
        _act(4, subject="audit.1.a", actor="lead"),
    ]
    flagged = {"audit.1.lead", "audit.1.a"}
    told = access.kin(acts, flagged, _Near(), "lead", declared=True)
    assert [row[0] for row in told.rows] == [2]
    assert access.LEFT_OUT in told.note
    others = access.kin(acts, flagged, _Near(), "dpo", declared=True)
    assert [row[0] for row in others.rows] == [0, 2, 4]


@pytest.mark.parametrize(
    ("when", "late"),
    [
        (datetime(2026, 11, 25, 6, 59, tzinfo=UTC), True),
        (datetime(2026, 11, 25, 7, 0, tzinfo=UTC), False),
        (datetime(2026, 11, 25, 18, 59, tzinfo=UTC), False),
        (datetime(2026, 11, 25, 19, 0, tzinfo=UTC), True),
        (datetime(2026, 11, 28, 12, 0, tzinfo=UTC), True),
        # Summer: London is an hour ahead of UTC.
        (datetime(2026, 7, 1, 6, 30, tzinfo=UTC), False),
        (datetime(2026, 7, 1, 18, 30, tzinfo=UTC), True),
    ],
)
def test_4_hours_are_those_of_london(when: datetime, late: bool) -> None:
    assert access.out_of_hours(when) is late


def test_4_who_looks_at_many_more_people_than_others_of_the_role_stands_out() -> None:
    acts = [_act(seq, actor="eve", subject=f"audit.1.{seq}") for seq in range(30)]
    acts += [_act(100 + seq, actor="ann", subject=f"audit.1.{seq}") for seq in range(4)]
    acts += [_act(200 + seq, actor="bob", subject="audit.1.same") for seq in range(40)]
    acts += [_act(300 + seq, actor="cid", subject=f"audit.1.{seq}") for seq in range(9)]
    acts += [_act(400, actor="ann", subject="audit.1.0", when=NOON.replace(hour=23))]
    acts += [
        _act(500 + seq, actor="sole", role="dpo", subject=f"audit.1.{seq}") for seq in range(50)
    ]
    told = access.volume(acts)
    by_user = {row[0]: row for row in told.rows}
    assert {user for user, row in by_user.items() if row[-1] == "yes"} == {"eve"}
    assert told.figure == 1
    assert by_user["eve"][4:6] == (30, "4")
    assert by_user["bob"][3:5] == (40, 1)
    assert by_user["ann"][7] == 1
    assert by_user["sole"][5] == "not known"


def test_5_acts_in_a_role_that_was_left_and_users_without_an_account() -> None:
    acts = [
        _act(0, actor="ann", role="front_door"),
        _act(2, actor="ann", role="social_worker"),
        _act(4, actor="ann", role="front_door"),
        _act(6, actor="gone"),
        _act(8, actor="unknown", role="", agency="", flow="denied", kind="deny", outcome="refuse",
             rules=["FG-REV-01"]),
        _act(10, actor="host", role="operator"),
        _act(12, actor="bob"),
        _act(14, actor="shut"),
    ]  # fmt: skip
    staff = {"ann": _staff("ann"), "bob": _staff("bob"), "shut": _staff("shut", active=False)}
    told = access.leavers(acts, staff)
    assert told.figure == 1
    assert [(row[0], row[4]) for row in told.rows] == [("ann", 1), ("gone", 1), ("shut", 1)]
    assert "1 tries" in told.note


def test_6_training_that_has_run_out_or_was_never_recorded() -> None:
    staff = [
        _staff("old", until="2026-11-24"),
        _staff("today", until="2026-11-25"),
        _staff("never"),
        _staff("shut", until="2020-01-01", active=False),
        _staff("free", needs=False),
    ]
    acts = [_act(0, actor="old", subject="audit.1.a"), _act(2, actor="today", subject="audit.1.a")]
    told = access.training(acts, staff, TODAY)
    assert [(row[0], row[3], row[4]) for row in told.rows] == [
        ("never", "none recorded", 0), ("old", "2026-11-24", 1),
    ]  # fmt: skip


def test_7_agreements_past_their_review_are_found_and_suspended_ones_listed() -> None:
    pack = load_pack(gateways.load.shipped(), policies.load.shipped())
    assert "dsa_0001" not in {row[0] for row in law.agreements(pack, date(2026, 11, 25)).rows}
    told = law.agreements(pack, date(2027, 7, 1))
    assert ("dsa_0001", "review", "2027-06-30", -1, "past") in told.rows
    assert told.figure == len({row[0] for row in told.rows if row[4] == "past"}) > 0
    soon = law.agreements(pack, date(2027, 6, 1))
    assert ("dsa_0001", "review", "2027-06-30", 29, "within 30 days") in soon.rows


def test_8_the_share_that_rests_on_an_implied_power_alone() -> None:
    acts = [
        _act(0, gateway="implied.one", rules=["dsa_1|implied.one"]),
        _act(2, gateway="implied.one", rules=["dsa_1|implied.one", "dsa_1|express.one"]),
        _act(4, gateway="express.one"),
        _act(6, gateway="implied.one", outcome="refuse"),
        _act(8, rules=["FG-REV-03"]),
        _act(10, flow="submit", kind="collection", gateway="implied.one"),
    ]
    told = law.gateways(acts, {"implied.one": "function"}, {"implied.one"})
    assert told.figure == 33
    assert set(told.rows) == {
        ("reveal", "implied.one", "function", "implied", 2),
        ("reveal", "express.one", "unknown", "express", 2),
    }
    assert law.gateways([], {}, set()).figure == 0


def test_9_requests_to_identify_with_refusals_and_time() -> None:
    told = access.identified(
        [
            _act(0, kind="reidentify"),
            _act(2, kind="reidentify", outcome="refuse"),
            _act(4, kind="reidentify", outcome="withhold"),
            _act(6, kind="reidentify", outcome="unknown"),
            _act(8),
        ],
        3,
    )
    assert told.figure == 4
    assert list(told.rows) == [("social_worker", "council", 4, 1, 1, 1, 1, "2.0")]
    assert "name one person twice: 3" in told.note


def test_10_a_review_that_nobody_made_in_time_is_overdue() -> None:
    reviews = [
        access.Review("r1", "ann", "2026-11-24", None, None),
        access.Review("r2", "ann", "2026-11-25", None, None),
        access.Review("r3", "ann", "2026-11-20", "dpo", "misuse"),
        access.Review("r4", "ann", "2026-11-20", "ann", "justified"),
    ]
    acts = [_act(0, kind="break_glass"), _act(2, kind="break_glass", outcome="refuse"), _act(4)]
    told = access.danger(acts, reviews, TODAY)
    assert told.figure == 1
    assert {row[0]: row[3] for row in told.rows} == {
        "r1": "overdue", "r2": "waits", "r3": "reviewed", "r4": "reviewed by the user",
    }  # fmt: skip
    assert "1 permitted, 1 not" in told.note


def _held(number: int, accepted: date, **known: Any) -> law.Held:
    at = datetime(accepted.year, accepted.month, accepted.day, tzinfo=UTC)
    return law.Held(number, known.get("source", "police.flags"), at, known.get("ended"),
                    known.get("years", {"flag": 2}))  # fmt: skip


def test_11_what_is_held_longer_than_a_field_says() -> None:
    told = law.retention(
        [
            _held(1, date(2024, 11, 24)),
            _held(2, date(2024, 11, 25)),
            _held(3, date(2020, 2, 29), years={"a": 6, "b": 7}),
            _held(4, date(2020, 1, 1), ended=NOON),
            _held(5, date(2020, 1, 1), years={}),
        ],
        TODAY,
    )
    assert list(told.rows) == [
        (1, "police.flags", "2024-11-24", 1, "2026-11-24"),
        (3, "police.flags", "2020-02-29", 1, "2026-02-28"),
    ]


def test_12_what_was_handed_over_without_an_agreement() -> None:
    told = law.exports(
        [
            _act(0, kind="disclosure", flow="rows_aside", recipient="police", fields=["a", "b"]),
            _act(2, kind="export", flow="export", agreement="dsa_1"),
            _act(4, kind="export", flow="export", agreement="dsa_of_nobody"),
            _act(6, kind="disclosure", outcome="refuse"),
            _act(8),
        ],
        {"dsa_1"},
    )
    assert [(row[0], row[5], row[6]) for row in told.rows] == [
        (0, "police", 2), (4, "not stated", 0),
    ]  # fmt: skip


def test_13_readers_of_what_was_taken_back_or_parted_are_to_be_told() -> None:
    day = timedelta(days=1)
    shown = {"fields": ["police.flags.flag"]}
    acts = [
        _act(0, when=NOON - 9 * day, **shown),
        _act(2, when=NOON - 4 * day, **shown),
        _act(4, when=NOON - 4 * day, fields=["schools.roll.school"]),
        _act(6, when=NOON - day, subject="audit.1.a", fields=["schools.roll.school"]),
        _act(8, flow="person_part", kind="alteration", outcome="part", subject="audit.1.a"),
        _act(10, subject="audit.1.a", fields=["schools.roll.school"]),
        _act(12, flow="person_part", kind="alteration", outcome="refuse", subject="audit.1.a"),
    ]
    held = [_held(7, (NOON - 8 * day).date(), ended=NOON - 2 * day), _held(8, date(2026, 1, 1))]
    told = law.to_be_told(acts, held)
    assert [row[0] for row in told.rows] == [2, 6]
    assert "delivery 7 of police.flags" in told.rows[0][5]
    assert "entry 8" in told.rows[1][5]


def test_14_people_who_were_looked_at_and_nothing_was_recorded() -> None:
    acts = [
        _act(0, flow="review_list"),
        _act(2, flow="look", subject="audit.1.a"),
        _act(4, flow="look", subject="audit.1.b"),
        _act(6, flow="look", subject="audit.1.c", outcome="refuse"),
        _act(8, flow="decide", kind="alteration", subject="audit.1.b"),
    ]
    told = products.acted_on(acts)
    assert told.figure == 1
    assert list(told.rows) == [("ann", "social_worker", "council", 1, 2, 1)]


@pytest.mark.finding("AUD-16")
def test_15_small_cells_are_hidden_and_do_not_follow_from_the_rest() -> None:
    labels = ["a"] * 60 + ["b"] * 40 + ["c"] * 30
    on = [True] * 25 + [False] * 35 + [True] * 15 + [False] * 25 + [True] * 3 + [False] * 27
    told = products.flagged({"cse.harmed": on}, {"ethnic group": labels})
    cells = {row[2]: row[3:] for row in told.rows}
    assert cells["c"] == ("hidden", "hidden")
    # One hidden cell would follow from the length of the list.
    assert sum(cell[0] == "hidden" for cell in cells.values()) >= 2
    assert any(cell == (25, 60) for cell in cells.values())
    large = products.flagged(
        {"cse.harmed": [True, False] * 50, "cse.emerging": [False] * 100},
        {"sex": ["one"] * 50 + ["two"] * 50},
    )
    assert {row[2]: row[3:] for row in large.rows} == {"one": (25, 50), "two": (25, 50)}
    assert products.flagged({}, {}).status == SKIPPED
    assert products.flagged({"x": [False]}, {"sex": ["one"]}).status == SKIPPED
    assert np.int64 not in {type(cell) for row in large.rows for cell in row}


def test_16_a_trail_that_does_not_hold_counts_its_findings() -> None:
    assert own.holds(Report(size=4)).figure == 0
    told = own.holds(
        Report(status="tampered", findings=["leaf 3"], missing=["key"], open_intents=["i9"])
    )
    assert (told.figure, told.status) == (3, RAN)
    assert ("tampered", "leaf 3") in told.rows
    assert ("no outcome yet", "i9") in told.rows
    # The question itself has no outcome while it is answered.
    own_question = own.holds(Report(status="incomplete", open_intents=["i9"]), "i9")
    assert (own_question.figure, own_question.rows[0]) == (0, ("status", "verified"))


def test_17_readings_are_counted_by_user_and_use() -> None:
    read = {"kind": "audit_read", "flow": "search_trail", "actor": "lead", "role": "ig_lead"}
    told = own.readers(
        [
            _act(0, **read, rules=["lawfulness", "actor"]),
            _act(2, **read, rules=["lawfulness"]),
            _act(4, **read, rules=["integrity"]),
            _act(6, **{**read, "rules": ["unknown"]}, outcome="refuse"),
            _act(8),
        ]
    )
    assert told.figure == 4
    assert ("lead", "ig_lead", "council", "search_trail", "lawfulness", "permit", 2) in told.rows
