"""casbin at work: the second opinion on every reveal, and the gate in front of every route."""

from __future__ import annotations

from collections.abc import Iterable

import casbin
from casbin.model import Model

from policies.authorise import asker, rows_of
from policies.errors import PolicyFault
from policies.model import Level, Pack, Request, Source, State
from policies.rows import ask_route, state_text


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

    Raises:
        PolicyFault: ``FG-POL-10`` casbin could not decide.
    """
    rows = rows_of(pack, request, source)
    text, category = state_text(state), source.fields[name].category
    best = Level.REFUSE
    for agreement, gateway in bases:
        for level in range(Level.CLEAR, best, -1):
            what, basis = f"{source.id}#{category}:{level}", f"{agreement}|{gateway}"
            if rows.allows(asker(request), request.purpose, basis, what, text):
                best = Level(level)
                break
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
        rows = sorted({(role, route) for route, roles in pack.routes.items() for role in roles})
        for role, route in rows:
            model.add_policy("p", "p", [role, route, "allow"])
        self._enforcer = casbin.Enforcer(model)
        held = {tuple(row[:2]) for row in self._enforcer.get_policy()}
        if held != set(rows):
            raise PolicyFault(
                "FG-POL-09", "casbin holds other rows than were written", "Report this fault."
            )
        self._empty = not rows
        self.version = pack.version

    def admits(self, role: str, route: str) -> None:
        """Return when the role may enter the route.

        Raises:
            PolicyFault: ``FG-POL-04`` otherwise, also for a route that no row names and when casbin
                could not decide.
        """
        try:
            # With no row casbin would run its matcher on empty fields, so nothing is asked then.
            open_ = (
                bool(role and route) and not self._empty and ask_route(self._enforcer, role, route)
            )
        except Exception:  # noqa: BLE001  # a check that crashed did not pass
            open_ = False
        if not open_:
            raise PolicyFault(
                "FG-POL-04",
                "your role may not enter this page",
                "Sign in with the role that this work needs.",
            )
