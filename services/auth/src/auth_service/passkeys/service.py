"""Use cases of passkeys: register, log in, prove, rename, remove."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.sealing import KeyRing
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession
from webauthn.helpers import base64url_to_bytes

from auth_service.account_mail.events import request_mail
from auth_service.account_mail.rules import MailKind
from auth_service.audit import service as audit
from auth_service.audit.rules import AuditAction
from auth_service.passkeys import repository
from auth_service.passkeys.errors import (
    LastCredential,
    PasskeyNotAccepted,
    PasskeyNotFound,
    PasskeyRefused,
    PasskeyTaken,
    TooManyPasskeys,
)
from auth_service.passkeys.rules import (
    CHALLENGE_LIFE,
    MAX_PASSKEYS,
    Purpose,
    RelyingParty,
    Unverifiable,
    assertion_options,
    new_challenge,
    registration_options,
    user_handle,
    verify_assertion,
    verify_registration,
)
from auth_service.passkeys.schemas import ChallengeOut, PasskeyRegistration, UsedPasskey
from auth_service.second_factors import service as factors
from auth_service.sessions import service as sessions
from auth_service.sessions.service import Grant, Lifetimes, Proof, SessionTerms
from auth_service.users import repository as users


@dataclass(frozen=True, slots=True)
class PasskeyTerms:
    """What passkeys need of the service."""

    party: RelyingParty
    mail_ring: KeyRing
    lifetimes: Lifetimes


async def begin_registration(session: AsyncSession, *, caller: Principal, terms: PasskeyTerms) -> ChallengeOut:
    """Return options for a new passkey of the caller. Raises TooManyPasskeys."""
    account = await sessions.lock_caller(session, caller)
    known = [row["credential_id"] for row in await repository.list_of(session, caller.user_id)]
    if len(known) >= MAX_PASSKEYS:
        raise TooManyPasskeys
    challenge = new_challenge()
    options = registration_options(
        terms.party,
        user_id=account["id"],
        name=account["email"],
        display_name=account["display_name"],
        challenge=challenge,
        known=known,
    )
    return await _keep(session, challenge, options, purpose="registration", user_id=caller.user_id)


async def register(
    session: AsyncSession, *, caller: Principal, wanted: PasskeyRegistration, terms: PasskeyTerms
) -> RowMapping:
    """Add a passkey, and end all other sessions. Raises PasskeyNotAccepted, PasskeyTaken or TooManyPasskeys."""
    account, now = await sessions.lock_caller(session, caller), utcnow()
    challenge = await repository.take_challenge(
        session, wanted.challenge_id, purpose="registration", user_id=caller.user_id, now=now
    )
    if challenge is None:
        raise PasskeyNotAccepted(field="challenge_id")
    try:
        made = verify_registration(terms.party, _plain(wanted.credential), challenge=challenge)
    except Unverifiable as reason:
        raise PasskeyNotAccepted(field="credential", log_detail=str(reason)) from None
    if await repository.count_of(session, caller.user_id) >= MAX_PASSKEYS:
        raise TooManyPasskeys
    values = {
        "id": uuid7(),
        "user_id": caller.user_id,
        "credential_id": made.credential_id,
        "public_key": made.public_key,
        "sign_count": made.sign_count,
        "transports": wanted.credential.response.transports,
        "backup_eligible": made.backup_eligible,
        "backed_up": made.backed_up,
        "name": wanted.name,
        "created_at": now,
    }
    row = await repository.add(session, values)
    if row is None:
        raise PasskeyTaken
    await sessions.prove(session, session_id=caller.session_id, second_factor=True)
    await _tell_change(session, account, caller, row, AuditAction.PASSKEY_ADDED, MailKind.PASSKEY_ADDED, terms)
    return row


async def begin_login(session: AsyncSession, *, terms: PasskeyTerms) -> ChallengeOut:
    """Return options for a login without a password; they are the same for everybody, but for the challenge."""
    challenge = new_challenge()
    options = assertion_options(terms.party, challenge=challenge, allowed=[], verify_user=True)
    return await _keep(session, challenge, options, purpose="login", user_id=None)


async def log_in(
    session: AsyncSession, *, challenge_id: UUID, credential: UsedPasskey, terms: PasskeyTerms, rules: SessionTerms
) -> Grant:
    """Start a session by a passkey, which has verified its user. Raises PasskeyRefused, or as start_session."""
    try:
        account = await _use_for_login(session, challenge_id, credential, terms)
    except PasskeyRefused as refusal:
        owner_id = await _owner_of(session, _plain(credential))
        details = {"methods": ["passkey"], "refusal": refusal.code}
        await audit.record(session, AuditAction.LOGIN, subject_id=owner_id, outcome="refused", details=details)
        raise
    proof = Proof(("passkey",), second_factor=True)
    return await sessions.start_session(session, account=account, proof=proof, terms=rules)


async def begin_proof(
    session: AsyncSession, *, user_id: UUID, purpose: Purpose, terms: PasskeyTerms
) -> ChallengeOut | None:
    """Return options to prove to own an account by one of its passkeys; None when it has none."""
    allowed = [row["credential_id"] for row in await repository.list_of(session, user_id)]
    if not allowed:
        return None
    challenge = new_challenge()
    options = assertion_options(terms.party, challenge=challenge, allowed=allowed, verify_user=False)
    return await _keep(session, challenge, options, purpose=purpose, user_id=user_id)


async def prove(
    session: AsyncSession,
    *,
    account: RowMapping,
    challenge_id: UUID | None,
    credential: UsedPasskey,
    purpose: Purpose,
    terms: PasskeyTerms,
) -> None:
    """Accept a passkey as the second factor of a locked account. Raises PasskeyRefused."""
    challenge = None
    if challenge_id is not None:
        challenge = await repository.take_challenge(
            session, challenge_id, purpose=purpose, user_id=account["id"], now=utcnow()
        )
    if challenge is None:
        raise PasskeyRefused
    await _use(session, credential, challenge=challenge, account=account, verify_user=False, terms=terms)


async def rename(session: AsyncSession, *, caller: Principal, passkey_id: UUID, name: str) -> RowMapping:
    """Give a passkey another name. Raises PasskeyNotFound."""
    row = await repository.rename(session, passkey_id, user_id=caller.user_id, name=name)
    if row is None:
        raise PasskeyNotFound
    details = {"passkey_id": str(passkey_id)}
    await audit.record(session, AuditAction.PASSKEY_CHANGED, subject_id=caller.user_id, actor=caller, details=details)
    return row


async def find(session: AsyncSession, *, caller: Principal, passkey_id: UUID) -> RowMapping:
    """Return one of the caller's passkeys. Raises PasskeyNotFound."""
    for row in await repository.list_of(session, caller.user_id):
        if row["id"] == passkey_id:
            return row
    raise PasskeyNotFound


