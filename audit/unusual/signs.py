"""The signs that hold on a day's accesses: explanations first, then signatures, then volume.

A pure function of rows. The same rows give the same items in the same order; ties are broken by a keyed
hash, so that nobody can choose a user name that comes last.
"""

from __future__ import annotations

import hmac
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from audit.unusual.rows import Act, Look, Subject, User
from audit.unusual.table import Weights
from audit.unusual.volume import COUNTED, Past, people_a_day

NOBODY = User()
UNKNOWN = Subject()
CIRCUMSTANCES = frozenset({"out_of_hours", "no_reason_known"})
"""Signs that say when and not whom: on a day that is an item as a whole they make none of each person."""


@dataclass(frozen=True, slots=True)
class Found:
    """Something worth a look: a user and a person, or a user's day as a whole.

    Attributes:
        actor, agency, role: Who, of which agency, in which role.
        subject: Pseudonym of the person, empty for a day as a whole.
        day: The day that was judged.
        signs: Id of each sign that holds, with the points it adds, in the declared order.
        entries: Places in the trail of the accesses of that day.
        people: How many different people, for a day as a whole.
    """

    actor: str
    agency: str
    role: str
    subject: str
    day: date
    signs: Mapping[str, int]
    entries: tuple[int, ...]
    people: int = 1

    @property
    def points(self) -> int:
        """Sum of the points."""
        return sum(self.signs.values())


@dataclass
class Surnames:
    """How many of those known bear a surname, by keyed token."""

    bearers: Counter[str] = field(default_factory=Counter, repr=False)
    known: int = 0

    def add(self, tokens: frozenset[str]) -> None:
        """Count one more person."""
        self.known += 1
        self.bearers.update(tokens)

    @classmethod
    def of(cls, people: Iterable[User | Subject]) -> Surnames:
        """Count some people; who has no surname says nothing about how common one is."""
        made = cls()
        for one in people:
            if one.tokens.surname:
                made.add(one.tokens.surname)
        return made


def judge(
    weights: Weights,
    day: date,
    looks: Sequence[Look],
    users: Mapping[str, User],
    subjects: Mapping[str, Subject],
    surnames: Surnames,
    key: bytes,
) -> list[Found]:
    """Return what is worth a look on a day, the most points first.

    Args:
        weights: The weights.
        day: The day to judge.
        looks: Accesses of that day and of the days before it that the limits reach back to, in any order.
        users: What is known of users, by name in the trail.
        subjects: What is known of those looked at, by pseudonym.
        surnames: How common surnames are.
        key: Breaks ties.
    """
    today = sorted((one for one in looks if one.at.date() == day), key=lambda one: one.seq)
    past = [one for one in looks if one.at.date() < day]
    context = _Context(weights, day, users, subjects, surnames, past + today)
    whole = list(_days(context, past, today))
    users_days = {one.actor for one in whole if one.points >= weights.queue_from}
    kept = [
        one
        for one in [*_pairs(context, today), *whole]
        if one.points >= weights.queue_from
        and not (one.subject and one.actor in users_days and set(one.signs) <= CIRCUMSTANCES)
    ]
    return sorted(kept, key=lambda one: order(weights, one.points, one.signs, key, one.actor,
                                              one.subject))  # fmt: skip


def order(
    weights: Weights, points: int, signs: Iterable[str], key: bytes, actor: str, subject: str
) -> tuple[int, int, bytes]:
    """Return what an item is sorted by: points, then the declared order of signs, then a keyed tie."""
    first = min((weights.signs[one].place for one in signs if one in weights.signs), default=99)
    return -points, first, hmac.digest(key, f"{actor}|{subject}".encode(), "sha256")


