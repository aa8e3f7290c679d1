"""Check an audit trail of fieldgate without fieldgate: this one file, Python, and `cryptography`.

    python stranger.py AUDIT_FOLDER|log.db|EXPORTED_TILES|https://ADDRESS --vkey KEY
        [--witness-vkey KEY ... --quorum N] [--checkpoints FILE ...] [--anchor FILE ...]
        [--receipt FILE] [--policy-hashes FILE] [--json]

Everything is recomputed from the bytes and nothing is taken on trust but the keys you give. Ask for them
on another way than the one on which the trail came. Ends with 0 verified, 14 tampered, 17 something
could not be checked. Without a witness's key or a checkpoint that you kept yourself, whoever holds the log
key can have written another history that verifies: see docs/guides/auditor.md.

Formats: RFC 6962 trees; C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-tiles, tlog-proof.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import http.client
import json
import re
import sqlite3
import struct
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

EXITS = {"verified": 0, "tampered": 14, "incomplete": 17}
KINDS = {
    *("collection", "alteration", "consultation", "disclosure", "combination", "erasure"),
    *("reidentify", "grant", "approve", "deny", "break_glass", "policy_publish", "key_op", "login"),
    *("model_run", "export", "audit_read", "config", "recovery"),
}
REQUIRED = {"v", "id", "ts", "log", "kind", "phase", "flow", "intent", "actor"}
KEYS = {
    *REQUIRED,
    *("source", "fields", "subject", "subjects", "rows", "result_hash", "bytes", "purpose"),
    *("gateway", "agreement", "case", "reason", "decision", "rules", "obligations", "policy_hash"),
    *("code", "run", "psn_v", "kek_v", "grant", "trace_id", "span_id", "counts", "auth"),
    *("recipient", "expires"),
}
KEYS_OF = {1: KEYS, 2: KEYS | {"approvers", "on_behalf_of", "model", "request_hash", "net"}}
"""What an event of a version may hold; a log holds each in the version in which it was written."""


WAIT = 10.0
"""Seconds for one file behind an address."""


class Refused(Exception):
    """A note, a key, a bundle or a receipt does not have the form it should have."""


class Unread(Exception):
    """Nobody knows what a file of an export holds: it is too large, or its address does not answer."""


# Trees


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf (RFC 6962)."""
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node (RFC 6962)."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    """A tree that only grows; it keeps the roots of its complete subtrees."""

    def __init__(self) -> None:
        self.size = 0
        self.edge: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Add a leaf hash."""
        node, bits = leaf, self.size
        while bits & 1:
            node, bits = node_hash(self.edge.pop(), node), bits >> 1
        self.edge.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Return the root at this size."""
        if not self.edge:
            return hashlib.sha256(b"").digest()
        node = self.edge[-1]
        for left in self.edge[-2::-1]:
            node = node_hash(left, node)
        return node


def root_of(leaves: list[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    tree = Tree()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root()


def root_by_path(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """Return the root that an inclusion proof comes to, None when it has another length than it must."""
    node, last = leaf, size - 1
    for one in path:
        if not last:
            return None
        if index & 1 or index == last:
            node = node_hash(one, node)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = node_hash(node, one)
        index, last = index >> 1, last >> 1
    return None if last else node


# Notes


def unbase64(text: str) -> bytes:
    """Decode base64 that is written in the one way in which it can be."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused("something is not base64") from None
    if base64.b64encode(raw).decode() != text:
        raise Refused("something is not base64")
    return raw


def number(text: str) -> int:
    """Return a number in plain decimals."""
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", text, re.ASCII):
        raise Refused("a size is not a number")
    return int(text)


def split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Return a note's text and its signature lines."""
    text, empty, lines = note.rpartition("\n\n")
    if not empty or not lines.endswith("\n") or lines.count("\n") > 100:
        raise Refused("it has no signature block")
    if any(char < " " and char != "\n" for char in note):
        raise Refused("it holds a control character")
    found = []
    for line in lines[:-1].split("\n"):
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "—" or not parts[1] or "+" in parts[1]:
            raise Refused("a signature line is malformed")
        raw = unbase64(parts[2])
        if len(raw) < 5:
            raise Refused("a signature is too short")
        found.append((parts[1], raw))
    return text + "\n", found


def head_of(text: str) -> tuple[str, int, bytes]:
    """Return origin, size and root of a checkpoint's text."""
    lines = text.split("\n")
    if len(lines) < 4 or not lines[0]:
        raise Refused("a checkpoint has too few lines")
    root = unbase64(lines[2])
    if len(root) != 32:
        raise Refused("a checkpoint's root is not 32 bytes")
    return lines[0], number(lines[1]), root


