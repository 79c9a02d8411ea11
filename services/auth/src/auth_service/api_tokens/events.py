"""Facts about API tokens."""

from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.api_tokens.schemas import TokenResource
from auth_service.users.events import publish_fact

TOKEN_CREATED = "token.created.v1"  # noqa: S105 - a name
TOKEN_REVOKED = "token.revoked.v1"  # noqa: S105 - a name

CREATED, REVOKED = 1, 2


async def token_created(session: AsyncSession, row: RowMapping, *, by: UUID) -> None:
    await _publish(session, TOKEN_CREATED, row, by, CREATED)


async def token_revoked(session: AsyncSession, row: RowMapping, *, by: UUID) -> None:
    await _publish(session, TOKEN_REVOKED, row, by, REVOKED)


async def _publish(session: AsyncSession, event_type: str, row: RowMapping, by: UUID, version: int) -> None:
    resource = TokenResource.model_validate({**row, "user_id": row["account_id"]}).model_dump(mode="json")
    await publish_fact(session, event_type, "token", row["id"], version, by, resource)
