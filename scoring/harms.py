"""What a critic would run: a scenario for each known harm, on the points, links and code as they stand.

Each check names the harm, says what was measured, and whether it holds (scoring.md 5, T1 to T18). The
people are invented. A check that could not run says so and does not count as one that passed.
"""

from __future__ import annotations

import hmac
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from scoring.groups import groups_of, load_library
from scoring.lists import NOTHING_AROUND, Around, linked_by_events, review_list
from scoring.modulate import exposure_and_degree
from scoring.scenario import Event, State, World, world
from scoring.tables import AGE_OVER_18, AGE_UNDER_18, TRACKS, ListRule, Tables
from scoring.visible import ORIGIN_ENGINE, ORIGIN_REVIEW, Columns

DAY = 20_000
HOLDS, FAILS, CRASHED = "holds", "fails", "could not run"
KEY = bytes(32)


@dataclass(frozen=True)
class Check:
    """A known harm and the scenario that would show it."""

    id: str
    harm: str
    promise: str
    run: Callable[[Tables], tuple[bool, str]]


def report(tables: Tables) -> list[dict[str, Any]]:
    """Run every check and say what each found; a check that breaks is reported as such."""
    load_library()
    found = []
    for check in CHECKS:
        try:
            good, measured = check.run(tables)
            state = HOLDS if good else FAILS
        except Exception as error:  # noqa: BLE001  # One broken check must not hide the others.
            state, measured = CRASHED, type(error).__name__
        found.append({"id": check.id, "harm": check.harm, "promise": check.promise,
                      "state": state, "measured": measured})  # fmt: skip
    return found


def _world(tables: Tables, events: list[Event], states: list[State] | None = None, *,
           persons: int, as_of: int = DAY, bands: list[int] | None = None,
           sure: list[int] | None = None) -> World:  # fmt: skip
    return world(
        events, states or [], persons=persons, as_of=as_of, bands=bands, tables=tables, sure=sure
    )


def _scores(made: World, track: str | None = None) -> dict[tuple[int, int, int], int]:
    columns = made.scores
    rows = zip(
        *(columns[name].tolist() for name in ("pid", "theme", "track", "score")), strict=True
    )
    wanted = None if track is None else TRACKS.index(track)
    return {(pid, theme, at): score for pid, theme, at, score in rows
            if score and (wanted is None or at == wanted)}  # fmt: skip


def _list(
    tables: Tables,
    scores: Columns,
    persons: int,
    rule: ListRule,
    names: list[bytes],
    run: str = "harms",
    around: Around = NOTHING_AROUND,
) -> list[int]:
    bands = np.full(persons, AGE_UNDER_18, np.int64)
    made = review_list(scores, bands, names, rule, run, KEY, tables, around)
    found: list[int] = made["pid"].tolist()
    return found


def _names(count: int) -> list[bytes]:
    return [hmac.digest(KEY, f"person {number}".encode(), "sha256") for number in range(count)]


def _crowd(persons: int, seed: int) -> list[Event]:
    """Return events of a small town: one in twenty has evidence, some of it shared."""
    chance = random.Random(seed)  # noqa: S311  # Invented people, repeatable.
    kinds = [("cse_flag", "victim"), ("missing_episode", "missing"), ("drug_supply", "suspect"),
             ("weapon", "suspect"), ("sexual_offence", "suspect"), ("violence", "suspect")]  # fmt: skip
    events, number = [], 0
    for pid in range(persons):
        if chance.random() < 0.2:
            for _ in range(chance.randint(1, 3)):
                kind, role = chance.choice(kinds)
                number += 1
                day = DAY - chance.randint(0, 400)
                events.append(Event(pid, number, kind, role, day))
                if role in ("suspect", "missing") and chance.random() < 0.5:
                    events.append(Event(chance.randrange(persons), number, kind, role, day))
    return events


def _feedback(tables: Tables) -> tuple[bool, str]:
    """T1: a hundred reviews a week whose own findings come back; the busiest hundred gain nothing."""
    persons, weeks, places = 400, 52, 10
    chance = random.Random(1)  # noqa: S311
    real = [Event(chance.randrange(persons), n, "missing_episode", "missing",
                  DAY - 7 * chance.randrange(weeks)) for n in range(600)]  # fmt: skip
    shares = []
    for echo in (False, True):
        events, reviewed = list(real), [0] * persons
        for week in range(weeks, 0, -1):
            today = DAY - 7 * week
            made = _world(tables, [one for one in events if one.day <= today], persons=persons,
                          as_of=today)  # fmt: skip
            value = np.zeros(persons, np.int64)
            np.maximum.at(value, made.scores["pid"], made.scores["score"])
            for pid in np.argsort(-value, kind="stable")[:places].tolist():
                reviewed[pid] += 1
                if echo:
                    # What the engine writes itself, and what an agency found because a list sent it.
                    origin = (ORIGIN_ENGINE, ORIGIN_REVIEW)[week % 2]
                    events.append(Event(pid, 10**6 + len(events), "cse_flag", "victim", today,
                                        origin=origin))  # fmt: skip
        shares.append(sum(sorted(reviewed, reverse=True)[:places]) / sum(reviewed))
    ratio = shares[1] / shares[0]
    return ratio < 1.2, f"share of the busiest {places} with findings fed back: {ratio:.2f} x"


