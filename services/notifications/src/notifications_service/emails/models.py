from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, String
from sqlalchemy.orm import Mapped, mapped_column

from notifications_service.db import Base


class EmailChannel(Base):
    """An address of somebody that a mail server refused for good. Another address of theirs is another matter."""

    __tablename__ = "email_channel"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(String(320))
    reason: Mapped[str] = mapped_column(String(64))
    disabled_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
