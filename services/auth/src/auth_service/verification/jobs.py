"""Doing what was asked by mail requests: only here is an address looked up, and nobody waits for the answer."""

import structlog
from chassis.addresses import EmailAddress
from chassis.clock import utcnow
from chassis.context import RequestContext, bind_request, current_request
from chassis.sealing import KeyRing
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.account_mail.rules import MailKind
from auth_service.audit import service as audit
from auth_service.audit.rules import AuditAction
from auth_service.credentials import service as credentials
from auth_service.mail_requests import service as mail_requests
from auth_service.mail_requests.rules import RequestKind, is_stale
from auth_service.users import repository as users
from auth_service.users import service as accounts
from auth_service.verification import service
from auth_service.verification.rules import USABLE_STATUSES, LinkKind

log = structlog.get_logger()


async def handle_request(session: AsyncSession, ring: KeyRing) -> bool:
    """Do the next of what was asked; return whether there was something. What fails is tried again later.

    One at a time, because each locks an account: two in a transaction could wait for each other's with a login.
    """
    request = await mail_requests.claim(session)
    if request is None:
        return False
    before = current_request()
    try:
        await _try(session, request, ring)
    finally:
        bind_request(before)
    return True


async def _try(session: AsyncSession, request: RowMapping, ring: KeyRing) -> None:
    names = ("request_id", "traceparent", "address", "device")
    bind_request(RequestContext(*(request[name] for name in names)))
    try:
        async with session.begin_nested():
            await _do(session, request, ring)
            await mail_requests.finish(session, request)
    except Exception:
        again = await mail_requests.put_back(session, request)
        log.exception("mail_request.failed", kind=request["kind"], again=again, request_id=request["request_id"])


async def _do(session: AsyncSession, request: RowMapping, ring: KeyRing) -> None:
    kind = RequestKind(request["kind"])
    if is_stale(kind, utcnow() - request["created_at"]):
        return
    address = EmailAddress(request["email"], request["email_canonical"])
    if kind is RequestKind.REGISTER:
        await _register(session, request, address, ring)
        return
    account = await users.find_by_email(session, address.canonical)
    if kind is RequestKind.TELL_BLOCKED:
        await _tell_blocked(session, account, address, ring)
    elif account is None:
        return
    elif kind is RequestKind.RESET:
        await _send_reset(session, account, ring)
    elif account["email_verified_at"] is None:
        await service.send_link(session, LinkKind.VERIFY_EMAIL, account_id=account["id"], ring=ring)


async def _register(session: AsyncSession, request: RowMapping, address: EmailAddress, ring: KeyRing) -> None:
    """Make the account, or tell its owner that there is one: to the address alone."""
    name, password_hash = request["display_name"], request["password_hash"]
    row = await accounts.create_account(session, address=address, display_name=name, password_hash=password_hash)
    if row is not None:
        await service.send_link(session, LinkKind.VERIFY_EMAIL, account_id=row["id"], ring=ring)
        return
    account = await users.find_by_email(session, address.canonical)
    if account is not None and account["status"] in USABLE_STATUSES:
        await service.send_notice(session, MailKind.ALREADY_REGISTERED, account=account, ring=ring)


async def _send_reset(session: AsyncSession, account: RowMapping, ring: KeyRing) -> None:
    if await service.send_link(session, LinkKind.RESET_PASSWORD, account_id=account["id"], ring=ring):
        await audit.record(session, AuditAction.PASSWORD_RESET_REQUESTED, subject_id=account["id"])


async def _tell_blocked(
    session: AsyncSession, account: RowMapping | None, address: EmailAddress, ring: KeyRing
) -> None:
    """Tell the owner that only known networks may log in; an address of nobody is not closed."""
    if account is None:
        await credentials.forget_row(session, canonical_email=address.canonical)
        return
    await service.send_notice(session, MailKind.SIGN_IN_BLOCKED, account=account, ring=ring)
    await audit.record(session, AuditAction.SIGN_IN_BLOCKED, subject_id=account["id"], outcome="refused")
