"""Families that are hard to tell apart, and names that are written in many ways (linkage.md 3.3).

Two tables of ways: the ``known`` one shares forms with the linker's own table of short names, as a
shipped table would with life; the ``independent`` one holds what no table of the linker knows. Every
form is an everyday name and nobody's. Rates are guesses; what counts is ratios and kinds of error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from engine.city.names import SHORT, VARIANTS


@dataclass(frozen=True)
class Ways:
    """How names are written differently.

    Attributes:
        spelled: Name to other spellings of it.
        short: Name to its short form.
        male, female, surnames: Names of the households whose names are spelled in several ways.
    """

    spelled: dict[str, tuple[str, ...]] = field(default_factory=lambda: VARIANTS)
    short: dict[str, str] = field(default_factory=lambda: SHORT)
    male: tuple[str, ...] = ()
    female: tuple[str, ...] = ()
    surnames: tuple[str, ...] = ()


PLAIN = Ways()

_KNOWN = {
    **VARIANTS,
    "Ahmed": ("Ahmad",),
    "Yusuf": ("Yousuf", "Youssef"),
    "Fatima": ("Fatema", "Fatimah"),
    "Aisha": ("Ayesha", "Aysha"),
    "Ali": ("Aly",),
    "Khan": ("Kahn",),
    "Rahman": ("Rehman",),
}
KNOWN = Ways(
    _KNOWN,
    SHORT,
    ("Mohammed", "Oleksandr", "Ahmed", "Yusuf", "Ali", "Stephen"),
    ("Fatima", "Aisha", "Sara", "Zoe", "Catherine"),
    ("Hussain", "Kovalenko", "Khan", "Rahman", "Thorne-Smith"),
)

_INDEPENDENT = {
    "Abdullahi": ("Cabdulaahi", "Abdulahi"), "Hassan": ("Xasan", "Hasan"), "Omar": ("Cumar", "Umar"),
    "Ibrahim": ("Ibraahim", "Ebrahim"), "Osman": ("Cismaan", "Othman"), "Zainab": ("Seynab", "Zeynep"),
    "Halima": ("Xaliimo", "Haleema"), "Khadija": ("Khadiijo", "Hatice"), "Faduma": ("Faadumo", "Fadumo"),
    "Eoghan": ("Owen", "Eoin"), "Rhys": ("Reece", "Rees"), "Krzysztof": ("Christoph", "Kshishtof"),
    "Wojciech": ("Voytek",), "Mykola": ("Nikolai",), "Dmytro": ("Dimitri", "Dmitry"),
    "Siobhan": ("Shevaun", "Chevonne"), "Niamh": ("Neve", "Neave"), "Caoimhe": ("Keeva", "Kweeva"),
    "Agnieszka": ("Agneshka",), "Malgorzata": ("Margaret",), "Kateryna": ("Catherina", "Yekaterina"),
    "Abdi": ("Cabdi",), "Nur": ("Noor", "Nuur"), "Jama": ("Jaamac",), "Farah": ("Faarax", "Farrah"),
    "Choudhury": ("Chowdhury", "Chaudhry"), "Szymanski": ("Shimanski", "Schimanski"),
    "Wojcik": ("Voitsik",), "Mukherjee": ("Mookerjee",), "Shevchenko": ("Szewczenko",),
}  # fmt: skip
INDEPENDENT = Ways(
    _INDEPENDENT,
    {
        "Theodore": "Theo", "Frederick": "Fritz", "John": "Jack", "Eleanor": "Nell",
        "Alexandra": "Sasha", "Florence": "Flo", "Krzysztof": "Krzys",
        "Agnieszka": "Aga", "Dmytro": "Dima", "Kateryna": "Katya", "Abdullahi": "Abdi",
        "Vincent": "Vin", "Georgina": "Gina", "Amelia": "Millie",
        "Isobel": "Izzie", "Charlotte": "Lottie", "Josephine": "Posy", "Harriet": "Hattie",
    },
    ("Abdullahi", "Hassan", "Omar", "Ibrahim", "Osman", "Eoghan", "Rhys", "Krzysztof", "Wojciech",
     "Mykola", "Dmytro"),
    ("Zainab", "Halima", "Khadija", "Faduma", "Siobhan", "Niamh", "Caoimhe", "Agnieszka",
     "Malgorzata", "Kateryna"),
    ("Abdi", "Nur", "Jama", "Farah", "Choudhury", "Szymanski", "Wojcik", "Mukherjee", "Shevchenko"),
)  # fmt: skip

FAMILIES: dict[str, Ways] = {"plain": PLAIN, "hard": KNOWN, "independent": INDEPENDENT}
"""Kind of families to its names; all but ``plain`` are hard."""


class HardHousehold:
    """Draws one household in which people are easily taken for each other.

    Partners keep their names, children have step-parents or two names, one in twenty-five later
    children is a twin and a third of twins share an initial, sons are called like their father, and in
    one household of six names are spelled in several ways or have three parts.
    """

    def __init__(self, rng: np.random.Generator, ways: Ways) -> None:
        self._rng, self._ways = rng, ways

    def spelled_differently(self) -> bool:
        """Say whether this household's names are of those that are spelled in several ways."""
        return bool(self._rng.random() < 0.16)

    def surname(self, common: str, *, other: bool) -> str:
        """Return the surname of a household."""
        return str(self._rng.choice(self._ways.surnames)) if other else common

    def given(self, common: str, sex: str, *, other: bool) -> str:
        """Return a given name; one in four of the other households has a name of two parts."""
        if not other or self._rng.random() < 0.2:
            return common
        pool = self._ways.male if sex == "m" else self._ways.female
        name = str(self._rng.choice(pool))
        second = str(self._rng.choice(pool))
        return f"{name} {second}" if self._rng.random() < 0.25 and second != name else name

    def child_surname(self, own: str, partner: str, common: str) -> str:
        """Return a child's surname: the household's, both parents', or that of somebody else."""
        draw = self._rng.random()
        if draw < 0.10:
            return common
        if draw < 0.16 and partner != own:
            return f"{own}-{partner}"
        return own

    def twin_of(self, sibling: str, names: np.ndarray, common: str) -> str:
        """Return the name of a twin; a third of them share an initial."""
        if self._rng.random() >= 1 / 3:
            return common
        alike = [str(one) for one in names if one[0] == sibling[0] and one != sibling]
        return str(self._rng.choice(alike)) if alike else common

    def called_like_father(self) -> bool:
        """Say whether a son bears his father's name."""
        return bool(self._rng.random() < 0.05)

    def twin(self) -> bool:
        """Say whether a later child is a twin."""
        return bool(self._rng.random() < 0.04)

    def close_in_age(self) -> timedelta:
        """Return how long after the child before it a child was born."""
        return timedelta(days=int(self._rng.integers(300, 1500)))
