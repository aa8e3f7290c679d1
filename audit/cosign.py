"""C2SP tlog-cosignature: what a witness signs on a checkpoint, with the time at which it looked.

Two kinds: Ed25519 (``cosignature/v1``, type byte 0x04) and ML-DSA-44 (``subtree/v1``, 0x06). The second
is also how a log may sign its own checkpoint a second time, against quantum computers: the line bears
the log's name. Ed25519 covers the whole text of the checkpoint, ML-DSA-44 origin, size and root.

Several lines stand on one note. A line of an unknown key is kept and says nothing; a line of a known
key that does not verify refuses the note, and so does one that is malformed, whoever wrote it.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.mldsa import (
    MLDSA44PrivateKey,
    MLDSA44PublicKey,
)

from audit.errors import AuditFault
from audit.note import Checkpoint, parse_vkey, signature_lines

ED25519, ML_DSA_44 = 0x04, 0x06
_LENGTHS = {ED25519: (32, 64), ML_DSA_44: (1312, 2420)}
"""Bytes of a public key and of a signature."""
_LATEST = 2**63 - 1


def message(kind: int, name: str, seconds: int, text: str) -> bytes:
    """Return the bytes that a cosigner signs.

    Args:
        kind: `ED25519` or `ML_DSA_44`.
        name: Name of the cosigner; only ML-DSA-44 covers it.
        seconds: POSIX time.
        text: Text of the checkpoint.
    """
    if kind == ED25519:
        return f"cosignature/v1\ntime {seconds}\n{text}".encode()
    stated = Checkpoint.parse(text)
    label, origin = name.encode(), stated.origin.encode()
    if len(label) > 255 or len(origin) > 255:
        raise AuditFault(
            "FG-AUD-06", "a name is longer than 255 bytes", "Treat it as no cosignature."
        )
    return b"".join(
        (
            b"subtree/v1\n\0",
            bytes([len(label)]) + label + struct.pack(">Q", seconds),
            bytes([len(origin)]) + origin,
            struct.pack(">QQ", 0, stated.size) + stated.root,
        )
    )


@dataclass(frozen=True, slots=True)
class Cosigner:
    """A witness's key, or a log's second one. The private key never leaves it and is not printed."""

    name: str
    kind: int
    _private: Ed25519PrivateKey | MLDSA44PrivateKey

    @staticmethod
    def from_seed(name: str, seed: bytes, kind: int = ED25519) -> Cosigner:
        """Build a cosigner from a 32-byte seed. One seed serves one name and one kind."""
        if kind == ED25519:
            return Cosigner(name, kind, Ed25519PrivateKey.from_private_bytes(seed))
        return Cosigner(name, kind, MLDSA44PrivateKey.from_seed_bytes(seed))

    def __repr__(self) -> str:
        return f"Cosigner({self.name})"

    def vkey(self) -> str:
        """Return the verifier key text: ``name+hash+base64``."""
        public = self._private.public_key().public_bytes_raw()
        encoded = base64.b64encode(bytes([self.kind]) + public).decode()
        return f"{self.name}+{_key_id(self.name, self.kind, public).hex()}+{encoded}"

    def line(self, text: str, seconds: int) -> str:
        """Return the signature line of a checkpoint's text.

        Args:
            text: Text of a checkpoint that the cosigner holds for consistent.
            seconds: POSIX time at which it looked.
        """
        Checkpoint.parse(text)
        public = self._private.public_key().public_bytes_raw()
        signature = self._private.sign(message(self.kind, self.name, seconds, text))
        raw = _key_id(self.name, self.kind, public) + struct.pack(">Q", seconds) + signature
        return f"— {self.name} {base64.b64encode(raw).decode()}\n"


@dataclass(frozen=True, slots=True)
class Cosigned:
    """That a cosigner held a checkpoint for consistent, and when (POSIX seconds)."""

    name: str
    seconds: int


@dataclass(frozen=True, slots=True)
class CosignerKey:
    """A witness's public key and name."""

    name: str
    hash: bytes
    kind: int
    _public: Ed25519PublicKey | MLDSA44PublicKey

    @staticmethod
    def from_vkey(vkey: str) -> CosignerKey:
        """Parse a verifier key of a cosigner.

        Raises:
            AuditFault: ``FG-AUD-05`` it is not one of the two kinds, or its hash is not that of its key.
        """
        name, stated, raw = parse_vkey(vkey)
        kind, public = raw[0], raw[1:]
        if kind not in _LENGTHS or len(public) != _LENGTHS[kind][0]:
            raise AuditFault(
                "FG-AUD-05", "the verifier key is not one of a witness", "Ask the witness for it."
            )
        if kind == ED25519:
            return CosignerKey(name, stated, kind, Ed25519PublicKey.from_public_bytes(public))
        return CosignerKey(name, stated, kind, MLDSA44PublicKey.from_public_bytes(public))

    def find(self, note: str) -> Cosigned | None:
        """Return the newest cosignature of this key on a note, None when there is none.

        Raises:
            AuditFault: ``FG-AUD-06`` the note is malformed, or a line of this key does not verify.
        """
        text, lines = signature_lines(note)
        found: Cosigned | None = None
        for name, raw in lines:
            if name != self.name or raw[:4] != self.hash:
                continue
            seconds = self._check(text, raw[4:])
            if found is None or seconds > found.seconds:
                found = Cosigned(self.name, seconds)
        return found

    def _check(self, text: str, raw: bytes) -> int:
        if len(raw) != 8 + _LENGTHS[self.kind][1]:
            raise _bad("a cosignature has another length")
        seconds = struct.unpack(">Q", raw[:8])[0]
        if seconds > _LATEST:
            raise _bad("a cosignature's time is out of range")
        try:
            self._public.verify(raw[8:], message(self.kind, self.name, seconds, text))
        except InvalidSignature:
            raise _bad("a cosignature of a known key does not verify") from None
        return int(seconds)


def cosigned_by(note: str, keys: Sequence[CosignerKey]) -> list[Cosigned]:
    """Return who of the known cosigners stands on a note, in the order of the keys.

    Raises:
        AuditFault: ``FG-AUD-06`` the note is malformed, or a line of a known key does not verify.
    """
    found = [key.find(note) for key in keys]
    return [one for one in found if one is not None]


def unknown_lines(note: str, known: Sequence[tuple[str, bytes]]) -> list[str]:
    """Return the names on a note whose keys the reader does not have; they were not checked.

    Args:
        known: Names and key hashes of the keys that the reader has.
    """
    return [name for name, raw in signature_lines(note)[1] if (name, raw[:4]) not in set(known)]


def _key_id(name: str, kind: int, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def _bad(why: str) -> AuditFault:
    return AuditFault(
        "FG-AUD-06", f"a signed note was refused: {why}", "Treat the cosignature as none."
    )
