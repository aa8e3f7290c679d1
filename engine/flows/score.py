"""Score as of a date: hand pseudonymous files to a process without keys, publish its lists."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import func
from sqlmodel import Session, col, select

import scoring.tables
from engine.domain.errors import ConfigError, RunError
from engine.domain.ids import Actor, as_utc, day_number
from engine.flows.hidden import hidden_records, without_their_homes
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.lights import late_sources
from engine.flows.linkage_work import UNKNOWN_MONTH
from engine.flows.scoring_process import run_process
from engine.flows.states import closed_names, record_rows, uncertain_sources
from engine.flows.subjects import bulk_subjects
from engine.identity.normalise import VERSION
from engine.intake.contract import Contract, contract_of
from engine.linkage.encodings import birth_months, records_of_source
from engine.linkage.index import current_membership, resolve
from engine.linkage.sure import SURE, read_sure
from engine.store.session import reading
from engine.store.tables import Delivery, LinkRun, ReviewItem, ScoreRun
from engine.telemetry import span
from policies import admit

PURPOSE = "safeguard_child"
JOB = "job.json"
"""What a run was asked for, without its keys: what a replay starts from."""


def score(home: Home, as_of: date, actor: Actor) -> dict[str, Any]:
    """Run the index, link table, exposure, score and review lists as of a date.

    Args:
        home: The home.
        as_of: Events that happened or were recorded later are not visible to the run.
        actor: Who runs it.

    Returns:
        The run's manifest.

    Raises:
        RunError: ``FG-RUN-04`` nothing is linked yet, ``FG-RUN-08`` the date has not come yet, or
            the code of the scoring process.

    Audited as ``model_run``.
    """
    with Flow(
        home,
        "score",
        "model_run",
        actor,
        {"purpose": PURPOSE, "counts": {"as_of": day_number(as_of)}},
    ) as flow:
        if as_of > home.clock().date():
            raise RunError(
                "FG-RUN-08",
                "the date of the run has not come yet",
                "Choose today or an earlier date.",
            )
        link_run = _latest_link(home)
        flow.arrow("inputs")
        out = home.warehouse.run(flow.intent)
        out.mkdir(parents=True)
        job = job_of(flow, out, as_of)
        kept = {name: value for name, value in job.items() if name not in ("tie_key", "out")}
        (out / JOB).write_text(json.dumps(kept, sort_keys=True), encoding="utf-8")
        flow.arrow("process")
        with span("score.process"):
            manifest = run_process(job, out)
        lists = {
            name: home.warehouse.result(flow.intent, f"list.{name}") for name in manifest["lists"]
        }
        items = _items(home, flow.intent, lists)
        flow.commit(lambda session: _publish(session, flow, as_of, link_run, manifest, items))
        flow.finish(
            {
                "purpose": PURPOSE,
                "run": flow.intent,
                "result_hash": manifest["digest"],
                "counts": {"persons": manifest["persons"], "listed": len(items)},
                "subjects": _scored(home, flow.intent),
            }
        )
        return manifest


def _scored(home: Home, run: str) -> dict[str, Any]:
    """Return whom a run scored, for the trail."""
    people = home.warehouse.result(run, "person")["person"].unique().to_pylist()
    return bulk_subjects(home, home.domain("analysis").open(people))


def _latest_link(home: Home) -> str:
    with Session(reading(home.casework)) as session:
        found = session.exec(select(LinkRun).order_by(col(LinkRun.number).desc())).first()
        if found is None:
            raise RunError("FG-RUN-04", "nothing has been linked yet", "Run fieldgate link.")
        return found.id


def job_of(flow: Flow, out: Path, as_of: date, purpose: str = PURPOSE) -> dict[str, Any]:
    """Describe the run. Names of people, records or deliveries' agencies are no part of it."""
    home = flow.home
    order = home.published()
    _write_people(home, order, out)
    numbers = home.source_numbers()
    with Session(reading(home.casework)) as session:
        loaded = {source for (source,) in session.execute(select(Delivery.source).distinct())}
    return {
        "run": flow.intent,
        "as_of": day_number(as_of),
        "tables": str(scoring.tables.shipped()),
        # Oldest first: of several deliveries about one state, the newest counts.
        **_holding(home, order, out),
        "late": sorted(late_sources(home)),
        "membership": str(out / "membership.parquet"),
        "persons": str(out / "persons.parquet"),
        "restricted": _restricted(home),
        "admitted": _admitted(home, loaded, purpose),
        "sources": {str(numbers[source]): source for source in sorted(loaded)},
        "tie_key": tie_key(home),
        "out": str(out),
        "before": _before(home, day_number(as_of)),
        "groups_before": _groups_before(home, day_number(as_of)),
        "decided": _decided(home, as_of),
    }


