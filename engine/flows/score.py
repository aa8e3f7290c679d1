"""Score as of a date: hand pseudonymous files to a process without keys, publish its lists."""

from __future__ import annotations

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
from engine.flows.admitted import admitted_kinds, restricted_records
from engine.flows.hidden import hidden_records, without_their_homes
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.lights import late_sources
from engine.flows.linkage_work import UNKNOWN_MONTH
from engine.flows.product_tables import (
    PURPOSE,
    links_of,
    run_purposes,
    themes_of,
)
from engine.flows.score_base import delivery_of, job_kept, score_base
from engine.flows.scoring_process import run_process
from engine.flows.subjects import bulk_subjects
from engine.identity.normalise import VERSION
from engine.linkage.encodings import birth_months, published_records
from engine.linkage.index import current_membership, resolve
from engine.linkage.sure import SURE, read_sure
from engine.store.session import reading
from engine.store.tables import Delivery, LinkRun, ReviewItem, ScoreRun
from engine.telemetry import span
from scoring.base import JOB
from scoring.hashes import told as described

__all__ = ["JOB", "discard", "job_of", "score", "tie_key"]


def score(
    home: Home, as_of: date, actor: Actor, purpose: str = PURPOSE, *, full: bool = False
) -> dict[str, Any]:
    """Run the index, link table, exposure, score and review lists of a purpose as of a date.

    Args:
        home: The home.
        as_of: Events that happened or were recorded later are not visible to the run.
        actor: Who runs it.
        purpose: What the run is for. It scores the products of that purpose, from sources admitted for it,
            and is compared with runs of it alone (ADR 0016).
        full: Compute everybody, whatever an earlier run holds.

    Returns:
        The run's manifest; ``made`` says whether it was computed whole or from which run, and why.

    Raises:
        RunError: ``FG-RUN-04`` nothing is linked yet, ``FG-RUN-08`` the date has not come yet,
            ``FG-SCO-20`` no product makes a list for the purpose, or the code of the scoring process.

    Audited as ``model_run``.
    """
    with Flow(
        home,
        "score",
        "model_run",
        actor,
        {"purpose": _known(home, purpose), "counts": {"as_of": day_number(as_of)}},
    ) as flow:
        if as_of > home.clock().date():
            raise RunError(
                "FG-RUN-08",
                "the date of the run has not come yet",
                "Choose today or an earlier date.",
            )
        if purpose not in run_purposes(home.pack, home.tables):
            raise RunError(
                "FG-SCO-20",
                "no product makes a list for that purpose",
                "See fieldgate products list.",
            )
        link_run = _latest_link(home)
        flow.arrow("inputs")
        out = home.warehouse.run(flow.intent)
        out.mkdir(parents=True)
        job = job_of(flow, out, as_of, purpose)
        (out / JOB).write_text(described(job), encoding="utf-8")
        job["base"] = score_base(home, _runs_of(home, purpose), job, full=full)
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
                "purpose": purpose,
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


def _known(home: Home, purpose: str) -> str:
    """Return a purpose as the trail may keep it: what somebody typed is no word of ours."""
    return purpose if purpose in home.pack.register.vocabulary.purposes else "unknown"


def _latest_link(home: Home) -> str:
    with Session(reading(home.casework)) as session:
        found = session.exec(select(LinkRun).order_by(col(LinkRun.number).desc())).first()
        if found is None:
            raise RunError("FG-RUN-04", "nothing has been linked yet", "Run fieldgate link.")
        return found.id


def job_of(flow: Flow, out: Path, as_of: date, purpose: str = PURPOSE) -> dict[str, Any]:
    """Describe the run. Names of people, records or deliveries' agencies are no part of it."""
    home = flow.home
    numbers = home.source_numbers()
    with Session(reading(home.casework)) as session:
        sent: dict[str, str] = dict(session.execute(select(Delivery.id, Delivery.source)).all())
    loaded = set(sent.values())
    admitted, order = admitted_kinds(home, loaded, purpose), home.published()
    themes = themes_of(home.pack, home.tables, purpose)
    whole = not themes or purpose == PURPOSE
    if not whole:
        # Of other data not even the file is handed over, and who is known from it alone is not there.
        order = {one: number for one, number in order.items()
                 if admitted.get(str(numbers[sent[one]]))}  # fmt: skip
    _write_people(home, order, out, whole=whole)
    return {
        "run": flow.intent,
        "as_of": day_number(as_of),
        **({"purpose": purpose, "themes": themes, "links": links_of(home.pack, home.tables, purpose)}
           if themes else {}),
        "tables": str(scoring.tables.shipped()),
        # Oldest first: of several deliveries about one state, the newest counts.
        **_holding(home, order, out),
        "late": sorted(late_sources(home)),
        "membership": str(out / "membership.parquet"),
        "persons": str(out / "persons.parquet"),
        "restricted": restricted_records(home),
        "admitted": admitted,
        "sources": {str(numbers[source]): source for source in sorted(loaded)},
        "tie_key": tie_key(home),
        "out": str(out),
        "before": _before(home, day_number(as_of), purpose, None if whole else _sources(sent, order)),
        "groups_before": _groups_before(home, day_number(as_of), purpose),
        "decided": _decided(home, as_of, purpose),
    }  # fmt: skip


