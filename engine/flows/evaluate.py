"""Hold the persons and lists of a synthetic home against the known truth. Nothing else reads truth."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
from sqlalchemy import func
from sqlmodel import Session, col, select

from engine.city.agencies import TRUTH_KEYS, TRUTH_RISK
from engine.domain.errors import ConfigError
from engine.domain.ids import Actor, as_utc
from engine.flows.encodings import sexes_of
from engine.flows.equality import NOT_KNOWN, groups_of, helped
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.lists import latest_run
from engine.identity import vault_write
from engine.linkage.index import current_membership
from engine.store.session import reading
from engine.store.tables import Evaluation, ScoreRun
from scoring.evaluate import Confusion, by_group, hold
from scoring.inputs import bands_of
from scoring.list_report import list_report
from scoring.lists import AGES
from scoring.rfg import FULL
from scoring.tables import TRACKS, Ints, ListRule

Mask = npt.NDArray[np.bool_]
SEED = 20260101
"""Seed of the intervals; it stands in the report."""
JUMP = 0.15
"""How far a share may move from one evaluation to the next before somebody is to look."""


def evaluate(home: Home, truth: Path, actor: Actor) -> dict[str, Any]:
    """Measure linkage and lists of a demo home against planted truth.

    Args:
        truth: The truth folder of the synthetic city.

    Returns:
        Pairwise precision and recall, overall and per agency (pairs with at least one record of it),
        and per list how many of those listed are truly at risk.

    Raises:
        ConfigError: ``FG-EVA-01`` outside a demo home.

    The figures of the lists are kept, so that a later reader can hold them against their counts.

    Audited as ``model_run``.
    """
    if not home.is_demo:
        raise ConfigError("FG-EVA-01", "truth is known in a demo home only", "Use a demo home.")
    with Flow(home, "evaluate", "model_run", actor, {}) as flow:
        people = _truth_people(home, truth)
        pairs = _pairs(home, people)
        lists = _lists(home, truth, people)
        run = latest_run(home)
        if run is not None:
            flow.commit(lambda session: _keep(session, flow, run.id, lists))
        flow.finish({"counts": {"records": len(people)}})
        return {"synthetic": True, **pairs, "lists": lists}


def _keep(session: Session, flow: Flow, run: str, lists: dict[str, dict[str, Any]]) -> None:
    last = session.exec(select(func.max(Evaluation.number))).one() or 0
    session.add(
        Evaluation(
            id=flow.intent,
            number=last + 1,
            run=run,
            made_at=flow.home.clock(),
            synthetic=True,
            report=lists,
        )
    )


def evaluations(home: Home, actor: Actor) -> list[dict[str, Any]]:
    """Return every evaluation that was kept, the newest first; each figure is held against its counts.

    An alarm stands where precision or recall of a list moved by more than `JUMP` since the evaluation before:
    a figure that jumps is a question about the data or the code before it is good or bad news (T-TF5).

    Raises:
        ScoringFault: ``FG-EVA-02`` a figure does not follow from the counts beside it.

    Audited as ``consultation``.
    """
    with Flow(home, "evaluations", "consultation", actor, {}) as flow:
        with Session(reading(home.casework)) as session:
            rows = session.exec(select(Evaluation).order_by(col(Evaluation.number).desc())).all()
            found: list[dict[str, Any]] = [
                {"number": one.number, "run": one.run, "synthetic": one.synthetic, "alarms": [],
                 "made_at": as_utc(one.made_at).isoformat(timespec="seconds"), "lists": one.report}
                for one in rows
            ]  # fmt: skip
        for one in found:
            for report in one["lists"].values():
                stated = {name: value for name, value in report["figures"].items()
                          if value is not None}  # fmt: skip
                hold(stated, Confusion(**report["counts"]))
        for newer, older in pairwise(found):
            newer["alarms"] = jumps(older["lists"], newer["lists"])
        flow.finish({"rows": len(found)})
        return found


def jumps(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return which figures of lists moved by more than `JUMP`, and of which lists nothing is told now."""
    found = [f"{name}: no longer told" for name in sorted(set(before) - set(now))]
    for name in sorted(set(before) & set(now)):
        for figure in ("precision", "recall"):
            old, new = before[name]["figures"][figure], now[name]["figures"][figure]
            if (old is None) != (new is None):
                found.append(f"{name}: {figure} is told in one evaluation only")
            elif old is not None and abs(new - old) > JUMP:
                found.append(f"{name}: {figure} went from {old:.2f} to {new:.2f}")
    return found


