from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Index, String, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from notifications_service.db import Base

UNREAD = text("read_at IS NULL AND archived_at IS NULL")


class Notification(Base):
    """What somebody is told of an event; who they see it by is asked whenever it is shown."""

    __tablename__ = "notification"
    __table_args__ = (
        UniqueConstraint("user_id", "event_id"),
        Index("ix_notification_user_id_seq", "user_id", "seq"),
        Index("ix_notification_unread", "user_id", "seq", postgresql_where=UNREAD),
        Index("ix_notification_task_id", "task_id", "user_id", postgresql_where=text("task_id IS NOT NULL")),
        Index("ix_notification_created_at", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    # Where it is in the user's own stream.
    seq: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(32))
    event_id: Mapped[UUID]
    event_type: Mapped[str] = mapped_column(String(100))
    workspace_id: Mapped[UUID | None]
    project_id: Mapped[UUID | None]
    task_id: Mapped[UUID | None]
    comment_id: Mapped[UUID | None]
    actor: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    # The changes that it tells of, and what else its sentence needs.
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)
    # Whether it waits for the digest by mail.
    in_digest: Mapped[bool]
    read_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    archived_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
