"""The process that holds the linkage key: ``python -I -m engine.flows.linkage_process``.

It reads requests from standard input, a line of JSON each, and answers each with a line of JSON and, for
encodings, their words. The first line opens the ``link`` keyring; no other keyring can be opened in it, and
of the home nothing but the linkage lane: whoever asks holds the vault, and never the linkage key. It ends
with its standard input. What a request raises is told as code, sentence and next step.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from engine.domain.errors import LinkageError, told
from engine.domain.ids import system_randomness
from engine.flows.linkage_work import Encoded, Meant, encode_identities
from engine.identity.keys import Keyring, open_keyring

if TYPE_CHECKING:
    from engine.flows.linkage_lookup import Sought


def main() -> int:
    """Answer until standard input ends; return the exit status."""
    source, answers = sys.stdin.buffer, sys.stdout.buffer
    opening: dict[str, Any] = json.loads(source.readline())
    home = Path(opening["home"])
    _fence(home, [Path(one) for one in opening["beside"]])
    try:
        ring = open_keyring(
            Path(opening["keyring"]), "link", lambda: base64.b64decode(opening["passphrase"])
        )
        _tell(answers, {"ready": True})
    except Exception as error:  # noqa: BLE001  # told by its code, or by its type alone
        _tell(answers, _fault(error))
        return 0
    for line in source:
        request: dict[str, Any] = json.loads(line)
        try:
            answer, words = _answer(ring, opening, request)
        except Exception as error:  # noqa: BLE001  # as above; the process is whole for the next
            answer, words = _fault(error), b""
        _tell(answers, answer, words)
    return 0


def _answer(
    ring: Keyring, opening: Mapping[str, Any], request: Mapping[str, Any]
) -> tuple[dict[str, Any], bytes]:
    if request["do"] == "encode":
        meant = Meant(
            date.fromisoformat(request["today"]), request["test_range"], request["scheme"]
        )
        return packed(
            encode_identities(
                ring,
                request["identities"],
                [bytes.fromhex(one) for one in request["records"]],
                meant,
                system_randomness,
                request["version"],
            )
        )
    # What only questions about the store need is imported for them alone.
    from engine.flows.linkage_lookup import look_near, model_of, sex_groups
    from engine.store.session import make_engine

    store = make_engine(Path(opening["home"]) / "linkage" / "linkage.db", opening["store"])
    try:
        if request["do"] == "sexes":
            today = date.fromisoformat(request["today"])
            groups = sex_groups(store, ring, request["order"], today)
            return {"sexes": {record.hex(): group for record, group in groups.items()}}, b""
        model = model_of(Path(request["model"]) if request["model"] else None, request["wanted"])
        found = look_near(store, ring, model, _sought(request))
        return {"near": [[record.hex(), weight, levels] for record, weight, levels in found]}, b""
    finally:
        store.dispose()


def _sought(request: Mapping[str, Any]) -> Sought:
    from engine.flows.linkage_lookup import Place, Sought

    return Sought(
        bytes.fromhex(request["own"]),
        request["order"],
        _records(request["dead"]),
        _records(request["hidden"]),
        _records(request["apart"]),
        [Place(*one) for one in request["places"]],
        date.fromisoformat(request["today"]),
    )


def _records(names: Sequence[str]) -> set[bytes]:
    return {bytes.fromhex(one) for one in names}


def packed(made: Sequence[Encoded]) -> tuple[dict[str, Any], bytes]:
    """Return encodings as a document and the sealed words of all of them, one after the other."""
    words = b"".join(row for one in made for row in one.sealed)
    each = [
        {"key_version": one.key_version, "norm_version": one.norm_version, "months": one.months,
         "bird": one.bird, "size": len(one.sealed[0]) if one.sealed else 0}
        for one in made
    ]  # fmt: skip
    return {"encoded": each, "bytes": len(words)}, words


def unpacked(answer: Mapping[str, Any], words: bytes) -> list[Encoded]:
    """Return what `packed` was given."""
    made: list[Encoded] = []
    start = 0
    for one in answer["encoded"]:
        size, count = one["size"], len(one["months"])
        sealed = [words[at : at + size] for at in range(start, start + size * count, size or 1)]
        start += size * count
        made.append(
            Encoded(one["key_version"], one["norm_version"], one["months"], sealed, one["bird"])
        )
    return made


def _tell(stream: IO[bytes], answer: Mapping[str, Any], words: bytes = b"") -> None:
    stream.write(json.dumps(answer).encode() + b"\n" + words)
    stream.flush()


def _fault(stranger: Exception) -> dict[str, Any]:
    error = told(stranger) or LinkageError(
        "FG-LNK-18",
        # Only the type: the text might hold a value.
        f"the linkage process failed ({type(stranger).__name__})",
        "Nothing was stored. Try again; report this if it repeats.",
    )
    return {
        "fault": type(error).__name__,
        "code": error.code,
        "message": error.message,
        "next_step": error.next_step,
    }


def _fence(home: Path, beside: Sequence[Path] = ()) -> None:
    """Make it an error to open anything of the home but the linkage lane and its keyring.

    Args:
        home: The home.
        beside: Folders that may lie in it and be read: an installation, a model of one's own.
    """
    inside = [one for one in beside if one != home and one.is_relative_to(home)]
    allowed = (home / "linkage", home / "keys" / "link.json", *inside)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("open", "sqlite3.connect") or not arguments:
            return
        named = arguments[0]
        if not isinstance(named, str | bytes | Path):
            return
        path = Path(os.path.realpath(named.decode() if isinstance(named, bytes) else named))
        if path.is_relative_to(home) and not any(path.is_relative_to(one) for one in allowed):
            raise PermissionError("the linkage process reads nothing else of the home")

    sys.addaudithook(watch)


if __name__ == "__main__":
    sys.exit(main())
