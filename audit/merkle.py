"""RFC 6962 / RFC 9162 Merkle tree: hashes, a frontier to append to, proofs and their checks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Return SHA-256(0x00 || data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a tree: its size and the roots of its perfect subtrees, largest first."""

    size: int
    roots: tuple[bytes, ...]

    def append(self, leaf: bytes) -> Frontier:
        """Return the frontier after one more leaf hash."""
        roots, size, node = self.roots, self.size, leaf
        if not size & 1:
            return Frontier(size + 1, (*roots, leaf))
        ends = (
            size ^ (size + 1)
        ).bit_length() - 1  # How many perfect subtrees the leaf makes whole.
        for left in roots[: -ends - 1 : -1]:
            node = hashlib.sha256(b"\x01" + left + node).digest()
        return Frontier(size + 1, (*roots[:-ends], node))

    def extend(self, leaves: Sequence[bytes]) -> Frontier:
        """Return the frontier after more leaf hashes, made a level at a time."""
        sha256 = hashlib.sha256
        row, left, count = list(leaves), list(self.roots), self.size
        roots: list[bytes] = []
        while row or count:
            if count & 1:
                row.insert(0, left.pop())
            if len(row) & 1:
                roots.append(row.pop())
            pairs = zip(row[::2], row[1::2], strict=True)
            row = [sha256(b"\x01" + one + other).digest() for one, other in pairs]
            count >>= 1
        return Frontier(self.size + len(leaves), tuple(roots[::-1]))

    def extend_past(
        self, leaves: Sequence[bytes], wanted: set[int], roots: dict[int, bytes]
    ) -> Frontier:
        """Return the frontier after more leaf hashes, and put the root of every wanted size into `roots`."""
        grown, first = self, self.size
        for size in sorted(wanted.intersection(range(first + 1, first + len(leaves) + 1))):
            grown = grown.extend(leaves[grown.size - first : size - first])
            roots[size] = grown.root()
        return grown.extend(leaves[grown.size - first :])

    def root(self) -> bytes:
        """Return the root of the tree of this size."""
        if not self.roots:
            return EMPTY_ROOT
        node = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            node = node_hash(left, node)
        return node

    def pack(self) -> bytes:
        """Return the roots as one byte string, to be stored beside the size."""
        return b"".join(self.roots)

    @staticmethod
    def unpack(size: int, data: bytes) -> Frontier:
        """Rebuild a frontier from its stored form; the shape must fit the size."""
        roots = tuple(data[start : start + 32] for start in range(0, len(data), 32))
        if len(data) % 32 or len(roots) != size.bit_count():
            raise ValueError("the frontier does not fit the size")
        return Frontier(size, roots)


EMPTY = Frontier(0, ())


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    return EMPTY.extend(leaves).root()


def _split(size: int) -> int:
    """Return the largest power of two smaller than `size`."""
    return 1 << (size - 1).bit_length() - 1


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the audit path of leaf `index`, lowest first (RFC 6962 2.1.1)."""
    if len(leaves) <= 1:
        return []
    cut = _split(len(leaves))
    if index < cut:
        return [*inclusion_proof(leaves[:cut], index), root_of(leaves[cut:])]
    return [*inclusion_proof(leaves[cut:], index - cut), root_of(leaves[:cut])]


def consistency_proof(leaves: Sequence[bytes], old: int) -> list[bytes]:
    """Return the proof that the tree of size `old` is a prefix of this one (RFC 6962 2.1.2)."""
    return _consistency(leaves, old, whole=True) if 0 < old < len(leaves) else []


def _consistency(leaves: Sequence[bytes], old: int, *, whole: bool) -> list[bytes]:
    if old == len(leaves):
        return [] if whole else [root_of(leaves)]
    cut = _split(len(leaves))
    if old <= cut:
        return [*_consistency(leaves[:cut], old, whole=whole), root_of(leaves[cut:])]
    return [*_consistency(leaves[cut:], old - cut, whole=False), root_of(leaves[:cut])]


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Check an inclusion proof (RFC 9162 2.1.3.2). Malformed input is False, never an exception."""
    if not 0 <= index < size or any(len(item) != 32 for item in (leaf, root, *proof)):
        return False
    node, last, here = leaf, size - 1, index
    for item in proof:
        if last == 0:
            return False
        if here & 1 or here == last:
            node = node_hash(item, node)
            while here and not here & 1:
                here, last = here >> 1, last >> 1
        else:
            node = node_hash(node, item)
        here, last = here >> 1, last >> 1
    return last == 0 and node == root


def verify_consistency(
    old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes
) -> bool:
    """Check a consistency proof (RFC 9162 2.1.4.2). Sizes of zero prove nothing and are refused."""
    if any(len(item) != 32 for item in (old_root, new_root)):
        return False
    if 0 < old == new:
        return not proof and old_root == new_root
    return consistency_roots(old, new, proof, old_root) == (old_root, new_root)


def consistency_roots(
    old: int, new: int, proof: Sequence[bytes], old_root: bytes
) -> tuple[bytes, bytes] | None:
    """Return the two roots that a consistency proof comes to; None when it has another form than it must.

    Where the second is the root of the larger tree, the first is what that tree held at the older size: a
    hash cannot be found to order. At an older size that is a power of two the proof is begun with
    `old_root` itself and tells nothing of it.
    """
    if not 0 < old < new or any(len(item) != 32 for item in (old_root, *proof)):
        return None
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return None
    here, last = old - 1, new - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    first = second = path[0]
    for item in path[1:]:
        if last == 0:
            return None
        if here & 1 or here == last:
            first, second = node_hash(item, first), node_hash(item, second)
            while here and not here & 1:
                here, last = here >> 1, last >> 1
        else:
            second = node_hash(second, item)
        here, last = here >> 1, last >> 1
    return (first, second) if last == 0 else None
