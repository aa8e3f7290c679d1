"""The event of a delivery, a run or a list says whom it is about without naming anybody."""

from __future__ import annotations

import json
from typing import Any

from audit.canonical import parse
from audit.log import read_events
from audit.merkle import inclusion_proof, leaf_hash, root_of, verify_inclusion
from engine.flows.lists import review_lists
from engine.linkage.encodings import records_of_source
from engine.linkage.index import current_membership
from tests.builders.partnership import Partnership


def _last(made: Partnership, flow: str, **held: Any) -> dict[str, Any]:
    for _, body in read_events(made.home.path / "audit"):
        event = parse(body)
        if (event["flow"], event["phase"]) == (flow, "outcome") and held.items() <= event.items():
            return event
    raise AssertionError(flow)


def test_a_run_a_delivery_and_a_list_hold_a_root_over_exactly_their_people(
    partnership: Partnership,
) -> None:
    home = partnership.home
    audit, linkage = home.domain("audit"), home.domain("linkage")
    member = current_membership(home.linkage, home.link_runs())
    people = sorted(audit.seal(sorted(set(member.values()))))
    whole = {"count": len(people), "root": root_of([leaf_hash(one) for one in people]).hex()}
    assert _last(partnership, "link")["subjects"] == whole
    scored = _last(partnership, "score")["subjects"]
    assert 0 < scored["count"] <= whole["count"]

    delivery = str(partnership.receipts["schools.roll"]["delivery"])
    sent = linkage.open(records_of_source(home.linkage, "schools.roll", [delivery]))
    records = sorted(audit.seal(sent))
    root = root_of([leaf_hash(one) for one in records]).hex()
    assert _last(partnership, "submit", source="schools.roll")["subjects"]["root"] == root

    shown = review_lists(home, "demo.social_worker", auth="demo")["lists"]
    listed = {each["person"] for one in shown for each in one["entries"]}
    ids = sorted(audit.seal([home.domain("casework").parse(one) for one in sorted(listed)]))
    event = _last(partnership, "review_list")
    assert event["subjects"]["count"] == len(listed) > 0
    # Whoever knows the people proves that one was among them; the event itself names nobody.
    leaves = [leaf_hash(one) for one in ids]
    proof = inclusion_proof(leaves, 1)
    root_bytes = bytes.fromhex(event["subjects"]["root"])
    assert verify_inclusion(leaves[1], 1, len(leaves), proof, root_bytes)
    assert not any(one in json.dumps(event) for one in map(audit.text, ids))
