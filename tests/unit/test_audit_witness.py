"""The witness: every answer by rule, one atomic step, and a memory that outlives it."""

import hashlib
import random
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from audit.cosign import Cosigner, CosignerKey
from audit.errors import AuditFault
from audit.merkle import EMPTY_ROOT, consistency_proof, consistency_roots, root_of
from audit.note import Checkpoint, Signer, Verifier
from audit.witness import DATABASE, MOST_OPEN, MOST_PROVEN, Refusal, Submission, Witness, judge

LOG = Signer.from_bytes("log.example/one", bytes(range(32)))
KEY = Verifier.from_vkey(LOG.vkey())
COSIGNER = Cosigner.from_seed("police.example/witness", bytes(range(3, 35)))
WITNESS_KEY = CosignerKey.from_vkey(COSIGNER.vkey())
NOW = 1_772_000_000


def leaves(size: int, story: str = "true") -> list[bytes]:
    return [hashlib.sha256(f"{story} {number}".encode()).digest() for number in range(size)]


def body(size: int, story: str = "true") -> str:
    return Checkpoint(LOG.name, size, root_of(leaves(size, story))).body()


def ask(old: int, size: int, *, story: str = "true", signer: Signer = LOG) -> Submission:
    proof = consistency_proof(leaves(size, story), old)
    return Submission(old, tuple(proof), signer.sign(body(size, story)))


@pytest.fixture
def witness(tmp_path) -> Witness:
    Witness.create(tmp_path / "witness")
    made = Witness(tmp_path / "witness", COSIGNER)
    assert made.trust(LOG.vkey()) == LOG.name
    return made


def refused(status: int, witness: Witness, submission: Submission | str) -> Refusal:
    request = submission if isinstance(submission, str) else submission.text()
    before = witness.standing()[0]["size"]
    with pytest.raises(Refusal) as caught:
        witness.add_checkpoint(request, NOW)
    assert caught.value.status == status, caught.value.why
    assert witness.standing()[0]["size"] == before
    return caught.value


def size(witness: Witness) -> object:
    return witness.standing()[0]["size"]


def test_a_log_that_grows_is_signed_each_time_and_the_line_verifies(witness):
    old = 0
    for new in (1, 2, 2, 5, 8, 300):
        submission = ask(old, new)
        line = witness.add_checkpoint(submission.text(), NOW + new)
        found = WITNESS_KEY.find(submission.note + line)
        assert found is not None
        assert (found.name, found.seconds) == (COSIGNER.name, NOW + new)
        assert size(witness) == new
        old = new


def test_a_request_reads_back_as_it_was_written():
    submission = ask(5, 13)
    assert Submission.parse(submission.text()) == submission
    assert Submission.parse(ask(0, 1).text()) == ask(0, 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "old 0\n",
        "old -1\n\nx",
        "old 01\n\nx",
        "new 0\n\nx",
        "old 0\n????\n\nx",
        "old 0\nAAAA\n\nx",
        "old 1\n" + "A" * 43 + "=\n\nno note",
        "old 0\n\nlog.example/one\n1\nx\n",
    ],
)
def test_a_malformed_request_is_400_and_stores_nothing(witness, text):
    with pytest.raises(Refusal) as caught:
        witness.add_checkpoint(text, NOW)
    assert caught.value.status in (400, 404)
    assert size(witness) is None
    if text.endswith("x\n"):
        assert caught.value.status == 400


def test_too_many_hashes_are_400(witness):
    one = "A" * 43 + "=\n"
    refused(400, witness, "old 1\n" + one * 64 + "\n" + LOG.sign(body(2)))


def test_an_unknown_log_is_404(witness):
    other = Signer.from_bytes("log.example/two", bytes(32))
    note = other.sign(Checkpoint(other.name, 1, bytes(32)).body())
    refused(404, witness, Submission(0, (), note))