class Key:
    """A public key of a log (type 1) or of a witness (4 is Ed25519, 6 is ML-DSA-44)."""

    def __init__(self, vkey: str, kinds: tuple[int, ...]) -> None:
        parts = vkey.strip().split("+", 2)
        if len(parts) != 3:
            raise Refused("the verifier key is malformed")
        self.name, raw = parts[0], unbase64(parts[2])
        self.id = hashlib.sha256(self.name.encode() + b"\n" + raw).digest()[:4]
        self.kind, self.public = (raw or b"\0")[0], raw[1:]
        lengths = {1: 32, 4: 32, 6: 1312}
        if self.kind not in kinds or len(self.public) != lengths[self.kind]:
            raise Refused("the verifier key is of another kind")
        if not self.name or self.id.hex() != parts[1] or re.search(r"\s", self.name):
            raise Refused("the verifier key is malformed")

    def times(self, note: str) -> list[int]:
        """Return the times of this key's signatures on a note; 0 for a log's own. A bad one refuses it."""
        text, lines = split_note(note)
        mine = [raw[4:] for name, raw in lines if name == self.name and raw[:4] == self.id]
        return [self._check(text, raw) for raw in mine]

    def _check(self, text: str, raw: bytes) -> int:
        seconds = 0
        message = text.encode()
        if self.kind != 1:
            if len(raw) < 9 or raw[0] > 127:
                raise Refused("a cosignature has another length, or its time is out of range")
            seconds, raw = struct.unpack(">Q", raw[:8])[0], raw[8:]
            message = f"cosignature/v1\ntime {seconds}\n{text}".encode()
        if self.kind == 6:
            (origin, size, root), name = head_of(text), self.name.encode()
            message = b"subtree/v1\n\0" + bytes([len(name)]) + name + struct.pack(">Q", seconds)
            message += bytes([len(origin.encode())]) + origin.encode()
            message += struct.pack(">QQ", 0, size) + root
        try:
            self._public().verify(raw, message)
        except InvalidSignature:
            raise Refused("a signature of a known key does not verify") from None
        return seconds

    def _public(self) -> Any:
        if self.kind != 6:
            return Ed25519PublicKey.from_public_bytes(self.public)
        from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

        return MLDSA44PublicKey.from_public_bytes(self.public)

    def open(self, note: str) -> str:
        """Return the text of a note that this key signed."""
        if not self.times(note):
            raise Refused("no signature of the log key stands on it")
        return split_note(note)[0]


def notes(text: str) -> Iterator[str]:
    """Split a file of notes; what a crash cut short proves nothing and is left out."""
    lines: list[str] = []
    signed = False
    for line in text.split("\n"):
        if signed and not line:
            yield "\n".join(lines) + "\n"
        if (signed and not line) or line == "-- the lines above were cut short --":
            lines, signed = [], False
        elif lines or line:
            lines.append(line)
            signed = line.startswith("— ")


# Events


