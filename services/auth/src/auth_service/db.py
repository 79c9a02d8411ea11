"""The service's own tables: everything lives in the schema `auth`."""

from pathlib import Path

from chassis.db.base import schema_metadata, table_of
from chassis.idempotency import IdempotencyMixin
from chassis.inbox.models import InboxMixin
from chassis.outbox.models import OutboxMixin
from sqlalchemy import Index, text
from sqlalchemy.orm import DeclarativeBase

SCHEMA = "auth"
ROOT = Path(__file__).parents[2]
"""The service's folder, which has the migrations."""


class Base(DeclarativeBase):
    metadata = schema_metadata(SCHEMA)


class Outbox(OutboxMixin, Base):
    """Events on their way out."""


# Whom an event concerns comes first in its audience.
Index("ix_outbox_audience", text("((data -> 'audience'::text) ->> 0)"), _table=table_of(Outbox))


class IdempotencyKey(IdempotencyMixin, Base):
    """First answers of requests that carried an Idempotency-Key."""


class Inbox(InboxMixin, Base):
    """Events that this service has taken in."""
