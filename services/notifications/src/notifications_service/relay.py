"""The process that sends the outbox to the broker."""

from chassis.broker.relay import outbox_source
from chassis.db.base import table_of
from chassis.outbox.contracts import optional_types

from notifications_service.db import Outbox
from notifications_service.registry import EVENTS

OUTBOX = outbox_source(table_of(Outbox), service="notifications", optional=optional_types(EVENTS))
