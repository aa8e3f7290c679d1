"""The trail as plain rows for the monitor of unusual access: who looked at whom, and what explains it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlmodel import Session, col, select

from audit.canonical import parse
from audit.unusual import Act, Look, Weights
from engine.domain.ids import as_utc, day_number
from engine.flows.home import Home
from engine.flows.monitor_names import Names
from engine.flows.product_tables import run_purpose
from engine.linkage.index import records_of, resolve
from engine.store.session import reading
from engine.store.tables import AccessReview, ReviewItem, ScoreRun

LONDON = ZoneInfo("Europe/London")
"""Hours of work are local; the trail is in UTC."""
ACTS = {
    "look": Act.EVIDENCE,
    "person_history": Act.EVIDENCE,
    "person_near": Act.VIEW,
    "review_list": Act.LIST,
    "group_list": Act.LIST,
    "pair_list": Act.LIST,
}
"""What a flow is; one that names a person and is not here shows an identity: a new flow is watched."""
KINDS = frozenset({"consultation", "reidentify", "break_glass", "disclosure", "export"})
MATCHING = frozenset({"pair"})
NOT_STAFF = frozenset({"operator", "recovery", ""})
REFERRALS = frozenset({"cin_referral", "service_acceptance"})
CASES = frozenset(
    {
        *("child_in_need", "child_protection_plan", "looked_after", "early_help_open"),
        *("probation_supervision", "substance_support", "housing_support"),
    }
)
"""Kinds of states that say that some service has a case open."""
_PAGE = 20_000
_LIST_DAYS = 400
"""How old a review list may be from which a user's own decision about a person still explains a look."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An access of the trail with what the monitor needs to find out why.

    Attributes:
        look: The row.
        flow: The flow.
        grant: Id of the grant, empty without one.
        person: Person id, redirects followed; empty when nobody was named.
    """

    look: Look
    flow: str
    grant: str
    person: bytes = field(default=b"", repr=False)


def seen_since(home: Home, since: date) -> list[Seen]:
    """Return the accesses of staff since a local day, in the order of the trail.

    An intent without an outcome counts as seen: whether it was answered is not known.
    """
    begun: dict[str, tuple[int, dict[str, Any]]] = {}
    found: list[tuple[int, dict[str, Any]]] = []
    for seq, event in _events(home, since):
        if event["kind"] not in KINDS and event["flow"] != "denied":
            continue
        if event["phase"] == "intent":
            begun[event["intent"]] = seq, event
            continue
        # The outcome of a request that failed says no more than that; whom it was about, its intent does.
        _, first = begun.pop(event["intent"], (seq, event))
        found.append((seq, {**{k: first[k] for k in ("subject", "subjects", "case", "purpose", "grant")
                               if k in first}, **event}))  # fmt: skip
    found += begun.values()
    names = Names(home)
    rows = [one for seq, event in sorted(found, key=lambda item: item[0])
            for one in _rows(seq, event, names)]  # fmt: skip
    return [one for one in rows if one.look.at.date() >= since]


def _events(home: Home, since: date) -> list[tuple[int, dict[str, Any]]]:
    """Return the events from the day before a local day on; the trail is read from its end."""
    edge = datetime.combine(since, datetime.min.time(), UTC) - timedelta(days=1)
    newest = _PAGE
    while True:
        rows = home.log_events(newest)
        last = datetime.fromisoformat(parse(rows[-1][1])["ts"]) if rows else edge
        if len(rows) < newest or last < edge:
            break
        newest *= 4
    events = [(seq, parse(body)) for seq, body in reversed(rows)]
    return [one for one in events if datetime.fromisoformat(one[1]["ts"]) >= edge]


def _rows(seq: int, event: Mapping[str, Any], names: Names) -> list[Seen]:
    actor = event["actor"]
    if actor["role"] in NOT_STAFF:
        return []
    named = [event["subject"]] if event.get("subject") else []
    named += event.get("subjects", {}).get("names", [])
    act = ACTS.get(event["flow"], Act.VIEW if named else None)
    decision = event.get("decision", "permit")
    if decision == "refuse":
        act = Act.REFUSED
    elif decision == "withhold":
        act = Act.EVIDENCE  # Nothing was opened.
    elif decision in ("failed", "discarded") or act is None:
        return []
    look = Look(
        seq, actor["id"], actor["org"], actor["role"],
        datetime.fromisoformat(event["ts"]).astimezone(LONDON).replace(tzinfo=None), "", act,
        event.get("purpose", ""), event.get("case", ""),
    )  # fmt: skip
    seen = Seen(look, event["flow"], event.get("grant", ""))
    if not named:
        return [seen]
    followed = [names.follow(one) for one in named]
    return [
        replace(seen, look=replace(look, subject=subject), person=person)
        for subject, person in followed
    ]


def explained(
    home: Home, weights: Weights, rows: Sequence[Seen], areas: Mapping[str, frozenset[str]],
    lives: Mapping[str, frozenset[str]], since: date,
) -> list[Look]:  # fmt: skip
    """Return the rows with everything that the house knows to explain them.

    Args:
        home: The home.
        weights: The weights.
        rows: From `seen_since`.
        areas: Tokens of the areas of each user's team.
        lives: Tokens of the areas in which each person lives.
        since: First day that is judged. What casework and services say is looked up for everybody who was
            looked at from then on, and explains what was done before too.
    """
    known = _Known(home, weights, [one for one in rows if one.look.at.date() >= since])
    together: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in rows:
        if one.look.case and one.look.subject and one.look.act == Act.VIEW:
            together[one.look.subject, one.look.case].add(one.look.actor)
    found = []
    for one in rows:
        look, why = one.look, set[str]()
        if not look.subject:
            found.append(look)
            continue
        if one.flow in MATCHING:
            why.add("matching")
        if look.case and together[look.subject, look.case] - {look.actor}:
            why.add("shared_case")
        if areas.get(look.actor, frozenset()) & lives.get(look.subject, frozenset()):
            why.add("team_area")
        found.append(replace(look, explained=frozenset(why | known.of(one))))
    return found


_Place = tuple[str, date, str | None, date | None]
"""Purpose of the run, day on which it was published, and who decided about the place and when."""


class _Known:
    """What casework and the sources say about the people of some rows."""

    def __init__(self, home: Home, weights: Weights, rows: Sequence[Seen]) -> None:
        self._home, self._weights = home, weights
        self._lists = home.pack.routes.get("lists", frozenset())
        self._people = {one.person for one in rows if one.person}
        self._justified, self._places = self._casework()
        self._referrals, self._cases = self._sources()

    def of(self, one: Seen) -> set[str]:
        """Return the explanations of one row."""
        look, found = one.look, set[str]()
        day, back = day_number(look.at.date()), self._weights.limits["referral_days"]
        if one.grant in self._justified:
            found.add("reviewed")
        mine = run_purpose(self._home.pack, self._home.tables, look.purpose)
        for purpose, published, decided_by, decided in self._places.get(one.person, ()):
            # A list of another purpose is not the user's to know of, and so it explains nothing.
            if purpose != mine:
                continue
            if decided_by == look.actor and decided is not None and decided <= look.at.date():
                found.add("allocation")
            fresh = timedelta(0) <= look.at.date() - published <= timedelta(days=back)
            if look.role in self._lists and fresh:
                found.add("review_list")
        if any(0 <= day - on <= back for on in self._referrals.get(one.person, ())):
            found.add("referral")
        if any(start <= day <= end for start, end in self._cases.get(one.person, ())):
            found.add("open_case")
        return found

    def _casework(self) -> tuple[set[str], dict[bytes, list[_Place]]]:
        home = self._home
        casework, runs = home.domain("casework"), home.link_runs()
        with Session(reading(home.casework)) as session:
            justified = set(
                session.exec(
                    select(AccessReview.reveal).where(AccessReview.finding == "justified")
                ).all()
            )
            # Older places explain nothing: neither a list that is past nor an old decision from one.
            places = session.exec(
                select(ReviewItem, ScoreRun)
                .where(ReviewItem.run == ScoreRun.id)
                .where(col(ReviewItem.blind).is_(False))
                .where(col(ScoreRun.published_at) >= home.clock() - timedelta(days=_LIST_DAYS))
            ).all()
            found: dict[bytes, list[_Place]] = defaultdict(list)
            leads: dict[bytes, bytes] = {}
            for item, run in places:
                before = casework.parse(item.person)
                if before not in leads:
                    leads[before] = before if before in self._people else (
                        resolve(home.linkage, before, runs) or before
                    )  # fmt: skip
                person = leads[before]
                if person in self._people:
                    decided = as_utc(item.decided_at) if item.decided_at else None
                    found[person].append(
                        (run.purpose, _local(as_utc(run.published_at)), item.decided_by,
                         None if decided is None else _local(decided))
                    )  # fmt: skip
        return justified, found

    def _sources(self) -> tuple[dict[bytes, list[int]], dict[bytes, list[tuple[int, int]]]]:
        """Return days of referrals and spans of open cases by person; nothing else of what is held."""
        home = self._home
        runs, record = home.link_runs(), home.domain("record")
        linkage = home.domain("linkage")
        of: dict[bytes, bytes] = {}
        for person in sorted(self._people):
            records = linkage.open(records_of(home.linkage, person, runs))
            of |= dict.fromkeys(record.seal(records), person)
        kinds = {kind.id: name for name, kind in home.tables.kinds.items()}
        referrals: dict[bytes, list[int]] = defaultdict(list)
        cases: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
        if of:
            live, order = home.live(), home.published()
            for row in home.warehouse.rows_of("events", order, list(of), live):
                if kinds.get(row["kind"]) in REFERRALS:
                    referrals[of[row["record"]]].append(row["day"])
            for row in home.warehouse.rows_of("states", order, list(of), live):
                if kinds.get(row["kind"]) in CASES:
                    cases[of[row["record"]]].append((row["start"], row["end"]))
        return referrals, cases


def _local(moment: datetime) -> date:
    return moment.astimezone(LONDON).date()
