"""The registry of products: what may serve, on whose word, and who saw it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Header, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from engine.flows.profile import profiles
from engine.flows.registry import MAY_FOLLOW, SHORTEST_REASON, answer, ask, products
from engine.flows.sign_in import SignedIn, check_form
from engine.flows.who_saw import who_saw
from engine.web.deps import gate, get_home, render

router = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/products")
Keeper = Annotated[SignedIn, Depends(gate("registry"))]
STATES = {
    "shadow": "Run in the shadow, shown to nobody",
    "live": "Live: lists and scores are shown",
    "suspended": "Suspended: nothing is shown, at once and on one person's word",
    "retired": "Retired for good",
}


class Step(BaseModel):
    """A state that somebody asks for."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    product: str = Field(max_length=64)
    to: str = Field(description="shadow, live, suspended or retired.", max_length=12)
    reason: str = Field(description="In your own words; kept sealed.", max_length=2000)


class Answer(BaseModel):
    """What a second person says."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    number: int
    agree: bool


@api.get("", summary="Every product with its state, what it lacks and its steps")
def all_products(request: Request, user: Keeper) -> list[dict[str, Any]]:
    """Return the registry."""
    return products(get_home(request), user.user, auth=user.auth)


@api.get("/{product}/seen", summary="Everybody who was shown something of a product")
def seen(request: Request, product: str, user: Keeper) -> dict[str, Any]:
    """Return who saw what, from the trail."""
    return who_saw(get_home(request), user.user, product, auth=user.auth)


@api.post("/steps", summary="Ask for a state; a suspension takes effect at once")
def step(
    request: Request, body: Step, user: Keeper, x_csrf_token: Annotated[str, Header()] = ""
) -> dict[str, Any]:
    """Ask that a product goes into a state."""
    check_form(user, x_csrf_token)
    home = get_home(request)
    return ask(home, user.user, body.product, body.to, body.reason, auth=user.auth)


@api.post("/answers", summary="Answer as the second person")
def second(
    request: Request, body: Answer, user: Keeper, x_csrf_token: Annotated[str, Header()] = ""
) -> dict[str, Any]:
    """Agree to a release or reject it."""
    check_form(user, x_csrf_token)
    return answer(get_home(request), user.user, body.number, agree=body.agree, auth=user.auth)


@router.get("/profiles")
def profiles_page(
    request: Request, user: Annotated[SignedIn, Depends(gate("profiles"))]
) -> Response:
    """Show the problem profiles: counts, and nobody."""
    found = profiles(get_home(request), user.user, auth=user.auth)
    return render(request, "profiles.html", user, found=found)


@router.get("/products")
def page(request: Request, user: Keeper) -> Response:
    """Show the registry."""
    return _page(request, user, {})


def _page(request: Request, user: SignedIn, errors: dict[str, str], reason: str = "") -> Response:
    found = products(get_home(request), user.user, auth=user.auth)
    return render(
        request, "products.html", user, status=422 if errors else 200, found=found,
        states=STATES, errors=errors, reason=reason, shortest=SHORTEST_REASON, user_id=user.user,
    )  # fmt: skip


@router.post("/products")
def ask_form(
    request: Request,
    user: Keeper,
    product: Annotated[str, Form()] = "",
    to: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """Ask for a state and lead back to the registry."""
    check_form(user, csrf)
    home, errors = get_home(request), {}
    if product not in home.pack.products:
        errors["product"] = "Choose a product"
    if to not in MAY_FOLLOW:
        errors["to"] = "Choose what should become of it"
    if len(reason.strip()) < SHORTEST_REASON:
        errors["reason"] = f"Say why, in at least {SHORTEST_REASON} characters"
    if errors:
        return _page(request, user, errors, reason)
    ask(home, user.user, product, to, reason, auth=user.auth)
    return RedirectResponse("/products", status_code=303)


@router.post("/products/answer")
def answer_form(
    request: Request,
    user: Keeper,
    number: Annotated[int, Form()] = 0,
    word: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """Agree or reject as the second person."""
    check_form(user, csrf)
    answer(get_home(request), user.user, number, agree=word == "agree", auth=user.auth)
    return RedirectResponse("/products", status_code=303)


@router.get("/products/{product}/seen")
def seen_page(request: Request, product: str, user: Keeper) -> Response:
    """Show who saw something of a product."""
    found = who_saw(get_home(request), user.user, product, auth=user.auth)
    return render(request, "seen.html", user, found=found)
