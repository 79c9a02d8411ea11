"""Use cases of one-time codes and recovery codes."""

import math
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from chassis.clock import utcnow
from chassis.db.sealed import check_sealed, reseal
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.sealing import KeyRing, SealError
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from auth_service.account_mail.events import request_mail
from auth_service.account_mail.rules import MailKind
from auth_service.audit import service as audit
from auth_service.audit.rules import AuditAction
from auth_service.second_factors import repository
from auth_service.second_factors.errors import (
    InvalidOtp,
    NoSecondFactor,
    TooManyOtpTries,
    TotpAlreadyEnabled,
    TotpNotEnabled,
    TotpNotPending,
)
from auth_service.second_factors.rules import (
    MAX_TRIES,
    PENDING_FOR,
    WINDOW,
    FactorMethod,
    is_totp,
    new_recovery_codes,
    new_seed,
    otpauth_uri,
    recovery_digest,
    seed_place,
    step_of,
    tidy,
)
from auth_service.second_factors.schemas import MfaOut, TotpSetupOut
from auth_service.sessions import service as sessions
from auth_service.sessions.service import Lifetimes

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FactorTerms:
    """What second factors need of the service: `ring` seals seeds, `mail_ring` mails."""

    ring: KeyRing
    mail_ring: KeyRing
    lifetimes: Lifetimes


async def begin_totp(session: AsyncSession, *, caller: Principal, terms: FactorTerms) -> TotpSetupOut:
    """Make a seed, in place of an earlier one that was not confirmed. Raises TotpAlreadyEnabled."""
    account = await sessions.lock_caller(session, caller)
    totp_id, seed, now = uuid7(), new_seed(), utcnow()
    sealed = terms.ring.seal(seed.encode(), place=seed_place(totp_id))
    values = {"id": totp_id, "user_id": caller.user_id, "secret_sealed": sealed, "created_at": now}
    if not await repository.put_pending(session, values):
        raise TotpAlreadyEnabled
    uri = otpauth_uri(seed, owner=account["email"])
    return TotpSetupOut(secret=seed, otpauth_uri=uri, expires_at=now + PENDING_FOR)


async def confirm_totp(session: AsyncSession, *, caller: Principal, code: str, terms: FactorTerms) -> list[str]:
    """Put the pending generator into force, end all other sessions, and return new recovery codes.

    Raises TotpNotPending, InvalidOtp, or TooManyOtpTries.
    """
    account, now = await sessions.lock_caller(session, caller), utcnow()
    pending = await repository.find_totp(session, caller.user_id)
    if pending is None or pending["confirmed_at"] is not None or pending["created_at"] + PENDING_FOR <= now:
        raise TotpNotPending
    await _count_try(session, caller.user_id)
    step = step_of(_seed(pending, terms), tidy(code), now=now) if is_totp(tidy(code)) else None
    if step is None or not await repository.confirm_totp(session, pending["id"], step=step, now=now):
        raise InvalidOtp(field="code")
    await repository.forget_tries(session, caller.user_id)
    codes = await _new_codes(session, caller.user_id)
    await repository.settle(session, caller.user_id)
    await sessions.prove(session, session_id=caller.session_id, second_factor=True)
    await _tell_change(session, account, caller, AuditAction.TOTP_ENABLED, MailKind.SECOND_FACTOR_ADDED, terms)
    return codes


async def disable_totp(session: AsyncSession, *, caller: Principal, terms: FactorTerms) -> None:
    """Remove the generator, and the recovery codes with the last second factor. Raises TotpNotEnabled."""
    account = await sessions.lock_caller(session, caller)
    if not await repository.delete_totp(session, caller.user_id):
        raise TotpNotEnabled
    await settle(session, caller.user_id)
    await _tell_change(session, account, caller, AuditAction.TOTP_DISABLED, MailKind.SECOND_FACTOR_REMOVED, terms)


async def renew_recovery_codes(session: AsyncSession, *, caller: Principal, terms: FactorTerms) -> list[str]:
    """Return new recovery codes, which void the old ones. Raises NoSecondFactor."""
    account = await sessions.lock_caller(session, caller)
    if not account["has_second_factor"]:
        raise NoSecondFactor
    codes = await _new_codes(session, caller.user_id)
    await audit.record(session, AuditAction.RECOVERY_CODES_RENEWED, subject_id=caller.user_id, actor=caller)
    await request_mail(session, ring=terms.mail_ring, kind=MailKind.RECOVERY_CODES_RENEWED, account=account)
    return codes


async def prove_otp(session: AsyncSession, *, account: RowMapping, otp: str, terms: FactorTerms) -> FactorMethod | None:
    """Use a one-time or recovery code up and return which it was; None, and the try counted, for a wrong one.

    Raises TooManyOtpTries. Whoever gets None must refuse with an error that is persisted.
    """
    await _count_try(session, account["id"])
    method = await _use(session, account, otp, terms)
    if method is not None:
        await repository.forget_tries(session, account["id"])
    return method


