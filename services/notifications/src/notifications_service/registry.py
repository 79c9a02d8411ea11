"""Every event that this service publishes; the contracts are written from here.

All of them are of personal streams (live.service.tell_user) and optional: they may interest nobody.
"""

from chassis.outbox.contracts import EventContract

from notifications_service.emails.events import CHANNEL_EVENTS
from notifications_service.inbox.events import NOTIFICATION_EVENTS
from notifications_service.webhooks.events import WEBHOOK_EVENTS

EVENTS: tuple[EventContract, ...] = (*NOTIFICATION_EVENTS, *CHANNEL_EVENTS, *WEBHOOK_EVENTS)
