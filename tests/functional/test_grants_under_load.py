"""Public failure 15 of audit_crypto.md 6: under load, valid grants must not be denied at random.

A token library gave up on each token after a millisecond, so that a busy machine denied valid ones. Nothing in a
decision here has a time of its own; what bounds waiting (the log's lock, a batch) must not turn into a denial.
"""

from __future__ import annotations

import json
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlmodel import Session, select

from audit.errors import AuditFault
from audit.log import read_events
from audit.verify import verify
from engine.domain.errors import FieldgateError
from engine.flows.decision import Ask
from engine.flows.home import Home
from engine.flows.link import link
from engine.flows.reveal import reveal, show_again
from engine.flows.submit import submit
from engine.store.tables import SubjectState
from policies import authorise
from policies.matrix import ASSUMED, everything_met, plain_state
from policies.model import Level, Request
from tests.builders.partnership import OPERATOR, REASON, person_row, persons_file

pytestmark = pytest.mark.finding("AUD-15")
WORKER = "demo.social_worker"
GRANTS, VIEWS, THREADS, BUSY = 10_000, 300, 4, 4


def _burn(stop: multiprocessing.synchronize.Event) -> None:
    number = 1
    while not stop.is_set():
        for _ in range(10_000):
            number = number * 1_103_515_245 + 12_345 & 0xFFFFFFFF


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep every core busy with something else, twice over."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    burning = [context.Process(target=_burn, args=(stop,), daemon=True) for _ in range(processes)]
    for one in burning:
        one.start()
    try:
        yield
    finally:
        stop.set()
        for one in burning:
            one.join()


def _granted(home: Home, tmp_path: Path) -> str:
    file = persons_file(tmp_path / "p.csv", person_row())
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    link(home, OPERATOR)
    with Session(home.casework) as session:
        person = session.exec(select(SubjectState)).one().person
    shown = reveal(home, Ask(WORKER, "safeguard_child", "CASE-1", REASON, person), auth="demo")
    return str(shown["reveal"])


def _ask(home: Home, grant: str, user: str = WORKER) -> str:
    try:
        return "shown" if show_again(home, grant, user, auth="demo")["permitted"] else "not shown"
    except (FieldgateError, AuditFault) as error:
        return str(error.code)


def _all(home: Home, grant: str, count: int) -> Counter[str]:
    with ThreadPoolExecutor(THREADS) as pool:
        return Counter(pool.map(lambda _: _ask(home, grant), range(count)))


def _outcomes(home: Home) -> Counter[tuple[str, str]]:
    events = [json.loads(body) for _, body in read_events(home.path / "audit")]
    done = [one for one in events if one["phase"] == "outcome"]
    return Counter(
        (one["flow"], one["decision"]) for one in done if one["flow"] in ("show", "denied")
    )


@pytest.mark.deep
def test_ten_thousand_valid_grants_on_a_busy_machine_are_all_honoured(
    home: Home, tmp_path: Path
) -> None:
    """Ten thousand decisions about a valid request, and a few hundred views of a grant to their end.

    A whole view takes two durable events; ten thousand of them say no more about decisions and take an hour.
    """
    grant = _granted(home, tmp_path)
    pack, source = home.pack, home.pack.sources["council.persons"]
    request = Request("social_worker", "council", "safeguard_child", ASSUMED)
    met, state, day = everything_met(pack), plain_state(pack), home.clock().date()

    def open_fields(_: int) -> frozenset[str]:
        view = authorise(pack, request, source.id, source.fields, day, met)
        return frozenset(one for one in source.fields if view.level(one, state) > Level.REFUSE)

    first = open_fields(0)
    assert "given_name" in first
    with busy(BUSY):
        with ThreadPoolExecutor(THREADS) as pool:
            assert all(one == first for one in pool.map(open_fields, range(GRANTS)))
        found = _all(home, grant, VIEWS)
    assert found == {"shown": VIEWS}
    assert _outcomes(home) == {("show", "permit"): VIEWS}
    assert verify(home.path / "audit").status == "verified"


def test_a_few_side_by_side_are_all_honoured_and_what_is_refused_says_so_in_its_own_event(
    home: Home, tmp_path: Path
) -> None:
    grant = _granted(home, tmp_path)
    assert _all(home, grant, 12) == {"shown": 12}
    # Another person's grant, one that never was: a denial of its own, and no failed view.
    assert _ask(home, grant, "demo.ig_lead") == "FG-REV-06"
    assert _ask(home, "nothing") == "FG-REV-06"
    assert _outcomes(home) == {("show", "permit"): 12, ("denied", "refuse"): 2}
