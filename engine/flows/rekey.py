"""A new key for linkage, and every encoding made again under it: nobody is linked anew by it.

Persons, their ids and their history hang on record pseudonyms, which another key makes; so a rotation
changes no link and no score (peers.md B26). While it runs, nothing is linked: a mixture of keys is an
error and never a silent "no links".
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlmodel import Session, select

from engine.domain.errors import VaultError
from engine.domain.ids import Actor
from engine.flows.encodings import canary, encode
from engine.flows.home import Home, passphrase
from engine.flows.intent import Flow, alone
from engine.flows.link import dead_records
from engine.identity.keys import add_key
from engine.identity.normalise import VERSION
from engine.identity.vault_read import open_identities
from engine.intake.contract import contract_of
from engine.linkage.encode import ENCODER_VERSION, Encoder
from engine.linkage.encodings import (
    foreign_deliveries,
    outdated,
    replace_encodings,
    write_encodings,
)
from engine.linkage.forget import came_back, needed_again
from engine.store.session import reading
from engine.store.tables import Delivery

_CHUNK = 500


def reencode(
    home: Home, actor: Actor, *, rotate: bool = False, dry_run: bool = False
) -> dict[str, Any]:
    """Make every encoding again that another key, normaliser or encoder made, or that policy deleted.

    Args:
        home: The home; its ``vault``, ``psn`` and ``link`` keyrings are opened.
        actor: Who runs it.
        rotate: Add a new key to the ``link`` keyring first.
        dry_run: Say what would be made again, and change nothing.

    Returns:
        How many encodings of how many deliveries were made again, and the version of the key.

    Raises:
        LinkageError: ``FG-LNK-04`` a link is running.
        VaultError: ``FG-VAU-01`` an identity does not open, ``FG-VAU-02`` one is missing.

    Audited as ``key_op``. It may be run again after a crash: what was made already is left as it is.
    """
    with (
        alone(home, "link", "FG-LNK-04"),
        Flow(home, "reencode", "key_op", actor, {}) as flow,
    ):
        ring = home.keyring("link")
        if rotate and not dry_run:
            add_key(
                home.path / "keys" / "link.json",
                "link",
                lambda: passphrase(home.settings, home.path, home.profile, "link"),
                home.randomness,
            )
            home.forget_keyring("link")
            ring = home.keyring("link")
        flow.arrow("key")
        version = ring.current + (1 if rotate and dry_run else 0)
        bird = canary(Encoder(ring.derive("encode", 32), ring.current))
        strange = foreign_deliveries(home.linkage, home.published(), bird)
        old = outdated(home.linkage, version, VERSION, ENCODER_VERSION, strange)
        lost = _lost(home)
        made = 0
        if not dry_run:
            made += sum(_again(home, *one, records) for one, records in old.items())
            made += sum(_again(home, *one, records, lost=True) for one, records in lost.items())
        flow.committed = True
        counts = {
            "records": sum(map(len, (*old.values(), *lost.values()))),
            "deliveries": len({delivery for delivery, _ in (*old, *lost)}),
            "made": made,
        }
        flow.finish({"counts": counts, "rules": [f"link key {version}"]})
        return {**counts, "key_version": version, "dry_run": dry_run}


def _lost(home: Home) -> dict[tuple[str, str], list[bytes]]:
    """Return the records whose encodings policy deleted and which count again, by delivery and source."""
    keys = needed_again(home.linkage, home.published(), dead_records(home))
    found: dict[tuple[str, str], list[bytes]] = defaultdict(list)
    if keys:
        with Session(reading(home.casework)) as session:
            sources = dict(session.execute(select(Delivery.id, Delivery.source)).all())
        for record, delivery in sorted(keys):
            found[delivery, sources[delivery]].append(record)
    return found


def _again(
    home: Home, delivery: str, source: str, records: list[bytes], *, lost: bool = False
) -> int:
    """Encode the records of one delivery again, each with what that delivery said of it."""
    contract = contract_of(home.pack.sources[source])
    ids = home.domain("linkage").open(records)
    opened: dict[bytes, dict[str, str]] = {}
    for start in range(0, len(ids), _CHUNK):
        opened |= open_identities(
            home.vault, home.keyring("vault"), ids[start : start + _CHUNK], {delivery: 1}
        )
    if len(opened) != len(ids):
        raise VaultError(
            "FG-VAU-02",
            f"the vault holds no identity for {len(ids) - len(opened)} of {len(ids)} encoded records",
            "Stop: a record would be encoded as nobody. Restore the vault, or send the delivery again.",
        )
    parts: dict[str, list[str | None]] = defaultdict(lambda: [None] * len(ids))
    for row, record in enumerate(ids):
        for part, value in opened.get(record, {}).items():
            parts[part][row] = value
    made = encode(home, contract, parts, len(ids))
    if lost:
        write_encodings(
            home.linkage, delivery, contract.agency, source, made.key_version, made.norm_version,
            records, made.months, made.words, made.bird,
        )  # fmt: skip
        came_back(home.linkage, {(record, delivery) for record in records})
        return len(records)
    replace_encodings(
        home.linkage,
        delivery,
        made.key_version,
        made.norm_version,
        records,
        made.months,
        made.words,
        made.bird,
    )
    return len(records)
