"""Reading the vault.

Who may import this module is a list in the import contracts; an addition needs an ADR.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Engine, inspect, select

from engine.domain.errors import VaultError
from engine.domain.records import AsideRow
from engine.identity.keys import Keyring
from engine.identity.vault_tables import bound, quarantine, sealed


def open_identities(
    engine: Engine, ring: Keyring, records: Sequence[bytes], order: Mapping[str, int]
) -> dict[bytes, dict[str, str]]:
    """Open the newest published identity of each record.

    Args:
        records: Record ids.
        order: Published delivery to its place in time; sealed rows of other deliveries do not count.

    Returns:
        Record id to its parts; a record without a published identity is absent.

    Raises:
        VaultError: ``FG-VAU-01`` when a body does not open under its record and key.
    """
    newest: dict[bytes, tuple[int, int, bytes, bytes]] = {}
    with engine.connect() as connection:
        rows = connection.execute(select(sealed).where(sealed.c.record_id.in_(list(records))))
        for row in rows:
            place = order.get(row.delivery)
            record = bytes(row.record_id)
            if place is not None and place >= newest.get(record, (-1,))[0]:
                newest[record] = (
                    place, row.kek_version, bytes(row.wrapped_key), bytes(row.body)
                )  # fmt: skip
    return {record: _open(ring, record, *row[1:]) for record, row in newest.items()}


def open_aside(engine: Engine, ring: Keyring, delivery: str) -> list[AsideRow]:
    """Open the rows of a delivery that are still set aside; the agency's key of a row is not kept.

    Raises:
        VaultError: ``FG-VAU-01`` when a body does not open under its row and key.
    """
    if not inspect(engine).has_table(quarantine.name):
        return []
    with engine.connect() as connection:
        rows = connection.execute(
            select(quarantine).where(quarantine.c.delivery == delivery).order_by(quarantine.c.row)
        ).all()
    return [
        AsideRow(
            row.row, row.part, row.file, row.line, row.code, "",
            _open(ring, f"{delivery}|{row.row}".encode(), row.kek_version, bytes(row.wrapped_key),
                  bytes(row.body)),
        )
        for row in rows
    ]  # fmt: skip


def _open(
    ring: Keyring, record: bytes, version: int, wrapped: bytes, body: bytes
) -> dict[str, str]:
    associated = bound(record, version)
    try:
        wrapper = AESGCM(ring.derive("wrap", 32, version))
        key = wrapper.decrypt(wrapped[:12], wrapped[12:], associated)
        plain = AESGCM(key).decrypt(body[:12], body[12:], associated)
    except InvalidTag:
        raise VaultError(
            "FG-VAU-01",
            "a sealed identity does not open under its record and key",
            "Stop, keep the vault as it is, and tell the information governance lead.",
        ) from None
    parts: dict[str, str] = json.loads(plain)
    return parts
