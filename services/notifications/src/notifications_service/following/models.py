from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, String
from sqlalchemy.orm import Mapped, mapped_column

from notifications_service.db import Base


class FollowerPosition(Base):
    """Up to which event of a stream a follower has come, and how often the next one has failed."""

    __tablename__ = "follower_position"

    follower: Mapped[str] = mapped_column(String(32), primary_key=True)
    stream_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger)
    failures: Mapped[int]
    # Before then the event that failed is not tried again.
    retry_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class FollowerFailure(Base):
    """An event that a follower left out, since it failed time and again."""

    __tablename__ = "follower_failure"

    follower: Mapped[str] = mapped_column(String(32), primary_key=True)
    stream_id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    event_type: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str] = mapped_column(String(100))
    failed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
