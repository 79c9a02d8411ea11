"""Idempotency keys (R32): the first answer is stored in the transaction of its effect, and replayed for 24 hours."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Index, LargeBinary, SmallInteger, String, Table, func, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from chassis.clock import utcnow
from chassis.db.purging import delete_batch
from chassis.errors import IdempotencyInProgress, IdempotencyKeyInvalid, IdempotencyKeyReused

KEPT = timedelta(hours=24)
MAX_KEY_LENGTH = 255
FIRST_PRINTABLE, LAST_PRINTABLE = " ", "~"


class IdempotencyMixin:
    """Table `idempotency_key` of a service: one row per caller (`Principal.credential_id`) and key."""

    __tablename__ = "idempotency_key"

    caller_id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(MAX_KEY_LENGTH), primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int] = mapped_column(SmallInteger)
    headers: Mapped[dict[str, str]] = mapped_column(JSONB)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:  # noqa: N805 - declared_attr passes the class
        return (Index("ix_idempotency_key_created_at", "created_at"),)


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer as it was first given."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """A request with a key: who, under which key, and a digest of what."""

    caller_id: UUID
    key: str
    fingerprint: bytes


def fingerprint(method: str, path: str, query: bytes, body: bytes) -> bytes:
    """Digest what makes two requests the same: SHA-256 over method, path, query and body."""
    digest = hashlib.sha256()
    for part in (method.encode(), path.encode(), query, body):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def check_key(key: str) -> str:
    """Return the key. Raises IdempotencyKeyInvalid unless it is 1 to 255 printable ASCII characters."""
    printable = all(FIRST_PRINTABLE <= character <= LAST_PRINTABLE for character in key)
    if not 1 <= len(key) <= MAX_KEY_LENGTH or not printable or not key.strip():
        raise IdempotencyKeyInvalid(field="Idempotency-Key")
    return key


async def claim(session: AsyncSession, table: Table, request: IdempotentRequest) -> StoredAnswer | None:
    """Reserve the key until the transaction ends; return the stored answer of an earlier request, if any.

    Raises IdempotencyInProgress while another transaction holds the key, and IdempotencyKeyReused when the
    key stands for another request. The lock comes in a statement of its own: only a snapshot that is taken
    after it is sure to see what its last holder committed.
    """
    if not await session.scalar(select(func.pg_try_advisory_xact_lock(_lock_number(request)))):
        raise IdempotencyInProgress(retry_after=1)
    query = select(table).where(
        table.c.caller_id == request.caller_id,
        table.c.key == request.key,
        table.c.created_at > utcnow() - KEPT,
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        return None
    if row.fingerprint != request.fingerprint:
        raise IdempotencyKeyReused(field="Idempotency-Key")
    return StoredAnswer(row.status, row.headers, row.body)


async def store(session: AsyncSession, table: Table, request: IdempotentRequest, answer: StoredAnswer) -> None:
    """Keep the answer beside its effect; an expired row of the same key is replaced."""
    values = {
        "fingerprint": request.fingerprint,
        "status": answer.status,
        "headers": answer.headers,
        "body": answer.body,
        "created_at": utcnow(),
    }
    statement = insert(table).values(caller_id=request.caller_id, key=request.key, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=["caller_id", "key"], set_=values))


async def purge(session: AsyncSession, table: Table) -> bool:
    """Delete a batch of answers that are older than 24 hours; return whether there may be more."""
    return await delete_batch(session, table, table.c.created_at < utcnow() - KEPT)


def _lock_number(request: IdempotentRequest) -> int:
    digest = hashlib.sha256(request.caller_id.bytes + request.key.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
