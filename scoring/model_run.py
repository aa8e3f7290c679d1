"""Train and judge a challenger in a process of its own: ``python -m scoring.model_run``.

It gets warehouse paths and no key, as a scoring run does, and writes two documents: the model as plain
numbers, and what it was worth on a later period beside the index. Nothing shows its numbers to anybody.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from scoring.communities import communities
from scoring.errors import ScoringFault
from scoring.evaluate import calibration, drift
from scoring.fence import check_paths, raise_fence
from scoring.groups import load_library
from scoring.hashes import code_hash, input_paths, inputs_hash
from scoring.inputs import (
    EVENTS,
    STATES,
    bands_of,
    membership_of,
    persons_of,
    read_columns,
)
from scoring.list_report import list_report
from scoring.lists import AGES
from scoring.model import (
    Plan,
    Sample,
    aligned,
    challenger,
    chance,
    ranks,
    sample,
    train,
)
from scoring.rfg import index, own_evidence
from scoring.tables import TRACKS, Ints, Tables, load_tables
from scoring.visible import Columns, visible_events


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Train on one day, calibrate on a second, judge on a third.

    Args:
        job: As of a scoring run, with ``plan`` (theme, track, age, evidence, label, roles, gap, window,
            seed, denied), ``days`` (three day numbers), ``data_end`` and ``places``.

    Returns:
        The report, which is also written to ``out/report.json`` beside ``out/model.json``.

    Raises:
        ScoringFault: ``FG-EVA-02`` to ``FG-EVA-05``.
    """
    tables, out = load_tables(Path(job["tables"])), Path(job["out"])
    raw = job["plan"]
    plan = Plan(tuple(raw["evidence"]), tuple(raw["label"]), tuple(raw["roles"]),
                int(raw["gap"]), int(raw["window"]), int(raw["seed"]))  # fmt: skip
    persons = persons_of(Path(job["persons"]))
    events, pid_of = _events(job, persons, tables)
    # Data that ends earlier than the day that was named has no complete window up to that day.
    newest = int(events["recorded"].max()) if len(events["recorded"]) else 0
    job = {**job, "data_end": min(int(job["data_end"]), newest)}
    households = _households(job, pid_of, persons.num_rows)
    days = np.array(job["days"], np.int64)
    samples = [_sample(job, events, persons, int(day), plan, tables) for day in days]
    document = train(
        samples[0],
        samples[1],
        plan,
        households[samples[0].people],
        frozenset(raw["denied"]),
        days,
        communities=communities(events, households, int(days[0]), plan.seed)[samples[0].people],
    )
    report = _report(job, document, samples, events, households, plan, tables)
    document |= {
        "plan": raw, "tables": tables.hash, "code": code_hash(),
        "inputs": inputs_hash(input_paths(job)), "days": [int(day) for day in days],
    }  # fmt: skip
    for name, value in (("model", document), ("report", report)):
        text = json.dumps(value, sort_keys=True, indent=1)
        (out / f"{name}.json").write_text(text, encoding="utf-8")
    return report


def _events(job: dict[str, Any], persons: pa.Table, tables: Tables) -> tuple[Columns, pa.Table]:
    """Return every event that may be used today, up to the end of the data, and who is whom.

    What retention has ended since is no feature of an earlier day either.
    """
    pid_of = membership_of(Path(job["membership"]), persons, job["restricted"])
    admitted = {int(source): frozenset(kinds) for source, kinds in job["admitted"].items()}
    retention = np.zeros(int(tables.gamma.shape[2]), np.int64)
    for kind in tables.kinds.values():
        retention[kind.id] = kind.retention_days
    columns = read_columns(job["events"], pid_of, EVENTS)
    return visible_events(columns, int(job["data_end"]), admitted, retention).columns, pid_of


def _households(job: dict[str, Any], pid_of: pa.Table, persons: int) -> Ints:
    """Return the household of each person: the place of their newest stay, or one of their own."""
    states = read_columns(job["states"], pid_of, STATES)
    labels = -np.arange(1, persons + 1, dtype=np.int64)
    mine = np.flatnonzero((states["kind"] == int(job["places"])) & (states["pid"] >= 0)
                          & (states["place"] != 0))  # fmt: skip
    mine = mine[np.argsort(states["start"][mine], kind="stable")]
    labels[states["pid"][mine]] = states["place"][mine]
    return labels


def _sample(
    job: dict[str, Any], events: Columns, persons: pa.Table, day: int, plan: Plan, tables: Tables
) -> Sample:
    age = job["plan"]["age"]
    eligible = np.flatnonzero(bands_of(persons, day) == AGES[age])
    return sample(events, eligible, day, int(job["data_end"]), plan, tables)


def _report(
    job: dict[str, Any],
    document: dict[str, Any],
    samples: list[Sample],
    events: Columns,
    households: Ints,
    plan: Plan,
    tables: Tables,
) -> dict[str, Any]:
    test, names = samples[2], document["features"]
    values = aligned(names, test)
    told, by_boosting = ranks(document, values), challenger(samples[0], values, names, plan)
    own = _index(job, events, test, tables)
    ties = np.random.default_rng(plan.seed).permutation(len(test.people)).astype(np.int64)
    order = np.lexsort([ties, -told])
    selected = np.zeros(len(told), dtype=bool)
    selected[order[: int(job["plan"]["capacity"])]] = True
    before = aligned(names, samples[0])
    return {
        "synthetic": bool(job["synthetic"]),
        "people": [len(one.people) for one in samples],
        "outcomes": [int(one.outcome.sum()) for one in samples],
        "folds": document["folds"],
        "calibration": calibration(chance(document, values), test.outcome),
        "drift": {
            name: round(drift(before[:, at], values[:, at]), 4) for at, name in enumerate(names)
        },
        **list_report(
            {"index alone": own, "model": told, "boosting (challenger)": by_boosting},
            test.outcome, selected, ties, households[test.people], plan.seed,
        ),
    }  # fmt: skip


def _index(job: dict[str, Any], events: Columns, test: Sample, tables: Tables) -> Ints:
    """Return the index of each person of the last sample as of its day, from what may be used today."""
    day, plan = int(job["days"][2]), job["plan"]
    seen = (events["day"] <= day) & (events["recorded"] <= day)
    columns = {name: column[seen] for name, column in events.items()}
    persons = int(max(events["pid"].max(initial=0), test.people.max(initial=0))) + 1
    evidence = own_evidence(columns, persons, day, tables)
    theme, track = tables.themes.index(plan["theme"]), TRACKS.index(plan["track"])
    points = evidence.points[test.people, theme, track]
    return index(points, tables.half_index_points[plan["theme"]])


def main(*, fenced: bool = False) -> int:
    """Run the job on standard input; a refusal is printed as JSON on standard error.

    Args:
        fenced: Raise the fence first; it stands until the process ends.
    """
    job = json.load(sys.stdin)
    try:
        if fenced:
            load_library()
            warehouse, tables = Path(job["out"]).parent.parent, Path(job["tables"])
            check_paths([*input_paths(job), job["out"]], warehouse, tables)
            raise_fence(warehouse, tables)
        print(json.dumps(run(job)))
    except ScoringFault as error:
        fault = {"code": error.code, "message": error.message, "next_step": error.next_step}
        print(json.dumps(fault), file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(fenced=True))
