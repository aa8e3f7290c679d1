"""Put together what may be shown of a person: each field at its level, nothing above it.

Values come in already opened; this module only chooses, bands and words them. A source of which no
content may be known contributes nothing at all, not even a name: that somebody is known to the police
is itself information.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from engine.domain.ids import from_day_number
from engine.intake.contract import Contract
from engine.intake.gather import OPEN_END
from policies.model import Field, Level, Source, State
from policies.transforms import form_of, quarter
from policies.view import View
from scoring.tables import Kind, Tables

LEVEL_WORDS = {
    Level.REFUSE: "not shared",
    Level.EXISTS: "known to service",
    Level.TOKEN: "reference only",
    Level.BANDED: "range",
    Level.CLEAR: "full",
}
PARTS = {
    "given_name": "First name",
    "surname": "Last name",
    "preferred_name": "Preferred name",
    "birth_date": "Birth date",
    "sex": "Sex",
    "address": "Address",
    "postcode": "Postcode",
    "nhs_number": "NHS number",
    "upn": "Unique pupil number",
    "former_surname": "Former last name",
    "former_nhs_number": "Former NHS number",
    "former_upn": "Former pupil number",
    "nino": "National Insurance number",
    "uprn": "Unique property reference",
    "local_id": "Own reference",
    "phone": "Telephone",
    "email": "E-mail",
}
ROLE_WORDS = {
    "victim": "as the person harmed",
    "suspect": "as a suspect, not proven",
    "offender": "as the person responsible",
    "subject": "as the person named",
    "witness": "as a witness",
    "missing": "",
}
_SEXES = {"m": "male", "f": "female", "u": "not known"}
_FAMILY_ORDER = ("council", "schools", "health", "police", "housing")


@dataclass
class Disclosure:
    """What leaves: identity parts, facts, and the services that know the person."""

    identity: list[dict[str, Any]] = field(default_factory=list)
    facts: list[dict[str, Any]] = field(default_factory=list)
    records: int = 0
    known_to: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Held:
    """What is held of a person by one record, with the answer of the policy about it."""

    source: Source
    contract: Contract
    view: View
    state: State
    identity: Mapping[str, str]
    events: list[dict[str, Any]]
    states: list[dict[str, Any]]


def visible_content(source: Source, view: View, state: State) -> bool:
    """Say whether anything of what a source says about people may be known in this state."""
    content = [name for name, spec in source.fields.items() if spec.lane == "content"]
    return any(view.level(name, state) >= Level.EXISTS for name in content)


def disclose(held: list[Held], tables: Tables, as_of: date) -> Disclosure:
    """Return what may be shown of the records in `held` on a day; what is past retention is not."""
    result = Disclosure()
    values: dict[tuple[str, str, str, int], list[str]] = {}
    ordered = sorted(held, key=lambda one: (_rank(one.source.agency), one.source.id))
    for one in ordered:
        if not visible_content(one.source, one.view, one.state):
            continue
        result.records += 1
        if one.source.title not in result.known_to:
            result.known_to.append(one.source.title)
        for name, spec in one.source.fields.items():
            if spec.part is None or spec.part not in one.identity:
                continue
            level = one.view.level(name, one.state)
            shown = identity_value(spec, one.identity[spec.part], level)
            if shown is None:
                continue
            result.fields.append(f"{one.source.id}.{name}")
            # Every agency has its own kind of id; the other parts mean the same wherever they come from.
            label = spec.label if spec.part == "local_id" else PARTS[spec.part]
            sources = values.setdefault((spec.part, label, shown, int(level)), [])
            if one.source.title not in sources:
                sources.append(one.source.title)
        result.facts += _facts(one, tables, result.fields, as_of)
    order = list(PARTS)
    for (part, label, shown, number), sources in sorted(
        values.items(), key=lambda item: order.index(item[0][0])
    ):
        result.identity.append(
            {
                "part": part,
                "label": label,
                "value": shown,
                "level": LEVEL_WORDS[Level(number)],
                "sources": sources,
            }
        )
    result.facts.sort(key=lambda fact: (fact["order"], fact["label"]))
    for fact in result.facts:
        del fact["order"]
    result.fields = sorted(set(result.fields))
    return result


def _rank(agency: str) -> int:
    return _FAMILY_ORDER.index(agency) if agency in _FAMILY_ORDER else len(_FAMILY_ORDER)


def identity_value(spec: Field, value: str, level: Level) -> str | None:
    """Return an identity value at a level, or None when nothing of it is shown.

    Below a range nothing of an identity is shown at all: that there is a name says nothing.
    """
    if level < Level.BANDED:
        return None
    if level is Level.CLEAR and spec.part == "birth_date" and len(value) < 10:
        return f"{value} (no day was given)"
    if level is Level.CLEAR and spec.part == "birth_date":
        return plain_date(date.fromisoformat(value))
    if level is Level.CLEAR and spec.part == "sex":
        return _SEXES.get(value, value)
    return form_of(spec, value, level)


def plain_date(day: date) -> str:
    """Return a date as people write it: 9 March 2026."""
    return f"{day.day} {day.strftime('%B %Y')}"


def _facts(one: Held, tables: Tables, used: list[str], as_of: date) -> list[dict[str, Any]]:
    kinds = tables.kind_by_id()
    roles = {number: name for name, number in tables.roles.items()}
    governing = {
        name: rule.show
        for rule in one.contract.yields
        for name in _kind_names(rule.spec.get("kind"))
    }
    facts = []
    for row in [*one.events, *one.states]:
        kind = kinds.get(row["kind"])
        if kind is None or kind.name not in governing:
            continue
        name = governing[kind.name]
        level = one.view.level_on(one.source.fields[name], one.state, _last_day(row), as_of)
        if level < Level.TOKEN:
            continue
        used.append(f"{one.source.id}.{name}")
        role = row.get("role", 0)
        fact = _fact(kind, row, level, one.source.title, roles.get(role, ""))
        # By which rule of which contract it came about: the first question when it is challenged.
        fact["rule"] = row.get("rule_id", "") if level >= Level.BANDED else ""
        facts.append(fact)
    return facts


def _last_day(row: Mapping[str, Any]) -> date | None:
    """Return the day from which retention runs: of an event its day, of a state its last."""
    if "day" in row:
        return from_day_number(row["day"])
    return None if row["end"] == OPEN_END else from_day_number(row["end"])


def _kind_names(kind: object) -> list[str]:
    if isinstance(kind, str):
        return [kind]
    return list(kind["map"].values()) if isinstance(kind, Mapping) else []


def _fact(
    kind: Kind, row: Mapping[str, Any], level: Level, title: str, role: str
) -> dict[str, Any]:
    start = from_day_number(row["day"] if "day" in row else row["start"])
    ended = row.get("end", OPEN_END)
    if level == Level.CLEAR:
        when = plain_date(start)
        if "start" in row:
            until = "now" if ended == OPEN_END else plain_date(from_day_number(ended))
            when = f"{when} to {until}"
    elif level == Level.BANDED:
        when = quarter(start)
    else:
        when = "date not shown"
    return {
        "label": kind.label if level >= Level.BANDED else "an entry",
        # Victim and suspect of one kind are opposite facts, so the role is always told with it.
        "role": ROLE_WORDS.get(role, "") if level >= Level.BANDED else "",
        "indicator": kind.indicator(row.get("role", 0)) if level >= Level.BANDED else "",
        "when": when,
        "level": LEVEL_WORDS[level],
        "source": title,
        # Sorted by what is shown, so that a banded date does not betray its order in a quarter.
        "order": (-start.year, -((start.month - 1) // 3), -start.toordinal())
        if level == Level.CLEAR
        else (-start.year, -((start.month - 1) // 3), 0),
    }
