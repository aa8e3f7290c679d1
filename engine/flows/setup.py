"""Make a home, activate its policy, add accounts, set flags: the acts of an operator."""

from __future__ import annotations

import shutil
from pathlib import Path

from sqlmodel import Session, select

import policies.load
from audit.log import Entry
from engine.domain.errors import ConfigError
from engine.domain.ids import Actor, Clock, Randomness
from engine.flows.create import create_home
from engine.flows.home import UNFINISHED, Home, check_kinds
from engine.flows.intent import Flow
from engine.linkage.index import records_of
from engine.settings import Settings
from engine.store.session import reading
from engine.store.tables import Account, FlowCommit, PolicyPointer, RecordFlag, SubjectState

DEMO_ACCOUNTS = (
    (
        "demo.social_worker",
        "Social worker (demo)",
        "council",
        "social_worker",
        "safeguard_child",
    ),
    (
        "demo.front_door",
        "First Response (demo)",
        "council",
        "front_door",
        "safeguard_child",
    ),
    (
        "demo.early_help",
        "Families in Focus (demo)",
        "council",
        "early_help",
        "promote_welfare",
    ),
    (
        "demo.school_lead",
        "School lead (demo)",
        "schools",
        "school_lead",
        "school_safeguarding",
    ),
    (
        "demo.police_analyst",
        "Police analyst (demo)",
        "police",
        "police_analyst",
        "crime_prevention",
    ),
    ("demo.ig_lead", "Governance lead (demo)", "council", "ig_lead", "safeguard_child"),
)


def operator(home_profile: str, user: str) -> Actor:
    """Return the actor of an operator's command."""
    auth = "demo" if home_profile == "demo" else "os"
    return Actor(user, "host", "operator", auth)


def init(
    path: Path,
    profile: str,
    settings: Settings,
    user: str,
    *,
    log_key_folder: Path | None,
    clock: Clock,
    randomness: Randomness,
) -> Home:
    """Make a home and activate the policy that came with it.

    Args:
        path: A folder that is empty or not there.
        profile: ``demo``, ``single`` or ``split``.
        settings: Settings of this process.
        user: Who runs the command.
        log_key_folder: Where the log key goes; outside the home unless it is a demo.
        clock: Source of time.
        randomness: Source of chance.

    Raises:
        ConfigError: See `create_home`.

    Audited as ``config`` and ``policy_publish``.
    """
    path = path.resolve()
    building = path.with_name(f"{path.name}.building")
    _clear_unfinished(building)
    home = create_home(
        building,
        profile,
        settings,
        taken=path.exists() and (not path.is_dir() or any(path.iterdir())),
        log_key_folder=log_key_folder,
        clock=clock,
        randomness=randomness,
    )
    activate_policy(home, user)
    if profile == "demo":
        for user_id, label, agency, role, purpose in DEMO_ACCOUNTS:
            add_account(home, user_id, label, agency, role, purpose, by=user)
    home.close()
    # Only a finished home takes its name, so that a killed command can simply be run again.
    if path.exists():
        path.rmdir()
    building.rename(path)
    (path / UNFINISHED).unlink()
    return Home(path, settings, clock, randomness)


def _clear_unfinished(building: Path) -> None:
    """Remove what a killed ``init`` left; a folder that is not marked as such is never touched."""
    if building.exists():
        if not (building / UNFINISHED).exists():
            raise ConfigError(
                "FG-HOME-02", "the folder beside the home is not empty", "Choose a new folder."
            )
        shutil.rmtree(building)


