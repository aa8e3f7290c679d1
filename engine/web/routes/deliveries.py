"""The door for partner agencies: send, see the receipt, and see what is wrong, in their own words."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from engine.domain.errors import FieldgateError, PolicyRefused, SubmissionError, told
from engine.domain.export import csv_text
from engine.domain.ids import Actor
from engine.flows.aside import as_table, rows_aside
from engine.flows.clients import ROLE, client_of, make_token
from engine.flows.deliveries import (
    EVERYBODYS,
    deliveries,
    finding_rows,
    receipt_of,
    release,
    trend,
)
from engine.flows.home import Home
from engine.flows.incoming import Options, window_of
from engine.flows.lights import source_lights
from engine.flows.sign_in import SignedIn, check_form
from engine.flows.submit import submit
from engine.web.deps import SignInNeeded, gate, get_home, render
from engine.web.errors import status_of
from engine.web.headers import download_headers
from engine.web.upload import body_spool, form_spools
from policies.errors import PolicyFault

router = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api")
Reader = Annotated[SignedIn, Depends(gate("deliveries"))]
Numbered = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
Day = Annotated[str, Query(max_length=10)]
Sender = Annotated[SignedIn, Depends(gate("submit"))]


class TokenRequest(BaseModel):
    """Client credentials (RFC 6749 4.4)."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    client_id: str = Field(max_length=64)
    client_secret: str = Field(max_length=128)


def _seen_by(user: SignedIn) -> str:
    """An agency's own people see its deliveries; governance sees those of all."""
    return user.account.agency if user.account.role == ROLE else EVERYBODYS


def _own_sources(home: Home, agency: str) -> list[dict[str, str]]:
    return [
        {"value": one.id, "text": f"{one.title} ({one.id})"}
        for one in sorted(home.pack.sources.values(), key=lambda one: one.title)
        if one.agency == agency
    ]


@router.get("/deliveries")
def listed(request: Request, user: Reader) -> Response:
    """Show deliveries, the lights of the sources, and the trend of findings."""
    home, agency = get_home(request), _seen_by(user)
    actor = user.actor
    lights = [one for one in source_lights(home) if agency in (EVERYBODYS, one["agency"])]
    return render(
        request,
        "deliveries.html",
        user,
        rows=deliveries(home, actor, agency),
        lights=[one for one in lights if one["light"] != "never" or one["every_days"]],
        trend=_trend_table(trend(home, actor, agency)),
        sends=user.account.role in home.pack.routes.get("submit", ()),
    )


