"""Review lists, the evidence about a person, outcomes, and the reveal."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from engine.domain.errors import PolicyRefused
from engine.flows.decision import MIN_REASON, SHARE, WITHHOLD, Ask
from engine.flows.group import group_list
from engine.flows.home import Home
from engine.flows.lists import OUTCOMES, decide, review_lists
from engine.flows.person import THEME_WORDS, look
from engine.flows.reveal import reveal, show_again
from engine.flows.sign_in import SignedIn, check_form
from engine.web.deps import gate, get_home, render

router = APIRouter(include_in_schema=False)
DANGER = "danger"


@router.get("/lists")
def lists(request: Request, user: Annotated[SignedIn, Depends(gate("lists"))]) -> Response:
    """Show the newest review lists."""
    found = review_lists(get_home(request), user.user, auth=user.auth)
    return render(request, "lists.html", user, found=found, outcomes=OUTCOMES)


@router.get("/groups")
def groups(request: Request, user: Annotated[SignedIn, Depends(gate("groups"))]) -> Response:
    """Show the groups of people who were suspected together, nobody in them named."""
    found = group_list(get_home(request), user.user, auth=user.auth)
    return render(request, "groups.html", user, found=found, themes=THEME_WORDS)


@router.get("/people/{person}")
def person(
    request: Request, person: str, user: Annotated[SignedIn, Depends(gate("person"))]
) -> Response:
    """Show the evidence about a person under their reference."""
    found = look(get_home(request), user.user, person, auth=user.auth)
    return render(
        request,
        "person.html",
        user,
        found=found,
        outcomes=OUTCOMES,
        **_empty_form(get_home(request), user, person),
    )


@router.post("/people/{person}/decide")
def outcome(
    request: Request,
    person: str,
    user: Annotated[SignedIn, Depends(gate("decide"))],
    item: Annotated[int, Form()],
    outcome: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """Record what the user decided about a list entry."""
    check_form(user, csrf)
    home = get_home(request)
    if outcome not in OUTCOMES:
        found = look(home, user.user, person, auth=user.auth)
        form = _empty_form(home, user, person) | {"errors": {"outcome": "Choose what you decided"}}
        return render(
            request,
            "person.html",
            user,
            status=422,
            found=found,
            outcomes=OUTCOMES,
            **form,
        )
    decide(home, user.user, item, outcome, auth=user.auth)
    return RedirectResponse(f"/people/{person}", status_code=303)


@router.get("/reveal")
def reveal_page(request: Request, user: Annotated[SignedIn, Depends(gate("reveal"))]) -> Response:
    """Show the form that asks for an identity."""
    return render(request, "reveal.html", user, **_empty_form(get_home(request), user, ""))


@router.post("/reveal")
def reveal_form(
    request: Request,
    user: Annotated[SignedIn, Depends(gate("reveal"))],
    person: Annotated[str, Form()] = "",
    case: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
    act: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """Ask for an identity; granted leads to the view, refused says why and what next.

    The button pressed is the decision: to share, to withhold, or to break the glass for immediate
    danger, which needs no open case and is reviewed by another person afterwards.
    """
    check_form(user, csrf)
    home = get_home(request)
    danger = act == DANGER
    errors = form_errors(person, case, reason, danger=danger)
    if act not in (SHARE, WITHHOLD, DANGER):
        errors["act"] = "Choose whether this is shared or withheld"
    if errors:
        form = {"person": person, "case": case, "reason": reason, "errors": errors}
        return render(request, "reveal.html", user, status=422, **_form(home, user, form))
    purpose = home.pack.vocabulary.break_glass_purpose if danger else user.account.purpose
    sharing = SHARE if danger else act
    ask = Ask(user.user, purpose, case, reason, person.strip(), sharing)
    granted = reveal(home, ask, auth=user.auth)
    if granted["withheld"]:
        return render(request, "withheld.html", user, decision=granted)
    return RedirectResponse(f"/views/{granted['reveal']}", status_code=303)


def form_errors(person: str, case: str, reason: str, *, danger: bool) -> dict[str, str]:
    """Return what is missing, by field, as sentences that say what to do."""
    found = {}
    if not person.strip():
        found["person"] = "Enter the reference of the person"
    if len(case.strip()) < 3 and not danger:
        found["case"] = "Enter the reference of the open case, at least 3 characters"
    if len(reason.strip()) < MIN_REASON:
        found["reason"] = f"Say why you need this, in at least {MIN_REASON} characters"
    return found


def _empty_form(home: Home, user: SignedIn, person: str) -> dict[str, Any]:
    empty = {"person": person, "case": "", "reason": "", "errors": {}}
    return _form(home, user, empty)


def _form(home: Home, user: SignedIn, values: dict[str, Any]) -> dict[str, Any]:
    danger = home.pack.vocabulary.break_glass_purpose
    offered = any(
        grant.purpose == danger and grant.role == user.account.role for grant in home.pack.grants
    )
    return {**values, "min_reason": MIN_REASON, "offer_danger": offered}


@router.get("/views/{reveal_id}")
def view(
    request: Request, reveal_id: str, user: Annotated[SignedIn, Depends(gate("view"))]
) -> Response:
    """Show a granted view while it is open."""
    home = get_home(request)
    try:
        shown = show_again(home, reveal_id, user.user, auth=user.auth)
    except PolicyRefused as error:
        if error.code != "FG-REV-06":
            raise
        return render(request, "closed.html", user, status=404)
    closes = datetime.fromisoformat(shown["expires_at"])
    left = max(0, int((closes - home.clock()).total_seconds()))
    response = render(request, "view.html", user, shown=shown, closes=closes, seconds_left=left)
    # Works without JavaScript: the browser asks again when the time is over, and is refused.
    response.headers["Refresh"] = str(left + 1)
    return response
