"""Memory in words: what changed about a person since an earlier run, and why (scoring.md 1.8)."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlmodel import Session, col, select

from engine.domain.ids import from_day_number
from engine.flows.home import Home
from engine.flows.registry import why_not_served
from engine.store.session import reading
from engine.store.tables import ScoreRun
from scoring.memory import EASING, INCREASING
from scoring.tables import ONE, TRACKS, ListRule

RUNS_SHOWN = 6
NAMES = {INCREASING: "increasing", EASING: "easing"}


def trend_table(home: Home, run: ScoreRun) -> pa.Table | None:
    """Return what a run says of changes, or None when it had no run to compare with."""
    if not run.manifest.get("compared_with"):
        return None
    return home.warehouse.result(run.id, "trend")


def of_person(home: Home, run: ScoreRun, pid: int | None) -> dict[tuple[int, int], dict[str, Any]]:
    """Return the trend of a person by (theme, track), in numbers and in one sentence each."""
    table = trend_table(home, run)
    if table is None or pid is None:
        return {}
    against = run.manifest["compared_with"]
    rows = table.filter(pc.equal(table.column("pid"), pid)).to_pylist()
    return {(row["theme"], row["track"]): _told(row, against) for row in rows}


def _told(row: dict[str, Any], against: dict[str, Any]) -> dict[str, Any]:
    since = from_day_number(against["as_of"]).isoformat()
    state = NAMES.get(row["state"], "steady")
    if state == "increasing":
        says = (
            f"Increasing: new evidence since {since} moved the index by {row['rise'] / 1000:.1f}."
        )
    elif state == "easing":
        says = f"Evidence was taken back or corrected since {since}."
    elif row["new"] > 0:
        says = f"A little new evidence since {since}."
    else:
        says = f"No new evidence since {since}. What changes is its age."
    if row["history"] > 0:
        says += " Older records were sent late; they are not news."
    if against["rebased"]:
        says += " The points were changed since; both dates are compared with the points of today."
    return {
        "state": state,
        "since": since,
        "before": row["before"] / ONE,
        "history": row["history"] / ONE,
        "new": row["new"] / ONE,
        "rise": row["rise"] / 1000,
        "rebased": against["rebased"],
        "says": says,
    }


def of_list(home: Home, run: ScoreRun, rule: ListRule) -> dict[int, str]:
    """Return the state of the trend of everybody on a list, by rank; empty without a comparison."""
    table = trend_table(home, run)
    if table is None:
        return {}
    listed = home.warehouse.result(run.id, f"list.{rule.id}")
    mine = table.filter(
        pc.and_(
            pc.equal(table.column("theme"), home.tables.themes.index(rule.theme)),
            pc.equal(table.column("track"), TRACKS.index(rule.track)),
        )
    )
    state = dict(zip(mine.column("pid").to_pylist(), mine.column("state").to_pylist(), strict=True))
    return {
        row["rank"]: NAMES.get(state.get(row["pid"], 0), "steady") for row in listed.to_pylist()
    }


def history(home: Home, person_id: bytes, purpose: str) -> list[dict[str, Any]]:
    """Return a person's scores in the last runs of a purpose, newest first; one without a row is told.

    What another version of the tables made is marked, because its numbers are another yardstick.
    """
    name = home.domain("analysis").seal([person_id])[0]
    with Session(reading(home.casework)) as session:
        runs = session.exec(
            select(ScoreRun)
            .where(ScoreRun.purpose == purpose)
            .order_by(col(ScoreRun.number).desc())
            .limit(RUNS_SHOWN)
        ).all()
        known = [(one.id, one.number, one.as_of, one.manifest, why_not_served(home, one))
                 for one in runs]  # fmt: skip
    newest = known[0][3]["tables"] if known else ""
    found = []
    for run, number, as_of, manifest, closed in known:
        persons = home.warehouse.result(run, "person").column("person")
        pid = pc.index(persons, name).as_py()
        scores = home.warehouse.result(run, "score")
        rows = scores.filter(pc.equal(scores.column("pid"), pid)).to_pylist() if pid >= 0 else []
        found.append(
            {
                "run": number,
                "as_of": as_of,
                "same_points": manifest["tables"] == newest,
                "scores": {
                    f"{home.tables.themes[row['theme']]}.{TRACKS[row['track']]}": row["score"]
                    / 1000
                    for row in rows
                    if home.tables.themes[row["theme"]] not in closed
                }
                if manifest["tables"] == newest
                else {},
            }
        )
    return found
