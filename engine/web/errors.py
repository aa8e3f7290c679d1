"""Error pages and answers: a code, a sentence, a next step; never the input, never a trace."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audit.errors import AuditFault
from engine.domain.errors import (
    AuditError,
    ConfigError,
    ContractError,
    FieldgateError,
    GatewayError,
    PolicyRefused,
    RowsRefused,
    SubmissionError,
    told,
)
from engine.domain.ids import Actor
from engine.flows.intent import record_denial
from engine.flows.sign_in import signed_in
from engine.web.deps import COOKIE, SignInNeeded, get_home, render
from gateways.errors import GatewayFault
from policies.errors import PolicyFault
from scoring.errors import ScoringFault


def status_of(error: FieldgateError) -> int:
    """Return the HTTP status of an error of ours."""
    if error.code in ("FG-REV-02", "FG-REV-06", "FG-AUD-42"):
        return 404  # Whether somebody exists is not told by another status.
    if isinstance(error, PolicyRefused):
        return 403
    if error.code.startswith("FG-REG"):
        return 409  # What is suspended or not whole is not served, not even an old score (TF1).
    if isinstance(error, ContractError | SubmissionError | RowsRefused | GatewayError):
        return 422  # The delivery is at fault, and its sender is told everything at once.
    if error.code in ("FG-CLI-02", "FG-LNK-19", "FG-AUD-41", "FG-AUD-43"):
        return 422  # A day that is none, or before anything was known: whoever asked can mend it.
    return 503 if isinstance(error, AuditError | ConfigError) else 500


def add_error_pages(app: FastAPI) -> None:
    """Register the handlers. Every error of ours and of the leaf packages has one by name."""

    @app.exception_handler(SignInNeeded)
    def sign_in_needed(request: Request, error: SignInNeeded) -> Response:
        if _is_call(request):
            return _answer(401, "FG-AUT-04", "nobody is signed in", "Sign in first.", [])
        return RedirectResponse("/sign-in", status_code=303)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        # Only places and codes: the default answer would repeat the input (style_ui.md 4.5), and the
        # name of a key that we do not know is input too.
        places = []
        for one in error.errors():
            known = one["type"] != "extra_forbidden"
            place = ".".join(map(str, one["loc"] if known else one["loc"][:1]))
            places.append(f"{place} ({one['type']})")
        return _tell(
            request, 422, "FG-WEB-03", "the request is incomplete", "Fill every field.", places
        )

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> Response:
        return _tell(
            request, error.status_code, "FG-WEB-04", "that page is not here", "Start again.", []
        )

    for family in (FieldgateError, AuditFault, PolicyFault, GatewayFault, ScoringFault):
        app.add_exception_handler(family, answer_error)


def answer_error(request: Request, error: Exception) -> Response:
    """Answer an error: a refusal is in the trail before it is told; a stranger is told by type only."""
    known = told(error)
    if isinstance(known, PolicyRefused) and not known.audited:
        try:
            _record(request, known)
        except (FieldgateError, AuditFault) as failed:
            known = told(failed)
    if known is None:
        logging.getLogger("fieldgate").error("unexpected %s", type(error).__name__)
        return _tell(
            request, 500, "FG-XXX-00", "something went wrong; nothing was shown", "Report it.", []
        )
    return _tell(
        request, status_of(known), known.code, known.message, known.next_step, list(known.reasons)
    )


def _record(request: Request, error: PolicyRefused) -> None:
    """Put a refusal of the gate or of a form into the trail."""
    home = get_home(request)
    user = signed_in(home, request.cookies.get(COOKIE))
    actor = user.actor if user is not None else Actor("unknown", "", "", "none")
    record_denial(home, actor, error.code)
    error.audited = True


class LastBorder:
    """Innermost middleware: no exception leaves the application, so none reaches a server's log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; answer what the handlers did not know."""
        begun = False

        async def watch(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:  # noqa: BLE001  # the last border: told by type only
            if scope["type"] != "http" or begun:
                # Never the text nor the trace: either might hold a value.
                logging.getLogger("fieldgate").error("unexpected %s", type(error).__name__)  # noqa: TRY400
                return
            response = await run_in_threadpool(answer_error, Request(scope, receive), error)
            await response(scope, receive, send)


def _is_call(request: Request) -> bool:
    return request.url.path.startswith("/api/")


def _answer(
    status: int, code: str, message: str, next_step: str, reasons: list[str]
) -> JSONResponse:
    body = {
        "code": code,
        "message": message,
        "next_step": next_step,
        "reasons": reasons,
    }
    return JSONResponse({"error": body}, status_code=status)


def _tell(
    request: Request,
    status: int,
    code: str,
    message: str,
    next_step: str,
    reasons: list[str],
) -> Response:
    if _is_call(request):
        return _answer(status, code, message, next_step, reasons)
    user = signed_in(get_home(request), request.cookies.get(COOKIE))
    return render(
        request, "error.html", user, status=status,
        code=code, message=message, next_step=next_step, reasons=reasons,
    )  # fmt: skip
