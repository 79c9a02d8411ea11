"""The outbox: what has happened and is still to be told (R45)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Index, SmallInteger, String, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

NEW, SENT, PARKED = "new", "sent", "parked"


class RelayedMixin:
    """Columns that the relay needs on any table whose rows are events: an outbox, or a change log."""

    event_id: Mapped[UUID]
    type: Mapped[str] = mapped_column(String(100))
    occurred_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    traceparent: Mapped[str | None] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(8), server_default=NEW)
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    available_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    sent_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class OutboxMixin(RelayedMixin):
    """Table `outbox` of a service."""

    __tablename__ = "outbox"

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    stream_id: Mapped[UUID]
    sequence: Mapped[int] = mapped_column(BigInteger)
    subject: Mapped[UUID]
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:  # noqa: N805 - declared_attr passes the class
        unsent, sent = text("state = 'new'"), text("sent_at IS NOT NULL")
        return (
            Index("ix_outbox_unsent", "stream_id", "sequence", postgresql_where=unsent),
            Index("ix_outbox_sent_at", "sent_at", postgresql_where=sent),
        )