async def remove(
    session: AsyncSession, *, caller: Principal, passkey_id: UUID, providers: Collection[str], terms: PasskeyTerms
) -> None:
    """Remove a passkey, and end all other sessions. Raises PasskeyNotFound or LastCredential."""
    account = await sessions.lock_caller(session, caller)
    row = await repository.remove(session, passkey_id, user_id=caller.user_id)
    if row is None:
        raise PasskeyNotFound
    if not await has_way_in(session, account, providers=providers):
        raise LastCredential
    await _tell_change(session, account, caller, row, AuditAction.PASSKEY_REMOVED, MailKind.PASSKEY_REMOVED, terms)


async def count(session: AsyncSession, *, user_id: UUID) -> int:
    """Return how many passkeys an account has."""
    return await repository.count_of(session, user_id)


async def has_way_in(session: AsyncSession, account: RowMapping, *, providers: Collection[str]) -> bool:
    """Tell whether anybody can log in to a locked account: by password, passkey, or one of the providers there are."""
    if account["password_hash"] is not None:
        return True
    return await repository.has_another_way(session, account["id"], providers=providers)


async def remove_all(session: AsyncSession, *, user_id: UUID) -> None:
    """Remove all passkeys of a locked account, whose second factors are settled afterwards."""
    await repository.remove_all(session, user_id)


async def _keep(
    session: AsyncSession, challenge: bytes, options: dict[str, Any], *, purpose: Purpose, user_id: UUID | None
) -> ChallengeOut:
    challenge_id, end = uuid7(), utcnow() + CHALLENGE_LIFE
    values = {"id": challenge_id, "purpose": purpose, "user_id": user_id, "challenge": challenge, "expires_at": end}
    await repository.add_challenge(session, values)
    return ChallengeOut(challenge_id=challenge_id, public_key=options, expires_at=end)


