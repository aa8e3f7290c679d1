"""What happened over two years: every event is consistent with its people; the truth is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np

from engine.city.population import Population, Resident

DAYS = 730


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident as it truly was: when, what, and who took part in which role."""

    number: int
    day: date
    kind: str
    flag: str
    members: tuple[tuple[int, str], ...]


@dataclass
class Lives:
    """Everything that happened, and the truth behind it.

    Attributes:
        incidents: What the police recorded.
        missing: Missing episodes: (number, first day, last day, people).
        harmed: Theme to the people who are truly being harmed.
        groups: Exploiting groups: (theme, adults, children).
        known: Children known to social care, with the day of referral.
        plans: Children with a protection plan: first day.
        attendance: Pupil to the attendance of each of six terms, in thousandths.
        suspended: Pupil and term of each suspension.
        excluded: Pupil and term of each permanent exclusion.
        arrears: Household to the day its arrears began.
        health: Person to (flag, day).
    """

    incidents: list[Incident] = field(default_factory=list)
    missing: list[tuple[int, date, date, tuple[int, ...]]] = field(default_factory=list)
    harmed: dict[str, set[int]] = field(default_factory=lambda: {"cse": set(), "cce": set()})
    groups: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    known: dict[int, date] = field(default_factory=dict)
    plans: dict[int, date] = field(default_factory=dict)
    attendance: dict[int, list[int]] = field(default_factory=dict)
    suspended: set[tuple[int, int]] = field(default_factory=set)
    excluded: set[tuple[int, int]] = field(default_factory=set)
    arrears: dict[int, date] = field(default_factory=dict)
    health: dict[int, tuple[str, date]] = field(default_factory=dict)


def make_lives(population: Population, seed: int) -> Lives:
    """Make two years of events that end on the population's last day."""
    return _Maker(population, np.random.default_rng(seed + 1)).make()


