"""A receipt: where an event stands in the signed tree, as C2SP tlog-proof text."""

from __future__ import annotations

import base64

from audit.levels import Node, inclusion
from audit.merkle import verify_inclusion
from audit.note import Checkpoint


def receipt_of(node: Node, seq: int, size: int, note: str) -> str | None:
    """Return a receipt: the leaf's hash, index, path and a checkpoint.

    It can be checked years later with the log's public key and nothing else; that the event is the one it
    speaks of, with a copy of the log.

    Args:
        node: Complete subtrees of the log.
        seq: Place of the event.
        size: Size of the tree that the checkpoint signs.
        note: The signed checkpoint.

    Returns:
        The text; None when no checkpoint covers the event or the hashes do not come to the signed root, so
        that nothing is handed out that would not verify.
    """
    if not 0 <= seq < size:
        return None
    try:
        leaf, path = node(0, seq), inclusion(node, seq, size)
    except LookupError:
        return None
    root = Checkpoint.parse(note.rpartition("\n\n")[0] + "\n").root
    if not verify_inclusion(leaf, seq, size, path, root):
        return None
    extra, *lines = (base64.b64encode(item).decode() for item in (leaf, *path))
    shown = "".join(f"{line}\n" for line in lines)
    return f"c2sp.org/tlog-proof@v1\nextra {extra}\nindex {seq}\n{shown}\n{note}"
