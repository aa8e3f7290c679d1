"""The audit trail for roles of oversight: search by facets, and whether the whole of it verifies."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from audit.facets import FACETS, MANY
from engine.domain.errors import ConfigError, PolicyRefused
from engine.flows.search_trail import HANDLE, TOKEN, Search, search_trail
from engine.flows.sign_in import SignedIn
from engine.flows.trail import USES, verify_trail
from engine.flows.trail_notices import trail_notices
from engine.web.deps import gate, get_home, render
from engine.web.limits import NOT_CHOSEN, WRONG_DAY, not_chosen, shown_again, wrong_day

router = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/trail")
Reader = Annotated[SignedIn, Depends(gate("trail"))]
TITLES = {
    "outcome": "Outcome",
    "action": "What was asked for",
    "role": "Role",
    "agency": "Agency",
    "actor": "User",
    "purpose": "Purpose",
    "source": "Source touched",
    "kind": "Kind of operation",
}
"""Facets in the order of the page; fields are asked for on the command line."""
MOST_VALUES = 25
"""Values of a facet on the page; those that were chosen are always there."""


@router.get("/trail")
def trail(request: Request, user: Reader, use: str = "") -> Response:
    """Ask for the use, then search."""
    home = get_home(request)
    if use not in USES:
        report = verify_trail(home)
        wrong = {"use": NOT_CHOSEN} if not_chosen(request, use) else {}
        return render(
            request, "trail.html", user, status=422 if wrong else 200, found=None, uses=USES, use="",
            report=report, notices=trail_notices(home, report), errors=wrong,
        )  # fmt: skip
    limits = limits_of(request)
    errors: dict[str, str] = {}
    found: dict[str, Any] | None = None
    try:
        search = _search(request)
        found = search_trail(home, user.user, use, search, auth=user.auth)
    except (ConfigError, PolicyRefused) as error:
        if _in_clear(request):
            errors[_where_in_clear(request)] = error.next_step
        elif error.code == "FG-AUD-41":
            errors[wrong_day(limits)] = WRONG_DAY
        elif error.code == "FG-REV-02":
            errors["person"] = "Copy the reference of a person from a list"
        else:
            raise
    # A limit that is wrong finds nothing: one request is one reading. The others stay chosen in the form.
    return render(
        request, "trail.html", user, status=422 if errors else 200, found=found, uses=USES, use=use,
        titles=TITLES, most=MOST_VALUES, limits=shown_again(limits, errors), errors=errors,
        kept=_kept(request), links=_links(request, found) if found else {},
    )  # fmt: skip


@router.get("/trail/badge")
def badge(request: Request, user: Reader) -> Response:
    """Verify the whole trail again and return the badge alone."""
    home = get_home(request)
    report = verify_trail(home)
    return render(
        request, "_fragments/badge.html", user, report=report, notices=trail_notices(home, report)
    )


@api.get("/search", summary="Search the trail by facets; one of four uses is stated")
def search(request: Request, user: Reader, use: str = "") -> dict[str, Any]:
    """Return a page of acts, newest first, with counts.

    Facets may be given several times: actor, agency, role, purpose, action, kind, outcome, source, field;
    person, case, first, last, page and below once.
    """
    return search_trail(get_home(request), user.user, use, _search(request), auth=user.auth)


def limits_of(request: Request) -> dict[str, str]:
    """Return the limits of an address that have one value."""
    return {
        name: request.query_params.get(name, "").strip()
        for name in ("person", "case", "first", "last")
    }


def _chosen(request: Request) -> dict[str, list[str]]:
    params = request.query_params
    return {facet: params.getlist(facet) for facet in (*FACETS, *MANY) if params.getlist(facet)}


def _kept(request: Request) -> list[tuple[str, str]]:
    """Return the facets that were chosen, without a user in clear: that was what was wrong."""
    return [
        (facet, value)
        for facet, values in _chosen(request).items()
        for value in values
        if facet != "actor" or HANDLE.fullmatch(value)
    ]


def _in_clear(request: Request) -> bool:
    """Say whether an address names a user or a case: it is kept in histories and logs."""
    case = request.query_params.get("case", "").strip()
    actors = request.query_params.getlist("actor")
    return bool(case and not TOKEN.fullmatch(case)) or not all(map(HANDLE.fullmatch, actors))


def _where_in_clear(request: Request) -> str:
    """Return the field of what was in clear; users are no field of the form while it is refused."""
    case = request.query_params.get("case", "").strip()
    return "case" if case and not TOKEN.fullmatch(case) else "first"


def _search(request: Request) -> Search:
    params = request.query_params
    if _in_clear(request):
        raise ConfigError(
            "FG-AUD-41", "an address names a user or a case in clear",
            "Choose the user from the list, and copy the token of the case.",
        )  # fmt: skip
    below = params.get("below", "")
    page = params.get("page", "1")
    return Search(
        _chosen(request),
        page=int(page) if page.isdecimal() and len(page) < 8 else 0,
        below=int(below) if below.isdecimal() and len(below) < 16 else None,
        **limits_of(request),
    )


def _links(request: Request, found: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return the addresses of the pages before and after; they stay together while the trail grows."""
    kept = [
        (name, value)
        for name, value in request.query_params.multi_items()
        if name not in ("page", "below", *(("actor", "case") if _in_clear(request) else ()))
        and value
    ]
    of = {
        "previous": (found["page"] - 1, found["page"] > 1),
        "next": (found["page"] + 1, found["page"] < found["pages"]),
    }
    return {
        name: {
            "href": "/trail?"
            + urlencode([*kept, ("page", str(page)), ("below", str(found["below"]))]),
            "labelText": f"{page} of {found['pages']}",
        }
        for name, (page, there) in of.items()
        if there
    }
