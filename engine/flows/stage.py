"""Write what may be kept of a delivery into its lanes; none of it counts before the commit."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.domain.records import Prepared, Rows
from engine.flows.encodings import encode
from engine.flows.hidden import hidden_rows, without_addresses
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.identity import vault_write
from engine.intake.contract import Contract
from engine.intake.meaning import NO_DAY
from engine.linkage.encodings import COMING, PRESENT, forget_delivery, write_encodings
from engine.warehouse import equality, live
from engine.warehouse.files import event_table, merge_table, spoken_table, state_table

Ints = npt.NDArray[np.int64]


def stage(flow: Flow, prepared: Prepared, contract: Contract, *, history: bool) -> list[bytes]:
    """Write the lanes under the intent's id; return the record of each local key."""
    home, delivery = flow.home, flow.intent
    flow.arrow("vault")
    ring = home.keyring("vault")
    tokens = key_tokens(home, contract, prepared.local_keys)
    records = vault_write.write(
        home.vault, ring, delivery, tokens, dict(prepared.identities), home.randomness
    )
    aside = list(zip(prepared.quarantined, aside_tokens(home, contract, prepared), strict=True))
    if aside:
        vault_write.set_aside(home.vault, ring, delivery, contract.source, aside, home.randomness)
    flow.arrow("encode")
    _linkage(flow, prepared, contract, records)
    flow.arrow("warehouse")
    _warehouse(flow, prepared, contract, records, history=history)
    flow.arrow("equality")
    equality.write(
        home.path / "equality", delivery, home.domain("equality").seal(records), prepared.equality
    )
    return records


def key_tokens(home: Home, contract: Contract, keys: Sequence[str]) -> list[bytes]:
    """Return the keyed token of each local key of a source."""
    ring = home.keyring("vault")
    return [vault_write.key_token(ring, contract.agency, contract.source, key) for key in keys]


def aside_tokens(home: Home, contract: Contract, prepared: Prepared) -> list[bytes]:
    """Return by what each row that was set aside is known again: its own name, else its person."""
    token = token_maker(home)
    people = key_tokens(home, contract, [row.key for row in prepared.quarantined])
    return [
        _row_token(max(1, token("row", contract.source, one.row_key))) if one.row_key else person
        for one, person in zip(prepared.quarantined, people, strict=True)
    ]


def _row_token(name: int) -> bytes:
    return b"row:" + name.to_bytes(8, "big")


def settle(home: Home, delivery: str, earlier: Sequence[str]) -> None:
    """Destroy what earlier deliveries set aside and this one brought again."""

    def rows() -> frozenset[bytes]:
        path = home.warehouse.spoken(delivery)
        if not path.exists():
            return frozenset()
        names = pq.read_table(path, columns=["rk"]).column("rk").unique().to_pylist()
        return frozenset(_row_token(name) for name in names if name)

    vault_write.settle(home.vault, delivery, earlier, rows)


def _linkage(flow: Flow, prepared: Prepared, contract: Contract, records: list[bytes]) -> None:
    home, names = flow.home, flow.home.domain("linkage").seal(records)
    # While a new key is prepared, what comes is encoded under both, so that neither lacks anything.
    hidden = hidden_rows(home, records, prepared.flags)
    open_to_it = without_addresses(prepared.identities, hidden)
    encoded = encode(home, contract, open_to_it, names)
    for shelf, made in zip((PRESENT, COMING), encoded, strict=False):
        write_encodings(
            home.linkage,
            flow.intent,
            contract.agency,
            contract.source,
            made.key_version,
            made.norm_version,
            names,
            made.months,
            made.sealed,
            made.bird,
            shelf=shelf,
        )


def token_maker(home: Home) -> Callable[..., int]:
    """Return a maker of keyed 63-bit names: an incident number never reaches the warehouse."""
    key = home.keyring("psn").derive("event-group", 32)

    def token(*parts: object) -> int:
        message = "\x1f".join(map(str, parts)).encode()
        return int.from_bytes(hmac.digest(key, message, "sha256")[:8], "big") >> 1

    return token


def row_names(home: Home, contract: Contract, prepared: Prepared) -> Ints:
    """Return the keyed name of each row key of a delivery, and a last one for rows without a name.

    A name is at least 1: 0 says that a row has none.
    """
    token = token_maker(home)
    return np.array(
        [max(1, token("row", contract.source, text)) for text in prepared.row_keys] + [0], np.int64
    )


def flag_rows(home: Home, contract: Contract, prepared: Prepared) -> tuple[list[int], list[int]]:
    """Return the keyed name of the row of each flag, 0 for none, and the day a window replaces it by."""
    keys = np.array([key for *_, key, _ in prepared.flags], np.int64)
    days = np.array([day for *_, day in prepared.flags], np.int64)
    return row_names(home, contract, prepared)[keys].tolist(), _window_days(days).tolist()


