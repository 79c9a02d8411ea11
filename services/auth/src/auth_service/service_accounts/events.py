"""Facts about service accounts: by them the tasks service makes and ends their memberships."""

from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.service_accounts.schemas import ServiceAccountOut
from auth_service.users.events import publish_fact

SERVICE_ACCOUNT_CREATED = "service_account.created.v1"
SERVICE_ACCOUNT_UPDATED = "service_account.updated.v1"
SERVICE_ACCOUNT_DELETED = "service_account.deleted.v1"


async def service_account_created(session: AsyncSession, row: RowMapping, *, by: UUID) -> None:
    await _publish(session, SERVICE_ACCOUNT_CREATED, row, by, row["version"])


async def service_account_updated(session: AsyncSession, row: RowMapping, *, by: UUID) -> None:
    await _publish(session, SERVICE_ACCOUNT_UPDATED, row, by, row["version"])


async def service_account_deleted(session: AsyncSession, row: RowMapping, *, by: UUID) -> None:
    """Its last version is the one after the account's."""
    await _publish(session, SERVICE_ACCOUNT_DELETED, row, by, row["version"] + 1)


async def _publish(session: AsyncSession, event_type: str, row: RowMapping, by: UUID, version: int) -> None:
    account = ServiceAccountOut.of(row).model_copy(update={"version": version})
    resource = account.model_dump(mode="json")
    await publish_fact(session, event_type, "service_account", account.id, version, by, resource)