def test_another_key_under_the_logs_name_is_403(witness):
    refused(403, witness, ask(0, 1, signer=Signer.from_bytes(LOG.name, bytes(32))))


def test_an_old_size_above_the_checkpoint_is_400(witness):
    witness.add_checkpoint(ask(0, 5).text(), NOW)
    refused(400, witness, Submission(5, (), LOG.sign(body(3))))


@pytest.mark.finding("AUD-17")
def test_another_old_size_is_409_and_the_answer_says_which_was_seen(witness):
    witness.add_checkpoint(ask(0, 5).text(), NOW)
    for old in (0, 3, 6):
        assert refused(409, witness, ask(old, 8)).size == 5
    witness.add_checkpoint(ask(5, 8).text(), NOW)


@pytest.mark.finding("AUD-17")
def test_another_root_at_the_same_size_is_409_and_kept_as_evidence(witness):
    witness.add_checkpoint(ask(0, 5).text(), NOW)
    assert (
        refused(409, witness, ask(5, 5, story="other")).why == "another root was seen at this size"
    )
    refused(409, witness, ask(5, 5, story="other"))
    assert witness.standing()[0]["evidence"] == 1


@pytest.mark.finding("AUD-17")
def test_a_proof_that_does_not_hold_is_422_and_what_it_proves_is_kept_as_evidence(witness):
    witness.add_checkpoint(ask(0, 5).text(), NOW)
    good = ask(5, 8)
    for bad in (
        ask(5, 8, story="other"),
        Submission(5, good.proof[:-1], good.note),
        Submission(5, (*good.proof, bytes(32)), good.note),
        Submission(5, good.proof[::-1], good.note),
        Submission(5, (), good.note),
        Submission(5, (bytes(32),), ask(5, 5).note),
    ):
        refused(422, witness, bad)
    # The other story proves itself; a true checkpoint beside a proof that is none proves nothing.
    assert (witness.standing()[0]["evidence"], witness.standing()[0]["open"]) == (1, 1)
    witness.add_checkpoint(good.text(), NOW)
    assert (witness.standing()[0]["evidence"], witness.standing()[0]["open"]) == (1, 0)


def kept(witness: Witness) -> list[tuple]:
    with closing(sqlite3.connect(witness.folder / DATABASE)) as base:
        return base.execute(
            "SELECT size, proven, seen_size, seen_note, request FROM contradiction ORDER BY size, root"
        ).fetchall()


def test_what_is_kept_is_enough_to_show_the_fork_to_anybody(witness):
    witness.add_checkpoint(ask(0, 5).text(), NOW)
    refused(422, witness, ask(5, 9, story="other"))
    ((_, proven, seen_size, seen, request),) = kept(witness)
    again = Submission.parse(request)
    first, second = Checkpoint.parse(KEY.open(seen)), Checkpoint.parse(KEY.open(again.note))
    roots = consistency_roots(first.size, second.size, again.proof, first.root)
    assert (proven, seen_size, roots) == (1, 5, (root_of(leaves(5, "other")), second.root))
    assert first.root != root_of(leaves(5, "other"))


def test_a_fork_at_a_power_of_two_is_refused_and_asked_about(witness):
    """There the proof does not hold the older root, so nobody can see from it that there is another."""
    witness.add_checkpoint(ask(0, 4).text(), NOW)
    refused(422, witness, ask(4, 9, story="other"))
    assert (witness.standing()[0]["evidence"], witness.standing()[0]["open"]) == (0, 1)


def test_junk_from_anybody_fills_nothing(witness):
    witness.add_checkpoint(ask(0, 5).text(), NOW)
    note = ask(5, 40).note
    stranger = Signer.from_bytes("stranger.example", bytes(32))
    for number in range(200):
        line = stranger.sign(f"{number}\n").rpartition("\n\n")[2]
        junk = tuple(hashlib.sha256(bytes([number, at])).digest() for at in range(number % 9))
        refused(422, witness, Submission(5, junk, note + line))
        refused(
            403, witness, ask(5, 6 + number % 30, signer=Signer.from_bytes(LOG.name, bytes(32)))
        )
    ((_, proven, _, _, request),) = kept(witness)
    assert (proven, "stranger" in request, len(request) < 500) == (0, False, True)


