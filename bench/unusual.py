"""``python -m bench.unusual``: the monitor of unusual access on planted misuse, against two baselines.

Synthetic accesses of twelve months (`engine.city.traffic`), on seeds that no weight was tuned on. Twenty
reviews a week. Volume alone ranks the days of users by how far they lie above the role's ordinary day;
random draws days of users. Either baseline is given a user's whole day for one review, which is more than
the monitor's item of one pair, and always its twenty.
"""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from random import Random
from statistics import median

from audit.unusual import Found, Look, Weights, judge, load_weights, shipped
from audit.unusual.gather import Item, gather, quiet
from audit.unusual.signs import Surnames, order
from audit.unusual.volume import Past, people_a_day
from engine.city.traffic import START, Traffic, make_traffic

TUNED, REPORTED = (1, 2, 3), (11, 12, 13, 14, 15)
A_WEEK = 20
KEY = b"synthetic tie-breaker of a bench"


@dataclass
class Outcome:
    """What a way of choosing found in a year of reviews."""

    reviews: int = 0
    hits: int = 0
    incidents: set[int] = field(default_factory=set)
    waits: list[int] = field(default_factory=list)

    def recall(self, traffic: Traffic) -> float:
        """Share of the planted incidents that a review met."""
        return len(self.incidents) / len(traffic.kinds)

    @property
    def precision(self) -> float:
        """Share of reviews that met an incident which no review had met before."""
        return self.hits / self.reviews if self.reviews else 0.0


@dataclass
class Measured:
    """One seed: what each way found, what each sign stands on, and what a day's run takes."""

    traffic: Traffic
    monitor: Outcome = field(default_factory=Outcome)
    volume: Outcome = field(default_factory=Outcome)
    random: Outcome = field(default_factory=Outcome)
    with_sign: Counter[str] = field(default_factory=Counter)
    misuse_with_sign: Counter[str] = field(default_factory=Counter)
    pairs: int = 0
    misuse_pairs: int = 0
    queued: int = 0
    seconds: list[float] = field(default_factory=list)


def measured(
    seed: int, *, days: int = 364, density: int = 1, weights: Weights | None = None
) -> Measured:
    """Run the monitor and both baselines over the traffic of one seed.

    Args:
        seed: The seed.
        days: How long.
        density: See `make_traffic`.
        weights: Those that ship when None.
    """
    chosen = weights or load_weights(shipped())
    # Every sign is counted, also on what is not queued.
    everything = replace(chosen, queue_from=1)
    found = Measured(make_traffic(seed, days=days, density=density))
    by_day: dict[date, list[Look]] = defaultdict(list)
    for one in found.traffic.looks:
        by_day[one.at.date()].append(one)
    surnames, known = Surnames.of(found.traffic.users.values()), set[str]()
    back = max(chosen.limits["repeat_days"], chosen.limits["volume_days"]) + 1
    window: list[Look] = []
    queue = _Queue(chosen, found)
    scores: list[tuple[float, str, date]] = []
    chance = Random(seed)
    for number in range(days):
        day = START + timedelta(days=number)
        today = by_day[day]
        window = [one for one in window if (day - one.at.date()).days <= back] + today
        for one in today:
            if one.subject and one.subject not in known:
                known.add(one.subject)
                surnames.add(found.traffic.subjects[one.subject].tokens.surname)
        began = time.perf_counter()
        held = judge(everything, day, window, found.traffic.users, found.traffic.subjects,
                     surnames, KEY)  # fmt: skip
        found.seconds.append(time.perf_counter() - began)
        _count(found, held, today)
        for one in held:
            if one.points >= chosen.queue_from:
                queue.put(one)
        scores += _volume(chosen, window, day)
        if number % 7 == 6:
            queue.review(day)
            _baselines(found, by_day, scores, day, chance)
            scores = []
    return found


class _Queue:
    """The open items and what an officer who knows the truth decided."""

    def __init__(self, weights: Weights, found: Measured) -> None:
        self._weights, self._found = weights, found
        self._open: dict[tuple[str, str], Item] = {}
        self._explained: dict[tuple[str, str], tuple[set[str], date]] = {}

    def put(self, one: Found) -> None:
        pair = one.actor, one.subject
        before = self._explained.get(pair)
        if pair not in self._open and before and quiet(
            self._weights, one.signs, before[0], before[1], one.day
        ):  # fmt: skip
            return
        self._found.queued += pair not in self._open
        self._open[pair] = gather(self._weights, self._open.get(pair), one)

    def review(self, day: date) -> None:
        ranked = sorted(
            self._open.items(),
            key=lambda item: order(self._weights, item[1].points, item[1].signs, KEY, *item[0]),
        )
        for pair, item in ranked[:A_WEEK]:
            del self._open[pair]
            if not _reviewed(self._found, self._found.monitor, item.entries, day):
                self._explained[pair] = set(item.signs), day


def _reviewed(found: Measured, outcome: Outcome, entries: Sequence[int], day: date) -> bool:
    traffic = found.traffic
    met = {traffic.incident[one] for one in entries if one in traffic.incident}
    outcome.reviews += 1
    outcome.hits += bool(met - outcome.incidents)
    for incident in met - outcome.incidents:
        first = min(one for one, which in traffic.incident.items() if which == incident)
        outcome.waits.append((day - traffic.looks[first].at.date()).days)
    outcome.incidents |= met
    return bool(met)


