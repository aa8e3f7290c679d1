"""Security headers on every answer: nothing inline, nothing from elsewhere, nothing cached."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, MutableMapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class SecurityHeaders:
    """ASGI middleware that sets the headers and a nonce for the one script of the GOV.UK template."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and set the headers on its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        nonce = secrets.token_urlsafe(16)
        state: MutableMapping[str, Any] = scope.setdefault("state", {})
        state["nonce"] = nonce

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = policy(nonce)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["X-Frame-Options"] = "DENY"
                headers["Cross-Origin-Opener-Policy"] = "same-origin"
                headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=()"
                static = scope["path"].startswith("/static/")
                headers["Cache-Control"] = "max-age=3600" if static else "no-store"
            await send(message)

        await self._app(scope, receive, with_headers)


def policy(nonce: str) -> str:
    """Return the content security policy: no inline style or script but the one with the nonce."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'self' 'nonce-{nonce}'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ]
    )


def download_headers(name: str, receipt: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of a file to save: its name, and the receipt of what left (C2SP tlog-proof).

    Args:
        name: File name, without a person's value in it.
        receipt: Entry and proof of the event that tells of it; without a proof the file says why in a header.
    """
    saved = {"Content-Disposition": f'attachment; filename="{name}"'}
    if not receipt["proof"]:
        return {**saved, "Fieldgate-No-Receipt": str(receipt["why"])}
    proof = base64.b64encode(str(receipt["proof"]).encode()).decode()
    return {**saved, "Fieldgate-Receipt": proof}
