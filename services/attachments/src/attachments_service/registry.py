"""Every event that this service publishes; the contracts are written from here."""

from chassis.outbox.contracts import EventContract

from attachments_service.attachments.events import ATTACHMENT_CREATED, ATTACHMENT_DELETED, SOURCE_NAME
from attachments_service.attachments.schemas import ATTACHMENT_EXAMPLE, AttachmentOut

EVENTS = tuple(
    EventContract(event_type, SOURCE_NAME, "attachment", told, AttachmentOut, ATTACHMENT_EXAMPLE, optional=True)
    for event_type, told in (
        (ATTACHMENT_CREATED, "A file was attached."),
        (ATTACHMENT_DELETED, "A file was taken off."),
    )
)
