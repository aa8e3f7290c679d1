"""The witness as a small service of its own (C2SP tlog-witness), run by another partner than the log.

It has no home, no sign-in and no page: whoever sends a checkpoint that a known log signed gets an answer
by rule, and learns nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from audit.errors import AuditFault
from audit.witness import MAX_REQUEST, Refusal, Witness
from engine.web.headers import SecurityHeaders

SIZE_TYPE = "text/x.tlog.size"


def create_witness_app(witness: Witness, seconds: Callable[[], int]) -> FastAPI:
    """Return the service of one witness.

    Args:
        witness: The witness.
        seconds: Returns the POSIX time.
    """
    app = FastAPI(title="fieldgate witness", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(SecurityHeaders)

    @app.post("/add-checkpoint")
    async def add_checkpoint(request: Request) -> Response:
        """Sign a checkpoint that continues what was signed before, or say by rule why not."""
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MAX_REQUEST:
                return _plain(400, "the request is too long")
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return _plain(400, "the request is malformed")
        try:
            line = await run_in_threadpool(witness.add_checkpoint, text, seconds())
        except Refusal as refusal:
            if refusal.size is not None:
                # As a header and not as a media type, to which a character set would be added.
                return Response(f"{refusal.size}\n", 409, {"Content-Type": SIZE_TYPE})
            return _plain(refusal.status, refusal.why)
        except AuditFault as fault:
            # Its own database failed: nothing was stored, so nothing is signed.
            return _plain(503, fault.message)
        return Response(line, 200, media_type="text/plain; charset=utf-8")

    @app.get("/healthz")
    def health() -> dict[str, str]:
        """Say that the process is up; it tells nothing else."""
        return {"status": "ok"}

    return app


def _plain(status: int, why: str) -> Response:
    return Response(why + "\n", status, media_type="text/plain; charset=utf-8")
