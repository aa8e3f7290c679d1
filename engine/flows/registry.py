"""The registry: which product may serve, released by two people on stated evidence, stopped by one.

draft -> shadow -> live -> suspended -> retired. Nothing of a product is shown unless it is live under the
very version that made the run: points, code and the product's own file. A product that changed, whose stop
date or a reference has passed, or that somebody suspended, serves nothing, not even an old score (LAW-26).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from audit.event import commitment
from engine.domain.errors import PolicyRefused, RunError
from engine.domain.ids import Actor, as_utc
from engine.flows.accounts import actor_of, open_account
from engine.flows.home import Home
from engine.flows.intent import Flow, record_denial
from engine.flows.product_tables import beyond, run_tables
from engine.flows.reason import keep_reason
from engine.store.session import reading
from engine.store.tables import Account, ProductStep, ScoreRun
from policies.model import Product
from policies.products import counts_of, missing_for_release
from scoring.evaluate import Confusion
from scoring.hashes import code_hash

ROUTE = "registry"
MAY_FOLLOW = {
    "shadow": ("draft", "suspended"),
    "live": ("shadow", "suspended"),
    "suspended": ("shadow", "live"),
    "retired": ("draft", "shadow", "live", "suspended"),
}
"""The states from which a state may be reached."""
SHORTEST_REASON = 10


def version_of(product: Product, tables: str, code: str) -> str:
    """Return the hash of everything that decides a product's numbers and what it says of itself."""
    content = {name: value for name, value in asdict(product).items() if name != "file"}
    content["exclusions"] = sorted(product.exclusions)
    whole = {"product": content, "tables": tables, "code": code}
    return hashlib.sha256(json.dumps(whole, sort_keys=True, default=list).encode()).hexdigest()


def why_not_served(home: Home, run: ScoreRun) -> dict[str, str]:
    """Return, by theme of the points table, why nothing of it is shown; empty for what is.

    A theme of another purpose than the run's is never shown from it, whatever stands in its files.

    Args:
        home: The home.
        run: The run whose results would be shown.
    """
    steps, today = final_steps(home), home.clock().date().isoformat()
    of = {one.theme: one for one in home.pack.products.values() if one.kind == "list"}
    found = {}
    for theme in home.tables.themes:
        product = of.get(theme)
        if product is None:
            found[theme] = "no product of the policy covers it"
            continue
        if product.purpose != run.purpose:
            found[theme] = "it serves another purpose than the run"
            continue
        step = steps.get(product.id)
        lacks, more = missing_for_release(product, today), _beyond(home, product)
        if step is None:
            found[theme] = "not released"
        elif step.to != "live":
            found[theme] = {"shadow": "it runs in the shadow and is not shown",
                            "suspended": f"suspended on {as_utc(step.asked_at).date().isoformat()}",
                            "retired": "retired"}[step.to]  # fmt: skip
        elif step.version != version_of(product, run.manifest["tables"], run.manifest["code"]):
            found[theme] = "what made this run is not what was released"
        elif lacks:
            found[theme] = "its release has run out: " + ", ".join(lacks)
        elif more:
            found[theme] = "the tables make more than its product declares: " + ", ".join(more)
    return found


def _beyond(home: Home, product: Product) -> list[str]:
    return beyond(product, run_tables(home.pack, home.tables, product.purpose))


def must_serve(home: Home, run: ScoreRun, theme: str) -> None:
    """Refuse what is not live.

    Raises:
        RunError: ``FG-REG-01``.
    """
    why = why_not_served(home, run).get(theme)
    if why:
        raise RunError(
            "FG-REG-01",
            f"{theme} is not shown: {why}",
            "Ask the information governance lead. No score does not mean low.",
        )


def products(home: Home, user: str, *, auth: str) -> list[dict[str, Any]]:
    """Return every product with its state, what it lacks, its figures and its steps.

    Raises:
        PolicyRefused: ``FG-REG-02`` the role does not keep the registry.

    Audited as ``consultation``.
    """
    account, actor = keeper(home, user, auth)
    with Flow(home, "products", "consultation", actor, {"purpose": account.purpose}) as flow:
        steps = all_steps(home)
        found = [_told(home, one, steps) for _, one in sorted(home.pack.products.items())]
        flow.finish({"rows": len(found)})
        return found


