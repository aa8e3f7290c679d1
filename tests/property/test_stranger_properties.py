"""The stranger's script and our own code, written apart, read everything alike."""

import hashlib
import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from audit.canonical import canonical, parse
from audit.errors import AuditFault
from audit.event import make_event, schema_problem
from audit.merkle import EMPTY, inclusion_proof, root_of, verify_inclusion
from audit.note import Checkpoint, Signer, Verifier, signature_lines
from audit.stranger import Key, Refused, Tree, event_of, root_by_path, split_note
from audit.stranger import root_of as strangers_root

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SIGNER = Signer.from_bytes("log.example/both", bytes(range(32)))
EVENT = make_event(
    log=SIGNER.name, kind="consultation", phase="outcome", flow="reveal", intent="i1",
    actor={"id": "a1", "org": "council"}, now=NOW, random=bytes(10),
    details={"rows": 3, "fields": ["a", "b"], "decision": "permit", "counts": {"n": 1}},
)  # fmt: skip
BODY = canonical(EVENT)
NOTE = SIGNER.sign(Checkpoint(SIGNER.name, 7, bytes(range(32))).body())

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def ours(body: bytes) -> bool:
    try:
        return schema_problem(parse(body)) is None
    except AuditFault:
        return False


def theirs(body: bytes) -> bool:
    try:
        event_of(body)
    except Refused:
        return False
    return True


@given(st.integers(0, len(BODY) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_a_changed_event_is_taken_by_both_or_by_neither(at, put, cut):
    body = BODY[:at] + put + BODY[at + cut :]
    assert ours(body) == theirs(body)


@given(st.dictionaries(st.sampled_from(sorted(EVENT)), values, max_size=2))
def test_an_event_with_other_values_is_taken_by_both_or_by_neither(changes):
    text = json.dumps(EVENT | changes, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    body = text.encode("utf-8", "surrogatepass")
    assert ours(body) == theirs(body)


@given(st.binary(max_size=40))
def test_any_bytes_are_taken_by_both_or_by_neither(body):
    assert ours(body) == theirs(body)


@given(st.integers(0, len(NOTE) - 1), st.text(max_size=2), st.integers(0, 2))
def test_a_changed_note_is_opened_by_both_or_by_neither(at, put, cut):
    note = NOTE[:at] + put + NOTE[at + cut :]

    def opens(call, fault) -> object:
        try:
            return call(note)
        except fault:
            return None

    key = Key(SIGNER.vkey(), (1,))
    assert opens(signature_lines, AuditFault) == opens(split_note, Refused)
    assert opens(Verifier.from_vkey(SIGNER.vkey()).open, AuditFault) == opens(key.open, Refused)


@given(st.integers(1, 70), st.data())
def test_roots_and_paths_are_those_of_our_tree(size, data):
    leaves = [hashlib.sha256(bytes([one])).digest() for one in range(size)]
    tree, frontier = Tree(), EMPTY
    for leaf in leaves:
        tree.add(leaf)
        frontier = frontier.append(leaf)
    assert tree.root() == frontier.root() == root_of(leaves) == strangers_root(leaves)
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_proof(leaves, index)
    assert root_by_path(leaves[index], index, size, path) == tree.root()
    wrong = data.draw(st.permutations(path)) if len(path) > 1 else [bytes(32)]
    holds = verify_inclusion(leaves[index], index, size, wrong, tree.root())
    assert (root_by_path(leaves[index], index, size, wrong) == tree.root()) == holds
