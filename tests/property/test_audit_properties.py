"""Properties of the tree, of canonical bytes and of the verifier, over generated cases."""

import hashlib
import shutil
import sqlite3
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import rfc8785
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from audit.canonical import canonical, parse
from audit.database import DATABASE
from audit.errors import AuditFault
from audit.event import make_event
from audit.log import CHECKPOINTS, AuditLog
from audit.merkle import (
    EMPTY,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from audit.note import Checkpoint, Signer, Verifier
from audit.verify import verify

SETTINGS = settings(
    derandomize=True,
    deadline=None,
    max_examples=80,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SIGNER = Signer.from_bytes("log.example/property", bytes(range(32)))
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)

# Distinct leaves: two equal leaves may truly stand at either index.
leaves_of = st.lists(st.binary(max_size=8), min_size=1, max_size=70, unique=True).map(
    lambda items: [leaf_hash(item) for item in items]
)


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    cut = 1
    while cut * 2 < len(leaves):
        cut *= 2
    left, right = naive_root(leaves[:cut]), naive_root(leaves[cut:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(changed)


# The tree


@SETTINGS
@given(leaves_of)
def test_the_frontier_the_root_and_the_plain_recursion_agree_at_every_size(leaves):
    frontier = EMPTY
    for size, leaf in enumerate(leaves):
        assert frontier.root() == root_of(leaves[:size]) == naive_root(leaves[:size])
        frontier = frontier.append(leaf)
    assert frontier.size == len(leaves)
    assert frontier.root() == root_of(leaves) == naive_root(leaves)


@SETTINGS
@given(leaves_of)
def test_a_frontier_comes_back_from_its_stored_form_and_only_with_its_own_size(leaves):
    frontier = EMPTY
    for leaf in leaves:
        frontier = frontier.append(leaf)
    assert Frontier.unpack(frontier.size, frontier.pack()) == frontier
    for data in (frontier.pack() + bytes(32), frontier.pack()[:-1], frontier.pack()[:-32]):
        with pytest.raises(ValueError, match="does not fit"):
            Frontier.unpack(frontier.size, data)


@SETTINGS
@given(leaves_of, st.binary(max_size=40))
def test_a_leaf_and_a_node_never_hash_alike(leaves, data):
    pair = leaves[0] + leaf_hash(data)
    assert leaf_hash(pair) != node_hash(pair[:32], pair[32:])


@SETTINGS
@given(leaves_of)
def test_every_inclusion_proof_verifies_at_its_own_index_only(leaves):
    size, root = len(leaves), root_of(leaves)
    for index, leaf in enumerate(leaves):
        proof = inclusion_proof(leaves, index)
        taken = [at for at in range(-1, size + 1) if verify_inclusion(leaf, at, size, proof, root)]
        assert taken == [index]


@pytest.mark.finding("AUD-2")
@SETTINGS
@given(leaves_of, st.data())
def test_an_inclusion_proof_with_one_changed_bit_anywhere_is_refused(leaves, data):
    size, root = len(leaves), root_of(leaves)
    index = data.draw(st.integers(0, size - 1))
    bit = data.draw(st.integers(0, 255))
    proof = inclusion_proof(leaves, index)
    leaf = leaves[index]
    assert verify_inclusion(leaf, index, size, proof, root)
    assert not verify_inclusion(flip(leaf, bit), index, size, proof, root)
    assert not verify_inclusion(leaf, index, size, proof, flip(root, bit))
    for power in range(9):
        assert not verify_inclusion(leaf, index ^ 1 << power, size, proof, root)
    for at, item in enumerate(proof):
        changed = [*proof[:at], flip(item, bit), *proof[at + 1 :]]
        assert not verify_inclusion(leaf, index, size, changed, root)


@pytest.mark.finding("AUD-2")
@SETTINGS
@given(leaves_of, st.data())
def test_a_proof_with_a_hash_more_a_hash_less_or_of_another_length_is_refused(leaves, data):
    size, root = len(leaves), root_of(leaves)
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    path = inclusion_proof(leaves, index)
    chain = consistency_proof(leaves, old)
    extra = data.draw(st.sampled_from([root, leaves[index], bytes(32)]))
    for proof, check in (
        (path, lambda given: verify_inclusion(leaves[index], index, size, given, root)),
        (chain, lambda given: verify_consistency(old, size, given, root_of(leaves[:old]), root)),
    ):
        assert check(proof)
        for at in range(len(proof) + 1):
            assert not check([*proof[:at], extra, *proof[at:]])
        for at in range(len(proof)):
            assert not check([*proof[:at], *proof[at + 1 :]])
            assert not check([*proof[:at], proof[at][:-1], *proof[at + 1 :]])
            assert not check([*proof[:at], proof[at] + b"\x00", *proof[at + 1 :]])


@SETTINGS
@given(leaves_of)
def test_every_consistency_proof_verifies(leaves):
    root = root_of(leaves)
    for old in range(1, len(leaves) + 1):
        proof = consistency_proof(leaves, old)
        assert verify_consistency(old, len(leaves), proof, root_of(leaves[:old]), root)


@pytest.mark.finding("AUD-2")
@SETTINGS
@given(leaves_of, st.data())
def test_a_consistency_proof_with_one_changed_bit_anywhere_is_refused(leaves, data):
    new = len(leaves)
    old = data.draw(st.integers(1, new))
    bit = data.draw(st.integers(0, 255))
    before, after = root_of(leaves[:old]), root_of(leaves)
    proof = consistency_proof(leaves, old)
    assert verify_consistency(old, new, proof, before, after)
    assert not verify_consistency(old, new, proof, flip(before, bit), after)
    assert not verify_consistency(old, new, proof, before, flip(after, bit))
    for at, item in enumerate(proof):
        changed = [*proof[:at], flip(item, bit), *proof[at + 1 :]]
        assert not verify_consistency(old, new, changed, before, after)


@SETTINGS
@given(leaves_of, st.data())
def test_no_consistency_is_shown_between_a_tree_and_one_with_another_past(leaves, data):
    assume(len(leaves) > 1)
    old = data.draw(st.integers(1, len(leaves) - 1))
    at = data.draw(st.integers(0, old - 1))
    forged = [*leaves[:at], flip(leaves[at], 0), *leaves[at + 1 :]]
    for proof in (consistency_proof(leaves, old), consistency_proof(forged, old)):
        assert not verify_consistency(
            old, len(leaves), proof, root_of(leaves[:old]), root_of(forged)
        )


@SETTINGS
@given(st.integers(-3, 3), st.integers(-3, 3), st.binary(max_size=40))
def test_sizes_of_zero_and_below_prove_nothing(old, new, junk):
    root = EMPTY.root()
    if old <= 0 or new <= 0 or old > new:
        assert not verify_consistency(old, new, [], root, root)
    assert not verify_inclusion(root, old, min(new, old), [], root)
    assume(len(junk) != 32)
    assert not verify_consistency(1, 1, [], junk, junk)
    assert not verify_inclusion(junk, 0, 1, [], junk)


# Canonical bytes

allowed_text = st.text(max_size=12).filter(str.isprintable)
allowed_keys = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)
allowed = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | allowed_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(allowed_keys, inner, max_size=4),
    max_leaves=12,
)


def exact(value):
    """Distinguish true from 1, which Python takes as equal."""
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    return type(value), value


@SETTINGS
@given(allowed)
def test_what_is_written_is_read_back_and_written_again_alike(value):
    data = canonical(value)
    assert exact(parse(data)) == exact(value)
    assert canonical(parse(data)) == data


@SETTINGS
@given(allowed)
def test_the_allowed_part_is_written_as_rfc_8785_asks(value):
    assert canonical(value) == rfc8785.dumps(value)


@SETTINGS
@given(st.dictionaries(allowed_keys, st.integers(0, 9), min_size=2, max_size=8), st.randoms())
def test_the_order_in_which_keys_were_set_does_not_show(value, order):
    items = list(value.items())
    order.shuffle(items)
    assert canonical(dict(items)) == canonical(value)


@SETTINGS
@given(st.binary(max_size=60) | allowed.map(canonical), st.integers(0, 10**4))
def test_bytes_are_either_refused_or_are_the_canonical_bytes_of_what_they_hold(data, bit):
    for given_bytes in (data, flip(data, bit) if data else b""):
        try:
            value = parse(given_bytes)
        except AuditFault:
            continue  # Any other error fails the test.
        assert canonical(value) == given_bytes == rfc8785.dumps(value)


# Signed notes


@pytest.mark.finding("AUD-2")
@SETTINGS
@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32), st.data())
def test_a_checkpoint_opens_as_it_was_signed_and_not_with_one_character_changed(size, root, data):
    stated = Checkpoint(SIGNER.name, size, root)
    note = SIGNER.sign(stated.body())
    verifier = Verifier.from_vkey(SIGNER.vkey())
    assume(len(str(size)) <= 19)
    assert Checkpoint.parse(verifier.open(note)) == stated
    at = data.draw(st.integers(0, len(note) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda char: char != note[at]))
    for bad in (note[:at] + other + note[at + 1 :], note[:at] + note[at + 1 :]):
        with pytest.raises(AuditFault) as caught:
            verifier.open(bad)
        assert caught.value.code == "FG-AUD-06"


