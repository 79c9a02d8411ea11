"""A small schema with an outbox, an inbox and a table of effects, for tests of the messaging machinery."""

from uuid import UUID

from chassis.db.base import schema_metadata, table_of
from chassis.inbox.models import InboxMixin
from chassis.outbox.models import OutboxMixin
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    metadata = schema_metadata("sample")


class Outbox(OutboxMixin, Base):
    pass


class Inbox(InboxMixin, Base):
    pass


class Effect(Base):
    """What a consumer does: one row a handled event, in the order of handling."""

    __tablename__ = "effect"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    event_id: Mapped[UUID]
    stream_id: Mapped[UUID]
    sequence: Mapped[int]


OUTBOX, INBOX, EFFECT = table_of(Outbox), table_of(Inbox), table_of(Effect)