def _effort(tables: Tables) -> tuple[bool, str]:
    """T2: twice the records of police activity in one place."""
    crowd = _crowd(200, 2)
    effort = [Event(pid, 10**5 + 10 * pid + n, kind, "subject", DAY - 3)
              for pid in range(40) for n, kind in enumerate(("call_card", "custody_detention",
                                                             "intelligence_report"))]  # fmt: skip
    twice = [one._replace(eid=one.eid + 10**6) for one in effort]
    scores = [_scores(_world(tables, [*crowd, *more], persons=200))
              for more in ([], effort, [*effort, *twice])]  # fmt: skip
    changed = len(set(scores[0].items()) ^ set(scores[2].items()))
    return scores[0] == scores[1] == scores[2], f"{changed} scores change when effort doubles"


def _victims(tables: Tables) -> tuple[bool, str]:
    """T3: who was only ever a victim or a witness."""
    events = [Event(pid, n, kind, "victim" if pid < 20 else "suspect", DAY - 10 * n)
              for n, kind in enumerate(("violence", "sexual_offence", "drug_supply", "weapon"))
              for pid in (2 * n, 2 * n + 1, 20 + n, 21 + n)]  # fmt: skip
    events += [Event(30, 50 + n, "violence", "witness", DAY) for n in range(5)]
    made = _world(tables, events, persons=40)
    harming = {pid for pid, _, _ in _scores(made, "harming") if pid < 20 or pid == 30}
    groups = groups_of(made.links, tables, _names(40), "harms", {})
    inside = {pid for pid in groups.members["pid"].tolist() if pid < 20 or pid == 30}
    return not harming and not inside, f"{len(harming)} scored as harming, {len(inside)} in a group"


def _stale(tables: Tables) -> tuple[bool, str]:
    """T4: half after a half-life, nothing after the horizon."""
    event = Event(0, 1, "cse_flag", "victim", DAY)
    points = [int(_world(tables, [event], persons=1, as_of=DAY + days).evidence.points.max())
              for days in (0, 180, 180 * 6 + 1)]  # fmt: skip
    return points[1] * 2 == points[0] and points[
        2
    ] == 0, f"points after 0, 180, 1,081 days: {points}"


