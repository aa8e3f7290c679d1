"""Undo a wrong merge: one record leaves a person for good, and everything that used the merge is listed.

The record and every other record of the person are decided apart, which survives every relink. Scores
are recomputed by the next run; who saw the merged person is told here and cannot be taken back.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlmodel import Session, col, select

from audit.event import commitment
from engine.domain.errors import LinkageError, PolicyRefused, VaultError
from engine.domain.ids import as_utc
from engine.flows.clerical import SHORTEST_REASON, record_decision, replace_single, reviewer
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.open_pairs import pair_token
from engine.flows.reason import keep_reason
from engine.flows.second import TWO_PEOPLE, needs_second
from engine.flows.sides import sides_of
from engine.linkage.index import ids_of, records_of, resolve
from engine.linkage.memory import CANNOT, forget_decision, write_decision
from engine.store.session import reading
from engine.store.tables import LinkDecision, Reveal, ReviewItem, ScoreRun


def part(
    home: Home, user: str, person: str, number: int, reason: str, *, auth: str
) -> dict[str, Any]:
    """Decide that one record of a person is somebody else's.

    Args:
        home: The home.
        user: Who decides.
        person: Casework reference of the person.
        number: Which record, from 1, in the order of `engine.flows.pair_view.open_records`.
        reason: In the reviewer's own words; sealed.
        auth: How the user signed in.

    Returns:
        The decision, and every score, list place and reveal of the merged person.

    Raises:
        PolicyRefused: ``FG-LNK-06`` the role reviews no pairs, ``FG-REV-02`` nobody has the reference.
        LinkageError: ``FG-LNK-08`` no reason, ``FG-LNK-11`` the person has no such record, or only it.

    Audited as ``alteration`` with the person.
    """
    account, actor = reviewer(home, user, auth)
    salt = home.randomness(32)
    details: dict[str, Any] = {
        "purpose": account.purpose,
        "reason": commitment(salt, reason),
    }
    with Flow(home, "person_part", "alteration", actor, details) as flow:
        keep_reason(home, flow.intent, salt, reason)
        if len(reason.strip()) < SHORTEST_REASON:
            raise LinkageError(
                "FG-LNK-08",
                "a decision needs an answer and a reason",
                f"Say why in at least {SHORTEST_REASON} characters.",
            )
        person_id, text = find_person(home, person)
        audit = home.domain("audit")
        details["subject"] = audit.text(audit.seal([person_id])[0])
        held = records_of(home.linkage, person_id, home.link_runs())
        if not 1 <= number <= len(held) or len(held) < 2:
            raise LinkageError(
                "FG-LNK-11",
                "the person has no such record, or no other one",
                "See the person's records: fieldgate pairs records.",
            )
        sides_of(home, account, home.domain("linkage").open(held))
        why = [one for one in needs_second(home, (text, text)) if one.endswith("person")]
        gone = held[number - 1]
        others = [one for one in held if one != gone]
        write_decision(home.linkage, flow.intent, [(gone, one) for one in others], CANNOT)
        made = flow.commit(
            lambda session: _publish(session, flow, gone, others, text, account.user, bool(why))
        )
        rests = dependents(home, text)
        entry = flow.finish(
            {**details, "decision": "part", "obligations": why, "counts": _counts(rests)}
        )
        return {
            "decision": made.number,
            "person": text,
            "takes_effect": "when a second reviewer agrees" if why else "with the next link",
            "rests_on_it": rests,
            "audit_entry": entry.seq,
        }


def discard(home: Home, intent: str) -> None:
    """Take back what an unfinished parting staged."""
    forget_decision(home.linkage, intent)


def dependents(home: Home, person: str) -> dict[str, list[dict[str, Any]]]:
    """Return what was made of a person and who saw it: runs with a score, list places, reveals.

    A person who was merged is also what was written under the ids of those whose records joined.

    Args:
        home: The home.
        person: Casework reference.
    """
    casework = home.domain("casework")
    ids = ids_of(home.linkage, casework.parse(person), home.link_runs())
    names = [casework.text(one) for one in casework.seal(ids)]
    with Session(reading(home.casework)) as session:
        runs = session.exec(select(ScoreRun).order_by(col(ScoreRun.number))).all()
        items = session.exec(select(ReviewItem).where(col(ReviewItem.person).in_(names))).all()
        seen = session.exec(
            select(Reveal).where(col(Reveal.person).in_(names)).order_by(col(Reveal.opened_at))
        ).all()
        sealed = home.domain("analysis").seal(ids)
        return {
            "scores": [
                {"run": one.number, "as_of": one.as_of} for one in runs if _scored(home, one, sealed)
            ],
            "list_places": [
                # That there was a place and who decided; which list and what, a matcher need not know.
                {"run": one.run, "decided_by": one.decided_by} for one in items
            ],
            "reveals": [
                {"user": one.user, "agency": one.agency, "purpose": one.purpose,
                 "opened_at": as_utc(one.opened_at).isoformat(timespec="seconds")}
                for one in seen
            ],
        }  # fmt: skip


def _scored(home: Home, run: ScoreRun, sealed: list[bytes]) -> bool:
    path = home.warehouse.run(run.id) / "person.parquet"
    if not path.exists():
        return False
    column = home.warehouse.result(run.id, "person").column("person")
    found = pc.is_in(column, value_set=pa.array(sealed, column.type))
    return bool(pc.any(found).as_py())


def _counts(rests: dict[str, list[dict[str, Any]]]) -> dict[str, int]:
    return {name: len(rows) for name, rows in rests.items()}


def find_person(home: Home, person: str) -> tuple[bytes, str]:
    """Return the present id and casework reference of a person, redirects followed.

    Raises:
        PolicyRefused: ``FG-REV-02`` nobody has the reference.
    """
    casework = home.domain("casework")
    try:
        found = resolve(home.linkage, casework.parse(person), home.link_runs())
    except VaultError:
        found = None
    if found is None:
        raise PolicyRefused(
            "FG-REV-02", "that is no reference of a person here", "Copy it again from the list."
        )
    return found, casework.text(casework.seal([found])[0])


def _publish(
    session: Session,
    flow: Flow,
    gone: bytes,
    others: list[bytes],
    person: str,
    user: str,
    second: bool,  # noqa: FBT001  # whether it waits, as decided a line before
) -> LinkDecision:
    """Add the decision. The newest final word about a pair holds, so that none is marked before."""
    tokens = [pair_token(flow.home, gone, one) for one in others]
    if not second:
        about = select(LinkDecision).where(col(LinkDecision.pair).in_(tokens))
        replace_single(session, flow.home, session.exec(about).all())
    return record_decision(
        session, flow, tokens[0], "two", "wrong_merge", (person, person), user,
        [TWO_PEOPLE] if second else [],
    )  # fmt: skip
