"""Which store the audit log stands in; nothing else knows whether it is a file or a server."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.kept import NOTHING_KEPT, Kept
from audit.log import AuditLog, read_events
from audit.report import Report
from audit.source import Log, Opening
from audit.verify import verify
from engine.domain.errors import ConfigError

if TYPE_CHECKING:
    from audit.anchor import Anchor
    from audit.note import Signer
    from audit.witnessed import Quorum
    from engine.settings import Settings


def _text(secret: Any) -> str | None:
    return secret.get_secret_value() if secret else None


def create_log(folder: Path, vkey: str, settings: Settings) -> None:
    """Make an empty log where the settings say.

    On PostgreSQL the tables are made with ``audit_owner_url``, and the roles of the other two addresses may
    insert and sequence; without it the role of ``audit_url`` owns them, which suits a demonstration only.

    Raises:
        AuditFault: ``FG-AUD-04`` a log stands there already; ``FG-AUD-02`` it cannot be made.
    """
    url = _text(settings.audit_url)
    if url is None:
        AuditLog.create(folder, vkey)
        return
    from psycopg.conninfo import conninfo_to_dict

    from audit.postgres_tables import create, plain_url

    owner = _text(settings.audit_owner_url)
    writers, sequencers = (
        [str(conninfo_to_dict(plain_url(one))["user"])] if owner and one else []
        for one in (url, _text(settings.audit_sequencer_url))
    )
    create(folder, vkey, owner or url, writers=writers, sequencers=sequencers)


def open_log(
    folder: Path,
    signer: Signer,
    settings: Settings,
    *,
    recovering: bool = False,
    anchor: Anchor | None = None,
) -> Log:
    """Open the log for writing.

    Who recovers a log signs the declaration by itself, since no sequencer works on such a log: with the
    address of the sequencer or, where that is not given, with that of the owner.

    Raises:
        AuditFault: ``FG-AUD-02`` it cannot be used; ``FG-AUD-12`` it is not the log that it had signed.
        ConfigError: ``FG-AUD-74`` a loss is to be declared on PostgreSQL, and neither address is given.
    """
    url = _text(settings.audit_url)
    if url is None:
        return AuditLog(folder, signer, recovering=recovering, anchor=anchor)
    from audit.postgres import PostgresLog

    sequencer_url = _text(settings.audit_sequencer_url)
    if recovering and sequencer_url is None:
        sequencer_url = _text(settings.audit_owner_url)
        if sequencer_url is None:
            raise ConfigError(
                "FG-AUD-74",
                "a loss cannot be declared without the address of the sequencer or of the owner",
                "Set FIELDGATE_AUDIT_SEQUENCER_URL or FIELDGATE_AUDIT_OWNER_URL for this command alone.",
            )
    return PostgresLog(
        folder,
        url,
        signer,
        sequencer_url=sequencer_url,
        recovering=recovering,
        anchor=anchor,
    )


def events_of(
    folder: Path, settings: Settings, *, newest: int | None = None
) -> list[tuple[int, bytes]]:
    """Return (seq, canonical bytes) of the newest events, newest first, or of all of them."""
    url = _text(settings.audit_url)
    if url is None:
        return read_events(folder, newest=newest)
    from audit import postgres

    return postgres.read_events(url, newest=newest)


def opening_of(settings: Settings) -> Opening | None:
    """Return what opens the store of the log to read it; None where it is a file of the folder."""
    url = _text(settings.audit_url)
    if url is None:
        return None
    from audit.postgres import Reading

    return lambda: Reading(url)


def verify_log(
    folder: Path,
    settings: Settings,
    *,
    vkey: str | None = None,
    quorum: Quorum | None = None,
    seconds: int = 0,
    kept: Kept = NOTHING_KEPT,
) -> Report:
    """Verify the whole log where it stands; see `audit.verify.verify`."""
    opening = opening_of(settings)
    return verify(folder, vkey=vkey, quorum=quorum, seconds=seconds, reader=opening, kept=kept)


def sequence(
    folder: Path,
    signer: Signer,
    settings: Settings,
    stop: threading.Event | None,
    anchor: Anchor | None = None,
) -> int:
    """Put waiting events into the tree until `stop` is set, or once; return how many they were.

    Raises:
        ConfigError: ``FG-AUD-73`` the log stands in a file, or no address of a sequencer is given.
        AuditFault: ``FG-AUD-07`` or ``FG-AUD-12``: nothing is signed on such a log.
    """
    url = _text(settings.audit_sequencer_url)
    if url is None or settings.audit_url is None:
        raise ConfigError(
            "FG-AUD-73",
            "there is nothing to sequence here",
            "Set FIELDGATE_AUDIT_URL and FIELDGATE_AUDIT_SEQUENCER_URL; a log in a file needs no sequencer.",
        )
    from audit.postgres import Reading
    from audit.postgres_tables import open_connection
    from audit.sequence import Sequencer, compare

    compare(lambda: Reading(url), folder, signer, anchor)
    sequencer = Sequencer(folder, lambda: open_connection(url), signer, anchor)
    try:
        if stop is not None:
            return sequencer.run(stop)
        total = 0
        while count := sequencer.step():
            total += count
        return total
    finally:
        sequencer.close()
