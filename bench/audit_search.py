"""Search over the trail: a faceted question over a million events, with the check that nobody edited it."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from audit.act import acts
from audit.canonical import canonical
from audit.database import DATABASE
from audit.event import make_event
from audit.facets import FACETS, Named, Question, number_of
from audit.log import AuditLog
from audit.merkle import leaf_hash
from audit.note import Signer
from audit.search import open_index, read_acts
from bench.measure import FLOOR, PEER, Claim

EVENTS = 1_000_000
KEY = b"bench" * 7
LOG = "bench.example/log"
START = datetime(2016, 1, 1, 8, 0, tzinfo=UTC)
PAGE = 50
ROLES = ("social_worker", "front_door", "early_help", "school_lead", "police_staff", "ig_lead")
FLOWS = ("reveal", "look", "review_list", "show", "sign_in", "search_trail")
SOURCES = ("council.persons", "police.flags", "schools.roll", "health.flags", "housing.arrears")
QUESTIONS = {
    "all": Question(),
    "refused, five years": Question({"outcome": ["refuse"]}, None, "", date(2017, 1, 1), date(2021, 12, 31)),
    "one user, one source": Question({"actor": ["user-17"], "source": ["police.flags"]}),
}  # fmt: skip


def claims() -> Iterator[Claim]:
    """Yield the claims of this group."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder)
        open_index(folder, KEY)
        rows = sqlite3.connect(":memory:")
        duck = duckdb.connect()
        _peers(folder, rows, duck)
        for words, question in QUESTIONS.items():
            what = f"faceted search, {EVENTS:,} events: {words}"
            yield Claim(
                what, "DuckDB in memory, 1 scan a facet", PEER, _scan(duck.execute, question),
                _ask(folder, question), lambda one, other: one == other,
            )  # fmt: skip
            yield Claim(
                what, "SQLite in memory, 1 scan a facet", PEER, _scan(rows.execute, question),
                _ask(folder, question), lambda one, other: one == other,
            )  # fmt: skip
        person = Question(people=[Named("audit.1.person-77")])
        yield Claim(
            f"all of one person, {EVENTS:,} events", "read and check the index", FLOOR,
            lambda: len(open_index(folder, KEY)) > 0,
            lambda: _ask(folder, person)()[0] > 0, lambda one, other: one and other,
        )  # fmt: skip
        rows.close()
        duck.close()


def _ask(folder: Path, question: Question) -> Callable[[], tuple[int, dict[str, Any]]]:
    def run() -> tuple[int, dict[str, Any]]:
        index = open_index(folder, KEY)
        mask, counts = index.ask(question)
        read_acts(folder, index.page(mask, 1, PAGE))
        return int(mask.sum()), {facet: dict(sorted(counts[facet].items())) for facet in FACETS}

    return run


def _scan(
    execute: Callable[..., Any], question: Question
) -> Callable[[], tuple[int, dict[str, Any]]]:
    def where(leaving: str) -> str:
        limits = ["1 = 1"]
        for facet, values in question.chosen.items():
            if facet == leaving:
                continue
            if facet == "source":
                limits += [f"touched LIKE '%\"{value}\"%'" for value in values]
            else:
                limits.append(f"{facet} IN ({', '.join(repr(value) for value in values)})")
        if question.first and question.last:
            limits.append(f"day BETWEEN '{question.first}' AND '{question.last}'")
        return " AND ".join(limits)

    def run() -> tuple[int, dict[str, Any]]:
        total = execute(f"SELECT count(*) FROM act WHERE {where('')}").fetchone()[0]
        found = {}
        for facet in FACETS:
            asked = (
                f"SELECT {facet}, count(*) FROM act WHERE {where(facet)} AND {facet} <> '' "
                f"GROUP BY {facet} ORDER BY {facet}"
            )
            found[facet] = dict(execute(asked).fetchall())
        execute(f"SELECT seq FROM act WHERE {where('')} ORDER BY seq DESC LIMIT {PAGE}").fetchall()
        return int(total), found

    return run


def _peers(folder: Path, rows: sqlite3.Connection, duck: duckdb.DuckDBPyConnection) -> None:
    """Give both peers the acts as a table that is in memory already."""
    import pyarrow as pa

    names = ["seq", "day", *FACETS, "touched", "subject"]
    with sqlite3.connect(folder / DATABASE) as log:
        leaves = log.execute("SELECT seq, body FROM leaf ORDER BY seq")
        table = [
            (one.seq, one.when.date().isoformat(), one.actor, one.agency, one.role,
             one.text("purpose"), one.flow, one.kind, one.outcome, json.dumps(one.touched),
             number_of(one.text("subject")) >> 1)
            for one in acts(leaves)
        ]  # fmt: skip
    log.close()
    rows.execute(f"CREATE TABLE act ({', '.join(names)})")
    marks = ", ".join("?" * len(names))
    rows.executemany(f"INSERT INTO act VALUES ({marks})", table)  # marks only
    columns = list(zip(*table, strict=True))
    arrow = pa.table(dict(zip(names, map(list, columns), strict=True)))  # noqa: F841  # named in SQL
    duck.execute("CREATE TABLE act AS SELECT * FROM arrow")


def _write(folder: Path) -> None:
    """Put the events in as rows: the tree over them is measured in another group."""
    signer = Signer.from_bytes(LOG, bytes(range(32)))
    AuditLog.create(folder, signer.vkey())
    with sqlite3.connect(folder / DATABASE) as log:
        log.executemany("INSERT INTO leaf VALUES (?, ?, ?)", _leaves())
    log.close()


def _leaves() -> Iterator[tuple[int, bytes, bytes]]:
    chance = random.Random(5)
    for seq in range(0, EVENTS, 2):
        user = chance.randrange(120)
        flow = chance.choice(FLOWS)
        actor = {
            "id": f"user-{user}",
            "org": ("council", "police", "schools")[user % 3],
            "role": ROLES[user % len(ROLES)],
            "auth": "demo",
        }
        source = chance.choice(SOURCES)
        details = {
            "purpose": ("safeguard_child", "crime_prevention")[user % 2],
            "case": f"{chance.randrange(9000):032x}",
            "subject": f"audit.1.person-{chance.randrange(20_000)}",
            "source": source,
        }
        came = {
            "decision": chance.choice(["permit"] * 9 + ["refuse"]),
            "fields": [f"{source}.field_{number}" for number in range(chance.randrange(12))],
        }
        for phase, more in (("intent", {}), ("outcome", came)):
            event = make_event(
                log=LOG, kind="login" if flow == "sign_in" else "consultation", phase=phase,
                flow=flow, intent=f"intent-{seq}", actor=actor,
                now=START + timedelta(seconds=158 * seq), random=chance.randbytes(10),
                details={**details, **more},
            )  # fmt: skip
            body = canonical(event)
            yield seq + (phase == "outcome"), body, leaf_hash(body)
