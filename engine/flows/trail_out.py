"""What leaves the home for others to check: the trail as static files, its checkpoints, cosignatures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audit.cosign import CosignerKey
from audit.errors import AuditFault
from audit.note import Checkpoint, Verifier
from audit.place import Folder
from audit.tiles import export_tiles, verify_tiles
from audit.witnessed import keep_witnessed, last_sizes, submission_from
from engine.domain.errors import ConfigError, PolicyRefused
from engine.domain.ids import Actor
from engine.flows.accounts import actor_of, open_account
from engine.flows.home import Home
from engine.flows.intent import Flow, record_denial
from engine.flows.trail import quorum_of

ROUTE = "trail_export"
MAX_FILE = 65_536
"""Bytes of a file with a checkpoint that are looked at."""


def outward(home: Home, user: str, auth: str) -> Actor:
    """Return the actor of what leaves for others to check.

    Raises:
        PolicyRefused: ``FG-AUD-22``; the refusal stands in the trail.
    """
    account = open_account(home, user, auth)
    actor = actor_of(account, auth)
    if account.role not in home.pack.routes.get(ROUTE, frozenset()):
        record_denial(home, actor, "FG-AUD-22")
        error = PolicyRefused(
            "FG-AUD-22",
            "your role does not export the trail or deal with its witnesses",
            "The information governance lead and the data protection officer do.",
        )
        error.audited = True
        raise error
    return actor


def public_key(home: Home) -> Verifier:
    """Return the log's public key as its signer has it, not as a file says."""
    return Verifier.from_vkey(home.log_vkey())


def export_trail(home: Home, user: str, out: Path, *, auth: str) -> dict[str, Any]:
    """Write the whole trail as static files, for an auditor who trusts nobody here.

    Args:
        home: The home.
        user: Who exports.
        out: An empty folder, or an earlier export of this trail.
        auth: How the user was established.

    Returns:
        Size of what was exported, files written, the public key, what an auditor will find missing (a
        declared loss), and a receipt. What was written is read again and verified. The export ends with
        the event that announces it; the event that closes it comes with the next one.

    Raises:
        PolicyRefused: ``FG-AUD-22``.
        AuditFault: ``FG-AUD-20`` the folder holds something else; see `audit.tiles.export_tiles`.

    Audited as ``export``, before anything is written and again with its size.
    """
    actor = outward(home, user, auth)
    with Flow(home, "export_trail", "export", actor, {"source": "audit.log"}) as flow:
        done = export_tiles(home.path / "audit", out, public_key(home), home.log_opening())
        written = verify_tiles(Folder(out), public_key(home))
        if written.status == "tampered":
            raise AuditFault(
                "FG-AUD-07", "what was exported does not verify", "Keep it, and verify the log."
            )
        flow.finish({"source": "audit.log", "rows": done["size"], "counts": done})
        # A declared loss, an outcome that never came: whoever gets the files is not the first to learn it.
        return {
            **done,
            "vkey": home.log_vkey(),
            "incomplete": written.missing,
            "receipt": flow.receipt(),
        }


def checkpoint_out(
    home: Home, user: str, out: Path, *, auth: str, witness: str = "", old: int | None = None
) -> dict[str, Any]:
    """Write a file that a witness countersigns on its own machine, without a network.

    Args:
        home: The home.
        user: Who sends it.
        out: The file; it holds sizes and hashes, and nothing of any event.
        auth: How the user was established.
        witness: Name of the witness it is for; then it continues what that one signed last.
        old: Size that the witness signed last, when it says another one than is known here.

    Raises:
        PolicyRefused: ``FG-AUD-22`` the role does not deal with witnesses.
        ConfigError: ``FG-AUD-27`` the policy names no such witness.
        AuditFault: ``FG-AUD-26`` the witness has seen more than the log holds.

    Audited as ``export``, and a refusal of the role as ``deny``.
    """
    actor = outward(home, user, auth)
    with Flow(home, "checkpoint_out", "export", actor, {"source": "audit.checkpoint"}) as flow:
        keys = named_keys(home, witness)
        # Only a name that the policy has: what was typed has no place in the trail.
        details = {"source": "audit.checkpoint", "recipient": witness}
        sizes = last_sizes(home.path / "audit", public_key(home), keys)
        since = old if old is not None else min((sizes.get(one.name, 0) for one in keys), default=0)
        submission = submission_from(
            home.path / "audit", since, public_key(home), home.log_opening()
        )
        out.write_text(submission.text(), encoding="utf-8")
        size = Checkpoint.parse(public_key(home).open(submission.note)).size
        flow.finish({**details, "counts": {"size": size, "old": since}})
        return {"file": str(out), "size": size, "old": since, "receipt": flow.receipt()}


def take_witnessed(home: Home, user: str, file: Path, *, auth: str) -> dict[str, Any]:
    """Put a checkpoint that a witness countersigned back beside the trail.

    Args:
        home: The home.
        user: Who puts it back.
        file: What the witness signed.
        auth: How the user was established.

    Raises:
        PolicyRefused: ``FG-AUD-22`` the role does not deal with witnesses.
        AuditFault: ``FG-AUD-25`` no witness of the policy stands on it; ``FG-AUD-06`` it is not of this
            trail, or a line does not verify; ``FG-AUD-12`` the trail is not the one that was signed.

    Audited as ``config``, and a refusal of the role as ``deny``.
    """
    actor = outward(home, user, auth)
    with Flow(home, "take_witnessed", "config", actor, {"source": "audit.checkpoint"}) as flow:
        try:
            note = file.read_bytes()[:MAX_FILE].decode()
        except (OSError, UnicodeDecodeError):
            raise ConfigError("FG-AUD-27", "the file cannot be read", "Give another one.") from None
        done = keep_signed(home, note, named_keys(home))
        flow.finish(
            {
                "source": "audit.checkpoint",
                "rules": [f"witness {name}" for name in done["witnesses"]],
                "counts": {"size": done["size"]},
            }
        )
        return {**done, "receipt": flow.receipt()}


def keep_signed(home: Home, note: str, keys: tuple[CosignerKey, ...]) -> dict[str, Any]:
    """Keep a cosigned checkpoint, if the trail is the one that was signed."""
    log = public_key(home)
    stated = Checkpoint.parse(log.open(note))
    if home.audit.head_at(stated.size) != stated:
        raise AuditFault(
            "FG-AUD-12",
            f"the first {stated.size} events are not those that the witness signed",
            "Stop everything and compare: fieldgate audit verify.",
        )
    _, found = keep_witnessed(home.path / "audit", note, log, keys)
    return {"size": stated.size, "witnesses": sorted({one.name for one in found})}


def named_keys(home: Home, witness: str = "") -> tuple[CosignerKey, ...]:
    """Return the keys of the witnesses that the policy names, or that of one of them.

    Raises:
        ConfigError: ``FG-AUD-27`` the policy names no such witness.
    """
    quorum = quorum_of(home)
    keys = quorum.keys if quorum else ()
    if witness and witness not in {one.name for one in keys}:
        raise ConfigError(
            "FG-AUD-27",
            "the policy names no such witness",
            "Name it with its public key under witnessing in governance.yaml.",
        )
    return tuple(one for one in keys if not witness or one.name == witness)