def ask(home: Home, user: str, product: str, to: str, reason: str, *, auth: str) -> dict[str, Any]:
    """Ask that a product goes into a state; a suspension takes effect at once.

    Args:
        home: The home.
        user: Who asks.
        product: Its id.
        to: ``shadow``, ``live``, ``suspended`` or ``retired``.
        reason: In the person's own words; sealed, in the trail as a commitment.
        auth: How the user signed in.

    Raises:
        PolicyRefused: ``FG-REG-02`` the role does not keep the registry.
        RunError: ``FG-REG-03`` unknown product, no reason, or the state cannot follow;
            ``FG-REG-04`` what a release needs is missing, all of it named.

    Audited as ``config``.
    """
    account, actor = keeper(home, user, auth)
    salt = home.randomness(32)
    # What somebody typed is no word of ours, and the trail keeps it for ever.
    named = [product if product in home.pack.products else "unknown",
             to if to in MAY_FOLLOW else "unknown"]  # fmt: skip
    details: dict[str, Any] = {"rules": named, "reason": commitment(salt, reason)}
    with Flow(home, "product_ask", "config", actor, details) as flow:
        keep_reason(home, flow.intent, salt, reason)
        known = _product(home, product, to, reason)
        if known.kind == "profile" and to == "live":
            raise RunError("FG-REG-03", "a profile in counts has no list that could be live",
                           "Nothing is to be done: it names nobody.")  # fmt: skip
        if to == "live":
            _whole(home, known)
        made = flow.commit(
            lambda session: _add(session, flow, known, to, account.user, alone=to == "suspended")
        )
        entry = flow.finish({"rules": [product, to], "decision": made.state})
        return {**_step(made), "audit_entry": entry.seq}


def answer(home: Home, user: str, number: int, *, agree: bool, auth: str) -> dict[str, Any]:
    """Answer what somebody else asked for.

    Raises:
        PolicyRefused: ``FG-REG-02`` the role does not keep the registry, ``FG-REG-05`` the same person.
        RunError: ``FG-REG-03`` nothing of that number waits, or it fits no longer; ``FG-REG-04``.

    Audited as ``config``.
    """
    account, actor = keeper(home, user, auth)
    with Flow(home, "product_answer", "config", actor, {"counts": {"number": number}}) as flow:

        def publish(session: Session) -> ProductStep:
            found = session.exec(select(ProductStep).where(ProductStep.number == number)).first()
            if found is None or found.state != "waiting":
                raise cannot("nothing of that number waits")
            if found.asked_by == account.user:
                raise PolicyRefused(
                    "FG-REG-05",
                    "a release needs a second person",
                    "Ask a colleague of governance to look at it.",
                )
            known = home.pack.products.get(found.product)
            if agree and (known is None or found.version != _version_now(home, known)):
                raise cannot("what was asked about has changed since")
            if agree and known is not None and found.to == "live":
                _whole(home, known)
            newest = session.exec(
                select(func.max(ProductStep.number)).where(
                    ProductStep.product == found.product, ProductStep.state == "final"
                )
            ).one()
            if agree and (newest or 0) > found.number:
                raise cannot("a later step of the product has taken effect since it was asked")
            if agree and _state(session, found.product) not in MAY_FOLLOW[found.to]:
                raise cannot("the product is in another state by now")
            found.answered_by, found.answered_at = account.user, home.clock()
            found.state = "final" if agree else "rejected"
            session.add(found)
            return found

        made = flow.commit(publish)
        agreed = {"approvers": [made.asked_by]} if agree else {}
        entry = flow.finish({**agreed, "rules": [made.product, made.to], "decision": made.state})
        return {**_step(made), "audit_entry": entry.seq}


def _lacks(home: Home, product: Product) -> list[str]:
    """Return what stands against a release: what is missing, and what the tables make besides."""
    today = home.clock().date().isoformat()
    more = [f"tables that make no more than it declares ({one})" for one in _beyond(home, product)]
    return missing_for_release(product, today) + more


def keeper(home: Home, user: str, auth: str) -> tuple[Account, Actor]:
    """Return who keeps the registry, or refuse and put the refusal into the trail.

    Raises:
        PolicyRefused: ``FG-REG-02``.
    """
    account = open_account(home, user, auth)
    actor = actor_of(account, auth)
    if account.role not in home.pack.routes.get(ROUTE, frozenset()):
        record_denial(home, actor, "FG-REG-02")
        error = PolicyRefused(
            "FG-REG-02",
            "your role does not keep the registry of products",
            "Ask the information governance lead.",
        )
        error.audited = True
        raise error
    return account, actor


def all_steps(home: Home) -> list[ProductStep]:
    """Return every step, the oldest first."""
    with Session(reading(home.casework), expire_on_commit=False) as session:
        return list(session.exec(select(ProductStep).order_by(col(ProductStep.number))).all())


def final_steps(home: Home) -> dict[str, ProductStep]:
    """Return the newest final step of each product."""
    return {one.product: one for one in all_steps(home) if one.state == "final"}


