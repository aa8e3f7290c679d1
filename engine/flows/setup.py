"""Make a home, activate its policy, add accounts, set flags: the acts of an operator."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

from sqlmodel import Session, select

import policies.load
from audit.log import Entry
from engine.domain.errors import ConfigError
from engine.domain.ids import Actor, Clock, Randomness
from engine.flows.create import create_home
from engine.flows.home import UNFINISHED, Home
from engine.flows.intent import Flow
from engine.flows.kinds import check_kinds
from engine.flows.registry import release_first
from engine.linkage.index import records_of
from engine.settings import Settings
from engine.store.session import reading
from engine.store.tables import (
    Account,
    AgreementStop,
    FlagRegister,
    FlowCommit,
    PolicyPointer,
    RecordFlag,
    SubjectState,
)
from policies.model import Pack

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
        "demo.police_staff",
        "Police staff (demo)",
        "police",
        "police_staff",
        "crime_prevention",
    ),
    ("demo.youth_justice", "Youth offending team (demo)", "youth_justice", "youth_justice_worker",
     "safeguard_child"),
    ("demo.gp", "Safeguarding GP (demo)", "gp", "safeguarding_gp", "safeguard_child"),
    ("demo.benefits", "Benefits team (demo)", "benefits", "benefits_officer", "financial_support"),
    ("demo.employment", "Employment and skills (demo)", "employment", "employment_adviser",
     "neet_support"),
    ("demo.matcher", "Records matching (demo)", "council", "records_matcher", "safeguard_child"),
    ("demo.matcher_two", "Records matching, second reviewer (demo)", "council", "records_matcher",
     "safeguard_child"),
    ("demo.violence", "Violence reduction unit (demo)", "council", "violence_reduction",
     "serious_violence_prevention"),
    ("demo.ig_lead", "Governance lead (demo)", "council", "ig_lead", "safeguard_child"),
    ("demo.dpo", "Data protection officer (demo)", "council", "dpo", "safeguard_child"),
    ("demo.caldicott", "Caldicott Guardian (demo)", "health", "caldicott_guardian",
     "safeguard_child"),
    ("demo.police_ig", "Force information manager (demo)", "police", "police_ig",
     "crime_prevention"),
    ("demo.ig_officer", "Governance officer (demo)", "council", "ig_lead", "safeguard_child"),
    ("demo.police_data", "Police data team (demo)", "police", "data_submitter", "safeguard_child"),
    ("demo.schools_data", "Schools data team (demo)", "schools", "data_submitter",
     "safeguard_child"),
    ("demo.council_data", "Council data team (demo)", "council", "data_submitter",
     "safeguard_child"),
)  # fmt: skip


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
    first_policy(home, user)
    if profile == "demo":
        trained = (clock().date() + timedelta(days=365)).isoformat()
        for user_id, label, agency, role, purpose in DEMO_ACCOUNTS:
            add_account(home, user_id, label, agency, role, purpose, by=user, training=trained)
        for flag in ("adopted", "identity_changed", "staff_kin", "victim_safety"):
            declare_register(home, flag, user)
        release_first(home, "demo.ig_lead", "demo.dpo", operator(profile, user))
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


def first_policy(home: Home, user: str) -> str:
    """Make the pack that came with a new home its first active policy and return its version.

    Every later version goes through `engine.flows.policy_change`: proposed by one person, approved
    by others.

    Raises:
        GatewayFault, PolicyFault: The pack does not load.
        ConfigError: ``FG-POL-11`` a policy is active already.
    """
    pack = policies.load.load_pack(*home.draft)
    check_kinds(pack, home.tables)
    details = {"policy_hash": pack.version, "rules": ["first"]}
    with Flow(
        home, "first_policy", "policy_publish", operator(home.profile, user), details
    ) as flow:
        keep_version(home, pack)
        # The pointer is made outside `Flow.commit`, which checks the pointer itself.
        with Session(home.casework) as session:
            if session.get(PolicyPointer, 1) is not None:
                raise ConfigError(
                    "FG-POL-11",
                    "a policy is active in this home already",
                    "Propose the new one: fieldgate policy propose.",
                )
            now = home.clock()
            session.add(PolicyPointer(version=pack.version, activated_at=now, activated_by=user))
            session.add(FlowCommit(intent=flow.intent, flow=flow.name, committed_at=now))
            session.commit()
        flow.committed = True
        home.refresh_policy()
        flow.finish(details)
    return pack.version


def keep_version(home: Home, pack: Pack) -> None:
    """Keep a copy of the draft under its hash; a copy that is there already is the same text.

    Raises:
        ConfigError: ``FG-POL-12`` the draft changed while it was copied.
    """
    target = home.path / "pack" / "versions" / pack.version
    if target.exists():
        return
    building = target.with_name(f"{pack.version}.building")
    shutil.rmtree(building, ignore_errors=True)
    for source, name in zip(home.draft, ("gateways", "policies"), strict=True):
        shutil.copytree(source, building / name)
    if (
        policies.load.load_pack(building / "gateways", building / "policies").version
        != pack.version
    ):
        shutil.rmtree(building)
        raise ConfigError("FG-POL-12", "the draft changed while it was copied", "Try again.")
    building.rename(target)


def add_account(
    home: Home,
    user: str,
    label: str,
    agency: str,
    role: str,
    purpose: str,
    *,
    by: str,
    training: str | None = None,
) -> Entry:
    """Add or replace an account.

    Args:
        home: The home.
        user: Name of the account.
        label: How it is shown.
        agency: Agency whose staff the person is.
        role: Role of the pack.
        purpose: Purpose the role works under.
        by: Who adds it.
        training: Last day on which the person's training counts, year-month-day; a role that needs
            training is suspended without one (LAW-14).

    Raises:
        ConfigError: ``FG-ACC-01`` when the agency does not hold the role or the purpose is unknown,
            ``FG-ACC-02`` when the training date is none.
    """
    _must_be_a_date(training)
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
            session.add(
                Account(
                    user=user,
                    label=label,
                    agency=agency,
                    role=role,
                    purpose=purpose,
                    training_until=training,
                )
            )

        flow.commit(publish)
        return flow.finish({"grant": f"{role}@{agency}"})


def _must_be_a_date(training: str | None) -> None:
    try:
        if training is not None:
            date.fromisoformat(training)
    except ValueError:
        raise ConfigError(
            "FG-ACC-02", "the training date is not year-month-day", "Write 2027-11-25."
        ) from None


def accounts(home: Home) -> list[Account]:
    """Return the active accounts, in order of their ids."""
    with Session(reading(home.casework), expire_on_commit=False) as session:
        found = session.exec(select(Account).where(Account.active).order_by(Account.user))
        return list(found.all())


def declare_register(home: Home, flag: str, user: str) -> Entry:
    """State that the host's register of a subject flag is complete.

    From then on somebody of whom no record states the flag does not bear it; before, it is unknown
    and takes the strictest reading.

    Raises:
        ConfigError: ``FG-FLAG-01`` the flag is no subject flag, or one that no register decides.

    Audited as ``config``.
    """
    if flag not in home.pack.vocabulary.subject_flags - {"child"}:
        raise ConfigError("FG-FLAG-01", "the flag or its value is unknown", "Use a subject flag.")
    details = {"rules": ["register", flag]}
    with Flow(home, "register", "config", operator(home.profile, user), details) as flow:

        def publish(session: Session) -> None:
            session.merge(FlagRegister(flag=flag, declared_by=user, declared_at=home.clock()))

        flow.commit(publish)
        return flow.finish(details)


def stop_agreement(home: Home, agreement: str, user: str, *, stopped: bool) -> Entry:
    """Suspend an agreement, or let it carry data again; everything under it stops at once.

    Raises:
        ConfigError: ``FG-AGR-01`` no such agreement, ``FG-AGR-02`` it is that way already.

    Audited as ``config`` with the agreement's id.
    """
    if agreement not in home.pack.register.agreements:
        raise ConfigError("FG-AGR-01", "no agreement has that id", "See fieldgate agreement list.")
    details = {"rules": ["suspend" if stopped else "resume", agreement]}
    actor = operator(home.profile, user)
    with Flow(home, "agreement", "config", actor, details) as flow:

        def publish(session: Session) -> None:
            found = session.get(AgreementStop, agreement)
            if (found is not None) is stopped:
                raise ConfigError(
                    "FG-AGR-02", "the agreement is that way already", "Nothing is to be done."
                )
            if found is not None:
                session.delete(found)
            else:
                session.add(
                    AgreementStop(agreement=agreement, stopped_by=user, stopped_at=home.clock())
                )

        flow.commit(publish)
        home.refresh_policy()
        return flow.finish(details)


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
