"""Who lives in the city: families in households, schools, homes and addresses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from engine.city.families import FAMILIES, PLAIN, HardHousehold, Ways
from engine.city.names import STREET_ENDS, STREETS, Pools, pools

SIZES = {"tiny": 600, "town": 20_000, "city": 500_000}
_UPN_LETTERS = "ABCDEFGHJKLMNPQRTUVWXYZ"


@dataclass(frozen=True)
class Resident:
    """One invented person, as they truly are."""

    number: int
    given: str
    surname: str
    birth_surname: str
    sex: str
    born: date
    household: int
    home: int
    nhs: str
    upn: str
    school: int

    def age(self, on: date) -> int:
        """Return the age in whole years."""
        return on.year - self.born.year - ((on.month, on.day) < (self.born.month, self.born.day))


@dataclass(frozen=True)
class Address:
    """A true address; the postcode area TL was never issued."""

    house: str
    street: str
    postcode: str

    def line(self) -> str:
        """Return house and street on one line."""
        return f"{self.house} {self.street}"


@dataclass(frozen=True)
class Population:
    """The people of the city and where they live now and lived before."""

    people: list[Resident]
    addresses: list[Address]
    former: dict[int, int]
    end: date
    schools: int
    homes: int
    ways: Ways = PLAIN


def make_population(size: str, seed: int, end: date, families: str = "plain") -> Population:
    """Make the people of a city.

    Args:
        size: One of `SIZES`.
        seed: The same seed and date give the same city.
        end: Last day of the two years.
        families: One of `FAMILIES`.
    """
    rng = np.random.default_rng(seed)
    target = SIZES[size]
    names = pools(seed)
    ways = FAMILIES[families]
    kind = _Builder if ways is PLAIN else _HardBuilder
    builder = kind(rng, names, end, target, ways)
    while len(builder.people) < target:
        builder.household()
    addresses = _addresses(rng, builder.households)
    moved = 0.12 if ways is PLAIN else 0.2
    former = {
        household: int(rng.integers(0, builder.households))
        for household in range(builder.households)
        if rng.random() < moved
    }
    return Population(builder.people, addresses, former, end, builder.schools, builder.homes, ways)


class _Builder:
    def __init__(
        self, rng: np.random.Generator, names: Pools, end: date, target: int, ways: Ways
    ) -> None:
        self.rng, self.names, self.end, self.ways = rng, names, end, ways
        self.people: list[Resident] = []
        self.households = 0
        self.schools = max(2, target // 1000)
        self.homes = max(1, target // 5000)
        self._weights = {
            "m": (names.male, np.cumsum(names.weights(names.male))),
            "f": (names.female, np.cumsum(names.weights(names.female))),
            "s": (names.surnames, np.cumsum(names.weights(names.surnames))),
        }

    def _name(self, pool: str) -> str:
        values, cumulative = self._weights[pool]
        return str(
            values[min(int(np.searchsorted(cumulative, self.rng.random())), len(values) - 1)]
        )

    def _born(self, lowest: int, highest: int) -> date:
        days = int(self.rng.integers(lowest * 365, highest * 365 + 365))
        return self.end - timedelta(days=days)

    def household(self) -> None:
        """Add one household: one or two adults, and children who share a surname and a home."""
        rng, number = self.rng, self.households
        self.households += 1
        surname = self._name("s")
        adults = 1 if rng.random() < 0.35 else 2
        children = int(rng.choice([0, 1, 2, 3, 4], p=[0.58, 0.16, 0.17, 0.07, 0.02]))
        school = int(rng.integers(0, self.schools))
        for place in range(adults):
            sex = "m" if rng.random() < 0.49 else "f"
            own = self._name("s") if place and rng.random() < 0.3 else surname
            birth = self._name("s") if sex == "f" and rng.random() < 0.5 else own
            lowest, highest = (24, 52) if children else (18, 88)
            self._add(
                self._name(sex),
                own,
                birth,
                sex,
                self._born(lowest, highest),
                number,
                school,
            )
        born: date | None = None
        for place in range(children):
            twin = place > 0 and born is not None and rng.random() < 0.04
            if not twin or born is None:
                born = self._born(0, 17)
            sex = "m" if rng.random() < 0.51 else "f"
            own = self._name("s") if rng.random() < 0.08 else surname
            self._add(self._name(sex), own, own, sex, born, number, school)

    def _add(
        self,
        given: str,
        surname: str,
        birth: str,
        sex: str,
        born: date,
        household: int,
        school: int,
    ) -> None:
        rng, number = self.rng, len(self.people)
        age = (self.end - born).days // 365
        home = -1
        # About one child in 150 lives in a registered home; homes hold around a dozen.
        if 10 <= age <= 17 and rng.random() < 0.012:
            home = int(rng.integers(0, self.homes))
        self.people.append(
            Resident(
                number,
                given,
                surname,
                birth,
                sex,
                born,
                household,
                home,
                _nhs(number),
                _upn(number) if 4 <= age <= 19 else "",
                school if 5 <= age <= 17 else -1,
            )
        )


class _HardBuilder(_Builder):
    """Households whose members are easily taken for each other (linkage.md 3.3)."""

    def household(self) -> None:
        """Add one household of the hard kind."""
        rng, number, hard = self.rng, self.households, HardHousehold(self.rng, self.ways)
        self.households += 1
        other = hard.spelled_differently()
        surname = hard.surname(self._name("s"), other=other)
        school = int(rng.integers(0, self.schools))
        children = int(rng.choice([0, 1, 2, 3, 4], p=[0.50, 0.17, 0.20, 0.09, 0.04]))
        father, partner = "", surname
        for place in range(1 if rng.random() < 0.35 else 2):
            sex = "m" if rng.random() < 0.49 else "f"
            own = self._name("s") if place and rng.random() < 0.3 else surname
            partner = own if place else partner
            birth = self._name("s") if sex == "f" and rng.random() < 0.5 else own
            given = hard.given(self._name(sex), sex, other=other)
            father = given if sex == "m" else father
            lowest, highest = (24, 52) if children else (18, 88)
            self._add(given, own, birth, sex, self._born(lowest, highest), number, school)
        self._children(hard, children, (surname, partner, father), number, school, other=other)

    def _children(
        self,
        hard: HardHousehold,
        count: int,
        parents: tuple[str, str, str],
        household: int,
        school: int,
        *,
        other: bool,
    ) -> None:
        surname, partner, father = parents
        born, before = self._born(0, 17), ""
        called: set[str] = set()
        for place in range(count):
            sex = "m" if self.rng.random() < 0.51 else "f"
            given = hard.given(self._name(sex), sex, other=other)
            if place and hard.twin():
                pool = self.names.male if sex == "m" else self.names.female
                given = hard.twin_of(before, pool, given)
            elif place:
                born = min(self.end, born + hard.close_in_age())
            while given.split()[0] in called:
                given = self._name(sex)  # No two children of one home are called alike.
            if (
                sex == "m"
                and father
                and hard.called_like_father()
                and father.split()[0] not in called
            ):
                given = father
            own = hard.child_surname(surname, partner, self._name("s"))
            self._add(given, own, own, sex, born, household, school)
            before = given
            called.add(given.split()[0])


def _nhs(number: int) -> str:
    """Return a number of the test range 999 with a right check digit."""
    body = number
    while True:
        digits = f"999{body % 1_000_000:06d}"
        total = sum(
            int(digit) * weight for digit, weight in zip(digits, range(10, 1, -1), strict=True)
        )
        check = (11 - total % 11) % 11
        if check != 10:
            return digits + str(check)
        body += 500_009  # The next candidate keeps numbers apart in cities of up to half a million.


def _upn(number: int) -> str:
    digits = f"{980_000_000_000 + number:012d}"
    total = sum(int(digit) * weight for weight, digit in enumerate(digits, start=2))
    return _UPN_LETTERS[total % 23] + digits


def _addresses(rng: np.random.Generator, count: int) -> list[Address]:
    found = []
    letters = "ABDEFGHJLNPQRSTUWXYZ"
    for number in range(count):
        street_number = number // 40
        area = street_number // (len(STREETS) * len(STREET_ENDS))
        street = (
            f"{STREETS[street_number % len(STREETS)]} "
            f"{STREET_ENDS[street_number // len(STREETS) % len(STREET_ENDS)]}"
        )
        code = street_number * 2 + (number % 40) // 20
        postcode = (
            f"TL{code // 4000 % 90 + 1} {code // 400 % 10}"
            f"{letters[code // 20 % 20]}{letters[code % 20]}"
        )
        flat = f"Flat {int(rng.integers(1, 30))}" if rng.random() < 0.05 else ""
        house = f"{number % 40 + 1}"
        found.append(
            Address(f"{flat + ', ' if flat else ''}{house}", street + (f" {area}" if area else ""),
                    postcode)
        )  # fmt: skip
    return found