def _decided(home: Home, as_of: date) -> dict[str, dict[str, Any]]:
    """Return the last outcome of each person, with what the run it was about held of them."""
    with Session(reading(home.casework), expire_on_commit=False) as session:
        rows = session.exec(select(ReviewItem).where(col(ReviewItem.outcome).is_not(None))).all()
        runs = {one.id: one for one in session.exec(select(ScoreRun)).all()}
    last: dict[str, ReviewItem] = {}
    for one in sorted(rows, key=lambda item: item.decided_at or home.clock()):
        # What needs more information is looked at again as soon as it comes.
        decided = one.decided_at
        if one.outcome == "need_more" or one.run not in runs or decided is None:
            continue
        if day_number(as_utc(decided).date()) <= day_number(as_of):
            last[one.person] = one
    casework, analysis, link_runs = (
        home.domain("casework"),
        home.domain("analysis"),
        home.link_runs(),
    )
    found = {}
    for text, one in sorted(last.items()):
        present = resolve(home.linkage, casework.parse(text), link_runs)
        if present is None or one.decided_at is None:
            continue
        found[analysis.seal([present])[0].hex()] = {
            "day": day_number(as_utc(one.decided_at).date()),
            "run_day": int(runs[one.run].manifest["as_of"]),
            "rows": _rows_then(home, one.run, analysis.seal([casework.parse(text)])[0]),
        }
    return found


def _rows_then(home: Home, run: str, name: bytes) -> dict[str, int]:
    """Return, by theme, how many rows of evidence a run held of a person."""
    persons = home.warehouse.result(run, "person").column("person")
    pid = pc.index(persons, pa.scalar(name, persons.type)).as_py()
    parts = home.warehouse.result(run, "contribution")
    rows = parts.filter(pc.equal(parts.column("pid"), pid)).to_pylist()
    found: Counter[str] = Counter()
    for row in rows:
        found[home.tables.themes[row["theme"]]] += row["count"]
    return dict(sorted(found.items()))


def _groups_before(home: Home, as_of: int) -> dict[str, str] | None:
    """Return the files of the newest run of an earlier day or the same, whose groups are carried on."""
    with Session(reading(home.casework)) as session:
        runs = session.exec(select(ScoreRun).order_by(col(ScoreRun.number).desc())).all()
    for one in runs:
        folder = home.warehouse.run(one.id)
        paths = {"person": folder / "person.parquet", "members": folder / "group_member.parquet"}
        if int(one.manifest["as_of"]) <= as_of and all(path.exists() for path in paths.values()):
            return {name: str(path) for name, path in paths.items()}
    return None


def _before(home: Home, as_of: int) -> dict[str, Any] | None:
    """Return the run that the trend is held against: the newest that is old enough, if it is whole.

    A run over a delivery that was withdrawn or corrected since is no ground to compare with, and an older
    one is taken.
    """
    with Session(reading(home.casework)) as session:
        runs = session.exec(select(ScoreRun).order_by(col(ScoreRun.number).desc())).all()
        stands = set(session.exec(select(Delivery.id).where(Delivery.state == "accepted")).all())
    for one in runs:
        path = home.warehouse.run(one.id) / JOB
        if int(one.manifest["as_of"]) > as_of - home.tables.increase_days or not path.exists():
            continue
        job = json.loads(path.read_text(encoding="utf-8"))
        # A file is named after its delivery, a copy of a run's own after its kind as well.
        from_those = {Path(name).stem.rpartition(".")[2] for name in job["events"]}
        if from_those <= stands and all(Path(name).exists() for name in job["events"]):
            return {
                "run": one.id,
                "as_of": int(one.manifest["as_of"]),
                "tables": one.manifest["tables"],
                "code": one.manifest["code"],
                "events": job["events"],
            }
    return None


def _holding(home: Home, order: dict[str, int], out: Path) -> dict[str, list[str]]:
    """Return the files of events and states, or copies where rows no longer hold or a home is hidden."""
    live, warehouse, hidden = home.live(), home.warehouse, hidden_records(home)
    paths: dict[str, list[str]] = {"events": [], "states": []}
    for delivery in order:
        for what, path in (
            ("events", warehouse.events(delivery)),
            ("states", warehouse.states(delivery)),
        ):
            homes = what == "states" and bool(hidden)
            if (homes or not live.trivial) and path.exists():
                table = live.rows(delivery, pq.read_table(path))
                if homes:
                    table = without_their_homes(home, table, hidden)
                path = out / f"{what}.{delivery}.parquet"  # noqa: PLW2901  # the copy stands for it
                pq.write_table(table, path)
            paths[what].append(str(path))
    return paths


