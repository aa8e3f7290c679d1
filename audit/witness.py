"""A witness: it signs a log's checkpoint only when it continues everything that it signed before.

The rules are those of C2SP tlog-witness (``add-checkpoint``), as a pure function of what was last seen,
the request and the log's key. Beside them stands the witness's own small database, in which checking
and storing are one step, done before anything is answered: without that two requests at once could
roll a witness back (audit_crypto.md 6, 17). A witness is run by another partner than the log, with a key
of its own; it needs no home and learns nothing but sizes and hashes.
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from audit.cosign import Cosigner
from audit.errors import AuditFault
from audit.merkle import EMPTY_ROOT, consistency_roots, verify_consistency
from audit.note import Checkpoint, Verifier, only_of, plain_size, signature_lines

DATABASE = "witness.db"
MAX_REQUEST = 65_536
"""Bytes of a request; one with 63 hashes and 16 signatures has less than a tenth of it."""
_MAX_PROOF = 63

_SCHEMA = """
CREATE TABLE IF NOT EXISTS log (origin TEXT PRIMARY KEY, vkey TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS seen (
    origin TEXT PRIMARY KEY, size INTEGER NOT NULL CHECK (size >= 0), root BLOB NOT NULL,
    note TEXT NOT NULL, seconds INTEGER NOT NULL);
CREATE TRIGGER IF NOT EXISTS seen_never_shrinks BEFORE UPDATE ON seen WHEN NEW.size < OLD.size
    BEGIN SELECT RAISE(ABORT, 'a witness never goes back'); END;
CREATE TRIGGER IF NOT EXISTS seen_no_delete BEFORE DELETE ON seen
    BEGIN SELECT RAISE(ABORT, 'a witness never forgets'); END;
"""
_KEPT = """
-- What a known log signed and this witness could not sign beside what it had signed before. `proven`: the
-- two cannot be true together, and whoever reads them sees it. Else the proof beside it was none, which
-- anybody can send who has seen a checkpoint: a question to the log's owner, and no proof of anything.
CREATE TABLE IF NOT EXISTS contradiction (
    origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, proven INTEGER NOT NULL,
    seen_size INTEGER NOT NULL, seen_note TEXT NOT NULL, request TEXT NOT NULL, seconds INTEGER NOT NULL,
    PRIMARY KEY (origin, size, root));
"""
MOST_PROVEN, MOST_OPEN = 64, 16
"""Contradictions that are kept of a log. One suffices to show a fork; more say how it went on."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A request to sign: the size that the witness last saw, a consistency proof, and the checkpoint."""

    old: int
    proof: tuple[bytes, ...]
    note: str

    def text(self) -> str:
        """Return it as it is sent."""
        lines = "".join(f"{base64.b64encode(item).decode()}\n" for item in self.proof)
        return f"old {self.old}\n{lines}\n{self.note}"

    @staticmethod
    def parse(text: str) -> Submission:
        """Read a request.

        Raises:
            Refusal: 400 it is malformed.
        """
        head, empty, note = text.partition("\n\n")
        lines = head.split("\n")
        old = plain_size(lines[0].removeprefix("old "))
        if (
            not empty
            or not lines[0].startswith("old ")
            or old is None
            or len(lines) > _MAX_PROOF + 1
        ):
            raise Refusal(400, "the request is malformed")
        try:
            proof = tuple(base64.b64decode(line, validate=True) for line in lines[1:])
        except ValueError:
            raise Refusal(400, "a hash is not base64") from None
        if any(len(item) != 32 for item in proof):
            raise Refusal(400, "a hash is not 32 bytes")
        return Submission(old, proof, note)


class Refusal(Exception):  # A refusal is an answer of the protocol and no error of ours.
    """The witness does not sign.

    Args:
        status: 400 malformed, 403 not signed by the log, 404 unknown log, 409 another size or root was
            seen, 422 the proof does not hold.
        why: A sentence.
        size: For 409: the size that was seen last.
        against: The checkpoint that the log signed and that contradicts what was seen, None when it is
            not one that the log signed, or does not.
        proven: Whether the two cannot be true together; else only the proof beside it was none.
    """

    def __init__(
        self,
        status: int,
        why: str,
        size: int | None = None,
        *,
        against: Checkpoint | None = None,
        proven: bool = False,
    ) -> None:
        super().__init__(why)
        self.status, self.why, self.size = status, why, size
        self.against, self.proven = against, proven


def origin_of(note: str) -> str:
    """Return the origin that a checkpoint names, before anything of it is checked."""
    return note.partition("\n")[0]


def judge(seen: Checkpoint | None, submission: Submission, log: Verifier) -> Checkpoint:
    """Return the checkpoint that may be signed (C2SP tlog-witness).

    Args:
        seen: What the witness signed last for this log, None when it never did.
        submission: The request.
        log: Key of the log that the checkpoint names.

    Raises:
        Refusal: 400, 403, 409 or 422 by rule.
    """
    try:
        signature_lines(submission.note)
    except AuditFault:
        raise Refusal(400, "the checkpoint is malformed") from None
    try:
        text = log.open(submission.note)
    except AuditFault:
        raise Refusal(403, "no signature of the log's key stands on the checkpoint") from None
    try:
        stated = Checkpoint.parse(text)
    except AuditFault:
        raise Refusal(400, "the checkpoint is malformed") from None
    if submission.old > stated.size:
        raise Refusal(400, "the old size is larger than the checkpoint")
    last = seen or Checkpoint(stated.origin, 0, EMPTY_ROOT)
    if submission.old != last.size:
        raise Refusal(409, "another size was seen last", last.size)
    if last.size == stated.size and last.root != stated.root:
        raise Refusal(
            409, "another root was seen at this size", last.size, against=stated, proven=True
        )
    if last.size in (0, stated.size):
        holds = not submission.proof
    else:
        holds = verify_consistency(last.size, stated.size, submission.proof, last.root, stated.root)
    if not holds:
        raise Refusal(
            422,
            "the consistency proof does not hold",
            against=stated if 0 < last.size < stated.size else None,
            proven=_forked(last, stated, submission.proof),
        )
    return stated


def _forked(last: Checkpoint, stated: Checkpoint, proof: Sequence[bytes]) -> bool:
    """Say whether a proof shows that the larger tree held another root at the size that was seen."""
    found = consistency_roots(last.size, stated.size, proof, last.root)
    return found is not None and found[1] == stated.root and found[0] != last.root


class Witness:
    """A witness and its database. One instance may be shared by threads and processes.

    Args:
        folder: Holds the database; outside any home, at another partner.
        cosigner: The witness's own key.
    """

    def __init__(self, folder: Path, cosigner: Cosigner) -> None:
        self.folder, self._cosigner = folder, cosigner

    def __repr__(self) -> str:
        return f"Witness({self._cosigner.name})"

    @property
    def name(self) -> str:
        """Name of the witness."""
        return self._cosigner.name

    def vkey(self) -> str:
        """Return the witness's public key; a log's owner puts it into the policy."""
        return self._cosigner.vkey()

    @staticmethod
    def create(folder: Path) -> None:
        """Make an empty database.

        Raises:
            AuditFault: ``FG-AUD-23`` a witness stands there already.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / DATABASE).exists():
            raise AuditFault(
                "FG-AUD-23", "a witness stands there already", "Choose another folder."
            )
        with closing(sqlite3.connect(folder / DATABASE)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(_SCHEMA + _KEPT)

    def trust(self, vkey: str) -> str:
        """Watch a log from now on; return its origin.

        Raises:
            AuditFault: ``FG-AUD-05`` the key is none; ``FG-AUD-23`` another key is known for that log.
        """
        log = Verifier.from_vkey(vkey)
        with closing(self._open()) as connection:
            connection.execute("INSERT OR IGNORE INTO log VALUES (?, ?)", (log.name, vkey.strip()))
            known = connection.execute(
                "SELECT vkey FROM log WHERE origin = ?", (log.name,)
            ).fetchone()
        if known[0] != vkey.strip():
            raise AuditFault(
                "FG-AUD-23",
                "another key is known for that log",
                "Ask both owners which one is right.",
            )
        return log.name

    def add_checkpoint(self, request: str, seconds: int) -> str:
        """Check a checkpoint, store it, and return the witness's signature line.

        Args:
            request: Text of an ``add-checkpoint`` request.
            seconds: POSIX time.

        Raises:
            Refusal: By rule. What a known log signed and contradicts what it signed before is kept
                beside it: once for a root, so many and no more, and nothing else of the request.
            AuditFault: ``FG-AUD-02`` the witness's own database cannot be written: nothing is signed.
        """
        submission = Submission.parse(request)
        origin = origin_of(submission.note)
        try:
            with closing(self._open()) as connection:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    stated = self._judge(connection, origin, submission)
                    connection.execute(
                        "INSERT INTO seen VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (origin) DO UPDATE "
                        "SET size = ?2, root = ?3, note = ?4, seconds = ?5",
                        (origin, stated.size, stated.root, submission.note, seconds),
                    )
                    # Shown to continue after all: the proof that came with it before was none.
                    connection.execute(
                        "DELETE FROM contradiction WHERE origin = ? AND size = ? AND root = ? "
                        "AND NOT proven",
                        (origin, stated.size, stated.root),
                    )
                except Refusal as refusal:
                    if refusal.against is not None:
                        self._keep(connection, refusal, submission, seconds)
                    connection.execute("COMMIT")
                    raise
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise AuditFault(
                "FG-AUD-02",
                f"the witness's database cannot be used ({type(error).__name__})",
                "Nothing was signed. Check the disk and the rights of its folder.",
            ) from error
        # Stored before it is signed: a crash in between costs one signature, never the memory of it.
        text = submission.note.rpartition("\n\n")[0] + "\n"
        return self._cosigner.line(text, seconds)

    @staticmethod
    def _judge(connection: sqlite3.Connection, origin: str, submission: Submission) -> Checkpoint:
        row = connection.execute("SELECT vkey FROM log WHERE origin = ?", (origin,)).fetchone()
        if row is None:
            raise Refusal(404, "the log is unknown to this witness")
        last = connection.execute(
            "SELECT size, root FROM seen WHERE origin = ?", (origin,)
        ).fetchone()
        seen = Checkpoint(origin, int(last[0]), bytes(last[1])) if last else None
        return judge(seen, submission, Verifier.from_vkey(str(row[0])))

    @staticmethod
    def _keep(
        connection: sqlite3.Connection, refusal: Refusal, submission: Submission, seconds: int
    ) -> None:
        """Keep a contradiction with what it contradicts, unless it is known or enough are."""
        against = refusal.against
        if against is None:
            return
        origin, proven = against.origin, refusal.proven
        vkey = connection.execute("SELECT vkey FROM log WHERE origin = ?", (origin,)).fetchone()
        if vkey is None:
            return
        seen = connection.execute(
            "SELECT size, note FROM seen WHERE origin = ?", (origin,)
        ).fetchone() or (0, "")
        if proven:  # It takes the place of an open one of the same root.
            connection.execute(
                "DELETE FROM contradiction WHERE origin = ? AND size = ? AND root = ? AND NOT proven",
                (origin, against.size, against.root),
            )
        kept = connection.execute(
            "SELECT COUNT(*) FROM contradiction WHERE origin = ? AND proven = ?", (origin, proven)
        ).fetchone()[0]
        if kept >= (MOST_PROVEN if proven else MOST_OPEN):
            return
        # Lines of other keys may be anything that somebody has written there.
        note = only_of(submission.note, Verifier.from_vkey(str(vkey[0])))
        request = Submission(submission.old, submission.proof if proven else (), note).text()
        connection.execute(
            "INSERT OR IGNORE INTO contradiction VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (origin, against.size, against.root, proven, seen[0], str(seen[1]), request, seconds),
        )

    def standing(self) -> list[dict[str, object]]:
        """Return each watched log, what was last signed of it, and what contradicts it.

        ``evidence`` counts the contradictions that prove a fork, ``open`` the checkpoints that the log
        signed and nobody has shown to continue what was signed before. ``before`` counts the requests that an
        earlier version kept as evidence, whatever they prove.
        """
        with closing(self._open()) as connection:
            rows: Sequence[tuple[str, str, int | None, bytes | None, int | None, int, int]] = (
                connection.execute(
                    "SELECT origin, vkey, seen.size, seen.root, seen.seconds, "
                    "(SELECT COUNT(*) FROM contradiction c WHERE c.origin = log.origin AND proven), "
                    "(SELECT COUNT(*) FROM contradiction c WHERE c.origin = log.origin AND NOT proven) "
                    "FROM log LEFT JOIN seen USING (origin) ORDER BY origin"
                ).fetchall()
            )
            before = self._kept_before(connection)
        return [
            {
                "origin": origin,
                "vkey": vkey,
                "size": size,
                "root": root.hex() if root is not None else None,
                "time": seconds,
                "evidence": evidence,
                "open": unclear,
                "before": before.get(origin, 0),
            }
            for origin, vkey, size, root, seconds, evidence, unclear in rows
        ]

    @staticmethod
    def _kept_before(connection: sqlite3.Connection) -> dict[str, int]:
        """Return how many requests of each log stand in the table of an earlier version, if it is there."""
        known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'evidence'").fetchone()
        if known is None:
            return {}
        return dict(
            connection.execute("SELECT origin, COUNT(*) FROM evidence GROUP BY origin").fetchall()
        )

    def _open(self) -> sqlite3.Connection:
        path = self.folder / DATABASE
        if not path.is_file():
            raise AuditFault(
                "FG-AUD-23", "no witness stands in that folder", "Run fieldgate witness init."
            )
        connection = sqlite3.connect(path, isolation_level=None, timeout=10.0)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(_KEPT)  # A witness from before it had it.
        return connection
