from datetime import datetime

from sqlalchemy import CheckConstraint, DateTime, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from auth_service.db import Base


class SigningKey(Base):
    """An Ed25519 key pair; the private half is sealed."""

    __tablename__ = "signing_key"
    __table_args__ = (
        CheckConstraint("state IN ('next', 'current', 'retired')", name="state"),
        Index("uq_signing_key_current", "state", unique=True, postgresql_where=text("state <> 'retired'")),
    )

    kid: Mapped[str] = mapped_column(String(64), primary_key=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    private_key_sealed: Mapped[str] = mapped_column(String(255))
    state: Mapped[str] = mapped_column(String(8))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    # A retired key stays published until then: tokens that it signed may live that long.
    published_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
