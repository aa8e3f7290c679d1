"""Cosignatures: what is covered, what refuses a note, and what is kept and says nothing."""

import base64

import pytest

from audit.cosign import (
    ED25519,
    ML_DSA_44,
    Cosigned,
    Cosigner,
    CosignerKey,
    cosigned_by,
    unknown_lines,
)
from audit.errors import AuditFault
from audit.note import Checkpoint, Signer, Verifier, signature_lines

LOG = Signer.from_bytes("log.example/one", bytes(range(32)))
WITNESS = Cosigner.from_seed("witness.example/w1", bytes(range(1, 33)))
BODY = Checkpoint(LOG.name, 7, bytes(range(32))).body()
NOTE = LOG.sign(BODY)
KINDS = pytest.mark.parametrize("kind", [ED25519, ML_DSA_44], ids=["ed25519", "ml_dsa_44"])


def pair(kind: int) -> tuple[Cosigner, CosignerKey]:
    cosigner = Cosigner.from_seed("witness.example/w1", bytes(range(1, 33)), kind)
    return cosigner, CosignerKey.from_vkey(cosigner.vkey())


@KINDS
def test_a_cosignature_is_found_with_its_time_and_the_log_line_still_opens(kind):
    cosigner, key = pair(kind)
    note = NOTE + cosigner.line(BODY, 1_764_000_000)
    assert key.find(note) == Cosigned("witness.example/w1", 1_764_000_000)
    assert Verifier.from_vkey(LOG.vkey()).open(note) == BODY
    assert cosigned_by(note, [key]) == [Cosigned("witness.example/w1", 1_764_000_000)]


@KINDS
@pytest.mark.finding("AUD-2")
def test_any_changed_byte_of_what_is_covered_refuses_the_note(kind):
    cosigner, key = pair(kind)
    line = cosigner.line(BODY, 1_764_000_000)
    for changed in (
        BODY.replace("log.example/one", "log.example/two"),
        BODY.replace("\n7\n", "\n8\n"),
        Checkpoint(LOG.name, 7, bytes(32)).body(),
    ):
        with pytest.raises(AuditFault, match="FG-AUD-06"):
            key.find(f"{changed}\n{line}")
    raw = base64.b64decode(line.split(" ")[2])
    for at in range(4, len(raw), max(1, len(raw) // 60)):
        bad = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        with pytest.raises(AuditFault, match="FG-AUD-06"):
            key.find(f"{NOTE}— {key.name} {base64.b64encode(bad).decode()}\n")


def test_ed25519_covers_extension_lines_and_ml_dsa_44_does_not():
    extended = BODY + "recovered 1 2 x\n"
    for kind, covered in ((ED25519, True), (ML_DSA_44, False)):
        cosigner, key = pair(kind)
        note = f"{extended}\n{cosigner.line(BODY, 5)}"
        if covered:
            with pytest.raises(AuditFault, match="FG-AUD-06"):
                key.find(note)
        else:
            assert key.find(note) == Cosigned(key.name, 5)


def test_the_name_of_the_cosigner_is_covered_by_ml_dsa_44():
    mine = Cosigner.from_seed("witness.example/w1", bytes(32), ML_DSA_44)
    other = Cosigner.from_seed("witness.example/w2", bytes(32), ML_DSA_44)
    raw = base64.b64decode(mine.line(BODY, 5).split(" ")[2])
    key = CosignerKey.from_vkey(other.vkey())
    forged = base64.b64encode(key.hash + raw[4:]).decode()
    with pytest.raises(AuditFault, match="FG-AUD-06"):
        key.find(f"{NOTE}— {other.name} {forged}\n")


def test_a_log_signs_its_own_checkpoint_a_second_time_with_ml_dsa_44():
    second = Cosigner.from_seed(LOG.name, bytes(range(2, 34)), ML_DSA_44)
    note = NOTE + second.line(BODY, 5) + WITNESS.line(BODY, 6)
    assert Verifier.from_vkey(LOG.vkey()).open(note) == BODY
    assert CosignerKey.from_vkey(second.vkey()).find(note) == Cosigned(LOG.name, 5)
    assert CosignerKey.from_vkey(WITNESS.vkey()).find(note) == Cosigned(WITNESS.name, 6)


def test_lines_of_unknown_keys_are_kept_named_and_count_for_nothing():
    stranger = Cosigner.from_seed("witness.example/w1", bytes(32))  # Same name, another key.
    note = NOTE + stranger.line(BODY, 5)
    key = CosignerKey.from_vkey(WITNESS.vkey())
    assert key.find(note) is None
    log = Verifier.from_vkey(LOG.vkey())
    assert unknown_lines(note, [(log.name, log.hash), (key.name, key.hash)]) == [stranger.name]
    assert len(signature_lines(note)[1]) == 2


@pytest.mark.parametrize(
    "line",
    [
        "— witness.example/other AAAA\n",  # Four bytes name a key and hold no signature.
        "— witness.example/other ????????\n",
        "— witness.example/other AAAAAAB=\n",  # Spare bits.
        "— witness.example/other\n",
        "- witness.example/other AAAAAAAA\n",
        "—  AAAAAAAA\n",
        "— a+b AAAAAAAA\n",
        "— witness.example/other AAAAAAAA extra\n",
        "— witness.example/\x07 AAAAAAAA\n",
        "— witness.example/other AAAAAAAA",
    ],
)
def test_a_malformed_line_refuses_the_note_whoever_wrote_it(line):
    for reader in (Verifier.from_vkey(LOG.vkey()).open, CosignerKey.from_vkey(WITNESS.vkey()).find):
        with pytest.raises(AuditFault, match="FG-AUD-06"):
            reader(NOTE + line)


def test_a_time_out_of_range_and_another_length_are_refused():
    key = CosignerKey.from_vkey(WITNESS.vkey())
    raw = base64.b64decode(WITNESS.line(BODY, 5).split(" ")[2])
    for bad in (raw[:4] + b"\xff" * 8 + raw[12:], raw[:-1], raw + b"\0"):
        with pytest.raises(AuditFault, match="FG-AUD-06"):
            key.find(f"{NOTE}— {WITNESS.name} {base64.b64encode(bad).decode()}\n")


def test_a_key_of_a_log_is_no_key_of_a_witness_and_the_other_way_round():
    with pytest.raises(AuditFault, match="FG-AUD-05"):
        CosignerKey.from_vkey(LOG.vkey())
    with pytest.raises(AuditFault, match="FG-AUD-05"):
        Verifier.from_vkey(WITNESS.vkey())


def test_the_newest_of_two_cosignatures_of_one_key_counts():
    note = NOTE + WITNESS.line(BODY, 9) + WITNESS.line(BODY, 4)
    assert CosignerKey.from_vkey(WITNESS.vkey()).find(note) == Cosigned(WITNESS.name, 9)


def test_a_cosigner_prints_no_key():
    assert repr(WITNESS) == "Cosigner(witness.example/w1)"
