"""Decide a reveal over every record of a person, before anything is opened."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date

from sqlmodel import Session, select

from engine.domain.errors import ConfigError, PolicyRefused
from engine.flows.disclose import visible_content
from engine.flows.facts import request_facts, suspended
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.places import places_of, without_name
from engine.flows.product_tables import run_purpose
from engine.flows.states import (
    declared,
    joined_names,
    record_rows,
    record_state,
    stated_of,
    subject_flags,
)
from engine.linkage.index import records_of, resolve
from engine.linkage.index_tables import encoding
from engine.store.session import reading
from engine.store.tables import (
    Account,
    FlagRegister,
    SubjectState,
)
from policies import authorise
from policies.authorise import open_bases
from policies.errors import PolicyFault
from policies.model import Level, Pack, Request, Source
from policies.shadow import shadow_level
from policies.view import View

MIN_REASON = 20
SHARE, WITHHOLD = "share", "withhold"
"""What the person decided who asks: to share, or to withhold because sharing is more detrimental to the
child than not sharing (Children Act 2004 s.16LA(3)). Each is a decision with reasons, logged alike."""
NOTHING = "What is not shown may be absent or not shared with you. Nothing found never means nothing known."


@dataclass(frozen=True, slots=True)
class Ask:
    """What a practitioner asks: who, why, under which case, in their own words, and what they decided."""

    user: str
    purpose: str
    case: str
    reason: str
    person: str
    sharing: str = SHARE


@dataclass
class Decided:
    """A decision over every record of a person, before anything is opened."""

    request: Request
    records: list[bytes]
    sources: dict[bytes, str]
    names: dict[bytes, str]
    states: dict[bytes, dict[str, str]]
    views: dict[str, View]
    obligations: list[str]
    bases: list[tuple[str, str]]
    subject: tuple[str, dict[str, str], frozenset[str]]
    tell: set[str] = field(default_factory=set)

    @property
    def minutes(self) -> int:
        """Shortest time box over the obligations; 15 when none is stated."""
        boxes = [int(o.split(":")[1]) for o in self.obligations if o.startswith("time_box:")]
        return min(boxes, default=15)

    @property
    def review_days(self) -> int | None:
        """Working days within which another person reviews the use; None when none is owed."""
        days = [int(o.split(":")[1]) for o in self.obligations if o.startswith("review_after:")]
        return min(days, default=None)


def decide(flow: Flow, ask: Ask, account: Account, person_id: bytes | None) -> Decided:
    """Decide over all records; refuse with every reason when nothing may be shown."""
    home, pack = flow.home, flow.home.pack
    flow.arrow("decide")
    if person_id is None:
        raise PolicyRefused(
            "FG-REV-02",
            "that is no reference of a person here",
            "Copy it again from the list.",
        )
    records = home.domain("linkage").open(records_of(home.linkage, person_id, home.link_runs()))
    if not records:
        raise PolicyRefused(
            "FG-REV-02",
            "that is no reference of a person here",
            "Copy it again from the list.",
        )
    suspended(home, account)
    with Session(reading(home.casework)) as session:
        _below_the_line(home, session, ask, account.role)
    met = _met(ask)
    sources = sources_of(home, records)
    names = dict(zip(records, _record_names(home, records), strict=True))
    as_of = home.clock().date()
    facts = request_facts(home, records, justified="justify" in met)
    request = Request(account.role, account.agency, ask.purpose, facts)
    views = {
        name: authorise(pack, request, name, pack.sources[name].fields, as_of, met)
        for name in sorted(set(sources.values()))
    }
    decided = Decided(request, records, sources, names, {}, views, [], [], ("", {}, frozenset()))
    _load_states(home, ask.person, decided)
    _require_something(home, decided, met)
    _shadow(home, decided)
    return decided


def _below_the_line(home: Home, session: Session, ask: Ask, role: str) -> None:
    """Keep who was only drawn from below the line without a name until the reviewer's own view says more.

    A person drawn so that the line can be checked is reviewed on pseudonymous evidence; an outcome of
    ``accept`` or ``watch`` opens the identity (T-GM5). Immediate danger goes before it.
    """
    pack = home.pack
    if ask.purpose == pack.vocabulary.break_glass_purpose:
        return
    if role not in pack.routes.get("lists", frozenset()):
        return  # Who sees no list has the reference from somewhere else, and an own reason to ask.
    person = resolve(home.linkage, home.domain("casework").parse(ask.person), home.link_runs())
    purpose = run_purpose(pack, home.tables, ask.purpose)
    if person is not None and without_name(places_of(home, session, person, purpose)):
        raise PolicyRefused(
            "FG-REV-11",
            "this person was drawn from below the line and stays without a name",
            "Record your own view of the evidence first; accept or watch opens the identity.",
            ["E12 below the line nobody is identified before a person's own view says so"],
        )


def _met(ask: Ask) -> frozenset[str]:
    found = set()
    if len(ask.reason.strip()) >= MIN_REASON:
        found.add("justify")
    if len(ask.case.strip()) >= 3:
        found.add("case_ref")
    return frozenset(found)


def _record_names(home: Home, records: list[bytes]) -> list[str]:
    domain = home.domain("record")
    return [domain.text(sealed) for sealed in domain.seal(records)]


def sources_of(home: Home, records: list[bytes]) -> dict[bytes, str]:
    """Return the source of each record, as the linkage store knows it."""
    sealed = dict(zip(home.domain("linkage").seal(records), records, strict=True))
    with home.linkage.connect() as connection:
        rows = connection.execute(
            encoding.select()
            .with_only_columns(encoding.c.record, encoding.c.source)
            .where(encoding.c.record.in_(list(sealed)))
        )
        return {sealed[bytes(row.record)]: str(row.source) for row in rows}


def _load_states(home: Home, person: str, decided: Decided) -> None:
    """Read flags of the person and of each record from the trusted tables; absent is unknown."""
    rows = record_rows(home, decided.names.values())
    with Session(reading(home.casework)) as session:
        subject = session.get(SubjectState, person)
    complete = declared(home)
    flags = subject_flags(home, subject, rows, complete)
    decided.subject = (
        subject.link_run if subject else "",
        dict(subject.flags) if subject else {},
        complete,
    )
    for record, name in decided.names.items():
        decided.states[record] = record_state(home, decided.sources[record], name, flags, rows)


def _require_something(home: Home, decided: Decided, met: frozenset[str]) -> None:
    pack = home.pack
    owed: set[str] = set()
    bases: set[tuple[str, str]] = set()
    for record, source in decided.sources.items():
        view, state = decided.views[source], decided.states[record]
        if not visible_content(pack.sources[source], view, state):
            continue
        for name, answer in view.fields.items():
            if view.level(name, state) > Level.REFUSE:
                owed.update(answer.obligations)
                if "notify" in answer.obligations:
                    decided.tell.add(pack.giver(pack.sources[source]))
                if answer.basis:
                    bases.add(answer.basis)
    if not bases:
        raise _refusal(home, decided, met)
    decided.obligations = sorted(owed)
    decided.bases = sorted(bases)


def _refusal(home: Home, decided: Decided, met: frozenset[str]) -> PolicyRefused:
    """Word a refusal from the request alone.

    The reasons run over every source of the pack and not over those that hold the person, so that a
    refusal never tells which service knows somebody; a silent cap adds nothing to it.
    """
    as_of = home.clock().date()
    counted: Counter[str] = Counter()
    for name, source in home.pack.sources.items():
        view = authorise(home.pack, decided.request, name, source.fields, as_of, met)
        counted.update(
            f"{reason.code} {reason.sentence}"
            for answer in view.fields.values()
            for reason in answer.reasons
        )
    unmet = sorted(reason for reason in counted if reason.startswith("E14"))
    common = sorted(counted, key=lambda reason: (-counted[reason], reason))[:8]
    return PolicyRefused(
        "FG-REV-04" if unmet else "FG-REV-03",
        "nothing of this person may be shown to you for this purpose",
        f"Give a case reference and a reason of at least {MIN_REASON} characters, and ask again."
        if unmet
        else "If you need it for a child's safety, ask your information governance lead. "
        + NOTHING,
        unmet or common or ["E12 no grant covers this request"],
    )


def _shadow(home: Home, decided: Decided) -> None:
    """Let casbin decide again; a disagreement refuses and is in the trail as FG-REV-05.

    casbin answers by category, so fields of one category in one state are one question.
    """
    as_of = home.clock().date()
    for source, view in decided.views.items():
        spec = home.pack.sources[source]
        states = {
            tuple(sorted(decided.states[record].items()))
            for record, name in decided.sources.items()
            if name == source
        }
        asked: dict[tuple[object, ...], Level] = {}
        for name in view.fields:
            field_spec = spec.fields[name]
            law = (field_spec.category, field_spec.gateways, field_spec.agreements,
                   field_spec.purposes, field_spec.retention_years)  # fmt: skip
            for items in states:
                state, key = dict(items), (law, items)
                level = view.level(name, state)
                if level == Level.REFUSE:
                    continue
                if key not in asked:
                    asked[key] = _second(home.pack, decided, spec, name, state, as_of)
                if level != asked[key]:
                    raise PolicyRefused(
                        "FG-REV-05",
                        "the two policy engines disagree, so nothing is shown",
                        "Tell the information governance lead; the trail holds the case.",
                    )


def _second(
    pack: Pack,
    decided: Decided,
    spec: Source,
    name: str,
    state: dict[str, str],
    as_of: date,
) -> Level:
    bases, _ = open_bases(pack, decided.request, spec, spec.fields[name], as_of)
    try:
        return shadow_level(pack, decided.request, spec, name, state, bases)
    except PolicyFault:
        # A second opinion that could not be given is not agreement.
        return Level.REFUSE


def recheck(session: Session, home: Home, ask: Ask, decided: Decided) -> None:
    """Inside the commit: everything the decision rested on is still so."""
    account = session.get(Account, ask.user)
    if (
        account is None
        or not account.active
        or (account.role, account.agency) != (decided.request.role, decided.request.agency)
    ):
        raise PolicyRefused("FG-REV-01", "that account changed just now", "Sign in again.")
    suspended(home, account)
    _below_the_line(home, session, ask, account.role)
    subject = session.get(SubjectState, ask.person)
    complete = frozenset(session.exec(select(FlagRegister.flag)).all())
    if (
        subject.link_run if subject else "",
        dict(subject.flags) if subject else {},
        complete,
    ) != decided.subject:
        raise _changed()
    words = home.pack.vocabulary
    records = {name: record for record, name in decided.names.items()}
    stated = stated_of(session, records, joined_names(home))
    for (name, flag), value in stated.items():
        state = decided.states[records[name]]
        strict = flag in words.subject_flags and value == "y"
        if (flag in words.record_flags or strict) and state.get(flag) != value:
            raise _changed()


def _changed() -> ConfigError:
    return ConfigError("FG-REV-07", "how this person is handled changed just now", "Ask again.")
