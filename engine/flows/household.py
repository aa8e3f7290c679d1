"""Who lives with a person or is of their family, by number and never by name, from records that count."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.domain.ids import day_number, from_day_number
from engine.flows.hidden import BINDING, hidden_people
from engine.flows.home import Home
from engine.flows.states import counts, record_rows
from engine.linkage.index import members_of, records_of
from engine.warehouse.households import Bond, Stay, bonds
from policies.model import Level
from policies.transforms import quarter

HOUSEHOLD, FAMILY = BINDING


def bonds_of(home: Home, person: bytes, kind: str = HOUSEHOLD) -> list[Bond]:
    """Return who lives or lived with a person, or is of one family with them, those of today first.

    A bond has its dates, its sources and how sure it is; it is no evidence of who somebody is, and
    linkage never reads it.

    Args:
        home: The home.
        person: The person, redirects followed.
        kind: `HOUSEHOLD` or `FAMILY`.
    """
    today = day_number(home.clock().date())
    found = [one for one in bonds(_stays(home, person, kind)) if person in (one.a, one.b)]
    return sorted(found, key=lambda one: (not one.on(today), -one.spans[-1][1], one.a, one.b))


def as_handles(
    home: Home, found: list[Bond], level: Level, kind: str = HOUSEHOLD
) -> list[dict[str, Any]]:
    """Return the people of a person's households or family as handles.

    Args:
        home: The home.
        found: From `bonds_of`.
        level: What the role may see of links: dates need the full level.
        kind: `HOUSEHOLD` or `FAMILY`.
    """
    today = day_number(home.clock().date())
    word = f"{kind.capitalize()} member"
    return [_shown(one, f"{word} {number}", today, level) for number, one in enumerate(found, 1)]


def housemates(home: Home, person: bytes, found: list[Bond]) -> list[bytes]:
    """Return the people who live with a person today, in the order of their ids."""
    today = day_number(home.clock().date())
    return sorted({one.b if one.a == person else one.a for one in found if one.on(today)})


def _shown(bond: Bond, handle: str, today: int, level: Level) -> dict[str, Any]:
    one: dict[str, Any] = {
        "handle": handle,
        "now": bond.on(today),
        "confidence": bond.confidence,
    }
    if level >= Level.CLEAR:
        one["since"] = quarter(from_day_number(bond.spans[0][0]))
    return one


def _stays(home: Home, person: bytes, kind: str) -> list[Stay]:
    """Return the stays at every place where the person was, of all people; closed records count not."""
    ids = home.domain("linkage").open(records_of(home.linkage, person, home.link_runs()))
    own = home.domain("record").seal(ids)
    member = _people(home, _rows(home, kind, "record", pa.array(own, pa.binary(32))))
    places = {
        row["place"]
        for row in _rows(home, kind, "record", pa.array(sorted(member), pa.binary(32)))
        if row["place"]
    }
    if not places:
        return []
    # Only the rows of these few places are read on, so that a large city costs no more than a small one.
    rows = _rows(home, kind, "place", pa.array(sorted(places), pa.int64()))
    member = _people(home, rows)
    return [
        Stay(member[row["record"]], row["place"], row["start"], row["end"], row["source"])
        for row in rows
        if row["record"] in member
    ]


def _rows(home: Home, kind: str, column: str, values: pa.Array) -> list[dict[str, Any]]:
    live, found = home.live(), []
    number = home.tables.kinds[kind].id
    for delivery in home.published():
        path = home.warehouse.states(delivery)
        if path.exists():
            table = live.rows(delivery, pq.read_table(path, filters=[("kind", "=", number)]))
            table = table.filter(pc.is_in(table.column(column), value_set=values))
            found += table.select(["record", "place", "start", "end", "source"]).to_pylist()
    return found


def _people(home: Home, rows: list[dict[str, Any]]) -> dict[bytes, bytes]:
    """Return the person of each record that counts; whose address is hidden is bound to nobody (LNK-17)."""
    records = sorted({row["record"] for row in rows})
    domain = home.domain("record")
    names = {name: domain.text(name) for name in records}
    flags = record_rows(home, names.values())
    numbers = {number: source for source, number in home.source_numbers().items()}
    source = {row["record"]: numbers[row["source"]] for row in rows}
    kept = [one for one in records if counts(home, source[one], names[one], flags)]
    sealed = home.domain("linkage").seal(domain.open(kept))
    member = members_of(home.linkage, home.link_runs(), sealed)
    found = {one: member[name] for one, name in zip(kept, sealed, strict=True) if name in member}
    hidden = hidden_people(home, found.values())
    return {one: person for one, person in found.items() if person not in hidden}
