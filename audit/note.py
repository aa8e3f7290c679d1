"""C2SP signed notes and checkpoints with Ed25519, so that existing tools can check the log."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from audit.errors import AuditFault

_ED25519 = b"\x01"
_MAX_SIGNATURES = 100
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


def _unbase64(text: str) -> bytes:
    """Decode base64; spare bits and odd padding are refused, so that one value has one text."""
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError("not canonical base64")
    return raw


def key_hash(name: str, public: bytes) -> bytes:
    """Return the four bytes that name a key (C2SP signed-note)."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def parse_vkey(vkey: str) -> tuple[str, bytes, bytes]:
    """Return (name, key hash, type byte and public key) of a verifier key of any type.

    Raises:
        AuditFault: ``FG-AUD-05`` the text is no verifier key, or its hash does not belong to its key.
    """
    try:
        name, hash_text, encoded = vkey.strip().split("+", 2)
        raw = _unbase64(encoded)
        stated = bytes.fromhex(hash_text)
    except ValueError:
        raise _bad_key() from None
    plain = not any(char.isspace() or char == "+" for char in name)
    if not (name and plain and len(raw) > 1 and hash_text == stated.hex()):
        raise _bad_key()
    if hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4] != stated:
        raise _bad_key()
    return name, stated, raw


def signature_lines(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Return a note's text and its signature lines: name, then key hash and signature.

    Raises:
        AuditFault: ``FG-AUD-06`` the note or any line of it is malformed, also one of an unknown key.
    """
    text, separator, signatures = note.rpartition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise _bad_note("it has no signature block")
    if _CONTROL.search(note):
        raise _bad_note("it holds a control character")
    lines = signatures[:-1].split("\n")
    if len(lines) > _MAX_SIGNATURES:
        raise _bad_note("it has too many signatures")
    found = []
    for line in lines:
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "—" or not parts[1] or "+" in parts[1]:
            raise _bad_note("a signature line is malformed")
        try:
            raw = _unbase64(parts[2])
        except ValueError:
            raise _bad_note("a signature is not base64") from None
        if len(raw) < 5:
            raise _bad_note("a signature is too short")
        found.append((parts[1], raw))
    return text + "\n", found


@dataclass(frozen=True, slots=True)
class Signer:
    """A log key and its name. The private key never leaves this object and is not printed."""

    name: str
    _private: Ed25519PrivateKey
    _second: Callable[[str], str] | None = None

    @staticmethod
    def from_bytes(name: str, seed: bytes) -> Signer:
        """Build a signer from a 32-byte Ed25519 seed."""
        return Signer(name, Ed25519PrivateKey.from_private_bytes(seed))

    def __repr__(self) -> str:
        return f"Signer({self.name})"

    def public(self) -> bytes:
        """Return the raw public key."""
        return self._private.public_key().public_bytes_raw()

    def vkey(self) -> str:
        """Return the verifier key text: ``name+hash+base64``."""
        public = self.public()
        encoded = base64.b64encode(_ED25519 + public).decode()
        return f"{self.name}+{key_hash(self.name, public).hex()}+{encoded}"

    def sign(self, text: str) -> str:
        """Return `text` as a signed note; the text must end with a newline."""
        if not text.endswith("\n"):
            raise AuditFault("FG-AUD-01", "a note's text must end in a newline", "Report this.")
        signature = key_hash(self.name, self.public()) + self._private.sign(text.encode())
        return f"{text}\n— {self.name} {base64.b64encode(signature).decode()}\n"

    def beside(self, second: Callable[[str], str]) -> Signer:
        """Return this signer with a second one of the same log, which signs tree heads as well.

        Args:
            second: Returns a whole signature line of a checkpoint's text (`audit.cosign.Cosigner.line`).
        """
        return replace(self, _second=second)

    def checkpoint(self, text: str) -> str:
        """Return a tree head as a signed note, with a line of each key that the log signs with."""
        return self.sign(text) + (self._second(text) if self._second else "")


@dataclass(frozen=True, slots=True)
class Verifier:
    """A log's public key and name."""

    name: str
    hash: bytes
    _public: Ed25519PublicKey

    @staticmethod
    def from_vkey(vkey: str) -> Verifier:
        """Parse a verifier key.

        Raises:
            AuditFault: ``FG-AUD-05`` when the text is not an Ed25519 verifier key, or its hash does
                not belong to its key.
        """
        name, stated, raw = parse_vkey(vkey)
        if len(raw) != 33 or raw[:1] != _ED25519:
            raise _bad_key()
        return Verifier(name, stated, Ed25519PublicKey.from_public_bytes(raw[1:]))

    def open(self, note: str) -> str:
        """Return the text of a note that this key signed.

        Raises:
            AuditFault: ``FG-AUD-06`` when no line of this key verifies, or the note is malformed.
        """
        text, lines = signature_lines(note)
        opened = False
        for name, raw in lines:
            if name != self.name or raw[:4] != self.hash:
                continue
            try:
                self._public.verify(raw[4:], text.encode())
            except InvalidSignature:
                raise _bad_note("a signature of the log key does not verify") from None
            opened = True
        if not opened:
            raise _bad_note("no signature of the log key stands on it")
        return text


def only_of(note: str, key: Verifier) -> str:
    """Return a note with the signature lines of one key alone.

    Raises:
        AuditFault: ``FG-AUD-06`` the note is malformed.
    """
    text, lines = signature_lines(note)
    kept = [
        f"— {name} {base64.b64encode(raw).decode()}\n"
        for name, raw in lines
        if name == key.name and raw[:4] == key.hash
    ]
    return "\n".join((text, "".join(kept)))


def _bad_key() -> AuditFault:
    return AuditFault("FG-AUD-05", "the verifier key is malformed", "Ask the log's owner for it.")


def _bad_note(why: str) -> AuditFault:
    return AuditFault(
        "FG-AUD-06", f"a signed note was refused: {why}", "Treat the log as tampered."
    )


def plain_size(text: str) -> int | None:
    """Return the tree size that `text` writes in plain decimals, or None."""
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        return None
    return int(text) if text == str(int(text)) else None


def states(note: object, verifier: Verifier, body: str, *, known: str = "") -> bool:
    """Say whether a stored note is signed by the log and states just this checkpoint.

    Args:
        note: What is stored.
        verifier: The log's public key.
        body: The checkpoint's text.
        known: A note whose signature need not be checked again: the caller has just made it.
    """
    if not isinstance(note, str) or not note.startswith(body + "\n"):
        return False
    try:
        return note == known or verifier.open(note) == body
    except AuditFault:
        return False


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: the log's origin, its size and its root (C2SP tlog-checkpoint)."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        """Return the text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @staticmethod
    def parse(text: str) -> Checkpoint:
        """Parse a checkpoint body; strict, because the logs we read are our own.

        Raises:
            AuditFault: ``FG-AUD-06`` when a line is missing, the size is not a plain number, or the
                root is not 32 bytes.
        """
        lines = text.split("\n")
        if len(lines) < 4 or not lines[0] or lines[-1] != "":
            raise _bad_note("a checkpoint has too few lines")
        size = plain_size(lines[1])
        if size is None:
            raise _bad_note("a checkpoint's size is not a number")
        try:
            root = _unbase64(lines[2])
        except ValueError:
            raise _bad_note("a checkpoint's root is not base64") from None
        if len(root) != 32:
            raise _bad_note("a checkpoint's root is not 32 bytes")
        return Checkpoint(lines[0], size, root)
