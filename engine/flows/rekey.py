"""A new key for linkage, beside the old one until everything stands under both; nobody is linked anew.

Persons, their ids and their history hang on record pseudonyms, which another key makes; so a rotation
changes no link and no score (peers.md B26). While the coming key is prepared, deliveries are encoded
under both and runs link under the one in use; a mixture is an error and never a silent "no links"
(linkage.md 4: carry both, link within a version). The old key is destroyed by a step of its own.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlmodel import Session, select

from engine.domain.errors import ConfigError, VaultError
from engine.domain.ids import Actor
from engine.flows.encodings import encode, encoder_of
from engine.flows.hidden import hidden_records, without_addresses
from engine.flows.home import Home
from engine.flows.intent import Flow, alone
from engine.flows.link import dead_records
from engine.flows.linkage_work import canary
from engine.flows.passphrase import passphrase
from engine.identity.keys import add_key, drop_older, use_newest
from engine.identity.normalise import VERSION
from engine.identity.vault_read import open_identities
from engine.intake.contract import contract_of
from engine.linkage.encodings import (
    COMING,
    PRESENT,
    Shelf,
    counts_by_key,
    foreign_deliveries,
    not_yet_coming,
    outdated,
    promote_coming,
    replace_encodings,
    write_encodings,
)
from engine.linkage.forget import came_back, needed_again
from engine.linkage.sealed import STORED
from engine.store.session import reading
from engine.store.tables import Delivery

_CHUNK = 500
_Rows = dict[tuple[str, str], list[bytes]]


def begin(home: Home, actor: Actor, *, dry_run: bool = False) -> dict[str, Any]:
    """Add a coming key to the ``link`` keyring; from now on deliveries are encoded under both.

    Returns:
        The versions, and how many encodings have to be made under the coming key.

    Raises:
        ConfigError: ``FG-KEY-09`` a key is being prepared already.

    Audited as ``key_op``.
    """
    with (
        alone(home, "link", "FG-LNK-04"),
        Flow(home, "key_begin", "key_op", actor, {}) as flow,
    ):
        ring = home.keyring("link")
        if ring.coming is not None:
            raise ConfigError(
                "FG-KEY-09",
                f"version {ring.coming} of the linkage key is being prepared already",
                "Go on with it: fieldgate keys reencode, then fieldgate keys promote.",
            )
        coming = max(ring.keys) + 1
        if not dry_run:
            add_key(
                home.path / "keys" / "link.json",
                "link",
                lambda: passphrase(home.settings, home.path, home.profile, "link"),
                home.randomness,
                coming=True,
            )
            home.forget_keyring("link")
        flow.committed = True
        waiting = sum(counts_by_key(home.linkage).values())
        flow.finish({"counts": {"to_make": waiting}, "rules": [f"link key {coming}"]})
        return {
            "key_version": ring.current, "coming": coming, "to_make": waiting, "dry_run": dry_run
        }  # fmt: skip


def reencode(home: Home, actor: Actor, *, dry_run: bool = False) -> dict[str, Any]:
    """Make every encoding again that another key, normaliser or encoder made, or that policy deleted.

    While a key is being prepared, what it has not encoded yet is made beside what is in use.

    Args:
        home: The home; its ``vault``, ``psn`` and ``link`` keyrings are opened.
        actor: Who runs it.
        dry_run: Say what would be made again, and change nothing.

    Returns:
        How many encodings of how many deliveries were made again, and the version of the key.

    Raises:
        LinkageError: ``FG-LNK-04`` a link is running.
        VaultError: ``FG-VAU-01`` an identity does not open, ``FG-VAU-02`` one is missing.

    Audited as ``key_op``. It may be run again after a crash: what was made already is left as it is.
    """
    with (
        alone(home, "keys", "FG-LNK-04"),
        Flow(home, "reencode", "key_op", actor, {}) as flow,
    ):
        flow.arrow("key")
        ring = home.keyring("link")
        made, hidden = 0, hidden_records(home)
        with alone(home, "link", "FG-LNK-04"):
            strange = _foreign(home, ring.current)
            old = outdated(home.linkage, ring.current, VERSION, STORED, strange)
            lost = _lost(home)
            if not dry_run:
                made += sum(_again(home, hidden, *one, rows) for one, rows in old.items())
                made += sum(
                    _again(home, hidden, *one, rows, lost=True) for one, rows in lost.items()
                )
        # What is made beside the encodings in use is in no run's way.
        beside = _missing(home)
        if not dry_run:
            made += sum(
                _again(home, hidden, *one, rows, shelf=COMING) for one, rows in beside.items()
            )
        flow.committed = True
        counts = {
            "records": sum(map(len, (*old.values(), *lost.values(), *beside.values()))),
            "deliveries": len({delivery for delivery, _ in (*old, *lost, *beside)}),
            "made": made,
        }
        version = ring.current if ring.coming is None else ring.coming
        flow.finish({"counts": counts, "rules": [f"link key {version}"]})
        return {**counts, "key_version": version, "dry_run": dry_run}


def promote(home: Home, actor: Actor, *, dry_run: bool = False) -> dict[str, Any]:
    """Link under the coming key from now on; what the old one encoded goes.

    Returns:
        How many encodings are in use now, and the version of the key.

    Raises:
        ConfigError: ``FG-KEY-10`` no key is being prepared, or it has not encoded everything.
        LinkageError: ``FG-LNK-04`` a link is running.

    Audited as ``key_op``. It may be run again after a crash.
    """
    with (
        alone(home, "link", "FG-LNK-04"),
        Flow(home, "key_promote", "key_op", actor, {}) as flow,
    ):
        coming = home.keyring("link").coming
        if coming is None:
            raise ConfigError(
                "FG-KEY-10",
                "no new linkage key is being prepared",
                "Begin with: fieldgate keys rotate --overlap.",
            )
        counts = counts_by_key(home.linkage)
        # After a crash between the two steps everything stands under the coming key alone.
        moved = set(counts) <= {coming} and not _foreign(home, coming)
        missing = 0 if moved else sum(map(len, _missing(home).values()))
        if missing:
            raise _behind(missing)
        flow.arrow("promote")
        count = counts.get(coming, 0)
        if not dry_run:
            if not moved:
                count, left = promote_coming(home.linkage)
                if left:
                    raise _behind(left)
            flow.arrow("promoted")
            use_newest(home.path / "keys" / "link.json")
            home.forget_keyring("link")
        flow.committed = True
        flow.finish({"counts": {"encodings": count}, "rules": [f"link key {coming}"]})
        return {"encodings": count, "key_version": coming, "dry_run": dry_run}


def retire(home: Home, actor: Actor, *, dry_run: bool = False) -> dict[str, Any]:
    """Destroy the linkage keys before the one in use: a copy of old encodings can be tried no more.

    Returns:
        The versions that are gone, and the one in use.

    Raises:
        ConfigError: ``FG-KEY-09`` a key is being prepared, or old encodings are still there.

    Audited as ``key_op``.
    """
    with (
        alone(home, "link", "FG-LNK-04"),
        Flow(home, "key_retire", "key_op", actor, {}) as flow,
    ):
        ring = home.keyring("link")
        held = [one for one in counts_by_key(home.linkage) if one != ring.current]
        if ring.coming is not None or held:
            raise ConfigError(
                "FG-KEY-09",
                "encodings stand under a key that would be destroyed, or one is being prepared",
                "Finish it first: fieldgate keys reencode, then fieldgate keys promote.",
            )
        gone = sorted(one for one in ring.keys if one < ring.current)
        if not dry_run:
            drop_older(home.path / "keys" / "link.json", ring.current)
            home.forget_keyring("link")
        flow.committed = True
        flow.finish({"counts": {"keys": len(gone)}, "rules": [f"link key {n}" for n in gone]})
        return {"retired": gone, "key_version": ring.current, "dry_run": dry_run}


def rotate(home: Home, actor: Actor, *, dry_run: bool = False) -> dict[str, Any]:
    """Begin a new key, encode everything under it, and use it; `begin`, `reencode` and `promote` in one.

    Raises:
        ConfigError, LinkageError, VaultError: See there. What was done stands and may be gone on with.
    """
    begun = begin(home, actor, dry_run=dry_run)
    if dry_run:
        return {
            "records": begun["to_make"], "deliveries": len(home.published()), "made": 0,
            "key_version": begun["coming"], "dry_run": True,
        }  # fmt: skip
    made = reencode(home, actor)
    promote(home, actor)
    return made


def shown(home: Home) -> dict[str, Any]:
    """Return the versions of the linkage key and how many encodings stand under each; not audited."""
    ring = home.keyring("link")
    missing = sum(map(len, _missing(home).values()))
    home.forget_keyring("link")
    return {
        "in_use": ring.current,
        "coming": ring.coming,
        "versions": sorted(ring.keys),
        "encodings": {str(version): n for version, n in counts_by_key(home.linkage).items()},
        "not_yet_under_the_coming_key": missing,
    }


def _behind(count: int) -> ConfigError:
    return ConfigError(
        "FG-KEY-10",
        f"{count} encodings do not stand under the coming key yet",
        "Make them first: fieldgate keys reencode.",
    )


def _missing(home: Home) -> _Rows:
    """Return what the coming key has not encoded yet; nothing when none is being prepared."""
    coming = home.keyring("link").coming
    if coming is None:
        return {}
    return not_yet_coming(home.linkage, coming, VERSION, canary(encoder_of(home, coming)))


def _foreign(home: Home, version: int) -> list[str]:
    bird = canary(encoder_of(home, version))
    return foreign_deliveries(home.linkage, home.published(), bird)


def _lost(home: Home) -> _Rows:
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
    home: Home,
    hidden: set[bytes],
    delivery: str,
    source: str,
    records: list[bytes],
    *,
    lost: bool = False,
    shelf: Shelf = PRESENT,
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
    ring = home.keyring("link")
    version = ring.coming if shelf is COMING else ring.current
    names = home.domain("record").seal(ids)
    closed = {row for row, name in enumerate(names) if name in hidden}
    (made,) = encode(home, contract, without_addresses(parts, closed), records, version=version)
    if not lost and shelf is PRESENT:
        replace_encodings(
            home.linkage, delivery, made.key_version, made.norm_version, records, made.months,
            made.sealed, made.bird,
        )  # fmt: skip
        return len(records)
    write_encodings(
        home.linkage, delivery, contract.agency, source, made.key_version, made.norm_version,
        records, made.months, made.sealed, made.bird, shelf=shelf,
    )  # fmt: skip
    if lost:
        came_back(home.linkage, {(record, delivery) for record in records})
    return len(records)
