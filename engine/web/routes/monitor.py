"""Unusual access for officers: the queue, one item, a decision, the second look, and the monitor's rates."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from engine.flows.monitor_queue import OUTCOMES, decide_item, open_items, second_look, show_item
from engine.flows.monitor_rates import monitor_rates
from engine.flows.sign_in import SignedIn, check_form
from engine.web.deps import gate, get_home, render

router = APIRouter(include_in_schema=False)
Officer = Annotated[SignedIn, Depends(gate("monitor"))]
AGREE, REJECT = "agree", "reject"


@router.get("/monitor")
def queue(request: Request, user: Officer) -> Response:
    """Show what waits for this officer."""
    found = open_items(get_home(request), user.user, auth=user.auth)
    return render(request, "monitor.html", user, found=found, outcomes=OUTCOMES)


@router.get("/monitor/rates")
def rates(request: Request, user: Officer) -> Response:
    """Show what the monitor does to groups, and what came of it."""
    found = monitor_rates(get_home(request), user.user, auth=user.auth)
    return render(request, "monitor_rates.html", user, found=found, outcomes=OUTCOMES)


@router.get("/monitor/{name}")
def item(request: Request, name: str, user: Officer) -> Response:
    """Tell one item."""
    return _item(request, name, user, {})


@router.post("/monitor/{name}")
def decide(
    request: Request,
    name: str,
    user: Officer,
    outcome: Annotated[str, Form()] = "",
    word: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """Record what the officer decided, or the second look at what another one decided."""
    check_form(user, csrf)
    home = get_home(request)
    if word in (AGREE, REJECT):
        second_look(home, user.user, name, agree=word == AGREE, auth=user.auth)
    elif outcome not in OUTCOMES:
        return _item(request, name, user, {"outcome": "Choose what you found"})
    else:
        decide_item(home, user.user, name, outcome, auth=user.auth)
    return RedirectResponse("/monitor", status_code=303)


def _item(request: Request, name: str, user: SignedIn, errors: dict[str, str]) -> Response:
    one = show_item(get_home(request), user.user, name, auth=user.auth)
    status = 422 if errors else 200
    return render(
        request, "monitor_item.html", user, status=status, one=one, outcomes=OUTCOMES, errors=errors
    )
