"""Hold a model against the index: trained, calibrated and judged on three days that follow each other.

A challenger stays in the shadow: its numbers are on no list and no page. What is told is what it would have
been worth beside the index, on a later period, with counts, intervals and how honest its folds were.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

from engine.domain.errors import RunError
from engine.domain.ids import Actor, day_number
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.product_tables import PURPOSE as SAFEGUARDING
from engine.flows.score import job_of
from engine.flows.scoring_process import run_process
from policies.model import Product

PURPOSE = "model_development"
GAP, WINDOW, SEED = 30, 120, 20260101
"""Days of the usual delay of recording, days of the outcome's window, and the seed of every draw."""
ROLES = ("victim", "subject", "missing")
"""Roles in which the outcome is one: somebody is harmed."""


def challenge(
    home: Home, theme: str, label: str, as_of: date, actor: Actor, *, gap: int = GAP,
    window: int = WINDOW, capacity: int = 60,
) -> dict[str, Any]:  # fmt: skip
    """Train a model for a theme and say what it would have been worth beside the index.

    Args:
        home: The home.
        theme: Theme of a product that makes a list.
        label: Kind of event that is the outcome; it is no feature.
        as_of: Last day of the data; the three days lie before it, a gap and a window apart.
        actor: Who runs it.
        gap: Days between features and window.
        window: Days of the window.
        capacity: Places of the list at which it is judged.

    Returns:
        The report. The model's own document stands in the warehouse beside it: plain numbers, no row. An
        earlier one of the theme is destroyed: no model that serves nowhere lies about (T-TF5).

    Raises:
        RunError: ``FG-SCO-21`` the product serves another purpose than
            safeguarding; ``FG-RUN-10`` no product makes a list of the theme, or the label is no kind;
            ``FG-EVA-03`` to ``FG-EVA-05`` from the process.

    Audited as ``model_run``.
    """
    with Flow(
        home,
        "challenge",
        "model_run",
        actor,
        {"purpose": PURPOSE, "rules": [theme if theme in home.tables.themes else "unknown"]},
    ) as flow:
        if as_of > home.clock().date():
            raise RunError(
                "FG-RUN-08",
                "the date of the run has not come yet",
                "Choose today or an earlier date.",
            )
        product = _product(home, theme, label)
        out = home.warehouse.run(flow.intent)
        out.mkdir(parents=True)
        step = timedelta(days=gap + window)
        days = [as_of - 3 * step, as_of - 2 * step, as_of - step]
        job = job_of(flow, out, as_of, PURPOSE) | {
            "plan": _plan(home, product, label, gap, window, capacity),
            "days": [day_number(day) for day in days],
            "data_end": day_number(as_of),
            "places": home.tables.kinds["household"].id,
            "synthetic": home.is_demo,
        }  # fmt: skip
        report = run_process(job, out, "scoring.model_run")
        for path in out.glob("*.parquet"):
            path.unlink()  # Who belongs to whom is not kept with a model: plain numbers, no row.
        _purge(home, theme, flow.intent)
        counts = {"people": report["people"][2], "outcomes": report["outcomes"][2]}
        flow.finish({"purpose": PURPOSE, "rules": [theme, label], "counts": counts})
        return {"model": flow.intent, "theme": theme, "label": label,
                "days": [day.isoformat() for day in days], "shown_to": "nobody", **report}  # fmt: skip


def _product(home: Home, theme: str, label: str) -> Product:
    """Return the product that makes a list of a theme, or refuse."""
    product = next(
        (one for one in home.pack.products.values() if one.theme == theme and one.kind == "list"),
        None,
    )
    if product is not None and product.purpose != SAFEGUARDING:
        # The power behind it opens no data for building a model (PCSC Act 2022 s.16).
        raise RunError(
            "FG-SCO-21",
            "no model is trained for that product: its legal power opens no data for it",
            "Its index is counted from points and needs no model.",
        )
    if product is None or label not in home.tables.kinds or theme not in home.tables.themes:
        raise RunError(
            "FG-RUN-10",
            "no product makes a list of that theme, or the outcome is no kind of event",
            "See fieldgate products list, and the kinds of the tables.",
        )
    return product


def _purge(home: Home, theme: str, kept: str) -> None:
    """Destroy the documents of earlier models of a theme; none of them serves anywhere."""
    for path in sorted((home.warehouse.folder / "runs").glob("*/model.json")):
        plan = json.loads(path.read_text(encoding="utf-8")).get("plan", {})
        if path.parent.name != kept and plan.get("theme") == theme:
            home.warehouse.discard_run(path.parent.name)


def _plan(
    home: Home, product: Product, label: str, gap: int, window: int, capacity: int
) -> dict[str, Any]:
    """Return what is foretold, of what the product may be made of and nothing else."""
    return {
        "theme": product.theme,
        "track": "harmed",
        "age": "under18",
        "label": [label],
        "roles": list(ROLES),
        "gap": gap,
        "window": window,
        "seed": SEED,
        "capacity": capacity,
        "evidence": sorted(set(product.evidence) - {label}),
        "denied": sorted(home.pack.vocabulary.denied_features),
    }


def discard(home: Home, intent: str) -> None:
    """Take back what an unfinished run left."""
    home.warehouse.discard_run(intent)
