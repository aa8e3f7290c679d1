"""What each agency would send: its own layout, its own keys, its own mess."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from lxml import etree

from engine.city import layouts
from engine.city.lives import Lives, make_lives
from engine.city.names import Mess
from engine.city.population import Population, Resident, make_population

FILES: dict[str, tuple[str, str]] = {
    "police.occurrences": ("police", "police_occurrences.csv"),
    "police.missing": ("police", "police_missing.csv"),
    "schools.roll": ("schools", "schools_roll.csv"),
    "schools.attendance": ("schools", "schools_attendance.csv"),
    "council.persons": ("council", "council_persons.csv"),
    "council.cin_census": ("council", "council_cin_census.xml"),
    "housing.arrears": ("housing", "housing_arrears.csv"),
    "health.flags": ("health", "health_flags.csv"),
}
TRUTH_KEYS, TRUTH_RISK, TRUTH_GROUPS = "who_is_who.csv", "at_risk.csv", "groups.csv"


@dataclass
class City:
    """The files of a city and the truth that belongs to them."""

    folder: Path
    people: int
    rows: dict[str, int] = field(default_factory=dict)

    def file(self, source: str) -> Path:
        """Return the path of a source's file."""
        return self.folder / FILES[source][1]

    @property
    def truth(self) -> Path:
        """Folder of the truth; no flow but evaluation opens it."""
        return self.folder / "truth"


