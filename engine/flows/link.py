"""Link every published record into persons, with the frozen model and stable ids."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import delete
from sqlmodel import Session, col, select

from engine.domain.errors import LinkageError
from engine.domain.ids import Actor
from engine.flows.alerted import known_people
from engine.flows.encodings import encoder_of, frozen_model, places_of
from engine.flows.hidden import APART, HIDING
from engine.flows.home import Home
from engine.flows.intent import Flow, alone
from engine.flows.link_measure import measured
from engine.flows.linkage_lookup import all_records, on_the_list
from engine.flows.spans import spans_of
from engine.flows.states import joined_names
from engine.flows.subjects import bulk_subjects
from engine.identity.normalise import VERSION
from engine.linkage import edge_store
from engine.linkage.artefacts import Model
from engine.linkage.assign import Assignment, assign
from engine.linkage.cluster import Memory
from engine.linkage.decide import Linked, decide
from engine.linkage.edge_store import Scored
from engine.linkage.encode import ADULT, CHILD, COLUMNS, ENCODER_VERSION
from engine.linkage.encodings import EncodedRecords
from engine.linkage.forget import forget_unneeded
from engine.linkage.hold import Known
from engine.linkage.index import (
    ReviewPair,
    current_facts,
    current_membership,
    discard_run,
    past_membership,
    person_ages,
    stage_run,
)
from engine.linkage.linker import Linker, SplinkLinker, scored_with
from engine.linkage.memory import CANNOT, MUST, final_decisions
from engine.linkage.sure import SURE, forget_sure, write_sure
from engine.store.session import reading
from engine.store.tables import LinkRun, RecordFlag, SubjectState
from engine.telemetry import span

Mask = npt.NDArray[np.bool_]


def link(
    home: Home, actor: Actor, *, linker: Linker | None = None, whole: bool = False
) -> dict[str, Any]:
    """Link all published records.

    Args:
        home: The home; only its ``link`` and ``psn`` keyrings are opened.
        actor: Who runs it.
        linker: Another scorer of pairs; the shipped one when None.
        whole: Compare every record again, and take over no pair of the run before. The answer is the
            same; it is the check that it is.

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
        flow.arrow("encodings")
        found = _counting(home, order)
        model = frozen_model(home)
        memory, stated = _memory(home, found), _stated_flags(home, found.records)
        flow.arrow("predict")
        held = current_facts(home.linkage, runs)
        before = {record: one.person for record, one in held.items() if one.until is None}
        with span("link.predict", records=len(found.records)):
            linked = _decided(
                flow, found, model, memory, stated, linker, None if whole else runs,
                known_people(home, found, before),
            )  # fmt: skip
        flow.arrow("cluster")
        past = past_membership(home.linkage, runs)
        assignment = assign(
            found.records, linked.clusters.cluster, before, home.randomness,
            past, person_ages(home.linkage, runs),
        )  # fmt: skip
        identified = _identified(assignment, linked)
        flow.arrow("stage")
        stage_run(
            home.linkage, flow.intent, found.records, assignment, identified, held,
            spans_of(home, found.records, held.keys() - set(found.records)), past,
            [ReviewPair(found.records[one.left], found.records[one.right], one.reason, one.weight,
                        one.levels) for one in linked.questions],
            runs,
            linked.numbers,
        )  # fmt: skip
        write_sure(home.linkage, flow.intent, _sure(assignment, linked), runs[-1:])
        summary = _summary(found, identified, linked, assignment, memory)
        summary |= {"model": model.hash, "made_with": _made_with(home)}
        summary |= measured(home, found, model, linked)
        states = _subject_states(home, flow.intent, found, assignment, identified, stated)
        flow.commit(lambda session: _publish(session, flow, summary, states, runs))
        edge_store.keep_only(_pairs_folder(home), flow.intent)
        summary |= _forgotten(home, order)
        flow.finish(_told(summary) | {"subjects": bulk_subjects(home, identified)})
        return {"run": flow.intent, **summary}


