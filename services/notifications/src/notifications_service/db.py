"""The service's own tables: everything lives in the schema `notifications`."""

from pathlib import Path

from chassis.db.base import schema_metadata
from chassis.idempotency import IdempotencyMixin
from chassis.inbox.models import InboxMixin
from chassis.outbox.models import OutboxMixin
from sqlalchemy.orm import DeclarativeBase

SCHEMA = "notifications"
ROOT = Path(__file__).parents[2]
"""The service's folder, which has the migrations."""


class Base(DeclarativeBase):
    metadata = schema_metadata(SCHEMA)


class Outbox(OutboxMixin, Base):
    """Events on their way out."""


class IdempotencyKey(IdempotencyMixin, Base):
    """First answers of requests that carried an Idempotency-Key."""


class Inbox(InboxMixin, Base):
    """Events that this service has taken in."""