def activate_policy(home: Home, user: str) -> str:
    """Make the pack that stands in the home the active policy and return its version.

    Two approvers come with a later change; today one operator acts and the trail names them.

    Raises:
        GatewayFault, PolicyFault: The pack does not load; the old version stays active.
    """
    pack = policies.load.load_pack(home.path / "pack" / "gateways", home.path / "pack" / "policies")
    check_kinds(pack, home.tables)
    # The pointer is moved outside `Flow.commit`, which checks the pointer itself.
    with Flow(
        home,
        "activate_policy",
        "policy_publish",
        operator(home.profile, user),
        {"policy_hash": pack.version},
    ) as flow:
        with Session(home.casework) as session:
            pointer = session.get(PolicyPointer, 1)
            now = home.clock()
            if pointer is None:
                session.add(
                    PolicyPointer(version=pack.version, activated_at=now, activated_by=user)
                )
            else:
                pointer.version, pointer.activated_at, pointer.activated_by = (
                    pack.version, now, user
                )  # fmt: skip
            session.add(FlowCommit(intent=flow.intent, flow=flow.name, committed_at=now))
            session.commit()
        flow.committed = True
        home.__dict__.pop("pack", None)
        flow.finish({"policy_hash": pack.version})
    return pack.version


def add_account(
    home: Home, user: str, label: str, agency: str, role: str, purpose: str, *, by: str
) -> Entry:
    """Add or replace an account.

    Raises:
        ConfigError: ``FG-ACC-01`` when the agency does not hold the role or the purpose is unknown.
    """
    known = home.pack.vocabulary.roles.get(role)
    if (
        known is None
        or agency not in known.agencies
        or purpose not in home.pack.register.vocabulary.purposes
    ):
        raise ConfigError(
            "FG-ACC-01",
            "that agency does not hold that role, or the purpose is unknown",
            "See the roles in the pack's vocabulary.",
        )
    with Flow(
        home,
        "account",
        "config",
        operator(home.profile, by),
        {"grant": f"{role}@{agency}"},
    ) as flow:

        def publish(session: Session) -> None:
            found = session.get(Account, user)
            if found is not None:
                session.delete(found)
                session.flush()
            session.add(Account(user=user, label=label, agency=agency, role=role, purpose=purpose))

        flow.commit(publish)
        return flow.finish({"grant": f"{role}@{agency}"})


def accounts(home: Home) -> list[Account]:
    """Return the active accounts, in order of their ids."""
    with Session(reading(home.casework), expire_on_commit=False) as session:
        found = session.exec(select(Account).where(Account.active).order_by(Account.user))
        return list(found.all())


def set_flag(home: Home, person: str, flag: str, value: str, user: str) -> Entry:
    """Set a flag of a person, or a handling flag of every record of theirs, as trusted staff do.

    The flag is kept on the records, so that it stays with them through every merge and split.

    Args:
        home: The home.
        person: Casework pseudonym.
        flag: A subject flag or a record flag of the pack.
        value: ``y`` or ``n``.
        user: Who sets it.

    Raises:
        ConfigError: ``FG-FLAG-01`` unknown flag or value, ``FG-FLAG-02`` nobody has the reference.

    Audited as ``alteration``.
    """
    words = home.pack.vocabulary
    if flag not in words.subject_flags | words.record_flags or value not in ("y", "n"):
        raise ConfigError("FG-FLAG-01", "the flag or its value is unknown", "Use y or n.")
    person_id = home.domain("casework").parse(person)
    subject = home.domain("audit").text(home.domain("audit").seal([person_id])[0])
    details = {"subject": subject, "rules": [flag]}
    with Flow(home, "flag", "alteration", operator(home.profile, user), details) as flow:
        now = home.clock()
        records = _record_names(home, person_id)

        def publish(session: Session) -> None:
            state = session.get(SubjectState, person)
            if state is None or not records:
                raise ConfigError(
                    "FG-FLAG-02", "nobody has that reference", "Copy it again from the list."
                )
            if flag in words.subject_flags:
                state.flags = {**state.flags, flag: value}
            for record in records:
                session.merge(
                    RecordFlag(record=record, flag=flag, value=value, set_by=user, set_at=now)
                )

        flow.commit(publish)
        return flow.finish({**details, "rows": len(records)})


def _record_names(home: Home, person_id: bytes) -> list[str]:
    linkage, record = home.domain("linkage"), home.domain("record")
    ids = linkage.open(records_of(home.linkage, person_id, home.link_runs()))
    return [record.text(sealed) for sealed in record.seal(ids)]
