"""Tell the flows which request they answer, so that the trail carries a keyed hash of it."""

from __future__ import annotations

import urllib.parse

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.flows.asked import ASKED, Asked
from engine.web.deps import COOKIE


class TellFlows:
    """ASGI middleware that keeps what a request is for as long as it is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; its body is looked at as the application reads it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = _asked(scope)

        async def looked_at() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                asked.take(message.get("body", b""), last=not message.get("more_body", False))
            return message

        before = ASKED.set(asked)
        try:
            await self._app(scope, looked_at, send)
        finally:
            ASKED.reset(before)


def _asked(scope: Scope) -> Asked:
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
    }
    client = scope.get("client")
    return Asked(
        method=scope["method"],
        path=urllib.parse.quote(scope["path"]),
        query=scope.get("query_string", b"").decode("latin-1"),
        address=str(client[0]) if client else "",
        # Read as the application reads it: what signs somebody in must not be missing from the trail.
        session=HTTPConnection(scope).cookies.get(COOKIE, ""),
        kind=headers.get("content-type", "").partition(";")[0].strip().lower(),
    )
