"""A problem profile of a product in counts: no list of people is made of it, and none can be."""

from __future__ import annotations

from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlmodel import Session, col, select

from engine.domain.errors import PolicyRefused, RunError
from engine.domain.ids import Actor, from_day_number
from engine.flows.accounts import actor_of, open_account
from engine.flows.admitted import admitted_kinds, restricted_records
from engine.flows.facts import suspended
from engine.flows.home import Home
from engine.flows.intent import Flow, record_denial
from engine.intake.contract import Contract, contract_of
from engine.store.session import reading
from engine.store.tables import Account, Delivery
from policies.model import Product
from policies.transforms import quarter
from scoring.profile import LEAST, Incident, at_least, cells

ROUTE = "profiles"
QUARTERS = 8
"""Complete quarters that are told; the one that runs is not, so that no new incident can be read off."""
NOT_STATED = "not stated"


def profiles(home: Home, user: str, *, auth: str) -> list[dict[str, Any]]:
    """Return every problem profile of the policy (see `profile`).

    Raises:
        PolicyRefused: ``FG-SCO-23`` the role reads no profiles.

    Audited as ``consultation``, once for each.
    """
    names = [one.id for _, one in sorted(home.pack.products.items()) if one.kind == "profile"]
    _reader(home, user, auth)
    return [profile(home, user, name, auth=auth) for name in names]


def profile(home: Home, user: str, product: str, *, auth: str) -> dict[str, Any]:
    """Count the incidents of a product by quarter, area and kind, small cells left out.

    What is counted is what the law opens today for the product's purpose, record by record: a record that
    is closed or restricted counts nowhere. No reference of a person leaves this function.
    The answer holds the receipt of what left.

    Args:
        home: The home.
        user: Who asks.
        product: Id of a product that is a profile.
        auth: How the user signed in.

    Raises:
        PolicyRefused: ``FG-SCO-23`` the role reads no profiles.
        RunError: ``FG-SCO-22`` that product is no profile.

    Audited as ``consultation``.
    """
    account, actor = _reader(home, user, auth)
    known = home.pack.products.get(product)
    rules = [product if known is not None else "unknown"]
    details = {"rules": rules, "purpose": known.purpose if known else account.purpose}
    with Flow(home, "profile", "consultation", actor, details) as flow:
        if known is None or known.kind != "profile":
            raise RunError(
                "FG-SCO-22",
                "that product is no profile in counts",
                "See fieldgate products list.",
            )
        answer = _counted(home, known)
        answer["audit_entry"] = flow.finish({**details, "rows": len(answer["rows"])}).seq
        answer["receipt"] = flow.receipt()
        return answer


def _reader(home: Home, user: str, auth: str) -> tuple[Account, Actor]:
    account = open_account(home, user, auth)
    actor = actor_of(account, auth)
    if account.role not in home.pack.routes.get(ROUTE, frozenset()):
        record_denial(home, actor, "FG-SCO-23")
        error = PolicyRefused(
            "FG-SCO-23",
            "your role does not read problem profiles",
            "Ask the information governance lead who does.",
        )
        error.audited = True
        raise error
    suspended(home, account)
    return account, actor


def _counted(home: Home, product: Product) -> dict[str, Any]:
    kinds = {home.tables.kinds[name].id: home.tables.kinds[name].label
             for name in product.evidence if name in home.tables.kinds}  # fmt: skip
    labels, today = list(kinds.values()), home.clock().date()
    quarters = complete_quarters(today)
    open_kinds = _open_kinds(home, product)
    areas: dict[str, None] = {}
    found: list[Incident] = []
    for source_id in sorted(open_kinds):
        contract = contract_of(home.pack.sources[source_id])
        areas |= dict.fromkeys(_area(contract, place) for place in range(len(contract.yields))
                               if _kinds_at(contract, place) & set(product.evidence))  # fmt: skip
        found += [
            Incident(
                quarter(from_day_number(row["day"])),
                _area(contract, row["rule"] - 1),
                kinds[row["kind"]],
                (source_id, row["eid"]),
                row["record"],
            )
            for row in _rows(home, source_id, sorted(open_kinds[source_id]))
        ]
    rows = cells(found, quarters, sorted(areas), labels) if areas else []
    return {
        "product": product.id,
        "title": product.title,
        "purpose": product.purpose,
        "gateways": list(product.gateways),
        "kinds": labels,
        "least": LEAST,
        "rows": rows,
        "at_least": at_least(rows, labels),
        "not_counted": "" if open_kinds else "nothing of it may be used for this purpose today, or "
        "no source of it was ever delivered",
    }  # fmt: skip


def complete_quarters(today: date) -> list[str]:
    """Return the last quarters that have ended, the newest first, as `quarter` words them."""
    year, number = today.year, (today.month - 1) // 3
    found = []
    for _ in range(QUARTERS):
        year, number = (year, number - 1) if number else (year - 1, 3)
        found.append(quarter(date(year, number * 3 + 1, 1)))
    return found


def _open_kinds(home: Home, product: Product) -> dict[str, set[int]]:
    """Return, by source that was delivered, the kinds that its purpose opens today."""
    with Session(reading(home.casework)) as session:
        loaded = set(session.exec(select(Delivery.source).distinct()).all())
    names = {str(number): name for name, number in home.source_numbers().items()}
    wanted = {home.tables.kinds[one].id for one in product.evidence if one in home.tables.kinds}
    admitted = admitted_kinds(home, loaded, product.purpose)
    found = {names[number]: set(kinds) & wanted for number, kinds in admitted.items()}
    return {name: kinds for name, kinds in found.items() if kinds}


def _rows(home: Home, source: str, kinds: list[int]) -> list[dict[str, Any]]:
    live, order = home.live(), home.published()
    with Session(reading(home.casework)) as session:
        asked = select(Delivery.id).where(
            Delivery.source == source, col(Delivery.id).in_(list(order))
        )
        mine = session.exec(asked.order_by(col(Delivery.number))).all()
    closed = pa.array([bytes.fromhex(one) for one in restricted_records(home)], pa.binary(32))
    found: list[dict[str, Any]] = []
    for delivery in mine:
        table = pq.read_table(home.warehouse.events(delivery), filters=[("kind", "in", kinds)])
        table = live.rows(delivery, table)
        held = pc.is_in(table.column("record").cast(pa.binary(32)), value_set=closed)
        found += table.filter(pc.invert(held)).select(
            ["record", "eid", "kind", "day", "rule"]
        ).to_pylist()  # fmt: skip
    return found


def _area(contract: Contract, place: int) -> str:
    """Return the area that a yield of a contract is about: what its condition names.

    Args:
        contract: The contract.
        place: Place of the yield in it; -1 when an event does not say by which it came.
    """
    when = contract.yields[place].when if place >= 0 else {}
    return ", ".join(str(one) for one in when["in"]) if "in" in when else NOT_STATED


def _kinds_at(contract: Contract, place: int) -> set[str]:
    spec = contract.yields[place].spec.get("kind")
    if spec is None:
        return set()
    return {spec} if isinstance(spec, str) else set(spec["map"].values())
