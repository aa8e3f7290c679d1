"""Work with the linkage key for a home: in a process of its own, or in this one.

Whatever takes a delivery in or serves pages holds the vault, asks the linkage process and opens no linkage
key; a run of linkage is the linkage process itself, and opens no other key than that and the pseudonyms'.
Changing the key (`engine.flows.rekey`) opens both.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from threading import Timer
from typing import Any

from engine.domain.errors import ConfigError, FieldgateError, LinkageError
from engine.flows.home import Home, database_url
from engine.flows.linkage_lookup import Near, Place, Sought, look_near, model_of, sex_groups
from engine.flows.linkage_process import unpacked
from engine.flows.linkage_work import Encoded, Meant, encode_identities, encoder_under
from engine.flows.passphrase import passphrase
from engine.intake.contract import Contract
from engine.linkage.artefacts import Model
from engine.linkage.encode import Encoder

CHUNK = 500_000
"""Records that are handed to the linkage process at a time; a value that many share is keyed once in each."""
LONGEST = 1800.0
"""Seconds after which a request to the linkage process is given up."""
_FAULTS: dict[str, type[FieldgateError]] = {
    "LinkageError": LinkageError,
    "ConfigError": ConfigError,
}


def encoder_of(home: Home, version: int | None = None) -> Encoder:
    """Return the encoder under a version of the linkage key, the one in use when None.

    Raises:
        ConfigError: ``FG-KEY-04`` the keyring has no such version.
    """
    return encoder_under(home.keyring("link"), version)


def frozen_model(home: Home) -> Model:
    """Return the model that this home links with; see `engine.flows.linkage_lookup.model_of`.

    A model signs itself with a key of its own; that it is the one that two people agreed to, its hash in
    the policy says.
    """
    return model_of(home.settings.linkage_model, home.pack.governance.linkage_model)


def places_of(home: Home) -> list[Place]:
    """Return the communal addresses of the policy in force."""
    return [
        Place(one.id, one.uprn, one.address, one.postcode) for one in home.pack.governance.communal
    ]


def encode(
    home: Home,
    contract: Contract,
    identities: Mapping[str, Sequence[str | None]],
    records: Sequence[bytes],
    *,
    version: int | None = None,
) -> list[Encoded]:
    """Normalise, encode and seal the identities of some records of a source.

    Args:
        home: The home.
        contract: The contract of their source.
        identities: Identity part to one clear value per record.
        records: Their pseudonyms in the linkage domain.
        version: See `engine.flows.linkage_work.encode_identities`.

    Raises:
        LinkageError: ``FG-LNK-12`` this machine does not give the golden vectors, ``FG-LNK-18`` the
            linkage process failed.
    """
    derived_key = contract.fields[contract.key].type == "derived"
    meant = Meant(home.clock().date(), home.is_demo, "" if derived_key else contract.scheme)
    if not home.apart:
        ring = home.keyring("link")
        return encode_identities(ring, identities, records, meant, home.randomness, version)
    parts: list[list[Encoded]] = []
    with _linkage_process(home) as process:
        for start in range(0, max(len(records), 1), CHUNK):
            stop = start + CHUNK
            told, words = process.ask(
                {
                    "do": "encode",
                    "identities": {
                        name: list(cells[start:stop]) for name, cells in identities.items() if cells
                    },
                    "records": [one.hex() for one in records[start:stop]],
                    "today": meant.today.isoformat(),
                    "test_range": meant.accept_test_range,
                    "scheme": meant.local_scheme,
                    "version": version,
                }
            )
            parts.append(unpacked(told, words))
    return [_joined(some) for some in zip(*parts, strict=True)]


def near_records(home: Home, sought: Sought) -> list[Near]:
    """Return the records that share a key with one, the heaviest first.

    Raises:
        LinkageError: See `engine.flows.linkage_lookup.look_near`; ``FG-LNK-18`` the process failed.
    """
    if not home.apart:
        return look_near(home.linkage, home.keyring("link"), frozen_model(home), sought)
    folder = home.settings.linkage_model
    with _linkage_process(home) as process:
        told, _ = process.ask(
            {
                "do": "near",
                "own": sought.own.hex(),
                "order": dict(sought.order),
                "dead": [one.hex() for one in sought.dead],
                "hidden": [one.hex() for one in sought.hidden],
                "apart": [one.hex() for one in sought.apart],
                "places": [list(one) for one in sought.places],
                "today": sought.today.isoformat(),
                "model": str(folder.resolve()) if folder else None,
                "wanted": home.pack.governance.linkage_model,
            }
        )
    return [(bytes.fromhex(record), weight, levels) for record, weight, levels in told["near"]]


def sexes_of(home: Home) -> dict[bytes, str]:
    """Return the sex of every record as a numbered group; asked of the linkage process.

    Raises:
        LinkageError: ``FG-LNK-02``, ``FG-LNK-13``, ``FG-LNK-18``.
    """
    order, today = home.published(), home.clock().date()
    if not home.apart:
        return sex_groups(home.linkage, home.keyring("link"), order, today)
    with _linkage_process(home) as process:
        told, _ = process.ask({"do": "sexes", "order": order, "today": today.isoformat()})
    return {bytes.fromhex(record): group for record, group in told["sexes"].items()}


def _joined(parts: Sequence[Encoded]) -> Encoded:
    first = parts[0]
    return Encoded(
        first.key_version,
        first.norm_version,
        [month for one in parts for month in one.months],
        [row for one in parts for row in one.sealed],
        first.bird,
    )


class _LinkageProcess:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def ask(self, request: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Return the answer to one request and the bytes that go with it."""
        into, out = self._process.stdin, self._process.stdout
        assert into is not None
        assert out is not None
        # One that hangs is ended, so that whoever asked is answered.
        watch = Timer(LONGEST, self._process.kill)
        watch.start()
        try:
            into.write(json.dumps(request).encode() + b"\n")
            into.flush()
            answer: dict[str, Any] = json.loads(out.readline())
            words = out.read(answer.get("bytes", 0))
        except (OSError, ValueError):
            raise _ended() from None
        finally:
            watch.cancel()
        if "fault" in answer:
            kind = _FAULTS.get(answer["fault"], LinkageError)
            raise kind(answer["code"], answer["message"], answer["next_step"])
        if len(words) != answer.get("bytes", 0):
            raise _ended()
        return answer, words


