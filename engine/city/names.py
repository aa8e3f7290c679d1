"""Pools of names with uneven frequencies, and the ways in which agencies write them differently."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from mimesis import Gender, Locale, Person

# Spellings of one name that systems really mix up; written for the generator alone, the linker does
# not read this table.
VARIANTS: dict[str, tuple[str, ...]] = {
    "Mohammed": ("Muhammad", "Mohamed", "Maxamed"),
    "Hussain": ("Hussein", "Xuseen"),
    "Oleksandr": ("Aleksandr",),
    "Kovalenko": ("Kowalenko",),
    "Catherine": ("Katherine", "Kathryn"),
    "Stephen": ("Steven",),
    "Sara": ("Sarah",),
    "Zoe": ("Zoë",),
}
SHORT: dict[str, str] = {
    "Alexander": "Alex", "Benjamin": "Ben", "Charles": "Charlie", "Christopher": "Chris",
    "Daniel": "Dan", "Edward": "Ted", "Elizabeth": "Beth", "Isabella": "Izzy", "James": "Jamie",
    "Jennifer": "Jenny", "Jessica": "Jess", "Jonathan": "Jon", "Joseph": "Joe", "Joshua": "Josh",
    "Katherine": "Katie", "Matthew": "Matt", "Michael": "Mike", "Nicholas": "Nick",
    "Oliver": "Ollie", "Rebecca": "Becky", "Robert": "Rob", "Samuel": "Sam", "Susan": "Sue",
    "Thomas": "Tom", "Victoria": "Vicky", "William": "Bill", "Anthony": "Tony", "David": "Dave",
    "Andrew": "Andy", "Rachel": "Rach", "Abigail": "Abby", "Zachary": "Zach",
}  # fmt: skip
STREETS = (
    *(
        "Lantern",
        "Kettle",
        "Orchard",
        "Mill",
        "Tinsmith",
        "Harbour",
        "Quarry",
        "Lime",
        "Copper",
    ),
    *(
        "Saddler",
        "Bramble",
        "Cooper",
        "Weaver",
        "Anchor",
        "Thistle",
        "Beacon",
        "Poplar",
        "Meadow",
    ),
)
STREET_ENDS = ("Street", "Road", "Lane", "Close", "Way", "Terrace")


@dataclass(frozen=True)
class Pools:
    """Names by frequency: a Zipf-like tail, so that some names are common and most are rare."""

    male: np.ndarray
    female: np.ndarray
    surnames: np.ndarray

    def weights(self, pool: np.ndarray) -> np.ndarray:
        """Return the chance of each name of a pool."""
        raw = 1.0 / (np.arange(len(pool)) + 3.0) ** 0.85
        return np.asarray(raw / raw.sum())


def pools(seed: int) -> Pools:
    """Return the pools. They do not depend on the size of the city, and their order is seeded."""
    source = Person(Locale.EN_GB, seed=20261125)
    chosen = np.random.default_rng(seed)

    def distinct(gender: Gender | None, extra: tuple[str, ...]) -> np.ndarray:
        found = dict.fromkeys(extra)
        for _ in range(12_000):
            name = source.surname() if gender is None else source.first_name(gender=gender)
            # A name such as "Na" or "X" reads as a placeholder in every system; leave those out.
            if len(name) > 2:
                found.setdefault(name)
        names = np.array(sorted(found), dtype=object)
        chosen.shuffle(names)
        return names

    return Pools(
        male=distinct(Gender.MALE, ("Mohammed", "Oleksandr", "Stephen")),
        female=distinct(Gender.FEMALE, ("Sara", "Zoe", "Catherine")),
        surnames=distinct(None, ("Hussain", "Kovalenko", "O'Dell-Marsh", "Thorne-Smith")),
    )


class Mess:
    """The ways one true value is written down wrongly; every draw comes from the city's seed."""

    def __init__(
        self,
        rng: np.random.Generator,
        spelled: dict[str, tuple[str, ...]] = VARIANTS,
        short: dict[str, str] = SHORT,
    ) -> None:
        self._rng, self._variants, self._short = rng, spelled, short

    def chance(self, share: float) -> bool:
        """Return True in this share of calls."""
        return bool(self._rng.random() < share)

    def given(self, name: str, *, short: float) -> str:
        """Return a given name as somebody might write it."""
        if name in self._short and self.chance(short):
            return self._short[name]
        return self._spelled(name, 0.03)

    def surname(self, name: str) -> str:
        """Return a surname as somebody might write it."""
        if "-" in name and self.chance(0.2):
            return name.rsplit("-", maxsplit=1)[-1]
        return self._spelled(name, 0.03)

    def _spelled(self, name: str, typo: float) -> str:
        if name in self._variants and self.chance(0.3):
            return str(self._rng.choice(self._variants[name]))
        if len(name) > 3 and self.chance(typo):
            at = int(self._rng.integers(1, len(name) - 1))
            drop = self.chance(0.5)
            swapped = name[:at] + name[at + 1] + name[at] + name[at + 2 :]
            return name[:at] + name[at + 1 :] if drop else swapped
        return name.upper() if self.chance(0.05) else name
