"""All SQL on passkeys and their challenges."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from sqlalchemy import RowMapping, delete, exists, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from auth_service.oidc.models import OidcIdentity
from auth_service.passkeys.models import Challenge, Passkey

passkey = table_of(Passkey)
challenge = table_of(Challenge)
identity = table_of(OidcIdentity)


async def add_challenge(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Insert a challenge."""
    await session.execute(insert(challenge).values(**values))


async def take_challenge(
    session: AsyncSession, challenge_id: UUID, *, purpose: str, user_id: UUID | None, now: datetime
) -> bytes | None:
    """Use a challenge up, and return it; None when there is none for this purpose and account, or not any more."""
    statement = delete(challenge).where(
        challenge.c.id == challenge_id,
        challenge.c.purpose == purpose,
        challenge.c.user_id.is_not_distinct_from(user_id),
        challenge.c.expires_at > now,
    )
    taken: bytes | None = await session.scalar(statement.returning(challenge.c.challenge))
    return taken


async def add(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping | None:
    """Insert a passkey; None when there is one with this credential id."""
    statement = upsert(passkey).values(**values).on_conflict_do_nothing(index_elements=["credential_id"])
    return (await session.execute(statement.returning(*passkey.c))).mappings().one_or_none()


async def find_by_credential(session: AsyncSession, credential_id: bytes) -> RowMapping | None:
    """Return the passkey of a credential id."""
    query = select(passkey).where(passkey.c.credential_id == credential_id)
    return (await session.execute(query)).mappings().one_or_none()


async def list_of(reader: AsyncSession | AsyncConnection, user_id: UUID) -> Sequence[RowMapping]:
    """Return an account's passkeys, the newest first; there are few."""
    query = select(passkey).where(passkey.c.user_id == user_id).order_by(passkey.c.id.desc())
    return (await reader.execute(query)).mappings().all()


async def note_use(session: AsyncSession, passkey_id: UUID, *, sign_count: int, backed_up: bool, now: datetime) -> bool:
    """Note a use; False when the counter has not risen, which a copy of the authenticator would show by.

    Authenticators without a counter always say 0.
    """
    rises = passkey.c.sign_count < sign_count if sign_count else passkey.c.sign_count == 0
    statement = update(passkey).where(passkey.c.id == passkey_id, rises)
    statement = statement.values(sign_count=sign_count, backed_up=backed_up, last_used_at=now)
    return (await session.execute(statement.returning(passkey.c.id))).one_or_none() is not None


async def rename(session: AsyncSession, passkey_id: UUID, *, user_id: UUID, name: str) -> RowMapping | None:
    """Rename one of an account's passkeys; None when there is no such one."""
    statement = update(passkey).where(passkey.c.id == passkey_id, passkey.c.user_id == user_id).values(name=name)
    return (await session.execute(statement.returning(*passkey.c))).mappings().one_or_none()


async def remove(session: AsyncSession, passkey_id: UUID, *, user_id: UUID) -> RowMapping | None:
    """Delete one of an account's passkeys, and return it; None when there is no such one."""
    statement = delete(passkey).where(passkey.c.id == passkey_id, passkey.c.user_id == user_id)
    return (await session.execute(statement.returning(*passkey.c))).mappings().one_or_none()


async def count_of(session: AsyncSession, user_id: UUID) -> int:
    """Return how many passkeys an account has."""
    query = select(func.count()).select_from(passkey).where(passkey.c.user_id == user_id)
    return (await session.execute(query)).scalar_one()


async def remove_all(session: AsyncSession, user_id: UUID) -> None:
    """Delete all passkeys of an account."""
    await session.execute(delete(passkey).where(passkey.c.user_id == user_id))


async def has_another_way(session: AsyncSession, user_id: UUID, *, providers: Collection[str]) -> bool:
    """Tell whether somebody without a password can log in: by a passkey, or by one of these identity providers."""
    by_passkey = exists().where(passkey.c.user_id == user_id)
    by_provider = exists().where(identity.c.account_id == user_id, identity.c.provider.in_(providers))
    found: bool = (await session.execute(select(or_(by_passkey, by_provider)))).scalar_one()
    return found


async def purge_challenges(session: AsyncSession) -> bool:
    """Delete a batch of expired challenges; return whether there may be more."""
    return await delete_batch(session, challenge, challenge.c.expires_at < func.now())
