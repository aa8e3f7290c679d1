"""Keyed tokens of those who were looked at, made where the vault is held; the only monitor module there.

Nobody is opened who was not looked at, nothing opened is kept or returned, and what leaves this module
cannot be turned back without the vault's keyring (ADR 18).
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlmodel import Session

from engine.flows.hidden import HIDING
from engine.flows.home import Home
from engine.flows.states import declared, record_rows, subject_flags
from engine.identity.monitor_tokens import Tokens, monitor_key, tokens_of
from engine.identity.vault_read import open_identities
from engine.linkage.index import records_of
from engine.store.session import reading
from engine.store.tables import SubjectState

IDENTITY = ("given_name", "surname", "birth_date", "address", "postcode")
"""What is compared. A former surname is not: of somebody adopted it would tell who they were."""


def subject_tokens(
    home: Home, people: Mapping[str, bytes]
) -> dict[str, tuple[Tokens, frozenset[str]]]:
    """Return tokens and known flags of some people.

    Whose address is hidden, or not known to be open, gets no token of where they live: an item of the
    queue would tell an officer in which user's street a refuge is.

    Args:
        home: The home; its vault keyring is opened.
        people: Audit pseudonym to person id, of those who were looked at.

    Returns:
        By audit pseudonym; nothing of somebody who has no record any more.
    """
    ring, order, runs = home.keyring("vault"), home.published(), home.link_runs()
    key, today = monitor_key(ring), home.clock().date()
    complete, record = declared(home), home.domain("record")
    casework, linkage = home.domain("casework"), home.domain("linkage")
    found = {}
    for subject, person in people.items():
        records = linkage.open(records_of(home.linkage, person, runs))
        if not records:
            continue
        rows = record_rows(home, [record.text(one) for one in record.seal(records)])
        with Session(reading(home.casework)) as session:
            state = session.get(SubjectState, casework.text(casework.seal([person])[0]))
            flags = subject_flags(home, state, rows, complete)
        opened = open_identities(home.vault, ring, records, order)
        identities = [
            {part: one[part] for part in IDENTITY if part in one} for one in opened.values()
        ]
        places = all(flags.get(one) == "n" for one in HIDING)
        held = frozenset(flag for flag, value in flags.items() if value == "y")
        found[subject] = (tokens_of(key, identities, today, places=places), held)
    return found
