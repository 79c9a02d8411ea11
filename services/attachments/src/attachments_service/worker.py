"""The process that takes in events."""

from chassis.broker.consumer import Consumer

from attachments_service.attachments.consumers import on_task_purged
from attachments_service.locations.consumers import on_change

CONSUMERS: tuple[Consumer, ...] = (on_change, on_task_purged)