def _siblings(tables: Tables) -> tuple[bool, str]:
    """T5: with and without everything that says who lives with whom."""
    crowd = _crowd(200, 5)
    homes = [State(pid, "household", pid // 4) for pid in range(200)]
    with_them = _scores(_world(tables, crowd, homes, persons=200), "harming")
    without = _scores(_world(tables, crowd, persons=200), "harming")
    changed = len(set(with_them.items()) ^ set(without.items()))
    return with_them == without, f"{changed} scores for harming change with the households"


def _listed_by_family(tables: Tables) -> tuple[bool, str]:
    """T6: brothers of several people with much evidence, who have none."""
    events = [Event(pid, 100 * pid + n, "cse_flag", "victim", DAY - n)
              for pid in range(4) for n in range(20)]  # fmt: skip
    homes = [State(pid, "household", 1) for pid in range(6)]
    made = _world(tables, events, homes, persons=6)
    beside = Around({}, {}, linked_by_events(made.links.rows, made.around.parts, tables))
    listed = {pid for rule in tables.lists
              for pid in _list(tables, made.scores, 6, rule, _names(6), around=beside)}  # fmt: skip
    return listed == {0, 1, 2, 3}, f"listed beside them: {sorted(listed - {0, 1, 2, 3})}"


def _homes(tables: Tables) -> tuple[bool, str]:
    """T7: twelve children in one registered home, thirty calls to the police; one more moves in."""
    calls = [Event(pid, 100 + n, "call_card", "subject", DAY - n)
             for n in range(30) for pid in range(12)]  # fmt: skip
    bad = [Event(0, n, "cse_flag", "victim", DAY - n) for n in range(5)]
    home = [State(pid, "registered_home", 7) for pid in range(12)]
    before = _world(tables, [*calls, *bad], home, persons=13)
    after = _world(tables, [*calls, *bad], [*home, State(12, "registered_home", 7)], persons=13)
    weights = int(before.links.weight.max()) if len(before.links.a) else 0
    good = weights == 0 and _scores(before) == _scores(after)
    return (
        good,
        f"strongest link between residents {weights / 1000:.2f}; scores after moving in equal",
    )


def _big(tables: Tables) -> tuple[bool, str]:
    """T8: an event of four hundred people."""
    crowd = _crowd(500, 8)
    large = [Event(pid, 10**7, "violence", "suspect", DAY) for pid in range(400)]
    small, huge = _world(tables, crowd, persons=500), _world(tables, [*crowd, *large], persons=500)
    same = small.links.a.tolist() == huge.links.a.tolist()
    more = len(huge.links.skipped["eid"]) - len(small.links.skipped["eid"])
    return same and more == 1, f"links the same: {same}; rows that say so: {more}"


def _services(tables: Tables) -> tuple[bool, str]:
    """T9: benefits, meals, support: what only says that somebody is helped or poor."""
    support = ("out_of_work_benefit", "benefit_cap", "free_school_meals", "early_help_open",
               "housing_support", "substance_support")  # fmt: skip
    crowd = _crowd(100, 9)
    plain = _scores(_world(tables, crowd, persons=100))
    helped = [State(pid, kind, 1) for pid in range(100) for kind in support]
    return plain == _scores(_world(tables, crowd, helped, persons=100)), "no score changes"


def _match(tables: Tables) -> tuple[bool, str]:
    """T11: a wrong merge gives the union of the evidence, and parting leaves nothing of it behind."""
    events = [
        Event(0, 1, "cse_flag", "victim", DAY),
        Event(1, 2, "missing_episode", "missing", DAY),
    ]
    merged = _world(tables, [one._replace(pid=0) for one in events], persons=2)
    parted = _world(tables, events, persons=2)
    alone = [_world(tables, [one], persons=2) for one in events]
    residue = set(_scores(parted).items()) ^ {
        item for one in alone for item in _scores(one).items()
    }  # fmt: skip
    total = sum(one.evidence.points.sum(axis=0) for one in alone)
    union = bool((merged.evidence.points[0] == total).all())
    return (
        not residue and union,
        f"{len(residue)} scores keep something; a merge is a union: {union}",
    )


def _unsure(tables: Tables) -> tuple[bool, str]:
    """T10: an edge to somebody who may be two people passes on by how sure they are one."""
    events = [
        Event(0, 1, "cse_flag", "victim", DAY),
        *(Event(pid, 2, "missing_episode", "missing", DAY) for pid in (0, 1)),
    ]
    passed = []
    for part in (1000, 600, 0):
        made = _world(tables, events, persons=2, sure=[1000, part])
        passed.append(int(made.links.weight.sum()))
        if (
            made.evidence.points[0].sum()
            != _world(tables, events, persons=2).evidence.points[0].sum()
        ):
            return False, "own evidence changed"
    scaled = passed[1] <= passed[0] * 6 // 10 and passed[2] == 0 < passed[1]
    merged, told = _match(tables)
    return scaled and merged, f"at 1000, 600 and 0 thousandths an edge weighs {passed}; {told}"


def _birthday(tables: Tables) -> tuple[bool, str]:
    """T12: the day before and after an eighteenth birthday."""
    event = Event(0, 1, "cse_flag", "subject", DAY - 40, age=AGE_UNDER_18)
    track = [{at for _, _, at in _scores(_world(tables, [event], persons=1, bands=[band]))}
             for band in (AGE_UNDER_18, AGE_OVER_18)]  # fmt: skip
    return track[0] == track[1] == {
        TRACKS.index("harmed")
    }, "the role is that of the day it happened"


def _strangers(tables: Tables) -> tuple[bool, str]:
    """T13: ten thousand people who have nothing to do with anybody here."""
    crowd = _crowd(200, 13)
    others = [Event(200 + n, 10**6 + n, "cse_flag", "victim", DAY - n % 300) for n in range(10_000)]
    before = _scores(_world(tables, crowd, persons=200))
    after = _scores(_world(tables, [*crowd, *others], persons=10_200))
    changed = sum(after.get(key) != value for key, value in before.items())
    return changed == 0, f"{changed} of {len(before)} scores change"


def _thin(tables: Tables) -> tuple[bool, str]:
    """T14: one event, today, of every kind, role and age that a list scores."""
    high = set()
    for rule in (one for one in tables.lists if one.pick == "high"):
        theme, track = tables.themes.index(rule.theme), TRACKS.index(rule.track)
        for name, kind in tables.kinds.items():
            for role, number in tables.roles.items():
                for age in range(3):
                    if not tables.gamma[theme, track, kind.id, number, age]:
                        continue
                    made = _world(tables, [Event(0, 1, name, role, DAY, age=age)], persons=1)
                    if _scores(made).get((0, theme, track), 0) >= tables.high_score:
                        high.add(name)
    left = sorted(high - tables.immediate_kinds)
    return not left, f"enough alone: {sorted(high)}; of them not on the immediate list: {left}"


def _silence(tables: Tables) -> tuple[bool, str]:
    """T15: every theme names the sources without which it is not scored."""
    bare = [theme for theme in tables.themes if not tables.required_sources[theme]]
    return not bare, f"themes that would be scored in silence: {bare}"


def _ties(tables: Tables) -> tuple[bool, str]:
    """T16: rows shuffled; and all scores equal, where the cut must be a draw."""
    rule = tables.lists[0]
    names = _names(400)
    theme = [Event(pid, pid, "cse_flag" if rule.theme == "cse" else "cce_flag", "victim", DAY)
             for pid in range(400)]  # fmt: skip
    shuffled = list(theme)
    random.Random(3).shuffle(shuffled)  # noqa: S311
    lists = [_list(tables, _world(tables, rows, persons=400).scores, 400, rule, names)
             for rows in (theme, shuffled)]  # fmt: skip
    scores = _world(tables, theme, persons=400).scores
    times = np.zeros(400, np.int64)
    rounds = 60
    for run in range(rounds):
        times[_list(tables, scores, 400, rule, names, f"r{run}")] += 1
    expected = rounds * len(lists[0]) / 400
    spread = float(times.std() / (expected * (1 - len(lists[0]) / 400)) ** 0.5)
    good = lists[0] == lists[1] and times.max() < rounds and 0.8 < spread < 1.2
    return good, f"same list after shuffling; places of equals spread {spread:.2f} x a fair draw"


def _blind(tables: Tables) -> tuple[bool, str]:
    """T17: some places are drawn from below the line and shown without a score."""
    rule = tables.lists[0]
    kind = "cse_flag" if rule.theme == "cse" else "cce_flag"
    events = [Event(pid, pid, kind, "victim", DAY - pid) for pid in range(600)]
    scores = _world(tables, events, persons=600).scores
    bands = np.full(600, AGE_UNDER_18, np.int64)
    made = review_list(scores, bands, _names(600), rule, "harms", KEY, tables)
    share = int(made["blind"].sum()) / len(made["blind"])
    return 0.05 <= share <= 0.2, f"{share:.0%} of the places"


def _degree(tables: Tables) -> tuple[bool, str]:
    """T18: network guilt is bounded, and exposure is no mere count of acquaintances."""
    events = _crowd(2000, 18)
    made = _world(tables, events, persons=2000)
    columns = made.scores
    most = int((columns["score"] - columns["index"]).max())
    rho = exposure_and_degree(made.scores, made.links.a, made.links.b)
    return most <= 50_000 and abs(
        rho
    ) <= 0.8, f"network adds at most {most / 1000:.1f}; rho {rho:.2f}"


CHECKS = (
    Check("T1", "A list feeds itself", "What the engine found carries no points", _feedback),
    Check("T2", "Recording effort looks like risk", "Police activity carries no points", _effort),
    Check("T3", "Victims are scored as offenders", "A victim never scores as harming", _victims),
    Check("T4", "Old records never end", "Points halve and end", _stale),
    Check("T5", "Risk by family", "Family changes no score for harming", _siblings),
    Check("T6", "A sibling is listed", "Nobody is listed without own evidence", _listed_by_family),
    Check("T7", "Children in homes", "A registered home links nobody", _homes),
    Check("T8", "One large event links a town", "It links nobody and is told", _big),
    Check("T9", "Poverty looks like risk", "Support and benefits carry no points", _services),
    Check(
        "T10",
        "A wrong match",
        "An edge counts by how sure the match is; a merge is a union",
        _unsure,
    ),
    Check("T11", "A wrong match stays", "Parting restores both scores", _match),
    Check("T12", "A birthday turns a victim", "Age is that of the day it happened", _birthday),
    Check("T13", "Strangers move a score", "Unrelated people change nothing", _strangers),
    Check("T14", "Thin evidence", "One event is enough only on the immediate list", _thin),
    Check("T15", "Silence read as safety", "A silent source means not scored", _silence),
    Check("T16", "Ties cut by order", "Equals are drawn by key", _ties),
    Check("T17", "Small teams learn the score", "Some places are blind", _blind),
    Check("T18", "Guilt by network", "The network is bounded and no mere degree", _degree),
)