def release_first(home: Home, asked_by: str, answered_by: str, actor: Actor) -> list[str]:
    """Release every whole product of a demo home under two demo accounts; it says so in the evidence.

    Raises:
        PolicyRefused: ``FG-REG-02`` outside a demo home.

    Audited as ``config``.
    """
    if not home.is_demo:
        raise PolicyRefused("FG-REG-02", "products are released by two people of governance",
                            "Ask: fieldgate products ask.")  # fmt: skip
    today = home.clock().date().isoformat()
    ready = [
        one
        for _, one in sorted(home.pack.products.items())
        if one.kind == "list"
        and one.theme in home.tables.themes
        and not missing_for_release(one, today)
        and not _beyond(home, one)
    ]
    with Flow(
        home, "products_first", "config", actor, {"rules": [one.id for one in ready]}
    ) as flow:

        def publish(session: Session) -> None:
            for one in ready:
                for to in ("shadow", "live"):
                    made = _add(session, flow, one, to, asked_by, alone=False)
                    made.state, made.answered_by = "final", answered_by
                    made.answered_at = home.clock()
                    session.flush()

        flow.commit(publish)
        flow.finish({"rules": [one.id for one in ready]})
    return [one.id for one in ready]


def _product(home: Home, product: str, to: str, reason: str) -> Product:
    known = home.pack.products.get(product)
    if known is None or to not in MAY_FOLLOW:
        raise cannot("there is no such product or state")
    if len(reason.strip()) < SHORTEST_REASON:
        raise cannot("a step needs a reason in your own words")
    return known


def cannot(why: str) -> RunError:
    """Return the refusal of a step."""
    return RunError(
        "FG-REG-03", f"the step cannot be taken: {why}", "See: fieldgate products list."
    )


def _whole(home: Home, product: Product) -> None:
    lacks = _lacks(home, product)
    if product.theme not in home.tables.themes:
        lacks.append(f"points for {product.theme}")
    if lacks:
        raise RunError(
            "FG-REG-04",
            "the product cannot be released; it lacks: " + "; ".join(lacks),
            "Complete the product's file; it is part of the policy.",
        )


def _version_now(home: Home, product: Product) -> str:
    return version_of(product, home.tables.hash, code_hash())


def _state(session: Session, product: str) -> str:
    found = session.exec(
        select(ProductStep)
        .where(ProductStep.product == product, ProductStep.state == "final")
        .order_by(col(ProductStep.number).desc())
    ).first()
    return found.to if found else "draft"


def _add(
    session: Session, flow: Flow, product: Product, to: str, user: str, *, alone: bool
) -> ProductStep:
    if _state(session, product.id) not in MAY_FOLLOW[to]:
        raise cannot(f"{to} does not follow the present state")
    last = session.exec(select(func.max(ProductStep.number))).one() or 0
    made = ProductStep(
        id=f"{flow.intent[:30]}.{last + 1}",
        number=last + 1,
        product=product.id,
        version=_version_now(flow.home, product),
        to=to,
        state="final" if alone else "waiting",
        asked_by=user,
        asked_at=flow.home.clock(),
        evidence=evidence_of(flow.home, product),
    )
    session.add(made)
    return made


def evidence_of(home: Home, product: Product) -> dict[str, Any]:
    """Return what a release rests on: hashes, inputs, references and figures derived from counts."""
    counts = counts_of(product)
    return {
        "policy": home.pack.version,
        "tables": home.tables.hash,
        "code": code_hash(),
        "features": list(product.evidence),
        "links": list(product.links),
        "seed": "none: points are counted and nothing is drawn; ties are keyed by run",
        "release": dict(product.release),
        "figures": figures(counts) if counts else {},
    }


def figures(counts: Mapping[str, str]) -> dict[str, float | None]:
    """Return the figures that follow from four counts."""
    table = Confusion(*(int(counts[name]) for name in ("hit", "false", "missed", "left")))
    return {name: None if value is None else round(value, 4)
            for name, value in table.metrics().items()}  # fmt: skip


def _told(home: Home, product: Product, steps: list[ProductStep]) -> dict[str, Any]:
    mine = [one for one in steps if one.product == product.id]
    final = [one for one in mine if one.state == "final"]
    now = final[-1] if final else None
    counts = counts_of(product)
    return {
        "product": product.id,
        "title": product.title,
        "kind": product.kind,
        "purpose": product.purpose,
        "gateways": list(product.gateways),
        "evidence": list(product.evidence),
        "state": now.to if now else "draft",
        "changed_since": bool(now and now.version != _version_now(home, product)),
        "lacks": _lacks(home, product)
        if product.kind == "list" else [],
        "figures": figures(counts) if counts else {},
        "synthetic": (product.release.get("evaluation") or {}).get("synthetic", ""),
        "steps": [_step(one) for one in reversed(mine)],
    }  # fmt: skip


def _step(one: ProductStep) -> dict[str, Any]:
    return {
        "number": one.number,
        "product": one.product,
        "to": one.to,
        "state": one.state,
        "version": one.version[:16],
        "asked_by": one.asked_by,
        "asked_at": as_utc(one.asked_at).isoformat(timespec="seconds"),
        "answered_by": one.answered_by,
    }