def _trend_table(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return for each source its last deliveries side by side, a row a cause."""
    found = []
    for source in sorted({one["source"] for one in rows}):
        mine = [one for one in rows if one["source"] == source][-6:]
        causes = sorted({cause for one in mine for cause in one["findings"]})
        if not causes:
            continue
        found.append(
            {
                "source": source,
                "numbers": [one["number"] for one in mine],
                "rows": [
                    {"cause": cause, "counts": [one["findings"].get(cause, 0) for one in mine]}
                    for cause in causes
                ],
            }
        )
    return found


@router.get("/deliveries/new")
def upload_page(request: Request, user: Sender) -> Response:
    """Show the form that takes files."""
    sources = _own_sources(get_home(request), user.account.agency)
    return render(request, "upload.html", user, sources=sources, chosen="", errors={})


@router.post("/deliveries/new")
async def upload(request: Request, user: Sender) -> Response:
    """Take a delivery; accepted leads to its receipt, refused says everything that is wrong."""
    home = get_home(request)
    async with form_spools(home, request, user) as sent:
        chosen = sent.fields.get("source", "")
        errors = {}
        if not chosen:
            errors["source"] = "Choose what you send"
        if not sent.files:
            errors["file"] = "Choose a file"
        if errors:
            sources = _own_sources(home, user.account.agency)
            return render(
                request, "upload.html", user, status=422, sources=sources, chosen=chosen,
                errors=errors,
            )  # fmt: skip
        try:
            receipt = await run_in_threadpool(
                _take, home, sent.files, chosen, user.actor, sent.fields
            )
        except Exception as error:
            known = told(error)
            if known is None or isinstance(known, PolicyRefused):
                raise
            return _not_taken(request, user, known, chosen)
    if receipt["state"] == "dry run":
        return render(request, "receipt.html", user, receipt=receipt, releases=False)
    return RedirectResponse(f"/deliveries/{receipt['number']}", status_code=303)


def _take(
    home: Home, files: list[Any], source: str, actor: Actor, fields: dict[str, str]
) -> dict[str, Any]:
    options = Options(
        history=fields.get("history") == "yes",
        replaces=_number(fields.get("replaces", "")),
        mends=_number(fields.get("mends", "")),
        window=window_of(fields.get("window_from", ""), fields.get("window_to", "")),
        dry_run=fields.get("try") == "yes",
    )
    return submit(home, files, agency=actor.agency, source=source, actor=actor, options=options)


def _number(text: str) -> int | None:
    """Return the number of a delivery that a form names; anything that is none names no delivery."""
    words = text.strip()
    plain = words.isascii() and words.isdigit() and len(words) <= 9
    return (int(words) if plain else 0) if words else None


def _not_taken(request: Request, user: SignedIn, error: FieldgateError, chosen: str) -> Response:
    return render(
        request, "not_taken.html", user, status=status_of(error), error=error, chosen=chosen
    )


@router.get("/deliveries/{number}")
def shown(request: Request, number: int, user: Reader) -> Response:
    """Show a receipt; rows are shown when asked for."""
    home = get_home(request)
    receipt = receipt_of(home, user.actor, number, _seen_by(user), with_keys=True)
    releases = receipt["state"] == "paused" and user.account.role in home.pack.routes.get(
        "release", frozenset()
    )
    mends = user.account.role == ROLE and bool(receipt["set_aside"])
    return render(request, "receipt.html", user, receipt=receipt, releases=releases, mends=mends)


@router.get("/deliveries/{number}/findings.csv")
def findings_csv(request: Request, number: int, user: Reader) -> Response:
    """Give the findings as CSV, a line each, with the agency's own keys to that agency only."""
    receipt = receipt_of(get_home(request), user.actor, number, _seen_by(user), with_keys=True)
    return Response(
        csv_text(finding_rows(receipt)),
        media_type="text/csv; charset=utf-8",
        headers=download_headers(f"findings-{number}.csv", receipt["looked"]),
    )


@router.get("/deliveries/{number}/aside.csv")
def aside_csv(request: Request, number: int, user: Sender) -> Response:
    """Give the agency its own rows that were set aside, to be mended and sent again."""
    found = rows_aside(get_home(request), user.actor, number)
    return Response(
        csv_text(as_table(found)),
        media_type="text/csv; charset=utf-8",
        headers=download_headers(f"set-aside-{number}.csv", found["receipt"]),
    )


@router.post("/deliveries/{number}/release")
def released(
    request: Request,
    number: int,
    user: Annotated[SignedIn, Depends(gate("release"))],
    word: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """Let a paused delivery count, or refuse it."""
    check_form(user, csrf)
    if word not in ("accept", "refuse"):
        raise SubmissionError(
            "FG-SUB-27", "nobody said what becomes of it", "Choose one of the two."
        )
    release(get_home(request), number, user.actor, accept=word == "accept")
    return RedirectResponse(f"/deliveries/{number}", status_code=303)


def client(request: Request) -> Actor:
    """Return the client of a call by its bearer token, past the gate of who may submit."""
    home = get_home(request)
    home.refresh_policy()
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token:
        raise SignInNeeded
    actor = client_of(home, token)
    try:
        request.app.state.gate.admits(actor.role, "submit")
    except PolicyFault as fault:
        raise PolicyRefused(fault.code, fault.message, fault.next_step) from None
    return actor


Client = Annotated[Actor, Depends(client)]


@api.post("/token", summary="Get a token with client credentials")
def token(request: Request, body: TokenRequest) -> dict[str, Any]:
    """Return a bearer token that lasts for minutes."""
    return make_token(get_home(request), body.client_id, body.client_secret)


@api.post("/deliveries", summary="Send a delivery")
async def api_submit(
    request: Request,
    source: str,
    sender: Client,
    *,
    dry_run: bool = False,
    history: bool = False,
    replaces: Numbered = None,
    mends: Numbered = None,
    window_from: Day = "",
    window_to: Day = "",
) -> dict[str, Any]:
    """Take the body as the file, or as a zip of the files that belong together."""
    home = get_home(request)
    async with body_spool(home, request) as files:
        options = Options(
            history=history,
            replaces=replaces,
            mends=mends,
            window=window_of(window_from, window_to),
            dry_run=dry_run,
        )
        return await run_in_threadpool(
            submit, home, files, agency=sender.agency, source=source, actor=sender, options=options
        )


@api.get("/deliveries", summary="Your agency's deliveries")
def api_listed(request: Request, sender: Client) -> list[dict[str, Any]]:
    """Return the deliveries of the client's agency, the newest first."""
    return deliveries(get_home(request), sender, sender.agency)


@api.get("/deliveries/{number}", summary="A receipt")
def api_shown(request: Request, number: int, sender: Client) -> dict[str, Any]:
    """Return a receipt with the agency's own key of each row found."""
    return receipt_of(get_home(request), sender, number, sender.agency, with_keys=True)


@api.get("/deliveries/{number}/aside", summary="Rows that were set aside")
def api_aside(request: Request, number: int, sender: Client) -> dict[str, Any]:
    """Return the rows of a delivery that wait to be mended, in your own column names."""
    return rows_aside(get_home(request), sender, number)
