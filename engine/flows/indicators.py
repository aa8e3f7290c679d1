"""The thirty indicators of a person, and those of the people they live with, marked as such.

A family is told by its members' own indicators: what somebody at home has is shown `by_association`, never as
the person's own, and no score of a family is made (T-AF6).
"""

from __future__ import annotations

from typing import Any

from sqlmodel import Session

from engine.domain.errors import PolicyRefused
from engine.domain.ids import from_day_number
from engine.domain.indicators import GROUPS, INDICATORS
from engine.flows.decision import sources_of
from engine.flows.home import Home
from engine.flows.household import FAMILY, as_handles, bonds_of, housemates
from engine.flows.lists import in_full, level_of
from engine.flows.states import counts, record_rows, subject_flags
from engine.linkage.index import records_of
from engine.store.session import reading
from engine.store.tables import Account, SubjectState
from policies.model import Level, State
from policies.transforms import quarter


def flags_of(home: Home, state: SubjectState, person_id: bytes) -> State:
    """Flags of a person from the trusted tables; records that are closed were left out of the run."""
    ids = home.domain("linkage").open(records_of(home.linkage, person_id, home.link_runs()))
    record = home.domain("record")
    names = [record.text(sealed) for sealed in record.seal(ids)]
    flags = subject_flags(home, state, record_rows(home, names))
    return {**flags, **dict.fromkeys(home.pack.vocabulary.closing_flags, "n")}


def indicators_of(home: Home, person_id: bytes) -> list[dict[str, Any]]:
    """All thirty indicators with the newest evidence; an empty one says "no data", never "no"."""
    ids = home.domain("linkage").open(records_of(home.linkage, person_id, home.link_runs()))
    record = home.domain("record")
    sealed_by_name = {record.text(sealed): sealed for sealed in record.seal(ids)}
    rows, source_of = record_rows(home, sealed_by_name), sources_of(home, ids)
    names = [
        sealed
        for (name, sealed), one in zip(sealed_by_name.items(), ids, strict=True)
        if one in source_of and counts(home, source_of[one], name, rows)
    ]
    order = home.published()
    kinds = home.tables.kind_by_id()
    last: dict[str, int] = {}
    for what, day in (("events", "day"), ("states", "start")):
        for row in home.warehouse.rows_of(what, order, names, home.live()):
            code = kinds[row["kind"]].indicator(row.get("role", 0))
            if code:
                last[code] = max(last.get(code, row[day]), row[day])
    return [
        {
            "code": code,
            "group": GROUPS[code[0]],
            "label": label,
            "last_seen": quarter(from_day_number(last[code])) if code in last else None,
        }
        for code, label in INDICATORS.items()
    ]


def household_of(home: Home, account: Account, person_id: bytes, flags: State) -> dict[str, Any]:
    """Return who lives with a person and is of their family by handle, and the indicators at home.

    Those of the people at home are marked as association; a family that is declared and lives elsewhere
    adds none. All are None when nothing of links may be shown. Somebody at home whose indicators may not
    be shown adds nothing, and that is not said.

    Args:
        home: The home.
        account: Who looks.
        person_id: The person, redirects followed.
        flags: State of the person.
    """
    try:
        level = level_of(home, account, "engine.links", "associates", flags)
    except PolicyRefused:
        level = Level.REFUSE
    if level < Level.TOKEN:
        return {"household": None, "family": None, "family_indicators": None}
    found = bonds_of(home, person_id)
    return {
        "household": as_handles(home, found, level),
        "family": as_handles(home, bonds_of(home, person_id, FAMILY), level, FAMILY),
        "family_indicators": _by_association(home, account, housemates(home, person_id, found)),
    }


def _by_association(home: Home, account: Account, people: list[bytes]) -> list[dict[str, Any]]:
    casework = home.domain("casework")
    found: dict[str, dict[str, Any]] = {}
    for other in people:
        with Session(reading(home.casework), expire_on_commit=False) as session:
            state = session.get(SubjectState, casework.text(casework.seal([other])[0]))
        if state is None:
            continue
        try:
            in_full(home, account, "engine.indicators", "indicators", flags_of(home, state, other))
        except PolicyRefused:
            continue
        for one in indicators_of(home, other):
            last = found.get(one["code"], {}).get("last_seen") or ""
            if one["last_seen"] and one["last_seen"] > last:
                found[one["code"]] = {**one, "by_association": True}
    return [found[code] for code in sorted(found)]
