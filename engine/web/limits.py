"""Limits of a search as a form shows them again: nothing that was refused, as it might be a name."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from fastapi import Request

from engine.flows.trail import USES

FORMS = {
    "first": re.compile(r"\d{4}-\d{2}-\d{2}"),
    "last": re.compile(r"\d{4}-\d{2}-\d{2}"),
    "as_of": re.compile(r"\d{4}-\d{2}-\d{2}"),
    "known": re.compile(r"\d{4}-\d{2}-\d{2}"),
    "person": re.compile(r"casework[.]\d+[.][a-z2-7]{20,}"),
    "case": re.compile(r"[0-9a-f]{32}"),
}
"""What each limit looks like; a name, an address or a number of a person has none of these forms."""
NOT_CHOSEN = "Choose what you read the trail for"
WRONG_DAY = "Write each day as YYYY-MM-DD, the first one before the last"


def not_chosen(request: Request, use: str) -> bool:
    """Say whether a form was sent without one of the four uses of DPA 2018 s.62; none is preselected."""
    return use not in USES and bool(use or request.query_params.get("asked"))


def shown_again(limits: Mapping[str, str], refused: Collection[str]) -> dict[str, str]:
    """Return limits for a form that is shown again.

    Where none was refused they are as they were typed; else blank where one was, or has not its form: of
    several that are wrong only one may have been refused yet.

    Args:
        limits: Name of each limit to what was typed.
        refused: Names of those that were refused.
    """
    if not refused:
        return dict(limits)
    return {
        name: text if name not in refused and FORMS[name].fullmatch(text.strip()) else ""
        for name, text in limits.items()
    }


def wrong_day(limits: Mapping[str, str]) -> str:
    """Return the field that a fault of the days belongs to: the last day only where it alone is wrong."""
    bad = [name for name in ("first", "last")
           if limits[name].strip() and not FORMS[name].fullmatch(limits[name].strip())]  # fmt: skip
    return "last" if bad == ["last"] else "first"
