"""What auth says of service accounts."""

from typing import Literal
from uuid import UUID

import structlog
from chassis.broker.consumer import consumer
from chassis.identity import Principal
from chassis.outbox.envelope import EventEnvelope
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.service_accounts.service import ServiceAccountState, put_service_account, remove_service_account

log = structlog.get_logger()

SERVICE_ACCOUNT_DELETED = "service_account.deleted.v1"


class Actor(BaseModel):
    """Who did something, as events tell it."""

    id: UUID


class ServiceAccountResource(BaseModel):
    """What this service reads of a service account."""

    id: UUID
    workspace_id: UUID
    role: Literal["member", "guest"]
    created_by: UUID
    version: int


class ServiceAccountChange(BaseModel):
    resource: ServiceAccountResource
    actor: Actor | None = None


@consumer(queue="tasks.service-accounts", types=["service_account.*.v1"])
async def on_service_account(event: EventEnvelope, session: AsyncSession) -> None:
    """Make a service account a member of its workspace, change its role, or end that.

    What is wrong or late changes nothing.
    """
    change = ServiceAccountChange.model_validate(event.data)
    account = change.resource
    actor = Principal(account.created_by if change.actor is None else change.actor.id, event.event_id)
    if event.type == SERVICE_ACCOUNT_DELETED:
        done = await remove_service_account(
            session, account_id=account.id, workspace_id=account.workspace_id, actor=actor
        )
    else:
        state = ServiceAccountState(account.id, account.workspace_id, account.role, account.version)
        done = await put_service_account(session, account=state, actor=actor)
    if not done:
        who = {"service_account_id": str(account.id), "workspace_id": str(account.workspace_id)}
        log.warning("service_account.ignored", type=event.type, **who)