def _truth_people(home: Home, truth: Path) -> dict[bytes, tuple[str, int]]:
    """Return record id to (agency, true person)."""
    ring = home.keyring("vault")
    with (truth / TRUTH_KEYS).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    tokens = [
        vault_write.key_token(ring, row["agency"], row["source"], row["local_key"]) for row in rows
    ]
    known = vault_write.known_records(home.vault, tokens)
    return {
        known[token]: (row["agency"], int(row["person"]))
        for token, row in zip(tokens, rows, strict=True)
        if token in known
    }


def _pairs(home: Home, people: dict[bytes, tuple[str, int]]) -> dict[str, Any]:
    membership = current_membership(home.linkage, home.link_runs())
    sealed = sorted(membership)
    ids = home.domain("linkage").open(sealed)
    rows = [
        (people[record][0], membership[name], people[record][1])
        for name, record in zip(sealed, ids, strict=True)
        if record in people
    ]
    agencies = sorted({agency for agency, _, _ in rows})
    overall = _measure(rows, None)
    return {
        **overall,
        "per_agency": {agency: _measure(rows, agency) for agency in agencies},
    }


def _measure(rows: list[tuple[str, bytes, int]], agency: str | None) -> dict[str, float]:
    """Pairs are counted over all records, or over those with a record of `agency` in them."""

    def pairs(keys: list[Any]) -> int:
        total = sum(n * (n - 1) // 2 for n in Counter(keys).values())
        if agency is None:
            return total
        others = [key for key, row in zip(keys, rows, strict=True) if row[0] != agency]
        return total - sum(n * (n - 1) // 2 for n in Counter(others).values())

    both = pairs([(person, true) for _, person, true in rows])
    said = pairs([person for _, person, _ in rows])
    true = pairs([true for _, _, true in rows])
    return {
        "precision": round(both / said, 6) if said else 1.0,
        "recall": round(both / true, 6) if true else 1.0,
        "pairs_said": said,
        "pairs_true": true,
        "pairs_right": both,
    }


def _lists(
    home: Home, truth: Path, people: dict[bytes, tuple[str, int]]
) -> dict[str, dict[str, Any]]:
    """Hold each list against the truth, over everybody of its age, at the places it really had.

    A child whose records linkage left apart stands among them more than once, so recall is the lower for it.
    """
    run = latest_run(home)
    if run is None:
        return {}
    with (truth / TRUTH_RISK).open(encoding="utf-8", newline="") as stream:
        at_risk = {(row["theme"], int(row["person"])) for row in csv.DictReader(stream)}
    true_of = _true_people(home, run, people)
    persons = home.warehouse.result(run.id, "person")
    bands = bands_of(persons, int(run.manifest["as_of"]))
    households = _households(home, run, len(bands))
    names = [bytes(one) for one in persons.column("person").to_pylist()]
    ties = np.array(
        [int.from_bytes(hashlib.sha256(one).digest()[:7], "big") for one in names], np.int64
    )
    groups, not_told = labels_of(home, names)
    found: dict[str, dict[str, Any]] = {}
    for rule in (
        one for one in home.tables.lists if one.pick == "high" and one.id in run.manifest["lists"]
    ):
        pool = np.flatnonzero(bands == AGES[rule.age])
        outcome = np.array(
            [(rule.theme, true_of.get(pid, -1)) in at_risk for pid in pool.tolist()], bool
        )
        listed = home.warehouse.result(run.id, f"list.{rule.id}").to_pylist()
        mine = [row["pid"] for row in listed if not row["blind"]]
        selected = np.isin(pool, mine)
        variants = _variants(home, run, rule, len(bands))
        report = list_report(
            {name: score[pool] for name, score in variants.items()},
            outcome, selected, ties[pool], households[pool], SEED,
        )  # fmt: skip
        counts = report["counts"]
        total = sum(theme == rule.theme for theme, _ in at_risk)
        found[rule.id] = {
            "listed": len(mine),
            "truly_at_risk": counts["hit"],
            "at_risk_in_all": total,
            **report,
            "by_group": {
                kind: by_group(labelled, sorted(set(labelled)), selected, outcome)
                for kind, labels in groups.items()
                for labelled in [[labels[pid] for pid in pool.tolist()]]
            },
            **({"groups_not_told": not_told} if not_told else {}),
        }
    return found


def _true_people(home: Home, run: ScoreRun, people: dict[bytes, tuple[str, int]]) -> dict[int, int]:
    """Return the true person of each pid of a run: the one that most of its records belong to."""
    membership = current_membership(home.linkage, home.link_runs())
    counted: dict[bytes, Counter[int]] = {}
    sealed = sorted(membership)
    for name, record in zip(sealed, home.domain("linkage").open(sealed), strict=True):
        if record in people:
            counted.setdefault(membership[name], Counter())[people[record][1]] += 1
    ids = sorted(counted)
    names = dict(zip(home.domain("analysis").seal(ids), ids, strict=True))
    rows = home.warehouse.result(run.id, "person").column("person").to_pylist()
    return {
        pid: counted[names[bytes(one)]].most_common(1)[0][0]
        for pid, one in enumerate(rows)
        if bytes(one) in names
    }


def _households(home: Home, run: ScoreRun, persons: int) -> Ints:
    """Return the household of each person: who is linked by a household, followed to the end."""
    links = home.warehouse.result(run.id, "link")
    kind = next(one.id for one in home.tables.links if one.name == "household")
    mine = links.filter(pc.equal(links.column("kind"), kind))
    labels = np.arange(persons, dtype=np.int64)
    graph = nx.Graph(zip(mine.column("a").to_pylist(), mine.column("b").to_pylist(), strict=True))
    for members in nx.connected_components(graph):
        labels[list(members)] = min(members)
    return labels


def _variants(home: Home, run: ScoreRun, rule: ListRule, persons: int) -> dict[str, Ints]:
    """Return everybody's score without and with its parts: index, network, groups (an ablation)."""
    scores = home.warehouse.result(run.id, "score")
    theme, track = home.tables.themes.index(rule.theme), TRACKS.index(rule.track)
    mine = scores.filter(
        pc.and_(pc.equal(scores.column("theme"), theme), pc.equal(scores.column("track"), track))
    )
    pids = mine.column("pid").to_numpy()
    index, score = np.zeros(persons, np.int64), np.zeros(persons, np.int64)
    index[pids] = mine.column("index").to_numpy()
    score[pids] = mine.column("score").to_numpy()
    members = home.warehouse.result(run.id, "group_member")
    who = members.column("pid").to_numpy()
    _, of = np.unique(members.column("group").to_numpy(), return_inverse=True)
    grouped = score.copy()
    if len(of):
        size, total = np.bincount(of), np.bincount(of, index[who]).astype(np.int64)
        others = (total[of] - index[who]) // np.maximum(size[of] - 1, 1)
        grouped[who] += (FULL - score[who]) * home.tables.alpha * others // (1000 * FULL)
    return {"index alone": index, "with the network": score, "with groups": grouped}


def labels_of(home: Home, people: Sequence[bytes]) -> tuple[dict[str, list[str]], str]:
    """Return, by kind of group, one label per person of a run; the one that most records say.

    Ethnic group and special needs are what an agency states for counts of fairness. Which sex is which is
    not known here, so they are numbered. Means-tested help stands for deprivation; nothing scores it (T9).

    Returns:
        The labels, and as a sentence what of a group the policy does not open; empty when nothing is closed.
    """
    ids = home.domain("analysis").open(people)
    membership = current_membership(home.linkage, home.link_runs())
    sealed = sorted(membership)
    records = home.domain("linkage").open(sealed)
    help_ = helped(home, records)
    labels = {
        "ethnic group": groups_of(home, records),
        "special needs": groups_of(home, records, "special_needs"),
        "sex": _sexes(home, sealed),
        **({} if help_.labels is None else {"means-tested help": help_.labels}),
    }
    found: dict[str, list[str]] = {}
    for kind, stated in labels.items():
        said: dict[bytes, Counter[str]] = {}
        for name, label in zip(sealed, stated, strict=True):
            if label != NOT_KNOWN:
                said.setdefault(membership[name], Counter())[label] += 1
        found[kind] = [said[one].most_common(1)[0][0] if one in said else NOT_KNOWN for one in ids]
    return found, help_.sentence()


def _sexes(home: Home, names: Sequence[bytes]) -> list[str]:
    groups = sexes_of(home)
    return [groups.get(one, NOT_KNOWN) for one in names]
