"""The people around a person, to two steps, by number and never by name; there is no export of the whole."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.domain.ids import from_day_number
from engine.flows.home import Home
from engine.flows.lists import shown_level, source_of
from engine.store.tables import Account, ScoreRun
from policies.model import Level, State
from policies.transforms import quarter

NEAR, FAR = 24, 40
"""Most people drawn at one step and at two; the rest are counted."""
WIDTH, HEIGHT = 640, 420
RINGS = (0, 95, 185)


def around_of(
    home: Home,
    account: Account,
    run: ScoreRun,
    pid: int | None,
    flags: State,
    closed: Mapping[str, str],
) -> dict[str, Any]:
    """Return the linked people as a table and as a picture at the level of the grant.

    Nobody is named at any level. At ``token`` a link has its kind and whether risk is shared; dates and
    numbers need the full level. Both are None when nothing of links may be shown.

    Args:
        home: The home.
        account: Who looks.
        run: The run whose links are shown.
        pid: The person in that run; None when they are not in it.
        flags: State of the person.
        closed: Themes of which nothing is shown: nobody shares a risk that is not.
    """
    level = shown_level(home, account, source_of(home, account, "associates"), "associates", flags)
    if level < Level.TOKEN or pid is None:
        return {"associates": None, "network": None}
    links = home.warehouse.result(run.id, "link")
    parts = home.warehouse.result(run.id, "exposure_part")
    shown_themes = [place for place, name in enumerate(home.tables.themes) if name not in closed]
    mine = [row for row in parts.filter(pc.equal(parts.column("pid"), pid)).to_pylist()
            if row["theme"] in shown_themes]  # fmt: skip
    risk: dict[int, int] = {}
    for row in mine:
        risk[row["neighbour"]] = max(row["exposure"], risk.get(row["neighbour"], 0))
    near = _near(home, links, pid)
    order = sorted(near, key=lambda other: (-risk.get(other, 0), other))
    shown = []
    for number, other in enumerate(order, start=1):
        one: dict[str, Any] = {
            "handle": f"Associate {number}",
            "links": "; ".join(near[other]["kinds"]),
            "shares_risk": other in risk,
        }
        if level >= Level.CLEAR:
            one["last_seen"] = quarter(from_day_number(near[other]["last"]))
            one["exposure"] = risk.get(other, 0) / 1000
        shown.append(one)
    far = {row["neighbour"] for row in mine if row["hop"] == 2}
    return {"associates": shown, "network": _network(links, pid, order, set(risk), far)}


def _near(home: Home, links: pa.Table, pid: int) -> dict[int, dict[str, Any]]:
    labels = {kind.id: kind.label for kind in home.tables.links}
    people: dict[int, dict[str, Any]] = {}
    touching = pc.or_(pc.equal(links.column("a"), pid), pc.equal(links.column("b"), pid))
    for row in links.filter(touching).to_pylist():
        other = row["b"] if row["a"] == pid else row["a"]
        found = people.setdefault(other, {"kinds": [], "last": 0})
        found["kinds"].append(labels[row["kind"]])
        found["last"] = max(found["last"], row["last"])
    return people


def _network(
    links: pa.Table, pid: int, order: list[int], risk: set[int], far_risk: set[int]
) -> dict[str, Any] | None:
    """Return points and lines of a drawing to two steps; None when nobody is linked."""
    if not order:
        return None
    inner = order[:NEAR]
    either = pc.or_(pc.is_in(links.column("a"), pa.array(inner)),
                    pc.is_in(links.column("b"), pa.array(inner)))  # fmt: skip
    pairs = sorted({
        (row["a"], row["b"]) for row in links.filter(either).select(["a", "b"]).to_pylist()
    })  # fmt: skip
    known = {pid, *order}
    beyond = sorted({one for pair in pairs for one in pair} - known,
                    key=lambda one: (one not in far_risk, one))  # fmt: skip
    outer = beyond[:FAR]
    nodes = [_point(0, 0, 1, "This person", shares=False)]
    nodes += [_point(1, n, len(inner), f"Associate {n + 1}", shares=one in risk)
              for n, one in enumerate(inner)]  # fmt: skip
    nodes += [_point(2, n, len(outer), "Two steps away", shares=one in far_risk)
              for n, one in enumerate(outer)]  # fmt: skip
    place = {one: number for number, one in enumerate([pid, *inner, *outer])}
    lines = [
        {"x1": nodes[place[a]]["x"], "y1": nodes[place[a]]["y"],
         "x2": nodes[place[b]]["x"], "y2": nodes[place[b]]["y"]}
        for a, b in pairs if a in place and b in place
    ]  # fmt: skip
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "nodes": nodes,
        "lines": lines,
        "one_step": len(order),
        "two_steps": len(beyond),
        "two_steps_with_risk": len(far_risk & set(beyond)),
        "left_out": len(order) - len(inner) + len(beyond) - len(outer),
    }


def _point(ring: int, number: int, of: int, label: str, *, shares: bool) -> dict[str, Any]:
    angle = 2 * math.pi * number / max(of, 1) - math.pi / 2
    stretch = WIDTH / HEIGHT
    return {
        "x": round(WIDTH / 2 + stretch * RINGS[ring] * math.cos(angle)),
        "y": round(HEIGHT / 2 + RINGS[ring] * math.sin(angle)),
        "ring": ring,
        "label": label,
        "number": number + 1 if ring == 1 else None,
        "shares_risk": shares,
    }
