"""Load the versioned tables: kinds, points, decay, links and parameters, with one hash over all."""

from __future__ import annotations

import csv
import hashlib
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from scoring.errors import ScoringFault

ONE = 1 << 20
TRACKS = ("harmed", "harming")
# Age at the event: unknown, under 18, 18 or over.
AGE_UNKNOWN, AGE_UNDER_18, AGE_OVER_18 = 0, 1, 2
_AGES = {"any": (0, 1, 2), "under18": (1,), "over18": (2,)}
_LIST_AGES = ("under18", "over18")
PICKS = ("high", "increasing", "emerging")
FILES = ("kinds.yaml", "points.csv", "decay.csv", "links.yaml", "parameters.yaml")

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of event or state."""

    id: int
    name: str
    label: str
    sort: str
    indicators: Mapping[int, str]
    retention_days: int

    def indicator(self, role: int) -> str:
        """Return the indicator that this kind is for a role, or "" when it is none.

        Args:
            role: Number of the role in an event; 0 for a state.
        """
        return self.indicators.get(role, self.indicators.get(0, ""))


@dataclass(frozen=True, slots=True)
class LinkKind:
    """A kind of relationship (scoring.md 1.5). `omega` and `share` are thousandths."""

    id: int
    name: str
    label: str
    sort: str
    roles: tuple[int, int]
    kinds: tuple[int, ...]
    share: int
    points: int
    half_life: int
    cap: int
    omega: int
    l0: int
    tracks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListRule:
    """A review list: whose score on which theme and track, how many, of which age.

    Attributes:
        pick: ``high`` by score; ``increasing`` by what new evidence did to the index; ``emerging`` by the
            evidence of people around, for those who have none of their own.
    """

    id: str
    theme: str
    track: str
    age: str
    label: str
    capacity: int
    pick: str = "high"


@dataclass(frozen=True)
class Tables:
    """All tables of one version.

    Attributes:
        gamma: int64 ``[theme, track, kind id, role, age band]`` points.
        half_life: int64 of the same shape, days.
        cool_down_days: Days after an outcome in which only new evidence brings somebody back onto a list.
        immediate_kinds: Kinds of which one event alone may bring somebody onto a list (T14).
        decay: Half-life in days to int64 factors at scale `ONE`, one per day of age; an age past the
            end counts nothing.
        hash: SHA-256 over the files.
    """

    kinds: dict[str, Kind]
    roles: dict[str, int]
    themes: tuple[str, ...]
    gamma: Ints
    half_life: Ints
    decay: dict[int, Ints]
    links: tuple[LinkKind, ...]
    lists: tuple[ListRule, ...]
    half_index_points: dict[str, int]
    required_sources: dict[str, tuple[str, ...]]
    link_weight_min: int
    hop_factor: int
    alpha: int
    exposure_half: int
    emerging_exposure: int
    high_score: int
    group_resolution: int
    group_least: int
    group_most: int
    increase_index: int
    increase_days: int
    blind_share: int
    cool_down_days: int
    immediate_kinds: frozenset[str]
    hash: str

    def kind_by_id(self) -> dict[int, Kind]:
        """Return the kinds keyed by their number."""
        return {kind.id: kind for kind in self.kinds.values()}


def narrowed(tables: Tables, themes: Iterable[str], links: Iterable[str]) -> Tables:
    """Return what of the tables a run for one purpose may use (ADR 0016).

    Args:
        tables: All tables.
        themes: Themes of the run; no other theme has points or lists in it.
        links: Names of the link kinds along which risk may pass; no other kind makes a link.

    Raises:
        ScoringFault: ``FG-RUN-01`` when a name is unknown: a run is never made with less than was asked.
    """
    wanted, kinds = set(themes), set(links)
    if not wanted <= set(tables.themes) or not kinds <= {one.name for one in tables.links}:
        raise _fault("a run names a theme or a link that there is not")
    gamma = tables.gamma.copy()
    for place, theme in enumerate(tables.themes):
        if theme not in wanted:
            gamma[place] = 0
    return replace(
        tables,
        gamma=gamma,
        links=tuple(one for one in tables.links if one.name in kinds),
        lists=tuple(one for one in tables.lists if one.theme in wanted),
    )


def shipped() -> Path:
    """Return the folder of the tables that come with the package."""
    return Path(str(files("scoring").joinpath("tables")))


def load_tables(folder: Path) -> Tables:
    """Load and check the tables.

    Raises:
        ScoringFault: ``FG-RUN-01`` when a file is missing, a name is unknown, or a number is outside
            its safe range.
    """
    raw = {name: _read(folder / name) for name in FILES}
    try:
        return _build(raw)
    except (LookupError, TypeError, ValueError, AttributeError, yaml.YAMLError):
        raise _fault("a table has something missing, unknown or not a number") from None


def _build(raw: dict[str, str]) -> Tables:
    kinds_raw: dict[str, Any] = _yaml(raw["kinds.yaml"])
    roles = {name: int(number) for name, number in kinds_raw["roles"].items()}
    kinds = {
        item["name"]: Kind(
            int(item["id"]),
            item["name"],
            item["label"],
            item["sort"],
            {
                (0 if role == "any" else roles[role]): code
                for role, code in item["indicators"].items()
            },
            int(item["retention_days"]),
        )
        for item in kinds_raw["kinds"]
    }
    parameters: dict[str, Any] = _yaml(raw["parameters.yaml"])
    themes = tuple(parameters["themes"])
    decay = _decay(raw["decay.csv"], int(parameters["horizon_half_lives"]))
    gamma, half_life = _points(raw["points.csv"], kinds, roles, themes, decay)
    links_raw: dict[str, Any] = _yaml(raw["links.yaml"])
    digest = hashlib.sha256()
    for name in FILES:
        digest.update(f"{name}\n{len(raw[name])}\n{raw[name]}".encode())
    return Tables(
        kinds=kinds,
        roles=roles,
        themes=themes,
        gamma=gamma,
        half_life=half_life,
        decay=decay,
        links=tuple(_link(item, kinds, roles, decay) for item in links_raw["links"]),
        lists=tuple(_list(item, themes) for item in parameters["lists"]),
        half_index_points={
            theme: _number(parameters["half_index_points"][theme], 1, 8000, "half_index_points")
            for theme in themes
        },
        required_sources=_required(parameters["required_sources"], themes),
        link_weight_min=_number(parameters["link_weight_min"], 0, 1000, "link_weight_min"),
        hop_factor=_number(parameters["hop_factor"], 0, 500, "hop_factor"),
        alpha=_number(parameters["alpha"], 0, 500, "alpha"),
        exposure_half=_number(parameters["exposure_half"], 1, 10**9, "exposure_half"),
        emerging_exposure=_number(parameters["emerging_exposure"], 1, 10**9, "emerging_exposure"),
        high_score=_number(parameters["high_score"], 1, 100_000, "high_score"),
        group_resolution=_number(parameters["group_resolution"], 1, 1000, "group_resolution"),
        group_least=_number(parameters["group_least"], 3, 10, "group_least"),
        group_most=_number(parameters["group_most"], 10, 100, "group_most"),
        increase_index=_number(parameters["increase_index"], 1, 100_000, "increase_index"),
        increase_days=_number(parameters["increase_days"], 7, 365, "increase_days"),
        blind_share=_number(parameters["blind_share"], 50, 200, "blind_share"),
        cool_down_days=_number(parameters["cool_down_days"], 7, 365, "cool_down_days"),
        immediate_kinds=_immediate(parameters, kinds, themes, gamma),
        hash=digest.hexdigest(),
    )


def _immediate(
    parameters: dict[str, Any],
    kinds: dict[str, Kind],
    themes: tuple[str, ...],
    gamma: Ints,
) -> frozenset[str]:
    """Refuse tables in which one event that nobody named is enough for a list (T14).

    On the track harming no kind is: one suspicion makes nobody somebody who may harm others (T-WM2).

    Raises:
        ScoringFault: ``FG-RUN-01``.
    """
    named = frozenset(parameters["immediate_kinds"])
    if not named <= set(kinds):
        raise _fault("immediate_kinds names an unknown kind")
    high = int(parameters["high_score"])
    for item in (one for one in parameters["lists"] if one.get("pick", "high") == "high"):
        theme, track = themes.index(item["theme"]), TRACKS.index(item["track"])
        half = int(parameters["half_index_points"][item["theme"]])
        for name, kind in kinds.items():
            most = int(gamma[theme, track, kind.id].max())
            alone = name in named and item["track"] == "harmed"
            if not alone and 100_000 * most // (most + half) >= high:
                raise _fault(f"one event of {name} is enough for the list {item['id']}")
    return named


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise _fault(f"{path.name} cannot be read") from None


# libyaml reads the same several times faster; the wheels carry it, another build may not.
_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def _yaml(text: str) -> dict[str, Any]:
    """Read YAML whose scalars stay the strings that were typed; the base loader makes nothing else."""
    found: dict[str, Any] = yaml.load(text, Loader=_LOADER)  # noqa: S506
    return found


def _number(text: str, lowest: int, highest: int, name: str) -> int:
    value = int(text)
    if not lowest <= value <= highest:
        raise _fault(f"{name} is outside {lowest} to {highest}")
    return value


def _rows(text: str) -> list[dict[str, str]]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


def _decay(text: str, horizon: int) -> dict[int, Ints]:
    factors: dict[int, list[int]] = {}
    for row in _rows(text):
        column = factors.setdefault(int(row["half_life"]), [])
        if int(row["age"]) != len(column):
            raise _fault("decay.csv skips a day")
        column.append(int(row["factor"]))
    for half_life, column in factors.items():
        falls = all(a >= b for a, b in itertools.pairwise(column))
        if len(column) != horizon * half_life + 1 or column[0] != ONE or not falls:
            raise _fault(f"decay.csv is wrong for half-life {half_life}")
    return {key: np.array(column, dtype=np.int64) for key, column in factors.items()}


def _points(
    text: str,
    kinds: dict[str, Kind],
    roles: dict[str, int],
    themes: tuple[str, ...],
    decay: dict[int, Ints],
) -> tuple[Ints, Ints]:
    top_kind = max(kind.id for kind in kinds.values()) + 1
    shape = (len(themes), len(TRACKS), top_kind, max(roles.values()) + 1, 3)
    gamma, half_life = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row in _rows(text):
        try:
            place = (
                themes.index(row["theme"]),
                TRACKS.index(row["track"]),
                kinds[row["kind"]].id,
                roles[row["role"]],
            )
            ages = _AGES[row["age"]]
        except (ValueError, KeyError):
            raise _fault("points.csv names something unknown") from None
        if int(row["half_life"]) not in decay:
            raise _fault("points.csv names a half-life without a decay table")
        # A victim or witness never scores on the harming track (T-GM1, T3).
        if row["track"] == "harming" and row["role"] not in (
            "suspect",
            "offender",
            "subject",
        ):
            raise _fault("points.csv gives a harmed role points on the track harming")
        for age in ages:
            gamma[*place, age] = _number(row["points"], 0, 150, "points")
            half_life[*place, age] = int(row["half_life"])
    return gamma, half_life


def _link(
    item: dict[str, Any],
    kinds: dict[str, Kind],
    roles: dict[str, int],
    decay: dict[int, Ints],
) -> LinkKind:
    first, second = (roles[name] for name in item["roles"])
    if first != second:  # plt.py pairs people of one role; a victim with a suspect is no link.
        raise _fault("links.yaml pairs two different roles")
    if int(item["half_life"]) not in decay or any(name not in TRACKS for name in item["tracks"]):
        raise _fault("links.yaml names something unknown")
    return LinkKind(
        id=int(item["id"]),
        name=item["name"],
        label=item["label"],
        sort=item["sort"],
        roles=(first, second),
        kinds=tuple(kinds[name].id for name in item["kinds"]),
        share=_number(item["share"], 0, 1000, "share"),
        points=_number(item["points"], 0, 150, "link points"),
        half_life=int(item["half_life"]),
        cap=_number(item["cap"], 2, 50, "cap"),
        omega=_number(item["omega"], 0, 1000, "omega"),
        l0=_number(item["l0"], 1, 8000, "l0"),
        tracks=tuple(item["tracks"]),
    )


def _list(item: dict[str, str], themes: tuple[str, ...]) -> ListRule:
    if item["theme"] not in themes or item["track"] not in TRACKS or item["age"] not in _LIST_AGES:
        raise _fault("a list names something unknown")
    capacity = _number(item["capacity"], 1, 10_000, "capacity")
    if item.get("pick", "high") not in PICKS:
        raise _fault("a list picks in a way that there is not")
    return ListRule(
        item["id"], item["theme"], item["track"], item["age"], item["label"], capacity,
        item.get("pick", "high"),
    )  # fmt: skip


def _required(
    by_theme: dict[str, list[str]], themes: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    if not set(by_theme) <= set(themes):
        raise _fault("required_sources names an unknown theme")
    return {theme: tuple(by_theme.get(theme, [])) for theme in themes}


def _fault(why: str) -> ScoringFault:
    return ScoringFault("FG-RUN-01", why, "Restore the tables or correct the named one.")