def _ended() -> LinkageError:
    return LinkageError(
        "FG-LNK-18",
        "the linkage process ended without an answer",
        "Nothing was stored. Try again; report this if it repeats.",
    )


@contextmanager
def _linkage_process(home: Home) -> Iterator[_LinkageProcess]:
    """Start the linkage process, with the linkage keyring's passphrase and nothing else."""
    words = passphrase(home.settings, home.path, home.profile, "link")
    model = home.settings.linkage_model
    with subprocess.Popen(  # our own module, no shell
        [sys.executable, "-I", "-m", "engine.flows.linkage_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # What a process prints about an error may hold a value, and a full pipe would stop it.
        stderr=subprocess.DEVNULL,
        cwd=home.path / "linkage",
        env={"OMP_NUM_THREADS": "1", "PATH": "", "LC_ALL": "C.UTF-8"},
    ) as started:
        process = _LinkageProcess(started)
        try:
            process.ask(
                {
                    "home": os.path.realpath(home.path),
                    "keyring": os.path.realpath(home.path / "keys" / "link.json"),
                    "passphrase": base64.b64encode(words).decode(),
                    "store": database_url(home.settings.linkage_url),
                    "beside": [
                        os.path.realpath(one) for one in (sys.prefix, model) if one is not None
                    ],
                }
            )
            yield process
        except BaseException:
            started.kill()
            raise
        finally:
            # Closing writes what is left, and the process may be gone.
            if started.stdin is not None:
                with suppress(OSError):
                    started.stdin.close()
