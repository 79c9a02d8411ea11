from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, LargeBinary, String, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from auth_service.db import Base


class Session(Base):
    """A login: the family of refresh tokens that follow one another."""

    __tablename__ = "session"
    __table_args__ = (Index("ix_session_user_id", "user_id"), Index("ix_session_idle_expires_at", "idle_expires_at"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    device: Mapped[str | None] = mapped_column(String(256))
    # Where it was last used from.
    address: Mapped[str | None] = mapped_column(String(45))
    # By what it was opened, and when who holds it was last proved, by any means and by a second factor.
    methods: Mapped[list[str]] = mapped_column(ARRAY(String(16)), server_default="{password}")
    authenticated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    second_factor_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    last_used_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    idle_expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class RefreshToken(Base):
    """One token of a family, by its SHA-256; used ones stay, so that a second use is recognised."""

    __tablename__ = "refresh_token"
    __table_args__ = (
        Index("ix_refresh_token_session_id", "session_id"),
        Index("ix_refresh_token_replaced_at", "replaced_at", postgresql_where=text("successor_sealed IS NOT NULL")),
    )

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("session.id", ondelete="CASCADE"))
    replaced_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    successor_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    # The successor, readable only with the token itself, for a caller whose answer was lost.
    successor_sealed: Mapped[str | None] = mapped_column(String(255))
