"""Review lists and the outcomes that a named human records; who may see derived data at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlmodel import Session, col, select

from engine.domain.errors import PolicyRefused
from engine.domain.ids import Actor, as_utc
from engine.flows import trend
from engine.flows.accounts import actor_of, open_account
from engine.flows.decision import NOTHING
from engine.flows.facts import suspended
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.product_tables import PURPOSE, derived_source, run_purpose, told_themes
from engine.flows.registry import figures, must_serve, why_not_served
from engine.flows.states import joined_names
from engine.flows.subjects import bulk_subjects
from engine.linkage.index import current_membership
from engine.store.session import reading
from engine.store.tables import Account, RecordFlag, ReviewItem, ScoreRun
from policies import authorise
from policies.matrix import plain_state
from policies.model import Level, Request, State
from policies.products import counts_of
from scoring.tables import ListRule

OUTCOMES = {
    "accept": "Accept for support",
    "watch": "Watch and review again",
    "not_appropriate": "Not appropriate",
    "need_more": "Need more information",
}

# Pages about lists and evidence are opened under the purpose that was declared at sign-in, with the
# statement made there that looking serves a child's welfare and is not more detrimental to the child.
STANDING_FACTS = {
    "reason_given": True,
    "not_more_detrimental": True,
    "decision_recorded": True,
}


def level_of(home: Home, account: Account, source: str, name: str, state: State) -> Level:
    """Return the level of a derived field for an account, or refuse with every reason.

    Raises:
        PolicyRefused: ``FG-REV-03``.
    """
    suspended(home, account)
    request = Request(account.role, account.agency, account.purpose, STANDING_FACTS)
    view = authorise(home.pack, request, source, [name], home.clock().date(), frozenset())
    level = view.level(name, state)
    if level == Level.REFUSE:
        raise PolicyRefused(
            "FG-REV-03",
            "your role may not see this for its purpose",
            "Ask your information governance lead which role it needs. " + NOTHING,
            [f"{reason.code} {reason.sentence}" for reason in view.fields[name].reasons],
        )
    return level


def shown_level(home: Home, account: Account, source: str, name: str, state: State) -> Level:
    """Return `level_of`, and `Level.REFUSE` where that refuses: part of a page is left out, not all."""
    try:
        return level_of(home, account, source, name, state)
    except PolicyRefused:
        return Level.REFUSE


def in_full(home: Home, account: Account, source: str, name: str, state: State) -> None:
    """Refuse unless the field may be shown in full: a number has no other form here yet."""
    if level_of(home, account, source, name, state) < Level.CLEAR:
        raise PolicyRefused(
            "FG-REV-03",
            "your role may not see this in full",
            "Ask your information governance lead which role it needs. " + NOTHING,
            ["E13 the grant is for less than the full value"],
        )


def list_state(home: Home) -> State:
    """State of a list as a whole: its inputs were filtered, and each person is looked at alone."""
    return plain_state(home.pack)


def withdrawn(home: Home, run: ScoreRun) -> set[str]:
    """References of people a record of whom was closed since the run.

    A refused record counts nowhere: until the next run leaves it out, the person is not shown.
    """
    with Session(reading(home.casework)) as session:
        rows = session.exec(
            select(RecordFlag.record, RecordFlag.set_at).where(
                col(RecordFlag.flag).in_(sorted(home.pack.vocabulary.closing_flags)),
                RecordFlag.value == "y",
            )
        ).all()
    since = [record for record, set_at in rows if as_utc(set_at) >= as_utc(run.published_at)]
    if not since:
        return set()
    record, joined = home.domain("record"), joined_names(home)
    ids = [record.parse(name) for one in since for name in {one, joined.get(one, one)}]
    members = current_membership(home.linkage, home.link_runs())
    people = {members[sealed] for sealed in home.domain("linkage").seal(ids) if sealed in members}
    casework = home.domain("casework")
    return {casework.text(sealed) for sealed in casework.seal(sorted(people))}


def latest_run(home: Home, purpose: str = PURPOSE) -> ScoreRun | None:
    """Return the newest published run of a purpose."""
    asked = select(ScoreRun).where(ScoreRun.purpose == purpose)
    with Session(reading(home.casework), expire_on_commit=False) as session:
        return session.exec(asked.order_by(col(ScoreRun.number).desc())).first()


def purpose_of(home: Home, account: Account) -> str:
    """Return the purpose of the runs that an account is shown (ADR 0016)."""
    return run_purpose(home.pack, home.tables, account.purpose)


def source_of(home: Home, account: Account, name: str) -> str:
    """Return the source of derived data that holds a field for the purpose of an account."""
    return derived_source(home.pack, purpose_of(home, account), name)


def review_lists(
    home: Home, user: str | None, *, auth: str, only: str | None = None
) -> dict[str, Any]:
    """Return the newest review lists, with the receipt of what left.

    Args:
        user: Who looks; None for an operator of a demo home, who sees references and numbers only. The
            lists are those of the run of their purpose.
        only: The id of the one list that is wanted; its product must be live.

    Raises:
        PolicyRefused: The role may not see lists.

    Audited as ``consultation``.
    """
    if user is None and not home.is_demo:
        raise PolicyRefused(
            "FG-REV-01", "lists are read with an account", "Run as a user who has an account."
        )
    actor, purpose = Actor(user or "operator", "host", "operator", auth), PURPOSE
    if user is not None:
        account = open_account(home, user, auth)
        actor, purpose = actor_of(account, auth), purpose_of(home, account)
    source = derived_source(home.pack, purpose, "review_list")
    with Flow(home, "review_list", "consultation", actor, {"source": source}) as flow:
        if user is not None:
            in_full(home, account, source, "review_list", list_state(home))
        run = latest_run(home, purpose)
        answer: dict[str, Any] = {"run": None, "as_of": None, "lists": [], "not_scored": {},
                                  "not_served": {}}  # fmt: skip
        if run is not None:
            hidden, closed = withdrawn(home, run), why_not_served(home, run)
            mine = told_themes(home.pack, home.tables, purpose)
            rules = [one for one in home.tables.lists
                     if one.theme in mine and only in (None, one.id)]  # fmt: skip
            if only is not None and not rules:
                raise _no_list()
            if only is not None:
                must_serve(home, run, rules[0].theme)
            answer = {
                "run": run.id,
                "as_of": run.as_of,
                "lists": [_list(home, run, rule, hidden, closed) for rule in rules],
                "not_scored": run.manifest["themes_not_scored"],
                "not_served": {theme: why for theme, why in closed.items() if theme in mine},
            }
        listed = sum(len(one["entries"]) for one in answer["lists"])
        casework = home.domain("casework")
        shown = {
            casework.parse(each["person"]) for one in answer["lists"] for each in one["entries"]
        }
        details = {
            "source": source,
            "run": answer["run"] or "",
            "rows": listed,
            "subjects": bulk_subjects(home, shown),
        }
        answer["audit_entry"] = flow.finish(details).seq
        answer["receipt"] = flow.receipt()
        return answer


def review_list(home: Home, user: str, name: str, *, auth: str) -> dict[str, Any]:
    """Return one review list, or refuse when its product is not live.

    Raises:
        PolicyRefused: ``FG-REV-08`` there is no such list, or the role may not see lists.
        RunError: ``FG-REG-01`` its product is not live: nothing is served, no old score either.

    Audited as ``consultation``.
    """
    if name not in {one.id for one in home.tables.lists}:
        raise _no_list()
    return review_lists(home, user, auth=auth, only=name)


def _no_list() -> PolicyRefused:
    return PolicyRefused("FG-REV-08", "there is no such list", "See the lists.")


def _list(
    home: Home, run: ScoreRun, rule: ListRule, hidden: set[str], closed: Mapping[str, str]
) -> dict[str, Any]:
    scored = rule.theme not in run.manifest["themes_not_scored"]
    served = rule.theme not in closed
    trends = trend.of_list(home, run, rule) if scored and served else {}
    with Session(reading(home.casework)) as session:
        items = session.exec(
            select(ReviewItem)
            .where(ReviewItem.run == run.id, ReviewItem.list == rule.id)
            .order_by(col(ReviewItem.rank))
        ).all()
        also = _also_on(home, session, run, rule, closed)
        hidden_scores, matched = (
            _undecided_blind(session, run),
            _not_quite_sure(home, run, [one.person for one in items]),
        )
        entries = [
            {
                "item": item.id,
                "rank": item.rank,
                "person": item.person,
                "score": None if item.person in hidden_scores else item.score / 1000,
                "blind": item.blind,
                "trend": None if item.person in hidden_scores else trends.get(item.rank),
                "outcome": item.outcome,
                "also_on": also.get(item.person, []),
                "match": matched.get(item.person, 1.0),
            }
            for item in items
            if item.person not in hidden and served
        ]
    return {
        "id": rule.id,
        "label": rule.label,
        "figures": _figures(home, rule),
        "capacity": rule.capacity,
        "theme": rule.theme,
        "pick": rule.pick,
        "track": rule.track,
        "scored": scored,
        "served": served,
        "entries": entries,
    }


def _figures(home: Home, rule: ListRule) -> dict[str, Any] | None:
    """Return what the release of a list's product says it was worth at its line, and on whom (T-TF5)."""
    product = next((one for one in home.pack.products.values()
                    if one.kind == "list" and one.theme == rule.theme), None)  # fmt: skip
    counts = counts_of(product) if product is not None and rule.pick == "high" else {}
    if product is None or not counts:
        return None
    evaluation, derived = product.release["evaluation"], figures(counts)
    return {
        **{name: derived[name] for name in ("precision", "recall", "base_rate")},
        "population": evaluation.get("population", ""),
        "synthetic": evaluation.get("synthetic", "") == "yes",
    }


