"""The service's own tables: everything lives in the schema `notifications`."""

from pathlib import Path

from chassis.db.base import schema_metadata
from chassis.inbox.models import InboxMixin
from sqlalchemy.orm import DeclarativeBase

SCHEMA = "notifications"
ROOT = Path(__file__).parents[2]
"""The service's folder, which has the migrations."""


class Base(DeclarativeBase):
    metadata = schema_metadata(SCHEMA)


class Inbox(InboxMixin, Base):
    """Events that this service has taken in."""