async def methods_of(reader: AsyncSession | AsyncConnection, user_id: UUID) -> list[FactorMethod]:
    """Return what may stand for the second factor of an account."""
    return _methods(await repository.summary(reader, user_id))


async def overview(reader: AsyncConnection, user_id: UUID) -> MfaOut:
    """Return the second factors of an account."""
    row = await repository.summary(reader, user_id)
    has_totp = row["totp_confirmed_at"] is not None
    return MfaOut(
        enabled=has_totp or row["passkeys"] > 0,
        totp=has_totp,
        totp_confirmed_at=row["totp_confirmed_at"],
        passkeys=row["passkeys"],
        recovery_codes_left=row["recovery_codes_left"],
        methods=_methods(row),
    )


async def settle(session: AsyncSession, user_id: UUID) -> None:
    """Note whether an account, which is locked, has a second factor; without one its recovery codes go."""
    if not await repository.settle(session, user_id):
        await repository.replace_codes(session, user_id, [])


async def remove_all(session: AsyncSession, *, user_id: UUID) -> None:
    """Remove generator and recovery codes from a locked account; its passkeys are removed before."""
    await repository.delete_all(session, user_id)
    await settle(session, user_id)


async def check_seeds(session: AsyncSession, ring: KeyRing) -> None:
    """Raise SealError when a seed is sealed with a key that the ring has not, which a restart must not hide (R43)."""
    await check_sealed(session, [repository.SEED], ring=ring)


async def reseal_seeds(session: AsyncSession, ring: KeyRing) -> bool:
    """Seal a batch of seeds with the newest key (R43); return whether there may be more."""
    return await reseal(session, repository.SEED, ring=ring)


async def _use(session: AsyncSession, account: RowMapping, otp: str, terms: FactorTerms) -> FactorMethod | None:
    code, digest = tidy(otp), recovery_digest(otp)
    if is_totp(code):
        return "totp" if await _use_totp(session, account["id"], code, terms) else None
    if digest is None or not await repository.use_code(session, account["id"], digest, now=utcnow()):
        return None
    left = (await repository.summary(session, account["id"]))["recovery_codes_left"]
    user_id, details = account["id"], {"left": str(left)}
    await audit.record(
        session, AuditAction.RECOVERY_CODE_USED, subject_id=user_id, actor_id=user_id, details={"left": left}
    )
    await request_mail(
        session, ring=terms.mail_ring, kind=MailKind.RECOVERY_CODE_USED, account=account, details=details
    )
    return "recovery_code"


async def _use_totp(session: AsyncSession, user_id: UUID, code: str, terms: FactorTerms) -> bool:
    generator = await repository.find_totp(session, user_id)
    if generator is None or generator["confirmed_at"] is None:
        return False
    try:
        seed = _seed(generator, terms)
    except SealError:
        # Recovery codes still work; what was moved here from elsewhere, or can't be read any more, never does.
        log.error("totp.seed_unreadable", totp_id=str(generator["id"]))  # noqa: TRY400 - its trace would show values
        return False
    step = step_of(seed, code, now=utcnow())
    return step is not None and await repository.use_step(session, generator["id"], step)


async def _count_try(session: AsyncSession, user_id: UUID) -> None:
    now = utcnow()
    if await repository.count_try(session, user_id, now=now, since=now - WINDOW, most=MAX_TRIES):
        return
    began = await repository.tries_began_at(session, user_id)
    raise TooManyOtpTries(retry_after=_seconds_until((began or now) + WINDOW, now))


def _seconds_until(end: datetime, now: datetime) -> int:
    return max(math.ceil((end - now).total_seconds()), 1)


async def _new_codes(session: AsyncSession, user_id: UUID) -> list[str]:
    codes = new_recovery_codes()
    await repository.replace_codes(session, user_id, [digest for one in codes if (digest := recovery_digest(one))])
    return codes


async def _tell_change(
    session: AsyncSession,
    account: RowMapping,
    caller: Principal,
    action: AuditAction,
    mail: MailKind,
    terms: FactorTerms,
) -> None:
    await sessions.end_sessions(session, user_id=caller.user_id, lifetimes=terms.lifetimes, keep=caller.session_id)
    await audit.record(session, action, subject_id=caller.user_id, actor=caller)
    await request_mail(session, ring=terms.mail_ring, kind=mail, account=account)


def _methods(row: RowMapping) -> list[FactorMethod]:
    found: list[FactorMethod] = []
    if row["totp_confirmed_at"] is not None:
        found.append("totp")
    if row["recovery_codes_left"]:
        found.append("recovery_code")
    if row["passkeys"]:
        found.append("passkey")
    return found


def _seed(row: RowMapping, terms: FactorTerms) -> str:
    return terms.ring.open(row["secret_sealed"], place=seed_place(row["id"])).decode()
