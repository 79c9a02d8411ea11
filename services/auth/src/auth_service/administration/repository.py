"""SQL over all accounts, for administrators."""

from collections.abc import Sequence
from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import ColumnElement, RowMapping, any_, exists, false, func, literal, literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from auth_service.administration.filters import UserFilter
from auth_service.administration.rules import search_terms
from auth_service.api_tokens.models import ApiToken
from auth_service.audit.models import AuditEvent
from auth_service.audit.rules import AuditAction
from auth_service.service_accounts.models import ServiceAccount
from auth_service.sessions.models import Session
from auth_service.users.models import WORDS, Account

account = table_of(Account)
api_token = table_of(ApiToken)
audit_event = table_of(AuditEvent)
login = table_of(Session)
service_account = table_of(ServiceAccount)


async def list_users(
    reader: AsyncConnection, wanted: UserFilter, *, limit: int, offset: int
) -> tuple[Sequence[RowMapping], int]:
    """Return accounts, the newest first, and how many there are."""
    conditions = _conditions(wanted)
    query = select(account).where(*conditions).order_by(account.c.id.desc()).limit(limit).offset(offset)
    total = (await reader.execute(select(func.count()).select_from(account).where(*conditions))).scalar_one()
    return (await reader.execute(query)).mappings().all(), total


async def people_after(session: AsyncSession, last: UUID, *, limit: int) -> Sequence[RowMapping]:
    """Return the next accounts of people in the order of their ids, tombstones too."""
    query = select(account).where(account.c.id > last, account.c.kind == "human").order_by(account.c.id).limit(limit)
    return (await session.execute(query)).mappings().all()


async def service_accounts_after(session: AsyncSession, last: UUID, *, limit: int) -> Sequence[RowMapping]:
    """Return the next service accounts in the order of their ids."""
    query = select(service_account).where(service_account.c.account_id > last)
    return (await session.execute(query.order_by(service_account.c.account_id).limit(limit))).mappings().all()


async def find_user(reader: AsyncConnection, user_id: UUID) -> RowMapping | None:
    """Return an account with what there is to it."""
    now = func.now()
    sessions = select(func.count()).where(
        login.c.user_id == account.c.id, login.c.idle_expires_at > now, login.c.expires_at > now
    )
    tokens = select(func.count()).where(
        api_token.c.account_id == account.c.id, api_token.c.revoked_at.is_(None), api_token.c.expires_at > now
    )
    logins = (
        select(audit_event.c.occurred_at)
        .where(
            audit_event.c.subject_id == account.c.id,
            audit_event.c.action == AuditAction.LOGIN.value,
            audit_event.c.outcome == "success",
        )
        .order_by(audit_event.c.id.desc())
        .limit(1)
    )
    query = select(
        account,
        sessions.scalar_subquery().label("session_count"),
        tokens.scalar_subquery().label("api_token_count"),
        logins.scalar_subquery().label("last_login_at"),
    )
    return (await reader.execute(query.where(account.c.id == user_id))).mappings().one_or_none()


async def has_credentials(session: AsyncSession, user_id: UUID) -> bool:
    """Tell whether there is a session or an API token of the account, in force or not any more."""
    of_user = exists().where(login.c.user_id == user_id), exists().where(api_token.c.account_id == user_id)
    return bool(await session.scalar(select(or_(*of_user))))


def _conditions(wanted: UserFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.q is not None:
        terms = search_terms(wanted.q)
        query = func.to_tsquery(literal_column("'simple'::regconfig"), terms)
        conditions.append(false() if terms is None else literal_column(WORDS).op("@@", is_comparison=True)(query))
    if wanted.status is not None:
        conditions.append(account.c.status == wanted.status)
    if wanted.kind is not None:
        conditions.append(account.c.kind == wanted.kind)
    if wanted.role is not None:
        conditions.append(literal(wanted.role) == any_(account.c.roles))
    return conditions
