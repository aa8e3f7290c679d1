"""Ask the witnesses of the trail to sign its newest checkpoint (C2SP tlog-witness), with a bounded wait.

It is run by itself and not inside any other flow: a witness that does not answer is an alarm, and nobody
waits for it.
"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from audit.cosign import CosignerKey
from audit.errors import AuditFault
from audit.note import plain_size
from audit.place import NoRedirect
from audit.witnessed import last_sizes, submission_from
from engine.domain.errors import ConfigError
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.trail_out import keep_signed, named_keys, outward, public_key

WAIT_SECONDS = 5.0
_MAX_ANSWER = 65_536

Post = Callable[[str, bytes], tuple[int, str]]
"""Sends a request to an address and returns status and text; an `OSError` says it was not reached."""


def post(url: str, body: bytes) -> tuple[int, str]:
    """Send a request with a bounded wait, following no redirect and no proxy."""
    request = urllib.request.Request(url, body, {"Content-Type": "text/plain"})  # noqa: S310
    opener = urllib.request.build_opener(NoRedirect, urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + WAIT_SECONDS
    try:
        answer = opener.open(request, timeout=WAIT_SECONDS)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        text = b""
        while len(text) <= _MAX_ANSWER:
            if time.monotonic() > deadline:
                raise TimeoutError
            part = answer.read1(4096)
            if not part:
                break
            text += part
        return int(answer.status or 0), text.decode("utf-8", "replace")


def submit_checkpoint(
    home: Home, user: str, addresses: Mapping[str, str], *, auth: str, send: Post = post
) -> dict[str, Any]:
    """Ask each witness to sign the newest checkpoint and keep what comes back.

    Args:
        home: The home.
        user: Who submits; a timer runs as a user who has an account.
        addresses: Name of each witness to its submission address.
        auth: How the user was established.
        send: Sends a request; tests pass one without a network.

    Returns:
        What each witness did: ``signed``, ``unreachable``, ``refused`` with its status, or ``contradicts``:
        it has seen another history or more events than the trail holds.

    Raises:
        PolicyRefused: ``FG-AUD-22`` the role does not deal with witnesses.
        ConfigError: ``FG-AUD-27`` no address is set, or one of a witness that the policy does not name.

    Audited as ``export``: sizes and hashes leave, and nothing of any event. A refusal of the role is
    audited as ``deny``.
    """
    actor = outward(home, user, auth)
    with Flow(home, "submit_checkpoint", "export", actor, {"source": "audit.checkpoint"}) as flow:
        if not addresses:
            raise ConfigError(
                "FG-AUD-27", "no address of a witness is set", "Set FIELDGATE_WITNESS_URLS."
            )
        keys = {name: named_keys(home, name)[0] for name in addresses}
        details = {"source": "audit.checkpoint", "recipient": ", ".join(sorted(addresses))}
        done = [_ask(home, keys[name], url, send) for name, url in sorted(addresses.items())]
        signed = sum(one["state"] == "signed" for one in done)
        flow.finish(
            {
                **details,
                "rules": [f"{one['witness']} {one['state']}" for one in done],
                "counts": {"asked": len(done), "signed": signed},
            }
        )
        return {"asked": len(done), "signed": signed, "answers": done, "receipt": flow.receipt()}


def _ask(home: Home, key: CosignerKey, url: str, send: Post) -> dict[str, Any]:
    audit, log = home.path / "audit", public_key(home)
    old = last_sizes(audit, log, [key]).get(key.name, 0)
    told: dict[str, Any] = {"witness": key.name, "state": "unreachable", "old": old}
    for _ in range(2):  # The second time from the size that the witness names.
        try:
            submission = submission_from(audit, old, log, home.log_opening())
            status, text = send(f"{url.rstrip('/')}/add-checkpoint", submission.text().encode())
        except AuditFault as fault:
            if fault.code != "FG-AUD-26":
                raise
            return told | {"state": "contradicts", "status": 409, "old": old}
        except (OSError, ValueError):
            return told
        if status == 200:
            try:
                kept = keep_signed(home, submission.note + text, (key,))
            except AuditFault as fault:
                return told | {"state": "refused", "status": status, "why": fault.code}
            return told | {"state": "signed", "size": kept["size"], "old": old}
        seen = plain_size(text.strip()) if status == 409 else None
        if seen is None or seen == old:
            return told | {
                "state": "contradicts" if status in (409, 422) else "refused",
                "status": status,
            }
        old = seen
    return told | {"state": "refused", "status": status}
