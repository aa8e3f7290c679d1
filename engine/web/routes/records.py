"""The records of a person side by side: part one that is somebody else's, join one that was missed."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Header, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from engine.domain.days import day_of
from engine.domain.errors import ConfigError, LinkageError
from engine.flows.clerical import SHORTEST_REASON, queue
from engine.flows.near import join, near
from engine.flows.pair_view import open_records
from engine.flows.part import part
from engine.flows.person_history import person_history
from engine.flows.sign_in import SignedIn, check_form
from engine.web.deps import get_home, render
from engine.web.limits import shown_again
from engine.web.routes.pairs import SHOWN, Reviewer, reason_missing

router = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/records")


class Reason(BaseModel):
    """Why a reviewer decides."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    reason: str = Field(description="In your own words; kept sealed.", max_length=2000)


class JoinAnswer(Reason):
    """Which near record is the same person's, and why."""

    pair: str = Field(max_length=32)


@api.get("/{person}", summary="The records of a person, side by side")
def records(request: Request, person: str, user: Reviewer) -> dict[str, Any]:
    """Return every record of a person at the level of the reviewer's role, and what rests on them."""
    return open_records(get_home(request), user.user, person, auth=user.auth)


@api.get("/{person}/history", summary="Who a person was on a day, as known on a day")
def history_of_person(
    request: Request, person: str, user: Reviewer, as_of: str = "", known: str = ""
) -> dict[str, Any]:
    """Return the records that were the person's then, and what every run changed."""
    today = get_home(request).clock().date()
    days = [day_of(text, today) if text else None for text in (as_of, known)]
    return person_history(
        get_home(request), user.user, person, auth=user.auth, as_of=days[0], known=days[1]
    )


@api.get("/{person}/{record}/near", summary="Records that may belong to the same person")
def near_records(request: Request, person: str, record: int, user: Reviewer) -> dict[str, Any]:
    """Return records of other people that are near one record, side by side."""
    return near(get_home(request), user.user, person, record, auth=user.auth)


@api.post("/{person}/{record}/part", summary="Part a record from its person")
def part_record(
    request: Request, person: str, record: int, body: Reason, user: Reviewer,
    x_csrf_token: Annotated[str, Header()] = "",
) -> dict[str, Any]:  # fmt: skip
    """Decide that a record is somebody else's; returns everything that rested on the merge."""
    check_form(user, x_csrf_token)
    return part(get_home(request), user.user, person, record, body.reason, auth=user.auth)


@api.post("/{person}/{record}/join", summary="Join a record that no run had joined")
def join_record(
    request: Request, person: str, record: int, body: JoinAnswer, user: Reviewer,
    x_csrf_token: Annotated[str, Header()] = "",
) -> dict[str, Any]:  # fmt: skip
    """Decide that a near record is the same person's."""
    check_form(user, x_csrf_token)
    home = get_home(request)
    return join(home, user.user, person, record, body.pair, body.reason, auth=user.auth)


@router.get("/records")
def find_records(request: Request, user: Reviewer, person: str = "") -> Response:
    """Lead from a reference to the person's records."""
    reference = person.strip()
    if not reference:
        found = queue(get_home(request), user.user, auth=user.auth)
        errors = {"person": "Enter the reference of a person"}
        return render(request, "pairs.html", user, status=422, found=found, shown=SHOWN,
                      user_id=user.user, errors=errors)  # fmt: skip
    return RedirectResponse(f"/records/{quote(reference, safe='')}", status_code=303)


@router.get("/records/{person}")
def records_page(request: Request, person: str, user: Reviewer) -> Response:
    """Show the records of a person, with a way to part one and to look for others."""
    return _records_page(request, person, user, {})


def _records_page(
    request: Request, person: str, user: SignedIn, errors: dict[str, str], reason: str = ""
) -> Response:
    found = open_records(get_home(request), user.user, person, auth=user.auth)
    status = 422 if errors else 200
    return render(request, "records.html", user, status=status, found=found, errors=errors,
                  reason=reason, shortest=SHORTEST_REASON)  # fmt: skip


@router.post("/records/{person}/part")
def part_form(
    request: Request,
    person: str,
    user: Reviewer,
    record: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """Part a record from its person and say what rested on the merge."""
    check_form(user, csrf)
    errors = reason_missing(reason)
    if not record.isdecimal():
        errors = {"record": "Choose the record that is somebody else's", **errors}
    if errors:
        return _records_page(request, person, user, errors, reason)
    made = part(get_home(request), user.user, person, int(record), reason, auth=user.auth)
    return render(request, "record_decided.html", user, made=made, word="parted")


@router.get("/records/{person}/history")
def history_page(
    request: Request, person: str, user: Reviewer, as_of: str = "", known: str = ""
) -> Response:
    """Show who a person was on a day, as known on a day, and what every run changed."""
    home = get_home(request)
    days: dict[str, date | None] = {}
    errors: dict[str, str] = {}
    for name, text in (("as_of", as_of.strip()), ("known", known.strip())):
        try:
            days[name] = day_of(text, home.clock().date()) if text else None
        except ConfigError:
            errors[name] = "Enter a day as year-month-day, for example 2026-03-01"
    found = None
    if not errors:
        try:
            found = person_history(home, user.user, person, auth=user.auth, **days)
        except LinkageError as error:
            errors["known"] = f"{error.message[:1].upper()}{error.message[1:]}"
    return render(request, "person_history.html", user, status=422 if errors else 200, found=found,
                  person=person, errors=errors,
                  **shown_again({"as_of": as_of, "known": known}, errors))  # fmt: skip


@router.get("/records/{person}/{record}")
def near_page(request: Request, person: str, record: int, user: Reviewer) -> Response:
    """Show records of other people that may belong to the same person."""
    return _near_page(request, person, record, user, {})


def _near_page(
    request: Request, person: str, record: int, user: SignedIn, errors: dict[str, str],
    reason: str = "",
) -> Response:  # fmt: skip
    found = near(get_home(request), user.user, person, record, auth=user.auth)
    status = 422 if errors else 200
    return render(request, "near.html", user, status=status, found=found, errors=errors,
                  reason=reason, shortest=SHORTEST_REASON)  # fmt: skip


@router.post("/records/{person}/{record}")
def join_form(
    request: Request,
    person: str,
    record: int,
    user: Reviewer,
    pair: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """Join a record that no run had joined."""
    check_form(user, csrf)
    errors = reason_missing(reason)
    if not pair:
        errors = {"pair": "Choose the record that is the same person's", **errors}
    if errors:
        return _near_page(request, person, record, user, errors, reason)
    made = join(get_home(request), user.user, person, record, pair, reason, auth=user.auth)
    return render(request, "record_decided.html", user, made=made, word="joined")