def _volume(weights: Weights, window: Sequence[Look], day: date) -> list[tuple[float, str, date]]:
    counts = people_a_day(window)
    past = Past({key: count for key, count in counts.items() if key[2] < day}, weights)
    found = []
    for (actor, role, on), count in counts.items():
        if on == day:
            usual = past.ordinary(actor, role, day)
            if usual is not None:
                found.append((usual.spreads(count), actor, day))
    return found


def _baselines(
    found: Measured, by_day: dict[date, list[Look]], scores: list[tuple[float, str, date]],
    end: date, chance: Random,
) -> None:  # fmt: skip
    week = [end - timedelta(days=back) for back in range(6, -1, -1)]
    entries: dict[tuple[str, date], list[int]] = defaultdict(list)
    for day in week:
        for one in by_day[day]:
            entries[one.actor, day].append(one.seq)
    for _, actor, day in sorted(scores, key=lambda one: (-one[0], one[2], one[1]))[:A_WEEK]:
        _reviewed(found, found.volume, entries[actor, day], end)
    for actor, day in chance.sample(sorted(entries), min(A_WEEK, len(entries))):
        _reviewed(found, found.random, entries[actor, day], end)


def _count(found: Measured, held: Sequence[Found], today: Sequence[Look]) -> None:
    """Count each sign on the units it is about: pairs of a day, and users' days."""
    incident = found.traffic.incident
    pairs: dict[tuple[str, str], bool] = {}
    for one in today:
        if one.personal:
            pair = one.actor, one.subject
            pairs[pair] = pairs.get(pair, False) or one.seq in incident
    found.pairs += len(pairs)
    found.misuse_pairs += sum(pairs.values())
    for one in held:
        bad = any(entry in incident for entry in one.entries)
        for sign in one.signs:
            found.with_sign[sign] += 1
            found.misuse_with_sign[sign] += bad


def lift(found: Sequence[Measured], sign: str) -> float:
    """How much more often a sign stands on misuse than a pair of a day is misuse at all."""
    with_sign = sum(one.with_sign[sign] for one in found)
    if not with_sign:
        return 0.0
    share = sum(one.misuse_with_sign[sign] for one in found) / with_sign
    return share / (sum(one.misuse_pairs for one in found) / sum(one.pairs for one in found))


def report(found: Sequence[Measured], seeds: Sequence[int]) -> list[str]:
    """Return the lines that are printed."""
    months = sum(len(one.traffic.looks) for one in found) / len(found) / 12
    lines = [
        f"SYNTHETIC accesses, seeds {', '.join(map(str, seeds))}: 112 users, {months:,.0f} accesses a "
        f"month, {sum(len(one.traffic.kinds) for one in found)} planted incidents; {A_WEEK} reviews a week",
        "",
        f"{'way':<14}{'recall':>8}{'lowest':>8}{'precision':>11}{'reviews':>9}{'days to review':>16}",
    ]
    for way in ("monitor", "volume", "random"):
        of = [getattr(one, way) for one in found]
        recalls = [one.recall(each.traffic) for one, each in zip(of, found, strict=True)]
        reviews = sum(one.reviews for one in of)
        waits = [wait for one in of for wait in one.waits]
        lines.append(
            f"{way:<14}{sum(recalls) / len(recalls):>8.2f}{min(recalls):>8.2f}"
            f"{sum(one.hits for one in of) / max(1, reviews):>11.3f}{reviews // len(of):>9}"
            f"{median(waits) if waits else 0:>16.0f}"
        )
    lines += ["", f"{'planted':<16}{'incidents':>10}{'monitor':>9}{'volume':>8}{'random':>8}"]
    for kind in sorted({kind for one in found for kind in one.traffic.kinds}):
        mine = [(one, {at for at, name in enumerate(one.traffic.kinds) if name == kind})
                for one in found]  # fmt: skip
        total = sum(len(which) for _, which in mine)
        shares = [
            sum(len(getattr(one, way).incidents & which) for one, which in mine) / total
            for way in ("monitor", "volume", "random")
        ]
        lines.append(f"{kind:<16}{total:>10}{shares[0]:>9.2f}{shares[1]:>8.2f}{shares[2]:>8.2f}")
    lines += ["", f"{'sign':<22}{'held':>7}{'on misuse':>11}{'lift':>8}"]
    for sign in load_weights(shipped()).signs:
        held = sum(one.with_sign[sign] for one in found)
        bad = sum(one.misuse_with_sign[sign] for one in found)
        lines.append(f"{sign:<22}{held:>7}{bad:>11}{lift(found, sign):>8.1f}")
    seconds = sorted(second for one in found for second in one.seconds)
    lines += [
        "",
        f"judging one day: median {median(seconds) * 1000:.0f} ms, slowest {seconds[-1] * 1000:.0f} ms; "
        f"items queued a week: {sum(one.queued for one in found) / len(found) / 52:.1f}",
    ]
    return lines


def main(names: Sequence[str]) -> int:
    """Print the table; ``tuned`` prints that of the seeds the weights were tuned on."""
    seeds = TUNED if list(names) == ["tuned"] else REPORTED
    found = []
    for seed in seeds:
        print(f"seed {seed} ...", file=sys.stderr, flush=True)
        found.append(measured(seed))
    print("\n".join(report(found, seeds)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