def test_so_many_contradictions_are_kept_and_no_more(witness):
    witness.add_checkpoint(ask(0, 5).text(), NOW)
    for number in range(MOST_OPEN + 4):
        refused(422, witness, Submission(5, (), ask(5, 6 + number).note))
    for number in range(MOST_PROVEN + 4):
        refused(422, witness, ask(5, 6 + number, story="other"))
    told = witness.standing()[0]
    assert (told["evidence"], told["open"]) == (MOST_PROVEN, MOST_OPEN)


def test_a_witness_from_before_keeps_contradictions_too(witness):
    with closing(sqlite3.connect(witness.folder / DATABASE)) as base:
        base.execute("DROP TABLE contradiction")
    witness.add_checkpoint(ask(0, 5).text(), NOW)
    refused(409, witness, ask(5, 5, story="other"))
    assert witness.standing()[0]["evidence"] == 1


def test_what_a_witness_kept_as_evidence_before_is_counted_still(witness):
    assert witness.standing()[0]["before"] == 0
    with closing(sqlite3.connect(witness.folder / DATABASE)) as base:
        base.execute(
            "CREATE TABLE evidence (id INTEGER PRIMARY KEY, origin TEXT NOT NULL, status INTEGER NOT NULL, "
            "request TEXT NOT NULL, seconds INTEGER NOT NULL, UNIQUE (origin, request))"
        )
        rows = [(LOG.name, 409, "one", NOW), (LOG.name, 422, "two", NOW), ("other", 409, "x", NOW)]
        base.executemany(
            "INSERT INTO evidence (origin, status, request, seconds) VALUES (?, ?, ?, ?)", rows
        )
        base.commit()
    told = witness.standing()[0]
    assert (told["before"], told["evidence"], told["open"]) == (2, 0, 0)


def test_a_proof_from_nothing_is_422_and_a_wrong_root_of_nothing_is_409(witness):
    refused(422, witness, Submission(0, (bytes(32),), ask(0, 3).note))
    refused(409, witness, Submission(0, (), LOG.sign(Checkpoint(LOG.name, 0, bytes(32)).body())))
    empty = LOG.sign(Checkpoint(LOG.name, 0, EMPTY_ROOT).body())
    assert witness.add_checkpoint(Submission(0, (), empty).text(), NOW)


def test_the_rules_are_a_pure_function_of_what_was_seen():
    seen = Checkpoint.parse(body(5))
    assert judge(seen, ask(5, 9), KEY) == Checkpoint.parse(body(9))
    assert judge(None, ask(0, 9), KEY) == Checkpoint.parse(body(9))
    with pytest.raises(Refusal):
        judge(seen, ask(0, 9), KEY)


def test_a_fork_that_is_served_to_one_witness_is_found(witness):
    witness.add_checkpoint(ask(0, 6).text(), NOW)
    refused(422, witness, ask(6, 9, story="other"))
    assert witness.standing()[0]["evidence"] == 1


def test_a_log_that_was_put_back_finds_out_what_the_witness_had_seen(witness):
    witness.add_checkpoint(ask(0, 9).text(), NOW)
    assert refused(409, witness, ask(4, 6)).size == 9


def test_a_witness_that_starts_anew_goes_on_from_what_it_had_stored(witness):
    witness.add_checkpoint(ask(0, 5).text(), NOW)
    again = Witness(witness.folder, COSIGNER)
    assert refused(409, again, ask(0, 7)).size == 5
    again.add_checkpoint(ask(5, 7).text(), NOW)
    assert size(witness) == 7