@SETTINGS
@given(st.text(max_size=200))
def test_any_text_is_a_note_or_is_refused_and_never_another_error(text):
    verifier = Verifier.from_vkey(SIGNER.vkey())
    for call in (verifier.open, Checkpoint.parse, Verifier.from_vkey):
        with pytest.raises(AuditFault):
            call(text)


# A small log

SIZE = 8


def event(number: int, phase: str):
    return make_event(
        log=SIGNER.name,
        kind="disclosure",
        phase=phase,
        flow="reveal",
        intent=f"i{number}",
        actor={"id": "a1"},
        now=NOW + timedelta(seconds=number),
        random=number.to_bytes(10, "big"),
        details={},
    )


@pytest.fixture(scope="module")
def whole():
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "audit"
        AuditLog.create(folder, SIGNER.vkey())
        log = AuditLog(folder, SIGNER)
        for number in range(SIZE // 2):
            log.append([event(number, "intent")])
            log.append([event(number, "outcome")])
        log.close()
        assert verify(folder, vkey=SIGNER.vkey()).status == "verified"
        yield folder


def edit(bodies, data):
    at = data.draw(st.integers(0, len(bodies) - 1))
    bodies[at] = flip(bodies[at], data.draw(st.integers(0, len(bodies[at]) * 8 - 1)))


def delete(bodies, data):
    del bodies[data.draw(st.integers(0, len(bodies) - 1))]


def reorder(bodies, data):
    left = data.draw(st.integers(0, len(bodies) - 2))
    right = data.draw(st.integers(left + 1, len(bodies) - 1))
    bodies[left], bodies[right] = bodies[right], bodies[left]


def insert(bodies, data):
    taken = bodies[data.draw(st.integers(0, len(bodies) - 1))]
    body = data.draw(st.sampled_from([taken, canonical(event(9, "intent")), b"{}"]))
    bodies.insert(data.draw(st.integers(0, len(bodies))), body)


def truncate(bodies, data):
    del bodies[data.draw(st.integers(0, len(bodies) - 1)) :]


def store(connection, bodies, *, hashes: bool, head: bool, notes: bool) -> None:
    """Write the changed leaves; each flag is one more place that the forger remembered."""
    for trigger in ("leaf_no_update", "leaf_no_delete", "checkpoint_no_delete"):
        connection.execute(f"DROP TRIGGER {trigger}")
    old = dict(connection.execute("SELECT body, hash FROM leaf"))
    spare = list(old.values())
    connection.execute("DELETE FROM leaf")
    frontier = EMPTY
    for seq, body in enumerate(bodies):
        hashed = leaf_hash(body)
        kept = hashed if hashes else old.get(body, spare[seq % len(spare)])
        connection.execute("INSERT INTO leaf VALUES (?, ?, ?)", (seq, body, kept))
        frontier = frontier.append(hashed)
    if head:
        connection.execute("UPDATE head SET size = ?, frontier = ?", (len(bodies), frontier.pack()))
    if notes:
        connection.execute("DELETE FROM checkpoint WHERE size > ?", (len(bodies),))


@pytest.mark.finding("AUD-18")
@settings(SETTINGS, max_examples=40)
@pytest.mark.parametrize("change", [edit, delete, reorder, insert, truncate])
@given(data=st.data())
def test_every_change_of_a_log_without_its_key_is_detected(whole, change, data):
    flags = {name: data.draw(st.booleans(), label=name) for name in ("hashes", "head", "notes")}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in (DATABASE, CHECKPOINTS):
            shutil.copy(whole / name, folder / name)
        connection = sqlite3.connect(folder / DATABASE, isolation_level=None)
        connection.execute("PRAGMA synchronous=OFF")
        bodies = [row[0] for row in connection.execute("SELECT body FROM leaf ORDER BY seq")]
        before = list(bodies)
        change(bodies, data)
        assert bodies != before
        connection.execute("BEGIN")
        store(connection, bodies, **flags)
        connection.execute("COMMIT")
        connection.close()
        report = verify(folder, vkey=SIGNER.vkey())
        assert report.status == "tampered"
        assert report.findings
