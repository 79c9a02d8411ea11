"""The process that sends the outbox to the broker."""

from chassis.broker.relay import outbox_source
from chassis.db.base import table_of

from attachments_service.db import Outbox

OUTBOX = outbox_source(table_of(Outbox), service="attachments")