def _not_quite_sure(home: Home, run: ScoreRun, persons: Sequence[str]) -> dict[str, float]:
    """Return how likely the records of some persons are one person's each, where a run knows (T10)."""
    people, casework = home.warehouse.result(run.id, "person"), home.domain("casework")
    sealed = home.domain("analysis").seal([casework.parse(one) for one in persons])
    names = people.column("person").combine_chunks()
    places = pc.index_in(pa.array(sealed, names.type), value_set=names)
    parts = people.column("link_p").combine_chunks().take(places).to_pylist()
    return {
        name: part / 1000 for name, part in zip(persons, parts, strict=True) if part is not None
    }


def _also_on(
    home: Home, session: Session, run: ScoreRun, rule: ListRule, closed: Mapping[str, str]
) -> dict[str, list[str]]:
    """Return the labels of the other lists that a person stands on, blind places left out."""
    labels = {one.id: one.label for one in home.tables.lists if one.theme not in closed}
    found: dict[str, list[str]] = {}
    for one in session.exec(
        select(ReviewItem).where(ReviewItem.run == run.id, ReviewItem.list != rule.id)
    ).all():
        if not one.blind and one.list in labels:
            found.setdefault(one.person, []).append(labels[one.list])
    return found


def _undecided_blind(session: Session, run: ScoreRun) -> set[str]:
    """Return who was drawn from below the line and has no outcome: no list shows a score of theirs (T17)."""
    rows = session.exec(
        select(ReviewItem.person).where(
            ReviewItem.run == run.id, col(ReviewItem.blind), col(ReviewItem.outcome).is_(None)
        )
    ).all()
    return set(rows)


