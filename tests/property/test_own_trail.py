"""For any events and any agency: what it sees is the union of two sets, and of others no more than it needs."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from audit.event import make_event
from audit.log import AuditLog
from audit.note import Signer
from audit.search import open_index, read_acts
from engine.flows.own_trail import own_mask, own_row

KEY = b"k" * 32
SIGNER = Signer.from_bytes("test.example/log", bytes(range(32)))
GIVEN = {
    "council": {"council.persons", "engine.lists"},
    "police": {"police.flags", "police.custody"},
    "schools": {"schools.roll"},
    "health": set[str](),
}
SOURCES = sorted(source for some in GIVEN.values() for source in some)
FIELDS = [f"{source}.{name}" for source in SOURCES for name in ("one", "two")]
SHOWS = ["consultation", "reidentify", "break_glass", "disclosure", "export"]
OTHERS = ["collection", "alteration", "login", "audit_read", "deny", "config", "model_run"]
LOOKS = [*SHOWS, "audit_read", "deny"]

_ACT = st.fixed_dictionaries(
    {
        "agency": st.sampled_from([*GIVEN, "host", ""]),
        "kind": st.sampled_from([*SHOWS, *OTHERS]),
        "fields": st.lists(st.sampled_from(FIELDS), max_size=4),
        "source": st.sampled_from(["", *SOURCES]),
        "outcome": st.sampled_from(["permit", "permit", "refuse", "withhold", "completed", None]),
    }
)


def _fields(act: dict[str, Any], agency: str) -> set[str]:
    """The fields of an agency that an act showed or may have, written down a second time."""
    if act["kind"] not in SHOWS or act["outcome"] not in ("permit", "completed", None):
        return set()
    # Of what was killed before its outcome only the intent is there, which names no field.
    stated = [] if act["outcome"] is None else act["fields"]
    named = {one for one in stated if one.rpartition(".")[0] in GIVEN[agency]}
    whole = {act["source"]} & GIVEN[agency]
    return named | {one for one in whole if not any(each.startswith(one + ".") for each in named)}


@given(st.lists(_ACT, max_size=14), st.sampled_from(sorted(GIVEN)))
def test_an_agency_sees_its_own_data_shown_and_its_own_staff_and_nothing_else(
    made: list[dict[str, Any]], agency: str
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        AuditLog.create(folder, SIGNER.vkey())
        log = AuditLog(folder, SIGNER)
        places = {}
        for number, act in enumerate(made):
            actor = {"id": f"user-{number}", "org": act["agency"], "role": "r", "auth": "demo"}
            details: dict[str, Any] = {"subject": f"audit.1.person{number}", "case": "c" * 32}
            details |= {"source": act["source"]} if act["source"] else {}
            came = {
                **details,
                "fields": act["fields"],
                "rules": ["dsa_9|law.secret"],
                "agreement": "dsa_9",
            }
            for phase, more in (
                ("intent", details),
                ("outcome", {**came, "decision": act["outcome"]}),
            ):
                if phase == "outcome" and act["outcome"] is None:
                    continue
                event = make_event(
                    log="test.example/log", kind=act["kind"], phase=phase, flow="reveal",
                    intent=f"i{number}", actor=actor, random=number.to_bytes(10, "big"), details=more,
                    now=datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=number),
                )  # fmt: skip
                (entry,) = log.append([event])
                if phase == "intent":
                    places[entry.seq] = number
        log.close()
        index = open_index(folder, KEY)
        seen = read_acts(folder, index.page(own_mask(index, agency, GIVEN[agency]), 1, 100))
        rows = [own_row(one, agency, GIVEN[agency]) for one in seen]

        disclosed = {number for number, act in enumerate(made) if _fields(act, agency)}
        searched = {
            number for number, act in enumerate(made)
            if act["agency"] == agency and act["kind"] in LOOKS
        }  # fmt: skip
        assert {places[row["entry"]] for row in rows} == disclosed | searched
        for row in rows:
            number = places[row["entry"]]
            assert set(row["fields"]) == _fields(made[number], agency)
            assert ("our data" in row["why"]) is (number in disclosed)
            sure = number not in disclosed or made[number]["outcome"] == "permit"
            assert row["certain"] is sure
            assert ("our staff" in row["why"]) is (made[number]["agency"] == agency)
            # Nobody that it was about, no case, no basis that rests on what others gave.
            text = json.dumps(row)
            assert "audit.1" not in text
            assert "c" * 32 not in text
            assert "dsa_9" not in text
            assert not any(source in text for source in set(SOURCES) - GIVEN[agency])
