"""Facts about invitations, for the owners and admins of the workspace; and the mail, which is for nobody else."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.clock import utcnow
from chassis.context import current_request
from chassis.db.base import table_of
from chassis.ids import uuid7
from chassis.outbox.envelope import EventEnvelope
from chassis.outbox.publishing import publish
from chassis.sealing import KeyRing
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes.schemas import ChangeDraft, differences
from tasks_service.db import Outbox
from tasks_service.invitations.rules import name_in_mail, token_place
from tasks_service.invitations.schemas import InvitationMailResource, InvitationResource

INVITATION_CREATED = "invitation.created.v1"
INVITATION_UPDATED = "invitation.updated.v1"
INVITATION_DELETED = "invitation.deleted.v1"
INVITATION_MAIL_REQUESTED = "invitation_mail.requested.v1"
SOURCE_NAME = "/taskloom/tasks"


def invitation_changed(event_type: str, before: RowMapping | None, after: RowMapping) -> ChangeDraft:
    """Draft the change between two rows; `before` is None for a new invitation."""
    resource = InvitationResource.of(after).model_dump(mode="json")
    was = None if before is None else InvitationResource.of(before).model_dump(mode="json")
    changes = differences(was, resource)
    return ChangeDraft(event_type, "invitation", after["id"], after["version"], changes, resource, "admins")


@dataclass(frozen=True, slots=True)
class Letter:
    """What the mail of an invitation tells, and the token that it carries."""

    to: str
    inviter_id: UUID
    inviter_name: str | None
    workspace_name: str
    role: str
    token: str
    expires_at: datetime


async def request_mail(session: AsyncSession, letter: Letter, *, ring: KeyRing) -> None:
    """Ask for the mail in the caller's transaction; a rollback sends nothing. The token leaves sealed."""
    mail_id, request, now = uuid7(), current_request(), utcnow()
    resource = InvitationMailResource(
        id=mail_id,
        user_id=letter.inviter_id,
        kind="workspace_invitation",
        to=letter.to,
        display_name="",
        locale=None,
        timezone="UTC",
        token_sealed=ring.seal(letter.token.encode(), place=token_place(mail_id)),
        expires_at=letter.expires_at,
        details={
            "workspace": name_in_mail(letter.workspace_name),
            "invited_by": name_in_mail(letter.inviter_name),
            "role": letter.role,
        },
        requested_at=now,
    )
    data = {
        "entity_type": "invitation_mail",
        "entity_id": str(mail_id),
        "version": 1,
        "actor": None,
        "changes": [],
        "audience": [str(letter.inviter_id)],
        "request_id": request.request_id,
        "resource": resource.model_dump(mode="json"),
    }
    event = EventEnvelope(
        event_id=uuid7(),
        type=INVITATION_MAIL_REQUESTED,
        source=SOURCE_NAME,
        subject=mail_id,
        occurred_at=now,
        stream_id=mail_id,
        sequence=1,
        traceparent=request.traceparent,
        data=data,
    )
    await publish(session, table_of(Outbox), event)
