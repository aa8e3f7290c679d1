"""Error pages and answers: a code, a sentence, a next step; never the input, never a trace."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from engine.domain.errors import AuditError, FieldgateError, PolicyRefused, told
from engine.flows.sign_in import signed_in
from engine.web.deps import COOKIE, SignInNeeded, get_home, render


def status_of(error: FieldgateError) -> int:
    """Return the HTTP status of an error of ours."""
    if error.code in ("FG-REV-02", "FG-REV-06"):
        return 404  # Whether somebody exists is not told by another status.
    if isinstance(error, PolicyRefused):
        return 403
    return 503 if isinstance(error, AuditError) else 500


def add_error_pages(app: FastAPI) -> None:
    """Register the handlers."""

    @app.exception_handler(SignInNeeded)
    def sign_in_needed(request: Request, error: SignInNeeded) -> Response:
        if _is_call(request):
            return _answer(401, "FG-AUT-04", "nobody is signed in", "Sign in first.", [])
        return RedirectResponse("/sign-in", status_code=303)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        # Only places and codes: the default answer would repeat the input (style_ui.md 4.5).
        places = [".".join(map(str, one["loc"])) + f" ({one['type']})" for one in error.errors()]
        return _tell(
            request,
            422,
            "FG-WEB-03",
            "the request is incomplete",
            "Fill every field.",
            places,
        )

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> Response:
        return _tell(
            request,
            error.status_code,
            "FG-WEB-04",
            "that page is not here",
            "Start again.",
            [],
        )

    @app.exception_handler(Exception)
    def unexpected(request: Request, error: Exception) -> Response:
        known = told(error)
        if known is None:
            return _tell(
                request,
                500,
                "FG-XXX-00",
                "something went wrong; nothing was shown",
                "Report it.",
                [],
            )
        return _tell(
            request, status_of(known), known.code, known.message, known.next_step,
            list(known.reasons),
        )  # fmt: skip

    for family in (FieldgateError, PolicyRefused):
        app.add_exception_handler(family, unexpected)


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
