"""The audit trail for the information governance lead, with its verification badge."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from engine.flows.sign_in import SignedIn
from engine.flows.trail import USES, read_trail, verify_trail
from engine.web.deps import gate, get_home, render

router = APIRouter(include_in_schema=False)

PAGE = 100


@router.get("/trail")
def trail(
    request: Request, user: Annotated[SignedIn, Depends(gate("trail"))], use: str = ""
) -> Response:
    """Ask for the use, then show the newest events and whether the whole trail verifies."""
    home = get_home(request)
    events = read_trail(home, user.user, use, PAGE, auth=user.auth) if use in USES else None
    report = verify_trail(home)
    return render(request, "trail.html", user, events=events, uses=USES, use=use, report=report)


@router.get("/trail/badge")
def badge(request: Request, user: Annotated[SignedIn, Depends(gate("trail"))]) -> Response:
    """Verify the whole trail again and return the badge alone."""
    report = verify_trail(get_home(request))
    return render(request, "_fragments/badge.html", user, report=report)
