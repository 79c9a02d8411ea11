from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Identity, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from auth_service.db import Base


class Revocation(Base):
    """A mark: tokens of this session, or tokens of this user issued before an instant, are not valid any more."""

    __tablename__ = "revocation"
    __table_args__ = (
        CheckConstraint("kind IN ('session', 'user')", name="kind"),
        Index("ix_revocation_expires_at", "expires_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    subject: Mapped[UUID]
    not_before: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    # When the last token that the mark concerns has expired by itself.
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