class _Context:
    """What the signs of one day are held against, worked out once."""

    def __init__(
        self,
        weights: Weights,
        day: date,
        users: Mapping[str, User],
        subjects: Mapping[str, Subject],
        surnames: Surnames,
        looks: Sequence[Look],
    ) -> None:
        self.weights, self.day, self.users, self.subjects = weights, day, users, subjects
        self.surnames = surnames
        self.staff: dict[str, set[str]] = defaultdict(set)
        for name, user in users.items():
            for token in user.tokens.oneself:
                self.staff[token].add(name)
        limits = weights.limits
        repeat = day - timedelta(days=limits["repeat_days"])
        crowd = day - timedelta(days=limits["many_lookers_days"] - 1)
        self.returns: dict[tuple[str, str], set[date]] = defaultdict(set)
        self.crowds: dict[str, set[str]] = defaultdict(set)
        for one in looks:
            if one.act != Act.VIEW or not one.subject:
                continue
            on = one.at.date()
            if on > repeat and self.open(one, "repeat_without_case"):
                self.returns[one.actor, one.subject].add(on)
            if on >= crowd and self.open(one, "many_lookers"):
                self.crowds[one.subject].add(one.actor)

    def open(self, look: Look, sign: str) -> bool:
        """Say whether nothing that explains a look answers a sign."""
        return not (look.explained & self.weights.signs[sign].answered_by)


def _pairs(context: _Context, today: Sequence[Look]) -> Iterable[Found]:
    by_pair: dict[tuple[str, str], list[Look]] = defaultdict(list)
    for one in today:
        if one.personal:
            by_pair[one.actor, one.subject].append(one)
    for (actor, subject), looks in by_pair.items():
        held: dict[str, int] = {}
        for look in looks:
            for sign, points in _of_look(context, look):
                held[sign] = max(points, held.get(sign, 0))
        first = looks[0]
        yield Found(
            actor, first.agency, first.role, subject, context.day, _in_order(context, held),
            tuple(one.seq for one in looks),
        )  # fmt: skip


def _of_look(context: _Context, look: Look) -> Iterable[tuple[str, int]]:
    """Signs of one look at somebody who was named."""
    weights, limits = context.weights, context.weights.limits
    user = context.users.get(look.actor, NOBODY)
    subject = context.subjects.get(look.subject, UNKNOWN)
    own = bool(user.tokens.oneself & subject.tokens.oneself)
    others = set().union(*(context.staff.get(one, set()) for one in subject.tokens.oneself))
    held = {
        "own_record": own,
        "decoy": "decoy" in subject.marks,
        "colleague": not own and bool(others - {look.actor}),
        "staff_kin": "staff_kin" in subject.marks,
        "marked": "marked" in subject.marks,
        "same_address": not own and bool(user.tokens.address & subject.tokens.address),
        "same_street": not own
        and not user.tokens.address & subject.tokens.address
        and bool(user.tokens.street & subject.tokens.street),
        "repeat_without_case": len(context.returns.get((look.actor, look.subject), ()))
        >= limits["repeat_on_days"],
        "many_lookers": look.actor in context.crowds.get(look.subject, ())
        and len(context.crowds[look.subject]) >= limits["many_lookers"],
        "out_of_hours": out_of_hours(weights, look),
        "no_reason_known": True,
    }
    for sign, holds in held.items():
        if holds and context.open(look, sign):
            yield sign, weights.signs[sign].points
    shared = user.tokens.surname & subject.tokens.surname
    if shared and not own and context.open(look, "same_surname"):
        # The user and the person bear it in any case; how many others do is what makes it common.
        points = max(
            weights.surname_points(
                max(0, context.surnames.bearers[one] - 2), context.surnames.known
            )
            for one in shared
        )
        if points:
            yield "same_surname", points


def out_of_hours(weights: Weights, look: Look) -> bool:
    """Say whether an access lies outside the declared local hours of its role."""
    hours = weights.hours_of(look.role)
    if hours.start is None:
        return False
    if look.at.weekday() >= 5 and not hours.weekend:
        return True
    return not hours.start <= look.at.hour < hours.end


