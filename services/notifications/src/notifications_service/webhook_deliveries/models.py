from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from notifications_service.db import Base


class WebhookDelivery(Base):
    """An event on its way to a webhook. What is sent is made of the event's row whenever it is sent."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        Index("ix_webhook_delivery_webhook_id_id", "webhook_id", "id"),
        Index("ix_webhook_delivery_webhook_id_state_id", "webhook_id", "state", "id"),
        # What waits, webhook by webhook: those that don't answer are not in the way of the others.
        Index(
            "ix_webhook_delivery_waiting",
            "webhook_id",
            "next_attempt_at",
            postgresql_where=text("state = 'pending'"),
        ),
        # What is under way.
        Index("ix_webhook_delivery_leased", "webhook_id", postgresql_where=text("lease_until IS NOT NULL")),
        Index(
            "uq_webhook_delivery_event",
            "webhook_id",
            "event_id",
            unique=True,
            postgresql_where=text("kind = 'event'"),
        ),
        Index(
            "uq_webhook_delivery_replay",
            "webhook_id",
            "event_id",
            unique=True,
            postgresql_where=text("kind = 'replay' AND state = 'pending'"),
        ),
        Index("ix_webhook_delivery_created_at", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    webhook_id: Mapped[UUID] = mapped_column(ForeignKey("webhook.id"))
    # What receivers know it by: `webhook-id`.
    event_id: Mapped[UUID]
    event_type: Mapped[str] = mapped_column(String(100))
    # Where the event is kept; a test has none.
    stream_id: Mapped[UUID | None]
    seq: Mapped[int | None] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(8))
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int]
    # How many attempts there had been when it was last sent anew.
    attempts_before: Mapped[int]
    next_attempt_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    claim: Mapped[int]
    lease_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    # Of the last attempt.
    status: Mapped[int | None]
    reason: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    settled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class WebhookAttempt(Base):
    """One request that was made, or was not to be made, for a delivery."""

    __tablename__ = "webhook_attempt"

    delivery_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_delivery.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ms: Mapped[int]
    status: Mapped[int | None]
    reason: Mapped[str | None] = mapped_column(String(32))
    # The beginning of what was answered.
    excerpt: Mapped[str | None] = mapped_column(String(1_024))