def event_of(body: bytes) -> dict[str, Any]:
    """Return an event whose bytes are canonical and whose shape is that of the schema."""
    found: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(items)) != len(items) or not all(
            k.isascii() and k.isprintable() for k, _ in items
        ):
            found.append("a key stands twice or is not ASCII")
        return dict(items)

    def whole(text: str) -> int:
        if len(text) > 17 or abs(int(text)) >= 2**53:
            found.append("a number is too large")
            return 0
        return int(text)

    def none(_: str) -> None:
        found.append("a number is not whole")

    try:
        event = json.loads(
            body.decode(),
            object_pairs_hook=pairs,
            parse_int=whole,
            parse_float=none,
            parse_constant=none,
        )
        again = json.dumps(event, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        raise Refused("the bytes are not JSON") from None
    # An escape other than of a quote or a backslash stands for a control character.
    odd = not again.isprintable() or re.search(r'(?<!\\)(?:\\\\)*\\[^"\\]', again)
    if found or odd or again.encode("utf-8", "replace") != body or len(body) > 4096:
        raise Refused("the bytes are not canonical")
    check_shape(event)
    return dict(event)


def check_shape(event: Any) -> None:
    """Refuse an event that is not of the schema of its version."""
    if not isinstance(event, dict) or not set(event) >= REQUIRED:
        raise Refused("the event lacks a key or holds an unknown one")
    version = event["v"] if type(event["v"]) is int else 0
    texts = all(isinstance(event[key], str) for key in REQUIRED - {"v", "actor"})
    if not texts or version not in KEYS_OF or str(event["kind"]) not in KINDS:
        raise Refused("the event has an unknown version, kind or type")
    if not set(event) <= KEYS_OF[version]:
        raise Refused("the event lacks a key or holds an unknown one")
    actor = event["actor"]
    if not isinstance(actor, dict) or not all(isinstance(one, str) for one in actor.values()):
        raise Refused("the event's actor is not an object of texts")
    for key in ("request_hash", "net"):
        if not re.fullmatch("[0-9a-f]{64}", str(event.get(key, "0" * 64)), re.ASCII):
            raise Refused(f"the event's {key} is not a hash")
    people = event.get("approvers", [])
    if not isinstance(people, list) or not all(isinstance(one, str) for one in people):
        raise Refused("the event's approvers are not a list of texts")
    if event["phase"] not in ("intent", "outcome"):
        raise Refused("the event has an unknown phase")


class Story:
    """What events say of each other: intents and outcomes, policies and approvals, views and grants.

    Attributes:
        findings: (check, index, sentence) of what does not hold.
        doubts: The same for what is odd and proves nothing, such as a clock that went back.
        unread: Whether an event could not be read, so that its intent or outcome may be missing here.
        open: Intents without an outcome, oldest first, with the index of each.
        policies: Hash of each policy that was active, and of each that a view names: first index.
        losses: What two people declared lost: index of the event that says so, first event and size.
    """

    CHECKS = ("intents", "time", "approvals", "permits", "grants")
    POLICY = ("first_policy", "activate_policy", "rollback_policy")

    def __init__(self, origin: str | None = None, tolerance: int = 300) -> None:
        self.unread = False
        self.losses: list[tuple[int, int, int]] = []
        self._origin = origin
        self.findings: list[tuple[str, int, str]] = []
        self.doubts: list[tuple[str, int, str]] = []
        self.open: dict[str, int] = {}
        self._last = -1
        self.policies: dict[str, int] = {}
        self._begun: dict[str, tuple[dict[str, Any], str | None]] = {}
        self._tolerance, self._newest = tolerance, ""
        self._active: str | None = None
        self._proposed: dict[str, Any] = {}
        self._approved: dict[str, set[Any]] = {}
        self._grants: dict[str, tuple[Any, Any, Any]] = {}

    def lose(self) -> None:
        """Take note of an event that cannot be read: its intent or its outcome is not looked for."""
        self.unread = True

    def announces(self, intent: str) -> bool:
        """Say whether an open intent is that of the export itself, with which what was exported ends."""
        event, _ = self._begun[intent]
        return event["flow"] == "export_trail" and self.open[intent] == self._last

    def tell(self, seq: int, event: dict[str, Any]) -> None:
        """Take the next event of the log."""
        self._last = seq
        self._time(seq, event)
        if self._origin not in (None, event["log"]):
            self._fail("schema", seq, "it belongs to another log")
        if event["phase"] == "intent":
            if event["intent"] in self.open:
                self._fail("intents", seq, "its intent had begun before")
            self.open[event["intent"]] = seq
            self._begun[event["intent"]] = (event, self._active)
            return
        self.open.pop(event["intent"], None)
        begun, active = self._begun.pop(event["intent"], (None, None))
        if begun is None:
            if not self.unread:
                self._fail("intents", seq, "an outcome has no open intent")
            return
        same = begun["flow"] == event["flow"] and begun["actor"] == event["actor"]
        if not same and event["kind"] != "recovery":
            self._fail("intents", seq, "an outcome is of another flow or person than its intent")
        if event["flow"] in ("reveal", "show"):
            self._view(seq, event, begun, active)
        else:
            self._agreed(seq, event)

    def _agreed(self, seq: int, event: dict[str, Any]) -> None:
        """Take an outcome that two people are needed for."""
        rules = event["rules"] if isinstance(event.get("rules"), list) else []
        version, permit = str(event.get("policy_hash")), event.get("decision") == "permit"
        if event["flow"] in self.POLICY:
            self._policy(seq, event)
        elif event["flow"] == "recover_log":
            if f"declared_by {_who(event)}" in rules:
                self._fail("approvals", seq, "a loss was declared and confirmed by one person")
            self._lost(seq, event)
        elif event["flow"] == "propose_policy" and permit:
            self._proposed[version] = _who(event)
        elif event["flow"] == "answer_policy" and permit and rules[:1] == ["approve"]:
            self._approved.setdefault(version, set()).add(_who(event))

    def _lost(self, seq: int, event: dict[str, Any]) -> None:
        counts = event["counts"] if isinstance(event.get("counts"), dict) else {}
        base, size = counts.get("left"), counts.get("signed")
        if event.get("decision") == "declared_lost" and type(base) is type(size) is int:
            self.losses.append((seq, base, size))

    def _time(self, seq: int, event: dict[str, Any]) -> None:
        if event["ts"] >= self._newest:
            self._newest = event["ts"]
            return
        try:
            back = (
                datetime.fromisoformat(self._newest) - datetime.fromisoformat(event["ts"])
            ).total_seconds()
        except (ValueError, TypeError):
            self._fail("time", seq, "its time is none")
            return
        if back > self._tolerance:
            text = f"event {seq} is {int(back)} seconds older than one before it"
            self.doubts.append(("time", seq, text))

    def _policy(self, seq: int, event: dict[str, Any]) -> None:
        version = event.get("policy_hash")
        if event.get("decision") != "permit" or not isinstance(version, str):
            if event.get("decision") == "completed":
                self._active = None  # It became active and the trail does not say which.
            return
        others = self._approved.get(version, set()) - {self._proposed.get(version)}
        if event["flow"] == "activate_policy" and (version not in self._proposed or not others):
            self._fail("approvals", seq, "a policy became active without another person's approval")
        if event["flow"] == "rollback_policy" and version not in self.policies:
            self._fail("approvals", seq, "a policy came back that had never been active")
        self._active = version
        self.policies.setdefault(version, seq)

    def _view(
        self, seq: int, event: dict[str, Any], begun: dict[str, Any], active: str | None
    ) -> None:
        decision, version = event.get("decision"), event.get("policy_hash")
        who, whom = _who(begun), begun.get("subject")
        if decision == "completed" and event["flow"] == "reveal":
            self._grants[event["intent"]] = (who, whom, None)
        if decision not in ("permit", "withhold"):
            return
        known = {active, self._active}
        stated = version if isinstance(version, str) else None
        if event["flow"] == "reveal" and None not in known and stated not in known:
            self._fail("permits", seq, "a view was decided under a policy that was not active")
        if not event.get("gateway") or not event.get("agreement") or not stated:
            self._fail("permits", seq, "a view names no gateway, agreement or policy")
        else:
            self.policies.setdefault(stated, seq)
        if event["flow"] == "reveal" and decision == "permit":
            self._grants[event["intent"]] = (who, whom, event.get("expires"))
        if event["flow"] == "show":
            granted = self._grants.get(str(event.get("grant")))
            if granted is None or granted[:2] != (who, whom):
                self._fail("grants", seq, "a view was shown again without its grant")
            elif granted[2] and event["ts"][:19] > str(granted[2])[:19]:
                self._fail("grants", seq, "a view was shown again after it had closed")

    def _fail(self, check: str, seq: int, what: str) -> None:
        self.findings.append((check, seq, f"event {seq}: {what}"))


def _who(event: dict[str, Any]) -> str:
    actor = event["actor"]
    return str(actor.get("id")) if isinstance(actor, dict) else ""


# The report


class Report:
    """What was checked: each check ran, was skipped (why) or failed (what, and the index of the event)."""

    def __init__(self) -> None:
        self.checks: dict[str, dict[str, Any]] = {}
        self.facts: dict[str, Any] = {"size": 0, "root": "", "checkpoints": 0}
        self.missing: list[str] = []

    def ran(self, check: str) -> None:
        """Say that a check ran to its end; one that failed stays failed."""
        self.checks.setdefault(check, {"result": "ran", "findings": []})

    def fail(self, check: str, what: str, index: int | None = None) -> None:
        """Say what does not hold."""
        if self.checks.get(check, {}).get("result") != "failed":
            self.checks[check] = {"result": "failed", "findings": []}
        self.checks[check]["findings"].append({"index": index, "what": what})

    def skip(self, check: str, why: str, *, asked: bool = True) -> None:
        """Say why a check did not run. One that nobody asked for leaves the verdict as it is."""
        if asked and why not in self.missing:
            self.missing.append(why)
        self.checks.setdefault(check, {"result": "skipped", "why": why, "findings": []})

    def lack(self, what: str) -> None:
        """Say what could not be shown; the verdict is then incomplete."""
        if what not in self.missing:
            self.missing.append(what)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        failed = any(one["result"] == "failed" for one in self.checks.values())
        status = "tampered" if failed else "incomplete" if self.missing else "verified"
        return {"status": status, "exit": EXITS[status], **self.facts, "missing": self.missing,
                "checks": [{"name": name, **one} for name, one in self.checks.items()]}  # fmt: skip

    def findings(self) -> list[str]:
        """Return every sentence about what does not hold."""
        return [one["what"] for check in self.checks.values() for one in check["findings"]]


# Where the log is read from


class Database:
    """An audit folder or the database file of one."""

    what = "checkpoint"

    def __init__(self, path: Path) -> None:
        self.path = path
        address, journal = path.absolute().as_uri(), path.with_name(path.name + "-wal")
        self.base = sqlite3.connect(f"{address}?mode=ro", uri=True, isolation_level=None)
        try:
            self.base.execute("SELECT 1 FROM sqlite_master")
        except sqlite3.OperationalError:
            # A copy on a disk that cannot be written is opened as one that never changes. That would
            # pass over a journal, and what it holds is part of the log.
            if journal.exists() and journal.stat().st_size:
                raise
            self.base = sqlite3.connect(f"{address}?immutable=1", uri=True, isolation_level=None)
        self.base.execute("BEGIN")

    def heads(self) -> list[tuple[int, str]]:
        """Return the notes that stand in the log itself, by size."""
        found = self.base.execute("SELECT size, note FROM checkpoint ORDER BY size")
        return [(size, note if isinstance(note, str) else "") for size, note in found]

    def leaves(self, report: Report) -> Iterator[tuple[int, bytes, bool]]:
        """Yield each event up to the first that is missing, and whether its bytes fit its hash."""
        expected = 0
        for seq, body, stored in self.base.execute("SELECT seq, body, hash FROM leaf ORDER BY seq"):
            if seq != expected:
                report.fail("sequence", f"event {expected} is missing", expected)
                return
            if not isinstance(body, bytes) or not isinstance(stored, bytes):
                report.fail("leaves", f"event {seq} is not stored as bytes", seq)
                return
            if leaf_hash(body) != stored:
                report.fail(
                    "leaves", f"event {seq} was edited: its hash does not fit its bytes", seq
                )
            yield seq, body, leaf_hash(body) == stored
            expected = seq + 1

    def end(self, tree: Tree, report: Report) -> None:
        """Check what else the log says of itself."""
        row = self.base.execute("SELECT size, frontier FROM head").fetchone()
        if row is None or tuple(row) != (tree.size, b"".join(tree.edge)):
            report.fail("head", "the head row does not fit the events")
        report.ran("head")


class Folder:
    """Exported files in a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str, most: int) -> bytes | None:
        """Return the bytes of a file, None when it is not there."""
        try:
            with (self.path / name).open("rb") as stream:
                data = stream.read(most + 1)
        except OSError:
            return None
        if len(data) > most:
            raise Unread(f"{name} is larger than it can be")
        return data


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow nothing: the address is the one that you gave."""


class Web:
    """Exported files behind an address; what comes from there proves itself, whoever answers."""

    def __init__(self, address: str) -> None:
        try:
            parts = urllib.parse.urlsplit(address)
            plain = bool(parts.hostname) and not (parts.query or parts.fragment or parts.username)
        except ValueError:
            plain = False
        if not plain or parts.scheme not in ("http", "https"):
            raise Unread("the address is not one of http or https without user, query and fragment")
        self.base = address.rstrip("/")
        self.opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))

    def read(self, name: str, most: int) -> bytes | None:
        """Return the bytes of a file, None when it is not there."""
        until, data = time.monotonic() + WAIT, b""
        try:
            with self.opener.open(f"{self.base}/{name}", timeout=WAIT) as answer:
                stated = answer.length  # None where the body says itself where it ends.
                while part := answer.read1(65_536):
                    data += part
                    if len(data) > most:
                        raise Unread(f"{name} is larger than it can be")
                    if time.monotonic() > until:
                        raise TimeoutError
                if stated is not None and len(data) != stated:
                    raise Unread(f"{name} came {len(data)} bytes long and not {stated}")
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (404, 410):
                return None
            raise Unread(f"{name} was answered with status {error.code}") from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Unread(f"{name} could not be read ({type(error).__name__})") from None
        return data


