"""Real pages in a real browser: keyboard, 375 px, no JavaScript, axe, nothing from elsewhere."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from engine.flows.lists import review_lists
from engine.web.app import create_app
from tests.builders.partnership import REASON, Partnership, person_row, persons_file

pytestmark = pytest.mark.deep

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def site(partnership: Partnership) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = uvicorn.Config(
        create_app(partnership.home),
        host="127.0.0.1",
        port=port,
        log_level="error",
        access_log=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
            ],
        )  # fmt: skip
        yield made
        made.close()


@pytest.fixture
def page(browser: Any, site: str) -> Iterator[Any]:
    """A page that fails the test on a console error or a request that leaves the host."""
    context = browser.new_context(base_url=site, viewport={"width": 1280, "height": 900})
    made = context.new_page()
    problems: list[str] = []
    made.on(
        "console",
        lambda message: problems.append(message.text) if message.type == "error" else None,
    )
    made.on(
        "request",
        lambda request: None if request.url.startswith(site) else problems.append(request.url),
    )
    made.problems = problems
    yield made
    context.close()
    assert problems == []


def _sign_in(page: Any, user: str) -> None:
    page.goto("/sign-in")
    page.check(f"input[value='{user}']")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_load_state()


def _person(partnership: Partnership) -> str:
    lists = review_lists(partnership.home, "demo.social_worker", auth="demo")["lists"]
    return str(next(e["person"] for e in lists[0]["entries"] if not e["blind"]))


def test_a_social_worker_gets_from_the_list_to_a_name_in_five_acts(page: Any) -> None:
    _sign_in(page, "demo.social_worker")
    page.locator("table a").first.click()
    page.fill("#case", "CASE-1")
    page.fill("#reason", REASON)
    page.get_by_role("button", name="View information").click()
    page.get_by_role("heading", name="Who this is").wait_for()
    assert "/views/" in page.url
    assert "casework" not in page.url


@pytest.mark.parametrize("width", [375, 1280])
def test_every_page_is_axe_clean_and_never_scrolls_sideways(
    page: Any, partnership: Partnership, width: int
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page.set_viewport_size({"width": width, "height": 900})
    _sign_in(page, "demo.social_worker")
    person = _person(partnership)
    visits = ["/sign-in", "/lists", f"/people/{person}", "/reveal"]
    page.goto(f"/people/{person}")
    page.fill("#case", "CASE-1")
    page.fill("#reason", REASON)
    page.get_by_role("button", name="View information").click()
    page.get_by_role("heading", name="Who this is").wait_for()
    visits.append(page.url)
    for path in visits:
        page.goto(path)
        _clean(page, Axe())
    page.goto("/sign-in")
    _sign_in(page, "demo.ig_lead")
    for path in ("/trail", "/trail?use=integrity", "/trail?use=integrity&outcome=permit&role=social_worker",
                 "/trail/disclosures", f"/trail/disclosures?use=lawfulness&person={person}",
                 "/trail/reports", "/trail/reports?use=lawfulness", "/trail/reports/volume?use=lawfulness",
                 "/trail/reports/near_oneself?use=lawfulness", "/profiles", "/policy", "/link-quality", "/products",
                 "/products/cse/seen", "/monitor", "/monitor/rates"):  # fmt: skip
        page.goto(path)
        _clean(page, Axe())
    page.goto("/trail?use=integrity&first=soon")
    _clean(page, Axe())
    # A browser calls an answer of 422 an error of the console: it is the page that was asked for.
    assert [one for one in page.problems if "status of 422" not in one] == []
    page.problems.clear()
    page.goto("/profiles")
    page.get_by_text("Receipt of what you were shown").first.click()
    _clean(page, Axe())
    page.goto("/sign-in")
    _sign_in(page, "demo.police_data")
    for path in ("/own-trail", "/own-trail?use=lawfulness"):
        page.goto(path)
        _clean(page, Axe())
    page.goto("/sign-in")
    _sign_in(page, "demo.matcher")
    _clean(page, Axe())
    page.locator("table a").first.click()
    page.get_by_role("heading", name="Are these one person?").wait_for()
    _clean(page, Axe())
    for path in (f"/records/{person}", f"/records/{person}/1"):
        page.goto(path)
        _clean(page, Axe())


def test_an_agency_sends_a_file_and_reads_what_is_wrong(
    page: Any, tmp_path: Path, partnership: Partnership
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    file = persons_file(tmp_path / "people.csv", person_row(PersonID="NEW1", Postcode="nowhere"))
    _sign_in(page, "demo.council_data")
    page.goto("/deliveries/new")
    page.select_option("#source", "council.persons")
    page.set_input_files("#file", str(file))
    page.get_by_role("button", name="Send").click()
    page.get_by_role("heading", name="What is wrong").wait_for()
    receipt = page.url
    for width in (375, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        for path in ("/deliveries", "/deliveries/new", receipt):
            page.goto(path)
            _clean(page, Axe())
    page.get_by_text("Rows of Postcode").locator("..").click()
    assert page.get_by_text("row 2, record NEW1").is_visible()


def _clean(page: Any, axe: Any) -> None:
    found = axe.run(page)
    assert found.violations_count == 0, found.generate_report()
    wide = page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )
    assert wide is False, page.url


def test_the_journey_works_without_javascript(
    browser: Any, site: str, partnership: Partnership
) -> None:
    context = browser.new_context(base_url=site, java_script_enabled=False)
    page = context.new_page()
    _sign_in(page, "demo.social_worker")
    page.goto(f"/people/{_person(partnership)}")
    page.get_by_role("button", name="View information").click()
    assert page.get_by_text("There is a problem").is_visible()
    page.fill("#case", "CASE-1")
    page.fill("#reason", REASON)
    page.get_by_role("button", name="View information").click()
    assert page.get_by_role("heading", name="Who this is").is_visible()
    context.close()


def test_the_trail_is_searched_without_javascript(browser: Any, site: str) -> None:
    context = browser.new_context(base_url=site, java_script_enabled=False)
    page = context.new_page()
    _sign_in(page, "demo.ig_lead")
    page.goto("/trail")
    page.get_by_label("Verify that processing is lawful").check()
    page.get_by_role("button", name="Read the newest events").click()
    page.locator("summary", has_text="Outcome").click()
    page.get_by_label("Permitted").check()
    page.get_by_role("button", name="Search").click()
    assert page.get_by_text("Outcome (1 chosen)").is_visible()
    assert "outcome=permit" in page.url
    page.goto("/trail")
    page.get_by_role("link", name="Reports").click()
    page.get_by_role("button", name="Run the reports").click()
    assert page.get_by_role("link", name="Choose what you read the trail for").is_visible()
    page.get_by_label("Verify that processing is lawful").check()
    page.get_by_role("button", name="Run the reports").click()
    page.get_by_role("link", name="Who read the trail").click()
    assert page.get_by_role("heading", name="Who read the trail").is_visible()
    context.close()


def test_the_journey_works_by_keyboard_alone(page: Any) -> None:
    page.goto("/sign-in")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").strip() == "Skip to main content"
    for _ in range(12):
        if page.evaluate("document.activeElement.name") == "user":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    for _ in range(40):
        if page.evaluate("document.activeElement.value") == "demo.social_worker":
            break
        page.keyboard.press("ArrowDown")
    assert page.is_checked("input[value='demo.social_worker']")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/lists")
    for _ in range(60):
        if page.evaluate(
            "(document.activeElement.getAttribute('href') || '').startsWith('/people/')"
        ):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/people/**")
    page.get_by_role("heading", name="Evidence about a person").wait_for()


def test_the_badge_verifies_again_in_place(page: Any) -> None:
    _sign_in(page, "demo.ig_lead")
    page.get_by_role("button", name="Verify again").click()
    page.get_by_role("heading", name="The whole trail verifies").wait_for()
    assert page.url.endswith("/trail")
