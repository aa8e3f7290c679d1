"""The policy for those who govern it: questions for programs, and a page to read and answer changes."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Header, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from engine.domain.days import day_of
from engine.flows.policy_change import activate, answer, changes, governor, propose, rollback
from engine.flows.policy_review import cases_of, check_draft
from engine.flows.policy_simulate import simulate_draft
from engine.flows.sign_in import SignedIn, check_form
from engine.web.deps import gate, get_home, render
from gateways.notice import agreement_rows, expiring, gaps, gateway_rows
from policies import load
from policies.coverage import closed_fields
from policies.diff import diff
from policies.explain import explain
from policies.horizon import horizon
from policies.lint import lint
from policies.matrix import ASSUMED, cells, everything_met, plain_state, what_can, who_can
from policies.model import Request as Asked

router = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/policy")
Governor = Annotated[SignedIn, Depends(gate("policy"))]
Changer = Annotated[SignedIn, Depends(gate("policy_change"))]


class Answer(BaseModel):
    """What somebody answers about a proposed change."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    change: int
    kind: str = Field(description="Kind of approval, for example health; or advice.", max_length=32)
    answer: str = Field(description="approve, reject or advise.", max_length=16)


class Activation(BaseModel):
    """Which approved change becomes active."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    change: int


def _when(request: Request, text: str) -> date:
    return day_of(text or "today", get_home(request).clock().date())


@api.get("/matrix", summary="Who may see what")
def matrix(request: Request, user: Governor, as_of: str = "") -> list[dict[str, str]]:
    """Return every cell that is not refused; what is not there is not shared."""
    return [one.as_dict() for one in cells(get_home(request).pack, _when(request, as_of))]


@api.get("/who-can", summary="Who may see a field")
def who(request: Request, user: Governor, field: str, as_of: str = "") -> list[dict[str, str]]:
    """Return everybody who may see ``source.field``."""
    return [one.as_dict() for one in who_can(get_home(request).pack, field, _when(request, as_of))]


@api.get("/what-can", summary="What a role may see")
def what(request: Request, user: Governor, role: str, as_of: str = "") -> list[dict[str, str]]:
    """Return everything a role may see."""
    return [one.as_dict() for one in what_can(get_home(request).pack, role, _when(request, as_of))]


@api.get("/explain", summary="Why a field is shown or not")
def why(
    request: Request,
    user: Governor,
    field: str,
    role: str,
    agency: str,
    purpose: str,
    as_of: str = "",
    flags: Annotated[list[str] | None, Query(description="flag=y or flag=n")] = None,
) -> dict[str, Any]:
    """Return row, file, line, statute, agreement and the six answers."""
    pack = get_home(request).pack
    source, _, name = field.rpartition(".")
    state = dict(one.partition("=")[::2] for one in flags or [])
    asked = Asked(role, agency, purpose, ASSUMED)
    met, on = everything_met(pack), _when(request, as_of)
    return explain(pack, asked, source, name, on, met, {**plain_state(pack), **state}).as_dict()


@api.get("/as-of", summary="What is open on a day and what lapses after it")
def as_of(request: Request, user: Governor, day: str) -> dict[str, Any]:
    """Return the horizon of 60 days."""
    return horizon(get_home(request).pack, _when(request, day))


@api.get("/law", summary="Gaps of the register and what runs out")
def law(request: Request, user: Governor, as_of: str = "") -> dict[str, Any]:
    """Return unverified parts, fields without an open gateway, and notices of 60, 30 and 7 days."""
    pack, on = get_home(request).pack, _when(request, as_of)
    return {
        "gaps": gaps(pack.register, on),
        "closed_fields": closed_fields(pack, on),
        "expiring": [one.as_dict() for one in expiring(pack.register, on)],
    }


@api.get("/gateways", summary="Every legal power and whether it is in force")
def gateways(request: Request, user: Governor, as_of: str = "") -> list[dict[str, Any]]:
    """Return every record of the register: parties, purposes, conditions, and what was verified."""
    return gateway_rows(get_home(request).pack.register, _when(request, as_of))


@api.get("/agreements", summary="Every agreement and whether it carries data")
def agreements(request: Request, user: Governor, as_of: str = "") -> list[dict[str, Any]]:
    """Return every agreement: parties, sources, powers, dates and assessment."""
    return agreement_rows(get_home(request).pack.register, _when(request, as_of))


@api.get("/check", summary="Hold the draft against all a proposal must pass")
def check(request: Request, user: Governor) -> dict[str, Any]:
    """Return what the draft is and does, without proposing it; refused as a proposal would be."""
    return check_draft(get_home(request), user.actor).as_dict()


@api.get("/draft", summary="Lint, difference and effect of the draft")
def draft(request: Request, user: Governor) -> dict[str, Any]:
    """Return findings, exact differences and the effect on the last 30 days' requests."""
    home, on = get_home(request), _when(request, "")
    pack = load.load_pack(*home.draft)
    return {
        "version": pack.version,
        "findings": [one.as_dict() for one in lint(pack, on)],
        "changes": [one.as_dict() for one in diff(home.pack, pack, on)],
        "simulation": simulate_draft(home, user.actor),
    }


