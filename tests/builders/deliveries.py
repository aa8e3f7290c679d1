"""A home whose pack holds one more source, with every way of sending that a contract can name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from sqlalchemy import select

from engine.flows.create import create_home
from engine.flows.home import UNFINISHED, Home
from engine.flows.setup import first_policy
from engine.flows.submit import submit
from engine.identity.vault_tables import record_key
from engine.settings import Settings
from tests.builders.partnership import OPERATOR, Clock, seeded, write_csv

VISITS = """
source: council.visits
agency: council
title: Visits of an invented service
regime: ukgdpr
scheme: council.visit
key: person_id
row_error_limit: "0.500"
record_defaults: {restricted: "n", embargoed: "n", disputed: "n", expired: "n", ungraded: "n", police_sensitive: "n"}
defaults:
  gateways: [ca2004.s10, ca2004.s11, ca2004.s16la]
  agreements: [dsa_0001]
  purposes: [safeguard_child, immediate_danger, promote_welfare]
  retention_years: "6"
layouts:
  - {id: "2026", format: csv}
tables:
  - {id: visits, files: ["visits*", "upload*", "file*"]}
  - {id: merges, files: ["merges*"]}
DELIVERY
CHECKS
fields:
  person_id: {label: Person id, category: identity, lane: identity, type: text, columns: [PersonID], part: local_id, required: yes}
  given_name: {label: First name, category: identity, lane: identity, type: name, columns: [Forename], part: given_name, table: visits}
  surname: {label: Last name, category: identity, lane: identity, type: name, columns: [Surname], part: surname, table: visits}
  birth_date: {label: Birth date, category: identity, lane: identity, type: date, columns: [DOB], part: birth_date, formats: ["%Y-%m-%d"], table: visits}
  visit_id: {label: Visit, category: social_work, lane: content, type: text, columns: [VisitID], required: yes, table: visits}
  outcome: {label: Outcome, category: social_work, lane: content, type: code, columns: [Outcome], codes: {"SUSPECT": violence, "NFA": nothing, "ASB": asb}, on_unknown: error, table: visits}
  seen_on: {label: Day, category: social_work, lane: content, type: date, columns: [SeenOn], formats: ["%Y-%m-%d"], required: yes, on_bad: error, table: visits}
  recorded_on: {label: Day recorded, category: social_work, lane: content, type: date, columns: [RecordedOn], formats: ["%Y-%m-%d"], on_bad: warning, table: visits}
  row_state: {label: Row state, category: social_work, lane: content, type: code, columns: [RowState], codes: {"A": active, "D": deleted}, table: visits}
  into: {label: Became, category: identity, lane: content, type: text, columns: [Into], table: merges, required: yes}
  undone: {label: Undone, category: identity, lane: content, type: code, columns: [Undone], codes: {"Y": yes, "N": no}, table: merges}
  protected: {label: Protected, category: social_work, lane: content, type: code, columns: [Protected], codes: {"Y": yes, "N": no}, table: visits}
yields:
  - {id: vis.protected, show: protected, flag: {name: protected, field: protected}}
  - {id: vis.event, show: outcome, event: {kind: {field: outcome, map: {violence: theft, asb: asb}}, day: seen_on, recorded: recorded_on, role: suspect}}
"""
COLUMNS = ("PersonID", "Forename", "Surname", "DOB", "VisitID", "Outcome", "SeenOn", "RecordedOn",
           "RowState")  # fmt: skip
NAMED = "delivery: {mode: MODE, row_key: {visits: [visit_id]}, deleted: {field: row_state, in: [deleted]}, merges: {table: merges, into: into, undone: undone}, window: seen_on EXTRA}"


def visits_home(
    path: Path, *, mode: str = "delta", extra: str = "", checks: str = "checks: []",
    clock: Clock | None = None, seed: int = 5,
) -> Home:  # fmt: skip
    """Make a demo home that takes `council.visits`."""
    home = create_home(
        path, "demo", Settings(passphrase=None), taken=False, log_key_folder=None,
        clock=clock or Clock(), randomness=seeded(seed),
    )  # fmt: skip
    home.apart = False
    gateways, policies = home.draft
    delivery = NAMED.replace("MODE", mode).replace("EXTRA", extra)
    text = VISITS.replace("DELIVERY", delivery).replace("CHECKS", checks)
    (policies / "sources" / "council_visits.yaml").write_text(text, encoding="utf-8")
    agreement = gateways / "agreements" / "dsa_0001.yaml"
    body = agreement.read_text(encoding="utf-8")
    line = "  - council.persons\n"
    assert line in body
    agreement.write_text(body.replace(line, line + "  - council.visits\n", 1), encoding="utf-8")
    first_policy(home, "operator")
    (path / UNFINISHED).unlink(missing_ok=True)
    return home


def visit(person: str, number: str, outcome: str = "SUSPECT", day: str = "2026-10-01",
          state: str = "A") -> list[str]:  # fmt: skip
    """Return a row of a visit; the person is named after their id."""
    names = {"P1": "Ada", "P2": "Bea", "P3": "Cleo", "P4": "Dora", "P5": "Elsa"}
    given = names.get(person, "Fay")
    return [person, given, f"Fake{given}", "2010-01-02", number, outcome, day, day, state]


def send(home: Home, folder: Path, name: str, rows: Iterable[Sequence[str]], **options: Any) -> Any:
    """Submit a file of visits, or of merges when it is so named."""
    rows = list(rows)
    header = ("PersonID", "Into", "Undone") if name.startswith("merges") else COLUMNS
    if rows and len(rows[0]) > len(header):
        header = (*header, "Protected")
    file = write_csv(folder / f"{name}.csv", header, rows)
    return submit(home, file, agency="council", source="council.visits", actor=OPERATOR, **options)


def content(home: Home) -> dict[str, list[tuple[Any, ...]]]:
    """Return what holds in a home, by the keyed token of each local key, without chance in it.

    Two homes with the same keys hold the same exactly when this is equal: records, their events with
    kind, role, day and day of recording, and nothing of how they came in.
    """
    with home.vault.connect() as connection:
        rows = connection.execute(select(record_key.c.record_id, record_key.c.token)).all()
    names = home.domain("record").seal([bytes(row.record_id) for row in rows])
    tokens = {name: bytes(row.token).hex() for name, row in zip(names, rows, strict=True)}
    live = home.live()
    found: dict[str, list[tuple[Any, ...]]] = {}
    for delivery in home.published():
        spoken = pq.read_table(home.warehouse.spoken(delivery)).to_pylist()
        for row in spoken:
            if not row["gone"] and row["record"] not in live.dead:
                found.setdefault(tokens[row["record"]], [])
        path = home.warehouse.events(delivery)
        if path.exists():
            for row in live.rows(delivery, pq.read_table(path)).to_pylist():
                found.setdefault(tokens[row["record"]], []).append(
                    (row["kind"], row["role"], row["day"], row["recorded"], row["age_band"])
                )
    return {token: sorted(rows) for token, rows in sorted(found.items())}
