"""Public vectors (RFC 6962, C2SP notes and checkpoints, a tessera log, RFC 8785)."""

import base64
import json
import shutil
from pathlib import Path

import pytest

from audit.canonical import canonical, parse
from audit.cosign import CosignerKey
from audit.errors import AuditFault
from audit.merkle import (
    EMPTY,
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from audit.note import Checkpoint, Signer, Verifier, key_hash
from audit.place import Folder
from audit.stranger import arguments, check
from audit.tiles import verify_tiles

VECTORS = Path(__file__).resolve().parents[2].parent / "shared" / "vectors"

pytestmark = pytest.mark.skipif(
    not VECTORS.is_dir(), reason="the folder ../shared/vectors is not beside this repository"
)


def load(name: str):
    path = VECTORS / name
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def probes(kind: str) -> list[Path]:
    return sorted((VECTORS / "rfc6962" / "testdata" / kind).rglob("*.json"))


def probe_id(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


ROOTS = load("rfc6962/reference_roots.json")
NOTES = load("signed_note/signed_note.json")
CHECKPOINTS = load("signed_note/checkpoint.json")
COSIGNATURES = load("signed_note/cosignature_v1.json")
TESSERA = load("tessera-log/README.json")

# A probe that takes any bytes for a root when both sizes are one; ours are 32 bytes or refused.
SHORT_ROOTS = "sizes-are-equal-one-and-proof-is-empty"


def decoded(text: str | None) -> bytes:
    return base64.b64decode(text or "")


# RFC 6962


@pytest.mark.parametrize("size", range(9))
def test_reference_roots(size):
    leaves = [leaf_hash(bytes.fromhex(text)) for text in ROOTS["leaf_inputs_hex"][:size]]
    assert root_of(leaves).hex() == ROOTS["root_by_size_hex"][size]


def test_reference_nodes_of_every_level():
    level = [leaf_hash(bytes.fromhex(text)) for text in ROOTS["leaf_inputs_hex"]]
    for expected in ROOTS["node_hashes_by_level_hex"]:
        assert [item.hex() for item in level] == expected
        level = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
    assert level == []


def test_hasher_constants():
    constants = ROOTS["hasher"]
    assert EMPTY_ROOT.hex() == EMPTY.root().hex() == constants["empty_root"]
    assert leaf_hash(b"").hex() == constants["empty_leaf"]
    assert leaf_hash(b"L123456").hex() == constants["leaf_L123456"]
    assert node_hash(b"N123", b"N456").hex() == constants["node_N123_N456"]


def test_every_probe_is_there():
    for kind in ("inclusion", "consistency"):
        wanted = [json.loads(path.read_text())["wantErr"] for path in probes(kind)]
        assert (len(wanted), wanted.count(False)) == (98, 6)


@pytest.mark.finding("AUD-2")
@pytest.mark.parametrize("path", probes("inclusion"), ids=probe_id)
def test_inclusion_probe(path):
    probe = json.loads(path.read_text())
    accepted = verify_inclusion(
        decoded(probe["leafHash"]),
        probe["leafIdx"],
        probe["treeSize"],
        [decoded(item) for item in probe["proof"] or []],
        decoded(probe["root"]),
    )
    assert accepted is not probe["wantErr"], probe["desc"]


@pytest.mark.finding("AUD-2")
@pytest.mark.parametrize("path", probes("consistency"), ids=probe_id)
def test_consistency_probe(path):
    probe = json.loads(path.read_text())
    accepted = verify_consistency(
        probe["size1"],
        probe["size2"],
        [decoded(item) for item in probe["proof"] or []],
        decoded(probe["root1"]),
        decoded(probe["root2"]),
    )
    assert accepted is (not probe["wantErr"] and path.stem != SHORT_ROOTS), probe["desc"]


def test_the_one_accepted_probe_with_roots_that_are_no_sha_256_is_refused_on_purpose():
    found = [path for path in probes("consistency") if path.stem == SHORT_ROOTS]
    assert len(found) == 1
    probe = json.loads(found[0].read_text())
    assert (probe["size1"], probe["size2"], probe["proof"], probe["wantErr"]) == (1, 1, [], False)
    short = decoded(probe["root1"])
    assert (short, len(short)) == (decoded(probe["root2"]), 12)
    assert not verify_consistency(1, 1, [], short, short)
    assert verify_consistency(1, 1, [], short.ljust(32), short.ljust(32))


def test_two_sizes_of_zero_are_refused_even_with_equal_roots():
    equal = [
        probe
        for probe in (json.loads(path.read_text()) for path in probes("consistency"))
        if probe["size1"] == probe["size2"] == 0 and probe["root1"] == probe["root2"]
    ]
    assert equal
    for probe in equal:
        root = decoded(probe["root1"])
        assert probe["wantErr"]
        assert not verify_consistency(0, 0, [], root, root)
    assert not verify_consistency(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)


# Signed notes


@pytest.mark.parametrize("case", NOTES.get("verify", []), ids=lambda case: case["name"])
def test_signed_note(case):
    try:
        note = base64.b64decode(case["note_b64"]).decode()
    except UnicodeDecodeError:
        assert not case["valid"]
        return
    opened = []
    for vkey in case["vkeys"]:
        verifier = Verifier.from_vkey(vkey)
        if case["valid"]:
            assert note.startswith(verifier.open(note) + "\n")
            opened.append(verifier.name)
        else:
            with pytest.raises(AuditFault, match="FG-AUD-06"):
                verifier.open(note)
    assert opened == case["verified"]


def test_every_signed_note_case_is_there():
    assert len(NOTES["verify"]) == 14


def test_exact_signature_bytes():
    for case in NOTES["sign"]:
        _, _, name, stated, encoded = case["skey"].split("+", 4)
        signer = Signer.from_bytes(name, base64.b64decode(encoded)[1:])
        assert key_hash(name, signer.public()).hex() == stated
        assert signer.sign(case["text"]) == case["want"]
        assert signer.vkey() in NOTES["vkey_ok"]
        assert Verifier.from_vkey(signer.vkey()).open(case["want"]) == case["text"]


@pytest.mark.parametrize("vkey", NOTES.get("vkey_bad", []))
def test_a_bad_vkey_is_refused(vkey):
    with pytest.raises(AuditFault, match="FG-AUD-05"):
        Verifier.from_vkey(vkey)


@pytest.mark.parametrize("vkey", NOTES.get("vkey_ok", []))
def test_a_good_vkey_is_read_and_no_substring_or_changed_byte_of_it_is(vkey):
    verifier = Verifier.from_vkey(vkey)
    assert vkey.startswith(f"{verifier.name}+{verifier.hash.hex()}+")
    bad = {vkey[start:end] for start in range(len(vkey)) for end in range(start, len(vkey) + 1)}
    bad |= {vkey[:at] + chr(ord(vkey[at]) + 1) + vkey[at + 1 :] for at in range(len(vkey))}
    bad.remove(vkey)
    for text in bad:
        with pytest.raises(AuditFault, match="FG-AUD-05"):
            Verifier.from_vkey(text)


# Checkpoints


@pytest.mark.parametrize(
    "case", CHECKPOINTS.get("parse", []), ids=lambda case: case["text"][:24].encode().hex()
)
def test_checkpoint_body(case):
    """The vectors take roots of any length; our own logs have SHA-256 roots and nothing else."""
    if case["valid"] and len(base64.b64decode(case["root_b64"])) == 32:
        stated = Checkpoint.parse(case["text"])
        assert (stated.origin, stated.size) == (case["origin"], case["size"])
        return
    with pytest.raises(AuditFault, match="FG-AUD-06") as caught:
        Checkpoint.parse(case["text"])
    if case["valid"]:
        assert "root is not 32 bytes" in caught.value.message


def test_roots_that_are_not_32_bytes_stand_among_the_valid_cases_and_are_refused_on_purpose():
    valid = [case for case in CHECKPOINTS["parse"] if case["valid"]]
    assert [len(base64.b64decode(case["root_b64"])) for case in valid] == [7, 37, 37]
    for case in valid:
        with pytest.raises(AuditFault, match="32 bytes"):
            Checkpoint.parse(case["text"])


@pytest.mark.parametrize(
    "case", CHECKPOINTS.get("parse", []), ids=lambda case: case["text"][:24].encode().hex()
)
def test_checkpoint_body_with_a_root_of_the_right_length(case):
    """The same ten cases with a 32-byte root put in, so that what is judged is the rest."""
    root = base64.b64encode(bytes(range(32))).decode()
    lines = case["text"].split("\n")
    if len(lines) > 2 and lines[2] and not lines[2].startswith("This"):
        lines[2] = root
    text = "\n".join(lines)
    if case["valid"]:
        assert Checkpoint.parse(text) == Checkpoint(case["origin"], case["size"], bytes(range(32)))
    else:
        with pytest.raises(AuditFault, match="FG-AUD-06"):
            Checkpoint.parse(text)


def test_checkpoint_format():
    for case in CHECKPOINTS["format"]:
        stated = Checkpoint(case["origin"], case["size"], decoded(case["root_b64"]))
        assert stated.body() == case["text"]
        assert Checkpoint.parse(case["text"]) == stated


# Cosignatures


@pytest.mark.parametrize("case", COSIGNATURES.get("cases", []), ids=lambda case: case["vkey"][:7])
def test_cosignature_of_a_witness_that_go_wrote(case):
    key = CosignerKey.from_vkey(case["vkey"])
    note = base64.b64decode(case["note_b64"]).decode()
    found = key.find(note)
    assert found is not None
    assert (found.name, found.seconds) == (key.name, case["time"])


@pytest.mark.finding("AUD-2")
@pytest.mark.parametrize("case", COSIGNATURES.get("cases", []), ids=lambda case: case["vkey"][:7])
def test_no_changed_byte_of_a_cosigned_note_counts_for_the_witness(case):
    key = CosignerKey.from_vkey(case["vkey"])
    note = base64.b64decode(case["note_b64"]).decode()
    for at in range(len(note)):
        changed = note[:at] + chr(ord(note[at]) ^ 1) + note[at + 1 :]
        try:
            found = key.find(changed)
        except AuditFault as fault:
            assert fault.code == "FG-AUD-06"
        else:  # Another name or key hash on the line: it is of nobody whom the reader knows.
            assert found is None or changed.split("\n\n")[0] == note.split("\n\n")[0]


def test_every_cosignature_case_is_there():
    assert len(COSIGNATURES["cases"]) == 2


# A log that Go wrote


@pytest.mark.parametrize("size", range(16))
def test_tessera_checkpoint_and_root(size):
    note = (VECTORS / "tessera-log" / f"checkpoint.{size}").read_text(encoding="utf-8")
    stated = Checkpoint.parse(Verifier.from_vkey(TESSERA["vkey"]).open(note))
    assert (stated.origin, stated.size) == (TESSERA["origin"], size)
    assert stated.root == root_of([leaf_hash(text.encode()) for text in TESSERA["leaves"][:size]])


@pytest.mark.parametrize("size", range(1, 16))
def test_tessera_tile_holds_our_leaf_hashes(size):
    tile = (VECTORS / "tessera-log" / "tile" / "0" / "000.p" / str(size)).read_bytes()
    assert tile == b"".join(leaf_hash(text.encode()) for text in TESSERA["leaves"][:size])


def test_our_proofs_hold_between_all_signed_tessera_checkpoints():
    leaves = [leaf_hash(text.encode()) for text in TESSERA["leaves"]]
    verifier = Verifier.from_vkey(TESSERA["vkey"])
    roots = {}
    for size in range(1, 16):
        note = (VECTORS / "tessera-log" / f"checkpoint.{size}").read_text(encoding="utf-8")
        roots[size] = Checkpoint.parse(verifier.open(note)).root
    for new, root in roots.items():
        for old in range(1, new + 1):
            proof = consistency_proof(leaves[:new], old)
            assert verify_consistency(old, new, proof, roots[old], root)
            wrong = roots[old % 15 + 1]
            assert not verify_consistency(old, new, proof, wrong, root)
        for index in range(new):
            proof = inclusion_proof(leaves[:new], index)
            assert verify_inclusion(leaves[index], index, new, proof, root)


@pytest.mark.parametrize("size", range(1, 16))
def test_the_whole_folder_that_go_wrote_verifies_at_every_size(size, tmp_path):
    folder = shutil.copytree(VECTORS / "tessera-log", tmp_path / "log")
    shutil.copy(folder / f"checkpoint.{size}", folder / "checkpoint")
    report = verify_tiles(Folder(folder), Verifier.from_vkey(TESSERA["vkey"]), ours=False)
    assert (report.status, report.size, report.ran) == ("verified", size, ["tiles", "entries"])


def test_two_levels_of_tiles_that_go_wrote_come_to_the_root_its_mirror_cosigned(tmp_path):
    """The mirror's log key is of a kind that we do not read, so its text is signed again here."""
    (case,) = [one for one in COSIGNATURES["cases"] if one["vkey"].startswith("mirror")]
    note = base64.b64decode(case["note_b64"]).decode()
    assert CosignerKey.from_vkey(case["vkey"]).find(note) is not None
    (mirrored,) = (VECTORS / "sunlight" / "witness" / "mirror").glob("*/tile")
    folder = shutil.copytree(mirrored.parent, tmp_path / "log")
    text = note.partition("\n\n")[0] + "\n"
    signer = Signer.from_bytes(Checkpoint.parse(text).origin, bytes(32))
    (folder / "checkpoint").write_text(signer.sign(text), encoding="utf-8")
    report = verify_tiles(Folder(folder), Verifier.from_vkey(signer.vkey()), ours=False)
    assert (report.findings, report.size) == ([], 300)
    assert "tiles" in report.ran
    assert report.missing == ["tile/entries/000 is not there"]
    (folder / "tile" / "1" / "000.p" / "1").write_bytes(bytes(32))
    report = verify_tiles(Folder(folder), Verifier.from_vkey(signer.vkey()), ours=False)
    assert report.findings == ["hash 0 of level 1 is not that of the tile below it"]


@pytest.mark.finding("AUD-2")
def test_no_tessera_checkpoint_opens_with_a_changed_byte():
    verifier = Verifier.from_vkey(TESSERA["vkey"])
    note = (VECTORS / "tessera-log" / "checkpoint.15").read_text(encoding="utf-8")
    for at in range(len(note)):
        changed = note[:at] + chr(ord(note[at]) ^ 1) + note[at + 1 :]
        with pytest.raises(AuditFault, match="FG-AUD-06"):
            verifier.open(changed)


# Bundles of another ecosystem that uses the same checkpoints and proofs

BUNDLES = sorted((VECTORS / "sigstore").glob("rekor2-*"))


def bundle_key(folder: Path) -> str:
    """Return the log's verifier key, from the raw bytes of its Ed25519 key in the trusted root."""
    logs = json.loads((folder / "trusted_root.json").read_text())["tlogs"]
    (one,) = [log for log in logs if log["publicKey"]["keyDetails"] == "PKIX_ED25519"]
    name = one["baseUrl"].removeprefix("https://")
    public = base64.b64decode(one["publicKey"]["rawBytes"])[-32:]
    encoded = base64.b64encode(b"\x01" + public).decode()
    return f"{name}+{key_hash(name, public).hex()}+{encoded}"


def bundle_receipt(folder: Path) -> str:
    """Write a bundle's proof as a receipt (C2SP tlog-proof)."""
    bundle = json.loads((folder / "bundle.sigstore.json").read_text())
    (entry,) = bundle["verificationMaterial"]["tlogEntries"]
    proof = entry.get("inclusionProof", {})
    leaf = base64.b64encode(leaf_hash(base64.b64decode(entry["canonicalizedBody"]))).decode()
    path = "".join(f"{one}\n" for one in proof.get("hashes", []))
    note = proof.get("checkpoint", {}).get("envelope", "")
    return f"c2sp.org/tlog-proof@v1\nextra {leaf}\nindex {entry['logIndex']}\n{path}\n{note}"


def our_reading(vkey: str, receipt: str) -> bool:
    head, _, note = receipt.partition("\n\n")
    _, extra, index, *path = head.split("\n")
    verifier = Verifier.from_vkey(vkey)
    try:
        stated = Checkpoint.parse(verifier.open(note))
    except AuditFault:
        return False
    leaf, place = decoded(extra.removeprefix("extra ")), int(index.removeprefix("index "))
    good = verify_inclusion(leaf, place, stated.size, [decoded(one) for one in path], stated.root)
    return good and stated.origin == verifier.name


@pytest.mark.finding("AUD-3")
@pytest.mark.parametrize("folder", BUNDLES, ids=lambda folder: folder.name)
def test_bundle_is_taken_or_refused_as_its_name_says(folder, tmp_path):
    vkey, receipt = bundle_key(folder), bundle_receipt(folder)
    (tmp_path / "receipt").write_text(receipt, encoding="utf-8")
    words = [str(tmp_path / "none"), "--vkey", vkey, "--receipt", str(tmp_path / "receipt")]
    checks = {one["name"]: one["result"] for one in check(arguments(words)).as_dict()["checks"]}
    good = not folder.name.endswith("_fail")
    assert our_reading(vkey, receipt) is good
    assert checks["receipt"] == ("ran" if good else "failed")


def test_every_bundle_with_a_key_of_our_kind_is_there():
    names = [folder.name for folder in BUNDLES]
    assert (len(names), sum(name.endswith("_fail") for name in names)) == (11, 6)


# RFC 8785

# Which of the six sets hold only what events may hold, and what keeps the others out.
INSIDE = ("arrays", "unicode")
OUTSIDE = {
    "french": "keys that are not ASCII",
    "structures": "a float and a key with a control character",
    "values": "floats and control characters",
    "weird": "keys that are not ASCII, control characters",
}


def test_every_jcs_set_is_judged():
    names = {path.stem for path in (VECTORS / "jcs" / "input").glob("*.json")}
    assert names == {*INSIDE, *OUTSIDE}


@pytest.mark.parametrize("name", INSIDE)
def test_jcs_set_inside_the_allowed_part(name):
    value = json.loads((VECTORS / "jcs" / "input" / f"{name}.json").read_bytes())
    expected = bytes.fromhex((VECTORS / "jcs" / "outhex" / f"{name}.txt").read_text())
    assert canonical(value) == expected
    assert parse(expected) == value


@pytest.mark.parametrize("name", OUTSIDE)
def test_jcs_set_outside_the_allowed_part_is_refused_both_ways(name):
    value = json.loads((VECTORS / "jcs" / "input" / f"{name}.json").read_bytes())
    expected = bytes.fromhex((VECTORS / "jcs" / "outhex" / f"{name}.txt").read_text())
    for call, argument in ((canonical, value), (parse, expected)):
        with pytest.raises(AuditFault, match="FG-AUD-01"):
            call(argument)


def test_the_allowed_members_of_the_other_jcs_sets_come_out_as_there():
    output = (VECTORS / "jcs" / "output" / "structures.json").read_text(encoding="utf-8").strip()
    kept = output.replace('"1":{"\\n":56,"f":{"F":5,"f":"hi"}},', "")
    assert len(kept) < len(output)
    structures = json.loads(output)
    del structures["1"]
    assert canonical(dict(reversed(structures.items()))).decode() == kept
    values = json.loads((VECTORS / "jcs" / "output" / "values.json").read_bytes())
    assert canonical({"literals": values["literals"]}) == b'{"literals":[null,true,false]}'
