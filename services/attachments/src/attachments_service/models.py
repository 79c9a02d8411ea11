"""Every table of the service, for migrations and the guards that compare them with the code."""

from attachments_service.attachments.models import Attachment
from attachments_service.db import Base, IdempotencyKey, Inbox, Outbox
from attachments_service.locations.models import Membership, TaskLocation

METADATA = Base.metadata

__all__ = ["METADATA", "Attachment", "IdempotencyKey", "Inbox", "Membership", "Outbox", "TaskLocation"]
