from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from notifications_service.db import Base


class Device(Base):
    """Something of a user's that takes pushes. Who knows its address can send to it, so that is sealed."""

    __tablename__ = "device"
    __table_args__ = (UniqueConstraint("address_hash"), Index("ix_device_user_id", "user_id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(100))
    app: Mapped[str | None] = mapped_column(String(100))
    # By which the same one is known when it is registered again.
    address_hash: Mapped[bytes] = mapped_column(LargeBinary)
    # A token, or a subscription as JSON.
    address_sealed: Mapped[str] = mapped_column(Text)
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
