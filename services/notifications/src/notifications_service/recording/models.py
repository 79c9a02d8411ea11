from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Index, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from notifications_service.db import Base


class RecordedMessage(Base):
    """What a channel would have sent, kept for who develops."""

    __tablename__ = "recorded_message"
    __table_args__ = (
        Index("ix_recorded_message_user_id", "user_id", "recorded_at", "id"),
        Index("ix_recorded_message_recorded_at", "recorded_at"),
    )

    # The delivery's id, so that one is recorded once.
    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    channel: Mapped[str] = mapped_column(String(16))
    notification_id: Mapped[UUID | None]
    digest_id: Mapped[UUID | None]
    target_id: Mapped[UUID | None]
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)
    recorded_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
