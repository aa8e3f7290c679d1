"""Clerical review of linkage: the queue, two records side by side, and the decision."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Header, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from engine.flows.clerical import (
    ANSWERS,
    SHORTEST_REASON,
    answer_second,
    decide_pair,
    decisions,
    queue,
)
from engine.flows.link_quality import link_quality
from engine.flows.pair_view import open_pair
from engine.flows.sign_in import SignedIn, check_form
from engine.web.deps import gate, get_home, render

router = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/pairs")
Reviewer = Annotated[SignedIn, Depends(gate("pairs"))]
SHOWN = 50


class PairAnswer(BaseModel):
    """What a reviewer decides about a pair."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    pair: str = Field(max_length=32)
    answer: str = Field(description="one, two or unsure.", max_length=8)
    reason: str = Field(description="In your own words; kept sealed.", max_length=2000)


class SecondAnswer(BaseModel):
    """What a second reviewer says of a decision."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    number: int
    agree: bool


@api.get("", summary="Pairs of records that wait for a decision")
def waiting(request: Request, user: Reviewer) -> dict[str, Any]:
    """Return the queue: references and evidence, no names."""
    return queue(get_home(request), user.user, auth=user.auth)


@api.get("/quality", summary="How well the newest run linked, and for whom")
def quality(
    request: Request,
    user: Annotated[SignedIn, Depends(gate("link_quality"))],
    delivery: int | None = None,
) -> dict[str, Any]:
    """Return match rates by group, drift of name frequencies, and what waits."""
    return link_quality(get_home(request), user.user, auth=user.auth, delivery=delivery)


@api.get("/decisions", summary="Every decision about pairs")
def decided(request: Request, user: Reviewer) -> list[dict[str, Any]]:
    """Return the decisions, the newest first."""
    return decisions(get_home(request), user.user, auth=user.auth)


@api.get("/{pair}", summary="Both records of a pair, side by side")
def shown(request: Request, pair: str, user: Reviewer) -> dict[str, Any]:
    """Return both records at the level of the reviewer's role, and the evidence."""
    return open_pair(get_home(request), user.user, pair, auth=user.auth)


@api.post("/decisions", summary="Decide whether two records are one person")
def decide(
    request: Request, body: PairAnswer, user: Reviewer, x_csrf_token: Annotated[str, Header()] = ""
) -> dict[str, Any]:
    """Record a decision that lasts."""
    check_form(user, x_csrf_token)
    home = get_home(request)
    return decide_pair(home, user.user, body.pair, body.answer, body.reason, auth=user.auth)


@api.post("/seconds", summary="Answer as the second reviewer")
def second(
    request: Request, body: SecondAnswer, user: Reviewer,
    x_csrf_token: Annotated[str, Header()] = "",
) -> dict[str, Any]:  # fmt: skip
    """Agree or reject what would move protected or offence facts."""
    check_form(user, x_csrf_token)
    home = get_home(request)
    return answer_second(home, user.user, body.number, agree=body.agree, auth=user.auth)


def reason_missing(reason: str) -> dict[str, str]:
    """Return what is wrong with a reviewer's reason, by form field."""
    if len(reason.strip()) >= SHORTEST_REASON:
        return {}
    return {"reason": f"Say why, in at least {SHORTEST_REASON} characters"}


@router.get("/pairs")
def page(request: Request, user: Reviewer) -> Response:
    """Show the queue."""
    found = queue(get_home(request), user.user, auth=user.auth)
    return render(request, "pairs.html", user, found=found, shown=SHOWN, user_id=user.user)


@router.get("/link-quality")
def quality_page(
    request: Request,
    user: Annotated[SignedIn, Depends(gate("link_quality"))],
    delivery: int | None = None,
) -> Response:
    """Show how well the newest run linked, and for whom."""
    found = link_quality(get_home(request), user.user, auth=user.auth, delivery=delivery)
    return render(request, "link_quality.html", user, found=found)


@router.get("/pairs/{pair}")
def pair_page(request: Request, pair: str, user: Reviewer) -> Response:
    """Show both records of a pair, side by side."""
    return _pair_page(request, pair, user, {})


def _pair_page(
    request: Request, pair: str, user: SignedIn, errors: dict[str, str], reason: str = ""
) -> Response:
    found = open_pair(get_home(request), user.user, pair, auth=user.auth)
    return render(
        request,
        "pair.html",
        user,
        status=422 if errors else 200,
        found=found,
        answers=ANSWERS,
        errors=errors,
        reason=reason,
        shortest=SHORTEST_REASON,
    )


@router.post("/pairs/{pair}")
def decide_form(
    request: Request,
    pair: str,
    user: Reviewer,
    answer: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """Record a decision and lead back to the queue."""
    check_form(user, csrf)
    errors = {}
    if answer not in ANSWERS:
        errors["answer"] = "Choose what the two records are"
    errors |= reason_missing(reason)
    if errors:
        return _pair_page(request, pair, user, errors, reason)
    decide_pair(get_home(request), user.user, pair, answer, reason, auth=user.auth)
    return RedirectResponse("/pairs", status_code=303)


@router.post("/pairs-second")
def second_form(
    request: Request,
    user: Reviewer,
    number: Annotated[int, Form()] = 0,
    word: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """Record the answer of a second reviewer and lead back to the queue."""
    check_form(user, csrf)
    answer_second(get_home(request), user.user, number, agree=word == "agree", auth=user.auth)
    return RedirectResponse("/pairs", status_code=303)
