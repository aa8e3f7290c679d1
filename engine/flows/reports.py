"""The seventeen reports that an officer checks, each run on what the house holds, skipped or failed.

law.md 2.2. A report that crashed says so and says nothing else; one whose data the house does not hold is
skipped with the reason. Running them reads the trail, and is recorded as one reading of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import numpy as np
from sqlmodel import Session, col, select

from audit.act import Act
from audit.errors import AuditFault
from audit.facets import Question
from audit.search import read_acts
from engine.domain.errors import ConfigError, FieldgateError
from engine.domain.ids import as_utc
from engine.flows import report_access as access
from engine.flows import report_law as law
from engine.flows import report_products as products
from engine.flows import report_trail as own
from engine.flows.accounts import actor_of, open_account
from engine.flows.evaluate import labels_of
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.lists import latest_run
from engine.flows.monitor_near import Nearness
from engine.flows.registry import why_not_served
from engine.flows.report_form import FAILED, Told, failed
from engine.flows.reveal import case_token
from engine.flows.search_trail import Search, asked_at, index_of, question_of
from engine.flows.trail import USES, may_read, verify_trail
from engine.linkage.index import ids_of, resolve
from engine.store.session import reading
from engine.store.tables import (
    AccessReview,
    Account,
    Delivery,
    FlagRegister,
    LinkDecision,
    ProductStep,
    SubjectState,
)

PERIOD = timedelta(days=92)
"""Days back that are read when nobody states a first day: a quarter."""
MOST_ACTS = 200_000
KIN = "staff_kin"


@dataclass
class Desk:
    """What a report may read: the home, the acts of the period, and the day.

    Everything is read when it is first asked for, so that what one report cannot read fails that one alone.
    """

    home: Home
    acts: list[Act]
    today: date
    asking: str = ""
    """Intent of the question itself, which has no outcome while it is answered."""
    user: str = ""
    """Who asks."""

    @cached_property
    def staff(self) -> dict[str, access.Staff]:
        """Return user to account."""
        roles = self.home.pack.vocabulary.roles
        with Session(reading(self.home.casework)) as session:
            return {
                one.user: access.Staff(
                    one.user, one.agency, one.role, one.active, one.training_until,
                    one.role in roles and roles[one.role].training,
                )
                for one in session.exec(select(Account)).all()
            }  # fmt: skip

    @cached_property
    def held(self) -> list[law.Held]:
        """Return the deliveries, with how long each of their fields may be kept."""
        sources = self.home.pack.sources
        with Session(reading(self.home.casework)) as session:
            rows = session.exec(select(Delivery).order_by(col(Delivery.number))).all()
            return [
                law.Held(
                    one.number, one.source, as_utc(one.accepted_at),
                    self._ended(session, one),
                    {name: spec.retention_years for name, spec in sources[one.source].fields.items()
                     if spec.retention_years is not None} if one.source in sources else {},
                )
                for one in rows if one.state != "refused"
            ]  # fmt: skip

    @staticmethod
    def _ended(session: Session, one: Delivery) -> Any:
        """Return when a delivery stopped to count: by a person's word, or by the one that replaced it."""
        if one.state == "withdrawn" and one.decided_at is not None:
            return as_utc(one.decided_at)
        newer = session.get(Delivery, one.replaced_by) if one.replaced_by else None
        return as_utc(newer.accepted_at) if one.state == "replaced" and newer is not None else None

    def kin(self) -> tuple[set[str], bool]:
        """Return the audit names of who bears the flag of staff's kin, and whether it was declared."""
        casework, audit = self.home.domain("casework"), self.home.domain("audit")
        with Session(reading(self.home.casework)) as session:
            declared = session.get(FlagRegister, KIN) is not None
            people = [
                one.person for one in session.exec(select(SubjectState)).all()
                if one.flags.get(KIN) == "y"
            ]  # fmt: skip
        # The trail names somebody as they were called then: every id that leads to the person counts.
        runs, ids = self.home.link_runs(), set[bytes]()
        for one in map(casework.parse, people):
            now = resolve(self.home.linkage, one, runs) or one
            ids |= {one, now} | {each for each in ids_of(self.home.linkage, now, runs)
                                 if resolve(self.home.linkage, each, runs) == now}  # fmt: skip
        sealed = audit.seal(sorted(ids)) if ids else []
        return {str(audit.text(one)) for one in sealed}, declared

    def reviews(self) -> list[access.Review]:
        """Return the uses for immediate danger and their reviews."""
        with Session(reading(self.home.casework)) as session:
            return [
                access.Review(one.reveal, one.user, one.due, one.reviewed_by, one.finding)
                for one in session.exec(select(AccessReview)).all()
            ]

    def answered_alone(self) -> int:
        """Return how many decisions that need two people name one twice."""
        with Session(reading(self.home.casework)) as session:
            return (
                sum(one.second_by == one.decided_by for one in session.exec(select(LinkDecision)))
                + sum(one.answered_by == one.asked_by for one in session.exec(select(ProductStep)))
                + sum(one.reviewed_by == one.user for one in session.exec(select(AccessReview)))
            )

    def flagged(self) -> Told:
        """Return who stands on the lists that are served, by group, in counts."""
        home, run = self.home, latest_run(self.home)
        if run is None:
            return products.flagged({}, {})
        closed = why_not_served(home, run)
        names = [
            bytes(one)
            for one in home.warehouse.result(run.id, "person").column("person").to_pylist()
        ]
        on: dict[str, list[bool]] = {}
        for rule in home.tables.lists:
            if rule.id in run.manifest["lists"] and rule.theme not in closed:
                rows = home.warehouse.result(run.id, f"list.{rule.id}").to_pylist()
                listed = np.zeros(len(names), bool)
                listed[[row["pid"] for row in rows]] = True
                on[rule.id] = listed.tolist()
        return products.flagged(on, *labels_of(home, names))


