"""Reports on who looked at whom: cases, kin, hours, volume, leavers, training, danger.

law.md 2.2, numbers 1 to 6, 9 and 10.

Pure functions over acts of the trail and rows of casework; the day and the tokens are passed in.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from statistics import median
from typing import Protocol
from zoneinfo import ZoneInfo

from audit.act import Act
from engine.flows.report_form import Told, skipped

LONDON = ZoneInfo("Europe/London")
DAY_BEGINS, DAY_ENDS = 7, 19
"""Hours of local time between which work is usual, Monday to Friday."""
MANY_TIMES, MANY_PEOPLE = 3, 10
"""A user stands out with this many times the median of their role, and at least so many people."""
LOOKS = frozenset({"consultation", "reidentify", "break_glass"})
ASKS_CASE = frozenset({"reveal", "show"})
OWN = frozenset({"own record", "same address"})
"""How near somebody is of whom nobody is told who looked at them."""

LEFT_OUT = (
    "Your own look-ups, and those of your own record or household as far as the monitor can tell it by what "
    "you declared, are not in it; another officer sees them."
)
NOT_LEFT_OUT = (
    "Your own look-ups are not in it; another officer sees them. You are not enrolled with the monitor under "
    "the key of today with name and birth date, so look-ups of your own record or household cannot all be "
    "told and may be in it: fieldgate monitor enrol."
)


@dataclass(frozen=True, slots=True)
class Staff:
    """An account as the reports see it."""

    user: str
    agency: str
    role: str
    active: bool
    trained_until: str | None
    needs_training: bool


@dataclass(frozen=True, slots=True)
class Review:
    """A use for immediate danger and its review."""

    grant: str
    user: str
    due: str
    reviewed_by: str | None
    finding: str | None


def lookups(acts: Iterable[Act]) -> list[Act]:
    """Return the acts by which somebody looked at a person, refused ones too."""
    return [one for one in acts
            if one.kind in LOOKS and (one.subjects or one.flow in ASKS_CASE)]  # fmt: skip


def no_case(acts: Iterable[Act], none: str) -> Told:
    """1: look-ups without the reference of a case.

    Args:
        acts: Acts of the period.
        none: The token that an empty reference has.
    """
    counted: dict[tuple[str, str, str, str], Counter[str]] = defaultdict(Counter)
    for act in lookups(acts):
        if act.flow in ASKS_CASE and act.text("case") in ("", none):
            counted[(act.actor, act.role, act.agency, act.kind)][act.outcome] += 1
    rows = [
        (*key, found["permit"], found["refuse"], found.total() - found["permit"] - found["refuse"])
        for key, found in sorted(counted.items())
    ]
    figure = sum(row[4] for row in rows if row[3] != "break_glass")
    return Told(
        figure,
        "views of an identity without a case",
        ("user", "role", "agency", "kind", "permitted", "refused", "other"),
        rows,
        "Immediate danger needs no case and is listed, not counted. Whether a case is open stands in the "
        "system of the agency and is not known here.",
    )


class Near(Protocol):
    """How a user is near somebody, as `engine.flows.monitor_near.Nearness` knows it."""

    enrolled: frozenset[str]
    stale: int

    def of(self, user: str, subject: str) -> list[str] | None:
        """Return how near they are in words; None where it cannot be compared."""

    def knows(self, user: str) -> bool:
        """Say whether somebody's own record can be told: enrolled under the key of today, with a name."""


def near_oneself(acts: Iterable[Act], near: Near, asking: str) -> Told:
    """2: own record, neighbours, colleagues, same surname.

    Args:
        acts: Acts of the period.
        near: What the monitor knows by keyed token.
        asking: Who asks. Nobody is told of their own looks what the monitor makes of them.
    """
    if not near.enrolled:
        return skipped(
            "Nobody of staff is enrolled with the monitor of unusual access, so no look-up can be held "
            "against them: fieldgate monitor enrol."
            + (
                f" {near.stale} enrolled under a former key of the vault: enrol again."
                if near.stale
                else ""
            )
        )
    rows, users, people = [], set[str](), set[str]()
    for act in lookups(acts):
        if _of_oneself(act, near, asking):
            continue
        found = [near.of(act.actor, subject) for subject in act.subjects]
        if act.actor not in near.enrolled:
            users.add(act.actor)
        people.update(name for name, one in zip(act.subjects, found, strict=True)
                      if one is None and act.actor in near.enrolled)  # fmt: skip
        words = list(dict.fromkeys(word for one in found if one for word in one))
        if words:
            rows.append((act.seq, _time(act.when), act.actor, act.role, act.agency, act.flow,
                         act.outcome, ", ".join(words)))  # fmt: skip
    return Told(
        len(rows),
        "look-ups of oneself or of somebody near",
        ("entry", "when", "user", "role", "agency", "what", "outcome", "how near"),
        rows,
        f"By what staff declared to the monitor. Users enrolled: {len(near.enrolled)}. Users who looked "
        f"somebody up and are not enrolled, or under a former key: {len(users)}. People of whom the monitor "
        f"has no tokens, as it has not run since or they were looked at long ago: {len(people)}. Of these "
        f"nothing is said. A protected address is compared with none. {_left_out(near, asking)} A shared "
        "surname is often chance: the page Unusual access weighs it.",
    )