async def _use_for_login(
    session: AsyncSession, challenge_id: UUID, credential: UsedPasskey, terms: PasskeyTerms
) -> RowMapping:
    challenge = await repository.take_challenge(session, challenge_id, purpose="login", user_id=None, now=utcnow())
    if challenge is None or credential.response.user_handle is None:
        raise PasskeyRefused
    return await _use(session, credential, challenge=challenge, account=None, verify_user=True, terms=terms)


async def _owner_of(session: AsyncSession, plain: dict[str, Any]) -> UUID | None:
    """Return whose passkey an answer names, if anybody's, whatever else is wrong with it."""
    try:
        found = await repository.find_by_credential(session, base64url_to_bytes(plain["rawId"]))
    except ValueError:
        return None
    return None if found is None else found["user_id"]


async def _use(
    session: AsyncSession,
    credential: UsedPasskey,
    *,
    challenge: bytes,
    account: RowMapping | None,
    verify_user: bool,
    terms: PasskeyTerms,
) -> RowMapping:
    """Return whose passkey signed the challenge, its use noted; `account` is whose it has to be, if anybody's."""
    plain = _plain(credential)
    owner, found = await _locked(session, plain, account)
    try:
        said = verify_assertion(
            terms.party, plain, challenge=challenge, public_key=found["public_key"], verify_user=verify_user
        )
    except Unverifiable as reason:
        raise PasskeyRefused(log_detail=str(reason)) from None
    now = utcnow()
    if not await repository.note_use(
        session, found["id"], sign_count=said.sign_count, backed_up=said.backed_up, now=now
    ):
        await _suspect(session, owner, found, said.sign_count, terms)
    return owner


async def _locked(
    session: AsyncSession, plain: dict[str, Any], account: RowMapping | None
) -> tuple[RowMapping, RowMapping]:
    """Return the passkey that an answer names, and before it its account, locked first, as by who removes passkeys.

    A given `account` has to be that one, and is locked already.
    """
    try:
        credential_id = base64url_to_bytes(plain["rawId"])
        handle = plain["response"].get("userHandle")
        named = None if handle is None else base64url_to_bytes(handle)
    except ValueError:
        raise PasskeyRefused from None
    found = await repository.find_by_credential(session, credential_id)
    if found is None or (account is not None and account["id"] != found["user_id"]):
        raise PasskeyRefused
    if named is not None and named != user_handle(found["user_id"]):
        raise PasskeyRefused(log_detail="the user handle is not the account's")
    if account is not None:
        return account, found
    account = await users.lock(session, found["user_id"])
    found = await repository.find_by_credential(session, credential_id)
    if account is None or found is None:
        raise PasskeyRefused
    return account, found


async def _suspect(
    session: AsyncSession, account: RowMapping, found: RowMapping, sign_count: int, terms: PasskeyTerms
) -> None:
    """Refuse a counter that has not risen, and tell the owner: there may be a copy of the passkey."""
    details = {"passkey_id": str(found["id"]), "counter": sign_count, "known": found["sign_count"]}
    await audit.record(
        session, AuditAction.PASSKEY_SUSPECT, subject_id=account["id"], outcome="refused", details=details
    )
    kind, name = MailKind.PASSKEY_SUSPECT, {"name": found["name"]}
    await request_mail(session, ring=terms.mail_ring, kind=kind, account=account, details=name)
    raise PasskeyRefused(log_detail="the counter has not risen")


async def _tell_change(
    session: AsyncSession,
    account: RowMapping,
    caller: Principal,
    row: RowMapping,
    action: AuditAction,
    mail: MailKind,
    terms: PasskeyTerms,
) -> None:
    await factors.settle(session, caller.user_id)
    await sessions.end_sessions(session, user_id=caller.user_id, lifetimes=terms.lifetimes, keep=caller.session_id)
    details = {"passkey_id": str(row["id"])}
    await audit.record(session, action, subject_id=caller.user_id, actor=caller, details=details)
    await request_mail(session, ring=terms.mail_ring, kind=mail, account=account, details={"name": row["name"]})


def _plain(credential: Any) -> dict[str, Any]:
    plain: dict[str, Any] = credential.model_dump(by_alias=True, exclude_none=True)
    return plain
