"""Every table of the service, for migrations and the guards that compare them with the code."""

from notifications_service.account_mail.models import DeletedUser, MailDelivery
from notifications_service.cards.models import CommentCard, PlaceCard, TaskCard, Watcher
from notifications_service.chat.models import ChatConnection
from notifications_service.db import Base, IdempotencyKey, Inbox, Outbox
from notifications_service.deliveries.models import Delivery
from notifications_service.devices.models import Device
from notifications_service.digests.models import DigestSlot
from notifications_service.emails.models import EmailChannel
from notifications_service.following.models import FollowerFailure, FollowerPosition
from notifications_service.inbox.models import Notification
from notifications_service.live.models import (
    Membership,
    ProjectMember,
    ProjectPlace,
    StreamEvent,
    StreamHead,
    TaskShare,
)
from notifications_service.people.models import Person
from notifications_service.preferences.models import NotificationPreference
from notifications_service.recording.models import RecordedMessage
from notifications_service.webhook_deliveries.models import WebhookAttempt, WebhookDelivery
from notifications_service.webhooks.models import Webhook

METADATA = Base.metadata

__all__ = [
    "METADATA",
    "ChatConnection",
    "CommentCard",
    "DeletedUser",
    "Delivery",
    "Device",
    "DigestSlot",
    "EmailChannel",
    "FollowerFailure",
    "FollowerPosition",
    "IdempotencyKey",
    "Inbox",
    "MailDelivery",
    "Membership",
    "Notification",
    "NotificationPreference",
    "Outbox",
    "Person",
    "PlaceCard",
    "ProjectMember",
    "ProjectPlace",
    "RecordedMessage",
    "StreamEvent",
    "StreamHead",
    "TaskCard",
    "TaskShare",
    "Watcher",
    "Webhook",
    "WebhookAttempt",
    "WebhookDelivery",
]
