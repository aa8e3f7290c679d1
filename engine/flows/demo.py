"""The main job on a synthetic city, from nothing to a verified trail, with everything measured."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from engine.city.agencies import FILES, write_city
from engine.domain.errors import FieldgateError
from engine.domain.ids import Actor
from engine.flows.decision import Ask
from engine.flows.evaluate import evaluate
from engine.flows.home import Home
from engine.flows.link import link
from engine.flows.lists import review_lists
from engine.flows.person import look
from engine.flows.reveal import reveal
from engine.flows.score import score
from engine.flows.submit import submit
from engine.flows.trail import verify_trail

SEED = 7
Progress = Callable[[str], None]


@dataclass
class Stages:
    """Seconds and peak memory of each stage, in this process and its scoring process."""

    progress: Progress
    found: list[dict[str, Any]] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure one stage."""
        self.progress(name)
        _reset_peak()
        started = time.perf_counter()
        yield
        self.found.append(
            {
                "stage": name,
                "seconds": round(time.perf_counter() - started, 3),
                "peak_mib": round(_peak_mib(), 1),
            }
        )


def _reset_peak() -> None:
    """Ask Linux to forget the peak so far; elsewhere the peak is that of the whole process."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def _peak_mib() -> float:
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
        line = next(line for line in text.splitlines() if line.startswith("VmHWM"))
        own = int(line.split()[1]) / 1024
    except (OSError, StopIteration):
        scale = 1024 * 1024 if sys.platform == "darwin" else 1024
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return max(own, children)


def run_demo(
    home: Home, size: str, as_of: date, progress: Progress, families: str = "plain"
) -> dict[str, Any]:
    """Run the main job in a fresh demo home.

    Args:
        home: A demo home without deliveries.
        size: ``tiny``, ``town`` or ``city``.
        as_of: Last day of the city's two years and date of the run.
        progress: Told the name of each stage.
        families: ``plain``, ``hard`` or ``independent``.

    Returns:
        One document: deliveries, persons, precision and recall, list, reveals, audit, stages.
        Everything in it is about synthetic people and says so.
    """
    stages = Stages(progress=progress)
    operator = Actor("demo.operator", "host", "operator", "demo")
    report: dict[str, Any] = {
        "synthetic": True,
        "size": size,
        "seed": SEED,
        "families": families,
        "as_of": as_of.isoformat(),
    }
    with tempfile.TemporaryDirectory(prefix="fieldgate-city-") as folder:
        with stages.stage("city"):
            city = write_city(Path(folder), size, SEED, as_of, families)
        report["people"] = city.people
        report["deliveries"] = []
        for source, (agency, _) in FILES.items():
            with stages.stage(f"submit {source}"):
                receipt = submit(
                    home,
                    city.file(source),
                    agency=agency,
                    source=source,
                    actor=operator,
                )
            report["deliveries"].append(_delivery(receipt))
        with stages.stage("link"):
            linked = link(home, operator)
        report["persons"] = linked
        with stages.stage("score"):
            manifest = score(home, as_of, operator)
        report["run"] = {
            key: manifest[key] for key in ("run", "digest", "persons", "links", "lists")
        }
        with stages.stage("evaluate"):
            measured = evaluate(home, city.truth, operator)
    report |= {name: measured[name] for name in ("precision", "recall", "per_agency")}
    report["against_truth"] = measured["lists"]
    lists = review_lists(home, "demo.social_worker", auth="demo")
    report["review_list"] = [
        {"list": one["id"], "capacity": one["capacity"], "entries": one["entries"]}
        for one in lists["lists"]
    ]
    with stages.stage("reveal"):
        report["reveals"] = _reveals(home, lists)
    with stages.stage("verify"):
        checked = verify_trail(home)
    report["audit"] = {
        "size": checked.size,
        "root": checked.root,
        "verified": checked.status == "verified",
        "status": checked.status,
    }
    report["stages"] = stages.found
    report["seconds"] = round(sum(stage["seconds"] for stage in stages.found), 3)
    report["peak_mib"] = max(stage["peak_mib"] for stage in stages.found)
    return report


def _delivery(receipt: dict[str, Any]) -> dict[str, Any]:
    names = (
        "delivery",
        "agency",
        "source",
        "content_sha256",
        "records",
        "events",
        "states",
    )
    return {
        **{name: receipt[name] for name in names},
        "rows": receipt["rows"],
        "fields_dropped": receipt["fields_dropped"],
        "cells_closed": receipt["cells_closed"],
        "findings": [
            {key: group[key] for key in ("code", "column", "severity", "count", "sentence")}
            for group in receipt["findings"]
        ],
    }


_REASON = "Strategy discussion today; need to know which services know this child."
_ASKS = (
    ("demo.social_worker", "safeguard_child", "CASE-1001", _REASON),
    ("demo.school_lead", "school_safeguarding", "CASE-1002", "Pupil stopped attending; who helps them?"),
    ("demo.police_staff", "crime_prevention", "CASE-1003", "Checking victims before a local operation."),
    ("demo.social_worker", "safeguard_child", "CASE-1004", "curious"),
    ("demo.social_worker", "enforcement", "CASE-1005", _REASON),
    ("demo.ig_lead", "safeguard_child", "CASE-1006", _REASON),
)  # fmt: skip


def _reveals(home: Home, lists: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask six times about people on the list: some requests are permitted and some are not."""
    entries = [entry for one in lists["lists"] for entry in one["entries"] if not entry["blind"]]
    found = []
    for number, (user, purpose, case, reason) in enumerate(_ASKS):
        if not entries:
            break
        person = entries[min(number % 3, len(entries) - 1)]["person"]
        if user == "demo.social_worker" and number == 0:
            look(home, user, person, auth="demo")
        ask = Ask(user, purpose, case, reason, person)
        try:
            shown = reveal(home, ask, auth="demo")
            found.append(
                {
                    "user": user,
                    "purpose": purpose,
                    "permitted": True,
                    "reasons": [],
                    # The demo's document names nobody, not even invented people.
                    "identity_parts": len(shown["identity"]),
                    "facts": len(shown["facts"]),
                    "known_to": shown["known_to"],
                    "expires_at": shown["expires_at"],
                }
            )
        except FieldgateError as error:
            found.append(
                {
                    "user": user,
                    "purpose": purpose,
                    "permitted": False,
                    "code": error.code,
                    "reasons": list(error.reasons),
                    "next_step": error.next_step,
                }
            )
    return found