def _decided(home: Home, as_of: date, purpose: str) -> dict[str, dict[str, Any]]:
    """Return the last outcome of each person, with what the run it was about held of them.

    What was decided for one purpose says nothing under another.
    """
    with Session(reading(home.casework), expire_on_commit=False) as session:
        rows = session.exec(select(ReviewItem).where(col(ReviewItem.outcome).is_not(None))).all()
    runs = {one.id: one for one in _runs_of(home, purpose)}
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


def _runs_of(home: Home, purpose: str) -> list[ScoreRun]:
    """Return the runs of a purpose, the newest first; a model looks back on those of safeguarding."""
    mine = purpose if purpose in run_purposes(home.pack, home.tables) else PURPOSE
    asked = select(ScoreRun).where(ScoreRun.purpose == mine).order_by(col(ScoreRun.number).desc())
    with Session(reading(home.casework), expire_on_commit=False) as session:
        return list(session.exec(asked).all())


def _groups_before(home: Home, as_of: int, purpose: str) -> dict[str, str] | None:
    """Return the files of the newest run of an earlier day or the same, whose groups are carried on."""
    for one in _runs_of(home, purpose):
        folder = home.warehouse.run(one.id)
        paths = {"person": folder / "person.parquet", "members": folder / "group_member.parquet"}
        if int(one.manifest["as_of"]) <= as_of and all(map(_readable, paths.values())):
            return {name: str(path) for name, path in paths.items()}
    return None


def _readable(path: Path) -> bool:
    """Say whether a table is there and was not cut short: its foot is read, which stands last."""
    try:
        pq.read_metadata(path)
    except (OSError, ValueError, pa.ArrowException):
        return False
    return True


def _sources(sent: dict[str, str], order: dict[str, int]) -> set[str]:
    return {sent[one] for one in order}


def _before(
    home: Home, as_of: int, purpose: str, open_to_it: set[str] | None
) -> dict[str, Any] | None:
    """Return the run that the trend is held against: the newest that is old enough, if it is whole.

    A run over a delivery that was withdrawn or corrected since is no ground to compare with, and an older
    one is taken. Of a source that may not be read for the purpose any more not even the file is handed over;
    none of its rows would count.

    Args:
        home: The home.
        as_of: Day of the new run.
        purpose: What it is for.
        open_to_it: Sources that may be read for it; None means any.
    """
    with Session(reading(home.casework)) as session:
        asked = select(Delivery.id, Delivery.source).where(Delivery.state == "accepted")
        stands: dict[str, str] = dict(session.execute(asked).all())
    for one in _runs_of(home, purpose):
        if int(one.manifest["as_of"]) > as_of - home.tables.increase_days:
            continue
        job = job_kept(home.warehouse.run(one.id))
        if job is None or not {delivery_of(name) for name in job["events"]} <= set(stands):
            continue
        events = [name for name in job["events"]
                  if open_to_it is None or stands[delivery_of(name)] in open_to_it]  # fmt: skip
        if all(Path(name).exists() for name in events):
            return {
                "run": one.id,
                "as_of": int(one.manifest["as_of"]),
                "tables": one.manifest["tables"],
                "code": one.manifest["code"],
                "events": events,
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


def _write_people(home: Home, order: dict[str, int], out: Path, *, whole: bool = True) -> None:
    """Write who belongs to whom in the analysis domain, and each person's birth month.

    Args:
        home: The home.
        order: The deliveries that count.
        out: Folder of the run.
        whole: Everybody; else only those whom a record of `order` knows, and of them only such records.
    """
    member_of = current_membership(home.linkage, home.link_runs())
    if not whole:
        known = set(published_records(home.linkage, order))
        member_of = {record: person for record, person in member_of.items() if record in known}
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
            purpose=manifest["purpose"],
        )
    )
    session.add_all(items)


def discard(home: Home, intent: str) -> None:
    """Take back what an unfinished run staged."""
    home.warehouse.discard_run(intent)
