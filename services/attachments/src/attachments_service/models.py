"""Every table of the service, for migrations and the guards that compare them with the code."""

from attachments_service.attachments.models import Attachment
from attachments_service.db import Base, IdempotencyKey, Inbox, Outbox
from attachments_service.locations.models import (
    EndedWorkspace,
    Membership,
    ProjectMember,
    ProjectPlace,
    TaskLocation,
    TaskShare,
)

METADATA = Base.metadata

__all__ = [
    "METADATA",
    "Attachment",
    "EndedWorkspace",
    "IdempotencyKey",
    "Inbox",
    "Membership",
    "Outbox",
    "ProjectMember",
    "ProjectPlace",
    "TaskLocation",
    "TaskShare",
]
