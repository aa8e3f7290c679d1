"""A home: the folder of the stores, its profile, and everything a flow is given to work with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from threading import Event
from typing import Any

from sqlalchemy import Engine
from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

import policies.load
import scoring.tables
from audit.anchor import Anchor
from audit.cosign import ML_DSA_44, Cosigner
from audit.kept import NOTHING_KEPT, Kept
from audit.note import Signer
from audit.report import Report
from audit.source import Log, Opening
from audit.witnessed import Quorum
from engine.domain.errors import ConfigError
from engine.domain.ids import Clock, Randomness, system_clock, system_randomness
from engine.flows.home_file import change
from engine.flows.kinds import check_kinds
from engine.flows.log_store import events_of, open_log, opening_of, sequence, verify_log
from engine.flows.passphrase import passphrase
from engine.identity.keys import (
    Keyring,
    open_keyring,
    version_in_use,
)
from engine.identity.pseudonyms import Domain, domain, self_test
from engine.linkage.index_tables import ensure
from engine.settings import Settings
from engine.store.migrate import ensure_newest
from engine.store.session import make_engine, reading
from engine.store.tables import AgreementStop, Delivery, LinkDecision, LinkRun, PolicyPointer
from engine.warehouse.files import Warehouse
from engine.warehouse.live import Live, Sent, live_of
from policies.model import Pack
from scoring.tables import Tables

MANIFEST = "home.json"
UNFINISHED = "unfinished"


def no_arrow(name: str) -> None:
    """Do nothing at an arrow; tests pass a function that stops the process there."""


@dataclass
class Home:
    """A home that exists.

    Attributes:
        path: The folder.
        settings: Settings of this process.
        clock: Source of time.
        randomness: Source of chance.
        arrow: Called with ``<flow>.<arrow>`` as each arrow is passed.
        apart: Whether what needs the linkage key is done in a process of its own by whoever may hold the
            vault. In one process, as tests do it, the answers are the same.
        closed: Keyrings that this process never opens.
    """

    path: Path
    settings: Settings
    clock: Clock = system_clock
    randomness: Randomness = system_randomness
    arrow: Callable[[str], None] = no_arrow
    apart: bool = True
    closed: frozenset[str] = frozenset()
    _rings: dict[str, Keyring] = field(default_factory=dict, repr=False)
    _packs: dict[str, Pack] = field(default_factory=dict, repr=False)
    _current: Pack | None = field(default=None, repr=False)
    _live: tuple[tuple[str, ...], Live] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        # The scoring process has a working folder of its own, so no path may be relative.
        self.path = self.path.resolve()

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The home's own description.

        Raises:
            ConfigError: ``FG-HOME-01`` when the folder is no home.
        """
        try:
            found: dict[str, Any] = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise ConfigError(
                "FG-HOME-01",
                "no fieldgate home stands in that folder",
                "Run fieldgate init --home DIR --profile demo, or correct --home.",
            ) from None
        return found

    @property
    def profile(self) -> str:
        """``demo``, ``single`` or ``split``."""
        return str(self.manifest["profile"])

    @property
    def is_demo(self) -> bool:
        """Whether demo identities and test numbers are allowed."""
        return self.profile == "demo"

    def keyring(self, purpose: str) -> Keyring:
        """Open a keyring, once.

        Raises:
            ConfigError: ``FG-KEY-11`` this process never opens it; see `engine.identity.keys.open_keyring`.
        """
        if purpose in self.closed:
            raise ConfigError(
                "FG-KEY-11",
                f"this process never opens the {purpose} keyring",
                "Run the command that needs it; a process that serves pages asks the linkage process.",
            )
        if purpose not in self._rings:
            folder = self.path / "keys"
            if purpose == "log" and self.manifest.get("log_key_folder"):
                folder = Path(self.manifest["log_key_folder"])
            self._rings[purpose] = open_keyring(
                folder / f"{purpose}.json",
                purpose,
                lambda: passphrase(self.settings, self.path, self.profile, purpose),
            )
        return self._rings[purpose]

    def serve(self) -> None:
        """Close the linkage key to this process: it serves pages, and it holds the vault."""
        self.apart, self.closed = True, frozenset({"link"})
        self.forget_keyring("link")

    @property
    def link_version(self) -> int:
        """Version of the linkage key in use, read without opening its keyring."""
        return version_in_use(self.path / "keys" / "link.json", "link")

    def forget_keyring(self, purpose: str) -> None:
        """Open a keyring anew when it is next asked for; it has a new key."""
        self._rings.pop(purpose, None)

    def domain(self, name: str) -> Domain:
        """Return a pseudonym domain; the self-test runs before the first use."""
        self._tested  # noqa: B018  # evaluated for its effect, once
        return domain(self.keyring("psn"), name)

    @cached_property
    def _tested(self) -> bool:
        self_test()
        return True

    @cached_property
    def audit(self) -> Log:
        """The audit log, opened for writing."""
        return open_log(self.path / "audit", self._signer(), self.settings, anchor=self.anchor)

    def log_events(self, newest: int | None = None) -> list[tuple[int, bytes]]:
        """Return (seq, canonical bytes) of the newest events of the trail, newest first, or of all."""
        return events_of(self.path / "audit", self.settings, newest=newest)

    def log_opening(self) -> Opening | None:
        """Return what opens the store of the trail to read it; None where it is a file in the home."""
        return opening_of(self.settings)

    def verify_log(
        self,
        vkey: str | None = None,
        *,
        quorum: Quorum | None = None,
        seconds: int = 0,
        kept: Kept = NOTHING_KEPT,
    ) -> Report:
        """Prove the whole trail from its stored bytes; it opens no key and changes nothing."""
        kept = replace(kept, anchor=self.anchor)
        return verify_log(
            self.path / "audit", self.settings, vkey=vkey, quorum=quorum, seconds=seconds, kept=kept
        )

    def sequence_log(self, stop: Event | None) -> int:
        """Put waiting events into the tree until told to stop, or once; see `engine.flows.log_store`."""
        return sequence(self.path / "audit", self._signer(), self.settings, stop, self.anchor)

    def _signer(self) -> Signer:
        seed = self.keyring("log").derive("ed25519", 32)
        signer = Signer.from_bytes(str(self.manifest["log_name"]), seed)
        if not self.manifest.get("second_signature"):
            return signer
        second = self.second_signer()
        return signer.beside(lambda text: second.line(text, int(self.clock().timestamp())))

    def second_signer(self) -> Cosigner:
        """Return the log's second key, of a kind that quantum computers do not break."""
        seed = self.keyring("log").derive("ml-dsa-44", 32)
        return Cosigner.from_seed(str(self.manifest["log_name"]), seed, ML_DSA_44)

    @cached_property
    def anchor(self) -> Anchor | None:
        """Where every checkpoint is copied to, outside the home; None where nothing is set."""
        place = self.manifest.get("anchor")
        return Anchor(self.path / "audit", Path(place)) if place else None

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Change the home's own description, whole or not at all; see `home_file.change`.

        Raises:
            OSError: It cannot be written.
        """
        change(self.path / MANIFEST, changes)
        for name in ("manifest", "anchor"):
            self.__dict__.pop(name, None)

    def log_vkey(self) -> str:
        """Return the log's public key, from its keyring and not from a file beside the log."""
        return self._signer().vkey()

    def recovering_log(self) -> Log:
        """Open a log that refuses to be written, for two people to declare what is lost of it."""
        return open_log(
            self.path / "audit", self._signer(), self.settings, recovering=True, anchor=self.anchor
        )

    def use_log(self, log: Log) -> None:
        """Write to a log that was opened with `recovering_log`."""
        self.__dict__["audit"] = log

    @cached_property
    def casework(self) -> Engine:
        """The casework database, at the newest schema."""
        made = make_engine(
            self.path / "casework" / "casework.db", database_url(self.settings.casework_url)
        )
        ensure_newest(made)
        return made

    @cached_property
    def vault(self) -> Engine:
        """The vault's database."""
        return make_engine(self.path / "vault" / "vault.db", database_url(self.settings.vault_url))

    @cached_property
    def linkage(self) -> Engine:
        """The linkage database."""
        made = make_engine(
            self.path / "linkage" / "linkage.db", database_url(self.settings.linkage_url)
        )
        ensure(made)
        return made

    @cached_property
    def warehouse(self) -> Warehouse:
        """The analysis lane."""
        return Warehouse(self.path / "warehouse")

    @cached_property
    def tables(self) -> Tables:
        """The scoring tables."""
        return scoring.tables.load_tables(scoring.tables.shipped())

    @property
    def draft(self) -> tuple[Path, Path]:
        """Folders of the register and the pack that IG edits; a draft until it is activated."""
        return self.path / "pack" / "gateways", self.path / "pack" / "policies"

    def version_folders(self, version: str) -> tuple[Path, Path]:
        """Folders of a version that is or was active; nothing in them changes any more."""
        folder = self.path / "pack" / "versions" / version
        return folder / "gateways", folder / "policies"

    def stored_pack(self, version: str) -> Pack:
        """Load a version that was active once, to decide as it did (LAW-12).

        Raises:
            ConfigError: ``FG-POL-05`` when it is not kept here, or is no longer what it was.
        """
        known = self._packs.get(version)
        if known is not None:
            return known
        folders = self.version_folders(version)
        if not version or not folders[1].is_dir():
            raise ConfigError(
                "FG-POL-05",
                "that version of the policy is not kept in this home",
                "Restore pack/versions from a backup, or name a version of policy changes.",
            )
        pack = policies.load.load_pack(*folders)
        if pack.version != version:
            raise ConfigError(
                "FG-POL-05",
                "the kept policy is not the version that was activated",
                "Restore pack/versions from a backup; the trail names the version.",
            )
        check_kinds(pack, self.tables)
        self._packs[version] = pack
        return pack

    @property
    def pack(self) -> Pack:
        """The active policy with the agreements that are suspended today.

        It is read again for every flow (`refresh_policy`), and swapped by reference: a decision is
        made under one version or the other, never under a mixture.

        Raises:
            ConfigError: ``FG-POL-05`` no version is active, or the kept one was changed.
        """
        if self._current is None:
            version, stops = self._pointer()
            if not version:
                raise ConfigError(
                    "FG-POL-05",
                    "no policy is active in this home",
                    "Run fieldgate policy activate.",
                )
            stored = self.stored_pack(version)
            self._current = replace(stored, register=replace(stored.register, suspended=stops))
        return self._current

    def refresh_policy(self) -> None:
        """Forget the policy of this process when another one was activated or something stopped."""
        current = self._current
        if current is not None and self._pointer() != (
            current.version,
            current.register.suspended,
        ):
            self._current = None

    def _pointer(self) -> tuple[str, frozenset[str]]:
        with Session(reading(self.casework)) as session:
            pointer = session.get(PolicyPointer, 1)
            stops = frozenset(session.exec(select(AgreementStop.agreement)).all())
        return (pointer.version if pointer else ""), stops

    def link_runs(self) -> list[str]:
        """Return the published link runs, oldest first; memberships of others do not count."""
        with Session(reading(self.casework)) as session:
            return list(session.exec(select(LinkRun.id).order_by(col(LinkRun.number))).all())

    def final_decisions(self) -> list[str]:
        """Return the decisions about pairs of records that hold, oldest first."""
        with Session(reading(self.casework)) as session:
            asked = select(LinkDecision.id).where(LinkDecision.state == "final")
            return list(session.exec(asked.order_by(col(LinkDecision.number))).all())

    def published(self) -> dict[str, int]:
        """Return the deliveries that count and their place in time.

        Paused, refused and withdrawn ones do not, and neither does what a later full extract of the
        same source has replaced.
        """
        return {one.id: one.number for one in self._counting()}

    def _counting(self) -> list[Any]:
        shape: list[Any] = [
            *(Delivery.id, Delivery.number, Delivery.source, Delivery.mode, Delivery.plain),
            *(Delivery.window_first, Delivery.window_last),
        ]
        with Session(reading(self.casework)) as session:
            found = session.execute(
                sa_select(*shape)
                .where(col(Delivery.state) == "accepted")
                .order_by(col(Delivery.number))
            ).all()
        return since_last_full(found)

    def live(self) -> Live:
        """Return which rows of the published deliveries hold (see `engine.warehouse.live`)."""
        counting = self._counting()
        order = tuple(one.id for one in counting)
        if self._live is None or self._live[0] != order:
            sent = [sent_of(one) for one in counting]
            spoken = {one: self.warehouse.spoken(one) for one in order}
            merges = {one: self.warehouse.merges(one) for one in order}
            self._live = (order, live_of(sent, spoken, merges))
        return self._live[1]

    def source_numbers(self) -> dict[str, int]:
        """Return the number of each source in the analysis lane, by order of its id."""
        return {name: number for number, name in enumerate(sorted(self.pack.sources), start=1)}

    def close(self) -> None:
        """Close what was opened."""
        for name in ("casework", "vault", "linkage"):
            if name in self.__dict__:
                self.__dict__[name].dispose()
        if "audit" in self.__dict__:
            self.audit.close()


def database_url(secret: Any) -> str | None:
    """Return the URL of a database that has outgrown its file, None when the file is used."""
    return secret.get_secret_value() if secret else None


def since_last_full(found: Sequence[Any]) -> list[Any]:
    """Return the accepted deliveries that a later full extract of their source has not replaced."""
    full = {one.source: one.number for one in found if one.mode == "full"}
    return [one for one in found if one.number >= full.get(one.source, 0)]


def sent_of(one: Any) -> Sent:
    """Return what a delivery says of how it is read together with others of its source."""
    window = None
    if one.window_first is not None and one.window_last is not None:
        window = (one.window_first, one.window_last)
    return Sent(one.id, one.source, one.plain, window)
