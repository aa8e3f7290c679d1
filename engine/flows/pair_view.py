"""Two records side by side for a reviewer, at the level of their role, and why they may be one person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.flows.clerical import history, reviewer
from engine.flows.decision import NOTHING
from engine.flows.disclose import LEVEL_WORDS, PARTS, identity_value
from engine.flows.encodings import frozen_model
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.flows.open_pairs import waiting_pair
from engine.flows.part import dependents, find_person
from engine.flows.second import TWO_PEOPLE, needs_second, records_of_person
from engine.flows.sides import Side, sides_of
from engine.identity.vault_read import open_identities
from engine.linkage.explain import REASONS, sentence, waterfall
from engine.linkage.hold import SPLIT
from policies.model import Level


def open_pair(home: Home, user: str, token: str, *, auth: str) -> dict[str, Any]:
    """Return both records of a pair, side by side, at the level of the reviewer's role.

    Raises:
        PolicyRefused: ``FG-LNK-06`` the role reviews no pairs, ``FG-REV-03`` nothing of one record
            may be shown to it.
        LinkageError: ``FG-LNK-07`` no such pair waits.

    Audited as ``consultation`` with both subjects, before anything is opened and after.
    """
    account, actor = reviewer(home, user, auth)
    pair = waiting_pair(home, token, actor)
    audit = home.domain("audit")
    ids = home.domain("linkage").open([pair.left, pair.right])
    details: dict[str, Any] = {
        "purpose": account.purpose,
        "subjects": {"count": 2, "names": [audit.text(one) for one in audit.seal(ids)]},
        "rules": [f"pair {token}"],
    }
    with Flow(home, "pair", "consultation", actor, details) as flow:
        flow.arrow("decide")
        sides = sides_of(home, account, ids)
        flow.arrow("vault")
        shown, fields = show(home, sides)
        model = frozen_model(home)
        answer = {
            "pair": token,
            "why": REASONS.get(pair.reason, pair.reason),
            "says": sentence(pair.levels, pair.weight),
            "weight": round(pair.weight, 1),
            "links_from": model.auto_weight,
            "evidence": waterfall(model, pair.levels, pair.weight),
            "sides": [side.title for side in sides],
            "rows": shown,
            "needs_second": [TWO_PEOPLE] if needs_second(home, pair.people) else [],
            # They are one person so far, and it is parting them that would move what is held.
            "parts": pair.reason == SPLIT,
            "history": history(home, token),
            "note": NOTHING,
        }
        answer["audit_entry"] = flow.finish({**details, "fields": fields, "rows": 2}).seq
    return answer


def open_records(home: Home, user: str, person: str, *, auth: str) -> dict[str, Any]:
    """Return every record of a person, numbered, at the level of the reviewer's role.

    Somebody who doubts a merge sees which record is somebody else's, and what rests on the person.

    Raises:
        PolicyRefused: ``FG-LNK-06`` the role reviews no pairs, ``FG-REV-02`` nobody has the reference,
            ``FG-REV-03`` nothing of one record may be shown to it.

    Audited as ``consultation`` with the person, before anything is opened and after.
    """
    account, actor = reviewer(home, user, auth)
    details: dict[str, Any] = {"purpose": account.purpose}
    with Flow(home, "person_records", "consultation", actor, details) as flow:
        person_id, text = find_person(home, person)
        audit = home.domain("audit")
        details["subject"] = audit.text(audit.seal([person_id])[0])
        flow.arrow("decide")
        sides = sides_of(home, account, records_of_person(home, text))
        flow.arrow("vault")
        shown, fields = show(home, sides)
        answer = {
            "person": text,
            "records": len(sides),
            "sides": [f"{number}: {side.title}" for number, side in enumerate(sides, 1)],
            "rows": shown,
            "rests_on_it": dependents(home, text),
            "note": NOTHING,
        }
        entry = flow.finish({**details, "fields": fields, "rows": len(sides)})
        return {**answer, "audit_entry": entry.seq}


def show(home: Home, sides: Sequence[Side]) -> tuple[list[dict[str, Any]], list[str]]:
    """Open the vault for some records: the first moment at which a clear value exists.

    Returns:
        A row per part of an identity with a cell per record, and the fields that were used.
    """
    opened = open_identities(
        home.vault, home.keyring("vault"), [side.record for side in sides], home.published()
    )
    rows, used = [], []
    for part, label in PARTS.items():
        cells = []
        for side in sides:
            name, level = side.levels.get(part, ("", Level.REFUSE))
            value = opened.get(side.record, {}).get(part)
            shown = None
            if name and value:
                spec = home.pack.sources[side.source].fields[name]
                shown = identity_value(spec, value, level)
            if shown is not None:
                used.append(f"{side.source}.{name}")
            cells.append({"value": shown, "level": LEVEL_WORDS[level]})
        if any(cell["value"] for cell in cells):
            rows.append({"part": part, "label": label, "cells": cells})
    return rows, sorted(set(used))
