"""Checking passwords, so that guessing them gets nobody far (R9, R10)."""

import math
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.addresses import EmailAddress, parse_email
from chassis.clock import utcnow
from chassis.context import current_request
from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from auth_service.audit import service as audit
from auth_service.audit.rules import AuditAction
from auth_service.credentials import repository
from auth_service.credentials.errors import InvalidCredentials, TooManyFailures
from auth_service.credentials.rules import (
    ACCOUNT_FAILURES,
    Origin,
    account_digest,
    counted_address,
    delay_after,
    network_of,
)
from auth_service.mail_requests import service as mail_requests
from auth_service.mail_requests.rules import RequestKind
from auth_service.passwords.service import PasswordHasher
from auth_service.users import repository as users


@dataclass(frozen=True, slots=True)
class Attempt:
    """A password that somebody tries."""

    email: str
    password: str
    otp: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a password fits, for `accept_password`; with a fresh hash of it where the stored one has aged."""

    origin: Origin
    account: RowMapping | None
    fits: bool
    address: EmailAddress | None
    # Whether the account has logged in from this network lately.
    is_known: bool = False
    fresh_hash: str | None = None

    @property
    def hash(self) -> str | None:
        """What is stored of the password, if it fits."""
        stored: str | None = None if self.account is None else self.account["password_hash"]
        return self.fresh_hash or stored


async def verify_password(
    *, attempt: Attempt, primary: AsyncEngine, hasher: PasswordHasher, verification_required: bool = False
) -> Verdict:
    """Find out whether a password is the account's, the same work for unknown accounts. Raises TooManyFailures.

    A right one does not fit either from an unknown network of an account that had too many failures. Nor does it, with
    `verification_required`, for an address that was never proved: anybody may have signed up with that, and would
    learn from another answer whether there was an account before. What is read is read on a connection of its own, so
    that none is held while the password is hashed.
    """
    address = parse_email(attempt.email)
    canonical = "" if address is None else address.canonical
    origin = origin_of(canonical or attempt.email)
    async with primary.connect() as connection:
        standing = await repository.standing(connection, origin, canonical, now=utcnow())
        _refuse_until(standing["blocked_until"], now=utcnow())
        account = await users.find_by_email(connection, canonical)
    is_known, is_closed = standing["is_known"], standing["is_closed"] and not standing["is_known"]
    encoded: str | None = None if account is None else account["password_hash"]
    is_proved = account is not None and (account["email_verified_at"] is not None or not verification_required)
    fits = await hasher.verify(attempt.password, encoded) and is_proved and not is_closed
    stale = fits and encoded is not None and hasher.needs_rehash(encoded)
    return Verdict(origin, account, fits, address, is_known, await hasher.hash(attempt.password) if stale else None)


async def accept_password(
    session: AsyncSession, verdict: Verdict, *, action: AuditAction = AuditAction.LOGIN, actor: Principal | None = None
) -> tuple[RowMapping, RowMapping]:
    """Return the account of a right password, and what is counted of failures, locked, as by `hold_failures`.

    Raises InvalidCredentials, which counts, or TooManyFailures. `action` is what the password was for, `actor` whose
    session tries it. A refusal takes the same statements for every account, known or not. Failures from before stay
    counted until `forget_failures`, which is for who has come in.
    """
    account, counted = verdict.account, await _hold_open(session, verdict)
    if account is None or counted is None:
        await _count_failure(session, verdict.origin, verdict.address)
        tried = None if account is None else account["id"]
        await audit.record(session, action, subject_id=tried, actor=actor, outcome="refused")
        raise InvalidCredentials
    if verdict.fresh_hash:
        stale = account["password_hash"]
        await users.set_password_hash(session, user_id=account["id"], old=stale, new=verdict.fresh_hash)
    return account, counted


def confirm_password(verdict: Verdict, account: RowMapping) -> None:
    """Look again, now that the account is locked. Raises InvalidCredentials when it has got another password since."""
    if account["password_hash"] != verdict.hash:
        raise InvalidCredentials


async def hold_failures(session: AsyncSession, origin: Origin) -> RowMapping:
    """Lock what is noted of failures, and return it. Raises TooManyFailures.

    Of many guesses at once a right one, too, is told only before there is a block.
    """
    now = utcnow()
    counted = await repository.lock(session, origin, now=now)
    _refuse_until(_end_of(counted), now=now)
    return counted


async def forget_failures(session: AsyncSession, origin: Origin, *, counted: RowMapping) -> None:
    """Begin anew after a success: for this network, and with the failures in a row.

    `counted` is what was locked of them; most often there is nothing to forget.
    """
    if counted["is_noted"]:
        await repository.forget(session, origin)


def origin_of(canonical: str) -> Origin:
    """Return where failed logins of an address are counted, for the network that asks now."""
    client = current_request().client_address
    return Origin(account_digest(canonical), network_of(client), counted_address(client))


async def note_network(session: AsyncSession, *, account_id: UUID) -> None:
    """Note that the account has logged in from the network of the current request: it is a known one now."""
    network = network_of(current_request().client_address)
    await repository.note_network(session, account_id, network, now=utcnow())


async def begin_anew(session: AsyncSession, *, canonical_email: str) -> None:
    """Forget the failures of an account from everywhere: its owner has given it a new password, or it ends."""
    await repository.forget_account(session, account_digest(canonical_email))


async def forget_row(session: AsyncSession, *, canonical_email: str) -> None:
    """Forget the failures in a row on an address that is nobody's, or was until now, and that they closed it.

    Blocks of networks stay: whoever sees one end too early would know that nobody had the address.
    """
    await repository.forget_row(session, account_digest(canonical_email))


async def _hold_open(session: AsyncSession, verdict: Verdict) -> RowMapping | None:
    """Lock what is counted of failures for a password that fits, and return it. Raises TooManyFailures.

    None for one that doesn't fit, and when the account was closed to this network since the password was looked at.
    """
    if not verdict.fits:
        return None
    counted = await hold_failures(session, verdict.origin)
    return None if counted["closed_at"] is not None and not verdict.is_known else counted


async def _count_failure(session: AsyncSession, origin: Origin, address: EmailAddress | None) -> None:
    """Count a failure. Raises TooManyFailures, as if it had come later, when others beside it brought on a block."""
    now = utcnow()
    failures = await repository.count_for_network(session, origin, now=now)
    in_a_row = await repository.count_for_account(session, origin, now=now)
    is_counted = origin.address is None or await repository.count_for_address(session, origin.address, now=now)
    if failures is None or not is_counted:
        _refuse_until(_end_of(await repository.lock(session, origin, now=now)), now=now)
        raise TooManyFailures(retry_after=1)
    if in_a_row == ACCOUNT_FAILURES and address is not None:
        await mail_requests.ask(session, RequestKind.TELL_BLOCKED, address)
    if delay := delay_after(failures):
        await repository.put_off(session, origin, until=now + delay)


def _end_of(counted: RowMapping) -> datetime | None:
    """Return until when tries are put off."""
    return max((end for end in (counted["blocked_until"], counted["full_until"]) if end is not None), default=None)


def _refuse_until(blocked_until: datetime | None, *, now: datetime) -> None:
    if blocked_until is not None and blocked_until > now:
        raise TooManyFailures(retry_after=math.ceil((blocked_until - now).total_seconds()))