class _Maker:
    def __init__(self, population: Population, rng: np.random.Generator) -> None:
        self.population, self.rng = population, rng
        self.people, self.end = population.people, population.end
        self.lives = Lives()
        ages = [one.age(self.end) for one in self.people]
        self.adults = np.array([n for n, age in enumerate(ages) if age >= 18])
        self.teens = np.array([n for n, age in enumerate(ages) if 11 <= age <= 17])
        self.at_home: dict[int, list[int]] = {}
        self.at_school: dict[int, list[int]] = {}
        for number in self.teens.tolist():
            self.at_school.setdefault(self.people[number].school, []).append(number)
            if self.people[number].home >= 0:
                self.at_home.setdefault(self.people[number].home, []).append(number)

    def make(self) -> Lives:
        for _ in range(max(2, len(self.people) // 1200)):
            self._group()
        self._background()
        self._schools()
        self._care()
        self._homes()
        return self.lives

    def _day(self, *, recent: float = 1.0) -> date:
        """Return a day; a `recent` above 1 leans towards the end of the two years."""
        back = int(DAYS * self.rng.random() ** recent)
        return self.end - timedelta(days=min(back, DAYS - 1))

    def _some(self, numbers: np.ndarray, count: int) -> list[int]:
        """Draw distinct people; drawing again after a repeat costs nothing in the size of the city."""
        found: dict[int, None] = {}
        while len(found) < count:
            found.setdefault(int(numbers[self.rng.integers(0, len(numbers))]))
        return list(found)

    def _incident(self, day: date, kind: str, flag: str, *members: tuple[int, str]) -> None:
        distinct = tuple(dict(members).items())
        self.lives.incidents.append(Incident(len(self.lives.incidents), day, kind, flag, distinct))

    def _missing(self, people: tuple[int, ...], *, recent: float = 1.0) -> None:
        start = self._day(recent=recent)
        last = min(self.end, start + timedelta(days=int(self.rng.geometric(0.6))))
        self.lives.missing.append((len(self.lives.missing), start, last, people))

    def _group(self) -> None:
        """One exploiting group: a few adults, and teenagers drawn from one school or home."""
        rng = self.rng
        theme = "cse" if rng.random() < 0.5 else "cce"
        adults = tuple(int(one) for one in self._some(self.adults, int(rng.integers(2, 6))))
        first = self.people[int(rng.choice(self.teens))]
        near = set(self.at_school[first.school])
        if self.at_home:
            # Exploiters look for children in care: one home's children are as near as a school's.
            homes = sorted(self.at_home)
            near.update(self.at_home[homes[int(rng.integers(0, len(homes)))]])
        count = min(len(near), int(rng.integers(4, 10)))
        children = tuple(int(one) for one in rng.choice(sorted(near), count, replace=False))
        self.lives.groups.append((theme, adults, children))
        self.lives.harmed[theme].update(children)
        for child in children:
            self._exploited(theme, child, adults, children)
        for _ in range(int(rng.integers(2, 6))):
            pair = rng.choice(adults, 2, replace=False)
            kind = "DRUG SUPPLY" if theme == "cce" else "VIOLENCE"
            self._incident(self._day(), kind, "", *((int(one), "SUSPECT") for one in pair))

    def _exploited(
        self, theme: str, child: int, adults: tuple[int, ...], children: tuple[int, ...]
    ) -> None:
        rng = self.rng
        for _ in range(int(rng.poisson(3))):
            friends = [one for one in children if one != child and rng.random() < 0.25]
            self._missing((child, *friends[:2]), recent=1.6)
        adult = int(rng.choice(adults))
        if rng.random() < 0.75:
            flag = "CSE" if theme == "cse" else "COUNTY LINES"
            self._incident(self._day(recent=1.5), "", flag, (child, "SUBJECT"))
        if theme == "cse" and rng.random() < 0.5:
            self._incident(
                self._day(recent=1.4),
                "SEXUAL",
                "",
                (child, "VICTIM"),
                (adult, "SUSPECT"),
            )
        if theme == "cce" and rng.random() < 0.6:
            # A child used to sell drugs is recorded as a suspect; that is the trap of the domain.
            self._incident(
                self._day(recent=1.4),
                "DRUG SUPPLY",
                "",
                (child, "SUSPECT"),
                (adult, "SUSPECT"),
            )

    def _background(self) -> None:
        rng, lives = self.rng, self.lives
        for number in self.teens.tolist():
            if rng.random() < 0.03:
                for _ in range(int(rng.integers(1, 3))):
                    self._missing((number,))
        friends = [self._some(self.teens, 4) for _ in range(len(self.teens) // 30 + 1)]
        for group in friends:
            together = [int(one) for one in group if rng.random() < 0.7]
            if together and rng.random() < 0.6:
                kind = str(rng.choice(["ASB", "THEFT", "VIOLENCE"]))
                self._incident(self._day(), kind, "", *((one, "SUSPECT") for one in together))
        for _ in range(len(self.people) // 20):
            kind = str(
                rng.choice(["ASB", "THEFT", "VIOLENCE", "WEAPON", "DRUG SUPPLY"],
                           p=[0.35, 0.3, 0.25, 0.04, 0.06])
            )  # fmt: skip
            suspect, victim, witness = (int(one) for one in self._some(self.adults, 3))
            members = [(suspect, "SUSPECT")]
            if kind in ("THEFT", "VIOLENCE"):
                members.append((victim, "VICTIM"))
            if rng.random() < 0.2:
                members.append((witness, "WITNESS"))
            self._incident(self._day(), kind, "", *members)
        for _ in range(len(self.people) // 120):
            one, two = (int(person) for person in self._some(self.adults, 2))
            self._incident(self._day(), "VIOLENCE", "DV", (one, "SUSPECT"), (two, "VICTIM"))
        for _ in range(len(self.people) // 2500 + 1):
            child = int(rng.choice(self.teens))
            self._incident(self._day(), "SEXUAL", "", (child, "VICTIM"))
        for number in self.adults.tolist():
            if rng.random() < 0.03:
                flag = "MH" if rng.random() < 0.7 else "SUB"
                lives.health[number] = (flag, self._day())

    def _schools(self) -> None:
        rng, lives = self.rng, self.lives
        harmed = lives.harmed["cse"] | lives.harmed["cce"]
        for one in self.people:
            if one.school < 0:
                continue
            usual = int(np.clip(rng.normal(945, 40), 500, 1000))
            if one.number in harmed:
                usual = int(np.clip(rng.normal(820, 90), 300, 1000))
            terms = [int(np.clip(usual + rng.normal(0, 20), 200, 1000)) for _ in range(6)]
            lives.attendance[one.number] = terms
            risk = 0.10 if one.number in harmed else 0.01
            for term in range(6):
                if rng.random() < risk:
                    lives.suspended.add((one.number, term))
            if rng.random() < risk / 5:
                lives.excluded.add((one.number, 5))

    def _care(self) -> None:
        rng, lives = self.rng, self.lives
        harmed = lives.harmed["cse"] | lives.harmed["cce"]
        for one in self.people:
            if one.age(self.end) >= 18:
                continue
            chance = 0.55 if one.number in harmed else 0.04
            if one.home >= 0 or rng.random() < chance:
                lives.known[one.number] = self._day()
                if rng.random() < 0.15:
                    lives.plans[one.number] = lives.known[one.number]

    def _homes(self) -> None:
        households = {one.household for one in self.people}
        for household in sorted(households):
            if self.rng.random() < 0.06:
                self.lives.arrears[household] = self._day()

    def resident(self, number: int) -> Resident:
        """Return a person by number."""
        return self.people[number]
