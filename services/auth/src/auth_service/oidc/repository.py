"""All SQL on single sign-on."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from sqlalchemy import ColumnElement, RowMapping, delete, exists, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from auth_service.oidc.models import OidcFlow, OidcIdentity, OidcUnlinked

flow = table_of(OidcFlow)
identity = table_of(OidcIdentity)
unlinked = table_of(OidcUnlinked)


async def add_flow(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Insert a flow."""
    await session.execute(insert(flow).values(**values))


async def take_flow(connection: AsyncConnection, state_hash: bytes, *, now: datetime) -> RowMapping | None:
    """Use a flow up, and return it; None when there is none, or it has been used or has run out."""
    statement = update(flow).where(flow.c.state_hash == state_hash, flow.c.used_at.is_(None), flow.c.expires_at > now)
    return (await connection.execute(statement.values(used_at=now).returning(*flow.c))).mappings().one_or_none()


async def purge_flows(session: AsyncSession) -> bool:
    """Delete some flows that have run out; return whether there may be more."""
    return await delete_batch(session, flow, flow.c.expires_at <= utcnow())


async def lock_subject(session: AsyncSession, *, provider: str, issuer: str, subject: str) -> None:
    """Let what is done about one person at a provider be done one after the other."""
    key = func.hashtextextended(f"oidc {provider} {issuer} {subject}", 0)
    await session.execute(select(func.pg_advisory_xact_lock(key)))


async def find_subject(session: AsyncSession, *, provider: str, issuer: str, subject: str) -> RowMapping | None:
    """Return the identity of a person at a provider."""
    query = select(identity).where(
        identity.c.provider == provider, identity.c.issuer == issuer, identity.c.subject == subject
    )
    return (await session.execute(query)).mappings().one_or_none()


async def add_identity(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping:
    """Insert an identity; to be called under `lock_subject`."""
    return (await session.execute(insert(identity).values(**values).returning(*identity.c))).mappings().one()


async def note_use(session: AsyncSession, identity_id: UUID, *, email: str | None, now: datetime) -> None:
    """Note a login, and the address that the provider names now."""
    statement = update(identity).where(identity.c.id == identity_id)
    await session.execute(statement.values(last_used_at=now, shown_email=email))


async def list_of(reader: AsyncConnection, account_id: UUID) -> Sequence[RowMapping]:
    """Return the identities of an account, the oldest first; a rule keeps them few."""
    query = select(identity).where(identity.c.account_id == account_id).order_by(identity.c.id)
    return (await reader.execute(query)).mappings().all()


async def count_of(session: AsyncSession, account_id: UUID) -> int:
    """Return how many identities a locked account has."""
    query = select(func.count()).select_from(identity).where(identity.c.account_id == account_id)
    return (await session.execute(query)).scalar_one()


async def remove_all(session: AsyncSession, account_id: UUID) -> None:
    """Delete all identities of an account."""
    await session.execute(delete(identity).where(identity.c.account_id == account_id))


async def remove(session: AsyncSession, *, account_id: UUID, identity_id: UUID) -> RowMapping | None:
    """Delete an identity of an account, and return it."""
    statement = delete(identity).where(identity.c.id == identity_id, identity.c.account_id == account_id)
    return (await session.execute(statement.returning(*identity.c))).mappings().one_or_none()


async def shut_out(session: AsyncSession, *, gone: RowMapping, now: datetime) -> None:
    """Remember an identity that its locked account has unlinked."""
    names = ("account_id", "provider", "issuer", "subject")
    statement = upsert(unlinked).values(**{name: gone[name] for name in names}, unlinked_at=now)
    await session.execute(statement.on_conflict_do_nothing())


async def is_shut_out(session: AsyncSession, *, account_id: UUID, provider: str, issuer: str, subject: str) -> bool:
    """Tell whether a locked account has unlinked this person, and not linked them since."""
    query = select(exists().where(*_of(account_id, provider, issuer, subject)))
    found: bool = (await session.execute(query)).scalar_one()
    return found


async def let_in(session: AsyncSession, *, account_id: UUID, provider: str, issuer: str, subject: str) -> None:
    """Forget that a locked account has unlinked this person."""
    await session.execute(delete(unlinked).where(*_of(account_id, provider, issuer, subject)))


def _of(account_id: UUID, provider: str, issuer: str, subject: str) -> tuple[ColumnElement[bool], ...]:
    return (
        unlinked.c.account_id == account_id,
        unlinked.c.provider == provider,
        unlinked.c.issuer == issuer,
        unlinked.c.subject == subject,
    )
