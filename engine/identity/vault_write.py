"""Writing to the vault: one random key per record, wrapped by a key of the ``vault`` keyring.

Only the flow that submits imports this module (import-linter holds it). It can seal and forget; it
cannot open.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping, Sequence

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, Engine, delete, select, text

from engine.domain.ids import Randomness
from engine.domain.records import AsideRow
from engine.identity.keys import Keyring
from engine.identity.vault_tables import bound, quarantine, record_key, sealed

_CHUNK = 500


def key_token(ring: Keyring, agency: str, source: str, local_key: str) -> bytes:
    """Return the keyed token of a local key; the key itself is kept nowhere outside the vault."""
    message = "\x1f".join((agency, source, local_key)).encode()
    return hmac.digest(ring.derive("local-key", 32), message, "sha256")


def write(
    engine: Engine,
    ring: Keyring,
    delivery: str,
    tokens: Sequence[bytes],
    identities: dict[str, Sequence[str | None]],
    randomness: Randomness,
) -> list[bytes]:
    """Seal one identity per local key and return the record ids, in one transaction.

    Args:
        engine: The vault's database.
        ring: The ``vault`` keyring.
        delivery: The delivery; everything written carries it, so that `forget` can take it back.
        tokens: Keyed local keys. A local key that was seen before keeps its record.
        identities: Identity part to one clear value per local key.
        randomness: Source of record ids, keys and nonces.
    """
    with engine.begin() as connection:
        known = _known(connection, tokens)
        fresh = {token: randomness(16) for token in dict.fromkeys(tokens) if token not in known}
        if fresh:
            connection.execute(
                record_key.insert(),
                [
                    {"token": token, "record_id": record, "delivery": delivery}
                    for token, record in fresh.items()
                ],
            )
        known |= fresh
        records = [known[token] for token in tokens]
        rows = _sealed_rows(ring, delivery, records, identities, randomness)
        if rows:
            connection.execute(sealed.insert(), rows)
    return records


def known_records(engine: Engine, tokens: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return token to record id for the tokens that have a record."""
    with engine.connect() as connection:
        return _known(connection, tokens)


def _known(connection: Connection, tokens: Sequence[bytes]) -> dict[bytes, bytes]:
    known: dict[bytes, bytes] = {}
    for start in range(0, len(tokens), _CHUNK):
        chunk = list(tokens[start : start + _CHUNK])
        rows = connection.execute(
            select(record_key.c.token, record_key.c.record_id).where(record_key.c.token.in_(chunk))
        )
        known.update((bytes(token), bytes(record)) for token, record in rows)
    return known


class _Sealer:
    """Seals bodies: AES-256-GCM under a fresh key of its own, which is wrapped under the keyring.

    Nonces are random (audit_crypto.md 7.7, pitfall 6).
    """

    def __init__(self, ring: Keyring, randomness: Randomness) -> None:
        self._version, self._randomness = ring.current, randomness
        self._wrapper = AESGCM(ring.derive("wrap", 32))

    def sealed(self, name: bytes, body: Mapping[str, str | None]) -> dict[str, object]:
        """Return the columns of a sealed body, bound to the name of its row."""
        fresh = self._randomness(32 + 12 + 12)
        key, key_nonce, body_nonce = fresh[:32], fresh[32:44], fresh[44:]
        associated = bound(name, self._version)
        plain = json.dumps(body).encode()
        return {
            "kek_version": self._version,
            "wrapped_key": key_nonce + self._wrapper.encrypt(key_nonce, key, associated),
            "body": body_nonce + AESGCM(key).encrypt(body_nonce, plain, associated),
        }


def _sealed_rows(
    ring: Keyring,
    delivery: str,
    records: Sequence[bytes],
    identities: dict[str, Sequence[str | None]],
    randomness: Randomness,
) -> list[dict[str, object]]:
    seal = _Sealer(ring, randomness)
    rows: list[dict[str, object]] = []
    for number, record in enumerate(records):
        parts = {
            part: values[number]
            for part, values in identities.items()
            if values[number] is not None
        }
        rows.append({"record_id": record, "delivery": delivery, **seal.sealed(record, parts)})
    return rows


