"""What the trail tells: of one person, in reports, and to an agency about its own."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from engine.domain.errors import ConfigError, PolicyRefused
from engine.domain.export import csv_text
from engine.flows.disclosures import as_table, disclosures
from engine.flows.own_trail import own_trail
from engine.flows.reports import REPORTS, reports
from engine.flows.sign_in import SignedIn
from engine.flows.trail import USES
from engine.web.deps import gate, get_home, render
from engine.web.headers import download_headers
from engine.web.limits import NOT_CHOSEN, WRONG_DAY, not_chosen, shown_again, wrong_day

router = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/trail")
own_api = APIRouter(prefix="/api/own-trail")
Reader = Annotated[SignedIn, Depends(gate("trail"))]
Partner = Annotated[SignedIn, Depends(gate("own_trail"))]


@router.get("/trail/disclosures")
def disclosed_page(
    request: Request,
    user: Reader,
    use: str = "",
    person: str = "",
    first: str = "",
    last: str = "",
) -> Response:
    """Ask for a person, then show what was disclosed of them."""
    errors: dict[str, str] = {}
    limits = {"person": person, "first": first, "last": last}
    found = None
    home = get_home(request)
    if not_chosen(request, use):
        errors["use"] = NOT_CHOSEN
    elif use:
        try:
            found = disclosures(home, user.user, use, person, first, last, auth=user.auth)
        except (ConfigError, PolicyRefused) as error:
            if error.code == "FG-AUD-41":
                errors[wrong_day(limits)] = WRONG_DAY
            elif error.code == "FG-REV-02":
                errors["person"] = "Copy the reference of a person from a list"
            else:
                raise
    labels = home.pack.register.vocabulary.purposes
    return render(
        request, "disclosures.html", user, status=422 if errors else 200, found=found, uses=USES,
        use=use, limits=shown_again(limits, errors), errors=errors,
        purposes=labels, roles={name: one.label for name, one in home.pack.vocabulary.roles.items()},
        agencies={name: one.name for name, one in home.pack.register.parties.items()},
    )  # fmt: skip


@router.get("/trail/disclosures.csv")
def disclosed_csv(
    request: Request, user: Reader, use: str = "", person: str = "", first: str = "", last: str = ""
) -> Response:
    """Give the same as CSV; the name of the file names nobody."""
    found = disclosures(get_home(request), user.user, use, person, first, last, auth=user.auth)
    return Response(
        csv_text(as_table(found)),
        media_type="text/csv; charset=utf-8",
        headers=download_headers("disclosures.csv", found["receipt"]),
    )


@api.get("/disclosures", summary="Everything of one person that was disclosed")
def disclosed_call(
    request: Request, user: Reader, use: str = "", person: str = "", first: str = "", last: str = ""
) -> dict[str, Any]:
    """Return when, to whom, for what and under what; what was refused in counts."""
    return disclosures(get_home(request), user.user, use, person, first, last, auth=user.auth)


@router.get("/trail/reports")
def reports_page(
    request: Request, user: Reader, use: str = "", first: str = "", last: str = ""
) -> Response:
    """Ask for the use, then list the reports with a figure each."""
    return _reports(request, user, "", use, first, last)


@router.get("/trail/reports/{name}")
def report_page(
    request: Request, name: str, user: Reader, use: str = "", first: str = "", last: str = ""
) -> Response:
    """Show one report."""
    return _reports(request, user, name, use, first, last)


def _reports(
    request: Request, user: SignedIn, name: str, use: str, first: str, last: str
) -> Response:
    errors: dict[str, str] = {}
    limits = {"first": first, "last": last}
    found = None
    if not_chosen(request, use):
        errors["use"] = NOT_CHOSEN
    elif use or (name and name not in REPORTS):
        try:
            found = reports(get_home(request), user.user, use, name, first, last, auth=user.auth)
        except ConfigError as error:
            if error.code not in ("FG-AUD-41", "FG-AUD-43"):
                raise
            if error.code == "FG-AUD-41":
                errors[wrong_day(limits)] = WRONG_DAY
            else:
                errors["first"] = "Choose a shorter period"
    return render(
        request, "report.html" if name and found else "reports.html", user,
        status=422 if errors else 200, found=found, uses=USES, use=use, name=name, errors=errors,
        limits=shown_again(limits, errors),
    )  # fmt: skip


@api.get("/reports", summary="The seventeen reports, each ran, skipped or failed")
def reports_call(
    request: Request, user: Reader, use: str = "", first: str = "", last: str = ""
) -> dict[str, Any]:
    """Return every report with its figure and its rows."""
    return reports(get_home(request), user.user, use, "", first, last, auth=user.auth)


@api.get("/reports/{name}", summary="One report")
def report_call(
    request: Request, name: str, user: Reader, use: str = "", first: str = "", last: str = ""
) -> dict[str, Any]:
    """Return one report."""
    return reports(get_home(request), user.user, use, name, first, last, auth=user.auth)


@router.get("/own-trail")
def own_page(
    request: Request,
    user: Partner,
    use: str = "",
    first: str = "",
    last: str = "",
    page: str = "1",
    below: str = "",
) -> Response:
    """Ask for the use, then show the agency's own part of the trail."""
    errors: dict[str, str] = {}
    limits = {"first": first, "last": last}
    found = None
    if not_chosen(request, use):
        errors["use"] = NOT_CHOSEN
    elif use:
        try:
            found = _own(request, user, use, first, last, page, below)
        except ConfigError as error:
            if error.code != "FG-AUD-41":
                raise
            errors[wrong_day(limits)] = WRONG_DAY
    return render(
        request, "own_trail.html", user, status=422 if errors else 200, found=found, uses=USES, use=use,
        limits=shown_again(limits, errors), errors=errors,
    )  # fmt: skip


@own_api.get("", summary="Your agency's part of the trail")
def own_call(
    request: Request,
    user: Partner,
    use: str = "",
    first: str = "",
    last: str = "",
    page: str = "1",
    below: str = "",
) -> dict[str, Any]:
    """Return who was shown the agency's data and what its own staff looked for; nothing else."""
    return _own(request, user, use, first, last, page, below)


def _own(
    request: Request, user: SignedIn, use: str, first: str, last: str, page: str, below: str
) -> dict[str, Any]:
    place, stand = number_of(page), number_of(below)
    return own_trail(
        get_home(request), user.user, use, first, last, 0 if place is None else place, stand,
        auth=user.auth,
    )  # fmt: skip


def number_of(text: str) -> int | None:
    """Return the number of an address; None for anything else."""
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 16 else None