@dataclass(frozen=True)
class Kind:
    """One of the seventeen: its number in law.md 2.2, its title, and how it is made."""

    number: int
    title: str
    make: Callable[[Desk], Told]


def _gateways(desk: Desk) -> Told:
    known = desk.home.pack.register.gateways
    implied = {name for name, one in known.items() if "implied_power" in one.conditions}
    return law.gateways(desk.acts, {name: str(one.kind) for name, one in known.items()}, implied)


def _kin(desk: Desk) -> Told:
    names, declared = desk.kin()
    return access.kin(desk.acts, names, Nearness(desk.home), desk.user, declared=declared)


REPORTS: dict[str, Kind] = {
    "no_case": Kind(1, "Look-ups without a case",
                    lambda at: access.no_case(at.acts, case_token(at.home, ""))),
    "near_oneself": Kind(2, "Look-ups of oneself, neighbours and colleagues",
                         lambda at: access.near_oneself(at.acts, Nearness(at.home), at.user)),
    "staff_kin": Kind(3, "Look-ups of staff and their kin", _kin),
    "volume": Kind(4, "Out of hours, and who stands out in their role",
                   lambda at: access.volume(at.acts)),
    "leavers": Kind(5, "Access after leaving or moving",
                    lambda at: access.leavers(at.acts, at.staff)),
    "training": Kind(6, "Training that has run out",
                     lambda at: access.training(at.acts, at.staff.values(), at.today)),
    "agreements": Kind(7, "Agreements past review",
                       lambda at: law.agreements(at.home.pack, at.today)),
    "gateways": Kind(8, "Which gateways carried what", _gateways),
    "identify": Kind(9, "Requests to identify",
                     lambda at: access.identified(at.acts, at.answered_alone())),
    "immediate_danger": Kind(10, "Uses for immediate danger and their reviews",
                             lambda at: access.danger(at.acts, at.reviews(), at.today)),
    "retention": Kind(11, "Held longer than allowed", lambda at: law.retention(at.held, at.today)),
    "exports": Kind(12, "Handed over outside an agreement",
                    lambda at: law.exports(at.acts, at.home.pack.register.agreements)),
    "to_be_told": Kind(13, "To be told of a correction",
                       lambda at: law.to_be_told(at.acts, at.held)),
    "acted_on": Kind(14, "Scores looked at and acted on",
                     lambda at: products.acted_on(at.acts)),
    "flagged": Kind(15, "Who is flagged, by group", lambda at: at.flagged()),
    "trail_holds": Kind(16, "Whether the trail holds",
                        lambda at: own.holds(verify_trail(at.home), at.asking)),
    "readers": Kind(17, "Who read the trail", lambda at: own.readers(at.acts)),
}  # fmt: skip
"""Name of a report to what it is, in the order of law.md 2.2."""


