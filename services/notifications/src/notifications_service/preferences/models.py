from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from notifications_service.db import Base


class NotificationPreference(Base):
    """What somebody wants to be told, where and when. Who has none gets what everybody gets."""

    __tablename__ = "notification_preference"
    __table_args__ = (Index("ix_notification_preference_digest_at", "digest_at"),)

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    # As it was given: kind, channel, scope and mode of each line.
    lines: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    quiet_hours: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    digest: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    # When the next digest is due, by the zone that held when this was written.
    digest_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    version: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