def _warehouse(
    flow: Flow, prepared: Prepared, contract: Contract, records: list[bytes], *, history: bool
) -> None:
    home = flow.home
    names = home.domain("record").seal(records)
    number = home.source_numbers()[contract.source]
    token = token_maker(home)
    events, states = prepared.event_rows, prepared.state_rows
    rks = row_names(home, contract, prepared)
    merges = _merges(home, prepared, contract)
    home.warehouse.write_delivery(
        flow.intent,
        event_table(
            names, _at_rest(events), _eids(events, names, contract, token), rks[events.ints["key"]],
            number, history=history,
        ),
        state_table(
            names, _at_rest(states), _places(states, contract, token), rks[states.ints["key"]], number
        ),
        _spoken(prepared, names, rks),
        merge_table(merges) if merges else None,
    )  # fmt: skip


def _merges(home: Home, prepared: Prepared, contract: Contract) -> list[tuple[bytes, bytes, bool]]:
    """Return the merges of records that were both sent; of others there is nothing to join."""
    keys = [key for old, new, _ in prepared.merges for key in (old, new)]
    tokens = key_tokens(home, contract, keys)
    known = vault_write.known_records(home.vault, tokens)
    found = []
    for place, (_, _, undone) in enumerate(prepared.merges):
        old, new = (known.get(one) for one in tokens[2 * place : 2 * place + 2])
        if old is not None and new is not None:
            sealed = home.domain("record").seal([old, new])
            found.append((sealed[0], sealed[1], undone))
    return found


def _spoken(prepared: Prepared, names: Sequence[bytes], rks: Ints) -> pa.Table:
    rows, gone = prepared.spoken, np.array(prepared.gone, np.int64)
    days = _window_days(rows[:, 2])
    more = len(gone)
    return spoken_table(
        names,
        np.concatenate([rows[:, 0], np.full(more, -1)]),
        np.concatenate([rks[rows[:, 1]], rks[gone] if more else gone]),
        np.concatenate([np.zeros(len(rows), np.int64), np.ones(more, np.int64)]),
        np.concatenate([days, np.full(more, live.NO_DAY)]),
    )


def _at_rest(rows: Rows) -> dict[str, Ints]:
    return {**rows.ints, "window": _window_days(rows.ints["window"])}


def _window_days(days: Ints) -> Ints:
    return np.where(days == NO_DAY, live.NO_DAY, days)


def _eids(
    rows: Rows, names: Sequence[bytes], contract: Contract, token: Callable[..., int]
) -> Ints:
    groups = {
        text: token("group", contract.agency, contract.scheme, text)
        for text in rows.text.unique().to_pylist()
        if text
    }
    ints = zip(*(rows.ints[name].tolist() for name in ("record", "kind", "role", "day")),
               strict=True)  # fmt: skip
    return np.array(
        [
            groups[text] if text else token("single", names[record].hex(), kind, role, day)
            for text, (record, kind, role, day) in zip(rows.text.to_pylist(), ints, strict=True)
        ],
        np.int64,
    )


def _places(rows: Rows, contract: Contract, token: Callable[..., int]) -> Ints:
    known: dict[tuple[int, str], int] = {}
    found = []
    for kind, text in zip(rows.ints["kind"].tolist(), rows.text.to_pylist(), strict=True):
        if not text:
            found.append(0)
            continue
        if (kind, text) not in known:
            known[kind, text] = token("place", contract.agency, kind, text)
        found.append(known[kind, text])
    return np.array(found, np.int64)


def sealed_detail(home: Home, delivery: str, prepared: Prepared) -> bytes:
    """Seal what only the sending agency is told: its own keys of rows found, and repairs by hash."""
    detail: dict[str, Any] = {
        "findings": [
            {"code": one.code, "column": one.column, "check": one.check, "table": one.table,
             "file": one.file, "severity": one.severity,
             "rows": list(zip(one.rows, one.keys or [""] * len(one.rows), strict=False))}
            for one in prepared.findings
        ],
        "repaired": prepared.repaired,
        "repair_key": prepared.repair_key.hex(),
    }  # fmt: skip
    nonce = home.randomness(12)
    cipher = AESGCM(home.keyring("grant").derive("delivery-detail", 32))
    return nonce + cipher.encrypt(nonce, json.dumps(detail).encode(), delivery.encode())


def open_detail(home: Home, delivery: str, sealed: bytes) -> dict[str, Any]:
    """Open what `sealed_detail` sealed."""
    cipher = AESGCM(home.keyring("grant").derive("delivery-detail", 32))
    found: dict[str, Any] = json.loads(cipher.decrypt(sealed[:12], sealed[12:], delivery.encode()))
    return found


def discard(home: Home, delivery: str) -> None:
    """Take back what a delivery staged in every lane; harmless when it staged nothing."""
    vault_write.forget(home.vault, delivery)
    forget_delivery(home.linkage, delivery)
    home.warehouse.discard_delivery(delivery)
    equality.discard(home.path / "equality", delivery)
