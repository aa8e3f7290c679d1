"""What came back from witnesses: who vouches for the log, up to where, and who is late.

The cosigned checkpoints stand in a file beside the log and outside its database. A witness that cannot
be reached, or is late, is an alarm and never stops anything.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from audit.cosign import Cosigned, CosignerKey, cosigned_by
from audit.database import reader_of
from audit.errors import AuditFault
from audit.levels import consistency, node_of, root_at
from audit.note import Checkpoint, Verifier
from audit.outside import WITNESSED, append_note, notes
from audit.source import Opening
from audit.witness import Submission


@dataclass(frozen=True, slots=True)
class Quorum:
    """Whom the policy names as witnesses.

    Attributes:
        keys: Their public keys.
        needed: How many must vouch before the log counts as witnessed.
        late_after: Seconds after which a witness's last word is late.
    """

    keys: tuple[CosignerKey, ...]
    needed: int
    late_after: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Who vouches for a log.

    Attributes:
        newest: Witness to the largest size it vouches for, and when it said so last (POSIX seconds).
        size: Up to where enough of them vouch.
        alarms: Sentences about witnesses that have not been heard of, or not for long.
    """

    newest: dict[str, tuple[int, int]]
    of: int
    needed: int
    size: int
    alarms: tuple[str, ...]

    @property
    def reached(self) -> bool:
        """Whether enough witnesses vouch for something."""
        return len(self.newest) >= self.needed

    def sentence(self) -> str:
        """Say it in one line."""
        text = f"witnessed by {len(self.newest)} of {self.of}, quorum {self.needed}"
        return f"{text}, up to event {self.size - 1}" if self.size else text

    def as_dict(self) -> dict[str, object]:
        """Return it as plain data."""
        return {
            "by": len(self.newest),
            "of": self.of,
            "quorum": self.needed,
            "size": self.size,
            "newest": {
                name: {"size": size, "time": seconds}
                for name, (size, seconds) in sorted(self.newest.items())
            },
            "alarms": list(self.alarms),
        }


def standing(
    cosigned: Sequence[tuple[int, list[Cosigned]]], quorum: Quorum, seconds: int
) -> Standing:
    """Say who vouches for a log.

    A witness vouches for its largest checkpoint and for everything before it.

    Args:
        cosigned: Sizes that hold, and who stands on each.
        quorum: What the policy asks for.
        seconds: Now, POSIX time.
    """
    newest: dict[str, tuple[int, int]] = {}
    for size, lines in cosigned:
        for one in lines:
            held = newest.get(one.name, (0, 0))
            newest[one.name] = (max(held[0], size), max(held[1], one.seconds))
    alarms = []
    for key in quorum.keys:
        if key.name not in newest:
            alarms.append(f"the witness {key.name} has never been heard of")
        elif seconds - newest[key.name][1] > quorum.late_after:
            hours = (seconds - newest[key.name][1]) // 3600
            alarms.append(f"the witness {key.name} was last heard of {hours} hours ago")
    sizes = sorted((size for size, _ in newest.values()), reverse=True)
    reached = sizes[quorum.needed - 1] if 0 < quorum.needed <= len(sizes) else 0
    return Standing(newest, len(quorum.keys), quorum.needed, reached, tuple(alarms))


def last_sizes(folder: Path, log: Verifier, keys: Sequence[CosignerKey]) -> dict[str, int]:
    """Return the largest size that each witness is known here to have signed; what is bad is passed over."""
    try:
        text = (folder / WITNESSED).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    found: dict[str, int] = {}
    for note in notes(text):
        try:
            size = Checkpoint.parse(log.open(note)).size
            lines = cosigned_by(note, keys)
        except AuditFault:
            continue
        for one in lines:
            found[one.name] = max(size, found.get(one.name, 0))
    return found


def submission_from(
    folder: Path, old: int, log: Verifier, opening: Opening | None = None
) -> Submission:
    """Return what a witness is asked to sign: the newest checkpoint and why it continues an older one.

    Args:
        folder: The audit folder.
        old: Size that the witness signed last, 0 for none.
        log: The log's own key.
        opening: See `audit.database.reader_of`.

    Raises:
        AuditFault: ``FG-AUD-26`` the log is smaller than that; ``FG-AUD-07`` the stored hashes do not
            come to the signed root, so nothing is submitted; ``FG-AUD-02`` it cannot be read.
    """
    try:
        with closing(reader_of(folder, opening)) as connection:
            connection.execute("BEGIN")
            row = connection.execute(
                "SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1"
            ).fetchone()
            stated = Checkpoint.parse(log.open(str(row[0]))) if row else None
            if stated is None or stated.size < old:
                raise AuditFault(
                    "FG-AUD-26",
                    f"the witness has seen {old} events and the log holds "
                    f"{stated.size if stated else 0}",
                    "Stop everything and compare: fieldgate audit verify.",
                )
            node = node_of(connection)
            if root_at(node, stated.size) != stated.root:
                raise AuditFault(
                    "FG-AUD-07", "the events do not come to the signed root", "Verify the log."
                )
            return Submission(old, tuple(consistency(node, old, stated.size)), str(row[0]))
    except sqlite3.Error as error:
        raise AuditFault(
            "FG-AUD-02", f"the log cannot be read ({type(error).__name__})", "Check the disk."
        ) from error


def keep_witnessed(
    folder: Path, note: str, log: Verifier, keys: Sequence[CosignerKey]
) -> tuple[Checkpoint, list[Cosigned]]:
    """Put a cosigned checkpoint of this log beside it, durably, and return who stands on it.

    Args:
        folder: The audit folder.
        note: The checkpoint as a witness gave it back.
        log: The log's own key.
        keys: Witnesses that the policy names.

    Raises:
        AuditFault: ``FG-AUD-06`` it is not of this log, or a known witness's line does not verify;
            ``FG-AUD-25`` no witness that the policy names stands on it; ``FG-AUD-02`` not writable.
    """
    stated = Checkpoint.parse(log.open(note))
    found = cosigned_by(note, keys)
    if not found:
        raise AuditFault(
            "FG-AUD-25",
            "no witness that the policy names has signed that checkpoint",
            "Name the witness and its key in governance.yaml, or ask it to sign.",
        )
    try:
        append_note(folder / WITNESSED, note)
    except OSError as error:
        raise AuditFault(
            "FG-AUD-02",
            "what the witness signed cannot be written down",
            "Check the rights of the audit folder.",
        ) from error
    return stated, found
