"""What happens to workspaces and concerns their service accounts."""

from uuid import UUID

from chassis.broker.consumer import consumer
from chassis.identity import Principal
from chassis.outbox.envelope import EventEnvelope
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.service_accounts.service import delete_accounts_of


class Actor(BaseModel):
    """Who did something, as events tell it."""

    id: UUID


class WorkspaceResource(BaseModel):
    """What this service reads of a workspace."""

    id: UUID
    created_by: UUID


class WorkspaceDeletion(BaseModel):
    resource: WorkspaceResource
    actor: Actor | None = None


@consumer(queue="auth.workspaces", types=["workspace.deleted.v1"])
async def on_workspace_deleted(event: EventEnvelope, session: AsyncSession) -> None:
    """End the service accounts of a workspace that is gone."""
    deletion = WorkspaceDeletion.model_validate(event.data)
    workspace = deletion.resource
    actor_id = workspace.created_by if deletion.actor is None else deletion.actor.id
    await delete_accounts_of(session, workspace_id=workspace.id, caller=Principal(actor_id, event.event_id))