def _days(context: _Context, past: Sequence[Look], today: Sequence[Look]) -> Iterable[Found]:
    """Signs of a user's day as a whole."""
    weights, limits = context.weights, context.weights.limits
    since = context.day - timedelta(days=limits["volume_days"])
    before = Past(people_a_day([one for one in past if one.at.date() >= since]), weights)
    mine: dict[tuple[str, str], list[Look]] = defaultdict(list)
    for one in today:
        mine[one.actor, one.role].append(one)
    # An hour may begin before midnight.
    late = defaultdict(list)
    for one in past:
        if one.at.date() == context.day - timedelta(days=1):
            late[one.actor, one.role].append(one)
    for (actor, role), looks in mine.items():
        people = {one.subject for one in looks if one.subject and one.act in COUNTED}
        near = sorted([*late[actor, role], *looks], key=lambda one: (one.at, one.seq))
        held: dict[str, int] = {}
        seen = [one for one in near if one.subject and one.act in COUNTED]
        if _most(seen, limits["bulk_minutes"], context.day) >= limits["bulk_people"]:
            held["bulk"] = weights.signs["bulk"].points
        listed = [one for one in near if one.act == Act.LIST]
        if _most(listed, limits["paging_minutes"], context.day) >= limits["paging_lists"]:
            held["paging"] = weights.signs["paging"].points
        if sum(one.act == Act.REFUSED for one in looks) >= limits["probing_refusals"]:
            held["probing"] = weights.signs["probing"].points
        if len(people) >= limits["volume_least_people"]:
            usual = before.ordinary(actor, role, context.day)
            if usual is not None and usual.spreads(len(people)) >= limits["volume_spread"]:
                held["volume"] = weights.signs["volume"].points
        if held:
            yield Found(
                actor, looks[0].agency, role, "", context.day, _in_order(context, held),
                tuple(one.seq for one in looks), len(people),
            )  # fmt: skip


def _most(looks: Sequence[Look], minutes: int, day: date) -> int:
    """Return the most different people, or lists, within some minutes that end on a day."""
    inside: Counter[str] = Counter()
    most = start = 0
    names = [one.subject or str(one.seq) for one in looks]
    for at, one in enumerate(looks):
        inside[names[at]] += 1
        while one.at - looks[start].at > timedelta(minutes=minutes):
            inside[names[start]] -= 1
            inside += Counter()  # Drops what is no longer there.
            start += 1
        if one.at.date() == day:
            most = max(most, len(inside))
    return most


def _in_order(context: _Context, held: Mapping[str, int]) -> dict[str, int]:
    place = context.weights.signs
    return dict(sorted(held.items(), key=lambda item: place[item[0]].place))


def sentence(
    weights: Weights,
    *,
    who: str,
    looks: int,
    days: int,
    last: date,
    signs: Iterable[str],
    subject: bool,
    people: int,
) -> str:
    """Tell an item in one sentence, without the name of anybody but the user.

    Args:
        weights: The weights.
        who: The user with role and agency, as it is to be told.
        looks: How many accesses.
        days: On how many days.
        last: The last of them.
        signs: Ids of the signs, in the declared order.
        subject: Whether it is about one person, and not about a day as a whole.
        people: Different people, for a day as a whole.
    """
    times = {1: "once", 2: "twice"}.get(looks, f"{looks} times")
    span = "" if days == 1 else f" on {days} days"
    on = f"{last.day} {last:%B %Y}"
    if subject:
        what = f"opened or asked for one person {times}{span}"
    elif people:
        what = f"opened {people} {'person' if people == 1 else 'people'} in {looks} requests"
    else:
        what = f"made {looks} requests"
    why = "; ".join(weights.signs[one].says for one in signs if one in weights.signs)
    until = "on" if days == 1 else "most recently on"
    return f"{who} {what}, {until} {on}: {why}."
