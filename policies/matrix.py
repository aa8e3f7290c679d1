"""Source x field x gateway x role: the table that the impact assessment embeds and IG signs.

A cell that is not in the table is "not shared". The table is worked out for a request that has met
every obligation and states every fact, about a child with no marker: what is the most this role may
ever see of the field, and what is owed for it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from policies.authorise import BEFORE, authorise
from policies.model import Level, Pack, Request, State

ASSUMED: Mapping[str, object] = {
    "reason_given": True,
    "decision_recorded": True,
    "not_more_detrimental": True,
    "on_roll": True,
    "dea_factors": 2,
    "s47_trigger": "significant_harm_suspected",
    "facilitates_care": True,
    "best_interests": True,
    "training_current": True,
}
"""Every fact a request can state or a trusted table can hold, in the reading that opens most."""

COLUMNS = (
    "role",
    "agency",
    "purpose",
    "source",
    "field",
    "category",
    "class",
    "level",
    "agreement",
    "gateway",
    "statute",
    "obligations",
)


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One cell that is not empty."""

    role: str
    agency: str
    purpose: str
    source: str
    field: str
    category: str
    data_class: str
    level: str
    agreement: str
    gateway: str
    statute: str
    obligations: str

    def as_dict(self) -> dict[str, str]:
        """Return the cell for JSON and CSV, in the order of `COLUMNS`."""
        return dict(zip(COLUMNS, self.values(), strict=True))

    def values(self) -> tuple[str, ...]:
        """Return the cell's values in the order of `COLUMNS`."""
        return (
            self.role,
            self.agency,
            self.purpose,
            self.source,
            self.field,
            self.category,
            self.data_class,
            self.level,
            self.agreement,
            self.gateway,
            self.statute,
            self.obligations,
        )


def plain_state(pack: Pack) -> State:
    """Return the state of a child with no marker, in a record with none."""
    return {flag: "y" if flag == "child" else "n" for flag in pack.vocabulary.flags}


def everything_met(pack: Pack) -> frozenset[str]:
    """Return every obligation that can be owed beforehand, as met."""
    owed = {one for grant in pack.grants for one in grant.obligations}
    return frozenset(one for one in owed if one.split(":")[0] in BEFORE)


def requests_of(pack: Pack, roles: Iterable[str] | None = None) -> list[tuple[str, str, str]]:
    """Return every (role, agency, purpose) that some grant speaks of, in order."""
    wanted = None if roles is None else set(roles)
    return sorted(
        {
            (grant.role, grant.agency, grant.purpose)
            for grant in pack.grants
            if wanted is None or grant.role in wanted
        }
    )


def cells(pack: Pack, as_of: date, roles: Iterable[str] | None = None) -> Iterator[Cell]:
    """Yield every cell that is not empty.

    Args:
        pack: The pack.
        as_of: The date of the question.
        roles: Only these roles; all when None.
    """
    met, state = everything_met(pack), plain_state(pack)
    for role, agency, purpose in requests_of(pack, roles):
        request = Request(role, agency, purpose, ASSUMED)
        for source in sorted(pack.sources):
            contract = pack.sources[source]
            view = authorise(pack, request, source, contract.fields, as_of, met)
            for name, spec in contract.fields.items():
                level = view.level(name, state)
                answer = view.fields[name]
                if level is Level.REFUSE or answer.basis is None:
                    continue
                agreement, gateway = answer.basis
                yield Cell(
                    role,
                    agency,
                    purpose,
                    source,
                    name,
                    spec.category,
                    spec.data_class,
                    level.name.lower(),
                    agreement,
                    gateway,
                    pack.register.gateways[gateway].cite,
                    " ".join(answer.obligations),
                )


def as_csv(rows: Iterable[Cell], version: str, as_of: date) -> str:
    """Return the table as CSV; the first line names the policy and the date it holds for."""
    stream = io.StringIO()
    stream.write(f"# policy {version} as of {as_of.isoformat()}\n")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(one.values() for one in rows)
    return stream.getvalue()


def as_markdown(pack: Pack, rows: Iterable[Cell], as_of: date) -> str:
    """Return the table as Markdown: one table a source, a row a field, a column a role."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for one in rows:
        role = f"{one.role}@{one.agency}"
        purposes = found.setdefault(one.source, {}).setdefault(one.field, {})
        text = f"{one.level} ({one.purpose}; {one.gateway})"
        purposes[role] = f"{purposes[role]}; {text}" if role in purposes else text
    lines = [
        f"# Who may see what, as of {as_of.isoformat()}",
        "",
        f"Policy {pack.version}. A cell that is empty, and a role that is not named, is not shared.",
    ]
    for source in sorted(pack.sources):
        fields = found.get(source, {})
        roles = sorted({role for by_role in fields.values() for role in by_role})
        lines += ["", f"## {source}: {pack.sources[source].title}", ""]
        if not roles:
            lines.append("Not shared with anybody.")
            continue
        lines += [f"| field | {' | '.join(roles)} |", "|---" * (len(roles) + 1) + "|"]
        lines += [
            f"| {name} | {' | '.join(fields.get(name, {}).get(role, '') for role in roles)} |"
            for name in pack.sources[source].fields
        ]
    return "\n".join(lines) + "\n"


def who_can(pack: Pack, field: str, as_of: date) -> list[Cell]:
    """Return everybody who may see a field, named ``source.field`` (policy machine review)."""
    source, _, name = field.rpartition(".")
    return [one for one in cells(pack, as_of) if (one.source, one.field) == (source, name)]


def what_can(pack: Pack, role: str, as_of: date) -> list[Cell]:
    """Return everything that a role may see."""
    return list(cells(pack, as_of, [role]))