def _ready(engine: Engine) -> None:
    """Make the table of rows set aside in a home from before it was there.

    Its predecessor named a row by its line, which two files share: what it holds is destroyed.
    """
    quarantine.create(engine, checkfirst=True)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS quarantine"))


def set_aside(
    engine: Engine,
    ring: Keyring,
    delivery: str,
    source: str,
    rows: Sequence[tuple[AsideRow, bytes]],
    randomness: Randomness,
) -> None:
    """Seal rows that have errors, each under a key of its own.

    Args:
        engine: The vault's database.
        ring: The ``vault`` keyring.
        delivery: The delivery.
        source: Its source.
        rows: Each row with its keyed local key.
        randomness: Source of keys and nonces.
    """
    _ready(engine)
    seal = _Sealer(ring, randomness)
    made = [
        {
            "delivery": delivery,
            "row": row.row,
            "part": row.table,
            # As long as the column is in a server that holds to it.
            "file": row.file[:64],
            "line": row.line,
            "source": source,
            "code": row.code[:32],
            "token": token,
            **seal.sealed(f"{delivery}|{row.row}".encode(), row.cells),
        }
        for row, token in rows
    ]
    if made:
        with engine.begin() as connection:
            connection.execute(quarantine.insert(), made)


def settle(
    engine: Engine, delivery: str, earlier: Sequence[str], rows: Callable[[], frozenset[bytes]]
) -> int:
    """Destroy rows that earlier deliveries set aside and that came again; return how many.

    A row that its contract names is settled by that row alone, any other by its person.

    Args:
        engine: The vault's database.
        delivery: The delivery that counts.
        earlier: Deliveries of its source before it.
        rows: Returns the tokens of the rows that it names; asked only when some wait.
    """
    _ready(engine)
    came = (
        select(record_key.c.token)
        .join(sealed, sealed.c.record_id == record_key.c.record_id)
        .where(sealed.c.delivery == delivery)
    )
    with engine.begin() as connection:
        held = quarantine.c.delivery.in_(list(earlier))
        done = connection.execute(delete(quarantine).where(held, quarantine.c.token.in_(came)))
        settled = done.rowcount
        waits = connection.execute(
            select(quarantine.c.delivery, quarantine.c.row, quarantine.c.token).where(held)
        ).all()
        again = rows() if waits else frozenset()
        for one in waits:
            if bytes(one.token) in again:
                connection.execute(
                    delete(quarantine).where(
                        quarantine.c.delivery == one.delivery, quarantine.c.row == one.row
                    )
                )
                settled += 1
    return settled


def with_rows_aside(engine: Engine) -> set[str]:
    """Return the deliveries of which rows are set aside."""
    _ready(engine)
    with engine.connect() as connection:
        return set(connection.execute(select(quarantine.c.delivery).distinct()).scalars())


def waiting(engine: Engine, delivery: str) -> list[dict[str, str | int]]:
    """Return table, file, line and code of the rows of a delivery that are still set aside."""
    _ready(engine)
    with engine.connect() as connection:
        rows = connection.execute(
            select(quarantine.c.part, quarantine.c.file, quarantine.c.line, quarantine.c.code)
            .where(quarantine.c.delivery == delivery)
            .order_by(quarantine.c.row)
        )
        return [
            {"table": row.part, "file": row.file, "line": row.line, "code": row.code}
            for row in rows
        ]


def forget(engine: Engine, delivery: str) -> None:
    """Take back everything a delivery wrote; harmless when it wrote nothing.

    A local key that another delivery has used since keeps its record.
    """
    _ready(engine)
    with engine.begin() as connection:
        connection.execute(delete(quarantine).where(quarantine.c.delivery == delivery))
        connection.execute(delete(sealed).where(sealed.c.delivery == delivery))
        connection.execute(
            delete(record_key).where(
                record_key.c.delivery == delivery,
                record_key.c.record_id.not_in(select(sealed.c.record_id)),
            )
        )
