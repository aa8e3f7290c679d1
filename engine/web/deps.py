"""What routes are given: the home, the signed-in user past the gate, and a way to render."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse

from engine.domain.errors import PolicyRefused
from engine.flows.home import Home
from engine.flows.sign_in import SignedIn, signed_in
from policies.errors import PolicyFault
from policies.shadow import RouteGate

COOKIE = "fieldgate_session"


class SignInNeeded(Exception):
    """Nobody is signed in; pages lead to the sign-in page, calls answer 401."""


def get_home(request: Request) -> Home:
    """Return the home of the application."""
    home: Home = request.app.state.home
    return home


def current(request: Request) -> SignedIn:
    """Return who is signed in, or lead to the sign-in page."""
    found = signed_in(get_home(request), request.cookies.get(COOKIE))
    if found is None:
        raise SignInNeeded
    return found


def gate(route: str) -> Callable[[Request, SignedIn], SignedIn]:
    """Return a dependency that admits a signed-in user to a named route, or refuses."""

    def admitted(request: Request, user: Annotated[SignedIn, Depends(current)]) -> SignedIn:
        home = get_home(request)
        home.refresh_policy()
        if request.app.state.gate.version != home.pack.version:
            request.app.state.gate = RouteGate(home.pack)
        try:
            request.app.state.gate.admits(user.account.role, route)
        except PolicyFault as fault:
            raise PolicyRefused(fault.code, fault.message, fault.next_step) from None
        return user

    return admitted


def render(
    request: Request,
    template: str,
    user: SignedIn | None,
    *,
    status: int = 200,
    **context: Any,
) -> HTMLResponse:
    """Render a page; the frame shows who acts, in which role and for which purpose."""
    home = get_home(request)
    words = home.pack.register.vocabulary.purposes
    roles = home.pack.vocabulary.roles
    frame = {
        "nonce": request.state.nonce,
        "demo": home.is_demo,
        "user": user,
        "role_label": roles[user.account.role].label if user else "",
        "purpose_label": words[user.account.purpose] if user else "",
        "agency_label": home.pack.register.parties[user.account.agency].name if user else "",
        "navigation": _navigation(request, user),
        "csrf": user.csrf if user else "",
    }
    page = request.app.state.templates.get_template(template).render(**frame, **context)
    return HTMLResponse(page, status_code=status)


def _navigation(request: Request, user: SignedIn | None) -> list[dict[str, Any]]:
    """Links to the pages that the role may enter, and to no other."""
    if user is None:
        return []
    pack = get_home(request).pack
    pages = (("lists", "Review lists", "/lists"), ("reveal", "View information", "/reveal"),
             ("pairs", "Matching", "/pairs"),
             ("link_quality", "Matching quality", "/link-quality"),
             ("registry", "Products", "/products"),
             ("trail", "Audit trail", "/trail"), ("own_trail", "Your agency's trail", "/own-trail"),
             ("policy", "Policy", "/policy"),
             ("deliveries", "Deliveries", "/deliveries"))  # fmt: skip
    return [
        {"text": text, "href": href, "active": request.url.path.startswith(href)}
        for route, text, href in pages
        if user.account.role in pack.routes.get(route, frozenset())
    ]