def _counting(home: Home, order: dict[str, int]) -> EncodedRecords:
    """Return every record that counts; see `engine.flows.linkage_lookup.all_records`."""
    ring, today = home.keyring("link"), home.clock().date()
    return all_records(home.linkage, ring, order, dead_records(home), today)


def kept_apart(home: Home, records: Sequence[bytes]) -> tuple[set[bytes], set[bytes]]:
    """Return the records whose address must not speak, and those that nothing links to others."""
    stated = _stated_flags(home, records)
    hidden, apart = (
        {records[row] for row in _rows_with(stated, *flags)} for flags in (HIDING, APART)
    )
    member = current_membership(home.linkage, home.link_runs())
    whose = {member[one] for one in hidden if one in member}
    return hidden | {one for one in records if member.get(one) in whose}, apart


def dead_records(home: Home) -> set[bytes]:
    """Return the records that count no more, under their linkage pseudonyms."""
    dead = sorted(home.live().dead)
    return set(home.domain("linkage").seal(home.domain("record").open(dead))) if dead else set()


def _forgotten(home: Home, order: dict[str, int]) -> dict[str, int]:
    """Delete encodings that nothing needs, when their days are over; return what became of them."""
    found = forget_unneeded(
        home.linkage, order, dead_records(home), home.clock().date(),
        home.pack.governance.forget_after_days,
    )  # fmt: skip
    return {"encodings_deleted": found.deleted, "encodings_to_delete": found.waiting}


def _told(summary: dict[str, Any]) -> dict[str, Any]:
    """Return what the trail says of a run, its people aside."""
    return {
        "counts": {name: value for name, value in summary.items() if isinstance(value, int)},
        "result_hash": summary["model"],
        "rules": [f"{name} {value}" for name, value in summary["made_with"].items()],
    }


def _made_with(home: Home) -> dict[str, Any]:
    key = home.keyring("link").current
    return {"key_version": key, "encoder": ENCODER_VERSION, "normaliser": VERSION}


def _pairs_folder(home: Home) -> Path:
    return home.path / "linkage" / "pairs"


def _decided(
    flow: Flow,
    found: EncodedRecords,
    model: Model,
    memory: Memory,
    stated: dict[int, dict[str, str]],
    linker: Linker | None,
    runs: list[str] | None,
    known: Known,
) -> Linked:
    """Decide over all records; the pairs of what did not change are those of the run before."""
    home = flow.home
    encoder = encoder_of(home)
    made_by = f"{model.hash}|{encoder.key_version}|{ENCODER_VERSION}|{scored_with(model)}"
    folder = _pairs_folder(home)
    linked = decide(
        found.words,
        found.agencies,
        linker or SplinkLinker(encoder, model),
        model,
        memory,
        hidden=_flagged(stated, found, *HIDING),
        listed=on_the_list(encoder, places_of(home), home.clock().date(), found.words),
        apart=_flagged(stated, found, *APART),
        records=found.records,
        known=known,
        earlier=edge_store.load(folder, runs[-1], made_by) if runs else None,
    )
    edge_store.save(
        folder, flow.intent, Scored(made_by, found.records, linked.digests, linked.edges)
    )
    return linked


def _memory(home: Home, found: EncodedRecords) -> Memory:
    """Return what people decided about records that are there, and which sources hold nobody twice."""
    place = {record: row for row, record in enumerate(found.records)}
    pairs: dict[str, list[tuple[int, int]]] = {MUST: [], CANNOT: []}
    for one in final_decisions(home.linkage, home.final_decisions()):
        if one.left in place and one.right in place and one.kind in pairs:
            pairs[one.kind].append((place[one.left], place[one.right]))
    once = {
        source: number
        for number, source in enumerate(sorted(home.pack.sources), 1)
        if home.pack.sources[source].people_once
    }
    numbers = np.array([once.get(source, 0) for source in found.sources], np.int64)
    return Memory(pairs[MUST], pairs[CANNOT], numbers)