def decide(home: Home, user: str, item: int, outcome: str, *, auth: str) -> dict[str, Any]:
    """Record what a named human decided about a list entry.

    Raises:
        PolicyRefused: ``FG-REV-08`` unknown entry or outcome, or it was decided already.

    Audited as ``alteration``. No score leads to an action without this record.
    """
    account = open_account(home, user, auth)
    actor = actor_of(account, auth)
    source = source_of(home, account, "review_list")
    with Flow(home, "decide", "alteration", actor, {"source": source}) as flow:
        in_full(home, account, source, "review_list", list_state(home))
        if outcome not in OUTCOMES:
            raise PolicyRefused(
                "FG-REV-08",
                "that outcome is not one of the list",
                f"Use {', '.join(OUTCOMES)}.",
            )

        def publish(session: Session) -> str:
            found = session.get(ReviewItem, item)
            run = latest_run(home, purpose_of(home, account))
            old = found is None or run is None or found.run != run.id
            if found is None or run is None or old or found.outcome is not None:
                raise PolicyRefused(
                    "FG-REV-08",
                    "that entry is not there or was decided already",
                    "Look again.",
                )
            must_serve(home, run, found.list.partition(".")[0])
            # One lead reviewer: what is decided about a person counts on every list of the run.
            for one in session.exec(
                select(ReviewItem).where(
                    ReviewItem.run == found.run,
                    ReviewItem.person == found.person,
                    col(ReviewItem.outcome).is_(None),
                )
            ).all():
                one.outcome, one.decided_by, one.decided_at = outcome, user, home.clock()
            return found.person

        person = flow.commit(publish)
        audit = home.domain("audit")
        subject = audit.text(audit.seal([home.domain("casework").parse(person)])[0])
        flow.finish({"source": source, "subject": subject, "rules": [outcome]})
        return {"item": item, "outcome": outcome, "decided_by": user}
