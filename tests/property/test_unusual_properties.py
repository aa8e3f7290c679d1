"""What holds of the rules of unusual access whatever the rows are."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from audit.unusual import Act, Look, Subject, User
from audit.unusual.gather import gather
from audit.unusual.rows import Tokens
from tests.builders.looks import NOON, WEIGHTS, judged

LETTERS = st.frozensets(st.sampled_from("abc"), max_size=2)
TOKENS = st.builds(Tokens, LETTERS, LETTERS, LETTERS, LETTERS, LETTERS)
WHY = st.frozensets(st.sampled_from(sorted(WEIGHTS.explanations)), max_size=2)
USERS = st.dictionaries(st.sampled_from(["u0", "u1", "u2"]), st.builds(User, TOKENS), max_size=3)
MARKS = st.frozensets(st.sampled_from(["staff_kin", "marked", "decoy"]), max_size=1)
SUBJECTS = st.dictionaries(
    st.sampled_from(["p0", "p1", "p2"]), st.builds(Subject, TOKENS, MARKS), max_size=3
)
STRONG = {name for name, sign in WEIGHTS.signs.items() if sign.strong}


@st.composite
def looks(draw: st.DrawFn) -> list[Look]:
    """Draw accesses of some days that end with the day that is judged; places in the order of time."""
    minutes = sorted(draw(st.lists(st.integers(-6 * 1440, 700), min_size=1, max_size=25)))
    return [
        Look(
            seq, draw(st.sampled_from(["u0", "u1", "u2"])), "council", "social_worker",
            NOON + timedelta(minutes=minute), draw(st.sampled_from(["", "p0", "p1", "p2"])),
            draw(st.sampled_from(list(Act))), "", "", draw(WHY),
        )
        for seq, minute in enumerate(minutes)
    ]  # fmt: skip


@given(looks(), USERS, SUBJECTS, st.randoms(use_true_random=False))
def test_order_of_rows_changes_nothing_and_items_are_above_the_line(
    rows: list[Look], users: dict[str, User], subjects: dict[str, Subject], chance: object
) -> None:
    found = judged(rows, users, subjects)
    shuffled = list(rows)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert judged(shuffled, users, subjects) == found
    assert all(one.points >= WEIGHTS.queue_from for one in found)
    assert len({(one.actor, one.subject) for one in found}) == len(found)
    assert [one.points for one in found] == sorted((one.points for one in found), reverse=True)


@given(looks(), USERS, SUBJECTS)
def test_a_reason_for_everything_leaves_strong_signs_alone(
    rows: list[Look], users: dict[str, User], subjects: dict[str, Subject]
) -> None:
    everything = frozenset(WEIGHTS.explanations)
    before = {(one.actor, one.subject): one for one in judged(rows, users, subjects)}
    explained = [replace(one, explained=everything) for one in rows]
    after = judged(explained, users, subjects)
    for one in after:
        assert set(one.signs) <= STRONG
    # Whatever held strongly holds still, with the same points.
    told = {(one.actor, one.subject): dict(one.signs) for one in after}
    for pair, one in before.items():
        strong = {name: points for name, points in one.signs.items() if name in STRONG}
        if sum(strong.values()) >= WEIGHTS.queue_from:
            assert told[pair] == strong


@given(looks(), USERS, SUBJECTS)
def test_gathering_the_same_day_again_changes_no_item(
    rows: list[Look], users: dict[str, User], subjects: dict[str, Subject]
) -> None:
    for one in judged(rows, users, subjects):
        item = gather(WEIGHTS, None, one)
        assert gather(WEIGHTS, item, one) == item
        assert item.points == one.points