def reports(
    home: Home,
    user: str,
    use: str,
    only: str = "",
    first: str = "",
    last: str = "",
    *,
    auth: str,
    known: Mapping[str, Kind] = REPORTS,
) -> dict[str, Any]:
    """Run the reports, or one of them.

    Args:
        home: The home.
        user: Who asks.
        use: One of the four uses of the trail.
        only: Name of one report; empty for all.
        first: First day, year-month-day, UTC; empty for the last `PERIOD`.
        last: Last day; empty for today.
        auth: How the user signed in.
        known: The reports there are.

    Raises:
        PolicyRefused: ``FG-AUD-10`` the role may not read the trail, or the use is not one of four.
        ConfigError: ``FG-AUD-41`` a day is none; ``FG-AUD-42`` there is no such report; ``FG-AUD-43`` the
            period holds too much for one reading.

    Audited as ``audit_read`` once, with the report that was asked for.
    """
    account = open_account(home, user, auth)
    actor = actor_of(account, auth)
    stated = only if only in known else "unknown" if only else "all"
    details: dict[str, Any] = {"rules": [use if use in USES else "unknown", stated]}
    with Flow(home, "reports", "audit_read", actor, details) as flow:
        may_read(home, account, use)
        if stated == "unknown":
            raise ConfigError(
                "FG-AUD-42", "there is no such report", f"Reports are {', '.join(known)}."
            )
        today = home.clock().date()
        begin = first.strip() or (today - PERIOD).isoformat()
        desk = Desk(home, _acts(home, flow, begin, last), today, flow.intent, user)
        names = [only] if only else list(known)
        found = [_run(name, known[name], desk) for name in names]
        entry = flow.finish({**details, "rows": len(found)})
        return {
            "use": use,
            "first": begin,
            "last": last.strip() or today.isoformat(),
            "acts": len(desk.acts),
            "reports": found,
            "audit_entry": entry.seq,
            "receipt": flow.receipt(),
        }


def _acts(home: Home, flow: Flow, first: str, last: str) -> list[Act]:
    question = question_of(home, Search(first=first, last=last))
    index = index_of(home, flow)
    # As it stood when it was asked: another reader may have brought the index further by now.
    mask = index.mask(
        Question(first=question.first, last=question.last, below=asked_at(flow, index))
    )
    if int(mask.sum()) > MOST_ACTS:
        raise ConfigError(
            "FG-AUD-43",
            f"the period holds more than {MOST_ACTS:,} acts",
            "Choose a shorter period.",
        )
    return read_acts(home.path / "audit", index.page(mask, 1, MOST_ACTS), home.log_opening())[::-1]


def _run(name: str, kind: Kind, desk: Desk) -> dict[str, Any]:
    try:
        told = kind.make(desk)
    except (FieldgateError, AuditFault) as fault:
        told = failed(fault.code)
    except Exception as error:  # noqa: BLE001  # a report that crashed is not one that found nothing
        told = failed(type(error).__name__)
    return {
        "name": name,
        "number": kind.number,
        "title": kind.title,
        "status": told.status,
        "figure": told.figure if told.status != FAILED else None,
        "unit": told.unit,
        "columns": list(told.columns),
        "rows": [list(row) for row in told.rows],
        "note": told.note,
    }
