"""Sign in and out: demo identities, loudly marked."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from engine.flows.setup import accounts
from engine.flows.sign_in import check_form, sign_in, sign_out, signed_in
from engine.web.deps import COOKIE, get_home, render

router = APIRouter(include_in_schema=False)


@router.get("/")
def start(request: Request) -> Response:
    """Lead to the first page of the user's role, or to the sign-in page."""
    user = signed_in(get_home(request), request.cookies.get(COOKIE))
    if user is None:
        return RedirectResponse("/sign-in", status_code=303)
    return RedirectResponse(first_page(request, user.account.role), status_code=303)


def first_page(request: Request, role: str) -> str:
    """Return the page a role starts on."""
    routes = get_home(request).pack.routes
    for route, path in (
        ("lists", "/lists"),
        ("pairs", "/pairs"),
        ("trail", "/trail"),
        ("reveal", "/reveal"),
        ("policy", "/policy"),
        ("deliveries", "/deliveries"),
    ):
        if role in routes.get(route, frozenset()):
            return path
    return "/sign-in"


@router.get("/sign-in")
def sign_in_page(request: Request) -> Response:
    """Show the demo identities."""
    home = get_home(request)
    roles = home.pack.vocabulary.roles
    order = list(roles)
    found = sorted(accounts(home), key=lambda one: order.index(one.role)) if home.is_demo else []
    choices = [
        {"value": one.user, "text": roles[one.role].label,
         "hint": f"{one.label}: {home.pack.register.parties[one.agency].name}; "
                 f"{home.pack.register.vocabulary.purposes[one.purpose]}"}
        for one in found
    ]  # fmt: skip
    return render(request, "sign_in.html", None, choices=choices)


@router.post("/sign-in")
def sign_in_form(request: Request, user: Annotated[str, Form()] = "") -> Response:
    """Begin a session."""
    home = get_home(request)
    cookie = sign_in(home, user)
    role = next(one.role for one in accounts(home) if one.user == user)
    response = RedirectResponse(first_page(request, role), status_code=303)
    response.set_cookie(
        COOKIE, cookie, httponly=True, samesite="strict", path="/",
        secure=request.url.scheme == "https",
    )  # fmt: skip
    return response


@router.post("/sign-out")
def sign_out_form(request: Request, csrf: Annotated[str, Form()] = "") -> Response:
    """End the session."""
    home = get_home(request)
    cookie = request.cookies.get(COOKIE, "")
    user = signed_in(home, cookie)
    if user is not None:
        check_form(user, csrf)
        sign_out(home, cookie)
    response = RedirectResponse("/sign-in", status_code=303)
    response.delete_cookie(COOKIE)
    return response
