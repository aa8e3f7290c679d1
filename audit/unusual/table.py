"""The weights of the monitor, read from one file and checked whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

from audit.errors import AuditFault

# libyaml reads the same several times faster; the wheels carry it, another build may not.
_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
RARITY = "rarity"
LIMITS = frozenset(
    {
        *("repeat_days", "repeat_on_days", "many_lookers_days", "many_lookers", "bulk_minutes"),
        *("bulk_people", "paging_minutes", "paging_lists", "probing_refusals", "volume_days"),
        *("volume_least_days", "volume_spread", "volume_least_people", "referral_days"),
        *("tokens_kept_days", "group_least_users", "group_least_looks", "small_cell"),
        *("second_look_in", "quiet_days"),
    }
)
SIGNS = frozenset(
    {
        *("own_record", "decoy", "colleague", "staff_kin", "marked", "same_address"),
        *("same_surname", "same_street", "repeat_without_case", "many_lookers", "out_of_hours"),
        *("no_reason_known", "bulk", "paging", "probing", "volume"),
    }
)


@dataclass(frozen=True, slots=True)
class Sign:
    """One sign.

    Attributes:
        id: Its id.
        place: Its place in the declared order.
        strong: Whether it holds whatever explains the look.
        points: What it adds; of ``same_surname`` the most that it can.
        answered_by: Explanations under which it does not hold.
        says: The half-sentence that tells it.
        reason: Why it is one.
    """

    id: str
    place: int
    strong: bool
    points: int
    answered_by: frozenset[str]
    says: str
    reason: str


@dataclass(frozen=True, slots=True)
class Hours:
    """Local hours in which a role works; None of `start` means round the clock."""

    start: int | None
    end: int = 24
    weekend: bool = True


@dataclass(frozen=True, slots=True)
class Weights:
    """Every number of the monitor."""

    version: str
    queue_from: int
    signs: Mapping[str, Sign]
    explanations: Mapping[str, str]
    rarity: tuple[tuple[int, int], ...]
    limits: Mapping[str, int]
    hours: Mapping[str, Hours]

    def surname_points(self, bearers: int, of: int) -> int:
        """Return what a shared surname adds: the rarer, the more.

        Args:
            bearers: How many of those known bear it, the user not counted.
            of: How many are known.
        """
        # One more on each side: a name that was never seen is rare and not impossible.
        share = 10_000 * (bearers + 1) // (of + 200)
        return next((points for most, points in self.rarity if share <= most), 0)

    def hours_of(self, role: str) -> Hours:
        """Return the hours of a role."""
        return self.hours.get(role, self.hours["other"])


def shipped() -> str:
    """Return the text of the weights that ship."""
    return files("audit.unusual").joinpath("weights.yaml").read_text(encoding="utf-8")


def load_weights(text: str) -> Weights:
    """Read the weights.

    Raises:
        AuditFault: ``FG-MON-01`` a sign, limit or explanation is missing, unknown or no number.
    """
    try:
        # Every value as text: what looks like a number or a yes is read here and nowhere else.
        raw: dict[str, Any] = yaml.load(text, Loader=_LOADER)  # noqa: S506
        return _build(raw)
    except (LookupError, TypeError, ValueError, AttributeError, yaml.YAMLError):
        raise _fault("they cannot be read") from None


def _build(raw: dict[str, Any]) -> Weights:
    rarity = tuple(
        (_number(one["at_most_per_10000"]), _number(one["points"])) for one in raw["rarity"]
    )
    explanations = {name: str(one["says"]) for name, one in raw["explanations"].items()}
    signs = {
        one["id"]: Sign(
            id=one["id"],
            place=place,
            strong=_yes(one["strong"]),
            points=max(points for _, points in rarity)
            if one["points"] == RARITY
            else _number(one["points"]),
            answered_by=frozenset(one.get("answered_by", ())),
            says=one["says"],
            reason=one["reason"],
        )
        for place, one in enumerate(raw["signs"])
    }
    limits = {name: _number(value) for name, value in raw["limits"].items()}
    hours = {
        role: Hours(None)
        if one == "round_the_clock"
        else Hours(_number(one["from"]), _number(one["to"]), _yes(one["weekend"]))
        for role, one in raw["hours"].items()
    }
    if set(signs) != SIGNS or set(limits) != LIMITS or len(signs) != len(raw["signs"]):
        raise _fault("a sign or a limit is missing, unknown or there twice")
    named = frozenset().union(*(one.answered_by for one in signs.values()))
    if not named <= set(explanations) or "other" not in hours:
        raise _fault("a sign is answered by something unknown, or the hours lack 'other'")
    if any(one.strong and one.answered_by for one in signs.values()):
        raise _fault("a strong sign holds whatever explains the look, and names no answer")
    if list(rarity) != sorted(rarity, key=lambda one: (one[0], -one[1])):
        raise _fault("the rarer a surname, the more it adds")
    return Weights(
        raw["version"], _number(raw["queue_from"]), signs, explanations, rarity, limits, hours
    )


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError
    return int(text)


def _yes(text: str) -> bool:
    return {"yes": True, "no": False}[text]


def _fault(why: str) -> AuditFault:
    return AuditFault(
        "FG-MON-01", f"the weights of the monitor do not hold together: {why}", "Restore the file."
    )
