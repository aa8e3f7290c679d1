"""The same flows for programs. Identity travels in bodies, never in a URL."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel, ConfigDict, Field

from engine.flows.decision import SHARE, Ask
from engine.flows.group import group_list
from engine.flows.lists import decide, review_list, review_lists
from engine.flows.person import look
from engine.flows.reveal import reveal
from engine.flows.sign_in import SignedIn, check_form
from engine.flows.trail import read_trail, verify_trail
from engine.web.deps import gate, get_home

router = APIRouter(prefix="/api")


class RevealRequest(BaseModel):
    """A request to see an identity."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    person: str = Field(description="Casework reference of the person.", max_length=128)
    case: str = Field(description="Reference of an open case.", max_length=64)
    reason: str = Field(description="Reason in your own words.", max_length=2000)
    sharing: str = Field(
        default=SHARE,
        description="share, or withhold when sharing is more detrimental to the child.",
        max_length=16,
    )
    immediate_danger: bool = Field(
        default=False, description="Breaks the glass: no case is needed, another person reviews it."
    )


class Outcome(BaseModel):
    """What a named human decided about a list entry."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    item: int
    outcome: str = Field(description="accept, watch, not_appropriate or need_more.", max_length=32)


@router.get("/lists", summary="The newest review lists")
def lists(request: Request, user: Annotated[SignedIn, Depends(gate("lists"))]) -> dict[str, Any]:
    """Return the newest review lists: references and numbers."""
    return review_lists(get_home(request), user.user, auth=user.auth)


@router.get("/groups", summary="Groups of people suspected together, nobody in them named")
def groups(request: Request, user: Annotated[SignedIn, Depends(gate("groups"))]) -> dict[str, Any]:
    """Return the groups of the newest run: size, firmness and themes, never a member."""
    return group_list(get_home(request), user.user, auth=user.auth)


@router.get("/lists/{name}", summary="One review list; 409 when its product is not live")
def one_list(
    request: Request, name: str, user: Annotated[SignedIn, Depends(gate("lists"))]
) -> dict[str, Any]:
    """Return one list; a product that is suspended serves nothing, no old score either."""
    return review_list(get_home(request), user.user, name, auth=user.auth)


@router.get("/people/{person}", summary="The evidence about a person")
def person(
    request: Request, person: str, user: Annotated[SignedIn, Depends(gate("person"))]
) -> dict[str, Any]:
    """Return indicators, scores with contributions that add up, and associates by handle."""
    return look(get_home(request), user.user, person, auth=user.auth)


@router.post("/outcomes", summary="Record an outcome")
def outcome(
    request: Request,
    body: Outcome,
    user: Annotated[SignedIn, Depends(gate("decide"))],
    x_csrf_token: Annotated[str, Header()] = "",
) -> dict[str, Any]:
    """Record what a named human decided; no score leads to an action without it."""
    check_form(user, x_csrf_token)
    return decide(get_home(request), user.user, body.item, body.outcome, auth=user.auth)


@router.post("/reveals", summary="Ask to see an identity")
def reveal_identity(
    request: Request,
    body: RevealRequest,
    user: Annotated[SignedIn, Depends(gate("reveal"))],
    x_csrf_token: Annotated[str, Header()] = "",
) -> dict[str, Any]:
    """Decide, commit, open, answer with a receipt; a refusal is 403 with every reason."""
    check_form(user, x_csrf_token)
    home = get_home(request)
    purpose = user.account.purpose
    if body.immediate_danger:
        purpose = home.pack.vocabulary.break_glass_purpose
    ask = Ask(user.user, purpose, body.case, body.reason, body.person, body.sharing)
    return reveal(home, ask, auth=user.auth)


@router.get("/trail", summary="The audit trail")
def trail(
    request: Request,
    use: str,
    user: Annotated[SignedIn, Depends(gate("trail"))],
    newest: int = 100,
) -> dict[str, Any]:
    """Return the newest events for one of the four permitted uses, and the verification."""
    home = get_home(request)
    events = read_trail(home, user.user, use, min(max(newest, 1), 1000), auth=user.auth)
    return {"verification": verify_trail(home).as_dict(), "events": events}
