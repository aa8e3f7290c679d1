"""Facts of a request that law and policy ask for; each from a trusted table or from the form itself.

A caller never states a fact about a person. What is missing is left out, and a condition that needs
it is not met.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlmodel import Session, select

from engine.domain.errors import PolicyRefused
from engine.domain.ids import day_number
from engine.flows.home import Home
from engine.flows.states import closed_names
from engine.intake.gather import OPEN_END
from engine.store.session import reading
from engine.store.tables import AccessReview, Account


def request_facts(home: Home, records: Sequence[bytes], *, justified: bool) -> dict[str, object]:
    """Return the facts of a request about a person.

    Args:
        home: The home.
        records: The person's records.
        justified: Whether a reason was given in the requester's own words. The form that takes it
            also takes the decision: who shares states by it that sharing is not more detrimental
            to the child than not; who holds it to be so withholds, which is recorded alike.
    """
    facts: dict[str, object] = {
        "reason_given": justified,
        "not_more_detrimental": justified,
        "decision_recorded": True,
    }
    codes, on_roll = _held(home, records)
    factors = {home.pack.register.vocabulary.dea_factors.get(code) for code in codes} - {None}
    facts["dea_factors"] = len(factors)
    facts["on_roll"] = on_roll
    return facts


def _held(home: Home, records: Sequence[bytes]) -> tuple[set[str], bool]:
    """Return the indicator codes that some open record evidences, and whether one is on roll today."""
    domain = home.domain("record")
    closed = closed_names(home)
    names = [one for one in domain.seal(list(records)) if domain.text(one) not in closed]
    order, kinds = home.published(), home.tables.kind_by_id()
    today = day_number(home.clock().date())
    codes, on_roll = set(), False
    for row in home.warehouse.rows_of("events", order, names, home.live()):
        if row["kind"] in kinds:
            codes.add(kinds[row["kind"]].indicator(row.get("role", 0)))
    for row in home.warehouse.rows_of("states", order, names, home.live()):
        kind = kinds.get(row["kind"])
        if kind is None or not row["start"] <= today <= row.get("end", OPEN_END):
            continue
        codes.add(kind.indicator(0))
        on_roll = on_roll or kind.name == "school_roll"
    return codes - {""}, on_roll


def suspended(home: Home, account: Account) -> None:
    """Refuse an account whose training has run out, or whose use of break-glass nobody reviewed.

    Raises:
        PolicyRefused: ``FG-ACC-03`` training, ``FG-ACC-04`` an overdue review (LAW-14, LAW-23).
    """
    today = home.clock().date()
    role = home.pack.vocabulary.roles.get(account.role)
    if role is not None and role.training and not _trained(account, today):
        raise PolicyRefused(
            "FG-ACC-03",
            "your training has run out, so your role is suspended",
            "Finish the training; then the operator records its new last day.",
            ["E14 training is not current"],
        )
    with Session(reading(home.casework)) as session:
        overdue = session.exec(
            select(AccessReview.reveal).where(
                AccessReview.user == account.user,
                AccessReview.reviewed_by == None,  # noqa: E711  # SQL, not Python
                AccessReview.due < today.isoformat(),
            )
        ).first()
    if overdue is not None:
        raise PolicyRefused(
            "FG-ACC-04",
            "a use for immediate danger was not reviewed in time, so this account is restricted",
            "Ask the data protection officer to review it: fieldgate access review.",
            ["E14 review_after is overdue"],
        )


def _trained(account: Account, today: date) -> bool:
    return account.training_until is not None and account.training_until >= today.isoformat()
