"""The second opinion: casbin decides again, from rows of its own, whatever is about to be shown.

Rows are made from the validated pack and loaded through our own adapter, once, into an enforcer that
is never changed afterwards (policy.md 4: a file, a wildcard of the empty string, an effect typo or a
reload each fail open). The effect and the matcher are constants.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import lru_cache

import casbin
from casbin.model import Model
from casbin.persist import Adapter

from policies.authorise import matching_grants
from policies.errors import PolicyFault
from policies.model import Cap, Level, Pack, Request, Source, State

# casbin writes every request it refuses into its log (policy.md 4.1, trap 27): all of it is closed.
for _name in [
    "casbin",
    *(name for name in logging.root.manager.loggerDict if name[:7] == "casbin."),
]:
    logging.getLogger(_name).disabled = True

_MODEL = """
[request_definition]
r = who, purpose, basis, what, state
[policy_definition]
p = who, purpose, basis, what, state, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = match(r.who, p.who) && match(r.purpose, p.purpose) && match(r.basis, p.basis) && \
match(r.what, p.what) && state(r.state, p.state)
"""

Row = tuple[str, str, str, str, str, str]


class _RowAdapter(Adapter):  # type: ignore[misc]  # casbin carries no types
    """Loads rows from memory; every row that is written is a row that is loaded."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = tuple(dict.fromkeys(rows))

    def load_policy(self, model: Model) -> None:
        for row in self._rows:
            if row[5] not in ("allow", "deny") or any(part == "" for part in row):
                raise PolicyFault("FG-POL-03", "a casbin row is malformed", "Report this fault.")
            model.add_policy("p", "p", list(row))


def _match(request: str, policy: str) -> bool:
    return policy in ("*", request)


def _state_match(request: str, policy: str) -> bool:
    """A cap's flags all hold; an unknown flag (absent from the request) holds."""
    stated = dict(part.split(":") for part in request.split("|") if part != "none")
    wanted = dict(part.split(":") for part in policy.split("|") if part != "*")
    return all(stated.get(flag, value) == value for flag, value in wanted.items())


def _state_text(state: State) -> str:
    return "|".join(f"{flag}:{value}" for flag, value in sorted(state.items())) or "none"


@lru_cache(maxsize=512)
def _enforcer(rows: tuple[Row, ...]) -> casbin.Enforcer:
    model = Model()
    model.load_model_from_text(_MODEL)
    enforcer = casbin.Enforcer(model, _RowAdapter(rows))
    loaded = len(enforcer.get_policy())
    if loaded != len(set(rows)):
        raise PolicyFault("FG-POL-03", "casbin lost a row", "Report this fault.")
    enforcer.add_function("match", _match)
    enforcer.add_function("state", _state_match)
    return enforcer


def rows_for(pack: Pack, request: Request, source: Source, name: str) -> tuple[Row, ...]:
    """Return the casbin rows that concern one field for one role, agency and purpose."""
    spec = source.fields[name]
    who = f"{request.role}@{request.agency}"
    what = f"{source.id}#{name}"
    rows: list[Row] = []
    for grant in matching_grants(pack, request, spec):
        for agreement in set(grant.agreements) & set(spec.agreements):
            for gateway in spec.gateways:
                rows.extend(
                    (
                        who,
                        grant.purpose,
                        f"{agreement}|{gateway}",
                        f"{what}:{level}",
                        "*",
                        "allow",
                    )
                    for level in _up_to(grant.level)
                )
    for cap in pack.caps:
        if _concerns(cap, request.role, spec.category):
            rows.extend(
                (who, "*", "*", f"{what}:{level}", _state_text(cap.when), "deny")
                for level in range(cap.level + 1, Level.CLEAR + 1)
            )
    return tuple(sorted(set(rows)))


def _up_to(level: Level) -> range:
    return range(Level.EXISTS, level + 1)


def _concerns(cap: Cap, role: str, category: str) -> bool:
    named = not cap.roles or role in cap.roles
    return (
        named
        and role not in cap.except_roles
        and (not cap.categories or category in cap.categories)
    )


def shadow_level(
    pack: Pack,
    request: Request,
    source: Source,
    name: str,
    state: State,
    bases: Iterable[tuple[str, str]],
) -> Level:
    """Return the highest level that casbin allows for the field in this state.

    Args:
        bases: The (agreement, gateway) pairs that are open today.
    """
    rows = rows_for(pack, request, source, name)
    pairs = list(bases)
    if not rows or not pairs:
        return Level.REFUSE
    enforcer = _enforcer(rows)
    who, text = f"{request.role}@{request.agency}", _state_text(state)
    best = Level.REFUSE
    for agreement, gateway in pairs:
        for level in range(Level.EXISTS, Level.CLEAR + 1):
            what = f"{source.id}#{name}:{level}"
            if enforcer.enforce(who, request.purpose, f"{agreement}|{gateway}", what, text):
                best = max(best, Level(level))
    return best


_ROUTE_MODEL = """
[request_definition]
r = role, route
[policy_definition]
p = role, route, eft
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.role == p.role && r.route == p.route
"""


class RouteGate:
    """The live enforcer in front of the routes: deny by default, built once from the pack."""

    def __init__(self, pack: Pack) -> None:
        model = Model()
        model.load_model_from_text(_ROUTE_MODEL)
        for route, roles in pack.routes.items():
            for role in roles:
                model.add_policy("p", "p", [role, route, "allow"])
        self._enforcer = casbin.Enforcer(model)
        self.version = pack.version

    def admits(self, role: str, route: str) -> None:
        """Return when the role may enter the route.

        Raises:
            PolicyFault: ``FG-POL-04`` otherwise, also for a route that no row names.
        """
        if not self._enforcer.enforce(role, route):
            raise PolicyFault(
                "FG-POL-04",
                "your role may not enter this page",
                "Sign in with the role that this work needs.",
            )