@api.get("/changes", summary="Proposed changes and their answers")
def listed(request: Request, user: Governor) -> list[dict[str, Any]]:
    """Return every change, the newest first."""
    return changes(get_home(request), user.actor)


@api.get("/tests", summary="Run the tests of the draft")
def pack_tests(request: Request, user: Governor, as_of: str = "") -> dict[str, Any]:
    """Run the tests that stand beside the pack, in YAML, against the draft."""
    home = get_home(request)
    results = cases_of(load.load_pack(*home.draft), home.draft[1], _when(request, as_of))
    failed = sum(1 for one in results if one.problems)
    return {
        "passed": len(results) - failed,
        "failed": failed,
        "tests": [one.as_dict() for one in results],
    }


@api.post("/activations", summary="Activate an approved change")
def activated(
    request: Request, body: Activation, user: Changer, x_csrf_token: Annotated[str, Header()] = ""
) -> dict[str, Any]:
    """Make an approved change the active policy of every worker at once."""
    check_form(user, x_csrf_token)
    home = get_home(request)
    return activate(home, body.change, governor(home, user.user, user.auth))


@api.post("/rollbacks", summary="Go back one step")
def rolled_back(
    request: Request, user: Changer, x_csrf_token: Annotated[str, Header()] = ""
) -> dict[str, Any]:
    """Make the version before the active one active again, once."""
    check_form(user, x_csrf_token)
    home = get_home(request)
    return rollback(home, governor(home, user.user, user.auth))


@api.post("/changes", summary="Propose the draft")
def proposed(
    request: Request, user: Changer, x_csrf_token: Annotated[str, Header()] = ""
) -> dict[str, Any]:
    """Freeze the draft and show it to those who must agree."""
    check_form(user, x_csrf_token)
    return propose(get_home(request), user.user, auth=user.auth)


@api.post("/answers", summary="Answer a proposed change")
def answered(
    request: Request, body: Answer, user: Changer, x_csrf_token: Annotated[str, Header()] = ""
) -> dict[str, Any]:
    """Approve, reject or advise."""
    check_form(user, x_csrf_token)
    home = get_home(request)
    return answer(home, user.user, body.change, body.kind, body.answer, auth=user.auth)


@router.get("/policy")
def page(request: Request, user: Governor) -> Response:
    """Show what is active, what runs out, and the changes that wait for an answer."""
    home = get_home(request)
    notices = expiring(home.pack.register, home.clock().date())
    return render(
        request,
        "policy.html",
        user,
        version=home.pack.version,
        notices=notices,
        changes=changes(home, user.actor),
        role=user.account.role,
        advises=user.account.role in home.pack.governance.advice,
    )


@router.post("/policy/answer")
def answer_form(
    request: Request,
    user: Changer,
    change: Annotated[int, Form()] = 0,
    kind: Annotated[str, Form()] = "",
    word: Annotated[str, Form()] = "",
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """Record an answer and lead back to the page."""
    check_form(user, csrf)
    answer(get_home(request), user.user, change, kind, word, auth=user.auth)
    return RedirectResponse("/policy", status_code=303)
