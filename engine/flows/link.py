"""Link every published record into persons, with the frozen model and stable ids."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np
from sqlalchemy import delete
from sqlmodel import Session, col, select

from engine.domain.errors import LinkageError
from engine.domain.ids import Actor
from engine.flows.home import Home
from engine.flows.intent import Flow, alone
from engine.identity.normalise import VERSION
from engine.linkage.artefacts import load_model, shipped
from engine.linkage.cluster import Clusters, cluster, enough_to_identify, same_local_id
from engine.linkage.encode import ADULT, CHILD, COLUMNS, Encoder
from engine.linkage.guard import may_link
from engine.linkage.index import (
    Assignment,
    EncodedRecords,
    assign,
    current_membership,
    discard_run,
    read_encodings,
    stage_run,
)
from engine.linkage.linker import Edges, Linker, SplinkLinker
from engine.store.session import reading
from engine.store.tables import LinkRun, RecordFlag, SubjectState
from engine.telemetry import span


def link(home: Home, actor: Actor, *, linker: Linker | None = None) -> dict[str, Any]:
    """Link all published records.

    Args:
        home: The home; only its ``link`` and ``psn`` keyrings are opened.
        actor: Who runs it.
        linker: Another scorer of pairs; the shipped one when None.

    Returns:
        Counts: records, persons, identified, not enough to identify, edges, refused joins.

    Raises:
        LinkageError: ``FG-LNK-01`` untrusted model, ``FG-LNK-02`` mixed versions, ``FG-LNK-03``
            nothing to link, ``FG-LNK-04`` another link is running, ``FG-LNK-05`` another was published
            meanwhile.

    Audited as ``combination`` with a root over the persons.
    """
    with (
        alone(home, "link", "FG-LNK-04"),
        Flow(home, "link", "combination", actor, {}) as flow,
    ):
        runs = home.link_runs()
        order = home.published()
        if not order:
            raise LinkageError("FG-LNK-03", "no delivery has been accepted", "Submit one first.")
        ring = home.keyring("link")
        flow.arrow("encodings")
        found = read_encodings(home.linkage, order, ring.current, VERSION, home.clock().date())
        found = _holding(home, found)
        model = load_model(shipped())
        chosen = linker or SplinkLinker(Encoder(ring.derive("encode", 32), ring.current), model)
        usable = np.flatnonzero(enough_to_identify(found.words))
        flow.arrow("predict")
        with span("link.predict", records=len(usable)):
            edges = _back_to_rows(chosen.edges(found.words[usable]), usable)
        flow.arrow("cluster")
        allowed = may_link(edges, found.words)
        linking = edges.take(np.flatnonzero(allowed & (edges.weight >= model.auto_weight)))
        # What the guard holds back and what weighs too little are questions for a reviewer.
        held = edges.take(np.flatnonzero(~allowed & (edges.weight >= model.auto_weight)))
        to_review = int((allowed & (edges.weight < model.auto_weight)).sum()) + len(held.left)
        clusters = cluster(found.words, same_local_id(found.words), linking)
        before = current_membership(home.linkage, runs)
        assignment = assign(found.records, clusters.cluster, before, home.randomness)
        identified = _identified(assignment, usable)
        flow.arrow("stage")
        stage_run(
            home.linkage,
            flow.intent,
            found.records,
            assignment,
            identified,
            before,
            _refused(clusters, found, linking, held),
        )
        summary = _summary(found, identified, edges, linking, to_review, clusters, assignment)
        summary["model"] = model.hash
        states = _subject_states(home, flow.intent, found, assignment, identified)
        flow.commit(lambda session: _publish(session, flow, summary, states, runs))
        counts = {name: value for name, value in summary.items() if isinstance(value, int)}
        flow.finish({"counts": counts, "result_hash": model.hash})
        return {"run": flow.intent, **summary}


def _holding(home: Home, found: EncodedRecords) -> EncodedRecords:
    """Leave out records of which no row holds any more, and those their agency merged into others."""
    dead = home.live().dead
    if not dead:
        return found
    names = home.domain("record").seal(home.domain("linkage").open(found.records))
    kept = [row for row, name in enumerate(names) if name not in dead]
    return EncodedRecords(
        [found.records[row] for row in kept],
        [found.agencies[row] for row in kept],
        [found.sources[row] for row in kept],
        [found.birth_months[row] for row in kept],
        found.words[kept],
    )


def _summary(
    found: EncodedRecords,
    identified: dict[bytes, bool],
    edges: Edges,
    linking: Edges,
    to_review: int,
    clusters: Clusters,
    assignment: Assignment,
) -> dict[str, Any]:
    return {
        "records": len(found.records),
        "persons": len(identified),
        "identified": sum(identified.values()),
        "not_enough_to_identify": len(identified) - sum(identified.values()),
        "pairs_scored": len(edges.left),
        "pairs_linked": len(linking.left),
        "pairs_for_review": to_review,
        "joins_refused": dict(Counter(reason for _, _, reason in clusters.refused)),
        "ids_created": assignment.created,
        "ids_merged": len(assignment.merged),
        "ids_split": assignment.split,
    }


def _back_to_rows(edges: Edges, usable: np.ndarray) -> Edges:
    """Turn row numbers of the usable records into row numbers of all of them."""
    return Edges(usable[edges.left], usable[edges.right], edges.weight, edges.gammas)


def _identified(assignment: Assignment, usable: np.ndarray) -> dict[bytes, bool]:
    enough = set(usable.tolist())
    found: dict[bytes, bool] = {}
    for row, person in enumerate(assignment.people):
        found[person] = found.get(person, False) or row in enough
    return found


def _refused(
    clusters: Clusters, found: EncodedRecords, linking: Edges, held: Edges
) -> list[tuple[bytes, bytes, str, float]]:
    """Joins that did not happen although they weigh enough: for the clerical queue."""
    weights = {
        (left, right): weight
        for left, right, weight in zip(
            linking.left.tolist(),
            linking.right.tolist(),
            linking.weight.tolist(),
            strict=True,
        )
    }
    refused = {
        (found.records[left], found.records[right]): (reason, weights.get((left, right), 99.0))
        for left, right, reason in clusters.refused
    }
    for left, right, weight in zip(
        held.left.tolist(), held.right.tolist(), held.weight.tolist(), strict=True
    ):
        refused.setdefault((found.records[left], found.records[right]), ("merge_guard", weight))
    return [(left, right, *why) for (left, right), why in refused.items()]


def _subject_states(
    home: Home,
    run: str,
    found: EncodedRecords,
    assignment: Assignment,
    identified: dict[bytes, bool],
) -> list[SubjectState]:
    """What trusted tables say of each person: age band from the encodings, markers from the sources."""
    band = COLUMNS.index("band")
    bands: dict[bytes, set[int]] = defaultdict(set)
    records: dict[bytes, list[int]] = defaultdict(list)
    for row, person in enumerate(assignment.people):
        records[person].append(row)
        bands[person].add(int(found.words[row, band]))
    stated = _stated_flags(home, found)
    people = sorted(records)
    names = home.domain("casework")
    texts = [names.text(sealed) for sealed in names.seal(people)]
    states = []
    for person, text in zip(people, texts, strict=True):
        known = bands[person] - {0}
        flags = {}
        if known == {CHILD}:
            flags["child"] = "y"
        elif known == {ADULT}:
            flags["child"] = "n"
        for row in records[person]:
            for flag, value in stated.get(row, {}).items():
                # One record that says so is enough: a marker wins over every other source.
                flags[flag] = "y" if value == "y" or flags.get(flag) == "y" else "n"
        states.append(
            SubjectState(person=text, link_run=run, identified=identified[person], flags=flags)
        )
    return states


def _stated_flags(home: Home, found: EncodedRecords) -> dict[int, dict[str, str]]:
    """Subject flags that sources or staff put on records, by row."""
    names = sorted(home.pack.vocabulary.subject_flags)
    with Session(reading(home.casework)) as session:
        rows = session.exec(select(RecordFlag).where(col(RecordFlag.flag).in_(names))).all()
        stated: dict[str, dict[str, str]] = defaultdict(dict)
        for row in rows:
            stated[row.record][row.flag] = row.value
    if not stated:
        return {}
    record = home.domain("record")
    texts = record.seal(home.domain("linkage").open(found.records))
    return {
        row: stated[text]
        for row, sealed in enumerate(texts)
        if (text := record.text(sealed)) in stated
    }


def _publish(
    session: Session,
    flow: Flow,
    summary: dict[str, Any],
    states: list[SubjectState],
    runs: list[str],
) -> None:
    newest = session.exec(select(LinkRun).order_by(col(LinkRun.number).desc())).first()
    if (newest.id if newest else None) != (runs[-1] if runs else None):
        raise LinkageError(
            "FG-LNK-05", "records were linked again meanwhile", "Link again; nothing was changed."
        )
    session.execute(delete(SubjectState).where(col(SubjectState.person).is_not(None)))
    session.add_all(states)
    session.add(
        LinkRun(
            id=flow.intent,
            number=(newest.number if newest else 0) + 1,
            deliveries=len(flow.home.published()),
            published_at=flow.home.clock(),
            summary=summary,
        )
    )


def discard(home: Home, intent: str) -> None:
    """Take back what an unfinished link staged."""
    discard_run(home.linkage, intent)
