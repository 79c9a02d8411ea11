from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, Index, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from notifications_service.db import Base


class MailDelivery(Base):
    """A mail to send, and what became of it. The token of its link stays sealed, and goes when it was sent."""

    __tablename__ = "mail_delivery"
    __table_args__ = (
        Index("ix_mail_delivery_user_id", "user_id"),
        Index("ix_mail_delivery_next_attempt_at", "next_attempt_at", postgresql_where=text("state = 'waiting'")),
        Index("ix_mail_delivery_settled_at", "settled_at", postgresql_where=text("settled_at IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    kind: Mapped[str] = mapped_column(String(64))
    recipient: Mapped[str] = mapped_column(String(320))
    display_name: Mapped[str] = mapped_column(String(200))
    locale: Mapped[str | None] = mapped_column(String(35))
    timezone: Mapped[str] = mapped_column(String(64))
    token_sealed: Mapped[str | None] = mapped_column(Text)
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    details: Mapped[dict[str, str]] = mapped_column(JSONB)
    requested_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int]
    # Counts the claims: who lost its lease can't note an outcome any more.
    claim: Mapped[int]
    next_attempt_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    lease_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    reason: Mapped[str | None] = mapped_column(String(64))
    settled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class DeletedUser(Base):
    """Somebody who is gone. Kept for good: a request for mail may come back from the dead letters at any time."""

    __tablename__ = "deleted_user"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