def test_nothing_is_signed_before_it_is_stored(witness):
    """A crash between storing and answering costs a signature; the next request gets it."""

    class Dead:
        name = COSIGNER.name

        def line(self, *_):
            raise KeyboardInterrupt

    dead = Witness(witness.folder, Dead())  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        dead.add_checkpoint(ask(0, 5).text(), NOW)
    assert size(witness) == 5
    assert witness.add_checkpoint(ask(5, 5).text(), NOW)


def test_a_database_that_cannot_be_written_signs_nothing(witness):
    with closing(sqlite3.connect(witness.folder / DATABASE, isolation_level=None)) as base:
        base.execute("DROP TABLE seen")
    with pytest.raises(AuditFault, match="FG-AUD-02"):
        witness.add_checkpoint(ask(0, 5).text(), NOW)


def test_the_database_itself_refuses_to_go_back_or_to_forget(witness):
    witness.add_checkpoint(ask(0, 5).text(), NOW)
    with closing(sqlite3.connect(witness.folder / DATABASE, isolation_level=None)) as base:
        for change in ("UPDATE seen SET size = 4", "DELETE FROM seen"):
            with pytest.raises(sqlite3.IntegrityError):
                base.execute(change)


@pytest.mark.finding("AUD-17")
def test_a_hundred_threads_never_roll_the_witness_back(witness):
    """Each thread asks from the size it last heard of; what is stored only ever grows."""
    chance = random.Random(17)
    sizes = [chance.randrange(1, 60) for _ in range(100)]
    cache = {story: leaves(60, story) for story in ("true", "other")}
    seen: list[int] = []

    def attempt(at: int) -> tuple[int, int] | None:
        story = "other" if at % 10 == 9 else "true"
        old = 0
        for _ in range(40):
            new = max(sizes[at], old)
            known = cache[story][:new]
            note = LOG.sign(Checkpoint(LOG.name, new, root_of(known)).body())
            try:
                line = witness.add_checkpoint(
                    Submission(old, tuple(consistency_proof(known, old)), note).text(), NOW
                )
            except Refusal as refusal:
                seen.append(int(witness.standing()[0]["size"] or 0))  # type: ignore[call-overload]
                if refusal.size is None or refusal.why != "another size was seen last":
                    return None
                if refusal.size > sizes[at]:
                    return None  # Others are ahead: the witness signs nothing smaller.
                old = refusal.size
            else:
                assert WITNESS_KEY.find(note + line)
                return old, new
        return None

    # One story is there before the race, so that the other can never become the first.
    witness.add_checkpoint(ask(0, 1).text(), NOW)
    with ThreadPoolExecutor(100) as pool:
        signed = [pair for pair in pool.map(attempt, range(100)) if pair is not None]
    assert signed
    steps = sorted(set(signed))
    assert size(witness) == max(new for _, new in steps)
    moved = [(old, new) for old, new in steps if old != new]
    # Signed steps form one chain: each begins where the one before ended.
    assert [old for old, _ in moved] == [1, *(new for _, new in moved[:-1])]


def test_another_key_for_a_log_that_is_watched_is_refused(witness):
    other = Signer.from_bytes(LOG.name, bytes(32))
    with pytest.raises(AuditFault, match="FG-AUD-23"):
        witness.trust(other.vkey())
    assert witness.trust(LOG.vkey()) == LOG.name


def test_two_witnesses_in_one_folder_and_none_are_refused(witness, tmp_path):
    with pytest.raises(AuditFault, match="FG-AUD-23"):
        Witness.create(witness.folder)
    with pytest.raises(AuditFault, match="FG-AUD-23"):
        Witness(tmp_path / "none", COSIGNER).standing()


def test_a_witness_prints_no_key(witness):
    assert repr(witness) == "Witness(police.example/witness)"
    assert witness.vkey() == COSIGNER.vkey()
