"""Reports on law and agreements: reviews, gateways, retention, exports, whom to tell.

law.md 2.2, numbers 7, 8 and 11 to 13.

Pure functions over acts of the trail and values of the policy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from audit.act import Act
from engine.flows.disclosures import DISCLOSED, PERHAPS, SHOWING
from engine.flows.report_form import Told
from gateways.notice import expiring
from policies.model import Pack

PARTING = frozenset({"person_part", "person_join", "pair_decide"})


@dataclass(frozen=True, slots=True)
class Held:
    """A delivery that is held, or was.

    Attributes:
        years: Field to the whole years for which its values may be kept.
        ended: When it was withdrawn or replaced; None while it counts.
    """

    number: int
    source: str
    accepted: datetime
    ended: datetime | None
    years: Mapping[str, int]


def agreements(pack: Pack, today: date) -> Told:
    """7: agreements past their review, their end or their impact assessment, and those that soon are."""
    rows = [(one.agreement, one.what, one.last_day.isoformat(), one.days_left,
             f"within {one.notice} days" if one.notice else "past")
            for one in expiring(pack.register, today)]  # fmt: skip
    stopped = [(name, "suspended", "", "", "stopped") for name in sorted(pack.register.suspended)]
    return Told(
        len({row[0] for row in rows if row[4] == "past"}),
        "agreements past a day that stops them",
        ("agreement", "what", "last day", "days left", "state"),
        [*rows, *stopped],
        "Past its review or its impact assessment an agreement carries nothing.",
    )


def gateways(acts: Iterable[Act], kinds: Mapping[str, str], implied: Collection[str]) -> Told:
    """8: which gateways carried what, and the share that rests on an implied power alone.

    Args:
        acts: Acts of the period.
        kinds: Gateway to its kind.
        implied: Gateways that are no express power or duty to share.
    """
    counted: Counter[tuple[str, str]] = Counter()
    carried = alone = 0
    for act in acts:
        names = _gateways(act)
        if not names or act.outcome not in DISCLOSED or act.kind not in SHOWING:
            continue
        carried += 1
        alone += all(name in implied for name in names)
        counted.update((act.flow, name) for name in names)
    rows = [
        (flow, name, kinds.get(name, "unknown"), "implied" if name in implied else "express", count)
        for (flow, name), count in sorted(counted.items(), key=lambda one: (-one[1], one[0]))
    ]
    return Told(
        round(100 * alone / carried) if carried else 0,
        "per cent of disclosures that rest on an implied power alone",
        ("what", "gateway", "kind", "express or implied", "disclosures"),
        rows,
        f"{alone} of {carried} disclosures. One may rest on several gateways and is counted under each.",
    )


def retention(held: Iterable[Held], today: date) -> Told:
    """11: what is held longer than a field says."""
    rows = []
    for one in held:
        if one.ended is not None:
            continue
        past = {name: years for name, years in one.years.items()
                if add_years(one.accepted.date(), years) < today}  # fmt: skip
        if past:
            since = min(add_years(one.accepted.date(), years) for years in past.values())
            rows.append((one.number, one.source, one.accepted.date().isoformat(), len(past),
                         since.isoformat()))  # fmt: skip
    return Told(
        len(rows),
        "deliveries with fields held too long",
        ("delivery", "source", "accepted", "fields", "since"),
        rows,
        "Counted from the day of acceptance. A dated fact may run out earlier: it is then shown to nobody "
        "(E11), and is deleted with its delivery only.",
    )


def add_years(day: date, years: int) -> date:
    """Return the same day some years later; 29 February becomes 28."""
    last = 28 if (day.month, day.day) == (2, 29) else day.day
    return date(day.year + years, day.month, last)


def exports(acts: Iterable[Act], agreed: Collection[str]) -> Told:
    """12: what was given away outside an agreement.

    Args:
        acts: Acts of the period.
        agreed: Agreements of the register.
    """
    rows = [
        (act.seq, act.when.isoformat(timespec="minutes"), act.actor, act.agency, act.flow,
         act.text("recipient") or "not stated", len(act.texts("fields")))
        for act in acts
        if act.kind in ("disclosure", "export") and act.outcome in DISCLOSED
        and act.text("agreement") not in agreed
    ]  # fmt: skip
    return Told(
        len(rows),
        "hand-overs that name no agreement",
        ("entry", "when", "user", "agency", "what", "recipient", "fields"),
        rows,
        "An agency that gets its own rows back, or is told what was shown of its data, is among them. What "
        "is copied from a screen leaves no trace here.",
    )


def to_be_told(acts: Sequence[Act], held: Iterable[Held]) -> Told:
    """13: disclosures whose readers have to be told of a correction (UK GDPR Art 19, DPA 2018 s.46 to 48).

    Args:
        acts: Every act of the period.
        held: Deliveries; one that ended was withdrawn or replaced.
    """
    shown = [
        one for one in acts
        if one.kind in SHOWING
        and ((one.outcome in DISCLOSED and one.touched)
             # What stopped half-way may have been answered: whom it was about is all that is known of it.
             or (one.outcome in PERHAPS and (one.touched or one.subjects)))
    ]  # fmt: skip
    found: dict[int, tuple[Act, list[str]]] = {}
    for delivery in held:
        if delivery.ended is None:
            continue
        for act in shown:
            within = delivery.accepted <= act.when <= delivery.ended
            if within and delivery.source in act.sources:
                found.setdefault(act.seq, (act, []))[1].append(
                    f"delivery {delivery.number} of {delivery.source} was taken back or replaced"
                )
    for change in acts:
        if change.flow not in PARTING or change.outcome in ("refuse", "failed", "discarded"):
            continue
        for act in shown:
            if act.seq < change.seq and not set(change.subjects).isdisjoint(act.subjects):
                found.setdefault(act.seq, (act, []))[1].append(
                    f"the records of the person were decided about (entry {change.seq})"
                )
    rows = [(seq, act.when.isoformat(timespec="minutes"), act.actor, act.agency, act.role,
             "; ".join(dict.fromkeys(why))) for seq, (act, why) in sorted(found.items())]  # fmt: skip
    return Told(
        len(rows),
        "disclosures whose readers may have to be told",
        ("entry", "when", "user", "agency", "role", "because"),
        rows,
        "By source and not by row: rather a reader too many than one too few. Nobody is told from here.",
    )


def _gateways(act: Act) -> list[str]:
    rules = [one.partition("|")[2] for one in act.texts("rules") if "|" in one]
    one = act.text("gateway")
    return sorted({*rules, *([one] if one else [])})