def _of_oneself(act: Act, near: Near, asking: str) -> bool:
    """Say whether an act is by who asks, or about their own record or household."""
    return act.actor == asking or any(OWN & set(near.of(asking, one) or ()) for one in act.subjects)


def _left_out(near: Near, asking: str) -> str:
    """Return what is left out for who asks, in words."""
    return LEFT_OUT if near.knows(asking) else NOT_LEFT_OUT


def kin(
    acts: Iterable[Act], names: Collection[str], near: Near, asking: str, *, declared: bool
) -> Told:
    """3: look-ups of people who are kin of staff.

    Args:
        acts: Acts of the period.
        names: Audit names of who bears the flag ``staff_kin``.
        near: What the monitor knows by keyed token.
        asking: Who asks. The flag is often about their own household, so it is left out here as well.
        declared: Whether the register of the flag was declared complete.
    """
    if not names and not declared:
        return skipped(
            "Nobody bears the flag staff_kin and its register was not declared complete."
        )
    rows = [
        (act.seq, _time(act.when), act.actor, act.role, act.agency, act.flow, act.outcome)
        for act in lookups(acts)
        if not set(names).isdisjoint(act.subjects) and not _of_oneself(act, near, asking)
    ]
    return Told(
        len(rows),
        "look-ups of staff or their kin",
        ("entry", "when", "user", "role", "agency", "what", "outcome"),
        rows,
        f"{_left_out(near, asking)} The pack names no flag for people in public life; set staff_kin for "
        "them, or add one."
        + ("" if declared else " The register of the flag was not declared complete."),
    )


def volume(acts: Iterable[Act]) -> Told:
    """4: out of hours, and how many people a user looked at beside others of the role."""
    mine: dict[tuple[str, str, str], list[Act]] = defaultdict(list)
    for act in lookups(acts):
        mine[(act.role, act.actor, act.agency)].append(act)
    people = {
        key: len({name for act in some for name in act.subjects}) for key, some in mine.items()
    }
    rows = []
    for (role, user, agency), some in sorted(mine.items()):
        others = [count for key, count in people.items() if key[0] == role and key[1] != user]
        usual = median(others) if others else None
        count = people[(role, user, agency)]
        stands_out = usual is not None and count >= MANY_PEOPLE and count >= MANY_TIMES * usual
        late = sum(out_of_hours(act.when) for act in some)
        busiest = Counter(act.when.astimezone(LONDON).date() for act in some).most_common(1)[0][1]
        told = "not known" if usual is None else f"{usual:g}"
        rows.append((user, role, agency, len(some), count, told, busiest, late,
                     "yes" if stands_out else "no"))  # fmt: skip
    return Told(
        sum(row[-1] == "yes" for row in rows),
        "users who stand out in their role",
        ("user", "role", "agency", "look-ups", "people", "median of the others", "busiest day",
         "out of hours", "stands out"),
        rows,
        f"Out of hours: before {DAY_BEGINS}:00, from {DAY_ENDS}:00, or on a weekend, in London; public "
        f"holidays count as worked. Who stands out looked at {MANY_PEOPLE} people or more and at "
        f"{MANY_TIMES} times the median of the others. It is a reason to ask and no finding.",
    )  # fmt: skip


def out_of_hours(when: datetime) -> bool:
    """Say whether a moment is outside the usual hours of work in London."""
    local = when.astimezone(LONDON)
    return local.weekday() >= 5 or not DAY_BEGINS <= local.hour < DAY_ENDS