def write_city(folder: Path, size: str, seed: int, end: date, families: str = "plain") -> City:
    """Make a city and write its files.

    Args:
        folder: Where to write; made when missing.
        size: ``tiny``, ``town`` or ``city``.
        seed: Same seed and date, same bytes.
        end: Last day of the two years that the files cover.
        families: ``plain``, ``hard``, or ``independent``: hard, and spelled in ways that no table of
            the linker knows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    population = make_population(size, seed, end, families)
    lives = make_lives(population, seed)
    writer = _Writer(population, lives, np.random.default_rng(seed + 2), folder, seed)
    return writer.write()


def _uk(day: date | None) -> str:
    return day.strftime("%d/%m/%Y") if day else ""


def _iso(day: date | None) -> str:
    return day.isoformat() if day else ""


ETHNIC_CODES = ((58, "WBRI"), (64, "WOTH"), (66, "MWBC"), (69, "MOTH"), (75, "APKN"), (80, "AIND"),
                (82, "CHNE"), (89, "BAFR"), (91, "BCRB"), (94, "OOTH"), (96, "REFU"),
                (100, "NOBT"))  # fmt: skip
"""Codes by upper limit of a draw of a hundred; invented shares."""


class _Writer:
    def __init__(
        self,
        population: Population,
        lives: Lives,
        rng: np.random.Generator,
        folder: Path,
        seed: int,
    ) -> None:
        self.population, self.lives, self.rng = population, lives, rng
        self.people, self.end = population.people, population.end
        self.folder, self.seed = folder, seed
        self.mess = Mess(rng, population.ways.spelled, population.ways.short)
        self.city = City(folder, len(self.people))
        self.keys: list[tuple[str, str, str, int]] = []
        self._seen: set[tuple[str, str]] = set()
        self._members: dict[int, list[Resident]] = {}
        for one in self.people:
            self._members.setdefault(one.household, []).append(one)
        self._nominals: dict[int, str] = {}

    def write(self) -> City:
        self._csv("police.occurrences", layouts.OCCURRENCE, self._occurrences())
        self._csv("police.missing", layouts.MISSING, self._missing())
        self._csv("schools.roll", layouts.ROLL, self._roll())
        self._csv("schools.attendance", layouts.ATTENDANCE, self._attendance())
        known = self._known_to_council()
        self._csv("council.persons", layouts.PERSONS, self._persons(known))
        self._census()
        self._csv("housing.arrears", layouts.ARREARS, self._arrears())
        self._csv("health.flags", layouts.HEALTH, self._health())
        self._truth()
        return self.city

    def _csv(self, source: str, header: Iterable[str], rows: Iterator[list[str]]) -> None:
        count = 0
        with self.city.file(source).open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(header)
            for row in rows:
                writer.writerow(row)
                count += 1
        self.city.rows[source] = count

    def _key(self, source: str, local: str, person: int) -> str:
        if (source, local) not in self._seen:
            self._seen.add((source, local))
            self.keys.append((FILES[source][0], source, local, person))
        return local

    def _nominal(self, source: str, number: int) -> str:
        """Return a police reference; one person in twenty has two."""
        second = number % 20 == 0 and self.mess.chance(0.3)
        return self._key(source, f"N{number + 70_000_000 * second + 100_000}", number)

    def _special_needs(self, one: Resident) -> str:
        """Return the code of a pupil's provision, drawn apart from everything else."""
        draw = zlib.crc32(f"special needs {self.seed} {one.number}".encode()) % 100
        return "N" if draw < 82 else "K" if draw < 95 else "E"

    def _ethnicity(self, one: Resident) -> str:
        """Return the code of a household, drawn apart from everything else: it says nothing of a name."""
        draw = zlib.crc32(f"ethnic group {self.seed} {one.household}".encode()) % 100
        return next(code for limit, code in ETHNIC_CODES if draw < limit)

    def _born(self, one: Resident, *, missing: float, layout: str) -> str:
        draw = float(self.rng.random())
        if draw < missing:
            return ""
        born = one.born
        if draw < missing + 0.01:
            born = date(1900, 1, 1)
        elif draw < missing + 0.018:
            born = date(born.year, 1, 1)
        elif draw < missing + 0.026 and born.day <= 12:
            born = date(born.year, born.day, born.month)
        elif draw < missing + 0.034:
            born = born + timedelta(days=1)
        return _uk(born) if layout == "uk" else _iso(born)

    def _named(self, one: Resident, *, short: float) -> tuple[str, str]:
        given = self.mess.given(one.given, short=short)
        maiden = one.birth_surname != one.surname and self.mess.chance(0.06)
        surname = self.mess.surname(one.birth_surname if maiden else one.surname)
        if self.mess.chance(0.01):
            return surname, given
        if self.mess.chance(0.01):
            return given[:1], surname
        return given, surname

    def _at(self, one: Resident, *, old: float) -> tuple[str, str]:
        household = one.household
        if household in self.population.former and self.mess.chance(old * 4):
            household = self.population.former[household]
        place = self.population.addresses[household]
        if self.mess.chance(0.04):
            return "", ""
        return place.line(), "" if self.mess.chance(0.03) else place.postcode

    def _police_identity(self, one: Resident) -> list[str]:
        given, surname = self._named(one, short=0.12)
        line, postcode = self._at(one, old=0.12)
        born = self._born(one, missing=0.06, layout="uk")
        return [given, surname, born, one.sex.upper(), line, postcode]

    def _occurrences(self) -> Iterator[list[str]]:
        for incident in self.lives.incidents:
            recorded = min(self.end, incident.day + timedelta(days=int(self.rng.integers(0, 6))))
            for number, role in incident.members:
                one = self.people[number]
                note = f"Attended. {one.given} seen near {self.population.addresses[0].street}."
                yield [
                    f"OCC{incident.number:07d}",
                    self._nominal("police.occurrences", number),
                    role,
                    incident.kind,
                    incident.flag,
                    _uk(incident.day),
                    _uk(recorded),
                    *self._police_identity(one),
                    note,
                ]

    def _missing(self) -> Iterator[list[str]]:
        for number, start, last, people in self.lives.missing:
            for person in people:
                yield [
                    f"MIS{number:07d}",
                    self._nominal("police.missing", person),
                    _uk(start),
                    _uk(last),
                    _uk(start),
                    str(self.rng.choice(["LOW", "MEDIUM", "HIGH"], p=[0.3, 0.5, 0.2])),
                    *self._police_identity(self.people[person]),
                ]

    def _pupil(self, source: str, one: Resident) -> str:
        return self._key(source, f"P{one.school:03d}-{one.number:06d}", one.number)

    def _roll(self) -> Iterator[list[str]]:
        for one in self.people:
            if one.school < 0 or self.mess.chance(0.02):
                continue
            given = self.mess.given(one.given, short=0.02)
            surname = self.mess.surname(one.surname)
            preferred = self.mess.given(one.given, short=0.9) if self.mess.chance(0.15) else ""
            line, postcode = self._at(one, old=0.06)
            entered = max(one.born + timedelta(days=365 * 11), self.end - timedelta(days=1500))
            leaving = one.age(self.end) >= 16
            destination = str(self.rng.choice(["", "COLLEGE", "NEET"], p=[0.6, 0.32, 0.08]))
            yield [
                self._pupil("schools.roll", one),
                "" if self.mess.chance(0.1) else one.upn,
                given,
                surname,
                preferred,
                self._born(one, missing=0.0, layout="iso"),
                one.sex.upper(),
                line,
                postcode,
                f"1{one.school:05d}",
                _iso(min(entered, self.end)),
                "",
                _iso(self.end),
                destination if leaving or self.mess.chance(0.02) else "",
                self._ethnicity(one),
                self._special_needs(one),
            ]

    def _attendance(self) -> Iterator[list[str]]:
        for number, terms in self.lives.attendance.items():
            one = self.people[number]
            for term, share in enumerate(terms):
                ended = self.end - timedelta(days=120 * (5 - term))
                possible = 120
                yield [
                    self._pupil("schools.attendance", one),
                    _iso(ended),
                    str(possible),
                    str(possible * share // 1000),
                    "Y" if (number, term) in self.lives.suspended else "N",
                    "Y" if (number, term) in self.lives.excluded else "N",
                ]

    def _known_to_council(self) -> list[Resident]:
        """Children known to social care, with the people they live with."""
        households = {self.people[number].household for number in self.lives.known}
        return [one for household in sorted(households) for one in self._members[household]]

    def _child_ref(self, source: str, one: Resident) -> str:
        return self._key(source, f"LA{one.number + 500_000}", one.number)

    def _persons(self, known: list[Resident]) -> Iterator[list[str]]:
        for one in known:
            given = self.mess.given(one.given, short=0.05)
            surname = self.mess.surname(one.surname)
            line, postcode = self._at(one, old=0.08)
            in_home = one.home >= 0
            yield [
                self._child_ref("council.persons", one),
                one.nhs if self.mess.chance(0.3) else "",
                given,
                surname,
                "",
                self._born(one, missing=0.02, layout="iso"),
                "Male" if one.sex == "m" else "Female",
                line,
                postcode,
                "" if in_home else f"H{one.household}",
                "" if in_home else _iso(self.end - timedelta(days=900)),
                "",
                f"HOME{one.home}" if in_home else "",
                _iso(self.end - timedelta(days=200)) if in_home else "",
                "Y" if self.mess.chance(0.02) else "N",
                _iso(self.end),
            ]

    def _census(self) -> None:
        message = etree.Element("Message")
        header = etree.SubElement(etree.SubElement(message, "Header"), "CollectionDetails")
        for name, text in (("Collection", "CIN"), ("Year", str(self.end.year)),
                           ("ReferenceDate", _iso(self.end))):  # fmt: skip
            etree.SubElement(header, name).text = text
        children = etree.SubElement(message, "Children")
        for number, referred in self.lives.known.items():
            one = self.people[number]
            child = etree.SubElement(children, "Child")
            identifiers = etree.SubElement(child, "ChildIdentifiers")
            values = [
                ("LAchildID", self._child_ref("council.cin_census", one)),
                ("UPN", one.upn if self.mess.chance(0.7) else ""),
                ("PersonBirthDate", _iso(one.born)),
                ("Sex", one.sex.upper()),
            ]
            for name, text in values:
                if text:
                    etree.SubElement(identifiers, name).text = text
            etree.SubElement(
                etree.SubElement(child, "ChildCharacteristics"), "Ethnicity"
            ).text = self._ethnicity(one)
            details = etree.SubElement(child, "CINdetails")
            etree.SubElement(details, "CINreferralDate").text = _iso(referred)
            etree.SubElement(details, "PrimaryNeedCode").text = "N1"
            etree.SubElement(details, "ReferralNFA").text = "0"
            if number in self.lives.plans:
                plan = etree.SubElement(details, "ChildProtectionPlans")
                etree.SubElement(plan, "CPPstartDate").text = _iso(self.lives.plans[number])
        etree.ElementTree(message).write(
            str(self.city.file("council.cin_census")),
            encoding="utf-8",
            xml_declaration=True,
        )
        self.city.rows["council.cin_census"] = len(self.lives.known)

    def _arrears(self) -> Iterator[list[str]]:
        for household, since in self.lives.arrears.items():
            for one in self._members[household]:
                if one.age(self.end) < 18:
                    continue
                given, surname = self._named(one, short=0.08)
                place = self.population.addresses[household]
                yield [
                    self._key("housing.arrears", f"T{one.number + 30_000}", one.number),
                    f"TEN{household}",
                    given,
                    surname,
                    self._born(one, missing=0.15, layout="uk"),
                    place.line(),
                    place.postcode,
                    _uk(self.end - timedelta(days=1000)),
                    _uk(since),
                    f"{int(self.rng.integers(50, 2500))}.00",
                    _uk(self.end),
                ]

    def _health(self) -> Iterator[list[str]]:
        for number, (flag, day) in self.lives.health.items():
            one = self.people[number]
            _, postcode = self._at(one, old=0.05)
            yield [
                self._key("health.flags", f"R{number + 900_000}", number),
                one.nhs if self.mess.chance(0.95) else "",
                self.mess.given(one.given, short=0.03),
                self.mess.surname(one.surname),
                self._born(one, missing=0.0, layout="iso"),
                one.sex.upper(),
                postcode,
                flag,
                _iso(day),
                _iso(self.end),
            ]

    def _truth(self) -> None:
        folder = self.city.truth
        folder.mkdir(exist_ok=True)
        harmed, groups = self.lives.harmed, self.lives.groups
        self._truth_file(TRUTH_KEYS, ("agency", "source", "local_key", "person"), self.keys)
        risk = [
            (one.number, theme)
            for theme in sorted(harmed)
            for one in self.people
            if one.number in harmed[theme]
        ]
        self._truth_file(TRUTH_RISK, ("person", "theme"), risk)
        members = [
            (number, theme, person, side)
            for number, (theme, adults, children) in enumerate(groups)
            for side, people in (("harming", adults), ("harmed", children))
            for person in people
        ]
        self._truth_file(TRUTH_GROUPS, ("group", "theme", "person", "side"), members)

    def _truth_file(
        self, name: str, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]
    ) -> None:
        with (self.city.truth / name).open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(header)
            writer.writerows(rows)
