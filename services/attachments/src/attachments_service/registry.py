"""Every event that this service publishes; the contracts are written from here."""

from chassis.outbox.contracts import EventContract

from attachments_service.attachments.events import ATTACHMENT_CREATED, ATTACHMENT_DELETED, SOURCE_NAME
from attachments_service.attachments.schemas import ATTACHMENT_EXAMPLE, AttachmentOut

EVENTS = (
    EventContract(
        ATTACHMENT_CREATED, SOURCE_NAME, "attachment", "A file was attached.", AttachmentOut, ATTACHMENT_EXAMPLE
    ),
    EventContract(
        ATTACHMENT_DELETED, SOURCE_NAME, "attachment", "A file was taken off.", AttachmentOut, ATTACHMENT_EXAMPLE
    ),
)