def _flagged(stated: dict[int, dict[str, str]], found: EncodedRecords, *flags: str) -> Mask:
    """Return the records on which one of some flags is set."""
    mask = np.zeros(len(found.records), dtype=bool)
    mask[_rows_with(stated, *flags)] = True
    return mask


def _rows_with(stated: dict[int, dict[str, str]], *flags: str) -> list[int]:
    return [row for row, held in stated.items() if any(held.get(one) == "y" for one in flags)]


def _summary(
    found: EncodedRecords,
    identified: dict[bytes, bool],
    linked: Linked,
    assignment: Assignment,
    memory: Memory,
) -> dict[str, Any]:
    return {
        "records": len(found.records),
        "persons": len(identified),
        "identified": sum(identified.values()),
        "not_enough_to_identify": len(identified) - sum(identified.values()),
        "persons_not_quite_sure": len(_sure(assignment, linked)),
        "records_compared": linked.compared,
        "pairs_scored": linked.scored,
        "pairs_linked": linked.linking,
        "pairs_for_review": len(linked.questions),
        "review_reasons": dict(sorted(Counter(one.reason for one in linked.questions).items())),
        "joins_refused": dict(Counter(reason for _, _, reason in linked.clusters.refused)),
        "decisions_kept": len(memory.must) + len(memory.cannot),
        "blocks_capped": [one.as_dict() for one in linked.capped],
        "addresses_set_aside": linked.homes_set_aside,
        **{f"numbers_{name}": count for name, count in linked.numbers.counts().items()},
        "ids_created": assignment.created,
        "ids_merged": len(assignment.merged),
        "ids_split": assignment.split,
        "ids_revived": len(assignment.revived),
    }


def _identified(assignment: Assignment, linked: Linked) -> dict[bytes, bool]:
    found: dict[bytes, bool] = {}
    for row, person in enumerate(assignment.people):
        found[person] = found.get(person, False) or bool(linked.usable[row])
    return found


def _sure(assignment: Assignment, linked: Linked) -> dict[bytes, int]:
    """Return the persons of whom the run is not quite sure, in thousandths."""
    pairs = zip(assignment.people, linked.sure.tolist(), strict=True)
    return {person: part for person, part in pairs if part < SURE}


def _subject_states(
    home: Home,
    run: str,
    found: EncodedRecords,
    assignment: Assignment,
    identified: dict[bytes, bool],
    stated: dict[int, dict[str, str]],
) -> list[SubjectState]:
    """What trusted tables say of each person: age band from the encodings, markers from the sources."""
    band = COLUMNS.index("band")
    bands: dict[bytes, set[int]] = defaultdict(set)
    records: dict[bytes, list[int]] = defaultdict(list)
    for row, person in enumerate(assignment.people):
        records[person].append(row)
        bands[person].add(int(found.words[row, band]))
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


def _stated_flags(home: Home, records: Sequence[bytes]) -> dict[int, dict[str, str]]:
    """Subject flags that sources or staff put on records, by row."""
    names = sorted(home.pack.vocabulary.subject_flags)
    with Session(reading(home.casework)) as session:
        rows = session.exec(select(RecordFlag).where(col(RecordFlag.flag).in_(names))).all()
        stated: dict[str, dict[str, str]] = defaultdict(dict)
        joined = joined_names(home)
        for row in rows:
            for name in {row.record, joined.get(row.record, row.record)}:
                if stated[name].get(row.flag) != "y":
                    stated[name][row.flag] = row.value
    if not stated:
        return {}
    record = home.domain("record")
    texts = record.seal(home.domain("linkage").open(records))
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
    forget_sure(home.linkage, intent)
    edge_store.forget(_pairs_folder(home), intent)