def leavers(acts: Sequence[Act], staff: Mapping[str, Staff]) -> Told:
    """5: access after somebody left or moved, as far as the trail shows it.

    Args:
        acts: Acts of the period.
        staff: User to account.
    """
    rows: list[tuple[object, ...]] = []
    figure = 0
    by_user: dict[str, list[Act]] = defaultdict(list)
    for act in sorted(acts, key=lambda one: one.seq):
        if act.actor and act.role not in ("operator", "recovery", "") and act.auth != "client":
            by_user[act.actor].append(act)
    for user, some in sorted(by_user.items()):
        account = staff.get(user)
        last = some[-1]
        if account is None or not account.active:
            rows.append(
                (user, last.role, last.agency, "no open account today", len(some), _time(last.when))
            )
            continue
        now = (account.role, account.agency)
        began = next((one.seq for one in some if (one.role, one.agency) == now), None)
        late = [one for one in some if (one.role, one.agency) != now and began is not None
                and one.seq > began]  # fmt: skip
        figure += len(late)
        if late:
            rows.append((user, late[-1].role, late[-1].agency, "in a former role after the new one began",
                         len(late), _time(late[-1].when)))  # fmt: skip
    refused = sum("FG-REV-01" in act.texts("rules") for act in acts)
    return Told(
        figure,
        "acts in a role that the user had left",
        ("user", "role", "agency", "what", "acts", "last"),
        rows,
        f"Accounts hold no day of leaving: compare the last act of each closed account with the day that the "
        f"employer gives. {refused} tries without an open account were refused at the door (FG-REV-01).",
    )


def training(acts: Iterable[Act], staff: Iterable[Staff], today: date) -> Told:
    """6: accounts whose training or briefing has run out.

    Args:
        acts: Acts of the period.
        staff: Accounts.
        today: The day of the report.
    """
    permitted = Counter[str]()
    until = {one.user: one.trained_until for one in staff}
    for act in lookups(acts):
        last = until.get(act.actor)
        if act.outcome == "permit" and last is not None and act.when.date().isoformat() > last:
            permitted[act.actor] += 1
    rows = [
        (one.user, one.role, one.agency, one.trained_until or "none recorded", permitted[one.user])
        for one in sorted(staff, key=lambda one: one.user)
        if one.active and one.needs_training and (one.trained_until or "") < today.isoformat()
    ]
    return Told(
        len(rows),
        "accounts without current training",
        ("user", "role", "agency", "last day", "look-ups permitted after it"),
        rows,
        "Such a role is suspended: its requests are refused (FG-ACC-03). The last column should be nought.",
    )


def identified(acts: Iterable[Act], answered_alone: int) -> Told:
    """9: requests to identify somebody on a list.

    Args:
        acts: Acts of the period.
        answered_alone: Decisions that need two people and name one person twice.
    """
    asked: dict[tuple[str, str], list[Act]] = defaultdict(list)
    for act in acts:
        if act.kind == "reidentify":
            asked[(act.role, act.agency)].append(act)
    rows = []
    for (role, agency), some in sorted(asked.items()):
        outcomes = Counter(one.outcome for one in some)
        took = [(one.until - one.when).total_seconds() for one in some if one.until is not None]
        rest = len(some) - outcomes["permit"] - outcomes["refuse"] - outcomes["withhold"]
        rows.append((role, agency, len(some), outcomes["permit"], outcomes["refuse"], outcomes["withhold"],
                     rest, f"{median(took):.1f}" if took else "none"))  # fmt: skip
    return Told(
        sum(row[2] for row in rows),
        "requests to identify somebody",
        ("role", "agency", "asked", "permitted", "refused", "withheld", "other", "median seconds"),
        rows,
        f"Decisions of two people that name one person twice: {answered_alone}. Time to answer is that of "
        "the machine, as no request waits for a second person.",
    )


def danger(acts: Iterable[Act], reviews: Sequence[Review], today: date) -> Told:
    """10: uses for immediate danger and their reviews.

    Args:
        acts: Acts of the period.
        reviews: Every use that is or was owed a review.
        today: The day of the report.
    """
    uses = Counter(act.outcome for act in acts if act.kind == "break_glass")
    rows = [(one.grant, one.user, one.due, _state(one, today), one.reviewed_by or "", one.finding or "")
            for one in sorted(reviews, key=lambda one: (one.due, one.grant))]  # fmt: skip
    return Told(
        sum(row[3] == "overdue" for row in rows),
        "reviews overdue",
        ("use", "user", "due", "state", "reviewed by", "finding"),
        rows,
        f"In the period: {uses['permit']} permitted, {uses.total() - uses['permit']} not. An overdue review "
        "restricts the account.",
    )


def _state(review: Review, today: date) -> str:
    if review.reviewed_by is not None:
        return "reviewed by the user" if review.reviewed_by == review.user else "reviewed"
    return "overdue" if review.due < today.isoformat() else "waits"


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="minutes")
