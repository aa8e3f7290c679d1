"""People who cannot be taken for real ones: made-up names, a postcode area that does not exist."""

from __future__ import annotations

import random
from datetime import date, timedelta

TODAY = date(2026, 11, 25)
_SYLLABLES = ("bo", "da", "fli", "gru", "ka", "lum", "mo", "ni", "pex", "quo", "ro", "sti", "wob")


class People:
    """A source of synthetic identities from a seed; values repeat about as often as in a town."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self._given = [f"Fake{self._word()}" for _ in range(600)]
        self._surnames = [f"Mock{self._word()}" for _ in range(4_000)]

    def _word(self) -> str:
        return "".join(self.chance.choices(_SYLLABLES, k=self.chance.randint(2, 4)))

    def _pick(self, pool: list[str]) -> str:
        """Take the first of a pool far more often than the last, as names are."""
        return pool[int(len(pool) * self.chance.random() ** 2)]

    def given(self) -> str:
        """Return a first name."""
        return self._pick(self._given)

    def surname(self) -> str:
        """Return a last name; one in twenty has two parts."""
        name = self._pick(self._surnames)
        return f"{name}-{self._pick(self._surnames)}" if self.chance.random() < 0.05 else name

    def birth_date(self) -> str:
        """Return a date in the last 60 years."""
        return (TODAY - timedelta(days=self.chance.randrange(60 * 365))).isoformat()

    def day(self, back: int = 1_000) -> str:
        """Return a date of the last `back` days."""
        return (TODAY - timedelta(days=self.chance.randrange(back))).isoformat()

    def postcode(self) -> str:
        """Return a postcode of the area QX, which does not exist."""
        letters = "".join(self.chance.choices("ABDEFGHJLN", k=2))
        return f"QX{self.chance.randint(1, 9)} {self.chance.randint(0, 9)}{letters}"

    def address(self) -> str:
        """Return a house and a street."""
        return f"{self.chance.randint(1, 250)} {self._pick(self._surnames)} Road"

    def nhs_number(self) -> str:
        """Return a number of the range kept for tests (999), with its check digit."""
        while True:
            digits = f"999{self.chance.randrange(10**6):06d}"
            total = sum(int(digit) * (10 - place) for place, digit in enumerate(digits))
            check = (11 - total % 11) % 11
            if check < 10:
                return f"{digits}{check}"

    def upn(self) -> str:
        """Return a pupil number with its check letter."""
        digits = f"{self.chance.randrange(10**12):012d}"
        total = sum(int(digit) * weight for weight, digit in enumerate(digits, start=2))
        return "ABCDEFGHJKLMNPQRTUVWXYZ"[total % 23] + digits
