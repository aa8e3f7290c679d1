"""Hold the persons and lists of a synthetic home against the known truth. Nothing else reads truth."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

from sqlmodel import Session, select

from engine.city.agencies import TRUTH_KEYS, TRUTH_RISK
from engine.domain.errors import ConfigError
from engine.domain.ids import Actor
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.lists import latest_run
from engine.identity import vault_write
from engine.linkage.index import current_membership
from engine.store.session import reading
from engine.store.tables import ReviewItem


def evaluate(home: Home, truth: Path, actor: Actor) -> dict[str, Any]:
    """Measure linkage and lists of a demo home against planted truth.

    Args:
        truth: The truth folder of the synthetic city.

    Returns:
        Pairwise precision and recall, overall and per agency (pairs with at least one record of it),
        and per list how many of those listed are truly at risk.

    Raises:
        ConfigError: ``FG-EVA-01`` outside a demo home.

    Audited as ``model_run``.
    """
    if not home.is_demo:
        raise ConfigError("FG-EVA-01", "truth is known in a demo home only", "Use a demo home.")
    with Flow(home, "evaluate", "model_run", actor, {}) as flow:
        people = _truth_people(home, truth)
        pairs = _pairs(home, people)
        lists = _lists(home, truth, people)
        flow.finish({"counts": {"records": len(people)}})
        return {"synthetic": True, **pairs, "lists": lists}


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
    """How many of those listed are truly at risk, at the real capacity."""
    run = latest_run(home)
    if run is None:
        return {}
    with (truth / TRUTH_RISK).open(encoding="utf-8", newline="") as stream:
        at_risk = {(row["theme"], int(row["person"])) for row in csv.DictReader(stream)}
    membership = current_membership(home.linkage, home.link_runs())
    true_of: dict[bytes, Counter[int]] = {}
    sealed = sorted(membership)
    for name, record in zip(sealed, home.domain("linkage").open(sealed), strict=True):
        if record in people:
            true_of.setdefault(membership[name], Counter())[people[record][1]] += 1
    with Session(reading(home.casework)) as session:
        items = session.exec(select(ReviewItem).where(ReviewItem.run == run.id)).all()
        listed = [(item.list, item.person, item.blind) for item in items]
    casework = home.domain("casework")
    found: dict[str, dict[str, Any]] = {}
    for rule in home.tables.lists:
        mine = [person for name, person, blind in listed if name == rule.id and not blind]
        right = 0
        for person in mine:
            counted = true_of.get(casework.parse(person))
            if counted and (rule.theme, counted.most_common(1)[0][0]) in at_risk:
                right += 1
        total = sum(theme == rule.theme for theme, _ in at_risk)
        found[rule.id] = {
            "listed": len(mine),
            "truly_at_risk": right,
            "at_risk_in_all": total,
            "precision": round(right / len(mine), 4) if mine else None,
            "recall": round(right / total, 4) if total else None,
        }
    return found
