"""Proving to be the owner of an account: by a password, then by a second factor where there is one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.identity import Principal
from chassis.secret_tokens import token_digest
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from auth_service.audit import service as audit
from auth_service.audit.rules import AuditAction
from auth_service.credentials import service as credentials
from auth_service.credentials.errors import InvalidCredentials
from auth_service.credentials.service import Attempt, Verdict
from auth_service.passkeys import service as passkeys
from auth_service.passkeys.errors import PasskeyRefused
from auth_service.passkeys.rules import Purpose
from auth_service.passkeys.schemas import ChallengeOut, UsedPasskey
from auth_service.passkeys.service import PasskeyTerms
from auth_service.passwords.service import PasswordHasher
from auth_service.proofs import repository
from auth_service.proofs.errors import InvalidMfaToken, MfaRequired
from auth_service.proofs.rules import MFA_TOKEN, TICKET_LIFE, password_digest
from auth_service.proofs.schemas import MfaLogin, StepUp
from auth_service.second_factors import service as factors
from auth_service.second_factors.errors import InvalidOtp, NoSecondFactor
from auth_service.second_factors.service import FactorTerms
from auth_service.sessions import service as sessions
from auth_service.sessions.errors import StepUpRequired
from auth_service.sessions.rules import Method
from auth_service.sessions.service import Grant, Proof, SessionTerms
from auth_service.users import repository as users

PASSWORD = Proof(("password",))


@dataclass(frozen=True, slots=True)
class GivenPasskey:
    """A passkey that somebody gives, and what for."""

    challenge_id: UUID | None
    credential: UsedPasskey
    purpose: Purpose


async def log_in(
    session: AsyncSession,
    *,
    attempt: Attempt,
    primary: AsyncEngine,
    hasher: PasswordHasher,
    terms: SessionTerms,
    factor_terms: FactorTerms,
    passkey_terms: PasskeyTerms,
) -> Grant:
    """Start a session by a password, and by a second factor where the account has one.

    Raises what credentials and sessions have against the password or the account, MfaRequired, InvalidOtp, or
    TooManyOtpTries.
    """
    verdict = await credentials.verify_password(
        attempt=attempt, primary=primary, hasher=hasher, verification_required=terms.verification_required
    )
    found, counted = await credentials.accept_password(session, verdict)
    account = await sessions.admit(session, account_id=found["id"], proof=PASSWORD, terms=terms)
    credentials.confirm_password(verdict, account)
    proof = await prove_second_factor(
        session, account=account, otp=attempt.otp, factor_terms=factor_terms, passkey_terms=passkey_terms
    )
    await credentials.forget_failures(session, verdict.origin, counted=counted)
    return await sessions.start_session(session, account=account, proof=proof, terms=terms)


async def complete_login(
    session: AsyncSession,
    *,
    step: MfaLogin,
    terms: SessionTerms,
    factor_terms: FactorTerms,
    passkey_terms: PasskeyTerms,
) -> Grant:
    """Start the session of a login that waited for its second factor.

    Raises InvalidMfaToken, PasskeyRefused, and as `log_in`.
    """
    digest = token_digest(step.mfa_token)
    ticket = await repository.lock(session, digest, now=utcnow()) if MFA_TOKEN.fits(step.mfa_token) else None
    owner = None if ticket is None else await users.find(session, ticket["user_id"])
    if ticket is None or owner is None:
        raise InvalidMfaToken
    first = Proof((ticket["method"],))
    # Failures, then account: the order of locks in which every login takes them.
    origin = credentials.origin_of(owner["email_canonical"])
    counted = await credentials.hold_failures(session, origin)
    account = await sessions.admit(session, account_id=owner["id"], proof=first, terms=terms)
    if password_digest(account["password_hash"]) != ticket["password_digest"]:
        raise InvalidMfaToken
    if step.credential is None:
        proof = await _prove_otp(session, account=account, otp=step.otp or "", terms=factor_terms, first=first)
    else:
        given = GivenPasskey(ticket["challenge_id"], step.credential, "second_factor")
        proof = await _add_passkey(session, account, given, passkey_terms, first=first)
    await repository.use(session, digest)
    await credentials.forget_failures(session, origin, counted=counted)
    return await sessions.start_session(session, account=account, proof=proof, terms=terms)


async def prove_second_factor(
    session: AsyncSession,
    *,
    account: RowMapping,
    otp: str | None,
    factor_terms: FactorTerms,
    passkey_terms: PasskeyTerms,
    first: Proof = PASSWORD,
    passkey: GivenPasskey | None = None,
) -> Proof:
    """Return the proof of somebody whose first one, such as the password, was right; `account` is locked.

    Without a second factor that is proof enough. Raises MfaRequired with a ticket when one is needed and there is
    neither a code nor a passkey, InvalidOtp, TooManyOtpTries, or PasskeyRefused.
    """
    if not account["has_second_factor"]:
        return first
    if passkey is not None:
        return await _add_passkey(session, account, passkey, passkey_terms, first=first)
    if otp is None:
        data = await _ticket(session, account, passkey_terms, first)
        await sessions.refuse(session, account=account, proof=first, refusal=MfaRequired(data=data))
    return await _prove_otp(session, account=account, otp=otp, terms=factor_terms, first=first)


async def void_tickets(session: AsyncSession, *, user_id: UUID, method: Method) -> None:
    """Let no login go on whose first proof was of a method that an account, which is locked, has no more."""
    await repository.delete_of(session, user_id, method=method)


async def begin_step_up(session: AsyncSession, *, caller: Principal, terms: PasskeyTerms) -> ChallengeOut:
    """Return options to step up by a passkey. Raises NoSecondFactor when the caller has none."""
    begun = await passkeys.begin_proof(session, user_id=caller.user_id, purpose="step_up", terms=terms)
    if begun is None:
        raise NoSecondFactor
    return begun


async def step_up(
    session: AsyncSession,
    *,
    caller: Principal,
    given: StepUp,
    verdict: Verdict | None,
    terms: SessionTerms,
    factor_terms: FactorTerms,
    passkey_terms: PasskeyTerms,
) -> datetime:
    """Renew the proof of the caller's session, and return how long it holds; `verdict` is on the given password.

    Raises StepUpRequired when what is needed was not given, InvalidCredentials, TooManyFailures, InvalidOtp,
    TooManyOtpTries or PasskeyRefused.
    """
    if verdict is not None:
        await credentials.hold_failures(session, verdict.origin)
    account = await sessions.lock_caller(session, caller)
    second_factor: bool = account["has_second_factor"]
    if not second_factor:
        method = await _step_up_by_password(session, account, caller, verdict)
    elif given.credential is not None:
        passkey = GivenPasskey(given.challenge_id, given.credential, "step_up")
        method = await _prove_passkey(session, account, passkey, passkey_terms, action=AuditAction.STEP_UP)
    else:
        method = await _step_up_by_code(session, account, caller, given.otp, factor_terms)
    await sessions.prove(session, session_id=caller.session_id, second_factor=second_factor)
    details = {"methods": [method]}
    await audit.record(session, AuditAction.STEP_UP, subject_id=caller.user_id, actor=caller, details=details)
    return utcnow() + terms.step_up


async def accepted_methods(session: AsyncSession, user_id: UUID) -> list[str]:
    """Return what an account may step up by."""
    account = await users.find(session, user_id)
    return [] if account is None else await _accepted(session, account)


async def _accepted(session: AsyncSession, account: RowMapping) -> list[str]:
    if account["has_second_factor"]:
        return [*await factors.methods_of(session, account["id"])]
    return [] if account["password_hash"] is None else ["password"]


async def _step_up_by_code(
    session: AsyncSession, account: RowMapping, caller: Principal, otp: str | None, terms: FactorTerms
) -> Method:
    if otp is None:
        raise StepUpRequired(data={"methods": await _accepted(session, account)})
    method = await factors.prove_otp(session, account=account, otp=otp, terms=terms)
    if method is not None:
        return method
    await audit.record(session, AuditAction.STEP_UP, subject_id=account["id"], actor=caller, outcome="refused")
    raise InvalidOtp(field="otp")


async def _step_up_by_password(
    session: AsyncSession, account: RowMapping, caller: Principal, verdict: Verdict | None
) -> Method:
    if verdict is None:
        raise StepUpRequired(data={"methods": await _accepted(session, account)})
    _, counted = await credentials.accept_password(session, verdict, action=AuditAction.STEP_UP, actor=caller)
    if verdict.account is None or account["password_hash"] != verdict.account["password_hash"]:
        raise InvalidCredentials
    await credentials.forget_failures(session, verdict.origin, counted=counted)
    return "password"


async def _prove_otp(
    session: AsyncSession, *, account: RowMapping, otp: str, terms: FactorTerms, first: Proof
) -> Proof:
    """Return the proof of a right first one and a right code. Raises InvalidOtp or TooManyOtpTries."""
    method = await factors.prove_otp(session, account=account, otp=otp, terms=terms)
    if method is None:
        await sessions.refuse(session, account=account, proof=first, refusal=InvalidOtp(field="otp"))
    return Proof((*first.methods, method), second_factor=True)


async def _add_passkey(
    session: AsyncSession, account: RowMapping, given: GivenPasskey, terms: PasskeyTerms, *, first: Proof
) -> Proof:
    method = await _prove_passkey(session, account, given, terms, action=AuditAction.LOGIN)
    return Proof((*first.methods, method), second_factor=True)


async def _prove_passkey(
    session: AsyncSession, account: RowMapping, given: GivenPasskey, terms: PasskeyTerms, *, action: AuditAction
) -> Method:
    try:
        await passkeys.prove(
            session,
            account=account,
            challenge_id=given.challenge_id,
            credential=given.credential,
            purpose=given.purpose,
            terms=terms,
        )
    except PasskeyRefused as refusal:
        details = {"methods": ["passkey"], "refusal": refusal.code}
        await audit.record(session, action, subject_id=account["id"], outcome="refused", details=details)
        raise
    return "passkey"


async def _ticket(session: AsyncSession, account: RowMapping, terms: PasskeyTerms, first: Proof) -> dict[str, Any]:
    token, end = MFA_TOKEN.new(), utcnow() + TICKET_LIFE
    begun = await passkeys.begin_proof(session, user_id=account["id"], purpose="second_factor", terms=terms)
    values = {
        "hash": token_digest(token),
        "user_id": account["id"],
        "method": first.methods[0],
        "password_digest": password_digest(account["password_hash"]),
        "challenge_id": begun and begun.challenge_id,
        "expires_at": end,
    }
    await repository.add(session, values)
    methods = await factors.methods_of(session, account["id"])
    return {
        "mfa_token": token,
        "methods": methods,
        "passkey": begun and begun.public_key,
        "challenge_id": begun and begun.challenge_id,
        "expires_at": end,
    }
