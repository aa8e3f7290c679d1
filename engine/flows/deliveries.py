"""What becomes of deliveries: told to their agency, released or refused when paused, withdrawn."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, col, select

from engine.domain.errors import PolicyRefused
from engine.domain.ids import Actor
from engine.flows import stage as lanes
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.standing import (
    KEPT,
    STANDS,
    corrected,
    replace_row,
    undone_by,
    withdraw_row,
)
from engine.flows.stated import settle_words
from engine.identity import vault_write
from engine.store.session import reading
from engine.store.tables import Delivery, DeliveryDetail

EVERYBODYS = ""
"""Stands in for an agency where somebody may see the deliveries of all."""


def deliveries(home: Home, actor: Actor, agency: str = EVERYBODYS) -> list[dict[str, Any]]:
    """Return the deliveries of an agency, or of all, the newest first.

    Audited as ``consultation``.
    """
    with Flow(home, "deliveries", "consultation", actor, {}) as flow:
        with Session(reading(home.casework)) as session:
            query = select(Delivery).order_by(col(Delivery.number).desc())
            if agency != EVERYBODYS:
                query = query.where(Delivery.agency == agency)
            found = [_row(one) for one in session.exec(query).all()]
        flow.finish({"rows": len(found)})
        return found


def _row(one: Delivery) -> dict[str, Any]:
    receipt = one.receipt
    return {
        "number": one.number,
        "delivery": one.id,
        "agency": one.agency,
        "source": one.source,
        "accepted_at": receipt["accepted_at"],
        "state": one.state,
        "light": receipt.get("light", "green"),
        "mode": one.mode,
        "history": one.history,
        "rows_in": receipt["rows"]["in"],
        "rows_kept": receipt["rows"]["kept"],
        "rows_dropped": sum(receipt["rows"]["dropped"].values()),
        "errors": _count(receipt, "error"),
        "warnings": _count(receipt, "warning"),
        "checks": _statuses(receipt),
        "paused_because": receipt.get("paused_because", []),
        "decided_by": one.decided_by,
    }


def _count(receipt: dict[str, Any], severity: str) -> int:
    return sum(one["count"] for one in receipt["findings"] if one["severity"] == severity)


def _statuses(receipt: dict[str, Any]) -> dict[str, int]:
    found = {"run": 0, "skipped": 0, "failed": 0}
    for one in receipt.get("checks", []):
        found[one["status"]] += 1
    return found


def receipt_of(
    home: Home, actor: Actor, number: int, agency: str, *, with_keys: bool
) -> dict[str, Any]:
    """Return the receipt of a delivery with what became of it since.

    Args:
        home: The home.
        actor: Who looks.
        number: Number of the delivery.
        agency: The agency that looks, or `EVERYBODYS`.
        with_keys: Whether to add the agency's own key of each row found. Only the agency that sent
            the delivery is told; anybody else gets lines without keys.

    Raises:
        PolicyRefused: ``FG-SUB-23``.

    Audited as ``consultation``.
    """
    with Flow(home, "receipt", "consultation", actor, {"counts": {"delivery": number}}) as flow:
        with Session(reading(home.casework)) as session:
            found = session.exec(select(Delivery).where(Delivery.number == number)).first()
            if found is None or agency not in (EVERYBODYS, found.agency):
                raise PolicyRefused(
                    "FG-SUB-23",
                    "there is no such delivery of that agency",
                    "See fieldgate deliveries list.",
                )
            detail = session.get(DeliveryDetail, found.id)
            receipt = {**found.receipt, "number": found.number, "state": found.state}
            by = session.get(Delivery, found.replaced_by) if found.replaced_by else None
            receipt["replaced_by"] = by.number if by is not None else None
            sealed = detail.sealed if detail is not None else None
        # Rows of a delivery that does not stand can be mended by nobody.
        waits = receipt["state"] in STANDS
        receipt["set_aside"] = vault_write.waiting(home.vault, receipt["delivery"]) if waits else []
        if with_keys and agency == receipt["agency"] and sealed is not None:
            opened = lanes.open_detail(home, receipt["delivery"], sealed)
            _add_keys(receipt, opened)
        flow.finish({"rows": receipt["rows"]["in"]})
        # Who looked, and that it was written down; the delivery's own entry stands under audit.
        receipt["looked"] = flow.receipt()
        return receipt


_CAUSE = ("code", "column", "check", "table", "file", "severity")


def _add_keys(receipt: dict[str, Any], detail: dict[str, Any]) -> None:
    keyed = {tuple(one.get(name, "") for name in _CAUSE): one["rows"] for one in detail["findings"]}
    for group in receipt["findings"]:
        rows = keyed.get(tuple(group.get(name, "") for name in _CAUSE), [])
        group["row_keys"] = [{"row": row, "key": key} for row, key in rows]
    receipt["repaired"] = [
        {"rule": rule, "row": row, "column": column, "before": old, "after": new}
        for rule, row, column, old, new in detail["repaired"]
    ]
    # With it the agency can hold its own cells to the hashes; nobody else is told.
    receipt["repair_key"] = detail.get("repair_key", "")


def finding_rows(receipt: dict[str, Any]) -> list[list[str]]:
    """Return the findings of a receipt as rows of a table, a line each, for a CSV."""
    rows = [
        ["severity", "code", "check", "table", "file", "column", "row", "record key", "what", "do"]
    ]
    for group in receipt["findings"]:
        # By place and not by line: rows of an XML file may share a line.
        keys = [one["key"] for one in group.get("row_keys", [])] or [""] * len(group["rows"])
        rows += [
            [
                group["severity"], group["code"], group.get("check", ""), group.get("table", ""),
                group.get("file", ""), group["column"], str(row), key, group["sentence"],
                group["next_step"],
            ]
            for row, key in zip(group["rows"], keys, strict=True)
        ]  # fmt: skip
        more = group["count"] - len(group["rows"])
        if more > 0:
            rows.append(
                [group["severity"], group["code"], group.get("check", ""), group.get("table", ""),
                 group.get("file", ""), group["column"], "", "", f"and {more} more rows of this cause",
                 group["next_step"]]
            )  # fmt: skip
    return rows


def trend(home: Home, actor: Actor, agency: str) -> list[dict[str, Any]]:
    """Return how many findings of each cause the deliveries of an agency had, the oldest first.

    Audited as ``consultation``.
    """
    with Flow(home, "delivery_trend", "consultation", actor, {}) as flow:
        with Session(reading(home.casework)) as session:
            query = (
                select(Delivery)
                .where(col(Delivery.state).not_in(("withdrawn", "replaced")))
                .order_by(col(Delivery.number))
            )
            if agency != EVERYBODYS:
                query = query.where(Delivery.agency == agency)
            found = [
                {
                    "number": one.number,
                    "source": one.source,
                    "accepted_at": one.receipt["accepted_at"],
                    "rows_in": one.receipt["rows"]["in"],
                    "findings": {
                        f"{group.get('check') or group['code']} {group['column']}": group["count"]
                        for group in one.receipt["findings"]
                    },
                }
                for one in session.exec(query).all()
            ]
        flow.finish({"rows": len(found)})
        return found


def release(home: Home, number: int, actor: Actor, *, accept: bool) -> dict[str, Any]:
    """Let a paused delivery count, or refuse it and destroy what it brought.

    Args:
        home: The home.
        number: Number of the delivery.
        actor: The named person who looked at it.
        accept: Whether it counts from now on.

    Raises:
        PolicyRefused: ``FG-SUB-22`` it does not wait.

    Audited as ``approve``, or as ``erasure`` when it is refused.
    """
    kind = "approve" if accept else "erasure"
    word = "accepted" if accept else "refused"
    details: dict[str, Any] = {"counts": {"delivery": number}, "rules": [word]}
    replaced: list[int] = []
    with Flow(home, "release_delivery", kind, actor, details) as flow:

        def publish(session: Session) -> Delivery:
            found = session.exec(select(Delivery).where(Delivery.number == number)).first()
            if found is None or found.state != "paused":
                raise _not_waiting()
            if accept:
                found.state, found.decided_by = "accepted", actor.user
                found.decided_at = home.clock()
                before = found.receipt.get("replaces")
                _nobody_else_corrects(session, found, before)
                # What it corrects went on counting while it waited, and was perhaps taken back since.
                replaced.extend(
                    replace_row(session, one, flow, found.id) for one in corrected(session, before)
                )
                settle_words(session, flow, found)
            else:
                withdraw_row(session, found.id, flow)
                found.state = "refused"
            return found

        done = flow.commit(publish)
        complete(home)
        details["rules"] = [word, *(f"replaces {one}" for one in replaced)]
        flow.finish({**details, "source": done.source})
        return {"number": number, "source": done.source, "state": word, "by": actor.user}


def withdraw(home: Home, number: int, actor: Actor, *, dry_run: bool = False) -> dict[str, Any]:
    """Take a whole delivery back: what it brought is destroyed as if it had never been sent.

    What it had replaced stands again as it did before, unless the same bytes were sent anew meanwhile:
    the answer names it. A delivery that was replaced can be withdrawn as well, and comes back no more.
    Persons and scores follow with the next ``link`` and ``score``; until then the published run
    stands, and the answer says so.

    Args:
        home: The home.
        number: Number of the delivery.
        actor: Who withdraws it.
        dry_run: Only say what would go.

    Raises:
        PolicyRefused: ``FG-SUB-22`` it does not count, ``FG-SUB-23`` there is none.

    Audited as ``erasure``; a dry run as ``consultation``.
    """
    details: dict[str, Any] = {
        "counts": {"delivery": number},
        "rules": ["dry_run" if dry_run else "withdraw"],
    }
    kind = "consultation" if dry_run else "erasure"
    with Flow(home, "withdraw_delivery", kind, actor, details) as flow:
        with Session(reading(home.casework)) as session:
            found = session.exec(select(Delivery).where(Delivery.number == number)).first()
            if found is None:
                raise PolicyRefused(
                    "FG-SUB-23", "there is no such delivery", "See fieldgate deliveries list."
                )
            receipt, intent, source = dict(found.receipt), found.id, found.source
            if found.state not in KEPT:
                raise _not_waiting()
            plan = undone_by(session, found)
        if not dry_run:
            plan = flow.commit(lambda session: withdraw_row(session, intent, flow))
            complete(home)
        details["rules"] += [f"restores {one}" for one in plan.restored]
        details["rules"] += [f"destroys {one}" for one in plan.destroyed]
        flow.finish({**details, "source": source, "rows": receipt["rows"]["kept"]})
        return {
            "number": number,
            "source": source,
            "withdrawn": not dry_run,
            "restored": plan.restored,
            "destroyed": plan.destroyed,
            "records": receipt["records"],
            "events": receipt["events"],
            "states": receipt["states"],
            "next": "fieldgate link, then fieldgate score: until then the last run stands.",
        }


def _nobody_else_corrects(session: Session, mine: Delivery, before: str | None) -> None:
    """Refuse a second correction of one delivery: both would count."""
    others = session.exec(select(Delivery).where(Delivery.source == mine.source)).all()
    if before is not None and any(
        one.id != mine.id
        and one.state in ("accepted", "replaced")
        and one.receipt.get("replaces") == before
        for one in others
    ):
        raise PolicyRefused(
            "FG-SUB-22",
            "another delivery has corrected the same one meanwhile",
            "Refuse this one, and correct the other: fieldgate submit --replaces.",
        )


def complete(home: Home) -> None:
    """Finish what committed submissions, releases and withdrawals had still to do in other stores.

    Withdrawn and refused deliveries are destroyed in every lane; rows that a later delivery brought
    again are no longer set aside. Each can be done twice without harm.
    """
    with Session(reading(home.casework)) as session:
        found = session.exec(select(Delivery).order_by(col(Delivery.number))).all()
        told = [(one.id, one.source, one.state) for one in found]
    for delivery, _, state in told:
        if state in ("withdrawn", "refused"):
            lanes.discard(home, delivery)
    waiting = vault_write.with_rows_aside(home.vault)
    for place, (delivery, source, state) in enumerate(told):
        earlier = [
            one
            for one, same, state_then in told[:place]
            if same == source and state_then in STANDS and one in waiting
        ]
        if state == "accepted" and earlier:
            lanes.settle(home, delivery, earlier)


def _not_waiting() -> PolicyRefused:
    return PolicyRefused(
        "FG-SUB-22",
        "that delivery does not wait, or does not count any more",
        "See fieldgate deliveries list.",
    )
