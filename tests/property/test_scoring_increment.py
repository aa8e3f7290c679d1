"""A run that takes over from an earlier one gives the bytes of a whole one, whatever changed between them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

import scoring.increment as increment
from tests.builders.scoring_columns import EVERY_KIND, MISSING_UNIT, POLICE, Event, State
from tests.builders.scoring_days import (
    AS_OF,
    MONTH,
    Day,
    both_ways,
)

quick = settings(derandomize=True, deadline=None, max_examples=12, database=None)
PEOPLE = 24
ROLES = {
    "missing_episode": ("missing",),
    "cse_flag": ("subject", "victim", "suspect"),
    "cce_flag": ("subject", "suspect", "witness"),
    "sexual_offence": ("suspect", "victim"),
    "drug_supply": ("suspect", "offender"),
    "weapon": ("suspect", "victim"),
    "asb": ("suspect", "witness"),
}


@st.composite
def rows(draw: st.DrawFn, first: int) -> tuple[Event, ...]:
    """A few events of people who live near each other, so that not everybody knows everybody."""
    found = []
    for eid in range(first, first + draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(sorted(ROLES)))
        day = AS_OF - draw(st.sampled_from((-1, 0, 1, 20, 40, 200, 700, 1094, 1095, 2000)))
        near = draw(st.integers(0, PEOPLE - 1))
        source = MISSING_UNIT if kind == "missing_episode" else POLICE
        for step in draw(st.lists(st.integers(0, 3), min_size=1, max_size=4)):
            found.append(
                Event((near + step) % PEOPLE, eid, kind, draw(st.sampled_from(ROLES[kind])), day,
                      draw(st.sampled_from((1, 1, 2, 0))), day + draw(st.sampled_from((0, 1))),
                      source, draw(st.sampled_from((0, 0, 0, 2, 3))))
            )  # fmt: skip
    return tuple(found)


@st.composite
def days(draw: st.DrawFn) -> Day:
    deliveries = {f"d{place}": draw(rows(100 * place)) for place in range(draw(st.integers(2, 4)))}
    places = st.tuples(
        st.integers(0, PEOPLE - 1),
        st.sampled_from(("household", "registered_home")),
        st.integers(0, 5),
        st.integers(AS_OF - 400, AS_OF),
    )
    states = {
        f"d{place}": tuple(State(*row) for row in draw(st.lists(places, max_size=4)))
        for place in range(2)
    }
    months = {
        one: MONTH - draw(st.sampled_from((100, 215, 216, 217, 400, 10**6)))
        for one in range(PEOPLE)
    }
    decided = {
        draw(st.integers(0, PEOPLE - 1)): {
            "day": AS_OF - 3,
            "run_day": AS_OF - 9,
            "rows": {"cse": 1},
        }
    }
    return Day(deliveries, states, {one: one for one in range(PEOPLE)}, months, decided=decided)


@st.composite
def changed(draw: st.DrawFn, day: Day) -> Day:
    """The next run: things came, went, were corrected, merged, restricted, and time may have passed."""
    wanted = st.lists(st.sampled_from(sorted(CHANGES)), min_size=1, max_size=4, unique=True)
    for change in draw(wanted):
        event(change)
        day = CHANGES[change](draw, day)
    return day


def _came(draw: st.DrawFn, day: Day) -> Day:
    return day.but(deliveries={**day.deliveries, "new": draw(rows(900))})


def _went(draw: st.DrawFn, day: Day) -> Day:
    gone = draw(st.sampled_from(sorted(day.deliveries)))
    return day.but(deliveries={name: one for name, one in day.deliveries.items() if name != gone})


def _corrected(draw: st.DrawFn, day: Day) -> Day:
    name = draw(st.sampled_from(sorted(day.deliveries)))
    some = list(day.deliveries[name])
    at = draw(st.integers(0, len(some) - 1))
    some[at] = some[at]._replace(role="witness", day=some[at].day - draw(st.integers(0, 2)))
    kept = {one: found for one, found in day.deliveries.items() if one != name}
    return day.but(deliveries={**kept, f"{name}.again": tuple(some)})


def _told_twice(draw: st.DrawFn, day: Day) -> Day:
    name = draw(st.sampled_from(sorted(day.deliveries)))
    again = tuple(row._replace(age=1) for row in day.deliveries[name][:3])
    return day.but(deliveries={**day.deliveries, "twice": again})


def _merged(draw: st.DrawFn, day: Day) -> Day:
    one, other = draw(st.lists(st.integers(0, PEOPLE - 1), min_size=2, max_size=2, unique=True))
    return day.but(member={**day.member, day.member.get(one, one): day.member.get(other, other)})


def _came_and_went(draw: st.DrawFn, day: Day) -> Day:
    gone = draw(st.integers(0, PEOPLE - 1))
    member = {one: who for one, who in day.member.items() if one != gone}
    return day.but(member={**member, 70: 70}, months={**day.months, 70: MONTH - 150})


def _restricted(draw: st.DrawFn, day: Day) -> Day:
    return day.but(restricted=day.restricted | {draw(st.integers(0, PEOPLE - 1))})


def _moved(draw: st.DrawFn, day: Day) -> Day:
    who, place = draw(st.integers(0, PEOPLE - 1)), draw(st.integers(1, 5))
    return day.but(states={**day.states, "moved": (State(who, "household", place, AS_OF - 3),)})


def _ended(draw: st.DrawFn, day: Day) -> Day:
    ended = tuple(row._replace(end=AS_OF - 1) for row in day.states["d0"])
    return day.but(states={**day.states, "ended": ended})


def _less_sure(draw: st.DrawFn, day: Day) -> Day:
    return day.but(sure={**day.sure, draw(st.integers(0, PEOPLE - 1)): draw(st.integers(0, 999))})


def _older(draw: st.DrawFn, day: Day) -> Day:
    return day.but(months={**day.months, draw(st.integers(0, PEOPLE - 1)): MONTH - 217})


def _admitted(draw: st.DrawFn, day: Day) -> Day:
    kinds = EVERY_KIND - {draw(st.sampled_from(sorted(EVERY_KIND)[:8]))}
    return day.but(admitted={**day.admitted, "1": kinds})


def _later(draw: st.DrawFn, day: Day) -> Day:
    return day.but(as_of=day.as_of + draw(st.sampled_from((1, 2, 400, 1200))))


def _decided(draw: st.DrawFn, day: Day) -> Day:
    told = {"day": AS_OF - 1, "run_day": AS_OF - 1, "rows": {"cse": 9, "cce": 9}}
    return day.but(decided={**day.decided, draw(st.integers(0, PEOPLE - 1)): told})


CHANGES = {
    "came": _came, "went": _went, "corrected": _corrected, "told twice": _told_twice,
    "merged": _merged, "came and went": _came_and_went, "restricted": _restricted,
    "moved": _moved, "ended": _ended, "less sure": _less_sure, "older": _older,
    "admitted": _admitted, "later": _later, "decided": _decided,
}  # fmt: skip


@pytest.mark.finding("SCO-P3", "SCO-P10", "SCO-P12")
@quick
@given(st.data(), days(), st.booleans())
def test_an_increment_gives_the_bytes_of_a_whole_run(
    data: st.DataObject, one: Day, compared: bool
) -> None:
    _held_equal(data, one, compared)


@pytest.mark.deep
@settings(quick, max_examples=200)
@given(st.data(), days(), st.booleans())
def test_many_increments_give_the_bytes_of_a_whole_run(
    data: st.DataObject, one: Day, compared: bool
) -> None:
    _held_equal(data, one, compared)


def _held_equal(data: st.DataObject, one: Day, compared: bool) -> None:
    other = data.draw(changed(one))
    before = None
    if compared:
        first = dict(list(one.deliveries.items())[:1])
        before = one.but(deliveries=first, as_of=AS_OF - 28)
    folder = Path(tempfile.mkdtemp())
    share, increment.SHARE = (
        increment.SHARE,
        0,
    )  # However many changed, the way itself is looked at.
    try:
        made, whole = both_ways(folder, one, other, before)
    finally:
        increment.SHARE = share
        shutil.rmtree(folder)
    assert made["made"]["how"] == "increment", made["made"]["why"]
    assert made["made"]["run"] == "run-1"
    assert whole["made"]["how"] == "full"
    event(
        "nobody"
        if not made["made"]["people"]
        else "some"
        if made["made"]["people"] < PEOPLE // 2
        else "most"
    )
