from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from notifications_service.db import Base

WAITS = text("state = 'new'")


class Delivery(Base):
    """A message on one channel to one target, and what became of it.

    It is of a notification, a digest or an event, and of one of these there is one for each user, channel and target.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint(
            "notification_id",
            "digest_id",
            "event_id",
            "user_id",
            "channel",
            "target_id",
            name="uq_delivery_subject",
            postgresql_nulls_not_distinct=True,
        ),
        Index("ix_delivery_due", "channel", "due_at", "id", postgresql_where=WAITS),
        Index("ix_delivery_target", "target_id", "due_at", "id", postgresql_where=WAITS),
        Index("ix_delivery_collapse", "target_id", "collapse_key", "id"),
        Index("ix_delivery_settled_at", "settled_at", postgresql_where=text("settled_at IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    notification_id: Mapped[UUID | None]
    digest_id: Mapped[UUID | None]
    event_id: Mapped[UUID | None]
    # Where an event is in its stream.
    stream_id: Mapped[UUID | None]
    seq: Mapped[int | None] = mapped_column(BigInteger)
    user_id: Mapped[UUID]
    channel: Mapped[str] = mapped_column(String(16))
    target_id: Mapped[UUID | None]
    collapse_key: Mapped[str | None] = mapped_column(String(64))
    # How many seconds have to be between messages of one collapse key to its target.
    spacing_seconds: Mapped[int]
    # Whether it was due as soon as there was something to tell.
    is_instant: Mapped[bool]
    state: Mapped[str] = mapped_column(String(16))
    due_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    attempts: Mapped[int]
    # Counts the claims: who lost its lease can't note an outcome any more.
    claim: Mapped[int]
    lease_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    # Until when its target has asked to be left alone, by this message or any other.
    paused_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    reason: Mapped[str | None] = mapped_column(String(64))
    # What the service that took it calls it.
    provider_id: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    settled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