class Tiles:
    """An export: static files in tlog-tiles layout."""

    what = "exported checkpoint"

    def __init__(self, files: Folder | Web) -> None:
        self.files = files
        self.note = (files.read("checkpoint", 1 << 20) or b"").decode("utf-8", "replace")
        try:
            self.size = head_of(self.note.rpartition("\n\n")[0] + "\n")[1]
        except Refused:
            self.size = 0
        self.rows: list[bytes] = []

    def heads(self) -> list[tuple[int, str]]:
        """Return the one checkpoint of the export."""
        return [(self.size, self.note)]

    def leaves(self, report: Report) -> Iterator[tuple[int, bytes, bool]]:
        """Yield each event up to the first that is missing, and whether its bytes fit its hash."""
        for place in range(-(-self.size // 256)):
            width = min(256, self.size - place * 256)
            data = self._read("entries", place, width, report)
            tile = self._read("0", place, width, report)
            if data is None:
                return
            for at in range(width):
                seq, end = place * 256 + at, 2 + int.from_bytes(data[:2], "big")
                if len(data) < max(end, 2):
                    report.fail("sequence", f"event {seq} is missing", seq)
                    return
                body, data = data[2:end], data[end:]
                if tile is not None and leaf_hash(body) != tile[32 * at : 32 * at + 32]:
                    report.fail("tiles", f"event {seq} is not the one that its tile holds", seq)
                self.rows.append(leaf_hash(body))
                yield seq, body, True

    def end(self, tree: Tree, report: Report) -> None:
        """Check the tiles above the lowest."""
        level, row = 1, [root_of(self.rows[at : at + 256]) for at in range(0, tree.size - 255, 256)]
        while row and tree.size == self.size:
            for start in range(0, len(row), 256):
                here = row[start : start + 256]
                tile = self._read(str(level), start // 256, len(here), report)
                if tile is not None and tile != b"".join(here):
                    report.fail(
                        "tiles",
                        f"a tile of level {level} is not that of the tiles below it",
                        start * 256**level,
                    )
            row = [root_of(row[at : at + 256]) for at in range(0, len(row) - 255, 256)]
            level += 1
        report.ran("tiles")

    def _read(self, level: str, place: int, width: int, report: Report) -> bytes | None:
        digits = f"{place:03d}".zfill(-(-len(f"{place:03d}") // 3) * 3)
        parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        full = "/".join(["tile", level, *(f"x{one}" for one in parts[:-1]), parts[-1]])
        part = f"{full}.p/{width}"
        for name in (full,) if width == 256 else (part, full):
            data = self.files.read(name, 256 * 65_537 if level == "entries" else 8192)
            if data is not None:
                return data if level == "entries" else data[: 32 * width]
        report.lack(f"{full if width == 256 else part} is not there")
        return None


# The checks


def check(given: argparse.Namespace) -> Report:
    """Run every check that can be run."""
    report = Report()
    web = "://" in given.trail
    place = Path(given.trail)
    folder = place if web or place.is_dir() else place.parent
    key = _key(given, folder, report)
    witnesses = [Key(one, (4, 6)) for one in given.witness_vkey]
    if key and any(one.name == key.name for one in witnesses):
        raise Refused("it is one of the log itself")
    source: Database | Tiles | None = None
    try:
        beside = Web(given.trail) if web else Folder(folder)
        # First: a later export writes its checkpoint before it, so what it holds is no newer.
        saved, since = _saved(given, beside, key, report)
        if isinstance(beside, Folder) and (place.is_file() or (place / "log.db").is_file()):
            source = Database(place if place.is_file() else place / "log.db")
        elif isinstance(beside, Web) or (place / "checkpoint").is_file():
            source = Tiles(beside)
        else:
            report.lack("there is no log and no export of one")
        if source is not None:
            _walk(source, saved, since, key, witnesses, given, report)
        elif (receipt := _receipt(given, report)) is not None:
            _check_receipt(receipt, None, {}, key, report)
    except Unread as error:  # Nobody knows what the rest is.
        report.lack(str(error))
    except sqlite3.Error as error:
        report.fail("leaves", f"the log's database cannot be read ({type(error).__name__})")
    finally:
        if isinstance(source, Database):
            source.base.close()
    return report


def _key(given: argparse.Namespace, folder: Path, report: Report) -> Key | None:
    report.facts["key"] = "given" if given.vkey else "came with the log"
    try:
        return Key(given.vkey or (folder / "log.vkey").read_text(encoding="ascii"), (1,))
    except (OSError, UnicodeDecodeError):
        report.lack("the log's public key is not there")
    except Refused as error:
        report.lack(str(error))
    return None


Saved = list[tuple[str, int, str]]
Since = set[tuple[tuple[int, int], str]]
"""A loss, and a note that stands behind it in a file of the log: it attests nothing that was lost."""


def _saved(
    given: argparse.Namespace, beside: Folder | Web, key: Key | None, report: Report
) -> tuple[Saved, Since]:
    """Return what was kept outside the log: (what, size, note). What was declared lost is left out."""
    files: list[tuple[str, Folder | Web, str]] = [("witnessed checkpoint", beside, "witnessed.txt")]
    inside = isinstance(beside, Folder) and (beside.path / "log.db").is_file()
    if inside or Path(given.trail).is_file():
        files.insert(0, ("outside checkpoint", beside, "checkpoints.txt"))
    for what, chosen in (("saved", given.checkpoints), ("anchored", given.anchor)):
        files += [
            (f"{what} checkpoint", Folder(Path(one).parent), Path(one).name) for one in chosen
        ]
    found: Saved = []
    since: Since = set()
    lost: list[tuple[int, int]] = []
    for what, where, name in files:
        here: list[tuple[int, int]] = []
        data = where.read(name, 1 << 32)
        text = (data or b"").decode("utf-8", "replace")
        if data is None:
            if what != "witnessed checkpoint":
                why = "checkpoints outside the database" if what[0] == "o" else f"{what}s"
                report.skip(f"{what}s", f"the {why} are not there")
            continue
        # One that somebody saved may have been cut out without the empty line at its end.
        for at, note in enumerate(notes(text + "\n" if what[0] == "s" else text)):
            try:
                found.append((what, number(note.partition("\n")[2].partition("\n")[0]), note))
            except Refused:
                named = (
                    f"checkpoint {at} outside the database" if what[0] == "o" else f"{what} {at}"
                )
                report.fail(f"{what}s", f"{named} is malformed")
                continue
            gap = _declared(note, key) if what[0] != "s" else None
            if gap is not None:
                size = found[-1][1]
                if gap not in lost:
                    report.lack(
                        f"events {gap[0]} to {gap[1] - 1} were lost, "
                        f"and declared lost in event {size - 1}"
                    )
                lost.append(gap)
                here.append(gap)
                # A witness may hold what was lost before: that is the gap, and no second history.
                found = [
                    one
                    for one in found
                    if one[0] != what or one[2] == note or not gap[0] < one[1] <= gap[1]
                ]
            since |= {(gap, note) for gap in here}

    return _left(found, lost, since), since


def _left(found: Saved, lost: list[tuple[int, int]], since: Since) -> Saved:
    """Leave out what attests events that were lost, and is not known to have been signed after that."""
    return [
        one
        for one in found
        if one[0][0] not in "sa"
        or not any(gap[0] < one[1] <= gap[1] and (gap, one[2]) not in since for gap in lost)
    ]


def _declared(note: str, key: Key | None) -> tuple[int, int] | None:
    try:
        text = key.open(note) if key else ""
        for line in text.split("\n")[3:]:
            parts = line.split(" ")
            if len(parts) == 4 and parts[0] == "recovered":
                return number(parts[1]), number(parts[2])
    except Refused:
        pass
    return None


def _walk(
    source: Database | Tiles,
    saved: Saved,
    since: Since,
    key: Key | None,
    witnesses: list[Key],
    given: argparse.Namespace,
    report: Report,
) -> None:
    heads = [(source.what, size, note) for size, note in source.heads()]
    receipt = _receipt(given, report)
    wanted = {size for _, size, _ in [*heads, *saved]} | ({receipt[2]} if receipt else set())
    tree, story = Tree(), Story(key.name if key else None, given.tolerance)
    roots = {0: tree.root()}
    leaf_at: bytes | None = None
    for seq, body, fits in source.leaves(report):
        try:
            story.tell(seq, event_of(body)) if fits else story.lose()
        except Refused as error:
            story.lose()
            report.fail("schema", f"event {seq}: {error}", seq)
        tree.add(leaf_hash(body))
        if tree.size in wanted:
            roots[tree.size] = tree.root()
        if receipt and seq == receipt[1]:
            leaf_at = leaf_hash(body)
    for name in ("leaves", "sequence", "schema"):
        report.ran(name)
    source.end(tree, report)
    report.facts |= {"size": tree.size, "root": tree.root().hex(), "checkpoints": len(heads)}
    for seq, base, size in story.losses:
        # A checkpoint outside has said it, unless it was left behind.
        gone = f"events {base} to {size - 1} were lost"
        if not any(one.startswith(f"{gone},") for one in report.missing):
            report.lack(f"{gone}, and declared lost in event {seq}")
    saved = _left(saved, [(base, size) for _, base, size in story.losses], since)
    _check_heads([*heads, *saved], roots, key, report)
    if tree.size and tree.size not in {size for _, size, _ in heads}:
        report.fail(f"{source.what}s", f"no checkpoint covers event {tree.size - 1}", tree.size - 1)
    if isinstance(source, Database) and tree.size and not any(one[0][0] == "o" for one in saved):
        report.lack("no checkpoint is kept outside the database")
    _check_story(story, given, report, exported=isinstance(source, Tiles))
    _check_witnesses([*heads, *saved], roots, key, witnesses, given, report)
    _say_unchecked(heads, [*([key] if key else []), *witnesses], report)
    if receipt:
        _check_receipt(receipt, leaf_at, roots, key, report)


def _check_heads(heads: Saved, roots: dict[int, bytes], key: Key | None, report: Report) -> None:
    """Hold every signed tree head against the tree: that is consistency between all of them."""
    for what, size, note in heads:
        if key is None:
            report.skip(f"{what}s", f"{what}s were not checked: no public key")
            continue
        try:
            origin, stated, root = head_of(key.open(note))
        except Refused as error:
            report.fail(f"{what}s", f"{what} at size {size}: {error}", size)
            continue
        article = "an" if what[0] in "aeiou" else "a"
        if origin != key.name or stated != size:
            report.fail(f"{what}s", f"{what} at size {size} belongs to another tree", size)
        elif size not in roots:
            report.fail(
                f"{what}s", f"events were cut off: {article} {what} attests size {size}", size
            )
        elif roots[size] != root:
            report.fail(
                f"{what}s", f"the events before {size} are not those the {what} attests", size
            )
        report.ran(f"{what}s")


def _check_story(
    story: Story, given: argparse.Namespace, report: Report, *, exported: bool
) -> None:
    for name, index, what in story.findings:
        report.fail(name, what, index)
    for _, _, what in story.doubts:
        report.lack(what)
    for intent in story.open:
        if exported and story.announces(intent):
            continue
        report.lack(f"intent {intent} of event {story.open[intent]} has no outcome")
    for name in story.CHECKS:
        report.ran(name)
    if not given.policy_hashes:
        report.skip("policies", "no list of published policies was given", asked=False)
        return
    try:
        published = set(Path(given.policy_hashes).read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError):
        report.skip("policies", "the list of published policies cannot be read")
        return
    for version, index in story.policies.items():
        if version not in published:
            report.fail(
                "policies", f"event {index}: its policy {version[:16]} is not published", index
            )
    report.ran("policies")


def _check_witnesses(
    heads: Saved,
    roots: dict[int, bytes],
    key: Key | None,
    witnesses: list[Key],
    given: argparse.Namespace,
    report: Report,
) -> None:
    """Say up to which size how many witnesses vouch: each for its largest checkpoint and all before it."""
    if not witnesses:
        report.skip("witnesses", "no key of a witness was given", asked=False)
        return
    sizes: dict[str, int] = {}
    times: dict[str, int] = {}
    for what, size, note in heads:
        try:
            root = head_of(key.open(note))[2] if key else b""
            for one in witnesses:
                for seconds in one.times(note) if roots.get(size) == root else []:
                    sizes[one.name] = max(size, sizes.get(one.name, 0))
                    times[one.name] = max(seconds, times.get(one.name, 0))
        except Refused as error:
            report.fail("witnesses", f"{what} at size {size}: {error}", size)
        except ImportError:
            report.lack("this machine cannot check ML-DSA-44 signatures")
    quorum = given.quorum or len(witnesses)
    reached = sorted(sizes.values(), reverse=True)[quorum - 1 : quorum]
    report.facts["witnessed"] = {
        "by": len(sizes), "of": len(witnesses), "quorum": quorum, "size": reached[0] if reached else 0,
        "newest": {name: {"size": sizes[name], "time": times[name]} for name in sorted(sizes)},
    }  # fmt: skip
    if not reached:
        report.lack(f"witnessed by {len(sizes)} of {len(witnesses)}, quorum {quorum}")
    report.ran("witnesses")


def _say_unchecked(heads: Saved, known: list[Key], report: Report) -> None:
    """Name the signature lines on the newest checkpoint whose keys you did not give; they say nothing."""
    try:
        lines = split_note(heads[-1][2])[1] if heads else []
    except Refused:
        return  # It is a finding already.
    keys = {(one.name, one.id) for one in known}
    report.facts["unchecked"] = [name for name, raw in lines if (name, raw[:4]) not in keys]


# Receipts


def _receipt(
    given: argparse.Namespace, report: Report
) -> tuple[bytes | None, int, int, list[bytes], str] | None:
    """Return leaf hash, index, size, path and checkpoint of a receipt (C2SP tlog-proof)."""
    if not given.receipt:
        report.skip("receipt", "no receipt was given", asked=False)
        return None
    try:
        head, empty, note = (
            Path(given.receipt).read_bytes().decode("utf-8", "replace").partition("\n\n")
        )
        lines = head.split("\n")
        if not empty or lines.pop(0) != "c2sp.org/tlog-proof@v1":
            raise Refused("it is no proof of inclusion")
        extra = unbase64(lines.pop(0)[6:]) if lines and lines[0].startswith("extra ") else None
        if not lines or not lines[0].startswith("index "):
            raise Refused("it names no index")
        index, path = number(lines[0][6:]), [unbase64(one) for one in lines[1:]]
        size = head_of(split_note(note)[0])[1]
    except (OSError, Refused) as error:
        report.fail("receipt", f"the receipt cannot be read: {error}")
        return None
    return extra, index, size, path, note


def _check_receipt(
    receipt: tuple[bytes | None, int, int, list[bytes], str],
    found: bytes | None,
    roots: dict[int, bytes],
    key: Key | None,
    report: Report,
) -> None:
    stated, index, size, path, note = receipt
    leaf = found or stated
    if key is None or leaf is None:
        report.skip("receipt", "the receipt was not checked: no public key, or no event to it")
        return
    try:
        origin, _, root = head_of(key.open(note))
    except Refused as error:
        report.fail("receipt", f"the receipt's checkpoint: {error}", index)
        return
    if origin != key.name or (stated is not None and stated != leaf):
        report.fail(
            "receipt", f"event {index} is not the one that the receipt was given for", index
        )
    if not index < size or root_by_path(leaf, index, size, path) != root:
        report.fail("receipt", f"the receipt does not prove event {index}", index)
    if found is None and roots:
        report.fail("receipt", f"events were cut off: a receipt attests event {index}", index)
    elif roots and roots.get(size) != root:
        report.fail("receipt", f"the events before {size} are not those the receipt attests", size)
    report.ran("receipt")


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Check an audit trail of fieldgate without fieldgate."
    )
    parser.add_argument(
        "trail", help="audit folder, its log.db, a folder of exported tiles, or the address of one"
    )
    parser.add_argument("--vkey", help="public key of the log, from a place you trust")
    parser.add_argument(
        "--witness-vkey", action="append", default=[], help="public key of a witness"
    )
    parser.add_argument(
        "--quorum", type=int, default=0, help="witnesses that must vouch; all by default"
    )
    parser.add_argument(
        "--checkpoints", action="append", default=[], help="file of checkpoints you kept"
    )
    parser.add_argument(
        "--anchor",
        action="append",
        default=[],
        help="file on another disk to which they were copied",
    )
    parser.add_argument("--receipt", help="receipt of one event")
    parser.add_argument("--policy-hashes", help="file with the hashes of the published policies")
    parser.add_argument("--tolerance", type=int, default=300, help="seconds a clock may go back")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args(words)


def main() -> int:
    """Check, print and return the exit code."""
    given = arguments()
    try:
        result = check(given).as_dict()
    except Refused as error:
        print(f"A key of a witness: {error}", file=sys.stderr)
        return 2
    if given.json:
        print(json.dumps(result, indent=1))
        return int(result["exit"])
    print(f"{result['status']}: {result['size']} events, root {result['root'] or 'none'}")
    for one in result["checks"]:
        print(f"  {one['result']:8}{one['name']}{': ' + one['why'] if 'why' in one else ''}")
        for finding in one["findings"]:
            print(f"          {finding['what']}")
    for name in result.get("unchecked", []):
        print(f"  not checked: a signature line of {name}, whose key you did not give")
    for what in result["missing"]:
        print(f"  not shown: {what}")
    return int(result["exit"])


if __name__ == "__main__":
    sys.exit(main())