def _write_people(home: Home, order: dict[str, int], out: Path) -> None:
    """Write who belongs to whom in the analysis domain, and each person's birth month."""
    member_of = current_membership(home.linkage, home.link_runs())
    records = sorted(member_of)
    ids = home.domain("linkage").open(records)
    record_names = home.domain("record").seal(ids)
    people, sure = sorted(set(member_of.values())), read_sure(home.linkage, home.link_runs()[-1])
    names = dict(zip(people, home.domain("analysis").seal(people), strict=True))
    born_in = birth_months(home.linkage, order, home.link_version, VERSION)
    months: dict[bytes, Counter[int]] = defaultdict(Counter)
    for record, month in sorted(born_in.items()):
        if month != UNKNOWN_MONTH and record in member_of:
            months[member_of[record]][month] += 1
    # The month most records agree on; of several, the latest, which keeps somebody a child longer.
    born = [
        max(
            months[person],
            key=lambda month: (months[person][month], month),
            default=UNKNOWN_MONTH,
        )
        if person in months
        else UNKNOWN_MONTH
        for person in people
    ]
    pq.write_table(
        pa.table(
            {
                "record": pa.array(record_names, pa.binary(32)),
                "person": pa.array([names[member_of[record]] for record in records], pa.binary(32)),
            }
        ),
        out / "membership.parquet",
    )
    pq.write_table(
        pa.table(
            {
                "person": pa.array([names[person] for person in people], pa.binary(32)),
                "birth_month": pa.array(born, pa.int32()),
                "link_p": pa.array([sure.get(person, SURE) for person in people], pa.int32()),
            }
        ),
        out / "persons.parquet",
    )


def _restricted(home: Home) -> list[str]:
    """Records that count nowhere: a closing flag holds, or is not known (DESIGN 4)."""
    domain, linkage = home.domain("record"), home.domain("linkage")
    names = closed_names(home)
    for source, flags in uncertain_sources(home).items():
        sealed = records_of_source(home.linkage, source, home.published())
        held = [domain.text(one) for one in domain.seal(linkage.open(sealed))]
        rows = record_rows(home, held)
        names |= {one for one in held if any(rows.get((one, flag)) != "n" for flag in flags)}
    ids = [domain.parse(name) for name in sorted(names)]
    return [sealed.hex() for sealed in domain.seal(ids)]


def _admitted(home: Home, loaded: set[str], purpose: str) -> dict[str, list[int]]:
    """Kinds of each source that may be used today for a purpose; past review or end, all under it stops.

    A source that closes its records by default is left out; where it leaves a handling flag open, each
    record must state it (see `_restricted`): missing is strictest.
    """
    numbers, kinds = home.source_numbers(), home.tables.kinds
    today = home.clock().date()
    found: dict[str, list[int]] = {}
    for source_id in sorted(loaded):
        source = home.pack.sources.get(source_id)
        if source is None or "y" in source.record_defaults.values():
            continue
        contract = contract_of(source)
        answer = admit(
            home.pack,
            from_agency=source.agency,
            host=home.pack.vocabulary.host,
            source=source_id,
            fields=source.fields,
            as_of=today,
        )
        names: set[str] = set()
        for rule in contract.yields:
            shown = answer.fields[rule.show]
            if (
                shown.admitted
                and purpose in shown.purposes
                and (purpose == PURPOSE or source.feeds_models)
            ):
                names |= kinds_of(contract, rule.id)
        found[str(numbers[source_id])] = sorted(kinds[name].id for name in names if name in kinds)
    return found


def kinds_of(contract: Contract, yield_id: str) -> set[str]:
    """Return the names of the kinds that a yield can lead to."""
    rule = next(item for item in contract.yields if item.id == yield_id)
    kind = rule.spec.get("kind")
    if kind is None:
        return set()
    return {kind} if isinstance(kind, str) else set(kind["map"].values())


def tie_key(home: Home) -> str:
    """Return the key of the order of ties, for one run of the scoring process."""
    return home.keyring("psn").derive("list-ties", 32).hex()


def _items(home: Home, run: str, lists: dict[str, pa.Table]) -> list[ReviewItem]:
    persons = home.warehouse.result(run, "person").column("person").to_pylist()
    casework, analysis = home.domain("casework"), home.domain("analysis")
    items = []
    for name, table in lists.items():
        rows = table.to_pylist()
        ids = analysis.open([persons[row["pid"]] for row in rows])
        for row, sealed in zip(rows, casework.seal(ids), strict=True):
            items.append(
                ReviewItem(
                    run=run,
                    list=name,
                    person=casework.text(sealed),
                    rank=row["rank"],
                    score=row["score"],
                    blind=bool(row["blind"]),
                )
            )
    return items


def _publish(
    session: Session,
    flow: Flow,
    as_of: date,
    link_run: str,
    manifest: dict[str, Any],
    items: list[ReviewItem],
) -> None:
    newest = session.exec(select(LinkRun).order_by(col(LinkRun.number).desc())).first()
    if newest is None or newest.id != link_run:
        raise ConfigError("FG-RUN-06", "records were linked again meanwhile", "Score again.")
    last = session.exec(select(func.max(ScoreRun.number))).one() or 0
    session.add(
        ScoreRun(
            id=flow.intent,
            number=last + 1,
            as_of=as_of.isoformat(),
            link_run=link_run,
            policy_version=flow.home.pack.version,
            published_at=flow.home.clock(),
            manifest=manifest,
        )
    )
    session.add_all(items)


def discard(home: Home, intent: str) -> None:
    """Take back what an unfinished run staged."""
    home.warehouse.discard_run(intent)
