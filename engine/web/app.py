"""Build the application: headers, sessions, routes and errors, all deny by default."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, Undefined

from engine import __version__
from engine.flows.home import Home
from engine.web.asked import TellFlows
from engine.web.assets import STATIC
from engine.web.errors import LastBorder, add_error_pages
from engine.web.headers import SecurityHeaders
from engine.web.routes import (
    api,
    casework,
    deliveries,
    monitor,
    oversight,
    pairs,
    policy,
    products,
    records,
    sign_in,
    trail,
)
from engine.web.upload import clear_spools
from policies.shadow import RouteGate


def make_templates() -> Environment:
    """Return the Jinja environment: our templates, and the GOV.UK macros under their own prefix."""
    return Environment(
        loader=ChoiceLoader(
            [
                PackageLoader("engine.web"),
                PrefixLoader({"govuk_frontend_jinja": PackageLoader("govuk_frontend_jinja")}),
            ]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        # The GOV.UK macros test for absent parameters, so strictness cannot be switched on for all.
        undefined=Undefined,
    )


def create_app(home: Home) -> FastAPI:
    """Return the application for one home.

    Args:
        home: The home; its policy is loaded once and pages say which version they used. From now on it
            never opens the linkage key: whoever holds that can try names against every encoding.
    """
    app = FastAPI(
        title="fieldgate",
        version=__version__,
        description="The flows of fieldgate for programs. Every call is decided and audited.",
        docs_url=None,  # The default pages load scripts from elsewhere.
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    home.serve()
    clear_spools(home)
    app.state.home = home
    app.state.gate = RouteGate(home.pack)
    app.state.templates = make_templates()
    app.add_middleware(LastBorder)
    app.add_middleware(
        TellFlows
    )  # Outside of the last border, whose refusals are in the trail too.
    app.add_middleware(SecurityHeaders)  # Added last, so outermost: every answer has its headers.
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    for module in (sign_in, casework, trail, api):
        app.include_router(module.router)
    app.include_router(trail.api)
    app.include_router(oversight.router)
    app.include_router(oversight.api)
    app.include_router(oversight.own_api)
    app.include_router(monitor.router)
    app.include_router(pairs.router)
    app.include_router(pairs.api)
    app.include_router(records.router)
    app.include_router(records.api)
    app.include_router(products.router)
    app.include_router(products.api)
    app.include_router(policy.router)
    app.include_router(policy.api)
    app.include_router(deliveries.router)
    app.include_router(deliveries.api)
    add_error_pages(app)

    @app.get("/healthz", include_in_schema=False)
    def health() -> dict[str, Any]:
        """Say that the process is up; it tells nothing else."""
        return {"status": "ok"}

    return app
