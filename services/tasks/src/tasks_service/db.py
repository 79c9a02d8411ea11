"""The service's own tables: everything lives in the schema `tasks`."""

from pathlib import Path

from chassis.db.base import schema_metadata
from chassis.db.row_security import RowSecurity
from chassis.idempotency import IdempotencyMixin
from chassis.inbox.models import InboxMixin
from chassis.outbox.models import OutboxMixin
from sqlalchemy.orm import DeclarativeBase

SCHEMA = "tasks"
ROW_SECURITY = RowSecurity(
    role="tasks_caller",
    setting="taskloom.caller",
    kept="taskloom.workspaces",
    memberships="tasks.caller_memberships()",
)
"""What requests run as, by `row_security` in the state of the app; the migrations know all of it."""
ROOT = Path(__file__).parents[2]
"""The service's folder, which has the migrations."""


class Base(DeclarativeBase):
    metadata = schema_metadata(SCHEMA)


class IdempotencyKey(IdempotencyMixin, Base):
    """First answers of requests that carried an Idempotency-Key."""


class Inbox(InboxMixin, Base):
    """Events that this service has taken in."""


class Outbox(OutboxMixin, Base):
    """Events on their way out that are no change of a workspace, such as requests for mail."""
