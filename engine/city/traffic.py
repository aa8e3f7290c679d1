"""Synthetic accesses of a year, with planted misuse: what the monitor is measured on.

No name occurs: people, streets and surnames are numbers that stand where keyed tokens would. Work is drawn
first (cases, referrals, late data, busy days, night duty), then misuse of declared kinds is planted among
it. Whoever tunes a rule on one seed reports on another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import accumulate
from random import Random

from audit.unusual import Act, Look, Subject, User
from audit.unusual.rows import Tokens

START = date(2025, 1, 6)
"""A Monday."""
ROLES: tuple[tuple[str, str, int, float], ...] = (
    ("social_worker", "council", 40, 1.45),
    ("front_door", "council", 18, 1.65),
    ("early_help", "council", 16, 0.85),
    ("police_staff", "police", 16, 0.75),
    ("school_lead", "schools", 12, 0.4),
    ("youth_justice_worker", "youth_justice", 5, 0.7),
    ("safeguarding_gp", "gp", 3, 0.3),
    ("benefits_officer", "benefits", 2, 0.4),
)
"""Role, agency, users, and people opened on a working day: 112 users and about 3,000 accesses a month."""
KINDS: dict[str, int] = {
    "neighbour": 12, "former_partner": 10, "family": 8, "colleague": 8, "own_record": 5,
    "known_person": 10, "slow_drip": 6, "bulk": 4,
}  # fmt: skip
"""Incidents of each kind that a year holds."""
CLOCK_ROUND = ("front_door", "police_staff")
PEOPLE, HOMES, STREETS, AREAS, SURNAMES = 12_000, 4_800, 240, 12, 2_500


@dataclass(frozen=True, slots=True)
class Resident:
    """Somebody of the town, as numbers."""

    home: int
    street: int
    area: int
    surname: int


@dataclass(frozen=True, slots=True)
class Member:
    """A member of staff and who they are as a resident; None when they live elsewhere."""

    name: str
    agency: str
    role: str
    rate: float
    person: int | None
    surname: int
    enrolled: bool
    areas: frozenset[int]
    team: str


@dataclass
class Traffic:
    """Accesses with the truth about them.

    Attributes:
        looks: All accesses, in order of time.
        incident: Place of an access that was misuse to its incident.
        kinds: Kind of each incident.
        users, subjects: What the monitor is given of them.
    """

    looks: list[Look] = field(default_factory=list)
    incident: dict[int, int] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)
    users: dict[str, User] = field(default_factory=dict)
    subjects: dict[str, Subject] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Case:
    person: int
    worker: str
    first: int
    last: int


def make_traffic(seed: int, *, days: int = 364, density: int = 1) -> Traffic:
    """Make the accesses of a town.

    Args:
        seed: Everything follows from it.
        days: How many days, from a Monday.
        density: How many times the declared misuse is planted, so that a short time holds enough of it.
    """
    chance = Random(seed)
    town = _town(chance)
    staff = _staff(chance, town)
    known = [chance.randrange(PEOPLE) for _ in range(6)]
    made = _Maker(chance, town, staff, known, days)
    made.work()
    for kind, count in KINDS.items():
        for _ in range(max(1, round(density * count * days / 364))):
            made.misuse(kind)
    return made.finish()


def _town(chance: Random) -> list[Resident]:
    weights = list(accumulate(1.0 / (place + 3) ** 0.85 for place in range(SURNAMES)))
    homes = [
        (chance.randrange(STREETS), chance.choices(range(SURNAMES), cum_weights=weights)[0])
        for _ in range(HOMES)
    ]
    found = []
    for _ in range(PEOPLE):
        home = chance.randrange(HOMES)
        street, surname = homes[home]
        if chance.random() < 0.3:
            surname = chance.choices(range(SURNAMES), cum_weights=weights)[0]
        found.append(Resident(home, street, street % AREAS, surname))
    return found


def _staff(chance: Random, town: Sequence[Resident]) -> list[Member]:
    found = []
    for role, agency, count, rate in ROLES:
        for number in range(count):
            person = chance.randrange(PEOPLE) if chance.random() < 0.8 else None
            surname = town[person if person is not None else chance.randrange(PEOPLE)].surname
            team = chance.randrange(4)
            found.append(
                Member(
                    f"{role}.{number:02d}", agency, role, rate * chance.gammavariate(6, 1 / 6),
                    person, surname, chance.random() < 0.85,
                    frozenset(area for area in range(AREAS) if area % 4 == team), f"team_{team + 1}",
                )
            )  # fmt: skip
    return found


class _Maker:
    """Draws work and misuse into one list."""

    def __init__(
        self,
        chance: Random,
        town: Sequence[Resident],
        staff: Sequence[Member],
        known: Sequence[int],
        days: int,
    ) -> None:
        self.chance, self.town, self.staff, self.known, self.days = chance, town, staff, known, days
        self.rows: list[tuple[datetime, Member, int | None, Act, frozenset[str], int | None]] = []
        self.kinds: list[str] = []
        self.events = [(chance.randrange(20, max(21, days - 20)), person) for person in known]
        self.cases = list(self._cases())
        self.unexplained: dict[str, list[tuple[int, int]]] = {}

    def _cases(self) -> Iterator[_Case]:
        workers = [one.name for one in self.staff
                   if one.role in ("social_worker", "early_help", "youth_justice_worker")]  # fmt: skip
        for _ in range(max(200, 2600 * (self.days + 120) // 484)):
            first = self.chance.randrange(-120, self.days)
            yield _Case(self.chance.randrange(PEOPLE), self.chance.choice(workers), first,
                        first + self.chance.randrange(30, 200))  # fmt: skip

    def work(self) -> None:
        """Draw what people do for a living."""
        for day in range(self.days):
            on = START + timedelta(days=day)
            running = [one for one in self.cases if one.first <= day <= one.last]
            fresh = [one for one in self.cases if 0 <= day - one.first <= 21]
            own: dict[str, list[_Case]] = {}
            for one in running:
                own.setdefault(one.worker, []).append(one)
            for member in self.staff:
                self._day(member, day, on, own.get(member.name, []), running, fresh)

    def _day(
        self, member: Member, day: int, on: date, own: list[_Case], running: list[_Case],
        fresh: list[_Case],
    ) -> None:  # fmt: skip
        chance = self.chance
        rate = member.rate
        if on.weekday() >= 5:
            rate *= 0.45 if member.role in CLOCK_ROUND else 0.03
        elif member.role in CLOCK_ROUND:
            rate *= 0.9
        if chance.random() < 0.006:
            rate *= chance.uniform(5, 9)  # A conference, an audit of files, a strategy day.
        for _ in range(_poisson(chance, rate)):
            person, explained = self._reason(member, day, own, running, fresh)
            refused = chance.random() < 0.02
            self._add(member, on, person, explained, act=Act.REFUSED if refused else Act.VIEW)
        if chance.random() < 0.04 and on.weekday() < 5:
            self._add(member, on, None, frozenset(), act=Act.LIST)
        if chance.random() < 0.0002:
            for _ in range(chance.randrange(5, 9)):  # Somebody new, who was not told.
                self._add(member, on, chance.randrange(PEOPLE), frozenset(), act=Act.REFUSED)

    def _reason(
        self, member: Member, day: int, own: list[_Case], running: list[_Case],
        fresh: list[_Case],
    ) -> tuple[int, frozenset[str]]:  # fmt: skip
        chance, drawn = self.chance, self.chance.random()
        if own and drawn < 0.62:
            return chance.choice(own).person, frozenset({"allocation", "open_case"})
        if fresh and drawn < 0.78:
            return chance.choice(fresh).person, frozenset({"referral"})
        if running and drawn < 0.88:
            return chance.choice(running).person, frozenset({"open_case"})
        if running and drawn < 0.92:
            return chance.choice(running).person, frozenset({"shared_case"})
        if drawn < 0.94:
            return chance.randrange(PEOPLE), frozenset({"review_list"})
        # Data about the case comes late or never: some return to the same person.
        late = self.unexplained.setdefault(member.name, [])
        late[:] = [one for one in late if day - one[1] <= 28]
        if late and chance.random() < 0.35:
            person = chance.choice(late)[0]
        else:
            person = chance.randrange(PEOPLE)
            late.append((person, day))
        near = member.enrolled and self.town[person].area in member.areas
        return person, frozenset({"team_area"} if near else ())

    def misuse(self, kind: str) -> None:
        """Plant one incident."""
        chance, number = self.chance, len(self.kinds)
        member, person = self._target(kind)
        if member is None:
            return
        self.kinds.append(kind)
        # Some of those looked up for no good reason have a real case: explanation hides it.
        explained = frozenset({"open_case"} if chance.random() < 0.12 else ())
        first = chance.randrange(0, max(1, self.days - 30))
        if kind == "bulk":
            on = START + timedelta(days=first)
            began = datetime.combine(on, datetime.min.time()) + timedelta(
                minutes=chance.randrange(7 * 60, 22 * 60)
            )
            for _ in range(chance.randrange(35, 90)):
                at = began + timedelta(seconds=chance.randrange(45 * 60))
                self.rows.append(
                    (at, member, chance.randrange(PEOPLE), Act.VIEW, frozenset(), number)
                )
            return
        if kind == "known_person":
            first = next(day for day, who in self.events if who == person)
        for day in self._days_of(kind, first):
            if day < self.days:
                self._add(
                    member, START + timedelta(days=day), person, explained, act=Act.VIEW,
                    incident=number, late=0.45 if kind in ("neighbour", "former_partner") else 0.25,
                )  # fmt: skip

    def _days_of(self, kind: str, first: int) -> list[int]:
        chance = self.chance
        if kind == "former_partner":
            return sorted(first + chance.randrange(0, 42) for _ in range(chance.randrange(3, 10)))
        if kind == "slow_drip":
            step = chance.randrange(18, 31)
            return [
                at + chance.randrange(-3, 4) for at in range(max(3, first // 2), self.days, step)
            ][:10]
        if kind == "known_person":
            return [first + chance.randrange(0, 5)]
        return sorted(first + chance.randrange(0, 20) for _ in range(chance.randrange(1, 4)))

    def _target(self, kind: str) -> tuple[Member | None, int]:
        chance, town = self.chance, self.town
        for _ in range(1000):
            member = chance.choice(self.staff)
            if kind == "known_person":
                return member, chance.choice(self.known[:2])
            if kind in ("former_partner", "slow_drip", "bulk"):
                return member, chance.randrange(PEOPLE)
            if member.person is None:
                continue
            me = town[member.person]
            fits = {
                "neighbour": lambda one, me=me: one.street == me.street and one.home != me.home,
                "family": lambda one, me=me: one.surname == me.surname and one.home != me.home,
            }
            if kind == "own_record":
                return member, member.person
            if kind == "colleague":
                others = [one.person for one in self.staff
                          if one.person is not None and one.person != member.person]  # fmt: skip
                return member, chance.choice(others)
            found = [at for at, one in enumerate(town) if fits[kind](one) and at != member.person]
            if found:
                return member, chance.choice(found)
        return None, 0

    def _add(
        self, member: Member, on: date, person: int | None, explained: frozenset[str], *,
        act: Act, incident: int | None = None, late: float = 0.025,
    ) -> None:  # fmt: skip
        chance = self.chance
        if member.role in CLOCK_ROUND:
            minute = chance.randrange(24 * 60) if chance.random() < 0.4 else self._in_hours()
        elif chance.random() < late:
            minute = chance.choice(
                (chance.randrange(20 * 60, 24 * 60), chance.randrange(5 * 60, 7 * 60))
            )
        else:
            minute = self._in_hours()
        at = datetime.combine(on, datetime.min.time()) + timedelta(minutes=minute)
        self.rows.append((at, member, person, act, explained, incident))

    def _in_hours(self) -> int:
        return int(self.chance.triangular(8 * 60, 18 * 60, 11 * 60))

    def finish(self) -> Traffic:
        """Put the rows in order of time and say what the monitor is given."""
        made = Traffic(kinds=self.kinds)
        order = sorted(range(len(self.rows)), key=lambda at: (self.rows[at][0], at))
        for seq, at in enumerate(order):
            when, member, person, act, explained, incident = self.rows[at]
            subject = "" if person is None else f"p{person}"
            made.looks.append(
                Look(seq, member.name, member.agency, member.role, when, subject, act, "work", "",
                     explained)
            )  # fmt: skip
            if incident is not None:
                made.incident[seq] = incident
        made.users = {one.name: self._user(one) for one in self.staff}
        kin = self._kin()
        looked = sorted({one.subject for one in made.looks if one.subject})
        made.subjects = {one: self._subject(int(one[1:]), kin) for one in looked}
        return made

    def _user(self, member: Member) -> User:
        if not member.enrolled:
            return User()
        tokens = self._tokens(member.person) if member.person is not None else Tokens(
            surname=frozenset({f"s{member.surname}"})
        )  # fmt: skip
        areas = frozenset(f"a{one}" for one in member.areas)
        return User(tokens, areas, member.team)

    def _subject(self, person: int, kin: frozenset[int]) -> Subject:
        marks = {"marked"} if person in self.known[1:] else set()
        if person in kin:
            marks.add("staff_kin")
        return Subject(self._tokens(person), frozenset(marks))

    def _kin(self) -> frozenset[int]:
        """Half of those who live with staff bear the flag, as registers are kept."""
        homes = {self.town[one.person].home for one in self.staff if one.person is not None}
        return frozenset(
            at for at, one in enumerate(self.town) if one.home in homes and at % 2 == 0
        ) - {one.person for one in self.staff if one.person is not None}

    def _tokens(self, person: int) -> Tokens:
        one = self.town[person]
        return Tokens(
            frozenset({f"o{person}"}), frozenset({f"s{one.surname}"}),
            frozenset({f"h{one.home}"}), frozenset({f"t{one.street}"}), frozenset({f"a{one.area}"}),
        )  # fmt: skip


def _poisson(chance: Random, mean: float) -> int:
    """Return a Poisson number by multiplying chances (Knuth); the means here are small."""
    limit, product, count = 2.718281828459045**-mean, 1.0, -1
    while product > limit:
        product *= chance.random()
        count += 1
    return count
